# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of the streams, the log, the descriptors and the caller, the migration is the same."""

import contextlib
import ctypes
import fcntl
import json
import os
import pty
import resource
import signal
import socket
import subprocess
import sys
import termios
import time
import tty

import pytest

from fake import MEBI, SOURCE, VM, Running, delay, error, one_pass, refuse
from vmmi import DESTINATION, PATIENCE, TRANSPORT, Run, check, configuration

BLOCKED = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)


def block():
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED)


def changes(fakes):
    """What was asked of libvirt that changes anything."""
    calls = fakes.calls("virDomainMigrateSetMaxDowntime", "virDomainMigrateToURI3", "virDomainAbortJob")
    return [(call.name, {**call.arguments, "connection": None}, call.error) for call in calls]


def undisturbed(plugin, fakes):
    """What a migration changes where nothing disturbs it."""
    assert fakes.run(plugin).status == 0
    asked = changes(fakes)
    assert "virDomainMigrateToURI3" in [name for name, *_ in asked]
    for name in ["state", "trace"]:
        (fakes.folder / name).unlink()
    return asked


def fill(descriptor):
    """Writes until a byte more would block."""
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_NONBLOCK)
    for size in (4096, 1):
        with contextlib.suppress(BlockingIOError):
            while True:
                os.write(descriptor, b"\n" * size)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


@contextlib.contextmanager
def stream(kind):
    """A descriptor that is no good to write to. None: closed."""
    if kind == "closed":
        yield None
        return
    if kind == "disk full":
        descriptors = [os.open("/dev/full", os.O_WRONLY)]
    elif kind == "read only":
        descriptors = [os.open("/dev/null", os.O_RDONLY)]
    elif kind == "terminal gone":
        terminal, descriptor = pty.openpty()
        os.close(terminal)
        descriptors = [descriptor]
    elif kind in ("broken", "full"):
        reading, writing = os.pipe()
        if kind == "full":
            fill(writing)
            descriptors = [writing, reading]
        else:
            os.close(reading)
            descriptors = [writing]
    elif kind == "socket full":
        one, other = socket.socketpair()
        fill(one.fileno())
        descriptors = [one.detach(), other.detach()]
    else:
        terminal, descriptor = pty.openpty()
        tty.setraw(descriptor)
        fill(descriptor)
        descriptors = [descriptor, terminal]
    yield descriptors[0]
    for descriptor in descriptors:
        os.close(descriptor)


KINDS = ["closed", "broken", "full", "disk full", "read only", "socket full", "terminal full", "terminal gone"]


def with_streams(**kinds):
    """Options of Popen, and what keeps the descriptors open."""
    stack = contextlib.ExitStack()
    descriptors = {name: stack.enter_context(stream(kind)) for name, kind in kinds.items()}
    numbers = {"stdin": 0, "stdout": 1, "stderr": 2}

    def prepare():
        block()
        for name, descriptor in descriptors.items():
            if descriptor is None:
                os.close(numbers[name])

    options = {name: subprocess.DEVNULL if descriptor is None else descriptor for name, descriptor in descriptors.items()}
    return stack, {**options, "preexec_fn": prepare}


def went_well(fakes, run, expected, log):
    """The exit status, the calls and the log tell of a migration as ever; statuses are asked for on the way."""
    fakes.wait_for("virDomainMigrateToURI3")
    while run.process.poll() is None:
        run.signal(signal.SIGUSR1)
        time.sleep(0.03)
    assert run.process.returncode == 0
    assert changes(fakes) == expected
    assert "migrated in" in log.read_text()
    assert "vmmiVersion" not in log.read_text(), "no message goes into a file that took its number"


CASES = [("stdout", kind) for kind in KINDS] + [("stderr", kind) for kind in KINDS if "full" not in kind]


@pytest.mark.parametrize("name, kind", [*CASES, ("stderr", "full")])
def test_a_stream_that_is_no_good(any_plugin, host, tmp_path, name, kind):  # MSG-9 FAIL-10
    plugin = any_plugin
    expected = undisturbed(plugin, host())
    fakes = host(noise=True)
    stack, streams = with_streams(**{name: kind})
    with stack, fakes.start(plugin, streams=streams, logFilePath=str(tmp_path / "log"), verbose=3) as run:
        went_well(fakes, run, expected, tmp_path / "log")
        if name == "stdout":
            message = json.loads(run.process.stderr.read())
            assert message["completion"]["result"] == "success"


@pytest.mark.parametrize("kinds", [("closed", "closed"), ("broken", "broken"), ("closed", "closed", "closed")])
def test_streams_that_are_no_good_together(plugin, host, tmp_path, kinds):  # MSG-9
    expected = undisturbed(plugin, host())
    fakes = host(noise=True)
    stack, streams = with_streams(**dict(zip(["stdout", "stderr", "stdin"], kinds)))
    with stack, fakes.start(plugin, streams=streams, logFilePath=str(tmp_path / "log")) as run:
        went_well(fakes, run, expected, tmp_path / "log")


@pytest.mark.parametrize("kind", ["full", "socket full", "terminal full"])
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 9), (signal.SIGTERM, 13)], ids=["SIGINT", "SIGTERM"])
def test_signals_are_served_where_nobody_reads(any_plugin, host, kind, number, code):  # SIG-10 MSG-9
    fakes = host(endless=True)
    stack, streams = with_streams(stdout=kind)
    with stack, fakes.start(any_plugin, streams=streams) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        for _ in range(5):
            run.signal(signal.SIGUSR1)
            time.sleep(0.02)
        run.signal(number)
        told = time.monotonic()
        assert json.loads(run.process.stderr.read())["completion"]["error"]["code"] == code
        assert time.monotonic() - told < PATIENCE / 10


def test_a_terminal_that_was_stopped_goes_on_where_it_was(any_plugin, host):
    """Output held back with Ctrl-S, then let go: no half lines, and the last status is not lost."""
    fakes = host(endless=True)
    terminal, descriptor = pty.openpty()
    tty.setraw(descriptor)
    with fakes.start(any_plugin, streams={"stdout": descriptor}) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        termios.tcflow(descriptor, termios.TCOOFF)
        run.signal(signal.SIGUSR1)
        time.sleep(0.3)
        termios.tcflow(descriptor, termios.TCOON)
        text = b""
        while b"\n" not in text:
            text += os.read(terminal, 4096)
        check(json.loads(text), "status")
        run.signal(signal.SIGTERM)
        assert json.loads(run.process.stderr.read())["completion"]["error"]["code"] == 13
    os.close(terminal)
    os.close(descriptor)


# What is written


DEBUG = [
    {"LIBVIRT_DEBUG": "1"},
    {"LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": "1:stderr"},
    {"LIBVIRT_DEBUG": "debug", "LIBVIRT_LOG_OUTPUTS": "1:syslog:x 1:stderr", "LIBVIRT_LOG_FILTERS": "1:*"},
    {"G_MESSAGES_DEBUG": "all", "G_DEBUG": "fatal-warnings", "MALLOC_CHECK_": "3"},
]


@pytest.mark.parametrize("env", DEBUG, ids=lambda env: "+".join(env))
@pytest.mark.parametrize("ending", [{}, {"end": "failed", "end_at": ["pass 2", 5]}], ids=["success", "failure"])
def test_standard_error_has_one_write_alone(plugin, host, monkeypatch, env, ending):  # MSG-5 COMP-1
    """Through a socket on which every write stays a message of its own."""
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    fakes = host(noise=True, **ending)
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with fakes.start(plugin, streams={"stderr": there.fileno()}) as run:
        there.close()
        run.status()
        run.process.wait(PATIENCE)
        first, second = here.recv(1 << 20), here.recv(1 << 20)
    here.close()
    assert second == b"", "only the end"
    assert Run(run.process.returncode, "", first.decode()).completion["result"] == ("error" if ending else "success")


def test_a_long_status_arrives_whole(precopy, host):  # STAT-1
    """Longer than a pipe takes at once."""
    slow = [one_pass(100, 100, bandwidth=100 * MEBI, dirty_rate=90 * MEBI) for _ in range(7)]
    fakes = host(refuse(error(1, message="x" * 5000), "virDomainMigrateSetMaxDowntime", from_=2), passes=slow)
    with fakes.start(precopy) as run:
        status = run.wait_status(lambda status: status["lastAction"] and status["lastAction"].get("refused"))
        assert len(json.dumps(status)) > 4096
        run.end()


def test_a_pipe_that_the_caller_made_non_blocking(any_plugin, host):
    """And that is full until somebody reads: nothing is lost."""
    fakes = host()
    reading, writing = os.pipe()
    fill(writing)
    fcntl.fcntl(writing, fcntl.F_SETFL, os.O_NONBLOCK)
    with fakes.start(any_plugin, streams={"stderr": writing}) as run:
        os.close(writing)
        fakes.wait_for("virConnectClose")
        time.sleep(0.3)
        text = b""
        while piece := os.read(reading, 65536):
            text += piece
        assert run.process.wait(PATIENCE) == 0
    os.close(reading)
    assert json.loads(text)["completion"]["result"] == "success"


@pytest.mark.parametrize(
    "uri, asked",
    [
        ("qemu+ssh://there/system", "qemu+ssh://there/system?no_tty=1"),
        ("qemu+ssh://there/system?keyfile=/k", "qemu+ssh://there/system?keyfile=/k&no_tty=1"),
        ("qemu+ssh://there/system?no_tty=0", "qemu+ssh://there/system?no_tty=0"),
        ("qemu+tcp://there/system", "qemu+tcp://there/system"),
    ],
    ids=range(4),
)
def test_the_look_at_the_destination_asks_no_questions(any_plugin, host, uri, asked):
    """On the terminal, ssh would. The source's daemon gets the URI as it is: it has no terminal."""
    fakes = host()
    config = fakes.folder / "configuration.json"
    config.write_text(configuration(connection=SOURCE))
    with Running([any_plugin.path, VM, uri, TRANSPORT, str(config)], fakes.environment()) as run:
        assert run.end().status == 0
    assert {call.arguments["uri"] for call in fakes.calls("virConnectOpenAuth", host="destination")} == {asked}
    (call,) = fakes.calls("virDomainMigrateToURI3")
    assert call.arguments["destination"] == uri


# Descriptors, disks and callers that are gone


ONE = 1  # the connection of the migrate call
TIME_TO_FILL_IT = delay(300, "virDomainLookupByUUIDString", to=1)  # after the first connection
EARLY, ALL = 2, 4  # those that carry the migration; with those for trouble, which come later


def exhaust(fakes, run, connections):
    """From when it has that many connections, the plugin gets no descriptor."""
    fakes.wait_for("virConnectOpenAuth", connections, ended=True)
    resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (0, 0))


@pytest.mark.parametrize("connections", [EARLY, ALL])
def test_a_table_that_fills_up_changes_nothing(plugin, host, connections):
    expected = undisturbed(plugin, host())
    fakes = host(setup_ms=2000)
    with fakes.start(plugin) as run:
        exhaust(fakes, run, connections)
        assert run.end().completion_beside_output["result"] == "success"
    assert changes(fakes) == expected


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 9), (signal.SIGSTOP, 9), (signal.SIGTERM, 13)], ids=lambda n: str(n))
@pytest.mark.parametrize("connections", [EARLY, ALL])
def test_signals_are_served_with_a_full_table(plugin, host, number, code, connections):  # SIG-10
    fakes = host(setup_ms=300, endless=True)
    with fakes.start(plugin) as run:
        exhaust(fakes, run, connections)
        run.wait_status(lambda status: status["phase"] == "precopy")
        run.signal(number)
        assert run.end().completion_beside_output["error"]["code"] == code
    assert len(fakes.calls("virDomainAbortJob")) == (code == 9)


@pytest.mark.parametrize("later", [{}, {"end": "failed", "end_at": ["pass 2", 5]}], ids=["migrated", "failed"])
def test_a_table_that_is_full_from_the_start_changes_no_result(plugin, host, later):
    fakes = host(TIME_TO_FILL_IT, setup_ms=300, **later)
    with fakes.start(plugin) as run:
        exhaust(fakes, run, ONE)
        ended = run.end()
    assert (ended.code if later else ended.completion["result"]) == (8 if later else "success")
    assert fakes.calls("virDomainAbortJob") == []
    assert len(fakes.calls("virDomainMigrateToURI3")) == 1


def test_a_limit_that_could_not_be_set_is_set_when_there_is_room_again(precopy, host):
    fakes = host(TIME_TO_FILL_IT, setup_ms=2000)
    with fakes.start(precopy) as run:
        fakes.wait_for("virConnectOpenAuth", ONE, ended=True)
        usual = resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (0, usual[1]))
        fakes.wait_for("virDomainMigrateToURI3")
        time.sleep(0.5)
        assert fakes.limits() == []
        resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, usual)
        assert run.end().completion["result"] == "success"
    assert fakes.limits() == [100]


def test_a_migration_in_progress_is_taken_over_with_a_full_table(precopy, host):
    passes = [one_pass(900, 100), one_pass(50, 10)]
    fakes = host(TIME_TO_FILL_IT, running_since_ms=20, passes=passes, persistent=True)
    with fakes.start(precopy) as run:
        exhaust(fakes, run, ONE)
        assert run.end().completion["success"]["iterations"] == 2


@pytest.mark.parametrize("connections", [EARLY, ALL])
def test_actions_are_carried_out_with_a_full_table(precopy, host, connections):
    slow = [one_pass(60, 100, bandwidth=100 * MEBI, dirty_rate=90 * MEBI) for _ in range(5)]
    fakes = host(setup_ms=300, passes=slow)
    with fakes.start(precopy) as run:
        exhaust(fakes, run, connections)
        actions = run.end().completion["success"]["actions"]
    assert actions and all("refused" not in action for action in actions)


libc = ctypes.CDLL(None, use_errno=True)


def small_disk(path):
    """A disk of one page there, nearly full, for this process and its children alone."""
    new_namespace, private = 0x20000, (1 << 14) | (1 << 18)
    for done in (
        libc.unshare(new_namespace),
        libc.mount(None, b"/", None, private, None),
        libc.mount(b"tmpfs", os.fsencode(path), b"tmpfs", 0, b"size=4k"),
    ):
        if done != 0:
            raise OSError(ctypes.get_errno(), "no disk of its own")
    (path / "log").write_bytes(b"x" * 4000)


def test_a_full_disk_under_the_log_changes_nothing(plugin, host, tmp_path):  # MSG-9
    if os.geteuid() != 0:
        pytest.skip("a file system of its own needs root")
    folder = tmp_path / "small"
    folder.mkdir()

    def prepare():
        block()
        small_disk(folder)

    expected = undisturbed(plugin, host())
    fakes = host(passes=[one_pass(100, 100) for _ in range(3)])
    with fakes.start(plugin, streams={"preexec_fn": prepare}, logFilePath=str(folder / "log"), verbose=3) as run:
        run.wait_status(lambda status: status["phase"] == "precopy")
        assert os.stat(f"/proc/{run.process.pid}/root{folder}/log").st_size == 4096, "full"
        assert run.end().completion_beside_output["result"] == "success"
    assert changes(fakes) == expected


CALLER = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:], stdout=1, stderr=2); time.sleep(1000)"


@pytest.mark.parametrize("how", ["killed", "hung up"])
def test_a_caller_that_dies_changes_nothing(any_plugin, host, tmp_path, how):  # FAIL-10
    """With the readers of its pipes; or with its terminal, which sends SIGHUP."""
    plugin = any_plugin
    expected = undisturbed(plugin, host())
    fakes = host(setup_ms=300)
    log, config = tmp_path / "log", tmp_path / "configuration.json"
    config.write_text(configuration(connection=SOURCE, logFilePath=str(log)))
    environment = [f"{name}={value}" for name, value in fakes.environment().items()]
    argv = [sys.executable, "-c", CALLER, "env", *environment, plugin.path, VM, DESTINATION, TRANSPORT, str(config)]
    if how == "killed":
        caller = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        (call,) = fakes.wait_for("virDomainMigrateToURI3")
        caller.kill()
        caller.stdout.close()
        caller.stderr.close()
        caller.wait()
    else:
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(argv[0], argv)
        (call,) = fakes.wait_for("virDomainMigrateToURI3")
        os.close(terminal)
        os.waitpid(pid, 0)
    until = time.monotonic() + PATIENCE
    while not log.exists() or "migrated in" not in log.read_text():
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.01)
    assert changes(fakes) == expected
    while os.path.exists(f"/proc/{call.process}") and time.monotonic() < until:
        time.sleep(0.01)
    assert not os.path.exists(f"/proc/{call.process}") or "Z" in open(f"/proc/{call.process}/stat").read()
