# SPDX-License-Identifier: Apache-2.0
"""Copies of plugins/sample that break one clause each fail the case of that clause and no other.

All copies are one executable (broken/), which breaks what the folder that it is called from is named after. It notes, in a
run over all cases, in which of them each mistake would be made. In the other cases, a copy does what the one without a
mistake does, which passes: only the cases noted are run again, with the mistake. With VMMI_CONFORMANCE_ALL=1, all are.
"""

import os
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

import pytest

from calling import call, listed

BROKEN = os.environ.get("VMMI_BROKEN_SAMPLE")
WITHOUT_MISTAKE = "none"
AT_ONCE = 2  # copies; each of them runs some cases at the same time

if not BROKEN:
    raise pytest.UsageError("VMMI_BROKEN_SAMPLE: the copy of plugins/sample that can break a clause")


def copy(top, mistake):
    folder = top / mistake
    folder.mkdir()
    (folder / "sample").symlink_to(BROKEN)
    return folder / "sample"


@pytest.fixture(scope="module")
def cases():
    return [case for case, needs in listed().items() if "fake" in needs]


@pytest.fixture(scope="module")
def noted(tmp_path_factory):
    """The run of the copy without a mistake, and the cases in which each mistake would be made."""
    top = tmp_path_factory.mktemp("noted")
    log = top / "log"
    verdict = call(copy(top, WITHOUT_MISTAKE), env={"VMMI_DEFECTS_LOG": str(log)}, folder=top)
    found = defaultdict(set)
    for line in log.read_text().splitlines():
        case, mistake = line.split()
        found[mistake].add(case)
    return verdict, found


def test_the_copy_without_a_mistake_passes(noted):
    verdict, _ = noted
    assert verdict.of("failed") == set(), verdict.output


def test_no_more_is_asked_than_of_everybody(tmp_path):
    """A copy without the keys of this project's plugins in messages and configurations."""
    verdict = call(copy(tmp_path, "bare"), folder=tmp_path)
    assert verdict.of("failed") == set(), verdict.output
    optional = {"ACT-1", "CFG-17.file", "CFG-19", "CFG-20", "FAIL-3.connecting", "STAT-3"}
    assert optional <= verdict.of("skipped"), verdict.output


def test_every_case_has_a_mistake_and_every_mistake_a_case(noted, cases):
    verdict, found = noted
    assert set(found) - set(cases) == set(), "mistakes that no case is about"
    assert set(cases) - set(found) - verdict.of("skipped") == set(), "cases that no copy fails"
    for mistake, where in found.items():
        assert mistake in where, f"{mistake} is not made in its own case, but in {sorted(where)}"


def test_a_copy_fails_the_case_of_its_mistake_and_no_other(noted, tmp_path):
    _, found = noted

    def fails(mistake):
        executable = copy(tmp_path, mistake)
        only = [] if os.environ.get("VMMI_CONFORMANCE_ALL") else ["--only", ",".join(sorted(found[mistake]))]
        verdict = call(executable, *only, folder=executable.parent)
        assert verdict.report, verdict.error
        return mistake, verdict

    wrong = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for mistake, verdict in pool.map(fails, sorted(found)):
            if verdict.of("failed") != {mistake}:
                wrong.append(f"{mistake} fails {sorted(verdict.of('failed'))}:\n{verdict.output}")
    assert not wrong, "\n".join(wrong)
