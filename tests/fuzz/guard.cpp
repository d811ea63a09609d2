// SPDX-License-Identifier: Apache-2.0
#include "system/guard.h"

#include <string>

#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

/// Any bytes are a line; and whatever the name of a process is, its state is found behind it.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = text_of(data, size);
    const bool stopped = system::Guard::tells_a_stop(text);
    require(!stopped || text.find(" T ") != std::string_view::npos, "a stop is told by its letter");
    const std::string name = "1 (" + std::string(text) + ") ";
    require(system::Guard::tells_a_stop(name + "T 0 1"), "a name hides no stop");
    for (const char* other : {"S 0 1", "t 0 1", "R 0 1", "TX 0 1", "T", ""})
        require(!system::Guard::tells_a_stop(name + other), "a name makes no stop");
    return 0;
}
