# SPDX-License-Identifier: Apache-2.0
"""The runner, as its tests call it."""

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
RUNNER = HERE / "run"


@dataclass
class Verdict:
    status: int
    output: str
    error: str
    report: dict | None

    def of(self, result):
        return {case["id"] for case in self.report["cases"] if case["result"] == result}


def call(*arguments, env=None, folder=None, timeout=600):
    """With a report, where there is a folder for it."""
    file = folder / "report.json" if folder else None
    words = [str(RUNNER), *map(str, arguments)]
    if file:
        place = words.index("--") if "--" in words else len(words)
        words[place:place] = ["--report", str(file)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=timeout, env={**os.environ, **(env or {})})
    report = json.loads(file.read_text()) if file and file.exists() else None
    return Verdict(done.returncode, done.stdout, done.stderr, report)


def listed():
    """Ids of the cases, and what each needs."""
    lines = [line.split(None, 1) for line in call("--list").output.splitlines()]
    return {case: rest.split("  ")[0].split(", ") for case, rest in lines}
