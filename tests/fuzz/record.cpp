// SPDX-License-Identifier: Apache-2.0
#include "message/record.h"

#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

/// What is taken for a record means the same when it is written again.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::optional<MigrationRecord> record = message::read_record(text_of(data, size));
    if (!record) return 0;
    require(!record->uuid.empty() && !record->plugin.empty(), "it tells whose it is");
    require(record->started.time_since_epoch().count() >= 0, "it has a begin");
    const std::string written = message::write_record(*record);
    const std::optional<MigrationRecord> again = message::read_record(written);
    require(again.has_value(), "what is written is a record");
    require(message::write_record(*again) == written, "what is written means the same");
    return 0;
}
