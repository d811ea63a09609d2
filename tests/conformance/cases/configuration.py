# SPDX-License-Identifier: Apache-2.0
"""Chapter 3 of SPEC.md. Values are tried with the keys that every plugin has: connection and verbose."""

import json
import os
import signal

from kit.cases import ARGUMENTS, HARMFUL, MIGRATE, case, configuration, outcome
from scenario import SOURCE, outage

DEFAULT_SOURCE = "qemu:///system"
MIB = 1 << 20
MESSAGE = {"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {"connection": SOURCE}}
NAMESPACE = ("fake", "namespace")


def changed(**changes):
    """The message with other or without some keys: ... takes one away."""
    return json.dumps({key: value for key, value in {**MESSAGE, **changes}.items() if value is not ...})


# Where it comes from


@case("CFG-1.given-missing", "a CONFIG that is missing is code 3")
def given_missing(trial):
    trial.expect_code(trial.run(*ARGUMENTS, "/no/such/file.json"), 3, "for a CONFIG that is missing")


@case("CFG-1.given-malformed", "a CONFIG that is malformed or partial is code 6")
def given_malformed(trial):
    for text in ["", "not JSON", "[]", configuration()[:-2]]:
        trial.refuses(text, f"for a CONFIG that holds {text!r}")


@case("CFG-1.default-missing", "without CONFIG and default file, the defaults hold", "CFG-2", needs=NAMESPACE)
def default_missing(trial):
    run = trial.run(*ARGUMENTS, host=trial.host(source=DEFAULT_SOURCE), wrapper=trial.with_default(None))
    trial.expect_success(run, f"with the default connection {DEFAULT_SOURCE}, without any configuration")


@case("CFG-1.default-used", "without CONFIG, the default file is used", needs=NAMESPACE)
def default_used(trial):
    run = trial.run(*ARGUMENTS, wrapper=trial.with_default(configuration()))
    trial.expect_success(run, "with the connection that the default file has")


@case("CFG-1.default-unreadable", "a default file that cannot be read is code 3", needs=NAMESPACE)
def default_unreadable(trial):
    run = trial.run(*ARGUMENTS, host=trial.host(source=DEFAULT_SOURCE), wrapper=trial.with_default(None, folder=True))
    trial.expect_code(run, 3, "where the default file is a folder")


@case("CFG-1.default-malformed", "a default file that is malformed or partial is code 6", needs=NAMESPACE)
def default_malformed(trial):
    for text in ["{", changed(contentType=...)]:
        run = trial.run(*ARGUMENTS, host=trial.host(source=DEFAULT_SOURCE), wrapper=trial.with_default(text))
        trial.expect_code(run, 6, f"where the default file holds {text!r}")


@case("CFG-3", "where CONFIG is given, the default file is not read", needs=NAMESPACE)
def default_not_read(trial):
    run = trial.run(*ARGUMENTS, trial.file(configuration()), wrapper=trial.with_default("{ nobody reads this"))
    trial.expect_success(run, "with a good CONFIG, though the default file is malformed")


@case("CFG-4", "CONFIG is a regular file or a link to one; anything else is code 3")
def regular_file(trial):
    room = trial.room()
    os.mkfifo(room / "fifo")
    for path in [room, room / "fifo", "/dev/zero", "/dev/null"]:
        trial.expect_code(trial.run(*ARGUMENTS, path), 3, f"for {path}")
    (room / "link").symlink_to(trial.file(configuration()))
    trial.expect_success(trial.run(*ARGUMENTS, room / "link"), "with a link to a good CONFIG")


@case("CFG-5.open", "the end of standard input is not waited for")
def input_stays_open(trial):
    run = trial.start(*ARGUMENTS, "-")
    text = configuration().encode()
    run.write(text[:40])
    run.rest(0.03)
    run.write(text[40:])
    trial.held(run.end, "the end of the run, though standard input stays open")
    trial.expect_success(run, "with the message on standard input, which stays open")


@case("CFG-5.rest", "what follows the object on standard input is ignored")
def rest_ignored(trial):
    for rest in [" } garbage \0 {", configuration(verbose="wrong")]:
        trial.expect_success(trial.run(*ARGUMENTS, "-", stdin=configuration() + rest), f"with {rest[:20]!r} behind the message")


@case("CFG-6", "standard input that ends early, or begins with anything else, is code 6")
def input_malformed(trial):
    for text in ["", " \n", configuration()[:-1]]:
        trial.expect_code(trial.run(*ARGUMENTS, "-", stdin=text), 6, f"where standard input ends after {text[-20:]!r}")
    for text in ["garbage", "[", "\0", "\ufeff{"]:
        run = trial.start(*ARGUMENTS, "-")
        run.write(text)
        trial.held(run.end, f"the end of the run when standard input begins with {text!r} and stays open")
        trial.expect_code(run, 6, f"where standard input begins with {text!r}")


def waiting(trial, sent, code):
    host = trial.host()
    run = trial.start(*ARGUMENTS, "-", host=host)
    run.settle()
    run.write('{"vmmiVersion"')
    run.signal(sent)
    trial.held(run.end, f"the end of the run after {sent.name}, while it waits for standard input")
    trial.expect_code(run, code, f"after {sent.name} while it waited for standard input")
    trial.expect_no_calls(host, (MIGRATE,), "without a configuration")


@case("CFG-7.SIGTERM", "SIGTERM ends the wait for standard input with code 13")
def terminated_waiting(trial):
    waiting(trial, signal.SIGTERM, 13)


@case("CFG-7.SIGINT", "SIGINT ends the wait for standard input with code 9")
def interrupted_waiting(trial):
    waiting(trial, signal.SIGINT, 9)


@case("CFG-7.SIGUSR1", "SIGUSR1 during the wait for standard input is answered once, afterwards")
def asked_waiting(trial):
    run = trial.start(*ARGUMENTS, "-")
    run.settle()
    for _ in range(3):
        run.signal(signal.SIGUSR1)
        run.rest(0.03)
    early = len(run.messages("status"))
    run.write(configuration())
    run.close_input()
    run.end()
    trial.expect(early == 0, "no status message before the configuration", early)
    trial.expect(len(run.messages("status")) == 1, "one status message after it", run.describe())


# The message


@case("CFG-8", "a CONFIG that is not exactly one JSON object in UTF-8 is code 6")
def one_object(trial):
    good = configuration()
    for text in [good[:-1] + ",}", "// comment\n" + good, "\ufeff" + good, good + "x", good + good, good.replace(":", "="),
                 good.replace("fake", "f\udcffke"), f"[{good}]", good.replace('"', "'")]:
        trial.refuses(text, f"for a CONFIG that holds {text[:60]!r}")
    trial.expect_success(trial.run(*ARGUMENTS, trial.file(f" \n\t{good}\r\n ")), "with white space around the message")


@case("CFG-9.partial", "a message without one of its mandatory keys is code 6")
def partial(trial):
    for changes in [{key: ...} for key in MESSAGE] + [{"contentType": "status"}, {"configuration": []}]:
        trial.refuses(changed(**changes), f"for a message with {changes}".replace("Ellipsis", "absent"))


@case("CFG-9.others", "another key beside the mandatory ones is code 6")
def others(trial):
    trial.refuses(changed(comment="x"), "for a message with the key comment")


@case("CFG-9.accepted", "version 0.3.0 and a timestamp are accepted")
def accepted(trial):
    for changes in [{"vmmiVersion": "0.3.0"}, {"timestamp": 1}, {"timestamp": 1, "vmmiVersion": "0.3.0"}]:
        trial.expect_success(trial.run(*ARGUMENTS, trial.file(changed(**changes))), f"with {changes}")


@case("VER-1", "another version is code 6")
def other_version(trial):
    for version in ["0.4.2", "1.0.0", "0.2.0", "", "0.4.1 ", 0.4, None]:
        trial.refuses(changed(vmmiVersion=version), f"for vmmiVersion {version!r}")


@case("CFG-10", "a key that occurs twice is code 6")
def twice(trial):
    trial.refuses(configuration(verbose=0).replace('"verbose"', '"verbose": 0, "verbose"'), "for verbose given twice")
    good = changed()
    trial.refuses(good[:-1] + ', "contentType": "configuration"}', "for contentType given twice")


@case("CFG-11", "an unknown key is code 6")
def unknown_key(trial):
    for key in ["verbos", "Verbose", "noSuchKey", ""]:
        trial.refuses(configuration(**{key: 1}), f"for the key {key!r}")


@case("CFG-12", "a value of the wrong type or out of range is code 6")
def wrong_values(trial):
    for value in ["1", 4, -1, 1.5, None, True, [], {}, 2**63, -(2**64)]:
        trial.refuses(configuration(verbose=value), f"for verbose {value!r}")
    for written in ["1.0", "1e0"]:
        trial.refuses(configuration(verbose=1).replace(": 1}", f": {written}}}"), f"for verbose {written}")
    for value in [1, None, [], False]:
        trial.refuses(configuration(connection=value), f"for connection {value!r}")


@case("CFG-14.file", "a file of more than 1 MiB is code 3")
def long_file(trial):
    good = configuration()
    trial.expect_success(trial.run(*ARGUMENTS, trial.file(good + " " * (MIB - len(good)))), "with a file of just 1 MiB")
    trial.refuses(good + " " * (MIB - len(good) + 1), "for a file of 1 MiB and a byte", code=3)


@case("CFG-14.input", "a message of more than 1 MiB on standard input is code 6")
def long_input(trial):
    good = configuration()
    run = trial.run(*ARGUMENTS, "-", stdin=" " * (2 * MIB) + good)
    trial.expect_success(run, "with 2 MiB of white space in front of the message")
    run = trial.start(*ARGUMENTS, "-")
    run.write(good[:-1] + " " * MIB)
    trial.held(run.end, "the end of the run after more than 1 MiB of a message that does not end")
    trial.expect_code(run, 6, "for a message of more than 1 MiB")


@case("CFG-15", "more than 32 levels are code 6")
def deep(trial):
    for levels in [33, 10_000, 400_000]:
        trial.refuses('{"a":' * levels + "0" + "}" * levels if levels < 1000 else "[" * levels, f"for {levels} levels")
        trial.refuses(changed(configuration={"connection": SOURCE})[:-1] + ', "x": ' + "[" * levels + "]" * levels + "}",
                      f"for a message with {levels} levels")


@case("CFG-22", "more than 1000 keys in an object, or 10 000 values, are code 6")
def many(trial):
    trial.refuses(configuration(**{f"key{number}": 1 for number in range(1001)}), "for more than 1000 keys")
    trial.refuses(configuration(verbose=[0] * 10_001), "for more than 10 000 values")
    trial.refuses("{" + ",".join(f'"{number}":1' for number in range(90_000)) + "}", "for 90 000 keys")


@case("CFG-23", "a text that is empty, too long, or holds control characters is code 6")
def texts(trial):
    for value in ["", "x" * 4097, "fake:///\u0000", "fake:///\n", "fake:///\u001f", "fake:///\u007f"]:
        trial.refuses(configuration(connection=value), f"for connection {value[:20]!r}, {len(value)} characters")


@case("CFG-17", "passwords in URIs are masked in messages")
def secrets(trial):
    source = "fake://user:hunter2@host/source"
    host = trial.host(outages=[outage("begin")], source=source)
    destination = "qemu+tcp://user:hunter2@destination/system?password=hunter2"
    for arguments in [(*ARGUMENTS, "-"), (ARGUMENTS[0], destination, ARGUMENTS[2], "-", destination)]:
        run = trial.run(*arguments, host=host, stdin=configuration(connection=source))
        trial.expect(run.failure, "an error where the daemon is gone, and for a fifth argument", outcome(run))
        trial.expect(b"hunter2" not in run.output + run.error, "no password in a message", run.describe())


@case("CFG-17.file", "a password file that others may use is code 3")
def password_file(trial):
    path = trial.file("hunter2\n", "password")
    path.chmod(0o600)
    trial.require_key(connectionCredentials={"username": "anna", "passwordFile": str(path)})
    path.chmod(0o644)
    host = trial.host()
    run = trial.migrate(host, configuration(connectionCredentials={"username": "anna", "passwordFile": str(path)})).end()
    trial.expect_code(run, 3, "for a password file with mode 0644")
    trial.expect(b"hunter2" not in run.output + run.error, "no password in a message", run.describe())


@case("CFG-18", "the configured connection is used", "CFG-2")
def connection(trial):
    source = "fake:///elsewhere"
    run = trial.migrate(trial.host(source=source), configuration(connection=source)).end()
    trial.expect_success(run, f"with the connection {source}")


@case("CFG-18.verbose", "every verbose from 0 to 3 is accepted")
def verbose(trial):
    for level in range(4):
        trial.expect_success(trial.accepts(verbose=level), f"with verbose {level}")


@case("CFG-19", "optional keys have the ranges of the table")
def optional_keys(trial):
    known = 0
    for key, good, wrong in [("connectionTimeout", (2, 3600), (1, 3601)), ("monitorInterval", (1, 3600), (0, 3601)),
                             ("logTarget", ("none",), ("", "stderr", 1))]:
        if trial.accepts(**{key: good[0]}).code == 6:
            continue
        known += 1
        for value in good:
            trial.expect_success(trial.accepts(**{key: value}), f"with {key} {value!r}")
        for value in wrong:
            trial.refuses(configuration(**{key: value}), f"for {key} {value!r}")
    if known == 0:
        trial.require_key(connectionTimeout=30)


@case("CFG-20", "a log that cannot be opened is code 3, before the migration")
def no_log(trial):
    trial.require_key(logFilePath=str(trial.room() / "log"))
    host = trial.host()
    run = trial.migrate(host, configuration(logFilePath=str(trial.room() / "missing" / "log"))).end()
    trial.expect_code(run, 3, "for a log in a folder that is missing")
    trial.expect_no_calls(host, (MIGRATE, *HARMFUL), "where the log cannot be opened")
