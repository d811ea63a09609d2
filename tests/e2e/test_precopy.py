# SPDX-License-Identifier: Apache-2.0
"""`precopy` on real hosts, over a link slower than the guest's memory."""

from __future__ import annotations

import time

import pytest

from guests import BUSY, ENDLESS, ENOUGH, IDLE, LIGHT, TOO_LITTLE, assert_moved, assert_stayed


@pytest.mark.parametrize("load", [IDLE, LIGHT, BUSY], ids=["idle", "light", "busy"])
def test_moves_a_guest_without_a_corrupted_page(start_guest, run_plugin, pair, fits_schema, load):  # PROC-4 PROC-9 ARG-3 ARG-4 COMP-3
    guest = start_guest(**load)
    mark = guest.mark()
    plugin = run_plugin(guest.uuid, downtime=ENOUGH)
    message = plugin.completion()
    fits_schema(message)
    success = message["completion"]["success"]
    assert_moved(guest, pair)
    seen = guest.report(since=mark).downtime_seconds
    # Real downtime as libvirt tells it, beside the silence heard from outside, which has lines every 10 ms and the
    # machine's noise in it.
    assert success["downtimeMs"] / 1000 == pytest.approx(seen, abs=0.3)
    assert success["transferredBytes"] > 0 and success["iterations"] >= 1 and success["totalTimeMs"] > 0


def test_raises_the_downtime_limit_step_by_step_and_never_beyond_the_maximum(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    plugin = run_plugin(guest.uuid, downtime={"initialMs": 50, "maximumMs": 100, "steps": 3}, bandwidthMiBPerSecond=30)
    steps = [63, 79, 100]
    last = plugin.wait_status("the last step", lambda body: body["downtimeLimitMs"] == steps[-1])
    assert last["lastAction"]["action"] == "setDowntime"
    assert last["lastAction"]["downtimeLimitMs"] == steps[-1]
    assert "step 3 of 3" in last["lastAction"]["reason"]
    in_force = int(pair.source.virsh("migrate-getmaxdowntime", guest.uuid))
    assert in_force == steps[-1]
    passes = last["iteration"]
    plugin.wait_migrating(passes + 2)
    assert plugin.status()["status"]["downtimeLimitMs"] == steps[-1]
    plugin.signal(2)
    error = plugin.error()
    raises = [action for action in error["actions"] if action["action"] == "setDowntime"]
    assert [action["downtimeLimitMs"] for action in raises] == steps
    assert all(action["reason"] for action in raises)
    # One at an iteration boundary: each names a pass of its own.
    boundaries = [action["reason"].split(" begins")[0] for action in raises]
    assert len(set(boundaries)) == len(steps)
    assert_stayed(guest, pair)


def test_actions_stand_with_their_reasons_in_the_log(start_guest, run_plugin, tmp_path):
    guest = start_guest(**BUSY)
    log = tmp_path / "precopy.log"
    actions = run_plugin(guest.uuid, downtime=ENOUGH, logFilePath=str(log)).success()["actions"]
    assert actions, "a busy guest needs a raise"
    for action in actions:
        assert f"downtime limit {action['downtimeLimitMs']} ms: {action['reason']}" in log.read_text()


def test_lets_the_queue_drain_where_it_would_be_most_of_the_pause(start_guest, run_plugin, pair):
    guest = start_guest(rate_mib=200, pattern="word")
    pair.data.slow(150)
    success = run_plugin(guest.uuid).success()
    caps = [action for action in success["actions"] if action["action"] == "setBandwidth"]
    # After the first pass, which says nothing of xbzrle, and far below the link.
    assert caps[0]["reason"].startswith("pass 2 ends in") and 6 << 20 <= caps[0]["bandwidthBytesPerSecond"] <= 10 << 20
    assert [cap["bandwidthBytesPerSecond"] for cap in caps[1:]] in ([], [0])
    assert_moved(guest, pair)


def test_aborts_at_the_ceiling_and_leaves_the_guest_running_on_the_source(start_guest, run_plugin, pair):
    guest = start_guest(**ENDLESS)
    begun = time.monotonic()
    error = run_plugin(guest.uuid, downtime=TOO_LITTLE, ceiling={"secondsPerGiB": 6}).error()
    assert error["code"] == 9
    assert "the ceiling" in error["details"]
    assert error["actions"][-1]["action"] == "abort"
    # A guest of less than one GiB has the time of one.
    assert time.monotonic() - begun >= 6
    assert_stayed(guest, pair)


def test_keeps_going_at_the_ceiling_if_so_configured(start_guest, run_plugin, pair):
    guest = start_guest(**ENDLESS)
    plugin = run_plugin(guest.uuid, downtime=TOO_LITTLE, ceiling={"secondsPerGiB": 4, "action": "continue"}, xbzrle=False)
    waiting = plugin.wait_status("the ceiling", lambda body: (body["lastAction"] or {}).get("action") == "wait")
    assert "configured to continue" in waiting["lastAction"]["reason"]
    plugin.wait_migrating(waiting["iteration"] + 2)
    pair.data.fast()
    success = plugin.success()
    assert [action["action"] for action in success["actions"]] == ["wait"]
    assert_moved(guest, pair)


def test_stays_below_the_bandwidth_asked_for(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    plugin = run_plugin(guest.uuid, bandwidthMiBPerSecond=8)
    body = plugin.wait_status("traffic", lambda body: body["bandwidthBytesPerSecond"] > 0)
    assert body["bandwidthBytesPerSecond"] < 9 << 20
    plugin.success()
    assert_moved(guest, pair)


def test_a_persistent_guest_stays_defined_at_the_source(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE, persistent=True)
    success = run_plugin(guest.name).success()
    assert success["downtimeMs"] is not None
    assert_moved(guest, pair, source_state="shut off (migrated)")


def test_a_guest_paused_by_its_user_stays_paused(start_guest, run_plugin, pair):
    guest = start_guest(**IDLE)
    pair.source.virsh("suspend", guest.uuid)
    run_plugin(guest.uuid).success()
    assert guest.state_on(pair.source) is None
    assert guest.state_on(pair.destination).startswith("paused")


@pytest.mark.parametrize("broken", [{"destination_uri": "qemu+tcp://10.75.0.2:1/system"},
                                    {"migration_uri": "tcp://10.76.0.9"}], ids=["management", "data"])
def test_an_unreachable_destination_leaves_the_guest_running_on_the_source(start_guest, run_plugin, pair, fits_schema, broken):  # FAIL-8 ERR-3
    guest = start_guest(**LIGHT)
    message = run_plugin(guest.uuid, **broken).completion()
    fits_schema(message)
    error = message["completion"]["error"]
    assert error["code"] == 8
    assert "libvirt said" in error["details"]
    assert_stayed(guest, pair)


def test_the_sample_plugin_gives_up_when_its_time_is_over(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    error = run_plugin(guest.uuid, name="sample", giveUpAfterSeconds=4).error()
    assert error["code"] == 9
    assert "not done after 4 s" in error["details"]
    assert_stayed(guest, pair)
