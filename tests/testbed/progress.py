# SPDX-License-Identifier: Apache-2.0
"""What a guest's recorded progress tells: where it stood at a time, and what a migration did to it since."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = 4096
MIB = 1 << 20
# The guest's own rate is measured over at most this long before a mark.
BASELINE_SECONDS = 5.0


@dataclass(frozen=True)
class Progress:
    """One line of the guest, with the time at which it arrived."""

    arrival: float
    guest_ms: int
    pages_done: int
    pages_verified: int
    sweeps: int
    corrupted: int

    @staticmethod
    def parse(line: str) -> Progress | None:
        """Reads "ARRIVAL P MS DONE VERIFIED SWEEPS CORRUPTED SUM"; None for the kernel's words and for damaged lines."""
        arrival, _, said = line.partition(" ")
        text, _, checksum = said.rpartition(" ")
        try:
            if not said.startswith("P ") or sum(f"{text} ".encode()) & 0xFF != int(checksum, 16):
                return None
            fields = [int(field) for field in text.split()[1:]]
            return Progress(float(arrival), *fields)
        except (ValueError, TypeError):
            return None


def read(file: Path, tail: int | None = None) -> list[Progress]:
    """All progress in a recording, or only that in its last `tail` bytes."""
    try:
        with open(file, "rb") as recording:
            if tail is not None:
                recording.seek(max(0, recording.seek(0, 2) - tail))
            lines = recording.read().decode(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [progress for line in lines if (progress := Progress.parse(line))]


@dataclass(frozen=True)
class Report:
    """What happened to a guest since a mark. Seconds are of this machine's clock, seen from outside the guest."""

    seconds: float  # from the mark to now
    downtime_seconds: float  # the longest silence, one that still lasts included
    work_lost_seconds: float | None  # how much time at the rate before is missing; None when the guest was idle
    corrupted_pages: int  # found in this time
    pages_done: int
    pages_verified: int
    rate_before_mib: float
    rate_mib: float  # over all of this time
    rate_now_mib: float  # over its last second

    def to_dict(self) -> dict:
        return dataclasses.asdict(self)


def rate(lines: list[Progress]) -> float:
    """Pages a second between the first and the last of some lines."""
    if len(lines) < 2 or lines[-1].arrival <= lines[0].arrival:
        return 0.0
    return (lines[-1].pages_done - lines[0].pages_done) / (lines[-1].arrival - lines[0].arrival)


def report(lines: list[Progress], since: float, now: float | None = None) -> Report:
    """Compares the time since a mark with the time before it."""
    now = time.monotonic() if now is None else now
    before = [line for line in lines if since - BASELINE_SECONDS <= line.arrival <= since]
    after = [line for line in lines if since < line.arrival <= now]
    start = before[-1:] or after[:1]
    if not start:
        raise ValueError("the guest has made no progress yet")
    window = start + after
    first, last = window[0], window[-1]
    done = last.pages_done - first.pages_done
    usual, elapsed = rate(before), now - first.arrival
    return Report(
        seconds=elapsed,
        downtime_seconds=longest_silence([line.arrival for line in window] + [now]),
        work_lost_seconds=max(0.0, elapsed - done / usual) if usual else None,
        corrupted_pages=last.corrupted - first.corrupted,
        pages_done=done,
        pages_verified=last.pages_verified - first.pages_verified,
        rate_before_mib=usual * PAGE / MIB,
        rate_mib=done / elapsed * PAGE / MIB if elapsed else 0.0,
        rate_now_mib=rate([line for line in window if line.arrival >= now - 1]) * PAGE / MIB,
    )


def longest_silence(times: Iterable[float]) -> float:
    times = list(times)
    return max((later - earlier for earlier, later in zip(times, times[1:])), default=0.0)
