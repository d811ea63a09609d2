// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmmi/forecast.h"
#include "vmmi/migration.h"
#include "vmmi/network_health.h"
#include "vmmi/result.h"
#include "vmmi/settings.h"

namespace vmmi {

/// What speaks against a switch or a pause at this moment, before NetworkHealth is sure of it: no memory has moved for
/// half a second, and the guest would wait for it. Nothing while it moves.
std::optional<std::string> stands_still(const Sample& sample);

/// The way into post-copy: not over a link that is broken or slow, since the guest would only stand still at the
/// destination. Where libvirt took the order and nothing follows, it is given again.
class PostCopySwitch {
  public:
    /// Whether it is ordered, and may still take effect.
    bool under_way(const Sample& sample) const;
    /// With every sample in which it is due; `why` is why. Where the migration was started without post-copy, it says
    /// so once.
    std::vector<Action> order(const Sample& sample, const NetworkHealth& network, std::string why);

  private:
    std::optional<Milliseconds> ordered_at_{};  ///< Sample::elapsed
    bool waits_for_link_ = false;
    bool told_ = false;  ///< that it will never be
};

/// The moment for post-copy, since what is dirty when it begins is what the guest goes without.
///
/// Of a guest that writes to its memory in turns, what was sent stays clean until its turn comes again. With a working
/// set of W bytes, written at d bytes/s over a link of b, what is dirty goes up and down between W and W·(1 − b/d),
/// once in W/(d − b) seconds. The moment has come where it fell and begins to rise: then what the guest needs next is
/// there. Where nothing goes up and down, it has come after a quarter of the longest wait, which is the time that
/// sending all of it would take; where nobody tells what is dirty, at once.
class LowMoment {
  public:
    explicit LowMoment(const Forecast& forecast) : forecast_(forecast) {}

    /// With every sample from when post-copy is due.
    bool has_come(const Sample& sample);
    /// How soon it wants the next one.
    Milliseconds interval() const;
    Bytes most() const { return most_; }  ///< that was dirty meanwhile

  private:
    Milliseconds longest() const;

    Forecast forecast_;
    std::optional<Milliseconds> since_{};  ///< Sample::elapsed
    Bytes most_{};
    Bytes least_{};
    Bytes least_since_{};  ///< since the most
};

/// Stays with a post-copy until it is done: tells when its memory stands still, and resumes it where it broke, again
/// and again, with ever longer waits in between: the keys `recovery.seconds` and `recovery.longestWaitSeconds`.
///
/// A link that is only cut needs nobody: TCP goes on with it. A try into a link that is still down fails and changes
/// nothing. Memory that moves although libvirt says that post-copy broke needs nobody either.
class Guardian {
  public:
    struct Options {
        /// How long it may be broken, in one piece, before the guardian gives up; zero: for ever.
        Milliseconds patience{0};
        /// Between two tries. The first waits are shorter.
        Milliseconds longest_wait{30'000};
    };

    explicit Guardian(const Settings& settings);
    explicit Guardian(Options options) : options_(options) {}

    /// With every sample of the phases `postcopy` and `postcopy_failed`.
    std::vector<Action> decide(const Sample& sample);
    bool gave_up() const { return gave_up_; }

  private:
    std::vector<Action> watch(const Sample& sample);
    std::vector<Action> resume(const Sample& sample);
    Milliseconds wait() const;

    Options options_;
    Milliseconds stood_for_{0};               ///< longest, of a standstill that was told
    std::optional<Milliseconds> broke_at_{};  ///< Sample::elapsed
    Bytes moved_;                             ///< on the wire, when it broke
    std::optional<Milliseconds> next_try_{};  ///< Sample::elapsed
    int tries_ = 0;                           ///< since memory moved
    bool gave_up_ = false;
};

/// The object `recovery` with those keys.
Key recovery_key();

/// The key `bandwidthMiBPerSecond` of the object `postcopy`, and what it says.
Key postcopy_bandwidth_key();
BytesPerSecond postcopy_bandwidth(const Settings& settings);

/// request_from of migration_keys.h, with that cap, for a plugin that has no other way than post-copy: fails where the
/// settings exclude it.
Result<MigrationRequest> request_with_postcopy(const Settings& settings);

}  // namespace vmmi
