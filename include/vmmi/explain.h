// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "vmmi/forecast.h"

namespace vmmi {

/// Reasons for actions, in the same words in every policy. Sentences with numbers, without a full stop; what is offered
/// is rounded so that it suffices.

/// "cannot meet 300 ms: plateau 1.13 s at 410 Mb/s; feasible with 1.2 s, 1.5 Gb/s, 40 % throttle, or post-copy of
/// 1.1 s (confidence 90 %)", or in how many passes and how long the limit is met, or what is not known yet. With little
/// confidence "may not meet" and "may meet".
std::string explain(const Forecast& forecast, Milliseconds limit, const Alternatives& alternatives);
/// "no pass began below 96 % of 815 MiB for 41 s"
std::string explain(const StallRule& stall);
/// "link broken: 0 kb/s of 890 Mb/s, outages of 12 s in all"
std::string explain(const NetworkHealth& network);

/// "300 ms", "1.13 s", "95 s", "12 min"
std::string in_words(Milliseconds duration);
/// "410 Mb/s", "1.5 Gb/s"
std::string in_words(BytesPerSecond rate);
/// "815 MiB", "1.2 GiB"
std::string in_words(Bytes amount);

}  // namespace vmmi
