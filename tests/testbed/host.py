# SPDX-License-Identifier: Apache-2.0
"""One libvirt host: a tree of processes with a root folder, a host name, a network and process numbers of its own."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from . import tls
from .network import ADDRESSES
from .system import LAB_VARIABLE, Process, TestbedError, all_processes, command_line, inner_number, namespace, run, wait_for

NAMES = ("source", "destination")

# The machine's service manager, its users and its security modules know nothing of these hosts, so libvirt must not ask
# for them. The keepalives find a cut link after about 10 seconds instead of 30.
DAEMON = """\
listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "{auth_tcp}"
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "{uuid}"
keepalive_interval = 2
keepalive_count = 4
log_filters = "1:qemu.qemu_migration 3:object 3:event 3:json"
log_outputs = "2:file:/var/log/libvirt/libvirtd.log"
"""
QEMU = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
keepalive_interval = 2
keepalive_count = 4
"""
QEMU_TLS = """\
migrate_tls_x509_cert_dir = "/etc/libvirt/pki"
migrate_tls_x509_verify = 1
"""
# Without TLS, libvirt takes only a mechanism that encrypts what follows; with a password, that is this one.
SASL = """\
mech_list: digest-md5
sasldb_path: /etc/libvirt/passwd.db
"""


class Host:
    def __init__(self, lab: Path, name: str, keeper: Process):
        self.lab = lab
        self.name = name
        self.folder = lab / name
        self.keeper = keeper  # the host's first process; the host lives as long as it does
        place = NAMES.index(name)
        self.address = ADDRESSES["management"][place]
        self.data_address = ADDRESSES["data"][place]
        self.sasl_uri = f"qemu+tcp://{self.address}/system"  # for programs in a host's network
        self.sasl_username = "migrator"
        secret = self.folder / "sasl-password"
        self.sasl_password = secret.read_text() if secret.exists() else None  # None: the host asks for none
        self.certificate_name = f"{name}.testbed"  # in its certificate, with TLS
        self.images = self.folder / "lib" / "images"  # of guests' disks, as this machine names it
        self.uri = f"qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock"

    @classmethod
    def start(cls, lab: Path, name: str, root: Path) -> Host:
        """Starts a host without a network and without a daemon."""
        folder = lab / name
        for part in ("root", "run", "lib", "cache", "log", "etc/libvirt/qemu", "etc/sasl2"):
            (folder / part).mkdir(parents=True)
        (folder / "lib" / "images").mkdir()
        (folder / "etc/hosts").write_text("127.0.0.1 localhost\n" + "".join(
            f"{address} {host}\n" for host, address in zip(NAMES, ADDRESSES["management"])))
        with open(folder / "start.log", "w") as log:
            starter = subprocess.Popen(
                ["unshare", "--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--",
                 Path(__file__).with_name("enter.sh"), name, root, folder, lab / "shared"],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, start_new_session=True, cwd="/",
                env={**os.environ, LAB_VARIABLE: str(lab)})
        with starter.stdout:
            answer = starter.stdout.readline().strip()
        if not answer or not (keeper := Process.of(int(answer))):
            raise TestbedError(f"host {name} did not start: {(folder / 'start.log').read_text().strip()}")
        starter.returncode = 0  # nobody waits for it: Process.send reaps it, or this machine's first process
        return cls(lab, name, keeper)

    # -- running programs on the host

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs a program of this machine, with its files, in the host's network."""
        return ["nsenter", f"--net=/proc/{self.keeper.pid}/ns/net", "--", *map(str, argv)]

    def inside(self, argv: Sequence[str | Path]) -> list[str]:
        """The command line that runs a program of the host's own root folder, as the host sees the world.

        Killing it kills the program too: nsenter only waits for it, and does not hand signals on.
        """
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return ["nsenter", "--target", str(self.keeper.pid), "--mount", "--uts", "--ipc", "--net", "--pid", "--root", "--wd=/",
                "--", "/usr/bin/env", "-i", path, "LC_ALL=C", "HOME=/root", f"{LAB_VARIABLE}={self.lab}",
                "setpriv", "--pdeathsig", "KILL", *map(str, argv)]

    def virsh(self, *arguments: str | Path, check: bool = True, timeout: float | None = None) -> str:
        return run(self.inside(["virsh", "--connect", "qemu:///system", *arguments]), check=check, timeout=timeout)

    def certify(self, authority: Path) -> None:
        """Gives its QEMU certificates for TLS, from the daemon's next start on."""
        tls.certify(authority, self.folder / "etc/libvirt/pki", self.certificate_name)

    # -- the daemon

    def require_password(self) -> None:
        """Makes the daemon ask for a user and a password over TCP, from its next start on."""
        self.sasl_password = secrets.token_hex(8)
        (self.folder / "sasl-password").write_text(self.sasl_password)
        (self.folder / "etc/sasl2/libvirt.conf").write_text(SASL)
        run(self.inside(["sh", "-c", 'printf %s "$1" | saslpasswd2 -p -c -a libvirt -f /etc/libvirt/passwd.db "$2"', "sh",
                         self.sasl_password, self.sasl_username]))

    def start_daemon(self) -> None:
        """Starts libvirtd and returns when it serves. One that was told to end may take its time: it is waited for."""
        wait_for(f"the end of the {self.name} host's old libvirtd", lambda: self.daemon() is None, timeout=60)
        identity = uuid.uuid5(uuid.NAMESPACE_URL, str(self.folder))  # libvirt does not migrate to the same host
        (self.folder / "etc/libvirt/libvirtd.conf").write_text(DAEMON.format(
            address=self.address, uuid=identity, auth_tcp="none" if self.sasl_password is None else "sasl"))
        certified = (self.folder / "etc/libvirt/pki").exists()
        (self.folder / "etc/libvirt/qemu.conf").write_text(QEMU + (QEMU_TLS if certified else ""))
        drivers = self.only_the_qemu_driver()
        try:
            run(self.inside(["/usr/bin/env", f"LIBVIRT_DRIVER_DIR={drivers}", "libvirtd", "--daemon", "--listen",
                             "--pid-file", "/run/libvirtd.pid"]), timeout=60)
        except TestbedError as error:
            raise TestbedError(f"libvirtd of host {self.name} did not start: {error}\n{self.log_end()}") from error

    def ask_capabilities(self) -> subprocess.Popen:
        """Lets libvirtd look at its QEMU, which takes a second or two. Otherwise the first migration would wait for it."""
        return subprocess.Popen(self.inside(["virsh", "--connect", "qemu:///system", "domcapabilities"]),
                                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def only_the_qemu_driver(self) -> str:
        """A folder, as the host names it, with the one driver needed. The network driver would want a firewall."""
        folder = self.folder / "run" / "drivers"
        if not folder.exists():
            name = "libvirt_driver_qemu.so"
            found = run(self.inside(["sh", "-c", f"ls /usr/lib*/libvirt/connection-driver/{name} "
                                     f"/usr/lib/*/libvirt/connection-driver/{name} 2>/dev/null"]), check=False).split()
            if not found:
                raise TestbedError(f"host {self.name} has no {name}: the driver of QEMU is not installed")
            folder.mkdir()
            (folder / name).symlink_to(found[0])
        return "/run/drivers"

    def daemon(self) -> Process | None:
        """The running (or stopped) libvirtd."""
        try:
            inner = (self.folder / "run/libvirtd.pid").read_text().strip()
        except OSError:
            return None
        return next((process for process in self.processes() if inner_number(process.pid) == inner), None)

    def kill_daemon(self, number: int = signal.SIGKILL) -> None:
        """SIGKILL returns when it is dead. With SIGTERM libvirtd waits up to 30 s for a migration: that is not waited for."""
        self.signal_daemon(number, wait=10 if number == signal.SIGKILL else None)

    def stop_daemon(self) -> None:
        """Freezes libvirtd: connections stay open and nobody answers."""
        self.signal_daemon(signal.SIGSTOP)

    def continue_daemon(self) -> None:
        self.signal_daemon(signal.SIGCONT)

    def signal_daemon(self, number: int, wait: float | None = None) -> None:
        process = self.daemon()
        if process is None:
            raise TestbedError(f"host {self.name} runs no libvirtd")
        process.send(number, wait)

    def log_end(self, lines: int = 15) -> str:
        log = self.folder / "log" / "libvirtd.log"
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""

    # -- what runs on it

    def processes(self) -> Iterator[Process]:
        """Everything that runs on the host."""
        mine = namespace(self.keeper.pid, "pid")
        return (process for process in all_processes() if mine and namespace(process.pid, "pid") == mine)

    def qemu(self, guest: str) -> Process | None:
        """The QEMU process of a guest, whatever libvirt thinks of it."""
        def runs_it(process: Process) -> bool:
            words = command_line(process.pid)
            return "-name" in words and words[words.index("-name") + 1].split(",")[0] == f"guest={guest}"
        return next(filter(runs_it, self.processes()), None)

    def kill_qemu(self, guest: str) -> None:
        process = self.qemu(guest)
        if process is None:
            raise TestbedError(f"guest {guest} does not run on host {self.name}")
        process.send(signal.SIGKILL, wait=10)
