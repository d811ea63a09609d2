// SPDX-License-Identifier: Apache-2.0
#include "schedule.h"

#include <variant>

#include "message/json.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

namespace {

void require_in_range(const schedule::What& what) {
    if (const auto* limit = std::get_if<SetDowntimeLimit>(&what))
        require(limit->limit.count() >= 1, "a downtime limit is positive");
    if (const auto* pause = std::get_if<PauseGuest>(&what)) require(pause->longest.count() >= 1, "a pause has a bound");
}

}  // namespace

/// The value of `configuration` to a schedule. What was accepted is accepted again as it is, and can be carried out.
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Result<Object> given = message::parse_json(text_of(data, size));
    if (!given) return 0;
    const Result<Settings> settings = apply_keys({schedule::schedule_key()}, *given, "configuration");
    if (!settings) {
        require_sound(settings.error(), {ErrorCode::malformed_configuration});
        return 0;
    }
    const Result<schedule::Schedule> made = schedule::schedule_from(*settings);
    if (!made) {
        require_sound(made.error(), {ErrorCode::malformed_configuration});
        require(made.error().details.starts_with("configuration.schedule"), "an error names the place");
        return 0;
    }
    for (const schedule::What& what : made->init) require_in_range(what);
    for (const schedule::Step& step : made->stalling) {
        require(step.limit >= -1, "a limit is a number of passes");
        require_in_range(step.what);
    }
    for (const schedule::Rule& rule : made->rules) {
        require(rule.when.any(), "a rule has a condition");
        require_in_range(rule.what);
    }
    return 0;
}
