// SPDX-License-Identifier: Apache-2.0
#include "core/configuration.h"

#include <algorithm>
#include <array>

namespace vmmi {
namespace {

struct NamedTarget {
    const char* word;
    LogTarget target;
};
constexpr std::array<NamedTarget, 4> log_targets{{
    {"none", LogTarget::none},
    {"file", LogTarget::file},
    {"syslog", LogTarget::syslog},
    {"journal", LogTarget::journal},
}};

LogTarget log_target_from(const std::string& word) {
    return std::ranges::find(log_targets, word, &NamedTarget::word)->target;
}

}  // namespace

const std::vector<Key>& common_keys() {
    static const std::vector<Key> keys{
        text_key("connection", "qemu:///system", "libvirt URI of the source host"),
        integer_key(
            "verbose", nullptr, {0, 3},
            "log level: 0 nothing, 1 actions and warnings, 2 debug, 3 every sample; 0 unless a log is set, then 1"),
        text_key("logFilePath", nullptr, "file to append the log to"),
        choice_key("logTarget", nullptr, {"none", "file", "syslog", "journal"},
                   "where the log goes; file where logFilePath is given, else none"),
        object_key(
            "connectionCredentials",
            {text_key("username", nullptr, "user name for a connection that asks for one"),
             text_key("passwordFile", nullptr, "file with the password on its first line, readable by its owner only")},
            "credentials for the connection"),
        integer_key("connectionTimeout", 30, {2, 3600},
                    "seconds after which a daemon that does not answer counts as lost"),
        integer_key("monitorInterval", 1, {1, 3600}, "seconds between two looks at the running migration"),
        text_key("runtimeDirectory", nullptr,
                 "private folder for what a plugin that takes over needs to know; /run/vmmi, or $XDG_RUNTIME_DIR/vmmi "
                 "for a user other than root"),
    };
    return keys;
}

std::vector<Key> all_keys(const std::vector<Key>& plugin_keys) {
    std::vector<Key> keys = common_keys();
    keys.insert(keys.end(), plugin_keys.begin(), plugin_keys.end());
    return keys;
}

Result<Configuration> make_configuration(const Object& given, const std::vector<Key>& plugin_keys) {
    Result<Settings> settings = apply_keys(all_keys(plugin_keys), given, "configuration");
    if (!settings) return fail(settings.error());

    Configuration configuration;
    configuration.connection = settings->text("connection");
    configuration.log_file_path = settings->optional_text("logFilePath").value_or("");
    const bool has_file = !configuration.log_file_path.empty();
    const std::string target = settings->optional_text("logTarget").value_or(has_file ? "file" : "none");
    configuration.log_target = log_target_from(target);
    if (configuration.log_target == LogTarget::file && !has_file) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    "configuration.logTarget: \"file\" needs configuration.logFilePath");
    }
    const int default_level = configuration.log_target == LogTarget::none ? 0 : 1;
    configuration.verbose = static_cast<int>(settings->optional_integer("verbose").value_or(default_level));
    configuration.credentials.username = settings->optional_text("connectionCredentials.username");
    configuration.credentials.password_file = settings->optional_text("connectionCredentials.passwordFile");
    configuration.connection_timeout = std::chrono::seconds(settings->integer("connectionTimeout"));
    configuration.runtime_directory = settings->optional_text("runtimeDirectory");
    configuration.monitor_interval = std::chrono::seconds(settings->integer("monitorInterval"));
    // What was worked out is part of the effective configuration.
    Object values = settings->values();
    values.set("logTarget", target);
    values.set("verbose", configuration.verbose);
    configuration.settings = Settings(std::move(values));
    return configuration;
}

}  // namespace vmmi
