// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "scenario.h"

namespace fake {

/// Nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share.
using Time = std::int64_t;
constexpr Time milliseconds(std::int64_t count) {
    return count * 1'000'000;
}
constexpr Time never = INT64_MAX;

/// What was done to a guest; 0 is never. Lies in memory that processes share.
struct Facts {
    Time started = 0;
    Time aborted = 0;          ///< when the abort takes effect
    Time postcopy = 0;         ///< post-copy was asked for
    Time postcopy_paused = 0;  ///< its interruption was
    Time destroyed = 0;
    bool suspended = false;
    bool settled = false;  ///< limits were put back after the end
    std::uint64_t downtime_ms = 0;
    std::uint64_t downtime_ms_before = 0;
    std::uint64_t speed = 0;  ///< MiB/s
    std::uint64_t speed_before = 0;
};

enum class Phase { before, setup, pass, switchover, teardown, postcopy, postcopy_failed, failing, after };

struct Segment {
    Phase phase = Phase::before;
    int pass = 0;  ///< from 1, with Phase::pass
    Time begin = 0;
    Time end = never;

    std::string name() const;
};

struct Happening {
    enum class Kind { lifecycle, iteration, job_completed };
    Time at = 0;
    Host host = Host::source;
    Kind kind = Kind::lifecycle;
    int first = 0;  ///< event or iteration
    int second = 0;
};

struct State {
    int state = 0;  ///< 0: there is no such domain
    int reason = 0;
};

/// One migration, as a function of the clock and of what was done to it. Any process computes the same from them.
class Timeline {
  public:
    /// Endless migrations are laid out up to a while after `now`.
    Timeline(const Guest& guest, const Facts& facts, Time now);

    Segment at(Time now) const;
    /// Nothing if the phase does not come.
    std::optional<Time> time_of(const Moment& moment) const;
    State state(Host host, Time now) const;
    /// A job is in progress, or what is left of it is still shown.
    bool job_active(Time now) const { return facts_.started != 0 && now < over_; }
    Time over() const { return over_; }
    End end() const { return end_; }
    bool ended_well() const { return end_ == End::migrated; }
    const std::vector<Segment>& segments() const { return segments_; }
    const std::vector<Happening>& happenings() const { return happenings_; }
    /// When the migrate call comes back, and with what.
    Time call_returns() const { return call_returns_; }
    const std::optional<Error>& call_error() const { return call_error_; }

  private:
    Time add(Phase phase, Time begin, Time duration, int pass = 0);
    void lay_out(Time now);
    void lay_out_postcopy();
    void cut_short();
    void interrupt(Time when, End end);
    void tell(Time at, Host host, int event, int detail);
    void happen();
    bool silent(const char* word) const;
    void tell_of_interruption();
    bool reached(Phase phase) const;

    const Guest& guest_;
    const Migration& migration_;
    Facts facts_;
    std::vector<Segment> segments_;
    std::vector<Happening> happenings_;
    End end_ = End::migrated;
    Time over_ = never;
    Time call_returns_ = never;
    std::optional<Error> call_error_;
};

}  // namespace fake
