# SPDX-License-Identifier: Apache-2.0
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake import LIBRARY, FakeHost  # noqa: E402

from sanitizers import no_sanitizer_complains  # noqa: E402, F401
from vmmi import Plugin  # noqa: E402

PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]


def pytest_configure(config):
    if not PATHS or not LIBRARY:
        raise pytest.UsageError("VMMI_PLUGINS: the executables to test; VMMI_FAKE_LIBVIRT: the library under them")


@pytest.fixture(params=PATHS, ids=lambda path: Path(path).name)
def plugin(request):
    """Every plugin that was built goes through every case."""
    return Plugin(request.param)


@pytest.fixture
def any_plugin():
    """For what is the core's alone."""
    return Plugin(PATHS[0])


@pytest.fixture
def precopy():
    """The one that takes actions in short scenarios."""
    for path in PATHS:
        if Path(path).name == "precopy":
            return Plugin(path)
    pytest.skip("the plugin precopy was not built")


@pytest.fixture
def host(tmp_path):
    """Makes the fake hosts of a case."""
    return lambda *rules, **scenario: FakeHost(tmp_path, *rules, **scenario)
