// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "cli/command_line.h"
#include "core/configuration.h"
#include "core/report.h"
#include "hypervisor/event_thread.h"
#include "system/channels.h"
#include "system/clock.h"
#include "system/log.h"
#include "system/runtime_data.h"
#include "system/signals.h"
#include "vmmi/policy.h"

namespace vmmi::app {

/// What one supervised migration works with.
struct Supervision {
    std::string policy_name;
    Policy& policy;
    const Configuration& configuration;
    const cli::CommandLine& line;
    system::Signals& signals;
    system::Channels& channels;
    system::Timestamps& timestamps;
    system::Log& log;
    system::RuntimeData& runtime_data;
    const hypervisor::EventThread& events;
};

/// Runs the migration to its outcome. This thread waits for signals, events and deadlines, and makes no libvirt call:
/// whatever hangs in the daemon, signals are served.
Outcome supervise(Supervision& with);

}  // namespace vmmi::app
