# SPDX-License-Identifier: Apache-2.0
"""What outlives the application, and what several supervisors do to one another."""

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import libvmmi
from conftest import OTHER, VM, no_descriptor_left
from libvmmi import Context, Failure

FOLDER = Path(__file__).parent

# An application of its own, so that it can die. It says the id, and then waits to be killed.
APPLICATION = """\
import sys, time
sys.path.insert(0, {folder!r})
from libvmmi import Context
context = Context(**{options!r})
migration = context.start(**{parameters!r})
{then}
print(migration.id, flush=True)
time.sleep(600)
"""


def application(scripts, body="serve()", then="", **more):
    scripts.write(body)
    text = APPLICATION.format(folder=str(FOLDER), options={key: str(value) for key, value in scripts.options.items()},
                              parameters=scripts.parameters(**more), then=then)
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    identifier = process.stdout.readline().strip()
    assert identifier, process.wait(10)
    return process, identifier


def kill(process):
    process.kill()
    process.wait()
    process.stdout.close()


def test_after_a_kill_of_the_application_another_one_goes_on(scripts, tmp_path):
    process, identifier = application(scripts, f"serve(until={str(tmp_path / 'done')!r})")
    kill(process)
    context = scripts.context()
    [item] = context.list()
    assert (item["id"], item["vm"], item["plugin"], item["running"]) == (identifier, VM, "scripted", 1)
    assert abs(item["started"] - time.time()) < 60
    migration = context.attach(VM)
    assert migration.ask().progress_percent == 42
    (tmp_path / "done").touch()
    migration.conclude()
    assert json.loads(migration.completion())["completion"]["result"] == "success"


def test_the_completion_message_waits_for_whoever_comes_next(scripts):
    process, identifier = application(scripts)
    kill(process)
    first = scripts.context()
    migration = first.attach(identifier)
    migration.do("abort")
    migration.wait("ended")
    first.free()
    scripts.contexts.remove(first)
    context = scripts.context()
    assert [item["running"] for item in context.list()] == [0]
    late = context.attach(VM)
    with pytest.raises(Failure) as raised:
        late.conclude()
    assert raised.value.code == 9
    late.do("collect")
    assert context.list() == []


def test_an_end_at_attach_makes_the_descriptor_readable_at_once(scripts):
    scripts.start("end()").conclude()
    context = scripts.context()
    late = context.attach(VM)
    assert select.select([context.fd], [], [], 0.3)[0]
    late.conclude()
    context.wait(0)
    assert select.select([context.fd], [], [], 1.5)[0] == [], "and it does so once"


def test_it_is_aborted_by_another_process(scripts):
    process, _ = application(scripts)
    kill(process)
    migration = scripts.context().attach(VM)
    migration.do("abort")
    with pytest.raises(Failure) as raised:
        migration.conclude()
    assert raised.value.code == 9


def test_a_plugin_that_crashed_after_its_application_is_told_as_crashed(scripts):
    process, _ = application(scripts)
    kill(process)
    context = scripts.context()
    os.kill(context.list()[0]["pid"], signal.SIGKILL)
    migration = context.attach(VM)
    with pytest.raises(Failure) as raised:
        migration.conclude()
    assert raised.value.code == libvmmi.CRASHED


SECOND = """\
import sys
sys.path.insert(0, {folder!r})
from libvmmi import Context
context = Context(**{options!r})
migration = context.attach({vm!r})
for _ in range(20):
    assert migration.ask().progress_percent == 42
migration.do("abort")
migration.wait("ended")
assert migration.result().code == 9
migration.do("collect")
assert context.list() == []
"""


def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(scripts, tmp_path):
    counting = f"""
for number in range(1, 100):
    signal.sigwait(USUAL)
    status(iteration=number)
    open({str(tmp_path / 'answered')!r}, 'w').write(str(number))"""
    process, _ = application(scripts, counting)
    plugin = scripts.context().list()[0]["pid"]
    for number in (1, 2):
        os.kill(plugin, signal.SIGUSR1)
        until = time.monotonic() + 20
        while not (tmp_path / "answered").exists() or (tmp_path / "answered").read_text() != str(number):
            assert time.monotonic() < until
            time.sleep(0.02)
    kill(process)
    assert [scripts.context().attach(VM).ask().iteration for _ in range(3)] == [3, 4, 5]


def test_two_supervisors_at_once_both_get_status_and_completion(scripts):
    migration = scripts.start()
    text = SECOND.format(folder=str(FOLDER), options={key: str(value) for key, value in scripts.options.items()}, vm=VM)
    with subprocess.Popen([sys.executable, "-c", text]) as second:
        # Whoever reads an answer from the FIFO, the other one gets it as well.
        asked = 0
        while second.poll() is None and ("ended", migration.pointer.value) not in migration.context.events:
            try:
                migration.request_status()
            except Failure:
                break
            migration.context.wait(0.05)
            asked += 1
    assert second.returncode == 0 and asked > 3
    migration.wait("ended")
    assert migration.result().code == 9, "collected by the other one, and told here all the same"


def test_a_second_migration_of_one_guest_is_refused(scripts):
    process, identifier = application(scripts)
    for vm in (VM, VM.upper(), VM.replace("-", "")):
        with pytest.raises(Failure) as raised:
            scripts.start(vm=vm)
        assert raised.value.code == libvmmi.BUSY and identifier in raised.value.details
    kill(process)
    with pytest.raises(Failure) as raised:
        scripts.start()
    assert raised.value.code == libvmmi.BUSY, "the application is gone, the plugin is not"
    scripts.start(vm=OTHER)
    migration = scripts.context().attach(VM)
    migration.do("abort")
    migration.wait("ended")
    scripts.start()


def test_a_name_that_several_have_is_no_migration(scripts):
    first, second = scripts.start(vm_name="web"), scripts.start(vm=OTHER, vm_name="web")
    context = scripts.context()
    with pytest.raises(Failure) as raised:
        context.attach("web")
    assert raised.value.code == libvmmi.MISUSE and first.id in raised.value.details and second.id in raised.value.details
    assert context.attach(first.id).id == first.id
    second.do("abort")
    second.wait("ended")
    assert context.attach("web").id == first.id, "one at work before those that have ended"


def test_what_is_wrong_with_the_lock_is_told(scripts):
    scripts.runtime.mkdir(mode=0o700)
    (scripts.runtime / ".lock").mkdir()
    with pytest.raises(Failure, match="Is a directory") as raised:
        scripts.start()
    assert raised.value.code == libvmmi.DIRECTORY and "another process" not in raised.value.details


def test_of_many_that_start_at_once_one_is_taken(scripts):
    scripts.write("serve()")
    outcomes = []

    def one():
        context = Context(**scripts.options)
        try:
            context.start(**scripts.parameters())
            outcomes.append(0)
        except Failure as raised:
            outcomes.append(raised.code)
        context.free()

    threads = [threading.Thread(target=one) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [libvmmi.BUSY] * 7 + [0]


def test_a_number_that_another_process_has_now_is_not_signalled(scripts):
    process, identifier = application(scripts)
    kill(process)
    plugin = scripts.context().list()[0]["pid"]
    bystander = subprocess.Popen(["sleep", "600"])
    try:
        # As if the plugin had ended and its number had come round to somebody else.
        stat = scripts.runtime / identifier / "process"
        text = Path(f"/proc/{bystander.pid}/stat").read_text()
        words = text.rsplit(") ", 1)[1].split()
        words[19] = str(int(words[19]) - 1)
        stat.write_text(text.rsplit(") ", 1)[0] + ") " + " ".join(words))
        context = scripts.context()
        assert [item["running"] for item in context.list()] == [0]
        migration = context.attach(identifier)
        with pytest.raises(Failure, match="has ended"):
            migration.do("abort")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()
        os.kill(plugin, signal.SIGKILL)


def test_what_an_earlier_boot_left_has_ended(scripts):
    process, identifier = application(scripts)
    kill(process)
    plugin = scripts.context().list()[0]["pid"]
    handle = scripts.runtime / identifier / "handle"
    handle.write_text(json.dumps(json.loads(handle.read_text()) | {"boot": "another"}))
    assert [item["running"] for item in scripts.context().list()] == [0]
    os.kill(plugin, signal.SIGKILL)


def test_in_another_process_namespace_it_is_alive_and_out_of_reach(scripts):
    process, identifier = application(scripts)
    kill(process)
    plugin = scripts.context().list()[0]["pid"]
    handle = scripts.runtime / identifier / "handle"
    handle.write_text(json.dumps(json.loads(handle.read_text()) | {"pidNamespace": 1}))
    context = scripts.context()
    assert [(item["running"], item["pid"]) for item in context.list()] == [(1, 0)], "its lock tells"
    migration = context.attach(identifier)
    with pytest.raises(Failure) as raised:
        migration.do("abort")
    assert raised.value.code == libvmmi.OUT_OF_REACH
    os.kill(plugin, signal.SIGINT)
    with pytest.raises(Failure) as raised:
        migration.conclude()
    assert raised.value.code == 9


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"boot": 7}', b"\xff" * 100, b"{" * 100_000])
def test_a_damaged_handle_is_no_migration(scripts, content):
    migration = scripts.start()
    path = scripts.runtime / migration.id / "handle"
    whole = path.read_bytes()
    path.write_bytes(content)
    assert [item["running"] for item in scripts.context().list()] in ([], [0])
    path.write_bytes(whole)


@pytest.mark.parametrize("how", ["link", "hard link", "open to all", "a file"])
def test_a_runtime_directory_that_is_not_private_is_refused(scripts, tmp_path, how):
    if how == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        scripts.runtime.symlink_to(tmp_path / "real")
    elif how == "a file":
        scripts.runtime.write_text("")
    elif how == "open to all":
        scripts.runtime.mkdir()
        scripts.runtime.chmod(0o777)
    else:
        # One file of somebody else's inside of it.
        migration = scripts.start("end()")
        migration.conclude()
        os.link(scripts.runtime / migration.id / "handle", tmp_path / "elsewhere")
        assert scripts.context().list() == []
        return
    with pytest.raises(Failure) as raised:
        scripts.context()
    assert raised.value.code == libvmmi.DIRECTORY


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to be somebody else")
def test_a_runtime_directory_of_another_user_is_refused(scripts):
    scripts.runtime.mkdir(mode=0o755)
    os.chown(scripts.runtime, 65534, 65534)
    with pytest.raises(Failure, match="another user"):
        scripts.context()


def test_names_of_plugins_lead_nowhere_else(scripts, tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("#!/bin/sh\nexit 0\n")
    outside.chmod(0o755)
    scripts.write("end()", name="inside")
    scripts.write("end()", name="migrate")
    (scripts.folder / "out").symlink_to(outside)
    (scripts.folder / "in").symlink_to("inside")
    (scripts.folder / "text").write_text("x")
    scripts.write("end()", name="open").chmod(0o777)
    (scripts.folder / "folder").mkdir()
    context = scripts.context()
    for name in ["", ".", "..", "../outside", "./inside", "/bin/true", "migrate", "out", "text", "open", "folder", "missing",
                 "-h", "in\nside", ".hidden", "x" * 300]:
        with pytest.raises(Failure) as raised:
            context.start(**scripts.parameters(plugin=name))
        assert raised.value.code in (libvmmi.PLUGIN, 7), name
        if "not a name" in raised.value.details:
            # Nor to a configuration, where only a guest is looked for.
            with pytest.raises(Failure) as looked:
                libvmmi.call("vmmi_find_domain", ctypes.byref(libvmmi.parameters(**scripts.parameters(plugin=name))), None, None)
            assert (looked.value.code, looked.value.details) == (libvmmi.PLUGIN, raised.value.details)
    for name in ["inside", "in"]:
        context.start(**scripts.parameters(plugin=name)).conclude()
    assert list(scripts.runtime.glob("*.*")) != []


def test_a_plugin_that_cannot_be_executed_leaves_no_handle(scripts):
    broken = scripts.folder / "scripted"
    broken.write_text("#!/nowhere/to/be/found\n")
    broken.chmod(0o755)
    context = scripts.context()
    with pytest.raises(Failure, match="could not be started") as raised:
        context.start(**scripts.parameters())
    assert raised.value.code == libvmmi.SYSTEM
    assert context.list() == []


def test_a_start_does_not_look_at_every_run(scripts):
    migration = scripts.start("end()")
    migration.conclude()
    long_ago = time.time() - 8 * 24 * 3600
    left = scripts.runtime / migration.id
    os.utime(left / "completion", (long_ago, long_ago))
    scripts.start(vm=OTHER).do("abort")
    assert left.exists()
    os.utime(scripts.runtime / ".lock", (long_ago, long_ago))
    scripts.start("end()", vm=VM).conclude()
    assert not left.exists(), "now and then it does"


def test_ends_that_nobody_collects_go_in_time(scripts):
    migration = scripts.start("end()")
    migration.conclude()
    long_ago = time.time() - 8 * 24 * 3600
    os.utime(scripts.runtime / migration.id / "completion", (long_ago, long_ago))
    assert scripts.context().list() == []


@pytest.mark.parametrize("spare", range(3))
def test_out_of_descriptors_nothing_is_taken_for_ended(scripts, spare):
    process, identifier = application(scripts)
    kill(process)
    context = scripts.context()
    with no_descriptor_left(spare):
        for attempt in (context.list, lambda: context.attach(VM), lambda: context.start(**scripts.parameters())):
            try:
                found = attempt()
            except Failure as failure:
                assert failure.code == libvmmi.BUSY or (failure.code == libvmmi.SYSTEM and "ulimit -n" in failure.details)
            else:
                assert not isinstance(found, list) or [item["running"] for item in found] == [1]
                context.wait(0)
                assert context.events == []
    assert context.attach(identifier).ask().progress_percent == 42


def test_out_of_descriptors_the_completion_message_is_read_all_the_same(scripts, tmp_path):
    migration = scripts.start(f"serve(until={str(tmp_path / 'done')!r})")
    migration.ask()
    (tmp_path / "done").touch()
    with no_descriptor_left():
        migration.conclude()
    assert migration.result().code == 0
    migration.do("collect")


def test_a_completion_message_that_cannot_be_read_is_asked_for_again(scripts, tmp_path):
    migration = scripts.start(f"serve(until={str(tmp_path / 'done')!r})")
    folder = scripts.runtime / migration.id
    (folder / "completion").rename(tmp_path / "aside")
    (folder / "completion").symlink_to(tmp_path / "aside")
    (tmp_path / "done").touch()
    migration.context.wait(0.5)
    migration.context.wait(1.5)
    assert migration.context.events == []
    (tmp_path / "aside").rename(folder / "completion")
    migration.conclude()
    assert migration.result().code == 0


def test_a_completion_message_that_cannot_be_read_is_not_thrown_away(scripts, tmp_path):
    migration = scripts.start("serve()")
    folder = scripts.runtime / migration.id
    (folder / "completion").rename(tmp_path / "aside")
    (folder / "completion").symlink_to(tmp_path / "aside")
    migration.do("abort")
    with pytest.raises(Failure) as raised:
        migration.conclude()
    assert raised.value.code == libvmmi.SYSTEM and migration.id in raised.value.details
    with pytest.raises(Failure):
        migration.do("collect")
    (tmp_path / "aside").rename(folder / "completion")
    with pytest.raises(Failure) as raised:
        scripts.context().attach(VM).conclude()
    assert raised.value.code == 9


@pytest.mark.parametrize("how", ["damaged", "missing"])
def test_a_plugin_at_work_keeps_its_folder_whatever_became_of_its_handle(scripts, how):
    migration = scripts.start()
    migration.ask()
    folder = scripts.runtime / migration.id
    whole = (folder / "handle").read_bytes()
    (folder / "handle").write_bytes(b"{") if how == "damaged" else (folder / "handle").unlink()
    long_ago = time.time() - 8 * 24 * 3600
    for path in (folder, folder / "completion"):
        os.utime(path, (long_ago, long_ago))
    assert scripts.context().list() == []
    (folder / "handle").write_bytes(whole)
    (folder / "handle").chmod(0o600)
    assert migration.ask().progress_percent == 42
    migration.do("abort")
    with pytest.raises(Failure) as raised:
        migration.conclude()
    assert raised.value.code == 9


def test_plugins_are_listed_with_what_they_say(scripts):
    scripts.write("print('one 1.2 (VMMI 0.4.1)' if sys.argv[1] == '--version' else 'one: does this\\x1b[0m\\nmore')", name="one")
    scripts.write("time.sleep(60)", name="silent").write_text("#!/bin/sh\nexit 1\n")
    (scripts.folder / "no-program").write_text("")
    assert scripts.context().plugins() == [("one", "1.2", "does this?[0m"), ("silent", "", "")]
