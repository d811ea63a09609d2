// SPDX-License-Identifier: Apache-2.0
#include "system/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/redact.h"
#include "system/fd.h"

namespace vmmi::system {

FileKind kind_of(const std::string& path) {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return errno == ENOENT ? FileKind::missing : FileKind::other;
    return S_ISREG(info.st_mode) ? FileKind::regular : FileKind::other;
}

Result<std::string> read_file(const std::string& path, std::size_t longest) {
    const auto bad = [&](const std::string& why) {
        return fail(ErrorCode::bad_file_path, "bad file path", fmt::format("{}: {}", redact_uri(path), why));
    };
    const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return bad(std::generic_category().message(errno));
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) return bad("not a regular file");

    std::string content(longest + 1, '\0');
    std::size_t length = 0;
    while (length < content.size()) {
        const ssize_t got = ::read(file.get(), content.data() + length, content.size() - length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return bad(std::generic_category().message(errno));
        if (got == 0) break;
        length += static_cast<std::size_t>(got);
    }
    if (length > longest) return bad(fmt::format("longer than {} bytes", longest));
    content.resize(length);
    return content;
}

}  // namespace vmmi::system
