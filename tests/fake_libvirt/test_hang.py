# SPDX-License-Identifier: Apache-2.0
"""Whatever hangs in the daemon, signals are served."""

import signal
import time

import pytest

from fake import NOT_NOW, delay, hang, one_pass, refuse

# Where a call may hang for ever, and what else has to happen for it. `from` counts a process's calls.
CONNECTING = {
    "open": hang("virConnectOpenAuth", to=1),
    "keepalive": hang("virConnectSetKeepAlive", to=1),
    "lookup": hang("virDomainLookupByUUIDString", to=1),
    "first statistics": hang("virDomainGetJobStats", during="before"),
    "info": hang("virDomainGetInfo"),
    "persistent": hang("virDomainIsPersistent"),
}
STARTING = {
    "downtime": hang("virDomainMigrateGetMaxDowntime"),
    "events": hang("virConnectDomainEventRegisterAny", to=1),
    "third events": hang("virConnectDomainEventRegisterAny", from_=3),
    "close callback": hang("virConnectRegisterCloseCallback"),
    "migrate": hang("virDomainMigrateToURI3"),
}
MIGRATING = {
    "second open": hang("virConnectOpenAuth", from_=2, to=3),
    "second keepalive": hang("virConnectSetKeepAlive", from_=2, to=3),
    "third lookup": hang("virDomainLookupByUUIDString", during="precopy"),
    "statistics": hang("virDomainGetJobStats", during="precopy", from_=2),
    "state": hang("virDomainGetState", during="precopy", from_=2),
    "everything": hang(during="precopy", from_=6),
}
ENDING = {
    "last lookup": hang("virDomainLookupByUUIDString", during="after"),
    "last state": hang("virDomainGetState", during="after"),
    "last statistics": hang("virDomainGetJobStats", during="after"),
}


def stuck(fakes, run):
    """The call that hangs, once it does."""
    call = fakes.wait_until_stuck()
    assert run.is_running()
    return call


def last_known(run):
    """Two answers have the same numbers, and only their age grows."""
    first, _ = run.status()
    time.sleep(0.02)
    second, took = run.status()
    assert took < 500
    for key in ["phase", "iteration", "remainingBytes", "transferredBytes", "totalBytes"]:
        assert first[key] == second[key], key
    return first, second


def detached(fakes, run):
    ended, took = run.leave()
    failure = ended.completion_beside_output["error"]
    assert failure["code"] == 13
    assert took < 1000
    assert not fakes.calls("virDomainAbortJob", "virDomainDestroy", "virDomainSuspend")
    return failure


@pytest.mark.parametrize("rule", CONNECTING.values(), ids=CONNECTING)
def test_a_hang_before_the_migration(plugin, host, rule):
    fakes = host(rule)
    with fakes.start(plugin) as run:
        stuck(fakes, run)
        _, status = last_known(run)
        assert (status["phase"], status["elapsedMs"], status["sampleAgeMs"]) == ("connecting", 0, None)
        assert "before the migration was started" in detached(fakes, run)["details"]
    assert fakes.calls("virDomainMigrateToURI3") == []


@pytest.mark.parametrize("rule", CONNECTING.values(), ids=CONNECTING)
def test_an_interrupt_before_the_migration(any_plugin, host, rule):
    fakes = host(rule)
    with fakes.start(any_plugin) as run:
        stuck(fakes, run)
        ended, took = run.leave(signal.SIGINT)
    assert ended.code == 9
    assert took < 2000
    assert fakes.calls("virDomainMigrateToURI3") == []


@pytest.mark.parametrize("rule", STARTING.values(), ids=STARTING)
def test_a_hang_while_it_is_started(plugin, host, rule):
    fakes = host(rule, endless=True)
    with fakes.start(plugin) as run:
        stuck(fakes, run)
        _, status = last_known(run)
        assert (status["phase"], status["sampleAgeMs"]) == ("starting", None)
        detached(fakes, run)


def test_a_hang_of_the_first_limit(precopy, host):
    fakes = host(hang("virDomainMigrateSetMaxDowntime"), endless=True)
    with fakes.start(precopy) as run:
        assert stuck(fakes, run).name == "virDomainMigrateSetMaxDowntime"
        assert last_known(run)[1]["phase"] == "starting"
        detached(fakes, run)


@pytest.mark.parametrize("rule", MIGRATING.values(), ids=MIGRATING)
def test_a_hang_in_the_migration(plugin, host, rule):
    fakes = host(rule, endless=True)
    with fakes.start(plugin) as run:
        stuck(fakes, run)
        first, second = last_known(run)
        if first["sampleAgeMs"] is not None:
            assert second["sampleAgeMs"] >= first["sampleAgeMs"] + 15
        assert second["elapsedMs"] > first["elapsedMs"]
        detached(fakes, run)


def test_a_hang_of_an_action(precopy, host):
    fakes = host(hang("virDomainMigrateSetMaxDowntime", from_=2), **SLOW)
    with fakes.start(precopy) as run:
        assert stuck(fakes, run).name == "virDomainMigrateSetMaxDowntime"
        status = run.wait_status(lambda status: status["iteration"] == 3)
        assert status["downtimeLimitMs"] == 100, "the one in force"
        assert status["lastAction"]["downtimeLimitMs"] > 100
        detached(fakes, run)


def test_an_abort_reaches_libvirt_while_an_action_hangs(precopy, host):
    fakes = host(hang("virDomainMigrateSetMaxDowntime", from_=2), **SLOW)
    with fakes.start(precopy) as run:
        action = stuck(fakes, run)
        run.signal(signal.SIGINT)
        (abort,) = fakes.wait_for("virDomainAbortJob", ended=True)
        assert abort.error is None
        assert abort.connection != action.connection
        assert run.end().completion_beside_output["error"]["code"] == 9


# Passes that take longer than the limit allows, as far as the statistics tell.
SLOW = {"passes": [one_pass(40, 100, bandwidth=100 << 20) for _ in range(4)], "endless": True}


@pytest.mark.parametrize("rule", ENDING.values(), ids=ENDING)
def test_a_hang_after_the_call_came_back(plugin, host, rule):
    fakes = host(rule, end="failed", end_at=["pass 2", 5], persistent=True)
    with fakes.start(plugin) as run:
        stuck(fakes, run)
        last_known(run)
        detached(fakes, run)


def test_statistics_wait_for_the_end_of_the_last_pass_and_signals_do_not(plugin, host):
    # A sample is taken before the last pass, however slow the machine; and no pass is large enough for post-copy.
    fakes = host(setup_ms=300, last_pass_ms=2000, passes=[one_pass(50, 100), one_pass(25, 20), one_pass(15, 10)])
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["phase"] == "switchover")
        began = time.monotonic()
        ages = [run.status()[0]["sampleAgeMs"] for _ in range(5) if time.sleep(0.02) is None]
        assert ages == sorted(ages) and ages[-1] > ages[0]
        assert time.monotonic() - began < 1.5
        assert run.end().completion_beside_output["success"]["downtimeMs"] == 7


# The outcome does not wait for what hangs beside it.


def test_hanging_statistics_do_not_hold_up_a_success(plugin, host):
    fakes = host(hang("virDomainGetJobStats", during="precopy"))
    began = time.monotonic()
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7
    assert time.monotonic() - began < 5


def test_a_hanging_action_does_not_hold_up_a_success(precopy, host):
    fakes = host(hang("virDomainMigrateSetMaxDowntime", from_=2), passes=SLOW["passes"])
    assert fakes.run(precopy).completion["success"]["downtimeMs"] == 7


def test_a_hanging_close_does_not_hold_up_the_end(plugin, host):
    fakes = host(hang("virConnectClose", "virConnectDomainEventDeregisterAny"))
    began = time.monotonic()
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7
    assert time.monotonic() - began < 5


def test_hanging_to_put_back_the_limit_does_not_hold_up_the_end(precopy, host):
    fakes = host(hang("virDomainMigrateSetMaxDowntime", from_=2), end="failed", end_at=["pass 1", 5])
    began = time.monotonic()
    assert fakes.run(precopy).code == 8
    assert time.monotonic() - began < 5


# SIGINT


@pytest.mark.parametrize("name", ["virDomainGetJobStats", "virDomainGetState"])
def test_an_abort_reaches_libvirt_while_the_statistics_hang(plugin, host, name):
    fakes = host(hang(name, during="precopy", from_=2), endless=True)
    with fakes.start(plugin) as run:
        stuck(fakes, run)
        asked = time.monotonic()
        run.signal(signal.SIGINT)
        (abort,) = fakes.wait_for("virDomainAbortJob", ended=True)
        assert abort.error is None
        assert abort.begin - asked < 0.5
        detached_at_last, _ = run.leave()
        assert detached_at_last.completion_beside_output["error"]["code"] in (9, 13)


def test_what_an_abort_did_is_told_though_the_statistics_hang(any_plugin, host):
    fakes = host(hang("virDomainGetJobStats", during="precopy", from_=2), endless=True)
    with fakes.start(any_plugin) as run:
        stuck(fakes, run)
        run.signal(signal.SIGINT)
        assert run.end().code == 9


def test_an_abort_that_hangs_leaves_the_way_out_open(plugin, host):
    fakes = host(hang("virDomainAbortJob"), endless=True)
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["phase"] == "precopy")
        run.signal(signal.SIGINT)
        fakes.wait_for("virDomainAbortJob")
        assert run.status()[0]["phase"] == "precopy"
        ended, took = run.leave()
        assert ended.completion_beside_output["error"]["code"] == 13
        assert took < 1000


def test_an_abort_that_is_slow_is_not_given_twice(plugin, host):
    fakes = host(delay(300, "virDomainAbortJob"), endless=True)
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["phase"] == "precopy")
        for _ in range(3):
            run.signal(signal.SIGINT)
            time.sleep(0.02)
        assert run.end().completion_beside_output["error"]["code"] == 9
    assert len(fakes.calls("virDomainAbortJob")) == 1


def test_told_to_leave_while_an_abort_is_refused(plugin, host):  # SIG-6
    fakes = host(refuse(NOT_NOW, "virDomainAbortJob"), endless=True)
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["phase"] == "precopy")
        run.signal(signal.SIGINT)
        fakes.wait_for("virDomainAbortJob", 2)
        ended, _ = run.leave()
        assert ended.completion_beside_output["error"]["code"] == 13


# How fast


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def test_how_fast_it_leaves_and_answers(any_plugin, tmp_path, host, capsys):  # PROC-5 STAT-2 SIG-10
    leaving, answering = [], []
    for number in range(50):
        (tmp_path / "state").unlink(missing_ok=True)
        (tmp_path / "trace").unlink(missing_ok=True)
        fakes = host(hang("virDomainGetJobStats", during="precopy", from_=2), endless=True)
        with fakes.start(any_plugin) as run:
            run.wait_status(lambda status: status["phase"] == "precopy")
            for _ in range(5):
                answering.append(run.status()[1])
            ended, took = run.leave()
            leaving.append(took)
            assert ended.completion_beside_output["error"]["code"] == 13
    text = ""
    for what, values in [("SIGTERM to the end", leaving), ("SIGUSR1 to the answer", answering)]:
        figures = ", ".join(f"p{100 * share:.0f} {percentile(values, share):.1f} ms" for share in (0.5, 0.9, 0.99))
        text += f"\n{what}: {figures}, {len(values)} times"
    with capsys.disabled():
        print(text)
    assert percentile(leaving, 0.99) < 500
    assert percentile(answering, 0.99) < 500
