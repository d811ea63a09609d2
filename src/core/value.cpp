// SPDX-License-Identifier: Apache-2.0
#include "vmmi/value.h"

#include <algorithm>
#include <limits>

namespace vmmi {

Object::Object() = default;
Object::Object(const Object&) = default;
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(const Object&) = default;
Object& Object::operator=(Object&&) noexcept = default;
Object::~Object() = default;

Object::Object(std::initializer_list<Member> members) {
    for (const Member& member : members) set(member.name, member.value);
}

const Value* Object::find(std::string_view name) const {
    const auto found = std::ranges::find(members_, name, &Member::name);
    return found == members_.end() ? nullptr : &found->value;
}

void Object::set(std::string name, Value value) {
    const auto found = std::ranges::find(members_, name, &Member::name);
    if (found == members_.end())
        members_.push_back({std::move(name), std::move(value)});
    else
        found->value = std::move(value);
}

bool operator==(const Object& a, const Object& b) {
    return a.members_ == b.members_;
}

Value::Value(std::uint64_t number) {
    constexpr auto largest = std::numeric_limits<std::int64_t>::max();
    variant_ = static_cast<std::int64_t>(std::min(number, static_cast<std::uint64_t>(largest)));
}

}  // namespace vmmi
