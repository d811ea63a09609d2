# SPDX-License-Identifier: Apache-2.0
"""Rules of SPEC.md that the other files leave out."""

import json
import os
import re
import signal
import subprocess
import time

import pytest

from vmmi import ARGUMENTS, DESTINATION, TRANSPORT, check, configuration
from test_configuration import GOOD, default_path, other_etc  # noqa: F401

SERVED = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


def test_nothing_is_prepared_for_a_migration(plugin):  # PROC-7
    """No call is linked in that could make, define or remove anything at a host: storage, networks, secrets, guests."""
    listed = subprocess.run(["nm", "--dynamic", "--undefined-only", plugin.path], capture_output=True, text=True, check=True)
    calls = set(re.findall(r"\b(vir[A-Z]\w+)", listed.stdout))
    assert "virDomainMigrateToURI3" in calls
    assert [call for call in sorted(calls) if re.search(r"Create|Define|Delete|Undefine|Attach|Storage|Secret", call)] == []


@pytest.mark.parametrize("config", [[], ["FILE"]], ids=["default", "file"])
def test_standard_input_is_left_alone(plugin, tmp_path, config):  # PROC-10
    path = tmp_path / "file.json"
    path.write_text(configuration())
    reading, writing = os.pipe()
    os.write(writing, b"for somebody else")
    os.close(writing)
    arguments = [str(path) if argument == "FILE" else argument for argument in config]
    subprocess.run([plugin.path, *ARGUMENTS, *arguments], stdin=reading, capture_output=True, check=False)
    assert os.read(reading, 100) == b"for somebody else"
    os.close(reading)


def test_a_name_counts_where_no_uuid_does(plugin, tmp_path):  # ARG-2
    """Two guests: the name of one is the UUID of the other."""
    uuid = "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
    domain = "<domain type='test'><name>{}</name><uuid>{}</uuid><memory>8192</memory><os><type>hvm</type></os></domain>"
    other = domain.format(uuid, "6ba7b811-9dad-11d1-80b4-00c04fd430c8")
    (tmp_path / "host.xml").write_text(f"<node>{other}{domain.format('by-uuid', uuid)}</node>")
    text = configuration(connection=f"test://{tmp_path}/host.xml")
    failure = plugin.run(uuid, DESTINATION, TRANSPORT, "-", stdin=text).failure
    assert "guest by-uuid is running" in failure["details"]


def test_a_default_file_that_cannot_be_read_is_an_error(plugin, other_etc):  # CFG-1 CFG-4  # noqa: F811
    path = other_etc / default_path(plugin).relative_to("/etc")
    path.mkdir(parents=True)
    try:
        wrapper = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(other_etc)]
        failure = plugin.run(*ARGUMENTS, wrapper=wrapper).failure
    finally:
        path.rmdir()
    assert failure["code"] == 3
    assert str(default_path(plugin)) in failure["details"]


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 13), (signal.SIGINT, 9)], ids=["SIGTERM", "SIGINT"])
def test_signals_that_were_blocked_are_served(plugin, number, code):  # SIG-13
    """Sent before the program itself runs, so that there is no moment in which it is not ready for them."""

    def blocked():
        signal.pthread_sigmask(signal.SIG_BLOCK, SERVED)
        signal.raise_signal(number)

    with plugin.start(*ARGUMENTS, "-", preexec_fn=blocked) as process:
        assert process.end().code == code


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 13), (signal.SIGINT, 9)], ids=["SIGTERM", "SIGINT"])
def test_signals_that_were_ignored_are_served(plugin, number, code):  # SIG-9
    with plugin.start(*ARGUMENTS, "-", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN)) as process:
        process.wait_until_it_takes_signals()
        process.signal(number)
        assert process.end().code == code


def test_a_request_during_the_wait_is_answered_once(plugin):  # CFG-7 STAT-1 MSG-1 MSG-2
    with plugin.start(*ARGUMENTS, "-") as process:
        process.wait_until_it_takes_signals()
        for _ in range(3):
            process.signal(signal.SIGUSR1)
            time.sleep(0.05)
        process.write(configuration())
        run = process.end()
    (line,) = run.output.splitlines()
    assert run.output == line + "\n"
    check(json.loads(line), "status")
    assert json.loads(line)["timestamp"] <= json.loads(run.error)["timestamp"]
    assert run.completion_beside_output["error"]["code"] == GOOD


def test_keys_are_named_as_the_interface_has_it(plugin):  # CFG-21
    text = plugin.run("--help").output.partition("\nConfiguration keys:\n")[2]
    keys = re.findall(r"^  ([A-Za-z.\[\]]+)  \(", text, re.MULTILINE)
    assert "connection" in keys
    for key in keys:
        for word in key.replace("[]", "").split("."):
            assert re.fullmatch(r"[a-z][a-z0-9]*([A-Z][a-z0-9]*)*", word), key
    of_a_schedule = {key.split(".")[1] for key in keys if key.split(".")[0] == "schedule"}
    assert not of_a_schedule or {"init[]", "stalling[]"} <= of_a_schedule, "the name is kept for that"
