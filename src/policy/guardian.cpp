// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "vmmi/explain.h"
#include "vmmi/postcopy.h"

namespace vmmi {
namespace {

/// Of which the guest surely notices something.
constexpr Milliseconds standstill{5'000};
/// Twice the time between two looks at what has just broken: memory that moves would have been seen to.
constexpr Milliseconds sure_to_stand{400};
constexpr Milliseconds first_wait{1'000};
/// Where no more is left, all may have arrived: then libvirt ends the migration by itself, if it is given the time.
constexpr Bytes hardly_anything{64 << 10};

}  // namespace

Key recovery_key() {
    constexpr std::int64_t week = 604'800;
    return object_key(
        "recovery",
        {integer_key("seconds", 3600, {0, week},
                     "how long a post-copy that broke is tried to be resumed; 0 is for ever"),
         integer_key("longestWaitSeconds", 30, {1, 3600}, "between two tries; the first waits are shorter")},
        "a post-copy that broke");
}

Guardian::Guardian(const Settings& settings)
    : Guardian(Options{.patience = std::chrono::seconds(settings.integer("recovery.seconds")),
                       .longest_wait = std::chrono::seconds(settings.integer("recovery.longestWaitSeconds"))}) {}

std::vector<Action> Guardian::decide(const Sample& sample) {
    if (sample.phase == Phase::postcopy_failed) return resume(sample);
    if (sample.phase != Phase::postcopy) return {};
    // It went on. Tries count anew once that proved to be more than a connection.
    if (broke_at_ && sample.transferred > moved_) {
        broke_at_.reset();
        tries_ = 0;
    }
    next_try_.reset();
    return watch(sample);
}

std::vector<Action> Guardian::watch(const Sample& sample) {
    if (sample.standing_for >= standstill) {
        const bool told = stood_for_ > Milliseconds(0);
        stood_for_ = sample.standing_for;
        if (told) return {};
        return {
            {Wait{}, fmt::format("no memory has arrived for {}, {} are left, and the guest waits for the pages that it "
                                 "touches; it goes on when the link does",
                                 in_words(sample.standing_for), in_words(sample.remaining))}};
    }
    if (stood_for_ == Milliseconds(0)) return {};
    const Milliseconds stood_for = std::exchange(stood_for_, Milliseconds(0));
    return {{Wait{}, fmt::format("memory moves again after {}", in_words(stood_for))}};
}

std::vector<Action> Guardian::resume(const Sample& sample) {
    stood_for_ = Milliseconds(0);
    // A daemon that was started anew may count from its own beginning.
    if (!broke_at_ || sample.elapsed < *broke_at_) {
        broke_at_ = sample.elapsed;
        moved_ = sample.transferred;
    }
    // The answer may be that it goes on: nobody gives up before it.
    if (sample.resuming) {
        next_try_ = sample.elapsed + wait();
        return {};
    }
    const Milliseconds broken_for = sample.elapsed - *broke_at_;
    if (options_.patience > Milliseconds(0) && broken_for >= options_.patience && !std::exchange(gave_up_, true))
        return {{Wait{}, fmt::format("gave up after {} and {} tries to resume", in_words(broken_for), tries_)}};
    if (gave_up_) return {};
    const Milliseconds sure = sample.remaining <= hardly_anything ? standstill : sure_to_stand;
    if (sample.standing_for < sure || sample.elapsed < next_try_.value_or(sample.elapsed)) return {};
    ++tries_;
    next_try_ = sample.elapsed + wait();
    return {{ResumePostCopy{},
             fmt::format("post-copy has been broken for {} with {} left; try {}, the next one {} after it",
                         in_words(broken_for), in_words(sample.remaining), tries_, in_words(wait()))}};
}

/// Doubles with every try.
Milliseconds Guardian::wait() const {
    constexpr int most_doublings = 20;
    return std::min(options_.longest_wait, first_wait * (1 << std::clamp(tries_ - 1, 0, most_doublings)));
}

}  // namespace vmmi
