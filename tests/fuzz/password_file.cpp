// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "hypervisor/connection.h"
#include "require.h"
#include "system/fd.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

constexpr std::string_view password = "hunter2";
constexpr std::size_t longest = 1022;

/// A host of libvirt's test driver that asks for the password.
std::string host() {
    const std::string path = "/tmp/vmmi-fuzz-host." + std::to_string(::getpid()) + ".xml";
    const system::Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    require(system::write_all(file.get(), "<node><auth><user password='hunter2'>anna</user></auth></node>"), "a file");
    virSetErrorFunc(nullptr, [](void*, virErrorPtr) {});
    return path;
}

/// A file that has these bytes, and no name.
struct Unnamed {
    explicit Unnamed(std::string_view text) : fd(::memfd_create("password", MFD_CLOEXEC)) {
        require(::fchmod(fd.get(), 0600) == 0 && system::write_all(fd.get(), text), "a file in memory");
    }
    std::string path() const { return "/proc/self/fd/" + std::to_string(fd.get()); }
    system::Fd fd;
};

}  // namespace

/// The first line is the password, and nothing but it opens the connection; no error shows it.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const std::string path = host();
    static const bool removed_at_the_end = std::atexit([] { ::unlink(path.c_str()); }) == 0;
    require(removed_at_the_end, "the host's file does not stay");

    const std::string_view text = text_of(data, size);
    const Unnamed file(text);
    hypervisor::Endpoint endpoint;
    endpoint.uri = "test://" + path;
    endpoint.credentials = {.username = "anna", .password_file = file.path()};
    const Result<hypervisor::Connection> connection = hypervisor::open_connection(endpoint);
    const std::string_view line = text.substr(0, text.find_first_of(std::string_view("\n\0", 2)));
    require(connection.has_value() == (line == password && size <= longest), "the first line is the password");
    if (connection) return 0;
    require_sound(connection.error(), {size > longest ? ErrorCode::bad_file_path : ErrorCode::libvirt_disconnected});
    if (line.size() > 8)
        require(connection.error().details.find(line) == std::string::npos, "an error shows no password");
    return 0;
}
