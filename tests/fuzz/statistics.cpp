// SPDX-License-Identifier: Apache-2.0
#include <fuzzer/FuzzedDataProvider.h>
#include <libvirt/virterror.h>

#include <array>
#include <chrono>

#include "core/configuration.h"
#include "engine/session.h"
#include "hypervisor/convert.h"
#include "message/messages.h"
#include "precopy.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

constexpr std::array<const char*, 14> names{
    VIR_DOMAIN_JOB_OPERATION,
    VIR_DOMAIN_JOB_TIME_ELAPSED,
    VIR_DOMAIN_JOB_DOWNTIME,
    VIR_DOMAIN_JOB_SETUP_TIME,
    VIR_DOMAIN_JOB_MEMORY_TOTAL,
    VIR_DOMAIN_JOB_MEMORY_PROCESSED,
    VIR_DOMAIN_JOB_MEMORY_REMAINING,
    VIR_DOMAIN_JOB_DATA_PROCESSED,
    VIR_DOMAIN_JOB_MEMORY_BPS,
    VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE,
    VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE,
    VIR_DOMAIN_JOB_MEMORY_ITERATION,
    VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE,
    "unheard_of",
};

/// Whatever a daemon may answer: numbers of any size, under any name, of any type.
JobStats any_statistics(FuzzedDataProvider& input) {
    hypervisor::TypedParams params;
    for (int i = input.ConsumeIntegralInRange(0, 16); i > 0; --i) {
        const char* name = input.PickValueInArray(names);
        int capacity = *params.count();
        switch (input.ConsumeIntegralInRange(0, 4)) {
            case 0:
                virTypedParamsAddInt(params.list(), params.count(), &capacity, name, input.ConsumeIntegral<int>());
                break;
            case 1:
                virTypedParamsAddUInt(params.list(), params.count(), &capacity, name,
                                      input.ConsumeIntegral<unsigned>());
                break;
            case 2:
                virTypedParamsAddDouble(params.list(), params.count(), &capacity, name,
                                        input.ConsumeFloatingPoint<double>());
                break;
            default:
                virTypedParamsAddULLong(params.list(), params.count(), &capacity, name,
                                        input.ConsumeIntegral<std::uint64_t>());
        }
    }
    return hypervisor::job_stats(input.ConsumeIntegralInRange(-1, 6), params.view());
}

std::optional<Event> any_event(FuzzedDataProvider& input) {
    const auto state = [&] {
        return hypervisor::guest_state(input.ConsumeIntegralInRange(-1, 9), input.ConsumeIntegralInRange(-1, 20));
    };
    const auto error = [&] {
        return input.ConsumeBool() ? std::optional(NativeError{input.ConsumeIntegralInRange(0, 120), 10, "it failed"})
                                   : std::nullopt;
    };
    switch (input.ConsumeIntegralInRange(0, 15)) {
        case 0: {
            const auto kind =
                hypervisor::lifecycle_kind(input.ConsumeIntegralInRange(-1, 10), input.ConsumeIntegralInRange(-1, 12));
            if (!kind) return std::nullopt;
            return event::Lifecycle{*kind};
        }
        case 1:
            return event::JobCompleted{any_statistics(input)};
        case 2:
            return event::IterationBegan{input.ConsumeIntegral<int>()};
        case 3:
            return event::MigrateReturned{error()};
        case 4:
            return event::Tick{};
        case 5:
            return event::AbortRequested{};
        case 6:
            return event::Inspected{state(), input.ConsumeBool(), any_statistics(input)};
        case 7:
            return event::ActionAnswered{input.ConsumeIntegralInRange<std::size_t>(0, 8), error()};
        default:
            return event::Sampled{state(), any_statistics(input)};
    }
}

/// No number of a message is negative, and percentages are percentages.
void require_sound_numbers(const Object& object) {
    for (const Member& member : object.members()) {
        const std::int64_t* number = member.value.get_if<std::int64_t>();
        if (number == nullptr) continue;
        require(*number >= 0, "a number in a message is not negative");
        if (member.name.ends_with("Percent")) require(*number <= 100, "a percentage is one");
    }
}

Object body_of(const std::string& text, const char* type) {
    const Result<Object> message = message::parse_json(text);
    require(message.has_value(), "a message is JSON");
    return *message->find(type)->get_if<Object>();
}

}  // namespace

/// What a daemon says, through the engine and a policy, to the messages.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const Plugin plugin = precopy::plugin();
    static const Settings settings = make_configuration({}, plugin.keys)->settings;
    static const bool quiet = [] {
        virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
        return true;
    }();
    require(quiet, "libvirt keeps its errors to itself");

    FuzzedDataProvider input(data, size);
    const std::unique_ptr<Policy> policy = *plugin.make_policy(settings);
    engine::Session session(*policy, {.policy_name = "precopy"});
    TimePoint now{std::chrono::hours(1)};
    session.begin(now);
    event::Connected connected;
    connected.guest = {.name = "guest", .uuid = {}, .memory = {input.ConsumeIntegral<std::uint64_t>()}};
    connected.state = input.ConsumeBool() ? GuestState::running : GuestState::paused;
    if (input.ConsumeBool()) connected.job = any_statistics(input);
    session.handle(connected, now);
    std::int64_t percent = 0;
    while (input.remaining_bytes() > 0 && !session.outcome()) {
        now += Milliseconds(input.ConsumeIntegralInRange(0, 1 << 20));
        if (const std::optional<Event> event = any_event(input)) session.handle(*event, now);
        const Object status = body_of(message::status_message(session.status(now), 1), "status");
        require_sound_numbers(status);
        const std::int64_t shown = *status.find("progressPercent")->get_if<std::int64_t>();
        require(shown >= percent, "the percentage never falls");
        percent = shown;
    }
    if (const auto& outcome = session.outcome()) {
        const Object body = body_of(message::completion_message(*outcome, 1), "completion");
        for (const char* word : {"success", "error"})
            if (const Value* result = body.find(word)) require_sound_numbers(*result->get_if<Object>());
        require(outcome->error.has_value() == (percent < 100), "100 is for a success alone");
    }
    return 0;
}
