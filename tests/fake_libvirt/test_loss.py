# SPDX-License-Identifier: Apache-2.0
"""A lost connection ends the plugin, and never the migration."""

import time

import pytest

from fake import hang, lose, one_pass, outage

# Calls while the guest is looked up, and those that start the migration: the daemon goes away in one of them.
CONNECTING = """virConnectSetKeepAlive virDomainLookupByUUIDString virDomainGetInfo virDomainGetJobStats
    virDomainIsPersistent""".split()
STARTING = {
    "own limit": {"call": "virDomainMigrateGetMaxDowntime"},
    "limit": {"call": "virDomainMigrateSetMaxDowntime"},
    "migrate": {"call": "virDomainMigrateToURI3"},
}
PHASES = [("setup", 2), ("pass 1", 0), ("pass 1", 20), ("pass 2", 5), ("switchover", 3), ("teardown", 1)]


def lost(fakes, plugin, within=3):
    """Runs until the loss is noticed, and checks that nothing was done to the guest after it."""
    with fakes.start(plugin) as run:
        ended = run.end()
    at = time.monotonic()
    failure = ended.failure
    assert failure["code"] == 12, failure
    assert not fakes.calls("virDomainAbortJob", "virDomainDestroy", "virDomainSuspend", "virDomainMigrateStartPostCopy")
    began = [call.begin for call in fakes.calls() if call.error and call.error["domain"] == 7]
    assert not began or at - max(began) < within
    return failure


@pytest.mark.parametrize("for_ms", [0, None], ids=["back at once", "gone"])
@pytest.mark.parametrize("name", CONNECTING)
def test_lost_while_the_guest_is_looked_up(plugin, host, name, for_ms):
    fakes = host(lose(name, for_ms=for_ms, to=1, callback_ms=30))
    lost(fakes, plugin)
    assert fakes.calls("virDomainMigrateToURI3") == []


@pytest.mark.parametrize(
    "name, for_ms",
    [
        ("own limit", 0),
        ("own limit", None),
        ("limit", 0),
        ("limit", None),
        ("migrate", 0),
        ("migrate", None),
    ],
)
def test_lost_while_the_migration_is_started(precopy, host, name, for_ms):
    fakes = host(lose(for_ms=for_ms, to=1, callback_ms=30, **STARTING[name]))
    lost(fakes, precopy)
    if name == "migrate":
        assert all(call.error for call in fakes.calls("virDomainMigrateToURI3"))


@pytest.mark.parametrize("phase, plus_ms", PHASES, ids=[f"{phase} {plus}" for phase, plus in PHASES])
def test_lost_in_the_migration(plugin, host, phase, plus_ms):
    details = lost(host(outages=[outage(phase, plus_ms)]), plugin)["details"]
    assert "goes on in the daemon" in details


@pytest.mark.parametrize("phase, plus_ms", PHASES, ids=[f"{phase} {plus}" for phase, plus in PHASES])
def test_lost_though_the_daemon_is_back_at_once(plugin, host, phase, plus_ms):
    lost(host(outages=[outage(phase, plus_ms, for_ms=0)]), plugin)


@pytest.mark.parametrize("for_ms", [0, 20, None], ids=["back at once", "back soon", "gone"])
@pytest.mark.parametrize("callback_ms", [0, 60], ids=["callback first", "error first"])
def test_lost_whoever_tells_first(plugin, host, callback_ms, for_ms):
    fakes = host(outages=[outage("pass 1", 20, callback_ms=callback_ms, for_ms=for_ms)], passes=[one_pass(400, 100)])
    lost(fakes, plugin)


def test_lost_with_the_migration(plugin, host):
    """As when the daemon is restarted: the guest stays at the source, and the loss is what counts."""
    end = {"end": "failed", "end_at": ["pass 2", 5], "linger_ms": 0}
    lost(host(outages=[outage("pass 2", 5, for_ms=0, callback_ms=60)], **end), plugin)


def test_a_lost_connection_is_not_opened_again(plugin, host):
    fakes = host(outages=[outage("pass 2", 5, for_ms=0)])
    lost(fakes, plugin)
    (migrate,) = fakes.calls("virDomainMigrateToURI3")
    assert [call for call in fakes.calls("virConnectOpenAuth", host="source") if call.begin > migrate.end] == []


def test_a_daemon_that_does_not_answer_is_given_up(plugin, host):
    """libvirt's keepalive notices; it takes longer than here."""
    fakes = host(hang(during="pass 2"), outages=[outage("pass 2", 300, reason="keepalive")], endless=True)
    lost(fakes, plugin)


def test_keepalive_is_asked_for_on_every_connection(plugin, host):
    fakes = host()
    fakes.run(plugin)
    opened = {call.answer for call in fakes.calls("virConnectOpenAuth", host="source")}
    asked = fakes.calls("virConnectSetKeepAlive", host="source")
    assert opened == {call.connection for call in asked}
    for call in asked:
        assert call.arguments["interval"] * (call.arguments["count"] + 1) <= 30, "the default of connectionTimeout"


def test_a_daemon_that_never_lets_in_is_given_up(any_plugin, host):
    fakes = host(hang("virConnectOpenAuth"))
    with fakes.start(any_plugin, connectionTimeout=2) as run:
        run.process.wait(6)
        assert run.end().code == 12


def test_a_daemon_that_hangs_at_a_takeover_is_given_up(any_plugin, host):  # FAIL-3
    fakes = host(hang("virConnectOpenAuth", from_=2), running_since_ms=20, endless=True)
    with fakes.start(any_plugin, connectionTimeout=2) as run:
        run.process.wait(10)
        assert run.end().code == 12


def test_a_loss_at_a_takeover_is_noticed_on_the_first_connection(plugin, host):
    silent = outage("pass 2", 300, reason="keepalive")
    fakes = host(hang("virConnectOpenAuth", from_=2), outages=[silent], running_since_ms=20, endless=True)
    assert "does not answer" in lost(fakes, plugin)["details"]


def test_a_loss_after_the_outcome_does_no_harm(plugin, host):
    fakes = host(outages=[outage("after", 0)], persistent=True, call_after_ms=-4)
    completion = fakes.run(plugin).completion
    assert completion["result"] == "success" or completion["error"]["code"] == 12
    assert not fakes.calls("virDomainAbortJob")


def test_the_migration_goes_on_after_the_loss(plugin, host):
    fakes = host(outages=[outage("pass 1", 20, for_ms=0)], persistent=True)
    lost(fakes, plugin)
    time.sleep(0.2)
    failure = fakes.run(plugin).failure
    assert failure["code"] == 2
    assert "shut off after migration" in failure["details"]
