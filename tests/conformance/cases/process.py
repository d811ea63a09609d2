# SPDX-License-Identifier: Apache-2.0
"""Chapter 1 of SPEC.md."""

import os
import time

from kit.cases import ARGUMENTS, MIGRATE, case, configuration
from kit.processes import strays
from scenario import one_pass


@case("PROC-1", "one run starts one migration")
def one_migration(trial):
    host = trial.host(persistent=True)
    trial.migrate(host).end()
    calls = host.calls(MIGRATE)
    trial.expect(len(calls) == 1, f"one call of {MIGRATE}", f"{len(calls)} of them")


@case("PROC-5", "the plugin exits when the migration has ended")
def exits(trial):
    host = trial.host()
    run = trial.migrate(host).end()
    ended = [call.end for call in host.calls(MIGRATE) if call.end]
    trial.expect(ended, "a migrate call that came back", ", ".join(host.names()))
    after = run.ended_at - ended[-1]
    trial.expect(after < trial.soon, f"the end within {trial.soon:g} s after the migration", f"after {after:.2f} s")


@case("PROC-8", "before the configuration, nothing is written and nothing is asked of libvirt")
def silent_before(trial):
    host = trial.host()
    run = trial.start(*ARGUMENTS, "-", host=host)
    run.settle()
    run.rest(0.1)
    trial.expect(run.status_code is None, "it waits for standard input", run.describe())
    trial.expect(not run.output and not run.error, "nothing on the streams before the configuration", run.describe())
    trial.expect(not host.names(), "no libvirt call before the configuration", ", ".join(host.names()))


@case("PROC-9", "the exit status is 0 after a success and 1 after an error")
def exit_status(trial):
    for what, scenario, status in [("a success", {}, 0), ("an error", {"end": "failed", "end_at": ["pass 2", 5]}, 1)]:
        run = trial.migrate(trial.host(**scenario)).end()
        trial.expect(run.status_code == status, f"exit status {status} after {what}", run.describe()["exitStatus"])


@case("PROC-10", "standard input is left alone unless CONFIG is -")
def input_left_alone(trial):
    reading, writing = os.pipe()
    try:
        os.write(writing, b"for somebody else")
        trial.migrate(trial.host(), stdin=reading).end()
        os.set_blocking(reading, False)
        try:
            left = os.read(reading, 100)
        except BlockingIOError:
            left = b""
        trial.expect(left == b"for somebody else", "standard input as it was", f"{len(left)} of 17 bytes are left")
    finally:
        os.close(reading)
        os.close(writing)


@case("FAIL-10", "a caller that dies disturbs nothing")
def dead_caller(trial):
    host = trial.host(passes=[one_pass(400, 100)])
    # A shell that ends when it is told to, with a job left in the background.
    run = trial.start(*ARGUMENTS, trial.file(configuration()), host=host, wrapper=["sh", "-c", '"$@" & read line', "sh"])
    run.wait_for(f"a call of {MIGRATE}", lambda: host.calls(MIGRATE))
    run.close_input()
    run.wait_for("the end of the caller", lambda: run.status_code is not None)
    until = time.monotonic() + trial.patience
    while any(strays(run.mark)) and time.monotonic() < until:
        run.rest(0.02)
    run.close()
    trial.expect_success(run, "though its caller is dead")
