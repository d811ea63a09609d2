// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/migration.h"
#include "vmmi/network_health.h"
#include "vmmi/passes.h"
#include "vmmi/stall.h"

namespace vmmi {

/// A value and how far to trust it: 0 is a guess, 1 would be certainty.
template <typename T>
struct Estimate {
    T value{};
    double confidence = 0;
};

/// When a migration gets under a downtime limit.
struct Reach {
    std::optional<int> passes{};  ///< that still have to begin; nothing: never, as things are
    Bytes to_send{};              ///< on the wire until the end, the last pass included
    Milliseconds low{0};          ///< time until the end: if all goes well, …
    Milliseconds expected{0};
    std::optional<Milliseconds> high{};  ///< … and if not; nothing: it may never come to an end
    /// That it is never, or that it is not. Takes into account how far the dirty rate is from where the answer would
    /// turn: loads change by a factor within the minutes of a migration.
    /// On published traces hopeless loads reach 0.85 after three passes; loads that end by themselves stay below 0.7.
    double confidence = 0;

    bool never() const { return !passes; }
};

/// What would bring a migration under a limit; nothing where it cannot. A policy takes out what its user forbids.
struct Alternatives {
    std::optional<Milliseconds> limit{};        ///< instead of the one asked for
    std::optional<BytesPerSecond> bandwidth{};  ///< on the wire
    std::optional<int> throttle_percent{};      ///< in all, not in addition
    std::optional<Milliseconds> postcopy{};     ///< how long it would take from now
};

/// What is to be expected of a migration, and what would change if something else did. A value: nothing in it moves.
///
/// The model is the writable working set (Clark et al., "Live Migration of Virtual Machines", NSDI 2005) with writes
/// that fall on its pages at random (the occupancy problem): of a working set of W bytes, written at d bytes/s,
///
///     f(T) = W·(1 − exp(−d·T/W))
///
/// are dirty after T seconds. Pass i moves R_i bytes in T_i = c·R_i/b seconds, so R_{i+1} = f(T_i). Where d·c < b, R_i
/// shrinks to zero; else it comes to stand at the plateau R* = f(c·R*/b). b is the bandwidth on the wire; c is what a
/// byte of memory costs there, one without compression: where xbzrle shrinks the pages, the measured time of a pass
/// counts, not R/b. Auto-converge takes away a share of the guest's time: d is the unthrottled rate × (1 − throttle).
///
/// The guest's pause is R/b plus a fixed part (the state of devices, the switch itself), 30 to 200 ms. Every `limit`
/// here is what that whole pause may last. QEMU compares R/b alone, without compression; so does this.
///
/// That pause suffices at the next beginning of a pass. Less may do: QEMU ends a pass where the rest fits the limit, so
/// a high limit makes short passes, which may close in on it, with random writes from W·(1 − b/(d·c))/b on. Where a
/// limit lies between, `reach` says never with little confidence.
///
/// The model is wrong where the load changes: `basis` says so, and then the quietest of the recent passes stands for
/// all.
class Forecast {
  public:
    enum class Basis {
        nothing,         ///< first pass: how busy the guest is shows only after it
        dirty_rate,      ///< one pass, or QEMU's own rate: the shape is a guess
        model,           ///< fitted to two passes or more
        window_minimum,  ///< the load changes: the pass of the last twelve that dirtied least
    };

    Basis basis() const { return model_.basis; }
    Estimate<Bytes> working_set() const;
    Estimate<BytesPerSecond> dirty_rate() const;  ///< d, under the present throttle
    Estimate<BytesPerSecond> dirty_rate_unthrottled() const;
    Estimate<BytesPerSecond> bandwidth() const;  ///< on the wire, outages excluded
    Estimate<Bytes> plateau() const;             ///< R*; zero where the migration converges by itself
    Estimate<Milliseconds> pause() const;        ///< that the plateau needs, fixed part included

    Reach reach(Milliseconds limit) const;

    /// What if: the same guest over another link, or under another throttle.
    Forecast with_bandwidth(BytesPerSecond bandwidth) const;
    Forecast with_throttle(int percent) const;
    /// The least that meets the limit. Nothing where none does: the fixed part alone is above it, or 99 % are too
    /// little.
    std::optional<BytesPerSecond> bandwidth_for(Milliseconds limit) const;
    std::optional<int> throttle_for(Milliseconds limit) const;
    /// How long post-copy would take from now: over the plateau, or what remains where that is more.
    std::optional<Milliseconds> postcopy() const;

    /// How long so much takes at that bandwidth, without the fixed part; nothing where it is not known.
    std::optional<Milliseconds> time_to_send(Bytes memory) const;
    /// All that would meet the limit where the present course does not, rounded upwards. Without a bandwidth ten times
    /// the present one, which is not to be had; without bandwidth and throttle where every pass was long enough for the
    /// guest to write all of its working set, since how fast it does that cannot be told.
    Alternatives alternatives(Milliseconds limit) const;

    /// The downtime limit to set for a last pass: pause × margin + fixed part, at most `allowed`. Nothing where the
    /// plateau does not fit what is allowed. It is the least that gets there: a higher limit gets there sooner.
    std::optional<Milliseconds> switchover_limit(Milliseconds allowed, double margin = 1.2) const;

    /// The numbers behind it, in bytes and seconds.
    struct Model {
        Basis basis = Basis::nothing;
        double working_set = 0;  ///< W
        double dirty_rate = 0;   ///< d, unthrottled
        double throttle = 0;     ///< share, 0 to 0.99
        double bandwidth = 0;    ///< b; zero: unknown
        double wire_cost = 1;    ///< c
        double remaining = 0;    ///< of the current pass, at the last sample
        double to_move = 0;      ///< where it began
        double fixed_part = 0;   ///< of the pause
        double confidence = 0;   ///< in the plateau as things are
        double told_apart = 1;   ///< how far W and d are: confidence in each of them, as a share
        double bandwidth_confidence = 0;
    };
    Forecast() = default;
    explicit Forecast(const Model& model) : model_(model) {}
    const Model& model() const { return model_; }

  private:
    double present_dirty_rate() const;
    double plateau_bytes() const;
    double memory_share(Milliseconds limit) const;
    double bearable_dirty_rate(double memory_share) const;
    double dirty_rate_of_short_passes(double memory_share) const;

    Model model_;
};

/// All that the samples of a migration tell; the one thing that a policy has to keep:
///
///     forecaster_.add(sample);
///     const Forecast& forecast = forecaster_.forecast();
///     if (forecast.reach(limit).never()) return … explain(forecast, limit, forecast.alternatives(limit)) …
class Forecaster {
  public:
    struct Options {
        Milliseconds fixed_part{50};  ///< of the pause; measured on the same hosts if known
        NetworkHealth::Options network{};
        StallRule::Options stall{};
    };

    Forecaster() : Forecaster(Options{}) {}
    explicit Forecaster(const Options& options);

    /// The next sample. True where it is the first one of a pass: the moment for decisions.
    bool add(const Sample& sample);
    /// The cap in force from now on, as in MigrationRequest and SetBandwidth; zero = unlimited.
    void limit_bandwidth(BytesPerSecond cap) { network_.limit(cap); }

    /// Fitted anew where a pass begins.
    const Forecast& forecast() const { return forecast_; }
    const Passes& passes() const { return passes_; }
    const NetworkHealth& network() const { return network_; }
    const StallRule& stall() const { return stall_; }

  private:
    Options options_;
    NetworkHealth network_;
    Passes passes_;
    StallRule stall_;
    Forecast forecast_;
};

}  // namespace vmmi
