// SPDX-License-Identifier: Apache-2.0
#include "core/redact.h"

#include <fuzzer/FuzzedDataProvider.h>

#include <array>
#include <string>

#include "core/describe.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

constexpr std::string_view mark = "S3cr3t";

/// Text of the input without the characters that would end the part of the URI that it stands in, and without the mark.
std::string part(FuzzedDataProvider& input, std::string_view without) {
    std::string text = input.ConsumeRandomLengthString(20);
    std::erase_if(text, [&](char c) { return c == '3' || without.find(c) != std::string_view::npos; });
    return text;
}

/// With a question mark in a password, it is no URI any more. It is told from a query where what stands before it can
/// be no port, and where the password has no @ besides.
std::string password(FuzzedDataProvider& input) {
    std::string text(mark);
    text += part(input, input.ConsumeBool() ? "?" : "]@");
    return text.append(mark);
}

void uri_with_secrets(FuzzedDataProvider& input) {
    constexpr std::array<const char*, 4> schemes{"qemu+tcp", "esx", "tcp", "x"};
    constexpr std::array<const char*, 5> names{"password", "PassWd", "authtoken", "client_secret", "credentials"};
    std::string uri = input.PickValueInArray(schemes) + std::string("://");
    if (input.ConsumeBool()) uri += part(input, ":@/?") + ":" + password(input) + "@";
    uri += part(input, "?@");
    const int parameters = input.ConsumeIntegralInRange(0, 3);
    for (int i = 0; i < parameters; ++i) {
        uri += i == 0 ? "?" : input.ConsumeBool() ? "&" : ";";
        if (input.ConsumeBool())
            uri.append(input.PickValueInArray(names)).append("=").append(mark).append(part(input, "&;@"));
        else
            uri += part(input, "&;@");
    }
    const std::string shown = redact_uri(uri);
    require(shown.find(mark) == std::string::npos, "a redacted URI shows no secret");
    require(quote(shown).find(mark) == std::string::npos, "a quoted one neither");
    require(redact_uri(shown) == shown, "what is masked is masked");
}

void any_text(const std::string& text) {
    const std::string shown = redact_uri(text);
    require(redact_uri(shown) == shown, "what is masked is masked");
    require(shown.size() <= 5 * text.size(), "masks are short");
    if (text.find_first_of(":?") == std::string::npos) require(shown == text, "what is no URI is left alone");
    const std::string quoted = quote(text);
    require(quoted.size() < 400 && !has_control_characters(quoted), "a quote is short and safe");
}

void document_with_secrets(FuzzedDataProvider& input) {
    constexpr std::array<const char*, 3> names{"passwd", "password", "secret"};
    std::string text = "<a " + part(input, "='\"");
    const char quotation = input.ConsumeBool() ? '"' : '\'';
    text.append(" ").append(input.PickValueInArray(names)).append("=").append(1, quotation);
    text.append(mark).append(part(input, "<\"'")).append(1, quotation).append("/>");
    const std::string shown = redact_xml(text);
    require(shown.find(mark) == std::string::npos, "a redacted document shows no secret");
    require(redact_xml(shown) == shown, "what is masked is masked");
    const std::string any = input.ConsumeRemainingBytesAsString();
    require(redact_xml(redact_xml(any)) == redact_xml(any), "what is masked is masked");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    FuzzedDataProvider input(data, size);
    if (input.ConsumeBool())
        uri_with_secrets(input);
    else if (input.ConsumeBool())
        document_with_secrets(input);
    else
        any_text(input.ConsumeRemainingBytesAsString());
    return 0;
}
