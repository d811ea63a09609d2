# SPDX-License-Identifier: Apache-2.0
"""Two hosts, the links between them, and the folder in which all that belongs to them is kept: a lab."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from . import accelerator, images, kernel
from . import tls as certificates
from .guest import Guest
from .host import NAMES, Host
from .network import Link
from .system import LABS, Process, TestbedError, all_processes, carries, inner_number, locked, namespace, require, wait_for

TOOLS = {"ip": "package iproute2", "tc": "package iproute2", "ss": "package iproute2", "unshare": "package util-linux",
         "nsenter": "package util-linux"}


class Pair:
    """A running pair. Made by `up`, or found again by `attach`."""

    def __init__(self, lab: Path, record: dict):
        self.lab = lab
        self.name = lab.name
        self.flavors = tuple(record["flavors"])
        self.accelerator = record["accelerator"]  # kvm, or qemu for software emulation
        self.source, self.destination = self.hosts = [
            Host(lab, name, Process(*keeper)) for name, keeper in zip(NAMES, record["keepers"])]
        pids = [host.keeper.pid for host in self.hosts]
        self.management = Link("management", *pids)
        self.data = Link("data", *pids)
        self.destination_uri = f"qemu+tcp://{self.destination.address}/system"
        self.migration_uri = f"tcp://{self.destination.data_address}"

    @classmethod
    def up(cls, name: str | None = None, flavor: str = "auto", owned: bool = True, sasl: bool = False,
           tls: bool = False) -> Pair:
        """Starts a pair. One that is owned is cleaned away after its process has died; another stays until `down`.

        A flavor is auto, machine or the name of a Debian release; SOURCE:DESTINATION gives the hosts different ones.
        With sasl, the source host asks for a user and a password over TCP: see Host.sasl_uri. With tls, QEMU has
        certificates for Host.certificate_name.
        """
        require(TOOLS | (certificates.TOOLS if tls else {}))
        names = [images.choose(part) for part in flavor.split(":")]
        flavors = names * 2 if len(names) == 1 else names
        roots = [images.root_folder(one) for one in flavors]
        kernel_image, initramfs = kernel.kernel_image(), kernel.initramfs()
        lab = make_lab(name)
        try:
            (lab / "shared").mkdir()
            shutil.copy(kernel_image, lab / "shared" / "vmlinuz")
            shutil.copy(initramfs, lab / "shared" / "initramfs")
            hosts = [Host.start(lab, one, root) for one, root in zip(NAMES, roots)]
            record = {"flavors": flavors, "keepers": [(host.keeper.pid, host.keeper.start) for host in hosts],
                      "accelerator": fastest(lab, hosts)}
            pair = cls(lab, record)
            pair.management.connect()
            pair.data.connect()
            if sasl:
                pair.source.require_password()
            if tls:
                certificates.make_authority(lab / "authority")
                for host in pair.hosts:
                    host.certify(lab / "authority")
            for host in pair.hosts:
                host.start_daemon()
            for asked in [host.ask_capabilities() for host in hosts]:
                asked.wait()
            write_record(lab, owned, **record)
            return pair
        except BaseException:
            remove_lab(lab)
            raise

    @classmethod
    def attach(cls, name: str) -> Pair:
        """Finds a running pair by its name."""
        lab = LABS / name
        record = read_record(lab)
        if "keepers" not in record:
            raise TestbedError(f"there is no pair {name!r}" + (f"; running: {', '.join(found)}" if (found := names()) else ""))
        return cls(lab, record)

    def down(self) -> None:
        remove_lab(self.lab)

    def __enter__(self) -> Pair:
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def start_guest(self, name: str = "g1", **options) -> Guest:
        """Starts a guest on the source host; returns when it makes progress. See guest.Guest.start for the options."""
        return Guest.start(self, name, **options)

    def guest(self, name: str) -> Guest:
        """Finds a guest that was started before, by whomever."""
        return Guest.attach(self, name)

    def describe(self) -> dict:
        return {"name": self.name, "flavors": self.flavors, "accelerator": self.accelerator, "source_uri": self.source.uri,
                "destination_uri": self.destination_uri, "destination_local_uri": self.destination.uri,
                "migration_uri": self.migration_uri, "source_pid": self.source.keeper.pid,
                "destination_pid": self.destination.keeper.pid, "folder": str(self.lab)}


def fastest(lab: Path, hosts: list[Host]) -> str:
    """The accelerator that guests can use on both hosts."""
    kernel_image, initramfs = lab / "shared" / "vmlinuz", lab / "shared" / "initramfs"
    return "kvm" if all(accelerator.kvm_boots(kernel_image, initramfs, host.inside) for host in hosts) else "qemu"


def make_lab(name: str | None) -> Path:
    """Takes a name, and clears away first what dead owners left."""
    if name is not None and not re.fullmatch(r"[A-Za-z0-9_-]{1,24}", name):
        raise TestbedError(f"{name!r} is no name for a pair: up to 24 letters, digits, - and _")
    with locked(LABS):
        for lab in labs():
            if abandoned(lab):
                clear(lab)
        lab = LABS / (name or next(f"pair{n}" for n in range(1, 1000) if not (LABS / f"pair{n}").exists()))
        try:
            lab.mkdir()
        except FileExistsError:
            raise TestbedError(f"a pair {lab.name!r} is already up") from None
        write_record(lab, owned=True)  # until it is up, it belongs to this process in any case
        return lab


def write_record(lab: Path, owned: bool, **more) -> None:
    me = Process.of(os.getpid())
    record = {"owner": (me.pid, me.start) if owned else None, **more}
    (lab / "record.new").write_text(json.dumps(record))
    (lab / "record.new").rename(lab / "record.json")


def read_record(lab: Path) -> dict:
    try:
        return json.loads((lab / "record.json").read_text())
    except OSError:
        return {}


def labs() -> list[Path]:
    return sorted(LABS.iterdir()) if LABS.exists() else []


def names() -> list[str]:
    return [lab.name for lab in labs()]


def abandoned(lab: Path) -> bool:
    """Whether nobody will ever take this lab down: its owner died, or died so early that nothing is written."""
    record = read_record(lab)
    return not record or (record["owner"] is not None and not Process(*record["owner"]).alive())


def standing(lab: Path) -> dict:
    """What `list` tells of a lab."""
    record = read_record(lab)
    state = "abandoned" if abandoned(lab) else "starting" if "keepers" not in record else "owned" if record["owner"] else "up"
    return {"state": state, "flavors": record.get("flavors", []),
            "guests": [file.name.removesuffix(".guest.json") for file in sorted(lab.glob("*.guest.json"))]}


def remove_lab(lab: Path) -> None:
    if not LABS.exists():
        return
    with locked(LABS):
        clear(lab)
        if not labs():
            LABS.rmdir()


def members(lab: Path) -> Iterator[Process]:
    """The processes started for a lab, and any other that was put into one of its networks."""
    marked = [process for process in all_processes() if carries(process.pid, lab)]
    # A host's first process is number 1 in there, and its network was made for it. (Recorders use the machine's network.)
    networks = {namespace(process.pid, "net") for process in marked if inner_number(process.pid) == "1"} - {""}
    yield from marked
    yield from (process for process in all_processes() if namespace(process.pid, "net") in networks)


def clear(lab: Path) -> None:
    """Ends every process of a lab. Namespaces, mounts and links go with the last process in them; then the folder goes."""
    def none_left() -> bool:
        found = [process for process in members(lab) if process.pid != os.getpid()]
        for process in found:
            process.send(signal.SIGKILL)
        return not found

    wait_for(f"the end of the processes of pair {lab.name}", none_left, timeout=30)
    shutil.rmtree(lab, ignore_errors=True)
