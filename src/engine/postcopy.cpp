// SPDX-License-Identifier: Apache-2.0
// The part of the session that stays with a post-copy that broke: until it is taken up again, lost or let go.
#include <fmt/format.h>

#include "core/describe.h"
#include "core/recovery.h"
#include "core/redact.h"
#include "engine/session.h"

namespace vmmi::engine {
namespace {

using Level = order::Note::Level;

/// How long the destination may take to answer before a recovery goes on without its word.
constexpr Milliseconds patience_for_an_answer{3'000};
/// How long the guest has to be absent from the destination to be lost: a guest that arrives and powers itself off is
/// absent, too, until the source has noticed.
constexpr Milliseconds patience_for_absence{3'000};
/// Memory that has not moved for so long does not move.
constexpr Milliseconds standstill{3'000};

/// What virsh has for the flags of a recovery.
std::string virsh_options(const MigrationRequest& request) {
    std::string options = "--live --p2p --postcopy --postcopy-resume";
    if (request.tls) options += " --tls";
    if (!request.tls_destination.empty()) options += " --tls-destination " + request.tls_destination;
    if (request.persist_destination) options += " --persistent";
    if (request.undefine_source) options += " --undefinesource";
    if (!request.destination_name.empty()) options += " --dname " + request.destination_name;
    if (!request.listen_address.empty()) options += " --listen-address " + request.listen_address;
    if (request.postcopy_bandwidth.count > 0)
        options += fmt::format(" --postcopy-bandwidth {}", request.postcopy_bandwidth.count >> 20);
    return options;
}

}  // namespace

bool Session::in_postcopy() const {
    return phase_ == Phase::postcopy || phase_ == Phase::postcopy_failed;
}

/// A look at the destination, unless the answer to another one is still awaited.
void Session::watch_the_destination() {
    if (looked_there_) return;
    looked_there_ = now_;
    orders_.push_back(order::InspectDestination{guest_.uuid, destination_uri_});
}

/// As the migration was started, or, where nobody knows, as this plugin would start one.
MigrationRequest Session::request_of_the_migration() {
    return record_ && record_->request ? *record_->request : policy_.plan(guest_);
}

const std::string& Session::migration_uri() const {
    return record_ && record_->migration_uri ? *record_->migration_uri : options_.migration_uri;
}

void Session::prepare_recovery(std::size_t index) {
    recovery_ = Recovery{.index = index, .asked = now_};
    there_.reset();
    watch_the_destination();
}

/// libvirt is asked only once the destination has noticed the break, too: before, it would refuse. If nothing is heard
/// from there, the source's daemon may still find a way. Of a destination whose version is not known, an unlikely crash
/// is risked, once: a guest that stands still is the greater harm.
void Session::recover() {
    if (!recovery_ || recovery_->ordered || stage_ != Stage::migrating) return;
    if (phase_ != Phase::postcopy_failed) {
        refuse(recovery_->index, "post-copy went on by itself");
        return recovery_.reset();
    }
    const bool noticed = there_ && there_->state != GuestState::postcopy;
    if (!noticed && (there_ || between(recovery_->asked, now_) < patience_for_an_answer))
        return watch_the_destination();
    if (std::optional<std::string> obstacle = obstacle_to_recovery(source_.libvirt, destination_libvirt_)) {
        refuse(recovery_->index, *obstacle);
        return let_go(std::move(*obstacle));
    }
    recovery_->ordered = true;
    orders_.push_back(order::Recover{recovery_->index, request_of_the_migration(), destination_uri_, migration_uri()});
}

void Session::on(const event::RecoveryReturned& event) {
    if (!recovery_ || recovery_->index != event.index) return;
    const Recovery recovery = *recovery_;
    recovery_.reset();
    if (stage_ != Stage::migrating) return;
    evidence_.call = event::MigrateReturned{event.error};
    if (!event.error) {
        note(Level::debug, "the call that resumed post-copy succeeded");
        return look_for_the_end();
    }
    // An error after post-copy went on is that of the next break. Others change nothing: the states are read anew, and
    // libvirt before 11.0 reports failures of what goes on nevertheless.
    if (!recovery.took_effect) refuse(event.index, describe(*event.error));
    const bool daemon_lost = event.error->code == native::internal_error && event.error->domain == native::from_rpc;
    if (daemon_lost && !recovery.took_effect && !destination_libvirt_)
        return let_go(
            "the destination's daemon went away when it was asked to resume, as those of libvirt 11.2 and 11.3 do; see "
            "that it runs, and is of another version");
    there_.reset();
    watch_the_destination();
    take_sample();
}

/// While post-copy is broken, and in no other phase, the destination's word counts before the end.
void Session::hear_from_the_destination(const event::DestinationInspected& event) {
    if (event.uri != destination_uri_) return;
    looked_there_.reset();
    there_ = event;
    if (event.libvirt) destination_libvirt_ = event.libvirt;
    // Without a record, the guest may have gone elsewhere.
    if (!is_gone(event.state) || phase_ != Phase::postcopy_failed || !destination_known()) return absent_since_.reset();
    if (!absent_since_) absent_since_ = now_;
    if (between(*absent_since_, now_) < patience_for_absence) return;
    describe_broken_postcopy();
    finish_failed(
        Cause::guest_lost, ErrorCode::vm_disappeared, "guest lost in post-copy",
        fmt::format("guest {} is {} at the destination, {}, where it ran in post-copy; what the source still has "
                    "of it cannot go on alone; {}; look at the destination for what ended it there, and destroy "
                    "the rest at the source",
                    guest_.name, to_string(event.state), redact_uri(destination_uri_), what_the_call_said()));
}

/// After every sample of a broken post-copy. Memory that still moves needs nobody: then only libvirt's own connection
/// was lost.
void Session::stay_or_let_go(const Sample& now) {
    if (phase_ != Phase::postcopy_failed || stage_ != Stage::migrating) return;
    if (now.standing_for < standstill || policy_.guards(now)) return;
    let_go(what_the_call_said());
}

void Session::let_go(std::string why) {
    describe_broken_postcopy();
    const std::string there = there_ ? to_string(there_->state) : "not to be seen";
    finish_failed(
        Cause::postcopy_failed, ErrorCode::migration_failed, "post-copy failed",
        fmt::format(
            "post-copy of guest {} broke and was not taken up again: {}; it is in failed post-copy at the source "
            "and {} at the destination, {}; each has a part of its memory, so destroy it on neither; to go on, "
            "run postcopy-fallback with the same arguments, or: virsh migrate {} {} {} {}",
            guest_.name, why, there, redact_uri(destination_uri_), virsh_options(request_of_the_migration()),
            guest_.uuid, redact_uri(destination_uri_), redact_uri(migration_uri())));
}

void Session::describe_broken_postcopy() {
    evidence_.source = event::Inspected{.state = GuestState::postcopy_failed, .job_active = true};
    if (there_) evidence_.destination = there_->state;
}

}  // namespace vmmi::engine
