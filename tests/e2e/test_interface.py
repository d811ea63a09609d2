# SPDX-License-Identifier: Apache-2.0
"""What every plugin owes its caller while a real migration runs: status, signals, channels, progress."""

from __future__ import annotations

import fcntl
import json
import re
import signal
import time
from pathlib import Path

import pytest

from testbed.system import wait_for

from guests import BUSY, ENDLESS, ENOUGH, IDLE, LIGHT, TOO_LITTLE, assert_moved, assert_stayed
from plugin import PLUGINS, configuration
from terminal import on_a_terminal


def test_sigusr1_prints_one_status_line_that_fits_the_schema(start_guest, run_plugin, fits_schema):  # SIG-1 STAT-1 MSG-2
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating(passes=2)
    message = plugin.status()
    fits_schema(message)
    body = message["status"]
    assert body["policy"] == "precopy" and body["phase"] == "precopy"
    assert body["totalBytes"] > guest.settings.working_set_mib << 20
    assert body["remainingBytes"] <= body["totalBytes"]
    assert body["bandwidthBytesPerSecond"] > 0 and body["dirtyRateBytesPerSecond"] > 0
    assert abs(message["timestamp"] - time.time()) <= 2
    assert plugin.line(timeout=2.5) is None, "nothing comes unasked"
    plugin.signal(signal.SIGINT)
    plugin.error()


def test_the_percentage_never_falls_and_the_phases_come_in_order(start_guest, run_plugin, pair):  # STAT-3 MSG-4
    guest = start_guest(**BUSY)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    bodies = []
    while plugin.process.poll() is None:
        plugin.signal(signal.SIGUSR1)
        if line := plugin.line(timeout=0.2):
            bodies.append(json.loads(line))
    percents = [body["status"]["progressPercent"] for body in bodies]
    assert percents == sorted(percents)
    assert len({percent for percent in percents if 0 < percent < 99}) >= 3, percents
    # An answer of libvirt that waits for the next event to be read was once the rule: most samples are fresh.
    ages = sorted(body["status"]["sampleAgeMs"] for body in bodies if body["status"]["phase"] == "precopy")
    assert ages[len(ages) * 9 // 10] < 1300, ages
    order = ["connecting", "starting", "precopy", "switchover", "ended"]
    phases = [order.index(body["status"]["phase"]) for body in bodies]
    assert phases == sorted(phases)
    times = [body["timestamp"] for body in bodies]
    assert times == sorted(times) and plugin.completion()["timestamp"] >= times[-1]
    assert_moved(guest, pair)


def test_sigterm_leaves_and_the_migration_completes_without_it(start_guest, run_plugin, pair, fits_schema):  # SIG-2 ERR-4
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    plugin.wait_migrating()
    told = time.monotonic()
    plugin.signal(signal.SIGTERM)
    message = plugin.completion(timeout=5)
    assert time.monotonic() - told < 1
    fits_schema(message)
    error = message["completion"]["error"]
    assert error["code"] == 13 and error["message"] == "detached"
    assert guest.state_on(pair.source) is not None, "it left before the migration was over"
    wait_for("the end of the migration", lambda: guest.state_on(pair.source) is None, timeout=60)
    assert_moved(guest, pair)


def test_sigint_aborts_and_leaves_the_guest_running_on_the_source(start_guest, run_plugin, pair, fits_schema):  # SIG-3 SIG-4
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating(passes=2)
    plugin.signal(signal.SIGINT)
    message = plugin.completion(timeout=30)
    fits_schema(message)
    error = message["completion"]["error"]
    assert error["code"] == 9 and "SIGINT" in error["details"] and "running at the source" in error["details"]
    assert error["cause"] == "aborted-by-signal"
    assert error["endState"] == {"source": "running", "destination": "absent"}
    assert_stayed(guest, pair)


def test_sigint_during_the_start_aborts_as_well(start_guest, run_plugin, pair):
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid)
    plugin.wait_status("the start", lambda body: body["phase"] == "starting")
    plugin.signal(signal.SIGINT)
    assert plugin.error(timeout=30)["code"] == 9
    assert_stayed(guest, pair)


@pytest.mark.parametrize("again", [False, True], ids=["once", "again"])
def test_sigstop_aborts_and_leaves_the_guest_running_on_the_source(start_guest, run_plugin, pair, fits_schema, again):  # SIG-11
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating(passes=2)
    plugin.signal(signal.SIGSTOP)
    if again:
        time.sleep(0.3)
        plugin.signal(signal.SIGSTOP)
    message = plugin.completion(timeout=30)
    fits_schema(message)
    error = message["completion"]["error"]
    assert error["code"] == 9 and "SIGSTOP" in error["details"] and "running at the source" in error["details"]
    assert_stayed(guest, pair)


def test_signals_of_terminals_change_nothing(start_guest, run_plugin, pair):  # SIG-8 SIG-12
    guest = start_guest(**IDLE)
    plugin = run_plugin(guest.uuid, bandwidthMiBPerSecond=20)
    plugin.wait_migrating()
    for number in (signal.SIGHUP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE):
        plugin.signal(number)
        assert plugin.status()["status"]["phase"] == "precopy"
    assert plugin.success()["actions"] == []
    assert_moved(guest, pair)


def test_sigquit_leaves_as_sigterm_does(start_guest, run_plugin, pair):  # SIG-12
    guest = start_guest(**IDLE)
    plugin = run_plugin(guest.uuid, bandwidthMiBPerSecond=20)
    plugin.wait_migrating()
    plugin.signal(signal.SIGQUIT)
    assert plugin.error(timeout=5)["code"] == 13
    wait_for("the end of the migration", lambda: guest.state_on(pair.source) is None, timeout=60)
    assert_moved(guest, pair)


def test_sigterm_after_sigint_leaves_without_waiting_for_the_abort(start_guest, run_plugin, pair):  # SIG-6
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating(passes=2)
    plugin.signal(signal.SIGINT)
    plugin.signal(signal.SIGTERM)
    code = plugin.error(timeout=5)["code"]
    assert code in (9, 13), "the abort may have been over before"
    wait_for("the end of the job", lambda: "None" in pair.source.virsh("domjobinfo", guest.uuid), timeout=30)
    # Who has left puts no limit back (FAIL-13).
    if code == 13:
        pair.source.virsh("migrate-setmaxdowntime", guest.uuid, "300")
    assert_stayed(guest, pair)


def test_an_unread_output_and_a_talking_libvirt_change_nothing(start_guest, run_plugin, pair, monkeypatch):  # MSG-5 MSG-9
    monkeypatch.setenv("LIBVIRT_DEBUG", "1")
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    plugin.wait_migrating()
    fcntl.fcntl(plugin.process.stdout, fcntl.F_SETPIPE_SZ, 4096)
    # More than the pipe holds, and nobody reads any of it.
    for _ in range(40):
        plugin.signal(signal.SIGUSR1)
        time.sleep(0.02)
    plugin.success()
    assert_moved(guest, pair)


def test_closed_channels_change_nothing(start_guest, run_plugin, pair):  # MSG-9 FAIL-10
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    plugin.wait_migrating()
    plugin.process.stdout.close()
    plugin.process.stderr.close()
    plugin.signal(signal.SIGUSR1)
    assert plugin.process.wait(60) == 0
    assert_moved(guest, pair)


def test_a_guest_that_is_shut_off_and_a_daemon_that_is_not_there_are_told(start_guest, run_plugin, pair):  # FAIL-1 FAIL-5
    guest = start_guest(**IDLE, persistent=True)
    pair.source.virsh("destroy", guest.uuid)
    assert run_plugin(guest.uuid).error(timeout=10)["code"] == 2
    assert run_plugin(guest.uuid, connection="qemu+unix:///system?socket=/no/such/socket").error(timeout=10)["code"] == 12


def test_no_process_of_a_plugin_outlives_it(start_guest, run_plugin):
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    guards = Path(f"/proc/{plugin.process.pid}/task/{plugin.process.pid}/children").read_text().split()
    assert len(guards) == 1
    plugin.process.kill()
    plugin.process.wait()
    wait_for("the end of the guard", lambda: not Path(f"/proc/{guards[0]}").exists(), timeout=5)


def test_a_killed_plugin_does_not_stop_the_migration(start_guest, run_plugin, pair):  # FAIL-9
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    plugin.wait_migrating()
    plugin.process.kill()
    plugin.process.wait()
    wait_for("the end of the migration", lambda: guest.state_on(pair.source) is None, timeout=60)
    assert_moved(guest, pair)


def test_an_abort_by_somebody_else_is_reported_as_an_abort(start_guest, run_plugin, pair):  # FAIL-7
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    pair.source.virsh("domjobabort", guest.uuid)
    assert plugin.error(timeout=30)["code"] == 9
    assert_stayed(guest, pair)


def test_a_guest_destroyed_in_mid_migration_has_disappeared(start_guest, run_plugin, pair):  # FAIL-6
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    pair.source.virsh("destroy", guest.uuid)
    error = plugin.error(timeout=30)
    assert error["code"] == 11 and error["cause"] == "guest-destroyed" and not error["retry"]
    assert guest.host() is None


def test_an_unknown_guest_is_reported(run_plugin):  # FAIL-4
    assert run_plugin("nobody").error(timeout=30)["code"] == 10


def test_progress_is_drawn_on_the_terminal_and_nowhere_else(start_guest, pair):
    guest = start_guest(**BUSY)
    file = pair.lab / "progress.json"
    file.write_text(json.dumps(configuration(pair, downtime=ENOUGH)))
    run, drawn = on_a_terminal(pair.source.command(
        [str(PLUGINS / "precopy"), "--progress", guest.uuid, pair.destination_uri, pair.migration_uri, str(file)]),
        capture_output=True)
    assert run.returncode == 0, run.stderr
    assert run.stdout == b"" and run.stderr.count(b"\n") == 1 and run.stderr.startswith(b"{")
    pictures = drawn.split("\r")
    assert any(re.search(r"\[#+\.+\] +\d+%  precopy  pass \d+  \d+ MiB left  \d+ MiB/s  dirty \d+ MiB/s", picture)
               for picture in pictures), pictures
    assert_moved(guest, pair)
