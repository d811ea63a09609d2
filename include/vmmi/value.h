// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace vmmi {

class Value;
struct Member;
using List = std::vector<Value>;

/// Named values in the order in which they were set; a name occurs once.
class Object {
  public:
    // Defined where Member is complete: clang insists.
    Object();
    Object(std::initializer_list<Member> members);
    Object(const Object&);
    Object(Object&&) noexcept;
    Object& operator=(const Object&);
    Object& operator=(Object&&) noexcept;
    ~Object();

    /// The member of that name, or nullptr.
    const Value* find(std::string_view name) const;
    /// Adds the member, or replaces the one of the same name in its place.
    void set(std::string name, Value value);

    const std::vector<Member>& members() const { return members_; }

    friend bool operator==(const Object&, const Object&);

  private:
    std::vector<Member> members_;
};

/// A document of the kind that the messages carry: the plain form of JSON, free of any JSON library.
class Value {
  public:
    using Variant = std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Object>;

    Value() = default;
    Value(std::nullptr_t) {}
    Value(bool flag) : variant_(flag) {}
    Value(int number) : variant_(std::int64_t{number}) {}
    Value(std::int64_t number) : variant_(number) {}
    /// Saturates at the largest signed number, which no counter of a migration reaches.
    Value(std::uint64_t number);
    Value(double number) : variant_(number) {}
    Value(const char* text) : variant_(std::string(text)) {}
    Value(std::string_view text) : variant_(std::string(text)) {}
    Value(std::string text) : variant_(std::move(text)) {}
    Value(List items) : variant_(std::move(items)) {}
    Value(Object members) : variant_(std::move(members)) {}

    bool is_null() const { return std::holds_alternative<std::monostate>(variant_); }
    const Variant& variant() const { return variant_; }

    /// The content if it is of that type, or nullptr.
    template <typename T>
    const T* get_if() const {
        return std::get_if<T>(&variant_);
    }

    friend bool operator==(const Value&, const Value&) = default;

  private:
    Variant variant_;
};

struct Member {
    std::string name;
    Value value;

    friend bool operator==(const Member&, const Member&) = default;
};

}  // namespace vmmi
