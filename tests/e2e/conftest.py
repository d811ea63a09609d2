# SPDX-License-Identifier: Apache-2.0
"""Two real hosts for all tests, and a fresh guest for each."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import jsonschema
import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(TESTS))

from testbed import Pair  # noqa: E402

from plugin import Plugin  # noqa: E402

SCHEMAS = TESTS.parent / "src" / "message" / "schema"
LINK_MBIT = 400  # a quarter of what emulated memory can be written with, and more than an idle guest needs
guest_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def the_pair():
    with Pair.up() as pair:
        pair.data.slow(LINK_MBIT)
        yield pair


@pytest.fixture
def pair(the_pair):
    yield the_pair
    the_pair.data.slow(LINK_MBIT)


@pytest.fixture
def start_guest(pair):
    """Starts a guest with a name of its own; it is gone after the test."""
    guests = []

    def start(**options):
        guests.append(pair.start_guest(name=f"g{next(guest_numbers)}", **options))
        return guests[-1]

    yield start
    for guest in guests:
        guest.destroy()


@pytest.fixture
def run_plugin(pair):
    """Starts a plugin on the source host; nothing of it is left after the test."""
    started = []

    def start(vm, **options):
        started.append(Plugin(pair, vm, **options))
        return started[-1]

    yield start
    for plugin in started:
        plugin.close()


@pytest.fixture
def fits_schema():
    def check(message: dict) -> None:
        schema = json.loads((SCHEMAS / f"{message['contentType']}.schema.json").read_text())
        jsonschema.validate(message, schema)

    return check
