// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

/// A copy of plugins/sample that can break one clause. Which one is the name of the folder that it is called from:
/// `SIG-2/sample` breaks SIG-2, `sample` breaks none. The functions of the C library and of libvirt that the plugin
/// calls come here first (-Wl,--wrap), so that the plugin itself is as it is.
namespace broken {

/// Whether this copy is to do wrong now: it breaks that clause, and it is in the situation that the clause is about.
/// Situations are noted in the file that VMMI_DEFECTS_LOG names, whatever this copy breaks.
bool acts(const std::string& id, bool situation);
/// This copy breaks that clause, or notes all situations.
bool concerns(const std::string& id);
/// No mistake, but no more than SPEC.md asks of every plugin: no keys of this project in messages and configurations.
bool bare();
void choose(const char* own_path);

using Clock = std::chrono::steady_clock;

/// What happened so far.
struct Seen {
    std::vector<std::string> arguments;
    std::string config;  ///< the argument; empty where there is none
    bool from_input = false;
    bool pending_at_start = false;
    bool usr1_ignored_at_start = false;
    std::atomic<bool> configured{false};  ///< the message was read whole

    std::mutex mutex;
    std::string text;                ///< what was read of the configuration
    std::string source;              ///< the URI of the first connection
    std::atomic<bool> asked{false};  ///< a connection
    std::atomic<bool> refused{false};
    std::atomic<bool> opened{false};
    std::atomic<bool> began{false};       ///< the migrate call
    std::atomic<bool> sampled{false};     ///< a job was seen since
    std::atomic<bool> taken_over{false};  ///< a job was seen before
    std::atomic<bool> postcopy{false};
    std::atomic<bool> resumed{false};  ///< after the last pass, at the source
    std::atomic<bool> persistent{false};
    std::atomic<bool> abort_refused{false};
    std::atomic<Clock::rep> look_began{0};
    std::atomic<bool> long_look{false};

    std::atomic<int> statuses{0};
    std::atomic<bool> interrupted{false};
    std::atomic<bool> stopped{false};
    std::atomic<bool> terminated{false};
    std::atomic<bool> quit{false};
    std::atomic<bool> asked_for_status{false};
    std::atomic<bool> asked_early{false};  ///< before the configuration
    std::atomic<bool> stuck_when_told{false};

    bool has_argument(const std::string& word) const;
    std::string read() {
        const std::lock_guard lock(mutex);
        return text;
    }
    bool read_contains(const std::string& word) { return read().find(word) != std::string::npos; }
    /// A look at the guest has been under way for a while.
    bool stuck() const;
};
Seen& seen();

/// The caller's streams, wherever the plugin has put them.
int output();
int error();
/// Tells the end and ends the process.
[[noreturn]] void end_as_success();
[[noreturn]] void end_as_error(int code);
void keep_streams();
bool guest_is_running();

}  // namespace broken
