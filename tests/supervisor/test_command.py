# SPDX-License-Identifier: Apache-2.0
"""The command `vmmi`, over scripted plugins and over the fake libvirt."""

import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conftest import OTHER, VM

ROOT = Path(__file__).parents[2]
COMMAND = os.environ["VMMI_COMMAND"]
ARGUMENTS = [VM, "qemu+tcp://192.0.2.1/system"]  # an address that is nobody's, and needs no name server
COMPLETIONS = ROOT / "src/command/completion"
HELP = subprocess.run([COMMAND, "--help"], capture_output=True, text=True).stdout

sys.path.insert(0, str(ROOT / "tests/fake_libvirt"))

from scenario import SOURCE, FakeHosts, one_pass  # noqa: E402


class Vmmi:
    def __init__(self, scripts):
        self.scripts = scripts
        self.environment = {**os.environ, "VMMI_PLUGIN_DIR": str(scripts.folder), "VMMI_MIGRATIONS_DIR": str(scripts.runtime)}

    def __call__(self, *arguments, **more):
        return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=60,
                              env=self.environment | more.pop("env", {}), **more)

    def start(self, *arguments, **streams):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        return subprocess.Popen([COMMAND, *map(str, arguments)], text=True, env=self.environment, **streams)

    def wait_listed(self):
        until = time.monotonic() + 20
        while not (names := self("list", "--names").stdout):
            assert time.monotonic() < until
            time.sleep(0.02)
        return names.strip()

    def background(self, body="serve()", *more):
        self.scripts.write(body)
        run = self("run", "--policy", "scripted", "--background", *more, *ARGUMENTS)
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()


@pytest.fixture
def vmmi(scripts):
    return Vmmi(scripts)


def test_a_migration_is_shown_in_lines_where_there_is_no_terminal(vmmi, tmp_path):
    vmmi.scripts.write(f"serve(until={str(tmp_path / 'done')!r})")
    run = vmmi.start("run", "--policy", "scripted", "--interval", "0.1", *ARGUMENTS)
    assert run.stdout.readline() == " 42%  precopy\n"
    (tmp_path / "done").touch()
    output, error = run.communicate(timeout=20)
    assert run.returncode == 0 and output.endswith("migrated\n") and error == "" and "\r" not in output
    assert vmmi("list").stdout == ""


def test_messages_are_passed_on_for_machines(vmmi, tmp_path):
    vmmi.scripts.write(f"serve(until={str(tmp_path / 'done')!r})")
    run = vmmi.start("run", "--policy", "scripted", "--json", "--interval", "0.1", *ARGUMENTS)
    assert json.loads(run.stdout.readline())["status"]["progressPercent"] == 42
    (tmp_path / "done").touch()
    output, _ = run.communicate(timeout=20)
    assert json.loads(output.splitlines()[-1])["completion"]["result"] == "success"


@pytest.mark.parametrize("body, status", [("end()", 0), ("end(8)", 1), ("end(6)", 2), ("end(10)", 3), ("end(9)", 4), ("end(12)", 5),
                                          ("end(13)", 5), ("os._exit(3)", 5), ("os.write(2, b'x'); os._exit(0)", 5), ("end(100)", 1)])
def test_the_exit_status_tells_how_it_ended(vmmi, body, status):
    vmmi.scripts.write(body)
    run = vmmi("run", "--policy", "scripted", *ARGUMENTS)
    assert run.returncode == status, run.stderr
    assert (run.stderr == "") == (status == 0)


def test_a_missing_plugin_and_a_wrong_call_are_told(vmmi):
    assert vmmi("run", "--policy", "scripted", *ARGUMENTS).returncode == 3
    assert vmmi("run", "--policy", "../scripted", *ARGUMENTS).returncode == 3
    assert vmmi("run", VM).returncode == vmmi().returncode == vmmi("nonsense").returncode == 2
    assert vmmi("run", "--config", "/nowhere", *ARGUMENTS).returncode == 2
    assert "no such migration" in vmmi("status", VM).stderr and vmmi("status", VM).returncode == 3
    assert json.loads(vmmi("status", "--json", VM).stdout)["error"]["code"] == -11


def test_plugins_are_listed_and_checks_made_without_a_runtime_directory(vmmi):
    vmmi.environment["VMMI_MIGRATIONS_DIR"] = "/nowhere/to/be/found"
    vmmi.scripts.write("print('scripted 1.2 (VMMI 0.4.1)')")
    assert vmmi("plugins", "--names").stdout == "scripted\n"
    assert "not a check" in vmmi("check", "--policy", "scripted", *ARGUMENTS).stderr
    assert "bad runtime directory" in vmmi("list").stderr


def test_a_variable_without_a_value_is_refused(vmmi):
    vmmi.scripts.write("end()")
    refused = vmmi("run", "--policy", "scripted", "--env", "FOO", *ARGUMENTS)
    assert refused.returncode == 2 and '"FOO" is no NAME=value' in refused.stderr


def test_a_configuration_that_is_none_is_not_read_to_its_end(vmmi, tmp_path):
    endless = vmmi("run", "--config", "/dev/zero", *ARGUMENTS)
    assert endless.returncode == 2 and "/dev/zero: longer than 1048576 bytes" in endless.stderr
    cut = tmp_path / "cut.json"
    cut.write_bytes(b'{"vmmiVersion": "0.4.1"\0}')
    refused = vmmi("run", "--config", cut, *ARGUMENTS)
    assert refused.returncode == 2 and "byte 24 is a zero" in refused.stderr
    folder = vmmi("run", "--config", tmp_path, *ARGUMENTS)
    assert folder.returncode == 2 and "Is a directory" in folder.stderr


def test_from_another_shell_it_is_listed_asked_and_aborted(vmmi):
    identifier = vmmi.background()
    [item] = map(json.loads, vmmi("list", "--json").stdout.splitlines())
    assert (item["id"], item["vm"], item["running"], item["migrationUri"]) == (identifier, VM, True, "tcp://192.0.2.1")
    assert re.search(rf"{VM} +scripted +running +0:00:\d\d  qemu\+tcp", vmmi("list").stdout)
    assert vmmi("status", VM).stdout == " 42%  precopy\n"
    assert json.loads(vmmi("status", "--json", identifier).stdout)["status"]["progressPercent"] == 42
    busy = vmmi("run", "--policy", "scripted", *ARGUMENTS)
    assert busy.returncode == 1 and "is at work" in busy.stderr
    assert vmmi("abort", VM).returncode == 0
    assert "ended" in vmmi("list").stdout
    assert vmmi("status", VM).returncode == 4
    assert vmmi("attach", VM).returncode == 4
    assert vmmi("list").stdout == ""


def test_detaching_is_done_when_the_plugin_has_left(vmmi):
    vmmi.background()
    assert vmmi("detach", VM).returncode == 0
    assert vmmi("attach", VM).returncode == 5


def test_a_killed_command_is_picked_up_by_attach(vmmi, tmp_path):
    vmmi.scripts.write(f"serve(until={str(tmp_path / 'done')!r})")
    first = vmmi.start("run", "--policy", "scripted", *ARGUMENTS)
    vmmi.wait_listed()
    first.kill()
    first.communicate()
    second = vmmi.start("attach", "--interval", "0.1", VM)
    assert second.stdout.readline() == " 42%  precopy\n"
    (tmp_path / "done").touch()
    assert second.communicate(timeout=20)[0].endswith("migrated\n") and second.returncode == 0


def test_an_interrupt_aborts(vmmi):
    vmmi.scripts.write("serve()")
    run = vmmi.start("run", "--policy", "scripted", *ARGUMENTS)
    vmmi.wait_listed()
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=20)
    assert run.returncode == 4 and "aborting" in error


DEAF_TO_ABORT = """
while True:
    got = signal.sigwait(USUAL)
    if got == signal.SIGUSR1: status(remainingBytes=300 << 20, totalBytes=400 << 20, iteration=2, etaMs=4200, downtimeLimitMs=150)
    if got == signal.SIGTERM: end(13)
"""


class Terminal:
    """The command on a terminal of its own."""

    def __init__(self, vmmi, *arguments, stdin=None):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            if stdin:
                os.dup2(os.open(stdin, os.O_RDONLY), 0)
            os.environ.update(vmmi.environment)
            os.execv(COMMAND, [COMMAND, *arguments])
        self.seen = ""

    def expect(self, pattern):
        until = time.monotonic() + 20
        while not re.search(pattern, self.seen):
            assert time.monotonic() < until, f"{pattern} is not in {self.seen!r}"
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 4096).decode()
        self.seen = self.seen[re.search(pattern, self.seen).end():]

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self):
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return status


def interrupt_twice(terminal):
    """It aborts, and then it asks."""
    terminal.type("\x03")
    terminal.expect("Ctrl-C again")
    terminal.type("\x03")
    terminal.expect(r"Detach: .*\[y/N\]")


def test_on_a_terminal_a_bar_is_drawn_and_a_second_interrupt_asks(vmmi):
    vmmi.scripts.write(DEAF_TO_ABORT)
    terminal = Terminal(vmmi, "run", "--policy", "scripted", "--interval", "0.2", *ARGUMENTS)
    terminal.expect(r"\r\[#+\.+\]  42%  precopy  pass 2  300 MiB left  limit 150 ms  ETA 5 s")
    interrupt_twice(terminal)
    terminal.type("n\n")
    terminal.expect("waiting for the abort")
    terminal.type("\x03")
    terminal.expect(r"\[y/N\]")
    terminal.type("y\n")
    terminal.expect(r"\(13\)")
    assert terminal.end() == 5


def test_a_second_interrupt_asks_where_standard_input_is_the_configuration(vmmi, tmp_path):
    vmmi.scripts.write(DEAF_TO_ABORT)
    (tmp_path / "config").write_text('{"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {}}')
    terminal = Terminal(vmmi, "run", "--policy", "scripted", "--config", "-", "--interval", "0.2", *ARGUMENTS, stdin=tmp_path / "config")
    terminal.expect("42%")
    interrupt_twice(terminal)
    terminal.type("y\n")
    terminal.expect(r"\(13\)")
    assert terminal.end() == 5


def test_an_interrupt_while_the_plugin_leaves_aborts_nothing(vmmi, tmp_path):
    vmmi.background(f"while True: open({str(tmp_path)!r} + '/' + signal.Signals(signal.sigwait(USUAL)).name, 'w')")
    detach = vmmi.start("detach", VM, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    until = time.monotonic() + 20
    while not (tmp_path / "SIGTERM").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    detach.send_signal(signal.SIGINT)
    detach.communicate(timeout=20)
    assert detach.returncode == -signal.SIGINT
    time.sleep(0.2)
    assert not (tmp_path / "SIGINT").exists() and "running" in vmmi("list").stdout


def test_without_libvirt_a_plugin_is_not_killed(vmmi):
    vmmi.background("serve()", "--connect", "test:///nowhere/to/be/found")
    forced = vmmi("abort", "--force", VM)
    assert forced.returncode != 0
    assert "not killed" in forced.stderr and f"virsh --connect 'test:///nowhere/to/be/found' domjobabort '{VM}'" in forced.stderr
    assert vmmi("status", VM).stdout == " 42%  precopy\n"


def test_the_plugins_of_this_project_tell_what_they_are(vmmi):
    folder = ROOT if not os.environ.get("VMMI_PLUGIN_DIR") else Path(os.environ["VMMI_PLUGIN_DIR"])
    run = vmmi("plugins", "--json", env={"VMMI_PLUGIN_DIR": str(folder)})
    plugins = {item["name"]: item for item in map(json.loads, run.stdout.splitlines())}
    assert plugins["precopy"]["version"] and "pre-copy" in plugins["precopy"]["summary"]
    assert {"postcopy-fallback", "schedule"} <= set(vmmi("plugins", "--names", env={"VMMI_PLUGIN_DIR": str(folder)}).stdout.split())


# Over the fake libvirt: the plugins of this project, as they are.


@pytest.fixture
def fake(vmmi, tmp_path):
    """Arguments for a migration by a real plugin between fake hosts."""

    def arguments(**one_guest):
        hosts = FakeHosts(tmp_path, **one_guest)
        environment = hosts.environment()
        config = tmp_path / "config.json"
        config.write_text(json.dumps({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {
            "connection": SOURCE, "runtimeDirectory": str(tmp_path / "plugin")}}))
        vmmi.environment["VMMI_PLUGIN_DIR"] = os.environ["VMMI_PLUGIN_DIR"]
        return ["--config", config, *[f"--env={name}={environment[name]}" for name in ("VMMI_FAKE_SCENARIO", "LD_PRELOAD")],
                *ARGUMENTS], environment

    return arguments


def test_a_plugin_of_this_project_migrates(vmmi, fake):
    arguments, _ = fake()
    run = vmmi("run", *arguments)
    assert run.returncode == 0 and re.search(r"migrated in \d+\.\d s, downtime \d+ ms, work lost \d+ ms, \d+ passes", run.stdout), run.stderr


def test_a_guest_by_name_is_known_by_its_uuid_and_shown_by_its_name(vmmi, fake):
    arguments, environment = fake(passes=[one_pass(100, 10)], endless=True)
    arguments[arguments.index(VM)] = "web"
    run = vmmi("run", "--background", *arguments, env={name: environment[name] for name in ("VMMI_FAKE_SCENARIO", "LD_PRELOAD")})
    assert run.returncode == 0 and run.stdout.startswith(VM), run.stderr
    assert vmmi("list", "--names").stdout == "web\n"
    until = time.monotonic() + 20
    while "pass" not in (said := vmmi("status", "web").stdout):
        assert time.monotonic() < until, said
    assert vmmi("abort", "web").returncode == 0
    unknown = vmmi("run", *[OTHER if word == "web" else word for word in arguments],
                   env={name: environment[name] for name in ("VMMI_FAKE_SCENARIO", "LD_PRELOAD")})
    assert unknown.returncode == 3 and "no guest" in unknown.stderr


def test_a_guest_that_was_started_by_its_uuid_is_found_by_its_name(vmmi, fake):
    _, environment = fake()
    vmmi.environment["VMMI_PLUGIN_DIR"] = str(vmmi.scripts.folder)
    vmmi.background("serve()", "--connect", SOURCE)
    environment = {name: environment[name] for name in ("VMMI_FAKE_SCENARIO", "LD_PRELOAD")}
    assert vmmi("status", "web", env=environment).stdout == " 42%  precopy\n"
    assert vmmi("status", "db", env=environment).returncode == 3
    assert vmmi("abort", "web", env=environment).returncode == 0


def test_where_the_job_of_a_killed_plugin_is_not_aborted_it_is_told_how(vmmi, fake):
    _, environment = fake()
    vmmi.environment["VMMI_PLUGIN_DIR"] = str(vmmi.scripts.folder)
    vmmi.background("serve()", "--connect", SOURCE)
    # In a process of its own, the fake libvirt has the guest, and no job.
    forced = vmmi("abort", "--force", VM, env={name: environment[name] for name in ("VMMI_FAKE_SCENARIO", "LD_PRELOAD")})
    assert forced.returncode != 0 and "was killed" in forced.stderr and f"domjobabort '{VM}'" in forced.stderr
    assert vmmi("attach", VM).returncode == 5


def test_a_check_is_passed_on(vmmi, fake):
    arguments, _ = fake()
    assert vmmi("check", *arguments).stdout == "ready\n"
    arguments, _ = fake(state="shutoff")
    refused = vmmi("check", *arguments)
    assert refused.returncode == 1 and "(2)" in refused.stderr
    assert json.loads(vmmi("check", "--json", *arguments).stdout)["check"]["result"] == "not-ready"


# Its documents


def options_of_help():
    return set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", HELP, re.MULTILINE))


def test_the_manual_page_has_the_options_and_commands_of_the_help():
    page = (ROOT / "src/command/vmmi.1.scd").read_text()
    section = page.partition("\n# OPTIONS\n")[2].partition("\n# ")[0]
    assert set(re.findall(r"^(?:\*-\w\*, )?\*(--[a-z-]+)\*", section, re.MULTILINE)) == options_of_help()
    commands = re.findall(r"^  vmmi ([a-z]+)", HELP, re.MULTILINE)
    assert re.findall(r"^\*([a-z]+)\*$", page.partition("\n# COMMANDS\n")[2].partition("\n# ")[0], re.MULTILINE) == commands
    statuses = re.findall(r"^\*(\d)\*$", page.partition("\n# EXIT STATUS\n")[2], re.MULTILINE)
    assert statuses == re.findall(r"(?<= )(\d)  ", HELP.partition("Exit status:\n")[2])


@pytest.mark.parametrize("name", ["vmmi.bash", "_vmmi", "vmmi.fish"])
def test_completion_knows_every_command_and_option(name):
    text = (COMPLETIONS / name).read_text()
    for command in re.findall(r"^  vmmi ([a-z]+)", HELP, re.MULTILINE):
        assert re.search(rf"\b{command}\b", text), command
    for option in options_of_help():
        assert re.search(rf"(--|-l ){option[2:]}\b", text), option


def completed(words, environment, folder=Path(COMMAND).parent):
    script = f"""
. {COMPLETIONS / "vmmi.bash"}
COMP_WORDS=({" ".join(f"'{word}'" for word in words)}); COMP_CWORD={len(words) - 1}; _vmmi; printf '%s\\n' "${{COMPREPLY[@]}}" """
    path = f"{folder}:{environment['PATH']}"
    run = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=environment | {"PATH": path}, cwd=folder)
    return run.stdout.splitlines()


def test_completion_of_bash_knows_guests_and_plugins(vmmi):
    vmmi.background()
    assert completed(["vmmi", "at"], vmmi.environment) == ["attach"]
    assert completed(["vmmi", "status", ""], vmmi.environment) == [VM]
    assert completed(["vmmi", "run", "--policy", "s"], vmmi.environment) == ["scripted"]
    assert "--force" in completed(["vmmi", "abort", "--"], vmmi.environment)


@pytest.mark.parametrize("verb", ["run", "status"])
def test_completion_of_bash_takes_names_of_guests_for_names(vmmi, tmp_path, verb):
    for name in ("vmmi", "virsh"):
        (tmp_path / name).write_text("#!/bin/sh\nprintf '%s\\n' '$(touch hit)' 'web 1' '`touch hit`' web2 '' ab\n")
        (tmp_path / name).chmod(0o755)
    assert completed(["vmmi", verb, ""], vmmi.environment, tmp_path) == [r"\$\(touch\ hit\)", r"web\ 1", r"\`touch\ hit\`", "web2", "ab"]
    assert completed(["vmmi", verb, "w"], vmmi.environment, tmp_path) == [r"web\ 1", "web2"]
    assert completed(["vmmi", verb, r"web\ "], vmmi.environment, tmp_path) == [r"web\ 1"]
    assert not (tmp_path / "hit").exists()


@pytest.mark.parametrize("shell, name", [("zsh", "_vmmi"), ("fish", "vmmi.fish")])
def test_completion_is_what_its_shell_can_read(shell, name):
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    assert subprocess.run([shell, "--no-execute", COMPLETIONS / name], capture_output=True).returncode == 0
