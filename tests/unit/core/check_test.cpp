// SPDX-License-Identifier: Apache-2.0
#include "core/check.h"

#include <gtest/gtest.h>

#include <functional>

namespace vmmi {
namespace {

using Migration = HostFacts::Migration;
using Verdict = CheckResult::Verdict;

constexpr const char* uuid = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e01";
constexpr const char* other_uuid = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e02";

HostFacts host(const char* name, const char* its_uuid) {
    return {name, its_uuid, "QEMU", version(7, 2), version(9, 0), Migration::live};
}

/// All is well, for a case to change.
Findings good() {
    Findings findings;
    findings.policy = "precopy";
    findings.vm = "web";
    findings.connection = "qemu:///system";
    findings.destination_uri = "qemu+tcp://b/system";
    findings.migration_uri = "tcp://b";
    findings.configuration_name = "the defaults";
    findings.source = host("a", "1");
    findings.guest = GuestFacts{Guest{"web", uuid, mebibytes(100), false, false}, GuestState::running, {}};
    findings.request = MigrationRequest{};
    findings.destination = host("b", "2");
    findings.namesakes = Namesakes{.state = GuestState::absent, .name = {}, .uuid = {}, .error = {}};
    findings.migration_host = Resolution{};
    return findings;
}

CheckResult of(const CheckReport& report, std::string_view name) {
    for (const CheckResult& check : report.checks)
        if (check.check == name) return check;
    return {};
}

Unreachable refused() {
    return {{ErrorCode::libvirt_disconnected, "cannot connect to libvirt", "b: refused"},
            NativeError{38, 7, "Connection refused"},
            false};
}

void migrating(Findings& findings) {
    JobStats& job = (*findings.guest)->job;
    job.type = JobStats::Type::active;
    job.operation = JobStats::Operation::outgoing_migration;
}

struct Case {
    std::function<void(Findings&)> change;
    const char* check;
    Verdict verdict;
    const char* words;  ///< in its details
    ErrorCode code = ErrorCode::operation_failed;
};

/// Each changes one check alone, and those that depend on it.
const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {[](Findings& f) {
             f.problems = {{ErrorCode::bad_file_path, "a", "first"}, {ErrorCode::unknown, "b", "second"}};
         },
         "configuration", Verdict::failed, "first; second", ErrorCode::bad_file_path},
        {[](Findings& f) { f.source.reset(); }, "connection", Verdict::failed, "within 30 s",
         ErrorCode::libvirt_disconnected},
        {[](Findings& f) { f.source = tl::unexpected(refused()); }, "connection", Verdict::failed, "b: refused",
         ErrorCode::libvirt_disconnected},
        {[](Findings& f) {
             f.connection.reset();
             f.source.reset();
         },
         "connection", Verdict::skipped, "configuration"},
        {[](Findings& f) { f.source.reset(); }, "guest", Verdict::skipped, "no connection"},
        {[](Findings& f) { f.guest.reset(); }, "guest", Verdict::failed, "within 30 s",
         ErrorCode::libvirt_disconnected},
        {[](Findings& f) { f.guest = fail(ErrorCode::vm_unknown, "vm unknown", "nobody"); }, "guest", Verdict::failed,
         "nobody", ErrorCode::vm_unknown},
        {[](Findings& f) { (*f.guest)->state = GuestState::shut_off; }, "guest", Verdict::failed, "web is shut off"},
        {[](Findings& f) { (*f.guest)->state = GuestState::paused; }, "guest", Verdict::passed, "is paused"},
        {migrating, "guest", Verdict::warning, "taken over"},
        {migrating, "options", Verdict::skipped, "has options already"},
        {[](Findings& f) { f.guest.reset(); }, "options", Verdict::skipped, "not known"},
        {[](Findings& f) { f.request.reset(); }, "options", Verdict::skipped, "policy"},
        {[](Findings& f) { f.request->downtime_limit = Milliseconds(0); }, "options", Verdict::failed,
         "downtime limit"},
        {[](Findings& f) {
             f.request->postcopy = true;
             (*f.guest)->guest.devices = GuestDevices{.vfio = 1};
         },
         "options", Verdict::failed, "VFIO"},
        {[](Findings& f) {
             f.request->destination_name = "other";
             f.namesakes->uuid = "3";
         },
         "destination", Verdict::failed, "another guest \"other\""},
        {[](Findings& f) { f.request->bandwidth = {1}; }, "options", Verdict::warning, "1 MiB/s"},
        {[](Findings& f) {
             f.request->bandwidth = {1};
             f.request->downtime_limit = Milliseconds(0);
         },
         "options", Verdict::failed, "becomes 1 MiB/s, the least that libvirt takes; a downtime"},
        // The destination
        {[](Findings& f) { f.destination = tl::unexpected(refused()); }, "destination", Verdict::failed,
         "Connection refused (libvirt error 38, domain 7); check DESTINATION-URI"},
        {[](Findings& f) { f.destination.reset(); }, "destination", Verdict::failed, "no answer within 30 s"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.destination->error().credentials = true;
         },
         "destination", Verdict::warning, "its own credentials"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.connection = "qemu+ssh://a/system";
         },
         "destination", Verdict::warning, "may still reach it"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.connection.reset();
         },
         "destination", Verdict::warning, "may still reach it"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.destination_uri = "qemu+ssh://b/system";
         },
         "destination", Verdict::warning, "may still reach it"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.destination_uri = "qemu://b/system";
         },
         "destination", Verdict::warning, "may still reach it"},
        {[](Findings& f) {
             f.destination = tl::unexpected(refused());
             f.destination_uri = "qemu+ssh://b/system";
             f.privileged = true;
         },
         "destination", Verdict::failed, "check DESTINATION-URI"},
        {[](Findings& f) { f.destination_uri = "qemu:///system"; }, "destination", Verdict::failed, "no other host"},
        {[](Findings& f) { f.destination_uri = "qemu+ssh://localhost/system"; }, "destination", Verdict::failed,
         "no other host"},
        {[](Findings& f) { f.destination_uri = "qemu+unix:///system?socket=/x"; }, "destination", Verdict::passed,
         "\"b\""},
        {[](Findings& f) { (*f.destination)->uuid = "1"; }, "destination", Verdict::failed, "host UUID \"1\""},
        {[](Findings& f) { (*f.destination)->name = "a"; }, "destination", Verdict::failed, "host name \"a\""},
        {[](Findings& f) {
             (*f.source)->uuid = (*f.destination)->uuid = "";
             (*f.source)->name = (*f.destination)->name = "";
         },
         "destination", Verdict::passed, "does not tell its name"},
        {[](Findings& f) {
             f.namesakes = Namesakes{GuestState::running, "web", uuid, {}};
         },
         "destination", Verdict::failed, "it is running there"},
        {[](Findings& f) {
             f.namesakes = Namesakes{GuestState::unknown, "web", uuid, {}};
         },
         "destination", Verdict::failed, "in an unknown state"},
        {[](Findings& f) {
             f.namesakes = Namesakes{GuestState::shut_off, "web", uuid, {}};
         },
         "destination", Verdict::passed, "not there yet"},
        {[](Findings& f) {
             f.namesakes = Namesakes{GuestState::shut_off, "db", "", {}};
         },
         "destination", Verdict::failed, "another name, \"db\""},
        {[](Findings& f) {
             f.namesakes = Namesakes{GuestState::absent, "", other_uuid, {}};
         },
         "destination", Verdict::failed, other_uuid},
        {[](Findings& f) {
             f.namesakes->error = NativeError{88, 0, "access denied"};
         },
         "destination", Verdict::warning, "access denied"},
        {[](Findings& f) { f.namesakes.reset(); }, "destination", Verdict::warning, "within 30 s"},
        {[](Findings& f) { f.guest.reset(); }, "destination", Verdict::passed, "no guest to look for"},
        {[](Findings& f) {
             migrating(f);
             f.namesakes = Namesakes{GuestState::paused_for_migration, "web", uuid, {}};
         },
         "destination", Verdict::passed, "\"b\""},
        {[](Findings& f) { (*f.destination)->hypervisor_version = version(7, 1); }, "destination", Verdict::warning,
         "machine type"},
        {[](Findings& f) { (*f.destination)->hypervisor_version.reset(); }, "destination", Verdict::passed, "\"b\""},
        // The migration URI
        {[](Findings& f) { f.migration_uri = "http://b"; }, "migrationUri", Verdict::failed,
         "tcp:, rdma: or unix:", ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_uri = "tcp+tls://b"; }, "migrationUri", Verdict::failed,
         "tcp:, rdma: or unix:", ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_uri = "tcp://"; }, "migrationUri", Verdict::failed, "name or address",
         ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_uri = "unix://"; }, "migrationUri", Verdict::failed, "path of a socket",
         ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_uri = "unix:///run/x"; }, "migrationUri", Verdict::passed, "unix:///run/x"},
        {[](Findings& f) { f.migration_uri = "tcp://127.0.0.1"; }, "migrationUri", Verdict::failed, "leads the source",
         ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_uri = "tcp://[::1]:1"; }, "migrationUri", Verdict::warning, "forwards it"},
        {[](Findings& f) { f.migration_host->loopback = true; }, "migrationUri", Verdict::failed, "leads the source",
         ErrorCode::malformed_parameters},
        {[](Findings& f) { f.migration_host->problem = "not known"; }, "migrationUri", Verdict::failed,
         "\"b\": not known"},
        {[](Findings& f) { f.migration_host.reset(); }, "migrationUri", Verdict::warning, "longer than 30 s"},
        {[](Findings& f) {
             f.migration_host.reset();
             f.connection = "qemu+ssh://a/system";
         },
         "migrationUri", Verdict::passed, "does not show from here"},
    };
    return all;
}

TEST(Check, PassesWhereAllIsWell) {  // CHECK-3
    const CheckReport report = judge(good());
    std::string names;
    for (const CheckResult& check : report.checks) {
        names += std::string(check.check) + " ";
        EXPECT_EQ(check.verdict, Verdict::passed) << check.check << ": " << check.error.details;
    }
    EXPECT_EQ(names, "configuration connection guest options destination migrationUri ");
    EXPECT_EQ(report.first_failure(), nullptr);
}

TEST(Check, HasAVerdictForEveryFinding) {  // CHECK-5
    for (const Case& c : cases()) {
        Findings findings = good();
        c.change(findings);
        const CheckResult got = of(judge(findings), c.check);
        const std::string where = std::string(c.check) + ": " + got.error.details + ", not " + c.words;
        EXPECT_EQ(got.verdict, c.verdict) << where;
        EXPECT_NE(got.error.details.find(c.words), std::string::npos) << where;
        if (c.verdict == Verdict::failed) {
            EXPECT_EQ(got.error.code, c.code) << where;
            EXPECT_NE(got.error.message, "") << where;
        }
    }
}

TEST(Check, IsReadyDespiteWarnings) {  // CHECK-3
    Findings findings = good();
    findings.connection = "qemu+ssh://a/system";
    findings.destination.reset();
    migrating(findings);
    EXPECT_EQ(judge(findings).first_failure(), nullptr);
}

TEST(Check, FailsWithTheFirstThatDid) {  // CHECK-4
    Findings findings = good();
    findings.migration_uri = "http://b";
    findings.guest = fail(ErrorCode::vm_unknown, "vm unknown", "nobody");
    const CheckReport report = judge(findings);
    ASSERT_NE(report.first_failure(), nullptr);
    EXPECT_EQ(report.first_failure()->error.code, ErrorCode::vm_unknown);
    EXPECT_EQ(of(report, "migrationUri").verdict, Verdict::failed);
}

TEST(Check, ShowsNoSecret) {  // CFG-17
    Findings findings = good();
    findings.connection = "qemu+tcp://u:hunter2@a/system";
    findings.destination_uri = "qemu+tcp://u:hunter2@b/system";
    findings.migration_uri = "tcp://u:hunter2@b";
    const auto shows = [&] {
        std::string all;
        for (const CheckResult& check : judge(findings).checks) all += check.error.message + check.error.details;
        return all.find("hunter2") != std::string::npos;
    };
    EXPECT_FALSE(shows());
    findings.source.reset();
    findings.destination.reset();
    findings.migration_host.reset();
    EXPECT_FALSE(shows());
}

}  // namespace
}  // namespace vmmi
