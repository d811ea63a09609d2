# SPDX-License-Identifier: Apache-2.0
"""Every case of comparison.py runs in the simulator, as it does beside real hosts; without these, nobody would notice
that it does not until somebody has hosts."""

import sys
from pathlib import Path

from comparison import CASES, MIB, Real, run, scenario_of

EXECUTABLE = Path(sys.argv[1])
# As the testbed's guests are.
GUEST = {"memory_bytes": 201_859_072, "zero_bytes": 60 * MIB}


def main() -> None:
    assert sum(case.held_out for case in CASES) >= 2, "cases that the simulator was not fitted to"
    for case in CASES:
        real = Real(0, 0, 0, [], taken_over_after=0.15 if case.auto_converge else 0, **GUEST)
        report = run(scenario_of(case, real), EXECUTABLE)
        assert report["cause"] == "completed", (case.name, report)
        assert report["downtimeMs"] is not None, case.name
        # All that is not zero has to go over the link once.
        at_least = (GUEST["memory_bytes"] - GUEST["zero_bytes"]) / (case.link_mbit * 125_000)
        assert report["totalTimeMs"] >= 1000 * at_least, (case.name, report["totalTimeMs"])
        assert (report["throttlePercent"] > 0) == case.auto_converge, case.name
        print(case.name, report["totalTimeMs"], "ms,", report["downtimeMs"], "ms downtime,", len(report["passes"]), "passes")


main()
