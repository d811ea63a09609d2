# SPDX-License-Identifier: Apache-2.0
"""What a guest boots: a kernel package of this machine's distribution, unpacked, and our PID 1 in an initramfs."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

from .system import CACHE, CannotRunHere, TestbedError, locked, require, run

SOURCE = Path(__file__).parent / "guest" / "init.c"
COMPILE = ("gcc", "-static", "-O2", "-Wall")
# Packages that depend on the current kernel, smallest kernel first.
META_PACKAGES = ("linux-image-cloud-amd64", "linux-image-amd64", "linux-image-virtual")


def kernel_image() -> Path:
    """The kernel; VMMI_KERNEL names another one."""
    if chosen := os.environ.get("VMMI_KERNEL"):
        return Path(chosen)
    image = CACHE / "guest" / "vmlinuz"
    with locked(image.parent):
        if not image.exists():
            download_kernel(image)
    return image


def download_kernel(image: Path) -> None:
    require({"apt-get": "it fetches the guest's kernel", "dpkg-deb": "it unpacks the guest's kernel"})
    package = newest_kernel_package()
    if package is None:
        run(["apt-get", "update"], check=False)
        package = newest_kernel_package()
    if package is None:
        raise CannotRunHere("apt offers none of " + ", ".join(META_PACKAGES) + "; name a kernel image in VMMI_KERNEL")
    with tempfile.TemporaryDirectory(dir=image.parent, prefix=".building-") as folder:
        try:
            fetch(package, folder)
        except TestbedError:  # the machine's package lists may be older than the mirror
            run(["apt-get", "update"], check=False)
            try:
                fetch(newest_kernel_package() or package, folder)
            except TestbedError as error:
                raise CannotRunHere("cannot fetch a kernel for the guests that QEMU runs: its Debian package comes over the "
                                    f"network; name a kernel image in VMMI_KERNEL to do without\n{error}") from error
        archive = next(Path(folder).glob("*.deb"))
        run(["dpkg-deb", "--extract", archive, Path(folder, "root")])
        shutil.copy(next(Path(folder, "root", "boot").glob("vmlinuz-*")), Path(folder, "vmlinuz"))
        Path(folder, "vmlinuz").chmod(0o644)
        Path(folder, "vmlinuz").rename(image)


def fetch(package: str, folder: str) -> None:
    run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], cwd=folder)


def newest_kernel_package() -> str | None:
    for meta in META_PACKAGES:
        if found := re.search(r"Depends: (linux-image-\d\S+)", run(["apt-cache", "depends", meta], check=False)):
            return found[1]
    return None


def initramfs() -> Path:
    """The initramfs of the present source; an older source's one stays beside it until somebody clears the cache."""
    require({"gcc": "it compiles the guest's program"})
    recipe = hashlib.sha256(SOURCE.read_bytes() + " ".join(COMPILE).encode()).hexdigest()[:12]
    image = CACHE / "guest" / f"initramfs-{recipe}"
    with locked(image.parent):
        if not image.exists():
            with tempfile.TemporaryDirectory(dir=image.parent, prefix=".building-") as folder:
                program, packed = Path(folder, "init"), Path(folder, "packed")
                run([*COMPILE, "-o", program, SOURCE])
                packed.write_bytes(gzip.compress(archive({"dev": None, "proc": None, "init": program.read_bytes()})))
                packed.rename(image)
    return image


def archive(files: dict[str, bytes | None]) -> bytes:
    """A cpio archive in the format the kernel takes ("newc"); None stands for a folder."""
    packed = b""
    for number, (name, content) in enumerate([*files.items(), ("TRAILER!!!", b"")], start=1):
        mode = stat.S_IFDIR | 0o755 if content is None else stat.S_IFREG | 0o755
        data = content or b""
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        header = b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        packed += header + b"\0" * (-len(header) % 4) + data + b"\0" * (-len(data) % 4)
    return packed
