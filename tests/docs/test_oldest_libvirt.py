# SPDX-License-Identifier: Apache-2.0
"""Nothing that is newer than the oldest libvirt is used of its headers and its library. They are those of a newer one here,
but they tell since when they have each thing: the headers in their comments, the library by the versions of its symbols.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDEST = tuple(map(int, re.search(r"libvirt>=([\d.]+)", (ROOT / "src/CMakeLists.txt").read_text())[1].split(".")))


@pytest.fixture(scope="module")
def headers():
    folder = subprocess.run(["pkg-config", "--variable=includedir", "libvirt"], capture_output=True, text=True, check=True)
    return "\n".join(path.read_text() for path in sorted(Path(folder.stdout.strip(), "libvirt").glob("*.h")))


def since(name, headers):
    """The version that brought a constant, as its comment has it: behind it, or before."""
    found = re.search(rf"^[ \t#]*(?:define[ \t]+)?{name}\b.*", headers, re.MULTILINE)
    if not found:
        return None
    if "/*" in found[0]:
        comment = headers[found.start():headers.index("*/", found.start())]
    else:
        before = headers[:found.start()].rstrip()
        comment = before[before.rindex("/*"):] if before.endswith("*/") else ""
    version = re.search(r"Since:?\s*(\d+)\.(\d+)", comment)
    return tuple(map(int, version.groups())) if version else None


def test_no_constant_is_newer_than_the_oldest_libvirt(headers):
    names = set()
    for folder in ("src", "plugins", "include", "tests"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".cpp", ".h"):
                code = re.sub(r'//.*|"[^"\n]*"', "", path.read_text())
                names |= set(re.findall(r"\bVIR_[A-Z0-9_]+\b", code))
    known = {name: since(name, headers) for name in names}
    assert len(known) > 100
    assert sorted(name for name, version in known.items() if version is None) == []
    assert {name: version for name, version in known.items() if version > OLDEST} == {}


@pytest.mark.parametrize("plugin", os.environ["VMMI_PLUGINS"].split(":"), ids=lambda path: Path(path).name)
def test_no_function_is_newer_than_the_oldest_libvirt(plugin):
    if not shutil.which("objdump"):
        pytest.skip("objdump is not installed")
    table = subprocess.run(["objdump", "--dynamic-syms", plugin], capture_output=True, text=True, check=True).stdout
    used = {name: tuple(map(int, version.split(".")[:2])) for version, name in
            re.findall(r"LIBVIRT_([\d.]+)\)?\s+(\w+)$", table, re.MULTILINE)}
    assert "virDomainMigrateToURI3" in used
    assert {name: version for name, version in used.items() if version > OLDEST} == {}
