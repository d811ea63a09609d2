// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/survey.h"

#include <fmt/format.h>

#include <cstring>

#include "core/redact.h"
#include "hypervisor/capabilities.h"
#include "hypervisor/domain.h"

namespace vmmi::hypervisor {
namespace {

HostFacts all_of(virConnectPtr connection) {
    HostFacts facts = host_of(connection);
    facts.name = cut(Text(virConnectGetHostname(connection)).get());
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
        answer(all_of(connection_.get()));
    });
}

void Survey::ask_guest(std::string vm, GuestAnswer answer) {
    lane_.submit([this, vm = std::move(vm), answer = std::move(answer)] {
        if (connection_) answer(find(vm));
    });
}

Result<GuestFacts> Survey::find(const std::string& vm) const {
    const Result<Domain> domain = find_guest(connection_.get(), endpoint_.uri, vm);
    if (!domain) return fail(domain.error());
    GuestFacts facts = facts_of(domain->get());
    if (virConnectIsAlive(connection_.get()) != 1) return fail(lost_while_looking_up(endpoint_.uri));
    return facts;
}

void Survey::ask_devices(std::string uuid, DevicesAnswer answer) {
    lane_.submit([this, uuid = std::move(uuid), answer = std::move(answer)] {
        if (!connection_) return;
        const Domain domain{virDomainLookupByUUIDString(connection_.get(), uuid.c_str())};
        answer(domain ? devices_of(domain.get()) : std::nullopt);
    });
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
            found.name = cut(virDomainGetName(same.get()));
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
