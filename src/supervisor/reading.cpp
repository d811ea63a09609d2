// SPDX-License-Identifier: Apache-2.0
#include "supervisor/reading.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstring>

#include "core/describe.h"
#include "message/json.h"
#include "message/messages.h"
#include "supervisor/errors.h"
#include "supervisor/text.h"

namespace vmmi::supervisor {
namespace {

constexpr const char* afterwards =
    "whether the migration goes on, libvirt tells (virsh domjobinfo); a plugin that is started for this guest takes it "
    "over";

const Object* object_in(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    return value != nullptr ? value->get_if<Object>() : nullptr;
}

std::string_view text_in(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    const auto* text = value != nullptr ? value->get_if<std::string>() : nullptr;
    return text != nullptr ? std::string_view(*text) : std::string_view();
}

/// -1 where it is missing, null, no integer or below zero: no number of a message can be.
std::int64_t number_in(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    const auto* number = value != nullptr ? value->get_if<std::int64_t>() : nullptr;
    return number != nullptr ? std::max<std::int64_t>(*number, -1) : -1;
}

int percent_in(const Object& object, std::string_view name) {
    return static_cast<int>(std::min<std::int64_t>(number_in(object, name), 100));
}

template <typename Struct>
void put_work_lost(const Object& body, Struct& target) {
    target.work_lost_throttle_ms = target.work_lost_pause_ms = target.work_lost_postcopy_ms = -1;
    const Object* lost = object_in(body, "workLostMs");
    if (lost == nullptr) return;
    target.work_lost_throttle_ms = number_in(*lost, "throttle");
    target.work_lost_pause_ms = number_in(*lost, "pause");
    target.work_lost_postcopy_ms = number_in(*lost, "postcopy");
}

/// The message's body of that kind, or what is wrong with it.
Result<Object> open_message(std::string_view line, const char* kind) {
    const auto bad = [&](const std::string& why) {
        return refuse(VMMI_E_PROTOCOL, "not a message", fmt::format("{} message: {}", kind, why));
    };
    const Result<Object> read = message::parse_json(line);
    if (!read) return bad(read.error().details);
    const std::string_view version = text_in(*read, "vmmiVersion");
    if (version != message::interface_version)
        return bad(fmt::format("vmmiVersion is {}, expected \"{}\"", quote(version), message::interface_version));
    if (text_in(*read, "contentType") != kind)
        return bad(fmt::format("contentType is {}, expected \"{}\"", quote(text_in(*read, "contentType")), kind));
    if (number_in(*read, "timestamp") < 0) return bad("timestamp is missing, or no unsigned integer");
    const Object* body = object_in(*read, kind);
    if (body == nullptr) return bad(fmt::format("it has no object \"{}\"", kind));
    return *read;
}

/// What went into the wrong stream may be a secret, or anything: the beginning is enough.
std::string sample_of(std::string_view text) {
    return quote(text);
}

std::string describe_ending(const Ending& ending) {
    if (ending.signal != 0) {
        const char* name = ::sigabbrev_np(ending.signal);
        return fmt::format("signal {} (SIG{})", ending.signal, name != nullptr ? name : "?");
    }
    return ending.exit_status >= 0 ? fmt::format("exit status {}", ending.exit_status) : "an unknown exit status";
}

void fill(vmmi_result& result, const Object& body) {
    const Value* retry = body.find("retry");
    const bool* flag = retry != nullptr ? retry->get_if<bool>() : nullptr;
    result.retry = flag != nullptr && *flag ? 1 : 0;
    put(result.cause, text_in(body, "cause"));
    if (const Object* end = object_in(body, "endState")) {
        put(result.source_state, text_in(*end, "source"));
        put(result.destination_state, text_in(*end, "destination"));
    }
    result.total_time_ms = number_in(body, "totalTimeMs");
    result.downtime_ms = number_in(body, "downtimeMs");
    result.setup_time_ms = number_in(body, "setupTimeMs");
    put_work_lost(body, result);
    result.iterations = number_in(body, "iterations");
    result.total_bytes = number_in(body, "totalBytes");
    result.transferred_bytes = number_in(body, "transferredBytes");
}

/// The error of a completion message, nothing for a success, or what is wrong with it.
Result<std::optional<Error>> outcome_of(const Object& message, vmmi_result& result) {
    const Object& completion = *object_in(message, "completion");
    const std::string_view word = text_in(completion, "result");
    const auto bad = [](const std::string& why) {
        return refuse(VMMI_E_PROTOCOL, "not a message", "completion message: " + why);
    };
    if (word != "success" && word != "error")
        return bad(fmt::format("completion.result is {}, expected \"success\" or \"error\"", quote(word)));
    const Object* body = object_in(completion, word);
    if (body == nullptr) return bad(fmt::format("it has no object completion.{}", word));
    result.timestamp = number_in(message, "timestamp");
    fill(result, *body);
    if (word == "success") return std::optional<Error>();
    const std::int64_t code = number_in(*body, "code");
    if (code <= 0 || code > INT_MAX) return bad("completion.error.code is missing, or no error code");
    if (body->find("message") == nullptr || body->find("details") == nullptr)
        return bad("completion.error lacks message or details");
    return std::optional<Error>(Error{static_cast<ErrorCode>(code), std::string(text_in(*body, "message")),
                                      std::string(text_in(*body, "details"))});
}

}  // namespace

std::optional<vmmi_status> read_status(std::string_view line) {
    const Result<Object> message = open_message(line, "status");
    if (!message) return std::nullopt;
    const Object& body = *object_in(*message, "status");
    vmmi_status status{};
    status.size = sizeof status;
    put(status.policy, text_in(body, "policy"));
    put(status.phase, text_in(body, "phase"));
    status.progress_percent = percent_in(body, "progressPercent");
    status.throttle_percent = percent_in(body, "throttlePercent");
    status.timestamp = number_in(*message, "timestamp");
    status.elapsed_ms = number_in(body, "elapsedMs");
    status.sample_age_ms = number_in(body, "sampleAgeMs");
    status.iteration = number_in(body, "iteration");
    status.total_bytes = number_in(body, "totalBytes");
    status.remaining_bytes = number_in(body, "remainingBytes");
    status.transferred_bytes = number_in(body, "transferredBytes");
    status.disk_total_bytes = number_in(body, "diskTotalBytes");
    status.disk_remaining_bytes = number_in(body, "diskRemainingBytes");
    status.disk_transferred_bytes = number_in(body, "diskTransferredBytes");
    status.bandwidth_bytes_per_second = number_in(body, "bandwidthBytesPerSecond");
    status.dirty_rate_bytes_per_second = number_in(body, "dirtyRateBytesPerSecond");
    status.downtime_limit_ms = number_in(body, "downtimeLimitMs");
    put_work_lost(body, status);
    status.eta_ms = number_in(body, "etaMs");
    status.eta_earliest_ms = number_in(body, "etaEarliestMs");
    status.eta_latest_ms = number_in(body, "etaLatestMs");
    if (const Object* action = object_in(body, "lastAction")) {
        put(status.last_action, text_in(*action, "action"));
        put(status.last_action_reason, text_in(*action, "reason"));
    }
    return status;
}

vmmi_result empty_result() {
    vmmi_result result{};
    result.size = sizeof result;
    result.exit_status = -1;
    for (std::int64_t* number :
         {&result.timestamp, &result.total_time_ms, &result.downtime_ms, &result.setup_time_ms,
          &result.work_lost_throttle_ms, &result.work_lost_pause_ms, &result.work_lost_postcopy_ms, &result.iterations,
          &result.total_bytes, &result.transferred_bytes})
        *number = -1;
    return result;
}

Conclusion conclude(Error error, const Ending& ending) {
    Conclusion conclusion;
    conclusion.result = empty_result();
    conclusion.result.exit_status = ending.exit_status;
    conclusion.result.signal = ending.signal;
    conclusion.result.code = static_cast<int>(error.code);
    conclusion.error = std::move(error);
    return conclusion;
}

Conclusion conclude(std::string_view written, const Ending& ending, const std::string& what) {
    const auto wrong = [&](int code, const char* message, const std::string& why) {
        return conclude(Error{static_cast<ErrorCode>(code), message,
                              fmt::format("{} ended with {}: {}; {}", what, describe_ending(ending), why, afterwards)},
                        ending);
    };
    if (written.empty()) return wrong(VMMI_E_CRASHED, "the plugin crashed", "it wrote no completion message");
    if (written.size() > longest_completion) {
        return wrong(VMMI_E_FLOOD, "the plugin wrote too much",
                     fmt::format("more than {} bytes on its standard error", longest_completion));
    }
    const std::size_t end = written.find('\n');
    const bool one_line = end != std::string_view::npos && end + 1 == written.size();
    const Result<Object> message = open_message(written.substr(0, end), "completion");
    if (!message) {
        return wrong(end == std::string_view::npos && ending.signal != 0 ? VMMI_E_CRASHED : VMMI_E_PROTOCOL,
                     "no valid completion message",
                     fmt::format("{}; it wrote {}", message.error().details, sample_of(written)));
    }
    if (!one_line) {
        return wrong(VMMI_E_PROTOCOL, "not one completion message",
                     fmt::format("expected one line on its standard error, and it wrote {}", sample_of(written)));
    }
    vmmi_result result = empty_result();
    Result<std::optional<Error>> outcome = outcome_of(*message, result);
    if (!outcome) return wrong(VMMI_E_PROTOCOL, "no valid completion message", outcome.error().details);
    // Unknown where another process waited for it, or nobody of this run did.
    const int expected = *outcome ? 1 : 0;
    if (ending.signal != 0 || (ending.exit_status >= 0 && ending.exit_status != expected)) {
        Conclusion liar = wrong(VMMI_E_PROTOCOL, "the plugin contradicts itself",
                                fmt::format("its completion message says {}", *outcome ? "error" : "success"));
        liar.completion = std::string(written.substr(0, end));
        return liar;
    }
    Conclusion conclusion;
    conclusion.result = result;
    conclusion.result.exit_status = ending.exit_status;
    conclusion.result.code = *outcome ? static_cast<int>((*outcome)->code) : VMMI_OK;
    conclusion.error = std::move(*outcome);
    conclusion.completion = std::string(written.substr(0, end));
    return conclusion;
}

CheckAnswer read_check(const std::string& output, const std::string& written, const Ending& ending,
                       const std::string& what) {
    CheckAnswer answer;
    if (!written.empty()) {
        const Conclusion failed = conclude(written, ending, what);
        answer.error = failed.error.value_or(
            Error{static_cast<ErrorCode>(VMMI_E_PROTOCOL), "not a check", what + " said success in place of a check"});
    }
    if (output.empty()) {
        if (!answer.error) {
            answer.error = Error{static_cast<ErrorCode>(VMMI_E_PROTOCOL), "not a check",
                                 fmt::format("{} ended with {} and without a check message; it has no --check, maybe",
                                             what, describe_ending(ending))};
        }
        return answer;
    }
    const std::string_view line = std::string_view(output).substr(0, output.find('\n'));
    const Result<Object> message = open_message(line, "check");
    if (!message || line.size() + 1 != output.size()) {
        answer.error = Error{static_cast<ErrorCode>(VMMI_E_PROTOCOL), "not a check",
                             fmt::format("{}: {}; it wrote {}", what,
                                         message ? "more than one line" : message.error().details, sample_of(output))};
        return answer;
    }
    answer.json = std::string(line);
    const bool ready = text_in(*object_in(*message, "check"), "result") == "ready";
    if (ready == answer.error.has_value() || (ending.exit_status >= 0 && (ending.exit_status == 0) != ready)) {
        answer.error = Error{
            static_cast<ErrorCode>(VMMI_E_PROTOCOL), "the plugin contradicts itself",
            fmt::format("{} says {} and ends with {}", what, ready ? "ready" : "not ready", describe_ending(ending))};
    }
    return answer;
}

}  // namespace vmmi::supervisor
