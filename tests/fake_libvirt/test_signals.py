# SPDX-License-Identifier: Apache-2.0
"""Every signal of the interface, at every moment, once and twice; and the process that guards against SIGSTOP."""

import json
import os
import signal
import time
from pathlib import Path

import pytest

from fake import NOT_NOW, SOURCE, VM, FakeHost, Running, hang, refuse
from vmmi import DESTINATION, PATIENCE, TRANSPORT, check, configuration

ABORT = (signal.SIGINT, signal.SIGSTOP)
DETACH = (signal.SIGTERM, signal.SIGQUIT)
NOTHING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGHUP, signal.SIGPIPE)
MORE_NOTHING = (signal.SIGUSR2, signal.SIGALRM, signal.SIGXFSZ, signal.SIGXCPU)


def state_of(pid):
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def guards_of(pid):
    """Processes that a plugin started."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == pid:
            found.append((int(stat.parent.name), name.partition("(")[2]))
    return found


def wait_until(what, condition):
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, f"never: {what}"
        time.sleep(0.005)


def is_gone(pid):
    try:
        return state_of(pid) == "Z"
    except OSError:
        return True


# The moments: how a plugin comes there, as a context of a running one.


def before_the_configuration(host, plugin):
    fakes = host(endless=True)
    run = Running([plugin.path, VM, DESTINATION, TRANSPORT, "-"], fakes.environment())
    run.wait_until_it_takes_signals()
    wait_until("the guard", lambda: guards_of(run.process.pid))
    return fakes, run


def connecting(host, plugin):
    fakes = host(hang("virConnectOpenAuth", to=1))
    run = fakes.start(plugin)
    fakes.wait_for("virConnectOpenAuth")
    return fakes, run


def starting(host, plugin):
    fakes = host(setup_ms=600, endless=True)
    run = fakes.start(plugin)
    fakes.wait_for("virDomainMigrateToURI3")
    return fakes, run


def migrating(host, plugin):
    fakes = host(endless=True)
    run = fakes.start(plugin)
    run.wait_status(lambda status: status["phase"] == "precopy")
    return fakes, run


def aborting(host, plugin):
    """libvirt refuses the abort at first."""
    fakes = host(refuse(NOT_NOW, "virDomainAbortJob", to=2), endless=True)
    run = fakes.start(plugin)
    run.wait_status(lambda status: status["phase"] == "precopy")
    run.signal(signal.SIGINT)
    fakes.wait_for("virDomainAbortJob")
    return fakes, run


MOMENTS = [before_the_configuration, connecting, starting, migrating, aborting]


def go_on_to_the_end(fakes, run, moment):
    """What it would have come to without the signal. Returns the error's code."""
    if moment is before_the_configuration:
        run.write(configuration(connection=SOURCE))
        fakes.wait_for("virDomainMigrateToURI3")
    if moment is not aborting:
        run.signal(signal.SIGTERM)
    return run.end().completion_beside_output["error"]["code"]


def test_an_abort_goes_out_before_a_plugin_that_is_told_to_leave_at_once(plugin, host):  # SIG-6
    for _ in range(10):
        fakes, run = migrating(host, plugin)
        with run:
            run.signal(signal.SIGINT)
            run.signal(signal.SIGTERM)
            ended = run.end()
        assert ended.completion_beside_output["error"]["code"] in (9, 13)
        assert fakes.calls("virDomainAbortJob")
        for name in ["state", "trace"]:
            (fakes.folder / name).unlink()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("number", [*ABORT, *DETACH], ids=lambda number: number.name)
def test_signals_that_end_it(any_plugin, host, number, moment, times):  # SIG-2 SIG-3 SIG-6 SIG-7 SIG-11 SIG-12
    fakes, run = moment(host, any_plugin)
    with run:
        for _ in range(times):
            if run.is_running():
                run.signal(number)
            if times > 1:
                time.sleep(0.02)
        run.process.wait(PATIENCE)
        ended = run.end()
    failure = ended.completion_beside_output["error"]
    assert failure["code"] == (9 if number in ABORT else 13)
    calls = fakes.calls("virDomainAbortJob")
    if moment in (before_the_configuration, connecting):
        assert fakes.calls("virDomainMigrateToURI3") == []
        assert "started" in failure["details"]
    elif number in ABORT:
        assert "running at the source" in failure["details"]
        assert calls[-1].error is None
        assert moment is aborting or number.name in failure["details"]
    elif moment is not aborting:
        assert calls == []


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("number", NOTHING, ids=lambda number: number.name)
def test_signals_without_effect(any_plugin, host, number, moment, times):  # SIG-8 SIG-12
    fakes, run = moment(host, any_plugin)
    with run:
        for _ in range(times):
            run.signal(number)
        time.sleep(0.05)
        assert moment is aborting or run.is_running() and state_of(run.process.pid) in "SR"
        assert go_on_to_the_end(fakes, run, moment) == (9 if moment is aborting else 13)
    assert moment is aborting or fakes.calls("virDomainAbortJob") == []


@pytest.mark.parametrize("number", MORE_NOTHING, ids=lambda number: number.name)
def test_other_signals_without_effect(any_plugin, host, number):  # SIG-12
    fakes, run = migrating(host, any_plugin)
    with run:
        run.signal(number)
        time.sleep(0.05)
        assert run.status()[0]["phase"] == "precopy"
        assert go_on_to_the_end(fakes, run, migrating) == 13


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
def test_a_request_for_a_status(any_plugin, host, moment, times):  # SIG-1 STAT-1 CFG-7
    fakes, run = moment(host, any_plugin)
    with run:
        for _ in range(times):
            run.signal(signal.SIGUSR1)
        if moment is before_the_configuration:
            assert run.is_silent_for(0.2)
            run.write(configuration(connection=SOURCE))
        message = json.loads(run.line())
        check(message, "status")
        if moment in (before_the_configuration, connecting):
            assert message["status"]["phase"] == "connecting"
        code = go_on_to_the_end(fakes, run, None if moment is before_the_configuration else moment)
    assert code == (9 if moment is aborting else 13)


# The guard


def test_a_stop_is_over_soon_and_the_guest_stays(any_plugin, host):  # SIG-11
    fakes, run = migrating(host, any_plugin)
    with run:
        told = time.monotonic()
        run.signal(signal.SIGSTOP)
        (abort,) = fakes.wait_for("virDomainAbortJob")
        ended = run.end()
    assert abort.begin - told < 1
    failure = ended.completion_beside_output["error"]
    assert (failure["code"], failure["cause"]) == (9, "aborted-by-signal")
    assert failure["endState"]["source"] == "running"
    assert "SIGSTOP" in failure["details"]
    assert failure["actions"] == []


def test_a_stop_that_is_over_at_once_harms_nothing(any_plugin, host):
    """Whether the guard saw it or not, there is one completion and one guest."""
    fakes, run = migrating(host, any_plugin)
    with run:
        for _ in range(20):
            run.signal(signal.SIGSTOP)
            run.signal(signal.SIGCONT)
        if run.is_running() and not fakes.calls("virDomainAbortJob"):
            assert run.status()[0]["phase"] in ("precopy", "ended")
            run.signal(signal.SIGTERM)
        assert run.end().completion_beside_output["error"]["code"] in (9, 13)


def test_a_stop_of_the_whole_group(any_plugin, host):  # SIG-11
    """As a shell does it: the guard is not in the group."""
    fakes = host(endless=True)
    with fakes.start(any_plugin, streams={"start_new_session": True}) as run:
        run.wait_status(lambda status: status["phase"] == "precopy")
        os.killpg(run.process.pid, signal.SIGSTOP)
        assert run.end().completion_beside_output["error"]["code"] == 9


def test_a_stop_between_statuses_answers_none(any_plugin, host):  # STAT-1
    fakes, run = migrating(host, any_plugin)
    with run:
        run.signal(signal.SIGSTOP)
        ended = run.end()
    assert ended.output == ""


@pytest.mark.parametrize("end", ["SIGKILL", "SIGTERM", "SIGINT", "success"])
def test_the_guard_ends_with_the_plugin(any_plugin, host, end):
    fakes = host(endless=True) if end != "success" else host(setup_ms=500)
    with fakes.start(any_plugin) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        # It gives itself its name when it first runs.
        wait_until("the guard", lambda: [name for _, name in guards_of(run.process.pid)] == ["vmmi-guard"])
        ((guard, _),) = guards_of(run.process.pid)
        if end != "success":
            run.signal(signal.Signals[end])
        # The streams end with the plugin: the guard has none of them.
        told = time.monotonic()
        run.process.wait(PATIENCE)
        run.process.stdout.read()
        run.process.stderr.read()
        wait_until("the end of the guard", lambda: is_gone(guard))
        assert time.monotonic() - told < PATIENCE / 2


def test_the_guard_holds_nothing_of_the_caller(any_plugin, host):
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    fakes = host(endless=True)
    with fakes.start(any_plugin, streams={"close_fds": False}) as run:
        os.close(writing)
        fakes.wait_for("virDomainMigrateToURI3")
        ((guard, _),) = guards_of(run.process.pid)
        held = sorted(os.readlink(link) for link in Path(f"/proc/{guard}/fd").iterdir())
        assert held[0].startswith(f"/proc/{run.process.pid}/task/") and "pidfd" in held[1] and len(held) == 2
        assert os.getsid(guard) == guard
        run.leave()
    os.close(reading)


def test_the_guard_survives_what_is_meant_for_the_plugin(any_plugin, host):
    fakes, run = migrating(host, any_plugin)
    with run:
        ((guard, _),) = guards_of(run.process.pid)
        for number in (*DETACH, signal.SIGINT, *NOTHING, signal.SIGUSR1):
            os.kill(guard, number)
        time.sleep(0.2)
        assert not is_gone(guard)
        run.signal(signal.SIGSTOP)
        assert run.end().completion_beside_output["error"]["code"] == 9


def test_without_a_guard_nothing_but_sigstop_is_lost(any_plugin, host):
    fakes, run = migrating(host, any_plugin)
    with run:
        ((guard, _),) = guards_of(run.process.pid)
        os.kill(guard, signal.SIGKILL)
        wait_until("the end of the guard", lambda: is_gone(guard))
        run.signal(signal.SIGSTOP)
        time.sleep(0.3)
        assert state_of(run.process.pid) == "T"
        run.signal(signal.SIGCONT)
        assert run.status()[0]["phase"] == "precopy"
        assert run.leave()[0].completion_beside_output["error"]["code"] == 13


def test_inherited_dispositions_do_not_matter(any_plugin, host):  # SIG-9 SIG-13
    """Everything ignored, blocked and an alarm set, as a careless caller leaves it."""

    def careless():
        for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        os.umask(0)

    fakes = FakeHost(host().folder, endless=True)
    with fakes.start(any_plugin, streams={"preexec_fn": careless}) as run:
        run.wait_until_it_takes_signals()
        fakes.wait_for("virDomainMigrateToURI3")
        time.sleep(0.3)
        masks = dict(
            line.split(":\t") for line in Path(f"/proc/{run.process.pid}/status").read_text().splitlines() if ":\t" in line
        )
        ignored = int(masks["SigIgn"], 16)
        for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):
            assert not ignored >> (number - 1) & 1, number
        run.signal(signal.SIGSTOP)
        assert run.end().completion_beside_output["error"]["code"] == 9
