// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "engine/session.h"

namespace vmmi::engine::test {

constexpr Milliseconds operator""_ms(unsigned long long n) {
    return Milliseconds(static_cast<std::int64_t>(n));
}

/// A policy that plays what a test gives it and keeps what it was asked.
class PlayedPolicy : public Policy {
  public:
    MigrationRequest plan(const Guest& guest) override {
        planned_for.push_back(guest);
        return request;
    }
    std::vector<Action> decide(const Sample& sample) override {
        asked.push_back(sample);
        return answer ? answer(sample) : std::vector<Action>{};
    }
    std::optional<Milliseconds> next_sample_within() const override { return within; }
    bool guards(const Sample& broken) override {
        asked_to_stay.push_back(broken);
        return stays;
    }
    /// Answers the next question with these actions, and all later ones with none.
    void next(std::vector<Action> actions) {
        answer = [this, actions = std::move(actions), question = asked.size()](const Sample&) {
            return asked.size() == question + 1 ? actions : std::vector<Action>{};
        };
    }

    MigrationRequest request;
    std::function<std::vector<Action>(const Sample&)> answer;
    std::vector<Guest> planned_for;
    std::vector<Sample> asked;
    std::optional<Milliseconds> within;  ///< the next sample
    bool stays = false;                  ///< with a broken post-copy
    std::vector<Sample> asked_to_stay;
};

inline JobStats running_job(int iteration = 1) {
    JobStats stats;
    stats.type = JobStats::Type::active;
    stats.operation = JobStats::Operation::outgoing_migration;
    stats.elapsed = Milliseconds(1000 * iteration);
    stats.memory_total = mebibytes(1024);
    stats.memory_transferred = mebibytes(static_cast<std::uint64_t>(500 * iteration));
    stats.memory_remaining = mebibytes(512);
    stats.data_transferred = mebibytes(static_cast<std::uint64_t>(510 * iteration));
    stats.bandwidth = mebibytes_per_second(100);
    stats.dirty_rate = mebibytes_per_second(20);
    stats.iteration = iteration;
    return stats;
}

/// The same as the policy sees it.
inline Sample sample_of(const JobStats& stats, Phase phase = Phase::precopy) {
    Sample sample;
    sample.phase = phase;
    sample.elapsed = stats.elapsed;
    sample.iteration = stats.iteration;
    sample.total = stats.memory_total;
    sample.remaining = stats.memory_remaining;
    sample.transferred = stats.memory_transferred;
    sample.bandwidth = stats.bandwidth;
    sample.dirty_rate = stats.dirty_rate;
    sample.downtime_limit = Milliseconds(300);
    sample.throttle_percent = stats.throttle_percent;
    sample.disk_total = stats.disk_total;
    sample.disk_remaining = stats.disk_remaining;
    sample.disk_transferred = stats.disk_transferred;
    return sample;
}

inline JobStats completed_job() {
    JobStats stats = running_job(3);
    stats.type = JobStats::Type::completed;
    stats.memory_remaining = {};
    stats.downtime = 42_ms;
    stats.setup_time = 7_ms;
    return stats;
}

/// The guest's downtime limit before anybody changes it.
constexpr Milliseconds own_limit = 300_ms;

inline event::Connected connected(GuestState state = GuestState::running) {
    event::Connected event;
    event.guest = {.name = "g1", .uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8", .memory = mebibytes(1024)};
    event.state = state;
    return event;
}

inline event::Sampled sampled(const JobStats& stats = running_job(), GuestState state = GuestState::running) {
    return {.state = state, .stats = stats};
}

inline event::Inspected inspected(GuestState state, bool job_active = false) {
    return {.state = state, .job_active = job_active, .completed = std::nullopt};
}

inline NativeError native_error(int code = 38, std::string message = "it broke") {
    return {.code = code, .domain = 10, .message = std::move(message)};
}

/// A session with a clock that moves when the test says so. Keeps every order; `last` are those of the last event.
class Script {
  public:
    explicit Script(Session::Options options = {.policy_name = "played",
                                                .migration_uri = "tcp://there",
                                                .sample_interval = 1000_ms})
        : session(policy, std::move(options)) {
        keep(session.begin(now));
    }

    void tell(const Event& event) {
        keep(session.handle(event, now));
        if (!destination) return;
        for (const auto& look : only<order::InspectDestination>(last)) {
            const Orders more = session.handle(event::DestinationInspected{*destination, look.uri}, now);
            last.insert(last.end(), more.begin(), more.end());
            all.insert(all.end(), more.begin(), more.end());
        }
    }
    void pass(Milliseconds time) { now += time; }
    /// Moves the clock to the deadline and tells it.
    void tick() {
        now = std::max(now, session.deadline().value());
        tell(event::Tick{});
    }
    /// Ticks for that long, as the owner's loop would.
    void ticks_for(Milliseconds time) {
        const TimePoint end = now + time;
        while (session.deadline() && *session.deadline() <= end) tick();
        now = std::max(now, end);
    }

    /// Until it is started: a guest that is looked at closely has no devices that matter.
    void connect(const event::Connected& event = connected()) {
        tell(event);
        if (count_last<order::LookCloser>() > 0) tell(event::LookedCloser{GuestDevices{}, std::nullopt});
        if (count_last<order::Start>() > 0) prepare();
    }
    /// What happens while the daemons prepare the migration; `last` are the orders of its start all the same.
    void prepare() {
        const Orders of_the_start = last;
        tell(event::LimitRead{own_limit});
        if (count_last<order::LimitDowntime>() > 0) tell(event::LimitAnswered{});
        last = of_the_start;
    }
    /// To a running migration whose first sample was taken.
    void run() {
        connect();
        tick();
        tell(sampled());
    }
    /// The policy's actions, taken in answer to a sample.
    void act(std::vector<Action> actions) {
        policy.next(std::move(actions));
        tick();
        tell(sampled(running_job(2)));
    }
    /// The call came back with an error, and the guest is found in that state.
    void fail_with(GuestState state, NativeError error = native_error()) {
        tell(event::MigrateReturned{std::move(error)});
        tell(inspected(state));
    }
    void succeed() {
        tell(event::MigrateReturned{});
        event::Inspected found = inspected(GuestState::absent);
        found.completed = completed_job();
        tell(found);
    }

    template <typename T>
    static std::vector<T> only(const Orders& orders) {
        std::vector<T> found;
        for (const Order& order : orders)
            if (const T* o = std::get_if<T>(&order)) found.push_back(*o);
        return found;
    }
    template <typename T>
    std::size_t count_last() const {
        return only<T>(last).size();
    }
    template <typename T>
    std::size_t count_all() const {
        return only<T>(all).size();
    }
    /// Orders of the last event that are more than a note.
    std::size_t calls_last() const { return last.size() - count_last<order::Note>(); }

    bool ended() const { return session.outcome().has_value(); }
    bool succeeded() const { return ended() && !session.outcome()->error; }
    /// `none` where there is no error, and while the session goes on.
    ErrorCode code() const {
        return ended() && session.outcome()->error ? session.outcome()->error->code : ErrorCode::none;
    }
    std::string details() const {
        return ended() && session.outcome()->error ? session.outcome()->error->details : std::string();
    }
    Phase phase() const { return session.status(now).phase; }

    PlayedPolicy policy;
    /// What the destination answers at once; nothing: it does not answer.
    std::optional<GuestState> destination = GuestState::unknown;
    Session session;
    TimePoint now{std::chrono::hours(1000)};
    Orders last;
    Orders all;

  private:
    void keep(Orders orders) {
        all.insert(all.end(), orders.begin(), orders.end());
        last = std::move(orders);
    }
};

}  // namespace vmmi::engine::test
