// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <fmt/format.h>
#include <vmmi/downtime_limits.h>

#include <algorithm>
#include <charconv>

namespace schedule {

using namespace vmmi;

namespace {

constexpr std::int64_t longest_pause = 3'600'000;    // ms
constexpr std::int64_t fastest = 8'796'093'022'207;  // MiB/s that libvirt can express
constexpr std::int64_t longest_time = 604'800;       // seconds

Key action_key(std::vector<std::string> names) {
    return object_key(
        "action",
        {choice_key("name", nullptr, std::move(names), "what to do"),
         list_key("params", text_key("param", nullptr, "number"),
                  "one number as a string: setDowntime in ms, setBandwidth in MiB/s, pause in ms at most; else none")},
        "what to do");
}

Key condition_keys() {
    return object_key("when",
                      {integer_key("elapsedSeconds", nullptr, {0, longest_time}, "so long after the migration began"),
                       integer_key("elapsedSecondsPerGiB", nullptr, {1, 86'400},
                                   "the same for every GiB of guest memory, for at least one GiB"),
                       integer_key("stalledSeconds", nullptr, {0, longest_time},
                                   "no progress for longer than that; progressPercent says what progress is"),
                       integer_key("pauseAboveMs", nullptr, {1, longest_downtime},
                                   "what the last pass began with needs a longer pause"),
                       integer_key("forecastAboveMs", nullptr, {1, longest_downtime},
                                   "the forecast says that so long a pause will never do")},
                      "conditions, all of which have to hold");
}

Value action(const char* name, List params = {}) {
    return Object{{"name", name}, {"params", std::move(params)}};
}

Value step(int limit, Value action) {
    return Object{{"limit", limit}, {"action", std::move(action)}};
}

Error malformed(std::string details) {
    return {ErrorCode::malformed_configuration, "malformed configuration", std::move(details)};
}

/// The one parameter of an action.
Result<std::int64_t> parameter(const List& params, Range range, const char* unit, const std::string& place) {
    const std::string expected =
        fmt::format("a number of {} from {} to {}, as a string", unit, range.minimum, range.maximum);
    if (params.size() != 1)
        return fail(malformed(fmt::format("{}.params: expected {}, got {} items", place, expected, params.size())));
    const std::string& text = *params.front().get_if<std::string>();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < range.minimum || number > range.maximum)
        return fail(malformed(fmt::format("{}.params[0]: expected {}, got {}", place, expected, quote(text))));
    return number;
}

Result<What> what_from(const Settings& item, const std::string& place) {
    const std::optional<std::string> name = item.optional_text("name");
    if (!name)
        return fail(malformed(fmt::format("{}.name: missing; name what is to be done, such as \"abort\"", place)));
    const List& params = item.list("params");
    if (*name == "setDowntime") {
        return parameter(params, {1, longest_downtime}, "ms", place).map([](std::int64_t number) -> What {
            return SetDowntimeLimit{Milliseconds(number)};
        });
    }
    if (*name == "setBandwidth") {
        return parameter(params, {0, fastest}, "MiB/s", place).map([](std::int64_t number) -> What {
            return SetBandwidth{mebibytes_per_second(static_cast<std::uint64_t>(number))};
        });
    }
    if (*name == "pause") {
        return parameter(params, {1, longest_pause}, "ms", place).map([](std::int64_t number) -> What {
            return PauseGuest{Milliseconds(number)};
        });
    }
    if (!params.empty()) {
        return fail(
            malformed(fmt::format("{}.params: {} takes none, got {}; leave them out", place, *name, params.size())));
    }
    return *name == "postcopy" ? What(StartPostCopy{}) : What(AbortMigration{});
}

Settings inside(const Value& item) {
    return Settings(*item.get_if<Object>());
}

Settings inside(const Settings& item, const char* name) {
    return inside(*item.values().find(name));
}

template <typename T>
bool is(const What& what) {
    return std::holds_alternative<T>(what);
}

Result<std::vector<What>> init_from(const List& items, const std::string& place) {
    std::vector<What> all;
    for (std::size_t i = 0; i < items.size(); ++i) {
        Result<What> what = what_from(inside(items[i]), fmt::format("{}[{}]", place, i));
        if (!what) return fail(what.error());
        all.push_back(*what);
    }
    return all;
}

/// Why the last step cannot stand behind the ones before it.
std::optional<Error> misplaced(const std::vector<Step>& steps, const std::string& place) {
    const Step& last = steps.back();
    const std::size_t index = steps.size() - 1;
    for (std::size_t i = 0; i < index; ++i) {
        if (is<AbortMigration>(steps[i].what)) {
            return malformed(
                fmt::format("{}[{}].action.name: stands behind the abort of {}[{}] and would never be "
                            "done; remove it, or abort last",
                            place, index, place, i));
        }
        const bool twice = (is<StartPostCopy>(last.what) && is<StartPostCopy>(steps[i].what)) ||
                           (is<PauseGuest>(last.what) && is<PauseGuest>(steps[i].what));
        if (twice) {
            return malformed(fmt::format("{}[{}].action.name: \"{}\" once more, after that of {}[{}]; remove one",
                                         place, index, is<PauseGuest>(last.what) ? "pause" : "postcopy", place, i));
        }
        if (last.limit >= 0 && last.limit < steps[i].limit) {
            return malformed(fmt::format("{}[{}].limit: {} is below the {} of {}[{}]; order the items by their limits",
                                         place, index, last.limit, steps[i].limit, place, i));
        }
    }
    return std::nullopt;
}

Result<std::vector<Step>> stalling_from(const List& items, const std::string& place) {
    std::vector<Step> all;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string here = fmt::format("{}[{}]", place, i);
        const Settings item = inside(items[i]);
        const std::optional<std::int64_t> limit = item.optional_integer("limit");
        if (!limit) return fail(malformed(here + ".limit: missing; give a number of passes, or -1 for the next one"));
        Result<What> what = what_from(inside(item, "action"), here + ".action");
        if (!what) return fail(what.error());
        all.push_back({static_cast<int>(*limit), *what});
        if (std::optional<Error> error = misplaced(all, place)) return fail(std::move(*error));
    }
    return all;
}

std::optional<Milliseconds> duration(const Settings& settings, const char* name, int unit) {
    const std::optional<std::int64_t> number = settings.optional_integer(name);
    return number ? std::optional(Milliseconds(*number * unit)) : std::nullopt;
}

Result<std::vector<Rule>> rules_from(const List& items, const std::string& place) {
    std::vector<Rule> all;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string here = fmt::format("{}[{}]", place, i);
        const Settings item = inside(items[i]);
        const Settings when = inside(item, "when");
        Rule rule;
        rule.when.elapsed = duration(when, "elapsedSeconds", 1000);
        if (const auto seconds = when.optional_integer("elapsedSecondsPerGiB"))
            rule.when.elapsed_per_gibibyte = static_cast<int>(*seconds);
        rule.when.stalled = duration(when, "stalledSeconds", 1000);
        rule.when.pause_above = duration(when, "pauseAboveMs", 1);
        rule.when.forecast_above = duration(when, "forecastAboveMs", 1);
        if (!rule.when.any())
            return fail(malformed(here + ".when: no condition; give at least one, such as elapsedSeconds"));
        Result<What> what = what_from(inside(item, "action"), here + ".action");
        if (!what) return fail(what.error());
        rule.what = *what;
        all.push_back(rule);
    }
    return all;
}

}  // namespace

bool Schedule::has_postcopy() const {
    return std::ranges::any_of(stalling, &is<StartPostCopy>, &Step::what) ||
           std::ranges::any_of(rules, &is<StartPostCopy>, &Rule::what);
}

Key schedule_key() {
    const std::vector<std::string> limits{"setDowntime", "setBandwidth"};
    const std::vector<std::string> all_actions{"setDowntime", "setBandwidth", "postcopy", "pause", "abort"};
    Key key = object_key(
        "schedule",
        {list_key("init", action_key(limits), "done before the start: setDowntime, setBandwidth"),
         list_key("stalling",
                  object_key("item",
                             {integer_key("limit", nullptr, {-1, 1'000'000},
                                          "done when more passes than that began after the first one; -1: with the "
                                          "next pass"),
                              action_key(all_actions)},
                             "step"),
                  "steps, done in order where a pass begins, one in a monitorInterval; their limits rise"),
         list_key("rules", object_key("item", {condition_keys(), action_key(all_actions)}, "rule"),
                  "each done once, when its conditions hold; before stalling, and one at a look")},
        "what is done when");
    key.fallback =
        Object{{"init", List{action("setDowntime", {"100"})}},
               {"stalling", List{step(1, action("setDowntime", {"150"})), step(2, action("setDowntime", {"200"})),
                                 step(3, action("setDowntime", {"300"})), step(4, action("setDowntime", {"400"})),
                                 step(6, action("setDowntime", {"500"})), step(-1, action("abort"))}},
               {"rules", List{}}};
    return key;
}

Result<Schedule> schedule_from(const Settings& settings) {
    const std::string place = "configuration.schedule";
    Result<std::vector<What>> init = init_from(settings.list("schedule.init"), place + ".init");
    if (!init) return fail(init.error());
    Result<std::vector<Step>> stalling = stalling_from(settings.list("schedule.stalling"), place + ".stalling");
    if (!stalling) return fail(stalling.error());
    Result<std::vector<Rule>> rules = rules_from(settings.list("schedule.rules"), place + ".rules");
    if (!rules) return fail(rules.error());
    return Schedule{std::move(*init), std::move(*stalling), std::move(*rules)};
}

}  // namespace schedule
