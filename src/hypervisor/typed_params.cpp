// SPDX-License-Identifier: Apache-2.0
#include "hypervisor/typed_params.h"

namespace vmmi::hypervisor {

std::optional<std::uint64_t> ParamsView::unsigned_long_long(const char* name) const {
    unsigned long long value = 0;
    if (virTypedParamsGetULLong(params_, count_, name, &value) != 1) return std::nullopt;
    return value;
}

std::optional<int> ParamsView::integer(const char* name) const {
    int value = 0;
    if (virTypedParamsGetInt(params_, count_, name, &value) != 1) return std::nullopt;
    return value;
}

}  // namespace vmmi::hypervisor
