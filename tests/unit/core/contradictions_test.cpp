// SPDX-License-Identifier: Apache-2.0
#include "core/contradictions.h"

#include <gtest/gtest.h>

#include <functional>

namespace vmmi {
namespace {

using Mode = StorageCopy::Mode;

struct Case {
    const char* beginning;  ///< of the one contradiction that there is; empty: there is none
    std::function<void(MigrationRequest&)> change;
};

void compress(MigrationRequest& r, std::vector<std::string> methods, int connections = 0) {
    r.compression.methods = std::move(methods);
    r.parallel_connections = connections;
}

const std::vector<Case>& cases() {
    using Request = MigrationRequest;
    static const std::vector<Case> all{
        {"", [](Request&) {}},
        {"zeroCopy needs parallel.connections, since", [](Request& r) { r.zero_copy = true; }},
        {"zeroCopy excludes tls.enabled",
         [](Request& r) {
             r.zero_copy = r.tls = true;
             r.parallel_connections = 1;
         }},
        {"zeroCopy excludes compression.methods",
         [](Request& r) {
             r.zero_copy = true;
             compress(r, {"zstd"}, 2);
         }},
        {"", [](Request& r) { compress(r, {"xbzrle"}); }},
        {"", [](Request& r) { compress(r, {"mt"}); }},
        {"", [](Request& r) { compress(r, {"zlib"}, 2); }},
        {"compression.methods excludes parallel.connections", [](Request& r) { compress(r, {"xbzrle"}, 2); }},
        {"compression.methods excludes parallel.connections", [](Request& r) { compress(r, {"mt"}, 2); }},
        {"compression.methods needs parallel.connections", [](Request& r) { compress(r, {"zlib"}); }},
        {"compression.methods: zlib excludes compression.methods: zstd",
         [](Request& r) {
             compress(r, {"zlib", "zstd"}, 2);
         }},
        {"compression.methods: xbzrle excludes compression.methods: mt",
         [](Request& r) {
             compress(r, {"mt", "xbzrle"});
         }},
        {"compression.methods[1]: \"mt\" is at compression.methods[0] already; name it once",
         [](Request& r) {
             compress(r, {"mt", "mt"});
         }},
        {"compression.xbzrle.cacheBytes needs compression.methods: xbzrle, since it tunes that method; give both, or "
         "neither",
         [](Request& r) { r.compression.xbzrle_cache = mebibytes(64); }},
        {"compression.mt.level needs", [](Request& r) { r.compression.mt_level = 1; }},
        {"compression.mt.threads needs", [](Request& r) { r.compression.mt_threads = 1; }},
        {"compression.mt.dthreads needs", [](Request& r) { r.compression.mt_dthreads = 1; }},
        {"compression.zlib.level needs", [](Request& r) { r.compression.zlib_level = 1; }},
        {"compression.zstd.level needs", [](Request& r) { r.compression.zstd_level = 1; }},
        {"",
         [](Request& r) {
             compress(r, {"xbzrle"});
             r.compression.xbzrle_cache = mebibytes(64);
         }},
        {"compression.xbzrle.cacheBytes: expected a power of two from 4096 on, got 65537",
         [](Request& r) {
             compress(r, {"xbzrle"});
             r.compression.xbzrle_cache = Bytes{65537};
         }},
        {"compression.xbzrle.cacheBytes: expected a power of two from 4096 on, got 2048",
         [](Request& r) {
             compress(r, {"xbzrle"});
             r.compression.xbzrle_cache = Bytes{2048};
         }},
        {"tls.destination needs tls.enabled", [](Request& r) { r.tls_destination = "b"; }},
        {"",
         [](Request& r) {
             r.tls = true;
             r.tls_destination = "b";
         }},
        {"tunnelled excludes parallel.connections, since a tunnel has one connection; leave one of them out",
         [](Request& r) {
             r.tunnelled = true;
             r.parallel_connections = 2;
         }},
        {"tunnelled excludes storage.mode",
         [](Request& r) {
             r.tunnelled = true;
             r.storage.mode = Mode::incremental;
         }},
        {"tunnelled excludes listenAddress",
         [](Request& r) {
             r.tunnelled = true;
             r.listen_address = "::";
         }},
        {"tunnelled excludes tls.enabled", [](Request& r) { r.tunnelled = r.tls = true; }},
        {"tunnelled excludes post-copy", [](Request& r) { r.tunnelled = r.postcopy = true; }},
        {"post-copy excludes compression.methods: mt",
         [](Request& r) {
             r.postcopy = true;
             compress(r, {"mt"});
         }},
        {"post-copy needs a live migration",
         [](Request& r) {
             r.postcopy = true;
             r.live = false;
         }},
        {"storage.disks needs storage.mode", [](Request& r) { r.storage.disks = {"vda"}; }},
        {"storage.uri needs storage.mode", [](Request& r) { r.storage.uri = "tcp://b"; }},
        {"storage.synchronousWrites needs storage.mode", [](Request& r) { r.storage.synchronous_writes = true; }},
        {"",
         [](Request& r) {
             r.storage = {Mode::all, {"vda", "vdb"}, "tcp://b:1", true};
         }},
        {"",
         [](Request& r) {
             r.storage = {Mode::all, {}, "unix:///b", true};
         }},
        {"storage.uri: expected tcp://ADDRESS or unix:///PATH, got \"nbd://b\"",
         [](Request& r) {
             r.storage = {Mode::all, {}, "nbd://b", false};
         }},
        {"storage.disks[2]: \"vda\" is at storage.disks[0] already; name it once",
         [](Request& r) {
             r.storage = {Mode::all, {"vda", "vdb", "vda"}, "", false};
         }},
        {"storage.disks: expected at most 40, got 41",
         [](Request& r) {
             r.storage.mode = Mode::all;
             for (int i = 0; i < 41; ++i) r.storage.disks.push_back(std::to_string(i));
         }},
        {"persistentXml needs persistDestination", [](Request& r) { r.persistent_xml = "<domain/>"; }},
        {"destinationName: expected a name without a slash, got \"a/b\"",
         [](Request& r) { r.destination_name = "a/b"; }},
    };
    return all;
}

TEST(Contradictions, AreThoseOfTheTable) {
    for (const Case& c : cases()) {
        MigrationRequest request;
        c.change(request);
        const std::vector<std::string> found = contradictions(request, "");
        const bool expected = *c.beginning != '\0';
        ASSERT_EQ(found.size(), expected ? 1U : 0U) << c.beginning << (found.empty() ? "" : ": " + found.back());
        if (!expected) continue;
        EXPECT_TRUE(found.front().starts_with(c.beginning)) << found.front();
    }
}

TEST(Contradictions, NameBothPlaces) {
    const std::vector<std::string> found =
        contradictions({.zero_copy = true, .tls_destination = "b"}, "configuration.");
    ASSERT_EQ(found.size(), 2U);
    EXPECT_TRUE(found[0].starts_with("configuration.zeroCopy needs configuration.parallel.connections, "));
    EXPECT_TRUE(found[1].starts_with("configuration.tls.destination needs configuration.tls.enabled, "));
}

}  // namespace
}  // namespace vmmi
