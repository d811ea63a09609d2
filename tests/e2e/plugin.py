# SPDX-License-Identifier: Apache-2.0
"""A plugin at work on the source host, as a management application runs one."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from testbed.system import wait_for

PLUGINS = Path(os.environ["VMMI_PLUGIN_DIR"])  # the folder of the executables under test
VERSION = "0.4.1"


def configuration(pair, **keys) -> dict:
    """A configuration message for a plugin on the pair's source host."""
    return {"vmmiVersion": VERSION, "contentType": "configuration",
            "configuration": {"connection": pair.source.uri} | keys}


class Plugin:
    """One run. Its standard input stays open, as that of a management application may."""

    def __init__(self, pair, vm: str, name: str = "precopy", options: tuple[str, ...] = (), migration_uri: str | None = None,
                 destination_uri: str | None = None, **keys):
        argv = pair.source.command([str(PLUGINS / name), *options, vm, destination_uri or pair.destination_uri,
                                    migration_uri or pair.migration_uri, "-"])
        # Blocked here, a signal waits until the plugin takes it: there is no moment at which it would kill the plugin.
        self.process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM, signal.SIGINT]))
        self.process.stdin.write(json.dumps(configuration(pair, **keys)).encode())
        self.process.stdin.flush()
        self.output = b""

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def line(self, timeout: float = 5) -> str | None:
        """The next line on standard output, or None if none comes."""
        until = time.monotonic() + timeout
        while b"\n" not in self.output:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, until - time.monotonic()))
            if not ready or not (read := os.read(self.process.stdout.fileno(), 65536)):
                return None
            self.output += read
        line, self.output = self.output.split(b"\n", 1)
        return line.decode()

    def status(self) -> dict:
        """Asks for a status message, and returns it whole."""
        self.signal(signal.SIGUSR1)
        line = self.line()
        assert line is not None, f"no answer to SIGUSR1; exit status {self.process.poll()}"
        return json.loads(line)

    def wait_status(self, what: str, accept, timeout: float = 60) -> dict:
        """Asks until a status body is accepted, and returns that body."""

        def accepted() -> dict | None:
            assert self.process.poll() is None, f"ended while waiting for {what}: {self.process.stderr.read().decode()}"
            body = self.status()["status"]
            return body if accept(body) else None

        return wait_for(what, accepted, timeout)

    def wait_migrating(self, passes: int = 1) -> dict:
        return self.wait_status(f"pass {passes} of the migration", lambda body: body["iteration"] >= passes)

    def completion(self, timeout: float = 120) -> dict:
        """Waits for the end; returns the completion message, after a check that it came alone and as it should."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.signal(signal.SIGUSR1)
            last = self.line()
            self.process.kill()
            raise AssertionError(f"still running after {timeout} s: {last}") from None
        text = self.process.stderr.read().decode()
        lines = text.splitlines()
        assert len(lines) == 1 and text.endswith("\n"), f"standard error holds {text!r}, not one line"
        message = json.loads(lines[0])
        failed = message["completion"]["result"] == "error"
        assert self.process.returncode == (1 if failed else 0)
        return message

    def success(self, timeout: float = 120) -> dict:
        body = self.completion(timeout)["completion"]
        assert body["result"] == "success", body
        success = body["success"]
        assert success["cause"] == "completed" and success["evidence"]
        assert success["endState"]["source"] in ("absent", "shut-off-migrated"), success
        assert success["endState"]["destination"] in ("running", "paused"), success
        return success

    def error(self, timeout: float = 120) -> dict:
        body = self.completion(timeout)["completion"]
        assert body["result"] == "error", body
        return body["error"]

    def close(self) -> None:
        """Ends what a failed test left behind."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()
