// SPDX-License-Identifier: Apache-2.0
// The part of the session that carries out what the policy wants, as far as it is safe, and aborts.
#include <fmt/format.h>

#include <algorithm>

#include "core/describe.h"
#include "core/overloaded.h"
#include "engine/session.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

constexpr Milliseconds patience_for_abort{3'000};
constexpr std::ptrdiff_t most_actions = 1000;

std::optional<std::string> because(std::string why) {
    return why;
}

}  // namespace

bool Session::started_without_postcopy() const {
    return postcopy_excluded_ || (record_ && record_->request && !record_->request->postcopy);
}

/// Why an action is not carried out, whatever the policy says. From post-copy on, the guest's memory is on both hosts:
/// all that could end one side loses the guest.
std::optional<std::string> Session::objection(const Action& action) const {
    const bool over_there = in_postcopy();
    return std::visit(Overloaded{
                          [](const Wait&) { return std::optional<std::string>(); },
                          [&](const SetBandwidth&) {
                              return postcopy_asked_ && !over_there ? because("post-copy was asked for") : std::nullopt;
                          },
                          [&](const ResumePostCopy&) {
                              if (phase_ != Phase::postcopy_failed) return because("there is no broken post-copy");
                              return recovery_ ? because("the try before this one is not answered yet") : std::nullopt;
                          },
                          [&](const StartPostCopy&) {
                              if (over_there || postcopy_asked_) return because("post-copy was asked for already");
                              return started_without_postcopy() ? because("the migration was started without post-copy")
                                                                : std::nullopt;
                          },
                          [&](const PauseGuest&) {
                              if (over_there || postcopy_asked_) return because("post-copy was asked for");
                              if (pause_ends_) return because("the guest was paused already");
                              return guest_.paused ? because("a user has paused the guest") : std::nullopt;
                          },
                          [&](const auto&) {
                              if (over_there) return because("post-copy began: there is no way back");
                              return postcopy_asked_ ? because("post-copy was asked for") : std::nullopt;
                          },
                      },
                      action.what);
}

void Session::carry_out(Action action) {
    note(Level::info, fmt::format("{}: {}", describe(action), action.reason));
    const std::size_t index = actions_.empty() ? 0 : actions_.back().number + 1;
    // A policy that acts in every pass of an endless migration: how it began and what came last says most.
    if (std::ssize(actions_) == most_actions) {
        actions_.erase(actions_.begin() + most_actions / 2);
        ++actions_omitted_;
    }
    actions_.push_back({.at = elapsed(), .action = action, .number = index});
    if (std::optional<std::string> why = objection(action)) return refuse(index, std::move(*why));
    if (std::holds_alternative<Wait>(action.what)) return;
    if (std::holds_alternative<ResumePostCopy>(action.what)) return prepare_recovery(index);
    if (std::holds_alternative<AbortMigration>(action.what))
        return request_abort(Cause::aborted_by_policy, action.reason);
    if (std::holds_alternative<SetDowntimeLimit>(action.what)) limit_touched_ = true;
    if (std::holds_alternative<StartPostCopy>(action.what)) postcopy_asked_ = true;
    if (const auto* pause = std::get_if<PauseGuest>(&action.what)) bound_pause(now_ + pause->longest);
    orders_.push_back(order::Apply{index, std::move(action), in_postcopy()});
}

void Session::refuse(std::size_t index, std::string why) {
    const auto found = std::ranges::find(actions_, index, &ActionRecord::number);
    if (found == actions_.end()) return;
    found->refused = std::move(why);
    note(Level::warning, fmt::format("refused {}: {}", describe(found->action), *found->refused));
}

void Session::on(const event::ActionAnswered& event) {
    const auto found = std::ranges::find(actions_, event.index, &ActionRecord::number);
    if (found == actions_.end()) return;
    const Action& action = found->action;
    if (event.error) {
        if (std::holds_alternative<StartPostCopy>(action.what)) {
            postcopy_asked_ = false;
            postcopy_excluded_ = postcopy_excluded_ || event.error->code == native::operation_invalid;
        }
        if (std::holds_alternative<PauseGuest>(action.what)) bound_pause(std::nullopt);
        return refuse(event.index, describe(*event.error));
    }
    if (const auto* set = std::get_if<SetDowntimeLimit>(&action.what)) downtime_limit_ = set->limit;
    const auto* cap = std::get_if<SetBandwidth>(&action.what);
    if (cap == nullptr) return;
    progress_.limit_bandwidth(cap->limit);
    // A recovery sets it anew.
    if (!in_postcopy() || !record_ || !record_->request) return;
    MigrationRecord record = *record_;
    record.request->postcopy_bandwidth = cap->limit;
    remember(std::move(record));
}

/// From here on the guest stands still for the migration. Whoever takes over keeps to the bound.
void Session::bound_pause(std::optional<TimePoint> ends) {
    pause_ends_ = ends;
    if (!record_) return;
    MigrationRecord record = *record_;
    record.pause_ends = ends;
    remember(std::move(record));
}

void Session::watch_pause() {
    if (!pause_ends_ || now_ < *pause_ends_ || evidence_.abort_requested) return;
    std::string reason = fmt::format("the time for which the guest may be paused is over, and {} MiB are still left",
                                     stats_.memory_remaining.count >> 20);
    note(Level::warning, "abort: " + reason);
    request_abort(Cause::aborted_by_policy, std::move(reason));
}

void Session::request_abort(Cause cause, std::string reason) {
    if (evidence_.abort_requested) return;
    abort_cause_ = cause;
    evidence_.abort_requested = true;
    abort_reason_ = std::move(reason);
    count_lost_work();
    if (stage_ == Stage::migrating) order_abort();
}

void Session::order_abort() {
    if (abort_pending_) return;
    abort_again_.reset();
    if (in_postcopy()) return note(Level::warning, "post-copy began: too late to abort, the migration goes on");
    abort_pending_ = true;
    orders_.push_back(order::Abort{});
}

void Session::on(const event::AbortAnswered& event) {
    abort_pending_ = false;
    // Before the job began there is nothing to abort yet, and an abort that libvirt accepted may still come too early
    // for QEMU: as long as the migrate call has not come back, it is tried again.
    abort_again_ = now_ + (event.error ? short_interval : patience_for_abort);
    deadline_ = std::min(deadline_.value_or(*abort_again_), *abort_again_);
    if (event.error)
        note(Level::debug, "libvirt refused the abort: " + describe(*event.error));
    else
        note(Level::info, "libvirt accepted the abort");
}

}  // namespace vmmi::engine
