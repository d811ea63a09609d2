// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/process.h"
#include "system/fd.h"
#include "vmmi/result.h"

namespace vmmi::supervisor {

/// What is written down of a run before its plugin starts.
struct Handle {
    std::string id;
    std::string vm;
    std::string vm_name;
    std::string connection;
    std::string destination;
    std::string migration_uri;
    std::string plugin;
    std::int64_t started = 0;  ///< seconds since the epoch
    Place place;
};

/// The runs of this user, each a folder in the runtime directory:
///
///     handle      what was asked for, as JSON
///     process     the plugin's line of /proc/PID/stat, which it writes itself before it is the plugin
///     status      its standard output: a FIFO, which it holds open for reading, too, so that it never breaks
///     completion  its standard error: a file, so that the message outlives every supervisor. It is locked, by the
///     plugin's
///                 own descriptor: as long as that is open, the plugin is alive
///     last        the last status message, where several processes supervise: one of them has read it
///     attached    there is, or was, more than one supervisor
///     collected   somebody has the completion message; the folder may go
///
/// The directory is private to its user, checked when it is opened; nothing in it is followed if it is a link.
/// May be used by many threads.
class Runs {
  public:
    /// None, where nothing can be made or found.
    Runs() = default;
    /// Without `configured`: that of the system for root, that of the session for others. Fails with VMMI_E_DIRECTORY.
    static Result<Runs> open(const std::string& configured);

    /// What names the guest in ids: its UUID, or what stands for its name at that connection.
    static std::string key_of(const std::string& vm, const std::string& connection);

    /// Given back as such, not only closed: a child that the host program forks meanwhile has the descriptor, too.
    class Lock {
      public:
        explicit Lock(system::Fd file) : file_(std::move(file)) {}
        Lock(Lock&&) noexcept = default;
        Lock& operator=(Lock&&) = delete;
        ~Lock();

      private:
        system::Fd file_;
    };
    /// Held while a run is made, so that two processes never start plugins for one guest. Waits some seconds.
    Result<Lock> lock() const;
    /// All whose id begins so, ordered by their start, without those that were collected. Fails with VMMI_E_SYSTEM.
    Result<std::vector<Handle>> handles(const std::string& beginning = "") const;

    struct Files {
        system::Fd status;      ///< to read from, without waiting
        system::Fd plugin_out;  ///< for the plugin
        system::Fd plugin_error;
        system::Fd identity;
    };
    /// Makes the folder and all that is in it at the start. Gives `handle` its id.
    Result<Files> make(Handle& handle) const;
    void remove(const std::string& id) const;

    enum class Life {
        ended,
        alive,
        elsewhere,  ///< alive in another process namespace, or not known yet: no signal reaches it
    };
    struct Process {
        Life life = Life::ended;
        Identity identity;
        system::Fd pidfd;  ///< where it is alive
    };
    /// Fails with VMMI_E_SYSTEM where that cannot be told.
    Result<Process> process(const Handle& handle) const;

    system::Fd open_status(const std::string& id) const;
    /// Up to `longest` bytes and one more, or nothing where there is no such file. Fails with VMMI_E_SYSTEM.
    Result<std::optional<std::string>> completion(const std::string& id, std::size_t longest) const;
    std::uint64_t completion_size(const std::string& id) const;
    /// Gives back what a flood took.
    void cut_completion(const std::string& id, std::size_t size) const;

    void mark_attached(const std::string& id) const;
    bool is_attached(const std::string& id) const;
    /// A message for the other supervisors, and the one that any of them left last. `stamp` tells one from another.
    void publish_status(const std::string& id, const std::string& message) const;
    struct Published {
        std::string message;
        std::uint64_t stamp = 0;
    };
    Published published_status(const std::string& id) const;
    /// Takes the folder away, at once or, where another supervisor may still want to read in it, later.
    void collect(const std::string& id) const;
    /// Takes away what was collected a while ago, and what nobody collected for a week.
    void sweep() const;
    /// The same, at most once a minute by whatever process: it looks at every run.
    void sweep_at_times() const;

  private:
    /// Fails with VMMI_E_DIRECTORY.
    Result<void> check() const;
    /// None, and errno, where it cannot be opened.
    system::Fd open_file(const std::string& id, const char* name, int flags) const;
    void make_mark(const std::string& id, const char* name) const;
    bool has(const std::string& id, const char* name) const;
    /// Nothing where it is damaged. Fails with VMMI_E_SYSTEM where it cannot be looked at.
    Result<std::optional<Handle>> handle(const std::string& id) const;
    Result<bool> is_locked(const std::string& id) const;
    bool is_dead(const std::string& id) const;

    system::Fd folder_;
    std::string path_;
};

}  // namespace vmmi::supervisor
