// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/source_host.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <thread>

#include "core/describe.h"
#include "core/overloaded.h"
#include "core/redact.h"
#include "hypervisor/convert.h"
#include "hypervisor/domain.h"
#include "hypervisor/typed_params.h"

namespace vmmi::hypervisor {
namespace {

using Post = SourceHost::Post;

/// Of the migrate call before one more connection keeps the daemon busy. No migration tells anything so early.
constexpr std::chrono::milliseconds head_start{30};
/// So long, a call that has answered is not over yet.
constexpr std::chrono::milliseconds a_moment{20};
constexpr std::chrono::milliseconds no_time{0};

std::optional<NativeError> error_unless(bool succeeded) {
    if (succeeded) return std::nullopt;
    return last_error();
}

/// What a callback needs; libvirt owns it until it calls `forget`.
struct Subscription {
    Post post;
    std::string uuid;
};

void forget(void* opaque) noexcept {
    delete static_cast<Subscription*>(opaque);
}

const Subscription* concerned(virDomainPtr domain, void* opaque) {
    const auto* subscription = static_cast<const Subscription*>(opaque);
    return uuid_of(domain) == subscription->uuid ? subscription : nullptr;
}

int on_lifecycle(virConnectPtr, virDomainPtr domain, int event, int detail, void* opaque) noexcept {
    const std::optional<event::Lifecycle::Kind> kind = lifecycle_kind(event, detail);
    const Subscription* subscription = concerned(domain, opaque);
    if (kind && subscription != nullptr) subscription->post(event::Lifecycle{*kind});
    return 0;
}

void on_iteration(virConnectPtr, virDomainPtr domain, int iteration, void* opaque) noexcept {
    if (const Subscription* subscription = concerned(domain, opaque))
        subscription->post(event::IterationBegan{iteration});
}

void on_job_completed(virConnectPtr, virDomainPtr domain, virTypedParameterPtr list, int count, void* opaque) noexcept {
    if (const Subscription* subscription = concerned(domain, opaque))
        subscription->post(event::JobCompleted{job_stats(VIR_DOMAIN_JOB_COMPLETED, {list, count})});
}

std::optional<Milliseconds> downtime_limit_of(virDomainPtr domain) {
    unsigned long long limit = 0;
    if (virDomainMigrateGetMaxDowntime(domain, &limit, 0) != 0) return std::nullopt;
    return Milliseconds(static_cast<std::int64_t>(limit));
}

int set_downtime_limit(virDomainPtr domain, Milliseconds limit) {
    return virDomainMigrateSetMaxDowntime(domain, static_cast<unsigned long long>(limit.count()), 0);
}

/// Of a call that was under way when its connection was lost. libvirt has no code for its keepalive, but it is an
/// internal error of the RPC layer, and the end of the stream is a system's error.
std::string why_lost(const NativeError& error) {
    const bool silent = error.code == VIR_ERR_INTERNAL_ERROR && error.domain == VIR_FROM_RPC;
    return fmt::format("{}: {}", silent ? "the daemon does not answer" : "the daemon closed it", error.message);
}

void on_close(virConnectPtr, int reason, void* opaque) noexcept {
    const char* word = "error";
    if (reason == VIR_CONNECT_CLOSE_REASON_EOF) word = "the daemon closed it";
    if (reason == VIR_CONNECT_CLOSE_REASON_KEEPALIVE) word = "the daemon does not answer";
    static_cast<const Subscription*>(opaque)->post(event::ConnectionLost{word});
}

void watch(virConnectPtr connection, Subscription concerned) {
    auto subscription = std::make_unique<Subscription>(std::move(concerned));
    if (virConnectRegisterCloseCallback(connection, on_close, subscription.get(), forget) == 0)
        static_cast<void>(subscription.release());
}

}  // namespace

SourceHost::SourceHost(Target target, Post post, const EventThread& events)
    : target_(std::move(target)),
      post_(std::move(post)),
      calling_(target_.source),
      looking_(target_.source),
      steering_(target_.source),
      recovering_(target_.source) {
    events.wait_until_ready();
}

void SourceHost::execute(const Order& order) {
    std::visit(
        Overloaded{
            [this](const order::Connect&) { calling_.submit([this] { connect(); }); },
            [this](const order::LookCloser& o) { calling_.submit([this, o] { look_closer(o.subjects); }); },
            [this](const order::Start& o) {
                calling_.submit([this, o] { start(o.request); });
                looking_.submit([this] {
                    std::this_thread::sleep_for(head_start);
                    subscribe();
                    read_limit();
                });
            },
            [this](const order::LimitDowntime& o) { looking_.submit([this, o] { limit_downtime(o.limit); }); },
            [this](const order::OpenSteering&) {
                steering_.submit([this] { static_cast<void>(steering_.guest(uuid_)); });
            },
            [this](const order::TakeSample&) {
                looking_.submit([this] { subscribe(); });  // where the connection could not be opened before
                submit(looking_, [this](Channel& channel) { take_sample(channel); });
            },
            [this](const order::Inspect& o) {
                submit(o.aside ? steering_ : looking_, [this](Channel& channel) { inspect(channel); });
            },
            [this](const order::Apply& o) { submit(steering_, [this, o](Channel& channel) { apply(channel, o); }); },
            [this](const order::Recover& o) { recovering_.submit([this, o] { recover(o); }); },
            [this](const order::Abort&) {
                // Past an action that hangs. Before post-copy there is nothing to recover.
                Channel& free = steering_.idle_within(no_time) ? steering_ : recovering_;
                submit(free, [this](Channel& channel) { abort(channel); });
            },
            [this](const order::Resume&) { submit(steering_, [this](Channel& channel) { resume(channel); }); },
            [this](const order::Restore& o) {
                submit(steering_, [this, o](Channel& channel) { restore(channel, o.downtime_limit); });
            },
            [](const auto&) {},  // for others
        },
        order);
}

void SourceHost::submit(Channel& channel, std::function<void(Channel&)> task) {
    channel.submit([this, &channel, task = std::move(task)] {
        if (channel.connection()) return task(channel);
        Channel& open = calling_.idle_within(a_moment) ? calling_ : looking_;
        if (&open == &channel) return task(channel);
        open.submit([&open, task] { task(open); });
    });
}

void SourceHost::let_orders_out(std::chrono::milliseconds patience) {
    // A hanging action keeps what may be on the other one from nothing.
    if (!steering_.idle_within(patience)) recovering_.idle_within(patience);
}

bool SourceHost::close(std::chrono::milliseconds patience) {
    looking_.submit([this] { unsubscribe(); });
    calling_.submit([this] {
        if (!taken_over_ || !calling_.is_alive()) return;
        if (const Result<virConnectPtr> connection = calling_.connection())
            virConnectUnregisterCloseCallback(*connection, on_close);
    });
    const std::array channels{&recovering_, &steering_, &looking_, &calling_};
    for (Channel* channel : channels) channel->disconnect();
    return std::ranges::all_of(channels, [&](Channel* channel) { return channel->idle_within(patience); });
}

void SourceHost::connect() {
    const Result<virConnectPtr> connection = calling_.connection();
    if (!connection) return post_(event::ConnectFailed{connection.error()});
    Result<Domain> domain = find_guest(*connection, target_.source.uri, target_.vm);
    if (!domain) return post_(event::ConnectFailed{domain.error()});
    event::Connected connected;
    static_cast<GuestFacts&>(connected) = facts_of(domain->get());
    uuid_ = connected.guest.uuid;
    if (connected.job.migrating()) {
        connected.source.libvirt = libvirt_of(*connection);
        connected.downtime_limit = downtime_limit_of(domain->get());
    }
    if (!calling_.is_alive()) return post_(event::ConnectFailed{lost_while_looking_up(target_.source.uri)});
    // Nobody orders the start of what runs already, and no call of this run tells that the daemon is gone.
    if (connected.job.migrating()) {
        watch(*connection, {post_, uuid_});
        taken_over_ = true;
        looking_.submit([this] { subscribe(); });
    }
    calling_.keep(std::move(*domain));
    post_(std::move(connected));
}

void SourceHost::look_closer(Subjects subjects) {
    event::LookedCloser looked;
    if (const NativeResult<virDomainPtr> domain = calling_.guest(uuid_); domain && subjects.devices)
        looked.devices = devices_of(*domain);
    if (const Result<virConnectPtr> connection = calling_.connection()) {
        if (subjects.hypervisor)
            looked.source = host_of(*connection);
        else
            looked.source.emplace().libvirt = libvirt_of(*connection);
    }
    if (!calling_.is_alive()) return post_(event::ConnectFailed{lost_while_looking_up(target_.source.uri)});
    post_(std::move(looked));
}

void SourceHost::subscribe() {
    if (!subscriptions_.empty()) return;
    const Result<virConnectPtr> open = looking_.connection();
    if (!open) return;  // the sample tells what is wrong
    virConnectPtr connection = *open;
    // All domains, told apart by UUID: a subscription to one domain would end with the domain, before its last event.
    const auto add = [&](int id, virConnectDomainEventGenericCallback callback) {
        auto subscription = std::make_unique<Subscription>(Subscription{post_, uuid_});
        const int handle =
            virConnectDomainEventRegisterAny(connection, nullptr, id, callback, subscription.get(), forget);
        if (handle < 0) return;
        static_cast<void>(subscription.release());
        subscriptions_.push_back(handle);
    };
    add(VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    add(VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION, VIR_DOMAIN_EVENT_CALLBACK(on_iteration));
    add(VIR_DOMAIN_EVENT_ID_JOB_COMPLETED, VIR_DOMAIN_EVENT_CALLBACK(on_job_completed));
    watch(connection, {post_, uuid_});
}

void SourceHost::unsubscribe() {
    if (subscriptions_.empty() || !looking_.is_alive()) return;
    const Result<virConnectPtr> connection = looking_.connection();
    if (!connection) return;
    // Every subscription holds a reference that would keep the connection open.
    for (const int handle : subscriptions_) virConnectDomainEventDeregisterAny(*connection, handle);
    virConnectUnregisterCloseCallback(*connection, on_close);
}

void SourceHost::read_limit() {
    const NativeResult<virDomainPtr> domain = looking_.guest(uuid_);
    const std::optional<Milliseconds> limit = domain ? downtime_limit_of(*domain) : std::nullopt;
    const NativeError said = last_error();
    if (!limit && looking_.is_lost()) return post_(event::ConnectionLost{why_lost(said)});
    post_(event::LimitRead{limit});
}

void SourceHost::limit_downtime(Milliseconds limit) {
    const NativeResult<virDomainPtr> domain = looking_.guest(uuid_);
    if (!domain) return post_(event::LimitAnswered{domain.error()});
    std::optional<NativeError> error = error_unless(set_downtime_limit(*domain, limit) == 0);
    if (error && looking_.is_lost()) return post_(event::ConnectionLost{why_lost(*error)});
    post_(event::LimitAnswered{std::move(error)});
}

void SourceHost::start(const MigrationRequest& request) {
    const auto returned = [this](std::optional<NativeError> error) {
        // What the client says when its daemon is gone is no answer to the call.
        if (error && !calling_.is_alive()) return post_(event::ConnectionLost{why_lost(*error)});
        post_(event::MigrateReturned{std::move(error)});
    };
    const NativeResult<virDomainPtr> domain = calling_.guest(uuid_);
    if (!domain) return returned(domain.error());
    TypedParams params;
    // libvirt refuses one for a tunnel.
    if (!request.tunnelled) params.add(VIR_MIGRATE_PARAM_URI, target_.migration_uri);
    add_parameters(params, request);
    const int answer = virDomainMigrateToURI3(*domain, target_.destination_uri.c_str(), params.data(), params.size(),
                                              migrate_flags(request));
    returned(error_unless(answer == 0));
}

void SourceHost::take_sample(Channel& channel) {
    const NativeResult<virDomainPtr> domain = channel.guest(uuid_);
    if (!domain) return post_(event::SampleFailed{domain.error()});
    const std::optional<JobStats> stats = stats_of(*domain, 0);
    if (!stats) return post_(event::SampleFailed{last_error()});
    // In this order: the statistics may have waited for the last pass to end.
    post_(event::Sampled{state_of(*domain), *stats});
}

void SourceHost::inspect(Channel& channel) {
    channel.forget_guest();  // a handle may be older than the domain's end
    const NativeResult<virDomainPtr> domain = channel.guest(uuid_);
    event::Inspected inspected;
    inspected.uuid = uuid_;
    if (!domain) {
        if (domain.error().code != VIR_ERR_NO_DOMAIN) return post_(event::ConnectionLost{domain.error().message});
        inspected.state = GuestState::absent;
        return post_(inspected);
    }
    inspected.state = state_of(*domain);
    // A job that failed is shown for a moment until libvirt has cleaned up after it.
    inspected.job = stats_of(*domain, 0).value_or(JobStats{});
    inspected.job_active = inspected.job.type != JobStats::Type::none;
    const std::optional<JobStats> completed =
        stats_of(*domain, VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED);
    if (completed && completed->type == JobStats::Type::completed &&
        completed->operation == JobStats::Operation::outgoing_migration)
        inspected.completed = completed;
    post_(inspected);
}

void SourceHost::apply(Channel& channel, const order::Apply& order) {
    const NativeResult<virDomainPtr> domain = channel.guest(uuid_);
    if (!domain) return post_(event::ActionAnswered{order.index, domain.error()});
    const int answer =
        std::visit(Overloaded{
                       [&](const SetDowntimeLimit& action) { return set_downtime_limit(*domain, action.limit); },
                       [&](const SetBandwidth& action) {
                           if (order.in_postcopy)
                               return virDomainMigrateSetMaxSpeed(*domain, max_postcopy_speed(action.limit),
                                                                  VIR_DOMAIN_MIGRATE_MAX_SPEED_POSTCOPY);
                           return virDomainMigrateSetMaxSpeed(*domain, max_speed(action.limit), 0);
                       },
                       [&](const StartPostCopy&) { return virDomainMigrateStartPostCopy(*domain, 0); },
                       [&](const AbortMigration&) { return virDomainAbortJob(*domain); },
                       [&](const PauseGuest&) { return virDomainSuspend(*domain); },
                       [](const ResumePostCopy&) { return 0; },
                       [](const Wait&) { return 0; },
                   },
                   order.action.what);
    post_(event::ActionAnswered{order.index, error_unless(answer == 0)});
}

void SourceHost::recover(const order::Recover& order) {
    const auto returned = [&](std::optional<NativeError> error) {
        if (error && !recovering_.is_alive()) return post_(event::ConnectionLost{why_lost(*error)});
        post_(event::RecoveryReturned{order.index, std::move(error)});
    };
    recovering_.forget_guest();
    const NativeResult<virDomainPtr> domain = recovering_.guest(uuid_);
    if (!domain) return returned(domain.error());
    TypedParams params;
    params.add(VIR_MIGRATE_PARAM_URI, order.migration_uri);
    add_recovery_parameters(params, order.request);
    const int answer = virDomainMigrateToURI3(*domain, order.destination_uri.c_str(), params.data(), params.size(),
                                              recovery_flags(order.request));
    returned(error_unless(answer == 0));
}

void SourceHost::abort(Channel& channel) {
    const NativeResult<virDomainPtr> domain = channel.guest(uuid_);
    if (!domain) return post_(event::AbortAnswered{domain.error()});
    post_(event::AbortAnswered{error_unless(virDomainAbortJob(*domain) == 0)});
}

void SourceHost::resume(Channel& channel) {
    if (const NativeResult<virDomainPtr> domain = channel.guest(uuid_)) virDomainResume(*domain);
}

void SourceHost::restore(Channel& channel, Milliseconds downtime_limit) {
    if (const NativeResult<virDomainPtr> domain = channel.guest(uuid_)) set_downtime_limit(*domain, downtime_limit);
}

}  // namespace vmmi::hypervisor
