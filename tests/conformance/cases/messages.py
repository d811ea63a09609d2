# SPDX-License-Identifier: Apache-2.0
"""Chapters 4 and 8 of SPEC.md, but for the completion message."""

import contextlib
import json
import os
import signal
import time

from kit.cases import ENDLESS, MIGRATE, case, configuration
from kit.verdicts import Failed, Skipped
from scenario import one_pass


def told(trial, text=None):
    """A migration that is asked for its status twice in pre-copy, and left then. Where no status comes, that is the
    matter of SIG-1: here, what comes is looked at."""
    host = trial.host(**ENDLESS)
    run = trial.migrate(host, text)
    trial.until_precopy(host, run)
    for _ in range(2):
        run.signal(signal.SIGUSR1)
        with contextlib.suppress(Failed):
            run.next_status(trial.soon)
    run.signal(signal.SIGTERM)
    return run.end()


def both(run):
    return [*run.messages("status"), *run.messages("completion")]


@case("MSG-1", "a message is one JSON object in UTF-8 on one line, ended by a line feed")
def lines(trial):
    run = told(trial)
    for name, stream in [("output", run.output), ("error", run.error)]:
        trial.expect(not stream or stream.endswith(b"\n"), f"a line feed at the end of standard {name}", stream[-80:])
        for line in stream.decode("utf-8", "surrogateescape").split("\n")[:-1]:
            try:
                line.encode()
                whole = isinstance(json.loads(line), dict)
            except (ValueError, RecursionError):
                whole = False
            trial.expect(whole, f"one JSON object on every line of standard {name}", line[:200])


@case("MSG-2", "a message has vmmiVersion, contentType, timestamp and its body")
def envelope(trial):
    run = told(trial)
    trial.expect(both(run), "messages", run.describe())
    for message in both(run):
        kind = message["contentType"]
        trial.expect(isinstance(message.get("vmmiVersion"), str), "vmmiVersion, a string", message)
        stamp = message.get("timestamp")
        trial.expect(type(stamp) is int and stamp >= 0, "timestamp, an unsigned integer", stamp)
        trial.expect(isinstance(message.get(kind), dict), f"an object under {kind}", message)


@case("MSG-4", "timestamps are of now, and never fall")
def timestamps(trial):
    before = time.time()
    run = told(trial)
    stamps = [one.get("timestamp", 0) for one in both(run)]
    stamps = [stamp for stamp in stamps if isinstance(stamp, (int, float))]
    trial.expect(stamps == sorted(stamps), "timestamps that do not fall", stamps)
    trial.expect(all(before - 2 <= stamp <= time.time() + 2 for stamp in stamps), f"timestamps of about {before:.0f}", stamps)


def expect_nothing_else(trial, run, when):
    for name, stream, kind in [("output", run.output, "status"), ("error", run.error, "completion")]:
        rest = stream.decode("utf-8", "replace")
        decoder = json.JSONDecoder()
        while rest := rest.strip():
            try:
                value, end = decoder.raw_decode(rest)
            except (ValueError, RecursionError):
                value, end = None, len(rest)
            fits = isinstance(value, dict) and value.get("contentType") == kind
            trial.expect(fits, f"nothing but {kind} messages on standard {name} {when}", rest[:200])
            rest = rest[end:]


@case("MSG-5", "standard output has nothing but status messages, standard error nothing but the completion message")
def nothing_else(trial):
    expect_nothing_else(trial, told(trial), "of a migration")


@case("MSG-5.libraries", "what libraries print on descriptors 1 and 2 stays out of the streams")
def noise(trial):
    host = trial.host(noise=True)
    run = trial.migrate(host).end()
    trial.expect(host.names(), "libvirt calls", "none")
    trial.expect(b"noise" not in run.output + run.error, "nothing of what libvirt printed", run.describe())


@case("MSG-6", "the log does not go to the streams, however verbose it is", "CFG-18")
def no_log_on_streams(trial):
    for level in (1, 3):
        expect_nothing_else(trial, trial.accepts(verbose=level), f"with verbose {level}")


def undisturbed(trial, what, **options):
    """A migration with a status in between; where the streams are is the caller's."""
    host = trial.host()
    run = trial.migrate(host, **options)
    trial.until_precopy(host, run)
    run.signal(signal.SIGUSR1)
    run.end()
    trial.expect(run.status_code == 0, f"a migration that succeeds with {what}, and exit status 0",
                 run.describe()["exitStatus"])


@case("MSG-9.broken", "readers that are gone disturb nothing")
def broken_pipes(trial):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        undisturbed(trial, "readers that are gone", stdout=writing, stderr=writing)
    finally:
        os.close(writing)


@case("MSG-9.full", "a full disk disturbs nothing")
def full_disk(trial):
    with open("/dev/full", "wb") as full:
        undisturbed(trial, "streams on a full disk", stdout=full, stderr=full)


@case("MSG-9.closed", "closed streams disturb nothing")
def closed_streams(trial):
    undisturbed(trial, "closed streams", wrapper=["sh", "-c", 'exec "$@" >&- 2>&-', "sh"])


@case("STAT-1", "no more than one status message for each SIGUSR1")
def one_for_each(trial):
    _, run = trial.precopy()
    for _ in range(3):
        run.signal(signal.SIGUSR1)
        with contextlib.suppress(Failed):
            run.next_status(trial.soon)
    run.rest(0.15)
    count = len(run.messages("status"))
    trial.expect(count <= 3, "3 status messages at the most for 3 times SIGUSR1", count)


@case("STAT-1.unasked", "no status message without being asked")
def none_unasked(trial):
    host = trial.host()
    run = trial.migrate(host).end()
    trial.expect(host.calls(MIGRATE), "a migration", ", ".join(host.names()))
    trial.expect(not run.messages("status"), "no status message, since nobody asked", run.describe())


@case("STAT-3", "progressPercent does not fall, and is below 100 until a success")
def progress(trial):
    host = trial.host(passes=[one_pass(250, 100), one_pass(250, 90), one_pass(250, 80)])
    run = trial.migrate(host)
    run.wait_for(f"a call of {MIGRATE}", lambda: host.calls(MIGRATE))
    for _ in range(6):
        run.signal(signal.SIGUSR1)
        with contextlib.suppress(Failed):
            run.next_status(trial.soon)
        run.rest(0.03)
    run.end()
    percents = [message.get("status", {}).get("progressPercent") for message in run.messages("status")]
    percents = [value for value in percents if isinstance(value, (int, float))]
    if not percents:
        raise Skipped("no status message has progressPercent")
    trial.expect(percents == sorted(percents), "percentages that do not fall", percents)
    trial.expect(percents[0] < 100, "less than 100 % in pre-copy", percents)


@case("VER-2", "messages are of version 0.4.1, whatever the configuration's was")
def version(trial):
    run = told(trial, configuration(version="0.3.0"))
    versions = {message.get("vmmiVersion") for message in both(run)}
    trial.expect(versions == {"0.4.1"}, "vmmiVersion 0.4.1", versions)
