# SPDX-License-Identifier: Apache-2.0
"""The runner: every plugin of this project passes, whatever an executable does is borne, and reports are as promised."""

import json
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import jsonschema
import pytest

from calling import HERE, RUNNER, call, listed

PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]
ROOT = HERE.parent.parent
RULES = set(re.findall(r"`\[([A-Z]+-\d+)\]`", (ROOT / "SPEC.md").read_text()))
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]

if not PATHS:
    raise pytest.UsageError("VMMI_PLUGINS: the executables to test, separated by colons")


def fits(report):
    schema = json.loads((HERE / "report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(report)


@pytest.fixture
def program(tmp_path):
    """An executable of a few lines."""

    def write(text, name="program"):
        path = tmp_path / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    return write


@pytest.mark.parametrize("path", PATHS, ids=lambda path: Path(path).name)
def test_every_plugin_passes(path, tmp_path):
    verdict = call(path, folder=tmp_path)
    assert verdict.status == 0, verdict.output
    fits(verdict.report)
    permitted = {case for case, needs in listed().items() if "namespace" in needs}
    assert verdict.of("failed") == set() and verdict.of("skipped") <= permitted, verdict.output
    assert [case["id"] for case in verdict.report["cases"]] == [case for case, needs in listed().items() if "fake" in needs]
    assert verdict.report["summary"]["passed"] == len(verdict.of("passed")) > 100


@pytest.mark.skipif(os.geteuid() != 0, reason="to become somebody else needs root")
def test_it_needs_no_root(tmp_path):
    words = [*NOBODY, RUNNER, PATHS[0], "--only", "CFG-1,SIG-2,FAIL-9", "--report", "-"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd="/", timeout=120)
    if done.returncode == 2 and "Permission denied" in done.stderr:
        pytest.skip("the build folder is not for everybody")
    assert done.returncode == 0, done.stdout + done.stderr
    fits(json.loads(done.stdout))


# A plugin with no line of this project: it starts migrations, and does not know signals.
FOREIGN = """#!/usr/bin/python3
import json, os, sys, time
import libvirt

def end(code, why=""):
    failure = {"code": code, "message": "failed", "details": why or "no more is known"}
    body = {"result": "error", "error": failure} if code else {"result": "success", "success": {}}
    message = {"vmmiVersion": "0.4.1", "contentType": "completion", "timestamp": int(time.time()), "completion": body}
    os.write(2, json.dumps(message).encode() + b"\\n")
    os._exit(1 if code else 0)

libvirt.registerErrorHandler(lambda *_: None, None)
arguments = sys.argv[1:]
if len(arguments) < 3 or "" in arguments[:3]:
    end(7)
try:
    keys = json.load(open(arguments[3]))["configuration"]
except OSError as error:
    end(3, str(error))
except (ValueError, KeyError) as error:
    end(6, str(error))
try:
    source = libvirt.open(keys["connection"])
except libvirt.libvirtError as error:
    end(12, str(error))
try:
    guest = source.lookupByUUIDString(arguments[0])
except libvirt.libvirtError as error:
    end(10, str(error))
if guest.state()[0] not in (1, 3):
    end(2)
try:
    guest.migrateToURI3(arguments[1], {libvirt.VIR_MIGRATE_PARAM_URI: arguments[2]}, 3)
except libvirt.libvirtError as error:
    end(9 if error.get_error_code() == 78 else 8, str(error))
end(0)
"""


def test_a_plugin_in_another_language(program, tmp_path):
    if subprocess.run(["/usr/bin/python3", "-c", "import libvirt"], capture_output=True).returncode != 0:
        pytest.skip("python3-libvirt is not installed")
    can = ["ARG-1", "ARG-2", "ARG-5", "CFG-1.given-missing", "COMP-1", "COMP-2", "COMP-4", "FAIL-1", "FAIL-4", "FAIL-5",
           "FAIL-7", "FAIL-8", "PROC-1", "PROC-5", "PROC-9", "PROC-10", "SIG-8"]
    cannot = ["ARG-6", "ARG-7", "CFG-10", "COMP-5", "FAIL-11.precopy", "MSG-5.libraries", "MSG-9.full", "SIG-2"]
    verdict = call(program(FOREIGN, "foreign"), "--only", ",".join(can + cannot), "--patience", "4", folder=tmp_path)
    assert verdict.of("passed") - {"COMP-1.last", "FAIL-8.refused"} == set(can) - {"COMP-1.last"}, verdict.output
    assert verdict.of("failed") == set(cannot), verdict.output


# Clauses


def clauses():
    """Those that a case is about."""
    report = json.loads(call(PATHS[0], "--only", "PROC-9", "--report", "-").output)
    assert report["cases"][0]["clauses"] == ["PROC-9"]
    text = "".join(path.read_text() for path in (HERE / "cases").glob("*.py"))
    declared = re.findall(r"^@case\((.*?)\)\ndef", text, re.MULTILINE | re.DOTALL)
    assert len(declared) == len(listed())
    return {rule for words in declared for rule in re.findall(r'"([A-Z]+-\d+)[".]', words)}


def test_every_clause_is_in_a_case_or_told_to_be_in_none():
    table = re.search(r"^\| not in a case \|.*\n\|[-|]+\n((?:\|.*\n)+)", (HERE / "README.md").read_text(), re.MULTILINE)[1]
    without = set()
    for row in table.splitlines():
        without |= set(re.findall(r"[A-Z]+-\d+", row.split("|")[1]))
    covered = clauses()
    assert covered - RULES == set() and without - RULES == set(), "clauses that SPEC.md does not have"
    assert covered & without == set(), "they leave the table"
    assert RULES - covered - without == set(), "neither in a case nor in the table"


# Executables that do what they should not


def leftovers(mark):
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_bytes())
        except OSError:
            continue
    return found


# Each is seen to make a libvirt call first, or it would not be tried at all.
CALL = f'case "$VMMI_CONFORMANCE_CASE" in "") exec {PATHS[0]} "$@" ;; esac\n'
HOSTILE = {
    "hangs": 'trap "" TERM INT USR1 HUP\nwhile :; do sleep 1000; done',
    "floods": "exec yes '{\"contentType\": \"status\"}'",
    "floods both": "yes & exec yes >&2",
    "no line ends": "exec tr '\\0' x < /dev/zero",
    "braces": "exec tr '\\0' '{' < /dev/zero",
    "deep": 'for i in 1 2 3 4 5; do head -c 100000 /dev/zero | tr "\\0" "["; echo "{\\"a\\":"; done >&2; exit 1',
    "leaves children": "(setsid sleep 1000 &) ; setsid sleep 1000 & exit 1",
    "children with the streams": "setsid sleep 1000 & exec sleep 0",
    "stops itself": "kill -STOP $$",
    "crashes": "kill -SEGV $$",
    "no UTF-8": "printf '\\377\\376\\n' >&2; exit 1",
    "wrong types": """echo '{"contentType":"completion","completion":[]}' >&2
echo '{"contentType":"completion","completion":{"result":"error","error":{"code":{},"message":1}}}' >&2; exit 1""",
    "takes memory": "exec /usr/bin/python3 -c 'import time; x = b\"x\" * (3 << 30); time.sleep(1000)'",
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_whatever_it_does_is_borne(program, tmp_path, text):
    path = program(f"#!/bin/sh\n{CALL}{text}\n")
    mark = f"hostile-{os.getpid()}-{time.monotonic_ns()}"
    began = time.monotonic()
    verdict = call(path, "--only", "ARG-5,SIG-2,PROC-5", "--patience", "2", folder=tmp_path, env={"VMMI_TEST_MARK": mark})
    assert verdict.status == 1, verdict.output + verdict.error
    assert verdict.of("failed") == {"ARG-5", "SIG-2", "PROC-5"}
    fits(verdict.report)
    assert time.monotonic() - began < 60
    assert leftovers(mark) == []
    assert len(verdict.output) < 100_000
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", verdict.output)


def test_told_to_end_it_leaves_nothing(program):
    path = program(f"#!/bin/sh\n{CALL}trap '' TERM INT\nsetsid sleep 1000 & while :; do sleep 1000; done\n")
    mark = f"ended-{os.getpid()}-{time.monotonic_ns()}"
    with subprocess.Popen([RUNNER, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env={**os.environ, "VMMI_TEST_MARK": mark}) as process:
        until = time.monotonic() + 30
        while not any(b"sleep" in line for line in leftovers(mark)) and time.monotonic() < until:
            time.sleep(0.1)
        assert leftovers(mark)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    until = time.monotonic() + 5
    while leftovers(mark) and time.monotonic() < until:
        time.sleep(0.1)
    assert leftovers(mark) == []


# The command line


def test_a_failure_says_what_was_expected_and_what_was_seen(program, tmp_path):
    path = program(f"#!/bin/sh\n{CALL}echo out; echo '\x1b[31mred' >&2; exit 3\n")
    verdict = call(path, "--only", "ARG-8", folder=tmp_path)
    (case,) = verdict.report["cases"]
    assert case["result"] == "failed" and "code 5" in case["expected"] and "exit status 3" in case["seen"]
    assert case["runs"][-1]["standardOutput"] == "out\n" and case["runs"][-1]["exitStatus"] == 3
    assert verdict.output.startswith("FAILED  ARG-8 ")
    for part in ("expected: an error with code 5", "seen: no completion message", "standard output: out", "\\x1b[31mred"):
        assert part in verdict.output


def test_the_report_can_go_to_standard_output():
    verdict = call(PATHS[0], "--only", "ARG-8,NO-1", "--report", "-")
    assert verdict.status == 2 and "NO-1" in verdict.error and verdict.output == ""
    verdict = call(PATHS[0], "--only", "ARG-8", "--report", "-")
    assert verdict.status == 0
    fits(json.loads(verdict.output))
    assert verdict.error.startswith("ok      ARG-8 ")


def test_cases_are_chosen_by_the_beginning_of_their_ids(tmp_path):
    verdict = call(PATHS[0], "--only", "SIG-4,VER", folder=tmp_path)
    assert [case["id"] for case in verdict.report["cases"]] == ["VER-1", "VER-2", "SIG-4.aborted", "SIG-4.success"]


def test_arguments_behind_two_dashes_go_to_every_run():
    assert call(PATHS[0], "--only", "PROC-9", "--", "--no-such-option").status == 2
    verdict = call(PATHS[0], "--only", "PROC-9,SIG-2", "--", "--progress")
    assert verdict.status == 0, verdict.output


def test_what_cannot_be_tried_is_told_apart(program, tmp_path):
    plain = tmp_path / "plain"
    plain.write_text("x")
    for arguments, words in [
        ([], "EXECUTABLE is missing"),
        ([tmp_path / "nothing"], "no such file"),
        ([plain], "not executable"),
        ([program("\x7fELF no program")], "cannot be started"),
        (["/bin/true"], "no libvirt call"),
        ([PATHS[0], "--only", "NO-1"], "no such case"),
        ([PATHS[0], "--only", "SIG-2.hosts"], "no such case"),
        ([PATHS[0], "--patience", "0"], "--patience"),
        ([PATHS[0], "--bogus"], "--bogus"),
    ]:
        verdict = call(*arguments)
        assert verdict.status == 2, arguments
        assert words in verdict.error


def test_what_is_missing_here_is_told():
    verdict = call(PATHS[0], "--fake-library", "/no/such/library.so")
    assert verdict.status == 77
    assert "/no/such/library.so" in verdict.error and "cmake" in verdict.error
    verdict = call(PATHS[0], "--fake-library", RUNNER)
    assert verdict.status == 77 and "cannot be preloaded" in verdict.error


@pytest.mark.skipif(os.geteuid() != 0, reason="to become somebody else needs root")
def test_without_root_hosts_are_told_to_need_it():
    words = [*NOBODY, RUNNER, "/bin/true", "--hosts"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 77 and "root" in done.stderr, done.stderr


def test_help_tells_all_options():
    text = call("--help").output
    for option in ("--hosts", "--only", "--report", "--name", "--fake-library", "--jobs", "--patience", "--list"):
        assert option in text
        assert option in (HERE / "README.md").read_text()
