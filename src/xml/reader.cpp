// SPDX-License-Identifier: Apache-2.0
#include "xml/reader.h"

#include <fmt/format.h>
#include <libxml/xmlreader.h>

#include <limits>

namespace vmmi::xml {
namespace {

/// As many as libxml2 takes: a disk's backing chain is one element within the other.
constexpr int deepest = 256;

std::string_view text_of(const xmlChar* text) {
    return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

}  // namespace

void Reader::Free::operator()(_xmlTextReader* reader) const noexcept {
    xmlFreeTextReader(reader);
}

Reader::Reader(std::string_view document) {
    if (document.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return;
    reader_.reset(xmlReaderForMemory(document.data(), static_cast<int>(document.size()), nullptr, nullptr,
                                     XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
}

bool Reader::next() {
    if (!reader_) return fail("text that cannot be read");
    if (mistake_) return false;
    const int more = xmlTextReaderRead(reader_.get());
    if (more == 0) return false;
    if (more < 0) return fail(fmt::format("text that is not well formed at line {}", line()));
    const int depth = xmlTextReaderDepth(reader_.get());
    if (depth < 0 || depth >= deepest)
        return fail(fmt::format("elements within elements to more than {} levels at line {}", deepest, line()));
    const auto above = static_cast<std::size_t>(depth);
    switch (xmlTextReaderNodeType(reader_.get())) {
        case XML_READER_TYPE_ELEMENT:
            node_ = Node::element;
            names_.resize(above);
            names_.emplace_back(text_of(xmlTextReaderConstName(reader_.get())));
            return true;
        case XML_READER_TYPE_TEXT:
        case XML_READER_TYPE_CDATA:
            node_ = Node::text;
            names_.resize(above);
            return true;
        case XML_READER_TYPE_END_ELEMENT:
            node_ = Node::end;
            names_.resize(above + 1);
            return true;
        case XML_READER_TYPE_DOCUMENT_TYPE:
            return fail(fmt::format("a document type at line {}", line()));
        default:
            node_ = Node::other;
            return true;
    }
}

std::string Reader::attribute(const char* name) const {
    const std::unique_ptr<xmlChar, void (*)(void*)> value(
        xmlTextReaderGetAttribute(reader_.get(), reinterpret_cast<const xmlChar*>(name)), xmlFree);
    return std::string(text_of(value.get()));
}

std::string_view Reader::text() const {
    return text_of(xmlTextReaderConstValue(reader_.get()));
}

bool Reader::fail(const std::string& mistake) {
    mistake_ = mistake;
    return false;
}

int Reader::line() const {
    return xmlTextReaderGetParserLineNumber(reader_.get());
}

std::optional<std::string> problem(std::string_view document, std::string_view outermost) {
    Reader reader(document);
    bool found = false;
    while (reader.next()) found = found || reader.is(outermost);
    if (reader.mistake()) return reader.mistake();
    if (!found) return fmt::format("a document whose outermost element is not <{}>", outermost);
    return std::nullopt;
}

}  // namespace vmmi::xml
