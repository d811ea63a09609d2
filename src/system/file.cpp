// SPDX-License-Identifier: Apache-2.0
#include "system/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "core/redact.h"

namespace vmmi::system {

FileKind kind_of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return errno == ENOENT ? FileKind::missing : FileKind::unknown;
    return S_ISREG(info.st_mode) ? FileKind::regular : FileKind::irregular;
}

Opened open_regular(const std::string& path, int flags, mode_t mode) {
    constexpr const char* irregular = "not a regular file";
    if (kind_of(path) == FileKind::irregular) return {Fd(), irregular};
    // What stood there may have changed: O_NONBLOCK does not wait at a FIFO, and what is open tells what it is.
    Fd file(::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, mode));
    if (!file) return {Fd(), std::generic_category().message(errno)};
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return {Fd(), irregular};
    return {std::move(file), {}};
}

Result<std::string> read_file(const std::string& path, std::size_t longest) {
    const auto bad = [&](const std::string& why) {
        return fail(ErrorCode::bad_file_path, "bad file path", fmt::format("{}: {}", redact_uri(path), why));
    };
    const auto [file, obstacle] = open_regular(path, O_RDONLY);
    if (!file) return bad(obstacle);

    // Piece by piece: most files are small, and the memory for the longest would cost more time than the rest.
    std::string content;
    std::array<char, 16'384> piece{};
    while (content.size() <= longest) {
        const ssize_t got = ::read(file.get(), piece.data(), piece.size());
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bad(std::generic_category().message(errno));
        if (got == 0) return content;
        content.append(piece.data(), static_cast<std::size_t>(got));
    }
    return bad(fmt::format("longer than {} bytes", longest));
}

}  // namespace vmmi::system
