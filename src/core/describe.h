// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/job.h"
#include "vmmi/migration.h"
#include "vmmi/result.h"
#include "vmmi/value.h"

namespace vmmi {

/// A value as an error message shows it: scalars as written, text quoted, with passwords in URIs masked, lists and
/// objects by their kind.
std::string describe(const Value& value);

/// libvirt's answer with its numbers: "no domain with that name (libvirt error 42, domain 10)".
std::string describe(const NativeError& error);

/// An action in the words of the log: "downtime limit 150 ms", "abort".
std::string describe(const Action& action);

}  // namespace vmmi
