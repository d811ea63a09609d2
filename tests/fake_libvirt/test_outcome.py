# SPDX-License-Identifier: Apache-2.0
"""How a migration ended is told from all the evidence, not from the migrate call's answer."""

import signal

import pytest

from fake import END_OF_FILE, MEBI, NOT_NOW, OTHER_VM, error, guest, one_pass, outage, refuse



def test_a_good_migration(plugin, host):  # PROC-1 PROC-4 PROC-6 PROC-9 ARG-3 ARG-4
    fakes = host()
    success = fakes.run(plugin).completion["success"]
    assert success["policy"] == plugin.name
    assert success["downtimeMs"] == 7, "as JOB_COMPLETED told"
    assert success["setupTimeMs"] == 5
    assert success["iterations"] == 3
    assert success["totalBytes"] == 100 * MEBI
    assert success["transferredBytes"] == 150 * MEBI
    assert success["actions"] == []
    (call,) = fakes.calls("virDomainMigrateToURI3")
    assert call.arguments["destination"] == "qemu+tcp://destination/system"
    assert call.arguments["parameters"]["migrate_uri"] == "tcp://destination"
    assert call.arguments["flags"] & 2, "peer-to-peer"
    assert abs(success["totalTimeMs"] - 1000 * (call.end - call.begin)) < 100


def test_a_paused_and_a_persistent_guest_are_migrated_too(plugin, host):
    success = host(state="paused", persistent=True).run(plugin).completion["success"]
    assert success["downtimeMs"] == 7


# The call fails, the migration does not


def test_completed_statistics_outweigh_the_calls_error(plugin, host):  # COMP-5
    fakes = host(call_error=END_OF_FILE, silent=["lifecycle"])
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7


def test_a_guest_that_is_shut_off_as_migrated_outweighs_the_calls_error(any_plugin, host):
    no_statistics = refuse(error(1), "virDomainGetJobStats", during="after")
    fakes = host(no_statistics, call_error=END_OF_FILE, persistent=True, silent=["lifecycle", "jobCompleted"])
    assert fakes.run(any_plugin).completion["success"]["downtimeMs"] is None


def test_statistics_that_are_read_afterwards_outweigh_the_calls_error(plugin, host):
    fakes = host(call_error=END_OF_FILE, persistent=True, silent=["lifecycle", "jobCompleted"])
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7


def test_a_guest_that_stopped_as_migrated_outweighs_the_calls_error(any_plugin, host):
    fakes = host(call_error=END_OF_FILE, silent=["jobCompleted"])
    assert fakes.run(any_plugin).completion["success"]["downtimeMs"] is None


@pytest.mark.parametrize("call_error", [None, END_OF_FILE], ids=["success", "error"])
def test_a_call_that_comes_back_early_is_waited_for_to_come_true(plugin, host, call_error):
    fakes = host(call_after_ms=-60, call_error=call_error, teardown_ms=100)
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7


def test_a_call_that_comes_back_late(plugin, host):
    assert host(call_after_ms=150).run(plugin).completion["success"]["downtimeMs"] == 7


# The migration fails


@pytest.mark.parametrize("when", [["setup", 2], ["pass 1", 5], ["pass 2", 5], ["switchover", 3]], ids=lambda w: w[0])
def test_a_migration_that_was_rolled_back(plugin, host, when):
    failure = host(end="failed", end_at=when).run(plugin).failure
    assert failure["code"] == 8
    assert "guest web is running at the source" in failure["details"]
    assert "libvirt error 9, domain 10" in failure["details"]
    assert failure["downtimeMs"] is None


def test_an_error_as_after_a_success_does_not_hide_that_it_was_rolled_back(plugin, host):
    failure = host(end="failed", end_at=["pass 2", 5], call_error=END_OF_FILE).run(plugin).failure
    assert failure["code"] == 8
    assert "libvirt error 38, domain 7" in failure["details"]


def test_a_failed_job_that_lingers_is_waited_for(plugin, host):
    fakes = host(end="failed", end_at=["pass 2", 5], linger_ms=400, call_after_ms=-390)
    failure = fakes.run(plugin).failure
    assert failure["code"] == 8
    (call,) = fakes.calls("virDomainMigrateToURI3")
    assert max(c.end for c in fakes.calls("virDomainGetState")) > call.end + 0.35


@pytest.mark.parametrize(
    "answer",
    [
        error(38, 7, "unable to connect to server at 'destination:16509': Connection refused"),
        error(1, 10, "internal error: unable to execute QEMU command 'migrate-set-capabilities': no"),
        error(74, 10, "unsupported argument: direct migration is not supported by the source host"),
    ],
    ids=["destination", "qemu", "flags"],
)
def test_a_migration_that_is_refused(plugin, host, answer):
    failure = host(refuse(answer, "virDomainMigrateToURI3")).run(plugin).failure
    assert failure["code"] == 8
    assert answer["message"] in failure["details"]
    assert "guest web is running at the source" in failure["details"]


@pytest.mark.parametrize("when", [["pass 1", 5], ["switchover", 3]], ids=lambda w: w[0])
def test_a_migration_that_somebody_else_aborted(plugin, host, when):  # FAIL-7 ACT-1
    failure = host(end="aborted", end_at=when).run(plugin).failure
    assert failure["code"] == 9
    assert failure["actions"] == [], "it was no decision of the policy"
    assert "libvirt error 78, domain 10" in failure["details"]


@pytest.mark.parametrize("end", ["destroyed", "crashed", "poweredOff"])
@pytest.mark.parametrize("persistent", [False, True], ids=["transient", "persistent"])
@pytest.mark.parametrize("silent", [[], ["lifecycle"]], ids=["event", "no event"])
def test_a_guest_that_is_gone(any_plugin, host, end, persistent, silent):  # FAIL-6
    failure = host(end=end, end_at=["pass 2", 5], persistent=persistent, silent=silent).run(any_plugin).failure
    assert failure["code"] == 11


def test_a_guest_that_is_gone_under_every_plugin(plugin, host):
    assert host(end="crashed", end_at=["pass 1", 5]).run(plugin).code == 11


# It is not started


def test_a_guest_that_does_not_run(plugin, host):  # FAIL-5
    fakes = host(state="shutoff", persistent=True)
    assert fakes.run(plugin).code == 2
    assert fakes.calls("virDomainMigrateToURI3") == []


def test_a_guest_that_is_not_there(plugin, host):
    fakes = host()
    assert fakes.run(plugin, vm=OTHER_VM).code == 10
    assert fakes.calls("virDomainMigrateToURI3") == []


def test_no_daemon(plugin, host):
    assert host(outages=[outage("begin")]).run(plugin).code == 12


# SIGINT


def interrupted(fakes, plugin, passes=1):
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["iteration"] >= passes)
        run.signal(signal.SIGINT)
        return run.end()


def test_an_interrupt_aborts_the_migration(plugin, host):
    fakes = host(endless=True)
    failure = interrupted(fakes, plugin).completion_beside_output["error"]
    assert failure["code"] == 9
    assert failure["actions"] == []
    assert "guest web is running at the source" in failure["details"]
    assert len(fakes.calls("virDomainAbortJob")) == 1


def test_an_abort_that_is_refused_is_tried_again(plugin, host):  # SIG-5
    fakes = host(refuse(NOT_NOW, "virDomainAbortJob", to=2), endless=True)
    assert interrupted(fakes, plugin).completion_beside_output["error"]["code"] == 9
    answers = [call.error and call.error["code"] for call in fakes.calls("virDomainAbortJob")]
    assert answers == [55, 55, None]


def test_an_abort_before_the_job_began_is_tried_again(plugin, host):
    fakes = host({"call": "virDomainMigrateToURI3", "delay_ms": 150}, endless=True)
    with fakes.start(plugin) as run:
        fakes.wait_for("virDomainMigrateToURI3")
        run.signal(signal.SIGINT)
        assert run.end().code == 9
    answers = [call.error and call.error["code"] for call in fakes.calls("virDomainAbortJob")]
    assert answers[0] == 55 and answers[-1] is None


def test_an_abort_that_libvirt_accepts_and_forgets_is_tried_again(any_plugin, host):
    fakes = host(endless=True, abort_ms=4000)
    assert interrupted(fakes, any_plugin).completion_beside_output["error"]["code"] == 9
    assert len(fakes.calls("virDomainAbortJob")) == 2


def test_an_abort_that_comes_too_late_does_not_hide_a_success(plugin, host):  # SIG-4
    fakes = host(refuse(NOT_NOW, "virDomainAbortJob"), passes=[one_pass(1000, 100)])
    assert interrupted(fakes, plugin).completion_beside_output["success"]["downtimeMs"] == 7
    assert fakes.calls("virDomainAbortJob")


def test_an_abort_that_the_call_reports_as_a_failure_is_an_abort(plugin, host):
    broken_pipe = error(9, 10, "operation failed: Unable to write to socket: Broken pipe")
    fakes = host(endless=True, call_error=broken_pipe)
    assert interrupted(fakes, plugin).completion_beside_output["error"]["code"] == 9


def test_an_interrupt_in_the_last_pass_waits_for_its_end(plugin, host):
    fakes = host(last_pass_ms=300, teardown_ms=100)
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["phase"] == "switchover")
        run.signal(signal.SIGINT)
        fakes.wait_for("virDomainAbortJob")
        assert run.status()[0]["phase"] == "switchover"
        assert run.end().completion_beside_output["error"]["code"] == 9


# What is no evidence


@pytest.mark.parametrize("code", [38, 42, 55, 68, 1])
def test_failing_statistics_are_no_verdict(any_plugin, host, code):
    fakes = host(refuse(error(code), "virDomainGetJobStats", during=["setup", "precopy", "teardown"]))
    assert fakes.run(any_plugin).completion["success"]["downtimeMs"] == 7


def test_failing_statistics_are_no_verdict_under_every_plugin(plugin, host):
    fakes = host(refuse(error(38), "virDomainGetJobStats", "virDomainGetState", during=["setup", "precopy"]))
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7


def test_events_of_another_guest_are_not_taken_for_this_ones(plugin, host):
    other = guest("other", OTHER_VM, running_since_ms=0, end="destroyed", end_at=["pass 2", 5])
    success = host(guests=[guest(), other]).run(plugin).completion["success"]
    assert success["downtimeMs"] == 7


def test_lost_events_are_made_up_for_by_looking(any_plugin, host):
    fakes = host(silent=["iteration", "lifecycle", "jobCompleted"], persistent=True, passes=[one_pass(1500, 100)])
    with fakes.start(any_plugin) as run:
        run.wait_status(lambda status: status["phase"] == "precopy" and status["iteration"] == 1)
        assert run.end().completion_beside_output["success"]["downtimeMs"] == 7


# A migration that is in progress: nobody's call tells its end.

IN_PROGRESS = {"running_since_ms": 20, "passes": [one_pass(200, 100), one_pass(50, 10)]}


@pytest.mark.parametrize("persistent", [False, True], ids=["transient", "persistent"])
def test_a_migration_in_progress_is_taken_over(plugin, host, persistent):
    fakes = host(**IN_PROGRESS, persistent=persistent)
    success = fakes.run(plugin).completion["success"]
    assert success["downtimeMs"] == 7
    assert success["iterations"] == 2
    # The job took 250 ms; how long its age took to get here, nobody knows.
    assert 200 <= success["totalTimeMs"] < 2000
    assert not fakes.calls("virDomainMigrateToURI3", "virDomainAbortJob", "virDomainSuspend", "virDomainDestroy")


# Whether somebody aborted it is shown for a moment, between two looks.
@pytest.mark.parametrize("end, codes", [("failed", [8]), ("aborted", [8, 9]), ("destroyed", [11]), ("crashed", [11])])
def test_a_migration_that_was_taken_over_may_fail(any_plugin, host, end, codes):
    fakes = host(**IN_PROGRESS, end=end, end_at=["pass 2", 5])
    assert fakes.run(any_plugin).code in codes


def test_a_migration_that_was_taken_over_is_aborted_by_an_interrupt(plugin, host):
    fakes = host(running_since_ms=20, endless=True)
    assert interrupted(fakes, plugin).completion_beside_output["error"]["code"] == 9
    assert len(fakes.calls("virDomainAbortJob")) == 1


def test_a_migration_that_was_taken_over_is_left_alone_when_told_to_leave(plugin, host):
    fakes = host(running_since_ms=20, endless=True)
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["iteration"] > 1)
        ended, _ = run.leave()
    assert ended.completion_beside_output["error"]["code"] == 13
    assert not fakes.calls("virDomainAbortJob")


def test_the_migration_of_a_killed_plugin_is_taken_over(plugin, host):
    fakes = host(passes=[one_pass(1500, 100), one_pass(50, 10)])
    with fakes.start(plugin) as run:
        run.wait_status(lambda status: status["iteration"] == 1)
        run.process.kill()
        run.process.wait()
    assert fakes.run(plugin).completion["success"]["downtimeMs"] == 7
    assert len(fakes.calls("virDomainMigrateToURI3")) == 1
