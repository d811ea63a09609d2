// SPDX-License-Identifier: Apache-2.0
#include "system/log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "system/temporary.h"

namespace vmmi::system {
namespace {

using Level = Log::Level;

Configuration logging_to(const std::string& path, int verbose) {
    Configuration configuration;
    configuration.log_target = LogTarget::file;
    configuration.log_file_path = path;
    configuration.verbose = verbose;
    return configuration;
}

/// What a log of that verbosity keeps of one line of every level.
std::string kept_at(int verbose) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    Result<Log> log = Log::open(logging_to(path, verbose), "demo");
    EXPECT_TRUE(log);
    log->write(Level::error, "E!");
    log->write(Level::warning, "W!");
    log->write(Level::info, "I!");
    log->write(Level::debug, "D!");
    log->write(Level::trace, "T!");
    std::string kept;
    for (const char c : test::content_of(path))
        if (c == '!' || (c >= 'A' && c <= 'Z' && c != 'T')) kept += c;
    return kept;
}

TEST(Log, KeepsMoreTheMoreVerboseItIs) {  // CFG-18
    const auto lines = [](int verbose) {
        const std::string kept = kept_at(verbose);
        return std::count(kept.begin(), kept.end(), '!');
    };
    EXPECT_EQ(lines(0), 0);
    EXPECT_EQ(lines(1), 3);
    EXPECT_EQ(lines(2), 4);
    EXPECT_EQ(lines(3), 5);
}

TEST(Log, IsCheckedWithoutAFile) {  // CHECK-1
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    EXPECT_EQ(Log::check(logging_to(path, 1)), std::nullopt);
    EXPECT_NE(::access(path.c_str(), F_OK), 0) << "nothing was made";
    for (const std::string& wrong :
         {folder / "missing/log", folder / ".", std::string("/dev/full"), folder / std::string(300, 'x')}) {
        const std::optional<Error> error = Log::check(logging_to(wrong, 1));
        ASSERT_TRUE(error) << wrong;
        EXPECT_EQ(error->code, ErrorCode::bad_file_path);
        EXPECT_FALSE(Log::open(logging_to(wrong, 1), "demo")) << "the log agrees: " << wrong;
        EXPECT_EQ(Log::check(logging_to(wrong, 0)), std::nullopt) << "no log is asked for";
    }
}

TEST(Log, IsCheckedWhereALinkLeads) {
    const test::TemporaryFolder folder;
    const std::string good = folder / "good";
    const std::string bad = folder / "bad";
    const std::string around = folder / "around";
    ASSERT_EQ(::symlink("log", good.c_str()), 0);
    ASSERT_EQ(::symlink("missing/log", bad.c_str()), 0);
    ASSERT_EQ(::symlink("around", around.c_str()), 0);
    for (const std::string& path : {good, bad, around}) {
        const bool passed = !Log::check(logging_to(path, 1));
        EXPECT_EQ(passed, path == good) << path;
        EXPECT_EQ(Log::open(logging_to(path, 1), "demo").has_value(), passed) << path;
    }
}

TEST(Log, WritesATimeTheProcessAndTheLevel) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    Result<Log> log = Log::open(logging_to(path, 1), "demo");
    ASSERT_TRUE(log);
    log->write(Level::warning, "{} is not a format");
    const std::string text = test::content_of(path);
    EXPECT_NE(text.find(" vmmi-demo[" + std::to_string(::getpid()) + "] warning: {} is not a format\n"),
              std::string::npos)
        << text;
    EXPECT_EQ(text[10], 'T') << text;
}

TEST(Log, EscapesWhatCouldForgeALine) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    Result<Log> log = Log::open(logging_to(path, 1), "demo");
    ASSERT_TRUE(log);
    log->write(Level::info, std::string_view("a\nb\r\x1b[2J\x7f\0ä", 12));
    const std::string text = test::content_of(path);
    EXPECT_NE(text.find("a\\x0ab\\x0d\\x1b[2J\\x7f\\x00ä\n"), std::string::npos) << text;
    EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1);
}

TEST(Log, IsNotForEverybody) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    const mode_t before = ::umask(0);
    const Result<Log> log = Log::open(logging_to(path, 1), "demo");
    ::umask(before);
    ASSERT_TRUE(log);
    struct stat info {};
    ASSERT_EQ(::stat(path.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0640U);
}

TEST(Log, StaysInTheFileThatWasChecked) {
    const test::TemporaryFolder folder;
    const std::string path = folder / "log";
    Result<Log> log = Log::open(logging_to(path, 1), "demo");
    ASSERT_TRUE(log);
    std::filesystem::rename(path, folder / "moved");
    std::filesystem::create_symlink(folder.write("victim", ""), path);
    log->write(Level::info, "here");
    EXPECT_EQ(test::content_of(folder / "victim"), "");
    EXPECT_NE(test::content_of(folder / "moved").find("here"), std::string::npos);
}

TEST(Log, IsAppendedTo) {
    const test::TemporaryFolder folder;
    const std::string path = folder.write("log", "before\n");
    Result<Log> log = Log::open(logging_to(path, 1), "demo");
    ASSERT_TRUE(log);
    log->write(Level::info, "after");
    EXPECT_EQ(test::content_of(path).rfind("before\n", 0), 0U);
}

TEST(Log, TouchesNothingWhereItKeepsNothing) {
    const test::TemporaryFolder folder;
    Configuration configuration = logging_to(folder / "log", 0);
    ASSERT_TRUE(Log::open(configuration, "demo"));
    configuration.log_target = LogTarget::none;
    configuration.verbose = 3;
    ASSERT_TRUE(Log::open(configuration, "demo"));
    EXPECT_FALSE(std::filesystem::exists(folder / "log"));
    Log().write(Level::error, "into nothing");
}

TEST(Log, RefusesAPathThatIsNoFile) {  // CFG-20
    const test::TemporaryFolder folder;
    const std::string fifo = folder / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const std::string& path :
         {fifo, folder / ".", std::string("/dev/full"), folder.write("file", "") + "/below"}) {
        const Result<Log> log = Log::open(logging_to(path, 1), "demo");
        ASSERT_FALSE(log) << path;
        EXPECT_EQ(log.error().code, ErrorCode::bad_file_path);
        EXPECT_NE(log.error().details.find("configuration.logFilePath"), std::string::npos);
    }
}

TEST(Log, MakesNoFolders) {  // CFG-20
    const test::TemporaryFolder folder;
    const Result<Log> log = Log::open(logging_to(folder / "missing/log", 1), "demo");
    EXPECT_FALSE(log);
    EXPECT_FALSE(std::filesystem::exists(folder / "missing"));
}

}  // namespace
}  // namespace vmmi::system
