# SPDX-License-Identifier: Apache-2.0
"""Daemons that die or hang, links that break, QEMUs that are killed: what ended it, and where the guest is."""

from __future__ import annotations

import signal
import time

import pytest

from guests import ENDLESS, IDLE, TOO_LITTLE, assert_stayed
from testbed.system import wait_for


@pytest.fixture
def migrating(start_guest, run_plugin):
    """A busy guest whose migration goes on until something happens."""
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE, connectionTimeout=5)
    plugin.wait_migrating(passes=2)
    return guest, plugin


@pytest.fixture
def daemons(pair):
    """Puts the daemons right again after the test."""
    yield
    for host in pair.hosts:
        if host.daemon() is None:
            host.start_daemon()
        else:
            host.continue_daemon()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "told to end"])
def test_a_lost_source_daemon_is_a_lost_connection(migrating, pair, daemons, how):  # FAIL-2 FAIL-12
    guest, plugin = migrating
    told = time.monotonic()
    pair.source.kill_daemon(how)
    error = plugin.error(timeout=20)
    assert error["code"] == 12
    assert time.monotonic() - told < 5
    # Told to end, libvirtd gives a running migration half a minute: it may even succeed.
    wait_for("the daemon's end", lambda: pair.source.daemon() is None, timeout=60)
    pair.source.start_daemon()
    where = wait_for("the guest on one of the hosts", guest.host, timeout=30)
    assert how == signal.SIGTERM or where is pair.source
    guest.wait_verified()
    assert guest.report().corrupted_pages == 0


def test_a_source_daemon_that_hangs_is_noticed_and_the_migration_goes_on(migrating, pair, daemons):  # FAIL-3
    guest, plugin = migrating
    told = time.monotonic()
    pair.source.stop_daemon()
    for _ in range(3):
        time.sleep(0.5)
        status = plugin.status()["status"]
        assert status["phase"] == "precopy", "the last known status, marked with its age"
    assert status["sampleAgeMs"] > 400
    error = plugin.error(timeout=20)
    assert error["code"] == 12 and "does not answer" in error["details"]
    assert time.monotonic() - told < 8
    pair.source.continue_daemon()
    assert "Memory remaining" in pair.source.virsh("domjobinfo", guest.uuid), "nobody aborted it"
    pair.source.virsh("domjobabort", guest.uuid)
    wait_for("the end of the job", lambda: "None" in pair.source.virsh("domjobinfo", guest.uuid), 20)
    assert guest.host() is pair.source


@pytest.mark.parametrize("request_", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_signals_are_served_while_the_source_daemon_hangs(migrating, pair, daemons, request_):  # SIG-10
    guest, plugin = migrating
    pair.source.stop_daemon()
    time.sleep(1.5)
    told = time.monotonic()
    plugin.signal(request_)
    if request_ == signal.SIGTERM:
        assert plugin.error(timeout=5)["code"] == 13
        assert time.monotonic() - told < 0.5
        pair.source.continue_daemon()
        assert "Memory remaining" in pair.source.virsh("domjobinfo", guest.uuid)
        pair.source.virsh("domjobabort", guest.uuid)
        wait_for("the end of the job", lambda: "None" in pair.source.virsh("domjobinfo", guest.uuid), 20)
    else:
        pair.source.continue_daemon()
        assert plugin.error(timeout=20)["code"] == 9
        assert_stayed(guest, pair)


def test_a_killed_destination_daemon_fails_the_migration(migrating, pair, daemons):  # FAIL-8
    guest, plugin = migrating
    pair.destination.kill_daemon()
    assert plugin.error(timeout=30)["code"] == 8
    pair.destination.start_daemon()
    wait_for("what the destination had to be gone", lambda: guest.state_on(pair.destination) is None, timeout=30)
    assert_stayed(guest, pair)


def test_a_killed_destination_qemu_fails_the_migration(migrating, pair):  # FAIL-8
    guest, plugin = migrating
    pair.destination.kill_qemu(guest.name)
    error = plugin.error(timeout=30)
    assert error["code"] == 8 and error["cause"] == "migration-failed" and error["retry"]
    assert error["endState"] == {"source": "running", "destination": "absent"}
    assert_stayed(guest, pair)


def test_a_cut_management_link_fails_the_migration(migrating, pair):  # FAIL-8
    guest, plugin = migrating
    pair.management.cut()
    try:
        assert plugin.error(timeout=60)["code"] == 8
    finally:
        pair.management.restore()
    assert guest.host() is pair.source


def test_a_reset_data_link_fails_the_migration(migrating, pair):  # FAIL-8
    guest, plugin = migrating
    pair.data.reset()
    assert plugin.error(timeout=30)["code"] == 8
    assert_stayed(guest, pair)


def test_a_cut_data_link_can_be_waited_out(migrating, pair):
    guest, plugin = migrating
    pair.data.cut()
    time.sleep(5)
    pair.data.restore()
    passes = plugin.status()["status"]["iteration"]
    plugin.wait_migrating(passes + 1)
    plugin.signal(signal.SIGINT)
    assert plugin.error(timeout=30)["code"] == 9
    assert_stayed(guest, pair)


def test_an_abort_over_a_cut_data_link_is_an_abort(migrating, pair):  # SIG-4
    guest, plugin = migrating
    pair.data.cut()
    try:
        time.sleep(2)
        plugin.signal(signal.SIGINT)
        assert plugin.error(timeout=60)["code"] == 9
    finally:
        pair.data.restore()
    assert guest.host() is pair.source


def test_a_guest_that_powers_itself_off_in_mid_migration_is_told(start_guest, run_plugin, pair):  # FAIL-6
    # So slow that the migration cannot end in the moment between the guest's last write and its last breath.
    pair.data.slow(40)
    guest = start_guest(**ENDLESS, power_off_after_seconds=12)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE)
    plugin.wait_migrating()
    error = plugin.error(timeout=60)
    assert (error["code"], error["cause"], error["retry"]) == (11, "guest-powered-off", False)
    assert error["endState"] == {"source": "absent", "destination": "absent"}
    assert guest.host() is None


def test_a_guest_whose_qemu_crashes_in_mid_migration_is_told(migrating, pair):  # FAIL-6
    guest, plugin = migrating
    pair.source.kill_qemu(guest.name)
    error = plugin.error(timeout=30)
    assert (error["code"], error["cause"], error["retry"]) == (11, "guest-crashed", False)
    assert error["endState"]["source"] == "absent" and guest.host() is None


def test_a_migration_that_never_began_is_no_success_because_an_earlier_one_was(start_guest, run_plugin, pair):  # COMP-3
    guest = start_guest(**IDLE, persistent=True)
    run_plugin(guest.uuid).success()
    # Its definition is still at the source, and so are the statistics of its migration.
    pair.destination.virsh("destroy", guest.uuid)
    pair.source.virsh("start", guest.uuid)
    nobody_listens = f"qemu+tcp://{pair.destination.address}:1/system"
    error = run_plugin(guest.uuid, destination_uri=nobody_listens).error()
    assert (error["code"], error["cause"], error["downtimeMs"]) == (8, "migration-failed", None)
    assert error["endState"]["source"] == "running"
    assert guest.host() is pair.source
