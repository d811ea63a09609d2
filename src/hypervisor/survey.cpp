// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/survey.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "core/redact.h"
#include "hypervisor/capabilities.h"
#include "hypervisor/domain.h"

namespace vmmi::hypervisor {
namespace {

struct Free {
    void operator()(char* text) const noexcept { std::free(text); }
};
using Text = std::unique_ptr<char, Free>;

/// The most that libvirt's protocol carries in one text, and more than any name needs.
constexpr std::size_t longest_answer = 4U << 20;
constexpr std::size_t longest_name = 255;

std::string cut(const char* text, std::size_t longest) {
    return text == nullptr ? std::string() : std::string(text, ::strnlen(text, longest));
}

Version version_by(int (*ask)(virConnectPtr, unsigned long*), virConnectPtr connection) {
    unsigned long number = 0;
    if (ask(connection, &number) < 0 || number == 0) return std::nullopt;
    return number;
}

HostFacts facts_of(virConnectPtr connection) {
    HostFacts facts;
    facts.name = cut(Text(virConnectGetHostname(connection)).get(), longest_name);
    facts.hypervisor = cut(virConnectGetType(connection), longest_name);
    facts.hypervisor_version = version_by(virConnectGetVersion, connection);
    facts.libvirt = version_by(virConnectGetLibVersion, connection);
    const Text xml(virConnectGetCapabilities(connection));
    const Capabilities capabilities =
        read_capabilities(xml ? std::string_view(xml.get(), ::strnlen(xml.get(), longest_answer)) : "");
    facts.uuid = capabilities.host_uuid;
    facts.migration = capabilities.migration;
    return facts;
}

bool is_about_credentials(const NativeError& error) {
    switch (error.code) {
        case VIR_ERR_AUTH_FAILED:
        case VIR_ERR_AUTH_CANCELLED:
        case VIR_ERR_AUTH_UNAVAILABLE:
        case VIR_ERR_OPERATION_DENIED:
        case VIR_ERR_ACCESS_DENIED:
            return true;
        default:
            return false;
    }
}

}  // namespace

void Survey::ask_host(HostAnswer answer) {
    lane_.submit([this, answer = std::move(answer)] {
        Result<Connection> opened = open_connection(endpoint_);
        if (!opened) {
            Unreachable why{opened.error(), std::nullopt, false};
            if (why.error.code == ErrorCode::libvirt_disconnected) {
                why.native = last_error();
                why.credentials = is_about_credentials(*why.native);
            }
            return answer(tl::unexpected(std::move(why)));
        }
        connection_ = std::move(*opened);
        answer(facts_of(connection_.get()));
    });
}

void Survey::ask_guest(std::string vm, GuestAnswer answer) {
    lane_.submit([this, vm = std::move(vm), answer = std::move(answer)] {
        if (connection_) answer(find(vm));
    });
}

Result<GuestFacts> Survey::find(const std::string& vm) const {
    const auto lost = [&] {
        return fail(ErrorCode::libvirt_disconnected, "connection to libvirt lost",
                    fmt::format("{} closed the connection while the guest was looked up", redact_uri(endpoint_.uri)));
    };
    const Domain domain = find_guest(connection_.get(), vm);
    if (!domain) {
        const NativeError error = last_error();
        if (virConnectIsAlive(connection_.get()) != 1) return lost();
        return fail(ErrorCode::vm_unknown, "vm unknown",
                    fmt::format("no guest with UUID or name {} at {}: {} (libvirt error {}, domain {})", vm,
                                redact_uri(endpoint_.uri), error.message, error.code, error.domain));
    }
    GuestFacts facts;
    facts.state = state_of(domain.get());
    facts.job = stats_of(domain.get(), 0).value_or(JobStats{});
    facts.guest = guest_of(domain.get(), facts.state);
    if (virConnectIsAlive(connection_.get()) != 1) return lost();
    return facts;
}

void Survey::ask_namesakes(Guest guest, NamesakesAnswer answer) {
    lane_.submit([this, guest = std::move(guest), answer = std::move(answer)] {
        if (!connection_) return;
        Namesakes found;
        const auto note_unless_absent = [&] {
            const NativeError error = last_error();
            if (error.code != VIR_ERR_NO_DOMAIN) found.error = error;
        };
        if (const Domain same{virDomainLookupByUUIDString(connection_.get(), guest.uuid.c_str())}) {
            found.name = cut(virDomainGetName(same.get()), longest_name);
            found.state = state_of(same.get());
        } else {
            found.state = GuestState::absent;
            note_unless_absent();
        }
        if (const Domain other{virDomainLookupByName(connection_.get(), guest.name.c_str())})
            found.uuid = uuid_of(other.get());
        else
            note_unless_absent();
        answer(found);
    });
}

bool Survey::close(std::chrono::milliseconds patience) {
    lane_.submit([this] { connection_.reset(); });
    return lane_.idle_within(patience);
}

std::string client_version() {
    unsigned long number = 0;
    return virGetVersion(&number, nullptr, nullptr) == 0 ? version_text(number) : std::string();
}

}  // namespace vmmi::hypervisor
