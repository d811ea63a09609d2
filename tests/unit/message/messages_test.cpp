// SPDX-License-Identifier: Apache-2.0
#include "message/messages.h"

#include <gtest/gtest.h>

#include "message/json.h"

namespace vmmi::message {
namespace {

constexpr std::uint64_t noon = 1'700'000'000;

/// Compares documents, not their text.
void expect_message(const std::string& message, std::string_view golden) {
    EXPECT_EQ(message.find('\n'), std::string::npos);
    const Result<Object> got = parse_json(message);
    const Result<Object> expected = parse_json(golden);
    ASSERT_TRUE(got) << message;
    ASSERT_TRUE(expected) << expected.error().details;
    EXPECT_EQ(*got, *expected) << message;
}

std::string problem(std::string_view text) {
    const Result<Object> body = read_configuration(text);
    if (body) return "accepted";
    EXPECT_EQ(body.error().code, ErrorCode::malformed_configuration);
    return body.error().details;
}

TEST(StatusMessage, CarriesWhatIsKnown) {  // MSG-2 VER-2
    Status status;
    status.policy = "precopy";
    status.phase = Phase::precopy;
    status.elapsed = Milliseconds(12'000);
    status.progress_percent = 42;
    status.sample_age = Milliseconds(200);
    status.iteration = 3;
    status.total = mebibytes(1024);
    status.remaining = mebibytes(100);
    status.transferred = mebibytes(1500);
    status.disk_total = {3000};
    status.disk_remaining = {2000};
    status.disk_transferred = {1000};
    status.bandwidth = mebibytes_per_second(110);
    status.dirty_rate = mebibytes_per_second(90);
    status.downtime_limit = Milliseconds(150);
    status.throttle_percent = 20;
    status.work_lost = {Milliseconds(900), Milliseconds(80), Milliseconds(7)};
    status.eta = Eta{Milliseconds(8000), Milliseconds(7000), Milliseconds(12'000)};
    status.last_action = ActionRecord{Milliseconds(9000), {SetDowntimeLimit{Milliseconds(150)}, "because"}, {}};
    expect_message(status_message(status, noon), R"({
        "vmmiVersion": "0.4.1", "contentType": "status", "timestamp": 1700000000,
        "status": {
            "policy": "precopy", "phase": "precopy", "elapsedMs": 12000, "progressPercent": 42, "sampleAgeMs": 200,
            "iteration": 3, "totalBytes": 1073741824, "remainingBytes": 104857600, "transferredBytes": 1572864000,
            "diskTotalBytes": 3000, "diskRemainingBytes": 2000, "diskTransferredBytes": 1000,
            "bandwidthBytesPerSecond": 115343360, "dirtyRateBytesPerSecond": 94371840, "downtimeLimitMs": 150,
            "throttlePercent": 20, "workLostMs": {"throttle": 900, "pause": 80, "postcopy": 7}, "etaMs": 8000,
            "etaEarliestMs": 7000, "etaLatestMs": 12000,
            "lastAction": {"atMs": 9000, "action": "setDowntime", "downtimeLimitMs": 150, "reason": "because"}
        }})");
}

TEST(StatusMessage, SaysNullForWhatIsNotKnown) {  // MSG-7
    Status status;
    status.policy = "precopy";
    expect_message(status_message(status, noon), R"({
        "vmmiVersion": "0.4.1", "contentType": "status", "timestamp": 1700000000,
        "status": {
            "policy": "precopy", "phase": "connecting", "elapsedMs": 0, "progressPercent": 0, "sampleAgeMs": null,
            "iteration": 0, "totalBytes": 0, "remainingBytes": 0, "transferredBytes": 0,
            "diskTotalBytes": 0, "diskRemainingBytes": 0, "diskTransferredBytes": 0,
            "bandwidthBytesPerSecond": 0, "dirtyRateBytesPerSecond": 0, "downtimeLimitMs": null,
            "throttlePercent": null, "workLostMs": {"throttle": 0, "pause": 0, "postcopy": 0},
            "etaMs": null, "etaEarliestMs": null, "etaLatestMs": null, "lastAction": null
        }})");
}

Outcome outcome() {
    Outcome outcome;
    outcome.policy = "precopy";
    outcome.cause = Cause::aborted_by_policy;
    outcome.source = GuestState::running;
    outcome.destination = GuestState::absent;
    outcome.evidence = {"source: running", "destination: absent"};
    outcome.total_time = Milliseconds(30'000);
    outcome.downtime = Milliseconds(120);
    outcome.work_lost = {Milliseconds(900), Milliseconds(120), Milliseconds(0)};
    outcome.setup_time = Milliseconds(5);
    outcome.iterations = 4;
    outcome.total = mebibytes(1024);
    outcome.transferred = mebibytes(2048);
    outcome.actions = {
        {Milliseconds(1), {SetBandwidth{mebibytes_per_second(1)}, "a"}, {}},
        {Milliseconds(2), {StartPostCopy{}, "b"}, "not enabled"},
        {Milliseconds(3), {Wait{}, "c"}, {}},
        {Milliseconds(4), {AbortMigration{}, "d"}, {}},
    };
    outcome.actions_omitted = 5;
    return outcome;
}

constexpr std::string_view numbers = R"(
    "policy": "precopy", "cause": "aborted-by-policy", "retry": true,
    "endState": {"source": "running", "destination": "absent"},
    "evidence": ["source: running", "destination: absent"], "totalTimeMs": 30000, "downtimeMs": 120,
    "workLostMs": {"throttle": 900, "pause": 120, "postcopy": 0}, "setupTimeMs": 5, "iterations": 4,
    "totalBytes": 1073741824, "transferredBytes": 2147483648,
    "actions": [
        {"atMs": 1, "action": "setBandwidth", "bandwidthBytesPerSecond": 1048576, "reason": "a"},
        {"atMs": 2, "action": "postcopy", "reason": "b", "refused": "not enabled"},
        {"atMs": 3, "action": "wait", "reason": "c"},
        {"atMs": 4, "action": "abort", "reason": "d"}
    ], "actionsOmitted": 5)";

TEST(CompletionMessage, ReportsASuccess) {  // COMP-2 MSG-2
    expect_message(completion_message(outcome(), noon),
                   R"({"vmmiVersion": "0.4.1", "contentType": "completion", "timestamp": 1700000000,
                       "completion": {"result": "success", "success": {)" +
                       std::string(numbers) + "}}}");
}

TEST(CompletionMessage, ReportsAnErrorWithTheSameNumbers) {  // COMP-2 COMP-4
    Outcome failed = outcome();
    failed.error = Error{ErrorCode::migration_failed, "migration failed", "details \x1b \xff"};
    expect_message(completion_message(failed, noon),
                   R"({"vmmiVersion": "0.4.1", "contentType": "completion", "timestamp": 1700000000,
                       "completion": {"result": "error", "error": {
                           "code": 8, "message": "migration failed", "details": "details \u001b \ufffd",)" +
                       std::string(numbers) + "}}}");
}

TEST(CompletionMessage, BoundsTheDetails) {
    Outcome failed = outcome();
    std::string details = "no guest ";
    for (int i = 0; i < 100'000; ++i) details += "€";
    failed.error = Error{ErrorCode::vm_unknown, "vm unknown", details + "; check the name"};
    const Result<Object> message = parse_json(completion_message(failed, noon));
    ASSERT_TRUE(message);
    const Object& error = *message->find("completion")->get_if<Object>()->find("error")->get_if<Object>();
    const std::string& shown = *error.find("details")->get_if<std::string>();
    EXPECT_LT(shown.size(), 4100U);
    EXPECT_TRUE(shown.starts_with("no guest €"));
    EXPECT_TRUE(shown.ends_with("€; check the name"));
    EXPECT_NE(shown.find("bytes left out"), std::string::npos);
    EXPECT_EQ(shown.find("\ufffd"), std::string::npos) << "cut between characters";
}

TEST(CompletionMessage, KeepsTheNumbersOfTheInterface) {  // ERR-1
    const std::vector<std::pair<ErrorCode, int>> codes{
        {ErrorCode::none, 0},
        {ErrorCode::unknown, 1},
        {ErrorCode::operation_failed, 2},
        {ErrorCode::bad_file_path, 3},
        {ErrorCode::configuration_failed, 4},
        {ErrorCode::malformed_parameters, 5},
        {ErrorCode::malformed_configuration, 6},
        {ErrorCode::missing_parameters, 7},
        {ErrorCode::migration_failed, 8},
        {ErrorCode::migration_aborted, 9},
        {ErrorCode::vm_unknown, 10},
        {ErrorCode::vm_disappeared, 11},
        {ErrorCode::libvirt_disconnected, 12},
        {ErrorCode::detached, 13},
    };
    for (const auto& [code, number] : codes) EXPECT_EQ(static_cast<int>(code), number);
}

CheckReport report() {
    CheckReport report;
    report.policy = "precopy";
    report.plugin_version = "1.2.3";
    report.checks = {
        {"guest", CheckResult::Verdict::failed, {ErrorCode::vm_unknown, "vm unknown", "no guest \x1b"}},
        {"options", CheckResult::Verdict::skipped, {ErrorCode::none, "", "no guest"}},
        {"destination", CheckResult::Verdict::warning, {ErrorCode::none, "", "old"}},
        {"migrationUri", CheckResult::Verdict::passed, {ErrorCode::none, "", "fine"}},
    };
    report.destination = HostFacts{"b", "2", "QEMU", version(7, 2, 1), std::nullopt, HostFacts::Migration::live};
    return report;
}

TEST(CheckMessage, CarriesEveryCheck) {  // CHECK-2 MSG-2 MSG-7
    expect_message(check_message(report(), noon), R"({
        "vmmiVersion": "0.4.1", "contentType": "check", "timestamp": 1700000000,
        "check": {
            "policy": "precopy", "result": "not-ready",
            "checks": [
                {"check": "guest", "result": "failed", "code": 10, "details": "no guest \u001b"},
                {"check": "options", "result": "skipped", "code": null, "details": "no guest"},
                {"check": "destination", "result": "warning", "code": null, "details": "old"},
                {"check": "migrationUri", "result": "passed", "code": null, "details": "fine"}
            ],
            "versions": {
                "plugin": "1.2.3", "libvirtClient": null, "source": null,
                "destination": {"libvirt": null, "hypervisor": "QEMU", "hypervisorVersion": "7.2.1"}
            }
        }})");
}

TEST(CheckMessage, IsReadyWithoutAFailure) {  // CHECK-3
    CheckReport ready = report();
    ready.checks.erase(ready.checks.begin());
    EXPECT_NE(check_message(ready, noon).find(R"("result":"ready")"), std::string::npos);
}

TEST(ConfigurationMessage, IsReadInBothVersions) {  // VER-1
    for (const char* version : {"0.3.0", "0.4.1"}) {
        const Result<Object> body = read_configuration(std::string(R"({"vmmiVersion": ")") + version +
                                                       R"(", "contentType": "configuration", "timestamp": 3,
                                                           "configuration": {"verbose": 2}})");
        ASSERT_TRUE(body) << body.error().details;
        EXPECT_EQ(*body, (Object{{"verbose", 2}}));
    }
}

TEST(ConfigurationMessage, SaysWhatIsWrongWithIt) {  // CFG-9 CFG-16
    const std::vector<std::pair<const char*, const char*>> cases{
        {R"({"contentType": "configuration", "configuration": {}})",
         R"(vmmiVersion: expected "0.4.1" (or "0.3.0"), got nothing)"},
        {R"({"vmmiVersion": "1.0", "contentType": "configuration", "configuration": {}})",
         R"(vmmiVersion: expected "0.4.1" (or "0.3.0"), got "1.0")"},
        {R"({"vmmiVersion": 0.4, "contentType": "configuration", "configuration": {}})",
         R"(vmmiVersion: expected "0.4.1" (or "0.3.0"), got 0.4)"},
        {R"({"vmmiVersion": "0.4.1", "configuration": {}})", R"(contentType: expected "configuration", got nothing)"},
        {R"({"vmmiVersion": "0.4.1", "contentType": "status", "configuration": {}})",
         R"(contentType: expected "configuration", got "status")"},
        {R"({"vmmiVersion": "0.4.1", "contentType": "configuration"})",
         "configuration: expected an object, got nothing"},
        {R"({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": []})",
         "configuration: expected an object, got a list"},
        {R"({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {}, "verbose": 1})",
         R"(unknown key "verbose" beside "configuration"; settings belong inside of it)"},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(problem(text), expected);
}

TEST(ConfigurationMessage, IsReadAsItWasPrinted) {
    const Object given{{"logFilePath", "/var/log/x"}, {"connectionCredentials", Object{{"username", "u"}}}};
    const Result<Configuration> configuration = make_configuration(given, {});
    ASSERT_TRUE(configuration);
    const Result<Object> body = read_configuration(configuration_message(*configuration));
    ASSERT_TRUE(body) << body.error().details;
    const Result<Configuration> again = make_configuration(*body, {});
    ASSERT_TRUE(again) << again.error().details;
    EXPECT_EQ(again->settings.values(), configuration->settings.values());
}

TEST(ConfigurationMessage, IsReadAsItWasPrintedWithListsOfObjects) {
    const std::vector<Key> keys{list_key(
        "rules",
        object_key("rule", {integer_key("a", nullptr, {0, 9}, "a"), integer_key("b", nullptr, {0, 9}, "b")}, "rule"),
        "rules")};
    const Object given{{"rules", List{Object{{"a", 1}}, Object{{"b", 2}}}}};
    const Configuration configuration = make_configuration(given, keys).value();
    const Result<Object> body = read_configuration(configuration_message(configuration));
    ASSERT_TRUE(body) << body.error().details;
    EXPECT_EQ(make_configuration(*body, keys)->settings.values(), configuration.settings.values());
}

TEST(ConfigurationMessage, MasksThePasswordInADocument) {  // CFG-17
    const Object given{{"outer", Object{{"xml", "\n<domain><graphics passwd='hunter2'/></domain>"}}}};
    const std::vector<Key> keys{object_key("outer", {domain_xml_key("xml", "a document")}, "outer")};
    const std::string text = configuration_message(make_configuration(given, keys).value());
    EXPECT_NE(text.find("passwd='***'"), std::string::npos) << text;
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
}

TEST(ConfigurationMessage, MasksThePasswordInAUri) {  // CFG-17
    const Result<Configuration> configuration =
        make_configuration({{"connection", "qemu+tcp://u:hunter2@h/system"}}, {});
    ASSERT_TRUE(configuration);
    const std::string text = configuration_message(*configuration);
    EXPECT_EQ(text.find("hunter2"), std::string::npos);
    EXPECT_NE(text.find("qemu+tcp://u:***@h/system"), std::string::npos) << text;
}

}  // namespace
}  // namespace vmmi::message
