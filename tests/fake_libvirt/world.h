// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <mutex>
#include <string>

#include "scenario.h"
#include "timeline.h"

namespace fake {

Time clock_now();
/// How often what waits for its time looks at the clock.
int moment_ms();
void sleep_a_moment();

/// What all processes under one scenario share, in the file that it names. A process that is killed leaves it as it is.
struct Shared {
    Time epoch = 0;  ///< when the first connection was asked for
    int processes = 0;
    // The last loss of the connection to the source's daemon.
    Time outage_began = 0;
    Time outage_until = 0;
    Time outage_callback = 0;
    bool outage_keepalive = false;
    std::array<bool, 8> outage_fired{};
    std::array<Facts, 8> guests{};
};

/// The fake hosts, for as long as this object lives: nobody else, in no process, has them meanwhile. Brought up to date
/// with the clock at its construction. Never to be held over a wait.
class World {
  public:
    World();
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Time now() const { return now_; }
    Shared& shared() { return shared_; }
    Facts& facts(std::size_t guest) { return shared_.guests.at(guest); }
    Timeline timeline(std::size_t guest);
    /// The n-th process that came, this one.
    int process() const;

    void begin();  ///< the first connection is asked for
    void lose(const Outage& outage, Time at);
    /// A connection that was opened then.
    bool lost(Time opened) const { return shared_.outage_began != 0 && opened <= shared_.outage_began; }
    bool refusing() const {
        return shared_.outage_began != 0 && now_ >= shared_.outage_began && now_ < shared_.outage_until;
    }

  private:
    void fire_outages();
    void settle();

    std::unique_lock<std::mutex> lock_;
    Shared& shared_;
    Time now_;
};

}  // namespace fake
