// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "vmmi/migration.h"

namespace vmmi {

/// Tells a broken link from a busy guest: bytes moved over at least a second against the average of the last minutes.
/// QEMU's own bandwidth does not serve: it stands frozen while the link is dead.
///
/// Not judged: the time before the first pass, the pause of the switchover, a second for every pass that begins (QEMU
/// reads the dirty bitmap), and a pass with less left than the link moves in a tenth of a second. Where passes are too
/// short to be judged, the link is taken for healthy after a while, whatever it was before. Pages that need no traffic,
/// zero or compressed, count as moved. A link that trickles on becomes the new average after some minutes; a dead one
/// never does.
class NetworkHealth {
  public:
    enum class State { healthy, degraded, broken };

    struct Options {
        double degraded_below = 0.5;   ///< share of the average
        double broken_below = 0.1;     ///< collapsed or dead: an outage
        Milliseconds patience{3'000};  ///< a state is believed after so long; an outage counts from its beginning
    };

    NetworkHealth() = default;
    explicit NetworkHealth(Options options) : options_(options) {}

    /// The next sample.
    void add(const Sample& sample);
    /// The bandwidth cap in force from now on, as in MigrationRequest and SetBandwidth: less traffic is no outage.
    void limit(BytesPerSecond cap);
    BytesPerSecond cap() const { return cap_; }

    State state() const { return state_; }
    /// Time in state `broken` so far, all outages together.
    Milliseconds outage() const;
    /// On the wire in that time.
    Bytes outage_traffic() const;
    /// Since the last second that was too slow, or since the first pass; zero unless the state is `healthy`.
    Milliseconds healthy_for() const;
    /// On the wire over the last minutes, outages excluded; zero while unknown.
    BytesPerSecond average() const;
    /// The same over the last second that was judged.
    BytesPerSecond rate() const;

  private:
    void judge();
    void learn();

    /// What happened since the last judgement.
    struct Window {
        double seconds = 0;
        double wire = 0;
        double drained = 0;  ///< by which `remaining` fell within passes
        double boundaries = 0;
    };

    Options options_;
    std::optional<Sample> last_;
    Window window_;
    State state_ = State::healthy;
    BytesPerSecond cap_;
    double average_ = 0;
    double learnt_ = 0;  ///< seconds that the average covers
    double rate_ = 0;
    double slow_ = 0;  ///< seconds in a row below `degraded_below`
    double dead_ = 0;  ///< the same below `broken_below`
    double dead_traffic_ = 0;
    double unjudged_ = 0;  ///< seconds in a row in which passes began, too short to tell
    double outage_ = 0;
    double outage_traffic_ = 0;
    double healthy_ = 0;
};

const char* to_string(NetworkHealth::State state);

}  // namespace vmmi
