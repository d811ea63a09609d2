# SPDX-License-Identifier: Apache-2.0
"""Chapters 5 and 7 of SPEC.md, but for takeover."""

import signal

from kit.cases import HARMFUL, MIGRATE, case, configuration
from scenario import OTHER_VM, error, hang, outage, refuse

FIRST_STEPS = ("virConnectOpenAuth", "virConnectOpen")


def ended(trial, code, when, *rules, **scenario):
    host = trial.host(*rules, **scenario)
    run = trial.migrate(host)
    trial.held(run.end, f"the end of the run {when}")
    trial.expect_code(run, code, when)
    return host, run


def unstarted(trial, code, when, **scenario):
    host, _ = ended(trial, code, when, **scenario)
    trial.expect_no_calls(host, (MIGRATE, *HARMFUL), when)


@case("FAIL-1", "no connection to the source's libvirt is code 12")
def refused(trial):
    unstarted(trial, 12, "where no daemon answers", outages=[outage("begin")])


@case("FAIL-2", "a lost connection is code 12, and the migration goes on")
def lost(trial):
    host, _ = ended(trial, 12, "where the daemon is gone in pre-copy", outages=[outage("pass 2", 5)])
    trial.expect_no_calls(host, HARMFUL, "after the connection was lost")


@case("FAIL-3", "a daemon that does not answer any more is code 12 in bounded time")
def hanging(trial):
    """libvirt's keepalive ends the connection, if it was asked for; here, as soon as the plugin may see it."""
    host, _ = ended(trial, 12, "where the daemon hangs in pre-copy", hang(during="pass 2"), endless=True,
                    outages=[outage("pass 2", 800, reason="keepalive")])
    trial.expect(host.calls("virConnectSetKeepAlive", host="source"), "that it asks for keepalive, or it would wait for ever",
                 ", ".join(host.names()))
    trial.expect_no_calls(host, HARMFUL, "while the daemon hangs")


@case("FAIL-3.connecting", "a daemon that never lets in is code 12 in bounded time")
def never_in(trial):
    trial.require_key(connectionTimeout=2)
    host = trial.host(hang(*FIRST_STEPS))
    run = trial.migrate(host, configuration(connectionTimeout=2))
    trial.held(lambda: run.end(2 + trial.patience), "the end of the run, with connectionTimeout 2, where the daemon lets nobody in")
    trial.expect_code(run, 12, "where the daemon lets nobody in")


@case("FAIL-4", "an unknown guest is code 10")
def unknown(trial):
    host = trial.host()
    run = trial.migrate(host, vm=OTHER_VM).end()
    trial.expect_code(run, 10, "for a guest that is not there")
    trial.expect_no_calls(host, (MIGRATE, *HARMFUL), "where the guest is unknown")


@case("FAIL-5", "a guest that neither runs nor is paused is code 2")
def shut_off(trial):
    unstarted(trial, 2, "for a guest that is shut off", state="shutoff", persistent=True)
    trial.expect_success(trial.migrate(trial.host(state="paused")).end(), "for a guest that is paused")


@case("ERR-1.job", "another job of the guest is code 2")
def other_job(trial):
    unstarted(trial, 2, "while the guest is saved", running_since_ms=20, operation="save", endless=True)


@case("FAIL-6", "a guest that stops during the migration is code 11")
def gone(trial):
    for end in ("destroyed", "crashed", "poweredOff"):
        for persistent in (False, True):
            ended(trial, 11, f"for a guest that is {end}", end=end, end_at=["pass 2", 5], persistent=persistent)


@case("FAIL-7", "an abort by somebody else is code 9")
def aborted(trial):
    ended(trial, 9, "where somebody else aborts in pre-copy", end="aborted", end_at=["pass 1", 20])


@case("FAIL-8", "a migration that fails is code 8")
def failed(trial):
    for end_at in (["pass 2", 5], ["switchover", 3]):
        host, _ = ended(trial, 8, f"where the migration fails in {end_at[0]}", end="failed", end_at=end_at)
        trial.expect_no_calls(host, HARMFUL, "after the migration failed")


@case("FAIL-8.refused", "a migration that libvirt refuses is code 8")
def refused_migration(trial):
    answer = error(38, 7, "unable to connect to server at 'destination:16509': Connection refused")
    ended(trial, 8, "where the destination cannot be reached", refuse(answer, MIGRATE))


@case("FAIL-9", "a plugin that is killed does not abort the migration")
def killed(trial):
    host, run = trial.precopy()
    run.signal(signal.SIGKILL)
    run.wait_for("its end", lambda: run.status_code is not None)
    run.rest(0.3)  # whatever it left has time to do harm
    trial.expect_no_calls(host, HARMFUL, "after the plugin was killed")


@case("FAIL-12", "a restart of the source's daemon is a lost connection")
def restarted(trial):
    host, _ = ended(trial, 12, "where the daemon is restarted in pre-copy", outages=[outage("pass 2", 5, for_ms=0)])
    trial.expect_no_calls(host, HARMFUL, "after the daemon was restarted")


@case("FAIL-13", "the downtime limit is put back for a guest that stays at the source")
def put_back(trial):
    slow = [{"ms": 40, "bytes": 100 << 20, "bandwidth": 100 << 20, "dirty_rate": 90 << 20} for _ in range(5)]
    host = trial.host(passes=slow, end="failed", end_at=["pass 4", 20], downtime_ms=777)
    run = trial.migrate(host).end()
    trial.expect(host.calls(MIGRATE) and not run.succeeded, "a migration that failed", run.describe())
    limits = host.limits()
    trial.expect(not limits or limits[-1] == 777, "the limit of 777 ms, as it was before", f"limits set: {limits}")
