// SPDX-License-Identifier: Apache-2.0
// The functions of libvirt that this project calls, and some that it may come to call. What needs no daemon is left to
// the real library: the event loop, the lists of typed parameters, the initialization.
#pragma GCC visibility push(default)
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#pragma GCC visibility pop

#include <strings.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#include "call.h"
#include "events.h"
#include "statistics.h"

using fake::Call;
using fake::Facts;
using fake::Host;
using fake::Phase;
using fake::scenario;
using fake::State;
using fake::Timeline;
using fake::World;

namespace {

constexpr unsigned long unlimited_speed = 8796093022207;

int release(virConnectPtr connection) {
    const int left = --connection->references;
    if (left == 0) delete connection;
    return left;
}

virDomainPtr new_domain(virConnectPtr connection, std::size_t guest) {
    ++connection->references;
    return new _virDomain{connection, guest};
}

State state_of(World& world, virDomainPtr domain) {
    return world.timeline(domain->guest).state(domain->connection->host, world.now());
}

bool job_active(World& world, std::size_t guest) {
    return world.timeline(guest).job_active(world.now());
}

/// Looks the guest up while the call is under way.
bool exists(Call& call) {
    {
        World world;
        if (world.timeline(call.guest()).state(call.host(), world.now()).state != VIR_DOMAIN_NOSTATE) return true;
    }
    call.fail_no_domain();
    return false;
}

template <typename Fits>
virDomainPtr look_up(Call& call, virConnectPtr connection, const char* what, const Fits& fits) {
    if (!call.admitted()) return nullptr;
    {
        World world;
        for (std::size_t i = 0; i < scenario().guests.size(); ++i)
            if (fits(scenario().guests[i]) &&
                world.timeline(i).state(connection->host, world.now()).state != VIR_DOMAIN_NOSTATE)
                return new_domain(connection, i);
    }
    call.fail({VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU, std::string("Domain not found: no domain with matching ") + what});
    return nullptr;
}

virConnectPtr open(const char* name, const char* uri, unsigned int flags) {
    static std::atomic<int> last_id{0};
    const std::string where = uri != nullptr ? uri : "";
    const Host host = where == scenario().source ? Host::source : Host::destination;
    World().begin();
    Call call(name, host, nullptr, 0, {{"uri", where}, {"flags", flags}});
    if (!call.admitted()) return nullptr;
    bool refused = host == Host::destination && scenario().destination == "unreachable";
    fake::Time opened = 0;
    {
        World world;
        opened = world.now();
        if (host == Host::source) refused = world.refusing();
    }
    if (refused) {
        call.fail({VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, "Failed to connect: Connection refused"});
        return nullptr;
    }
    auto* connection = new _virConnect{++last_id, host, opened};
    call.answer(connection->id);
    return connection;
}

nlohmann::json shown(virTypedParameterPtr list, unsigned int count) {
    nlohmann::json object = nlohmann::json::object();
    for (unsigned int i = 0; i < count; ++i) {
        const virTypedParameter& one = list[i];
        if (one.type == VIR_TYPED_PARAM_STRING)
            object[one.field] = one.value.s;
        else if (one.type == VIR_TYPED_PARAM_INT)
            object[one.field] = one.value.i;
        else if (one.type == VIR_TYPED_PARAM_ULLONG)
            object[one.field] = one.value.ul;
    }
    return object;
}

/// Nothing where the migration begins.
std::optional<fake::Error> refuse_migration(World& world, virDomainPtr domain, const char* destination,
                                            unsigned int flags) {
    if ((flags & VIR_MIGRATE_PEER2PEER) == 0)
        return fake::Error{VIR_ERR_ARGUMENT_UNSUPPORTED, VIR_FROM_QEMU,
                           "unsupported argument: direct migration is not supported by the source host"};
    if (destination == nullptr)
        return fake::Error{VIR_ERR_INVALID_ARG, VIR_FROM_QEMU, "invalid argument: no destination"};
    if (job_active(world, domain->guest))
        return fake::Error{VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU,
                           "Requested operation is not valid: another migration job is already running for domain '" +
                               scenario().guests[domain->guest].name + "'"};
    const State state = state_of(world, domain);
    if (state.state != VIR_DOMAIN_RUNNING && state.state != VIR_DOMAIN_PAUSED)
        return fake::Error{VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN,
                           "Requested operation is not valid: domain is not running"};
    return std::nullopt;
}

int abort_job(Call& call, virDomainPtr domain, bool postcopy) {
    if (!call.admitted() || !call.wait_out_switchover()) return -1;
    const auto invalid = [&](const char* why) {
        return call.fail(
            {VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU, std::string("Requested operation is not valid: ") + why});
    };
    World world;
    const Timeline timeline = world.timeline(domain->guest);
    const Phase phase = timeline.at(world.now()).phase;
    Facts& facts = world.facts(domain->guest);
    if (!timeline.job_active(world.now()) || phase == Phase::failing) return invalid("no job is active on the domain");
    if (domain->connection->host == Host::destination)
        return call.fail({VIR_ERR_OPERATION_TIMEOUT, VIR_FROM_QEMU, "Timed out during operation: cannot acquire lock"});
    const bool in_postcopy = phase == Phase::postcopy || phase == Phase::postcopy_failed;
    if (postcopy) {
        if (!in_postcopy) return invalid("current job is not outgoing migration in post-copy mode");
        if (facts.postcopy_paused == 0) facts.postcopy_paused = world.now();
        return 0;
    }
    if (in_postcopy) return invalid("cannot abort migration in post-copy mode");
    if (facts.aborted == 0)
        facts.aborted = world.now() + fake::milliseconds(scenario().guests[domain->guest].migration.abort_ms);
    return 0;
}

}  // namespace

// Connections

virConnectPtr virConnectOpen(const char* uri) {
    return open("virConnectOpen", uri, 0);
}

virConnectPtr virConnectOpenReadOnly(const char* uri) {
    return open("virConnectOpenReadOnly", uri, VIR_CONNECT_RO);
}

virConnectPtr virConnectOpenAuth(const char* uri, virConnectAuthPtr, unsigned int flags) {
    return open("virConnectOpenAuth", uri, flags);
}

int virConnectRef(virConnectPtr connection) {
    ++connection->references;
    return 0;
}

int virConnectClose(virConnectPtr connection) {
    Call call("virConnectClose", connection);
    // It is closed even if the daemon is told no more.
    static_cast<void>(call.admitted());
    const int left = release(connection);
    call.answer(left);
    return left;
}

int virConnectIsAlive(virConnectPtr connection) {
    fake::reset_error();
    World world;
    return connection->host == Host::source && world.lost(connection->opened) ? 0 : 1;
}

int virConnectSetKeepAlive(virConnectPtr connection, int interval, unsigned int count) {
    Call call("virConnectSetKeepAlive", connection, {{"interval", interval}, {"count", count}});
    return call.admitted() ? 0 : -1;
}

int virConnectGetLibVersion(virConnectPtr connection, unsigned long* version) {
    Call call("virConnectGetLibVersion", connection);
    if (!call.admitted()) return -1;
    *version = fake::facts_of(connection->host).libvirt;
    return 0;
}

int virConnectGetVersion(virConnectPtr connection, unsigned long* version) {
    Call call("virConnectGetVersion", connection);
    if (!call.admitted()) return -1;
    *version = fake::facts_of(connection->host).hypervisor;
    return 0;
}

const char* virConnectGetType(virConnectPtr connection) {
    Call call("virConnectGetType", connection);
    return call.admitted() ? fake::facts_of(connection->host).type.c_str() : nullptr;
}

char* virConnectGetHostname(virConnectPtr connection) {
    Call call("virConnectGetHostname", connection);
    return call.admitted() ? ::strdup(fake::facts_of(connection->host).name.c_str()) : nullptr;
}

char* virConnectGetCapabilities(virConnectPtr connection) {
    Call call("virConnectGetCapabilities", connection);
    if (!call.admitted()) return nullptr;
    const fake::HostFacts& facts = fake::facts_of(connection->host);
    const std::string usual = "<capabilities>\n\n  <host>\n    <uuid>" + facts.uuid +
                              "</uuid>\n    <migration_features>\n      <live/>\n      <uri_transports>\n"
                              "        <uri_transport>tcp</uri_transport>\n      </uri_transports>\n"
                              "    </migration_features>\n  </host>\n\n</capabilities>\n";
    return ::strdup(facts.capabilities.value_or(usual).c_str());
}

int virConnectRegisterCloseCallback(virConnectPtr connection, virConnectCloseFunc callback, void* opaque,
                                    virFreeCallback free) {
    Call call("virConnectRegisterCloseCallback", connection);
    if (!call.admitted()) return -1;
    if (fake::watch(connection, callback, opaque, free)) return 0;
    return call.fail({VIR_ERR_OPERATION_INVALID, VIR_FROM_NONE, "A close callback is already registered"});
}

int virConnectUnregisterCloseCallback(virConnectPtr connection, virConnectCloseFunc) {
    Call call("virConnectUnregisterCloseCallback", connection);
    const bool admitted = call.admitted();
    if (fake::unwatch(connection)) release(connection);
    return admitted ? 0 : -1;
}

int virConnectDomainEventRegisterAny(virConnectPtr connection, virDomainPtr domain, int event,
                                     virConnectDomainEventGenericCallback callback, void* opaque,
                                     virFreeCallback free) {
    Call call("virConnectDomainEventRegisterAny", connection, {{"event", event}});
    if (!call.admitted()) return -1;
    return fake::subscribe(connection, domain, event, callback, opaque, free);
}

int virConnectDomainEventDeregisterAny(virConnectPtr connection, int id) {
    Call call("virConnectDomainEventDeregisterAny", connection);
    const bool admitted = call.admitted();
    if (fake::unsubscribe(connection, id)) release(connection);
    return admitted ? 0 : -1;
}

int virConnectListAllDomains(virConnectPtr connection, virDomainPtr** domains, unsigned int flags) {
    Call call("virConnectListAllDomains", connection, {{"flags", flags}});
    if (!call.admitted()) return -1;
    World world;
    std::vector<virDomainPtr> found;
    for (std::size_t i = 0; i < scenario().guests.size(); ++i) {
        const State state = world.timeline(i).state(connection->host, world.now());
        const bool active = state.state != VIR_DOMAIN_SHUTOFF;
        const bool wanted = (flags & (VIR_CONNECT_LIST_DOMAINS_ACTIVE | VIR_CONNECT_LIST_DOMAINS_INACTIVE)) == 0 ||
                            (flags & (active ? VIR_CONNECT_LIST_DOMAINS_ACTIVE : VIR_CONNECT_LIST_DOMAINS_INACTIVE));
        if (state.state != VIR_DOMAIN_NOSTATE && wanted) found.push_back(new_domain(connection, i));
    }
    if (domains != nullptr) {
        *domains = static_cast<virDomainPtr*>(std::calloc(found.size() + 1, sizeof(virDomainPtr)));
        std::copy(found.begin(), found.end(), *domains);
    } else {
        for (virDomainPtr domain : found) virDomainFree(domain);
    }
    return static_cast<int>(found.size());
}

// Guests

virDomainPtr virDomainLookupByUUIDString(virConnectPtr connection, const char* uuid) {
    Call call("virDomainLookupByUUIDString", connection, {{"uuid", uuid}});
    return look_up(call, connection, "uuid",
                   [&](const fake::Guest& guest) { return ::strcasecmp(guest.uuid.c_str(), uuid) == 0; });
}

virDomainPtr virDomainLookupByName(virConnectPtr connection, const char* name) {
    Call call("virDomainLookupByName", connection, {{"name", name}});
    return look_up(call, connection, "name", [&](const fake::Guest& guest) { return guest.name == name; });
}

int virDomainRef(virDomainPtr domain) {
    ++domain->references;
    return 0;
}

int virDomainFree(virDomainPtr domain) {
    if (--domain->references == 0) {
        release(domain->connection);
        delete domain;
    }
    return 0;
}

virConnectPtr virDomainGetConnect(virDomainPtr domain) {
    fake::reset_error();
    return domain->connection;
}

const char* virDomainGetName(virDomainPtr domain) {
    fake::reset_error();
    return scenario().guests[domain->guest].name.c_str();
}

int virDomainGetUUIDString(virDomainPtr domain, char* text) {
    fake::reset_error();
    std::strncpy(text, scenario().guests[domain->guest].uuid.c_str(), VIR_UUID_STRING_BUFLEN);
    return 0;
}

int virDomainGetState(virDomainPtr domain, int* state, int* reason, unsigned int) {
    Call call("virDomainGetState", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    const State now = state_of(world, domain);
    *state = now.state;
    if (reason != nullptr) *reason = now.reason;
    call.answer({now.state, now.reason});
    return 0;
}

int virDomainIsActive(virDomainPtr domain) {
    Call call("virDomainIsActive", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    return state_of(world, domain).state == VIR_DOMAIN_SHUTOFF ? 0 : 1;
}

int virDomainIsPersistent(virDomainPtr domain) {
    Call call("virDomainIsPersistent", domain);
    if (!call.admitted() || !exists(call)) return -1;
    return scenario().guests[domain->guest].persistent ? 1 : 0;
}

int virDomainGetInfo(virDomainPtr domain, virDomainInfoPtr info) {
    Call call("virDomainGetInfo", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    *info = virDomainInfo{};
    info->state = static_cast<unsigned char>(state_of(world, domain).state);
    info->memory = info->maxMem = scenario().guests[domain->guest].memory >> 10;
    info->nrVirtCpu = 1;
    return 0;
}

char* virDomainGetXMLDesc(virDomainPtr domain, unsigned int flags) {
    Call call("virDomainGetXMLDesc", domain, {{"flags", flags}});
    if (!call.admitted() || !exists(call)) return nullptr;
    const fake::Guest& guest = scenario().guests[domain->guest];
    const std::string xml =
        "<domain type='kvm'><name>" + guest.name + "</name><uuid>" + guest.uuid + "</uuid></domain>";
    return ::strdup(xml.c_str());
}

int virDomainSuspend(virDomainPtr domain) {
    Call call("virDomainSuspend", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    world.facts(domain->guest).suspended = true;
    return 0;
}

int virDomainResume(virDomainPtr domain) {
    Call call("virDomainResume", domain);
    if (!call.admitted() || !exists(call)) return -1;
    // It waits for the job.
    if (!call.wait([&](World& world) { return !job_active(world, domain->guest); }) || !exists(call)) return -1;
    World world;
    world.facts(domain->guest).suspended = false;
    return 0;
}

int virDomainDestroy(virDomainPtr domain) {
    Call call("virDomainDestroy", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    world.facts(domain->guest).destroyed = world.now();
    return 0;
}

// Migration

int virDomainMigrateToURI3(virDomainPtr domain, const char* destination, virTypedParameterPtr params,
                           unsigned int count, unsigned int flags) {
    Call call("virDomainMigrateToURI3", domain,
              {{"destination", destination != nullptr ? destination : ""},
               {"parameters", shown(params, count)},
               {"flags", flags}});
    if (!call.admitted() || !exists(call)) return -1;
    fake::Time started = 0;
    {
        World world;
        if (const auto error = refuse_migration(world, domain, destination, flags)) return call.fail(*error);
        Facts& facts = world.facts(domain->guest);
        facts.aborted = facts.postcopy = facts.postcopy_paused = 0;
        facts.settled = false;
        facts.downtime_ms_before = facts.downtime_ms;
        facts.speed_before = facts.speed;
        facts.started = started = world.now();
    }
    std::optional<fake::Error> error;
    const auto returned = [&](World& world) {
        const Timeline timeline = world.timeline(domain->guest);
        error = timeline.call_error();
        return world.facts(domain->guest).started != started || world.now() >= timeline.call_returns();
    };
    if (!call.wait(returned)) return -1;
    return error ? call.fail(*error) : 0;
}

int virDomainGetJobStats(virDomainPtr domain, int* type, virTypedParameterPtr* params, int* count, unsigned int flags) {
    Call call("virDomainGetJobStats", domain, {{"flags", flags}});
    if (!call.admitted() || !call.wait_out_switchover() || !exists(call)) return -1;
    World world;
    const Timeline timeline = world.timeline(domain->guest);
    const Host host = domain->connection->host;
    const fake::Guest& guest = scenario().guests[domain->guest];
    const Facts& facts = world.facts(domain->guest);
    fake::Statistics statistics;
    if ((flags & VIR_DOMAIN_JOB_STATS_COMPLETED) != 0) {
        if (world.now() >= timeline.over()) statistics = completed_statistics(guest, facts, timeline, host);
    } else if (host == Host::destination) {
        if (timeline.job_active(world.now()))
            return call.fail({VIR_ERR_OPERATION_UNSUPPORTED, VIR_FROM_QEMU,
                              "migration statistics are available only on the source host"});
    } else {
        if (state_of(world, domain).state == VIR_DOMAIN_SHUTOFF)
            return call.fail({VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN,
                              "Requested operation is not valid: domain is not running"});
        statistics = running_statistics(guest, facts, timeline, world.now());
    }
    *type = statistics.type;
    *params = statistics.list;
    *count = statistics.count;
    call.answer(statistics.type);
    return 0;
}

int virDomainAbortJob(virDomainPtr domain) {
    Call call("virDomainAbortJob", domain);
    return abort_job(call, domain, false);
}

int virDomainAbortJobFlags(virDomainPtr domain, unsigned int flags) {
    Call call("virDomainAbortJobFlags", domain, {{"flags", flags}});
    constexpr unsigned int postcopy = 1;  // VIR_DOMAIN_ABORT_JOB_POSTCOPY
    return abort_job(call, domain, (flags & postcopy) != 0);
}

int virDomainMigrateStartPostCopy(virDomainPtr domain, unsigned int) {
    Call call("virDomainMigrateStartPostCopy", domain);
    if (!call.admitted() || !call.wait_out_switchover()) return -1;
    World world;
    Facts& facts = world.facts(domain->guest);
    if (!job_active(world, domain->guest))
        return call.fail({VIR_ERR_OPERATION_INVALID, VIR_FROM_QEMU,
                          "Requested operation is not valid: post-copy can only be started while outgoing migration is "
                          "in progress"});
    if (facts.postcopy == 0 && world.timeline(domain->guest).at(world.now()).phase == Phase::pass)
        facts.postcopy = world.now();
    return 0;
}

int virDomainMigrateSetMaxDowntime(virDomainPtr domain, unsigned long long limit, unsigned int) {
    Call call("virDomainMigrateSetMaxDowntime", domain, {{"limit", limit}});
    if (!call.admitted() || !call.wait_out_switchover() || !exists(call)) return -1;
    World world;
    if (state_of(world, domain).state == VIR_DOMAIN_SHUTOFF)
        return call.fail(
            {VIR_ERR_OPERATION_INVALID, VIR_FROM_DOMAIN, "Requested operation is not valid: domain is not running"});
    world.facts(domain->guest).downtime_ms = limit;
    return 0;
}

int virDomainMigrateGetMaxDowntime(virDomainPtr domain, unsigned long long* limit, unsigned int) {
    Call call("virDomainMigrateGetMaxDowntime", domain);
    if (!call.admitted() || !call.wait_out_switchover() || !exists(call)) return -1;
    World world;
    *limit = world.facts(domain->guest).downtime_ms;
    call.answer(*limit);
    return 0;
}

int virDomainMigrateSetMaxSpeed(virDomainPtr domain, unsigned long speed, unsigned int flags) {
    Call call("virDomainMigrateSetMaxSpeed", domain, {{"speed", speed}, {"flags", flags}});
    if (!call.admitted() || !call.wait_out_switchover() || !exists(call)) return -1;
    if (speed > unlimited_speed)
        return call.fail({VIR_ERR_OVERFLOW, VIR_FROM_QEMU, "numerical overflow: bandwidth must be less"});
    World world;
    world.facts(domain->guest).speed = speed;
    return 0;
}

int virDomainMigrateGetMaxSpeed(virDomainPtr domain, unsigned long* speed, unsigned int) {
    Call call("virDomainMigrateGetMaxSpeed", domain);
    if (!call.admitted() || !exists(call)) return -1;
    World world;
    const std::uint64_t set = world.facts(domain->guest).speed;
    *speed = set != 0 ? set : unlimited_speed;
    return 0;
}

// Errors, a thread's own

virErrorPtr virGetLastError() {
    return fake::current_error();
}

int virGetLastErrorCode() {
    const virError* error = fake::current_error();
    return error != nullptr ? error->code : VIR_ERR_OK;
}

int virGetLastErrorDomain() {
    const virError* error = fake::current_error();
    return error != nullptr ? error->domain : VIR_FROM_NONE;
}

const char* virGetLastErrorMessage() {
    const virError* error = fake::current_error();
    return error != nullptr ? error->message : "no error";
}

void virResetLastError() {
    fake::reset_error();
}
