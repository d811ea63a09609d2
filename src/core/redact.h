// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

namespace vmmi {

/// A URI that may be shown: a password in its authority and the values of query parameters that name a secret become
/// "***". Anything else stays.
std::string redact_uri(std::string_view uri);

/// An XML document that may be shown: the values of attributes that name a secret become "***".
std::string redact_xml(std::string_view document);

}  // namespace vmmi
