// SPDX-License-Identifier: Apache-2.0
#include "core/contradictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "core/describe.h"
#include "core/uri.h"

namespace vmmi {
namespace {

using Request = MigrationRequest;

/// Two places of which the one needs or excludes the other. Sources: the checks of libvirt's qemu_migration.c and
/// qemu_migration_params.c, and of QEMU's migration/options.c.
struct Pair {
    enum class Relation { needs, excludes };

    const char* key;
    Relation relation;
    const char* other;
    const char* because;
    bool (*found)(const Request&);
};
constexpr Pair::Relation needs = Pair::Relation::needs;
constexpr Pair::Relation excludes = Pair::Relation::excludes;

bool parallel(const Request& r) {
    return r.parallel_connections > 0;
}
bool copies_storage(const Request& r) {
    return r.storage.mode != StorageCopy::Mode::none;
}
bool compresses_apart(const Request& r) {
    return compresses_with(r, "xbzrle") || compresses_with(r, "mt");
}
bool compresses_parallel(const Request& r) {
    return compresses_with(r, "zlib") || compresses_with(r, "zstd");
}

const Pair pairs[]{
    {"zeroCopy", needs, "parallel.connections", "QEMU sends without a copy over parallel connections alone",
     [](const Request& r) { return r.zero_copy && !parallel(r); }},
    {"zeroCopy", excludes, "tls.enabled", "what is encrypted is a copy",
     [](const Request& r) { return r.zero_copy && r.tls; }},
    {"zeroCopy", excludes, "compression.methods", "what is compressed is a copy",
     [](const Request& r) { return r.zero_copy && !r.compression.methods.empty(); }},
    {"compression.methods", excludes, "parallel.connections", "xbzrle and mt are made for the single connection",
     [](const Request& r) { return compresses_apart(r) && parallel(r); }},
    {"compression.methods", needs, "parallel.connections", "zlib and zstd are made for parallel connections",
     [](const Request& r) { return compresses_parallel(r) && !parallel(r); }},
    {"compression.methods: zlib", excludes, "compression.methods: zstd", "libvirt takes one of them",
     [](const Request& r) { return compresses_with(r, "zlib") && compresses_with(r, "zstd"); }},
    {"compression.methods: xbzrle", excludes, "compression.methods: mt", "QEMU takes one of them",
     [](const Request& r) { return compresses_with(r, "xbzrle") && compresses_with(r, "mt"); }},
    {"compression.xbzrle.cacheBytes", needs, "compression.methods: xbzrle", "it tunes that method",
     [](const Request& r) { return r.compression.xbzrle_cache && !compresses_with(r, "xbzrle"); }},
    {"compression.mt.level", needs, "compression.methods: mt", "it tunes that method",
     [](const Request& r) { return r.compression.mt_level && !compresses_with(r, "mt"); }},
    {"compression.mt.threads", needs, "compression.methods: mt", "it tunes that method",
     [](const Request& r) { return r.compression.mt_threads && !compresses_with(r, "mt"); }},
    {"compression.mt.dthreads", needs, "compression.methods: mt", "it tunes that method",
     [](const Request& r) { return r.compression.mt_dthreads && !compresses_with(r, "mt"); }},
    {"compression.zlib.level", needs, "compression.methods: zlib", "it tunes that method",
     [](const Request& r) { return r.compression.zlib_level && !compresses_with(r, "zlib"); }},
    {"compression.zstd.level", needs, "compression.methods: zstd", "it tunes that method",
     [](const Request& r) { return r.compression.zstd_level && !compresses_with(r, "zstd"); }},
    {"tls.destination", needs, "tls.enabled", "without TLS there is no certificate",
     [](const Request& r) { return !r.tls_destination.empty() && !r.tls; }},
    {"tunnelled", excludes, "parallel.connections", "a tunnel has one connection",
     [](const Request& r) { return r.tunnelled && parallel(r); }},
    {"tunnelled", excludes, "storage.mode", "libvirt copies no disks through a tunnel",
     [](const Request& r) { return r.tunnelled && copies_storage(r); }},
    {"tunnelled", excludes, "listenAddress", "QEMU does not listen at the end of a tunnel",
     [](const Request& r) { return r.tunnelled && !r.listen_address.empty(); }},
    {"tunnelled", excludes, "tls.enabled", "its handshake fails at the end of a tunnel",
     [](const Request& r) { return r.tunnelled && r.tls; }},
    {"tunnelled", excludes, "post-copy", "it needs a way back to the source",
     [](const Request& r) { return r.tunnelled && r.postcopy; }},
    {"post-copy", excludes, "compression.methods: mt", "QEMU takes one of them",
     [](const Request& r) { return r.postcopy && compresses_with(r, "mt"); }},
    {"post-copy", needs, "a live migration", "the guest runs on in it",
     [](const Request& r) { return r.postcopy && !r.live; }},
    {"storage.disks", needs, "storage.mode", "all or incremental says how they are copied",
     [](const Request& r) { return !r.storage.disks.empty() && !copies_storage(r); }},
    {"storage.uri", needs, "storage.mode", "all or incremental says what is copied there",
     [](const Request& r) { return !r.storage.uri.empty() && !copies_storage(r); }},
    {"storage.synchronousWrites", needs, "storage.mode", "without a copy there is nothing to write to",
     [](const Request& r) { return r.storage.synchronous_writes && !copies_storage(r); }},
    {"persistentXml", needs, "persistDestination", "without it the destination keeps no definition",
     [](const Request& r) { return !r.persistent_xml.empty() && !r.persist_destination; }},
};

std::string sentence(const Pair& pair, std::string_view prefix) {
    const bool lacks = pair.relation == needs;
    return fmt::format("{0}{1} {2} {0}{3}, since {4}; {5}", prefix, pair.key, lacks ? "needs" : "excludes", pair.other,
                       pair.because, lacks ? "give both, or neither" : "leave one of them out");
}

void add_what_is_there_twice(const std::vector<std::string>& list, const std::string& place,
                             std::vector<std::string>& found) {
    for (auto item = list.begin(); item != list.end(); ++item) {
        const auto first = std::find(list.begin(), item, *item);
        if (first != item)
            found.push_back(fmt::format("{0}[{1}]: {2} is at {0}[{3}] already; name it once", place,
                                        item - list.begin(), quote(*item), first - list.begin()));
    }
}

void add_values_out_of_place(const Request& request, std::string_view prefix, std::vector<std::string>& found) {
    if (const std::optional<Bytes> cache = request.compression.xbzrle_cache;
        cache && (!std::has_single_bit(cache->count) || cache->count < 4096))
        found.push_back(fmt::format("{}compression.xbzrle.cacheBytes: expected a power of two from 4096 on, got {}",
                                    prefix, cache->count));
    if (const std::string& uri = request.storage.uri; !uri.empty()) {
        const std::string scheme = parse_uri(uri).scheme;
        if (scheme != "tcp" && scheme != "unix")
            found.push_back(
                fmt::format("{}storage.uri: expected tcp://ADDRESS or unix:///PATH, got {}", prefix, quote(uri)));
    }
    if (request.destination_name.find('/') != std::string::npos)
        found.push_back(fmt::format("{}destinationName: expected a name without a slash, got {}", prefix,
                                    quote(request.destination_name)));
    // Of the 64 parameters that libvirt's protocol carries.
    if (constexpr std::size_t most = 40; request.storage.disks.size() > most)
        found.push_back(fmt::format("{}storage.disks: expected at most {}, got {}; leave it out where all are meant",
                                    prefix, most, request.storage.disks.size()));
    add_what_is_there_twice(request.storage.disks, fmt::format("{}storage.disks", prefix), found);
    add_what_is_there_twice(request.compression.methods, fmt::format("{}compression.methods", prefix), found);
}

}  // namespace

std::vector<std::string> contradictions(const MigrationRequest& request, std::string_view prefix) {
    std::vector<std::string> found;
    for (const Pair& pair : pairs) {
        if (pair.found(request)) found.push_back(sentence(pair, prefix));
    }
    add_values_out_of_place(request, prefix, found);
    return found;
}

bool compresses_with(const MigrationRequest& request, std::string_view method) {
    return std::ranges::find(request.compression.methods, method) != request.compression.methods.end();
}

}  // namespace vmmi
