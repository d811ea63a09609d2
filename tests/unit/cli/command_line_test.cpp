// SPDX-License-Identifier: Apache-2.0
#include "cli/command_line.h"

#include <gtest/gtest.h>

namespace vmmi::cli {
namespace {

using Mode = CommandLine::Mode;

Plugin plugin() {
    return {.name = "demo",
            .version = "1.2.3",
            .summary = "shows things",
            .keys = {integer_key("stepMs", 3, {1, 9}, "a step"),
                     object_key("outer", {choice_key("word", "a", {"a", "b"}, "a word")}, "outside"),
                     list_key("items", object_key("item", {boolean_key("flag", true, "a flag")}, "an item"), "items")},
            .make_policy = {}};
}

Result<CommandLine> parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "/usr/libexec/vmmi/demo");
    return parse_command_line(static_cast<int>(arguments.size()), arguments.data());
}

Error problem(const std::vector<const char*>& arguments) {
    const Result<CommandLine> line = parse(arguments);
    return line ? Error{ErrorCode::none, "accepted", ""} : line.error();
}

constexpr const char* vm = "6ba7b810-9dad-11d1-80b4-00c04fd430c8";
constexpr const char* destination = "qemu+ssh://b/system";
constexpr const char* transport = "tcp://b";

TEST(CommandLine, TakesThreeArguments) {  // ARG-1
    const Result<CommandLine> line = parse({vm, destination, transport});
    ASSERT_TRUE(line) << line.error().details;
    EXPECT_EQ(line->mode, Mode::migrate);
    EXPECT_EQ(line->vm, vm);
    EXPECT_EQ(line->destination_uri, destination);
    EXPECT_EQ(line->migration_uri, transport);
    EXPECT_FALSE(line->config);
    EXPECT_FALSE(line->progress);
}

TEST(CommandLine, TakesAConfigurationOrADash) {  // ARG-8
    EXPECT_EQ(parse({vm, destination, transport, "/etc/x.json"})->config, "/etc/x.json");
    EXPECT_EQ(parse({vm, destination, transport, "-"})->config, "-");
}

TEST(CommandLine, TakesOptionsAnywhere) {  // ARG-9 ARG-11
    EXPECT_TRUE(parse({"--progress", vm, destination, transport})->progress);
    EXPECT_TRUE(parse({vm, destination, transport, "--progress"})->progress);
    EXPECT_EQ(parse({vm, "--help"})->mode, Mode::help);
    EXPECT_EQ(parse({"-h"})->mode, Mode::help);
    EXPECT_EQ(parse({"--version"})->mode, Mode::version);
    EXPECT_EQ(parse({"-V"})->mode, Mode::version);
}

TEST(CommandLine, PrintsTheConfigurationWithoutAGuest) {
    EXPECT_EQ(parse({"--print-config"})->mode, Mode::print_config);
    const Result<CommandLine> line = parse({"--print-config", "-", "-", "-", "example.json"});
    ASSERT_TRUE(line) << line.error().details;
    EXPECT_EQ(line->config, "example.json");
}

TEST(CommandLine, ChecksWithAllArguments) {  // CHECK-7
    EXPECT_EQ(parse({"--check", vm, destination, transport})->mode, Mode::check);
    EXPECT_EQ(parse({vm, destination, transport, "-", "--check"})->config, "-");
    EXPECT_EQ(problem({"--check", vm, destination}).code, ErrorCode::missing_parameters);
    EXPECT_EQ(problem({"--check", vm, "host", transport}).code, ErrorCode::malformed_parameters);
    EXPECT_EQ(problem({"--check=1", vm, destination, transport}).code, ErrorCode::malformed_parameters);
    EXPECT_EQ(parse({"--check", "--print-config"})->mode, Mode::print_config);
}

TEST(CommandLine, NamesWhatIsMissing) {  // ARG-5
    EXPECT_EQ(problem({}).code, ErrorCode::missing_parameters);
    EXPECT_NE(problem({}).details.find("VM, DESTINATION-URI, MIGRATION-URI"), std::string::npos);
    EXPECT_EQ(problem({vm}).code, ErrorCode::missing_parameters);
    EXPECT_NE(problem({vm}).details.find(": DESTINATION-URI, MIGRATION-URI;"), std::string::npos);
    EXPECT_EQ(problem({vm, destination}).code, ErrorCode::missing_parameters);
    EXPECT_EQ(problem({vm, "", transport}).code, ErrorCode::missing_parameters);
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {  // ARG-7 ARG-8
    EXPECT_EQ(problem({"--bogus", vm, destination, transport}).code, ErrorCode::malformed_parameters);
    EXPECT_EQ(problem({vm, destination, transport, "-", "more"}).code, ErrorCode::malformed_parameters);
    EXPECT_NE(problem({"--bogus"}).details.find("--bogus"), std::string::npos);
    EXPECT_EQ(problem({vm, destination, transport, ""}).code, ErrorCode::malformed_parameters);
}

TEST(CommandLine, RefusesWhatIsNoUri) {  // ARG-6
    for (const char* uri :
         {"host", "/a/path", ":x", "qemu:", "qe mu:///system", "1qemu:///system", "qemu:///system\n"}) {
        EXPECT_EQ(problem({vm, uri, transport}).code, ErrorCode::malformed_parameters) << uri;
        EXPECT_NE(problem({vm, uri, transport}).details.find("DESTINATION-URI"), std::string::npos);
        EXPECT_EQ(problem({vm, destination, uri}).code, ErrorCode::malformed_parameters) << uri;
    }
    EXPECT_EQ(problem({"a\nb", destination, transport}).code, ErrorCode::malformed_parameters);
}

TEST(CommandLine, RefusesControlCharactersInTheConfigurationsPath) {  // ARG-6
    for (const char* path : {"a\nb", "\x1b[2J", "\x7f"}) {
        EXPECT_EQ(problem({vm, destination, transport, path}).code, ErrorCode::malformed_parameters);
        EXPECT_EQ(problem({"--print-config", "-", "-", "-", path}).code, ErrorCode::malformed_parameters);
    }
}

TEST(CommandLine, TakesNothingThatBeginsWithADashForAnArgument) {  // ARG-7 ARG-9
    for (const char* option :
         {"---", "---x", "-$", "-1", "-V--progress", "-=", "--=x", "-hx", "--VM", "--vers", "--prog"}) {
        EXPECT_EQ(problem({option, destination, transport}).code, ErrorCode::malformed_parameters) << option;
        EXPECT_EQ(problem({vm, destination, transport, option}).code, ErrorCode::malformed_parameters) << option;
    }
    EXPECT_EQ(parse({"--", "-x", destination, transport})->vm, "-x");
    EXPECT_EQ(parse({"-hV"})->mode, Mode::help);
}

TEST(CommandLine, RefusesAValueForAnOption) {  // ARG-7
    for (const char* option : {"--progress=false", "--help=1", "--print-config=qemu://u:hunter2@h/"}) {
        const Error error = problem({option, vm, destination, transport});
        EXPECT_EQ(error.code, ErrorCode::malformed_parameters) << option;
        EXPECT_EQ(error.details.find("hunter2"), std::string::npos) << error.details;
    }
}

TEST(CommandLine, ShowsTheFirstOfManyMistakes) {
    std::vector<const char*> arguments{vm, destination, transport, "-"};
    arguments.resize(5004, "x");
    EXPECT_EQ(problem(arguments).details, R"(unexpected: "x", "x", "x", "x", "x" and 4995 more; see --help)");
}

TEST(CommandLine, ShowsNoSecretInAnError) {  // CFG-17
    constexpr const char* secret = "qemu+tcp://u:hunter2@h/system";
    for (const auto& arguments :
         std::vector<std::vector<const char*>>{{vm, "1 qemu://u:hunter2@h", transport},
                                               {"q://u:hunter2@h/\n", destination, transport},
                                               {vm, destination, transport, "q://u:hunter2@h/\n"},
                                               {vm, destination, transport, "-", secret},
                                               {"--bogus", secret}}) {
        const Error error = problem(arguments);
        EXPECT_EQ(error.code, ErrorCode::malformed_parameters);
        EXPECT_EQ(error.details.find("hunter2"), std::string::npos) << error.details;
    }
}

TEST(CommandLine, ShowsControlCharactersEscaped) {
    EXPECT_EQ(problem({"--\x1b[31m"}).details.find('\x1b'), std::string::npos);
    EXPECT_EQ(problem({vm, "a\x1b", transport}).details.find('\x1b'), std::string::npos);
}

TEST(CommandLine, MayHaveNoArgumentNotEvenAName) {  // ARG-5
    const char* nothing = nullptr;
    const Result<CommandLine> line = parse_command_line(0, &nothing);
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().code, ErrorCode::missing_parameters);
}

TEST(Help, NamesEveryArgumentOptionSignalAndKey) {
    const std::string text = help_text(plugin());
    for (const char* part : {"demo: shows things",
                             "Usage: demo",
                             "VM",
                             "DESTINATION-URI",
                             "MIGRATION-URI",
                             "CONFIG",
                             "--help",
                             "--version",
                             "--print-config",
                             "--check",
                             "--progress",
                             "SIGUSR1",
                             "SIGINT",
                             "SIGTERM",
                             "  connection  (string, default \"qemu:///system\")",
                             "  connectionCredentials.username  (string)",
                             "  stepMs  (integer 1..9, default 3)\n      a step\n",
                             "  outer.word  (a | b, default \"a\")",
                             "  items  (list)",
                             "  items[].flag  (boolean, default true)"})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
}

}  // namespace
}  // namespace vmmi::cli
