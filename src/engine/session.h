// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "core/event.h"
#include "core/report.h"
#include "engine/pass_counter.h"
#include "engine/progress.h"
#include "engine/verdict.h"
#include "vmmi/budget.h"
#include "vmmi/policy.h"

namespace vmmi::engine {

using Orders = std::vector<Order>;

/// Until QEMU sends memory, and where a change is a fraction of a second away.
constexpr Milliseconds short_interval{200};
/// Where it is known when.
constexpr Milliseconds shortest_interval{50};

/// One migration, from the connection to the outcome: a passive state machine.
///
/// It is told events with the time at which they came, and answers with orders; it makes no call, reads no clock and
/// knows no thread. Its owner carries the orders out, in order, and tells it Tick when `deadline` has come. What is
/// decided here and nowhere else: which phase it is, when the policy is asked, which of its actions are safe, and what
/// ended the migration.
class Session {
  public:
    struct Options {
        std::string policy_name;
        /// As the caller gave them.
        std::string destination_uri{};
        std::string migration_uri{};
        /// Between two looks at a running migration. Iterations are announced by libvirt, so this serves budgets,
        /// status messages and takes the place of events that got lost.
        Milliseconds sample_interval{1000};
        /// A daemon that does not let in for so long counts as lost.
        Milliseconds connection_timeout{30'000};
    };

    /// The policy outlives the session.
    Session(Policy& policy, Options options)
        : policy_(policy), options_(std::move(options)), destination_uri_(options_.destination_uri) {}

    Orders begin(TimePoint now);
    Orders handle(const Event& event, TimePoint now);

    /// When to tell Tick, if nothing else happens before.
    std::optional<TimePoint> deadline() const { return deadline_; }
    Status status(TimePoint now) const;
    /// Set once, at the end; the session gives no order after it.
    const std::optional<Outcome>& outcome() const { return outcome_; }

  private:
    enum class Stage { connecting, migrating, ending, finished };

    void on(const event::Connected& event);
    void on(const event::LookedCloser& event);
    void on(const event::ConnectFailed& event);
    void on(const event::LimitRead& event);
    void on(const event::LimitAnswered& event);
    void on(const event::IterationBegan& event);
    void on(const event::Lifecycle& event);
    void on(const event::JobCompleted& event);
    void on(const event::Sampled& event);
    void on(const event::SampleFailed& event);
    void on(const event::MigrateReturned& event);
    void on(const event::ActionAnswered& event);
    void on(const event::AbortAnswered& event);
    void on(const event::RecoveryReturned& event);
    void on(const event::Inspected& event);
    void on(const event::DestinationInspected& event);
    void on(const event::ConnectionLost& event);
    void on(const event::DetachRequested& event);
    void on(const event::AbortRequested& event);
    void on(const event::Tick& event);

    void start();
    void limit_downtime();
    void take_over(const JobStats& job, GuestState state, const std::optional<MigrationRecord>& left);
    void recall(const std::optional<MigrationRecord>& left);
    void remember(MigrationRecord record);
    void follow(GuestState state, const JobStats& stats);
    void look_for_the_end();
    void look();
    void look_at_the_destination();
    void take_sample();
    Milliseconds interval() const;
    Milliseconds standing_for() const;
    Sample sample() const;
    void count_lost_work();
    WorkLost work_lost() const;
    void ask_policy();

    bool started_without_postcopy() const;
    std::optional<std::string> objection(const Action& action) const;
    void carry_out(Action action);
    void refuse(std::size_t index, std::string why);
    void bound_pause(std::optional<TimePoint> ends);
    void watch_pause();
    void request_abort(Cause cause, std::string reason);
    void order_abort();

    bool in_postcopy() const;
    void watch_the_destination();
    MigrationRequest request_of_the_migration();
    const std::string& migration_uri() const;
    void prepare_recovery(std::size_t index);
    void recover();
    void hear_from_the_destination(const event::DestinationInspected& event);
    void stay_or_let_go(const Sample& now);
    void let_go(std::string why);
    void describe_broken_postcopy();

    void conclude();
    void wait_for_a_verdict(Milliseconds waited);
    bool settled(Verdict verdict) const;
    bool definition_may_go(Verdict verdict) const;
    bool destination_known() const;
    void finish_completed();
    void finish(Cause cause, std::optional<Error> error = std::nullopt);
    bool resume_what_was_paused(Verdict verdict);
    void resume_guest();
    void finish_failed(Cause cause, ErrorCode code, std::string message, std::string details);
    std::vector<std::string> observations() const;
    std::string where_the_guest_is() const;
    std::string what_the_call_said() const;
    std::string what_is_left() const;
    const char* how_it_stopped() const;
    Cause why_it_stopped() const;
    void set_phase(Phase phase);
    void note(order::Note::Level level, std::string text);
    Milliseconds elapsed() const;

    Policy& policy_;
    Options options_;
    Orders orders_;  ///< gathered while one event is handled
    TimePoint now_;  ///< when that event came
    Stage stage_ = Stage::connecting;
    Phase phase_ = Phase::connecting;
    std::optional<TimePoint> deadline_;

    Guest guest_;
    HostFacts source_;
    MigrationRequest request_;               ///< as planned
    std::string destination_uri_;            ///< of the migration under way
    std::optional<MigrationRecord> record_;  ///< as left for others
    std::optional<TimePoint> started_;
    std::optional<Milliseconds> original_downtime_limit_;
    std::optional<Milliseconds> downtime_limit_;  ///< in force
    std::optional<TimePoint> answer_due_;         ///< the first one since the migration was taken over
    bool adopted_ = false;                        ///< by the policy
    bool prepared_ = false;                       ///< the connections that are for trouble
    bool limit_pending_ = false;                  ///< the first one; whatever a policy sets comes after it
    bool limit_again_ = false;                    ///< it has to be asked for once more
    bool limit_touched_ = false;                  ///< an order may have changed it, answered or not
    Evidence evidence_;
    std::optional<TimePoint> ended_;  ///< the migrate call

    JobStats stats_;
    PassCounter passes_;
    int looks_ = 0;                 ///< of QEMU at its dirty log
    std::optional<Bytes> dirty_{};  ///< at the last sample, where it is known
    std::optional<TimePoint> sampled_;
    bool sampling_ = false;    ///< an answer is awaited
    bool inspecting_ = false;  ///< the same, for the end
    bool look_again_ = false;  ///< it was asked for meanwhile
    int iteration_seen_ = 0;   ///< the last one that the policy was told of
    Progress progress_;
    LostWork lost_work_;
    std::optional<TimePoint> moved_;  ///< memory, when that was last seen

    /// A ResumePostCopy that was not answered yet.
    struct Recovery {
        std::size_t index = 0;
        TimePoint asked{};
        bool ordered = false;
        bool took_effect = false;
    };

    bool postcopy_asked_ = false;
    bool postcopy_excluded_ = false;  ///< says libvirt
    std::optional<Recovery> recovery_;
    std::optional<event::DestinationInspected> there_;  ///< the last answer from the destination
    std::optional<TimePoint> looked_there_;             ///< an answer is awaited
    std::optional<TimePoint> absent_since_;             ///< at the destination, of a broken post-copy
    Version destination_libvirt_;
    std::optional<TimePoint> pause_ends_;  ///< of a guest that the policy paused

    std::string abort_reason_;
    Cause abort_cause_ = Cause::aborted_by_other;
    bool resumed_ = false;                  ///< by us, once
    bool abort_pending_ = false;            ///< an answer is awaited
    std::optional<TimePoint> abort_again_;  ///< when to try once more

    std::vector<ActionRecord> actions_;
    std::size_t actions_omitted_ = 0;
    std::optional<Outcome> outcome_;
};

}  // namespace vmmi::engine
