// SPDX-License-Identifier: Apache-2.0
#include "system/resolve.h"

#include <netdb.h>

#include <array>
#include <cerrno>
#include <memory>
#include <system_error>

#include "core/uri.h"

namespace vmmi::system {
namespace {

struct FreeAddresses {
    void operator()(addrinfo* list) const noexcept { ::freeaddrinfo(list); }
};

std::string text_of(const addrinfo& address) {
    std::array<char, NI_MAXHOST> text{};
    return ::getnameinfo(address.ai_addr, address.ai_addrlen, text.data(), text.size(), nullptr, 0, NI_NUMERICHOST) == 0
               ? std::string(text.data())
               : std::string();
}

}  // namespace

Resolution resolve(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* list = nullptr;
    const int answer = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
    if (answer == EAI_SYSTEM) return {.problem = std::generic_category().message(errno)};
    if (answer != 0) return {.problem = ::gai_strerror(answer)};
    const std::unique_ptr<addrinfo, FreeAddresses> addresses(list);
    Resolution found{.loopback = true, .problem = {}};
    for (const addrinfo* one = list; one != nullptr; one = one->ai_next)
        found.loopback = found.loopback && is_loopback(text_of(*one));
    return found;
}

}  // namespace vmmi::system
