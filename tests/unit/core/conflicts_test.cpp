// SPDX-License-Identifier: Apache-2.0
#include "core/conflicts.h"

#include <gtest/gtest.h>

#include <functional>

namespace vmmi {
namespace {

using Migration = HostFacts::Migration;
using Severity = Conflict::Severity;

/// A request that nothing is wrong with, for a case to change.
struct Start {
    MigrationRequest request{.live = true, .bandwidth = mebibytes_per_second(100), .downtime_limit = Milliseconds(300)};
    Guest guest{"web", "1", mebibytes(100), false, false};
    Surroundings around{"tcp",
                        {"a", "1", "QEMU", version(7, 2), version(9, 0), Migration::live},
                        HostFacts{"b", "2", "QEMU", version(7, 2), version(9, 0), Migration::live}};

    std::vector<Conflict> conflicts() const { return vmmi::conflicts(request, guest, around); }
};

struct Case {
    const char* name;
    std::function<void(Start&)> change;
    std::optional<Severity> severity;
    const char* details = "";
    ErrorCode code = ErrorCode::operation_failed;
};

const std::vector<Case>& cases() {
    static const std::vector<Case> all{
        {"nothing", [](Start&) {}, std::nullopt},
        {"no destination", [](Start& s) { s.around.destination.reset(); }, std::nullopt},
        {"nothing known",
         [](Start& s) {
             s.around = {"tcp", {}, std::nullopt};
         },
         std::nullopt},
        {"no migration", [](Start& s) { s.around.source.migration = Migration::none; }, Severity::error,
         "hypervisor \"QEMU\" at the source does not migrate"},
        {"no live migration", [](Start& s) { s.around.source.migration = Migration::not_live; }, Severity::error,
         "hypervisor \"QEMU\" at the source does not migrate guests that run"},
        {"no live migration wanted",
         [](Start& s) {
             s.around.source.migration = Migration::not_live;
             s.request.live = false;
         },
         std::nullopt},
        {"libvirt 8.0.0", [](Start& s) { s.around.source.libvirt = version(8, 0); }, std::nullopt},
        {"libvirt 7.10.0", [](Start& s) { s.around.source.libvirt = version(7, 10); }, Severity::warning,
         "libvirt 7.10.0 at the source is older than 8.0.0, with which nothing was tested"},
        {"rdma", [](Start& s) { s.around.transport = "rdma"; }, std::nullopt},
        {"unix", [](Start& s) { s.around.transport = "unix"; }, std::nullopt},
        {"unix, 6.8.0",
         [](Start& s) {
             s.around.transport = "unix";
             s.around.destination->libvirt = version(6, 8);
         },
         std::nullopt},
        {"unix, 6.7.0",
         [](Start& s) {
             s.around.transport = "unix";
             s.around.destination->libvirt = version(6, 7);
         },
         Severity::error, "MIGRATION-URI: unix needs libvirt 6.8.0, and the destination has 6.7.0"},
        {"http", [](Start& s) { s.around.transport = "http"; }, Severity::error,
         "MIGRATION-URI: expected the scheme tcp, rdma or unix, got \"http\"", ErrorCode::malformed_parameters},
        {"no cap", [](Start& s) { s.request.bandwidth = {}; }, std::nullopt},
        {"least cap", [](Start& s) { s.request.bandwidth = mebibytes_per_second(1); }, std::nullopt},
        {"smaller cap", [](Start& s) { s.request.bandwidth = {(1 << 20) - 1}; }, Severity::warning,
         "a bandwidth of 1048575 bytes/s becomes 1 MiB/s, the least that libvirt takes"},
        {"greatest cap", [](Start& s) { s.request.bandwidth = mebibytes_per_second(8'796'093'022'207); }, std::nullopt},
        {"greater cap", [](Start& s) { s.request.bandwidth = mebibytes_per_second(8'796'093'022'208); },
         Severity::error, "a bandwidth of 8796093022208 MiB/s is above what libvirt takes, 8796093022207"},
        {"no limit", [](Start& s) { s.request.downtime_limit.reset(); }, std::nullopt},
        {"least limit", [](Start& s) { s.request.downtime_limit = Milliseconds(1); }, std::nullopt},
        {"no downtime", [](Start& s) { s.request.downtime_limit = Milliseconds(0); }, Severity::error,
         "a downtime limit of 0 ms is not between 1 and 2000000, which QEMU takes"},
        {"negative downtime", [](Start& s) { s.request.downtime_limit = Milliseconds(-1); }, Severity::error,
         "a downtime limit of -1 ms is not between 1 and 2000000, which QEMU takes"},
        {"greatest limit", [](Start& s) { s.request.downtime_limit = Milliseconds(2'000'000); }, std::nullopt},
        {"greater limit", [](Start& s) { s.request.downtime_limit = Milliseconds(2'000'001); }, Severity::error,
         "a downtime limit of 2000001 ms is not between 1 and 2000000, which QEMU takes"},
    };
    return all;
}

TEST(Conflicts, AreThoseOfTheTable) {
    for (const Case& c : cases()) {
        Start start;
        c.change(start);
        const std::vector<Conflict> found = start.conflicts();
        ASSERT_EQ(found.size(), c.severity ? 1U : 0U) << c.name;
        if (!c.severity) continue;
        EXPECT_EQ(found.front().severity, *c.severity) << c.name;
        EXPECT_EQ(found.front().error.details, c.details) << c.name;
        EXPECT_EQ(found.front().error.code, *c.severity == Severity::error ? c.code : ErrorCode::none) << c.name;
    }
}

TEST(Conflicts, AreAllTold) {
    Start start;
    start.around.source.migration = Migration::none;
    start.around.transport = "http";
    start.request.downtime_limit = Milliseconds(0);
    EXPECT_EQ(start.conflicts().size(), 3U);
}

TEST(Refusal, IsOfWhatCannotBeMigrated) {  // FAIL-5
    const Guest guest{"web", "1", mebibytes(100), false, false};
    JobStats none;
    JobStats backup;
    backup.type = JobStats::Type::active;
    backup.operation = JobStats::Operation::other;
    JobStats migration = backup;
    migration.operation = JobStats::Operation::outgoing_migration;
    EXPECT_EQ(refusal(guest, GuestState::running, none), std::nullopt);
    EXPECT_EQ(refusal(guest, GuestState::paused, none), std::nullopt);
    EXPECT_EQ(refusal(guest, GuestState::paused_for_migration, migration), std::nullopt) << "it is taken over";
    EXPECT_EQ(refusal(guest, GuestState::running, backup)->message, "another job is running");
    for (const GuestState state : {GuestState::shut_off, GuestState::shut_off_migrated, GuestState::unknown,
                                   GuestState::absent, GuestState::postcopy_failed}) {
        const std::optional<Error> error = refusal(guest, state, none);
        ASSERT_TRUE(error);
        EXPECT_EQ(error->code, ErrorCode::operation_failed);
        EXPECT_NE(error->details.find(to_string(state)), std::string::npos);
    }
}

}  // namespace
}  // namespace vmmi
