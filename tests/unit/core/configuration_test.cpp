// SPDX-License-Identifier: Apache-2.0
#include "core/configuration.h"

#include <gtest/gtest.h>

namespace vmmi {
namespace {

using namespace std::chrono_literals;

const std::vector<Key> plugin_keys{integer_key("giveUpAfterSeconds", 600, {1, 1000}, "when to give up")};

TEST(Configuration, HasTheDefaultsOfTheInterface) {  // CFG-2
    const Result<Configuration> configuration = make_configuration({}, plugin_keys);
    ASSERT_TRUE(configuration);
    EXPECT_EQ(configuration->connection, "qemu:///system");
    EXPECT_EQ(configuration->verbose, 0);
    EXPECT_EQ(configuration->log_target, LogTarget::none);
    EXPECT_EQ(configuration->monitor_interval, 1s);
    EXPECT_FALSE(configuration->credentials.username);
    EXPECT_FALSE(configuration->credentials.password_file);
    EXPECT_EQ(configuration->settings.integer("giveUpAfterSeconds"), 600);
}

TEST(Configuration, LogsIntoTheFileThatIsNamed) {
    const Result<Configuration> configuration = make_configuration({{"logFilePath", "/tmp/log"}}, {});
    ASSERT_TRUE(configuration);
    EXPECT_EQ(configuration->log_target, LogTarget::file);
    EXPECT_EQ(configuration->log_file_path, "/tmp/log");
    EXPECT_EQ(configuration->verbose, 1);
    EXPECT_EQ(configuration->settings.text("logTarget"), "file");
    EXPECT_EQ(configuration->settings.integer("verbose"), 1);
}

TEST(Configuration, HonoursVerboseZeroWithALogFile) {  // CFG-18
    const Result<Configuration> configuration = make_configuration({{"logFilePath", "/tmp/log"}, {"verbose", 0}}, {});
    ASSERT_TRUE(configuration);
    EXPECT_EQ(configuration->verbose, 0);
}

TEST(Configuration, TakesEveryLogTarget) {  // CFG-19
    for (const auto& [word, target] : std::vector<std::pair<const char*, LogTarget>>{
             {"none", LogTarget::none}, {"syslog", LogTarget::syslog}, {"journal", LogTarget::journal}}) {
        const Result<Configuration> configuration = make_configuration({{"logTarget", word}}, {});
        ASSERT_TRUE(configuration);
        EXPECT_EQ(configuration->log_target, target);
        EXPECT_EQ(configuration->verbose, target == LogTarget::none ? 0 : 1);
    }
}

TEST(Configuration, WantsAPathForALogFile) {  // CFG-13
    const Result<Configuration> configuration = make_configuration({{"logTarget", "file"}}, {});
    ASSERT_FALSE(configuration);
    EXPECT_NE(configuration.error().details.find("logFilePath"), std::string::npos);
}

TEST(Configuration, TakesCredentials) {  // CFG-19
    const Object given{{"connectionCredentials", Object{{"username", "u"}, {"passwordFile", "/run/pw"}}}};
    const Result<Configuration> configuration = make_configuration(given, {});
    ASSERT_TRUE(configuration);
    EXPECT_EQ(configuration->credentials.username, "u");
    EXPECT_EQ(configuration->credentials.password_file, "/run/pw");
}

TEST(Configuration, RefusesAPasswordInIt) {
    const Object given{{"connectionCredentials", Object{{"password", "hunter2"}}}};
    const Result<Configuration> configuration = make_configuration(given, {});
    ASSERT_FALSE(configuration);
    EXPECT_EQ(configuration.error().details.find("hunter2"), std::string::npos) << configuration.error().details;
}

}  // namespace
}  // namespace vmmi
