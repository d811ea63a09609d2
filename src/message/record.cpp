// SPDX-License-Identifier: Apache-2.0
#include "message/record.h"

#include <limits>

#include "message/json.h"
#include "vmmi/settings.h"

namespace vmmi::message {
namespace {

constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max() / 1'000'000;  // of ms, as ns still a number

std::vector<Key> keys() {
    return {
        text_key("plugin", nullptr, ""),
        text_key("uuid", nullptr, ""),
        integer_key("startedMs", nullptr, {0, most}, ""),
        text_key("destinationUri", nullptr, ""),
        text_key("migrationUri", nullptr, ""),
        object_key(
            "request",
            {boolean_key("live", true, ""),
             integer_key("bandwidthBytesPerSecond", nullptr, {0, std::numeric_limits<std::int64_t>::max()}, ""),
             integer_key("downtimeLimitMs", nullptr, {0, most}, ""), boolean_key("postcopy", false, ""),
             integer_key("postcopyBandwidthBytesPerSecond", 0, {0, std::numeric_limits<std::int64_t>::max()}, ""),
             boolean_key("tls", false, ""), text_key("tlsDestination", nullptr, ""),
             boolean_key("persistDestination", false, ""), boolean_key("undefineSource", false, ""),
             text_key("destinationName", nullptr, ""), text_key("listenAddress", nullptr, "")},
            ""),
        integer_key("originalDowntimeLimitMs", nullptr, {0, most}, ""),
        integer_key("pauseEndsMs", nullptr, {0, most}, ""),
    };
}

std::int64_t since_boot(std::chrono::steady_clock::time_point time) {
    return std::chrono::duration_cast<Milliseconds>(time.time_since_epoch()).count();
}

Object write_request(const MigrationRequest& request) {
    Object object{{"live", request.live},
                  {"bandwidthBytesPerSecond", request.bandwidth.count},
                  {"postcopy", request.postcopy},
                  {"postcopyBandwidthBytesPerSecond", request.postcopy_bandwidth.count},
                  {"tls", request.tls},
                  {"persistDestination", request.persist_destination},
                  {"undefineSource", request.undefine_source}};
    if (request.downtime_limit) object.set("downtimeLimitMs", std::int64_t{request.downtime_limit->count()});
    const auto set = [&](const char* name, const std::string& text) {
        if (!text.empty()) object.set(name, text);
    };
    set("tlsDestination", request.tls_destination);
    set("destinationName", request.destination_name);
    set("listenAddress", request.listen_address);
    return object;
}

std::optional<Milliseconds> milliseconds(std::optional<std::int64_t> count) {
    if (!count) return std::nullopt;
    return Milliseconds(*count);
}

}  // namespace

std::string write_record(const MigrationRecord& record) {
    Object object{{"plugin", record.plugin}, {"uuid", record.uuid}, {"startedMs", since_boot(record.started)}};
    if (record.destination_uri) object.set("destinationUri", *record.destination_uri);
    if (record.migration_uri) object.set("migrationUri", *record.migration_uri);
    if (record.request) object.set("request", write_request(*record.request));
    if (record.original_downtime_limit)
        object.set("originalDowntimeLimitMs", std::int64_t{record.original_downtime_limit->count()});
    if (record.pause_ends) object.set("pauseEndsMs", since_boot(*record.pause_ends));
    return to_json(object);
}

std::optional<MigrationRecord> read_record(std::string_view text) {
    const Result<Object> object = parse_json(text);
    if (!object) return std::nullopt;
    const Result<Settings> settings = apply_keys(keys(), *object, "record");
    if (!settings) return std::nullopt;
    const std::optional<std::string> uuid = settings->optional_text("uuid");
    const std::optional<std::string> plugin = settings->optional_text("plugin");
    const std::optional<std::int64_t> started = settings->optional_integer("startedMs");
    if (!uuid || !plugin || !started) return std::nullopt;

    MigrationRecord record{
        .plugin = *plugin,
        .uuid = *uuid,
        .started = std::chrono::steady_clock::time_point(Milliseconds(*started)),
        .destination_uri = settings->optional_text("destinationUri"),
        .migration_uri = settings->optional_text("migrationUri"),
        .original_downtime_limit = milliseconds(settings->optional_integer("originalDowntimeLimitMs"))};
    if (object->find("request") != nullptr) {
        MigrationRequest request;
        request.live = settings->boolean("request.live");
        request.bandwidth = {
            static_cast<std::uint64_t>(settings->optional_integer("request.bandwidthBytesPerSecond").value_or(0))};
        request.downtime_limit = milliseconds(settings->optional_integer("request.downtimeLimitMs"));
        request.postcopy = settings->boolean("request.postcopy");
        request.postcopy_bandwidth = {
            static_cast<std::uint64_t>(settings->integer("request.postcopyBandwidthBytesPerSecond"))};
        request.tls = settings->boolean("request.tls");
        request.tls_destination = settings->optional_text("request.tlsDestination").value_or("");
        request.persist_destination = settings->boolean("request.persistDestination");
        request.undefine_source = settings->boolean("request.undefineSource");
        request.destination_name = settings->optional_text("request.destinationName").value_or("");
        request.listen_address = settings->optional_text("request.listenAddress").value_or("");
        record.request = std::move(request);
    }
    if (const auto ends = milliseconds(settings->optional_integer("pauseEndsMs")))
        record.pause_ends = std::chrono::steady_clock::time_point(*ends);
    return record;
}

}  // namespace vmmi::message
