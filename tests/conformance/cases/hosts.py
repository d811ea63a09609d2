# SPDX-License-Identifier: Apache-2.0
"""Real migrations, between two hosts of the testbed: what a fake cannot vouch for."""

import signal

from kit.cases import case

HOSTS = ("hosts",)
NOBODY = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8eff"


@case("COMP-3.hosts", "a success is a guest at the destination with all of its memory", needs=HOSTS)
def success(trial):
    guest = trial.guest(rate_mib=10)
    run = trial.ended(trial.begin(guest.uuid), "for a migration")
    trial.expect_success(run, "for a guest that does little")
    trial.expect_moved(guest, "after a success")


@case("SIG-1.hosts", "SIGUSR1 is answered while memory moves", needs=HOSTS)
def asked(trial):
    _, run = trial.migrating()
    for _ in range(3):
        trial.ask(run, "in pre-copy")
        run.rest(0.3)


@case("SIG-2.hosts", "SIGTERM leaves, and the migration goes on to its success", needs=HOSTS)
def terminated(trial):
    guest, run = trial.migrating(**trial.idle)
    run.signal(signal.SIGTERM)
    trial.expect_code(trial.ended(run, "after SIGTERM"), 13, "after SIGTERM")
    trial.await_departure(guest, "after SIGTERM")
    trial.expect_moved(guest, "after SIGTERM")


@case("SIG-3.hosts", "SIGINT aborts, and the guest stays at the source", "SIG-4", "ERR-3", needs=HOSTS)
def interrupted(trial):
    guest, run = trial.migrating()
    run.signal(signal.SIGINT)
    trial.expect_code(trial.ended(run, "after SIGINT"), 9, "after SIGINT")
    trial.expect_stayed(guest, "after SIGINT")


@case("SIG-11.hosts", "SIGSTOP aborts, and the guest stays at the source", "ERR-3", needs=HOSTS)
def stopped(trial):
    guest, run = trial.migrating()
    run.signal(signal.SIGSTOP)
    trial.expect_code(trial.ended(run, "after SIGSTOP"), 9, "after SIGSTOP")
    trial.expect_stayed(guest, "after SIGSTOP")


@case("FAIL-2.hosts", "a source daemon that is killed is code 12", "FAIL-12", needs=HOSTS)
def lost(trial):
    guest, run = trial.migrating()
    trial.pair.source.kill_daemon()
    trial.expect_code(trial.ended(run, "after the source's daemon was killed"), 12, "after the source's daemon was killed")
    trial.pair.source.start_daemon()
    trial.expect_stayed(guest, "after the source's daemon was killed, which ends the migration")


@case("FAIL-4.hosts", "an unknown guest is code 10", needs=HOSTS)
def unknown(trial):
    trial.expect_code(trial.ended(trial.begin(NOBODY), "for a guest that is not there"), 10, "for a guest that is not there")


@case("FAIL-6.hosts", "a guest that is destroyed is code 11", needs=HOSTS)
def destroyed(trial):
    guest, run = trial.migrating()
    trial.pair.source.virsh("destroy", guest.uuid)
    trial.expect_code(trial.ended(run, "after the guest was destroyed"), 11, "after the guest was destroyed")


@case("FAIL-7.hosts", "an abort by somebody else is code 9, and the guest stays at the source", "ERR-3", needs=HOSTS)
def aborted(trial):
    guest, run = trial.migrating()
    trial.pair.source.virsh("domjobabort", guest.uuid)
    trial.expect_code(trial.ended(run, "after somebody else aborted"), 9, "after somebody else aborted")
    trial.expect_stayed(guest, "after somebody else aborted")


@case("FAIL-8.hosts", "a destination that dies is code 8, and the guest stays at the source", "ERR-3", needs=HOSTS)
def failed(trial):
    guest, run = trial.migrating()
    trial.pair.destination.kill_qemu(guest.name)
    trial.expect_code(trial.ended(run, "after QEMU was killed at the destination"), 8, "after QEMU was killed at the destination")
    trial.expect_stayed(guest, "after QEMU was killed at the destination")


@case("FAIL-9.hosts", "a plugin that is killed does not stop the migration", needs=HOSTS)
def killed(trial):
    guest, run = trial.migrating(**trial.idle)
    run.signal(signal.SIGKILL)
    trial.await_departure(guest, "after the plugin was killed")
    trial.expect_moved(guest, "after the plugin was killed")


@case("FAIL-11.hosts", "a migration that virsh started is seen through to its success", needs=HOSTS)
def taken_over(trial):
    guest = trial.guest(trial.slow, **trial.idle)
    trial.virsh_migrates(guest)
    run = trial.ended(trial.begin(guest.uuid), "for a migration that virsh started")
    trial.expect_success(run, "for a migration that virsh started")
    trial.expect_moved(guest, "after a success")
