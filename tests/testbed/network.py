# SPDX-License-Identifier: Apache-2.0
"""The two links between the hosts of a pair, and what can go wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

from .system import TestbedError, run

# Each pair lives in network namespaces of its own, so all pairs use the same addresses.
ADDRESSES = {"management": ("10.75.0.1", "10.75.0.2"), "data": ("10.76.0.1", "10.76.0.2")}
# Frames of a size that is usual for migration networks: headers then take 1 % of a slowed link, not 5 %.
MTU = 9000


@dataclass(frozen=True)
class End:
    """One end of a link: the network namespace of a process, and the address in there."""

    pid: int
    address: str

    def run(self, *argv: str, check: bool = True) -> str:
        return run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *argv], check=check)


class Link:
    """A cable between the two hosts. The interface has the link's name at both ends."""

    def __init__(self, name: str, source_pid: int, destination_pid: int):
        self.name = name
        first, second = ADDRESSES[name]
        self.ends = (End(source_pid, first), End(destination_pid, second))

    def connect(self) -> None:
        """Makes the cable. Both ends come into being inside the namespaces: this machine's own network sees nothing."""
        first, second = self.ends
        first.run("ip", "link", "add", self.name, "mtu", str(MTU), "type", "veth",
                  "peer", "name", self.name, "mtu", str(MTU), "netns", str(second.pid))
        for end in self.ends:
            end.run("ip", "address", "add", f"{end.address}/24", "dev", self.name)
            end.run("ip", "link", "set", self.name, "up")

    def slow(self, mbit: float) -> None:
        """Lets through this many megabits a second, headers included, in each direction."""
        if mbit <= 0:
            raise TestbedError(f"a link cannot be slowed to {mbit} Mbit/s; cut it to stop it")
        # The burst must hold the largest segment that the sender hands down in one piece (64 KiB), or it is split again
        # packet by packet; and it must cover what passes while the processor is busy elsewhere (5 ms).
        burst = max(128 * 1024, int(mbit * 1e6 / 8 * 0.005))
        for end in self.ends:
            end.run("tc", "qdisc", "replace", "dev", self.name, "root", "tbf", "rate", f"{int(mbit * 1000)}kbit",
                    "burst", str(burst), "latency", "50ms")

    def fast(self) -> None:
        """Takes the limit away again."""
        for end in self.ends:
            if "tbf" in end.run("tc", "qdisc", "show", "dev", self.name):
                end.run("tc", "qdisc", "delete", "dev", self.name, "root")

    def cut(self) -> None:
        """Pulls the cable. Streams across it hang until they time out: TCP waits about 15 minutes."""
        for end in self.ends:
            end.run("ip", "link", "set", self.name, "down")

    def restore(self) -> None:
        """Puts the cable in again. A stream that hung goes on at its next retransmission, seconds later."""
        for end in self.ends:
            end.run("ip", "link", "set", self.name, "up")

    def reset(self) -> int:
        """Breaks the TCP streams across the link at once, at both ends, and returns how many there were."""
        broken = 0
        for here, there in (self.ends, self.ends[::-1]):
            listed = here.run("ss", "--no-header", "--tcp", "--kill", "state", "connected", "exclude", "time-wait",
                              "dst", there.address)
            broken = max(broken, len(listed.splitlines()))
            if left := here.run("ss", "--no-header", "--tcp", "state", "established", "dst", there.address).strip():
                raise TestbedError(f"this kernel did not break the streams on {self.name} "
                                   f"(it needs CONFIG_INET_DIAG_DESTROY):\n{left}")
        return broken
