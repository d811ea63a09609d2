# SPDX-License-Identifier: Apache-2.0
"""--check: what it finds out, that it only reads, and that nothing keeps it."""

import json
import signal
import time
from pathlib import Path

import pytest

from fake import OTHER_VM, VM, check, error, guest, hang, lose, refuse

CHECKS = ["configuration", "connection", "guest", "options", "destination", "migrationUri"]
# Nothing is to be looked up for it.
DESTINATION = "qemu+tcp://192.0.2.1/system"
URIS = (DESTINATION, "tcp://192.0.2.1")
READING = {
    "virConnectOpenAuth",
    "virConnectSetKeepAlive",
    "virConnectGetHostname",
    "virConnectGetType",
    "virConnectGetVersion",
    "virConnectGetLibVersion",
    "virConnectGetCapabilities",
    "virDomainLookupByUUIDString",
    "virDomainLookupByName",
    "virDomainGetInfo",
    "virDomainGetJobStats",
    "virDomainIsPersistent",
    "virConnectClose",
}

OF_UNUSUAL_GUESTS = {"virDomainGetState"}
# Where the policy asks for post-copy or copies of disks.
OF_DEVICES = {"virDomainGetXMLDesc"}


def start(fakes, plugin, **options):
    options.setdefault("uris", URIS)
    return fakes.start(plugin, options=("--check",), **options)


class Report:
    """A run, held against the rules that hold for every one."""

    def __init__(self, run):
        assert run.output.endswith("\n") and run.output.count("\n") == 1, run.output + run.error
        message = json.loads(run.output)
        check(message, "check")
        self.body = message["check"]
        self.checks = {one["check"]: one for one in self.body["checks"]}
        assert list(self.checks) == CHECKS
        failed = [one for one in self.body["checks"] if one["result"] == "failed"]
        self.ready = self.body["result"] == "ready"
        assert self.ready == (failed == [])
        assert run.status == (0 if self.ready else 1)
        if self.ready:
            assert run.error == ""
        else:
            completion = run.completion_beside_output["error"]
            assert (completion["code"], completion["details"]) == (failed[0]["code"], failed[0]["details"])
            assert completion["cause"] == "not-started"
            assert json.loads(run.error)["timestamp"] >= message["timestamp"]

    def results(self):
        return [one["result"] for one in self.body["checks"]]

    def unusual(self):
        return {name: one["result"] for name, one in self.checks.items() if one["result"] != "passed"}

    def __getitem__(self, name):
        return self.checks[name]


def report(fakes, plugin, **options):
    with start(fakes, plugin, **options) as run:
        return Report(run.end())


@pytest.mark.parametrize("vm", [VM, "web"])
def test_all_is_well(plugin, host, vm):  # CHECK-2 CHECK-3
    fakes = host()
    found = report(fakes, plugin, vm=vm)
    assert found.unusual() == {}
    facts = {"libvirt": "9.0.0", "hypervisor": "QEMU", "hypervisorVersion": "7.2.0"}
    assert (found.body["versions"]["source"], found.body["versions"]["destination"]) == (facts, facts)
    assert found.body["policy"] == plugin.name


def files(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*")}


def runtime_data():
    return {path.name for path in Path("/run").glob("vmmi*")}


@pytest.mark.parametrize("state", ["running", "paused", "shutoff"])
def test_it_changes_nothing(plugin, host, state, tmp_path):  # CHECK-1
    fakes = host(state=state)
    work = tmp_path / "work"
    work.mkdir()
    (work / "old.log").touch()
    before = files(work), runtime_data()
    for log in ["new.log", "old.log"]:
        found = report(fakes, plugin, logFilePath=str(work / log), verbose=3)
        assert found["configuration"]["result"] == "passed"
    assert (files(work), runtime_data()) == before
    assert set(fakes.names()) <= READING | OF_UNUSUAL_GUESTS | OF_DEVICES
    assert {call.answer for call in fakes.calls("virConnectClose")} == {0}


def test_a_migration_is_taken_over_and_not_touched(plugin, host):  # CHECK-1
    fakes = host(running_since_ms=5, endless=True)
    found = report(fakes, plugin)
    assert found.unusual() == {"guest": "warning", "options": "skipped"}
    assert "taken over" in found["guest"]["details"]
    assert set(fakes.names()) <= READING | OF_UNUSUAL_GUESTS | OF_DEVICES


def test_another_job_is_in_the_way(plugin, host):
    found = report(host(backup=True), plugin)
    assert found.unusual() == {"guest": "failed"}
    assert "no migration, such as a save or a backup" in found["guest"]["details"]


def test_a_guest_that_does_not_run(plugin, host):
    found = report(host(state="shutoff"), plugin)
    assert found.unusual() == {"guest": "failed"}
    assert found["guest"]["code"] == 2


def test_no_such_guest(plugin, host):  # CHECK-4 CHECK-5
    found = report(host(), plugin, vm="nobody")
    assert found.unusual() == {"guest": "failed", "options": "skipped"}
    assert found["guest"]["code"] == 10


def test_the_guest_is_at_the_destination_only(plugin, host):
    found = report(host(guests=[guest(host="destination")]), plugin)
    assert found["guest"]["code"] == 10


# The destination


def test_the_guest_is_there_already(plugin, host):
    found = report(host(guests=[guest(), guest(host="destination")]), plugin)
    assert found.unusual() == {"destination": "failed"}
    assert "is running there" in found["destination"]["details"]


def test_its_definition_there_is_in_nobodys_way(plugin, host):
    assert report(host(guests=[guest(), guest(host="destination", state="shutoff")]), plugin).ready


@pytest.mark.parametrize("state", ["running", "shutoff"])
@pytest.mark.parametrize("name, uuid", [("web", OTHER_VM), ("db", VM)], ids=["name", "uuid"])
def test_another_guest_is_in_the_way(plugin, host, state, name, uuid):
    found = report(host(guests=[guest(), guest(host="destination", name=name, uuid=uuid, state=state)]), plugin)
    assert found.unusual() == {"destination": "failed"}
    assert "db" in found["destination"]["details"] or OTHER_VM in found["destination"]["details"]


@pytest.mark.parametrize("key", ["name", "uuid"])
def test_the_destination_is_the_source(plugin, host, key):
    found = report(host(facts={f"{side}_facts": {key: "the-same"} for side in ("source", "destination")}), plugin)
    assert found.unusual() == {"destination": "failed"}
    assert "the-same" in found["destination"]["details"]


def test_an_older_hypervisor_is_a_warning(plugin, host):
    found = report(host(facts={"source_facts": {"hypervisor": 8_000_000}}), plugin)
    assert found.unusual() == {"destination": "warning"}


@pytest.mark.parametrize("uri", ["fake:///destination", "fake://localhost/system"])
def test_no_other_host_is_named(plugin, host, uri):
    found = report(host(), plugin, uris=(uri, URIS[1]))
    assert found.unusual() == {"destination": "failed"}


def test_an_unreachable_destination(plugin, host):
    found = report(host(destination="unreachable"), plugin)
    assert found.unusual() == {"destination": "failed"}
    assert "Connection refused" in found["destination"]["details"]
    assert found.body["versions"]["destination"] is None


@pytest.mark.parametrize("code", [45, 79, 88])
def test_a_destination_that_wants_other_credentials_is_a_warning(plugin, host, code):
    found = report(host(refuse(error(code, 7), "virConnectOpenAuth", host="destination")), plugin)
    assert found.unusual() == {"destination": "warning"}
    assert "its own credentials" in found["destination"]["details"]


def test_what_only_the_sources_daemon_can_tell(plugin, host):
    fakes = host(refuse(error(88, 0), "virDomainLookupByName", host="destination"))
    assert report(fakes, plugin).unusual() == {"destination": "warning"}


# Options


def test_a_hypervisor_that_does_not_migrate(plugin, host):
    capabilities = "<capabilities><host><uuid>1</uuid></host></capabilities>"
    found = report(host(facts={"source_facts": {"capabilities": capabilities}}), plugin)
    assert found.unusual() == {"options": "failed"}


@pytest.mark.parametrize("capabilities", ["", "no xml", "<capabilities><host>", "<" * 100_000, "<a>" * 100_000], ids=range(5))
def test_capabilities_may_be_anything(plugin, host, capabilities):
    facts = {f"{side}_facts": {"capabilities": capabilities} for side in ("source", "destination")}
    assert report(host(facts=facts), plugin).ready


def test_a_host_that_tells_nothing_of_itself(plugin, host):
    silent = [name for name in READING if name.startswith("virConnectGet")]
    found = report(host(refuse(error(3, 0), *silent)), plugin)
    assert found.ready
    nothing = {"libvirt": None, "hypervisor": None, "hypervisorVersion": None}
    assert found.body["versions"]["source"] == found.body["versions"]["destination"] == nothing


def test_an_old_libvirt_is_a_warning(plugin, host):
    found = report(host(facts={"source_facts": {"libvirt": 7_000_000}}), plugin)
    assert found.unusual() == {"options": "warning"}


# The migration URI


@pytest.mark.parametrize("uri", ["tcp://localhost", "tcp:127.0.0.1", "rdma://[::1]", "tcp://", "http://192.0.2.1"])
def test_a_migration_uri_that_makes_no_sense(plugin, host, uri):
    found = report(host(), plugin, uris=(DESTINATION, uri))
    assert found["migrationUri"]["result"] == "failed" and found["migrationUri"]["code"] == 5


def test_a_host_that_cannot_be_looked_up(plugin, host):
    found = report(host(), plugin, uris=(DESTINATION, "tcp://host.invalid"))
    assert found.unusual() == {"migrationUri": "failed"}
    assert "host.invalid" in found["migrationUri"]["details"]


# Everything that can be checked is.


def test_a_bad_configuration(plugin, host):  # CHECK-5
    found = report(host(), plugin, verbose=7, uris=(DESTINATION, "tcp://localhost"))
    assert found.results() == ["failed", "skipped", "skipped", "skipped", "passed", "failed"]
    assert found["configuration"]["code"] == 6
    assert all(one["details"] for one in found.body["checks"])


def test_a_contradiction(precopy, host):  # CHECK-5 CFG-13
    found = report(host(), precopy, downtime={"initialMs": 900, "maximumMs": 100})
    assert found.unusual() == {"configuration": "failed", "options": "skipped"}
    assert found["configuration"]["code"] == 6


def test_a_bad_log(plugin, host, tmp_path):  # CHECK-5
    found = report(host(), plugin, logFilePath=str(tmp_path / "missing" / "log"))
    assert found.unusual() == {"configuration": "failed"}
    assert found["configuration"]["code"] == 3


@pytest.mark.parametrize("path", ["missing/runtime", "file"])
def test_a_bad_runtime_directory(plugin, host, tmp_path, path):  # CHECK-1 CHECK-5
    (tmp_path / "file").touch()
    found = report(host(), plugin, runtimeDirectory=str(tmp_path / path))
    assert found.unusual() == {"configuration": "failed"}
    assert found["configuration"]["code"] == 3
    assert f'runtimeDirectory: "{tmp_path / path}"' in found["configuration"]["details"]


def test_a_runtime_directory_is_not_made(plugin, host, tmp_path):  # CHECK-1
    assert report(host(), plugin, runtimeDirectory=str(tmp_path / "new")).unusual() == {}
    assert not (tmp_path / "new").exists()


def test_a_bad_password_file(plugin, host, tmp_path):  # CHECK-5
    found = report(host(), plugin, connectionCredentials={"passwordFile": str(tmp_path / "missing")})
    assert found.results() == ["failed", "failed", "skipped", "skipped", "passed", "passed"]
    assert (found["configuration"]["code"], found["connection"]["code"]) == (3, 3)


def test_all_that_is_wrong_is_told(plugin, host, tmp_path):  # CHECK-5
    keys = {"connectionCredentials": {"passwordFile": "/no/password"}, "logFilePath": "/no/folder/log"}
    found = report(host(destination="unreachable"), plugin, uris=(DESTINATION, "tcp://localhost"), **keys)
    assert found.results() == ["failed", "failed", "skipped", "skipped", "failed", "failed"]
    for path in ["/no/password", "/no/folder/log"]:
        assert path in found["configuration"]["details"]


# Lost and hanging


# The calls to the source up to the last answer, as they are where the guest has the UUID.
ASKING = READING - {"virConnectClose", "virDomainLookupByName"}


@pytest.mark.parametrize("call", sorted(ASKING - {"virConnectOpenAuth"}))
def test_a_connection_that_is_lost_on_the_way(plugin, host, call):
    found = report(host(lose(call, host="source")), plugin)
    assert found.unusual() == {"guest": "failed", "options": "skipped"}
    assert found["guest"]["code"] == 12




@pytest.mark.parametrize("call", sorted(ASKING))
def test_a_hanging_source_is_not_waited_for(any_plugin, host, call):  # CHECK-6
    fakes = host(hang(call, host="source"))
    began = time.monotonic()
    found = report(fakes, any_plugin, connectionTimeout=2)
    assert 1.9 < time.monotonic() - began < 4
    broken = "guest" if call.startswith("virDomain") else "connection"
    assert found[broken]["result"] == "failed" and found[broken]["code"] == 12
    assert (found["destination"]["result"], found["migrationUri"]["result"]) == ("passed", "passed")


@pytest.mark.parametrize("call", ["virConnectOpenAuth", "virConnectGetCapabilities", "virDomainLookupByName"])
def test_a_hanging_destination_is_not_waited_for(plugin, host, call):  # CHECK-6
    fakes = host(hang(call, host="destination"))
    began = time.monotonic()
    found = report(fakes, plugin, connectionTimeout=2)
    assert 1.9 < time.monotonic() - began < 4
    assert found.unusual() == {"destination": "warning" if call == "virDomainLookupByName" else "failed"}


def test_a_hanging_end_is_not_waited_for(any_plugin, host):  # CHECK-6
    fakes = host(hang("virConnectClose"))
    began = time.monotonic()
    assert report(fakes, any_plugin, connectionTimeout=2).ready
    assert time.monotonic() - began < 4


# Signals


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 13), (signal.SIGINT, 9)], ids=["SIGTERM", "SIGINT"])
def test_told_to_leave(plugin, host, side, number, code):  # CHECK-8 SIG-7
    fakes = host(hang("virConnectOpenAuth", host=side))
    with start(fakes, plugin) as run:
        fakes.wait_for("virConnectOpenAuth", 2)
        ended, took = run.leave(number)
    assert ended.code == code, "and nothing on standard output"
    assert "nothing was started" in ended.failure["details"]
    assert took < 1000


def test_a_status_is_not_told(plugin, host):  # CHECK-8
    fakes = host(hang("virConnectGetCapabilities", host="destination"))
    with start(fakes, plugin, connectionTimeout=2) as run:
        for _ in range(3):
            run.signal(signal.SIGUSR1)
            fakes.wait_for("virConnectGetCapabilities")
            time.sleep(0.05)
        Report(run.end())


def test_signals_are_served_while_the_configuration_is_awaited(plugin, host):  # CHECK-8
    fakes = host()
    for number, code in [(signal.SIGTERM, 13), (signal.SIGINT, 9)]:
        argv = ["--check", VM, *URIS, "-"]
        with plugin.start(*argv, env=fakes.environment()) as process:
            process.wait_until_it_takes_signals()
            process.signal(signal.SIGUSR1)
            process.signal(number)
            assert process.end().code == code
    assert fakes.calls() == []


# Calls


def test_no_call_on_the_main_thread_and_no_connection_of_two_threads(plugin, host):
    fakes = host()
    report(fakes, plugin)
    calls = fakes.calls()
    assert [call.name for call in calls if call.thread == call.process] == []
    for number in {call.connection for call in calls} - {0}:
        assert len({call.thread for call in calls if call.connection == number}) == 1


def test_a_migration_follows_a_good_check(plugin, host):
    fakes = host()
    assert report(fakes, plugin).ready
    assert fakes.run(plugin).completion["result"] == "success"
