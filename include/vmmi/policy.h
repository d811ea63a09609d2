// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <vector>

#include "vmmi/migration.h"

namespace vmmi {

/// A policy decides what a migration needs, and nothing else: samples in, actions out. It has no I/O, no clock and no
/// thread, so the same object runs in tests, in a simulator and in production. The engine calls it from one thread,
/// carries out its actions in order, and refuses what the phase forbids. After StartPostCopy that is everything but
/// Wait, SetBandwidth (once post-copy began) and ResumePostCopy (once it broke): the rest could lose the guest. What
/// was refused, and why, is in the record of the actions.
class Policy {
  public:
    Policy() = default;
    Policy(const Policy&) = delete;
    Policy& operator=(const Policy&) = delete;
    virtual ~Policy() = default;

    /// Called before the migration starts; by --check, too, after which none does; and where a post-copy of somebody
    /// else is resumed, for what libvirt does not tell: TLS, what becomes of the definitions, the cap of post-copy.
    virtual MigrationRequest plan(const Guest& guest) = 0;

    /// Called in place of `plan` where a migration of the guest is under way already, whoever started it. The answer
    /// brings it under this policy; `now.downtime_limit` is the limit in force. It comes in any phase but `switchover`,
    /// while disks are copied, too. Without an override: up to pre-copy what `plan` wants, as actions, and nothing in
    /// the phases behind it.
    virtual std::vector<Action> adopt(const Guest& guest, const Sample& now);

    /// Called with every sample in the phases `storage`, `precopy`, `postcopy` and `postcopy_failed`. Most answers are
    /// empty: wait.
    virtual std::vector<Action> decide(const Sample& sample) = 0;

    /// Called after `decide`: how soon it wants the next sample, where the usual interval is too long for what it waits
    /// for; not sooner than after 50 ms. Without an override: it does not mind.
    virtual std::optional<Milliseconds> next_sample_within() const;

    /// Called after `decide` where a post-copy is broken and its memory stands still: whether to stay with it. If not,
    /// the run ends with an error that says where the guest is and how to go on. Without an override: not.
    virtual bool guards(const Sample& broken);
};

}  // namespace vmmi
