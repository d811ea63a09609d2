# SPDX-License-Identifier: Apache-2.0
"""The testbed keeps its own promises. Run with `/usr/bin/python3 -m pytest tests/testbed`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TESTS))

from testbed import CannotRunHere, Guest, Host, Pair, TestbedError  # noqa: E402
from testbed.pair import LABS, names  # noqa: E402
from testbed.progress import Progress, report  # noqa: E402
from testbed.system import LAB_VARIABLE, all_processes, namespace, wait_for  # noqa: E402


def traces() -> dict[str, object]:
    """All on this machine that the pairs of these tests, named test-..., could leave behind. Others' may come and go."""
    def output(*argv: str) -> str:
        return subprocess.run(argv, capture_output=True, text=True).stdout

    def places(pid: int) -> set[str]:
        return {namespace(pid, kind) for kind in ("pid", "net")} - {namespace(os.getpid(), kind) for kind in ("pid", "net")} - {""}

    def of_another_pair(pid: int) -> bool:
        try:
            found = re.search(f"{LAB_VARIABLE}={LABS}/(.*?)\0", Path(f"/proc/{pid}/environ").read_text(errors="replace"))
        except OSError:
            return False
        return bool(found) and not found[1].startswith("test-")

    pids = [process.pid for process in all_processes()]
    elsewhere = set().union(*(places(pid) for pid in pids if of_another_pair(pid)))
    return {
        "processes": {pid for pid in pids if places(pid) - elsewhere and not places(pid) & elsewhere},
        "network namespaces": output("ip", "netns", "list"),
        "links": output("ip", "-brief", "link"),
        "firewall": output("nft", "list", "ruleset"),
        "mounts": Path("/proc/self/mounts").read_text(),
        "folders": [name for name in names() if name.startswith("test-")],
    }


@pytest.fixture
def nothing_left():
    before = traces()
    yield before
    # What is new for a moment belongs to another pair that is just coming or going; what a test left would stay.
    deadline = time.monotonic() + 5
    while (new := {kind: left for kind, left in traces().items() if left_behind(before[kind], left)}) \
            and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not new


def left_behind(before: object, after: object) -> bool:
    return bool(after - before) if isinstance(after, set) else after != before


@pytest.fixture(scope="module")
def pair():
    try:
        with Pair.up() as pair:
            yield pair
    except CannotRunHere as reason:
        pytest.skip(str(reason))


@pytest.fixture
def fast_links(pair: Pair):
    yield pair
    for link in (pair.data, pair.management):
        link.restore()
        link.fast()


@pytest.fixture
def start(fast_links: Pair):
    """Starts guests on the module's pair and ends them after the test."""
    guests: list[Guest] = []

    def start(**options) -> Guest:
        guests.append(fast_links.start_guest(f"g{len(guests) + 1}", **options))
        return guests[-1]
    yield start
    for guest in guests:
        guest.destroy()


def migration(pair: Pair, guest: Guest, *options: str) -> subprocess.Popen:
    return subprocess.Popen(
        pair.source.inside(["virsh", "--connect", "qemu:///system", "migrate", "--live", "--p2p", *options, guest.name,
                            pair.destination_uri, pair.migration_uri]),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def under_way(pair: Pair, guest: Guest) -> None:
    """Returns when memory flows."""
    wait_for("a migration under way", lambda: "Memory processed" in pair.source.virsh("domjobinfo", guest.name, check=False))


def outcome(process: subprocess.Popen, timeout: float = 60) -> tuple[int, str]:
    text, _ = process.communicate(timeout=timeout)
    return process.returncode, text.strip()


def started_elsewhere(code: str) -> subprocess.Popen:
    """A process that runs this code with the testbed at hand."""
    return subprocess.Popen(["/usr/bin/python3", "-c", f"import sys; sys.path.insert(0, {str(TESTS)!r})\n{code}"],
                            stdout=subprocess.PIPE, text=True)


def hosts(*arguments: str) -> str:
    done = subprocess.run([TESTS / "hosts", *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- coming and going


def test_up_and_down_leave_nothing_behind(nothing_left):
    with Pair.up(name="test-brief") as pair:
        pair.start_guest(rate_mib=0)
        assert traces()["processes"] - nothing_left["processes"]
    assert "test-brief" not in names()


@pytest.mark.parametrize("step", ["Link.connect", "Host.start_daemon", "Guest.start"])
def test_a_pair_whose_owner_was_killed_is_cleaned_away_by_the_next_up(nothing_left, step):
    owner, method = step.split(".")
    killed = started_elsewhere("import os, signal, testbed\n"
                               f"testbed.{owner}.{method} = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)\n"
                               "testbed.Pair.up(name='test-killed').start_guest()")
    assert killed.wait(timeout=60) == -signal.SIGKILL
    assert "test-killed" in names()
    with Pair.up(name="test-next"):
        assert "test-killed" not in names()


def test_down_cleans_a_pair_whose_owner_was_killed_while_a_guest_runs(nothing_left):
    holder = started_elsewhere("import testbed, time\npair = testbed.Pair.up(name='test-held')\n"
                               "pair.start_guest()\nprint('up', flush=True)\ntime.sleep(600)")
    assert holder.stdout.readline() == "up\n"
    holder.kill()
    holder.wait()
    hosts("down", "test-held")


def test_a_pair_of_the_command_line_outlives_its_command(nothing_left):
    made = json.loads(hosts("up", "--name", "test-cli", "--json"))
    try:
        assert made["name"] == "test-cli"
        with Pair.up(name="test-other"):  # which cleans up, but not this one
            pass
        hosts("guest", "test-cli", "g1", "--rate", "5")
        seen = json.loads(hosts("report", "test-cli", "g1", "--json"))
        assert seen["states"]["source"] == "running (booted)" and seen["pages_done"] > 0
    finally:
        hosts("down", "test-cli")


def test_two_pairs_coexist(pair):
    with Pair.up(name="test-second") as second:
        guests = [one.start_guest("twin", rate_mib=0) for one in (pair, second)]
        second.source.kill_qemu("twin")
        assert guests[0].host() is pair.source
        assert guests[1].host() is None
        guests[0].destroy()


def test_a_name_in_use_and_an_unknown_flavor_are_refused(pair):
    with pytest.raises(TestbedError, match="already up"):
        Pair.up(name=pair.name)
    with pytest.raises(TestbedError, match="unknown flavor"):
        Pair.up(flavor="potato")


def test_a_host_can_ask_for_a_password():
    pytest.importorskip("libvirt")
    ask = ("import libvirt, sys\nuri, user, password = sys.argv[1:]\n"
           "answers = {libvirt.VIR_CRED_AUTHNAME: user, libvirt.VIR_CRED_PASSPHRASE: password}\n"
           "def fill(asked, _):\n    for one in asked: one[4] = answers[one[0]]\n    return 0\n"
           "libvirt.registerErrorHandler(lambda *_: None, None)\n"
           "print(libvirt.openAuth(uri, [list(answers), fill, None]).getHostname())")
    with Pair.up(name="test-password", sasl=True) as pair:
        host = Pair.attach("test-password").source

        def answer(password: str) -> str:
            argv = ["/usr/bin/python3", "-c", ask, host.sasl_uri, host.sasl_username, password]
            return subprocess.run(pair.destination.command(argv), capture_output=True, text=True).stdout.strip()

        assert answer(host.sasl_password) == "source"
        assert answer("guessed") == ""


# -- migrations


@pytest.mark.parametrize(("rate_mib", "pattern"), [(0, "page"), (10, "page"), (40, "page"), (40, "word")],
                         ids=["idle", "light", "busy", "busy with words"])
def test_a_guest_migrates_over_a_slow_link_with_its_memory_intact(start, pair, rate_mib, pattern):
    guest = start(rate_mib=rate_mib, pattern=pattern)
    pair.data.slow(400)
    mark = guest.mark()
    assert outcome(migration(pair, guest)) == (0, "")
    assert guest.state_on(pair.source) is None
    assert guest.host() is pair.destination
    guest.wait_verified()
    seen = guest.report(since=mark)
    assert seen.corrupted_pages == 0
    assert seen.pages_verified >= guest.settings.working_set_mib * 256
    assert 0 < seen.downtime_seconds < 3
    if rate_mib:
        assert seen.rate_before_mib == pytest.approx(rate_mib, rel=0.25)
        assert seen.work_lost_seconds < seen.downtime_seconds + 0.2 * seen.seconds
    else:
        assert seen.work_lost_seconds is None and seen.pages_done == 0


def test_the_check_in_the_guest_sees_a_damaged_page(start):
    for pattern in ("page", "word"):
        guest = start(pattern=pattern)
        mark = guest.mark()
        guest.wait_verified()
        assert guest.report(since=mark).corrupted_pages == 0
        guest.corrupt_page()
        guest.wait_verified()
        assert guest.report(since=mark).corrupted_pages == 1


# -- faults


def throughput(sender: Host, receiver: Host, seconds: float = 1.5) -> float:
    """Megabits a second of one TCP stream over the data link."""
    server = ("import socket, time\n"
              f"listener = socket.create_server(('{receiver.data_address}', 5001)); print('ready', flush=True)\n"
              "stream = listener.accept()[0]; begin = time.monotonic(); received = 0\n"
              "while (chunk := len(stream.recv(1 << 18))): received += chunk\n"
              "print(received * 8 / 1e6 / (time.monotonic() - begin))")
    client = (f"import socket, time\nstream = socket.create_connection(('{receiver.data_address}', 5001), 10)\n"
              f"end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: stream.sendall(bytes(1 << 18))")
    with subprocess.Popen(receiver.command(["/usr/bin/python3", "-c", server]), stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout.readline() == "ready\n"
        subprocess.run(sender.command(["/usr/bin/python3", "-c", client]), check=True)
        return float(serving.stdout.read())


@pytest.mark.parametrize("mbit", [50, 400, 1000])
def test_a_slowed_link_yields_its_rate_in_both_directions(fast_links, mbit):
    pair = fast_links
    pair.data.slow(mbit)
    assert throughput(pair.source, pair.destination) == pytest.approx(mbit, rel=0.1)
    assert throughput(pair.destination, pair.source) == pytest.approx(mbit, rel=0.1)
    pair.data.fast()
    assert throughput(pair.source, pair.destination) > 1.5 * mbit


def test_a_cut_data_link_holds_a_migration_up_until_it_is_restored(start, pair):
    guest = start(rate_mib=5)
    pair.data.slow(100)
    mark = guest.mark()
    process = migration(pair, guest)
    under_way(pair, guest)
    pair.data.cut()
    time.sleep(4)
    assert process.poll() is None and guest.host() is pair.source
    pair.data.restore()
    pair.data.fast()
    assert outcome(process) == (0, "")
    guest.wait_verified()
    assert guest.report(since=mark).corrupted_pages == 0


def test_a_reset_of_the_data_link_fails_a_migration_at_once(start, pair):
    guest = start(rate_mib=5)
    pair.data.slow(100)
    process = migration(pair, guest)
    under_way(pair, guest)
    assert pair.data.reset() == 1
    status, said = outcome(process, timeout=10)
    assert status != 0 and said
    assert guest.state_on(pair.source).startswith("running")
    assert guest.state_on(pair.destination) is None


def test_a_reset_of_the_data_link_breaks_post_copy_on_both_hosts(start, pair):
    guest = start(rate_mib=20)
    pair.data.slow(100)
    process = migration(pair, guest, "--postcopy")
    under_way(pair, guest)
    pair.source.virsh("migrate-postcopy", guest.name)
    wait_for("post-copy", lambda: guest.state_on(pair.destination) == "running (post-copy)")
    # In its first moments over there, the emulated processor can wait for a missing page of the kernel while it holds
    # QEMU's big lock. With the stream gone, such a QEMU answers nobody any more, and nothing can be resumed.
    switched = time.monotonic()
    wait_for("a second of the guest's life in post-copy", lambda: guest.said_since(switched + 1))
    pair.data.reset()
    assert outcome(process, timeout=20)[0] != 0
    wait_for("post-copy failed on the source", lambda: guest.state_on(pair.source) == "paused (post-copy failed)")
    wait_for("post-copy failed on the destination",
             lambda: (guest.state_on(pair.destination) or "").endswith("(post-copy failed)"))
    pair.data.fast()
    assert outcome(migration(pair, guest, "--postcopy", "--postcopy-resume")) == (0, "")
    guest.wait_verified()
    assert guest.report().corrupted_pages == 0


def test_a_cut_management_link_ends_a_migration_on_the_source(start, pair):
    guest = start(rate_mib=5)
    pair.data.slow(20)
    process = migration(pair, guest)
    under_way(pair, guest)
    pair.management.cut()
    assert outcome(process, timeout=30)[0] != 0
    assert guest.host() is pair.source
    pair.management.restore()
    wait_for("the end of the destination's half", lambda: guest.state_on(pair.destination) is None)


def test_a_killed_daemon_comes_back_and_finds_its_guest(start, pair):
    guest = start(rate_mib=0)
    for number in (signal.SIGKILL, signal.SIGTERM):
        pair.source.kill_daemon(number)
        pair.source.start_daemon()
        assert guest.host() is pair.source


def test_a_frozen_daemon_answers_nobody_until_it_goes_on(pair):
    pair.destination.stop_daemon()
    processes = set(pair.destination.processes())
    with pytest.raises(TestbedError, match="no answer"):
        pair.destination.virsh("list", timeout=1.5)
    assert set(pair.destination.processes()) == processes
    pair.destination.continue_daemon()
    assert "Id" in pair.destination.virsh("list")


def test_a_guest_whose_qemu_was_killed_runs_nowhere(start, pair):
    guest = start(rate_mib=0, persistent=True)
    pair.source.kill_qemu(guest.name)
    wait_for("the news at libvirt", lambda: guest.state_on(pair.source) == "shut off (crashed)")
    assert guest.host() is None


def test_programs_run_in_a_host_s_network_see_this_machine_s_files(pair):
    run = subprocess.run(pair.source.command(["sh", "-c", f"ip -brief address; ls {__file__}"]), capture_output=True, text=True)
    assert pair.source.address in run.stdout and pair.source.data_address in run.stdout and __file__ in run.stdout


# -- what a report makes of a recording


def lines(*spans: tuple[float, float, float]) -> list[Progress]:
    """Progress every 10 ms in spans (begin, end, pages a second)."""
    made, done = [], 0.0
    for begin, end, rate in spans:
        for tick in range(round((end - begin) * 100)):
            done += rate / 100
            made.append(Progress(begin + tick / 100, 0, round(done), 0, 0, 0))
    return made


def test_a_silence_counts_as_downtime_and_as_work_lost():
    seen = report(lines((0, 5, 1000), (6.5, 10, 1000)), since=4, now=10)
    assert seen.downtime_seconds == pytest.approx(1.5, abs=0.02)
    assert seen.work_lost_seconds == pytest.approx(1.5, abs=0.03)


def test_a_silence_that_still_lasts_counts():
    assert report(lines((0, 5, 1000)), since=4, now=9).downtime_seconds == pytest.approx(4, abs=0.02)


def test_a_slower_guest_lost_work_without_downtime():
    seen = report(lines((0, 5, 1000), (5, 9, 500)), since=5, now=9)
    assert seen.downtime_seconds == pytest.approx(0.01, abs=0.005)
    assert seen.work_lost_seconds == pytest.approx(2, abs=0.05)


def test_damaged_lines_and_the_kernel_s_words_are_passed_over():
    good = "P 10 2 3 0 0 "
    good += f"{sum(good.encode()) & 0xFF:02x}"
    assert Progress.parse(f"1.5 {good}") == Progress(1.5, 10, 2, 3, 0, 0)
    for damaged in (f"1.5 {good.replace('10', '11')}", "1.5 P 10 2 3", "1.5 [ 0.0] Linux", "1.5 ", ""):
        assert Progress.parse(damaged) is None


def test_a_kernel_that_cannot_be_fetched_is_told_with_its_reason(tmp_path):
    ask = "from testbed import kernel, system\ntry: kernel.kernel_image()\nexcept system.CannotRunHere as error: print(error)"
    argv = ["unshare", "--net", "/usr/bin/python3", "-c", ask]
    environment = {**os.environ, "VMMI_CACHE": str(tmp_path)} | {"PYTHONPATH": str(Path(__file__).parents[1])}
    environment.pop("VMMI_KERNEL", None)
    told = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=300, check=True).stdout
    assert "network" in told and "VMMI_KERNEL" in told
