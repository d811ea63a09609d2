# SPDX-License-Identifier: Apache-2.0
"""Whether guests can use hardware virtualization here. A /dev/kvm alone proves nothing: only a guest that booted does."""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

BOOT_SECONDS = 15  # with hardware virtualization a guest speaks within two


def present() -> bool:
    """Whether it is worth trying."""
    return os.access("/dev/kvm", os.R_OK | os.W_OK) and bool(re.search(r"\b(vmx|svm)\b", Path("/proc/cpuinfo").read_text()))


def kvm_boots(kernel: Path, initramfs: Path, inside: Callable[[list[str]], list[str]] = list) -> bool:
    """Boots a small guest and waits for its first progress. `inside` turns a command line into one that runs on a host."""
    if not present():
        return False
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-m", "128", "-display", "none", "-nodefaults", "-no-user-config",
            "-serial", "stdio", "-kernel", str(kernel), "-initrd", str(initramfs), "-append", "console=ttyS0 quiet panic=1"]
    deadline, said = time.monotonic() + BOOT_SECONDS, b""
    with subprocess.Popen(inside(argv), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as qemu:
        try:
            while (left := deadline - time.monotonic()) > 0 and b"\nP " not in said:
                if select.select([qemu.stdout], [], [], left)[0]:
                    if not (chunk := os.read(qemu.stdout.fileno(), 4096)):
                        break
                    said += chunk
        finally:
            qemu.kill()
    return b"\nP " in said
