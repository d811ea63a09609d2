#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes down what a guest says on its serial port, each line with the time of its arrival (CLOCK_MONOTONIC, seconds).

Usage: recorder.py SOCKET FILE

A process of its own, so that it outlives the command that started the guest. During a migration the QEMU of the source and
the one of the destination are both connected; the guest speaks through one at a time, and a line begun on one side may
end on the other. So the connections are read as one stream. It ends when its socket's name is gone.
"""

import os
import selectors
import socket
import sys
import time


def main() -> None:
    path, file = sys.argv[1:]
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen()
    if os.fork():  # whoever started it goes on as soon as a guest can connect
        return
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(nothing, stream)
    os.nice(-10)  # its own delay would look like the guest's silence
    with open(file, "a", buffering=1) as out:
        record(listener, path, out)


def record(listener: socket.socket, path: str, out) -> None:
    waiting = selectors.DefaultSelector()
    waiting.register(listener, selectors.EVENT_READ)
    speaker, begun = None, b""
    while True:
        ready = [key.fileobj for key, _ in waiting.select(timeout=1)]
        if not ready and not os.path.exists(path):
            return
        ready.sort(key=lambda connection: connection is not speaker)  # what was said first is read first
        for connection in ready:
            if connection is listener:
                waiting.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            try:
                said = connection.recv(65536)
            except OSError:
                said = b""
            if not said:
                waiting.unregister(connection)
                connection.close()
                continue
            arrival, speaker = time.monotonic(), connection
            *lines, begun = (begun + said).split(b"\n")
            for line in lines:
                out.write(f"{arrival:.4f} {line.decode(errors='replace').strip()}\n")


if __name__ == "__main__":
    main()
