// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vmmi/migration.h>

#include <optional>
#include <string>
#include <vector>

namespace postcopy_fallback {

/// Stays with a post-copy until it is done: tells when its memory stands still, and resumes it where it broke, again
/// and again, with ever longer waits in between.
///
/// A link that is only cut needs nobody: TCP goes on with it. A try into a link that is still down fails and changes
/// nothing. Memory that moves although libvirt says that post-copy broke needs nobody either.
class Guardian {
  public:
    struct Options {
        /// How long it may be broken, in one piece, before the guardian gives up; zero: for ever.
        vmmi::Milliseconds patience{0};
        /// Between two tries. The first waits are shorter.
        vmmi::Milliseconds longest_wait{30'000};
    };

    explicit Guardian(Options options) : options_(options) {}

    /// With every sample of the phases `postcopy` and `postcopy_failed`.
    std::vector<vmmi::Action> decide(const vmmi::Sample& sample);
    bool gave_up() const { return gave_up_; }

  private:
    std::vector<vmmi::Action> watch(const vmmi::Sample& sample);
    std::vector<vmmi::Action> resume(const vmmi::Sample& sample);
    vmmi::Milliseconds wait() const;

    Options options_;
    vmmi::Milliseconds stood_for_{0};               ///< longest, of a standstill that was told
    std::optional<vmmi::Milliseconds> broke_at_{};  ///< Sample::elapsed
    vmmi::Bytes moved_;                             ///< on the wire, when it broke
    std::optional<vmmi::Milliseconds> next_try_{};  ///< Sample::elapsed
    int tries_ = 0;                                 ///< since memory moved
    bool gave_up_ = false;
};

}  // namespace postcopy_fallback
