// SPDX-License-Identifier: Apache-2.0
#include "core/check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "core/conflicts.h"
#include "core/describe.h"
#include "core/redact.h"
#include "core/uri.h"

namespace vmmi {
namespace {

using Verdict = CheckResult::Verdict;

/// A verdict with its sentence, before it has the name of its check.
CheckResult passed(std::string details) {
    return {"", Verdict::passed, {ErrorCode::none, "", std::move(details)}};
}
CheckResult warning(std::string details) {
    return {"", Verdict::warning, {ErrorCode::none, "", std::move(details)}};
}
CheckResult skipped(std::string details) {
    return {"", Verdict::skipped, {ErrorCode::none, "", std::move(details)}};
}
CheckResult failed(Error error) {
    return {"", Verdict::failed, std::move(error)};
}
CheckResult failed(ErrorCode code, std::string message, std::string details) {
    return failed({code, std::move(message), std::move(details)});
}

std::string describe(const HostFacts& host) {
    std::string text = host.name.empty() ? std::string("a host that does not tell its name") : quote(host.name);
    if (host.libvirt) text += ", libvirt " + version_text(*host.libvirt);
    if (!host.hypervisor.empty()) text += ", " + quote(host.hypervisor);
    if (host.hypervisor_version) text += " " + version_text(*host.hypervisor_version);
    return text;
}

/// The sentences of several findings as one.
std::string joined(const std::vector<std::string>& sentences) {
    return fmt::format("{}", fmt::join(sentences, "; "));
}

bool has_host(const Findings& findings) {
    return findings.source && *findings.source;
}
bool has_guest(const Findings& findings) {
    return has_host(findings) && findings.guest && *findings.guest;
}
/// What is under way is taken over: then nothing is started.
bool taken_over(const Findings& findings) {
    return has_guest(findings) && (*findings.guest)->job.migrating();
}

CheckResult configuration(const Findings& findings) {
    if (findings.problems.empty()) return passed(findings.configuration_name);
    std::vector<std::string> sentences;
    for (const Error& error : findings.problems) sentences.push_back(error.details);
    Error first = findings.problems.front();
    first.details = joined(sentences);
    return failed(std::move(first));
}

CheckResult connection(const Findings& findings) {
    if (!findings.connection) return skipped("there is no usable configuration to tell the source");
    const std::string uri = redact_uri(*findings.connection);
    if (!findings.source) {
        return failed(ErrorCode::libvirt_disconnected, "cannot connect to libvirt",
                      fmt::format("{}: the daemon did not answer within {} s; check that it is not stuck", uri,
                                  findings.patience.count()));
    }
    if (!*findings.source) return failed(findings.source->error().error);
    return passed(fmt::format("{}: {}", uri, describe(**findings.source)));
}

CheckResult guest(const Findings& findings) {
    if (!has_host(findings)) return skipped("there is no connection to the source");
    if (!findings.guest) {
        return failed(ErrorCode::libvirt_disconnected, "libvirt does not answer",
                      fmt::format("{}: the daemon did not tell about guest {} within {} s",
                                  redact_uri(*findings.connection), quote(findings.vm), findings.patience.count()));
    }
    if (!*findings.guest) return failed(findings.guest->error());
    const GuestFacts& facts = **findings.guest;
    if (std::optional<Error> error = refusal(facts.guest, facts.state, facts.job)) return failed(std::move(*error));
    if (taken_over(findings))
        return warning(fmt::format("a migration of guest {} is in progress and would be taken over", facts.guest.name));
    return passed(fmt::format("guest {} ({}) is {} at the source; no other job is in progress", facts.guest.name,
                              facts.guest.uuid, to_string(facts.state)));
}

CheckResult options(const Findings& findings) {
    if (!has_guest(findings)) return skipped("the options depend on the guest, which is not known");
    if (taken_over(findings)) return skipped("the migration in progress has options already");
    if (!findings.request) return skipped("there is no policy to ask: see the configuration");
    Surroundings around{parse_uri(findings.migration_uri).scheme, **findings.source, std::nullopt};
    if (findings.destination && *findings.destination) around.destination = **findings.destination;
    const std::vector<Conflict> found = conflicts(*findings.request, (*findings.guest)->guest, around);
    if (found.empty()) return passed("libvirt and the hypervisor at hand take all options");
    std::vector<std::string> sentences;
    sentences.reserve(found.size());
    for (const Conflict& conflict : found) sentences.push_back(conflict.error.details);
    std::optional<Error> error = refusal(found);
    if (!error) return warning(joined(sentences));
    error->details = joined(sentences);
    return failed(std::move(*error));
}

/// Whether this process failed for want of credentials that the source's daemon may have. ssh and TLS do not tell.
bool daemon_may_know_better(const Findings& findings, const std::optional<Unreachable>& why) {
    if (!findings.connection || !is_local(*findings.connection)) return true;
    if (why && why->credentials) return true;
    const std::string transport = parse_uri(findings.destination_uri).transport;
    return !findings.privileged && transport != "tcp" && transport != "unix";
}

CheckResult unreachable(const Findings& findings, const std::optional<Unreachable>& why) {
    const std::string said = !why          ? fmt::format("no answer within {} s", findings.patience.count())
                             : why->native ? describe(*why->native)
                                           : why->error.details;
    const std::string tried = fmt::format("{}: {}", redact_uri(findings.destination_uri), said);
    if (daemon_may_know_better(findings, why)) {
        return warning(tried +
                       "; the source's daemon makes this connection itself, with its own credentials, and may "
                       "still reach it");
    }
    return failed(ErrorCode::operation_failed, "cannot reach the destination",
                  tried + "; check DESTINATION-URI and that the daemon runs there");
}

CheckResult same_host(const Findings& findings, const std::string& why) {
    return failed(
        ErrorCode::operation_failed, "destination is the source",
        fmt::format("{}: {}; DESTINATION-URI is to lead to another host", redact_uri(findings.destination_uri), why));
}

/// What libvirt refuses, too.
std::optional<CheckResult> if_same_host(const Findings& findings, const HostFacts& destination) {
    if (!has_host(findings)) return std::nullopt;
    const HostFacts& source = **findings.source;
    if (!source.uuid.empty() && source.uuid == destination.uuid)
        return same_host(findings, fmt::format("source and destination have the host UUID {}", quote(source.uuid)));
    if (!source.name.empty() && source.name == destination.name)
        return same_host(findings, fmt::format("source and destination have the host name {}", quote(source.name)));
    return std::nullopt;
}

std::optional<CheckResult> if_in_the_way(const Guest& guest, const Namesakes& there) {
    const auto in_the_way = [](std::string details) {
        return failed(ErrorCode::operation_failed, "guest is in the way", std::move(details));
    };
    if (!there.uuid.empty() && there.uuid != guest.uuid) {
        return in_the_way(
            fmt::format("the destination has another guest {}, with UUID {} and not {}; rename or remove it",
                        quote(guest.name), there.uuid, guest.uuid));
    }
    if (there.name.empty()) return std::nullopt;
    if (there.name != guest.name) {
        return in_the_way(
            fmt::format("the destination has guest {} under another name, {}", guest.uuid, quote(there.name)));
    }
    if (there.state == GuestState::shut_off || there.state == GuestState::shut_off_migrated) return std::nullopt;
    return in_the_way(fmt::format("guest {} is at the destination already: it is {} there", quote(guest.name),
                                  to_string(there.state)));
}

CheckResult destination(const Findings& findings) {
    const Uri uri = parse_uri(findings.destination_uri);
    // As libvirt has it. A socket may lead anywhere.
    const bool leads_away =
        !uri.host.empty() ? !uri.host.starts_with("localhost") : uri.query.find("socket=") != std::string::npos;
    if (!leads_away) return same_host(findings, "it names no other host");
    if (!findings.destination) return unreachable(findings, std::nullopt);
    if (!*findings.destination) return unreachable(findings, findings.destination->error());
    const HostFacts& host = **findings.destination;
    if (std::optional<CheckResult> same = if_same_host(findings, host)) return *same;
    const std::string reached = fmt::format("{}: {}", redact_uri(findings.destination_uri), describe(host));
    if (!has_guest(findings)) return passed(reached + "; there was no guest to look for");
    if (taken_over(findings)) return passed(reached);
    if (!findings.namesakes)
        return warning(
            fmt::format("{}; the daemon did not tell its guests within {} s", reached, findings.patience.count()));
    if (std::optional<CheckResult> guest = if_in_the_way(arriving_guest(findings), *findings.namesakes)) return *guest;
    if (findings.namesakes->error)
        return warning(
            fmt::format("{}; cannot look for the guest there: {}", reached, describe(*findings.namesakes->error)));
    const HostFacts& source = **findings.source;
    if (host.hypervisor == source.hypervisor && host.hypervisor_version && source.hypervisor_version &&
        *host.hypervisor_version < *source.hypervisor_version) {
        return warning(reached + ", older than at the source: it may not know the guest's machine type");
    }
    return passed(reached + "; the guest is not there yet");
}

CheckResult migration_uri(const Findings& findings) {
    const std::string shown = redact_uri(findings.migration_uri);
    const Uri uri = parse_uri(findings.migration_uri);
    const auto malformed = [&](const std::string& why) {
        return failed(ErrorCode::malformed_parameters, "bad migration URI", fmt::format("{}: {}", shown, why));
    };
    if (!is_migration_transport(uri.scheme) || !uri.transport.empty())
        return malformed("expected MIGRATION-URI to begin with tcp:, rdma: or unix:");
    if (uri.scheme == "unix")
        return uri.path.empty() ? malformed("expected the path of a socket behind unix://") : passed(shown);
    if (uri.host.empty()) return malformed("expected the destination's name or address behind " + uri.scheme + "://");
    const auto loopback = [&] {
        const std::string why = fmt::format("{} leads the source to itself", quote(uri.host));
        // A caller may forward a port that it knows. Which one the destination takes, nobody knows before.
        return uri.port.empty()
                   ? malformed(why + "; the memory has to go to the destination")
                   : warning(fmt::format("{}: {}: that is right only where something there forwards it", shown, why));
    };
    if (is_loopback(uri.host)) return loopback();
    if (!findings.connection || !is_local(*findings.connection))
        return passed(
            fmt::format("{}; whether the source can look up {} does not show from here", shown, quote(uri.host)));
    if (!findings.migration_host)
        return warning(
            fmt::format("{}: looking up {} took longer than {} s", shown, quote(uri.host), findings.patience.count()));
    if (findings.migration_host->loopback) return loopback();
    if (!findings.migration_host->problem.empty()) {
        return failed(ErrorCode::operation_failed, "cannot look up the migration host",
                      fmt::format("{}: {}: {}; check MIGRATION-URI and how the source looks up names", shown,
                                  quote(uri.host), findings.migration_host->problem));
    }
    return passed(shown);
}

}  // namespace

const CheckResult* CheckReport::first_failure() const {
    const auto found = std::ranges::find(checks, Verdict::failed, &CheckResult::verdict);
    return found == checks.end() ? nullptr : &*found;
}

CheckReport judge(const Findings& findings) {
    CheckReport report;
    report.policy = findings.policy;
    report.plugin_version = findings.plugin_version;
    report.client_version = findings.client_version;
    if (has_host(findings)) report.source = **findings.source;
    if (findings.destination && *findings.destination) report.destination = **findings.destination;
    const auto add = [&](const char* name, CheckResult result) {
        result.check = name;
        report.checks.push_back(std::move(result));
    };
    add("configuration", configuration(findings));
    add("connection", connection(findings));
    add("guest", guest(findings));
    add("options", options(findings));
    add("destination", destination(findings));
    add("migrationUri", migration_uri(findings));
    return report;
}

Guest arriving_guest(const Findings& findings) {
    Guest guest = (*findings.guest)->guest;
    if (findings.request && !findings.request->destination_name.empty())
        guest.name = findings.request->destination_name;
    return guest;
}

bool is_local(const std::string& connection_uri) {
    return parse_uri(connection_uri).host.empty();
}

std::string host_to_look_up(const std::string& migration_uri) {
    const Uri uri = parse_uri(migration_uri);
    return uri.scheme == "tcp" || uri.scheme == "rdma" ? uri.host : std::string();
}

}  // namespace vmmi
