// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <string>

#include "command/progress.h"
#include "supervisor/process.h"
#include "supervisor/request.h"
#include "supervisor/runs.h"
#include "supervisor/text.h"
#include "system/temporary.h"

namespace vmmi::supervisor {
namespace {

const std::string rest = " 1 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 98765 1000 200 18446744073709551615 1";

TEST(Process, IsKnownByItsNumberAndItsBeginning) {
    EXPECT_EQ(identity_of("4711 (precopy) S" + rest), (Identity{4711, 98765}));
    EXPECT_EQ(identity_of("4711 (a) S (b) R" + rest), (Identity{4711, 98765})) << "names hold anything";
}

TEST(Process, OneThatHasEndedIsNone) {
    EXPECT_FALSE(identity_of("4711 (precopy) Z" + rest));
    EXPECT_FALSE(identity_of("4711 (precopy) X" + rest));
}

TEST(Process, WhatIsNoSuchLineIsNone) {
    for (const char* text :
         {"", "4711", "4711 (precopy)", "4711 (precopy) S", "x (precopy) S 1", "-1 (p) S 1 2", "0 (p) S 1"})
        EXPECT_FALSE(identity_of(text + (std::strchr(text, 'x') != nullptr ? rest : ""))) << text;
}

RC_GTEST_PROP(Process, NoTextIsTooMuch, (const std::string& text)) {
    identity_of(text);
    identity_of("1 (" + text + ") S " + text);
}

TEST(Process, ThisOneIsFoundAndNoOtherOfItsNumber) {
    const Result<Place> here = this_place();
    ASSERT_TRUE(here);
    EXPECT_EQ(here->boot.size(), 36U);
    EXPECT_NE(here->pid_namespace, 0U);
    const Result<system::Fd> other = open_process({::getpid(), 1});
    ASSERT_TRUE(other);
    EXPECT_FALSE(*other) << "it began at another moment";
}

TEST(Request, DerivesWhereTheMemoryGoes) {
    EXPECT_EQ(derived_migration_uri("qemu+ssh://me@host2:22/system?keyfile=x"), "tcp://host2");
    EXPECT_EQ(derived_migration_uri("qemu+tcp://[fd00::2]:16509/system"), "tcp://[fd00::2]");
    EXPECT_FALSE(derived_migration_uri("qemu:///system"));
    EXPECT_FALSE(derived_migration_uri(""));
}

TEST(Request, PutsTheConnectionIntoTheConfiguration) {
    const std::string given =
        R"({"vmmiVersion": "0.3.0", "contentType": "configuration", "configuration": {"verbose": 2}})";
    EXPECT_EQ(
        with_connection(given, "x:///y"),
        R"({"vmmiVersion":"0.4.1","contentType":"configuration","configuration":{"verbose":2,"connection":"x:///y"}})");
    EXPECT_TRUE(with_connection("", "x:///y"));
    EXPECT_FALSE(with_connection("{", "x:///y")) << "as the plugin would refuse it";
}

TEST(Runs, AGuestIsOneUnderItsUuidHoweverItIsWritten) {
    const std::string uuid = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e01";
    EXPECT_EQ(Runs::key_of(uuid, "a"), uuid);
    EXPECT_EQ(Runs::key_of("0B7A4E1C-33A1-4D52-9D4E-6A1F2F5C8E01", "b"), uuid);
    EXPECT_EQ(Runs::key_of("0b7a4e1c33a14d529d4e6a1f2f5c8e01", "a"), uuid);
    EXPECT_NE(Runs::key_of("0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e0g", "a"), uuid);
    EXPECT_NE(Runs::key_of("web", "a"), Runs::key_of("web", "b")) << "each host may have one of that name";
    EXPECT_EQ(Runs::key_of("../x", "a").find('/'), std::string::npos);
}

TEST(Runs, AForkedChildDoesNotKeepTheLock) {
    const test::TemporaryFolder folder;
    const Result<Runs> runs = Runs::open(folder / "run");
    ASSERT_TRUE(runs);
    pid_t child = -1;
    {
        const Result<Runs::Lock> lock = runs->lock();
        child = ::fork();
        if (child == 0) {
            ::pause();
            ::_exit(0);
        }
    }
    EXPECT_TRUE(runs->lock());
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
}

TEST(Text, IsPrintableAndUtf8) {
    EXPECT_EQ(printable("ä€😀"), "ä€😀");
    EXPECT_EQ(printable("a\x1b[2J\n\x7f"), "a?[2J??");
    EXPECT_EQ(printable("\xc2\x9b"), "?") << "a control character that terminals take, too";
    EXPECT_EQ(printable("\xff\xc0\x80\xed\xa0\x80"), "??????");
    char small[5];
    put(small, "abc€");
    EXPECT_STREQ(small, "abc") << "no half characters";
}

RC_GTEST_PROP(Text, IsPrintableWhateverComes, (const std::string& text)) {
    const std::string clean = printable(text);
    RC_ASSERT(clean.size() <= text.size());
    RC_ASSERT(printable(clean) == clean);
}

vmmi_status precopy() {
    vmmi_status status{};
    std::strcpy(status.phase, "precopy");
    status.progress_percent = 50;
    status.iteration = 3;
    status.total_bytes = 400 << 20;
    status.remaining_bytes = 100 << 20;
    status.bandwidth_bytes_per_second = 57 << 20;
    status.dirty_rate_bytes_per_second = 29 << 20;
    status.downtime_limit_ms = 138;
    status.throttle_percent = 20;
    status.eta_ms = 2316;
    status.eta_earliest_ms = 1702;
    status.eta_latest_ms = 5230;
    return status;
}

TEST(Progress, HasAllThatIsKnown) {
    EXPECT_EQ(
        command::numbers(precopy()),
        " 50%  precopy  pass 3  100 MiB left  57 MiB/s  dirty 29 MiB/s  limit 138 ms  throttle 20%  ETA 3 s (2 to 6)");
    vmmi_status status{};
    std::strcpy(status.phase, "connecting");
    status.progress_percent = status.throttle_percent = -1;
    status.downtime_limit_ms = status.eta_ms = status.eta_earliest_ms = -1;
    EXPECT_EQ(command::numbers(status), "  0%  connecting");
    status.total_bytes = 400 << 20;
    status.remaining_bytes = -1;
    EXPECT_EQ(command::numbers(status), "  0%  connecting") << "what is left is not known";
}

TEST(Progress, FitsTheTerminal) {
    for (const int width : {0, 1, 5, 20, 80, 110, 140, 400}) {
        const std::string line = command::bar(precopy(), width);
        EXPECT_LT(line.size(), static_cast<std::size_t>(std::max(width, 1)));
    }
    EXPECT_EQ(command::bar(precopy(), 200).substr(0, 22), "[####################.");
}

TEST(Json, TextIsQuoted) {
    EXPECT_EQ(command::json_string("a\"b\\c\n"), R"("a\"b\\c\u000a")");
}

}  // namespace
}  // namespace vmmi::supervisor
