// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/connection.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "core/describe.h"
#include "core/redact.h"

namespace vmmi::hypervisor {
namespace {

/// Holds a secret for as long as it is needed.
class Secret {
  public:
    Secret() = default;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { ::explicit_bzero(bytes_.data(), bytes_.size()); }

    /// Reads the first line of the file.
    std::optional<Error> read(const std::string& path);
    const char* text() const { return bytes_.data(); }

  private:
    std::array<char, 1024> bytes_{};
};

std::optional<Error> Secret::read(const std::string& path) {
    const auto bad = [&](const std::string& why) {
        return Error{
            ErrorCode::bad_file_path, "bad password file",
            fmt::format("configuration.connectionCredentials.passwordFile: {}: {}; it is to be a regular file that its "
                        "owner alone may use (chmod 600), with the password on its first line",
                        quote(path), why)};
    };
    // Before it is opened, which some devices take for a command, and again after it, in case that it changed.
    struct stat info {};
    if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) return bad("not a regular file");
    // O_NONBLOCK: a FIFO must not hold up the start.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return bad(std::generic_category().message(errno));
    const bool stated = ::fstat(fd, &info) == 0;
    const ssize_t length = stated && S_ISREG(info.st_mode) ? ::read(fd, bytes_.data(), bytes_.size() - 1) : -1;
    ::close(fd);
    if (!stated || !S_ISREG(info.st_mode)) return bad("not a regular file");
    if ((info.st_mode & (S_IRWXG | S_IRWXO)) != 0) return bad("others may read or change it");
    if (length < 0) return bad("cannot be read");
    if (static_cast<std::size_t>(length) == bytes_.size() - 1) return bad("too long for a password");
    char* end = std::find(bytes_.data(), bytes_.data() + length, '\n');
    *end = '\0';
    return std::nullopt;
}

struct Answers {
    const char* username;
    const char* password;
};

int answer(virConnectCredentialPtr asked, unsigned int count, void* opaque) noexcept {
    const auto* answers = static_cast<const Answers*>(opaque);
    for (unsigned int i = 0; i < count; ++i) {
        virConnectCredential& question = asked[i];
        const char* text = nullptr;
        switch (question.type) {
            case VIR_CRED_USERNAME:
            case VIR_CRED_AUTHNAME:
                text = answers->username;
                break;
            case VIR_CRED_PASSPHRASE:
            case VIR_CRED_NOECHOPROMPT:
                text = answers->password;
                break;
            default:
                text = question.defresult;
        }
        if (text == nullptr) return -1;
        question.result = ::strdup(text);  // libvirt frees it
        if (question.result == nullptr) return -1;
        question.resultlen = static_cast<unsigned int>(std::strlen(question.result));
    }
    return 0;
}

}  // namespace

std::optional<Error> check_credentials(const Credentials& credentials) {
    Secret password;
    return credentials.password_file ? password.read(*credentials.password_file) : std::nullopt;
}

Result<Connection> open_connection(const Endpoint& endpoint) {
    if (endpoint.obstacle != nullptr) {
        if (std::optional<Error> error = endpoint.obstacle()) return fail(std::move(*error));
    }
    const Credentials& credentials = endpoint.credentials;
    Secret password;
    if (credentials.password_file) {
        if (std::optional<Error> error = password.read(*credentials.password_file)) return fail(std::move(*error));
    }
    std::array<int, 4> kinds{VIR_CRED_USERNAME, VIR_CRED_AUTHNAME, VIR_CRED_PASSPHRASE, VIR_CRED_NOECHOPROMPT};
    Answers answers{credentials.username ? credentials.username->c_str() : nullptr,
                    credentials.password_file ? password.text() : nullptr};
    virConnectAuth auth{kinds.data(), static_cast<unsigned int>(kinds.size()), answer, &answers};

    Connection connection(virConnectOpenAuth(endpoint.uri.c_str(), &auth, 0));
    if (connection) {
        // libvirt gives up one interval after the last probe that was not answered. Not every driver has keepalive;
        // without it, a daemon that hangs is not noticed.
        constexpr unsigned int unanswered = 4;
        const auto interval = endpoint.timeout.count() / (unanswered + 1);
        virConnectSetKeepAlive(connection.get(), static_cast<int>(std::max<std::int64_t>(1, interval)),
                               interval > 0 ? unanswered : static_cast<unsigned int>(endpoint.timeout.count() - 1));
        return connection;
    }
    const NativeError error = last_error();
    const bool refused = error.code == VIR_ERR_AUTH_FAILED || error.code == VIR_ERR_AUTH_CANCELLED;
    const char* remedy = refused ? "check configuration.connectionCredentials"
                                 : "check configuration.connection and that the daemon runs there";
    return fail(ErrorCode::libvirt_disconnected, "cannot connect to libvirt",
                fmt::format("{}: {} (libvirt error {}, domain {}); {}", redact_uri(endpoint.uri), error.message,
                            error.code, error.domain, remedy));
}

}  // namespace vmmi::hypervisor
