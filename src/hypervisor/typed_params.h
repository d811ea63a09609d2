// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <libvirt/libvirt.h>

#include <cstdint>
#include <optional>
#include <string>

namespace vmmi::hypervisor {

/// Reads libvirt's list of named, typed parameters. Every one of them is optional: daemons of other versions leave some
/// out. Whoever made the list keeps it.
class ParamsView {
  public:
    ParamsView(virTypedParameterPtr params, int count) : params_(params), count_(count) {}

    std::optional<std::uint64_t> unsigned_long_long(const char* name) const;
    std::optional<int> integer(const char* name) const;

  private:
    virTypedParameterPtr params_;
    int count_;
};

/// A list of our own, to be filled by us or by libvirt.
class TypedParams {
  public:
    TypedParams() = default;
    TypedParams(const TypedParams&) = delete;
    TypedParams& operator=(const TypedParams&) = delete;
    ~TypedParams() { virTypedParamsFree(params_, count_); }

    void add(const char* name, std::uint64_t value) {
        virTypedParamsAddULLong(&params_, &count_, &capacity_, name, value);
    }
    void add(const char* name, int value) { virTypedParamsAddInt(&params_, &count_, &capacity_, name, value); }
    void add(const char* name, const std::string& value) {
        virTypedParamsAddString(&params_, &count_, &capacity_, name, value.c_str());
    }

    virTypedParameterPtr* list() { return &params_; }
    int* count() { return &count_; }
    virTypedParameterPtr data() const { return params_; }
    unsigned int size() const { return static_cast<unsigned int>(count_); }
    ParamsView view() const { return {params_, count_}; }

  private:
    virTypedParameterPtr params_ = nullptr;
    int count_ = 0;
    int capacity_ = 0;
};

}  // namespace vmmi::hypervisor
