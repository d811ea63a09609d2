// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/convert.h"

#include <gtest/gtest.h>

#include <functional>

namespace vmmi::hypervisor {
namespace {

using Kind = event::Lifecycle::Kind;

/// Any call into libvirt before it was initialized frees memory of other libraries. The plugins initialize it with the
/// event thread.
const int initialized = virInitialize();

/// Job statistics as libvirt lists them.
class JobParams {
  public:
    JobParams() = default;
    JobParams(const JobParams&) = delete;
    JobParams& operator=(const JobParams&) = delete;
    ~JobParams() { virTypedParamsFree(params_, count_); }

    JobParams& number(const char* name, unsigned long long value) {
        virTypedParamsAddULLong(&params_, &count_, &capacity_, name, value);
        return *this;
    }
    JobParams& integer(const char* name, int value) {
        virTypedParamsAddInt(&params_, &count_, &capacity_, name, value);
        return *this;
    }
    ParamsView view() const { return {params_, count_}; }

  private:
    virTypedParameterPtr params_ = nullptr;
    int count_ = 0;
    int capacity_ = 0;
};

TEST(JobStatistics, AreConvertedToThisProjectsUnits) {
    JobParams params;
    params.integer(VIR_DOMAIN_JOB_OPERATION, VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
        .number(VIR_DOMAIN_JOB_TIME_ELAPSED, 1234)
        .number(VIR_DOMAIN_JOB_DOWNTIME, 55)
        .number(VIR_DOMAIN_JOB_SETUP_TIME, 6)
        .number(VIR_DOMAIN_JOB_MEMORY_TOTAL, 1000)
        .number(VIR_DOMAIN_JOB_MEMORY_PROCESSED, 300)
        .number(VIR_DOMAIN_JOB_MEMORY_REMAINING, 700)
        .number(VIR_DOMAIN_JOB_DATA_PROCESSED, 310)
        .number(VIR_DOMAIN_JOB_DISK_TOTAL, 2000)
        .number(VIR_DOMAIN_JOB_DISK_PROCESSED, 500)
        .number(VIR_DOMAIN_JOB_DISK_REMAINING, 1500)
        .number(VIR_DOMAIN_JOB_MEMORY_BPS, 99)
        .number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 10)
        .number(VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE, 65536)
        .number(VIR_DOMAIN_JOB_MEMORY_ITERATION, 4)
        .number(VIR_DOMAIN_JOB_MEMORY_POSTCOPY_REQS, 8)
        .integer(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, 30);
    const JobStats stats = job_stats(VIR_DOMAIN_JOB_UNBOUNDED, params.view());
    EXPECT_TRUE(stats.migrating());
    EXPECT_EQ(stats.elapsed, Milliseconds(1234));
    EXPECT_EQ(stats.downtime, Milliseconds(55));
    EXPECT_EQ(stats.setup_time, Milliseconds(6));
    EXPECT_EQ(stats.memory_total, Bytes{1000});
    EXPECT_EQ(stats.memory_transferred, Bytes{300});
    EXPECT_EQ(stats.memory_remaining, Bytes{700});
    EXPECT_EQ(stats.data_transferred, Bytes{310});
    EXPECT_EQ(stats.disk_total, Bytes{2000});
    EXPECT_EQ(stats.disk_transferred, Bytes{500});
    EXPECT_EQ(stats.disk_remaining, Bytes{1500});
    EXPECT_EQ(stats.bandwidth, BytesPerSecond{99});
    EXPECT_EQ(stats.dirty_rate, BytesPerSecond{655'360}) << "pages a second";
    EXPECT_EQ(stats.iteration, 4);
    EXPECT_EQ(stats.throttle_percent, 30);
    EXPECT_EQ(stats.postcopy_requests, 8U);
}

TEST(JobStatistics, CountEachPageOfMemoryOnceAsItWasSent) {
    const auto sent = [](unsigned long long encoded, unsigned long long overflown) {
        JobParams params;
        params.number(VIR_DOMAIN_JOB_MEMORY_NORMAL, 100)
            .number(VIR_DOMAIN_JOB_MEMORY_CONSTANT, 20)
            .number(VIR_DOMAIN_JOB_COMPRESSION_PAGES, encoded)
            .number(VIR_DOMAIN_JOB_COMPRESSION_CACHE_MISSES, 60)
            .number(VIR_DOMAIN_JOB_COMPRESSION_OVERFLOW, overflown);
        return job_stats(VIR_DOMAIN_JOB_UNBOUNDED, params.view()).memory_sent.count / 4096;
    };
    EXPECT_EQ(sent(0, 0), 120U) << "what was not in the cache is a normal page";
    EXPECT_EQ(sent(30, 0), 150U);
    EXPECT_EQ(sent(30, 30), 120U) << "encoded in vain, and sent as normal pages";
    EXPECT_EQ(sent(0, 30), 120U) << "QEMU before 5.1 counts only those that it sends encoded";
}

TEST(JobStatistics, MayLackEveryField) {
    const JobStats stats = job_stats(VIR_DOMAIN_JOB_NONE, JobParams().view());
    EXPECT_EQ(stats.type, JobStats::Type::none);
    EXPECT_EQ(stats.operation, JobStats::Operation::none);
    EXPECT_FALSE(stats.migrating());
    EXPECT_FALSE(stats.downtime);
    EXPECT_FALSE(stats.throttle_percent);
    EXPECT_EQ(stats.memory_total, Bytes{0});
    JobParams no_page_size;
    no_page_size.number(VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE, 10);
    EXPECT_EQ(job_stats(VIR_DOMAIN_JOB_BOUNDED, no_page_size.view()).dirty_rate, BytesPerSecond{40'960});
}

TEST(JobStatistics, SurviveAbsurdNumbersAndOtherTypes) {
    JobParams params;
    params.number(VIR_DOMAIN_JOB_TIME_ELAPSED, ~0ULL)
        .number(VIR_DOMAIN_JOB_MEMORY_ITERATION, ~0ULL)
        .number(VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, 3)
        .integer(VIR_DOMAIN_JOB_MEMORY_TOTAL, 3);
    const JobStats stats = job_stats(VIR_DOMAIN_JOB_BOUNDED, params.view());
    EXPECT_EQ(stats.elapsed, Milliseconds(0));
    EXPECT_EQ(stats.iteration, std::numeric_limits<int>::max());
    EXPECT_FALSE(stats.throttle_percent) << "of another type than libvirt's";
    EXPECT_EQ(stats.memory_total, Bytes{0});
}

TEST(JobStatistics, KnowTheirTypeAndOperation) {
    using Type = JobStats::Type;
    const std::vector<std::pair<int, Type>> types{
        {VIR_DOMAIN_JOB_NONE, Type::none},
        {VIR_DOMAIN_JOB_BOUNDED, Type::active},
        {VIR_DOMAIN_JOB_UNBOUNDED, Type::active},
        {VIR_DOMAIN_JOB_COMPLETED, Type::completed},
        {VIR_DOMAIN_JOB_FAILED, Type::failed},
        {VIR_DOMAIN_JOB_CANCELLED, Type::cancelled},
        {99, Type::none},
    };
    for (const auto& [number, type] : types) EXPECT_EQ(job_stats(number, JobParams().view()).type, type) << number;
    JobParams save;
    save.integer(VIR_DOMAIN_JOB_OPERATION, VIR_DOMAIN_JOB_OPERATION_SAVE);
    EXPECT_EQ(job_stats(VIR_DOMAIN_JOB_BOUNDED, save.view()).operation, JobStats::Operation::other);
    JobParams unknown;
    unknown.integer(VIR_DOMAIN_JOB_OPERATION, VIR_DOMAIN_JOB_OPERATION_UNKNOWN);
    EXPECT_EQ(job_stats(VIR_DOMAIN_JOB_NONE, unknown.view()).operation, JobStats::Operation::none);
}

TEST(GuestStateOfLibvirt, FollowsStateAndReason) {
    struct Row {
        int state;
        int reason;
        GuestState expected;
    };
    const std::vector<Row> rows{
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_BOOTED, GuestState::running},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY, GuestState::postcopy},
        {VIR_DOMAIN_RUNNING, 11, GuestState::postcopy_failed},
        {VIR_DOMAIN_BLOCKED, 0, GuestState::running},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_USER, GuestState::paused},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_IOERROR, GuestState::paused},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_MIGRATION, GuestState::paused_for_migration},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_STARTING_UP, GuestState::paused_for_migration},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY, GuestState::postcopy},
        {VIR_DOMAIN_PAUSED, VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, GuestState::postcopy_failed},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED, GuestState::shut_off_migrated},
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED, GuestState::shut_off},
        {VIR_DOMAIN_CRASHED, 0, GuestState::shut_off},
        {VIR_DOMAIN_NOSTATE, 0, GuestState::unknown},
        {99, 0, GuestState::unknown},
    };
    for (const Row& row : rows) EXPECT_EQ(guest_state(row.state, row.reason), row.expected) << row.state << row.reason;
}

TEST(LifecycleOfLibvirt, SpeaksOfAMigrationAtItsSource) {
    struct Row {
        int event;
        int detail;
        std::optional<Kind> expected;
    };
    const std::vector<Row> rows{
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED, Kind::paused_for_switchover},
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY, Kind::postcopy_began},
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_POSTCOPY_FAILED, Kind::postcopy_failed},
        {VIR_DOMAIN_EVENT_SUSPENDED, VIR_DOMAIN_EVENT_SUSPENDED_PAUSED, std::nullopt},
        {VIR_DOMAIN_EVENT_RESUMED, VIR_DOMAIN_EVENT_RESUMED_MIGRATED, Kind::resumed},
        {VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_MIGRATED, Kind::migrated},
        {VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN, Kind::powered_off},
        {VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_CRASHED, Kind::crashed},
        {VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_FAILED, Kind::crashed},
        {VIR_DOMAIN_EVENT_STOPPED, VIR_DOMAIN_EVENT_STOPPED_DESTROYED, Kind::destroyed},
        {VIR_DOMAIN_EVENT_DEFINED, 0, std::nullopt},
        {VIR_DOMAIN_EVENT_UNDEFINED, 0, std::nullopt},
        {VIR_DOMAIN_EVENT_STARTED, 0, std::nullopt},
        {VIR_DOMAIN_EVENT_SHUTDOWN, 0, std::nullopt},
    };
    for (const Row& row : rows)
        EXPECT_EQ(lifecycle_kind(row.event, row.detail), row.expected) << row.event << row.detail;
}

TEST(MigrateFlags, ArePeerToPeerAlways) {  // PROC-6
    EXPECT_EQ(migrate_flags({.live = true}), static_cast<unsigned>(VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER));
    EXPECT_EQ(migrate_flags({.live = false}), static_cast<unsigned>(VIR_MIGRATE_PEER2PEER));
}

struct FlagOf {
    std::function<void(MigrationRequest&)> change;
    unsigned int flags;
};

TEST(MigrateFlags, FollowTheRequest) {
    using Request = MigrationRequest;
    const std::vector<FlagOf> rows{
        {[](Request& r) { r.postcopy = true; }, VIR_MIGRATE_POSTCOPY},
        {[](Request& r) { r.auto_converge.emplace(); }, VIR_MIGRATE_AUTO_CONVERGE},
        {[](Request& r) { r.compression.methods = {"xbzrle"}; }, VIR_MIGRATE_COMPRESSED},
        {[](Request& r) { r.parallel_connections = 2; }, VIR_MIGRATE_PARALLEL},
        {[](Request& r) { r.zero_copy = true; }, 1U << 20},
        {[](Request& r) { r.tls = true; }, VIR_MIGRATE_TLS},
        {[](Request& r) { r.tunnelled = true; }, VIR_MIGRATE_TUNNELLED},
        {[](Request& r) { r.storage.mode = StorageCopy::Mode::all; }, VIR_MIGRATE_NON_SHARED_DISK},
        {[](Request& r) { r.storage.mode = StorageCopy::Mode::incremental; }, VIR_MIGRATE_NON_SHARED_INC},
        {[](Request& r) { r.storage.synchronous_writes = true; }, 1U << 18},
        {[](Request& r) { r.persist_destination = true; }, VIR_MIGRATE_PERSIST_DEST},
        {[](Request& r) { r.undefine_source = true; }, VIR_MIGRATE_UNDEFINE_SOURCE},
        {[](Request& r) { r.abort_on_error = true; }, VIR_MIGRATE_ABORT_ON_ERROR},
        {[](Request& r) { r.unsafe = true; }, VIR_MIGRATE_UNSAFE},
    };
    for (const FlagOf& row : rows) {
        MigrationRequest request;
        row.change(request);
        EXPECT_EQ(migrate_flags(request), VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | row.flags);
    }
}

/// As "name=value", in their order.
std::vector<std::string> listed(const TypedParams& params) {
    std::vector<std::string> texts;
    for (unsigned int i = 0; i < params.size(); ++i) {
        const virTypedParameter& param = params.data()[i];
        const std::string name = std::string(param.field) + "=";
        if (param.type == VIR_TYPED_PARAM_INT) texts.push_back(name + std::to_string(param.value.i));
        if (param.type == VIR_TYPED_PARAM_ULLONG) texts.push_back(name + std::to_string(param.value.ul) + "ull");
        if (param.type == VIR_TYPED_PARAM_STRING) texts.push_back(name + param.value.s);
    }
    return texts;
}

std::vector<std::string> parameters_of(const MigrationRequest& request) {
    TypedParams params;
    add_parameters(params, request);
    return listed(params);
}

TEST(MigrateParameters, AreOfTheTypesThatLibvirtTakes) {
    MigrationRequest request;
    request.bandwidth = mebibytes_per_second(70);
    request.postcopy = true;
    request.postcopy_bandwidth = mebibytes_per_second(90);
    request.auto_converge = AutoConverge{30, 5};
    request.compression = {.methods = {"xbzrle", "mt", "zlib", "zstd"},
                           .xbzrle_cache = mebibytes(1),
                           .mt_level = 1,
                           .mt_threads = 2,
                           .mt_dthreads = 3,
                           .zlib_level = 4,
                           .zstd_level = 5};
    request.parallel_connections = 6;
    request.tls_destination = "b";
    request.storage = {StorageCopy::Mode::all, {"vda", "vdb"}, "tcp://b", true};
    request.destination_name = "n";
    request.destination_xml = "<domain/>";
    request.persistent_xml = "<domain></domain>";
    request.listen_address = "::";
    request.graphics_uri = "spice://b:1";
    EXPECT_EQ(parameters_of(request), (std::vector<std::string>{
                                          "bandwidth=70ull",
                                          "auto_converge.initial=30",
                                          "auto_converge.increment=5",
                                          "compression=xbzrle",
                                          "compression=mt",
                                          "compression=zlib",
                                          "compression=zstd",
                                          "compression.xbzrle.cache=1048576ull",
                                          "compression.mt.level=1",
                                          "compression.mt.threads=2",
                                          "compression.mt.dthreads=3",
                                          "compression.zlib.level=4",
                                          "compression.zstd.level=5",
                                          "parallel.connections=6",
                                          "tls.destination=b",
                                          "migrate_disks=vda",
                                          "migrate_disks=vdb",
                                          "disks_uri=tcp://b",
                                          "destination_name=n",
                                          "destination_xml=<domain/>",
                                          "persistent_xml=<domain></domain>",
                                          "listen_address=::",
                                          "graphics_uri=spice://b:1",
                                          "bandwidth.postcopy=90ull",
                                      }));
}

TEST(MigrateParameters, AreLeftOutWhereLibvirtDecides) {
    MigrationRequest request;
    EXPECT_EQ(parameters_of(request), std::vector<std::string>{});
    request.auto_converge.emplace();
    request.postcopy = true;
    EXPECT_EQ(parameters_of(request), std::vector<std::string>{});
}

std::optional<std::uint64_t> bandwidth_parameter(BytesPerSecond bandwidth) {
    TypedParams params;
    add_parameters(params, {.bandwidth = bandwidth});
    return params.view().unsigned_long_long(VIR_MIGRATE_PARAM_BANDWIDTH);
}

TEST(Bandwidth, IsInWholeMebibytesAndNeverZeroByRounding) {
    EXPECT_EQ(bandwidth_parameter({}), std::nullopt);
    EXPECT_EQ(bandwidth_parameter({1}), 1U) << "0 would be unlimited";
    EXPECT_EQ(bandwidth_parameter(mebibytes_per_second(70)), 70U);
    EXPECT_EQ(max_speed(mebibytes_per_second(70)), 70U);
    EXPECT_EQ(max_speed({1}), 1U);
    EXPECT_EQ(max_speed({}), 8'796'093'022'207UL);
    EXPECT_EQ(max_postcopy_speed({1}), 1U);
    EXPECT_EQ(max_postcopy_speed({}), 0U);
}

TEST(Recovery, KeepsOfTheRequestWhatStillCounts) {
    constexpr unsigned int always =
        VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_LIVE | VIR_MIGRATE_POSTCOPY | (1U << 19U);  // VIR_MIGRATE_POSTCOPY_RESUME
    EXPECT_EQ(recovery_flags({}), always);
    MigrationRequest request;
    request.postcopy = true;
    request.bandwidth = mebibytes_per_second(70);
    request.postcopy_bandwidth = mebibytes_per_second(90);
    request.auto_converge = AutoConverge{30, 5};
    request.compression.methods = {"xbzrle"};
    request.tls = request.persist_destination = request.undefine_source = true;
    request.tls_destination = "b";
    request.destination_name = "n";
    request.listen_address = "::";
    EXPECT_EQ(recovery_flags(request),
              always | VIR_MIGRATE_TLS | VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE);
    TypedParams params;
    add_recovery_parameters(params, request);
    EXPECT_EQ(listed(params), (std::vector<std::string>{"bandwidth.postcopy=90ull", "tls.destination=b",
                                                        "destination_name=n", "listen_address=::"}));
}

}  // namespace
}  // namespace vmmi::hypervisor
