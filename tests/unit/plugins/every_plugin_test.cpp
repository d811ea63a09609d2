// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>

#include "core/configuration.h"
#include "core/conflicts.h"
#include "core/describe.h"
#include "postcopy.h"
#include "postcopy_fallback.h"
#include "precopy.h"
#include "sample.h"
#include "schedule_policy.h"
#include "throttling.h"

namespace vmmi {
namespace {

/// A new plugin is added here.
const std::vector<Plugin> plugins{precopy::plugin(),    postcopy::plugin(), postcopy_fallback::plugin(),
                                  throttling::plugin(), sample::plugin(),   schedule::plugin()};

/// Says what is wrong with a key, for its path.
void expect_well_declared(const Key& key, const std::string& path) {
    EXPECT_FALSE(key.name.empty()) << path;
    EXPECT_FALSE(key.help.empty()) << path;
    EXPECT_NE(key.help.back(), '.') << path;
    for (const Key& child : key.children) expect_well_declared(child, path + "." + child.name);
}

TEST(EveryPlugin, AcceptsItsOwnDefaults) {
    for (const Plugin& plugin : plugins) {
        const Result<Configuration> configuration = make_configuration({}, plugin.keys);
        ASSERT_TRUE(configuration) << plugin.name << ": " << configuration.error().details;
        // The defaults, given one by one, pass their own checks.
        Object given;
        for (const Member& member : configuration->settings.values().members())
            if (!member.value.is_null() && member.value.get_if<Object>() == nullptr)
                given.set(member.name, member.value);
        EXPECT_TRUE(make_configuration(given, plugin.keys)) << plugin.name;
        const Result<std::unique_ptr<Policy>> policy = plugin.make_policy(configuration->settings);
        ASSERT_TRUE(policy) << plugin.name << ": " << policy.error().details;
        EXPECT_NE(*policy, nullptr);
        EXPECT_TRUE((*policy)->decide({}).empty()) << plugin.name << " acts before anything happened";
    }
}

TEST(EveryPlugin, DeclaresItself) {  // PROC-3
    for (const Plugin& plugin : plugins) {
        EXPECT_FALSE(plugin.name.empty());
        EXPECT_NE(plugin.name, "migrate") << "reserved by the interface";
        EXPECT_FALSE(plugin.version.empty());
        EXPECT_FALSE(plugin.summary.empty());
        for (const Key& key : plugin.keys) expect_well_declared(key, plugin.name + ": " + key.name);
        for (const Key& key : plugin.keys)
            for (const Key& common : common_keys()) EXPECT_NE(key.name, common.name) << plugin.name;
    }
}

TEST(EveryPlugin, EndsACopyOfDisksThatTakesTooLong) {
    for (const Plugin& plugin : plugins) {
        const Result<Configuration> configuration = make_configuration({}, plugin.keys);
        ASSERT_TRUE(configuration) << plugin.name;
        const Object& values = configuration->settings.values();
        if (values.find("storage") == nullptr) continue;
        std::unique_ptr<Policy> policy = plugin.make_policy(configuration->settings).value();
        policy->plan({.name = "web", .uuid = "1", .memory = mebibytes(1024)});
        Sample sample;
        sample.phase = Phase::storage;
        sample.disk_total = sample.disk_remaining = mebibytes(1024);
        sample.elapsed = std::chrono::seconds(149);
        EXPECT_TRUE(policy->decide(sample).empty()) << plugin.name;
        sample.elapsed = std::chrono::seconds(150);
        const std::vector<Action> actions = policy->decide(sample);
        ASSERT_EQ(actions.size(), 1U) << plugin.name;
        EXPECT_TRUE(std::holds_alternative<AbortMigration>(actions.front().what)) << plugin.name;
    }
}

/// What a policy with a cap does that takes over a migration of somebody else in that phase.
std::vector<std::string> done_at_a_takeover(const Plugin& plugin, Phase phase) {
    const Settings settings = apply_keys(plugin.keys, {{"bandwidthMiBPerSecond", 70}}, "configuration").value();
    const std::unique_ptr<Policy> policy = plugin.make_policy(settings).value();
    Sample now;
    now.phase = phase;
    now.disk_total = now.disk_remaining = mebibytes(1024);
    now.downtime_limit = std::chrono::seconds(5);
    std::vector<std::string> done;
    for (const Action& action : policy->adopt({.name = "web", .uuid = "1", .memory = mebibytes(1024)}, now))
        done.push_back(describe(action));
    return done;
}

TEST(EveryPlugin, GoesWithoutXbzrleOverRdmaUnlessItWasAskedFor) {
    const Object asked{{"compression", Object{{"methods", List{"xbzrle"}}}}};
    for (const Plugin& plugin : plugins) {
        if (std::ranges::find(plugin.keys, "xbzrle", &Key::name) == plugin.keys.end()) continue;
        const auto methods = [&](const Object& given, const char* transport) {
            const Settings settings = apply_keys(plugin.keys, given, "configuration").value();
            const MigrationRequest request =
                plugin.make_policy(settings).value()->plan({.name = "web", .uuid = "1", .memory = mebibytes(1024)});
            return suited_to(request, transport).compression.methods;
        };
        const std::vector<std::string> xbzrle{"xbzrle"};
        EXPECT_EQ(methods({}, "tcp"), xbzrle) << plugin.name;
        EXPECT_TRUE(methods({}, "rdma").empty()) << plugin.name;
        EXPECT_EQ(methods(asked, "rdma"), xbzrle) << plugin.name << ": refused";
    }
}

TEST(EveryPlugin, TakesOverWhileDisksAreCopiedAsInPreCopy) {
    for (const Plugin& plugin : plugins) {
        if (std::ranges::find(plugin.keys, "bandwidthMiBPerSecond", &Key::name) == plugin.keys.end()) continue;
        const std::vector<std::string> in_precopy = done_at_a_takeover(plugin, Phase::precopy);
        EXPECT_EQ(in_precopy.size(), 2U) << plugin.name << ": its limit and its cap";
        EXPECT_EQ(done_at_a_takeover(plugin, Phase::storage), in_precopy) << plugin.name;
        EXPECT_TRUE(done_at_a_takeover(plugin, Phase::postcopy).empty()) << plugin.name;
    }
}

}  // namespace
}  // namespace vmmi
