// SPDX-License-Identifier: Apache-2.0
#include "app/progress_bar.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <cstdint>
#include <string>

#include "system/bar.h"

namespace vmmi::app {
namespace {

double mebi(std::uint64_t count) {
    return static_cast<double>(count) / (1 << 20);
}

std::int64_t seconds(Milliseconds time) {
    return (time.count() + 999) / 1000;
}

/// "  ETA 9 s (8 to 12)"
std::string eta(const Eta& eta) {
    return fmt::format("  ETA {} s ({} to {})", seconds(eta.expected), seconds(eta.earliest),
                       eta.latest ? std::to_string(seconds(*eta.latest)) : "?");
}

std::string numbers(const Status& status) {
    std::string text = fmt::format("{:3}%  {}", status.progress_percent, to_string(status.phase));
    if (status.iteration > 0) text += fmt::format("  pass {}", status.iteration);
    if (status.total.count > 0) text += fmt::format("  {:.0f} MiB left", mebi(status.remaining.count));
    if (status.phase == Phase::storage) text += fmt::format("  {:.0f} MiB left", mebi(status.disk_remaining.count));
    if (status.bandwidth.count > 0) text += fmt::format("  {:.0f} MiB/s", mebi(status.bandwidth.count));
    if (status.dirty_rate.count > 0) text += fmt::format("  dirty {:.0f} MiB/s", mebi(status.dirty_rate.count));
    if (status.downtime_limit) text += fmt::format("  limit {} ms", status.downtime_limit->count());
    if (status.throttle_percent) text += fmt::format("  throttle {}%", *status.throttle_percent);
    if (status.eta) text += eta(*status.eta);
    return text;
}

}  // namespace

std::string progress_line(const Status& status, int width) {
    return system::with_bar(numbers(status), status.progress_percent, width);
}

ProgressBar::ProgressBar() : terminal_(::open("/dev/tty", O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) {}

int ProgressBar::width() const {
    winsize size{};
    constexpr int usual = 80;
    return ::ioctl(terminal_.get(), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : usual;
}

void ProgressBar::draw(const Status& status) {
    if (!terminal_) return;
    constexpr const char* erase_to_end_of_line = "\x1b[K";
    drawn_ = system::write_all(terminal_.get(), "\r" + progress_line(status, width()) + erase_to_end_of_line);
}

void ProgressBar::finish() {
    if (drawn_) system::write_all(terminal_.get(), "\r\n");
}

}  // namespace vmmi::app
