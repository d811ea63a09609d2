// SPDX-License-Identifier: Apache-2.0
#include "message/framing.h"

#include <gtest/gtest.h>

namespace vmmi::message {
namespace {

using State = Framing::State;

/// Feeds one byte after the other until it is decided.
State feed_bytewise(Framing& framing, std::string_view bytes) {
    State state = State::incomplete;
    for (std::size_t i = 0; i < bytes.size() && state == State::incomplete; ++i)
        state = framing.feed(bytes.substr(i, 1));
    return state;
}

TEST(Framing, FindsTheEndInOnePieceAndByteByByte) {  // CFG-5
    for (const std::string object : {R"({})", R"({"a": {"b": [1, {"c": 2}]}})", R"({"a": "}"})", R"({"a": "\"}"})",
                                     R"({"a": "\\"})", R"({"a": "\\\"}{[", "b": []})", R"({"ä": "ü€"})"}) {
        Framing whole;
        EXPECT_EQ(whole.feed(object + " trailing } { \" garbage"), State::complete) << object;
        EXPECT_EQ(whole.text(), object);
        Framing bytewise;
        EXPECT_EQ(feed_bytewise(bytewise, object + "{"), State::complete) << object;
        EXPECT_EQ(bytewise.text(), object);
    }
}

TEST(Framing, SkipsWhiteSpaceBefore) {
    Framing framing;
    EXPECT_EQ(framing.feed(" \t\r\n"), State::incomplete);
    EXPECT_EQ(framing.feed("\n{ }"), State::complete);
    EXPECT_EQ(framing.text(), "{ }");
}

TEST(Framing, GivesUpOnGarbage) {  // CFG-6
    for (const char* garbage : {"[1]", "\"a\"", "x{}", "\xef\xbb\xbf{}", "1", "}", "\0"}) {
        Framing framing;
        const std::string_view bytes = *garbage == '\0' ? std::string_view("\0", 1) : std::string_view(garbage);
        EXPECT_EQ(framing.feed(bytes), State::hopeless) << garbage;
        EXPECT_FALSE(framing.too_long());
    }
}

TEST(Framing, WaitsForTheRest) {
    for (const char* part : {"", " ", "{", R"({"a": "}})", R"({"a": [})", R"({"a": "\)"}) {
        Framing framing;
        EXPECT_EQ(framing.feed(part), State::incomplete) << part;
    }
}

TEST(Framing, TakesTheLongestAndNotMore) {  // CFG-14
    const std::string filling(Framing::longest - 2, ' ');
    Framing fits;
    EXPECT_EQ(fits.feed("{" + filling + "}"), State::complete);
    Framing longer;
    EXPECT_EQ(longer.feed("{ " + filling + "}"), State::hopeless);
    EXPECT_TRUE(longer.too_long());
    EXPECT_LE(longer.text().size(), Framing::longest);
}

TEST(Framing, DoesNotKeepAnEndlessRunOfWhiteSpace) {  // CFG-14
    Framing framing;
    for (int i = 0; i < 100; ++i) EXPECT_EQ(framing.feed(std::string(1 << 16, ' ')), State::incomplete);
    EXPECT_TRUE(framing.text().empty());
}

}  // namespace
}  // namespace vmmi::message
