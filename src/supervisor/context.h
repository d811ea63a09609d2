// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "supervisor/migration.h"
#include "supervisor/runs.h"
#include "system/fd.h"
#include "vmmi/libvmmi.h"

namespace vmmi::supervisor {

struct Options {
    std::string plugin_directory;
    std::string runtime_directory;
    bool keeps_runs = true;  ///< false: no migration is started or looked for, and no runtime directory needed
    Patience patience;
};

/// Many migrations behind one descriptor. Used under its lock; the C interface takes it.
class Context {
  public:
    /// A migration as the caller holds it. What is returned to C stays valid until the next dispatch.
    struct Entry {
        Context* context = nullptr;
        std::uint64_t number = 0;
        Migration migration;
        void* data = nullptr;
        bool listening = false;  ///< to its standard output
    };

    /// Fails with VMMI_E_DIRECTORY or VMMI_E_SYSTEM.
    static Result<std::unique_ptr<Context>> open(Options options);
    ~Context();
    Context(const Context&) = delete;
    Context& operator=(const Context&) = delete;

    std::mutex& mutex() { return mutex_; }
    /// False in a process that was forked from the one that made it: nothing may be done there.
    bool is_ours() const;
    int fd() const { return epoll_.get(); }
    const Runs& runs() const { return runs_; }
    const Options& options() const { return options_; }

    /// Takes it in. Fails with VMMI_E_SYSTEM where the system gives no more; then the plugin goes on under its handle.
    Result<Entry*> add(Migration migration);
    void remove(Entry* entry);
    void dispatch();
    /// A status was asked for: look more often.
    void note_request() {
        if (interval_ != woken) arm(often);
    }
    Entry* next_event(int& event);

  private:
    static constexpr Milliseconds often{100};
    static constexpr Milliseconds seldom{1000};
    static constexpr Milliseconds woken{-1};

    Context(Options options, Runs runs);

    void tell(Entry& entry, Migration::News news);
    void listen(Entry& entry, bool on);
    void handle(std::uint64_t tag);
    void tick();
    void finish(Entry& entry);
    void forget(const Entry& entry) const;
    void arm(Milliseconds interval);
    void wake();

    Options options_;
    Runs runs_;
    std::mutex mutex_;
    pid_t process_;
    system::Fd epoll_;
    system::Fd timer_;
    std::map<std::uint64_t, std::unique_ptr<Entry>> entries_;
    std::uint64_t next_number_ = 1;
    struct Event {
        std::uint64_t number = 0;
        Migration::News news = Migration::News::nothing;
    };
    std::deque<Event> events_;
    Milliseconds interval_{0};  ///< of the timer; 0: there is nothing to look after
};

}  // namespace vmmi::supervisor
