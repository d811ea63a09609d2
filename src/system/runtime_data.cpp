// SPDX-License-Identifier: Apache-2.0
#include "system/runtime_data.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <system_error>

#include "core/describe.h"

namespace vmmi::system {
namespace {

constexpr std::string_view suffix = ".json";
constexpr std::size_t longest = 64 << 10;
/// A plugin that left lets the migration end without it, and its file stays. No migration takes this long.
constexpr std::time_t abandoned_after = std::time_t{7} * 24 * 3600;

/// Nothing else becomes part of a path, whatever libvirt says.
std::optional<std::string> name_of(const std::string& uuid) {
    constexpr std::size_t length = 36;
    const bool fine = uuid.size() == length && std::ranges::all_of(uuid, [](char c) {
                          return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-';
                      });
    if (!fine) return std::nullopt;
    return uuid + std::string(suffix);
}

bool is_private(const struct stat& info, mode_t type, mode_t open_to_others) {
    return (info.st_mode & S_IFMT) == type && info.st_uid == ::geteuid() && (info.st_mode & open_to_others) == 0;
}

/// A private file in the folder, or nothing.
Fd open_private(const Fd& folder, const std::string& name, int flags) {
    Fd file(::openat(folder.get(), name.c_str(), flags | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, S_IRUSR | S_IWUSR));
    struct stat info {};
    const bool fine = file && ::fstat(file.get(), &info) == 0 && is_private(info, S_IFREG, S_IRWXG | S_IRWXO) &&
                      info.st_nlink == 1 && info.st_size <= static_cast<off_t>(longest);
    return fine ? std::move(file) : Fd();
}

std::optional<std::string> usual_folder() {
    if (::geteuid() == 0) return VMMI_RUNTIME_DIR;
    const char* session = std::getenv("XDG_RUNTIME_DIR");
    if (session == nullptr || *session != '/') return std::nullopt;
    return std::string(session) + "/vmmi";
}

/// The folder, or why it is none for this.
tl::expected<Fd, std::string> open_folder(const std::string& path) {
    Fd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return tl::unexpected(std::generic_category().message(errno));
    struct stat info {};
    if (::fstat(folder.get(), &info) != 0 || !is_private(info, S_IFDIR, S_IWGRP | S_IWOTH))
        return tl::unexpected<std::string>("it belongs to another user, or others may write to it");
    return folder;
}

Error bad_folder(const std::string& path, bool configured, const std::string& why) {
    return {ErrorCode::bad_file_path, "bad runtime directory",
            fmt::format("{}{}: {}; it is to be a folder of this user that nobody else may write to, or a new one in a "
                        "folder that is there",
                        configured ? "configuration.runtimeDirectory: " : "", quote(path), why)};
}

}  // namespace

Result<RuntimeData> RuntimeData::open(const std::optional<std::string>& configured) {
    RuntimeData data;
    const std::optional<std::string> path = configured ? configured : usual_folder();
    if (!path) return data;
    if (::mkdir(path->c_str(), S_IRWXU) != 0 && errno != EEXIST)
        return fail(bad_folder(*path, configured.has_value(), std::generic_category().message(errno)));
    tl::expected<Fd, std::string> folder = open_folder(*path);
    if (!folder) return fail(bad_folder(*path, configured.has_value(), folder.error()));
    data.folder_ = std::move(*folder);
    return data;
}

std::optional<Error> RuntimeData::check(const std::string& configured) {
    struct stat info {};
    if (::lstat(configured.c_str(), &info) != 0 && errno == ENOENT) {
        // What mkdir would need.
        const std::filesystem::path parent = std::filesystem::path(configured).parent_path();
        if (::faccessat(AT_FDCWD, parent.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return std::nullopt;
        return bad_folder(configured, true, std::generic_category().message(errno));
    }
    const tl::expected<Fd, std::string> folder = open_folder(configured);
    if (folder) return std::nullopt;
    return bad_folder(configured, true, folder.error());
}

std::optional<std::string> RuntimeData::read(const std::string& uuid) const {
    const std::optional<std::string> name = name_of(uuid);
    if (!folder_ || !name || (file_ && *name == name_)) return std::nullopt;
    const Fd file = open_private(folder_, *name, O_RDONLY);
    if (!file) return std::nullopt;
    std::string text(longest, '\0');
    const ssize_t length = ::pread(file.get(), text.data(), text.size(), 0);
    if (length <= 0) return std::nullopt;
    text.resize(static_cast<std::size_t>(length));
    return text;
}

bool RuntimeData::claim(const std::string& uuid) {
    const std::optional<std::string> name = name_of(uuid);
    if (!folder_ || !name) return false;
    if (file_) return *name == name_;
    // Whoever had it may take it away just before we lock it: then what we have is no file of the folder any more.
    constexpr int attempts = 3;
    for (int i = 0; i < attempts; ++i) {
        Fd file = open_private(folder_, *name, O_RDWR | O_CREAT);
        if (!file || ::flock(file.get(), LOCK_EX | LOCK_NB) != 0) return false;
        struct stat info {};
        if (::fstat(file.get(), &info) != 0 || info.st_nlink == 0) continue;
        file_ = std::move(file);
        name_ = *name;
        return true;
    }
    return false;
}

bool RuntimeData::write(const std::string& uuid, std::string_view text) {
    if (!claim(uuid)) return false;
    // Killed in between, this leaves what no reader takes for a whole record.
    return ::ftruncate(file_.get(), 0) == 0 && ::lseek(file_.get(), 0, SEEK_SET) == 0 && write_all(file_.get(), text);
}

void RuntimeData::remove() {
    if (!file_) return;
    ::unlinkat(folder_.get(), name_.c_str(), 0);
    file_.reset();
}

void RuntimeData::sweep() const {
    if (!folder_) return;
    const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (copy < 0) return;
    const auto close = [](DIR* folder) { ::closedir(folder); };
    const std::unique_ptr<DIR, decltype(close)> folder(::fdopendir(copy), close);
    if (!folder) {
        ::close(copy);
        return;
    }
    const std::time_t oldest = std::time(nullptr) - abandoned_after;
    constexpr int most = 1000;  // signals are to be served
    for (int i = 0; i < most; ++i) {
        const dirent* entry = ::readdir(folder.get());
        if (entry == nullptr) return;
        const std::string name = entry->d_name;
        if (!name.ends_with(suffix)) continue;
        const auto is_old = [oldest](const struct stat& info) { return info.st_mtime <= oldest; };
        struct stat info {};
        if (::fstatat(folder_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 || !is_old(info)) continue;
        const Fd file = open_private(folder_, name, O_RDONLY);
        if (!file || ::fstat(file.get(), &info) != 0 || !is_old(info)) continue;
        if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(folder_.get(), name.c_str(), 0);
    }
}

}  // namespace vmmi::system
