// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/devices.h"

#include "xml/reader.h"

namespace vmmi::hypervisor {
namespace {

constexpr std::size_t longest_target = 64;
constexpr std::size_t most_disks = 1024;

/// What is written in an element right below that of the disk. A backing chain has sources, too, but deeper.
void read_disk(const xml::Reader& reader, GuestDisk& disk) {
    if (reader.is("domain", "devices", "disk", "target"))
        disk.target = reader.attribute("dev").substr(0, longest_target);
    if (reader.is("domain", "devices", "disk", "readonly")) disk.read_only = true;
    if (reader.is("domain", "devices", "disk", "shareable")) disk.shareable = true;
    if (reader.is("domain", "devices", "disk", "source")) disk.empty = false;
}

/// PCI and mediated devices, and network interfaces that are such devices; USB and SCSI devices go another way.
bool is_vfio(const xml::Reader& reader) {
    const std::string type = reader.attribute("type");
    if (reader.is("domain", "devices", "hostdev")) return type == "pci" || type == "mdev";
    return reader.is("domain", "devices", "interface") && type == "hostdev";
}

}  // namespace

std::optional<GuestDevices> read_devices(std::string_view document) {
    GuestDevices devices;
    bool found = false;
    xml::Reader reader(document);
    while (reader.next() && devices.disks.size() <= most_disks) {
        if (reader.node() != xml::Reader::Node::element) continue;
        found = found || reader.is("domain");
        if (reader.is("domain", "devices", "disk")) devices.disks.push_back({.empty = true});
        if (!devices.disks.empty()) read_disk(reader, devices.disks.back());
        if (is_vfio(reader)) ++devices.vfio;
    }
    if (!found || reader.mistake()) return std::nullopt;
    return devices;
}

}  // namespace vmmi::hypervisor
