// SPDX-License-Identifier: Apache-2.0
#include "system/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/syslog_sink.h>
#include <spdlog/sinks/systemd_sink.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "system/fd.h"

namespace vmmi::system {
namespace {

using Sink_ = std::shared_ptr<spdlog::sinks::sink>;

Sink_ make_sink(const Configuration& configuration, const std::string& ident) {
    switch (configuration.log_target) {
        case LogTarget::file:
            return std::make_shared<spdlog::sinks::basic_file_sink_st>(configuration.log_file_path);
        case LogTarget::syslog:
            return std::make_shared<spdlog::sinks::syslog_sink_st>(ident, LOG_PID, LOG_DAEMON, false);
        case LogTarget::journal:
            return std::make_shared<spdlog::sinks::systemd_sink_st>(ident);
        case LogTarget::none:
            break;
    }
    return nullptr;
}

spdlog::level::level_enum threshold(int verbose) {
    switch (verbose) {
        case 0:
            return spdlog::level::off;
        case 1:
            return spdlog::level::info;
        case 2:
            return spdlog::level::debug;
        default:
            return spdlog::level::trace;
    }
}

spdlog::level::level_enum level_of(Log::Level level) {
    switch (level) {
        case Log::Level::error:
            return spdlog::level::err;
        case Log::Level::warning:
            return spdlog::level::warn;
        case Log::Level::info:
            return spdlog::level::info;
        case Log::Level::debug:
            return spdlog::level::debug;
        case Log::Level::trace:
            return spdlog::level::trace;
    }
    return spdlog::level::info;
}

std::string one_line(std::string_view text) {
    std::string line;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f)
            line += fmt::format("\\x{:02x}", byte);
        else
            line += c;
    }
    return line;
}

Error bad_file(const std::string& path, const std::string& why) {
    return {ErrorCode::bad_file_path, "bad log file", fmt::format("configuration.logFilePath: {}: {}", path, why)};
}

/// A FIFO would block for ever, a device is no log, and spdlog would make the folders of a misspelt path.
std::optional<Error> refuse_file(const std::string& path) {
    struct stat info {};
    const std::string folder = std::filesystem::path(path).parent_path();
    if (!folder.empty() && ::stat(folder.c_str(), &info) != 0)
        return bad_file(path, std::generic_category().message(errno));
    if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) return bad_file(path, "not a regular file");
    return std::nullopt;
}

/// The file that would be made for that path: links that lead nowhere are followed.
std::filesystem::path place_of(std::filesystem::path path) {
    constexpr int most_links = 40;  // as the kernel has it
    std::error_code ignored;
    for (int i = 0; i < most_links && std::filesystem::is_symlink(path, ignored); ++i)
        path = path.parent_path() / std::filesystem::read_symlink(path, ignored);
    return path;
}

/// Whether it could be appended to, or made: 0, or the reason.
int permission_to_append(const std::string& path) {
    if (const Fd file(::open(path.c_str(), O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)); file) return 0;
    if (errno != ENOENT) return errno;
    const std::string folder = place_of(path).parent_path();
    return ::faccessat(AT_FDCWD, folder.empty() ? "." : folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

}  // namespace

struct Log::Sink {
    spdlog::logger logger;
};

Log::Log() = default;
Log::Log(Log&&) noexcept = default;
Log& Log::operator=(Log&&) noexcept = default;
Log::~Log() = default;

Result<Log> Log::open(const Configuration& configuration, const std::string& plugin) {
    Log log;
    if (configuration.log_target == LogTarget::none || configuration.verbose == 0) return log;
    if (configuration.log_target == LogTarget::file) {
        if (std::optional<Error> error = refuse_file(configuration.log_file_path)) return fail(std::move(*error));
    }
    try {
        log.sink_ = std::make_unique<Sink>(Sink{spdlog::logger(plugin, make_sink(configuration, "vmmi-" + plugin))});
    } catch (const spdlog::spdlog_ex& error) {
        return fail(ErrorCode::bad_file_path, "bad log file",
                    fmt::format("configuration.logFilePath: {}; the log file's folder must exist and be writable",
                                error.what()));
    }
    spdlog::logger& logger = log.sink_->logger;
    logger.set_level(threshold(configuration.verbose));
    logger.flush_on(spdlog::level::trace);
    // A full disk must neither stop the migration nor make spdlog print to standard error.
    logger.set_error_handler([](const std::string&) {});
    if (configuration.log_target == LogTarget::file)
        logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e%z " + fmt::format("vmmi-{}", plugin) + "[%P] %l: %v");
    else
        logger.set_pattern("%v");
    return log;
}

std::optional<Error> Log::check(const Configuration& configuration) {
    if (configuration.log_target != LogTarget::file || configuration.verbose == 0) return std::nullopt;
    const std::string& path = configuration.log_file_path;
    if (std::optional<Error> error = refuse_file(path)) return error;
    if (const int reason = permission_to_append(path); reason != 0)
        return bad_file(path,
                        std::generic_category().message(reason) + "; the log file's folder must exist and be writable");
    return std::nullopt;
}

void Log::write(Level level, std::string_view text) {
    if (sink_) sink_->logger.log(level_of(level), one_line(text));
}

}  // namespace vmmi::system
