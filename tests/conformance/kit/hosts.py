# SPDX-License-Identifier: Apache-2.0
"""What the cases on real hosts work with: a pair of the testbed, and guests that tell what happened to them."""

from __future__ import annotations

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from testbed import Pair
from testbed.system import CannotRunHere, TestbedError, wait_for

from .cases import Settings, Trial, configuration
from .processes import Run
from .verdicts import CannotRun, Failed, Unusable

FAST, SLOW = 400, 80  # Mbit/s: an idle guest is migrated in a second; a busy one never
IDLE, BUSY = {"rate_mib": 0}, {"rate_mib": 40}
UNDER_WAY = 60  # seconds until a migration must have begun
numbers = itertools.count(1)


@contextlib.contextmanager
def bring_up() -> Iterator[Pair]:
    try:
        pair = Pair.up()
    except CannotRunHere as error:
        raise CannotRun(str(error)) from None
    except TestbedError as error:
        raise Unusable(f"the hosts did not come up: {error}") from None
    with pair:
        yield pair


class HostsTrial(Trial):
    slow, idle = SLOW, IDLE
    mishaps = (TestbedError,)

    def __init__(self, settings: Settings, folder: Path, pair: Pair):
        super().__init__(settings, folder)
        self.pair = pair
        self.guests = []
        self.helpers: list[subprocess.Popen] = []
        pair.data.slow(FAST)

    def close(self) -> None:
        super().close()
        for helper in self.helpers:
            helper.kill()
            helper.wait()
        for host in self.pair.hosts:
            if host.daemon() is None:
                host.start_daemon()
        for guest in self.guests:
            guest.destroy()

    def guest(self, link: int = FAST, **options):
        self.guests.append(self.pair.start_guest(name=f"c{next(numbers)}", **options))
        self.pair.data.slow(link)
        return self.guests[-1]

    def begin(self, vm: str) -> Run:
        text = configuration(connection=self.pair.source.uri)
        argv = [os.fspath(self.settings.executable), *self.settings.extra, vm, self.pair.destination_uri, self.pair.migration_uri,
                os.fspath(self.file(text))]
        run = Run(self.pair.source.command(argv), cwd=self.room(), patience=self.patience)
        self.runs.append(run)
        return run

    def job(self, guest) -> str:
        return self.pair.source.virsh("domjobinfo", guest.uuid, check=False)

    def moving(self, guest) -> bool:
        return "Memory remaining" in self.job(guest)

    def migrating(self, link: int = SLOW, **options):
        """A guest whose memory moves, under the executable."""
        guest = self.guest(link, **(options or BUSY))
        run = self.begin(guest.uuid)
        run.wait_for("memory that moves", lambda: self.moving(guest), UNDER_WAY)
        run.rest(1)
        return guest, run

    def virsh_migrates(self, guest) -> None:
        """As an administrator does, by himself."""
        pair = self.pair
        argv = ["virsh", "migrate", "--live", "--p2p", guest.uuid, pair.destination_uri, pair.migration_uri]
        self.helpers.append(subprocess.Popen(pair.source.inside(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                             stderr=subprocess.DEVNULL))
        wait_for("the migration by virsh", lambda: self.moving(guest), UNDER_WAY)

    def ended(self, run: Run, what: str) -> Run:
        return self.held(run.end, f"the end of the run {what}")

    def await_departure(self, guest, when: str) -> None:
        try:
            wait_for("", lambda: guest.state_on(self.pair.source) is None, self.patience)
        except TestbedError:
            raise Failed(f"a migration that goes on and succeeds {when}",
                         f"the guest is {guest.state_on(self.pair.source)} at the source: {self.job(guest)}") from None

    def expect_moved(self, guest, when: str) -> None:
        self.expect_at(guest, self.pair.destination, self.pair.source, when)

    def expect_stayed(self, guest, when: str) -> None:
        self.expect_at(guest, self.pair.source, self.pair.destination, when)

    def expect_at(self, guest, here, there, when: str) -> None:
        """It runs there and nowhere else, with all of its memory as it was."""
        self.expect(guest.host() is here, f"the guest running at the {here.name} {when}", f"it is "
                    f"{guest.state_on(here)} there, and {guest.state_on(there)} at the {there.name}")
        self.expect(guest.state_on(there) is None, f"no guest at the {there.name} {when}", guest.state_on(there))
        guest.wait_verified()
        pages = guest.report().corrupted_pages
        self.expect(pages == 0, f"no corrupted page {when}", f"{pages} of them")
