// SPDX-License-Identifier: Apache-2.0
#include "vmmi/settings.h"

#include "message/json.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

/// One key of every kind.
const std::vector<Key>& keys() {
    static const std::vector<Key> all{
        boolean_key("flag", false, "a flag"),
        integer_key("number", 100, {-1, 500}, "a number"),
        integer_key("any", nullptr, {INT64_MIN, INT64_MAX}, "any number"),
        text_key("text", nullptr, "any text"),
        choice_key("choice", "a", {"a", "b"}, "a word"),
        domain_xml_key("document", "a document"),
        object_key("object", {integer_key("inner", 1, {1, 9}, "inside"), text_key("name", "x", "a name")}, "an object"),
        list_key("list", object_key("item", {integer_key("limit", 0, {-1, 9}, "limit")}, "an item"), "a list"),
        list_key("lists", list_key("inner", text_key("word", nullptr, "a word"), "inside"), "lists in a list"),
    };
    return all;
}

Object without_nulls(const Object& object) {
    Object kept;
    for (const Member& member : object.members())
        if (!member.value.is_null()) kept.set(member.name, member.value);
    return kept;
}

}  // namespace

/// Settings that were accepted have the declared types and ranges, and are accepted again as they are.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Result<Object> given = message::parse_json(text_of(data, size));
    if (!given) return 0;
    const Result<Settings> settings = apply_keys(keys(), *given, "configuration");
    if (!settings) {
        require_sound(settings.error(), {ErrorCode::malformed_configuration});
        require(settings.error().details.starts_with("configuration"), "an error names the place");
        return 0;
    }
    settings->boolean("flag");
    require(settings->integer("number") >= -1 && settings->integer("number") <= 500, "a number is in its range");
    settings->optional_integer("any");
    if (const auto text = settings->optional_text("text"))
        require(!text->empty() && text->size() <= 4096 && !has_control_characters(*text), "a text is one line");
    require(settings->text("choice") == "a" || settings->text("choice") == "b", "a word is one of the words");
    require(settings->integer("object.inner") >= 1 && settings->integer("object.inner") <= 9, "and inside of objects");
    for (const Value& item : settings->list("list"))
        require(item.get_if<Object>() != nullptr && item.get_if<Object>()->members().size() == 1, "items are complete");
    for (const Value& item : settings->list("lists")) require(item.get_if<List>() != nullptr, "lists are lists");
    for (const Member& member : given->members())
        require(settings->values().find(member.name) != nullptr, "nothing that was given is lost");
    const Result<Settings> again = apply_keys(keys(), without_nulls(settings->values()), "configuration");
    require(again.has_value() && again->values() == settings->values(), "what was accepted is accepted again");
    return 0;
}
