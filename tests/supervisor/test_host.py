# SPDX-License-Identifier: Apache-2.0
"""The library inside of a program: threads, forks, signals, and what the program does with its own children."""

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import libvmmi
from conftest import OTHER
from libvmmi import Failure, lib, migrate, options

ROOT = Path(__file__).parents[2]
HEADER = (ROOT / "include/vmmi/libvmmi.h").read_text()


def test_one_call_migrates(scripts, descriptors):
    scripts.write("end()")
    result = migrate(options(**scripts.options), **scripts.parameters())
    assert (result.code, result.cause) == (0, b"completed")
    assert [path.name for path in scripts.runtime.iterdir()] == [".lock"]


def test_one_call_fails_as_the_plugin_does(scripts):
    scripts.write("end(8)")
    with pytest.raises(Failure, match="as told") as raised:
        migrate(options(**scripts.options), **scripts.parameters())
    assert raised.value.code == 8


def test_one_call_is_cancelled_from_another_thread(scripts, descriptors):
    scripts.write("serve()")
    cancel = ctypes.c_void_p(lib.vmmi_cancel_new())
    timer = threading.Timer(0.3, lambda: lib.vmmi_cancel_trigger(cancel))
    timer.start()
    with pytest.raises(Failure) as raised:
        migrate(options(**scripts.options), cancel, **scripts.parameters())
    assert raised.value.code == 9
    timer.join()
    lib.vmmi_cancel_free(cancel)


def test_one_call_tells_of_a_plugin_that_does_not_end(scripts):
    scripts.write("while True: signal.sigwait(USUAL)")
    cancel = ctypes.c_void_p(lib.vmmi_cancel_new())
    lib.vmmi_cancel_trigger(cancel)
    with pytest.raises(Failure) as raised:
        migrate(options(**scripts.options, abort_timeout_ms=1500), cancel, **scripts.parameters())
    assert raised.value.code == libvmmi.STUCK
    lib.vmmi_cancel_free(cancel)
    assert [item["running"] for item in scripts.context().list()] == [1], "to be found again"


def test_one_call_that_is_refused_has_no_result_of_a_success(scripts):
    for refused in (scripts.parameters(plugin="missing"), scripts.parameters(destination=None), {"size": 0}):
        result, given = libvmmi.Result(), libvmmi.parameters(**{key: value for key, value in refused.items() if key != "size"})
        given.size = refused.get("size", given.size)
        code = lib.vmmi_migrate(ctypes.byref(options(**scripts.options)), ctypes.byref(given), None, ctypes.byref(result), None)
        assert code != 0 and (result.code, result.total_time_ms, result.exit_status) == (code, -1, -1)
        assert result.size == ctypes.sizeof(result)


def test_what_is_missing_or_wrong_in_a_call_is_told(scripts):
    context = scripts.context()
    with pytest.raises(Failure, match="missing or empty: destination, plugin$"):
        context.start(vm=OTHER)
    scripts.write("end()")
    for wrong in ("NAME", "=value", ""):
        with pytest.raises(Failure, match="no NAME=value") as raised:
            context.start(**scripts.parameters(environment=["GOOD=1", wrong]))
        assert raised.value.code == libvmmi.MISUSE


CANCELLED = """\
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <vmmi/libvmmi.h>
static char **words;
static void *migrate(void *result) {
    vmmi_options options = {.size = sizeof options, .plugin_directory = words[1], .runtime_directory = words[2]};
    vmmi_parameters parameters = {.size = sizeof parameters, .vm = "web", .destination = "x://y", .plugin = "scripted"};
    *(int *)result = vmmi_migrate(&options, &parameters, NULL, NULL, NULL);
    pthread_testcancel();
    return NULL;
}
int main(int argc, char **argv) {
    pthread_t thread;
    int code = 7;
    void *end = NULL;
    words = argv;
    pthread_create(&thread, NULL, migrate, &code);
    sleep(1);
    pthread_cancel(thread);
    pthread_join(thread, &end);
    printf("%d %d\\n", code, end == PTHREAD_CANCELED);
    return argc != 3;
}
"""


def test_a_thread_that_is_cancelled_meanwhile_ends_when_the_call_has_returned(scripts, tmp_path):
    (tmp_path / "cancelled.c").write_text(CANCELLED)
    subprocess.run(["cc", f"-I{ROOT / 'include'}", tmp_path / "cancelled.c", libvmmi.LIBRARY, f"-Wl,-rpath,{Path(libvmmi.LIBRARY).parent}",
                    "-pthread", "-o", tmp_path / "cancelled"], check=True)
    scripts.write("time.sleep(2); end()")
    run = subprocess.run([tmp_path / "cancelled", scripts.folder, scripts.runtime], capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stdout) == (0, "0 1\n")


# A program whose system does not let a new process do what it is to do.
HINDERED = """\
import ctypes, os, sys
sys.path.insert(0, {folder!r})
from libvmmi import Context, Failure
os.set_inheritable(os.open("/dev/null", os.O_RDONLY), True)
try:
    Context(**{options!r}).start(**{parameters!r}).conclude()
    print("done")
except Failure as failure:
    print(failure.code, failure.details)
"""


def hindered(scripts, tmp_path, function):
    (tmp_path / "hinder.c").write_text(f"#include <errno.h>\nint {function} {{ errno = EPERM; return -1; }}\n")
    subprocess.run(["cc", "-shared", "-fPIC", tmp_path / "hinder.c", "-o", tmp_path / "hinder.so"], check=True)
    text = HINDERED.format(folder=str(Path(__file__).parent), options={key: str(value) for key, value in scripts.options.items()},
                           parameters=scripts.parameters())
    return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True, timeout=60,
                          env=os.environ | {"LD_PRELOAD": str(tmp_path / "hinder.so")}).stdout


def test_what_goes_wrong_before_the_plugin_runs_is_told_as_that(scripts, tmp_path):
    scripts.write("end()")
    told = hindered(scripts, tmp_path, "chdir(const char *path)")
    assert told.startswith(f"{libvmmi.SYSTEM} ") and "its folder could not be /: Operation not permitted" in told
    assert scripts.context().list() == []


def test_without_close_range_the_plugin_gets_no_descriptors_either(scripts, tmp_path):
    scripts.write(f"open({str(tmp_path / 'seen')!r}, 'w').write(' '.join(os.listdir('/proc/self/fd'))); end()")
    assert hindered(scripts, tmp_path, "close_range(unsigned first, unsigned last, int flags)") == "done\n"
    seen = set((tmp_path / "seen").read_text().split())
    assert {"0", "1", "2"} < seen and len(seen) <= 5, "and its own two"


def test_plugins_and_checks_need_no_runtime_directory(scripts):
    scripts.write("print('scripted 1.2 (VMMI 0.4.1)')")
    context = libvmmi.Context(plugin_directory=scripts.folder, runtime_directory="")
    assert context.plugins()[0][:2] == ("scripted", "1.2")
    assert context.check(**scripts.parameters())[0].code == libvmmi.PROTOCOL
    for attempt in (context.list, lambda: context.attach(OTHER), lambda: context.start(**scripts.parameters())):
        with pytest.raises(Failure, match="made without") as raised:
            attempt()
        assert raised.value.code == libvmmi.DIRECTORY
    context.free()


def test_many_threads_migrate_at_once(scripts):
    scripts.write("time.sleep(0.1); end()")
    outcomes = []

    def one(number):
        vm = f"0b7a4e1c-33a1-4d52-9d4e-{number:012x}"
        outcomes.append(migrate(options(**scripts.options), **scripts.parameters(vm=vm)).code)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [0] * 20


def test_one_descriptor_stands_for_all_migrations(scripts):
    scripts.write("serve()")
    context = scripts.context()
    first, second = context.start(**scripts.parameters()), context.start(**scripts.parameters(vm=OTHER))
    poll = select.epoll()
    poll.register(context.fd, select.EPOLLIN)
    first.do("abort")
    assert poll.poll(5) == [(context.fd, select.EPOLLIN)]
    first.wait("ended")
    second.do("detach")
    second.wait("ended")
    assert (first.result().code, second.result().code) == (9, 13)
    context.wait(2)
    assert poll.poll(1.5) == [], "nothing to do, nothing to wake up for"


def in_a_child(work):
    """Runs it in a fork of this process, where its parent's threads are not."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001
            os.write(2, f"{error!r}\n".encode())
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


def test_a_forked_child_cannot_disturb_its_parents_context(scripts):
    scripts.write("serve()")
    context = scripts.context()
    migration = context.start(**scripts.parameters())

    def child():
        for attempt in (lambda: migration.do("abort"), lambda: context.wait(0), lambda: context.start(**scripts.parameters(vm=OTHER))):
            with pytest.raises(Failure) as raised:
                attempt()
            assert raised.value.code == libvmmi.MISUSE
        migration.free()
        context.free()

    assert in_a_child(child)
    assert migration.ask().progress_percent == 42, "the parent's own goes on as before"


def test_a_forked_child_that_lives_on_does_not_keep_the_parent_busy(scripts):
    """It has copies of the descriptors, and epoll would go on to tell of them."""
    migration = scripts.start("end()")
    child = subprocess.Popen(["sleep", "60"], close_fds=False)
    lasting = os.fork()
    if lasting == 0:
        time.sleep(60)
        os._exit(0)
    try:
        migration.wait("ended")
        migration.context.wait(2)
        assert select.select([migration.context.fd], [], [], 1.5)[0] == []
    finally:
        child.kill()
        child.wait()
        os.kill(lasting, signal.SIGKILL)
        os.waitpid(lasting, 0)


def test_a_forked_child_migrates_with_a_context_of_its_own(scripts):
    scripts.write("end()")
    scripts.context()
    assert in_a_child(lambda: migrate(options(**scripts.options), **scripts.parameters()))


def test_no_signal_handler_is_installed_and_no_signal_blocked(scripts):
    def facts():
        text = Path("/proc/thread-self/status").read_text()
        return re.findall(r"^Sig(?:Blk|Ign|Cgt):.*$", text, re.MULTILINE)

    before = facts()
    migration = scripts.start()
    assert facts() == before
    migration.do("abort")
    migration.wait("ended")
    assert facts() == before


def test_a_host_that_ignores_the_end_of_its_children_gets_the_completion(scripts):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        migration = scripts.start("end()")
        migration.conclude()
        assert migration.result().code == 0
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_host_that_waits_for_all_of_its_children_gets_the_completion(scripts):
    migration = scripts.start("time.sleep(0.2); end()")
    assert os.waitpid(-1, 0)[0] > 0
    migration.conclude()
    assert migration.result().exit_status in (0, -1), "told by the kernel since Linux 6.15"


def test_only_its_own_children_are_waited_for(scripts):
    child = subprocess.Popen(["true"])
    time.sleep(0.1)
    migration = scripts.start("end()")
    migration.conclude()
    assert child.wait() == 0


def test_misuse_is_told_and_not_fatal(scripts):
    error = libvmmi.Error()
    by = ctypes.byref
    assert lib.vmmi_dispatch(None, by(error)) == libvmmi.MISUSE and error.code == libvmmi.MISUSE
    assert lib.vmmi_start(None, None, None, by(error)) == libvmmi.MISUSE
    assert lib.vmmi_migrate(None, None, None, None, by(error)) == libvmmi.MISUSE
    assert lib.vmmi_migrate(None, None, None, None, None) == libvmmi.MISUSE
    assert lib.vmmi_migration_abort(None, None) == libvmmi.MISUSE
    assert lib.vmmi_list_count(None) == 0 and lib.vmmi_context_fd(None) == -1
    for function in ("vmmi_context_free", "vmmi_migration_free", "vmmi_list_free", "vmmi_plugins_free", "vmmi_cancel_free", "vmmi_free"):
        getattr(lib, function)(None)
    empty = libvmmi.Parameters()
    empty.size = 0
    assert lib.vmmi_migrate(None, by(empty), None, None, None) == libvmmi.MISUSE
    with pytest.raises(Failure) as raised:
        scripts.context().start()
    assert raised.value.code == 7


def test_callers_of_other_versions_get_what_they_know(scripts):
    """Structures grow at their ends: an older caller's is shorter, a newer one's is longer."""
    migration = scripts.start()
    migration.ask()

    class Newer(ctypes.Structure):
        _fields_ = [("status", libvmmi.Status), ("more", ctypes.c_char * 64)]

    newer = Newer()
    newer.status.size = ctypes.sizeof(newer)
    newer.more = b"untouched"
    assert lib.vmmi_migration_status(migration.pointer, ctypes.byref(newer), None) == 0
    assert newer.status.progress_percent == 42 and newer.more == b"untouched" and newer.status.size == ctypes.sizeof(newer)

    class OlderError(ctypes.Structure):
        _fields_ = [("size", ctypes.c_size_t), ("code", ctypes.c_int), ("message", ctypes.c_char * 128), ("after", ctypes.c_char * 4)]

    error = OlderError(size=8 + 4 + 128, after=b"xxx")
    assert lib.vmmi_migration_collect(migration.pointer, ctypes.byref(error)) == libvmmi.MISUSE
    assert (error.code, error.message, error.after) == (libvmmi.MISUSE, b"not ended", b"xxx")

    older = (ctypes.c_char * 512)(*([b"x"] * 512))
    ctypes.cast(older, ctypes.POINTER(ctypes.c_size_t))[0] = 8 + 64 + 32
    assert lib.vmmi_migration_status(migration.pointer, older, None) == 0
    assert older.raw[8:16] == b"scripted" and older.raw[104:] == b"x" * (512 - 104)


def test_exactly_the_functions_of_the_header_are_exported_with_a_version():
    symbols = subprocess.run(["nm", "-D", "--defined-only", libvmmi.LIBRARY], capture_output=True, text=True, check=True).stdout
    exported = {line.split()[-1] for line in symbols.splitlines() if " T " in line}
    declared = {f"{name}@@VMMI_0.1" for name in re.findall(r"^VMMI_PUBLIC [^;(]*?(vmmi_\w+)\(", HEADER, re.MULTILINE)}
    assert exported == declared and len(declared) > 30


def test_libvirt_is_not_needed_to_load_it():
    needed = subprocess.run(["readelf", "-d", libvmmi.LIBRARY], capture_output=True, text=True, check=True).stdout
    libraries = set(re.findall(r"NEEDED.*\[(.*)\]", needed))
    assert "SONAME" in needed and "libvmmi.so.0" in needed
    assert not any(name.startswith(("libvirt", "libxml")) for name in libraries), libraries


def test_the_python_structures_are_those_of_the_header(tmp_path):
    """What this test knows of the ABI is what a C compiler makes of it."""
    structures = {"vmmi_error": libvmmi.Error, "vmmi_options": libvmmi.Options, "vmmi_parameters": libvmmi.Parameters,
                  "vmmi_result": libvmmi.Result, "vmmi_status": libvmmi.Status, "vmmi_item": libvmmi.Item,
                  "vmmi_plugin": libvmmi.PluginItem}
    lines = [f'    printf("%zu\\n", sizeof({c}));' for c in structures]
    lines += [f'    printf("%zu\\n", offsetof({c}, {field[0]}));' for c, python in structures.items() for field in python._fields_]
    source = tmp_path / "sizes.c"
    source.write_text("#include <stdio.h>\n#include <vmmi/libvmmi.h>\nint main(void) {\n" + "\n".join(lines) + "\n    return 0;\n}\n")
    subprocess.run(["cc", "-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{ROOT / 'include'}", source, "-o", tmp_path / "sizes"], check=True)
    told = [int(line) for line in subprocess.run([tmp_path / "sizes"], capture_output=True, text=True, check=True).stdout.split()]
    expected = [ctypes.sizeof(python) for python in structures.values()]
    expected += [getattr(python, field[0]).offset for python in structures.values() for field in python._fields_]
    assert told == expected


def test_a_check_is_what_the_plugin_says(scripts):
    context = scripts.context()
    report = {"policy": "scripted", "result": "ready", "checks": [], "versions": {}}
    scripts.write(f"assert sys.argv[1] == '--check'; os.write(1, message('check', {report!r}).encode()); os._exit(0)")
    failed, text = context.check(**scripts.parameters())
    assert failed is None and json.loads(text)["check"] == report
    report["result"] = "not-ready"
    scripts.write(f"os.write(1, message('check', {report!r}).encode()); end(10)")
    failed, text = context.check(**scripts.parameters())
    assert failed.code == 10 and json.loads(text)["check"]["result"] == "not-ready"
    for body, code in [("os.write(1, b'no'); os._exit(0)", libvmmi.PROTOCOL), ("os._exit(0)", libvmmi.PROTOCOL),
                       (f"os.write(1, message('check', {report!r}).encode()); os._exit(0)", libvmmi.PROTOCOL),
                       ("time.sleep(60)", libvmmi.NO_ANSWER), ("while True: os.write(1, b'x' * 65536)", libvmmi.FLOOD)]:
        scripts.write(body)
        failed, text = context.check(timeout_ms=1000, **scripts.parameters())
        assert failed.code == code, body
