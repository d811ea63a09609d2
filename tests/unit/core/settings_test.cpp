// SPDX-License-Identifier: Apache-2.0
#include "vmmi/settings.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace vmmi {
namespace {

const std::vector<Key> keys{
    boolean_key("compress", false, "whether to compress"),
    integer_key("limitMs", 100, {-1, 500}, "downtime limit"),
    text_key("label", nullptr, "any text"),
    choice_key("action", "abort", {"abort", "continue"}, "what to do"),
    integer_key("seconds", nullptr, {1, 60}, "an optional number"),
    object_key("downtime", {integer_key("initialMs", 100, {1, 1000}, "first"), text_key("unit", "ms", "its unit")},
               "downtime limit"),
    list_key(
        "steps",
        object_key("step", {integer_key("limit", 0, {-1, 9}, "limit"), text_key("name", nullptr, "name")}, "a step"),
        "the steps"),
};

std::string problem(const Object& given) {
    const Result<Settings> settings = apply_keys(keys, given, "configuration");
    if (settings) return "accepted";
    EXPECT_EQ(settings.error().code, ErrorCode::malformed_configuration);
    EXPECT_EQ(settings.error().message, "malformed configuration");
    return settings.error().details;
}

TEST(Settings, AreTheDefaultsWhereNothingIsGiven) {  // CFG-2
    const Result<Settings> settings = apply_keys(keys, {}, "configuration");
    ASSERT_TRUE(settings);
    EXPECT_FALSE(settings->boolean("compress"));
    EXPECT_EQ(settings->integer("limitMs"), 100);
    EXPECT_EQ(settings->text("action"), "abort");
    EXPECT_EQ(settings->optional_text("label"), std::nullopt);
    EXPECT_EQ(settings->optional_integer("seconds"), std::nullopt);
    EXPECT_EQ(settings->integer("downtime.initialMs"), 100);
    EXPECT_TRUE(settings->list("steps").empty());
}

TEST(Settings, HaveADefaultForAWholeObjectOnlyWhereNoneOfItIsGiven) {  // CFG-2
    Key plan = object_key("plan",
                          {list_key("first", text_key("word", nullptr, "word"), "the beginning"),
                           list_key("then", text_key("word", nullptr, "word"), "the rest")},
                          "what is done when");
    plan.fallback = Object{{"first", List{"a"}}, {"then", List{"b"}}};
    EXPECT_EQ(apply_keys({plan}, {}, "configuration")->list("plan.then"), List{"b"});
    const Settings given = apply_keys({plan}, {{"plan", Object{{"first", List{"c"}}}}}, "configuration").value();
    EXPECT_EQ(given.list("plan.first"), List{"c"});
    EXPECT_TRUE(given.list("plan.then").empty());
}

TEST(Settings, TakeWhatIsGivenAndKeepTheOtherDefaults) {  // CFG-2
    const Object given{{"compress", true},
                       {"limitMs", -1},
                       {"label", "a b"},
                       {"action", "continue"},
                       {"seconds", 60},
                       {"downtime", Object{{"initialMs", 1}}},
                       {"steps", List{Object{{"limit", 9}}, Object{{"limit", -1}, {"name", "x"}}}}};
    const Result<Settings> settings = apply_keys(keys, given, "configuration");
    ASSERT_TRUE(settings) << settings.error().details;
    EXPECT_TRUE(settings->boolean("compress"));
    EXPECT_EQ(settings->integer("limitMs"), -1);
    EXPECT_EQ(settings->optional_text("label"), "a b");
    EXPECT_EQ(settings->text("action"), "continue");
    EXPECT_EQ(settings->optional_integer("seconds"), 60);
    EXPECT_EQ(settings->integer("downtime.initialMs"), 1);
    EXPECT_EQ(settings->text("downtime.unit"), "ms");
    ASSERT_EQ(settings->list("steps").size(), 2U);
    EXPECT_EQ(*settings->list("steps")[0].get_if<Object>()->find("limit"), Value(9));
}

TEST(Settings, TakeNoTextThatAPathOrUriCannotBe) {  // CFG-23
    for (const char* text : {"a\nb", "\x1b[2J", "\x7f"}) {
        EXPECT_NE(problem({{"label", text}}).find("a string without control characters"), std::string::npos) << text;
    }
    EXPECT_EQ(problem({{"label", std::string("/tmp/x\0y", 8)}}),
              "configuration.label: expected a string without control characters, got \"/tmp/x\\x00y\"");
    EXPECT_EQ(problem({{"label", std::string(4096, 'x')}}), "accepted");
    EXPECT_NE(problem({{"label", std::string(4097, 'x')}}).find("at most 4096 bytes"), std::string::npos);
    EXPECT_EQ(problem({{"label", "ä €"}}), "accepted");
}

TEST(Settings, ShowNoPasswordOfAUri) {  // CFG-17
    EXPECT_EQ(problem({{"action", "qemu://u:hunter2@h/"}}),
              "configuration.action: expected one of \"abort\", \"continue\", got \"qemu://u:***@h/\"");
}

TEST(Settings, NameThePathTheValueAndWhatWasExpected) {  // CFG-12 CFG-16
    const std::vector<std::pair<Object, std::string>> cases{
        {{{"compress", 1}}, "configuration.compress: expected true or false, got 1"},
        {{{"compress", nullptr}}, "configuration.compress: expected true or false, got null"},
        {{{"limitMs", "3"}}, "configuration.limitMs: expected an integer from -1 to 500, got \"3\""},
        {{{"limitMs", 501}}, "configuration.limitMs: expected an integer from -1 to 500, got 501"},
        {{{"limitMs", -2}}, "configuration.limitMs: expected an integer from -1 to 500, got -2"},
        {{{"limitMs", 1.5}}, "configuration.limitMs: expected an integer from -1 to 500, got 1.5"},
        {{{"limitMs", 1.0}}, "configuration.limitMs: expected an integer from -1 to 500, got 1.0"},
        {{{"label", false}}, "configuration.label: expected a string, got false"},
        {{{"label", ""}}, "configuration.label: expected a string that is not empty, got \"\""},
        {{{"action", "give up"}}, "configuration.action: expected one of \"abort\", \"continue\", got \"give up\""},
        {{{"downtime", 3}}, "configuration.downtime: expected an object, got 3"},
        {{{"downtime", Object{{"initialMs", 0}}}},
         "configuration.downtime.initialMs: expected an integer from 1 to 1000, got 0"},
        {{{"steps", Object{}}}, "configuration.steps: expected a list, got an object"},
        {{{"steps", List{Object{}, Object{{"limit", "3"}}}}},
         "configuration.steps[1].limit: expected an integer from -1 to 9, got \"3\""},
        {{{"steps", List{Value(List{})}}}, "configuration.steps[0]: expected an object, got a list"},
    };
    for (const auto& [given, expected] : cases) EXPECT_EQ(problem(given), expected);
}

TEST(Settings, NameTheNearestKey) {  // CFG-11
    EXPECT_EQ(problem({{"limitms", 3}}), "configuration: unknown key \"limitms\"; did you mean \"limitMs\"?");
    EXPECT_EQ(problem({{"downtime", Object{{"intialMs", 3}}}}),
              "configuration.downtime: unknown key \"intialMs\"; did you mean \"initialMs\"?");
    EXPECT_EQ(problem({{"downtime", Object{{"bandwidth", 3}}}}),
              "configuration.downtime: unknown key \"bandwidth\"; known here: initialMs, unit");
}

TEST(Settings, EscapeControlCharactersInAMessage) {
    EXPECT_EQ(problem({{"action", "a\nb\x1b"}}),
              "configuration.action: expected one of \"abort\", \"continue\", got \"a\\x0ab\\x1b\"");
}

TEST(Settings, ThrowWhereThePluginAsksForWhatItDidNotDeclare) {
    const Result<Settings> settings = apply_keys(keys, {}, "configuration");
    EXPECT_THROW(settings->integer("nothing"), std::logic_error);
    EXPECT_THROW(settings->integer("downtime.nothing"), std::logic_error);
    EXPECT_THROW(settings->integer("limitMs.inside"), std::logic_error);
    EXPECT_THROW(settings->text("limitMs"), std::logic_error);
    EXPECT_THROW(settings->boolean(""), std::logic_error);
    EXPECT_THROW(settings->integer("seconds"), std::logic_error) << "optional and absent";
}

}  // namespace
}  // namespace vmmi
