// SPDX-License-Identifier: Apache-2.0
#include "core/uri.h"

#include "core/check.h"
#include "require.h"

using namespace vmmi;
using namespace vmmi::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string text(text_of(data, size));
    const Uri uri = parse_uri(text);
    require(uri.scheme.size() + uri.transport.size() + uri.host.size() + uri.port.size() + uri.path.size() +
                    uri.query.size() <=
                text.size(),
            "parts are no longer than the whole");
    require(uri.host.find_first_of("/?#") == std::string::npos, "a host ends where its part does");
    require(text.find(uri.host) != std::string::npos, "a host is of the text");
    static_cast<void>(is_loopback(uri.host));
    Findings findings;
    findings.configuration_name = "the defaults";
    findings.destination_uri = findings.migration_uri = text;
    for (const CheckResult& check : judge(findings).checks)
        require(!check.error.details.empty(), "a check says something");
    return 0;
}
