# SPDX-License-Identifier: Apache-2.0
"""What is told of a run over all cases: lines for a person, and JSON of the shape of report.schema.json."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, field

from .cases import Case

INTERFACE_VERSION = "0.4.1"
REPORT_VERSION = 1
WORDS = {"passed": "ok", "failed": "FAILED", "skipped": "skipped"}
SHOWN_RUNS = 2


@dataclass
class Result:
    case: Case
    result: str  # passed, failed or skipped
    seconds: float
    reason: str | None = None
    expected: str | None = None
    seen: str | None = None
    runs: list[dict] = field(default_factory=list)  # the last ones, where it failed

    def as_json(self) -> dict:
        return {"id": self.case.id, "title": self.case.title, "clauses": list(self.case.clauses), "chapter": self.case.chapter,
                "result": self.result, "reason": self.reason, "expected": self.expected, "seen": self.seen,
                "durationSeconds": round(self.seconds, 3), "runs": self.runs}

    def as_text(self) -> str:
        lines = [f"{WORDS[self.result]:8}{self.case.id:26}{self.case.title}"]
        if self.result == "skipped":
            lines += indented("because", self.reason)
        if self.result == "failed":
            lines += indented("expected", self.expected) + indented("seen", self.seen)
            for run in self.runs:
                lines += indented("arguments", " ".join(run["arguments"])) + indented("exit status", str(run["exitStatus"]))
                lines += indented("standard output", run["standardOutput"]) + indented("standard error", run["standardError"])
        return "\n".join(lines)


def indented(label: str, text: str | None) -> list[str]:
    text = printable(text or "").strip("\n") or "(nothing)"
    return textwrap.indent(f"{label}: {text}", " " * 8).splitlines()


def printable(text: str) -> str:
    """What an executable wrote does nothing to a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(results: list[Result]) -> dict[str, int]:
    return {word: sum(result.result == word for result in results) for word in WORDS}


def summary(results: list[Result]) -> str:
    counts = count(results)
    return f"{len(results)} cases: {counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"


def report(executable: str, mode: str, patience: float, seconds: float, results: list[Result]) -> str:
    return json.dumps({
        "report": "vmmi-conformance", "reportVersion": REPORT_VERSION, "interfaceVersion": INTERFACE_VERSION,
        "executable": executable, "mode": mode, "patienceSeconds": patience, "durationSeconds": round(seconds, 3),
        "summary": count(results), "cases": [result.as_json() for result in results]}, indent=1)
