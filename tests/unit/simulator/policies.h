// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "vmmi/simulator.h"

namespace vmmi::simulator::test {

constexpr Milliseconds operator""_ms(unsigned long long n) {
    return Milliseconds(static_cast<std::int64_t>(n));
}
constexpr Milliseconds operator""_s(unsigned long long n) {
    return Milliseconds(static_cast<std::int64_t>(1000 * n));
}

/// Starts as it is told and answers what the test gives it; nothing by default.
class Told : public Policy {
  public:
    using Answer = std::function<std::vector<Action>(const Sample&)>;

    explicit Told(MigrationRequest request = {}, Answer answer = {}) : request_(request), answer_(std::move(answer)) {}

    MigrationRequest plan(const Guest&) override { return request_; }
    std::vector<Action> decide(const Sample& sample) override {
        return answer_ ? answer_(sample) : std::vector<Action>{};
    }
    bool guards(const Sample&) override { return stays; }

    bool stays = false;  ///< with a broken post-copy

  private:
    MigrationRequest request_;
    Answer answer_;
};

/// Does it once, with the first sample at that time or later.
inline Told::Answer once_at(Milliseconds time, Action action) {
    return [time, action = std::optional(std::move(action))](const Sample& sample) mutable -> std::vector<Action> {
        if (!action || sample.elapsed < time) return {};
        return {*std::exchange(action, std::nullopt)};
    };
}

inline Report run(const Scenario& scenario, MigrationRequest request = {}, Told::Answer answer = {}) {
    request.postcopy = request.postcopy || scenario.features.postcopy;
    Told policy(request, std::move(answer));
    return simulate(policy, scenario).value();
}

/// A guest of 4 GiB that rewrites a part of it, over a link of 100 MiB/s without anything that blurs the arithmetic.
inline Scenario plain(std::vector<WorkingSet> sets = {}) {
    Scenario scenario;
    scenario.working_sets = std::move(sets);
    scenario.link = {.bandwidth = mebibytes_per_second(100), .latency = std::chrono::microseconds(0), .buffers = {}};
    scenario.delays.preparation = 0_ms;
    return scenario;
}

inline double mebi(Bytes amount) {
    return static_cast<double>(amount.count) / (1 << 20);
}
inline double seconds(Milliseconds time) {
    return std::chrono::duration<double>(time).count();
}

}  // namespace vmmi::simulator::test
