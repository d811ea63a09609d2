# SPDX-License-Identifier: Apache-2.0
"""The command line of the testbed: `tests/hosts`."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from . import images, kernel, pair as pairs
from .guest import PATTERNS
from .host import NAMES, Host
from .pair import Pair
from .system import TestbedError

EPILOG = """\
a first migration:
  tests/hosts up --name demo
  tests/hosts guest demo g1
  tests/hosts slow demo 400
  tests/hosts virsh demo source migrate --live --p2p g1 qemu+tcp://10.75.0.2/system tcp://10.76.0.2
  tests/hosts report demo g1
  tests/hosts down demo

exit status: 0 done, 1 failed, 2 wrong usage, 77 this machine cannot run the testbed (the message says why)
"""


def main() -> int:
    arguments = parser().parse_args()
    try:
        return arguments.run(arguments) or 0
    except TestbedError as error:
        print(f"{os.path.basename(sys.argv[0])}: {error}", file=sys.stderr)
        return error.exit_status
    except KeyboardInterrupt:
        return 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="tests/hosts", epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter,
                                  description="Two libvirt hosts on this machine, for real migrations between them.")
    verbs = top.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def verb(name: str, run: Callable, help: str, pair: bool = True) -> argparse.ArgumentParser:
        added = verbs.add_parser(name, help=help, description=help[0].upper() + help[1:] + ".")
        added.set_defaults(run=run)
        if pair:
            added.add_argument("pair", metavar="PAIR", help="the pair's name")
        return added

    up = verb("up", run_up, "start a pair of hosts", pair=False)
    up.add_argument("--name", help="its name (default: pair1, pair2, ...)")
    up.add_argument("--flavor", default="auto",
                    help="where libvirt and QEMU come from: auto, machine, or a Debian release "
                         f"({', '.join(images.RELEASES)}); SOURCE:DESTINATION gives the hosts different ones")
    up.add_argument("--json", action="store_true", help="print a JSON object instead of a summary")
    down = verb("down", run_down, "end a pair and all that belongs to it", pair=False)
    down.add_argument("pair", metavar="PAIR", nargs="?", help="the pair's name")
    down.add_argument("--all", action="store_true", help="end all pairs, also those that tests are using")
    verb("list", run_list, "list the pairs", pair=False).add_argument("--json", action="store_true", help="print JSON")
    verb("images", run_images, "only prepare the caches: root folder, kernel, initramfs", pair=False).add_argument(
        "--flavor", default="auto", help="as for up")

    guest = verb("guest", run_guest, "start a guest on the source host")
    guest.add_argument("guest", metavar="GUEST", help="the guest's name")
    guest.add_argument("--memory", type=int, default=192, metavar="MIB", help="its memory (default: %(default)s)")
    guest.add_argument("--working-set", type=int, default=64, metavar="MIB",
                       help="how much of it the guest rewrites over and over (default: %(default)s)")
    guest.add_argument("--rate", type=int, default=40, metavar="MIB",
                       help="how much it rewrites in a second (default: %(default)s; 0: nothing)")
    guest.add_argument("--pattern", choices=PATTERNS, default="page",
                       help="whether it rewrites whole pages or a word in each (default: %(default)s)")
    guest.add_argument("--persistent", action="store_true", help="define it, so that it outlives its shutdown")
    report = verb("report", run_report, "tell what a guest went through since it started")
    report.add_argument("guest", metavar="GUEST", help="the guest's name")
    report.add_argument("--last", type=float, metavar="SECONDS", help="only in the last SECONDS")
    report.add_argument("--json", action="store_true", help="print a JSON object")

    def host_verb(name: str, run: Callable, help: str) -> argparse.ArgumentParser:
        added = verb(name, run, help)
        added.add_argument("host", choices=NAMES, metavar="HOST", help="source or destination")
        return added

    host_verb("shell", run_shell, "open a shell in a host's network, with this machine's files").add_argument(
        "argv", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this instead of a shell")
    host_verb("virsh", run_virsh, "run virsh on a host").add_argument("argv", nargs=argparse.REMAINDER, metavar="ARGUMENT")

    slow = verb("slow", lambda a: Pair.attach(a.pair).data.slow(a.mbit), "limit the data link")
    slow.add_argument("mbit", type=float, metavar="MBIT", help="megabits a second, in each direction")
    verb("fast", lambda a: Pair.attach(a.pair).data.fast(), "take the limit off the data link")
    for name, help in (("cut", "cut a link: what crosses it hangs"), ("restore", "restore a link that was cut"),
                       ("reset", "break the TCP streams that cross a link")):
        verb(name, lambda a, name=name: tell(getattr(getattr(Pair.attach(a.pair), a.link), name)()), help).add_argument(
            "link", choices=("data", "management"), metavar="LINK", help="data or management")

    daemon_help = {"kill-daemon": "kill a host's libvirtd", "stop-daemon": "freeze a host's libvirtd",
                   "continue-daemon": "let a frozen libvirtd go on", "start-daemon": "start libvirtd again"}
    for name, help in daemon_help.items():
        added = host_verb(name, run_daemon, help)
        added.set_defaults(method=name.replace("-", "_"))
        if name == "kill-daemon":
            added.add_argument("--term", action="store_true", help="ask it to end (SIGTERM) instead of SIGKILL")
    host_verb("kill-qemu", lambda a: host_of(a).kill_qemu(a.guest), "kill a guest's QEMU on a host").add_argument(
        "guest", metavar="GUEST", help="the guest's name")
    return top


def tell(streams: int | None) -> None:
    if streams is not None:
        print(f"{streams} stream{'' if streams == 1 else 's'} broken")


def host_of(arguments: argparse.Namespace) -> Host:
    return getattr(Pair.attach(arguments.pair), arguments.host)


def run_up(arguments: argparse.Namespace) -> None:
    pair = Pair.up(arguments.name, arguments.flavor, owned=False)
    if arguments.json:
        print(json.dumps(pair.describe(), indent=2))
        return
    print(f"Pair {pair.name} is up ({', '.join(dict.fromkeys(pair.flavors))}).\n"
          f"  source            {pair.source.uri}\n"
          f"  destination       {pair.destination.uri}\n"
          f"  from the source, migrate to {pair.destination_uri} with the data link {pair.migration_uri}\n"
          f"  next: tests/hosts guest {pair.name} g1;  end it: tests/hosts down {pair.name}")


def run_down(arguments: argparse.Namespace) -> None:
    if arguments.all == bool(arguments.pair):
        raise TestbedError("name the pair to end, or give --all")
    if arguments.pair and arguments.pair not in pairs.names():
        raise TestbedError(f"there is no pair {arguments.pair!r}")
    for name in pairs.names() if arguments.all else [arguments.pair]:
        pairs.remove_lab(pairs.LABS / name)


def run_list(arguments: argparse.Namespace) -> None:
    rows = [{"name": lab.name, **pairs.standing(lab)} for lab in pairs.labs()]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return
    for row in rows:
        print(f"{row['name']:<16} {row['state']:<10} {':'.join(row['flavors']):<16} guests: {' '.join(row['guests']) or '-'}")


def run_images(arguments: argparse.Namespace) -> None:
    for flavor in arguments.flavor.split(":"):
        print(images.root_folder(images.choose(flavor)))
    print(kernel.kernel_image(), kernel.initramfs(), sep="\n")


def run_guest(arguments: argparse.Namespace) -> None:
    guest = Pair.attach(arguments.pair).start_guest(
        arguments.guest, memory_mib=arguments.memory, working_set_mib=arguments.working_set, rate_mib=arguments.rate,
        pattern=arguments.pattern, persistent=arguments.persistent)
    print(f"Guest {guest.name} runs on the source host ({guest.uuid}).")


def run_report(arguments: argparse.Namespace) -> None:
    guest = Pair.attach(arguments.pair).guest(arguments.guest)
    since = guest.mark(ago=arguments.last) if arguments.last else None
    values = {"guest": guest.name, "states": {host.name: guest.state_on(host) for host in guest.pair.hosts},
              **guest.report(since).to_dict()}
    if arguments.json:
        print(json.dumps(values, indent=2))
        return
    for host, state in values["states"].items():
        print(f"on {host:<16} {state or 'not there'}")
    lost = values["work_lost_seconds"]
    print(f"observed           {values['seconds']:.1f} s\n"
          f"longest silence    {values['downtime_seconds'] * 1000:.0f} ms\n"
          f"work lost          {'-' if lost is None else f'{lost:.2f} s'}\n"
          f"rate               {values['rate_mib']:.1f} MiB/s, now {values['rate_now_mib']:.1f} MiB/s\n"
          f"pages corrupted    {values['corrupted_pages']} (of {values['pages_verified']} checks)")


def run_shell(arguments: argparse.Namespace) -> int:
    host = host_of(arguments)
    shell = arguments.argv or [os.environ.get("SHELL", "/bin/sh")]
    return subprocess.call(host.command(shell), env={**os.environ, "LIBVIRT_DEFAULT_URI": host.uri})


def run_virsh(arguments: argparse.Namespace) -> int:
    return subprocess.call(host_of(arguments).inside(["virsh", "--connect", "qemu:///system", *arguments.argv]))


def run_daemon(arguments: argparse.Namespace) -> None:
    method = getattr(host_of(arguments), arguments.method)
    method(signal.SIGTERM) if getattr(arguments, "term", False) else method()
