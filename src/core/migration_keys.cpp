// SPDX-License-Identifier: Apache-2.0
#include "vmmi/migration_keys.h"

#include <fmt/format.h>

#include "core/contradictions.h"

namespace vmmi {
namespace {

constexpr std::int64_t fastest = 8'796'093'022'207;  // MiB/s that libvirt can express

Key auto_converge_keys() {
    return object_key(
        "autoConverge",
        {boolean_key("enabled", false, "QEMU slows down a guest that writes faster than its memory is sent"),
         integer_key("initialPercent", nullptr, {1, 99}, "share of the guest's time that is taken first"),
         integer_key("incrementPercent", nullptr, {1, 99}, "added as often as that is not enough")},
        "auto-converge");
}

Key compression_keys() {
    const Key method = choice_key("method", nullptr, {"xbzrle", "mt", "zlib", "zstd"}, "method");
    return object_key(
        "compression",
        {list_key("methods", method, "how memory is made smaller on its way; zlib and zstd need parallel connections"),
         object_key("xbzrle",
                    {integer_key("cacheBytes", nullptr, {4096, std::int64_t{1} << 40},
                                 "memory for pages as they were sent before, a power of two")},
                    "xbzrle"),
         object_key("mt",
                    {integer_key("level", nullptr, {0, 9}, "0 is none, 9 the smallest result"),
                     integer_key("threads", nullptr, {1, 255}, "threads that compress"),
                     integer_key("dthreads", nullptr, {1, 255}, "threads that decompress, at the destination")},
                    "mt"),
         object_key("zlib", {integer_key("level", nullptr, {0, 9}, "0 is none, 9 the smallest result")}, "zlib"),
         object_key("zstd", {integer_key("level", nullptr, {0, 20}, "0 is none, 20 the smallest result")}, "zstd")},
        "compression");
}

Key storage_keys() {
    return object_key(
        "storage",
        {choice_key(
             "mode", "none", {"none", "all", "incremental"},
             "what is copied of disks that the hosts do not share: nothing, all, or what is above a backing file"),
         list_key(
             "disks", text_key("disk", nullptr, "target"),
             "targets of the disks to copy, such as vda; all but the shareable and the read-only where there is none"),
         text_key("uri", nullptr, "where the destination takes disks: tcp://ADDRESS[:PORT] or unix:///PATH"),
         boolean_key("synchronousWrites", false, "a write of the guest is done when both sides have it"),
         integer_key("secondsPerGiB", 150, {0, 86'400},
                     "time allowed for every GiB of the disks to copy, for at least one GiB; 0 is without end"),
         choice_key("action", "abort", {"abort", "continue"}, "what to do when that time is over")},
        "disks that the hosts do not share");
}

std::optional<int> number(const Settings& settings, std::string_view path) {
    const std::optional<std::int64_t> value = settings.optional_integer(path);
    return value ? std::optional(static_cast<int>(*value)) : std::nullopt;
}

std::vector<std::string> texts(const Settings& settings, std::string_view path) {
    std::vector<std::string> texts;
    for (const Value& item : settings.list(path)) texts.push_back(*item.get_if<std::string>());
    return texts;
}

Compression compression_from(const Settings& settings) {
    Compression compression;
    compression.methods = texts(settings, "compression.methods");
    if (const auto bytes = settings.optional_integer("compression.xbzrle.cacheBytes"))
        compression.xbzrle_cache = Bytes{static_cast<std::uint64_t>(*bytes)};
    compression.mt_level = number(settings, "compression.mt.level");
    compression.mt_threads = number(settings, "compression.mt.threads");
    compression.mt_dthreads = number(settings, "compression.mt.dthreads");
    compression.zlib_level = number(settings, "compression.zlib.level");
    compression.zstd_level = number(settings, "compression.zstd.level");
    return compression;
}

StorageCopy storage_from(const Settings& settings) {
    using Mode = StorageCopy::Mode;
    const std::string mode = settings.text("storage.mode");
    return {.mode = mode == "all"           ? Mode::all
                    : mode == "incremental" ? Mode::incremental
                                            : Mode::none,
            .disks = texts(settings, "storage.disks"),
            .uri = settings.optional_text("storage.uri").value_or(""),
            .synchronous_writes = settings.boolean("storage.synchronousWrites")};
}

Error malformed(std::string details) {
    return {ErrorCode::malformed_configuration, "malformed configuration", std::move(details)};
}

}  // namespace

std::vector<Key> migration_keys() {
    return {
        integer_key("bandwidthMiBPerSecond", 0, {0, fastest},
                    "cap on the migration's traffic while the guest runs; 0 leaves libvirt's own limit"),
        auto_converge_keys(),
        compression_keys(),
        object_key("parallel",
                   {integer_key("connections", 0, {0, 255},
                                "connections that carry memory at the same time; 0 is the usual single one")},
                   "parallel connections"),
        boolean_key("zeroCopy", false, "memory is sent without a copy of it; needs parallel connections"),
        object_key("tls",
                   {boolean_key("enabled", false, "memory and disks are encrypted on their way"),
                    text_key("destination", nullptr,
                             "name in the destination's certificate, where it is not that of MIGRATION-URI")},
                   "encryption"),
        boolean_key("tunnelled", false, "through the connection of the two daemons; MIGRATION-URI is not used"),
        storage_keys(),
        boolean_key("persistDestination", false, "the guest is defined at the destination"),
        boolean_key("undefineSource", false, "its definition at the source is removed after the migration"),
        text_key("destinationName", nullptr, "the guest's name at the destination"),
        domain_xml_key("destinationXml", "what the guest is to be like at the destination while it runs"),
        domain_xml_key("persistentXml", "what its definition at the destination is to be like"),
        text_key("listenAddress", nullptr, "where the destination's hypervisor listens"),
        text_key("graphicsUri", nullptr, "where viewers of the guest's display go: spice://ADDRESS:PORT"),
        boolean_key("abortOnError", false, "a failing disk of the guest ends the migration"),
        boolean_key("unsafe", false, "migrate although a disk's cache may lose data"),
    };
}

Result<MigrationRequest> request_from(const Settings& settings) {
    MigrationRequest request;
    request.bandwidth = mebibytes_per_second(static_cast<std::uint64_t>(settings.integer("bandwidthMiBPerSecond")));
    const AutoConverge tuned{number(settings, "autoConverge.initialPercent"),
                             number(settings, "autoConverge.incrementPercent")};
    if (settings.boolean("autoConverge.enabled")) {
        request.auto_converge = tuned;
    } else if (tuned.initial_percent || tuned.increment_percent) {
        return fail(
            malformed(fmt::format("configuration.autoConverge.{} needs configuration.autoConverge.enabled; "
                                  "give both, or neither",
                                  tuned.initial_percent ? "initialPercent" : "incrementPercent")));
    }
    request.compression = compression_from(settings);
    request.parallel_connections = static_cast<int>(settings.integer("parallel.connections"));
    request.zero_copy = settings.boolean("zeroCopy");
    request.tls = settings.boolean("tls.enabled");
    request.tls_destination = settings.optional_text("tls.destination").value_or("");
    request.tunnelled = settings.boolean("tunnelled");
    request.storage = storage_from(settings);
    request.persist_destination = settings.boolean("persistDestination");
    request.undefine_source = settings.boolean("undefineSource");
    request.destination_name = settings.optional_text("destinationName").value_or("");
    request.destination_xml = settings.optional_text("destinationXml").value_or("");
    request.persistent_xml = settings.optional_text("persistentXml").value_or("");
    request.listen_address = settings.optional_text("listenAddress").value_or("");
    request.graphics_uri = settings.optional_text("graphicsUri").value_or("");
    request.abort_on_error = settings.boolean("abortOnError");
    request.unsafe = settings.boolean("unsafe");
    if (std::vector<std::string> found = contradictions(request, "configuration."); !found.empty())
        return fail(malformed(std::move(found.front())));
    return request;
}

}  // namespace vmmi
