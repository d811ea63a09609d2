// SPDX-License-Identifier: Apache-2.0
/// What a plugin may write to its supervisor: status, completion and check messages.
#include "supervisor/reading.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "require.h"
#include "supervisor/process.h"
#include "supervisor/text.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace vmmi::supervisor;
    using vmmi::fuzz::require;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const Conclusion conclusion = conclude(text, {0, 0}, "plugin");
    require(conclusion.error.has_value() == (conclusion.result.code != 0), "an error has a code");
    require(conclusion.error || conclusion.completion.size() + 1 == text.size(), "a success is one line");
    if (const auto status = read_status(text)) {
        require(status->progress_percent >= -1 && status->progress_percent <= 100, "percent");
        require(printable(status->phase) == status->phase, "words are printable");
        require(std::memchr(status->last_action_reason, 0, sizeof status->last_action_reason) != nullptr, "texts end");
    }
    read_check(text, "", {0, 0}, "plugin");
    identity_of(text);
    return 0;
}
