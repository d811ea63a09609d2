// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <deque>
#include <optional>

#include "core/job.h"
#include "simulator/memory.h"
#include "simulator/throttle.h"
#include "simulator/wire.h"

namespace vmmi::simulator {

/// Where QEMU at the source stands.
enum class Stage {
    setup,
    precopy,
    switchover,  ///< the guest is paused for the last pass
    postcopy_start,
    postcopy,
    postcopy_paused,  ///< the stream broke
    completed,
    failed,
    cancelled,
};

enum class Happening { looked, paused, postcopy_began, postcopy_failed, completed, failed, cancelled };

/// The migration thread of the source's QEMU, from the migrate call on (migration_thread in migration/migration.c, and
/// migration/ram.c). Time passes in `advance` alone, and nothing is known of libvirt: no call, event or latency.
class Qemu {
  public:
    /// The scenario outlives it.
    Qemu(const Scenario& scenario, const MigrationRequest& request);

    /// Lets time pass, up to `until` or to the next thing that happens, whichever is first.
    std::optional<Happening> advance(Instant until);
    Instant now() const { return now_; }
    Stage stage() const { return stage_; }

    void set_downtime_limit(Milliseconds limit);
    void set_bandwidth(BytesPerSecond cap);
    void start_postcopy() { postcopy_wanted_ = true; }
    /// Takes a broken post-copy up again; false where the link is down.
    bool recover();
    /// The guest stands still from now on, while its memory is copied.
    void suspend();
    /// In a switchover it takes effect when the memory has been sent: QEMU answers nobody before.
    void cancel();
    void break_stream();
    /// The guest or its QEMU is gone.
    void die();

    /// As libvirt's job statistics have it; type and operation are libvirt's.
    JobStats statistics() const;
    bool guest_runs_here() const;
    Milliseconds downtime_limit() const { return limit_; }
    Milliseconds highest_downtime_limit() const { return highest_limit_; }
    int highest_throttle_percent() const { return throttle_.percent(); }  // it never falls
    WorkLost work_lost() const;

  private:
    void enter(Stage stage, std::optional<Happening> happening = std::nullopt);
    void set_up(Instant until);
    void pause();
    void send_in_precopy(Instant until);
    void fill_buffers(bool capped);
    void look_at_pending();
    void switch_over(Instant until);
    void run_postcopy(Instant until);
    void sync(bool pass_ends);
    void end_window();
    void transfer(double rate, Instant until);
    void send(double amount);
    Memory::Travel travel() const;
    double sending_rate(double bandwidth) const;
    void pass(Instant until);
    /// QEMU counts whole pages: where a fraction of one is expected, there is none.
    bool sent() const { return memory_.unsent() < page_size; }

    const Scenario& scenario_;
    Memory memory_;
    Wire wire_;
    Throttle throttle_;
    bool live_;                ///< the guest runs while its memory is copied
    bool idle_;                ///< a user paused it: nothing is lost
    double cap_ = 0;           ///< zero: none
    double postcopy_cap_ = 0;  ///< the same
    Milliseconds limit_;
    Milliseconds highest_limit_;

    Instant now_{0};
    Stage stage_ = Stage::setup;
    std::deque<Happening> happened_;
    bool postcopy_wanted_ = false;
    bool cancel_wanted_ = false;

    int syncs_ = 0;   ///< looks at the dirty log: dirty_sync_count, libvirt's iteration
    int passes_ = 0;  ///< that is fewer where it looks in the middle of one, too
    double pass_began_with_ = 0;
    double sent_before_pass_ = 0;
    Instant next_look_{0};  ///< at what is pending
    Instant window_began_{0};
    double window_sent_ = 0;  ///< on the wire before this window
    double threshold_ = 0;
    double memory_sent_ = 0;  ///< whatever it took on the wire
    double transferred_ = 0;  ///< on the wire
    double backlog_ = 0;      ///< of it, accepted by TCP and not delivered
    double bandwidth_ = 0;    ///< of the last window
    double dirty_rate_ = 0;
    double expected_downtime_ = 0;
    double left_at_sync_ = 0;
    Instant period_began_{0};
    double period_sent_ = 0;  ///< on the wire before this period
    double period_dirtied_ = 0;
    Instant next_timed_sync_ = never;
    int syncs_at_timer_ = 0;

    Instant device_state_at_ = never;  ///< when the last of the guest will be at the destination
    Instant paused_at_{0};
    Instant downtime_{0};
    double throttled_ = 0;
    double paused_ = 0;
    double stalled_ = 0;
    double requested_ = 0;  ///< bytes of pages that the guest waited for
};

}  // namespace vmmi::simulator
