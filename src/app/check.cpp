// SPDX-License-Identifier: Apache-2.0
#include "app/check.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>

#include "app/told_to_leave.h"
#include "core/conflicts.h"
#include "core/uri.h"
#include "hypervisor/event_thread.h"
#include "hypervisor/lane.h"
#include "hypervisor/survey.h"
#include "system/inbox.h"
#include "system/resolve.h"

namespace vmmi::app {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

/// Asks both hosts and the name server at the same time, and gathers the answers.
class Examination {
  public:
    explicit Examination(Inquiry inquiry)
        : inquiry_(std::move(inquiry)),
          findings_(inquiry_.known),
          deadline_(Clock::now() + findings_.patience),
          destination_({findings_.destination_uri, {}, findings_.patience}) {
        events_.wait_until_ready();
        if (const Configuration* configuration = inquiry_.configuration)
            source_.emplace(hypervisor::Endpoint{configuration->connection, configuration->credentials,
                                                 configuration->connection_timeout});
    }

    Result<CheckReport> run();

  private:
    /// What to note of an answer, on the main thread.
    using Note = std::function<void()>;

    /// Makes what a survey calls with its answer: it has the main thread call `take` with it.
    template <typename Answer>
    std::function<void(Answer)> then(std::function<void(Answer)> take) {
        ++awaited_;
        return [this, take = std::move(take)](Answer answer) {
            inbox_.post([this, take, answer = std::move(answer)] {
                --awaited_;
                take(answer);
            });
        };
    }
    using HostAnswer = tl::expected<HostFacts, Unreachable>;

    void ask();
    void take_source(const HostAnswer& answer);
    void take_guest(const Result<GuestFacts>& answer);
    void ask_for_namesakes();
    void wait();
    void leave();

    Inquiry inquiry_;
    Findings findings_;
    Clock::time_point deadline_;
    int awaited_ = 0;
    bool asked_for_namesakes_ = false;
    system::InboxOf<Note> inbox_;
    hypervisor::EventThread events_;
    std::optional<hypervisor::Survey> source_;
    hypervisor::Survey destination_;
    hypervisor::Lane resolver_;
};

Result<CheckReport> Examination::run() {
    ask();
    while (awaited_ > 0 && Clock::now() < deadline_) {
        wait();
        // There is no migration whose status could be told.
        bool ignored = false;
        const char* what_was_done = "told to leave while checking; nothing was started or changed";
        if (std::optional<Error> error = told_to_leave(inquiry_.signals, ignored, what_was_done))
            return fail(std::move(*error));
        for (const Note& note : inbox_.take()) note();
    }
    leave();
    return judge(findings_);
}

void Examination::ask() {
    if (source_) {
        source_->ask_host(then<HostAnswer>([this](const HostAnswer& answer) { take_source(answer); }));
    }
    destination_.ask_host(then<HostAnswer>([this](const HostAnswer& answer) {
        findings_.destination = answer;
        ask_for_namesakes();
    }));
    const std::string host = host_to_look_up(findings_.migration_uri);
    if (host.empty() || !findings_.connection || !is_local(*findings_.connection)) return;
    resolver_.submit([host, answer = then<Resolution>([this](const Resolution& found) {
                                findings_.migration_host = found;
                            })] { answer(system::resolve(host)); });
}

void Examination::take_source(const HostAnswer& answer) {
    findings_.source = answer;
    if (!answer) return;
    source_->ask_guest(findings_.vm,
                       then<Result<GuestFacts>>([this](const Result<GuestFacts>& guest) { take_guest(guest); }));
}

void Examination::take_guest(const Result<GuestFacts>& answer) {
    findings_.guest = answer;
    if (!answer) return;
    if (inquiry_.policy != nullptr)
        findings_.request = suited_to(inquiry_.policy->plan(answer->guest), parse_uri(findings_.migration_uri).scheme);
    if (findings_.request && subjects(*findings_.request).devices) {
        source_->ask_devices(answer->guest.uuid,
                             then<std::optional<GuestDevices>>([this](const std::optional<GuestDevices>& devices) {
                                 (*findings_.guest)->guest.devices = devices;
                             }));
    }
    ask_for_namesakes();
}

/// Once both hosts have told what this needs.
void Examination::ask_for_namesakes() {
    const bool reached = findings_.destination && *findings_.destination;
    if (asked_for_namesakes_ || !reached || !findings_.guest || !*findings_.guest) return;
    asked_for_namesakes_ = true;
    destination_.ask_namesakes(arriving_guest(findings_),
                               then<Namesakes>([this](const Namesakes& found) { findings_.namesakes = found; }));
}

void Examination::wait() {
    std::array<pollfd, 2> ready{{{inquiry_.signals.fd(), POLLIN, 0}, {inbox_.fd(), POLLIN, 0}}};
    const auto left = std::chrono::ceil<milliseconds>(deadline_ - Clock::now());
    ::poll(ready.data(), ready.size(), static_cast<int>(std::max(milliseconds(0), left).count()));
}

void Examination::leave() {
    constexpr milliseconds patience{500};
    if (source_) source_->close(patience);
    destination_.close(patience);
}

}  // namespace

Result<CheckReport> check(Inquiry inquiry) {
    // Never destroyed: a thread that is left in a call may still post to it.
    auto* examination = new Examination(std::move(inquiry));
    return examination->run();
}

}  // namespace vmmi::app
