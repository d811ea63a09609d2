# SPDX-License-Identifier: Apache-2.0
"""A guest of a pair: its definition, its life on either host, and what it went through as seen from outside."""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import progress
from .progress import PAGE, Progress, Report
from .system import LAB_VARIABLE, TestbedError, run, wait_for

if TYPE_CHECKING:
    from .host import Host
    from .pair import Pair

PATTERNS = ("page", "word")
MAGIC = (0x564D4D4947554553).to_bytes(8, "little")  # the first word of each page of the working set: see guest/init.c
RAM = 96  # MiB beside the working set that the guest's kernel needs

DOMAIN = """\
<domain type='{accelerator}'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory_mib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='{machine}'>hvm</type>
    <kernel>{shared}/vmlinuz</kernel>
    <initrd>{shared}/initramfs</initrd>
    <cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/></features>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
{disks}    <serial type='unix'><source mode='connect' path='{socket}'/></serial>
  </devices>
</domain>
"""


# A file of its own on each host, under the same name. The guest does not use it.
DISK = """\
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='/var/lib/libvirt/images/{file}'/>
      <target dev='{target}' bus='virtio'/>
    </disk>
"""


@dataclass(frozen=True)
class Settings:
    """How a guest was started."""

    name: str
    uuid: str
    memory_mib: int
    working_set_mib: int
    rate_mib: int
    pattern: str
    persistent: bool
    machine: str
    power_off_after_seconds: int = 0
    disks_mib: tuple[int, ...] = ()


@dataclass(frozen=True)
class Mark:
    """A moment in a guest's life from which a report counts."""

    time: float
    progress: Progress


class Guest:
    def __init__(self, pair: Pair, settings: Settings):
        self.pair = pair
        self.settings = settings
        self.name = settings.name
        self.uuid = settings.uuid
        shared = pair.lab / "shared"
        self.socket = shared / f"{self.name}.sock"
        self.recording = pair.lab / f"{self.name}.progress"

    @classmethod
    def start(cls, pair: Pair, name: str, memory_mib: int = 192, working_set_mib: int = 64, rate_mib: int = 40,
              pattern: str = "page", persistent: bool = False, machine: str = "pc",
              power_off_after_seconds: int = 0, disks_mib: tuple[int, ...] = ()) -> Guest:
        """Starts a guest on the source host; returns when it has made progress for a second.

        The pattern `page` rewrites whole pages with content that cannot be compressed, `word` one word in each. To migrate
        to an older QEMU than the source's, name a machine type that it knows, such as pc-i440fx-10.0. It powers itself off
        so many seconds after its start; 0 is never. Its disks, vda and so on, have random content on the source host, and
        on the destination host there are empty ones.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,24}", name):
            raise TestbedError(f"{name!r} is no name for a guest: up to 24 letters, digits, - and _")
        if pattern not in PATTERNS:
            raise TestbedError(f"unknown pattern {pattern!r}: choose {' or '.join(PATTERNS)}")
        if memory_mib < working_set_mib + RAM:
            raise TestbedError(f"a working set of {working_set_mib} MiB needs at least {working_set_mib + RAM} MiB of memory, "
                               f"not {memory_mib}")
        guest = cls(pair, Settings(name, str(uuid.uuid4()), memory_mib, working_set_mib, rate_mib, pattern, persistent,
                                    machine, power_off_after_seconds, tuple(disks_mib)))
        if guest.socket.exists():
            raise TestbedError(f"there is a guest {name!r} already")
        for target, size in guest.disks():
            guest.disk(pair.source, target).write_bytes(os.urandom(size << 20))
            guest.disk(pair.destination, target).write_bytes(bytes(size << 20))
        guest.start_recorder()
        (pair.lab / f"{name}.guest.json").write_text(json.dumps(asdict(guest.settings)))
        definition = pair.lab / "shared" / f"{name}.xml"
        definition.write_text(guest.definition())
        try:
            if persistent:
                pair.source.virsh("define", definition)
                pair.source.virsh("start", name)
            else:
                pair.source.virsh("create", definition)
            wait_for(f"progress of guest {name}", guest.ran_for_a_second, timeout=60)
        except TestbedError as error:
            words = guest.recording.read_text()[-1500:] if guest.recording.exists() else ""
            guest.destroy()
            raise TestbedError(f"{error}\nits console: {words}") from error
        return guest

    @classmethod
    def attach(cls, pair: Pair, name: str) -> Guest:
        try:
            return cls(pair, Settings(**json.loads((pair.lab / f"{name}.guest.json").read_text())))
        except OSError:
            raise TestbedError(f"pair {pair.name} has no guest {name!r}") from None

    def definition(self) -> str:
        settings = self.settings
        cmdline = (f"console=ttyS0 quiet loglevel=4 panic=1 tsc=reliable vmmi.working_set={settings.working_set_mib} "
                   f"vmmi.rate={settings.rate_mib} vmmi.pattern={settings.pattern} "
                   f"vmmi.power_off_after={settings.power_off_after_seconds}")
        disks = "".join(DISK.format(file=self.disk(self.pair.source, target).name, target=target) for target, _ in self.disks())
        return DOMAIN.format(disks=disks, accelerator=self.pair.accelerator, cmdline=cmdline, shared=self.pair.lab / "shared", socket=self.socket,
                             **asdict(settings))

    def disks(self) -> list[tuple[str, int]]:
        """Their names in the guest, and sizes in MiB."""
        return [(f"vd{letter}", size) for letter, size in zip("abcdefgh", self.settings.disks_mib)]

    def disk(self, host: Host, target: str) -> Path:
        """A disk's file on one of the hosts."""
        return host.images / f"{self.name}-{target}.raw"

    def start_recorder(self) -> None:
        # It belongs to the source host's processes, so it ends with the pair; its files and network are the machine's.
        recorder = Path(__file__).with_name("recorder.py")
        run(["nsenter", "--target", str(self.pair.source.keeper.pid), "--pid", "--", "/usr/bin/python3", recorder,
             self.socket, self.recording], env={LAB_VARIABLE: str(self.pair.lab)}, cwd="/")

    def destroy(self) -> None:
        """Ends the guest on both hosts and forgets it."""
        for host in self.pair.hosts:
            host.virsh("destroy", self.uuid, check=False)
            host.virsh("undefine", self.uuid, check=False)
        for file in (self.socket, self.recording, self.pair.lab / f"{self.name}.guest.json",
                     self.pair.lab / "shared" / f"{self.name}.xml",
                     *(self.disk(host, target) for host in self.pair.hosts for target, _ in self.disks())):
            file.unlink(missing_ok=True)

    # -- where it is

    def state_on(self, host: Host) -> str | None:
        """What libvirt says on that host, such as "running (migrated)"; None where it does not know the guest."""
        return " ".join(host.virsh("domstate", "--reason", self.uuid, check=False).split()) or None

    def host(self) -> Host | None:
        """The host on which it runs now."""
        return next((host for host in self.pair.hosts if (self.state_on(host) or "").startswith("running")), None)

    # -- what it does

    def progress(self) -> Progress | None:
        """The last thing it said."""
        lines = progress.read(self.recording, tail=65536)  # a kernel may have much to say
        return lines[-1] if lines else None

    def ran_for_a_second(self) -> bool:
        lines = progress.read(self.recording, tail=16384)
        return bool(lines) and lines[-1].arrival - lines[0].arrival >= 1

    def mark(self, ago: float = 0) -> Mark:
        """Takes a moment to report from: now, or some seconds ago."""
        last = self.progress()
        if last is None:
            raise TestbedError(f"guest {self.name} has made no progress{self.last_words()}")
        return Mark(time.monotonic() - ago, last)

    def report(self, since: Mark | None = None) -> Report:
        """What happened since a mark, or since the guest's first second, which then gives its usual rate."""
        lines = progress.read(self.recording)
        if not lines:
            raise TestbedError(f"guest {self.name} has made no progress{self.last_words()}")
        try:
            return progress.report(lines, since.time if since else lines[0].arrival + 1)
        except ValueError as error:
            raise TestbedError(f"{error}{self.last_words()}") from error

    def last_words(self) -> str:
        """What its kernel said last, which is a panic where it stopped."""
        try:
            text = self.recording.read_bytes()[-65536:].decode(errors="replace")
        except FileNotFoundError:
            return ""
        said = [line for line in text.splitlines() if " P " not in line]
        panic = [line for line in said if "panic" in line]
        return "; its kernel said last: " + " | ".join((panic or said)[-3:]) if said else ""

    def wait_verified(self, timeout: float = 60) -> Progress:
        """Returns when the guest has checked its whole working set from now on."""
        now, pages = time.monotonic(), self.settings.working_set_mib * (1 << 20) // PAGE
        first = wait_for(f"a word of guest {self.name}", lambda: self.said_since(now), timeout)
        def all_verified() -> Progress | None:
            last = self.progress()
            return last if last and last.pages_verified - first.pages_verified >= pages else None
        return wait_for(f"a check of all memory of guest {self.name}", all_verified, timeout)

    def said_since(self, moment: float) -> Progress | None:
        last = self.progress()
        return last if last and last.arrival > moment else None

    def corrupt_page(self) -> int:
        """Changes one byte of the working set behind the guest's back, and returns the address in QEMU's memory.

        It shows that the guest's check finds a damaged page. The guest cannot write over it unseen: it checks each page
        before it rewrites it.
        """
        host = self.host()
        process = host.qemu(self.name) if host else None
        if process is None:
            raise TestbedError(f"guest {self.name} runs on neither host")
        with open(f"/proc/{process.pid}/maps") as maps, open(f"/proc/{process.pid}/mem", "r+b", buffering=0) as memory:
            for line in maps:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                if end - start < self.settings.memory_mib << 20 or not line.split()[1].startswith("rw"):
                    continue
                for page in range(start, end, PAGE):
                    memory.seek(page)
                    if memory.read(8) == MAGIC:
                        memory.seek(page + PAGE // 2)
                        byte = memory.read(1)
                        memory.seek(page + PAGE // 2)
                        memory.write(bytes([byte[0] ^ 0xFF]))
                        return page
        raise TestbedError(f"no page of guest {self.name}'s working set found in QEMU's memory")
