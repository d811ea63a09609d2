// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "supervisor/reading.h"
#include "supervisor/request.h"
#include "supervisor/runs.h"
#include "system/fd.h"
#include "vmmi/libvmmi.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

struct Patience {
    Milliseconds status{5000};
    Milliseconds abort_again{10000};
    Milliseconds abort{120000};
};

/// One run of a plugin, as its supervisor sees it. Passive: whoever owns it waits for its descriptors and says when
/// something came or time has passed; it answers with what happened. Nothing in it waits for the plugin.
class Migration {
  public:
    /// Starts a plugin. Fails with VMMI_E_BUSY where one is at work on this guest.
    static Result<Migration> start(const Runs& runs, const Request& request, const Patience& patience);
    /// Takes up a run that is there: by its id, or its guest. Fails with VMMI_E_NOT_FOUND.
    static Result<Migration> attach(const Runs& runs, const std::string& which, const Patience& patience);

    const std::string& id() const { return handle_.id; }
    /// Readable when the process has ended; -1 where it cannot be seen.
    int process() const { return pidfd_.get(); }
    /// Readable when it has written to standard output.
    int output() const { return status_.get(); }
    bool has_ended() const { return conclusion_.has_value(); }
    /// Something is to be looked at more often than each second.
    bool is_awaited() const { return status_deadline_.has_value(); }

    enum class News { nothing, status, no_status, stuck, ended };
    /// To be called when `output` is readable. `quiet`: it writes too much, and is not to be listened to until `tick`.
    News read(bool& quiet);
    /// Its process has ended, where no descriptor tells that.
    bool is_gone() const;
    /// To be called when `process` is readable or `is_gone`, and when nobody waits for the descriptors any more. Where
    /// the completion message cannot be read for now, nothing happens, and `is_gone` says so again.
    News process_ended();
    /// To be called about each second, while `is_awaited` ten times as often.
    News tick(Clock::time_point now);

    Result<void> request_status();
    Result<void> abort();
    Result<void> signal(int number);
    Result<void> collect();

    const std::optional<vmmi_status>& status() const { return last_; }
    const std::string& status_json() const { return last_json_; }
    /// Why the last request for a status was not answered, or nothing.
    const std::optional<Error>& status_error() const { return status_error_; }
    const std::optional<Conclusion>& conclusion() const { return conclusion_; }

  private:
    Migration(const Runs& runs, const Patience& patience) : runs_(&runs), patience_(patience) {}

    std::string describe() const;
    News read_lines(bool& quiet);
    News take_line(std::string_view line);
    News look_at_abort(Clock::time_point now);
    void end(Conclusion conclusion);

    const Runs* runs_;
    Patience patience_;
    Handle handle_;
    system::Fd pidfd_;
    system::Fd status_;
    bool is_shared_ = false;  ///< another supervisor has, or had, it as well

    std::string line_;       ///< what came of a line that has no end yet
    bool skipping_ = false;  ///< it grew too long
    bool fresh_ = false;     ///< the last status has not been published
    std::size_t budget_ = 0;
    Clock::time_point budget_again_;
    std::optional<Clock::time_point> status_deadline_;
    std::uint64_t published_ = 0;
    std::string garbage_;  ///< the first line that was none, since it was asked
    std::optional<Error> status_error_;
    std::optional<vmmi_status> last_;
    std::string last_json_;

    std::optional<Clock::time_point> abort_began_;
    Clock::time_point abort_again_;
    bool told_stuck_ = false;
    int unread_ = 0;  ///< how often the completion message could not be read
    std::optional<Conclusion> conclusion_;
};

}  // namespace vmmi::supervisor
