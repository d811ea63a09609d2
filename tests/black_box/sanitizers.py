# SPDX-License-Identifier: Apache-2.0
"""What sanitizers say of executables that they are built into."""

import glob
import os
from pathlib import Path

import pytest


def reports():
    pattern = os.environ.get("VMMI_SANITIZER_REPORTS")
    return set(glob.glob(f"{pattern}.*")) if pattern else set()


@pytest.fixture(scope="session", autouse=True)
def no_sanitizer_complains():
    """A report changes neither the streams nor the status of a plugin, so it is looked for at the end."""
    before = reports()
    yield
    complaints = sorted(reports() - before)
    assert not complaints, f"{len(complaints)} reports of a sanitizer, the first:\n{Path(complaints[0]).read_text()}"
