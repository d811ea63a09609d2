# SPDX-License-Identifier: Apache-2.0
"""`schedule` on real hosts: its steps are in force in libvirt, in their order."""

from __future__ import annotations

from guests import BUSY, assert_moved, assert_stayed


def action(name: str, *params: int) -> dict:
    return {"name": name, "params": [str(param) for param in params]}


def step(limit: int, *what) -> dict:
    return {"limit": limit, "action": action(*what)}


def test_its_downtime_limits_are_in_force_in_their_order(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    steps = [step(1, "setDowntime", 60), step(2, "setDowntime", 70), step(4, "setDowntime", 80)]
    plugin = run_plugin(guest.uuid, name="schedule", bandwidthMiBPerSecond=30,
                        schedule={"init": [action("setDowntime", 50)], "stalling": steps})
    plugin.wait_migrating()
    seen = []
    while not seen or seen[-1] != 80:
        in_force = int(pair.source.virsh("migrate-getmaxdowntime", guest.uuid))
        seen += [in_force] if in_force not in seen else []
    assert seen == [50, 60, 70, 80]
    plugin.signal(2)
    actions = plugin.error()["actions"]
    assert [taken["downtimeLimitMs"] for taken in actions] == [60, 70, 80]
    for number, (taken, limit) in enumerate(zip(actions, [1, 2, 4]), 1):
        assert taken["reason"].startswith(f"step {number} of 3: pass ")
        # The first pass does not count.
        assert int(taken["reason"].split()[5]) >= limit + 2
    assert all(later["atMs"] - earlier["atMs"] >= 950 for earlier, later in zip(actions, actions[1:]))
    assert_stayed(guest, pair)


def test_post_copy_as_the_last_step_ends_what_would_not_end(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    steps = [step(1, "setDowntime", 30), step(-1, "postcopy"), step(-1, "abort")]
    plugin = run_plugin(guest.uuid, name="schedule", bandwidthMiBPerSecond=30, postcopy={"bandwidthMiBPerSecond": 40},
                        schedule={"init": [action("setDowntime", 20)], "stalling": steps})
    success = plugin.success()
    assert [taken["action"] for taken in success["actions"]] == ["setDowntime", "postcopy"]
    assert_moved(guest, pair)


def test_a_rule_aborts_when_its_time_is_over(start_guest, run_plugin, pair):
    guest = start_guest(**BUSY)
    error = run_plugin(guest.uuid, name="schedule", bandwidthMiBPerSecond=30, schedule={
        "init": [action("setDowntime", 20)],
        "rules": [{"when": {"elapsedSeconds": 6, "pauseAboveMs": 50}, "action": action("abort")}]}).error()
    assert error["code"] == 9
    assert "rule 1 of 1: 6" in error["details"] and "the rest needs a pause of" in error["details"]
    assert_stayed(guest, pair)


def test_a_pause_that_suffices_is_the_downtime(start_guest, run_plugin, pair):
    guest = start_guest(rate_mib=100)
    success = run_plugin(guest.uuid, name="schedule", schedule={
        "init": [action("setDowntime", 20)], "stalling": [step(1, "pause", 8000)]}).success()
    assert [taken["action"] for taken in success["actions"]] == ["pause"]
    assert success["endState"]["destination"] == "running"
    # From the pause on, not from the switchover on.
    assert 700 < success["downtimeMs"] < 8000
    assert_moved(guest, pair)


def test_a_pause_that_does_not_suffice_ends_in_time_and_the_guest_goes_on(start_guest, run_plugin, pair):  # FAIL-13
    guest = start_guest(rate_mib=100)
    mark = guest.mark()
    error = run_plugin(guest.uuid, name="schedule", bandwidthMiBPerSecond=10, schedule={
        "init": [action("setDowntime", 20)], "stalling": [step(-1, "pause", 700)]}).error()
    assert (error["code"], error["cause"]) == (9, "aborted-by-policy")
    assert "paused is over" in error["details"] and "running at the source" in error["details"]
    assert_stayed(guest, pair)
    assert guest.report(since=mark).downtime_seconds < 5


def test_a_pause_of_a_killed_plugin_ends_under_the_next_one(start_guest, run_plugin, pair):  # FAIL-11 FAIL-13 FAIL-14
    guest = start_guest(rate_mib=100)
    first = run_plugin(guest.uuid, name="schedule", bandwidthMiBPerSecond=10, schedule={
        "init": [action("setDowntime", 20)], "stalling": [step(-1, "pause", 4000)]})
    first.wait_status("the pause", lambda body: (body["lastAction"] or {}).get("action") == "pause")
    first.process.kill()
    first.process.wait()
    error = run_plugin(guest.uuid, bandwidthMiBPerSecond=10).error(timeout=30)
    assert (error["code"], error["cause"]) == (9, "aborted-by-policy")
    assert_stayed(guest, pair)
