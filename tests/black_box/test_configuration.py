# SPDX-License-Identifier: Apache-2.0
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from vmmi import ARGUMENTS, DESTINATION, TRANSPORT, configuration

# The test driver cannot migrate: with a good configuration, a run comes that far.
GOOD = 8


def default_path(plugin):
    return Path(os.environ.get("VMMI_CONFIG_DIR", "/etc/vmmi/conf.d")) / f"{plugin.name}.json"


@pytest.fixture(scope="session")
def other_etc(tmp_path_factory):
    """A copy of the folder with the system's configuration, to be laid over the real one."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace for the default configuration needs root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("mount namespaces are not permitted here")
    top = Path("/", *Path(os.environ.get("VMMI_CONFIG_DIR", "/etc/vmmi/conf.d")).parts[1:2])
    if str(top) != "/etc":
        pytest.skip(f"VMMI_CONFIG_DIR is below {top}, not below /etc")
    copy = tmp_path_factory.mktemp("etc") / "etc"
    shutil.copytree(top, copy, symlinks=True, ignore_dangling_symlinks=True)
    return copy


@pytest.fixture
def with_default(plugin, other_etc):
    """Runs the plugin where the default configuration holds that text, or where there is none."""

    def run(text, *arguments, stdin=None):
        path = other_etc / default_path(plugin).relative_to("/etc")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        wrapper = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc && exec "$@"', str(other_etc)]
        return plugin.run(*arguments, stdin=stdin, wrapper=wrapper)

    return run


# The four cases of the interface


def test_given_and_bad_is_an_error(plugin, message_file):  # CFG-1
    for text in ["", "{", "[]", "not json", configuration(verbose="much"), configuration()[:-2]]:
        failure = plugin.run(*ARGUMENTS, message_file(text)).failure
        assert failure["code"] == 6
        assert "configuration.json" in failure["details"]


def test_given_and_missing_is_an_error(plugin, tmp_path):  # CFG-1
    failure = plugin.run(*ARGUMENTS, tmp_path / "missing.json").failure
    assert failure["code"] == 3
    assert "missing.json" in failure["details"]


def test_given_and_no_file_is_an_error(plugin, tmp_path):  # CFG-1 CFG-4
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in [tmp_path, fifo, "/dev/zero"]:
        assert plugin.run(*ARGUMENTS, path).code == 3


def test_default_and_missing_goes_on_with_the_defaults(plugin, with_default):  # CFG-1 CFG-2
    printed = json.loads(with_default(None, "--print-config").output)
    assert printed["configuration"]["connection"] == "qemu:///system"
    assert with_default(None, *ARGUMENTS).code == 12, "no daemon answers in the test"


def test_default_and_bad_is_an_error(plugin, with_default):  # CFG-1
    for text in ["{", configuration(verbos=1), configuration()[:-2]]:
        failure = with_default(text, *ARGUMENTS).failure
        assert failure["code"] == 6
        assert str(default_path(plugin)) in failure["details"]


# Precedence


def test_the_default_file_comes_before_the_defaults(with_default):  # CFG-1 CFG-2
    assert with_default(configuration(), *ARGUMENTS).code == GOOD


def test_an_argument_comes_instead_of_the_default_file(with_default, message_file):  # CFG-3
    path = message_file(configuration(verbose=3))
    run = with_default("{ this is not even read", "--print-config", "-", "-", "-", path)
    assert json.loads(run.output)["configuration"]["verbose"] == 3
    run = with_default(configuration(monitorInterval=9), "--print-config", "-", "-", "-", path)
    assert json.loads(run.output)["configuration"]["monitorInterval"] == 1, "files are not merged"
    assert with_default("{", *ARGUMENTS, "-", stdin=configuration()).code == GOOD


# Standard input


def test_standard_input_may_stay_open(plugin):  # CFG-5
    with plugin.start(*ARGUMENTS, "-") as process:
        process.write(configuration())
        assert process.end().code == GOOD


def test_the_message_may_come_in_pieces(plugin):  # CFG-5
    with plugin.start(*ARGUMENTS, "-") as process:
        for piece in configuration(logFilePath='/no/} " {').replace(": ", ":\n").partition("connection"):
            process.write(piece)
            time.sleep(0.01)
        failure = process.end().failure
    assert failure["code"] == 3
    assert '/no/} \\" {' in failure["details"]


def test_what_follows_the_message_is_ignored(plugin):  # CFG-5
    assert plugin.configured(configuration() + ' } garbage { "\0').code == GOOD
    assert plugin.configured("\n \t" + configuration() + configuration(verbose="bad")).code == GOOD


def test_garbage_in_place_of_the_message_is_an_error_at_once(plugin):  # CFG-6
    for garbage in ["garbage", "[", "\0", "\ufeff{}"]:
        with plugin.start(*ARGUMENTS, "-") as process:
            process.write(garbage)
            assert process.end().code == 6


def test_an_end_before_the_message_is_an_error(plugin):  # CFG-6
    for part in ["", " ", "{", configuration()[:-1]]:
        failure = plugin.configured(part).failure
        assert failure["code"] == 6
        assert "standard input" in failure["details"]


def test_an_endless_message_is_an_error(plugin):  # CFG-14
    with plugin.start(*ARGUMENTS, "-") as process:
        try:
            while True:
                process.write('{"a": "' + "x" * 65536)
        except BrokenPipeError:
            pass
        run = process.end()
    assert run.code == 6
    assert "1048576 bytes" in run.failure["details"]


def test_many_keys_do_not_hold_it_up(plugin):  # CFG-22
    began = time.monotonic()
    keys = ",".join(f'"{number}":1' for number in range(90_000))
    assert plugin.configured("{" + keys + "}").code == 6
    assert time.monotonic() - began < 10


def test_a_closed_standard_input_is_an_error(plugin):
    run = plugin.run(*ARGUMENTS, "-", wrapper=["sh", "-c", 'exec "$@" <&-', "sh"])
    assert run.code == 4


# Contents


@pytest.mark.parametrize("version", ["0.3.0", "0.4.1"])
def test_a_known_version_is_accepted(plugin, version):  # CFG-9 VER-2
    assert plugin.configured(configuration(version=version)).code == GOOD


@pytest.mark.parametrize("version", ["0.4.2", "0.5.0", "1.0.0", "", 0.4, None])
def test_an_unknown_version_is_refused(plugin, version):  # CFG-9 VER-1
    failure = plugin.configured(configuration(version=version)).failure
    assert failure["code"] == 6
    assert "vmmiVersion" in failure["details"]


def test_a_misspelt_key_gets_the_nearest_name(plugin):  # CFG-11
    failure = plugin.configured(configuration(verbos=1)).failure
    assert failure["code"] == 6
    assert 'did you mean "verbose"?' in failure["details"]


def test_a_key_that_occurs_twice_is_refused(plugin):  # CFG-10
    text = configuration(verbose=1).replace('"verbose"', '"verbose": 0, "verbose"')
    assert plugin.configured(text).code == 6


def test_a_trailing_comma_is_refused_with_its_place(plugin):  # CFG-8
    failure = plugin.configured(configuration()[:-1] + ",\n}").failure
    assert failure["code"] == 6
    assert "line 2" in failure["details"]


def test_bad_utf8_is_refused(plugin):  # CFG-8
    assert plugin.configured(configuration().replace("test:///", "test\udcff:///")).code == 6


# Signals while it waits


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 13), (signal.SIGINT, 9)], ids=["SIGTERM", "SIGINT"])
def test_it_leaves_when_told_so_while_it_waits(plugin, number, code):  # CFG-7 SIG-7
    with plugin.start(*ARGUMENTS, "-") as process:
        process.wait_until_it_takes_signals()
        process.write('{"vmmiVersion"')
        process.signal(number)
        failure = process.end().failure
    assert failure["code"] == code
    assert "nothing was started" in failure["details"]


def test_it_says_nothing_before_it_has_the_configuration(plugin):  # PROC-8 CFG-7
    with plugin.start(*ARGUMENTS, "-") as process:
        process.wait_until_it_takes_signals()
        process.signal(signal.SIGUSR1)
        assert process.is_silent_for(0.2)
        process.write(configuration())
        run = process.end()
    assert run.completion_beside_output["error"]["code"] == GOOD
    status = [json.loads(line) for line in run.output.splitlines()]
    assert len(status) <= 1, "one for one signal"
    for message in status:
        assert message["timestamp"] <= json.loads(run.error)["timestamp"]


def test_interrupts_reach_it_in_the_background_of_a_shell(plugin):  # SIG-9
    """There, a shell ignores SIGINT for it."""
    with plugin.start(*ARGUMENTS, "-", preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) as process:
        process.wait_until_it_takes_signals()
        process.signal(signal.SIGINT)
        assert process.end().code == 9


def test_the_uris_are_not_looked_up(plugin):
    """Whether the destination answers is for the source host to find out."""
    run = plugin.run("test", DESTINATION.replace("destination", "no.such.host"), TRANSPORT, "-", stdin=configuration())
    assert run.code == GOOD
