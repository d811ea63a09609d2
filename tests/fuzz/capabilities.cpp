// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/capabilities.h"

#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const hypervisor::Capabilities read = hypervisor::read_capabilities(text_of(data, size));
    require(read.host_uuid.size() <= 64, "what is read is bounded");
    return 0;
}
