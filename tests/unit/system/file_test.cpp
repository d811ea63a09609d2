// SPDX-License-Identifier: Apache-2.0
#include "system/file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "system/temporary.h"

namespace vmmi::system {
namespace {

TEST(File, IsReadWhole) {
    const test::TemporaryFolder folder;
    const std::string content("a\0b\xff\n", 5);
    EXPECT_EQ(read_file(folder.write("x", content), 5).value(), content);
    EXPECT_EQ(read_file(folder.write("empty", ""), 5).value(), "");
}

TEST(File, IsRefusedBeyondTheLimit) {  // CFG-14
    const test::TemporaryFolder folder;
    const Result<std::string> content = read_file(folder.write("x", "123456"), 5);
    ASSERT_FALSE(content);
    EXPECT_EQ(content.error().code, ErrorCode::bad_file_path);
    EXPECT_NE(content.error().details.find("longer than 5 bytes"), std::string::npos);
}

TEST(File, MustBeARegularOne) {  // CFG-4
    const test::TemporaryFolder folder;
    const std::string fifo = folder / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const std::string& path : {fifo, folder / ".", std::string("/dev/zero"), folder / "missing", std::string()}) {
        const Result<std::string> content = read_file(path, 5);
        ASSERT_FALSE(content) << path;
        EXPECT_EQ(content.error().code, ErrorCode::bad_file_path);
        EXPECT_EQ(content.error().details.rfind(path + ": ", 0), 0U) << content.error().details;
    }
}

TEST(File, IsToldByItsKind) {
    const test::TemporaryFolder folder;
    EXPECT_EQ(kind_of(folder.write("x", "")), FileKind::regular);
    EXPECT_EQ(kind_of(folder / "missing"), FileKind::missing);
    EXPECT_EQ(kind_of(folder / "missing/too"), FileKind::missing);
    EXPECT_EQ(kind_of(folder / "x/below-a-file"), FileKind::unknown);
    EXPECT_EQ(kind_of(folder / "."), FileKind::irregular);
    EXPECT_EQ(kind_of("/dev/null"), FileKind::irregular);
}

}  // namespace
}  // namespace vmmi::system
