# SPDX-License-Identifier: Apache-2.0
"""An executable under test as its caller sees it. It may hang, flood its streams, ignore signals and fork: what is read
of it is bounded, every wait ends, and nothing of it is left."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import threading
import time
import uuid
from pathlib import Path

from .verdicts import Failed

MARK = "VMMI_CONFORMANCE_RUN"  # in the environment of all processes of one run, however they were forked
SERVED = frozenset([signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
STREAM_LIMIT = 1 << 20
MEMORY_LIMIT = 1 << 30  # resident, of the process itself
SHOWN = 1500  # bytes of a stream that a report shows
PR_SET_CHILD_SUBREAPER = 36

_lock = threading.Lock()
_own: set[int] = set()  # children that somebody in here waits for
_over = False


def adopt_orphans() -> None:
    """What an executable leaves behind becomes a child of this process, where it is found."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    found = []
    for file in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


def _environment(pid: int) -> bytes | None:
    """None: a zombie, or gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_bytes() or None
    return None


def _is_ending(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    return True


def strays(mark: str) -> tuple[list[int], bool]:
    """Orphans of that run that are alive, and whether there may be more: a process in the middle of an exec has no
    environment. Zombies of any run are reaped on the way."""
    alive, unclear = [], False
    with _lock:
        for pid in _children():
            if pid in _own:
                continue
            environment = _environment(pid)
            if environment is None:
                with contextlib.suppress(ChildProcessError):
                    unclear |= os.waitpid(pid, os.WNOHANG) == (0, 0) and not _is_ending(pid)
            elif f"{MARK}={mark}".encode() in environment.split(b"\0"):
                alive.append(pid)
    return alive, unclear


def end_all() -> None:
    """Of what was started in here, nothing stays, and nothing is started any more."""
    global _over
    marks = set()
    with _lock:
        _over = True
        for pid in _own:
            marks.update(word for word in (_environment(pid) or b"").split(b"\0") if word.startswith(f"{MARK}=".encode()))
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
    until = time.monotonic() + 2
    while time.monotonic() < until:
        time.sleep(0.05)  # what is ending may leave children
        alive = [pid for mark in marks for pid in strays(mark.partition(b"=")[2].decode())[0]]
        if not alive:
            return
        for pid in alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def objects(text: bytes, limit: int = 1000) -> list[dict]:
    """The JSON objects in a stream, whatever stands between them: one mistake is to fail the one case about it."""
    words = text.decode("utf-8", "replace")
    decoder = json.JSONDecoder()
    found, place = [], words.find("{")
    for _ in range(limit):
        if place < 0:
            break
        try:
            value, place = decoder.raw_decode(words, place)
            found.append(value)
        except (ValueError, RecursionError):
            place += 1
        place = words.find("{", place)
    return [value for value in found if isinstance(value, dict)]


def cut(text: bytes) -> str:
    shown = text[:SHOWN].decode("utf-8", "backslashreplace")
    return shown if len(text) <= SHOWN else f"{shown}... ({len(text)} bytes)"


class Run:
    """One run. Signals of the interface are blocked from its start, unless told otherwise: none is lost, and none ends
    it before it is ready (SIG-13)."""

    def __init__(self, argv, *, env=None, cwd=None, stdin=None, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                 blocked=SERVED, patience=10.0):
        self.argv = [os.fspath(word) for word in argv]
        self.patience = patience
        self.mark = uuid.uuid4().hex
        self.output = self.error = b""
        self.status_code: int | None = None
        self.ended_at: float | None = None
        self.was_ended = False  # by this runner, at the end of the case
        self.statuses_read = 0
        self.memory_checked = time.monotonic()
        self.began = time.monotonic()
        environment = {**(os.environ if env is None else env), MARK: self.mark}
        feed = subprocess.PIPE if stdin is None or isinstance(stdin, (bytes, str)) else stdin
        with _lock:
            if _over:
                raise KeyboardInterrupt
            before = signal.pthread_sigmask(signal.SIG_BLOCK, blocked)
            try:
                self.process = subprocess.Popen(self.argv, env=environment, cwd=cwd, stdin=feed, stdout=stdout, stderr=stderr,
                                                bufsize=0, start_new_session=True)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _own.add(self.process.pid)
        self.pid = self.process.pid
        self.pidfd = os.pidfd_open(self.pid)
        self.streams = {stream.fileno(): name for name, stream in (("output", self.process.stdout), ("error", self.process.stderr))
                        if stream is not None}
        for descriptor in self.streams:
            os.set_blocking(descriptor, False)
        if isinstance(stdin, (bytes, str)):
            self.write(stdin)
            self.close_input()

    # -- its streams

    def write(self, data: bytes | str) -> None:
        """To its standard input, as much as it takes in time."""
        data = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        descriptor = self.process.stdin.fileno()
        os.set_blocking(descriptor, False)
        until = time.monotonic() + self.patience
        with contextlib.suppress(BrokenPipeError):
            while data and time.monotonic() < until and self.status_code is None:
                try:
                    data = data[os.write(descriptor, data):]
                except BlockingIOError:
                    self.pump(0.01)

    def close_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()

    def pump(self, timeout: float) -> None:
        """Takes in what comes, for that long at the most; returns as soon as something came."""
        waited = [*self.streams, *([self.pidfd] if self.status_code is None else [])]
        ready, _, _ = select.select(waited, [], [], max(0.0, timeout))
        for descriptor in ready:
            if descriptor == self.pidfd:
                self._note_end()
            else:
                self._read(descriptor)

    def _read(self, descriptor: int) -> None:
        try:
            piece = os.read(descriptor, 65536)
        except BlockingIOError:
            return
        if not piece:
            del self.streams[descriptor]
            return
        name = self.streams[descriptor]
        setattr(self, name, getattr(self, name) + piece)
        if len(getattr(self, name)) > STREAM_LIMIT:
            self.streams.clear()
            self.close()
            raise Failed("a few messages on the streams", f"more than {STREAM_LIMIT} bytes on standard {name}: it was killed")

    def _note_end(self) -> None:
        self.status_code = self.process.wait()
        self.ended_at = time.monotonic()

    # -- what it does

    def signal(self, number: int) -> None:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(self.pidfd, number)

    def wait_for(self, what: str, condition, timeout: float | None = None):
        """The condition's first true value; it is asked about every 5 ms."""
        until = time.monotonic() + (self.patience if timeout is None else timeout)
        while True:
            if value := condition():
                return value
            if self.status_code is not None:
                for descriptor in list(self.streams):
                    self._read(descriptor)
                if value := condition():
                    return value
                raise Failed(what, f"it ended before, with exit status {self.status_code}")
            if (left := until - time.monotonic()) <= 0:
                raise Failed(what, f"not within {self.patience if timeout is None else timeout:g} s")
            self.pump(min(0.005, left))
            self._check_memory()

    def _check_memory(self) -> None:
        if time.monotonic() < self.memory_checked + 0.25:
            return
        self.memory_checked = time.monotonic()
        with contextlib.suppress(OSError, IndexError):
            resident = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
            if resident > MEMORY_LIMIT:
                self.close()
                raise Failed("a program that takes little memory", f"{resident} bytes resident: it was killed")

    def settle(self) -> None:
        """Until it waits for something: a caller cannot know better whether a program is ready."""
        quiet_since, last = None, None
        until = time.monotonic() + self.patience
        while time.monotonic() < until and self.status_code is None:
            self.pump(0.01)
            try:
                fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
                now = (fields[0], fields[11], fields[12])
            except OSError:
                return
            if now != last or now[0] != "S":
                quiet_since, last = time.monotonic(), now
            elif time.monotonic() - quiet_since > 0.06:
                return

    def rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.status_code is not None and not self.streams:
                time.sleep(left)
            else:
                self.pump(left)

    def end(self, timeout: float | None = None) -> Run:
        """Waits for its end; then nothing of it is left, and the streams are complete."""
        timeout = self.patience if timeout is None else timeout
        self.wait_for(f"the end of {Path(self.argv[0]).name} within {timeout:g} s", lambda: self.status_code is not None, timeout)
        self.close()
        return self

    def close(self) -> None:
        """Ends all of it: the process, its group, and what left the group."""
        if self.pidfd < 0:
            return  # its number may be another process's by now
        self.was_ended = self.status_code is None and not select.select([self.pidfd], [], [], 0)[0]
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.status_code is None:
            self._note_end()
        until = time.monotonic() + 5
        grace = time.monotonic() + 0.2  # a helper process may notice by itself
        while any(left := strays(self.mark)) and time.monotonic() < until:
            for pid in left[0] if time.monotonic() > grace else []:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)
        for descriptor in list(self.streams):
            while descriptor in self.streams and select.select([descriptor], [], [], 0)[0]:
                length = len(self.output) + len(self.error)
                self._read(descriptor)
                if length == len(self.output) + len(self.error):
                    break
        self.streams.clear()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        os.close(self.pidfd)
        self.pidfd = -1
        with _lock:
            _own.discard(self.pid)

    # -- its messages

    def messages(self, kind: str) -> list[dict]:
        stream = self.error if kind == "completion" else self.output
        return [one for one in objects(stream) if one.get("contentType") == kind]

    def next_status(self, timeout: float) -> dict:
        """The next status message that was not asked for here yet."""
        self.wait_for(f"a status message within {timeout:g} s", lambda: len(self.messages("status")) > self.statuses_read, timeout)
        self.statuses_read = len(self.messages("status"))
        return self.messages("status")[-1]

    @property
    def completion(self) -> dict:
        """The last completion message's body; an empty one where there is none."""
        messages = self.messages("completion")
        body = messages[-1].get("completion") if messages else None
        return body if isinstance(body, dict) else {}

    @property
    def succeeded(self) -> bool:
        return self.completion.get("result") == "success"

    @property
    def failure(self) -> dict:
        body = self.completion.get("error")
        return body if self.completion.get("result") == "error" and isinstance(body, dict) else {}

    @property
    def code(self):
        return self.failure.get("code")

    def describe(self) -> dict:
        status = self.status_code
        told = "still running" if status is None or self.was_ended else f"signal {-status}" if status < 0 else status
        return {"arguments": [word[:300] for word in self.argv[:20]], "exitStatus": told, "standardOutput": cut(self.output),
                "standardError": cut(self.error)}
