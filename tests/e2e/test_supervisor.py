# SPDX-License-Identifier: Apache-2.0
"""The supervisor library and the command `vmmi` on real hosts: one call, a killed application, the examples, many at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from guests import BUSY, ENDLESS, ENOUGH, IDLE, LIGHT, TOO_LITTLE, assert_moved, assert_stayed
from plugin import PLUGINS, configuration
from testbed.system import wait_for

ROOT = Path(__file__).resolve().parents[2]
COMMAND = Path(os.environ["VMMI_COMMAND"])
LIBRARY = Path(os.environ["VMMI_LIBRARY"])


class Supervisor:
    """The command and the examples on the source host, with handles in a folder of their own."""

    def __init__(self, pair, folder: Path):
        self.pair = pair
        self.runtime = folder / "run"
        self.environment = {**os.environ, "VMMI_PLUGIN_DIR": str(PLUGINS), "VMMI_PLUGINS": str(PLUGINS),
                            "VMMI_MIGRATIONS_DIR": str(self.runtime), "VMMI_MIGRATIONS": str(self.runtime),
                            "PATH": f"{COMMAND.parent}:{os.environ['PATH']}"}

    def config(self, folder: Path, **keys) -> str:
        path = folder / "configuration.json"
        path.write_text(json.dumps(configuration(self.pair, **keys)))
        return str(path)

    def start(self, *argv, **streams) -> subprocess.Popen:
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen(self.pair.source.command([str(word) for word in argv]), env=self.environment, text=True, **streams)

    def run(self, *argv, timeout: float = 120) -> subprocess.CompletedProcess:
        return subprocess.run(self.pair.source.command([str(word) for word in argv]), env=self.environment, text=True,
                              capture_output=True, timeout=timeout)

    def vmmi(self, *arguments) -> subprocess.CompletedProcess:
        return self.run(COMMAND, *arguments)

    def wait_migrating(self, vm: str, passes: int = 1) -> dict:
        def migrating() -> dict | None:
            said = self.vmmi("status", "--json", vm)
            body = json.loads(said.stdout or "{}").get("status", {})
            return body if body.get("iteration", 0) >= passes else None

        return wait_for(f"pass {passes} of the migration", migrating, 60)


@pytest.fixture
def supervisor(pair, tmp_path):
    supervisor = Supervisor(pair, tmp_path)
    yield supervisor
    for line in supervisor.vmmi("list", "--json").stdout.splitlines():
        if (pid := json.loads(line)["pid"]) is not None:
            os.kill(pid, signal.SIGKILL)


def test_the_command_migrates_shows_the_progress_and_derives_the_migration_uri(supervisor, start_guest, pair, tmp_path):
    guest = start_guest(**BUSY)
    # The management link carries the memory here: nobody said where it goes.
    run = supervisor.vmmi("run", "--interval", "0.1", "--config", supervisor.config(tmp_path, downtime=ENOUGH),
                          guest.name, pair.destination_uri)
    assert run.returncode == 0, run.stderr
    assert "  pass " in run.stdout and "migrated in " in run.stdout
    assert_moved(guest, pair)
    assert supervisor.vmmi("list").stdout == ""


@pytest.fixture
def slow_management(pair):
    """For a memory that goes where nobody said: over the management link."""
    pair.management.slow(200)
    yield
    pair.management.fast()


# An application by the library, to be killed in mid-migration.
APPLICATION = """\
import sys, time
sys.path.insert(0, {binding!r})
from libvmmi import Context
context = Context(plugin_directory={plugins!r}, runtime_directory={runtime!r})
migration = context.start(vm={vm!r}, destination={destination!r}, migration_uri={uri!r}, plugin="precopy", configuration={text!r})
print(migration.id, flush=True)
while True:
    context.wait(1)
"""


def test_a_killed_application_is_started_anew_and_gets_the_completion(supervisor, start_guest, pair, tmp_path):  # FAIL-10
    guest = start_guest(**BUSY)
    text = APPLICATION.format(binding=str(ROOT / "tests/supervisor"), plugins=str(PLUGINS), runtime=str(supervisor.runtime),
                              vm=guest.uuid, destination=pair.destination_uri, uri=pair.migration_uri,
                              text=json.dumps(configuration(pair, downtime=ENOUGH)))
    application = supervisor.start("/usr/bin/python3", "-c", text)
    identifier = application.stdout.readline().strip()
    supervisor.wait_migrating(guest.uuid)
    application.kill()
    application.wait()
    assert application.stdout.read() == ""
    [item] = map(json.loads, supervisor.vmmi("list", "--json").stdout.splitlines())
    assert item["id"] == identifier and item["running"]
    supervisor.wait_migrating(guest.uuid)
    refused = supervisor.vmmi("run", guest.uuid, pair.destination_uri)
    assert refused.returncode == 1 and "is at work" in refused.stderr
    anew = supervisor.vmmi("attach", "--json", guest.uuid)
    assert anew.returncode == 0, anew.stderr
    completion = json.loads(anew.stdout.splitlines()[-1])["completion"]
    assert completion["result"] == "success" and completion["success"]["cause"] == "completed"
    assert_moved(guest, pair)


def test_an_end_that_nobody_saw_is_told_afterwards(supervisor, start_guest, pair, tmp_path):
    guest = start_guest(**ENDLESS)
    first = supervisor.start(COMMAND, "run", "--config", supervisor.config(tmp_path, downtime=TOO_LITTLE), guest.uuid,
                             pair.destination_uri, pair.migration_uri)
    supervisor.wait_migrating(guest.uuid, passes=2)
    first.kill()
    first.communicate()
    assert supervisor.vmmi("abort", guest.name).returncode == 0
    [item] = map(json.loads, supervisor.vmmi("list", "--json").stdout.splitlines())
    assert (item["running"], item["name"]) == (False, guest.name)
    late = supervisor.vmmi("attach", guest.name)
    assert late.returncode == 4 and "aborted" in late.stderr
    assert_stayed(guest, pair)
    assert supervisor.vmmi("list").stdout == ""


def test_a_plugin_that_is_stuck_is_killed_and_its_job_aborted(supervisor, start_guest, pair, tmp_path):
    guest = start_guest(**ENDLESS)
    run = supervisor.vmmi("run", "--background", "--config", supervisor.config(tmp_path, downtime=TOO_LITTLE), guest.uuid,
                          pair.destination_uri, pair.migration_uri)
    assert run.returncode == 0, run.stderr
    supervisor.wait_migrating(guest.uuid)
    forced = supervisor.vmmi("abort", "--force", guest.uuid)
    assert forced.returncode == 0, forced.stderr
    wait_for("the end of the job", lambda: "None" in pair.source.virsh("domjobinfo", guest.uuid), 20)
    assert guest.host() is pair.source
    assert supervisor.vmmi("attach", guest.uuid).returncode == 5, "the plugin crashed, as far as one can tell"


def test_a_check_and_a_detach(supervisor, start_guest, pair, tmp_path):
    guest = start_guest(**ENDLESS)
    config = supervisor.config(tmp_path, downtime=TOO_LITTLE)
    check = supervisor.vmmi("check", "--config", config, guest.uuid, pair.destination_uri, pair.migration_uri)
    assert (check.returncode, check.stdout) == (0, "ready\n"), check.stderr
    supervisor.vmmi("run", "--background", "--config", config, guest.uuid, pair.destination_uri, pair.migration_uri)
    supervisor.wait_migrating(guest.uuid)
    assert supervisor.vmmi("detach", guest.uuid).returncode == 0
    assert "Memory remaining" in pair.source.virsh("domjobinfo", guest.uuid), "the migration goes on"
    pair.source.virsh("domjobabort", guest.uuid)


def compiled(tmp_path: Path) -> Path:
    program = tmp_path / "supervise"
    subprocess.run(["cc", "-std=c99", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'include'}", "-o", program,
                    ROOT / "examples/supervise.c", LIBRARY, f"-Wl,-rpath,{LIBRARY.parent}"], check=True)
    return program


@pytest.mark.parametrize("language", ["c", "python", "shell"])
def test_an_example_migrates(supervisor, start_guest, pair, tmp_path, language):
    guest = start_guest(**LIGHT)
    if language == "c":
        argv = [compiled(tmp_path), guest.uuid, pair.destination_uri, pair.source.uri, PLUGINS, supervisor.runtime]
    elif language == "python":
        argv = [ROOT / "examples/supervise.py", guest.uuid, pair.destination_uri, pair.source.uri]
    else:
        argv = [ROOT / "examples/supervise.sh", guest.uuid, pair.destination_uri, "--connect", pair.source.uri]
    run = supervisor.run(*argv)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "migrated in " in run.stdout
    assert_moved(guest, pair)


def test_the_c_example_takes_up_what_its_killed_run_has_started(supervisor, start_guest, slow_management, pair, tmp_path):
    guest = start_guest(**LIGHT)
    argv = [compiled(tmp_path), guest.uuid, pair.destination_uri, pair.source.uri, PLUGINS, supervisor.runtime]
    first = supervisor.start(*argv)
    assert "%" in first.stdout.readline()
    first.kill()
    first.communicate()
    second = supervisor.run(*argv)
    assert second.returncode in (0, 1), second.stderr
    assert "%" in second.stdout and ("migrated in" in second.stdout or "migration" in second.stderr)


def test_a_domain_pointer_stands_for_the_guest(supervisor, start_guest, pair, tmp_path):
    """As an application has it that called virDomainMigrateToURI3 before."""
    guest = start_guest(**IDLE)
    text = f"""
import ctypes, sys
sys.path.insert(0, {str(ROOT / "tests/supervisor")!r})
from libvmmi import migrate, options
libvirt = ctypes.CDLL("libvirt.so.0")
for function in ("virConnectOpen", "virDomainLookupByUUIDString"):
    getattr(libvirt, function).restype = ctypes.c_void_p
connection = ctypes.c_void_p(libvirt.virConnectOpen({pair.source.uri!r}.encode()))
domain = libvirt.virDomainLookupByUUIDString(connection, {guest.uuid!r}.encode())
result = migrate(options(plugin_directory={str(PLUGINS)!r}, runtime_directory={str(supervisor.runtime)!r}), domain=domain,
                 destination={pair.destination_uri!r}, migration_uri={pair.migration_uri!r}, plugin="precopy")
print(result.code, result.destination_state.decode())
"""
    run = supervisor.run("/usr/bin/python3", "-c", text)
    assert run.stdout == "0 running\n", run.stderr
    assert_moved(guest, pair)
