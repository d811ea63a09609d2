# SPDX-License-Identifier: Apache-2.0
"""The manual pages against the executables, both ways."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PATHS = {Path(path).name: path for path in os.environ.get("VMMI_PLUGINS", "").split(os.pathsep) if path}
FOLDERS = sorted(path for path in (ROOT / "plugins").iterdir() if path.is_dir())

KEY = re.compile(r"[a-z][A-Za-z]*(\[\])?(\.[a-z][A-Za-z]*(\[\])?)*")


def help_of(name):
    return subprocess.run([PATHS[name], "--help"], capture_output=True, text=True, check=True).stdout


def lines_of_section(text, title):
    """The lines below a title of --help."""
    return text.partition(f"\n{title}:\n")[2].partition("\n\n")[0].splitlines()


def sections_of_page(path):
    sections, title = {}, None
    for line in path.read_text().splitlines():
        if line.startswith("# "):
            title = line[2:].strip()
        sections.setdefault(title, []).append(line)
    return sections


def defined(lines):
    """The words in bold that begin a definition: on a line of their own, with an indented one below."""
    words = set()
    for line, below in zip(lines, [*lines[1:], ""]):
        if line.startswith("*") and below.startswith("\t"):
            head = line.partition(" (")[0]
            words.update(re.findall(r"\*([^*]+)\*", head))
    return words


@pytest.fixture(params=FOLDERS, ids=lambda path: path.name)
def folder(request):
    return request.param


@pytest.fixture
def page(folder):
    return sections_of_page(folder / f"vmmi-{folder.name}.8.scd")


def test_every_plugin_is_built_and_tested(folder):
    assert folder.name in PATHS


def test_every_plugin_has_its_documents(folder):
    for name in [f"vmmi-{folder.name}.8.scd", "README.md", "example.json"]:
        assert (folder / name).is_file(), name


def test_the_page_has_the_options_of_the_help(folder, page):
    lines = lines_of_section(help_of(folder.name), "Options")
    shown = {word for line in lines for word in re.findall(r"^  (--[a-z-]+)", line)}
    assert shown
    documented = {word for word in defined(page["OPTIONS"]) if word.startswith("--") and word != "--"}
    assert documented == shown


def test_short_options_of_the_page_work(folder, page):
    for word in defined(page["OPTIONS"]):
        if re.fullmatch("-[a-zA-Z]", word):
            assert subprocess.run([PATHS[folder.name], word], capture_output=True).returncode == 0, word


def test_the_page_has_the_keys_of_the_help(folder, page):
    keys = {
        line.split()[0]
        for line in lines_of_section(help_of(folder.name), "Configuration keys")
        if line.startswith("  ") and not line.startswith("   ")
    }
    assert "connection" in keys
    documented = {word for word in defined(page["CONFIGURATION"]) if KEY.fullmatch(word)}
    assert documented == keys


def test_the_page_tells_ranges_choices_and_defaults_as_the_help_does(folder, page):
    text = "\n".join(page["CONFIGURATION"])
    for line in lines_of_section(help_of(folder.name), "Configuration keys"):
        matched = re.fullmatch(r"  (\S+)  \((.*)\)", line)
        if not matched:
            continue
        definition = re.search(r"^\*" + re.escape(matched[1]) + r"\* \((.*)\)$", text, re.MULTILINE)
        assert definition, f"*{matched[1]}* (…) begins no line"
        for word in re.findall(r"-?\d+|\"[^\"]*\"|\b[a-z]{3,}\b", matched[2]):
            plain = word.strip('"')
            assert plain in definition[1].replace("_", ""), f"{matched[1]}: {word}"


def test_the_page_names_signals_files_and_the_synopsis(folder, page):
    assert {"SIGUSR1", "SIGINT", "SIGTERM"} <= defined(page["SIGNALS"])
    assert any(f"/etc/vmmi/conf.d/{folder.name}.json" in line for line in page["FILES"])
    assert any("DESTINATION-URI" in line and "CONFIG" in line for line in page["SYNOPSIS"])
    for title in ["NAME", "DESCRIPTION", "EXIT STATUS", "EXAMPLES", "SEE ALSO"]:
        assert page[title]


def test_the_example_is_accepted_and_shows_every_key_that_it_names(folder):
    example = folder / "example.json"
    run = subprocess.run(
        [PATHS[folder.name], "--print-config", "-", "-", "-", example], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    printed = json.loads(run.stdout)["configuration"]
    for key, value in json.loads(example.read_text())["configuration"].items():
        assert printed[key] == value


@pytest.mark.parametrize("preset", sorted((ROOT / "plugins").glob("*/presets/*.json")), ids=lambda path: path.stem)
def test_a_preset_is_accepted_told_of_in_the_readme_and_accepted_as_it_is_printed(preset):
    plugin = PATHS[preset.parents[1].name]
    assert f"`{preset.stem}`" in (preset.parents[1] / "README.md").read_text()
    text = preset.read_text()
    for _ in range(2):
        run = subprocess.run([plugin, "--print-config", "-", "-", "-", "-"], input=text, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        text = run.stdout
