// SPDX-License-Identifier: Apache-2.0
#include "message/json.h"

#include <gtest/gtest.h>

namespace vmmi::message {
namespace {

std::string problem(std::string_view text) {
    const Result<Object> parsed = parse_json(text);
    if (parsed) return "accepted";
    EXPECT_EQ(parsed.error().code, ErrorCode::malformed_configuration);
    return parsed.error().details;
}

bool mentions(const std::string& text, const char* part) {
    return text.find(part) != std::string::npos;
}

TEST(Json, ReadsEveryKindOfValue) {
    const Result<Object> parsed =
        parse_json(R"( {"n": null, "b": true, "i": -3, "d": 0.5, "s": "ä\n", "l": [1, []], "o": {"x": {}}} )");
    ASSERT_TRUE(parsed) << parsed.error().details;
    const Object expected{{"n", nullptr},
                          {"b", true},
                          {"i", -3},
                          {"d", 0.5},
                          {"s", "ä\n"},
                          {"l", List{1, List{}}},
                          {"o", Object{{"x", Object{}}}}};
    EXPECT_EQ(*parsed, expected);
}

TEST(Json, ReadsBigNumbers) {
    const Result<Object> parsed =
        parse_json(R"({"max": 9223372036854775807, "min": -9223372036854775808, "above": 9223372036854775808})");
    ASSERT_TRUE(parsed);
    EXPECT_EQ(*parsed->find("max"), Value(INT64_MAX));
    EXPECT_EQ(*parsed->find("min"), Value(INT64_MIN));
    EXPECT_EQ(*parsed->find("above"), Value(9223372036854775808.0)) << "no integer: it is refused where one is wanted";
    EXPECT_TRUE(mentions(problem(R"({"a": 1e999})"), "1e999"));
}

TEST(Json, RefusesAKeyThatOccursTwice) {  // CFG-10
    EXPECT_EQ(problem(R"({"a": 1, "a": 1})"), "key \"a\" occurs twice");
    EXPECT_EQ(problem(R"({"x": {"a": 1, "\u0061": 2}})"), "key \"a\" occurs twice");
    EXPECT_EQ(problem(R"({"x": {"a": 1}, "y": {"a": 2}})"), "accepted");
}

TEST(Json, RefusesATrailingCommaWithItsPlace) {  // CFG-8
    const std::string object = problem("{\"a\": 1,\n}");
    EXPECT_TRUE(mentions(object, "line 2, column 1")) << object;
    EXPECT_FALSE(mentions(object, "json.exception")) << object;
    EXPECT_NE(problem(R"({"a": [1,]})"), "accepted");
}

TEST(Json, RefusesWhatIsNoObject) {  // CFG-8
    EXPECT_TRUE(mentions(problem("[1]"), "a list"));
    EXPECT_TRUE(mentions(problem("3"), "3"));
    EXPECT_NE(problem(""), "accepted");
    EXPECT_NE(problem("{} {}"), "accepted");
    EXPECT_NE(problem("{}x"), "accepted");
    EXPECT_NE(problem("{'a': 1}"), "accepted");
    EXPECT_NE(problem("{\"a\": 1 /* no */}"), "accepted");
    EXPECT_NE(problem("{\"a\": NaN}"), "accepted");
}

TEST(Json, RefusesBadUtf8AndControlCharacters) {  // CFG-8
    EXPECT_NE(problem("{\"a\": \"\xff\"}"), "accepted");
    EXPECT_NE(problem("{\"a\": \"\xc0\xaf\"}"), "accepted");
    EXPECT_NE(problem("{\"a\": \"\xed\xa0\x80\"}"), "accepted");
    EXPECT_NE(problem("{\"a\": \"x\ny\"}"), "accepted");
    EXPECT_NE(problem(R"({"a": "\ud800"})"), "accepted");
}

TEST(Json, RefusesAByteOrderMark) {  // CFG-8
    const Result<Object> parsed = parse_json("\xef\xbb\xbf{}");
    ASSERT_FALSE(parsed);
    EXPECT_NE(parsed.error().details.find("byte order mark"), std::string::npos);
}

TEST(Json, BoundsTheDepth) {  // CFG-15
    const auto nested = [](std::size_t levels) {
        std::string text = "{\"a\": ";
        text.append(levels - 1, '[').append(levels - 1, ']');
        return text + "}";
    };
    EXPECT_EQ(problem(nested(32)), "accepted");
    EXPECT_TRUE(mentions(problem(nested(33)), "32 levels"));
    EXPECT_TRUE(mentions(problem(nested(1 << 19)), "32 levels"));
}

TEST(Json, WritesOneLineInTheOrderOfTheMembers) {  // MSG-1
    const Object object{{"z", 1}, {"a", List{true, nullptr, 0.5}}, {"m", "line\nbreak \"quoted\""}};
    EXPECT_EQ(to_json(object), R"({"z":1,"a":[true,null,0.5],"m":"line\nbreak \"quoted\""})");
}

TEST(Json, WritesValidUtf8WhateverTheText) {  // MSG-1
    EXPECT_EQ(to_json(Object{{"a", "x\xff\xc3"}}), "{\"a\":\"x\xef\xbf\xbd\xef\xbf\xbd\"}");
    EXPECT_EQ(to_json(Object{{"\xff", 1}}), "{\"\xef\xbf\xbd\":1}");
}

TEST(Json, ReadsWhatItWrote) {
    const Object object{{"a", INT64_MIN}, {"b", Object{{"c", List{Object{}, "€"}}}}, {"d", 1e-7}};
    EXPECT_EQ(parse_json(to_json(object)), object);
    EXPECT_EQ(parse_json(to_pretty_json(object)), object);
}

TEST(Json, BoundsTheNumberOfValues) {  // CFG-22
    const auto list = [](int items) {
        std::string text = "{\"a\": [0";
        for (int i = 1; i < items; ++i) text += ",0";
        return text + "]}";
    };
    EXPECT_EQ(problem(list(9'998)), "accepted") << "and the list and the object themselves";
    EXPECT_EQ(problem(list(9'999)), "more than 10000 values");
}

TEST(Json, NeverRepeatsWhatItCouldNotRead) {  // CFG-17
    for (const char* text :
         {"{\"connection\": \"qemu://u:hunter2@h/\xff\"}", "{\"connection\": \"qemu://u:hunter2@h/\n\"}",
          "{\"connection\": \"qemu://u:hunter2@h/\" x}", "{\"a\": \"'; expected hunter2"}) {
        EXPECT_FALSE(mentions(problem(text), "hunter2")) << problem(text);
        EXPECT_TRUE(mentions(problem(text), "line ")) << problem(text);
    }
    EXPECT_TRUE(mentions(problem("{\"a\": 1 \"b\"}"), "expected '}'"));
    const std::string long_text(1 << 19, 'x');
    EXPECT_LT(problem("{\"a\": \"" + long_text + "\xff\"}").size(), 300);
    EXPECT_LT(problem("{\"a\": 1" + std::string(1 << 19, '1') + "}").size(), 300);
}

TEST(Json, IsNotHeldUpByManyKeys) {  // CFG-22
    std::string text = "{";
    for (int i = 0; i < 60'000; ++i) text += '"' + std::to_string(i) + "\":1,";
    text.back() = '}';
    EXPECT_TRUE(mentions(problem(text), "1000 keys")) << "more than any configuration has";
}

}  // namespace
}  // namespace vmmi::message
