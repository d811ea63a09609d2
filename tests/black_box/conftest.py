# SPDX-License-Identifier: Apache-2.0
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from sanitizers import no_sanitizer_complains  # noqa: E402, F401
from vmmi import Plugin  # noqa: E402

PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]


def pytest_configure(config):
    if not PATHS:
        raise pytest.UsageError("VMMI_PLUGINS: paths of the executables to test, separated by colons")


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
