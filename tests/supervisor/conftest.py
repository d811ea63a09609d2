# SPDX-License-Identifier: Apache-2.0
"""Scripted plugins, and a supervisor for them."""

import contextlib
import os
import resource
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from libvmmi import Context, Failure  # noqa: E402

VM = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e01"
OTHER = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e02"

# What scripted plugins have in common. Signals are blocked when they start, as a caller should do it.
PRELUDE = """\
#!/usr/bin/python3 -IS
import json, os, signal, sys, time

USUAL = [signal.SIGUSR1, signal.SIGINT, signal.SIGTERM]

def message(kind, body, **more):
    return json.dumps({"vmmiVersion": "0.4.1", "contentType": kind, "timestamp": int(time.time()), kind: body, **more}) + "\\n"

def status(**more):
    os.write(1, message("status", {"policy": "scripted", "phase": "precopy", "elapsedMs": 7, "progressPercent": 42, **more}).encode())

def completion(code=0):
    if code:
        return message("completion", {"result": "error", "error": {"code": code, "message": "scripted", "details": "as told"}})
    return message("completion", {"result": "success", "success": {"policy": "scripted", "cause": "completed"}})

def end(code=0):
    os.write(2, completion(code).encode())
    os._exit(1 if code else 0)

def serve(until=None):
    while True:
        if until and os.path.exists(until):
            end()
        got = signal.sigtimedwait(USUAL, 0.02)
        if got and got.si_signo == signal.SIGUSR1:
            status()
        elif got and got.si_signo in USUAL:
            end(9 if got.si_signo == signal.SIGINT else 13)

"""


class Scripts:
    def __init__(self, folder):
        self.folder = folder / "plugins"
        self.runtime = folder / "run"
        self.folder.mkdir()
        self.options = {"plugin_directory": self.folder, "runtime_directory": self.runtime}
        self.contexts = []

    def write(self, body, name="scripted"):
        # In place of what was there: one that is just starting reads what it was started as.
        path, new = self.folder / name, self.folder / f".{name}"
        new.write_text(PRELUDE + body + "\n")
        new.chmod(0o755)
        return new.rename(path)

    def context(self, **more):
        self.contexts.append(Context(**self.options, **more))
        return self.contexts[-1]

    def parameters(self, **more):
        return {"vm": VM, "destination": "qemu+tcp://destination/system", "migration_uri": "tcp://destination",
                "plugin": "scripted", **more}

    def start(self, body="serve()", context=None, **more):
        self.write(body)
        return (context or self.context()).start(**self.parameters(**more))


@pytest.fixture
def scripts(tmp_path):
    tmp_path.chmod(0o755)
    made = Scripts(tmp_path)
    yield made
    # Nothing is left behind: what is at work is killed, by whoever supervises it.
    for context in made.contexts:
        context.free()
    try:
        context = Context(**made.options)
    except Failure:
        return  # a directory that is refused has nothing in it
    for item in context.list():
        if item["running"]:
            migration = context.attach(item["id"])
            migration.do("kill")
            migration.wait("ended")
    context.free()


@contextlib.contextmanager
def no_descriptor_left(spare=0):
    """The process has as many descriptors as it may have, but for those."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = [os.open("/dev/null", os.O_RDONLY)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(map(int, os.listdir("/proc/self/fd"))) + 1, limits[1]))
    try:
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.dup(taken[0]))
        for _ in range(spare):
            os.close(taken.pop())
        yield
    finally:
        for descriptor in taken:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest.fixture
def descriptors():
    """No descriptor is left open by the test."""
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before
