# SPDX-License-Identifier: Apache-2.0
"""What holds for every file of the project."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CODE = {".cpp", ".h", ".c", ".py", ".sh", ".cmake"}


def tracked():
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout: nobody tells which files belong to the project")
    return [path for name in listed.stdout.decode().split("\0") if name and (path := ROOT / name).is_file()]


def sources(*folders):
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".cpp", ".h"):
                yield path


def includes(path):
    return re.findall(r'^#include ([<"])([^>"]+)[>"]', path.read_text(), re.MULTILINE)


# Dependencies point one way: who includes whom.
LAYERS = {
    "xml": set(),
    "core": {"xml"},
    "policy": set(),
    "engine": {"core"},
    "message": {"core"},
    "cli": {"core"},
    "system": {"core"},
    "hypervisor": {"core", "xml"},
    "simulator": {"core", "engine"},
    "supervisor": {"core", "message", "system"},
    # Beside a descriptor that closes itself, the library's own interface alone: it shows what an application can do with it.
    "command": {"system"},
    "app": {"core", "engine", "message", "cli", "system", "hypervisor"},
}

# A heavy or foreign library has one home.
HOMES = {
    "libvirt/": "src/hypervisor",
    "libxml/": "src/xml",
    "nlohmann/": "src/message",
    "CLI/": "src/cli",  # and the command, which has nothing of the core
    "spdlog/": "src/system",
}


def test_every_folder_of_the_core_has_its_layer():
    assert {path.name for path in (ROOT / "src").iterdir() if path.is_dir()} == set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_includes_follow_the_layers(layer):
    allowed = LAYERS[layer] | {layer, "vmmi"}
    for path in sources(f"src/{layer}"):
        for kind, name in includes(path):
            if kind == '"':
                assert name.split("/")[0] in allowed, f"{path.relative_to(ROOT)} includes {name}"


def test_the_public_headers_include_themselves_alone():
    for path in sources("include"):
        for kind, name in includes(path):
            if kind == '"' or name.startswith("vmmi/"):
                assert name.startswith("vmmi/"), f"{path.relative_to(ROOT)} includes {name}"


def test_plugins_include_the_public_headers_and_their_own():
    for path in sources("plugins"):
        own = {header.name for header in path.parent.glob("*.h")}
        for kind, name in includes(path):
            if kind == '"':
                assert name in own or name.startswith("vmmi/"), f"{path.relative_to(ROOT)} includes {name}"
            folder = name.split("/")[0]
            assert folder not in LAYERS, f"{path.relative_to(ROOT)} includes {name}"


@pytest.mark.parametrize("library", HOMES)
def test_a_library_has_one_home(library):
    home = ROOT / HOMES[library]
    for path in sources("include", "src", "plugins"):
        if home in path.parents or (library == "CLI/" and path == ROOT / "src/command/request.cpp"):
            continue
        for _, name in includes(path):
            assert not name.startswith(library), f"{path.relative_to(ROOT)} includes {name}"


@pytest.mark.parametrize("library", ["nlohmann/", "CLI/", "spdlog/"])
def test_no_header_includes_a_heavy_library(library):
    for path in sources("include", "src", "plugins"):
        if path.suffix == ".h":
            assert not any(name.startswith(library) for _, name in includes(path)), path.relative_to(ROOT)


def test_every_source_names_its_licence():
    missing = [
        str(path.relative_to(ROOT))
        for path in tracked()
        if (path.suffix in CODE or path.name == "CMakeLists.txt" or path.read_bytes().startswith(b"#!"))
        and "SPDX-License-Identifier: Apache-2.0" not in "".join(path.read_text().splitlines(True)[:3])
        and path.stat().st_size > 0
    ]
    assert missing == []


def test_every_fuzzer_has_a_corpus():
    folder = ROOT / "tests" / "fuzz"
    kept = {path.parent.name for path in (folder / "corpus").glob("*/*")}
    assert {path.stem for path in folder.glob("*.cpp")} == kept


def test_the_code_is_formatted():
    formatter = shutil.which("clang-format")
    if not formatter:
        pytest.skip("clang-format is not installed")
    files = [str(path) for path in tracked() if path.suffix in (".cpp", ".h")]
    run = subprocess.run([formatter, "--dry-run", "-Werror", *files], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_links_lead_somewhere():
    dead = []
    for page in (path for path in tracked() if path.suffix == ".md"):
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
        for link in re.findall(r"\]\(([^)\s]+)\)", text):
            target, _, anchor = link.partition("#")
            if re.match(r"[a-z]+:", link):
                continue
            found = page if not target else (page.parent / target)
            if not found.exists():
                dead.append(f"{page.relative_to(ROOT)}: {link}")
            elif anchor and found.suffix == ".md" and anchor not in anchors(found):
                dead.append(f"{page.relative_to(ROOT)}: {link} (no such heading)")
    assert dead == []


def anchors(page):
    """As GitHub makes them from headings; anchors that are written out count, too."""
    text = page.read_text()
    made = set(re.findall(r'<a (?:id|name)="([^"]+)"', text))
    for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE):
        made.add(re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-"))
    return made


def test_the_example_of_the_simulator_is_compiled():
    [example] = re.findall(r"^```cpp\n(.*?)^```", (ROOT / "docs/simulator.md").read_text(), re.MULTILINE | re.DOTALL)
    assert example in (ROOT / "tests/unit/simulator/example_test.cpp").read_text()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().splitlines()) < 150
