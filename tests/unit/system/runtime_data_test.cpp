// SPDX-License-Identifier: Apache-2.0
#include "system/runtime_data.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>

#include "system/temporary.h"

namespace vmmi::system {
namespace {

const std::string uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
const std::string other = "6ba7b811-9dad-11d1-80b4-00c04fd430c8";

mode_t mode_of(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
    return info.st_mode & 07777;
}

struct RuntimeDataTest : testing::Test {
    RuntimeData open() {
        Result<RuntimeData> data = RuntimeData::open(path);
        EXPECT_TRUE(data) << data.error().details;
        return data ? std::move(*data) : RuntimeData();
    }

    test::TemporaryFolder folder;
    std::string path = folder / "run";
};

TEST_F(RuntimeDataTest, IsPrivate) {  // FAIL-14
    ::umask(0);
    RuntimeData data = open();
    ASSERT_TRUE(data.write(uuid, "text"));
    ::umask(022);
    EXPECT_EQ(mode_of(path), 0700U);
    EXPECT_EQ(mode_of(path + "/" + uuid + ".json"), 0600U);
}

TEST_F(RuntimeDataTest, IsForTheNextProcessAndGoneWhenItIsRemoved) {  // FAIL-14
    RuntimeData first = open();
    ASSERT_TRUE(first.write(uuid, "a longer text"));
    ASSERT_TRUE(first.write(uuid, "text"));
    const RuntimeData second = open();
    EXPECT_EQ(second.read(uuid), "text");
    EXPECT_FALSE(second.read(other));
    EXPECT_FALSE(first.read(uuid)) << "nothing of its own";
    first.remove();
    EXPECT_FALSE(second.read(uuid));
    EXPECT_TRUE(std::filesystem::is_empty(path));
}

TEST_F(RuntimeDataTest, IsNotWrittenOverWhileItsWriterIsAtWork) {  // FAIL-14
    std::optional<RuntimeData> first = open();
    ASSERT_TRUE(first->write(uuid, "first"));
    RuntimeData second = open();
    EXPECT_FALSE(second.write(uuid, "second"));
    second.remove();
    EXPECT_EQ(second.read(uuid), "first");
    first.reset();  // as a process that is killed: the file stays
    ASSERT_TRUE(second.write(uuid, "second"));
    EXPECT_EQ(open().read(uuid), "second");
}

TEST_F(RuntimeDataTest, GoesNowhereElse) {  // FAIL-15
    RuntimeData data = open();
    for (const char* name : {"", ".", "..", "../x", "6ba7b810-9dad-11d1-80b4-00c04fd430c/", "web1"}) {
        EXPECT_FALSE(data.write(name, "text")) << name;
        EXPECT_FALSE(data.read(name)) << name;
    }
    EXPECT_TRUE(std::filesystem::is_empty(path));
}

TEST_F(RuntimeDataTest, DoesNotTrustWhatOthersMayHaveWritten) {  // FAIL-15
    RuntimeData data = open();
    const std::string file = path + "/" + uuid + ".json";
    folder.write("elsewhere", "text");
    ::chmod((folder / "elsewhere").c_str(), 0600);
    const auto refused = [&](const char* what) {
        EXPECT_FALSE(data.read(uuid)) << what;
        EXPECT_FALSE(data.write(uuid, "new")) << what;
        std::filesystem::remove_all(file);
    };
    std::filesystem::create_symlink(folder / "elsewhere", file);
    refused("a link");
    std::filesystem::create_hard_link(folder / "elsewhere", file);
    refused("a file with another name elsewhere");
    ASSERT_EQ(::mkfifo(file.c_str(), 0600), 0);
    refused("a FIFO");
    std::filesystem::create_directory(file);
    refused("a folder");
    folder.write("run/" + uuid + ".json", "text");
    ::chmod(file.c_str(), 0620);
    refused("writable by the group");
    folder.write("run/" + uuid + ".json", std::string(70'000, 'x'));
    ::chmod(file.c_str(), 0600);
    refused("too long");
    EXPECT_EQ(test::content_of(folder / "elsewhere"), "text");
}

TEST_F(RuntimeDataTest, NeedsAFolderOfItsOwn) {  // FAIL-15
    const auto refused = [](const std::string& where, const char* why) {
        const Result<RuntimeData> data = RuntimeData::open(where);
        ASSERT_FALSE(data) << where;
        EXPECT_EQ(data.error().code, ErrorCode::bad_file_path);
        EXPECT_NE(data.error().details.find(why), std::string::npos) << data.error().details;
        EXPECT_NE(data.error().details.find("configuration.runtimeDirectory: \"" + where), std::string::npos);
        const std::optional<Error> known_before = RuntimeData::check(where);
        ASSERT_TRUE(known_before) << where;
        EXPECT_EQ(known_before->details, data.error().details);
    };
    refused(folder / "no/such/parent", "No such file");
    refused(folder.write("file", ""), "Not a directory");
    std::filesystem::create_directory(path);
    std::filesystem::create_directory_symlink(path, folder / "link");
    refused(folder / "link", "");
    ::chmod(path.c_str(), 0770);
    refused(path, "others may write");
}

TEST_F(RuntimeDataTest, IsCheckedWithoutAFolderBeingMade) {  // CHECK-1
    EXPECT_FALSE(RuntimeData::check(folder / "new"));
    EXPECT_FALSE(std::filesystem::exists(folder / "new"));
    ASSERT_TRUE(RuntimeData::open(folder / "new"));
    EXPECT_FALSE(RuntimeData::check(folder / "new"));
}

TEST_F(RuntimeDataTest, TakesAwayWhatWasAbandonedLongAgo) {  // FAIL-14
    folder.write("x", "");
    RuntimeData first = open();
    ASSERT_TRUE(first.write(other, "left"));
    const std::string file = path + "/" + other + ".json";
    { const RuntimeData gone = std::move(first); }
    open().sweep();
    EXPECT_TRUE(std::filesystem::exists(file)) << "not yet";
    const std::array<timespec, 2> long_ago{{{1'000'000, 0}, {1'000'000, 0}}};
    ASSERT_EQ(::utimensat(AT_FDCWD, file.c_str(), long_ago.data(), 0), 0);
    open().sweep();
    EXPECT_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace vmmi::system
