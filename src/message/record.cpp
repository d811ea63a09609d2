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
        object_key("request",
                   {boolean_key("live", true, ""),
                    integer_key("bandwidthBytesPerSecond", nullptr, {0, std::numeric_limits<std::int64_t>::max()}, ""),
                    integer_key("downtimeLimitMs", nullptr, {0, most}, "")},
                   ""),
        integer_key("originalDowntimeLimitMs", nullptr, {0, most}, ""),
    };
}

std::optional<Milliseconds> milliseconds(std::optional<std::int64_t> count) {
    if (!count) return std::nullopt;
    return Milliseconds(*count);
}

}  // namespace

std::string write_record(const MigrationRecord& record) {
    const auto since_boot = std::chrono::duration_cast<Milliseconds>(record.started.time_since_epoch());
    Object object{{"plugin", record.plugin}, {"uuid", record.uuid}, {"startedMs", std::int64_t{since_boot.count()}}};
    if (record.destination_uri) object.set("destinationUri", *record.destination_uri);
    if (record.migration_uri) object.set("migrationUri", *record.migration_uri);
    if (record.request) {
        Object request{{"live", record.request->live}, {"bandwidthBytesPerSecond", record.request->bandwidth.count}};
        if (record.request->downtime_limit)
            request.set("downtimeLimitMs", std::int64_t{record.request->downtime_limit->count()});
        object.set("request", std::move(request));
    }
    if (record.original_downtime_limit)
        object.set("originalDowntimeLimitMs", std::int64_t{record.original_downtime_limit->count()});
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
        record.request = request;
    }
    return record;
}

}  // namespace vmmi::message
