// SPDX-License-Identifier: Apache-2.0
#include "system/journal.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/uio.h>
#include <syslog.h>

#include <array>

#include "core/describe.h"

namespace vmmi::system {
namespace {

/// As <systemd/sd-journal.h> declares it.
using SendV = int (*)(const iovec* fields, int count);

int priority_of(spdlog::level::level_enum level) {
    switch (level) {
        case spdlog::level::critical:
            return LOG_CRIT;
        case spdlog::level::err:
            return LOG_ERR;
        case spdlog::level::warn:
            return LOG_WARNING;
        case spdlog::level::info:
            return LOG_INFO;
        default:
            return LOG_DEBUG;
    }
}

class JournalSink : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
  public:
    JournalSink(SendV send, const std::string& ident) : send_(send), ident_("SYSLOG_IDENTIFIER=" + ident) {}

  protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
        std::string text = "MESSAGE=";
        text.append(message.payload.data(), message.payload.size());
        std::string priority = fmt::format("PRIORITY={}", priority_of(message.level));
        const std::array<iovec, 3> fields{field(text), field(priority), field(ident_)};
        // A journal that does not listen is no reason to stop.
        send_(fields.data(), static_cast<int>(fields.size()));
    }
    void flush_() override {}

  private:
    static iovec field(std::string& text) { return {text.data(), text.size()}; }

    SendV send_;
    std::string ident_;
};

}  // namespace

Result<spdlog::sink_ptr> journal_sink(const std::string& ident) {
    void* library = ::dlopen("libsystemd.so.0", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    void* send = library ? ::dlsym(library, "sd_journal_sendv") : nullptr;
    if (!send) {
        const char* why = ::dlerror();
        return fail(
            ErrorCode::configuration_failed, "no journal",
            fmt::format("configuration.logTarget: \"journal\": {}; install libsystemd, or choose another logTarget",
                        quote(why ? why : "no sd_journal_sendv in libsystemd.so.0")));
    }
    return std::make_shared<JournalSink>(reinterpret_cast<SendV>(send), ident);
}

}  // namespace vmmi::system
