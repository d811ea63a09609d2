// SPDX-License-Identifier: Apache-2.0
#include "scenario.h"

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

namespace fake {
namespace {

using nlohmann::json;

/// An object whose every key must be asked for, so that a misspelt one does not pass unnoticed.
class Reader {
  public:
    explicit Reader(const json& object) : object_(object) {
        for (const auto& item : object.items()) unread_.insert(item.key());
    }
    void done() const {
        if (!unread_.empty()) throw std::runtime_error("unknown key: " + *unread_.begin());
    }

    const json* find(const char* key) {
        unread_.erase(key);
        const auto found = object_.find(key);
        return found == object_.end() || found->is_null() ? nullptr : &*found;
    }
    template <typename T>
    void read(const char* key, T& into) {
        if (const json* value = find(key)) into = value->get<T>();
    }
    template <typename T>
    void read(const char* key, std::optional<T>& into) {
        if (const json* value = find(key)) into = value->get<T>();
    }
    /// One or a list of them.
    void read_words(const char* key, std::vector<std::string>& into) {
        const json* value = find(key);
        if (value == nullptr) return;
        if (value->is_string())
            into.push_back(value->get<std::string>());
        else
            into = value->get<std::vector<std::string>>();
    }
    void read_error(const char* key, std::optional<Error>& into) {
        if (const json* value = find(key)) into = Error{value->at("code"), value->at("domain"), value->at("message")};
    }
    void read_moment(const char* key, Moment& into) {
        if (const json* value = find(key)) into = Moment{value->at(0), value->at(1)};
    }

  private:
    const json& object_;
    std::set<std::string> unread_;
};

End end_of(const std::string& word) {
    static const std::map<std::string, End> ends{
        {"migrated", End::migrated},   {"failed", End::failed},   {"aborted", End::aborted},
        {"destroyed", End::destroyed}, {"crashed", End::crashed}, {"poweredOff", End::powered_off},
    };
    return ends.at(word);
}

Host host_of(const std::string& word) {
    static const std::map<std::string, Host> hosts{{"source", Host::source}, {"destination", Host::destination}};
    return hosts.at(word);
}

Pass read_pass(const json& object) {
    Reader reader(object);
    Pass pass;
    reader.read("ms", pass.ms);
    reader.read("bytes", pass.bytes);
    if (pass.ms > 0) pass.bandwidth = pass.bytes * 1000 / static_cast<std::uint64_t>(pass.ms);
    reader.read("bandwidth", pass.bandwidth);
    reader.read("dirtyRate", pass.dirty_rate);
    reader.read("throttle", pass.throttle);
    reader.done();
    return pass;
}

Migration read_migration(const json& object) {
    Reader reader(object);
    Migration migration;
    reader.read("runningSinceMs", migration.running_since_ms);
    reader.read("setupMs", migration.setup_ms);
    if (const json* passes = reader.find("passes"))
        for (const json& pass : *passes) migration.passes.push_back(read_pass(pass));
    reader.read("endless", migration.endless);
    reader.read("lastPassMs", migration.last_pass_ms);
    reader.read("teardownMs", migration.teardown_ms);
    reader.read("downtimeMs", migration.downtime_ms);
    reader.read("postcopyMs", migration.postcopy_ms);
    reader.read("postcopyBreaks", migration.postcopy_breaks);
    reader.read("abortMs", migration.abort_ms);
    reader.read("lingerMs", migration.linger_ms);
    if (const json* word = reader.find("end")) migration.end = end_of(*word);
    reader.read_moment("endAt", migration.end_at);
    if (const json* moment = reader.find("postcopyAt")) migration.postcopy_at = Moment{moment->at(0), moment->at(1)};
    reader.read("operation", migration.operation);
    reader.read_error("callError", migration.call_error);
    reader.read("callAfterMs", migration.call_after_ms);
    reader.read_words("silent", migration.silent);
    reader.done();
    if (migration.operation != "migration" && migration.operation != "save")
        throw std::runtime_error("unknown operation: " + migration.operation);
    if (migration.passes.empty()) throw std::runtime_error("a migration needs a pass");
    return migration;
}

void read_host(const json& object, HostFacts& host) {
    Reader reader(object);
    reader.read("name", host.name);
    reader.read("uuid", host.uuid);
    reader.read("type", host.type);
    reader.read("libvirt", host.libvirt);
    reader.read("hypervisor", host.hypervisor);
    reader.read("capabilities", host.capabilities);
    reader.done();
}

Guest read_guest(const json& object) {
    Reader reader(object);
    Guest guest;
    if (const json* host = reader.find("host")) guest.host = host_of(*host);
    reader.read("name", guest.name);
    reader.read("uuid", guest.uuid);
    reader.read("memory", guest.memory);
    reader.read("persistent", guest.persistent);
    reader.read("state", guest.state);
    reader.read("backup", guest.backup);
    reader.read("downtimeMs", guest.downtime_ms);
    if (const json* migration = reader.find("migration")) guest.migration = read_migration(*migration);
    reader.done();
    return guest;
}

Outage read_outage(const json& object) {
    Reader reader(object);
    Outage outage;
    reader.read_moment("at", outage.at);
    reader.read("forMs", outage.for_ms);
    reader.read("reason", outage.reason);
    reader.read("callbackMs", outage.callback_ms);
    reader.done();
    return outage;
}

Rule read_rule(const json& object) {
    Reader reader(object);
    Rule rule;
    reader.read_words("call", rule.calls);
    if (const json* host = reader.find("host")) rule.host = host_of(*host);
    reader.read_words("during", rule.during);
    reader.read("from", rule.from);
    reader.read("to", rule.to);
    reader.read("process", rule.process);
    reader.read("delayMs", rule.delay_ms);
    reader.read("hang", rule.hang);
    reader.read_error("error", rule.error);
    if (const json* outage = reader.find("lose")) rule.lose = read_outage(*outage);
    reader.done();
    return rule;
}

Scenario read_scenario(const char* path) {
    std::ifstream file(path);
    const json object = json::parse(file);
    Reader reader(object);
    Scenario scenario;
    reader.read("stateFile", scenario.state_file);
    reader.read("traceFile", scenario.trace_file);
    reader.read("source", scenario.source);
    reader.read("destination", scenario.destination);
    if (const json* host = reader.find("sourceFacts")) read_host(*host, scenario.source_facts);
    if (const json* host = reader.find("destinationFacts")) read_host(*host, scenario.destination_facts);
    reader.read("noise", scenario.noise);
    if (const json* list = reader.find("guests"))
        for (const json& one : *list) scenario.guests.push_back(read_guest(one));
    if (const json* list = reader.find("rules"))
        for (const json& one : *list) scenario.rules.push_back(read_rule(one));
    if (const json* list = reader.find("outages"))
        for (const json& one : *list) scenario.outages.push_back(read_outage(one));
    reader.done();
    return scenario;
}

}  // namespace

const HostFacts& facts_of(Host host) {
    return host == Host::source ? scenario().source_facts : scenario().destination_facts;
}

const Scenario& scenario() {
    // Never destroyed: threads may still be in a call when the process ends.
    static const auto* read = [] {
        const char* path = std::getenv("VMMI_FAKE_SCENARIO");
        try {
            if (path == nullptr) throw std::runtime_error("it is not set");
            return new Scenario(read_scenario(path));
        } catch (const std::exception& error) {
            // Standard error may belong to nobody any more.
            if (path != nullptr) std::ofstream(std::string(path) + ".error") << error.what() << '\n';
            std::_Exit(70);
        }
    }();
    return *read;
}

}  // namespace fake
