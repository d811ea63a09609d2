// SPDX-License-Identifier: Apache-2.0
#include "message/messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "core/describe.h"
#include "core/overloaded.h"
#include "core/redact.h"
#include "message/json.h"

namespace vmmi::message {
namespace {

/// Version 0.4 changed nothing in the configuration message, so both are read alike.
constexpr std::array<std::string_view, 2> readable_versions{"0.3.0", "0.4.1"};

Error malformed(std::string details) {
    return {ErrorCode::malformed_configuration, "malformed configuration", std::move(details)};
}

std::string show(const Value* value) {
    return value == nullptr ? "nothing" : describe(*value);
}

template <typename T>
Value or_null(const std::optional<T>& value) {
    return value ? Value(static_cast<std::int64_t>(*value)) : Value();
}
template <>
Value or_null(const std::optional<Milliseconds>& value) {
    return value ? Value(std::int64_t{value->count()}) : Value();
}

Value milliseconds(Milliseconds duration) {
    return std::int64_t{duration.count()};
}

/// `details` may hold text from outside of any length: an argument, an answer of libvirt. The beginning tells what it
/// is about, the end what to do.
std::string bounded(const std::string& text) {
    constexpr std::size_t head = 3000;
    constexpr std::size_t tail = 1000;
    if (text.size() <= head + tail) return text;
    const auto continues = [&](std::size_t at) { return (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80; };
    // Between the characters of UTF-8, which have at most three bytes after their first.
    std::size_t end = head;
    for (int i = 0; i < 3 && continues(end); ++i) --end;
    std::size_t begin = text.size() - tail;
    for (int i = 0; i < 3 && continues(begin); ++i) ++begin;
    return fmt::format("{}… ({} bytes left out) …{}", text.substr(0, end), begin - end, text.substr(begin));
}

/// Whether the same call can make sense once more: to try again, or to take over what still runs.
bool worth_a_retry(Cause cause) {
    switch (cause) {
        case Cause::aborted_by_policy:
        case Cause::migration_failed:
        case Cause::postcopy_failed:
        case Cause::connection_lost:
        case Cause::detached:
            return true;
        default:
            return false;
    }
}

const char* word(GuestState state) {
    switch (state) {
        case GuestState::unknown:
            return "unknown";
        case GuestState::absent:
            return "absent";
        case GuestState::running:
            return "running";
        case GuestState::paused:
            return "paused";
        case GuestState::paused_for_migration:
            return "paused-for-migration";
        case GuestState::postcopy:
            return "postcopy";
        case GuestState::postcopy_failed:
            return "postcopy-failed";
        case GuestState::shut_off:
            return "shut-off";
        case GuestState::shut_off_migrated:
            return "shut-off-migrated";
    }
    return "unknown";
}

const char* word(CheckResult::Verdict verdict) {
    switch (verdict) {
        case CheckResult::Verdict::passed:
            return "passed";
        case CheckResult::Verdict::warning:
            return "warning";
        case CheckResult::Verdict::failed:
            return "failed";
        case CheckResult::Verdict::skipped:
            return "skipped";
    }
    return "unknown";
}

Value work_lost(const WorkLost& lost) {
    return Object{{"throttle", milliseconds(lost.throttle)},
                  {"pause", milliseconds(lost.pause)},
                  {"postcopy", milliseconds(lost.postcopy)}};
}

Value text_or_null(const std::string& text) {
    return text.empty() ? Value() : Value(text);
}

Value versions(const std::optional<HostFacts>& host) {
    if (!host) return {};
    const auto text = [](const Version& version) { return version ? Value(version_text(*version)) : Value(); };
    return Object{{"libvirt", text(host->libvirt)},
                  {"hypervisor", text_or_null(host->hypervisor)},
                  {"hypervisorVersion", text(host->hypervisor_version)}};
}

Value action_record(const ActionRecord& record) {
    Object object;
    object.set("atMs", milliseconds(record.at));
    std::visit(Overloaded{
                   [&](const SetDowntimeLimit& action) {
                       object.set("action", "setDowntime");
                       object.set("downtimeLimitMs", milliseconds(action.limit));
                   },
                   [&](const SetBandwidth& action) {
                       object.set("action", "setBandwidth");
                       object.set("bandwidthBytesPerSecond", action.limit.count);
                   },
                   [&](const StartPostCopy&) { object.set("action", "postcopy"); },
                   [&](const ResumePostCopy&) { object.set("action", "resumePostcopy"); },
                   [&](const PauseGuest& a) {
                       object.set("action", "pause");
                       object.set("longestMs", a.longest.count());
                   },
                   [&](const AbortMigration&) { object.set("action", "abort"); },
                   [&](const Wait&) { object.set("action", "wait"); },
               },
               record.action.what);
    object.set("reason", record.action.reason);
    if (record.refused) object.set("refused", bounded(*record.refused));
    return object;
}

std::string envelope(std::string type, std::uint64_t timestamp, Object body) {
    Object message;
    message.set("vmmiVersion", interface_version);
    message.set("contentType", type);
    message.set("timestamp", timestamp);
    message.set(std::move(type), std::move(body));
    return to_json(message);
}

/// No other value begins like a document, which may have passwords in it.
Value shown(const Value& value) {
    const std::string* text = value.get_if<std::string>();
    return text != nullptr && text->find_first_not_of(" \t\r\n") == text->find('<') ? Value(redact_xml(*text)) : value;
}

/// A configuration can be used again as it is: keys that are absent stay absent, in the items of lists, too.
Value without_nulls(const Value& value) {
    if (const List* items = value.get_if<List>()) {
        List kept;
        for (const Value& item : *items) kept.push_back(without_nulls(item));
        return kept;
    }
    const Object* object = value.get_if<Object>();
    if (object == nullptr) return shown(value);
    Object kept;
    for (const Member& member : object->members()) {
        if (member.value.is_null()) continue;
        Value inner = without_nulls(member.value);
        if (member.value.get_if<Object>() == nullptr || inner != Value(Object{}))
            kept.set(member.name, std::move(inner));
    }
    return kept;
}

}  // namespace

Result<Object> read_configuration(std::string_view text) {
    Result<Object> message = parse_json(text);
    if (!message) return message;

    const Value* version = message->find("vmmiVersion");
    const std::string* version_text = version == nullptr ? nullptr : version->get_if<std::string>();
    if (version_text == nullptr || std::ranges::find(readable_versions, *version_text) == readable_versions.end()) {
        return fail(malformed(
            fmt::format("vmmiVersion: expected \"{}\" (or \"0.3.0\"), got {}", interface_version, show(version))));
    }
    const Value* type = message->find("contentType");
    if (type == nullptr || *type != Value("configuration"))
        return fail(malformed(fmt::format("contentType: expected \"configuration\", got {}", show(type))));

    const Value* body = message->find("configuration");
    const Object* object = body == nullptr ? nullptr : body->get_if<Object>();
    if (object == nullptr) return fail(malformed(fmt::format("configuration: expected an object, got {}", show(body))));
    for (const Member& member : message->members()) {
        constexpr std::array<std::string_view, 4> known{"vmmiVersion", "contentType", "timestamp", "configuration"};
        if (std::ranges::find(known, member.name) == known.end())
            return fail(malformed(fmt::format("unknown key {} beside \"configuration\"; settings belong inside of it",
                                              quote(member.name))));
    }
    return *object;
}

std::string status_message(const Status& status, std::uint64_t timestamp) {
    Object body;
    body.set("policy", status.policy);
    body.set("phase", to_string(status.phase));
    body.set("elapsedMs", milliseconds(status.elapsed));
    body.set("progressPercent", status.progress_percent);
    body.set("sampleAgeMs", or_null(status.sample_age));
    body.set("iteration", status.iteration);
    body.set("totalBytes", status.total.count);
    body.set("remainingBytes", status.remaining.count);
    body.set("transferredBytes", status.transferred.count);
    body.set("diskTotalBytes", status.disk_total.count);
    body.set("diskRemainingBytes", status.disk_remaining.count);
    body.set("diskTransferredBytes", status.disk_transferred.count);
    body.set("bandwidthBytesPerSecond", status.bandwidth.count);
    body.set("dirtyRateBytesPerSecond", status.dirty_rate.count);
    body.set("downtimeLimitMs", or_null(status.downtime_limit));
    body.set("throttlePercent", or_null(status.throttle_percent));
    body.set("workLostMs", work_lost(status.work_lost));
    const Eta eta = status.eta.value_or(Eta{});
    body.set("etaMs", status.eta ? milliseconds(eta.expected) : Value());
    body.set("etaEarliestMs", status.eta ? milliseconds(eta.earliest) : Value());
    body.set("etaLatestMs", or_null(eta.latest));
    body.set("lastAction", status.last_action ? action_record(*status.last_action) : Value());
    return envelope("status", timestamp, std::move(body));
}

std::string completion_message(const Outcome& outcome, std::uint64_t timestamp) {
    Object result;
    if (outcome.error) {
        result.set("code", static_cast<int>(outcome.error->code));
        result.set("message", outcome.error->message);
        result.set("details", bounded(outcome.error->details));
    }
    result.set("policy", outcome.policy);
    result.set("cause", to_string(outcome.cause));
    result.set("retry", worth_a_retry(outcome.cause));
    result.set("endState", Object{{"source", word(outcome.source)}, {"destination", word(outcome.destination)}});
    List evidence;
    for (const std::string& observation : outcome.evidence) evidence.push_back(bounded(observation));
    result.set("evidence", std::move(evidence));
    result.set("totalTimeMs", milliseconds(outcome.total_time));
    result.set("downtimeMs", or_null(outcome.downtime));
    result.set("workLostMs", work_lost(outcome.work_lost));
    result.set("setupTimeMs", or_null(outcome.setup_time));
    result.set("iterations", outcome.iterations);
    result.set("totalBytes", outcome.total.count);
    result.set("transferredBytes", outcome.transferred.count);
    List actions;
    for (const ActionRecord& record : outcome.actions) actions.push_back(action_record(record));
    result.set("actions", std::move(actions));
    result.set("actionsOmitted", std::uint64_t{outcome.actions_omitted});

    const char* word = outcome.error ? "error" : "success";
    Object body;
    body.set("result", word);
    body.set(word, std::move(result));
    return envelope("completion", timestamp, std::move(body));
}

std::string check_message(const CheckReport& report, std::uint64_t timestamp) {
    List checks;
    for (const CheckResult& check : report.checks) {
        const bool failed = check.verdict == CheckResult::Verdict::failed;
        checks.push_back(Object{{"check", check.check},
                                {"result", word(check.verdict)},
                                {"code", failed ? Value(static_cast<int>(check.error.code)) : Value()},
                                {"details", bounded(check.error.details)}});
    }
    Object body;
    body.set("policy", report.policy);
    body.set("result", report.first_failure() == nullptr ? "ready" : "not-ready");
    body.set("checks", std::move(checks));
    body.set("versions", Object{{"plugin", report.plugin_version},
                                {"libvirtClient", text_or_null(report.client_version)},
                                {"source", versions(report.source)},
                                {"destination", versions(report.destination)}});
    return envelope("check", timestamp, std::move(body));
}

std::string configuration_message(const Configuration& configuration) {
    Object body = configuration.settings.values();
    body.set("connection", redact_uri(configuration.connection));
    Object message;
    message.set("vmmiVersion", interface_version);
    message.set("contentType", "configuration");
    message.set("configuration", without_nulls(body));
    return to_pretty_json(message);
}

}  // namespace vmmi::message
