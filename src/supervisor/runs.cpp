// SPDX-License-Identifier: Apache-2.0
#include "supervisor/runs.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/openat2.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <thread>
#include <tuple>

#include "core/describe.h"
#include "core/redact.h"
#include "message/json.h"
#include "supervisor/errors.h"

namespace vmmi::supervisor {
namespace {

constexpr std::size_t longest_handle = 64 << 10;
constexpr std::time_t minute = 60;

/// A folder of the right owner that others cannot write to is as private as its user made it.
bool is_private(const struct stat& info) {
    return S_ISDIR(info.st_mode) && info.st_uid == ::geteuid() && (info.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

Result<std::string> usual_directory() {
    if (::geteuid() == 0) return std::string(VMMI_RUNTIME_DIR "/migrations");
    const char* session = ::secure_getenv("XDG_RUNTIME_DIR");
    std::string top = session != nullptr && *session == '/' ? session : fmt::format("/run/user/{}", ::geteuid());
    if (::access(top.c_str(), W_OK) != 0) {
        return refuse(VMMI_E_DIRECTORY, "no runtime directory",
                      fmt::format("{} is no folder to write to: {}; name a runtime directory, or set XDG_RUNTIME_DIR",
                                  quote(top), system_error()));
    }
    return top + "/vmmi/migrations";
}

bool is_id(std::string_view text) {
    constexpr std::size_t longest = 100;
    return !text.empty() && text.size() < longest && text.front() != '.' && std::ranges::all_of(text, [](char c) {
        return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.';
    });
}

std::string lower_case(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return text;
}

/// In its usual form, since libvirt takes hyphens anywhere or nowhere; nothing where it is none.
std::optional<std::string> uuid_of(const std::string& text) {
    std::string uuid = lower_case(text);
    std::erase(uuid, '-');
    constexpr std::size_t digits = 32;
    if (uuid.size() != digits || !std::ranges::all_of(uuid, [](unsigned char c) { return std::isxdigit(c) != 0; }))
        return std::nullopt;
    for (const std::size_t hyphen : {8U, 13U, 18U, 23U}) uuid.insert(hyphen, 1, '-');
    return uuid;
}

std::string text_of(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    const auto* text = value != nullptr ? value->get_if<std::string>() : nullptr;
    return text != nullptr ? *text : std::string();
}

std::int64_t number_of(const Object& object, std::string_view name) {
    const Value* value = object.find(name);
    const auto* number = value != nullptr ? value->get_if<std::int64_t>() : nullptr;
    return number != nullptr ? *number : 0;
}

std::string to_text(const Handle& handle) {
    return message::to_json(Object{{"id", handle.id},
                                   {"vm", handle.vm},
                                   {"vmName", handle.vm_name},
                                   {"connection", redact_uri(handle.connection)},
                                   {"destination", redact_uri(handle.destination)},
                                   {"migrationUri", redact_uri(handle.migration_uri)},
                                   {"plugin", handle.plugin},
                                   {"started", handle.started},
                                   {"boot", handle.place.boot},
                                   {"pidNamespace", handle.place.pid_namespace}}) +
           "\n";
}

std::string read_up_to(const system::Fd& file, std::size_t longest) {
    std::string text(longest, '\0');
    std::size_t length = 0;
    while (length < longest) {
        const ssize_t got = ::read(file.get(), text.data() + length, longest - length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        length += static_cast<std::size_t>(got);
    }
    text.resize(length);
    return text;
}

/// Nothing, and errno, where it cannot be read.
std::optional<std::vector<std::string>> names_in(const system::Fd& top, const std::string& path) {
    system::Fd file(::openat(top.get(), path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    const auto close = [](DIR* folder) { ::closedir(folder); };
    const std::unique_ptr<DIR, decltype(close)> folder(file ? ::fdopendir(file.get()) : nullptr, close);
    if (!folder) return std::nullopt;
    std::ignore = file.release();
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(name);
    }
    return names;
}

system::Fd open_beneath(const system::Fd& folder, const std::string& path, int flags) {
    open_how how{};
    how.flags = static_cast<unsigned>(flags | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if ((flags & O_CREAT) != 0) how.mode = static_cast<unsigned>(S_IRUSR | S_IWUSR);
    how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
    return system::Fd(static_cast<int>(::syscall(SYS_openat2, folder.get(), path.c_str(), &how, sizeof how)));
}

}  // namespace

Result<Runs> Runs::open(const std::string& configured) {
    Runs runs;
    runs.path_ = configured;
    if (configured.empty()) {
        Result<std::string> usual = usual_directory();
        if (!usual) return fail(usual.error());
        runs.path_ = std::move(*usual);
        ::mkdir(runs.path_.substr(0, runs.path_.rfind('/')).c_str(), S_IRWXU);
    }
    const auto bad = [&](const std::string& why) {
        return refuse(
            VMMI_E_DIRECTORY, "bad runtime directory",
            fmt::format("{}: {}; it is to be a folder of this user that nobody else may write to, or a new one "
                        "in a folder that is there",
                        quote(runs.path_), why));
    };
    if (::mkdir(runs.path_.c_str(), S_IRWXU) != 0 && errno != EEXIST) return bad(system_error());
    runs.folder_ = system::Fd(::open(runs.path_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!runs.folder_) return is_shortage() ? not_looked_at(runs.path_) : bad(system_error());
    struct stat info {};
    if (::fstat(runs.folder_.get(), &info) != 0 || !is_private(info))
        return bad("it belongs to another user, or others may write to it");
    return runs;
}

std::string Runs::key_of(const std::string& vm, const std::string& connection) {
    if (std::optional<std::string> uuid = uuid_of(vm)) return std::move(*uuid);
    // FNV-1a: a name may hold anything, and two hosts may have guests of one name.
    std::uint64_t hash = 0xcbf29ce484222325;
    const std::string both = fmt::format("{}{}{}", connection, '\0', vm);
    for (const char c : both) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    return fmt::format("name-{:016x}", hash);
}

Result<void> Runs::check() const {
    if (folder_) return {};
    return refuse(VMMI_E_DIRECTORY, "no runtime directory", "there is none in this context: it was made without");
}

Runs::Lock::~Lock() {
    if (file_) ::flock(file_.get(), LOCK_UN);
}

Result<Runs::Lock> Runs::lock() const {
    if (const Result<void> usable = check(); !usable) return fail(usable.error());
    const auto bad = [&](const std::string& why) {
        return refuse(is_shortage() ? VMMI_E_SYSTEM : VMMI_E_DIRECTORY, "runtime directory not locked",
                      fmt::format("{}/.lock {}", path_, why));
    };
    system::Fd file = open_beneath(folder_, ".lock", O_RDWR | O_CREAT);
    if (!file) return bad("could not be opened: " + system_error());
    // Whoever has it needs milliseconds, unless it was stopped.
    constexpr int attempts = 500;
    for (int i = 0; i < attempts; ++i) {
        if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) return Lock(std::move(file));
        if (errno != EWOULDBLOCK && errno != EINTR) return bad("could not be locked: " + system_error());
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return bad("is locked by another process, which is stopped maybe");
}

Result<std::vector<Handle>> Runs::handles(const std::string& beginning) const {
    if (const Result<void> usable = check(); !usable) return fail(usable.error());
    std::optional<std::vector<std::string>> ids = names_in(folder_, ".");
    if (!ids) return not_looked_at(path_);
    std::erase_if(
        *ids, [&](const std::string& id) { return !id.starts_with(beginning) || !is_id(id) || has(id, "collected"); });
    // Behind the key stands the time.
    std::ranges::sort(*ids, {}, [](const std::string& id) { return id.substr(std::min(id.rfind('.'), id.size())); });
    std::vector<Handle> handles;
    for (const std::string& id : *ids) {
        Result<std::optional<Handle>> one = handle(id);
        if (!one) return fail(one.error());
        if (*one) handles.push_back(std::move(**one));
    }
    return handles;
}

Result<std::optional<Handle>> Runs::handle(const std::string& id) const {
    const system::Fd file = open_file(id, "handle", O_RDONLY);
    if (!file && is_shortage()) return not_looked_at(fmt::format("{}/{}/handle", path_, id));
    const Result<Object> read = message::parse_json(file ? read_up_to(file, longest_handle) : "");
    if (!read) return std::nullopt;
    Handle handle;
    handle.id = id;
    handle.vm = text_of(*read, "vm");
    handle.vm_name = text_of(*read, "vmName");
    handle.connection = text_of(*read, "connection");
    handle.destination = text_of(*read, "destination");
    handle.migration_uri = text_of(*read, "migrationUri");
    handle.plugin = text_of(*read, "plugin");
    handle.started = number_of(*read, "started");
    handle.place.boot = text_of(*read, "boot");
    handle.place.pid_namespace = static_cast<std::uint64_t>(number_of(*read, "pidNamespace"));
    return handle;
}

Result<Runs::Files> Runs::make(Handle& handle) const {
    static std::atomic<std::uint64_t> distinct{0};
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    constexpr std::uint64_t nanoseconds = 1'000'000'000;
    handle.started = now.tv_sec;
    handle.id = fmt::format("{}.{:016x}", key_of(handle.vm, handle.connection),
                            static_cast<std::uint64_t>(now.tv_sec) * nanoseconds +
                                static_cast<std::uint64_t>(now.tv_nsec) + distinct++ % 1000);
    const auto bad = [&](const char* what) {
        const int why = errno;
        remove(handle.id);
        return refuse(is_shortage(why) ? VMMI_E_SYSTEM : VMMI_E_DIRECTORY, "runtime directory of no use",
                      fmt::format("{}/{}/{} could not be made: {}", path_, handle.id, what, system_error(why)));
    };
    if (::mkdirat(folder_.get(), handle.id.c_str(), S_IRWXU) != 0) return bad("");
    // In an order in which a reader never sees a handle without the rest.
    Files files;
    if (::mkfifoat(folder_.get(), (handle.id + "/status").c_str(), S_IRUSR | S_IWUSR) != 0) return bad("status");
    files.status = open_file(handle.id, "status", O_RDONLY);
    files.plugin_out = open_file(handle.id, "status", O_RDWR);
    files.plugin_error = open_file(handle.id, "completion", O_RDWR | O_CREAT | O_EXCL | O_APPEND);
    files.identity = open_file(handle.id, "process", O_WRONLY | O_CREAT | O_EXCL);
    if (!files.status || !files.plugin_out || !files.plugin_error || !files.identity) return bad("its files");
    if (::flock(files.plugin_error.get(), LOCK_EX | LOCK_NB) != 0) return bad("completion");
    // The plugin's side waits, as a pipe's does that it is started with otherwise.
    ::fcntl(files.plugin_out.get(), F_SETFL, 0);
    ::fcntl(files.plugin_error.get(), F_SETFL, O_APPEND);
    const system::Fd file = open_file(handle.id, "handle.new", O_WRONLY | O_CREAT | O_EXCL);
    if (!file || !system::write_all(file.get(), to_text(handle)) ||
        ::renameat(folder_.get(), (handle.id + "/handle.new").c_str(), folder_.get(),
                   (handle.id + "/handle").c_str()) != 0)
        return bad("handle");
    return files;
}

void Runs::remove(const std::string& id) const {
    if (!is_id(id)) return;
    // The handle goes first: what a crash leaves in between is no run.
    ::unlinkat(folder_.get(), (id + "/handle").c_str(), 0);
    // Where it cannot be read, `sweep` takes the rest.
    for (const std::string& name : names_in(folder_, id).value_or(std::vector<std::string>{}))
        ::unlinkat(folder_.get(), fmt::format("{}/{}", id, name).c_str(), 0);
    ::unlinkat(folder_.get(), id.c_str(), AT_REMOVEDIR);
}

Result<Runs::Process> Runs::process(const Handle& handle) const {
    Process process;
    const Result<Place> here = this_place();
    if (!here) return fail(here.error());
    if (handle.place.boot != here->boot) return process;
    const system::Fd file = open_file(handle.id, "process", O_RDONLY);
    if (!file && is_shortage()) return not_looked_at(fmt::format("{}/{}/process", path_, handle.id));
    const std::optional<Identity> identity = file ? identity_of(read_up_to(file, 1024)) : std::nullopt;
    if (identity && handle.place == *here) {
        Result<system::Fd> opened = open_process(*identity);
        if (!opened && !is_dead(handle.id)) return fail(opened.error());
        if (!opened) return process;
        process.identity = *identity;
        process.pidfd = std::move(*opened);
        process.life = process.pidfd ? Life::alive : Life::ended;
        return process;
    }
    // Its number says nothing here, or it is about to write it: the lock tells.
    const Result<bool> locked = is_locked(handle.id);
    if (!locked) return fail(locked.error());
    if (*locked) process.life = Life::elsewhere;
    return process;
}

Result<bool> Runs::is_locked(const std::string& id) const {
    const system::Fd file = open_file(id, "completion", O_RDONLY);
    if (!file && is_shortage()) return not_looked_at(fmt::format("{}/{}/completion", path_, id));
    return file && ::flock(file.get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

/// As its lock tells, and where nothing tells otherwise.
bool Runs::is_dead(const std::string& id) const {
    const Result<bool> locked = is_locked(id);
    return locked && !*locked;
}

system::Fd Runs::open_file(const std::string& id, const char* name, int flags) const {
    system::Fd file = open_beneath(folder_, id + "/" + name, flags);
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) return {};
    // A FIFO or a file of ours, known under no other name.
    const bool ours =
        (S_ISREG(info.st_mode) || S_ISFIFO(info.st_mode)) && info.st_uid == ::geteuid() && info.st_nlink <= 1;
    if (ours) return file;
    errno = EPERM;
    return {};
}

/// An empty file. It takes no descriptor.
void Runs::make_mark(const std::string& id, const char* name) const {
    ::mknodat(folder_.get(), fmt::format("{}/{}", id, name).c_str(), S_IFREG | S_IRUSR | S_IWUSR, 0);
}

bool Runs::has(const std::string& id, const char* name) const {
    return ::faccessat(folder_.get(), fmt::format("{}/{}", id, name).c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

system::Fd Runs::open_status(const std::string& id) const {
    return open_file(id, "status", O_RDONLY);
}

Result<std::optional<std::string>> Runs::completion(const std::string& id, std::size_t longest) const {
    const system::Fd file = open_file(id, "completion", O_RDONLY);
    if (!file && errno != ENOENT) return not_looked_at(fmt::format("{}/{}/completion", path_, id));
    return file ? std::optional(read_up_to(file, longest + 1)) : std::nullopt;
}

std::uint64_t Runs::completion_size(const std::string& id) const {
    struct stat info {};
    const std::string path = id + "/completion";
    if (::fstatat(folder_.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return 0;
    return static_cast<std::uint64_t>(info.st_size);
}

void Runs::cut_completion(const std::string& id, std::size_t size) const {
    const system::Fd file = open_file(id, "completion", O_RDWR);
    // Where it fails, the file stays as long as it is: it goes with the run.
    if (file && completion_size(id) > size) std::ignore = ::ftruncate(file.get(), static_cast<off_t>(size));
}

void Runs::mark_attached(const std::string& id) const {
    make_mark(id, "attached");
}

bool Runs::is_attached(const std::string& id) const {
    return has(id, "attached");
}

void Runs::publish_status(const std::string& id, const std::string& message) const {
    const std::string name = fmt::format("last.{}", ::getpid());
    const system::Fd file = open_file(id, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC);
    const std::string path = id + "/" + name;
    if (!file || !system::write_all(file.get(), message) ||
        ::renameat(folder_.get(), path.c_str(), folder_.get(), (id + "/last").c_str()) != 0)
        ::unlinkat(folder_.get(), path.c_str(), 0);
}

Runs::Published Runs::published_status(const std::string& id) const {
    const system::Fd file = open_file(id, "last", O_RDONLY);
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) return {};
    constexpr std::size_t longest = 64 << 10;
    constexpr std::uint64_t nanoseconds = 1'000'000'000;
    return {read_up_to(file, longest), static_cast<std::uint64_t>(info.st_mtim.tv_sec) * nanoseconds +
                                           static_cast<std::uint64_t>(info.st_mtim.tv_nsec) + info.st_ino};
}

void Runs::collect(const std::string& id) const {
    if (!is_attached(id)) {
        remove(id);
        return;
    }
    make_mark(id, "collected");
}

void Runs::sweep() const {
    constexpr std::time_t week = std::time_t{7} * 24 * 60 * minute;
    const std::time_t now = std::time(nullptr);
    const auto older_than = [&](const std::string& path, std::time_t age) {
        struct stat info {};
        return ::fstatat(folder_.get(), path.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && info.st_mtime < now - age;
    };
    const auto has_ended = [&](const std::string& id) {
        const Result<std::optional<Handle>> known = handle(id);
        if (!known || !*known) return known && is_dead(id);
        const Result<Process> one = process(**known);
        return one && one->life == Life::ended;
    };
    for (const std::string& id : names_in(folder_, ".").value_or(std::vector<std::string>{})) {
        if (!is_id(id)) continue;
        const bool collected = older_than(id + "/collected", minute);
        // Without a handle, its maker crashed, or is about to write it.
        const bool stillborn = !has(id, "handle") && older_than(id, minute) && is_dead(id);
        const bool abandoned = older_than(id + "/completion", week) && has_ended(id);
        if (collected || stillborn || abandoned) remove(id);
    }
}

void Runs::sweep_at_times() const {
    // The lock file's time is that of the last one. Without that file, nothing was ever started here.
    struct stat info {};
    if (::fstatat(folder_.get(), ".lock", &info, AT_SYMLINK_NOFOLLOW) != 0) return;
    const std::time_t now = std::time(nullptr);
    if (info.st_mtime <= now && now < info.st_mtime + minute) return;
    ::utimensat(folder_.get(), ".lock", nullptr, AT_SYMLINK_NOFOLLOW);
    sweep();
}

}  // namespace vmmi::supervisor
