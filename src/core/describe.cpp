// SPDX-License-Identifier: Apache-2.0
#include "core/describe.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/overloaded.h"
#include "core/redact.h"

namespace vmmi {

std::string quote(std::string_view text) {
    constexpr std::size_t longest = 80;
    std::size_t length = std::min(text.size(), longest);
    // Between the characters of UTF-8, not through one.
    while (length > 0 && length < text.size() && (static_cast<unsigned char>(text[length]) & 0xc0) == 0x80) --length;
    std::string shown = "\"";
    for (const char c : text.substr(0, length)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            shown += {'\\', c};
        else if (byte < 0x20 || byte == 0x7f)
            shown += fmt::format("\\x{:02x}", byte);
        else
            shown += c;
    }
    shown += '"';
    if (text.size() > longest) shown += fmt::format("… ({} bytes)", text.size());
    return shown;
}

std::string describe(const Value& value) {
    return std::visit(Overloaded{
                          [](std::monostate) { return std::string("null"); },
                          [](bool flag) { return std::string(flag ? "true" : "false"); },
                          [](std::int64_t number) { return fmt::to_string(number); },
                          [](double number) { return fmt::format("{:#}", number); },
                          [](const std::string& text) { return quote(redact_uri(text)); },
                          [](const List&) { return std::string("a list"); },
                          [](const Object&) { return std::string("an object"); },
                      },
                      value.variant());
}

std::string describe(const NativeError& error) {
    return fmt::format("{} (libvirt error {}, domain {})", error.message, error.code, error.domain);
}

std::string describe(const Action& action) {
    return std::visit(
        Overloaded{
            [](const SetDowntimeLimit& a) { return fmt::format("downtime limit {} ms", a.limit.count()); },
            [](const SetBandwidth& a) {
                return a.limit.count == 0 ? std::string("bandwidth unlimited")
                                          : fmt::format("bandwidth {} MiB/s", a.limit.count >> 20);
            },
            [](const StartPostCopy&) { return std::string("post-copy"); },
            [](const ResumePostCopy&) { return std::string("resume post-copy"); },
            [](const PauseGuest& a) { return fmt::format("pause of {} ms at most", a.longest.count()); },
            [](const AbortMigration&) { return std::string("abort"); },
            [](const Wait&) { return std::string("wait"); },
        },
        action.what);
}

}  // namespace vmmi
