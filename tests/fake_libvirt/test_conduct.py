# SPDX-License-Identifier: Apache-2.0
"""How a plugin goes about its calls, and what of them is seen from outside."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import time
from collections import defaultdict

import pytest

from fake import MEBI, delay, error, hang, one_pass, outage, refuse

# Passes that take longer than the limit allows, as far as the statistics tell.
SLOW = [one_pass(30, 100, bandwidth=100 * MEBI, dirty_rate=90 * MEBI) for _ in range(7)]


SCENARIOS = {
    "good": ((), {}),
    "failed": ((), {"end": "failed", "end_at": ["pass 2", 5]}),
    "slow": ((delay(10, from_=5),), {"passes": SLOW}),
    "lost": ((), {"outages": [outage("pass 2", 5, for_ms=0)]}),
    "hanging": ((hang("virDomainGetJobStats", during="precopy"),), {}),
    "taken over": ((), {"running_since_ms": 20, "passes": SLOW}),
    "interrupted": ((), {"endless": True}),
}


@pytest.fixture(params=SCENARIOS)
def some_calls(request, plugin, host):
    """All calls of a run."""
    rules, options = SCENARIOS[request.param]
    fakes = host(*rules, **options)
    with fakes.start(plugin) as run:
        if request.param == "interrupted":
            run.wait_status(lambda status: status["iteration"] > 1)
            run.signal(signal.SIGINT)
        run.end()
    calls = fakes.calls()
    assert len(calls) > 10
    return calls


def test_two_threads_never_use_one_connection(some_calls):
    users = defaultdict(set)
    for call in some_calls:
        if call.connection:
            users[call.connection].add(call.thread)
    assert {number for number, threads in users.items() if len(threads) > 1} == set()


def test_the_main_thread_makes_no_call(some_calls):
    assert [call.name for call in some_calls if call.thread == call.process] == []


def test_callbacks_come_on_a_thread_that_makes_no_calls(plugin, host):
    fakes = host()
    fakes.run(plugin)
    threads = {callback.thread for callback in fakes.callbacks()}
    assert len(threads) == 1
    assert threads.isdisjoint(call.thread for call in fakes.calls())


def test_events_are_subscribed_to_while_the_migration_starts(plugin, host):
    """Not before: the start waits for nothing that it does not need."""
    fakes = host()
    fakes.run(plugin)
    (migrate,) = fakes.calls("virDomainMigrateToURI3")
    subscriptions = fakes.calls("virConnectDomainEventRegisterAny", "virConnectRegisterCloseCallback")
    assert len(subscriptions) == 4
    for call in subscriptions:
        assert call.connection != migrate.connection
        assert call.end < migrate.end


def test_all_connections_are_closed_at_the_end(plugin, host):
    for options in [{}, {"end": "failed", "end_at": ["pass 2", 5]}]:
        fakes = host(**options)
        fakes.run(plugin)
        left = {call.connection: call.answer for call in fakes.calls("virConnectClose")}
        assert left and set(left.values()) == {0}, "references that are left"
        assert set(left) == {call.answer for call in fakes.calls("virConnectOpenAuth") if call.answer}
        for name in ["state", "trace"]:
            (fakes.folder / name).unlink()


# Actions


def test_actions_are_carried_out_in_order(precopy, host):
    fakes = host(delay(45, "virDomainMigrateSetMaxDowntime", from_=2), passes=SLOW)
    actions = fakes.run(precopy).completion["success"]["actions"]
    limits = [action["downtimeLimitMs"] for action in actions]
    assert len(limits) == 5 and limits == sorted(limits) and limits[-1] == 500
    assert fakes.limits() == [100, *limits]
    calls = fakes.calls("virDomainMigrateSetMaxDowntime")
    for before, after in zip(calls[1:], calls[2:]):
        assert before.end <= after.begin, "one after the other"
    assert [action["atMs"] for action in actions] == sorted(action["atMs"] for action in actions)
    assert all("refused" not in action for action in actions)


def test_an_action_that_is_refused_is_told_and_no_end(precopy, host):
    no = error(1, 10, "internal error: unable to execute QEMU command 'migrate-set-parameters': no")
    fakes = host(refuse(no, "virDomainMigrateSetMaxDowntime", from_=3, to=3), passes=SLOW)
    actions = fakes.run(precopy).completion["success"]["actions"]
    assert [no["message"] in action.get("refused", "") for action in actions] == [False, True, False, False, False]


def test_a_policys_abort(host, any_plugin):
    keys = {"sample": {"giveUpAfterSeconds": 1}, "precopy": {"ceiling": {"secondsPerGiB": 1}}}.get(any_plugin.name)
    if keys is None:
        pytest.skip(f"{any_plugin.name} has no bound on the whole migration")
    fakes = host(endless=True)
    with fakes.start(any_plugin, **keys) as run:
        failure = run.end().failure
    assert failure["code"] == 9
    assert failure["actions"][-1]["action"] == "abort"
    assert 1000 <= failure["totalTimeMs"] < 3000
    assert len(fakes.calls("virDomainAbortJob")) == 1


# The downtime limit


def test_the_limit_is_put_back_after_a_failure(precopy, host):
    for end_at in [["pass 1", 20], ["pass 5", 5], ["switchover", 3]]:
        fakes = host(passes=SLOW, end="failed", end_at=end_at, downtime_ms=777)
        assert fakes.run(precopy).code == 8
        assert fakes.limits()[0] == 100
        assert fakes.limits()[-1] == 777
        assert fakes.limits().count(777) == 1
        for name in ["state", "trace"]:
            (fakes.folder / name).unlink()


def test_the_limit_is_put_back_after_an_abort(precopy, host):
    fakes = host(endless=True)
    with fakes.start(precopy) as run:
        run.wait_status(lambda status: status["iteration"] > 1)
        run.signal(signal.SIGINT)
        run.end()
    assert fakes.limits()[-1] == 300


def test_the_limit_is_not_touched_if_the_migration_is_refused(precopy, host):
    fakes = host(refuse(error(38, 7, "unable to connect"), "virDomainMigrateToURI3"))
    assert fakes.run(precopy).code == 8
    assert fakes.limits() == []


def test_the_first_limit_is_in_force_before_memory_moves(precopy, host):
    fakes = host()
    assert fakes.run(precopy).completion["result"] == "success"
    (limit,) = fakes.calls("virDomainMigrateSetMaxDowntime")
    (migrate,) = fakes.calls("virDomainMigrateToURI3")
    assert limit.arguments["limit"] == 100
    assert migrate.begin < limit.begin, "while the daemons prepare, not before"
    first = next(call for call in fakes.calls("virDomainGetJobStats") if call.begin > migrate.begin)
    assert limit.end <= first.begin


def test_a_first_limit_that_is_refused_aborts(precopy, host):
    no = error(1, 10, "internal error: unable to execute QEMU command 'migrate-set-parameters': no")
    fakes = host(refuse(no, "virDomainMigrateSetMaxDowntime", to=1), endless=True)
    with fakes.start(precopy) as run:
        failure = run.end().failure
    assert failure["code"] == 9
    assert no["message"] in failure["details"] and "100 ms" in failure["details"]
    assert len(fakes.calls("virDomainAbortJob")) == 1


def test_the_limit_is_left_alone_after_a_success(precopy, host):
    for persistent in [False, True]:
        fakes = host(passes=SLOW, persistent=persistent)
        assert fakes.run(precopy).completion["result"] == "success"
        assert 300 not in fakes.limits()
        for name in ["state", "trace"]:
            (fakes.folder / name).unlink()


def test_a_limit_that_was_not_changed_is_not_put_back(plugin, host):
    if plugin.name != "sample":
        pytest.skip("this policy sets a limit")
    fakes = host(end="failed", end_at=["pass 2", 5])
    assert fakes.run(plugin).code == 8
    assert fakes.limits() == []


# The streams


def test_what_libraries_print_stays_out_of_the_streams(plugin, host):
    lasting = [one_pass(300, 100)]  # a status is to come before the end
    for options in [{}, {"end": "failed", "end_at": ["pass 1", 150]}, {"outages": [outage("pass 1", 150)]}]:
        fakes = host(noise=True, passes=lasting, **options)
        with fakes.start(plugin) as run:
            run.wait_status(lambda status: status["phase"] != "connecting")
            ended = run.end()
        assert ended.completion_beside_output
        for line in ended.output.splitlines():
            assert json.loads(line)["contentType"] == "status"
        assert "noise" not in ended.output + ended.error
        for name in ["state", "trace"]:
            (fakes.folder / name).unlink()


@contextlib.contextmanager
def full_pipe():
    """Its writing end blocks at the next byte."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n" * 4096)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writing, b"\n")
    fcntl.fcntl(writing, fcntl.F_SETFL, 0)
    yield writing
    os.close(reading)
    os.close(writing)


def test_a_full_pipe_does_not_stop_a_migration_that_nobody_asks_about(plugin, host):
    fakes = host()
    with full_pipe() as pipe, fakes.start(plugin, streams={"stdout": pipe}) as run:
        assert run.process.wait(20) == 0


def test_a_status_that_nobody_reads_does_not_stop_the_supervision(plugin, host):
    fakes = host(end="failed", end_at=["pass 2", 5])
    with full_pipe() as pipe, fakes.start(plugin, streams={"stdout": pipe}) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        run.signal(signal.SIGUSR1)
        assert run.process.wait(2) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_status_that_nobody_reads_does_not_stop_signals(plugin, host, number):
    fakes = host(endless=True)
    with full_pipe() as pipe, fakes.start(plugin, streams={"stdout": pipe}) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        run.signal(signal.SIGUSR1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run.process.wait(0.1)
        run.signal(number)
        assert run.process.wait(2) == 1


def test_what_runs_left_long_ago_goes_away(plugin, host):  # FAIL-14
    fakes = host()
    folder = fakes.folder / "run"
    folder.mkdir(mode=0o700)
    for name, age_days in [("old", 8), ("recent", 1)]:
        file = folder / f"{name}.json"
        file.touch(0o600)
        os.utime(file, times=(time.time() - age_days * 86400,) * 2)
    assert fakes.run(plugin).completion["result"] == "success"
    assert [file.name for file in folder.iterdir()] == ["recent.json"]
