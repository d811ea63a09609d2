// SPDX-License-Identifier: Apache-2.0
#include "command/progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "system/bar.h"

namespace vmmi::command {
namespace {

std::string mebi(std::int64_t bytes) {
    constexpr double mebibyte = 1 << 20;
    return fmt::format("{:.0f} MiB", static_cast<double>(bytes) / mebibyte);
}

std::string eta(const vmmi_status& status) {
    if (status.eta_ms < 0) return {};
    const auto seconds = [](std::int64_t ms) {
        constexpr int to_seconds = 1000;
        return ms < 0 ? std::string("?") : std::to_string((ms + to_seconds - 1) / to_seconds);
    };
    std::string text = fmt::format("  ETA {} s", seconds(status.eta_ms));
    // Plugins of others may not tell.
    if (status.eta_earliest_ms >= 0)
        text += fmt::format(" ({} to {})", seconds(status.eta_earliest_ms), seconds(status.eta_latest_ms));
    return text;
}

}  // namespace

std::string numbers(const vmmi_status& status) {
    std::string text = fmt::format("{:3}%  {}", std::max(status.progress_percent, 0), status.phase);
    if (status.iteration > 0) text += fmt::format("  pass {}", status.iteration);
    const bool disks = std::string_view(status.phase) == "storage";
    if (disks && status.disk_remaining_bytes >= 0) text += fmt::format("  {} left", mebi(status.disk_remaining_bytes));
    if (!disks && status.total_bytes > 0 && status.remaining_bytes >= 0)
        text += fmt::format("  {} left", mebi(status.remaining_bytes));
    if (status.bandwidth_bytes_per_second > 0) text += fmt::format("  {}/s", mebi(status.bandwidth_bytes_per_second));
    if (status.dirty_rate_bytes_per_second > 0)
        text += fmt::format("  dirty {}/s", mebi(status.dirty_rate_bytes_per_second));
    if (status.downtime_limit_ms >= 0) text += fmt::format("  limit {} ms", status.downtime_limit_ms);
    if (status.throttle_percent >= 0) text += fmt::format("  throttle {}%", status.throttle_percent);
    text += eta(status);
    return text;
}

std::string bar(const vmmi_status& status, int width) {
    return system::with_bar(numbers(status), status.progress_percent, width);
}

std::string summary(const vmmi_result& result) {
    std::string text = "migrated";
    constexpr double second = 1000;
    if (result.total_time_ms >= 0)
        text += fmt::format(" in {:.1f} s", static_cast<double>(result.total_time_ms) / second);
    if (result.downtime_ms >= 0) text += fmt::format(", downtime {} ms", result.downtime_ms);
    const std::int64_t lost = std::max<std::int64_t>(result.work_lost_throttle_ms, 0) +
                              std::max<std::int64_t>(result.work_lost_pause_ms, 0) +
                              std::max<std::int64_t>(result.work_lost_postcopy_ms, 0);
    if (result.work_lost_pause_ms >= 0) text += fmt::format(", work lost {} ms", lost);
    if (result.iterations > 0) text += fmt::format(", {} passes", result.iterations);
    if (result.transferred_bytes > 0) text += fmt::format(", {} sent", mebi(result.transferred_bytes));
    return text;
}

std::string json_string(const std::string& text) {
    std::string json = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\')
            json += {'\\', c};
        else if (static_cast<unsigned char>(c) < 0x20)
            json += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
        else
            json += c;
    }
    return json + '"';
}

}  // namespace vmmi::command
