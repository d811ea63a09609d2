// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "core/describe.h"
#include "core/job.h"
#include "core/nearest.h"
#include "core/redact.h"

namespace vmmi {
namespace {

TEST(Nearest, FindsASmallMistake) {
    const std::vector<std::string> known{"connection", "verbose", "logFilePath", "monitorInterval"};
    EXPECT_EQ(nearest("verbos", known), "verbose");
    EXPECT_EQ(nearest("Verbose", known), "verbose");
    EXPECT_EQ(nearest("conection", known), "connection");
    EXPECT_EQ(nearest("logfilepath", known), "logFilePath");
    EXPECT_EQ(nearest("monitorIntervall", known), "monitorInterval");
}

TEST(Nearest, IsSilentWhereNothingIsNear) {
    EXPECT_EQ(nearest("bandwidth", {"connection", "verbose"}), std::nullopt);
    EXPECT_EQ(nearest("", {"verbose"}), std::nullopt);
    EXPECT_EQ(nearest("verbose", {}), std::nullopt);
    EXPECT_EQ(nearest(std::string(1 << 20, 'v'), {"verbose"}), std::nullopt);
}

TEST(Quote, ShowsTextFromOutsideSafely) {
    EXPECT_EQ(quote("plain"), "\"plain\"");
    EXPECT_EQ(quote("a\"b\\c"), "\"a\\\"b\\\\c\"");
    EXPECT_EQ(quote("a\nb\x7f"), "\"a\\x0ab\\x7f\"");
    EXPECT_EQ(quote(std::string_view("\0", 1)), "\"\\x00\"");
    EXPECT_EQ(quote(std::string(81, 'x')), "\"" + std::string(80, 'x') + "\"… (81 bytes)");
}

TEST(Quote, CutsBetweenCharacters) {
    std::string text(79, 'x');
    text += "äöü";
    EXPECT_EQ(quote(text), "\"" + std::string(79, 'x') + "\"… (85 bytes)");
}

TEST(RedactXml, MasksWhatNamesASecretAndNothingElse) {
    EXPECT_EQ(redact_xml("<a><graphics type='spice' passwd='s3cret' port=\"-1\"/></a>"),
              "<a><graphics type='spice' passwd='***' port=\"-1\"/></a>");
    EXPECT_EQ(redact_xml("<a passwd = \n \"it's\" b='2'/>"), "<a passwd = \n \"***\" b='2'/>");
    EXPECT_EQ(redact_xml("<a b='passwd=1' c=\"'\"/>"), "<a b='passwd=1' c=\"'\"/>");
    for (const char* text :
         {"", "=", "a=", "passwd=x", "<a b>x = y = z</a>", "<a>passwd='<b/>'</a>", "<a b='unfinished"})
        EXPECT_EQ(redact_xml(text), text);
    EXPECT_EQ(redact_xml("<a passwd='unfinished"), "<a passwd='***");
}

TEST(Describe, NamesValues) {
    EXPECT_EQ(describe(Value()), "null");
    EXPECT_EQ(describe(Value(true)), "true");
    EXPECT_EQ(describe(Value(-3)), "-3");
    EXPECT_EQ(describe(Value(0.5)), "0.5");
    EXPECT_EQ(describe(Value("x")), "\"x\"");
    EXPECT_EQ(describe(Value(List{})), "a list");
    EXPECT_EQ(describe(Value(Object{})), "an object");
}

TEST(Describe, NamesActions) {
    EXPECT_EQ(describe(Action{SetDowntimeLimit{Milliseconds(150)}, ""}), "downtime limit 150 ms");
    EXPECT_EQ(describe(Action{SetBandwidth{mebibytes_per_second(50)}, ""}), "bandwidth 50 MiB/s");
    EXPECT_EQ(describe(Action{SetBandwidth{}, ""}), "bandwidth unlimited");
    EXPECT_EQ(describe(Action{StartPostCopy{}, ""}), "post-copy");
    EXPECT_EQ(describe(Action{AbortMigration{}, ""}), "abort");
    EXPECT_EQ(describe(Action{Wait{}, ""}), "wait");
}

TEST(RedactUri, HidesAPassword) {  // CFG-17
    EXPECT_EQ(redact_uri("qemu+ssh://user:secret@host/system"), "qemu+ssh://user:***@host/system");
    EXPECT_EQ(redact_uri("esx://user:a/b@c@host/?no_verify=1"), "esx://user:***@host/?no_verify=1");
    EXPECT_EQ(redact_uri("esx://user:a?b@host/system"), "esx://user:***@host/system");
    EXPECT_EQ(redact_uri("esx://user:a?b@host/system?x=1"), "esx://user:***@host/system?x=1");
    EXPECT_EQ(redact_uri("esx://user:a:/b?c@host"), "esx://user:***@host");
}

TEST(RedactUri, HidesParametersThatNameASecret) {  // CFG-17
    EXPECT_EQ(redact_uri("qemu://h/system?password=x&no_tty=1"), "qemu://h/system?password=***&no_tty=1");
    EXPECT_EQ(redact_uri("qemu://h/system?a=1;authToken=x"), "qemu://h/system?a=1;authToken=***");
    EXPECT_EQ(redact_uri("qemu:///system?Secret=x"), "qemu:///system?Secret=***");
}

TEST(RedactUri, LeavesAnythingElse) {
    for (const char* uri :
         {"qemu:///system", "qemu+ssh://user@host:22/system", "tcp://[::1]:49152", "rdma://h", "", "no uri at all",
          "qemu+ssh://h/system?keyfile=/root/k@y&no_verify=1", "host:16509", "qemu+unix:///system?socket=/run/a@b"})
        EXPECT_EQ(redact_uri(uri), uri);
}

TEST(GuestState, HasAWordForEveryState) {
    std::set<std::string> words;
    for (int i = 0; i <= static_cast<int>(GuestState::shut_off_migrated); ++i)
        words.insert(to_string(static_cast<GuestState>(i)));
    EXPECT_EQ(words.size(), 9U);
}

TEST(PhaseWord, IsDifferentForEveryPhase) {
    std::set<std::string> words;
    for (int i = 0; i <= static_cast<int>(Phase::ended); ++i) words.insert(to_string(static_cast<Phase>(i)));
    EXPECT_EQ(words.size(), 8U);
    EXPECT_EQ(words.count("unknown"), 0U);
}

TEST(Object, HoldsANameOnceAndInItsPlace) {
    Object object{{"a", 1}, {"b", 2}, {"a", 3}};
    ASSERT_EQ(object.members().size(), 2U);
    EXPECT_EQ(object.members()[0].value, Value(3));
    object.set("b", "x");
    EXPECT_EQ(*object.find("b"), Value("x"));
    EXPECT_EQ(object.find("c"), nullptr);
}

TEST(Value, SaturatesAtTheLargestSignedNumber) {
    EXPECT_EQ(Value(~std::uint64_t{0}), Value(INT64_MAX));
}

TEST(Bytes, SaturateAtZero) {
    EXPECT_EQ(Bytes{3} - Bytes{5}, Bytes{0});
    EXPECT_EQ(Bytes{5} - Bytes{3}, Bytes{2});
}

}  // namespace
}  // namespace vmmi
