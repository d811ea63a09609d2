# SPDX-License-Identifier: Apache-2.0
"""The fake itself: complete, and true to what real hosts were seen to do."""

import re
import subprocess
import time

import pytest

from fake import LIBRARY, one_pass

# What asks nothing of a daemon is left to the real library.
LOCAL = re.compile(r"virTypedParams\w+|virEvent\w+|virInitialize|virSetErrorFunc|virGetVersion|virFreeError")


def symbols(path, kind):
    listed = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    return set(re.findall(rf" {kind} (vir\w+)", listed))


def test_it_replaces_everything_that_a_plugin_asks_of_a_daemon(plugin):
    asked = symbols(plugin.path, "U")
    assert "virDomainMigrateToURI3" in asked
    real = {name for name in asked - symbols(LIBRARY, "T") if not LOCAL.fullmatch(name)}
    assert real == set()


def test_the_events_of_a_good_migration(any_plugin, host):
    fakes = host()
    fakes.run(any_plugin)
    lifecycle, iteration, completed = 0, 20, 21
    assert [(c.kind, c.first, c.second) for c in fakes.callbacks()] == [
        (iteration, 1, 0),
        (iteration, 2, 0),
        (iteration, 3, 0),
        (lifecycle, 3, 1),
        (lifecycle, 5, 3),
        (completed, 0, 0),
    ]


def test_a_failure_before_the_last_pass_has_no_event(any_plugin, host):
    fakes = host(end="failed", end_at=["pass 2", 5])
    fakes.run(any_plugin)
    assert [c.kind for c in fakes.callbacks()] == [20, 20]


def test_a_failure_in_the_last_pass_resumes_the_guest(any_plugin, host):
    fakes = host(end="failed", end_at=["switchover", 5])
    fakes.run(any_plugin)
    assert [(c.first, c.second) for c in fakes.callbacks() if c.kind == 0] == [(3, 1), (4, 0)]


def test_the_migration_survives_the_process_that_started_it(any_plugin, host):
    fakes = host(passes=[one_pass(200, 100)], persistent=True)
    with fakes.start(any_plugin) as run:
        run.wait_status(lambda status: status["iteration"] == 1)
        run.process.kill()
        run.process.wait()
    with fakes.start(any_plugin) as run:
        run.end()
    time.sleep(0.3)
    assert "shut off after migration" in fakes.run(any_plugin).failure["details"]
    processes = [call.process for call in fakes.calls("virConnectOpenAuth")]
    assert len(set(processes)) == 3


def test_a_scenario_that_makes_no_sense_is_not_run(any_plugin, host):
    fakes = host()
    fakes.scenario.write_text(fakes.scenario.read_text().replace("noise", "nose"))
    with fakes.start(any_plugin) as run:
        assert run.process.wait(20) == 70
    with pytest.raises(AssertionError, match="unknown key: nose"):
        fakes.calls()
