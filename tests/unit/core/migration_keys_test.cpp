// SPDX-License-Identifier: Apache-2.0
#include "vmmi/migration_keys.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

const std::string domain = "<domain type='qemu'>\n  <name>b</name>\n</domain>\n";

Result<MigrationRequest> request_of(const Object& given) {
    const Result<Settings> settings = apply_keys(migration_keys(), given, "configuration");
    if (!settings) return fail(settings.error());
    return request_from(*settings);
}

std::string mistake_in(const Object& given) {
    const Result<MigrationRequest> request = request_of(given);
    if (request) return "none";
    EXPECT_EQ(request.error().code, ErrorCode::malformed_configuration);
    return request.error().details;
}

TEST(MigrationKeys, LeaveAllToLibvirtByDefault) {
    const Result<MigrationRequest> request = request_of({});
    ASSERT_TRUE(request);
    EXPECT_EQ(*request, MigrationRequest{});
}

TEST(MigrationKeys, ReachTheRequest) {  // CFG-25
    const Result<MigrationRequest> request = request_of(
        {{"bandwidthMiBPerSecond", 70},
         {"autoConverge", Object{{"enabled", true}, {"initialPercent", 30}, {"incrementPercent", 5}}},
         {"compression", Object{{"methods", List{"zstd"}}, {"zstd", Object{{"level", 20}}}}},
         {"parallel", Object{{"connections", 4}}},
         {"tls", Object{{"enabled", true}, {"destination", "b.example"}}},
         {"storage",
          Object{
              {"mode", "incremental"}, {"disks", List{"vda", "vdb"}}, {"uri", "tcp://b"}, {"synchronousWrites", true}}},
         {"persistDestination", true},
         {"undefineSource", true},
         {"destinationName", "b"},
         {"destinationXml", domain},
         {"persistentXml", domain},
         {"listenAddress", "::"},
         {"graphicsUri", "spice://b:1"},
         {"abortOnError", true},
         {"unsafe", true}});
    ASSERT_TRUE(request) << request.error().details;
    MigrationRequest expected;
    expected.bandwidth = mebibytes_per_second(70);
    expected.auto_converge = AutoConverge{30, 5};
    expected.compression = {.methods = {"zstd"}, .zstd_level = 20};
    expected.parallel_connections = 4;
    expected.tls = true;
    expected.tls_destination = "b.example";
    expected.storage = {StorageCopy::Mode::incremental, {"vda", "vdb"}, "tcp://b", true};
    expected.persist_destination = expected.undefine_source = expected.abort_on_error = expected.unsafe = true;
    expected.destination_name = "b";
    expected.destination_xml = expected.persistent_xml = domain;
    expected.listen_address = "::";
    expected.graphics_uri = "spice://b:1";
    EXPECT_EQ(*request, expected);
}

TEST(MigrationKeys, ReachTheRequestWhereTheyExcludeOthers) {
    EXPECT_TRUE(request_of({{"tunnelled", true}})->tunnelled);
    EXPECT_TRUE(request_of({{"zeroCopy", true}, {"parallel", Object{{"connections", 1}}}})->zero_copy);
    EXPECT_EQ(request_of({{"autoConverge", Object{{"enabled", true}}}})->auto_converge, AutoConverge{});
    EXPECT_EQ(request_of({{"storage", Object{{"mode", "all"}}}})->storage.mode, StorageCopy::Mode::all);
    const Object zlib{{"methods", List{"zlib"}}, {"zlib", Object{{"level", 0}}}};
    EXPECT_EQ(request_of({{"compression", zlib}, {"parallel", Object{{"connections", 1}}}})->compression,
              (Compression{.methods = {"zlib"}, .zlib_level = 0}));
    const Object xbzrle{{"methods", List{"xbzrle"}}, {"xbzrle", Object{{"cacheBytes", 4096}}}};
    EXPECT_EQ(request_of({{"compression", xbzrle}})->compression,
              (Compression{.methods = {"xbzrle"}, .xbzrle_cache = Bytes{4096}}));
    const Object mt{{"methods", List{"mt"}}, {"mt", Object{{"level", 1}, {"threads", 2}, {"dthreads", 3}}}};
    EXPECT_EQ(request_of({{"compression", mt}})->compression,
              (Compression{.methods = {"mt"}, .mt_level = 1, .mt_threads = 2, .mt_dthreads = 3}));
}

TEST(MigrationKeys, ContradictEachOtherWithBothPlacesNamed) {  // CFG-13
    EXPECT_EQ(mistake_in({{"zeroCopy", true}}),
              "configuration.zeroCopy needs configuration.parallel.connections, since QEMU sends without a copy over "
              "parallel connections alone; give both, or neither");
    EXPECT_EQ(mistake_in({{"autoConverge", Object{{"incrementPercent", 5}}}}),
              "configuration.autoConverge.incrementPercent needs configuration.autoConverge.enabled; give both, or "
              "neither");
    EXPECT_EQ(mistake_in({{"compression", Object{{"methods", List{"gzip"}}}}}),
              "configuration.compression.methods[0]: expected one of \"xbzrle\", \"mt\", \"zlib\", \"zstd\", got "
              "\"gzip\"");
}

TEST(MigrationKeys, TakeDocumentsThatAreWellFormedAndShowNothingOfThem) {  // CFG-24
    const auto mistake = [](Value document) { return mistake_in({{"destinationXml", std::move(document)}}); };
    EXPECT_EQ(mistake(domain), "none");
    const std::string expected =
        "configuration.destinationXml: expected the XML of a guest, as virsh dumpxml prints it, got ";
    EXPECT_EQ(mistake(3), expected + "3");
    EXPECT_EQ(mistake(""), expected + "text that is not well formed at line 1");
    EXPECT_EQ(mistake("secret"), expected + "text that is not well formed at line 1");
    EXPECT_EQ(mistake("<domain>\n<name>secret</domain>"), expected + "text that is not well formed at line 2");
    EXPECT_EQ(mistake("<network/>"), expected + "a document whose outermost element is not <domain>");
    EXPECT_EQ(mistake("<domain/><domain/>"), expected + "text that is not well formed at line 1");
    EXPECT_EQ(mistake("<!DOCTYPE domain [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><domain>&a;</domain>"),
              expected + "a document type at line 1");
    std::string deep;
    for (int i = 0; i < 1000; ++i) deep += "<domain>";
    EXPECT_NE(mistake(deep), "none");
    EXPECT_EQ(mistake("<domain>" + std::string(1 << 18, ' ') + "</domain>"),
              expected + "262161 bytes, more than 262144");
}

}  // namespace
}  // namespace vmmi
