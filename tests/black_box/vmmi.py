# SPDX-License-Identifier: Apache-2.0
"""A VMMI executable as its caller sees it: arguments, one message, signals, two streams and an exit status."""

import contextlib
import json
import os
import select
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import jsonschema

SCHEMAS = Path(__file__).parents[2] / "src" / "message" / "schema"
VM = "6695eb01-f6a4-8304-79aa-97f2502e193f"  # "test", of libvirt's test driver
DESTINATION = "qemu+tcp://destination/system"
TRANSPORT = "tcp://destination"
ARGUMENTS = (VM, DESTINATION, TRANSPORT)
PATIENCE = 60  # seconds; sanitizers and busy machines are slow


def check(message, kind):
    schema = json.loads((SCHEMAS / f"{kind}.schema.json").read_text())
    jsonschema.Draft202012Validator(schema).validate(message)


def configuration(version="0.4.1", **keys):
    """A configuration message for the test driver."""
    keys.setdefault("connection", "test:///default")
    return json.dumps({"vmmiVersion": version, "contentType": "configuration", "configuration": keys})


@dataclass
class Run:
    status: int
    output: str
    error: str

    @property
    def completion(self):
        """The one message on standard error, and nothing on standard output."""
        assert self.output == "", "standard output belongs to status messages"
        return self.completion_beside_output

    @property
    def completion_beside_output(self):
        assert self.error.endswith("\n") and self.error.count("\n") == 1, f"not one line: {self.error!r}"
        message = json.loads(self.error)
        check(message, "completion")
        result = message["completion"]["result"]
        assert self.status == (0 if result == "success" else 1)
        assert abs(message["timestamp"] - time.time()) < 2 * PATIENCE
        return message["completion"]

    @property
    def failure(self):
        return self.completion["error"]

    @property
    def code(self):
        return self.failure["code"]


class Process:
    """A plugin under way, with its standard input open."""

    def __init__(self, argv, env=None, **streams):
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
        self.process = subprocess.Popen(argv, env=env, **streams)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            if stream:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def write(self, text):
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)
        self.process.stdin.flush()

    def signal(self, number):
        self.process.send_signal(number)

    def wait_until_it_takes_signals(self):
        """Before it blocks them, a signal ends it without a word."""
        deadline = time.monotonic() + PATIENCE
        wanted = 1 << (signal.SIGTERM - 1)
        while time.monotonic() < deadline:
            for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                if line.startswith("SigBlk:") and int(line.split()[1], 16) & wanted:
                    return
            time.sleep(0.002)
        raise AssertionError("it never blocked SIGTERM")

    def is_silent_for(self, seconds):
        streams = [self.process.stdout, self.process.stderr]
        return select.select(streams, [], [], seconds)[0] == []

    def end(self):
        """Waits for its end, leaving standard input open."""
        self.process.wait(PATIENCE)
        return Run(self.process.returncode, self.process.stdout.read().decode(), self.process.stderr.read().decode())


class Plugin:
    def __init__(self, path):
        self.path = str(path)
        self.name = Path(path).name

    def run(self, *arguments, stdin=None, env=None, wrapper=()):
        """`stdin` is text, which is followed by the end of the stream; without it, the stream is empty."""
        done = subprocess.run(
            [*wrapper, self.path, *map(str, arguments)],
            input=stdin.encode(errors="surrogateescape") if stdin is not None else b"",
            capture_output=True,
            timeout=PATIENCE,
            env=None if env is None else {**os.environ, **env},
        )
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode())

    def configured(self, text, **options):
        """A migration with that configuration message on standard input."""
        return self.run(*ARGUMENTS, "-", stdin=text, **options)

    def start(self, *arguments, env=None, **streams):
        return Process([self.path, *map(str, arguments)], env=None if env is None else {**os.environ, **env}, **streams)

    def printed(self, *arguments, **options):
        """The configuration message that --print-config shows."""
        run = self.run("--print-config", *arguments, **options)
        assert run.status == 0, run.error
        assert run.error == ""
        message = json.loads(run.output)
        check(message, "configuration")
        return message
