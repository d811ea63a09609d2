# SPDX-License-Identifier: Apache-2.0
"""Chapter 2 of SPEC.md."""

from kit.cases import ARGUMENTS, DESTINATION, MIGRATE, TRANSPORT, VM, case, configuration
from scenario import OTHER_VM, guest


@case("ARG-1", "VM, DESTINATION-URI and MIGRATION-URI are taken in this order", "ARG-3", "ARG-4", "PROC-4")
def order(trial):
    host = trial.host()
    trial.migrate(host).end()
    calls = host.calls(MIGRATE)
    trial.expect(calls, f"a call of {MIGRATE}", ", ".join(host.names()))
    arguments = calls[0].arguments
    trial.expect(arguments["destination"] == DESTINATION, f"a migration to {DESTINATION}", arguments)
    trial.expect(arguments["parameters"].get("migrate_uri") == TRANSPORT, f"memory sent to {TRANSPORT}", arguments)


@case("ARG-2", "VM is the guest's UUID")
def uuid(trial):
    host = trial.host(guests=[guest(state="shutoff", persistent=True), guest("other", OTHER_VM)])
    run = trial.migrate(host, vm=OTHER_VM).end()
    trial.expect_success(run, "for the one of two guests that has this UUID; the other is shut off")


@case("ARG-5", "what is missing or empty is code 7")
def missing(trial):
    for arguments in [(), (VM,), (VM, DESTINATION), ("", DESTINATION, TRANSPORT), (VM, "", TRANSPORT), (VM, DESTINATION, "")]:
        trial.expect_code(trial.run(*arguments), 7, f"for the arguments {arguments}")


@case("ARG-6", "a URI without scheme or rest, and control characters, are code 5")
def malformed(trial):
    for arguments in [(VM, "no-uri", TRANSPORT), (VM, DESTINATION, "/no/uri"), (VM, "qemu:", TRANSPORT),
                      ("a\nb", DESTINATION, TRANSPORT), (VM, "qemu:///a\x1b", TRANSPORT), (VM, DESTINATION, "tcp://\x7f")]:
        trial.expect_code(trial.run(*arguments), 5, f"for the arguments {arguments}")


@case("ARG-7", "a fifth argument and an unknown option are code 5")
def too_many(trial):
    config = trial.file(configuration())
    for arguments in [(*ARGUMENTS, config, "more"), ("--no-such-option", *ARGUMENTS), (*ARGUMENTS, config, "-?")]:
        trial.expect_code(trial.run(*arguments), 5, f"for the arguments {tuple(map(str, arguments))}")


@case("ARG-8", "an empty CONFIG is code 5")
def empty_config(trial):
    trial.expect_code(trial.run(*ARGUMENTS, ""), 5, "for an empty CONFIG")


@case("ARG-9", "behind --, nothing is an option")
def end_of_options(trial):
    run = trial.run("--", *ARGUMENTS, trial.file(configuration()))
    trial.expect_success(run, "where -- stands before the arguments")
    trial.expect_code(trial.run(*ARGUMENTS, "--", "--no-such-file"), 3, "for a CONFIG behind -- that looks like an option")


@case("ARG-10", "arguments are checked before the configuration is read")
def arguments_first(trial):
    trial.expect_code(trial.run(VM, "", TRANSPORT, "/no/such/file"), 7, "for an empty URI, though CONFIG is missing, too")
    trial.expect_code(trial.run(VM, "no-uri", TRANSPORT, "-"), 5, "for a bad URI, while standard input is open and silent")


@case("ARG-11", "--help and --version are answered on standard output, or refused as unknown options")
def answered(trial):
    for option in ("--help", "--version"):
        run = trial.run(option)
        if run.code == 5:
            continue
        trial.expect(run.output and run.status_code == 0, f"{option} answered on standard output with exit status 0",
                     run.describe())
        trial.expect(not run.completion, f"no completion message after {option}", run.describe())
