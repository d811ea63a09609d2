// SPDX-License-Identifier: Apache-2.0
#include "message/json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/describe.h"
#include "core/overloaded.h"

namespace vmmi::message {
namespace {

using Json = nlohmann::ordered_json;

/// The parser's own words about what is wrong and where. Not what it read last: that may be long, or a secret.
std::string explain(std::string text) {
    // "[json.exception.parse_error.101] parse error at line 1, column 2: …; last read: '…'; expected '}'"
    if (const auto end = text.find("] "); end != std::string::npos) text.erase(0, end + 2);
    if (const auto read = text.find("; last read: '"); read != std::string::npos) {
        std::string expected;
        for (const char* token : {"string literal", "':'", "'}'", "']'", "end of input"}) {
            const std::string end = std::string("; expected ") + token;
            if (text.ends_with(end)) expected = end;
        }
        text = text.substr(0, read) + expected;
    }
    // "number overflow parsing '1…1'"
    constexpr std::size_t longest = 200;
    if (text.size() > longest) text = text.substr(0, longest) + "…";
    return text;
}

/// Builds values as the parser reads, so that duplicate keys are seen and depth is bounded before anything is built.
class Builder : public nlohmann::json_sax<nlohmann::json> {
  public:
    bool null() override { return add(nullptr); }
    bool boolean(bool flag) override { return add(flag); }
    bool number_integer(std::int64_t number) override { return add(number); }
    bool number_unsigned(std::uint64_t number) override {
        if (number > static_cast<std::uint64_t>(INT64_MAX)) return add(static_cast<double>(number));
        return add(static_cast<std::int64_t>(number));
    }
    bool number_float(double number, const std::string&) override { return add(number); }
    bool string(std::string& text) override { return add(std::move(text)); }
    bool binary(nlohmann::json::binary_t&) override { return refuse("binary data"); }
    bool start_object(std::size_t) override { return open(Object{}); }
    bool start_array(std::size_t) override { return open(List{}); }
    bool end_object() override { return close(); }
    bool end_array() override { return close(); }
    bool key(std::string& name) override {
        Frame& frame = stack_.back();
        const Object& object = std::get<Object>(frame.content);
        constexpr std::size_t most = 1000;  // the search for duplicates costs keys times keys
        if (object.members().size() == most) return refuse(fmt::format("an object with more than {} keys", most));
        if (object.find(name) != nullptr) return refuse(fmt::format("key {} occurs twice", quote(name)));
        frame.key = std::move(name);
        return true;
    }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& error) override {
        return refuse(fmt::format("{} (byte {})", explain(error.what()), position));
    }

    const std::string& problem() const { return problem_; }
    const Value& root() const { return root_; }

  private:
    struct Frame {
        std::variant<Object, List> content;
        std::string key;
    };

    bool refuse(std::string problem) {
        problem_ = std::move(problem);
        return false;
    }
    bool add(Value value) {
        // A value of two bytes takes forty in memory.
        constexpr int most = 10'000;
        if (++values_ > most) return refuse(fmt::format("more than {} values", most));
        if (stack_.empty()) {
            root_ = std::move(value);
            return true;
        }
        Frame& frame = stack_.back();
        if (auto* object = std::get_if<Object>(&frame.content))
            object->set(std::exchange(frame.key, {}), std::move(value));
        else
            std::get<List>(frame.content).push_back(std::move(value));
        return true;
    }
    bool open(std::variant<Object, List> content) {
        constexpr std::size_t deepest = 32;
        if (stack_.size() == deepest) return refuse(fmt::format("nested more than {} levels deep", deepest));
        stack_.push_back({std::move(content), {}});
        return true;
    }
    bool close() {
        Frame frame = std::move(stack_.back());
        stack_.pop_back();
        return std::visit([this](auto& content) { return add(std::move(content)); }, frame.content);
    }

    std::vector<Frame> stack_;
    int values_ = 0;
    Value root_;
    std::string problem_;
};

Json to_nlohmann(const Value& value) {
    return std::visit(Overloaded{
                          [](std::monostate) { return Json(nullptr); },
                          [](const List& items) {
                              Json json = Json::array();
                              for (const Value& item : items) json.push_back(to_nlohmann(item));
                              return json;
                          },
                          [](const Object& object) {
                              Json json = Json::object();
                              for (const Member& member : object.members())
                                  json[member.name] = to_nlohmann(member.value);
                              return json;
                          },
                          [](const auto& scalar) { return Json(scalar); },
                      },
                      value.variant());
}

std::string dump(const Value& value, int indent) {
    return to_nlohmann(value).dump(indent, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Result<Object> parse_json(std::string_view text) {
    constexpr std::string_view byte_order_mark = "\xef\xbb\xbf";
    if (text.starts_with(byte_order_mark)) {
        return fail(ErrorCode::malformed_configuration, "malformed configuration",
                    "begins with a byte order mark; JSON has none");
    }
    Builder builder;
    std::string problem;
    try {
        if (!nlohmann::json::sax_parse(text, &builder)) problem = builder.problem();
    } catch (const std::exception& error) {
        problem = explain(error.what());
    }
    const Object* object = builder.root().get_if<Object>();
    if (problem.empty() && object == nullptr) problem = "not a JSON object but " + describe(builder.root());
    if (!problem.empty()) return fail(ErrorCode::malformed_configuration, "malformed configuration", problem);
    return *object;
}

std::string to_json(const Value& value) {
    return dump(value, -1);
}
std::string to_pretty_json(const Value& value) {
    return dump(value, 2);
}

}  // namespace vmmi::message
