// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <cstdlib>

#include "app/check.h"
#include "app/configuration_source.h"
#include "app/supervise.h"
#include "cli/command_line.h"
#include "core/configuration.h"
#include "hypervisor/connection.h"
#include "hypervisor/survey.h"
#include "message/messages.h"
#include "system/channels.h"
#include "system/clock.h"
#include "system/file.h"
#include "system/guard.h"
#include "system/limits.h"
#include "system/log.h"
#include "vmmi/plugin.h"

namespace vmmi {
namespace {

/// Everything up to the completion message, which `run_plugin` writes whatever happens in here.
class Run {
  public:
    Run(const Plugin& plugin, system::Channels& channels) : plugin_(plugin), channels_(channels) {}

    /// Nothing: there was no migration to speak of, as with --help.
    std::optional<Outcome> run(int argc, char** argv);
    std::uint64_t timestamp() { return timestamps_.next(); }

  private:
    app::ConfigurationSource source_of(const cli::CommandLine& line) const;
    Result<Configuration> configure(const cli::CommandLine& line);
    std::optional<Outcome> check(const cli::CommandLine& line, const Result<Configuration>& configuration);
    Result<Outcome> migrate(const cli::CommandLine& line, const Configuration& configuration, Policy& policy);

    const Plugin& plugin_;
    system::Channels& channels_;
    system::Timestamps timestamps_;
    // Before any thread, so that all of them have the signals blocked.
    system::Signals signals_;
    std::optional<system::Guard> guard_;
    std::optional<hypervisor::EventThread> events_;
};

Outcome failed(const Plugin& plugin, Error error) {
    Outcome outcome;
    outcome.policy = plugin.name;
    outcome.error = std::move(error);
    return outcome;
}

std::optional<Outcome> Run::run(int argc, char** argv) {
    const Result<cli::CommandLine> line = cli::parse_command_line(argc, argv);
    if (!line) return failed(plugin_, line.error());
    using Mode = cli::CommandLine::Mode;
    if (line->mode == Mode::help) {
        channels_.write_output(cli::help_text(plugin_));
        return std::nullopt;
    }
    if (line->mode == Mode::version) {
        channels_.write_output(
            fmt::format("{} {} (VMMI {})\n", plugin_.name, plugin_.version, message::interface_version));
        return std::nullopt;
    }
    if (line->mode == Mode::migrate) {
        if (std::optional<Error> error = system::too_little_to_start()) return failed(plugin_, std::move(*error));
        guard_.emplace();
        events_.emplace();
    }
    const Result<Configuration> configuration = configure(*line);
    if (line->mode == Mode::check) return check(*line, configuration);
    if (!configuration) return failed(plugin_, configuration.error());
    // Settings that are fine one by one may contradict each other: the policy says so, to --print-config as well.
    const Result<std::unique_ptr<Policy>> policy = plugin_.make_policy(configuration->settings);
    if (!policy) return failed(plugin_, policy.error());
    if (line->mode == Mode::print_config) {
        channels_.write_output(message::configuration_message(*configuration) + "\n");
        return std::nullopt;
    }
    Result<Outcome> outcome = migrate(*line, *configuration, **policy);
    return outcome ? std::move(*outcome) : failed(plugin_, outcome.error());
}

app::ConfigurationSource Run::source_of(const cli::CommandLine& line) const {
    return {line.config, fmt::format("{}/{}.json", VMMI_CONFIG_DIR, plugin_.name)};
}

Result<Configuration> Run::configure(const cli::CommandLine& line) {
    const app::ConfigurationSource source = source_of(line);
    const Result<Object> given = app::obtain_configuration(source, signals_);
    if (!given) return fail(given.error());
    Result<Configuration> configuration = make_configuration(*given, plugin_.keys);
    if (!configuration) configuration.error().details.insert(0, source.name() + ": ");
    return configuration;
}

std::optional<Outcome> Run::check(const cli::CommandLine& line, const Result<Configuration>& configuration) {
    Findings known;
    known.policy = plugin_.name;
    known.plugin_version = plugin_.version;
    known.client_version = hypervisor::client_version();
    known.vm = line.vm;
    known.destination_uri = line.destination_uri;
    known.migration_uri = line.migration_uri;
    known.privileged = ::geteuid() == 0;
    const app::ConfigurationSource source = source_of(line);
    const bool defaults = !source.argument && system::kind_of(source.default_path) == system::FileKind::missing;
    known.configuration_name = defaults ? "the defaults; there is no " + source.name() : source.name();
    std::unique_ptr<Policy> policy;
    const auto note = [&](std::optional<Error> error) {
        if (error) known.problems.push_back(std::move(*error));
    };
    note(system::too_little_to_start());
    if (configuration) {
        known.connection = configuration->connection;
        known.patience = configuration->connection_timeout;
        if (Result<std::unique_ptr<Policy>> made = plugin_.make_policy(configuration->settings))
            policy = std::move(*made);
        else
            note(made.error());
        note(system::Log::check(*configuration));
        if (configuration->runtime_directory) note(system::RuntimeData::check(*configuration->runtime_directory));
        note(hypervisor::check_credentials(configuration->credentials));
    } else {
        // Told to leave while the configuration was awaited: no question of its quality.
        const ErrorCode code = configuration.error().code;
        if (code == ErrorCode::detached || code == ErrorCode::migration_aborted)
            return failed(plugin_, configuration.error());
        note(configuration.error());
    }
    const Result<CheckReport> report =
        app::check({std::move(known), configuration ? &*configuration : nullptr, policy.get(), signals_});
    if (!report) return failed(plugin_, report.error());
    channels_.write_output(message::check_message(*report, timestamps_.next()) + "\n");
    if (const CheckResult* failure = report->first_failure()) return failed(plugin_, failure->error);
    return std::nullopt;
}

Result<Outcome> Run::migrate(const cli::CommandLine& line, const Configuration& configuration, Policy& policy) {
    Result<system::Log> log = system::Log::open(configuration, plugin_.name);
    if (!log) return fail(log.error());
    Result<system::RuntimeData> runtime_data = system::RuntimeData::open(configuration.runtime_directory);
    if (!runtime_data && configuration.runtime_directory) return fail(runtime_data.error());
    if (!runtime_data) {
        log->write(system::Log::Level::warning, runtime_data.error().details);
        runtime_data = system::RuntimeData();
    }
    if (!*guard_) log->write(system::Log::Level::warning, "no guard process: SIGSTOP will only stop this plugin");
    app::Supervision supervision{
        .policy_name = plugin_.name,
        .policy = policy,
        .configuration = configuration,
        .line = line,
        .signals = signals_,
        .channels = channels_,
        .timestamps = timestamps_,
        .log = *log,
        .runtime_data = *runtime_data,
        .events = *events_,
    };
    return app::supervise(supervision);
}

}  // namespace

int run_plugin(const Plugin& plugin, int argc, char** argv) {
    // One heap for the few threads here: an arena each would cost more memory than everything kept in them.
    ::mallopt(M_ARENA_MAX, 1);
    system::settle_limits();
    system::MemoryReserve reserve;
    system::Channels channels;
    Run run(plugin, channels);
    std::optional<Outcome> outcome;
    try {
        outcome = run.run(argc, argv);
    } catch (const std::bad_alloc&) {
        reserve.release();
        outcome = failed(plugin, {ErrorCode::operation_failed, "out of memory",
                                  "the system gives no more memory; raise the limit of this process (ulimit -d, ulimit "
                                  "-v, MemoryMax=) or free memory on this host"});
    } catch (const std::system_error& error) {
        outcome =
            failed(plugin, {ErrorCode::operation_failed, "no thread",
                            fmt::format("the system gives no more threads: {}; raise the limits of processes and of "
                                        "memory, which their stacks count for (ulimit -u, ulimit -d, TasksMax=)",
                                        error.code().message())});
    } catch (const std::exception& error) {
        outcome = failed(plugin, {ErrorCode::unknown, "internal error",
                                  fmt::format("{}; this is a bug of plugin {}", error.what(), plugin.name)});
    }
    if (outcome) channels.write_error(message::completion_message(*outcome, run.timestamp()) + "\n");
    // Not `return`: where libvirt's threads are still in a call, only the end of the process ends them.
    ::_exit(outcome && outcome->error ? EXIT_FAILURE : EXIT_SUCCESS);
}

}  // namespace vmmi
