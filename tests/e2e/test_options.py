# SPDX-License-Identifier: Apache-2.0
"""Every option of a migration on real hosts: not only accepted, but in force."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import threading

import pytest

from guests import BUSY, ENOUGH, IDLE, LIGHT, assert_moved, assert_stayed
from plugin import Plugin
from testbed import Pair
from testbed.system import run, wait_for

SLOW = 8  # MiB/s: the migration lasts long enough to be looked at


@pytest.fixture(scope="module")
def the_pair():
    with Pair.up(tls=True) as pair:
        pair.data.slow(400)
        yield pair


def qmp(host, guest, command: str):
    answer = json.loads(host.virsh("qemu-monitor-command", guest.uuid, json.dumps({"execute": command})))
    return answer["return"]


def capabilities(pair, guest) -> set[str]:
    """What QEMU at the source has switched on."""
    return {one["capability"] for one in qmp(pair.source, guest, "query-migrate-capabilities") if one["state"]}


def parameters(pair, guest) -> dict:
    return qmp(pair.source, guest, "query-migrate-parameters")


def qemu_streams(pair) -> int:
    """TCP connections across the data link."""
    listed = run(pair.source.command(["ss", "--no-header", "--tcp", "state", "established", "dst",
                                      pair.destination.data_address]))
    return len(listed.splitlines())


def bytes_sent(host, link: str) -> int:
    words = run(host.command(["ip", "-json", "-statistics", "link", "show", link]))
    return json.loads(words)[0]["stats64"]["tx"]["bytes"]


# -- memory


def test_parallel_connections_carry_the_memory(start_guest, run_plugin, pair):
    guest = start_guest(**LIGHT)
    plugin = run_plugin(guest.uuid, parallel={"connections": 3}, bandwidthMiBPerSecond=SLOW)
    plugin.wait_migrating()
    assert "multifd" in capabilities(pair, guest)
    assert parameters(pair, guest)["multifd-channels"] == 3
    assert qemu_streams(pair) == 1 + 3
    pair.source.virsh("migrate-setspeed", guest.uuid, "1000")
    plugin.success()
    assert_moved(guest, pair)


def test_xbzrle_compresses_pages_that_change_little(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY, pattern="word", persistent=True)
    plugin = run_plugin(guest.uuid, downtime={"initialMs": 1, "maximumMs": 1}, bandwidthMiBPerSecond=40,
                        compression={"methods": ["xbzrle"], "xbzrle": {"cacheBytes": 128 << 20}})
    plugin.wait_migrating()
    assert "xbzrle" in capabilities(pair, guest)
    plugin.success()
    told = pair.source.virsh("domjobinfo", "--completed", "--keep-completed", guest.uuid)
    assert re.search(r"Compression cache: +128.000 MiB", told), told
    assert not re.search(r"Compressed pages: +0$", told, re.MULTILINE), told
    assert_moved(guest, pair, source_state="shut off (migrated)")


@pytest.mark.parametrize("method", ["zlib", "zstd"])
def test_parallel_connections_compress(start_guest, run_plugin, pair, method):
    guest = start_guest(**IDLE)
    plugin = run_plugin(guest.uuid, parallel={"connections": 2}, bandwidthMiBPerSecond=1,
                        compression={"methods": [method], method: {"level": 3}})
    plugin.wait_migrating()
    at_work = parameters(pair, guest)
    assert (at_work["multifd-compression"], at_work[f"multifd-{method}-level"]) == (method, 3)
    pair.source.virsh("migrate-setspeed", guest.uuid, "1000")
    assert plugin.success()["transferredBytes"] > 0
    assert_moved(guest, pair)


def test_auto_converge_throttles_a_guest_that_writes_too_fast(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    plugin = run_plugin(guest.uuid, downtime={"initialMs": 10, "maximumMs": 10}, bandwidthMiBPerSecond=20,
                        autoConverge={"enabled": True, "initialPercent": 30, "incrementPercent": 20})
    seen = plugin.wait_status("a throttle", lambda body: body["throttlePercent"] is not None)
    assert seen["throttlePercent"] in (30, 50, 70, 90, 99)
    assert "auto-converge" in capabilities(pair, guest)
    assert (at_work := parameters(pair, guest))["cpu-throttle-initial"] == 30
    assert at_work["cpu-throttle-increment"] == 20
    pair.source.virsh("migrate-setmaxdowntime", guest.uuid, "5000")
    plugin.success()
    assert_moved(guest, pair)


def test_zero_copy_is_in_force_where_qemu_may_lock_its_memory(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    plugin = run_plugin(guest.uuid, parallel={"connections": 2}, zeroCopy=True, bandwidthMiBPerSecond=SLOW)

    def memory_moves_or_it_has_ended() -> bool:
        # It may end while it is asked.
        plugin.signal(signal.SIGUSR1)
        line = plugin.line()
        return json.loads(line)["status"]["iteration"] >= 1 if line else plugin.process.poll() is not None

    wait_for("memory on its way, or the end", memory_moves_or_it_has_ended)
    if plugin.process.poll() is None:
        assert "zero-copy-send" in capabilities(pair, guest)
        plugin.success()
        return assert_moved(guest, pair)
    # In a container, root itself may not.
    assert "cannot limit locked memory" in plugin.error()["details"]
    assert_stayed(guest, pair)
    pytest.skip("libvirt may not let QEMU lock memory here: it tried")


# -- what is refused before the start


@pytest.mark.parametrize("keys, places", [
    ({"zeroCopy": True}, ("configuration.zeroCopy", "configuration.parallel.connections")),
    ({"zeroCopy": True, "parallel": {"connections": 2}, "tls": {"enabled": True}},
     ("configuration.zeroCopy", "configuration.tls.enabled")),
    ({"tunnelled": True, "storage": {"mode": "all"}}, ("configuration.tunnelled", "configuration.storage.mode")),
    ({"destinationXml": "<domain>"}, ("configuration.destinationXml", "not well formed")),
], ids=["alone", "tls", "tunnel", "xml"])
def test_contradictions_are_told_before_anything_starts(start_guest, run_plugin, pair, keys, places):
    guest = start_guest(**IDLE)
    error = run_plugin(guest.uuid, **keys).error()
    assert error["code"] == 6
    assert all(place in error["details"] for place in places), error["details"]
    assert_stayed(guest, pair)


@pytest.mark.parametrize("way", ["start", "check"])
def test_a_disk_that_the_guest_does_not_have_is_refused_before_the_start(start_guest, run_plugin, pair, way):
    guest = start_guest(**IDLE, disks_mib=(1,))
    plugin = run_plugin(guest.uuid, options=("--check",) if way == "check" else (),
                        storage={"mode": "all", "disks": ["vdz"]})
    error = plugin.error()
    assert error["code"] == 2
    assert "no disk \"vdz\"; it has: vda" in error["details"]
    assert_stayed(guest, pair)


# -- the way


def test_a_tunnel_leads_through_the_connection_of_the_daemons(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    data, management = bytes_sent(pair.source, "data"), bytes_sent(pair.source, "management")
    sent = run_plugin(guest.uuid, tunnelled=True).success()["transferredBytes"]
    assert bytes_sent(pair.source, "management") - management >= sent
    assert bytes_sent(pair.source, "data") - data < sent / 100
    assert_moved(guest, pair)


def test_tls_asks_for_the_name_in_the_destinations_certificate(start_guest, run_plugin, pair):
    guest = start_guest(**LIGHT)
    # Its certificate is for a name, and the migration URI has an address.
    error = run_plugin(guest.uuid, tls={"enabled": True}).error()
    assert error["code"] == 8
    assert_stayed(guest, pair)
    name = pair.destination.certificate_name
    plugin = run_plugin(guest.uuid, tls={"enabled": True, "destination": name}, bandwidthMiBPerSecond=SLOW)
    plugin.wait_migrating()
    at_work = parameters(pair, guest)
    assert at_work["tls-creds"] and at_work["tls-hostname"] == name
    pair.source.virsh("migrate-setspeed", guest.uuid, "1000")
    plugin.success()
    assert_moved(guest, pair)


def test_the_destination_listens_at_the_address_asked_for(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    seen = set()
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            listed = run(pair.destination.command(["ss", "--no-header", "--tcp", "--listening", "--numeric"]))
            seen.update(words[3] for line in listed.splitlines() if ":4915" in (words := line.split())[3])

    looking = threading.Thread(target=look)
    looking.start()
    try:
        run_plugin(guest.uuid, listenAddress=pair.destination.data_address).success()
    finally:
        done.set()
        looking.join()
    assert seen and all(address.startswith(f"{pair.destination.data_address}:") for address in seen), seen
    assert_moved(guest, pair)


def test_an_address_that_the_destination_does_not_have_is_told(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    error = run_plugin(guest.uuid, listenAddress="10.9.9.9").error()
    assert error["code"] == 8 and "Failed to bind socket" in error["details"]
    assert_stayed(guest, pair)


# -- the guest's definition


def titled(pair, guest, title: str, *options: str) -> str:
    xml = pair.source.virsh("dumpxml", "--migratable", *options, guest.uuid)
    return xml.replace("</uuid>", f"</uuid>\n  <title>{title}</title>")


def title_of(host, guest, *options: str) -> str:
    return re.search("<title>(.*)</title>", host.virsh("dumpxml", *options, guest.uuid))[1]


def test_the_guests_definition_moves_with_it(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, persistent=True)
    run_plugin(guest.uuid, persistDestination=True, undefineSource=True).success()
    assert guest.state_on(pair.source) is None
    assert "Persistent: yes" in " ".join(pair.destination.virsh("dominfo", guest.uuid).split())
    assert_moved(guest, pair)


def test_the_guest_gets_another_name_and_other_definitions(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, persistent=True)
    run_plugin(guest.uuid, persistDestination=True, destinationName=f"{guest.name}-moved",
               destinationXml=titled(pair, guest, "while it runs"),
               persistentXml=titled(pair, guest, "as defined", "--inactive")).success()
    assert pair.destination.virsh("domname", guest.uuid).strip() == f"{guest.name}-moved"
    assert title_of(pair.destination, guest) == "while it runs"
    assert title_of(pair.destination, guest, "--inactive") == "as defined"
    assert_moved(guest, pair, source_state="shut off (migrated)")


# -- disks


def copied(pair, guest, target: str) -> bool:
    ours, theirs = (guest.disk(host, target).read_bytes() for host in pair.hosts)
    return ours == theirs


def test_all_disks_are_copied(start_guest, run_plugin, pair):
    guest = start_guest(**LIGHT, disks_mib=(8, 3))
    run_plugin(guest.uuid, storage={"mode": "all"}, downtime=ENOUGH).success()
    assert copied(pair, guest, "vda") and copied(pair, guest, "vdb")
    assert_moved(guest, pair)


def test_chosen_disks_are_copied_with_synchronous_writes(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, disks_mib=(16, 3, 2))
    plugin = run_plugin(guest.uuid, unsafe=True, bandwidthMiBPerSecond=2, storage={
        "mode": "all", "disks": ["vda", "vdc"], "uri": pair.migration_uri, "synchronousWrites": True})

    def in_step() -> list[str]:
        """Disks whose writes are done when both sides have them."""
        return [job["device"] for job in qmp(pair.source, guest, "query-block-jobs") if job["actively-synced"]]

    wait_for("both disks in step", lambda: sorted(in_step()) == ["drive-virtio-disk0", "drive-virtio-disk2"])
    pair.source.virsh("migrate-setspeed", guest.uuid, "1000")
    plugin.success()
    assert copied(pair, guest, "vda") and copied(pair, guest, "vdc")
    assert not copied(pair, guest, "vdb")
    assert_moved(guest, pair)


def test_disks_are_told_in_the_status_before_the_memory(start_guest, run_plugin, pair, fits_schema):
    guest = start_guest(**IDLE, disks_mib=(64, 16))
    plugin = run_plugin(guest.uuid, bandwidthMiBPerSecond=16, storage={"mode": "all"})
    seen = plugin.wait_status("the copy of the disks", lambda body: body["phase"] == "storage")
    assert seen["diskTotalBytes"] == 80 << 20 and 0 <= seen["diskRemainingBytes"] <= seen["diskTotalBytes"]
    assert seen["totalBytes"] == 0
    fits_schema(plugin.status())
    percent = seen["progressPercent"]
    seen = plugin.wait_migrating()
    assert seen["phase"] == "precopy" and seen["diskTransferredBytes"] >= 80 << 20
    assert seen["progressPercent"] > percent
    pair.source.virsh("migrate-setspeed", guest.uuid, "1000")
    plugin.success()
    assert copied(pair, guest, "vda") and copied(pair, guest, "vdb")
    assert_moved(guest, pair)


def test_disks_that_take_too_long_end_the_migration(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, disks_mib=(64,))
    error = run_plugin(guest.uuid, bandwidthMiBPerSecond=2, storage={"mode": "all", "secondsPerGiB": 4}).error()
    assert error["code"] == 9 and "allowed for the disks" in error["details"]
    assert error["actions"][-1]["action"] == "abort"
    assert_stayed(guest, pair)


def test_disks_that_are_not_shared_are_refused_unless_asked_for(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, disks_mib=(1,))
    error = run_plugin(guest.uuid).error()
    assert error["code"] == 8 and "Unsafe migration" in error["details"]
    assert_stayed(guest, pair)
    run_plugin(guest.uuid, unsafe=True).success()
    assert not copied(pair, guest, "vda")
    assert_moved(guest, pair)


# -- other daemons


@pytest.fixture(params=["bookworm", "trixie", "forky", "trixie:forky"])
def other_pair(request):
    """libvirt 9.0 with QEMU 7.2, 11.3 with 10.0, 12.8 with 11.1; and the older to the newer."""
    with Pair.up(flavor=request.param) as pair:
        yield pair


def test_every_release_of_libvirt_and_qemu_takes_the_options(other_pair):
    pair = other_pair
    old = pair.flavors[0] == "bookworm"
    guest = pair.start_guest(**IDLE, persistent=True, disks_mib=(4,))
    keys = {"autoConverge": {"enabled": True, "initialPercent": 20}, "persistDestination": True, "undefineSource": True,
            "destinationName": "moved", "listenAddress": pair.destination.data_address, "abortOnError": True,
            "storage": {"mode": "all", "disks": ["vda"], "uri": pair.migration_uri, "synchronousWrites": True}}
    with contextlib.closing(Plugin(pair, guest.uuid, **keys, parallel={"connections": 2},
                                   compression={"methods": ["zstd"]})) as plugin:
        if old:
            error = plugin.error()
            assert error["code"] == 2 and "zstd needs libvirt 9.4.0, and the source has 9.0.0" in error["details"]
            assert guest.host() is pair.source
        else:
            plugin.success()
    if old:
        with contextlib.closing(Plugin(pair, guest.uuid, **keys, compression={"methods": ["xbzrle"]})) as plugin:
            plugin.success()
    assert guest.host() is pair.destination
    assert guest.state_on(pair.source) is None
    assert pair.destination.virsh("domname", guest.uuid).strip() == "moved"
    assert copied(pair, guest, "vda")
