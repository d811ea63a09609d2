// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/capabilities.h"

#include "xml/reader.h"

namespace vmmi::hypervisor {

Capabilities read_capabilities(std::string_view document) {
    using Migration = HostFacts::Migration;
    using Node = xml::Reader::Node;
    constexpr std::size_t longest_uuid = 64;
    Capabilities read;
    xml::Reader reader(document);
    while (reader.next()) {
        if (reader.node() == Node::element) {
            if (reader.is("capabilities", "host")) read.migration = Migration::none;
            if (reader.is("capabilities", "host", "migration_features")) read.migration = Migration::not_live;
            if (reader.is("capabilities", "host", "migration_features", "live")) read.migration = Migration::live;
        } else if (reader.node() == Node::text && reader.is("capabilities", "host", "uuid")) {
            read.host_uuid = reader.text().substr(0, longest_uuid);
        } else if (reader.node() == Node::end && reader.is("capabilities", "host")) {
            return read;
        }
    }
    // Cut short, or spoilt: what was not there may have followed.
    if (reader.mistake() && read.migration == Migration::none) read.migration = Migration::unknown;
    return read;
}

}  // namespace vmmi::hypervisor
