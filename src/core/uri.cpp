// SPDX-License-Identifier: Apache-2.0
#include "core/uri.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace vmmi {
namespace {

std::string lower(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return lower;
}

/// Takes what stands before the first of these characters; all of it where there is none.
std::string_view take_until(std::string_view& text, const char* ends) {
    const std::string_view taken = text.substr(0, text.find_first_of(ends));
    text.remove_prefix(taken.size());
    return taken;
}

void read_authority(std::string_view authority, Uri& uri) {
    if (const std::size_t user = authority.rfind('@'); user != std::string_view::npos)
        authority.remove_prefix(user + 1);
    if (authority.starts_with('[')) {
        authority.remove_prefix(1);
        uri.host = take_until(authority, "]");
        if (!authority.empty()) authority.remove_prefix(1);
    } else {
        uri.host = take_until(authority, ":");
    }
    if (authority.starts_with(':')) uri.port = authority.substr(1);
}

}  // namespace

Uri parse_uri(std::string_view text) {
    Uri uri;
    const std::string_view scheme = take_until(text, ":");
    if (text.empty()) return uri;
    const std::size_t plus = scheme.find('+');
    uri.scheme = lower(scheme.substr(0, plus));
    if (plus != std::string_view::npos) uri.transport = lower(scheme.substr(plus + 1));
    text.remove_prefix(1);
    if (text.starts_with("//"))
        text.remove_prefix(2);
    else if (uri.scheme != "tcp" || text.starts_with('/'))
        return uri;
    read_authority(take_until(text, "/?#"), uri);
    uri.path = take_until(text, "?#");
    if (text.starts_with('?')) {
        text.remove_prefix(1);
        uri.query = take_until(text, "#");
    }
    return uri;
}

bool is_loopback(const std::string& host) {
    std::string name = lower(host);
    if (name.ends_with('.')) name.pop_back();
    if (name == "localhost" || name.starts_with("localhost.") || name.ends_with(".localhost")) return true;
    in_addr four{};
    if (::inet_pton(AF_INET, name.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
    in6_addr six{};
    if (::inet_pton(AF_INET6, name.c_str(), &six) != 1) return false;
    std::array<unsigned char, 16> bytes{};
    std::ranges::copy(six.s6_addr, bytes.begin());
    const bool zeros = std::all_of(bytes.begin(), bytes.begin() + 10, [](unsigned char byte) { return byte == 0; });
    if (!zeros) return false;
    if (bytes[10] == 0xff && bytes[11] == 0xff) return bytes[12] == 127;
    return std::all_of(bytes.begin() + 10, bytes.end() - 1, [](unsigned char byte) { return byte == 0; }) &&
           bytes[15] == 1;
}

}  // namespace vmmi
