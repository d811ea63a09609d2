// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "command/request.h"
#include "vmmi/libvmmi.h"

namespace vmmi::command {

/// An error of the library, with the size set.
struct Failure : vmmi_error {
    Failure() : vmmi_error{} { size = sizeof(vmmi_error); }
};

/// A context of the library for one command, and what all commands do with it.
class Session {
  public:
    explicit Session(const CommandLine& line);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    ~Session() { vmmi_context_free(context_); }

    explicit operator bool() const { return context_ != nullptr; }
    vmmi_context* context() const { return context_; }

    /// What the line asks a plugin to do. The texts belong to this. Nothing: the configuration cannot be read; told.
    std::optional<vmmi_parameters> parameters();
    /// Looks a name up, so that the migration is known by its UUID. False: there is no such guest; told.
    bool find_guest(vmmi_parameters& parameters);

    /// Ids of the migrations at work on guests of that name, or else of the last one that has ended: as libvirt knows
    /// the name, where they were started by the UUID.
    std::vector<std::string> find_migrations(const std::string& name) const;

    /// Tells the error, for people or machines, and gives the exit status for it.
    int tell(const vmmi_error& error) const;

  private:
    std::string read_configuration();

    const CommandLine& line_;
    vmmi_context* context_ = nullptr;
    std::string configuration_;
    std::vector<const char*> environment_;
    std::string uuid_;
    std::string name_;
};

}  // namespace vmmi::command
