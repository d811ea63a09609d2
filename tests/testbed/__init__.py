# SPDX-License-Identifier: Apache-2.0
"""Two libvirt hosts on one machine, with real migrations between them. Start with `with Pair.up() as pair:`."""

from .guest import Guest, Mark
from .host import Host
from .network import Link
from .pair import Pair
from .progress import Report
from .system import CannotRunHere, TestbedError

__all__ = ["CannotRunHere", "Guest", "Host", "Link", "Mark", "Pair", "Report", "TestbedError"]
