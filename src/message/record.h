// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/record.h"

namespace vmmi::message {

/// A record as one line of JSON, for a file that only the plugins of this project read.
std::string write_record(const MigrationRecord& record);
/// Nothing where the text is no record, whatever it is instead.
std::optional<MigrationRecord> read_record(std::string_view text);

}  // namespace vmmi::message
