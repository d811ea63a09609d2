// SPDX-License-Identifier: Apache-2.0
#include "system/log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/syslog_sink.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "core/describe.h"
#include "system/fd.h"
#include "system/file.h"
#include "system/journal.h"

namespace vmmi::system {
namespace {

/// A file that is open already: what was checked is what is written to.
class FileSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    explicit FileSink(Fd file) : file_(std::move(file)) {}

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        // A full disk is no reason to stop.
        write_all(file_.get(), {line.data(), line.size()});
    }
    void flush_() override {}

  private:
    Fd file_;
};

Error bad_file(const std::string& path, const std::string& why) {
    return {
        ErrorCode::bad_file_path, "bad log file",
        fmt::format("configuration.logFilePath: {}: {}; it is to be a regular file that may be written, or a new one "
                    "in a folder that is there",
                    quote(path), why)};
}

/// With `more` of open's flags. What has no end, such as /proc/PID/mem, cannot be appended to.
Opened open_to_append(const std::string& path, int more = 0) {
    // Nobody but the owner and the group reads it, whatever the umask: guests have names.
    constexpr mode_t mode = 0640;
    Opened opened = open_regular(path, O_WRONLY | O_APPEND | more, mode);
    if (opened.file && ::lseek(opened.file.get(), 0, SEEK_END) < 0) return {Fd(), "not a regular file"};
    return opened;
}

Result<spdlog::sink_ptr> make_sink(const Configuration& configuration, Fd file, const std::string& ident) {
    switch (configuration.log_target) {
        case LogTarget::file:
            return std::make_shared<FileSink>(std::move(file));
        case LogTarget::syslog:
            return std::make_shared<spdlog::sinks::syslog_sink_st>(ident, LOG_PID, LOG_DAEMON, false);
        case LogTarget::journal:
            return journal_sink(ident);
        case LogTarget::none:
            break;
    }
    return spdlog::sink_ptr();
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

/// The file that would be made for that path: links that lead nowhere are followed.
std::filesystem::path place_of(std::filesystem::path path) {
    constexpr int most_links = 40;  // as the kernel has it
    std::error_code ignored;
    for (int i = 0; i < most_links && std::filesystem::is_symlink(path, ignored); ++i)
        path = path.parent_path() / std::filesystem::read_symlink(path, ignored);
    return path;
}

/// Why it could neither be appended to nor made; nothing where it could.
std::optional<std::string> obstacle_to_append(const std::string& path) {
    Opened opened = open_to_append(path);
    if (opened.file) return std::nullopt;
    if (kind_of(path) != FileKind::missing) return opened.obstacle;
    const std::string folder = place_of(path).parent_path();
    if (::faccessat(AT_FDCWD, folder.empty() ? "." : folder.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return std::nullopt;
    return std::generic_category().message(errno);
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
    Fd file;
    if (configuration.log_target == LogTarget::file) {
        Opened opened = open_to_append(configuration.log_file_path, O_CREAT);
        if (!opened.file) return fail(bad_file(configuration.log_file_path, opened.obstacle));
        file = std::move(opened.file);
    }
    Result<spdlog::sink_ptr> sink = make_sink(configuration, std::move(file), "vmmi-" + plugin);
    if (!sink) return fail(sink.error());
    log.sink_ = std::make_unique<Sink>(Sink{spdlog::logger(plugin, std::move(*sink))});
    spdlog::logger& logger = log.sink_->logger;
    logger.set_level(threshold(configuration.verbose));
    // Nothing that fails in here makes spdlog print to standard error.
    logger.set_error_handler([](const std::string&) {});
    if (configuration.log_target == LogTarget::file)
        logger.set_pattern("%Y-%m-%dT%H:%M:%S.%e%z " + fmt::format("vmmi-{}", plugin) + "[%P] %l: %v");
    else
        logger.set_pattern("%v");
    return log;
}

std::optional<Error> Log::check(const Configuration& configuration) {
    if (configuration.verbose == 0) return std::nullopt;
    if (configuration.log_target == LogTarget::journal) {
        const Result<spdlog::sink_ptr> journal = journal_sink("");
        return journal ? std::nullopt : std::optional(journal.error());
    }
    if (configuration.log_target != LogTarget::file) return std::nullopt;
    const std::string& path = configuration.log_file_path;
    if (const std::optional<std::string> obstacle = obstacle_to_append(path)) return bad_file(path, *obstacle);
    return std::nullopt;
}

void Log::write(Level level, std::string_view text) {
    if (sink_) sink_->logger.log(level_of(level), one_line(text));
}

}  // namespace vmmi::system
