// SPDX-License-Identifier: Apache-2.0
#include "vmmi/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <stdexcept>

#include "core/describe.h"
#include "core/nearest.h"
#include "xml/reader.h"

namespace vmmi {
namespace {

Error malformed(std::string_view place, std::string expected, const Value& got) {
    return {ErrorCode::malformed_configuration, "malformed configuration",
            fmt::format("{}: expected {}, got {}", place, expected, describe(got))};
}

constexpr std::size_t longest_text = 4096;
constexpr std::size_t longest_document = std::size_t{256} << 10;

bool is_control_character(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::string expected_integer(const Key& key) {
    if (!key.minimum || !key.maximum) return "an integer";
    return fmt::format("an integer from {} to {}", *key.minimum, *key.maximum);
}

Result<Value> check(const Key& key, const Value& given, const std::string& place);

Result<Value> check_list(const Key& key, const Value& given, const std::string& place) {
    const List* items = given.get_if<List>();
    if (items == nullptr) return fail(malformed(place, "a list", given));
    List checked;
    for (std::size_t i = 0; i < items->size(); ++i) {
        Result<Value> item = check(key.children.front(), (*items)[i], fmt::format("{}[{}]", place, i));
        if (!item) return item;
        checked.push_back(std::move(*item));
    }
    return Value(std::move(checked));
}

/// Says nothing of the content: such a document may have passwords in it.
Result<Value> check_domain_xml(const Value& given, const std::string& place) {
    const auto wrong = [&](const std::string& got) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    fmt::format("{}: expected the XML of a guest, as virsh dumpxml prints it, got {}", place, got));
    };
    const std::string* text = given.get_if<std::string>();
    if (text == nullptr) return wrong(describe(given));
    if (text->size() > longest_document)
        return wrong(fmt::format("{} bytes, more than {}", text->size(), longest_document));
    if (const std::optional<std::string> problem = xml::problem(*text, "domain")) return wrong(*problem);
    return given;
}

Result<Value> check(const Key& key, const Value& given, const std::string& place) {
    switch (key.type) {
        case Key::Type::boolean:
            if (given.get_if<bool>() == nullptr) return fail(malformed(place, "true or false", given));
            return given;
        case Key::Type::integer: {
            const std::int64_t* number = given.get_if<std::int64_t>();
            if (number == nullptr || (key.minimum && *number < *key.minimum) || (key.maximum && *number > *key.maximum))
                return fail(malformed(place, expected_integer(key), given));
            return given;
        }
        case Key::Type::text: {
            const std::string* text = given.get_if<std::string>();
            if (text == nullptr) return fail(malformed(place, "a string", given));
            if (text->empty()) return fail(malformed(place, "a string that is not empty", given));
            if (!key.choices.empty() && std::ranges::find(key.choices, *text) == key.choices.end())
                return fail(malformed(place, fmt::format("one of \"{}\"", fmt::join(key.choices, "\", \"")), given));
            if (text->size() > longest_text)
                return fail(malformed(place, fmt::format("a string of at most {} bytes", longest_text), given));
            // No path, name or URI has any, and libvirt and the system's calls would end at a null.
            if (std::ranges::any_of(*text, is_control_character))
                return fail(malformed(place, "a string without control characters", given));
            return given;
        }
        case Key::Type::domain_xml:
            return check_domain_xml(given, place);
        case Key::Type::object: {
            const Object* members = given.get_if<Object>();
            if (members == nullptr) return fail(malformed(place, "an object", given));
            Result<Settings> checked = apply_keys(key.children, *members, place);
            if (!checked) return fail(checked.error());
            return Value(checked->values());
        }
        case Key::Type::list:
            return check_list(key, given, place);
    }
    return given;
}

/// An object that is not given still has the defaults of its children.
Value default_of(const Key& key) {
    if (key.type != Key::Type::object || !key.fallback.is_null()) return key.fallback;
    Object values;
    for (const Key& child : key.children) values.set(child.name, default_of(child));
    return values;
}

Error unknown_key(const std::vector<Key>& keys, const Member& member, std::string_view place) {
    std::vector<std::string> names;
    names.reserve(keys.size());
    for (const Key& key : keys) names.push_back(key.name);
    const std::optional<std::string> meant = nearest(member.name, names);
    const std::string remedy =
        meant ? fmt::format("did you mean \"{}\"?", *meant) : fmt::format("known here: {}", fmt::join(names, ", "));
    return {ErrorCode::malformed_configuration, "malformed configuration",
            fmt::format("{}: unknown key {}; {}", place, quote(member.name), remedy)};
}

}  // namespace

Key boolean_key(std::string name, Value fallback, std::string help) {
    return {
        .name = std::move(name), .type = Key::Type::boolean, .help = std::move(help), .fallback = std::move(fallback)};
}

Key integer_key(std::string name, Value fallback, Range range, std::string help) {
    return {.name = std::move(name),
            .type = Key::Type::integer,
            .help = std::move(help),
            .fallback = std::move(fallback),
            .minimum = range.minimum,
            .maximum = range.maximum};
}

Key text_key(std::string name, Value fallback, std::string help) {
    return {.name = std::move(name), .type = Key::Type::text, .help = std::move(help), .fallback = std::move(fallback)};
}

Key domain_xml_key(std::string name, std::string help) {
    return {.name = std::move(name), .type = Key::Type::domain_xml, .help = std::move(help)};
}

Key choice_key(std::string name, Value fallback, std::vector<std::string> choices, std::string help) {
    return {.name = std::move(name),
            .type = Key::Type::text,
            .help = std::move(help),
            .fallback = std::move(fallback),
            .choices = std::move(choices)};
}

Key object_key(std::string name, std::vector<Key> children, std::string help) {
    return {
        .name = std::move(name), .type = Key::Type::object, .help = std::move(help), .children = std::move(children)};
}

Key list_key(std::string name, Key item, std::string help) {
    return {.name = std::move(name),
            .type = Key::Type::list,
            .help = std::move(help),
            .fallback = List{},
            .children = {std::move(item)}};
}

Result<Settings> apply_keys(const std::vector<Key>& keys, const Object& given, std::string_view place) {
    for (const Member& member : given.members()) {
        if (std::ranges::find(keys, member.name, &Key::name) == keys.end())
            return fail(unknown_key(keys, member, place));
    }
    Object values;
    for (const Key& key : keys) {
        const Value* value = given.find(key.name);
        if (value == nullptr) {
            values.set(key.name, default_of(key));
            continue;
        }
        Result<Value> checked = check(key, *value, fmt::format("{}.{}", place, key.name));
        if (!checked) return fail(checked.error());
        values.set(key.name, std::move(*checked));
    }
    return Settings(std::move(values));
}

const Value& Settings::at(std::string_view path) const {
    const Object* scope = &values_;
    std::string_view rest = path;
    for (;;) {
        const std::size_t dot = rest.find('.');
        const Value* value = scope->find(rest.substr(0, dot));
        if (value == nullptr) throw std::logic_error(fmt::format("setting \"{}\" is not declared", path));
        if (dot == std::string_view::npos) return *value;
        scope = value->get_if<Object>();
        if (scope == nullptr) throw std::logic_error(fmt::format("setting \"{}\" is not inside an object", path));
        rest.remove_prefix(dot + 1);
    }
}

namespace {

template <typename T>
const T& as(const Value& value, std::string_view path) {
    const T* content = value.get_if<T>();
    if (content == nullptr) throw std::logic_error(fmt::format("setting \"{}\" is of another type", path));
    return *content;
}

}  // namespace

bool Settings::boolean(std::string_view path) const {
    return as<bool>(at(path), path);
}
std::int64_t Settings::integer(std::string_view path) const {
    return as<std::int64_t>(at(path), path);
}
std::string Settings::text(std::string_view path) const {
    return as<std::string>(at(path), path);
}
const List& Settings::list(std::string_view path) const {
    return as<List>(at(path), path);
}

std::optional<std::int64_t> Settings::optional_integer(std::string_view path) const {
    if (at(path).is_null()) return std::nullopt;
    return integer(path);
}

std::optional<std::string> Settings::optional_text(std::string_view path) const {
    if (at(path).is_null()) return std::nullopt;
    return text(path);
}

}  // namespace vmmi
