# SPDX-License-Identifier: Apache-2.0
"""--check on real hosts: what it says is what a migration then does."""

from __future__ import annotations

import json

import pytest

from guests import BUSY, IDLE, LIGHT, assert_moved, assert_stayed


@pytest.fixture
def check(run_plugin, fits_schema):
    """Runs a check to its end; returns its body, with the checks by name."""

    def run(vm, **options):
        plugin = run_plugin(vm, options=("--check",), **options)
        plugin.process.wait(60)
        output = plugin.process.stdout.read().decode()
        message = json.loads(output)
        fits_schema(message)
        body = message["check"]
        failed = [one for one in body["checks"] if one["result"] == "failed"]
        assert (body["result"] == "ready") == (failed == [])
        if failed:
            assert plugin.error()["code"] == failed[0]["code"]
        else:
            assert plugin.process.returncode == 0 and plugin.process.stderr.read() == b""
        return body | {one["check"]: one for one in body["checks"]}

    return run


def unusual(body) -> dict:
    return {one["check"]: one["result"] for one in body["checks"] if one["result"] != "passed"}


def state_of_things(guest, pair) -> list[str]:
    """What a check could change at the hosts."""
    of_guest = ["domstate", "domjobinfo", "migrate-getmaxdowntime", "migrate-getspeed", "dumpxml"]
    return [host.virsh("list", "--all") for host in pair.hosts] + [pair.source.virsh(one, guest.uuid) for one in of_guest]


def test_a_good_pair_is_ready_and_the_migration_succeeds(start_guest, run_plugin, pair, check):  # CHECK-1 CHECK-2
    guest = start_guest(**LIGHT)
    before = state_of_things(guest, pair)
    body = check(guest.uuid)
    assert unusual(body) == {}, body
    for side in ("source", "destination"):
        versions = body["versions"][side]
        assert versions["hypervisor"] == "QEMU" and versions["libvirt"][0].isdigit()
    assert state_of_things(guest, pair) == before
    run_plugin(guest.uuid).success()
    assert_moved(guest, pair)


def test_by_name_and_for_a_paused_guest(start_guest, pair, check):
    guest = start_guest(**IDLE)
    assert unusual(check(guest.name)) == {}
    pair.source.virsh("suspend", guest.uuid)
    body = check(guest.uuid)
    assert unusual(body) == {} and "paused" in body["guest"]["details"]


def test_without_the_destinations_daemon(start_guest, pair, check):
    guest = start_guest(**IDLE)
    pair.destination.kill_daemon()
    try:
        body = check(guest.uuid)
    finally:
        pair.destination.start_daemon()
    assert unusual(body) == {"destination": "failed"}, body
    assert body["versions"]["destination"] is None
    assert unusual(check(guest.uuid)) == {}


def test_a_destination_that_hangs(start_guest, pair, check):  # CHECK-6
    guest = start_guest(**IDLE)
    pair.destination.stop_daemon()
    try:
        body = check(guest.uuid, connectionTimeout=2)
    finally:
        pair.destination.continue_daemon()
    assert unusual(body) == {"destination": "failed"}, body
    assert "within 2 s" in body["destination"]["details"]


def test_a_source_that_hangs(start_guest, pair, check):  # CHECK-6
    guest = start_guest(**IDLE)
    pair.source.stop_daemon()
    try:
        body = check(guest.uuid, connectionTimeout=2)
    finally:
        pair.source.continue_daemon()
    assert unusual(body) == {"connection": "failed", "guest": "skipped", "options": "skipped"}, body
    assert body["connection"]["code"] == 12


@pytest.mark.parametrize("uri, code, started", [  # a scheme is refused by the same rule before the start
    ("tcp://localhost", 5, 8), ("tcp://no-such-host.invalid", 2, 8), ("http://10.76.0.2", 5, 5)])
def test_a_wrong_migration_uri_fails_in_the_check_and_in_the_migration(start_guest, run_plugin, pair, check, uri, code, started):
    guest = start_guest(**IDLE)
    body = check(guest.uuid, migration_uri=uri)
    assert body["migrationUri"]["result"] == "failed" and body["migrationUri"]["code"] == code, body
    assert run_plugin(guest.uuid, migration_uri=uri).error()["code"] == started
    assert_stayed(guest, pair)


def test_a_guest_that_is_shut_off(start_guest, pair, check):
    guest = start_guest(**IDLE, persistent=True)
    pair.source.virsh("destroy", guest.uuid)
    body = check(guest.uuid)
    pair.source.virsh("undefine", guest.uuid)
    assert unusual(body) == {"guest": "failed"} and body["guest"]["code"] == 2, body
    assert check(guest.uuid)["guest"]["code"] == 10, "now nobody knows it"


def test_a_migration_in_progress_is_left_alone(start_guest, run_plugin, pair, check):  # CHECK-1
    guest = start_guest(**BUSY)
    pair.data.slow(100)
    plugin = run_plugin(guest.uuid)
    plugin.wait_migrating()
    body = check(guest.uuid)
    assert unusual(body) == {"guest": "warning", "options": "skipped"}, body
    pair.data.fast()
    plugin.success()
    assert_moved(guest, pair)


@pytest.mark.parametrize("how", ["socket", "network", "nowhere"])
def test_the_destination_is_the_source(start_guest, pair, check, how):
    uri = {"socket": pair.source.uri, "network": f"qemu+tcp://{pair.source.address}/system", "nowhere": "qemu:///system"}
    body = check(start_guest(**IDLE).uuid, destination_uri=uri[how])
    assert unusual(body) == {"destination": "failed"}, body


def test_another_guest_of_that_name_is_at_the_destination(start_guest, run_plugin, pair, check):
    guest = start_guest(**IDLE)
    (pair.lab / "shared" / "other.xml").write_text(
        f"<domain type='{pair.accelerator}'><name>{guest.name}</name><memory>65536</memory><os><type>hvm</type></os></domain>")
    pair.destination.virsh("define", str(pair.lab / "shared" / "other.xml"))
    try:
        body = check(guest.uuid)
        assert unusual(body) == {"destination": "failed"}, body
        assert run_plugin(guest.uuid).error()["code"] == 8
    finally:
        pair.destination.virsh("undefine", guest.name)
    assert_stayed(guest, pair)
