# SPDX-License-Identifier: Apache-2.0
"""Loads for guests, and where a guest must be after a migration."""

from __future__ import annotations

IDLE = {"rate_mib": 0}
LIGHT = {"rate_mib": 10}
BUSY = {"rate_mib": 40}
# Over 400 Mb/s the busy guest's working set of 64 MiB costs a pause of 1.4 s at most: this maximum suffices for it.
ENOUGH = {"initialMs": 100, "maximumMs": 3000, "steps": 5}
TOO_LITTLE = {"initialMs": 50, "maximumMs": 50}
# With this limit, such a guest never converges, even where a busy machine slows it down to a third.
ENDLESS = {"rate_mib": 120}


def assert_moved(guest, pair, source_state: str | None = None) -> None:
    """Exactly one instance runs, at the destination, with all of its memory as it was."""
    assert guest.host() is pair.destination
    assert guest.state_on(pair.source) == source_state
    guest.wait_verified()
    assert guest.report().corrupted_pages == 0


def assert_stayed(guest, pair) -> None:
    """Exactly one instance runs, at the source, with all of its memory as it was; nothing is left at the destination."""
    assert guest.host() is pair.source
    assert guest.state_on(pair.destination) is None
    guest.wait_verified()
    assert guest.report().corrupted_pages == 0
    assert pair.source.virsh("domjobinfo", guest.uuid).split() == ["Job", "type:", "None"]
    assert pair.source.virsh("migrate-getmaxdowntime", guest.uuid).split() == ["300"], "the guest's own limit is back"
