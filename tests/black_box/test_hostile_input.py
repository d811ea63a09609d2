# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in: one completion message with the right code, soon, in little memory, and nothing is touched."""

import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from vmmi import ARGUMENTS, DESTINATION, PATIENCE, TRANSPORT, VM, Run, configuration

GOOD = 8  # the test driver cannot migrate: with a good configuration, a run comes that far
MOST_SECONDS = 2
MOST_MEMORY = 32 << 10  # KiB
LONGEST_DETAILS = 4100
MIB = 1 << 20
FULL = MIB - 300  # fills a message up to its longest, envelope included

# In a process of its own, which is small: what is measured of a child begins with what its parent had at the fork.
MEASURE = """
import os, signal, sys
report = int(sys.argv[1])
os.set_inheritable(report, False)
for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and that is inherited
    signal.signal(number, signal.SIG_DFL)
child = os.fork()
if child == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, usage = os.wait4(child, 0)
os.write(report, b"%d %d" % (os.waitstatus_to_exitcode(status), usage.ru_maxrss))
"""


@dataclass
class Measured:
    run: Run
    seconds: float
    memory: int


def sanitized(plugin):
    """Sanitizers take memory and time, and more address space than a limit leaves."""
    return re.search(rb"__[at]san_init", Path(plugin.path).read_bytes()) is not None


def measure(plugin, arguments, stdin, wrapper, env, cwd):
    reading, writing = os.pipe()
    own_input = not isinstance(stdin, int)
    argv = [sys.executable, "-I", "-S", "-c", MEASURE, str(writing), *wrapper, plugin.path, *arguments]
    began = time.monotonic()
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if own_input else stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=[writing],
        env=env,
        cwd=cwd,
    ) as process:
        os.close(writing)
        if own_input:
            try:
                for piece in [stdin] if isinstance(stdin, bytes) else stdin:
                    process.stdin.write(piece)
                process.stdin.close()
            except BrokenPipeError:
                process.stdin = None
        killer = threading.Timer(PATIENCE, process.kill)
        killer.start()
        output, error = process.stdout.read(), process.stderr.read()
        process.wait()
        killer.cancel()
    status, memory = map(int, os.read(reading, 100).split())
    os.close(reading)
    run = Run(status, output.decode(), error.decode())  # strictly: what is written is UTF-8
    return Measured(run, time.monotonic() - began, memory)


def everything_in(folder):
    return {path.relative_to(folder): (path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*")}


@pytest.fixture
def room(tmp_path):
    """The folder that the plugins run in; no run may change anything there."""
    path = tmp_path / "room"
    path.mkdir()
    return path


@pytest.fixture
def attempt(plugin, room):
    """Runs the plugin in the room and holds the run against the bounds. Returns the error, or the output alone."""

    def run(*arguments, code, stdin=b"", mentions=(), wrapper=(), env=None, touches=False):
        before = everything_in(room)
        for _ in range(3):  # a busy machine may be slow once; an attack that works is slow every time
            measured = measure(plugin, arguments, stdin() if callable(stdin) else stdin, wrapper, env, room)
            if measured.seconds <= MOST_SECONDS:
                break
        failure = measured.run.failure
        codes = code if isinstance(code, tuple) else (code,)
        assert failure["code"] in codes, failure
        assert len(failure["details"].encode()) <= LONGEST_DETAILS
        for word in (mentions,) if isinstance(mentions, str) else mentions:
            assert word in failure["details"]
        if not sanitized(plugin):
            assert measured.seconds <= MOST_SECONDS
            assert measured.memory <= MOST_MEMORY
        if not touches:
            assert everything_in(room) == before
        return failure

    return run


def message(body, version=b'"0.4.1"'):
    """A configuration message around these bytes."""
    return b'{"vmmiVersion": %s, "contentType": "configuration", "configuration": %s}' % (version, body)


def limited(limit):
    return ["sh", "-c", f'ulimit {limit}; exec "$@"', "sh"]


# Messages. The log file is named first, so that one that is made too early is seen.

LOGGED = b'{"logFilePath": "log", "verbose": 3, '
OBJECT_OF_1000 = b"{" + b",".join(b'"%d":0' % i for i in range(1000)) + b"}"
MESSAGES = {  # name: (bytes, what the details mention)
    "nothing": (b"", "ended before"),
    "deep-lists": (message(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "32 levels"),
    "deep-objects": (message(b'{"a":' * 100_000 + b"0" + b"}" * 100_000), "32 levels"),
    "deep-and-cut": (b'{"a":' + b"[" * 100_000, "ended before"),
    "many-values": (message(LOGGED + b'"a": [' + b"0," * (FULL // 2) + b"0]}"), "10000 values"),
    "many-texts": (message(LOGGED + b'"a": [' + b'"",' * (FULL // 3) + b"0]}"), "10000 values"),
    "many-lists": (message(LOGGED + b'"a": [' + b"[]," * (FULL // 3) + b"0]}"), "10000 values"),
    "many-objects": (message(LOGGED + b'"a": [' + b",".join([OBJECT_OF_1000] * 100) + b"]}"), "10000 values"),
    "many-keys": (message(b"{" + b",".join(b'"%d":0' % i for i in range(90_000)) + b"}"), "1000 keys"),
    "twice": (message(LOGGED + b'"verbose": 3}'), ('"verbose"', "twice")),
    "twice-escaped": (message(LOGGED + b'"verb\\u006fse": 3}'), ('"verbose"', "twice")),
    "twice-inside": (message(b'{"connectionCredentials": {"username": 1, "username": 1}}'), ("username", "twice")),
    "twice-outside": (message(b"{}")[:-1] + b', "configuration": {}}', ('"configuration"', "twice")),
    "twice-long": (message(b'{"%s":0,"%s":0}' % (b"k" * (FULL // 2 - 10), b"k" * (FULL // 2 - 10))), "twice"),
    "bad-byte": (message(LOGGED + b'"connection": "test:///\xff"}'), ("UTF-8", "line 1")),
    "bad-byte-in-key": (message(LOGGED + b'"conn\xffection": 0}'), ("UTF-8", "line 1")),
    "overlong": (message(LOGGED + b'"connection": "test:\xc0\xaf//"}'), "UTF-8"),
    "overlong-in-key": (message(LOGGED + b'"verbose\xc0\x80": 0}'), "UTF-8"),
    "surrogate": (message(LOGGED + b'"connection": "\xed\xa0\x80"}'), "UTF-8"),
    "surrogate-in-key": (message(LOGGED + b'"\xed\xb0\x80": 0}'), "UTF-8"),
    "surrogate-escaped": (message(LOGGED + b'"connection": "\\ud800"}'), "surrogate"),
    "surrogate-escaped-in-key": (message(LOGGED + b'"\\udc00": 0}'), "surrogate"),
    "beyond-unicode": (message(LOGGED + b'"connection": "\xf4\x90\x80\x80"}'), "UTF-8"),
    "cut-character": (message(LOGGED + b'"connection": "test:///\xe2\x82"}'), "UTF-8"),
    "raw-line-feed": (message(LOGGED + b'"connection": "test:///\n"}'), ("control character", "line 2")),
    "null-byte": (message(LOGGED + b'"connection": "test:///\0"}'), "control character"),
    "utf-16": (message(b"{}").decode().encode("utf-16"), "begin"),
    "byte-order-mark": (b"\xef\xbb\xbf" + message(b"{}"), "begin"),
    "comment": (message(LOGGED + b'"connection": /* here */ "test:///default"}'), "line 1"),
    "not-a-number": (message(LOGGED + b'"monitorInterval": NaN}'), "line 1"),
    "trailing-comma": (message(b'{"verbose": 0,}'), "line 1"),
    "single-quotes": (message(b"{'verbose': 0}"), "line 1"),
    "wrong-brackets": (b"{]", "line 1"),
    "long-text": (message(LOGGED + b'"connection": "%s"}' % (b"x" * (FULL - 100))), ("connection", "4096 bytes")),
    "long-bad-text": (message(b'{"connection": "%s\xff"}' % (b"x" * (FULL - 100))), "UTF-8"),
    "long-key": (message(b'{"%s": 0}' % (b"k" * (FULL - 100))), ("unknown key", "bytes)")),
    "long-number": (message(b'{"verbose": %s}' % (b"1" * (FULL - 100))), "overflow"),
    "long-exponent": (message(b'{"verbose": 1e%s}' % (b"1" * (FULL - 100))), "overflow"),
    "long-fraction": (message(b'{"verbose": 0.%s}' % (b"1" * (FULL - 100))), ("configuration.verbose", "from 0 to 3")),
    "long-version": (message(b"{}", version=b'"%s"' % (b"x" * (FULL - 100))), ("vmmiVersion", '"0.4.1"')),
    "version-of-the-wrong-type": (message(b"{}", version=b"[]"), ("vmmiVersion", '"0.4.1"')),
    "no-body": (b'{"vmmiVersion": "0.4.1", "contentType": "configuration"}', "configuration: expected an object"),
    "another-type": (message(b"{}").replace(b'"configuration",', b'"status",'), ("contentType", '"status"')),
    "misplaced-key": (message(b"{}")[:-1] + b', "verbose": 1}', ("verbose", "inside")),
    "beyond-int64": (message(b'{"verbose": 9223372036854775808}'), ("configuration.verbose", "from 0 to 3")),
    "beyond-uint64": (message(b'{"verbose": -18446744073709551617}'), ("configuration.verbose", "from 0 to 3")),
    "exponent": (message(b'{"verbose": 1e0}'), ("configuration.verbose", "integer", "1.0")),
    "fraction": (message(b'{"verbose": 1.0}'), ("configuration.verbose", "integer", "1.0")),
    "negative-zero": (message(b'{"verbose": -0.0}'), ("configuration.verbose", "integer")),
    "overflow": (message(b'{"verbose": 1e999}'), "1e999"),
    "null-in-a-path": (message(b'{"logFilePath": "log\\u0000x"}'), ("configuration.logFilePath", "control character")),
    "line-feed-in-a-uri": (message(LOGGED + b'"connection": "test:///\\n"}'), ("connection", "control character")),
    "log-without-file": (message(b'{"logTarget": "file"}'), ("configuration.logTarget", "configuration.logFilePath")),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_message_is_refused(attempt, name):  # PROC-8 PROC-9 CFG-8 CFG-10 CFG-12 CFG-15 CFG-22 COMP-1 COMP-4
    text, mentions = MESSAGES[name]
    failure = attempt(*ARGUMENTS, "-", stdin=text, code=6, mentions=mentions)
    assert failure["details"].startswith("standard input: ")


@pytest.mark.parametrize("name", MESSAGES)
def test_a_bad_file_is_refused_like_a_bad_message(attempt, room, name):  # CFG-8 CFG-14
    text = MESSAGES[name][0]
    (room / "file.json").write_bytes(text)
    code = 3 if len(text) > MIB else 6
    assert attempt(*ARGUMENTS, "file.json", code=code)["details"].startswith("file.json: ")


@pytest.mark.parametrize("text", ["qemu://u:hunter2@h/\xff", "qemu://u:hunter2@h/\n", 'q://u:hunter2@h/" 1', "\\u00"])
def test_what_cannot_be_read_is_not_repeated(attempt, text):  # CFG-17
    body = '{"a": "hunter2", "connection": "%s"}' % text
    assert "hunter2" not in attempt(*ARGUMENTS, "-", stdin=message(body.encode("latin-1")), code=6)["details"]


@pytest.mark.parametrize("key", ["verbose", "logTarget", "monitorInterval", "connectionCredentials"])
def test_a_uri_under_the_wrong_key_is_masked(attempt, key):  # CFG-17
    body = json.dumps({key: "qemu://u:hunter2@h/"}).encode()
    assert "hunter2" not in attempt(*ARGUMENTS, "-", stdin=message(body), code=6)["details"]


def keys_of(plugin):
    """Paths and types, from --help; not the shapes of lists."""
    text = plugin.run("--help").output.partition("\nConfiguration keys:\n")[2]
    keys = dict(re.findall(r"^  ([A-Za-z.]+)  \(([^)]*)\)$", text, re.MULTILINE))
    assert "connection" in keys
    return keys


def nested(path, value):
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def test_every_key_refuses_other_types_and_ranges(plugin, attempt):  # CFG-12 CFG-16 CFG-23
    for path, kind in keys_of(plugin).items():
        wrong = [None, [], {}, True]
        if kind.startswith("integer"):
            low, high = map(int, re.search(r"(-?\d+)\.\.(-?\d+)", kind).groups())
            wrong += ["1", 1.5, low - 1, high + 1, 1e300]
        elif kind.startswith("boolean"):
            wrong[-1:] = [0, "true"]
        elif kind.startswith("list"):
            wrong[1:2] = [""]
        else:
            wrong += [1, "", "a\nb", "\0", "x" * 5000]
        for value in wrong:
            body = {"logFilePath": "log", **nested(path, value)}
            failure = attempt(*ARGUMENTS, "-", stdin=configuration(**body).encode(), code=6)
            assert f"configuration.{path}: expected " in failure["details"]
            assert ", got " in failure["details"]


def test_every_key_that_is_misspelt_gets_its_name(plugin, attempt):  # CFG-11
    for path in keys_of(plugin):
        wrong = f"{path[:-1]}{path[-1].upper()}x"
        text = configuration(logFilePath="log", **nested(wrong, 0)).encode()
        name = path.rpartition(".")[2]
        attempt(*ARGUMENTS, "-", stdin=text, code=6, mentions=f'did you mean "{name}"?')


def test_keys_that_look_like_known_ones_are_not(attempt):
    for key in ["verbose\0", "verb\u202eose", "\uff56erbose", " verbose", "", "__proto__", "verbose."]:
        text = configuration(logFilePath="log", **{key: 0}).encode()
        attempt(*ARGUMENTS, "-", stdin=text, code=6, mentions=("configuration: unknown key", "verbose"))


# Standard input that does not end


@pytest.mark.parametrize(
    "piece, mentions",
    [
        (b"x" * 65536, "begin with {"),
        (b"\0" * 65536, "begin with {"),
        (b'{"a": "' + b"x" * 65536, "1048576 bytes"),
        (b"{" * 65536, "1048576 bytes"),
        (b"[" * 65536, "begin with {"),
        (b'{"a": ' + b"1" * 65536, "1048576 bytes"),
        (b"{ " + b" " * 65536, "1048576 bytes"),
        (b'{"a": "' + b"\\" * 65536, "1048576 bytes"),
    ],
    ids=["garbage", "zeros", "text", "braces", "brackets", "digits", "inner-spaces", "backslashes"],
)
def test_a_gibibyte_is_refused_at_its_beginning(attempt, piece, mentions):  # CFG-14
    attempt(*ARGUMENTS, "-", stdin=lambda: (piece for _ in range(1 << 14)), code=6, mentions=mentions)


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/full", "/dev/urandom", "/dev/null"])
def test_a_device_is_no_message(attempt, path):
    with open(path, "rb") as device:
        attempt(*ARGUMENTS, "-", stdin=device.fileno(), code=6)


def test_a_sparse_file_is_no_message(attempt, room):
    (room / "sparse").touch()
    os.truncate(room / "sparse", 1 << 30)
    with open(room / "sparse", "rb") as sparse:
        attempt(*ARGUMENTS, "-", stdin=sparse.fileno(), code=6)


def test_standard_input_that_cannot_be_read(attempt, room):
    """Open for writing only, a name without a file behind, an unmapped page, a socket without a peer."""
    (room / "file").touch()
    with socket.socket() as lonely:
        descriptors = [os.open(room / "file", flags) for flags in (os.O_WRONLY, os.O_PATH)]
        descriptors.append(os.open("/proc/self/mem", os.O_RDONLY))
        for descriptor in [*descriptors, lonely.fileno()]:
            attempt(*ARGUMENTS, "-", stdin=descriptor, code=4, mentions="standard input")
        for descriptor in descriptors:
            os.close(descriptor)


def memory_of(process):
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())[1])


SLOW = {"one-byte-a-time": b'{"vmmiVersion": "0.4.1", ' * 100, "spaces": b" " * 2500, "silence": b""}


@pytest.mark.parametrize("number, code", [(signal.SIGTERM, 13), (signal.SIGINT, 9)], ids=["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("name", ["endless-spaces", *SLOW])
def test_a_message_that_never_comes_can_be_interrupted(plugin, room, name, number, code):  # CFG-7
    stop = threading.Event()

    def feed(stream):
        try:
            if name == "endless-spaces":
                while not stop.is_set():
                    stream.write(b" " * 65536)
            for byte in SLOW.get(name, b""):
                stream.write(bytes([byte]))
                stream.flush()
                if stop.wait(0.1):
                    return
        except BrokenPipeError:
            pass

    with plugin.start(*ARGUMENTS, "-", cwd=room) as process:
        process.wait_until_it_takes_signals()
        feeder = threading.Thread(target=feed, args=[process.process.stdin])
        feeder.start()
        try:
            assert process.is_silent_for(0.5)
            memory = memory_of(process.process)
            told = time.monotonic()
            process.signal(number)
            failure = process.end().failure
            seconds = time.monotonic() - told
        finally:
            stop.set()
            process.process.kill()
            feeder.join()
    assert failure["code"] == code
    assert everything_in(room) == {}
    if not sanitized(plugin):
        assert memory <= MOST_MEMORY
        assert seconds <= MOST_SECONDS


# Files


@pytest.fixture
def traps(room):
    """Names in the room that no file is to be read from."""
    (room / "good.json").write_text(configuration())
    (room / "good.json").chmod(0o600)
    (room / "folder").mkdir()
    os.mkfifo(room / "fifo", 0o600)
    for name, target in {
        "loop": "loop",
        "round": "trip",
        "trip": "round",
        "dangling": "folder/nothing",
        "to-zero": "/dev/zero",
        "to-fifo": "fifo",
        "to-folder": "folder",
    }.items():
        (room / name).symlink_to(target)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(room / "socket"))
        yield room


NO_FILES = [
    *["folder", "fifo", "loop", "round", "dangling", "to-zero", "to-fifo", "to-folder", "socket", "missing"],
    *["good.json/", "good.json/x", "x" * 256, "x/" * 3000 + "x", ".", "..", "/", "/dev/zero", "/dev/null", "/dev/full"],
    *["/dev/tty", "/dev/ptmx", "/dev/stdin", "/dev/fd/0", "/proc/self", "/proc/self/fd/0", "/proc/self/mem", "/proc/self/fd/999"],
]


@pytest.mark.parametrize("path", NO_FILES, ids=lambda path: path[:20])
def test_a_configuration_that_is_no_file(attempt, traps, path):  # CFG-4
    failure = attempt(*ARGUMENTS, path, code=3, mentions="CONFIG is to be")
    assert failure["details"].startswith(f"{path}: "[:3000])


@pytest.mark.parametrize("path", NO_FILES, ids=lambda path: path[:20])
def test_a_password_file_that_is_no_file(attempt, traps, path):
    if len(path) > 4096:
        pytest.skip("refused as a text")
    text = configuration(connectionCredentials={"username": "anna", "passwordFile": path}).encode()
    place = f'configuration.connectionCredentials.passwordFile: "{path[:80]}'
    attempt(*ARGUMENTS, "-", stdin=text, code=3, mentions=(place, "chmod 600"))


MADE = ("dangling", "missing")  # a log file that is not there is made


@pytest.mark.parametrize("path", [path for path in NO_FILES if path not in MADE], ids=lambda path: path[:20])
def test_a_log_file_that_is_no_file(attempt, traps, path):  # CFG-20
    if len(path) > 4096:
        pytest.skip("refused as a text")
    text = configuration(logFilePath=path).encode()
    attempt(*ARGUMENTS, "-", stdin=text, code=3, mentions=(f'configuration.logFilePath: "{path[:80]}', "regular file"))


@pytest.mark.parametrize("place", ["CONFIG", "passwordFile", "logFilePath"])
def test_a_fifo_is_not_even_opened(attempt, traps, place):  # CFG-4
    """Who waits at its other end goes on waiting."""
    flags = os.O_RDONLY if place == "logFilePath" else os.O_WRONLY
    script = f"import os, sys; print(flush=True); os.open('fifo', {flags}); print('woken', flush=True)"
    waiting = subprocess.Popen([sys.executable, "-c", script], cwd=traps, stdout=subprocess.PIPE)
    try:
        waiting.stdout.readline()
        time.sleep(0.2)
        body = {
            "CONFIG": {},
            "passwordFile": {"connectionCredentials": {"passwordFile": "fifo"}},
            "logFilePath": {"logFilePath": "fifo"},
        }[place]
        config = "fifo" if place == "CONFIG" else "-"
        text = configuration(**body).encode()
        attempt(*ARGUMENTS, config, stdin=text, code=3, mentions="not a regular file")
        assert select.select([waiting.stdout], [], [], 0.2)[0] == []
    finally:
        waiting.kill()
        waiting.communicate()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077], ids=oct)
def test_a_log_is_not_for_everybody(attempt, room, umask):
    text = configuration(logFilePath="log").encode()
    wrapper = ["sh", "-c", f'umask {umask:o}; exec "$@"', "sh"]
    attempt(*ARGUMENTS, "-", stdin=text, code=GOOD, wrapper=wrapper, touches=True)
    assert (room / "log").stat().st_mode & 0o777 == 0o640 & ~umask


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_a_password_file_that_others_may_use(attempt, room, mode):  # CFG-17
    (room / "password").write_text("hunter2\n")
    (room / "password").chmod(mode)
    text = configuration(connectionCredentials={"username": "anna", "passwordFile": "password"}).encode()
    failure = attempt(*ARGUMENTS, "-", stdin=text, code=3, mentions=("password", "chmod 600"))
    assert "hunter2" not in failure["details"]


def test_files_of_a_gibibyte(attempt, room):
    """One with a hole, and one with real blocks: the limit is read, not the file."""
    (room / "sparse").touch()
    os.truncate(room / "sparse", 1 << 30)
    attempt(*ARGUMENTS, "sparse", code=3, mentions="1048576 bytes")
    space = os.statvfs(room)
    if space.f_bavail * space.f_frsize < 4 << 30:
        pytest.skip("no room for a file of a GiB")
    with open(room / "real", "wb") as real:
        real.write(b'{"a": "')
        os.posix_fallocate(real.fileno(), 0, 1 << 30)
    attempt(*ARGUMENTS, "real", code=3, mentions="1048576 bytes")
    (room / "real").unlink()


def test_a_file_of_just_the_longest(attempt, room):  # CFG-14
    text = configuration().encode()
    (room / "file.json").write_bytes(text + b" " * (MIB - len(text)))
    attempt(*ARGUMENTS, "file.json", code=GOOD)
    (room / "file.json").write_bytes(text + b" " * (MIB - len(text) + 1))
    attempt(*ARGUMENTS, "file.json", code=3, mentions="1048576 bytes")


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/cmdline", "/proc/self/maps", "/proc/cpuinfo"])
def test_files_of_the_kernel_are_no_message(attempt, path):
    failure = attempt(*ARGUMENTS, path, code=6)
    assert failure["details"].startswith(f"{path}: ")


def test_a_link_to_a_file_is_a_file(attempt, traps):
    (traps / "link").symlink_to("good.json")
    attempt(*ARGUMENTS, "link", code=GOOD)


def test_a_file_that_may_not_be_read(attempt, room):
    if os.geteuid() != 0:
        pytest.skip("to become somebody else needs root")
    (room / "secret.json").write_text(configuration())
    (room / "secret.json").chmod(0o600)
    for folder in [room, *room.parents][:-1]:
        if folder.stat().st_mode & 0o001 == 0:
            folder.chmod(folder.stat().st_mode | 0o011)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    attempt(*ARGUMENTS, "secret.json", wrapper=nobody, code=3, mentions="Permission denied")


# Arguments. Linux takes none of more than 128 KiB.

LONG = "x" * ((128 << 10) - 100)


@pytest.mark.parametrize("position, prefix", enumerate(["", "qemu://", "tcp://"]))
def test_a_long_argument(attempt, position, prefix):
    arguments = list(ARGUMENTS)
    arguments[position] = prefix + LONG
    attempt(*arguments, "-", stdin=configuration().encode(), code=(5, GOOD, 10))


def test_a_long_path_and_a_long_option(attempt):
    attempt(*ARGUMENTS, LONG, code=3)
    attempt(*ARGUMENTS, f"--{LONG}", code=5, mentions="--help")


def test_a_uri_in_place_of_a_path_is_masked(attempt):
    failure = attempt(*ARGUMENTS, "qemu://u:hunter2@h/system", code=3, mentions="qemu://u:***@h/system")
    assert "hunter2" not in failure["details"]


def test_thousands_of_arguments(attempt):
    attempt(*ARGUMENTS, "-", *(["qemu://u:hunter2@h/"] * 5000), code=5, mentions=("and 4995 more", "***"))


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\x01", "\x1b", "\x7f"], ids=ascii)
@pytest.mark.parametrize("position", range(4))
def test_control_characters_in_an_argument(attempt, position, character):  # ARG-6
    arguments = [*ARGUMENTS, "file.json"]
    arguments[position] += character
    failure = attempt(*arguments, code=5, mentions=("\\x", "--help"))
    assert character not in failure["details"]


@pytest.mark.parametrize("wrong", [b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xe2\x82"], ids=repr)
def test_bytes_that_are_no_utf8_in_an_argument(attempt, room, wrong):
    """A name on the host is bytes; in a message they are shown as well as UTF-8 can."""
    text = configuration().encode()
    attempt(b"guest" + wrong, DESTINATION, TRANSPORT, "-", stdin=text, code=10, mentions="guest\ufffd")
    attempt(VM, DESTINATION.encode() + wrong, TRANSPORT, "-", stdin=text, code=GOOD)
    attempt(VM, DESTINATION, TRANSPORT.encode() + wrong, "-", stdin=text, code=GOOD)
    attempt(*ARGUMENTS, b"file" + wrong, code=3, mentions="file\ufffd")
    attempt(*ARGUMENTS, b"--option" + wrong, code=5, mentions="--option\ufffd")
    (room / os.fsdecode(b"file" + wrong)).write_bytes(text)
    attempt(*ARGUMENTS, b"file" + wrong, code=GOOD)


@pytest.mark.parametrize("option", ["--help=qemu://u:hunter2@h/", "--progress=no", "--version=\n", "---", "---x", "-$", "-V--", "-\n"])
def test_options_that_make_no_sense(attempt, option):  # ARG-7 ARG-9
    failure = attempt(option, *ARGUMENTS, code=5, mentions="--help")
    assert "hunter2" not in failure["details"] and "\n" not in failure["details"]


def shown(text):
    """As an error quotes it."""
    return json.dumps(text[:80], ensure_ascii=False)[:-1]


@pytest.mark.parametrize("vm", ["[a]", "{}", '"', "%s%n", " ", "../x", "\u202e", "'; $(true)", VM[:-1] + "Z", VM * 3])
def test_names_that_look_like_something_else(attempt, vm):
    attempt(vm, DESTINATION, TRANSPORT, "-", stdin=configuration().encode(), code=10, mentions=shown(vm))


# The environment


@pytest.mark.parametrize(
    "env",
    [
        {},
        {"LC_ALL": "\x01garbage/../../x", "LANG": "\n", "LANGUAGE": "%n%n%s"},
        {"TZ": ":/dev/zero"},
        {"TZ": "x" * 100_000},
        {"LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": "1:stderr"},
        {"LIBVIRT_DEFAULT_URI": "nonsense:///", "VIRSH_DEFAULT_CONNECT_URI": "nonsense:///"},
        {"LIBVIRT_AUTH_FILE": "/dev/zero"},
        {name: "/dev/zero" for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME")},
        {"MALLOC_ARENA_MAX": "x", "GLIBC_TUNABLES": "glibc.malloc.arena_max=x", "SPDLOG_LEVEL": "trace"},
        {"NOTIFY_SOCKET": "x", "JOURNAL_STREAM": "1:1", "WATCHDOG_USEC": "1"},
        {b"\xff": b"\xff", b"A\n": b"\x1b"},
        {f"A{number}": "x" * 100_000 for number in range(15)},
    ],
    ids=lambda env: ascii(next(iter(env), "empty"))[:20],
)
def test_a_hostile_environment(attempt, room, env):
    text = configuration(logFilePath="log", verbose=3).encode()
    kept = {name: value for name, value in os.environ.items() if name.endswith("SAN_OPTIONS")}
    attempt(*ARGUMENTS, "-", stdin=text, env={"PATH": os.environ["PATH"], **kept, **env}, code=GOOD, touches=True)
    assert "migration failed" in (room / "log").read_text()


# What the system has no more of

SIMPLE = configuration().encode()


@pytest.mark.parametrize("descriptors", [4, 5, 6, 7, 8, 12, 16, 24, 48, 64])
def test_a_full_table_of_descriptors(attempt, room, descriptors):
    """Below 4, no program can be loaded."""
    (room / "file.json").write_bytes(SIMPLE)
    for config in ["-", "file.json"]:
        wrapper = limited(f"-n {descriptors}")
        failure = attempt(*ARGUMENTS, config, stdin=SIMPLE, wrapper=wrapper, code=2, mentions=("of 64", "ulimit -n"))
        assert failure["message"] == "too few file descriptors"


def test_just_enough_descriptors(attempt):
    """A soft limit is no obstacle, and the hard one leaves what is needed."""
    attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=limited("-S -n 5"), code=GOOD)
    attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=limited("-n 80"), code=GOOD)


def test_a_table_that_its_caller_has_filled(attempt):
    """Descriptors that are inherited count, too."""
    script = 'i=3; while [ $i -lt 100 ]; do eval "exec $i</dev/null"; i=$((i+1)); done; ulimit -n 120; exec "$@"'
    attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=["bash", "-c", script, "bash"], code=2, mentions="ulimit -n")


def test_no_memory(plugin, attempt):
    """From where the program can be loaded to where it runs; the stacks of threads count, too."""
    if sanitized(plugin):
        pytest.skip("sanitizers need more")
    for limit in ["-d", "-v"]:
        refused = 0
        for mebibytes in [*[number / 4 for number in range(4, 20)], *range(8, 64, 4), *range(64, 512, 32)]:
            wrapper = limited(f"{limit} {int(mebibytes * 1024)}")
            if plugin.run("--version", wrapper=wrapper).status != 0:
                assert not refused
                continue
            failure = attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=wrapper, code=(2, GOOD))
            if failure["code"] == GOOD:
                break
            assert "no more" in failure["details"] and "ulimit -d" in failure["details"]
            refused += 1
        assert failure["code"] == GOOD and (refused or limit == "-v")


@pytest.mark.parametrize("kibibytes", [64, 1 << 20])
def test_stacks_of_any_size(plugin, attempt, kibibytes):
    """What the caller allows the first thread is not what the others get."""
    if sanitized(plugin):
        pytest.skip("sanitizers need more")
    attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=limited(f"-s {kibibytes}"), code=GOOD)


def test_no_thread(attempt):
    if os.geteuid() != 0:
        pytest.skip("to become somebody else needs root")
    nobody = ["setpriv", "--reuid=65533", "--regid=65533", "--clear-groups", "prlimit", "--nproc=1"]
    attempt(*ARGUMENTS, "-", stdin=SIMPLE, wrapper=nobody, code=2, mentions=("threads", "ulimit -u"))


def test_a_full_disk_under_the_log(attempt, room):  # MSG-9
    if os.geteuid() != 0 or subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("a file system of its own needs root and a mount namespace")
    (room / "small").mkdir()
    script = 'mount -t tmpfs -o size=4k small small && head -c 3900 /dev/zero > small/log && exec "$@"'
    text = configuration(logFilePath="small/log", verbose=3).encode()
    attempt(*ARGUMENTS, "-", stdin=text, wrapper=["unshare", "--mount", "sh", "-c", script, "sh"], code=GOOD)


def test_a_limit_on_the_size_of_the_log(plugin, attempt):  # MSG-9 SIG-12
    if sanitized(plugin):
        pytest.skip("sanitizers write files themselves")
    text = configuration(logFilePath="log", verbose=3).encode()
    attempt(*ARGUMENTS, "-", stdin=text, wrapper=limited("-f 0"), code=GOOD, touches=True)
