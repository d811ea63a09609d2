# SPDX-License-Identifier: Apache-2.0
"""Chapter 6 of SPEC.md."""

import signal
import time

from kit.cases import ABORTS, ARGUMENTS, HARMFUL, LOOKS, MIGRATE, case
from scenario import NOT_NOW, hang, one_pass, refuse

OPENING = ("virConnectOpenAuth", "virConnectOpen")


def aborts(host):
    return host.calls(*ABORTS)


def wait_for_abort(run, host, count=1):
    return run.wait_for("an abort of the job", lambda: len(aborts(host)) >= count and aborts(host))


def leave(trial, run, sent, code, when):
    """It ends soon, with that code."""
    told = time.monotonic()
    run.signal(sent)
    trial.held(run.end, f"the end of the run after {sent.name} {when}")
    trial.expect_code(run, code, f"after {sent.name} {when}")
    took = run.ended_at - told
    trial.expect(took < trial.soon, f"the end within {trial.soon:g} s after {sent.name} {when}", f"after {took:.2f} s")


def connecting(trial):
    host = trial.host(hang(*OPENING))
    run = trial.migrate(host)
    run.wait_for("a connection to be asked for", lambda: host.calls(*OPENING))
    run.settle()
    return host, run


@case("SIG-1.connecting", "SIGUSR1 is answered while the connection is made")
def asked_connecting(trial):
    trial.ask(connecting(trial)[1], "while the connection is made")


@case("SIG-1.starting", "SIGUSR1 is answered while the migration is started")
def asked_starting(trial):
    host = trial.host(hang(MIGRATE))
    run = trial.migrate(host)
    run.wait_for(f"a call of {MIGRATE}", lambda: host.calls(MIGRATE))
    run.rest(0.05)
    trial.ask(run, "while the migrate call has not begun")


@case("SIG-1.precopy", "SIGUSR1 is answered while memory moves")
def asked_precopy(trial):
    _, run = trial.precopy()
    for _ in range(3):
        trial.ask(run, "in pre-copy")


@case("SIG-2", "SIGTERM leaves soon with code 13, and does not abort")
def terminated(trial):
    host, run = trial.precopy()
    leave(trial, run, signal.SIGTERM, 13, "in pre-copy")
    trial.expect_no_calls(host, HARMFUL, "after SIGTERM")


@case("SIG-3", "SIGINT aborts, and the end of the migration is waited for")
def interrupted(trial):
    host, run = trial.precopy(abort_ms=800)
    run.signal(signal.SIGINT)
    (abort, *_) = wait_for_abort(run, host)
    run.end()
    trial.expect(run.ended_at - abort.begin > 0.79, "that it waits for the migration's end, 0.8 s after the abort",
                 f"its end {run.ended_at - abort.begin:.3f} s after the abort")


@case("SIG-4.aborted", "after SIGINT, a guest that stayed at the source is code 9")
def abort_told(trial):
    _, run = trial.precopy()
    run.signal(signal.SIGINT)
    trial.held(run.end, "the end of the run after SIGINT")
    trial.expect_code(run, 9, "after SIGINT")


@case("SIG-4.success", "after SIGINT, a migration that was completed all the same is a success")
def success_told(trial):
    host = trial.host(refuse(NOT_NOW, *ABORTS), passes=[one_pass(700, 100)])
    run = trial.migrate(host)
    trial.until_precopy(host, run)
    run.signal(signal.SIGINT)
    run.end()
    trial.expect_success(run, "where libvirt refuses the abort and the migration is completed")


@case("SIG-5", "an abort that libvirt refuses is tried again")
def tried_again(trial):
    host, run = trial.precopy(refuse(NOT_NOW, *ABORTS, to=2))
    run.signal(signal.SIGINT)
    trial.held(lambda: run.wait_for("", lambda: any(call.end and not call.error for call in aborts(host))),
               "another try after an abort was refused twice")


@case("SIG-6", "SIGTERM after SIGINT is served as SIGTERM")
def terminated_after_interrupt(trial):
    host = trial.host(refuse(NOT_NOW, *ABORTS), passes=[one_pass(1500, 100)])
    run = trial.migrate(host)
    trial.until_precopy(host, run)
    run.signal(signal.SIGINT)
    wait_for_abort(run, host)
    run.signal(signal.SIGTERM)
    run.end()
    trial.expect_code(run, 13, "after SIGINT and SIGTERM, while the abort is refused")


@case("SIG-7.SIGTERM", "before the migration, SIGTERM ends with code 13")
def terminated_before(trial):
    host, run = connecting(trial)
    leave(trial, run, signal.SIGTERM, 13, "while the connection is made")
    trial.expect_no_calls(host, (MIGRATE,), "after SIGTERM")


@case("SIG-7.SIGINT", "before the migration, SIGINT ends with code 9")
def interrupted_before(trial):
    host, run = connecting(trial)
    run.signal(signal.SIGINT)
    trial.held(run.end, "the end of the run after SIGINT while the connection is made")
    trial.expect_code(run, 9, "after SIGINT while the connection is made")
    trial.expect_no_calls(host, (MIGRATE,), "after SIGINT")


def no_effect(trial, numbers):
    host = trial.host(passes=[one_pass(400, 100)])
    run = trial.migrate(host)
    trial.until_precopy(host, run)
    for number in numbers:
        run.signal(number)
        run.rest(0.04)
    trial.held(run.end, f"the end of the run after {', '.join(number.name for number in numbers)}")
    trial.expect_success(run, f"after {', '.join(number.name for number in numbers)} during the migration")
    trial.expect_no_calls(host, HARMFUL, "after signals without effect")


@case("SIG-8", "SIGPIPE has no effect")
def broken_pipe(trial):
    no_effect(trial, [signal.SIGPIPE])


@case("SIG-9", "signals are served that were ignored at the start")
def ignored(trial):
    ignore = ["env", "--ignore-signal=USR1,TERM,INT"]
    host, run = trial.precopy(options={"wrapper": ignore, "blocked": ()})
    trial.ask(run, "though SIGUSR1 was ignored at the start")
    leave(trial, run, signal.SIGTERM, 13, "though it was ignored at the start")
    host, run = trial.precopy(options={"wrapper": ignore, "blocked": ()})
    run.signal(signal.SIGINT)
    wait_for_abort(run, host)


STUCK = hang(*LOOKS, during="precopy", from_=2)


@case("SIG-10.SIGUSR1", "a status does not wait for the hypervisor", "STAT-2")
def asked_stuck(trial):
    host, run = trial.precopy(STUCK)
    trial.stuck(host, run)
    trial.ask(run, "while libvirt's answers hang")
    host = trial.host(last_pass_ms=1000)
    run = trial.migrate(host)
    run.wait_for("the guest to be paused", lambda: [c for c in host.callbacks() if (c.kind, c.first) == (0, 3)])
    run.rest(0.2)
    trial.ask(run, "while the guest is paused for the last pass")


@case("SIG-10.SIGTERM", "SIGTERM does not wait for a call that hangs")
def terminated_stuck(trial):
    host, run = trial.precopy(STUCK)
    trial.stuck(host, run)
    leave(trial, run, signal.SIGTERM, 13, "while libvirt's answers hang")
    trial.expect_no_calls(host, HARMFUL, "after SIGTERM")


@case("SIG-10.SIGINT", "an abort does not wait for a call that hangs")
def interrupted_stuck(trial):
    host, run = trial.precopy(STUCK)
    trial.stuck(host, run)
    run.signal(signal.SIGINT)
    trial.held(lambda: run.wait_for("", lambda: [call for call in aborts(host) if call.end and not call.error], trial.soon),
               "an abort of the job while libvirt's answers hang")


@case("SIG-11", "SIGSTOP aborts, and the abort is reported")
def stopped(trial):
    host, run = trial.precopy()
    run.signal(signal.SIGSTOP)
    trial.held(run.end, "the end of the run after SIGSTOP")
    trial.expect(aborts(host), "an abort of the job after SIGSTOP", ", ".join(host.names()[-5:]))
    trial.expect_code(run, 9, "after SIGSTOP")


@case("SIG-12", "SIGHUP, SIGTSTP, SIGTTIN and SIGTTOU have no effect")
def terminal_signals(trial):
    no_effect(trial, [signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU])


@case("SIG-12.SIGQUIT", "SIGQUIT is as SIGTERM")
def quit_(trial):
    host, run = trial.precopy()
    leave(trial, run, signal.SIGQUIT, 13, "in pre-copy")
    trial.expect_no_calls(host, HARMFUL, "after SIGQUIT")


@case("SIG-13", "signals are served that were blocked and sent at the start")
def blocked(trial):
    for sent, code in [("TERM", 13), ("INT", 9)]:
        wrapper = ["sh", "-c", f'kill -{sent} $$; exec "$@"', "sh"]  # blocked, it waits for the program itself
        run = trial.start(*ARGUMENTS, "-", wrapper=wrapper)
        trial.held(run.end, f"the end of the run with SIG{sent} sent before it began")
        trial.expect_code(run, code, f"with SIG{sent} sent, and blocked, before it began")
