// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "vmmi/units.h"

namespace vmmi {

/// Where a migration stands. In `storage`, disks are copied and no memory yet; their copies are kept up to date after
/// it. `switchover` is libvirt's and QEMU's stop-and-copy: the guest is paused for the last pass.
enum class Phase { connecting, starting, storage, precopy, switchover, postcopy, postcopy_failed, ended };

/// The phase's word in status messages and logs.
const char* to_string(Phase phase);

/// A disk of a guest, as its definition has it.
struct GuestDisk {
    std::string target{};  ///< its name in the guest: vda
    bool read_only = false;
    bool shareable = false;  ///< with other guests
    bool empty = false;      ///< no medium is in it
};

/// What a guest's definition says of devices that matter to a migration.
struct GuestDevices {
    std::vector<GuestDisk> disks{};
    int vfio = 0;  ///< devices of the host that the guest has through VFIO
};

/// The guest before its migration starts.
struct Guest {
    std::string name;
    std::string uuid;
    Bytes memory;             ///< current memory of the guest, as libvirt reports it
    bool paused = false;      ///< paused by a user; it stays paused at the destination
    bool persistent = false;  ///< defined at the source, not transient
    /// Absent from what `plan` is given: only what it asks for decides whether libvirt is asked for them.
    std::optional<GuestDevices> devices{};
};

/// Auto-converge: QEMU takes time from a guest that writes faster than its memory is sent, more and more of it.
/// Absent: QEMU's own values.
struct AutoConverge {
    std::optional<int> initial_percent{};    ///< of the guest's time, when it begins; 1 to 99
    std::optional<int> increment_percent{};  ///< added as often as that is not enough; 1 to 99

    friend bool operator==(const AutoConverge&, const AutoConverge&) = default;
};

/// How memory is made smaller on its way. Absent: QEMU's own values.
struct Compression {
    /// libvirt's words: xbzrle, mt, zlib, zstd. The last two need parallel connections; mt ended with QEMU 9.0.
    std::vector<std::string> methods{};
    bool only_preferred = false;          ///< left out over a transport that has no compression
    std::optional<Bytes> xbzrle_cache{};  ///< a power of two, at least a page
    std::optional<int> mt_level{};        ///< 0 to 9
    std::optional<int> mt_threads{};      ///< at the source; 1 to 255
    std::optional<int> mt_dthreads{};     ///< at the destination; 1 to 255
    std::optional<int> zlib_level{};      ///< 0 to 9
    std::optional<int> zstd_level{};      ///< 0 to 20

    friend bool operator==(const Compression&, const Compression&) = default;
};

/// Disks that source and destination do not share are copied before the memory. The destination has to have them, empty
/// or not, unless its libvirt keeps them in a storage pool and can make them.
struct StorageCopy {
    enum class Mode {
        none,         ///< all storage is shared
        all,          ///< whole disks
        incremental,  ///< what is above the backing files that both hosts have
    };

    Mode mode = Mode::none;
    std::vector<std::string> disks{};  ///< targets, such as vda; empty: all but the shareable and the read-only
    std::string uri{};                 ///< where the destination takes them: tcp://ADDRESS[:PORT] or unix:///PATH
    /// A write of the guest is done when both sides have it: the copy converges, however much the guest writes.
    bool synchronous_writes = false;

    friend bool operator==(const StorageCopy&, const StorageCopy&) = default;
};

/// How to start: what becomes flags and typed parameters of virDomainMigrateToURI3, in libvirt's terms. Empty texts and
/// absent values are left to libvirt. Most of it can be configured: see migration_keys.h.
/// Managed peer-to-peer is always set: only a peer-to-peer migration survives the plugin.
struct MigrationRequest {
    /// The guest runs while its memory is copied.
    bool live = true;
    /// Cap while the guest runs; zero leaves libvirt's own limit. libvirt takes whole MiB/s.
    BytesPerSecond bandwidth{};
    /// QEMU's downtime limit in force from the first pass on.
    std::optional<Milliseconds> downtime_limit{};

    /// Permits StartPostCopy. Not for a guest that is paused.
    bool postcopy = false;
    BytesPerSecond postcopy_bandwidth{};  ///< cap in post-copy; zero: none

    std::optional<AutoConverge> auto_converge{};
    Compression compression{};

    /// Connections that carry memory at the same time (multifd), up to 255; zero: the usual single one.
    int parallel_connections = 0;
    bool zero_copy = false;

    bool tls = false;
    std::string tls_destination{};  ///< the name in the destination's certificate, where it is not that of the URI
    /// Through libvirt's own connection: the migration URI is not used.
    bool tunnelled = false;

    StorageCopy storage{};

    bool persist_destination = false;
    bool undefine_source = false;
    std::string destination_name{};
    std::string destination_xml{};  ///< of the guest while it runs there
    std::string persistent_xml{};   ///< of its definition there

    std::string listen_address{};  ///< of the destination's QEMU
    std::string graphics_uri{};    ///< spice://ADDRESS:PORT, where viewers go

    bool abort_on_error = false;  ///< a failing disk ends the migration, not the guest
    bool unsafe = false;          ///< also where a disk's cache mode may lose data

    friend bool operator==(const MigrationRequest&, const MigrationRequest&) = default;
};

/// The state of the running job, as the policy sees it.
struct Sample {
    enum class Trigger {
        iteration,  ///< the first sample of a new pass over the memory: the moment for decisions
        interval,   ///< time passed: for budgets and outages
    };

    Trigger trigger = Trigger::interval;
    Phase phase = Phase::precopy;
    Milliseconds elapsed{0};  ///< since the job began, preparation of the destination included
    int iteration = 0;        ///< passes over the memory so far, the current one included; 0 before the first
    int looks = 0;            ///< of QEMU at its dirty log, so far: as many as passes, or more
    Bytes total;              ///< memory to migrate; zero in phase `storage`
    Bytes remaining;          ///< of the current pass; jumps up where the next one begins
    /// All that would have to be sent now, where QEMU looks at its dirty log all the time: from QEMU 11 on, with
    /// post-copy enabled, every 50 ms.
    std::optional<Bytes> dirty{};
    Bytes transferred;                    ///< on the wire so far, re-sent pages included: may exceed `total`
    BytesPerSecond bandwidth;             ///< over QEMU's last 100 ms window; frozen while the link stands still
    BytesPerSecond dirty_rate;            ///< unique pages over the last pass; zero in the first one
    Milliseconds expected_downtime{0};    ///< QEMU's own estimate
    Milliseconds downtime_limit{0};       ///< in force, as far as it is known; zero = unknown
    std::optional<int> throttle_percent;  ///< auto-converge; absent until it throttles
    std::uint64_t postcopy_requests = 0;  ///< pages that the guest waited for at the destination, so far
    /// Since memory last moved. In phase `postcopy_failed`, zero or little means that it still moves: libvirt takes the
    /// loss of its own connection to the destination for a broken post-copy, too.
    Milliseconds standing_for{0};
    bool resuming = false;  ///< a ResumePostCopy has not been answered yet
    /// The migration was started without post-copy, as a record or libvirt's refusal says: StartPostCopy leads nowhere.
    bool postcopy_excluded = false;
    Bytes disk_total{};      ///< of the disks that are copied; zero where none are
    Bytes disk_remaining{};  ///< rises again where the guest writes
    Bytes disk_transferred{};
};

struct SetDowntimeLimit {
    Milliseconds limit;
};
/// In post-copy: the cap of post-copy.
struct SetBandwidth {
    BytesPerSecond limit;  ///< zero = unlimited
};
/// The guest goes on at the destination, and its memory follows. There is no way back.
struct StartPostCopy {};
/// A post-copy whose connection broke, in phase `postcopy_failed`, goes on over a new one. It is asked of libvirt as
/// soon as both hosts have noticed the break.
struct ResumePostCopy {};
/// The guest stands still from now on, so that what is left fits the link; it goes on at the destination. Where that
/// is not done in time, the migration is aborted and the guest goes on at the source: the pause ends either way. Once,
/// in pre-copy.
struct PauseGuest {
    Milliseconds longest;
};
/// Ends the migration; the guest goes on at the source.
struct AbortMigration {};
/// Deliberately nothing, where a person would ask why nothing was done.
struct Wait {};

/// What a policy wants done, and why. `reason` is a sentence with numbers: it goes to the log, the status and the
/// completion message as it is.
struct Action {
    std::variant<SetDowntimeLimit, SetBandwidth, StartPostCopy, ResumePostCopy, PauseGuest, AbortMigration, Wait> what;
    std::string reason;
};

}  // namespace vmmi
