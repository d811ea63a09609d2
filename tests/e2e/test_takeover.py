# SPDX-License-Identifier: Apache-2.0
"""A plugin that finds a migration of its guest under way takes it over, whoever started it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from guests import BUSY, ENDLESS, ENOUGH, LIGHT, TOO_LITTLE, assert_moved, assert_stayed
from testbed.system import wait_for


@pytest.fixture
def virsh_migrates(pair):
    """Starts a migration as an administrator does, and leaves it to itself."""
    started = []

    def start(guest, *options):
        argv = pair.source.inside(["virsh", "migrate", "--live", "--p2p", *options, guest.uuid, pair.destination_uri,
                                   pair.migration_uri])
        started.append(subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        wait_for("the migration by virsh", lambda: "Memory remaining" in pair.source.virsh("domjobinfo", guest.uuid), 30)

    yield start
    for process in started:
        process.kill()
        process.wait()


def test_enforces_its_policy_on_a_migration_started_by_virsh(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-11
    guest = start_guest(**BUSY)
    pair.source.virsh("migrate-setmaxdowntime", guest.uuid, "20")
    virsh_migrates(guest)
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    body = plugin.wait_status("the takeover", lambda body: body["lastAction"] is not None)
    assert body["phase"] == "precopy" and body["totalBytes"] > 0
    success = plugin.success()
    assert "takeover" in success["actions"][0]["reason"] and success["actions"][0]["downtimeLimitMs"] == 100
    assert success["downtimeMs"] > 0 and success["iterations"] >= 2
    assert_moved(guest, pair)


@pytest.mark.parametrize("persistent", [False, True], ids=["transient", "persistent"])
def test_goes_on_where_a_killed_plugin_stopped(start_guest, run_plugin, pair, persistent):  # FAIL-11
    guest = start_guest(**BUSY, persistent=persistent)
    first = run_plugin(guest.uuid, downtime=ENOUGH, bandwidthMiBPerSecond=30)
    reached = first.wait_status("a raise", lambda body: body["lastAction"] is not None)
    first.process.kill()
    first.process.wait()
    second = run_plugin(guest.uuid, downtime=ENOUGH)
    taken = second.wait_migrating()
    assert taken["downtimeLimitMs"] >= reached["downtimeLimitMs"], "the ramp goes on, it does not begin anew"
    assert taken["elapsedMs"] >= reached["elapsedMs"], "the time counts from the start of the migration"
    second.success()
    assert_moved(guest, pair, source_state="shut off (migrated)" if persistent else None)


def test_aborts_a_migration_that_a_detached_plugin_left(start_guest, run_plugin, pair):  # FAIL-11
    guest = start_guest(**ENDLESS)
    first = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    first.wait_migrating()
    first.signal(signal.SIGTERM)
    assert first.error()["code"] == 13
    second = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    second.wait_migrating(passes=2)
    second.signal(signal.SIGINT)
    error = second.error(timeout=30)
    assert error["code"] == 9 and "running at the source" in error["details"]
    assert guest.host() is pair.source and guest.state_on(pair.destination) is None


def test_two_plugins_started_at_once_both_see_it_through(start_guest, run_plugin, pair):  # FAIL-11
    guest = start_guest(**LIGHT)
    both = [run_plugin(guest.uuid, downtime=ENOUGH) for _ in range(2)]
    for plugin in both:
        plugin.success()
    assert_moved(guest, pair)


def test_tells_an_abort_by_somebody_else(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-7
    guest = start_guest(**ENDLESS)
    virsh_migrates(guest)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    pair.source.virsh("domjobabort", guest.uuid)
    assert plugin.error(timeout=30)["code"] == 9
    assert guest.host() is pair.source


def test_tells_a_failure(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-8
    guest = start_guest(**ENDLESS)
    virsh_migrates(guest)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    pair.destination.kill_qemu(guest.name)
    assert plugin.error(timeout=30)["code"] == 8
    assert guest.host() is pair.source


@pytest.mark.parametrize("how", ["destroyed", "crashed"])
def test_tells_a_guest_that_is_gone(start_guest, run_plugin, pair, virsh_migrates, how):  # FAIL-6
    guest = start_guest(**ENDLESS)
    virsh_migrates(guest)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    if how == "destroyed":
        pair.source.virsh("destroy", guest.uuid)
    else:
        pair.source.kill_qemu(guest.name)
    error = plugin.error(timeout=30)
    assert error["code"] == 11 and how in error["details"]


def test_watches_a_migration_that_is_in_post_copy(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-11
    pair.data.slow(100)
    guest = start_guest(**LIGHT)
    virsh_migrates(guest, "--postcopy")
    pair.source.virsh("migrate-postcopy", guest.uuid)
    wait_for("post-copy", lambda: "post-copy" in (guest.state_on(pair.source) or ""), 20)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_status("the phase", lambda body: body["phase"] == "postcopy", timeout=10)
    plugin.signal(signal.SIGINT)  # too late: it would lose the guest
    success = plugin.success()
    assert success["actions"] == []
    assert_moved(guest, pair)


# What libvirt does not tell a second process

RUNTIME_DIRECTORY = Path("/run/vmmi")


def left_about(guest):
    return RUNTIME_DIRECTORY / f"{guest.uuid}.json"


def killed_in_mid_migration(run_plugin, guest, **keys):
    first = run_plugin(guest.uuid, downtime=TOO_LITTLE, **keys)
    first.wait_migrating()
    first.process.kill()
    first.process.wait()


def test_the_guest_gets_its_own_limit_back_after_a_killed_plugin(start_guest, run_plugin, pair):  # FAIL-13 FAIL-14
    guest = start_guest(**ENDLESS)
    killed_in_mid_migration(run_plugin, guest)
    left = left_about(guest).stat()
    assert (left.st_mode & 0o777, left.st_uid) == (0o600, os.geteuid())
    assert RUNTIME_DIRECTORY.stat().st_mode & 0o022 == 0
    second = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    second.wait_migrating()
    second.signal(signal.SIGINT)
    assert second.error(timeout=30)["code"] == 9
    assert_stayed(guest, pair)
    assert not left_about(guest).exists()


def test_what_is_left_about_another_migration_does_not_count(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-15
    guest = start_guest(**BUSY)
    killed_in_mid_migration(run_plugin, guest)
    pair.source.virsh("domjobabort", guest.uuid)
    wait_for("the end of the job", lambda: "None" in pair.source.virsh("domjobinfo", guest.uuid), 20)
    pair.source.virsh("migrate-setmaxdowntime", guest.uuid, "300")
    time.sleep(2)  # a job that begins within two seconds of the recorded begin would be the same one
    virsh_migrates(guest)
    # Believed, the record would say that the migration goes to the first plugin's destination.
    record = json.loads(left_about(guest).read_text()) | {"destinationUri": "qemu+tcp://10.75.0.99/system"}
    left_about(guest).write_text(json.dumps(record))
    second = run_plugin(guest.uuid, downtime=ENOUGH)
    second.success()
    assert_moved(guest, pair)
    assert not left_about(guest).exists()


@pytest.mark.parametrize("same_host", [True, False], ids=["another name of it", "another host"])
def test_the_destination_of_a_migration_is_the_one_it_has(start_guest, run_plugin, pair, same_host):  # COMP-3 FAIL-14
    guest = start_guest(**LIGHT)
    killed_in_mid_migration(run_plugin, guest, bandwidthMiBPerSecond=15)
    asked = pair.destination_uri.replace("/system", ":16509/system") if same_host else "qemu+tcp://10.75.0.99/system"
    second = run_plugin(guest.uuid, destination_uri=asked, downtime=ENOUGH, connectionTimeout=5)
    if same_host:
        second.success()
    else:
        error = second.error()
        assert (error["code"], error["cause"], error["retry"]) == (2, "completed-elsewhere", False)
        assert pair.destination_uri in error["details"] and asked in error["details"]
        assert error["endState"] == {"source": "absent", "destination": "running"}
    assert_moved(guest, pair)
    assert not left_about(guest).exists()


def test_a_migration_that_moves_the_definition_is_seen_through(start_guest, run_plugin, pair, virsh_migrates):  # FAIL-11
    guest = start_guest(**BUSY, persistent=True)
    virsh_migrates(guest, "--undefinesource", "--persistent")
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    success = plugin.success()
    assert success["endState"]["source"] == "absent"
    assert_moved(guest, pair)
    assert "persistent" in pair.destination.virsh("dominfo", guest.uuid).lower()
