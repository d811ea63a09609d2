// SPDX-License-Identifier: Apache-2.0
#include "supervisor/domain.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <memory>

#include "core/describe.h"
#include "core/redact.h"
#include "supervisor/errors.h"

namespace vmmi::supervisor {
namespace {

using Domain = struct _virDomain*;
using Connection = struct _virConnect*;
/// The beginning of libvirt's virError, which is part of its ABI.
struct NativeError {
    int code;
    int domain;
    char* message;
};

/// The few functions that are needed, of the libvirt that this process has, or else of the system's.
class Libvirt {
  public:
    /// Fails with VMMI_E_SYSTEM.
    static Result<Libvirt> load() {
        Libvirt libvirt;
        // First what stands in for it: preloaded, or linked under whatever name.
        void* library = nullptr;
        if (::dlsym(RTLD_DEFAULT, "virConnectOpen") == nullptr) {
            const bool ours = ::dlopen("libvirt.so.0", RTLD_NOW | RTLD_NOLOAD) == nullptr;
            library = ::dlopen("libvirt.so.0", RTLD_NOW | RTLD_LOCAL);
            // It would write errors to standard error. Where the host program has it, that is the program's to say.
            void (*set_error_function)(void*, void (*)(void*, NativeError*)) = nullptr;
            if (library != nullptr && ours && find(library, "virSetErrorFunc", set_error_function))
                set_error_function(nullptr, [](void*, NativeError*) {});
            if (library == nullptr)
                return refuse(VMMI_E_SYSTEM, "no libvirt",
                              fmt::format("libvirt.so.0 could not be loaded: {}", ::dlerror()));
        }
        void* scope = library != nullptr ? library : RTLD_DEFAULT;
        const bool all =
            find(scope, "virConnectOpen", libvirt.open) && find(scope, "virConnectClose", libvirt.close) &&
            find(scope, "virConnectGetURI", libvirt.uri) &&
            find(scope, "virDomainLookupByUUIDString", libvirt.by_uuid) &&
            find(scope, "virDomainLookupByName", libvirt.by_name) && find(scope, "virDomainFree", libvirt.free) &&
            find(scope, "virDomainGetName", libvirt.name) && find(scope, "virDomainGetUUIDString", libvirt.uuid) &&
            find(scope, "virDomainGetConnect", libvirt.connection) && find(scope, "virDomainAbortJob", libvirt.abort) &&
            find(scope, "virGetLastError", libvirt.last_error);
        if (!all) return refuse(VMMI_E_SYSTEM, "no libvirt", "libvirt.so.0 lacks a function that it always had");
        return libvirt;
    }

    std::string error() const {
        const NativeError* error = last_error();
        if (error == nullptr || error->message == nullptr) return "libvirt gave no reason";
        return fmt::format("{} (libvirt error {}, domain {})", error->message, error->code, error->domain);
    }

    Connection (*open)(const char*) = nullptr;
    int (*close)(Connection) = nullptr;
    char* (*uri)(Connection) = nullptr;
    Domain (*by_uuid)(Connection, const char*) = nullptr;
    Domain (*by_name)(Connection, const char*) = nullptr;
    int (*free)(Domain) = nullptr;
    const char* (*name)(Domain) = nullptr;
    int (*uuid)(Domain, char*) = nullptr;
    Connection (*connection)(Domain) = nullptr;
    int (*abort)(Domain) = nullptr;
    NativeError* (*last_error)() = nullptr;

  private:
    template <typename Function>
    static bool find(void* scope, const char* symbol, Function& function) {
        function = reinterpret_cast<Function>(::dlsym(scope, symbol));
        return function != nullptr;
    }
};

/// A guest that was looked up on a connection of its own.
class Guest {
  public:
    static Result<Guest> look_up(const std::string& uri, const std::string& vm) {
        const Result<Libvirt> libvirt = Libvirt::load();
        if (!libvirt) return fail(libvirt.error());
        Guest guest(*libvirt);
        const std::string where = uri.empty() ? "qemu:///system" : uri;
        guest.connection_ = libvirt->open(where.c_str());
        if (guest.connection_ == nullptr) {
            return fail(ErrorCode::libvirt_disconnected, "no connection to libvirt",
                        fmt::format("{}: {}", quote(redact_uri(where)), redact_uri(libvirt->error())));
        }
        guest.domain_ = libvirt->by_uuid(guest.connection_, vm.c_str());
        if (guest.domain_ == nullptr) guest.domain_ = libvirt->by_name(guest.connection_, vm.c_str());
        if (guest.domain_ == nullptr) {
            return fail(ErrorCode::vm_unknown, "VM unknown",
                        fmt::format("{} has no guest {}: {}", quote(redact_uri(where)), quote(vm), libvirt->error()));
        }
        return guest;
    }
    Guest(Guest&& other) noexcept
        : libvirt_(other.libvirt_),
          connection_(std::exchange(other.connection_, nullptr)),
          domain_(std::exchange(other.domain_, nullptr)) {}
    Guest& operator=(Guest&&) = delete;
    ~Guest() {
        if (domain_ != nullptr) libvirt_.free(domain_);
        if (connection_ != nullptr) libvirt_.close(connection_);
    }

    const Libvirt& libvirt() const { return libvirt_; }
    Domain domain() const { return domain_; }

  private:
    explicit Guest(const Libvirt& libvirt) : libvirt_(libvirt) {}

    Libvirt libvirt_;
    Connection connection_ = nullptr;
    Domain domain_ = nullptr;
};

Result<DomainName> names(const Libvirt& libvirt, Domain domain) {
    std::array<char, 37> uuid{};
    const char* name = libvirt.name(domain);
    if (libvirt.uuid(domain, uuid.data()) != 0 || name == nullptr)
        return fail(ErrorCode::vm_unknown, "VM unknown", "the domain has no UUID: " + libvirt.error());
    const std::unique_ptr<char, decltype(&std::free)> uri(libvirt.uri(libvirt.connection(domain)), &std::free);
    if (!uri) return fail(ErrorCode::libvirt_disconnected, "no connection to libvirt", libvirt.error());
    return DomainName{uuid.data(), name, uri.get()};
}

}  // namespace

Result<DomainName> name_of(struct _virDomain* domain) {
    const Result<Libvirt> libvirt = Libvirt::load();
    if (!libvirt) return fail(libvirt.error());
    return names(*libvirt, domain);
}

Result<DomainName> find_domain(const std::string& connection, const std::string& vm) {
    const Result<Guest> guest = Guest::look_up(connection, vm);
    if (!guest) return fail(guest.error());
    return names(guest->libvirt(), guest->domain());
}

Result<void> abort_job(const std::string& connection, const std::string& vm) {
    const Result<Guest> guest = Guest::look_up(connection, vm);
    if (!guest) return fail(guest.error());
    if (guest->libvirt().abort(guest->domain()) != 0)
        return fail(ErrorCode::operation_failed, "not aborted", guest->libvirt().error());
    return {};
}

}  // namespace vmmi::supervisor
