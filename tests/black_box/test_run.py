# SPDX-License-Identifier: Apache-2.0
import os
import socket
import subprocess

import pytest

from vmmi import ARGUMENTS, DESTINATION, TRANSPORT, configuration

HOST = """
<node>
  <domain type='test'>
    <name>guest</name>
    <uuid>6ba7b810-9dad-11d1-80b4-00c04fd430c8</uuid>
    <memory>8192</memory>
    <os><type>hvm</type></os>
  </domain>
  <auth><user password='hunter2'>anna</user></auth>
</node>
"""


def test_a_guest_is_found_by_name_and_by_uuid(plugin):  # ARG-2
    for vm in ["test", ARGUMENTS[0]]:
        failure = plugin.run(vm, DESTINATION, TRANSPORT, "-", stdin=configuration()).failure
        assert failure["code"] == 8, "the test driver cannot migrate"
        assert "guest test is running at the source" in failure["details"]


def test_an_unknown_guest(plugin):  # FAIL-4
    for vm in ["no-such-guest", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "-"]:
        failure = plugin.run(vm, DESTINATION, TRANSPORT, "-", stdin=configuration()).failure
        assert failure["code"] == 10
        assert vm in failure["details"]
        assert "test:///default" in failure["details"]


@pytest.mark.parametrize(
    "uri", ["test:///no/such/file", "nonsense:///x", "qemu+unix:///system?socket=/no/such/socket", "test+tcp://:1/x"]
)
def test_a_connection_that_cannot_be_made(plugin, uri):  # FAIL-1
    failure = plugin.configured(configuration(connection=uri)).failure
    assert failure["code"] == 12
    assert "libvirt error" in failure["details"]


@pytest.fixture
def host(tmp_path):
    (tmp_path / "host.xml").write_text(HOST)
    (tmp_path / "password").write_text("hunter2\n")
    (tmp_path / "password").chmod(0o600)
    return tmp_path


def with_credentials(plugin, host, username="anna", **more):
    credentials = {"username": username, "passwordFile": f"{host}/password"}
    text = configuration(connection=f"test://{host}/host.xml", connectionCredentials=credentials, **more)
    return plugin.run("guest", DESTINATION, TRANSPORT, "-", stdin=text)


def test_credentials_open_a_connection(plugin, host):  # CFG-17 CFG-19
    log = host / "log"
    run = with_credentials(plugin, host, logFilePath=str(log), verbose=3)
    assert run.code == 8, run.error
    assert "hunter2" not in run.error + log.read_text()


def test_wrong_credentials_do_not(plugin, host):
    failure = with_credentials(plugin, host, username="berta").failure
    assert failure["code"] == 12
    assert "connectionCredentials" in failure["details"]
    (host / "password").write_text("hunter3\n")
    run = with_credentials(plugin, host)
    assert run.code == 12
    assert "hunter3" not in run.error
    run = plugin.run("guest", DESTINATION, TRANSPORT, "-", stdin=configuration(connection=f"test://{host}/host.xml"))
    assert run.code == 12


def test_a_password_file_is_its_owners_alone(plugin, host):  # CFG-17
    password = host / "password"
    password.chmod(0o640)
    failure = with_credentials(plugin, host).failure
    assert failure["code"] == 3
    assert "chmod 600" in failure["details"]
    password.chmod(0o600)
    password.write_text("x" * 5000)
    assert with_credentials(plugin, host).code == 3
    password.unlink()
    assert with_credentials(plugin, host).code == 3
    os.mkfifo(password, 0o600)
    assert with_credentials(plugin, host).code == 3


# The log


def logged(plugin, tmp_path, **keys):
    log = tmp_path / "plugin.log"
    log.unlink(missing_ok=True)
    assert plugin.configured(configuration(logFilePath=str(log), **keys)).code == 8
    return log.read_text() if log.exists() else None


def test_the_log_says_more_the_more_verbose_it_is(plugin, tmp_path):  # CFG-18 CFG-19 MSG-6
    assert logged(plugin, tmp_path, verbose=0) is None
    default = logged(plugin, tmp_path)
    assert " info: migrate " in default and " error: migration failed" in default
    assert " debug: " not in default
    assert " debug: " in logged(plugin, tmp_path, verbose=2)
    assert logged(plugin, tmp_path, logTarget="none", verbose=3) is None


def test_the_log_holds_no_secret(plugin, tmp_path):  # CFG-17
    log = tmp_path / "log"
    text = configuration(connection="test+tcp://u:hunter2@127.0.0.1:1/x", logFilePath=str(log), verbose=3)
    arguments = (ARGUMENTS[0], "qemu+tcp://u:hunter2@h/system", "tcp://u:hunter2@h")
    run = plugin.run(*arguments, "-", stdin=text)
    assert run.code == 12
    assert "***" in log.read_text()
    assert "hunter2" not in log.read_text() + run.error


def test_a_log_that_cannot_be_written_is_an_error_before_anything_begins(plugin, tmp_path):  # CFG-20
    (tmp_path / "file").touch()
    for path in [tmp_path / "missing" / "log", tmp_path, tmp_path / "file" / "log", "/dev/full"]:
        failure = plugin.configured(configuration(logFilePath=str(path))).failure
        assert failure["code"] == 3
        assert "logFilePath" in failure["details"]


@pytest.fixture
def listening_host(tmp_path):
    """A mount namespace in which syslog and the journal listen on sockets of this test."""
    if os.geteuid() != 0:
        pytest.skip("a mount namespace with sockets in /dev and /run needs root")
    sockets = {}
    for name in ["syslog", "journal"]:
        sockets[name] = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        sockets[name].bind(str(tmp_path / name))
        sockets[name].settimeout(5)
    script = """
        mkdir "$0/dev" && mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs /dev && mount -t tmpfs tmpfs /run
        for device in null zero random urandom; do ln -s "$0/dev/$device" "/dev/$device"; done
        mkdir -p /run/systemd/journal
        ln -s "$0/syslog" /dev/log && ln -s "$0/journal" /run/systemd/journal/socket
        exec "$@"
    """
    yield sockets, ["unshare", "--mount", "sh", "-ec", script, str(tmp_path)]
    for one in sockets.values():
        one.close()


@pytest.mark.parametrize("target", ["syslog", "journal"])
def test_syslog_and_the_journal_receive_the_log(plugin, listening_host, target):  # CFG-19 MSG-6
    sockets, wrapper = listening_host
    run = plugin.configured(configuration(logTarget=target), wrapper=wrapper)
    assert run.code == 8
    first = sockets[target].recv(65536).decode()
    assert f"vmmi-{plugin.name}" in first and "migrate " in first
    second = sockets[target].recv(65536).decode()
    assert "phase starting" in second


@pytest.mark.parametrize("target", ["syslog", "journal"])
def test_a_log_that_nobody_receives_disturbs_nothing(plugin, target):
    assert plugin.configured(configuration(logTarget=target, verbose=3)).code == 8


# The streams


def test_libvirts_own_output_stays_out_of_the_streams(plugin):  # MSG-5
    env = {"LIBVIRT_DEBUG": "1", "LIBVIRT_LOG_OUTPUTS": "1:stderr"}
    assert plugin.configured(configuration(), env=env).code == 8
    assert plugin.configured(configuration(connection="test:///no/such/file"), env=env).code == 12


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_do_not_end_it_early(plugin, tmp_path, closed):
    path = tmp_path / "configuration.json"
    path.write_text(configuration(logFilePath=str(tmp_path / "log")))
    run = plugin.run(*ARGUMENTS, path, wrapper=["sh", "-c", f'exec "$@" {closed}', "sh"])
    assert run.status == 1
    assert "migration failed" in (tmp_path / "log").read_text()
    assert "vmmiVersion" not in (tmp_path / "log").read_text(), "no message goes into a file that took its number"


def test_a_reader_that_is_gone_does_not_end_it_early(plugin, tmp_path):  # SIG-8 MSG-9 FAIL-10
    path = tmp_path / "configuration.json"
    path.write_text(configuration(logFilePath=str(tmp_path / "log")))
    reading, writing = os.pipe()
    os.close(reading)
    with plugin.start(*ARGUMENTS, path, stdout=writing, stderr=writing) as process:
        os.close(writing)
        assert process.process.wait(60) == 1
    assert "migration failed" in (tmp_path / "log").read_text()


def test_a_full_disk_does_not_end_it_early(plugin):  # MSG-9
    with open("/dev/full", "wb") as full:
        done = subprocess.run([plugin.path, *ARGUMENTS], stdout=full, stderr=full, stdin=subprocess.DEVNULL)
    assert done.returncode == 1


def test_progress_needs_no_terminal(plugin):
    """A session of its own has no controlling terminal."""
    text = configuration()
    run = plugin.run("--progress", *ARGUMENTS, "-", stdin=text, wrapper=["setsid", "--wait"])
    assert run.code == 8


def test_progress_is_drawn_on_the_controlling_terminal_alone(plugin, message_file):  # MSG-5
    import pty
    import select

    path = message_file(configuration())
    pid, terminal = pty.fork()
    if pid == 0:
        null = os.open("/dev/null", os.O_RDWR)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(plugin.path, [plugin.path, "--progress", *ARGUMENTS, str(path)])
    drawn = b""
    while select.select([terminal], [], [], 60)[0]:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # the other side is gone
            break
        if not piece:
            break
        drawn += piece
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
    assert b"%" in drawn
    assert b"vmmiVersion" not in drawn
