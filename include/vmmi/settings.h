// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmmi/result.h"
#include "vmmi/value.h"

namespace vmmi {

/// The declaration of one key of the configuration message: its name, type, range, default and meaning.
///
/// A plugin declares its keys once, as a table. From the table come the checks with their messages, the defaults,
/// `--help`, `--print-config` and the tests of the documentation.
struct Key {
    enum class Type {
        boolean,
        integer,
        text,
        domain_xml,  ///< libvirt's XML of a guest, as a text
        object,
        list,
    };

    std::string name{};
    Type type = Type::text;
    /// One sentence without a full stop; names the unit unless the key's name does.
    std::string help{};
    /// Used where the configuration has no such key. Null: the key is optional and may stay absent.
    /// An object takes its defaults from its children, unless it has one for the whole of it.
    Value fallback{};
    /// Integers: inclusive bounds.
    std::optional<std::int64_t> minimum{};
    std::optional<std::int64_t> maximum{};
    /// Text: the permitted words; empty permits any text.
    std::vector<std::string> choices{};
    /// Objects: their keys. Lists: one key, the shape of each item.
    std::vector<Key> children{};
};

/// Shorthands that read as a table:
///
///     integer_key("maximumMs", 500, {1, 2'000'000}, "the highest downtime limit"),
struct Range {
    std::int64_t minimum;
    std::int64_t maximum;
};
Key boolean_key(std::string name, Value fallback, std::string help);
Key integer_key(std::string name, Value fallback, Range range, std::string help);
Key text_key(std::string name, Value fallback, std::string help);
/// At most 256 KiB, well formed, without a document type.
Key domain_xml_key(std::string name, std::string help);
Key choice_key(std::string name, Value fallback, std::vector<std::string> choices, std::string help);
Key object_key(std::string name, std::vector<Key> children, std::string help);
Key list_key(std::string name, Key item, std::string help);

/// Values that passed their declarations, complete with defaults. Keys are addressed by path: "downtime.initialMs".
///
/// Asking for a key that was not declared, or as another type, is a programming error and throws std::logic_error;
/// policies read their settings when they are made, so any test that makes the policy finds it.
class Settings {
  public:
    Settings() = default;
    explicit Settings(Object values) : values_(std::move(values)) {}

    bool boolean(std::string_view path) const;
    std::int64_t integer(std::string_view path) const;
    std::string text(std::string_view path) const;
    /// Nothing where the key is optional and absent.
    std::optional<std::int64_t> optional_integer(std::string_view path) const;
    /// Of a domain XML, too.
    std::optional<std::string> optional_text(std::string_view path) const;
    const List& list(std::string_view path) const;

    const Object& values() const { return values_; }

  private:
    const Value& at(std::string_view path) const;

    Object values_;
};

/// Holds `given` against the declarations and adds the defaults.
/// Fails with `malformed_configuration`; `details` names the path under `place`, the value and what was expected, and
/// for an unknown key the nearest known one.
Result<Settings> apply_keys(const std::vector<Key>& keys, const Object& given, std::string_view place);

}  // namespace vmmi
