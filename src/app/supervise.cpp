// SPDX-License-Identifier: Apache-2.0
#include "app/supervise.h"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <map>
#include <new>

#include "app/progress_bar.h"
#include "core/redact.h"
#include "engine/session.h"
#include "hypervisor/destination_host.h"
#include "hypervisor/source_host.h"
#include "message/messages.h"
#include "message/record.h"
#include "system/inbox.h"
#include "system/limits.h"

namespace vmmi::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr Milliseconds redraw_interval{500};
constexpr Milliseconds patience_at_the_end{500};
/// Nobody waits for a call's answer, but that it is made takes a moment.
constexpr Milliseconds patience_when_told_to_leave{15};

/// For the plugin's own look at the destination, which nobody waits for: an ssh that asks for a password would do so on
/// the terminal.
std::string without_questions(const std::string& uri) {
    const std::string_view scheme = std::string_view(uri).substr(0, uri.find(':'));
    if (!scheme.ends_with("+ssh") || uri.find("no_tty=") != std::string::npos) return uri;
    return uri + (uri.find('?') == std::string::npos ? "?" : "&") + "no_tty=1";
}

class Loop {
  public:
    explicit Loop(Supervision& with)
        : with_(with),
          session_(with.policy, {.policy_name = with.policy_name,
                                 .destination_uri = with.line.destination_uri,
                                 .migration_uri = with.line.migration_uri,
                                 .sample_interval = with.configuration.monitor_interval,
                                 .connection_timeout = with.configuration.connection_timeout}),
          source_({{with.configuration.connection, with.configuration.credentials,
                    with.configuration.connection_timeout, system::no_room_for_a_connection},
                   with.line.vm,
                   with.line.destination_uri,
                   with.line.migration_uri},
                  post(), with.events) {
        // Its thread is there before anything is started: later there may be none to have.
        destination(with.line.destination_uri);
        if (with.line.progress) bar_.emplace();
    }

    Outcome run();
    /// The outcome where this process cannot go on: an exception again, if nothing was started yet.
    Outcome left_behind(const char* why);

  private:
    std::function<void(Event)> post() {
        return [this](Event event) { inbox_.post(std::move(event)); };
    }
    hypervisor::DestinationHost& destination(const std::string& uri);
    void wait();
    void serve_signals();
    void tell(const Event& event) { carry_out(session_.handle(event, Clock::now())); }
    /// Where a migration is found that somebody else may have left, with what they left about it.
    void recall(Event& event) const;
    void carry_out(const engine::Orders& orders);
    void draw();
    void leave();

    Supervision& with_;
    engine::Session session_;
    system::Inbox inbox_;
    hypervisor::SourceHost source_;
    /// By URI. Asked only where the source's word is not enough; there are two where a migration that was taken over
    /// goes elsewhere than the command line says.
    std::map<std::string, hypervisor::DestinationHost> destinations_;
    std::optional<ProgressBar> bar_;
};

Outcome Loop::run() {
    with_.log.write(
        system::Log::Level::info,
        fmt::format("migrate {} from {} to {} over {}", with_.line.vm, redact_uri(with_.configuration.connection),
                    redact_uri(with_.line.destination_uri), redact_uri(with_.line.migration_uri)));
    if (bar_ && !bar_->has_terminal())
        with_.log.write(system::Log::Level::warning, "--progress: there is no controlling terminal to draw on");
    carry_out(session_.begin(Clock::now()));
    serve_signals();
    while (!session_.outcome()) {
        wait();
        serve_signals();
        for (Event& event : inbox_.take()) {
            recall(event);
            tell(event);
            // While the daemons prepare: nobody waits for it.
            if (std::holds_alternative<event::LimitRead>(event)) with_.runtime_data.sweep();
        }
        if (const auto deadline = session_.deadline(); deadline && Clock::now() >= *deadline) tell(event::Tick{});
        draw();
    }
    leave();
    return *session_.outcome();
}

Outcome Loop::left_behind(const char* why) {
    if (session_.status(Clock::now()).phase == Phase::connecting) throw;
    Outcome outcome;
    outcome.policy = with_.policy_name;
    outcome.cause = Cause::detached;
    outcome.error =
        Error{ErrorCode::detached, "detached",
              fmt::format("{}; the migration of {} goes on in libvirt, without supervision", why, with_.line.vm)};
    return outcome;
}

hypervisor::DestinationHost& Loop::destination(const std::string& uri) {
    const hypervisor::Endpoint endpoint{
        without_questions(uri), {}, with_.configuration.connection_timeout, system::no_room_for_a_connection};
    return destinations_.try_emplace(uri, endpoint, post()).first->second;
}

void Loop::wait() {
    std::array<pollfd, 2> ready{{{with_.signals.fd(), POLLIN, 0}, {inbox_.fd(), POLLIN, 0}}};
    Milliseconds timeout{-1};
    if (const auto deadline = session_.deadline())
        timeout = std::max(Milliseconds(0), std::chrono::ceil<Milliseconds>(*deadline - Clock::now()));
    if (bar_ && (timeout.count() < 0 || timeout > redraw_interval)) timeout = redraw_interval;
    ::poll(ready.data(), ready.size(), static_cast<int>(timeout.count()));
}

void Loop::serve_signals() {
    using system::Request;
    while (const std::optional<Request> request = with_.signals.next()) {
        switch (*request) {
            case Request::status: {
                const Status status = session_.status(Clock::now());
                with_.channels.offer_output(message::status_message(status, with_.timestamps.next()) + "\n");
                break;
            }
            case Request::detach:
                tell(event::DetachRequested{});
                break;
            case Request::abort:
                tell(event::AbortRequested{"SIGINT"});
                break;
            case Request::abort_by_stop:
                tell(event::AbortRequested{"SIGSTOP"});
                break;
        }
    }
}

void Loop::carry_out(const engine::Orders& orders) {
    for (const Order& order : orders) {
        if (const auto* note = std::get_if<order::Note>(&order)) {
            with_.log.write(note->level, note->text);
        } else if (const auto* look = std::get_if<order::InspectDestination>(&order)) {
            destination(look->uri).execute(*look);
        } else if (const auto* remember = std::get_if<order::Remember>(&order)) {
            if (!with_.runtime_data.write(remember->record.uuid, message::write_record(remember->record)))
                with_.log.write(system::Log::Level::debug, "nothing is left for a plugin that takes over");
        } else if (std::holds_alternative<order::Forget>(order)) {
            with_.runtime_data.remove();
        } else {
            source_.execute(order);
        }
    }
}

void Loop::recall(Event& event) const {
    const auto left = [&](const std::string& uuid) -> std::optional<MigrationRecord> {
        const std::optional<std::string> text = with_.runtime_data.read(uuid);
        return text ? message::read_record(*text) : std::nullopt;
    };
    if (auto* connected = std::get_if<event::Connected>(&event); connected != nullptr && connected->job.migrating())
        connected->record = left(connected->guest.uuid);
    if (auto* inspected = std::get_if<event::Inspected>(&event); inspected != nullptr && inspected->job.migrating())
        inspected->record = left(inspected->uuid);
}

void Loop::draw() {
    if (bar_) bar_->draw(session_.status(Clock::now()));
}

void Loop::leave() {
    if (bar_) bar_->finish();
    const Outcome& outcome = *session_.outcome();
    with_.log.write(outcome.error ? system::Log::Level::error : system::Log::Level::info,
                    outcome.error ? fmt::format("{}: {}", outcome.error->message, outcome.error->details)
                                  : fmt::format("migrated in {} ms", outcome.total_time.count()));
    // While the migration goes on without the plugin, its call never comes back: the process ends around it.
    const bool detached = outcome.error && outcome.error->code == ErrorCode::detached;
    if (detached) return source_.let_orders_out(patience_when_told_to_leave);
    if (!source_.close(patience_at_the_end))
        with_.log.write(system::Log::Level::debug, "a call to the source's daemon is still under way");
    for (auto& [uri, destination] : destinations_) {
        if (!destination.close(patience_at_the_end))
            with_.log.write(system::Log::Level::debug, "a call to the destination's daemon is still under way");
    }
}

}  // namespace

Outcome supervise(Supervision& with) {
    // Never destroyed: a thread that is left in a libvirt call may still post to it.
    auto* loop = new Loop(with);
    try {
        return loop->run();
    } catch (const std::bad_alloc&) {
        return loop->left_behind("out of memory");
    }
}

}  // namespace vmmi::app
