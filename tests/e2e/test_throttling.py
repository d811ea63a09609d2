# SPDX-License-Identifier: Apache-2.0
"""`converge-by-throttling` on real hosts, with a guest that writes twice as fast as the link takes it."""

from __future__ import annotations

import json
import signal
import time

import pytest

from guests import assert_moved, assert_stayed

FURIOUS = {"rate_mib": 100}  # whole pages, over 400 Mb/s: nothing but a throttle or a pause of 1.4 s gets it across
WORDS = FURIOUS | {"pattern": "word"}
SHORT = {"initialMs": 50, "maximumMs": 200}
NAME = "converge-by-throttling"


def watched(plugin) -> tuple[dict, int]:
    """The body of the completion message, and the highest throttle that any status message told before."""
    highest = 0
    while plugin.process.poll() is None:
        plugin.signal(signal.SIGUSR1)
        line = plugin.line(timeout=1)
        if line is not None:
            highest = max(highest, json.loads(line)["status"]["throttlePercent"] or 0)
        time.sleep(0.05)
    return plugin.completion()["completion"], highest


@pytest.fixture
def throttle(start_guest, run_plugin):
    """A furious guest under the plugin."""

    def start(load=FURIOUS, **keys):
        guest = start_guest(**load)
        time.sleep(5)  # at its own rate, which is measured over so long
        mark = guest.mark()
        return guest, mark, run_plugin(guest.uuid, name=NAME, **keys)

    return start


def test_converges_within_the_throttle_and_the_pause_that_are_allowed(throttle, pair, fits_schema):
    guest, _, plugin = throttle()
    fits_schema(plugin.status())
    completion, highest = watched(plugin)
    success = completion["success"]
    assert_moved(guest, pair)
    assert 0 < highest <= 80
    lost = success["workLostMs"]
    assert lost["throttle"] > 0 and lost["pause"] == success["downtimeMs"] <= 1000 and lost["postcopy"] == 0


def test_a_guest_that_writes_little_of_each_page_is_hardly_throttled(throttle, pair):
    guest, _, plugin = throttle(WORDS)
    lost = plugin.success()["workLostMs"]
    assert_moved(guest, pair)
    assert lost["throttle"] < 700


def test_an_abort_leaves_the_guest_unthrottled(throttle, pair):
    guest, mark, plugin = throttle(throttle={"maximumPercent": 40}, downtime=SHORT)
    completion, highest = watched(plugin)
    error = completion["error"]
    assert error["cause"] == "aborted-by-policy"
    assert "throttle" in error["details"]
    assert 0 < highest <= 40
    assert_stayed(guest, pair)
    begun = guest.mark()
    time.sleep(5)
    report = guest.report(since=begun)
    before = guest.report(since=mark).rate_before_mib
    assert report.rate_mib > 0.8 * before


def test_useless_throttling_goes_on_if_so_configured(throttle, pair):
    guest, _, plugin = throttle(throttle={"maximumPercent": 20}, downtime=SHORT, whenThrottlingFails="continue")
    waiting = plugin.wait_status("the failure", lambda body: (body["lastAction"] or {}).get("action") == "wait")
    assert "configured to continue" in waiting["lastAction"]["reason"]
    plugin.wait_migrating(waiting["iteration"] + 2)
    pair.data.fast()
    plugin.success()
    assert_moved(guest, pair)


def test_useless_throttling_ends_in_a_bounded_pause_if_so_configured(throttle, pair):
    guest, _, plugin = throttle(throttle={"maximumPercent": 20}, downtime=SHORT, whenThrottlingFails="pause",
                                pause={"maximumMs": 6000})
    completion, highest = watched(plugin)
    success = completion["success"]
    assert highest <= 20
    assert success["actions"][-1]["action"] == "pause"
    assert success["actions"][-1]["longestMs"] == 6000
    assert success["downtimeMs"] <= 6000
    assert_moved(guest, pair)


def test_a_pause_that_is_known_not_to_suffice_is_not_even_tried(throttle, pair):
    guest, _, plugin = throttle(throttle={"maximumPercent": 20}, downtime=SHORT, whenThrottlingFails="pause",
                                pause={"maximumMs": 300})
    error = plugin.error()
    assert error["cause"] == "aborted-by-policy"
    assert "longer than the 300 ms" in error["details"]
    assert error["workLostMs"]["pause"] == 0
    assert_stayed(guest, pair)
