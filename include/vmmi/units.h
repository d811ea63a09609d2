// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace vmmi {

/// Durations at the SDK's surface have the precision that libvirt uses for limits and job times.
using Milliseconds = std::chrono::milliseconds;

/// An amount of memory or of traffic, in bytes.
struct Bytes {
    std::uint64_t count = 0;

    friend constexpr auto operator<=>(Bytes, Bytes) = default;
    friend constexpr Bytes operator+(Bytes a, Bytes b) { return {a.count + b.count}; }
    /// Saturates at zero: counters read from outside may run backwards.
    friend constexpr Bytes operator-(Bytes a, Bytes b) { return {a.count > b.count ? a.count - b.count : 0}; }
};

/// A rate, in bytes a second. libvirt's MiB/s and pages/s are converted where they are read.
struct BytesPerSecond {
    std::uint64_t count = 0;

    friend constexpr auto operator<=>(BytesPerSecond, BytesPerSecond) = default;
};

constexpr Bytes mebibytes(std::uint64_t n) {
    return {n << 20};
}
constexpr BytesPerSecond mebibytes_per_second(std::uint64_t n) {
    return {n << 20};
}
constexpr double in_gibibytes(Bytes amount) {
    return static_cast<double>(amount.count) / (1024.0 * 1024.0 * 1024.0);
}

}  // namespace vmmi
