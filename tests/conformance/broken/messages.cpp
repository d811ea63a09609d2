// SPDX-License-Identifier: Apache-2.0
// What the plugin writes, and what is wrong with it.
#include <errno.h>
#include <libvirt/libvirt.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>

#include "defects.h"

extern "C" {
ssize_t __real_write(int fd, const void* data, size_t length);
ssize_t __wrap_write(int fd, const void* data, size_t length);
[[noreturn]] void __real__exit(int status);
virConnectPtr __real_virConnectOpenAuth(const char* uri, virConnectAuthPtr auth, unsigned int flags);
}

namespace broken {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t mebi = 1 << 20;

bool is_fifo(const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISFIFO(info.st_mode);
}

bool exists(const std::string& path) {
    return ::access(path.c_str(), F_OK) == 0;
}

bool any_has_control(const std::vector<std::string>& words) {
    return std::any_of(words.begin(), words.end(), [](const std::string& word) {
        return std::any_of(word.begin(), word.end(), [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
    });
}

std::size_t levels(const std::string& text) {
    std::size_t now = 0;
    std::size_t most = 0;
    for (const char c : text) {
        if (c == '{' || c == '[') most = std::max(most, ++now);
        if ((c == '}' || c == ']') && now > 0) --now;
    }
    return most;
}

char first_character(const std::string& text) {
    const std::size_t place = text.find_first_not_of(" \t\r\n");
    return place == std::string::npos ? '\0' : text[place];
}

bool daemon_answers() {
    return __real_virConnectOpenAuth(seen().source.c_str(), nullptr, 0) != nullptr;
}

bool plain_connection() {
    return seen().source.find('@') == std::string::npos;
}

/// Codes of errors: where the right one is `code`, this copy tells `instead`.
struct WrongCode {
    const char* id;
    int code;
    int instead;
    bool (*situation)(Seen& s);
};

constexpr WrongCode wrong_codes[] = {
    {"ARG-5", 7, 5, [](Seen& s) { return s.config.empty(); }},
    {"ARG-6", 5, 6, [](Seen& s) { return any_has_control(s.arguments); }},
    {"ARG-7", 5, 6, [](Seen& s) { return s.has_argument("--no-such-option"); }},
    {"ARG-8", 5, 3, [](Seen& s) { return s.arguments.size() == 4 && s.config.empty(); }},
    {"ARG-9", 3, 5, [](Seen& s) { return s.has_argument("--"); }},
    {"ARG-10", 7, 3, [](Seen& s) { return !s.config.empty(); }},
    {"CFG-1.given-missing", 3, 4,
     [](Seen& s) { return !exists(s.config) && s.arguments.size() == 4 && !s.config.empty(); }},
    {"CFG-1.given-malformed", 6, 4, [](Seen& s) { return !s.config.empty() && !s.from_input && s.read().empty(); }},
    {"CFG-1.default-unreadable", 3, 12, [](Seen& s) { return s.arguments.size() == 3; }},
    {"CFG-1.default-malformed", 6, 4, [](Seen& s) { return s.arguments.size() == 3; }},
    {"CFG-4", 3, 6, [](Seen& s) { return is_fifo(s.config); }},
    {"CFG-6", 6, 4, [](Seen& s) { return s.from_input && first_character(s.read()) == 'g'; }},
    {"CFG-7.SIGTERM", 13, 8, [](Seen& s) { return !s.configured && !s.pending_at_start; }},
    {"CFG-7.SIGINT", 9, 8, [](Seen& s) { return !s.configured && !s.pending_at_start; }},
    {"CFG-14.file", 3, 6, [](Seen& s) { return s.read().size() > mebi; }},
    {"CFG-14.input", 6, 4, [](Seen& s) { return s.from_input && s.read().size() > mebi; }},
    {"CFG-15", 6, 1, [](Seen& s) { return levels(s.read()) > 32; }},
    {"CFG-22", 6, 1,
     [](Seen& s) {
         const std::string t = s.read();
         return std::count(t.begin(), t.end(), ',') > 1000;
     }},
    {"CFG-17.file", 3, 12, [](Seen& s) { return s.read_contains("passwordFile"); }},
    {"CFG-20", 3, 8, [](Seen& s) { return s.read_contains("logFilePath"); }},
    {"SIG-13", 13, 8, [](Seen& s) { return s.pending_at_start; }},
    {"SIG-7.SIGTERM", 13, 8, [](Seen& s) { return s.configured && !s.opened; }},
    {"SIG-7.SIGINT", 9, 8, [](Seen& s) { return s.configured && !s.opened; }},
    {"SIG-2", 13, 9,
     [](Seen& s) {
         return s.sampled && s.terminated && !s.interrupted && !s.stuck_when_told && !s.usr1_ignored_at_start;
     }},
    {"SIG-4.aborted", 9, 8,
     [](Seen& s) { return s.sampled && s.interrupted && !s.stopped && !s.usr1_ignored_at_start; }},
    {"SIG-10.SIGTERM", 13, 8, [](Seen& s) { return s.terminated && s.stuck_when_told; }},
    {"SIG-12.SIGQUIT", 13, 8, [](Seen& s) { return s.quit.load(); }},
    {"FAIL-1", 12, 8, [](Seen& s) { return s.refused && !s.opened && plain_connection(); }},
    {"FAIL-2", 12, 8, [](Seen& s) { return s.opened && !s.long_look && !daemon_answers(); }},
    {"FAIL-3", 12, 8, [](Seen& s) { return s.opened && s.long_look; }},
    {"FAIL-3.connecting", 12, 8, [](Seen& s) { return s.asked && !s.opened && !s.refused; }},
    {"FAIL-12", 12, 8, [](Seen& s) { return s.opened && !s.long_look && daemon_answers(); }},
    {"FAIL-4", 10, 8, [](Seen&) { return true; }},
    {"FAIL-5", 2, 8, [](Seen& s) { return !s.taken_over; }},
    {"ERR-1.job", 2, 8, [](Seen& s) { return s.taken_over.load(); }},
    {"FAIL-6", 11, 8, [](Seen& s) { return !s.taken_over; }},
    {"FAIL-7", 9, 8, [](Seen& s) { return s.began && !s.interrupted; }},
    {"FAIL-8", 8, 1, [](Seen& s) { return s.began && s.sampled; }},
    {"FAIL-8.refused", 8, 1, [](Seen& s) { return s.began && !s.sampled; }},
    {"FAIL-11.failed", 8, 1, [](Seen& s) { return s.taken_over && s.resumed; }},
    {"FAIL-11.aborted", 8, 1, [](Seen& s) { return s.taken_over && !s.resumed; }},
    {"FAIL-11.aborted", 9, 1, [](Seen& s) { return s.taken_over && !s.resumed && !s.interrupted; }},
    {"FAIL-11.gone", 11, 8, [](Seen& s) { return s.taken_over.load(); }},
    {"FAIL-11.SIGTERM", 13, 9, [](Seen& s) { return s.taken_over.load(); }},
};

/// Other mistakes in a message. `text` is what is written in the end, to the stream that it belongs to.
struct Message {
    Json json;
    std::optional<std::string> text;  ///< written in place of `json`

    bool is(const char* kind) const { return json["contentType"] == kind; }
    bool success() const { return is("completion") && json["completion"]["result"] == "success"; }
    int code() const { return is("completion") && !success() ? json["completion"]["error"]["code"].get<int>() : 0; }
    void fail(int with) {
        json["completion"] = {{"result", "error"},
                              {"error", {{"code", with}, {"message", "wrong"}, {"details", "wrong"}}}};
    }
    std::string whole() const { return text.value_or(json.dump() + "\n"); }
};

void say(int stream, const std::string& text) {
    static_cast<void>(__real_write(stream, text.data(), text.size()));
}

std::string of_type(const char* kind) {
    return std::string(R"({"vmmiVersion":"0.4.1","contentType":")") + kind + R"(","timestamp":)" +
           std::to_string(std::time(nullptr)) + ",\"" + kind + "\":{}}\n";
}

struct Mistake {
    const char* id;
    bool (*situation)(const Message& m, Seen& s);
    void (*act)(Message& m, Seen& s);
};

constexpr Mistake mistakes[] = {
    {"CFG-7.SIGUSR1", [](const Message& m, Seen& s) { return m.is("status") && s.asked_early; },
     [](Message& m, Seen&) { m.text = m.whole() + m.whole(); }},
    {"MSG-1", [](const Message& m, Seen& s) { return m.is("status") && s.statuses == 2; },
     [](Message& m, Seen&) { m.text = m.json.dump(1) + "\n"; }},
    {"MSG-2", [](const Message& m, Seen& s) { return m.is("status") && s.statuses == 2; },
     [](Message& m, Seen&) { m.json["timestamp"] = "now"; }},
    {"MSG-4", [](const Message& m, Seen& s) { return m.is("completion") && s.statuses == 2; },
     [](Message& m, Seen&) { m.json["timestamp"] = m.json["timestamp"].get<long>() - 10; }},
    {"MSG-5", [](const Message& m, Seen& s) { return m.is("completion") && s.statuses == 2; },
     [](Message&, Seen&) { say(output(), of_type("progress")); }},
    {"MSG-6", [](const Message& m, Seen& s) { return m.is("completion") && s.read_contains("\"verbose\": 3}"); },
     [](Message&, Seen&) { say(error(), "debug: the migration has ended\n"); }},
    {"STAT-1", [](const Message& m, Seen& s) { return m.is("status") && s.statuses == 3; },
     [](Message& m, Seen&) { m.text = m.whole() + m.whole(); }},
    {"STAT-1.unasked", [](const Message& m, Seen& s) { return m.success() && !s.asked_for_status; },
     [](Message&, Seen&) { say(output(), of_type("status")); }},
    {"STAT-3", [](const Message& m, Seen& s) { return m.is("status") && s.statuses == 1 && s.began; },
     [](Message& m, Seen&) { m.json["status"]["progressPercent"] = 100; }},
    {"VER-2", [](const Message&, Seen& s) { return s.read_contains("0.3.0"); },
     [](Message& m, Seen&) { m.json["vmmiVersion"] = "0.3.0"; }},
    {"COMP-1", [](const Message& m, Seen&) { return m.code() == 8; },
     [](Message& m, Seen&) { m.text = m.whole() + m.whole(); }},
    {"COMP-1.last", [](const Message& m, Seen&) { return m.code() == 8; },
     [](Message& m, Seen&) {
         say(error(), m.whole());
         say(output(), of_type("status"));
         m.text = "";
     }},
    {"COMP-2", [](const Message& m, Seen&) { return m.success(); },
     [](Message& m, Seen&) { m.json["completion"].erase("success"); }},
    {"COMP-4", [](const Message& m, Seen&) { return m.code() == 8; },
     [](Message& m, Seen&) { m.json["completion"]["error"].erase("details"); }},
    {"ACT-1", [](const Message& m, Seen& s) { return m.code() == 9 && s.interrupted; },
     [](Message& m, Seen&) {
         m.json["completion"]["error"]["actions"] = {{{"action", "abort"}}};
     }},
    {"CFG-17", [](const Message& m, Seen&) { return m.code() == 12 && !plain_connection(); },
     [](Message& m, Seen& s) { m.json["completion"]["error"]["details"] = s.source; }},
    {"SIG-4.success", [](const Message& m, Seen& s) { return m.success() && s.interrupted; },
     [](Message& m, Seen&) { m.fail(9); }},
    {"FAIL-11.precopy", [](const Message& m, Seen& s) { return m.success() && s.taken_over && !s.postcopy; },
     [](Message& m, Seen&) { m.fail(8); }},
    {"FAIL-11.postcopy", [](const Message& m, Seen& s) { return m.success() && s.taken_over && s.postcopy; },
     [](Message& m, Seen&) { m.fail(8); }},
    {"PROC-5", [](const Message& m, Seen& s) { return m.success() && s.arguments.size() == 4; },
     [](Message&, Seen&) { ::sleep(3); }},
};

/// Bodies with what SPEC.md wants of everybody.
void strip(Json& message) {
    if (message["contentType"] == "status") {
        message["status"] = Json::object();
        return;
    }
    Json& body = message["completion"];
    if (body["result"] == "success") {
        body["success"] = Json::object();
        return;
    }
    Json kept;
    for (const char* key : {"code", "message", "details"}) kept[key] = body["error"][key];
    body["error"] = kept;
}

std::string spoilt(Json message) {
    if (bare()) strip(message);
    Message m{std::move(message), std::nullopt};
    if (m.is("status")) ++seen().statuses;
    if (const int code = m.code()) {
        for (const WrongCode& wrong : wrong_codes)
            if (acts(wrong.id, wrong.code == code && wrong.situation(seen())))
                m.json["completion"]["error"]["code"] = wrong.instead;
    }
    for (const Mistake& mistake : mistakes)
        if (acts(mistake.id, mistake.situation(m, seen()))) mistake.act(m, seen());
    return m.whole();
}

ssize_t write_message(int fd, const std::string& text) {
    const ssize_t written = __real_write(fd, text.data(), text.size());
    if (written >= 0) return written;
    const int why = errno;
    if (acts("MSG-9.broken", why == EPIPE) || acts("MSG-9.full", why == ENOSPC) || acts("MSG-9.closed", why == EBADF))
        __real__exit(70);
    errno = why;
    return written;
}

}  // namespace
}  // namespace broken

ssize_t __wrap_write(int fd, const void* data, size_t length) {
    const std::string text(static_cast<const char*>(data), length);
    if (!text.starts_with("{\"vmmiVersion\"")) return __real_write(fd, data, length);
    const ssize_t written = broken::write_message(fd, broken::spoilt(nlohmann::ordered_json::parse(text)));
    return written < 0 ? written : static_cast<ssize_t>(length);
}
