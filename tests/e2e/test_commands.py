# SPDX-License-Identifier: Apache-2.0
"""The two commands of the README, as a newcomer gives them."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from terminal import on_a_terminal

ROOT = Path(__file__).resolve().parent.parent.parent
NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def assert_told_of_a_migration(output: str) -> None:
    assert '"result": "success"' in output
    assert re.search(r'"downtimeMs": \d+', output)
    assert re.search(r"longest silence +\d+ ms", output) and re.search(r"work lost +\d", output)
    assert re.search(r"pages corrupted +0 ", output)


def assert_left_nothing(output: str) -> None:
    pair = re.search(r"quickstart-\d+", output)
    assert pair is None or pair.group() not in subprocess.run(
        [ROOT / "tests/hosts", "list"], capture_output=True, text=True, check=True).stdout


def test_quickstart_migrates_a_busy_guest_and_cleans_up():
    run = subprocess.run([ROOT / "examples/quickstart"], capture_output=True, text=True, timeout=900,
                         start_new_session=True)  # without a terminal
    assert run.returncode == 0, run.stdout + run.stderr
    assert_told_of_a_migration(run.stdout)
    assert len(re.findall(r"^ *\d+%  precopy, pass", run.stdout, re.MULTILINE)) >= 2, run.stdout
    assert_left_nothing(run.stdout)


def test_quickstart_draws_the_progress_on_a_terminal():
    run, drawn = on_a_terminal([ROOT / "examples/quickstart"], terminal=True, timeout=900)
    output = drawn.replace("\r\n", "\n")
    assert run.returncode == 0, output
    assert_told_of_a_migration(output)
    assert re.search(r"\d+%  precopy  pass \d+", output), output
    assert_left_nothing(output)


@pytest.mark.parametrize("command", ["examples/quickstart", "tests/run", "tests/hosts"])
def test_without_root_it_says_what_needs_it_and_why(command):
    arguments = ["up"] if command == "tests/hosts" else []
    run = subprocess.run([*NOBODY, ROOT / command, *arguments], capture_output=True, text=True, timeout=60, cwd="/")
    assert run.returncode == 77, run.stderr
    assert "root" in run.stderr and "namespace" in run.stderr


def test_without_a_network_it_says_what_it_needs_it_for(tmp_path):
    """Nothing is cached, and there is no network to fetch libvirt and QEMU with."""
    run = subprocess.run(["unshare", "--net", ROOT / "tests/hosts", "images"], capture_output=True, text=True, timeout=300,
                         env={**os.environ, "VMMI_CACHE": str(tmp_path)})
    assert run.returncode == 77, run.stderr
    assert "network" in run.stderr and "QEMU" in run.stderr, run.stderr
