# SPDX-License-Identifier: Apache-2.0
"""What plugins can do to their supervisor: nothing but what it says."""

import json
import os
import resource
import signal
import time
from pathlib import Path

import pytest

import libvmmi
from conftest import VM
from libvmmi import Failure


def failure(migration, timeout=30):
    with pytest.raises(Failure) as raised:
        migration.conclude(timeout)
    return raised.value


def test_a_migration_from_its_start_to_its_result(scripts, tmp_path):
    migration = scripts.start(f"serve(until={str(tmp_path / 'done')!r})")
    status = migration.ask()
    assert (status.policy, status.phase, status.progress_percent, status.elapsed_ms) == (b"scripted", b"precopy", 42, 7)
    assert (status.eta_ms, status.throttle_percent, status.last_action) == (-1, -1, b""), "unknown is told as such"
    (tmp_path / "done").touch()
    migration.conclude()
    result = migration.result()
    assert (result.code, result.exit_status, result.signal, result.cause) == (0, 0, 0, b"completed")
    assert json.loads(migration.completion())["completion"]["result"] == "success"


def test_the_arguments_and_the_configuration_arrive_as_they_are(scripts, tmp_path):
    text = json.dumps({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {"verbose": 1}})
    seen = tmp_path / "seen"
    migration = scripts.start(f"open({str(seen)!r}, 'w').write(repr((sys.argv[1:], sys.stdin.read()))); end()", configuration=text)
    migration.conclude()
    arguments, configuration = eval(seen.read_text())
    assert arguments == [VM, "qemu+tcp://destination/system", "tcp://destination", "-"]
    assert configuration == text


def test_a_connection_goes_into_the_configuration(scripts, tmp_path):
    text = json.dumps({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {"verbose": 1, "connection": "x:///y"}})
    for given in (text, None):
        migration = scripts.start("open(sys.argv[2][7:], 'w').write(sys.stdin.read()); end()", configuration=given,
                                  connection="test:///default", destination=f"file://{tmp_path}/seen")
        migration.conclude()
        configuration = json.loads((tmp_path / "seen").read_text())
        assert configuration["configuration"] == ({"verbose": 1} if given else {}) | {"connection": "test:///default"}


def test_a_missing_migration_uri_comes_from_the_destination(scripts, tmp_path):
    for destination, expected in [("qemu+ssh://me@host2:22/system", "tcp://host2"), ("qemu+tcp://[fd00::2]/system", "tcp://[fd00::2]")]:
        migration = scripts.start(f"open({str(tmp_path / 'seen')!r}, 'w').write(sys.argv[3]); end()",
                                  destination=destination, migration_uri=None)
        migration.conclude()
        assert (tmp_path / "seen").read_text() == expected
    with pytest.raises(Failure, match="names no host"):
        scripts.start(destination="qemu:///system", migration_uri=None)


def test_the_plugin_gets_nothing_of_its_caller(scripts, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_APPLICATION", "x")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    secret = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(secret, True)
    before = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGHUP, signal.SIGALRM])
    try:
        migration = scripts.start(f"""
facts = {{"environment": dict(os.environ), "descriptors": sorted(map(int, os.listdir("/proc/self/fd"))),
         "session": os.getsid(0) == os.getpid(), "folder": os.getcwd(),
         "signals": {{line.split(":")[0]: int(line.split()[1], 16) for line in open("/proc/self/status") if line.startswith("Sig")
                     and line.split(":")[0] in ("SigBlk", "SigIgn")}}}}
open({str(tmp_path / "facts")!r}, "w").write(json.dumps(facts))
end()""", environment=["ADDED=1", "LC_ALL=C"])
        migration.conclude()
    finally:
        os.close(secret)
        signal.signal(signal.SIGPIPE, before)
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    facts = json.loads((tmp_path / "facts").read_text())
    assert "SECRET_OF_THE_APPLICATION" not in facts["environment"]
    assert facts["environment"]["ADDED"] == "1" and facts["environment"]["LC_ALL"] == "C"
    assert len([fd for fd in facts["descriptors"] if fd > 2]) == 1, "the one that lists them"
    assert facts["session"] and facts["folder"] == "/"
    wanted = sum(1 << (number - 1) for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM))
    assert facts["signals"]["SigBlk"] == wanted, "only what must not come too early"
    # Python itself ignores these two.
    assert facts["signals"]["SigIgn"] & ~sum(1 << (n - 1) for n in (signal.SIGPIPE, signal.SIGXFSZ)) == 0


def test_an_error_is_the_plugins_own(scripts):
    migration = scripts.start("end(8)")
    told = failure(migration)
    assert (told.code, told.message, told.details) == (8, "scripted", "as told")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_crash_is_told_as_one(scripts, number):
    migration = scripts.start(f"signal.signal({int(number)}, signal.SIG_DFL) if {int(number)} != 9 else 0; os.kill(os.getpid(), {int(number)}); time.sleep(60)")
    told = failure(migration)
    assert told.code == libvmmi.CRASHED and number.name in told.details and "takes it over" in told.details
    assert (migration.result().signal, migration.result().exit_status) == (number, -1)


LIES = {
    "success and exit status 1": ("os.write(2, completion().encode()); os._exit(1)", "contradicts itself"),
    "error and exit status 0": ("os.write(2, completion(8).encode()); os._exit(0)", "contradicts itself"),
    "two messages": ("os.write(2, (completion(8) * 2).encode()); os._exit(1)", "expected one line"),
    "no line end": ("os.write(2, completion(8).strip().encode()); os._exit(1)", "expected one line"),
    "garbage": ("os.write(2, bytes(range(256))); os._exit(1)", "completion message"),
    "a backtrace": ("raise RuntimeError('bug')", "Traceback"),
    "another version": ("os.write(2, completion(8).replace('0.4.1', '9.9.9').encode()); os._exit(1)", "9.9.9"),
    "another kind": ("os.write(2, message('status', {}).encode()); os._exit(1)", "contentType"),
    "a code of 0": ("os.write(2, message('completion', {'result': 'error', 'error': {'code': 0, 'message': '', 'details': ''}}).encode()); os._exit(1)", "code"),
    "no details": ("os.write(2, message('completion', {'result': 'error', 'error': {'code': 8, 'message': ''}}).encode()); os._exit(1)", "details"),
    "another result": ("os.write(2, message('completion', {'result': 'maybe'}).encode()); os._exit(0)", "maybe"),
    "no timestamp": ("os.write(2, completion(8).replace('timestamp', 'time').encode()); os._exit(1)", "timestamp"),
    "a key twice": ("os.write(2, completion(8).replace('{', '{\"timestamp\": 1, ', 1).encode()); os._exit(1)", "twice"),
    "a success on the wrong stream": ("os.write(1, completion().encode()); os.write(2, b'done\\n'); os._exit(0)", "done"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_told_as_one(scripts, lie):
    body, words = LIES[lie]
    migration = scripts.start(body)
    told = failure(migration)
    assert told.code == libvmmi.PROTOCOL, told
    assert words in told.message + told.details


def test_nothing_at_all_is_a_crash(scripts):
    told = failure(scripts.start("os._exit(0)"))
    assert told.code == libvmmi.CRASHED and "exit status 0" in told.details


def test_a_flood_on_standard_error_is_bounded_and_ends_it(scripts):
    migration = scripts.start("while True: os.write(2, b'x' * 65536); time.sleep(0.01)")
    told = failure(migration)
    assert told.code == libvmmi.FLOOD and migration.result().signal == signal.SIGKILL
    left = sum(path.stat().st_size for path in scripts.runtime.rglob("*") if path.is_file())
    assert left < 2 << 20, "what it took is given back"


def test_a_flood_that_nobody_sees_ends_at_a_limit(scripts):
    """As where no supervisor is alive: nothing is dispatched here."""
    migration = scripts.start("""
try:
    while True: os.write(2, b'x' * 65536)
except OSError: end()""")
    process = migration.context.list()[0]["pid"]
    until = time.monotonic() + 20
    while Path(f"/proc/{process}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < until
        time.sleep(0.02)
    assert failure(migration).code == libvmmi.FLOOD


def test_a_flood_on_standard_output_costs_neither_memory_nor_time(scripts):  # MSG-10
    migration = scripts.start("""
signal.pthread_sigmask(signal.SIG_UNBLOCK, USUAL)
signal.signal(signal.SIGINT, lambda *_: end(9))
while True: os.write(1, b'no status \\n' * 1000)""")
    time.sleep(0.2)
    memory, cpu, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time(), time.monotonic()
    while time.monotonic() < began + 3:
        migration.context.wait(0.1)
    assert time.process_time() - cpu < 1.0, "it is listened to with a measure"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 8 << 10
    migration.do("abort")
    assert failure(migration).code == 9


def io_of_this_process(name):
    return int(dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())[name])


def test_a_flood_is_listened_to_no_more_while_a_status_is_awaited(scripts):
    migration = scripts.start("while True: os.write(1, b'no status \\n' * 1000)", context=scripts.context(status_timeout_ms=2900))
    before = io_of_this_process("rchar")
    migration.request_status()
    migration.wait("no status")
    assert io_of_this_process("rchar") - before < 8 << 20
    migration.do("kill")
    assert failure(migration).code == libvmmi.CRASHED


def test_of_many_statuses_at_once_the_last_one_is_passed_on(scripts):
    migration = scripts.start("signal.sigwait(USUAL)\nfor n in range(2000): status(iteration=n)\nserve()")
    other = scripts.context().attach(VM)
    before = io_of_this_process("syscw")
    until = time.monotonic() + 20
    migration.ask()
    while migration.status().iteration < 1999:
        assert time.monotonic() < until
        migration.context.wait(0.5)
    assert io_of_this_process("syscw") - before < 1000
    other.free()


def test_a_line_without_end_is_forgotten(scripts):
    migration = scripts.start("""
os.write(1, b'x' * 300000)
os.write(1, b'\\n')
serve()""")
    assert migration.ask().progress_percent == 42
    migration.do("abort")
    assert failure(migration).code == 9


GARBAGE = {"no JSON": "os.write(1, b'hello\\n')", "another kind": "os.write(1, completion().encode())",
           "no text": "os.write(1, bytes([0xff, 0xfe, 10]))", "another version": "os.write(1, message('status', {}).replace('0.4.1', '7').encode())"}


@pytest.mark.parametrize("kind", GARBAGE)
def test_garbage_in_place_of_a_status_is_no_status(scripts, kind):
    migration = scripts.start(f"signal.sigwait(USUAL); {GARBAGE[kind]}; serve()", context=scripts.context(status_timeout_ms=300))
    migration.request_status()
    migration.wait("no status")
    with pytest.raises(Failure, match="no status message") as raised:
        migration.status()
    assert raised.value.code == libvmmi.PROTOCOL
    assert migration.ask().progress_percent == 42, "and the next one is taken"


def test_a_plugin_that_does_not_answer_is_told_so(scripts):
    migration = scripts.start("while signal.sigwait(USUAL) == signal.SIGUSR1: pass\nend(9)", context=scripts.context(status_timeout_ms=300))
    migration.request_status()
    migration.wait("no status")
    with pytest.raises(Failure, match="300 ms") as raised:
        migration.status()
    assert raised.value.code == libvmmi.NO_ANSWER


def test_numbers_out_of_range_do_no_harm(scripts):
    migration = scripts.start("""
signal.sigwait(USUAL)
status(progressPercent=10**15, elapsedMs=-5, iteration=1.5, totalBytes=10**30, etaMs="soon", policy="x" * 1000, phase="\\x1b[2J", workLostMs=[])
serve()""")
    status = migration.ask()
    assert status.progress_percent == 100 and status.elapsed_ms == status.iteration == status.total_bytes == status.eta_ms == -1
    assert len(status.policy) == 63 and status.phase == b"?[2J" and status.work_lost_pause_ms == -1


def test_a_plugin_that_ignores_the_abort_is_told_again_and_then_the_caller(scripts, tmp_path):
    migration = scripts.start(f"""
while True:
    if signal.sigwait(USUAL) == signal.SIGINT:
        open({str(tmp_path / "told")!r}, "a").write("x")""", context=scripts.context(abort_again_ms=1000, abort_timeout_ms=3500))
    migration.do("abort")
    migration.wait("stuck")
    assert len((tmp_path / "told").read_text()) >= 3
    assert os.path.exists(f"/proc/{migration.context.list()[0]['pid']}"), "it is not killed unless the caller says so"
    migration.do("kill")
    assert failure(migration).code == libvmmi.CRASHED


def test_a_stopped_plugin_is_continued_to_abort(scripts):
    migration = scripts.start(context=scripts.context(abort_again_ms=500))
    migration.ask()
    os.kill(migration.context.list()[0]["pid"], signal.SIGSTOP)
    migration.do("abort")
    assert failure(migration).code == 9


def test_detaching_lets_the_plugin_leave(scripts):
    migration = scripts.start()
    migration.do("detach")
    assert failure(migration).code == 13


def test_a_signal_right_after_the_start_is_not_lost(scripts):
    for _ in range(20):
        migration = scripts.start()
        migration.do("abort")
        assert failure(migration).code == 9
        migration.do("collect")


def test_nothing_is_left_of_a_migration_that_was_collected(scripts, descriptors):
    context = libvmmi.Context(**scripts.options)
    migration = scripts.start("end()", context=context)
    migration.conclude()
    assert [item["running"] for item in context.list()] == [0]
    migration.do("collect")
    migration.free()
    assert context.list() == []
    assert [path.name for path in scripts.runtime.iterdir()] == [".lock"]
    context.free()


def test_files_are_private(scripts):
    migration = scripts.start()
    assert scripts.runtime.stat().st_mode & 0o777 == 0o700
    for path in (scripts.runtime / migration.id).iterdir():
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_a_password_in_a_uri_stays_out_of_the_handle(scripts):
    migration = scripts.start(destination="qemu+tcp://me:secret@destination/system")
    assert "secret" not in (scripts.runtime / migration.id / "handle").read_text()


def test_a_plugin_that_never_reads_its_configuration_holds_up_nobody(scripts):
    text = json.dumps({"vmmiVersion": "0.4.1", "contentType": "configuration", "configuration": {"x": "y" * 900_000}})
    began = time.monotonic()
    migration = scripts.start("end()", configuration=text)
    migration.conclude()
    assert time.monotonic() - began < 5
    assert Path(f"/proc/{os.getpid()}").exists()
