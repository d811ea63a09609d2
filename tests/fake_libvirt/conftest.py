# SPDX-License-Identifier: Apache-2.0
import glob
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake import LIBRARY, FakeHost  # noqa: E402

from vmmi import Plugin  # noqa: E402

PATHS = [path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path]


def pytest_configure(config):
    if not PATHS or not LIBRARY:
        raise pytest.UsageError("VMMI_PLUGINS: the executables to test; VMMI_FAKE_LIBVIRT: the library under them")


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
