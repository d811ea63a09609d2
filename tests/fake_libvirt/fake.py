# SPDX-License-Identifier: Apache-2.0
"""Plugins over the fake libvirt: scenarios in few words, and what the plugins asked of it.

    host = FakeHost(folder, hang("virDomainGetJobStats", during="precopy"), endless=True)
    with host.start(plugin) as run:
        host.wait_for("virDomainGetJobStats")
        run.signal(signal.SIGTERM)
        assert run.end().code == 13
    assert host.calls("virDomainAbortJob") == []
"""

import json
import os
import select
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "black_box"))
sys.path.insert(0, str(Path(__file__).parent))

from scenario import (  # noqa: E402, F401
    END_OF_FILE,
    LIBRARY,
    MEBI,
    NOT_NOW,
    OTHER_VM,
    SOURCE,
    VM,
    FakeHosts,
    delay,
    error,
    guest,
    hang,
    lose,
    one_pass,
    outage,
    refuse,
)
from vmmi import DESTINATION, PATIENCE, TRANSPORT, Process, check, configuration  # noqa: E402


class Running(Process):
    """A plugin under way over the fake."""

    def __init__(self, argv, env, **streams):
        # Blocked from the start: none is lost, and none ends it before it is ready.
        block = lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT])
        super().__init__(argv, env, **{"bufsize": 0, "preexec_fn": block, **streams})
        self.output = b""

    def line(self, timeout=PATIENCE):
        until = time.monotonic() + timeout
        while b"\n" not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            piece = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            assert piece, f"no line on standard output; exit status {self.process.poll()}"
            self.output += piece
        line, self.output = self.output.split(b"\n", 1)
        return line.decode()

    def status(self):
        """Asks for a status, and returns its body and how long the answer took, in ms."""
        asked = time.monotonic()
        self.signal(signal.SIGUSR1)
        message = json.loads(self.line())
        took = 1000 * (time.monotonic() - asked)
        check(message, "status")
        return message["status"], took

    def wait_status(self, accept):
        until = time.monotonic() + PATIENCE
        while not accept(status := self.status()[0]):
            assert time.monotonic() < until, f"it stays as it is: {status}"
            time.sleep(0.005)
        return status

    def leave(self, number=signal.SIGTERM):
        """Sends the signal; returns the run and how long it took to end, in ms."""
        asked = time.monotonic()
        self.signal(number)
        self.process.wait(PATIENCE)
        took = 1000 * (time.monotonic() - asked)
        return self.end(), took

    def end(self):
        run = super().end()
        run.output = self.output.decode() + run.output
        return run

    def is_running(self):
        return self.process.poll() is None


class FakeHost(FakeHosts):
    """Fake hosts, and plugins on them."""

    patience = PATIENCE

    def start(self, plugin, vm=VM, streams=None, options=(), uris=(DESTINATION, TRANSPORT), **keys):
        path = self.folder / "configuration.json"
        # All fake guests have the same UUID: what one run leaves is not for those of other tests.
        own = {"connection": SOURCE, "runtimeDirectory": str(self.folder / "run")}
        path.write_text(configuration(**{**own, **keys}))
        argv = [plugin.path, *options, vm, *uris, str(path)]
        return Running(argv, self.environment(), **(streams or {}))

    def run(self, plugin, **options):
        with self.start(plugin, **options) as running:
            return running.end()
