# SPDX-License-Identifier: Apache-2.0
"""The command line of the runner."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from . import processes
from .cases import CASES, Case, Settings, Trial
from .report import SHOWN_RUNS, Result, report, summary
from .verdicts import CannotRun, Failed, Skipped, Unusable

HERE = Path(__file__).resolve().parent.parent
ROOT = HERE.parent.parent
CHAPTERS = ("process", "arguments", "configuration", "messages", "completion", "signals", "failure", "takeover", "hosts")
LIBRARY = "libvmmi-fake.so"

EPILOG = """\
exit status: 0 all cases passed or were skipped, 1 some failed, 2 usage error or nothing that can be tried,
77 cannot run here. README.md beside this program has the cases and what they need."""


def command_line() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="tests/conformance/run", usage="%(prog)s EXECUTABLE [OPTION]... [-- ARGUMENT...]",
        description="Holds a VMMI executable, in whatever language, against the clauses of SPEC.md that show from outside.",
        epilog=EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("executable", nargs="?", metavar="EXECUTABLE")
    parser.add_argument("--hosts", action="store_true", help="real migrations between two hosts of the testbed; needs root")
    parser.add_argument("--only", metavar="ID[,ID...]", help="these cases; CFG-1 means CFG-1.default-used, too, and CFG all of CFG-*")
    parser.add_argument("--report", metavar="FILE", help="write the report, JSON as report.schema.json has it; - is standard "
                        "output, and the lines for a person go to standard error then")
    parser.add_argument("--name", help="the plugin's name, which its default configuration has; default: the file's name")
    parser.add_argument("--fake-library", metavar="PATH", help=f"{LIBRARY}; default: $VMMI_FAKE_LIBVIRT, or the newest below build/")
    parser.add_argument("--jobs", type=int, default=min(4, 2 * (os.cpu_count() or 1)), help="cases at the same time over the "
                        "fake libvirt (%(default)s)")
    parser.add_argument("--patience", type=float, default=10, metavar="SECONDS", help="how long to wait for what must come "
                        "(%(default)s); what is to come at once may take a fifth of it")
    parser.add_argument("--list", action="store_true", help="list the cases: id, title, and what each needs")
    return parser


def load_cases() -> None:
    for chapter in CHAPTERS:
        importlib.import_module(f"cases.{chapter}")


def chosen(only: str | None, mode: str) -> list[Case]:
    of_mode = [case for case in CASES.values() if mode in case.needs]
    if only is None:
        return of_mode
    wanted = [word for word in only.split(",") if word]
    fits = {word: [case for case in of_mode if case.id == word or case.id.startswith((f"{word}.", f"{word}-"))] for word in wanted}
    unknown = [word for word, found in fits.items() if not found]
    if unknown or not wanted:
        raise Unusable(f"no such case in this mode: {', '.join(unknown) or repr(only)}; --list has all of them")
    return [case for case in of_mode if any(case in found for found in fits.values())]


def find_library(given: str | None) -> Path:
    named = given or os.environ.get("VMMI_FAKE_LIBVIRT")
    built = sorted(ROOT.glob(f"build/*/tests/fake_libvirt/{LIBRARY}"), key=lambda path: path.stat().st_mtime)
    path = Path(named).resolve() if named else built[-1] if built else None
    if path is None or not path.is_file():
        raise CannotRun(f"the fake libvirt is missing{f' at {path}' if path else ''}: it takes the place of libvirt's daemon. "
                        f"Build it (cmake --preset dev && cmake --build --preset dev --target vmmi-fake-libvirt), or name "
                        f"{LIBRARY} with --fake-library")
    tried = subprocess.run(["true"], env={**os.environ, "LD_PRELOAD": str(path)}, capture_output=True, text=True)
    if tried.returncode != 0 or tried.stderr:
        raise CannotRun(f"{path} cannot be preloaded here: {tried.stderr.strip()[:500] or tried.returncode}")
    return path


def find_executable(given: str | None) -> Path:
    if given is None:
        raise Unusable("EXECUTABLE is missing; --help tells how to call this")
    path = Path(os.path.abspath(given))
    if not path.is_file() or not os.access(path, os.X_OK):
        raise Unusable(f"{path}: {'not executable' if path.is_file() else 'no such file'}")
    return path


def preflight(settings: Settings, folder: Path) -> None:
    """Whether anything can be learnt: that it starts, and that its libvirt calls come to the fake."""
    trial = Trial(settings, folder)
    try:
        host = trial.host()
        run = trial.migrate(host)
        try:
            run.wait_for("a libvirt call", host.names)
        except Failed as failure:
            raise Unusable(
                f"{settings.executable}: no libvirt call of it came to the fake libvirt ({failure.seen}). Either it makes none "
                f"when it is told to migrate a guest, or {LIBRARY} cannot be preloaded under it: it must link or load "
                f"libvirt.so.0 dynamically, and must not be setuid. Else use --hosts.\n{run.describe()}") from None
    except OSError as error:
        raise Unusable(f"{settings.executable} cannot be started: {error}") from None
    finally:
        trial.close()


def attempt(case: Case, make_trial) -> Result:
    began = time.monotonic()

    def result(word: str, **more) -> Result:
        return Result(case, word, time.monotonic() - began, **more)

    with tempfile.TemporaryDirectory(prefix="vmmi-conformance-", ignore_cleanup_errors=True) as folder:
        trial = make_trial(Path(folder))
        try:
            case.function(trial)
            return result("passed")
        except Skipped as skipped:
            return result("skipped", reason=str(skipped))
        except Failed as failure:
            expected, seen = failure.expected, failure.seen
        except trial.mishaps as failure:
            expected, seen = "what the case waits for on the hosts", str(failure)[:1000]
        finally:
            trial.close()
        return result("failed", expected=expected, seen=seen, runs=[run.describe() for run in trial.runs[-SHOWN_RUNS:]])


def over_the_fake(options, executable: Path, cases: list[Case], tell) -> list[Result]:
    settings = Settings(executable, options.name or executable.name, options.patience, find_library(options.fake_library),
                        extra=tuple(options.arguments))
    processes.adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="vmmi-conformance-") as folder:
        preflight(settings, Path(folder))
    results = []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        try:
            for result in pool.map(lambda case: attempt(case, lambda folder: Trial(replace(settings, case=case.id), folder)), cases):
                results.append(result)
                tell(result.as_text())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            processes.end_all()
            raise
    return results


def on_hosts(options, executable: Path, cases: list[Case], tell) -> list[Result]:
    from .hosts import HostsTrial, bring_up

    settings = Settings(executable, options.name or executable.name, max(options.patience, 60), extra=tuple(options.arguments))
    results = []
    processes.adopt_orphans()
    with bring_up() as pair:
        for case in cases:
            results.append(attempt(case, lambda folder: HostsTrial(settings, folder, pair)))
            tell(results[-1].as_text())
    return results


def try_all(options) -> int:
    mode = "hosts" if options.hosts else "fake"
    executable = find_executable(options.executable)
    if not options.patience > 0:
        raise Unusable("--patience: a number of seconds above 0")
    cases = chosen(options.only, mode)
    tell = lambda text: print(text, file=sys.stderr if options.report == "-" else sys.stdout, flush=True)
    began = time.monotonic()
    results = (on_hosts if options.hosts else over_the_fake)(options, executable, cases, tell)
    tell(summary(results))
    if options.report is not None:
        text = report(str(executable), mode, options.patience, time.monotonic() - began, results) + "\n"
        if options.report == "-":
            sys.stdout.write(text)
        else:
            Path(options.report).write_text(text)
    return 1 if any(result.result == "failed" for result in results) else 0


def told_to_end(*_) -> None:
    """Ends what it started as well. Where Python was in a callback, it swallows the exception: then without it."""
    def leave() -> None:
        processes.end_all()
        os._exit(130)
    timer = threading.Timer(2, leave)
    timer.daemon = True
    timer.start()
    raise KeyboardInterrupt


def main() -> int:
    # Names with bytes that are no UTF-8 are shown, not refused.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    ours, arguments = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    options = command_line().parse_args(ours)
    options.arguments = arguments
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told_to_end)
    load_cases()
    if options.list:
        for case in CASES.values():
            print(f"{case.id:26}{', '.join(case.needs):18}{case.title}")
        return 0
    try:
        return try_all(options)
    except Unusable as error:
        print(error, file=sys.stderr)
        return 2
    except CannotRun as error:
        print(error, file=sys.stderr)
        return 77
    except OSError as error:
        print(f"{error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.stderr.flush()
        os._exit(130)
