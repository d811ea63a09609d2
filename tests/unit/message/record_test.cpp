// SPDX-License-Identifier: Apache-2.0
#include "message/record.h"

#include <gtest/gtest.h>

namespace vmmi::message {
namespace {

using Clock = std::chrono::steady_clock;

TEST(Record, ComesBackAsItWasWritten) {  // FAIL-14
    const MigrationRecord record{.plugin = "precopy",
                                 .uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
                                 .started = Clock::time_point(Milliseconds(123'456)),
                                 .destination_uri = "qemu+tcp://b/system",
                                 .migration_uri = "tcp://b",
                                 .request = MigrationRequest{.live = false,
                                                             .bandwidth = {1 << 30},
                                                             .downtime_limit = Milliseconds(100),
                                                             .postcopy = true,
                                                             .postcopy_bandwidth = {8 << 20},
                                                             .tls = true,
                                                             .tls_destination = "b.example",
                                                             .persist_destination = true,
                                                             .undefine_source = true,
                                                             .destination_name = "g2",
                                                             .listen_address = "10.0.0.1"},
                                 .original_downtime_limit = Milliseconds(300),
                                 .pause_ends = Clock::time_point(Milliseconds(124'456))};
    const std::optional<MigrationRecord> read = read_record(write_record(record));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->plugin, record.plugin);
    EXPECT_EQ(read->uuid, record.uuid);
    EXPECT_EQ(read->started, record.started);
    EXPECT_EQ(read->destination_uri, record.destination_uri);
    EXPECT_EQ(read->migration_uri, record.migration_uri);
    ASSERT_TRUE(read->request);
    EXPECT_FALSE(read->request->live);
    EXPECT_EQ(read->request->bandwidth, record.request->bandwidth);
    EXPECT_EQ(read->request->downtime_limit, record.request->downtime_limit);
    EXPECT_TRUE(read->request->postcopy && read->request->tls);
    EXPECT_TRUE(read->request->persist_destination && read->request->undefine_source);
    EXPECT_EQ(read->request->postcopy_bandwidth, record.request->postcopy_bandwidth);
    EXPECT_EQ(read->request->tls_destination, "b.example");
    EXPECT_EQ(read->request->destination_name, "g2");
    EXPECT_EQ(read->request->listen_address, "10.0.0.1");
    EXPECT_EQ(read->original_downtime_limit, record.original_downtime_limit);
    EXPECT_EQ(read->pause_ends, record.pause_ends);
}

TEST(Record, LeavesOutWhatIsNotKnown) {  // FAIL-14
    const MigrationRecord record{.plugin = "precopy", .uuid = "u", .started = {}};
    const std::optional<MigrationRecord> read = read_record(write_record(record));
    ASSERT_TRUE(read);
    EXPECT_FALSE(read->destination_uri || read->migration_uri || read->request || read->original_downtime_limit);
}

TEST(Record, IsNothingWhereTheTextIsSomethingElse) {  // FAIL-15
    const std::string whole = write_record({.plugin = "precopy", .uuid = "u", .started = {}});
    for (std::size_t length = 0; length < whole.size(); ++length)
        EXPECT_FALSE(read_record(whole.substr(0, length))) << length;
    for (const char* text :
         {"null", "[]", "{}", R"({"plugin":"p","uuid":"u"})", R"({"plugin":"p","uuid":"u","startedMs":-1})",
          R"({"plugin":"p","uuid":"u","startedMs":9223372036854775807})", R"({"plugin":"p","uuid":"","startedMs":1})",
          R"({"plugin":"p","uuid":"u","startedMs":1,"more":1})", R"({"plugin":"p","uuid":"u\n","startedMs":1})",
          R"({"plugin":"p","uuid":"u","startedMs":1,"originalDowntimeLimitMs":1e300})",
          R"({"plugin":"p","uuid":"u","startedMs":1,"request":{"live":1}})"})
        EXPECT_FALSE(read_record(text)) << text;
}

}  // namespace
}  // namespace vmmi::message
