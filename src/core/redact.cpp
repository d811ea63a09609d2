// SPDX-License-Identifier: Apache-2.0
#include "core/redact.h"

#include <algorithm>
#include <array>

namespace vmmi {
namespace {

constexpr std::string_view mask = "***";

bool names_a_secret(std::string_view parameter) {
    std::string lower(parameter);
    std::ranges::transform(lower, lower.begin(),
                           [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    constexpr std::array<std::string_view, 4> words{"pass", "secret", "token", "credential"};
    return std::ranges::any_of(words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

/// Whether the authority has a colon before what cannot be a port: a password with a slash or a question mark in it.
bool ends_in_a_password(std::string_view authority) {
    const std::size_t colon = authority.find(':');
    if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos) return false;
    return authority.find_first_not_of("0123456789", colon + 1) != std::string_view::npos;
}

}  // namespace

std::string redact_xml(std::string_view document) {
    constexpr std::string_view space = " \t\r\n";
    constexpr std::string_view before_a_name = " \t\r\n<>\"'/";
    std::string shown;
    while (!document.empty()) {
        const std::size_t equals = document.find('=');
        const std::size_t quote =
            equals == std::string_view::npos ? equals : document.find_first_not_of(space, equals + 1);
        if (quote == std::string_view::npos) break;
        shown += document.substr(0, quote);
        std::string_view name = document.substr(0, equals);
        name = name.substr(0, name.find_last_not_of(space) + 1);
        name.remove_prefix(name.find_last_of(before_a_name) + 1);
        document.remove_prefix(quote);
        if (document[0] != '"' && document[0] != '\'') continue;
        const std::size_t end = std::min(document.find(document[0], 1), document.size());
        const std::string_view value = document.substr(0, end);
        // A value in a tag has no < in it.
        if (names_a_secret(name) && value.find('<') == std::string_view::npos)
            shown.append(1, value[0]).append(mask);
        else
            shown += value;
        document.remove_prefix(value.size());
        if (document.empty()) break;
        shown += document[0];
        document.remove_prefix(1);
    }
    return shown.append(document);
}

std::string redact_uri(std::string_view uri) {
    std::string shown;
    std::size_t query = std::min(uri.find('?'), uri.size());
    if (const std::size_t scheme = uri.find("://"); scheme < query) {
        const std::string_view before = uri.substr(scheme + 3, query - scheme - 3);
        const std::size_t at = uri.rfind('@');
        if (before.find('@') == std::string_view::npos && at != std::string_view::npos && at > query &&
            ends_in_a_password(before.substr(0, before.find('/'))))
            query = std::min(uri.find('?', at), uri.size());
    }
    std::string_view front = uri.substr(0, query);

    if (const std::size_t scheme = front.find("://"); scheme != std::string_view::npos) {
        const std::size_t begin = scheme + 3;
        // A password may hold a slash that nobody escaped: the last @ ends the user's part.
        const std::size_t at = front.rfind('@');
        if (at != std::string_view::npos && at >= begin) {
            const std::string_view user = front.substr(begin, at - begin);
            const std::size_t colon = user.find(':');
            shown += front.substr(0, begin);
            shown += user.substr(0, colon);
            if (colon != std::string_view::npos) shown.append(":").append(mask);
            front.remove_prefix(at);
        }
    }
    shown += front;

    std::string_view rest = uri.substr(query);
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find_first_of("&;", 1), rest.size());
        const std::string_view parameter = rest.substr(0, end);
        const std::size_t equals = parameter.find('=');
        if (equals != std::string_view::npos && names_a_secret(parameter.substr(0, equals)))
            shown.append(parameter.substr(0, equals + 1)).append(mask);
        else
            shown += parameter;
        rest.remove_prefix(end);
    }
    return shown;
}

}  // namespace vmmi
