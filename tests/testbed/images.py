# SPDX-License-Identifier: Apache-2.0
"""The root folders that hosts run from. Built once into a cache, from the mirror that this machine itself uses."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from . import accelerator, kernel
from .system import CACHE, CannotRunHere, TestbedError, locked, require, run

# Debian's releases by name. The default is the first: a QEMU before 9 loses dirty pages when it migrates under software
# emulation, and libvirt 11.2 to 11.3 crashes when it recovers a post-copy migration.
RELEASES = ("forky", "trixie", "bookworm")
MACHINE = "machine"
PACKAGES = ("libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients", "qemu-system-x86", "sasl2-bin",
            "libsasl2-modules")
# Run inside a fresh root. Named in debootstrap's --include the packages fail, because of the order in which it sets them
# up. The user and the folders come with a package that wants systemd.
INSTALL = f"""\
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -qq --no-install-recommends {' '.join(PACKAGES)}
apt-get clean
id libvirt-qemu >/dev/null 2>&1 || useradd --system --shell /usr/sbin/nologin libvirt-qemu
mkdir -p /etc/libvirt /etc/sasl2 /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
touch /etc/hosts
rm -rf /var/lib/apt/lists/* /etc/apt/apt.conf.d/99machine /etc/resolv.conf
"""


def say(text: str) -> None:
    print(f"testbed: {text}", file=sys.stderr, flush=True)


def choose(flavor: str) -> str:
    """Turns a flavor's name, or `auto`, into the flavor to use."""
    if flavor == "auto":
        return MACHINE if machine_fits() else RELEASES[0]
    if flavor not in (*RELEASES, MACHINE):
        raise TestbedError(f"unknown flavor {flavor!r}: choose auto, {MACHINE}, {', '.join(RELEASES)}")
    return flavor


def version(argv: list[str]) -> tuple[int, ...]:
    """The first dotted number that a program prints about itself; empty when it is not there."""
    if shutil.which(argv[0]) is None:
        return ()
    found = re.search(r"\d+(\.\d+)+", run(argv, check=False))
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def machine_fits() -> bool:
    """Whether this machine's own libvirt and QEMU migrate without losing memory."""
    libvirt, qemu = version(["libvirtd", "--version"]), version(["qemu-system-x86_64", "--version"])
    if not libvirt or not qemu or shutil.which("virsh") is None or libvirt[:2] in ((11, 2), (11, 3)):
        return False
    return qemu >= (9,) or accelerator.kvm_boots(kernel.kernel_image(), kernel.initramfs())


def root_folder(flavor: str) -> Path:
    """The folder a host of this flavor takes for its root, built when it is not there yet."""
    if flavor == MACHINE:
        if not (version(["libvirtd", "--version"]) and version(["qemu-system-x86_64", "--version"])):
            raise CannotRunHere("flavor machine needs libvirtd, virsh and qemu-system-x86_64 installed on this machine")
        return Path("/")
    recipe = hashlib.sha256(f"{flavor} {INSTALL}".encode()).hexdigest()[:8]
    folder = CACHE / "roots" / f"{flavor}-{recipe}"
    if not folder.exists():
        with locked(folder.parent):
            if not folder.exists():
                build_root(flavor, folder)
    return folder


def build_root(flavor: str, folder: Path) -> None:
    require({"debootstrap": "it builds the hosts' root folder", "unshare": "package util-linux", "setpriv": "package util-linux"})
    for abandoned in folder.parent.glob(".building-*"):  # of a builder that was killed: the lock is ours now
        shutil.rmtree(abandoned)
    say(f"building the {flavor} root folder in {folder.parent} (about a minute, once)")
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=folder.parent))
    building.chmod(0o755)
    script = flavor if Path(f"/usr/share/debootstrap/scripts/{flavor}").exists() else "sid"
    # All processes and mounts of the build go away with this process, however it ends.
    private = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--"]
    try:
        run([*private, "debootstrap", "--variant=minbase", flavor, building, debian_mirror(), script])
        no_services = building / "usr/sbin/policy-rc.d"  # packages start nothing while they are installed
        no_services.write_text("#!/bin/sh\nexit 101\n")
        no_services.chmod(0o755)
        (building / "etc/resolv.conf").unlink(missing_ok=True)
        shutil.copy("/etc/resolv.conf", building / "etc/resolv.conf")
        (building / "etc/apt/apt.conf.d/99machine").write_text(apt_settings())
        run([*private, "sh", "-ec", 'mount -t proc proc "$1/proc"; exec chroot "$1" sh -ec "$2"', "sh", building, INSTALL])
        building.rename(folder)
    except TestbedError as error:
        raise CannotRunHere(f"cannot build the {flavor} root folder: the hosts run a libvirt and QEMU of their own, "
                           "whose Debian packages come over the network\n{error}") \
            from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def apt_settings() -> str:
    """This machine's way to its mirror: proxy, and whether a mirror frozen in the past is accepted."""
    wanted = ("Acquire::http", "Acquire::Check-", "Acquire::Retries")
    return "".join(f"{line}\n" for line in run(["apt-config", "dump"]).splitlines() if line.startswith(wanted))


def debian_mirror() -> str:
    """The mirror this machine's own apt uses for Debian, or the one in VMMI_MIRROR."""
    if mirror := os.environ.get("VMMI_MIRROR"):
        return mirror
    listed = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(ORIGIN)/$(LABEL)", "Created-By: Packages"])
    rows = [line.split(" ", 1) for line in listed.splitlines()]
    for uri, origin in rows:
        if uri.startswith("mirror+file:"):
            uri = Path(uri.removeprefix("mirror+file:").rstrip("/")).read_text().split()[0]
        # The origin is known only after an `apt-get update`; without one, the path tells.
        if origin == "Debian/Debian" or (origin == "/" and uri.rstrip("/").endswith("/debian")):
            return uri
    raise CannotRunHere("no Debian mirror in this machine's apt configuration; name one in VMMI_MIRROR")
