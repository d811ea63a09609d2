// SPDX-License-Identifier: Apache-2.0
#include "call.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>

#include "trace.h"

namespace fake {
namespace {

struct ThreadError {
    std::string message;
    virError error{};
};
thread_local ThreadError thread_error;

std::atomic<int> calls_so_far{0};
std::array<std::atomic<int>, 32> rule_uses{};

bool one_of(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
}

}  // namespace

void set_error(const Error& error) {
    thread_error.message = error.message;
    thread_error.error = virError{};
    thread_error.error.code = error.code;
    thread_error.error.domain = error.domain;
    thread_error.error.level = VIR_ERR_ERROR;
    thread_error.error.message = thread_error.message.data();
}

void reset_error() {
    thread_error.error = virError{};
}

virErrorPtr current_error() {
    return thread_error.error.code == VIR_ERR_OK ? nullptr : &thread_error.error;
}

void make_noise(const char* about) {
    if (!scenario().noise) return;
    const std::string text = std::string("noise by libvirt: ") + about + "\n";
    for (const int fd : {STDOUT_FILENO, STDERR_FILENO})
        if (::write(fd, text.data(), text.size()) < 0) return;
    std::fprintf(stderr, "%s", text.c_str());
    std::printf("%s", text.c_str());
    std::fflush(stdout);
    std::cerr << text;
    std::cout << text << std::flush;
}

Call::Call(const char* name, Host host, virConnectPtr connection, std::size_t guest, nlohmann::json arguments)
    : name_(name),
      host_(host),
      connection_(connection),
      guest_(guest),
      number_(++calls_so_far),
      connection_id_(connection != nullptr ? connection->id : 0) {
    reset_error();
    trace({{"call", name_},
           {"number", number_},
           {"connection", connection_id_},
           {"host", host_ == Host::source ? "source" : "destination"},
           {"arguments", std::move(arguments)}});
    make_noise(name_);
}

Call::~Call() {
    nlohmann::json line{{"answered", name_}, {"number", number_}, {"answer", answer_}};
    if (error_) line["error"] = {{"code", error_->code}, {"domain", error_->domain}, {"message", error_->message}};
    trace(std::move(line));
}

bool Call::fits(const Rule& rule, World& world) const {
    if (!rule.calls.empty() && !one_of(rule.calls, name_)) return false;
    if (rule.host && *rule.host != host_) return false;
    if (rule.process && *rule.process != world.process()) return false;
    if (rule.during.empty()) return true;
    const Segment segment = world.timeline(guest_).at(world.now());
    return one_of(rule.during, segment.name()) || (segment.phase == Phase::pass && one_of(rule.during, "precopy"));
}

const Rule* Call::rule() {
    World world;
    const std::vector<Rule>& rules = scenario().rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        if (!fits(rules[i], world)) continue;
        const int use = ++rule_uses.at(i);
        if (use < rules[i].from || (rules[i].to && use > *rules[i].to)) continue;
        if (rules[i].lose) world.lose(*rules[i].lose, world.now());
        return &rules[i];
    }
    return nullptr;
}

bool Call::admitted() {
    if (!wait([](World&) { return true; })) return false;
    const Rule* rule = this->rule();
    if (rule == nullptr) return true;
    if (rule->hang) trace({{"hangs", name_}, {"number", number_}});
    const Time until = rule->hang ? never : clock_now() + milliseconds(rule->delay_ms);
    if (!wait([&](World& world) { return world.now() >= until; })) return false;
    if (rule->error) fail(*rule->error);
    return !rule->error;
}

bool Call::wait(const std::function<bool(World&)>& done) {
    for (bool under_way = false;; under_way = true) {
        {
            World world;
            if (connection_ != nullptr && host_ == Host::source && world.lost(connection_->opened))
                return fail_lost(world, under_way);
            if (done(world)) return true;
        }
        sleep_a_moment();
    }
}

bool Call::wait_out_switchover() {
    return wait([&](World& world) { return world.timeline(guest_).at(world.now()).phase != Phase::switchover; });
}

bool Call::fail_lost(World& world, bool under_way) {
    if (!under_way)
        fail({VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "internal error: client socket is closed"});
    else if (world.shared().outage_keepalive)
        fail({VIR_ERR_INTERNAL_ERROR, VIR_FROM_RPC, "internal error: connection closed due to keepalive timeout"});
    else
        fail({VIR_ERR_SYSTEM_ERROR, VIR_FROM_RPC, "End of file while reading data: Input/output error"});
    return false;
}

int Call::fail(const Error& error) {
    error_ = error;
    set_error(error);
    return -1;
}

int Call::fail_no_domain() {
    const Guest& guest = scenario().guests.at(guest_);
    return fail({VIR_ERR_NO_DOMAIN, VIR_FROM_QEMU,
                 "Domain not found: no domain with matching uuid '" + guest.uuid + "' (" + guest.name + ")"});
}

}  // namespace fake
