# SPDX-License-Identifier: Apache-2.0
"""A command on a terminal of its own, and what was drawn there."""

from __future__ import annotations

import os
import pty
import subprocess
import termios
import threading
from collections.abc import Sequence


def on_a_terminal(argv: Sequence, columns: int = 140, timeout: float = 120, **streams) -> tuple[subprocess.CompletedProcess, str]:
    """Runs it with the terminal as its controlling one and its standard input; the other streams are the caller's, or
    `terminal=True` leads them there as well."""
    reader_side, own_side = pty.openpty()
    termios.tcsetwinsize(own_side, (24, columns))
    drawn = bytearray()

    def read() -> None:
        try:
            while chunk := os.read(reader_side, 4096):
                drawn.extend(chunk)
        except OSError:
            pass  # the terminal's other side is closed

    reader = threading.Thread(target=read)
    reader.start()
    if streams.pop("terminal", False):
        streams = {"stdout": own_side, "stderr": own_side}
    try:
        run = subprocess.run(["setsid", "--wait", "--ctty", *argv], stdin=own_side, timeout=timeout, **streams)
    finally:
        os.close(own_side)
        reader.join(10)
        os.close(reader_side)
    return run, drawn.decode()
