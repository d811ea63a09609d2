# SPDX-License-Identifier: Apache-2.0
"""How a case ends that does not pass."""


class Failed(Exception):
    """The executable does not keep a rule: what the rule has, and what was seen."""

    def __init__(self, expected: str, seen: str):
        super().__init__(f"expected: {expected}; seen: {seen}")
        self.expected, self.seen = expected, seen


class Skipped(Exception):
    """The case says nothing about this executable, or cannot be tried here. The text is the reason."""


class CannotRun(Exception):
    """No case can be tried here: exit status 77."""


class Unusable(Exception):
    """What was named is no executable that can be tried: exit status 2."""
