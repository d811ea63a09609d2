# SPDX-License-Identifier: Apache-2.0
import json
import subprocess

import pytest

from vmmi import ARGUMENTS, DESTINATION, TRANSPORT, VM, configuration


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_goes_to_standard_output(plugin, option):  # ARG-11
    run = plugin.run(option)
    assert (run.status, run.error) == (0, "")
    assert run.output.startswith(f"{plugin.name}: ")
    assert f"Usage: {plugin.name} " in run.output


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_version_names_plugin_and_interface(plugin, option):  # ARG-11
    run = plugin.run(option)
    assert (run.status, run.error) == (0, "")
    name, version, interface = run.output.strip().split(" ", 2)
    assert name == plugin.name
    assert version[0].isdigit()
    assert interface == "(VMMI 0.4.1)"


@pytest.mark.parametrize(
    "arguments", [(), (VM,), (VM, DESTINATION), (VM, "", TRANSPORT), ("--progress",)], ids=lambda a: f"{len(a)}"
)
def test_missing_arguments(plugin, arguments):  # ARG-5
    assert plugin.run(*arguments).code == 7


@pytest.mark.parametrize(
    "arguments",
    [
        (*ARGUMENTS, "-", "more"),
        (*ARGUMENTS, ""),
        ("--bogus", *ARGUMENTS),
        ("-x",),
        (VM, "no-uri", TRANSPORT),
        (VM, DESTINATION, "/no/uri"),
        ("a\nb", DESTINATION, TRANSPORT),
        (VM, "qemu:///a\x1b", TRANSPORT),
    ],
    ids=range(8),
)
def test_malformed_arguments(plugin, arguments):  # ARG-6 ARG-7 ARG-8
    failure = plugin.run(*arguments).failure
    assert failure["code"] == 5
    assert "--help" in failure["details"]
    assert not any(ord(character) < 0x20 for character in failure["details"])


def test_an_error_shows_no_secret(plugin):  # CFG-17
    for arguments in [(*ARGUMENTS, "-", "qemu://u:hunter2@h/system"), (VM, "1qemu?password=hunter2", TRANSPORT)]:
        run = plugin.run(*arguments)
        assert run.code == 5
        assert "hunter2" not in run.error


def test_bytes_that_are_no_utf8_come_back_as_valid_json(plugin):  # MSG-1
    done = subprocess.run(
        [plugin.path.encode(), b"\xff\xfe", b"\xff", b"tcp://h"], capture_output=True, stdin=subprocess.DEVNULL
    )
    assert json.loads(done.stderr.decode("utf-8"))["completion"]["error"]["code"] == 5


def test_arguments_are_checked_before_the_configuration_is_read(plugin):  # ARG-10
    with plugin.start(VM, DESTINATION) as process:
        assert process.end().code == 7


def test_print_config_needs_no_guest(plugin, message_file):  # CFG-2
    assert plugin.printed()["configuration"]["connection"] == "qemu:///system"
    path = message_file(configuration(verbose=2))
    for leading in [("-", "-", "-"), ARGUMENTS]:
        assert plugin.printed(*leading, path)["configuration"]["verbose"] == 2


def test_print_config_prints_what_it_accepts(plugin, message_file):
    given = configuration(logFilePath="/tmp/x", connectionCredentials={"username": "u"}, monitorInterval=7)
    once = plugin.printed(*ARGUMENTS, "-", stdin=given)
    assert once["configuration"]["monitorInterval"] == 7
    assert once["configuration"]["logTarget"] == "file"
    assert plugin.printed(*ARGUMENTS, message_file(json.dumps(once))) == once
    defaults = plugin.printed()
    assert plugin.printed(*ARGUMENTS, "-", stdin=json.dumps(defaults)) == defaults


def test_print_config_masks_secrets(plugin):  # CFG-17
    given = configuration(connection="qemu+tcp://u:hunter2@h/system?password=hunter2")
    run = plugin.run("--print-config", "-", "-", "-", "-", stdin=given)
    assert run.status == 0
    assert "hunter2" not in run.output
    assert "qemu+tcp://u:***@h/system?password=***" in run.output


def test_print_config_refuses_a_bad_configuration(plugin):
    assert plugin.run("--print-config", "-", "-", "-", "-", stdin=configuration(verbos=1)).code == 6
    assert plugin.run("--print-config", "-", "-", "-", "/no/such/file").code == 3
