# SPDX-License-Identifier: Apache-2.0
import glob
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from vmmi import Plugin  # noqa: E402

PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]


def pytest_configure(config):
    if not PATHS:
        raise pytest.UsageError("VMMI_PLUGINS: paths of the executables to test, separated by colons")


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


@pytest.fixture(params=PATHS, ids=lambda path: Path(path).name)
def plugin(request):
    """Every plugin that was built goes through every case."""
    return Plugin(request.param)


@pytest.fixture
def message_file(tmp_path):
    """Writes a configuration message and returns its path."""

    def write(text, name="configuration.json"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write
