# SPDX-License-Identifier: Apache-2.0
"""Scenarios of the fake libvirt in few words, and its trace. Knows no plugin: fake.py runs them."""

import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

LIBRARY = os.environ.get("VMMI_FAKE_LIBVIRT", "")
SOURCE = "fake:///source"
MEBI = 1 << 20
VM = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e01"
OTHER_VM = "0b7a4e1c-33a1-4d52-9d4e-6a1f2f5c8e02"


def one_pass(ms, mebibytes, **more):
    return {"ms": ms, "bytes": mebibytes * MEBI, **more}


def guest(
    name="web",
    uuid=VM,
    memory=100 * MEBI,
    persistent=False,
    state="running",
    downtime_ms=300,
    host="source",
    backup=False,
    **migration,
):
    """With a migration that goes well in about 120 ms, apart from what is told."""
    migration.setdefault("passes", [one_pass(50, 100), one_pass(25, 40, dirty_rate=80 * MEBI), one_pass(15, 10)])
    return {
        "host": host,
        "name": name,
        "uuid": uuid,
        "memory": memory,
        "persistent": persistent,
        "state": state,
        "backup": backup,
        "downtimeMs": downtime_ms,
        "migration": migration,
    }


def error(code, domain=10, message="told to fail"):
    return {"code": code, "domain": domain, "message": message}


END_OF_FILE = error(38, 7, "End of file while reading data: Input/output error")
NOT_NOW = error(55, 10, "Requested operation is not valid: no job is active on the domain")

NO_POSTCOPY = error(55, 10, "Requested operation is not valid: post-copy can only be started while outgoing migration is in progress")


def hang(*calls, **when):
    return {"call": list(calls), "hang": True, **when}


def delay(ms, *calls, **when):
    return {"call": list(calls), "delay_ms": ms, **when}


def refuse(answer, *calls, **when):
    return {"call": list(calls), "error": answer, **when}


def lose(*calls, reason="eof", for_ms=None, callback_ms=0, **when):
    """The daemon goes away while it has such a call."""
    outage = {"reason": reason, "for_ms": for_ms, "callback_ms": callback_ms}
    return {**({"call": list(calls)} if calls else {}), "lose": outage, **when}


def outage(phase, plus_ms=0, **more):
    """The daemon goes away at that moment."""
    return {"at": [phase, plus_ms], **more}


def camel(value):
    """Keys as the scenario file has them."""
    if isinstance(value, dict):
        return {re.sub(r"_(\w?)", lambda m: m[1].upper(), key): camel(item) for key, item in value.items()}
    return [camel(item) for item in value] if isinstance(value, (list, tuple)) else value


@dataclass
class Call:
    """A libvirt call, as the fake saw it. One that never came back has no end."""

    name: str
    arguments: dict
    connection: int
    host: str
    process: int
    thread: int
    begin: float
    end: float | None = None
    answer: object = None
    error: dict | None = None


@dataclass
class Callback:
    kind: object
    first: int
    second: int
    process: int
    thread: int
    time: float


class FakeHosts:
    """A scenario in a folder, and the trace of what was asked under it. `source` is the URI of the source host. Unless it
    permits it, no plugin gets out of pre-copy by its policy: what is to be seen there is to last."""

    patience = 60

    def __init__(
        self,
        folder,
        *rules,
        guests=None,
        outages=(),
        noise=False,
        source=SOURCE,
        destination="reachable",
        facts=None,
        permits_postcopy=False,
        **one_guest,
    ):
        self.folder = Path(folder)
        self.scenario = self.folder / "scenario.json"
        self.trace_file = self.folder / "trace"
        scenario = {
            "state_file": str(self.folder / "state"),
            "trace_file": str(self.trace_file),
            "source": source,
            "destination": destination,
            **(facts or {}),
            "noise": noise,
            "guests": guests if guests is not None else [guest(**one_guest)],
            "rules": rules if permits_postcopy else [*rules, refuse(NO_POSTCOPY, "virDomainMigrateStartPostCopy")],
            "outages": outages,
        }
        self.scenario.write_text(json.dumps(camel(scenario), indent=1))

    def environment(self, library=LIBRARY):
        # The runtime of a sanitizer complains where something is preloaded before it; nothing here replaces its calls.
        asan = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "verify_asan_link_order=0"]))
        own = {"VMMI_FAKE_SCENARIO": str(self.scenario), "LD_PRELOAD": str(library), "ASAN_OPTIONS": asan}
        return {**os.environ, **own}

    def lines(self):
        wrong = Path(f"{self.scenario}.error")
        assert not wrong.exists(), wrong.read_text()
        text = self.trace_file.read_text() if self.trace_file.exists() else ""
        return [json.loads(line) for line in text.splitlines(True) if line.endswith("\n")]

    def calls(self, *names, host=None):
        """In the order in which they began."""
        calls = {}
        for line in self.lines():
            key = (line["process"], line.get("number"))
            if "call" in line:
                calls[key] = Call(
                    line["call"],
                    line["arguments"] or {},
                    line["connection"],
                    line["host"],
                    line["process"],
                    line["thread"],
                    line["time"],
                )
            elif "answered" in line:
                call = calls[key]
                call.end, call.answer, call.error = line["time"], line["answer"], line.get("error")
        return [c for c in calls.values() if (not names or c.name in names) and host in (None, c.host)]

    def callbacks(self):
        return [
            Callback(line["callback"], line["first"], line.get("second", 0), line["process"], line["thread"], line["time"])
            for line in self.lines()
            if "callback" in line
        ]

    def wait_for(self, name, count=1, ended=False):
        """Until that call was made so many times, or has come back."""
        until = time.monotonic() + self.patience
        while True:
            calls = [call for call in self.calls(name) if call.end or not ended]
            if len(calls) >= count:
                return calls
            assert time.monotonic() < until, f"{name}: {len(calls)} of {count} calls, of {self.names()}"
            time.sleep(0.003)

    def wait_until_stuck(self):
        """Until a call is under way that was told to hang."""
        until = time.monotonic() + self.patience
        while not (stuck := [line["hangs"] for line in self.lines() if "hangs" in line]):
            assert time.monotonic() < until, f"nothing hangs, of {self.names()}"
            time.sleep(0.005)
        return [call for call in self.calls(*stuck) if call.end is None][0]

    def limits(self):
        """The downtime limits that were set, in order."""
        return [call.arguments["limit"] for call in self.calls("virDomainMigrateSetMaxDowntime")]

    def names(self):
        return [call.name for call in self.calls()]
