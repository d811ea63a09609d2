// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/capabilities.h"

#include <libxml/xmlreader.h>

#include <algorithm>
#include <array>
#include <limits>
#include <memory>
#include <vector>

namespace vmmi::hypervisor {
namespace {

struct FreeReader {
    void operator()(xmlTextReaderPtr reader) const noexcept { xmlFreeTextReader(reader); }
};
using Reader = std::unique_ptr<xmlTextReader, FreeReader>;

std::string_view text_of(const xmlChar* text) {
    return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

/// The names of the elements from the outermost to the current one.
class Place {
  public:
    void enter(int depth, std::string_view name) {
        names_.resize(static_cast<std::size_t>(depth));
        names_.emplace_back(name);
    }
    template <typename... Names>
    bool is(Names... names) const {
        const std::array<std::string_view, sizeof...(names)> path{names...};
        return std::equal(names_.begin(), names_.end(), path.begin(), path.end());
    }

  private:
    std::vector<std::string> names_;
};

void read_host(xmlTextReaderPtr reader, Capabilities& read) {
    using Migration = HostFacts::Migration;
    constexpr int deepest = 16;
    constexpr std::size_t longest_uuid = 64;
    Place place;
    int more = 0;
    while ((more = xmlTextReaderRead(reader)) == 1) {
        const int type = xmlTextReaderNodeType(reader);
        const int depth = xmlTextReaderDepth(reader);
        if (depth < 0 || depth > deepest) return;
        if (type == XML_READER_TYPE_ELEMENT) {
            place.enter(depth, text_of(xmlTextReaderConstName(reader)));
            if (place.is("capabilities", "host")) read.migration = Migration::none;
            if (place.is("capabilities", "host", "migration_features")) read.migration = Migration::not_live;
            if (place.is("capabilities", "host", "migration_features", "live")) read.migration = Migration::live;
        } else if (type == XML_READER_TYPE_TEXT && place.is("capabilities", "host", "uuid")) {
            read.host_uuid = text_of(xmlTextReaderConstValue(reader)).substr(0, longest_uuid);
        } else if (type == XML_READER_TYPE_END_ELEMENT && depth == 1 &&
                   text_of(xmlTextReaderConstName(reader)) == "host") {
            return;
        }
    }
    // Cut short, or spoilt: what was not there may have followed.
    if (more != 0 && read.migration == Migration::none) read.migration = Migration::unknown;
}

}  // namespace

Capabilities read_capabilities(std::string_view xml) {
    Capabilities read;
    if (xml.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return read;
    const Reader reader(xmlReaderForMemory(xml.data(), static_cast<int>(xml.size()), nullptr, nullptr,
                                           XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING));
    if (reader) read_host(reader.get(), read);
    return read;
}

}  // namespace vmmi::hypervisor
