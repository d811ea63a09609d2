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
    Guest guest{"web", "1", mebibytes(100), false, false, {}};
    Surroundings around{"tcp",
                        {"a", "1", "QEMU", version(7, 2), version(9, 0), Migration::live},
                        HostFacts{"b", "2", "QEMU", version(7, 2), version(9, 0), Migration::live}};

    void copy_disks(std::vector<std::string> chosen) {
        request.storage = {.mode = StorageCopy::Mode::all, .disks = std::move(chosen)};
        guest.devices = GuestDevices{.disks = {{.target = "vda"}, {.target = "sr0", .empty = true}, {.target = "vdb"}}};
    }
    void send_without_copy() {
        request.parallel_connections = 2;
        request.zero_copy = true;
    }
    void compress_in_parallel(std::uint64_t libvirt) {
        request.parallel_connections = 2;
        request.compression.methods = {"zstd"};
        around.source.libvirt = libvirt;
        around.destination->libvirt = version(10, 0);
    }
    void compress_with_threads(std::uint64_t qemu) {
        request.compression.methods = {"mt"};
        around.source.hypervisor_version = qemu;
    }
    void postcopy_in_parallel(std::uint64_t qemu) {
        request.parallel_connections = 2;
        request.postcopy = true;
        around.source.hypervisor_version = version(10, 1);
        around.destination->hypervisor_version = qemu;
    }

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
         Severity::error,
         "MIGRATION-URI: unix needs libvirt 6.8.0, and the destination has 6.7.0; leave it out, or upgrade that host"},
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
        {"smaller cap in post-copy",
         [](Start& s) {
             s.request.postcopy = true;
             s.request.postcopy_bandwidth = {1};
         },
         Severity::warning, "a bandwidth of 1 bytes/s becomes 1 MiB/s, the least that libvirt takes"},
        {"auto-converge",
         [](Start& s) {
             s.request.auto_converge = AutoConverge{1, 99};
         },
         std::nullopt},
        {"auto-converge by nothing",
         [](Start& s) {
             s.request.auto_converge = AutoConverge{0, 10};
         },
         Severity::error, "auto-converge by 0 % is not between 1 and 99, which QEMU takes"},
        {"auto-converge by all",
         [](Start& s) {
             s.request.auto_converge = AutoConverge{std::nullopt, 100};
         },
         Severity::error, "auto-converge by 100 % is not between 1 and 99, which QEMU takes"},
        {"255 connections", [](Start& s) { s.request.parallel_connections = 255; }, std::nullopt},
        {"256 connections", [](Start& s) { s.request.parallel_connections = 256; }, Severity::error,
         "256 parallel connections are not between 0 and 255, which QEMU takes"},
        {"rdma in parallel",
         [](Start& s) {
             s.around.transport = "rdma";
             s.request.parallel_connections = 2;
         },
         Severity::error,
         "parallel.connections excludes rdma, which has one connection; give a MIGRATION-URI with tcp, or leave "
         "parallel.connections out"},
        {"rdma with compression",
         [](Start& s) {
             s.around.transport = "rdma";
             s.request.compression.methods = {"xbzrle"};
         },
         Severity::error,
         "compression.methods: xbzrle excludes rdma, over which QEMU does not compress; leave it out, or give a "
         "MIGRATION-URI with tcp"},
        {"rdma with post-copy",
         [](Start& s) {
             s.around.transport = "rdma";
             s.request.postcopy = true;
         },
         Severity::error,
         "post-copy excludes rdma, over which QEMU does not have it; give a MIGRATION-URI with tcp, or migrate without "
         "post-copy, as the plugin precopy does"},
        {"unix and disks",
         [](Start& s) {
             s.around.transport = "unix";
             s.request.storage.mode = StorageCopy::Mode::all;
         },
         Severity::error,
         "storage.mode with a MIGRATION-URI that is a socket needs storage.uri; give another socket there, "
         "unix:///PATH"},
        {"unix and disks on a socket of their own",
         [](Start& s) {
             s.around.transport = "unix";
             s.request.storage = {.mode = StorageCopy::Mode::all, .uri = "unix:///there"};
         },
         std::nullopt},
        {"post-copy", [](Start& s) { s.request.postcopy = true; }, std::nullopt},
        {"post-copy of a paused guest",
         [](Start& s) {
             s.request.postcopy = true;
             s.guest.paused = true;
         },
         Severity::error,
         "guest web is paused, and post-copy is for a guest that runs; resume it, or migrate it without post-copy"},
        {"post-copy towards a daemon that would crash on a recovery",
         [](Start& s) {
             s.request.postcopy = true;
             s.around.destination->libvirt = version(11, 3);
         },
         Severity::warning,
         "a post-copy that breaks could not be resumed: libvirt 11.3.0 at the destination would crash on it: update it "
         "there to 11.4.0 or later, guests stay as they are meanwhile"},
        {"paused guest", [](Start& s) { s.guest.paused = true; }, std::nullopt},
        {"post-copy with a device of the host",
         [](Start& s) {
             s.request.postcopy = true;
             s.guest.devices = GuestDevices{.vfio = 2};
         },
         Severity::error,
         "guest web has devices of the host (VFIO: 2), with which QEMU has no post-copy; detach them, or migrate it "
         "without post-copy"},
        {"device of the host", [](Start& s) { s.guest.devices = GuestDevices{.vfio = 2}; }, std::nullopt},
        {"all disks", [](Start& s) { s.copy_disks({}); }, std::nullopt},
        {"chosen disks",
         [](Start& s) {
             s.copy_disks({"vdb", "vda"});
         },
         std::nullopt},
        {"disks that nobody looked at",
         [](Start& s) {
             s.copy_disks({"vdz"});
             s.guest.devices.reset();
         },
         std::nullopt},
        {"disk that is not there",
         [](Start& s) {
             s.copy_disks({"vda", "vdz"});
         },
         Severity::error, "storage.disks[1]: guest web has no disk \"vdz\"; it has: vda, vdb"},
        {"disk without a medium", [](Start& s) { s.copy_disks({"sr0"}); }, Severity::error,
         "storage.disks[0]: guest web has no disk \"sr0\"; it has: vda, vdb"},
        {"nothing to copy",
         [](Start& s) {
             s.copy_disks({});
             s.guest.devices->disks = {{.target = "vda", .shareable = true}};
         },
         Severity::warning, "guest web has no disk to copy, for all that storage.mode asks for it"},
        {"definition kept",
         [](Start& s) {
             s.guest.persistent = true;
             s.request.undefine_source = s.request.persist_destination = true;
         },
         std::nullopt},
        {"definition lost",
         [](Start& s) {
             s.guest.persistent = true;
             s.request.undefine_source = true;
         },
         Severity::warning,
         "undefineSource without persistDestination: the definition of guest web is lost when it powers off at the "
         "destination"},
        {"no definition to lose", [](Start& s) { s.request.undefine_source = true; }, std::nullopt},
        {"synchronous writes, libvirt 8.0.0",
         [](Start& s) {
             s.copy_disks({});
             s.request.storage.synchronous_writes = true;
             s.around.source.libvirt = version(8, 0);
         },
         std::nullopt},
        {"synchronous writes, libvirt 7.10.0",
         [](Start& s) {
             s.copy_disks({});
             s.request.storage.synchronous_writes = true;
             s.around.destination->libvirt = version(7, 10);
         },
         Severity::error,
         "storage.synchronousWrites needs libvirt 8.0.0, and the destination has 7.10.0; leave it out, or upgrade that "
         "host"},
        {"address for disks, libvirt 6.7.0",
         [](Start& s) {
             s.copy_disks({});
             s.request.storage.uri = "tcp://there";
             s.around.destination->libvirt = version(6, 7);
         },
         Severity::error,
         "storage.uri needs libvirt 6.8.0, and the destination has 6.7.0; leave it out, or upgrade that host"},
        {"zero-copy", [](Start& s) { s.send_without_copy(); }, std::nullopt},
        {"zero-copy, libvirt 8.4.0",
         [](Start& s) {
             s.send_without_copy();
             s.around.source.libvirt = version(8, 4);
         },
         Severity::error, "zeroCopy needs libvirt 8.5.0, and the source has 8.4.0; leave it out, or upgrade that host"},
        {"zero-copy, QEMU 7.0.0",
         [](Start& s) {
             s.send_without_copy();
             s.around.destination->hypervisor_version = version(7, 0);
         },
         Severity::error,
         "zeroCopy needs QEMU 7.1.0, and the destination has 7.0.0; leave it out, or upgrade that host"},
        {"version of another hypervisor",
         [](Start& s) {
             s.send_without_copy();
             s.around.source.hypervisor_version = version(1, 0);
             s.around.source.hypervisor = "Other";
         },
         std::nullopt},
        {"zstd, libvirt 9.4.0", [](Start& s) { s.compress_in_parallel(version(9, 4)); }, std::nullopt},
        {"zstd, libvirt 9.3.0", [](Start& s) { s.compress_in_parallel(version(9, 3)); }, Severity::error,
         "compression.methods: zlib or zstd needs libvirt 9.4.0, and the source has 9.3.0; leave it out, or upgrade "
         "that host"},
        {"zstd, QEMU 4.2.0",
         [](Start& s) {
             s.compress_in_parallel(version(9, 4));
             s.around.destination->hypervisor_version = version(4, 2);
         },
         Severity::error,
         "compression.methods: zlib or zstd needs QEMU 5.0.0, and the destination has 4.2.0; leave it out, or upgrade "
         "that host"},
        {"mt, QEMU 9.0.2", [](Start& s) { s.compress_with_threads(version(9, 0, 2)); }, std::nullopt},
        {"mt, QEMU 9.1.0", [](Start& s) { s.compress_with_threads(version(9, 1)); }, Severity::error,
         "compression.methods: mt needs QEMU older than 9.1.0, and the source has 9.1.0; leave it out, or choose "
         "another method"},
        {"multifd and post-copy, QEMU 10.1.0", [](Start& s) { s.postcopy_in_parallel(version(10, 1)); }, std::nullopt},
        {"multifd and post-copy, QEMU 10.0.9", [](Start& s) { s.postcopy_in_parallel(version(10, 0, 9)); },
         Severity::error,
         "post-copy together with parallel.connections needs QEMU 10.1.0, and the destination has 10.0.9; leave it "
         "out, or upgrade that host"},
        {"contradiction", [](Start& s) { s.request.zero_copy = true; }, Severity::error,
         "zeroCopy needs parallel.connections, since QEMU sends without a copy over parallel connections alone; give "
         "both, or neither"},
    };
    return all;
}

TEST(Conflicts, AreThoseOfTheTable) {  // CFG-26
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

TEST(Conflicts, DependOnDevicesAndTheHypervisorForFewRequests) {
    EXPECT_FALSE(subjects({}).any());
    EXPECT_FALSE(subjects({.parallel_connections = 2}).any());
    EXPECT_TRUE(subjects({.postcopy = true}).devices);
    EXPECT_FALSE(subjects({.postcopy = true}).hypervisor);
    EXPECT_TRUE(subjects({.storage = {.mode = StorageCopy::Mode::incremental}}).devices);
    EXPECT_TRUE(subjects({.postcopy = true, .parallel_connections = 2}).hypervisor);
    EXPECT_TRUE(subjects({.compression = {.methods = {"mt"}}}).hypervisor);
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
