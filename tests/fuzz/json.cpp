// SPDX-License-Identifier: Apache-2.0
#include "message/json.h"

#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

/// What was read can be written and read again.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Result<Object> parsed = message::parse_json(text_of(data, size));
    if (!parsed) {
        require_sound(parsed.error(), {ErrorCode::malformed_configuration});
        return 0;
    }
    const std::string line = message::to_json(*parsed);
    require(line.find('\n') == std::string::npos, "to_json writes one line");
    for (const std::string& written : {line, message::to_pretty_json(*parsed)})
        require(message::parse_json(written) == parsed, "what was written is read as it was");
    return 0;
}
