// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <utility>

#include "vmmi/explain.h"
#include "vmmi/migration_keys.h"
#include "vmmi/postcopy.h"

namespace vmmi {
namespace {

/// libvirt accepts post-copy at any time; where nothing follows for so long, it is asked again.
constexpr Milliseconds patience{30'000};
/// A link that moves is seen to, look by look.
constexpr Milliseconds standstill{500};

}  // namespace

Key postcopy_bandwidth_key() {
    constexpr std::int64_t fastest = 8'796'093'022'207;  // what libvirt can express
    return integer_key("bandwidthMiBPerSecond", 0, {0, fastest},
                       "cap on the traffic in post-copy, pages that the guest waits for excepted; 0 is none");
}

BytesPerSecond postcopy_bandwidth(const Settings& settings) {
    return mebibytes_per_second(static_cast<std::uint64_t>(settings.integer("postcopy.bandwidthMiBPerSecond")));
}

Result<MigrationRequest> request_with_postcopy(const Settings& settings) {
    Result<MigrationRequest> request = request_from(settings);
    if (!request) return request;
    if (request->tunnelled) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    "configuration.tunnelled: libvirt has no post-copy through a tunnel; leave it out, or use the "
                    "plugin precopy");
    }
    request->postcopy_bandwidth = postcopy_bandwidth(settings);
    return request;
}

std::optional<std::string> stands_still(const Sample& sample) {
    if (sample.standing_for <= standstill) return std::nullopt;
    return fmt::format("no memory has moved for {}", in_words(sample.standing_for));
}

bool PostCopySwitch::under_way(const Sample& sample) const {
    return ordered_at_ && sample.elapsed - *ordered_at_ < patience;
}

std::vector<Action> PostCopySwitch::order(const Sample& sample, const NetworkHealth& network, std::string why) {
    if (sample.postcopy_excluded) {
        if (std::exchange(told_, true)) return {};
        return {{Wait{}, std::move(why) + "; but the migration was started without post-copy: it goes on in pre-copy"}};
    }
    const std::optional<std::string> still = stands_still(sample);
    if (still || network.state() != NetworkHealth::State::healthy) {
        if (std::exchange(waits_for_link_, true)) return {};
        return {{Wait{}, fmt::format("{}; but not now: {}", why, still ? *still : explain(network))}};
    }
    waits_for_link_ = false;
    ordered_at_ = sample.elapsed;
    return {{StartPostCopy{}, std::move(why)}};
}

}  // namespace vmmi
