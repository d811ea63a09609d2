// SPDX-License-Identifier: Apache-2.0
#include "app/told_to_leave.h"

namespace vmmi::app {

std::optional<Error> told_to_leave(system::Signals& signals, bool& status_asked, const std::string& what_was_done) {
    using system::Request;
    while (const std::optional<Request> request = signals.next()) {
        switch (*request) {
            case Request::status:
                status_asked = true;
                break;
            case Request::detach:
                return Error{ErrorCode::detached, "detached", what_was_done};
            case Request::abort:
            case Request::abort_by_stop:
                return Error{ErrorCode::migration_aborted, "migration aborted", what_was_done};
        }
    }
    return std::nullopt;
}

}  // namespace vmmi::app
