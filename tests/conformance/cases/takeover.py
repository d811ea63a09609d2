# SPDX-License-Identifier: Apache-2.0
"""FAIL-11: a migration of the guest is in progress when the executable is started."""

import signal

from kit.cases import ABORTS, HARMFUL, MIGRATE, case
from scenario import one_pass

PASSES = [one_pass(250, 100), one_pass(50, 10)]


def watched(trial, code, when, **scenario):
    host = trial.host(running_since_ms=20, **{"passes": PASSES, **scenario})
    run = trial.migrate(host)
    trial.held(run.end, f"the end of the run {when}")
    if code is None:
        trial.expect_success(run, when)
    else:
        trial.expect(run.code in code, f"an error with code {' or '.join(map(str, code))} {when}", run.completion)
    trial.expect_no_calls(host, (MIGRATE, *HARMFUL), when)


@case("FAIL-11.precopy", "a migration in pre-copy is seen through to its success")
def precopy(trial):
    watched(trial, None, "for a migration that was in pre-copy at the start")


@case("FAIL-11.postcopy", "a migration in post-copy is seen through to its success")
def postcopy(trial):
    watched(trial, None, "for a migration that was in post-copy at the start", passes=[one_pass(15, 100), one_pass(50, 10)],
            postcopy_at=["pass 1", 5], postcopy_ms=400, endless=True)


@case("FAIL-11.failed", "a failure of a migration that was taken over is code 8")
def failed(trial):
    watched(trial, [8], "for a migration that was in progress at the start, and fails", end="failed",
            end_at=["switchover", 3])


@case("FAIL-11.aborted", "an abort by somebody else of a migration that was taken over is told")
def aborted(trial):
    """Nobody's call tells the end: whether it was an abort is shown for a moment only."""
    watched(trial, [8, 9], "for a migration that was in progress at the start, and is aborted by somebody else",
            end="aborted", end_at=["pass 2", 10])


@case("FAIL-11.gone", "a guest that stops while its migration is taken over is code 11")
def gone(trial):
    watched(trial, [11], "for a migration that was in progress at the start, and whose guest is destroyed", end="destroyed",
            end_at=["pass 2", 10])


@case("FAIL-11.SIGUSR1", "SIGUSR1 is answered after a takeover")
def asked(trial):
    trial.ask(trial.taken_over()[1], "after a takeover")


@case("FAIL-11.SIGINT", "SIGINT aborts a migration that was taken over")
def interrupted(trial):
    host, run = trial.taken_over()
    run.signal(signal.SIGINT)
    run.wait_for("an abort of the job", lambda: host.calls(*ABORTS))


@case("FAIL-11.SIGTERM", "SIGTERM leaves a migration that was taken over to itself")
def terminated(trial):
    host, run = trial.taken_over()
    run.signal(signal.SIGTERM)
    trial.held(run.end, "the end of the run after SIGTERM")
    trial.expect_code(run, 13, "after SIGTERM, for a migration that was in progress at the start")
    trial.expect_no_calls(host, HARMFUL, "after SIGTERM")
