// SPDX-License-Identifier: Apache-2.0
#include "vmmi/explain.h"

#include <fmt/format.h>

#include <vector>

#include "policy/numbers.h"

namespace vmmi {

using namespace policy;

namespace {

/// Below it an answer is no more than likely.
constexpr double even = 0.5;

struct Unit {
    double size;
    const char* name;
};

/// In the largest unit of which it is at least one, with three digits.
std::string measured(double number, std::initializer_list<Unit> units) {
    const Unit* unit = units.begin();
    for (const Unit& larger : units)
        if (round_off(number / larger.size, 3) >= 1) unit = &larger;
    return fmt::format("{:.12g} {}", round_off(number / unit->size, 3), unit->name);
}

std::string listed(const std::vector<std::string>& items) {
    std::string text;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) text += items.size() > 2 ? ", " : " ";
        if (i > 0 && i + 1 == items.size()) text += "or ";
        text += items[i];
    }
    return text;
}

std::string in_percent(double share) {
    return fmt::format("{:.0f} %", 100.0 * share);
}

std::string how_sure(const Forecast& forecast, double confidence) {
    return forecast.basis() == Forecast::Basis::window_minimum
               ? fmt::format("the load changes, the quietest pass counts; confidence {}", in_percent(confidence))
               : fmt::format("confidence {}", in_percent(confidence));
}

std::string never_meets(const Forecast& forecast, Milliseconds limit, double confidence,
                        const Alternatives& alternatives) {
    const Milliseconds fixed_part = milliseconds(forecast.model().fixed_part);
    if (limit <= fixed_part)
        return fmt::format("cannot meet {}: the switchover alone takes {}", in_words(limit), in_words(fixed_part));
    const std::string text =
        fmt::format("{} {}: plateau {} at {}", confidence < even ? "may not meet" : "cannot meet", in_words(limit),
                    in_words(forecast.pause().value), in_words(forecast.bandwidth().value));
    std::vector<std::string> items;
    if (alternatives.limit) items.push_back(in_words(*alternatives.limit));
    if (alternatives.bandwidth) items.push_back(in_words(*alternatives.bandwidth));
    if (alternatives.throttle_percent) items.push_back(fmt::format("{} % throttle", *alternatives.throttle_percent));
    if (alternatives.postcopy) items.push_back("post-copy of " + in_words(*alternatives.postcopy));
    return text + (items.empty() ? "; nothing that is allowed would do" : "; feasible with " + listed(items));
}

}  // namespace

std::string explain(const Forecast& forecast, Milliseconds limit, const Alternatives& alternatives) {
    if (forecast.basis() == Forecast::Basis::nothing || forecast.model().bandwidth <= 0)
        return fmt::format("whether {} can be met is not known before the second pass", in_words(limit));
    const Reach reach = forecast.reach(limit);
    if (reach.never())
        return never_meets(forecast, limit, reach.confidence, alternatives) +
               fmt::format(" ({})", how_sure(forecast, reach.confidence));
    const std::string passes = *reach.passes == 0   ? "with this pass"
                               : *reach.passes == 1 ? "after 1 more pass"
                                                    : fmt::format("after {} more passes", *reach.passes);
    return fmt::format("{} {} {}, in {} ({} to {}; {})", reach.confidence < even ? "may meet" : "meets",
                       in_words(limit), passes, in_words(reach.expected), in_words(reach.low),
                       reach.high ? in_words(*reach.high) : "never", how_sure(forecast, reach.confidence));
}

std::string explain(const StallRule& stall) {
    if (!stall.lowest()) return "no second pass yet";
    return fmt::format("no pass began below {} of {} for {}", in_percent(stall.options().factor),
                       in_words(*stall.lowest()), in_words(stall.since_progress()));
}

std::string explain(const NetworkHealth& network) {
    std::string text = fmt::format("link {}: {} of {}", to_string(network.state()), in_words(network.rate()),
                                   in_words(network.average()));
    if (network.outage().count() > 0) text += fmt::format(", outages of {} in all", in_words(network.outage()));
    return text;
}

std::string in_words(Milliseconds duration) {
    const auto milliseconds = static_cast<double>(std::max<std::int64_t>(0, duration.count()));
    constexpr double minute = 60'000;
    if (milliseconds < 2 * minute) return measured(milliseconds, {{1, "ms"}, {1'000, "s"}});
    if (milliseconds < 120 * minute) return measured(milliseconds, {{minute, "min"}});
    return measured(milliseconds, {{60 * minute, "h"}});
}

std::string in_words(BytesPerSecond rate) {
    return measured(8 * in_bytes_per_second(rate), {{1e3, "kb/s"}, {1e6, "Mb/s"}, {1e9, "Gb/s"}});
}

std::string in_words(Bytes amount) {
    return measured(in_bytes(amount), {{1024, "KiB"}, {mebibyte, "MiB"}, {1024 * mebibyte, "GiB"}});
}

}  // namespace vmmi
