// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct _xmlTextReader;

namespace vmmi::xml {

/// Walks through a document of which nothing is trusted. It stops at the first mistake, at a document type and below
/// 256 levels, follows no entity and opens no file.
class Reader {
  public:
    enum class Node { element, text, end, other };

    /// The document outlives the reader.
    explicit Reader(std::string_view document);

    /// Goes to the next node. False: there is none, or a mistake before it.
    bool next();
    Node node() const { return node_; }

    /// Whether these are the names of the elements from the outermost to the current one, or to the one around the
    /// current text.
    template <typename... Names>
    bool is(Names... names) const {
        const std::array<std::string_view, sizeof...(names)> path{names...};
        return std::ranges::equal(names_, path);
    }
    /// Of an element; empty where it has none of that name.
    std::string attribute(const char* name) const;
    /// Of a text, until the next node.
    std::string_view text() const;

    /// Why there was no next node. Nothing: the document had come to its end.
    const std::optional<std::string>& mistake() const { return mistake_; }

  private:
    struct Free {
        void operator()(_xmlTextReader* reader) const noexcept;
    };

    bool fail(const std::string& mistake);
    int line() const;

    std::unique_ptr<_xmlTextReader, Free> reader_;
    Node node_ = Node::other;
    std::vector<std::string> names_;
    std::optional<std::string> mistake_;
};

/// What is wrong with a document whose outermost element is to have that name; nothing where it is well formed.
/// Tells no content of it.
std::optional<std::string> problem(std::string_view document, std::string_view outermost);

}  // namespace vmmi::xml
