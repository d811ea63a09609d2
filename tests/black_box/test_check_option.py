# SPDX-License-Identifier: Apache-2.0
"""--check over libvirt's test driver, which cannot migrate: all but that can be looked at."""

import json
import os

import pytest

from vmmi import VM, check, configuration

# Nobody listens there.
URIS = ("qemu+tcp://127.0.0.2:1/system", "tcp://192.0.2.1")


def checked(plugin, *arguments, stdin=None, uris=URIS, vm=VM, **options):
    run = plugin.run("--check", vm, *uris, *arguments, stdin=stdin, **options)
    message = json.loads(run.output)
    check(message, "check")
    assert run.status == 1 and message["check"]["result"] == "not-ready"
    checks = {one["check"]: one for one in message["check"]["checks"]}
    first = next(one for one in checks.values() if one["result"] == "failed")
    assert run.completion_beside_output["error"]["code"] == first["code"]
    return checks


@pytest.mark.parametrize("vm", [VM, "test"])
def test_the_test_driver(plugin, vm):  # CHECK-2 CHECK-4
    checks = checked(plugin, "-", stdin=configuration(), vm=vm)
    assert [one["result"] for one in checks.values()] == ["passed", "passed", "passed", "failed", "failed", "passed"]
    assert checks["configuration"]["details"] == "standard input"
    assert "does not migrate" in checks["options"]["details"]
    assert "Connection refused" in checks["destination"]["details"]


def test_no_such_guest(plugin):
    checks = checked(plugin, "-", stdin=configuration(), vm="nobody")
    assert (checks["guest"]["code"], checks["options"]["result"]) == (10, "skipped")


def test_no_such_source(plugin):
    checks = checked(plugin, "-", stdin=configuration(connection="qemu+unix:///system?socket=/no/such/socket"))
    assert (checks["connection"]["code"], checks["guest"]["result"]) == (12, "skipped")


def test_too_few_descriptors_for_a_migration(plugin):  # CHECK-1
    limited = ["sh", "-c", 'ulimit -n 40; exec "$@"', "sh"]
    found = checked(plugin, "-", stdin=configuration(), wrapper=limited)["configuration"]
    assert (found["result"], found["code"]) == ("failed", 2)
    assert "ulimit -n" in found["details"]


def test_where_the_configuration_comes_from(plugin, tmp_path):
    path = tmp_path / "file.json"
    path.write_text(configuration())
    assert checked(plugin, path)["configuration"]["details"] == str(path)
    if not os.path.exists(f"/etc/vmmi/conf.d/{plugin.name}.json"):
        assert f"/etc/vmmi/conf.d/{plugin.name}.json" in checked(plugin)["configuration"]["details"]
    missing = checked(plugin, tmp_path / "missing")
    assert missing["configuration"]["code"] == 3
    assert missing["destination"]["result"] == "warning", "the source is not known"


@pytest.mark.parametrize(
    "arguments, code",
    [((), 7), ((VM, *URIS, ""), 5), ((VM, "no-uri", URIS[1]), 5), ((VM, *URIS, "-", "more"), 5), (("--bogus",), 5)],
    ids=range(5),
)
def test_wrong_arguments(plugin, arguments, code):  # CHECK-7
    assert plugin.run("--check", *arguments).code == code, "and nothing on standard output"


def test_it_shows_no_secret(plugin):  # CFG-17
    uris = ("qemu+tcp://u:hunter2@127.0.0.2:1/system", "tcp://u:hunter2@192.0.2.1")
    given = configuration(connection="test+tcp://u:hunter2@127.0.0.2:1/x")
    run = plugin.run("--check", VM, *uris, "-", stdin=given)
    assert "***" in run.output
    assert "hunter2" not in run.output + run.error


def test_a_reader_that_is_gone(plugin):  # MSG-9
    reading, writing = os.pipe()
    os.close(reading)
    with plugin.start("--check", VM, *URIS, "-", stdout=writing) as process:
        os.close(writing)
        process.write(configuration())
        assert process.process.wait(60) == 1
