# SPDX-License-Identifier: Apache-2.0
"""What the rest of the testbed needs from this machine: commands, processes, locks, and errors a person can act on."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LABS = Path("/run/vmmi-testbed")
CACHE = Path(os.environ.get("VMMI_CACHE", "/var/cache/vmmi-testbed"))

# Every process of a lab carries the lab's folder in this variable. It is how `down` finds them all, even those that a
# killed `up` had no time to write down.
LAB_VARIABLE = "VMMI_TESTBED_LAB"


class TestbedError(Exception):
    """Something of the testbed failed. The text is for a person: what was tried, what came back, what to do."""

    __test__ = False  # pytest takes classes called Test... for tests
    exit_status = 1


class CannotRunHere(TestbedError):
    """This machine lacks something the testbed needs: a reason to skip a test, not to fail it."""

    exit_status = 77


def run(argv: Sequence[str | Path], check: bool = True, timeout: float | None = None, **options) -> str:
    """Runs a command with English messages and returns what it printed."""
    words = [str(word) for word in argv]
    environment = {**os.environ, **options.pop("env", {}), "LC_ALL": "C"}
    try:
        done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", timeout=timeout, env=environment, **options)
    except FileNotFoundError as error:
        raise CannotRunHere(f"{words[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise TestbedError(f"{' '.join(words)}: no answer within {timeout:g} s") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise TestbedError(f"{' '.join(words)}: exit status {done.returncode}\n{said}")
    return done.stdout


def require(tools: dict[str, str]) -> None:
    """Refuses with one message that names all that is missing. `tools` maps a program to the reason it is needed."""
    if os.geteuid() != 0:
        raise CannotRunHere("the testbed needs root: it makes namespaces, mounts and network links")
    missing = [f"{tool} ({why})" for tool, why in tools.items() if shutil.which(tool) is None]
    if missing:
        raise CannotRunHere("the testbed needs " + ", ".join(missing))


def wait_for(what: str, condition: Callable[[], object], timeout: float = 30, interval: float = 0.05):
    """Returns the condition's first true value, or says what did not happen in time."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TestbedError(f"{what}: not within {timeout:g} s")
        time.sleep(interval)
    return value


@dataclass(frozen=True)
class Process:
    """A process by number and start time, so that a number used again is not mistaken for it."""

    pid: int
    start: int

    @staticmethod
    def of(pid: int) -> Process | None:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else Process(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def send(self, number: int, wait: float | None = None) -> None:
        """Sends a signal to exactly this process; with `wait`, returns when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return
        try:
            if self.alive():
                signal.pidfd_send_signal(handle, number)
                if wait is not None and not select.select([handle], [], [], wait)[0]:
                    raise TestbedError(f"process {self.pid} still runs {wait:g} s after signal {number}")
        except ProcessLookupError:
            pass
        finally:
            os.close(handle)
        with contextlib.suppress(ChildProcessError):  # reap it where it is our own child
            os.waitpid(self.pid, os.WNOHANG)


def all_processes() -> Iterator[Process]:
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (process := Process.of(int(entry))):
            yield process


def namespace(pid: int, kind: str) -> str:
    """The identity of a process's namespace, or an empty text when the process is gone."""
    try:
        return os.readlink(f"/proc/{pid}/ns/{kind}")
    except OSError:
        return ""


def command_line(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def carries(pid: int, lab: Path) -> bool:
    """Whether the process was started for this lab."""
    try:
        return f"{LAB_VARIABLE}={lab}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return False


def inner_number(pid: int) -> str:
    """A process's number as its own namespace counts; an empty text when it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return ""
    return next((line.split()[-1] for line in status.splitlines() if line.startswith("NSpid:")), "")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a folder (made when absent) against other users of the testbed. The kernel drops the lock of a killed one."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Whoever held it may have removed the folder meanwhile: then this lock guards nothing.
        if folder.exists() and os.path.samestat(os.fstat(handle), os.stat(folder)):
            break
        os.close(handle)
    try:
        yield
    finally:
        os.close(handle)
