// SPDX-License-Identifier: Apache-2.0
#include "supervisor/reading.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <string>

namespace vmmi::supervisor {
namespace {

std::string completion(const std::string& body) {
    return R"({"vmmiVersion": "0.4.1", "contentType": "completion", "timestamp": 7, "completion": )" + body + "}\n";
}
const std::string success = completion(R"({"result": "success", "success": {"cause": "completed", "retry": false,
 "endState": {"source": "absent", "destination": "running"}, "totalTimeMs": 5405, "downtimeMs": null,
 "workLostMs": {"throttle": 1, "pause": 2, "postcopy": 3}, "iterations": 8}})");

/// On one line, as the interface has it.
std::string one_line(std::string text) {
    std::erase(text, '\n');
    return text + "\n";
}

TEST(Reading, ASuccessBecomesValues) {
    const Conclusion conclusion = conclude(one_line(success), {0, 0}, "plugin x");
    ASSERT_FALSE(conclusion.error);
    EXPECT_STREQ(conclusion.result.cause, "completed");
    EXPECT_STREQ(conclusion.result.destination_state, "running");
    EXPECT_EQ(conclusion.result.total_time_ms, 5405);
    EXPECT_EQ(conclusion.result.downtime_ms, -1) << "null is not known";
    EXPECT_EQ(conclusion.result.setup_time_ms, -1) << "so is what is missing";
    EXPECT_EQ(conclusion.result.work_lost_postcopy_ms, 3);
    EXPECT_EQ(conclusion.result.timestamp, 7);
}

TEST(Reading, TheExitStatusMustAgreeWhereItIsKnown) {
    EXPECT_TRUE(conclude(one_line(success), {1, 0}, "plugin x").error);
    EXPECT_TRUE(conclude(one_line(success), {-1, 9}, "plugin x").error);
    EXPECT_FALSE(conclude(one_line(success), {}, "plugin x").error) << "waited for by another process";
}

TEST(Reading, AnErrorKeepsItsCodeAndTexts) {
    const std::string text =
        completion(R"({"result": "error", "error": {"code": 112, "message": "short", "details": "long"}})");
    const Conclusion conclusion = conclude(text, {1, 0}, "plugin x");
    ASSERT_TRUE(conclusion.error);
    EXPECT_EQ(static_cast<int>(conclusion.error->code), 112) << "a plugin's own";
    EXPECT_EQ(conclusion.error->details, "long");
    EXPECT_EQ(conclusion.result.code, 112);
}

TEST(Reading, KeysThatNobodyKnowsAreIgnored) {  // MSG-8
    std::string text = one_line(success);
    for (const char* object : {"\"workLostMs\": {", "\"success\": {", "\"completion\": {", "{\"vmmiVersion\""}) {
        const std::size_t brace = text.find('{', text.find(object));
        text.insert(brace + 1, R"("later": {"result": "error", "code": 1}, )");
    }
    const Conclusion conclusion = conclude(text, {0, 0}, "plugin x");
    ASSERT_FALSE(conclusion.error) << text;
    EXPECT_EQ(conclusion.result.work_lost_postcopy_ms, 3);
}

TEST(Reading, TheWordingDecidesNothing) {  // COMP-6
    for (const char* wording : {"success", "the migration was aborted (code 9)", ""}) {
        const std::string body = R"({"result": "error", "error": {"code": 13, "message": ")" + std::string(wording) +
                                 R"(", "details": ")" + wording + "\"}}";
        const Conclusion conclusion = conclude(completion(body), {1, 0}, "plugin x");
        ASSERT_TRUE(conclusion.error) << body;
        EXPECT_EQ(static_cast<int>(conclusion.error->code), 13) << body;
    }
}

RC_GTEST_PROP(Reading, NothingThatIsWrittenIsMoreThanAnError, (const std::string& text)) {
    const Conclusion conclusion = conclude(text, {0, 0}, "plugin x");
    RC_ASSERT(conclusion.error.has_value());
    RC_ASSERT(conclusion.result.code < 0);
    RC_ASSERT(!read_status(text));
}

/// As NothingThatIsWrittenIsMoreThanAnError, near the truth.
RC_GTEST_PROP(Reading, AMessageThatWasDamagedIsAnErrorOrStillAMessage, ()) {
    std::string text = one_line(success);
    const auto at = *rc::gen::inRange<std::size_t>(0, text.size());
    text[at] = *rc::gen::arbitrary<char>();
    const Conclusion conclusion = conclude(text, {0, 0}, "plugin x");
    RC_ASSERT(conclusion.error || conclusion.result.code == 0);
}

TEST(Reading, ACheckMustAgreeWithItself) {
    const auto check = [](const std::string& result) {
        return R"({"vmmiVersion": "0.4.1", "contentType": "check", "timestamp": 7, "check": {"result": ")" + result +
               "\"}}\n";
    };
    const std::string refused =
        completion(R"({"result": "error", "error": {"code": 10, "message": "short", "details": "long"}})");
    EXPECT_FALSE(read_check(check("ready"), "", {0, 0}, "x").error);
    EXPECT_EQ(static_cast<int>(read_check(check("not-ready"), refused, {1, 0}, "x").error->code), 10);
    EXPECT_TRUE(read_check(check("ready"), refused, {1, 0}, "x").error);
    EXPECT_TRUE(read_check(check("not-ready"), "", {1, 0}, "x").error);
    EXPECT_TRUE(read_check(check("ready"), "", {1, 0}, "x").error);
    EXPECT_TRUE(read_check("", "", {0, 0}, "x").error);
}

}  // namespace
}  // namespace vmmi::supervisor
