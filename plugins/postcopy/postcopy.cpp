// SPDX-License-Identifier: Apache-2.0
#include "postcopy.h"

#include <fmt/format.h>
#include <vmmi/downtime_limits.h>
#include <vmmi/explain.h>
#include <vmmi/migration_keys.h>

#include <utility>

namespace postcopy {

using namespace vmmi;

Postcopy::Postcopy(Options options)
    : request_(std::move(options.request)), storage_(options.storage), guardian_(options.guardian) {
    forecaster_.limit_bandwidth(request_.bandwidth);
}

MigrationRequest Postcopy::plan(const Guest& guest) {
    // A guest that stands still writes nothing that would have to cross twice, and libvirt has no post-copy for it.
    possible_ = !guest.paused;
    MigrationRequest request = request_;
    request.postcopy = possible_;
    return request;
}

std::vector<Action> Postcopy::adopt(const Guest& guest, const Sample& now) {
    possible_ = !guest.paused;
    return Policy::adopt(guest, now);
}

std::vector<Action> Postcopy::decide(const Sample& sample) {
    if (std::optional<Action> action = storage_.decide(sample)) return {std::move(*action)};
    if (sample.phase == Phase::storage) return {};
    if (sample.phase != Phase::precopy) return guardian_.decide(sample);
    forecaster_.add(sample);
    if (!possible_ || sample.total.count == 0 || switch_.under_way(sample)) return {};
    return switch_.order(sample, forecaster_.network(),
                         fmt::format("from the start, so that each page crosses the link once; {} are left",
                                     in_words(sample.remaining)));
}

bool Postcopy::guards(const Sample&) {
    return !guardian_.gave_up();
}

namespace {

std::vector<Key> keys() {
    std::vector<Key> keys{
        integer_key("downtimeMs", 300, {1, longest_downtime},
                    "downtime limit of a guest that is paused, which is migrated without post-copy"),
        object_key("postcopy", {postcopy_bandwidth_key()}, "post-copy"),
        recovery_key(),
    };
    for (Key& key : migration_keys()) keys.push_back(std::move(key));
    return keys;
}

Result<std::unique_ptr<Policy>> make(const Settings& settings) {
    Result<MigrationRequest> request = request_with_postcopy(settings);
    if (!request) return fail(request.error());
    request->downtime_limit = Milliseconds(settings.integer("downtimeMs"));
    return std::make_unique<Postcopy>(Postcopy::Options{
        .request = std::move(*request), .guardian = Guardian(settings), .storage = StorageBudget(settings)});
}

}  // namespace

Plugin plugin() {
    return {
        .name = "postcopy",
        .version = VMMI_PLUGIN_VERSION,
        .summary = "live migration by post-copy from the start, resumed where it breaks: the shortest way",
        .keys = keys(),
        .make_policy = make,
    };
}

}  // namespace postcopy
