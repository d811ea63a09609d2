// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "vmmi/units.h"

/// Between the SDK's units and doubles in bytes and seconds. What comes from samples may be any number: conversions
/// saturate, and what is no number becomes zero.
namespace vmmi::policy {

constexpr double mebibyte = 1 << 20;
/// Of a time that still is one; some thirty thousand years.
constexpr double longest_seconds = 1e12;

constexpr double in_bytes(Bytes amount) {
    return static_cast<double>(amount.count);
}
constexpr double in_bytes_per_second(BytesPerSecond rate) {
    return static_cast<double>(rate.count);
}
constexpr double in_seconds(Milliseconds time) {
    return static_cast<double>(time.count()) / 1000.0;
}
/// From one moment to a later one; zero where time ran backwards.
constexpr double seconds_between(Milliseconds from, Milliseconds to) {
    return std::max(0.0, in_seconds(to) - in_seconds(from));
}

inline std::uint64_t saturated(double number) {
    constexpr double most = 18446744073709551615.0;  // rounds to 2^64, one above what fits
    if (!(number > 0)) return 0;
    return number < most ? static_cast<std::uint64_t>(number) : std::numeric_limits<std::uint64_t>::max();
}
inline Bytes bytes(double number) {
    return {saturated(std::round(number))};
}
inline BytesPerSecond bytes_per_second(double number) {
    return {saturated(std::round(number))};
}
inline Milliseconds milliseconds(double seconds) {
    if (!(seconds > 0)) return Milliseconds(0);
    return Milliseconds(static_cast<std::int64_t>(std::round(1000.0 * std::min(seconds, longest_seconds))));
}

/// a / b, or zero where b is nothing to divide by.
constexpr double ratio(double a, double b) {
    return b > 0 ? a / b : 0.0;
}

/// The next number upwards, or the nearest, with so many significant digits: 1.13 and 2 digits are 1.2, or 1.1.
inline double round_up(double number, int digits) {
    if (!(number > 0)) return 0;
    const double step = std::pow(10.0, std::floor(std::log10(number)) - digits + 1);
    // Binary fractions put what is round already a hair above itself.
    return std::ceil(number / step - 1e-9) * step;
}
inline double round_off(double number, int digits) {
    if (!(number > 0)) return 0;
    const double step = std::pow(10.0, std::floor(std::log10(number)) - digits + 1);
    return std::round(number / step) * step;
}

}  // namespace vmmi::policy
