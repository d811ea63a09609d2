# SPDX-License-Identifier: Apache-2.0
"""Chapter 4.2 of SPEC.md."""

import signal
import subprocess

from kit.cases import MIGRATE, case
from kit.processes import objects
from kit.verdicts import Skipped
from scenario import END_OF_FILE, one_pass

BOTH = [("a success", {}), ("an error", {"end": "failed", "end_at": ["pass 2", 5]})]


@case("COMP-1", "exactly one completion message")
def one_message(trial):
    for what, scenario in BOTH:
        run = trial.migrate(trial.host(**scenario)).end()
        count = len(run.messages("completion"))
        trial.expect(count == 1, f"one completion message after {what}", count)


@case("COMP-1.last", "the completion message is the last message")
def last_message(trial):
    for what, scenario in BOTH:
        host = trial.host(**scenario)
        # Both streams are one, so that the order shows.
        run = trial.migrate(host, stderr=subprocess.STDOUT)
        trial.until_precopy(host, run)
        run.signal(signal.SIGUSR1)
        run.end()
        kinds = [message.get("contentType") for message in objects(run.output)]
        last = kinds[-1] if kinds else None
        trial.expect(last == "completion", f"the completion message as the last message of {what}", ", ".join(map(str, kinds)))


@case("COMP-2", "the body has result and an object under that word")
def result(trial):
    for what, scenario in BOTH:
        run = trial.migrate(trial.host(**scenario)).end()
        word = run.completion.get("result")
        trial.expect(word in ("success", "error"), f'"success" or "error" as the result of {what}', run.completion)
        trial.expect(isinstance(run.completion.get(word), dict), f"an object under {word}", run.completion)


@case("COMP-3", "a success is told when the guest has left the source, not before")
def not_early(trial):
    host = trial.host(setup_ms=0, passes=[one_pass(50, 100)], last_pass_ms=0, teardown_ms=750, call_after_ms=-700)
    run = trial.migrate(host).end()
    trial.expect_success(run, "where the migrate call comes back 700 ms early")
    after = run.ended_at - host.calls(MIGRATE)[0].begin
    trial.expect(after > 0.8, "that it waits until the guest has left the source, 0.8 s after the call began", f"its end after "
                 f"{after:.3f} s")


@case("COMP-4", "an error has code, message and details")
def error_body(trial):
    run = trial.migrate(trial.host(end="failed", end_at=["pass 2", 5])).end()
    failure = run.failure
    trial.expect(type(failure.get("code")) is int, "code, an integer", failure)
    for key in ("message", "details"):
        trial.expect(isinstance(failure.get(key), str) and failure[key], f"{key}, a string", failure)


@case("COMP-5", "the migrate call's error does not hide a migration that succeeded")
def evidence(trial):
    for persistent in (False, True):
        run = trial.migrate(trial.host(call_error=END_OF_FILE, persistent=persistent)).end()
        trial.expect_success(run, "where the guest has left the source and the statistics are of a success, though the "
                                  "migrate call failed")


@case("ACT-1", "an abort by SIGINT is no action of the policy")
def no_action(trial):
    _, run = trial.precopy()
    run.signal(signal.SIGINT)
    run.end()
    actions = run.failure.get("actions")
    if actions is None and run.failure:
        raise Skipped("the completion message has no actions")
    trial.expect(isinstance(actions, list), "a list of actions", run.completion)
    words = [action.get("action") for action in actions if isinstance(action, dict)]
    trial.expect("abort" not in words, "no abort among the actions", words)
