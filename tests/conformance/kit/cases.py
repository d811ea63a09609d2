# SPDX-License-Identifier: Apache-2.0
"""The register of cases, and what a case works with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from .processes import SERVED, Run
from .verdicts import Failed, Skipped

TESTS = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TESTS / "fake_libvirt"), str(TESTS)]

from scenario import SOURCE, VM, FakeHosts, one_pass  # noqa: E402

DESTINATION = "qemu+tcp://destination/system"
TRANSPORT = "tcp://destination"
ARGUMENTS = (VM, DESTINATION, TRANSPORT)
ENDLESS = {"endless": True, "passes": [one_pass(100, 100)]}
MIGRATE, ABORTS = "virDomainMigrateToURI3", ("virDomainAbortJob", "virDomainAbortJobFlags")
LOOKS = ("virDomainGetJobStats", "virDomainGetState", "virDomainGetInfo", "virDomainIsActive")
CASE = "VMMI_CONFORMANCE_CASE"  # tells the executable, or a wrapper around it, which case it is run for
HARMFUL = ("virDomainDestroy", "virDomainSuspend", *ABORTS)


@dataclass(frozen=True)
class Case:
    id: str  # the clause's id, with a word behind it where a clause has several cases
    title: str
    clauses: tuple[str, ...]
    needs: tuple[str, ...]  # fake or hosts; namespace
    function: Callable

    @property
    def chapter(self) -> str:
        return self.function.__module__.rpartition(".")[2]


CASES: dict[str, Case] = {}


def case(id: str, title: str, *more_clauses: str, needs: tuple[str, ...] = ("fake",)):
    """Registers a function. `more_clauses` are those that cannot be told apart from the first one from outside."""

    def register(function: Callable) -> Callable:
        assert id not in CASES, id
        CASES[id] = Case(id, title, (id.partition(".")[0], *more_clauses), needs, function)
        return function

    return register


def configuration(version="0.4.1", connection=SOURCE, **keys) -> str:
    keys = {"connection": connection, **keys}
    return json.dumps({"vmmiVersion": version, "contentType": "configuration", "configuration": keys})


@cache
def namespace() -> tuple[str, ...]:
    """The command that gives a program mounts of its own; empty where that is not permitted."""
    ways = [("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")]
    for way in ways if os.geteuid() == 0 else ways[1:]:
        if shutil.which("unshare") and subprocess.run([*way, "true"], capture_output=True).returncode == 0:
            return way
    return ()


@dataclass(frozen=True)
class Settings:
    executable: Path
    name: str  # the plugin's name, in that of its default configuration
    patience: float
    library: Path | None = None
    case: str = ""  # which one is tried
    extra: tuple[str, ...] = ()


class Trial:
    """What one case does with the executable; nothing of it is left afterwards."""

    mishaps: tuple[type[Exception], ...] = (AssertionError,)  # what the hosts raise where something does not come

    def __init__(self, settings: Settings, folder: Path):
        self.settings = settings
        self.folder = folder
        # Each case has guests of its own: executables leave records by UUID, and cases run at the same time.
        self.guests = f"{uuid.uuid4()}"[:-1]
        self.patience = settings.patience
        self.soon = settings.patience / 5  # what the interface wants at once; machines are busy
        self.runs: list[Run] = []
        self.until = time.monotonic() + 6 * settings.patience  # however many runs it makes

    def close(self) -> None:
        for run in self.runs:
            run.close()

    def room(self) -> Path:
        folder = self.folder / str(len(list(self.folder.iterdir())))
        folder.mkdir()
        return folder

    # -- the hosts

    def host(self, *rules, **scenario) -> FakeHosts:
        host = FakeHosts(self.room(), *rules, **scenario)
        host.scenario.write_text(self.own(host.scenario.read_text()))
        return host

    def own(self, text: str) -> str:
        return text.replace(VM[:-1], self.guests)

    def with_default(self, text: str | None, folder: bool = False) -> list[str]:
        """A command that runs the executable where the default configuration holds that text, or is a folder, or is not
        there. Whatever else is in /etc is there as well."""
        if not namespace():
            raise Skipped("a default configuration needs a mount namespace, which root may make, or users where the kernel "
                          "permits it")
        room = self.room()
        etc, real = room / "etc", room / "real"
        (etc / "vmmi" / "conf.d").mkdir(parents=True)
        real.mkdir()
        for entry in os.listdir("/etc"):
            if entry != "vmmi":
                (etc / entry).symlink_to(real / entry)
        file = etc / "vmmi" / "conf.d" / f"{self.settings.name}.json"
        if folder:
            file.mkdir()
        elif text is not None:
            file.write_text(text)
        script = 'mount --rbind /etc "$1" && mount --bind "$0" /etc && shift && exec "$@"'
        return [*namespace(), "sh", "-c", script, str(etc), str(real)]

    # -- the executable

    def start(self, *arguments, host: FakeHosts | None = None, wrapper=(), stdin=None, blocked=SERVED, **streams) -> Run:
        """Standard input stays open unless something is written to it."""
        if time.monotonic() > self.until:
            raise Failed(f"a case that is done within {6 * self.patience:g} s", "runs that take longer and longer")
        host = host or self.host()
        words = [self.own(word) if isinstance(word, str) else word for word in arguments]
        run = Run([*wrapper, self.settings.executable, *self.settings.extra, *words],
                  env={**host.environment(self.settings.library), CASE: self.settings.case}, cwd=self.room(), stdin=stdin, blocked=blocked,
                  patience=self.patience, **streams)
        self.runs.append(run)
        return run

    def run(self, *arguments, **options) -> Run:
        return self.start(*arguments, **options).end()

    def file(self, text: str | bytes, name: str = "configuration.json") -> Path:
        path = self.room() / name
        path.write_bytes(text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text)
        return path

    def migrate(self, host: FakeHosts, text: str | None = None, vm: str = VM, **options) -> Run:
        """Starts a migration with a configuration in a file."""
        return self.start(vm, DESTINATION, TRANSPORT, self.file(text or configuration()), host=host, **options)

    def precopy(self, *rules, options: dict | None = None, **scenario) -> tuple[FakeHosts, Run]:
        """A migration that is well in pre-copy, and goes on for ever unless told otherwise."""
        host = self.host(*rules, **{**ENDLESS, **scenario})
        run = self.migrate(host, **(options or {}))
        self.until_precopy(host, run)
        return host, run

    def until_precopy(self, host: FakeHosts, run: Run, name: str = MIGRATE) -> None:
        begun = run.wait_for(f"a call of {name}", lambda: host.calls(name))[0].begin
        run.rest(max(0.0, begun + 0.08 - time.monotonic()))
        # And until it knows that, if it looks.
        looked = lambda: any(call.end for call in host.calls(*LOOKS) if call.begin > begun)
        while run.status_code is None and time.monotonic() < begun + 0.6 and not looked():
            run.rest(0.01)

    def taken_over(self, *rules, **scenario) -> tuple[FakeHosts, Run]:
        """A plugin that was started while a migration of its guest is in progress, and had time to find that out."""
        host = self.host(*rules, **{**ENDLESS, "running_since_ms": 20, **scenario})
        run = self.migrate(host)
        run.wait_for("a look at the guest", lambda: [call for call in host.calls(*LOOKS) if call.end])
        run.rest(0.15)
        return host, run

    def stuck(self, host: FakeHosts, run: Run) -> None:
        """Until a look at the guest hangs, or there was time enough for one."""
        until = time.monotonic() + self.soon
        while time.monotonic() < until and run.status_code is None:
            if any(call.end is None and time.monotonic() - call.begin > 0.15 for call in host.calls(*LOOKS)):
                return
            run.rest(0.01)

    def ask(self, run: Run, when: str) -> dict:
        """A status message, whole."""
        run.signal(signal.SIGUSR1)
        return self.held(lambda: run.next_status(self.soon), f"a status message {when}")

    @staticmethod
    def held(action, what: str):
        try:
            return action()
        except Failed as failure:
            raise Failed(what, failure.seen) from None

    # -- what is expected of it

    def expect(self, holds: object, expected: str, seen: object) -> None:
        if not holds:
            raise Failed(expected, str(seen)[:1000])

    def expect_code(self, run: Run, code: int, when: str) -> None:
        self.expect(run.code == code, f"an error with code {code} {when}", outcome(run))

    def expect_success(self, run: Run, when: str) -> None:
        self.expect(run.succeeded, f"a success {when}", outcome(run))

    def expect_no_calls(self, host: FakeHosts, names, when: str) -> None:
        calls = [call.name for call in host.calls(*names)]
        self.expect(not calls, f"none of {', '.join(names)} {when}", ", ".join(calls))

    def accepts(self, **keys) -> Run:
        """A whole migration with these keys."""
        host = self.host()
        return self.migrate(host, configuration(**keys)).end()

    def refuses(self, text: str | bytes, when: str, code: int = 6) -> None:
        self.expect_code(self.run(*ARGUMENTS, self.file(text)), code, when)

    def require_key(self, **keys) -> None:
        """The keys of a table that a plugin may leave out."""
        if self.accepts(**keys).code == 6:
            raise Skipped(f"the plugin has no key {', '.join(keys)}, which is optional (CFG-19)")


def outcome(run: Run) -> str:
    if run.succeeded:
        return "a success"
    if run.failure:
        return f"code {run.code}: {str(run.failure.get('message'))[:200]}: {str(run.failure.get('details'))[:300]}"
    return f"no completion message; exit status {run.status_code}"
