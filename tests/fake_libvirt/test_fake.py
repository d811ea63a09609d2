# SPDX-License-Identifier: Apache-2.0
"""The fake itself: complete, and true to what real hosts were seen to do."""

import json
import re
import subprocess
import sys
import time

import pytest

from fake import LIBRARY, one_pass

# What asks nothing of a daemon is left to the real library.
LOCAL = re.compile(r"virTypedParams\w+|virEvent\w+|virInitialize|virSetErrorFunc|virGetVersion|virFreeError")


def symbols(path, kind, name=r"vir\w+"):
    listed = subprocess.run(["nm", "-D", path], capture_output=True, text=True, check=True).stdout
    return set(re.findall(rf" {kind} ({name})", listed))


def test_it_replaces_everything_that_a_plugin_asks_of_a_daemon(plugin):
    asked = symbols(plugin.path, "U")
    assert "virDomainMigrateToURI3" in asked
    real = {name for name in asked - symbols(LIBRARY, "T") if not LOCAL.fullmatch(name)}
    assert real == set()


def test_the_events_of_a_good_migration(any_plugin, host):
    fakes = host(setup_ms=200)
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
    fakes = host(setup_ms=200, end="failed", end_at=["pass 2", 5])
    fakes.run(any_plugin)
    assert [c.kind for c in fakes.callbacks()] == [20, 20]


def test_a_failure_in_the_last_pass_resumes_the_guest(any_plugin, host):
    fakes = host(end="failed", end_at=["switchover", 5])
    fakes.run(any_plugin)
    assert [(c.first, c.second) for c in fakes.callbacks() if c.kind == 0] == [(3, 1), (4, 0)]


def test_the_migration_survives_the_process_that_started_it(any_plugin, host):
    fakes = host(passes=[one_pass(1500, 100)], persistent=True)
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


# Without a plugin: a client in Python, through the same library.

CLIENT = """
import json, sys, threading, time
import libvirt

libvirt.registerErrorHandler(lambda *_: None, None)
source, destination = libvirt.open("fake:///source"), libvirt.open("qemu+tcp://destination/system")
guest = source.lookupByName("web")
told = {}

def attempt(call, *arguments):
    try:
        return call(*arguments)
    except libvirt.libvirtError as error:
        return error.get_error_code()

def states():
    away = attempt(destination.lookupByName, "web")
    return [attempt(guest.state), away if isinstance(away, int) else away.state()]

def migrate():
    told["migrated"] = attempt(guest.migrateToURI3, "qemu+tcp://destination/system", {}, 3)

thread = threading.Thread(target=migrate)
told["before"] = states()
thread.start()
time.sleep(0.05)
"""


@pytest.fixture
def client(host):
    """Runs the text in the first pass, with that scenario, and returns what it told."""
    if subprocess.run([sys.executable, "-c", "import libvirt"], capture_output=True).returncode != 0:
        pytest.skip("python3-libvirt is not installed")
    if symbols(LIBRARY, "U", "__[at]san_init"):
        pytest.skip("Python itself is not built with the sanitizer")

    def run(text, **scenario):
        fakes = host(**{"passes": [one_pass(200, 100)], "persistent": True, "permits_postcopy": True, **scenario})
        text = f"{CLIENT}{text}\nthread.join(10)\ntold['after'] = states()\nprint(json.dumps(told))"
        done = subprocess.run(
            [sys.executable, "-c", text], env=fakes.environment(), capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


RUNNING, GONE, INCOMING = [1, 1], 42, [3, 2]


def test_states_on_both_hosts(client):
    told = client("told['during'] = states()")
    assert told == {
        "before": [RUNNING, GONE],
        "during": [RUNNING, INCOMING],
        "migrated": 0,
        "after": [[5, 4], [1, 2]],
    }


def test_what_a_running_migration_refuses(client):
    told = client("""
away = destination.lookupByName("web")
told["second"] = attempt(guest.migrateToURI3, "qemu+tcp://destination/system", {}, 3)
told["statistics away"] = attempt(away.jobStats)
told["statistics"] = {key: guest.jobStats()[key] for key in ["type", "operation", "memory_iteration"]}
""")
    assert (told["second"], told["statistics away"]) == (55, 84)
    assert told["statistics"] == {"type": 2, "operation": 5, "memory_iteration": 1}


def test_what_plugins_of_others_may_ask(client):
    told = client("""
told["uuid"] = [guest.UUID().hex(), guest.UUIDString().replace("-", ""), source.lookupByUUID(guest.UUID()).name()]
told["where"] = [source.getURI(), source.getHostname(), source.getType(), guest.ID()]
told["job"] = guest.jobInfo()[0]
told["remaining"] = guest.jobInfo()[8]
""")
    assert told["uuid"][0] == told["uuid"][1] and told["uuid"][2] == "web"
    assert told["where"] == ["fake:///source", "source", "QEMU", 1]
    assert told["job"] == 2 and 0 < told["remaining"] < 100 << 20


def test_post_copy(client):
    told = client(
        """
guest.migrateStartPostCopy()
time.sleep(0.03)
told["during"] = states()
told["abort"] = attempt(guest.abortJob)
""",
        endless=True,
        postcopy_ms=100,
    )
    assert told["during"] == [[3, 12], [1, 10]]
    assert told["abort"] == 55
    assert told["migrated"] == 0
    assert told["after"] == [[5, 4], [1, 2]]


def test_post_copy_that_breaks(client):
    told = client("guest.migrateStartPostCopy()", endless=True, postcopy_breaks=True)
    assert told["migrated"] == 9
    assert told["after"] == [[3, 13], [1, 11]]


def test_a_guest_that_is_destroyed(client):
    told = client("guest.destroy()", endless=True)
    assert told["migrated"] == 9
    assert told["after"] == [[5, 2], GONE]


def test_libvirt_forgets_a_limit_that_was_set_during_a_failed_migration(client):
    told = client(
        """
guest.migrateSetMaxDowntime(900)
told["limit"] = guest.migrateGetMaxDowntime()
guest.abortJob()
thread.join()
told["limit afterwards"] = guest.migrateGetMaxDowntime()
""",
        endless=True,
    )
    assert told["migrated"] == 78
    assert (told["limit"], told["limit afterwards"]) == (900, 300)
    assert told["after"] == [RUNNING, GONE]
