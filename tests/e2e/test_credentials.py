# SPDX-License-Identifier: Apache-2.0
"""A source host that asks for user name and password (SASL)."""

from __future__ import annotations

import pytest

from guests import IDLE, assert_moved
from testbed import Pair


@pytest.fixture(scope="module")
def the_pair():
    with Pair.up(sasl=True) as pair:
        yield pair


@pytest.fixture
def password_file(pair, tmp_path):
    def write(password: str, mode: int = 0o600):
        file = tmp_path / "password"
        file.write_text(password + "\n")
        file.chmod(mode)
        return str(file)

    return write


def credentials(pair, password_file: str, username: str | None = None) -> dict:
    return {"connection": pair.source.sasl_uri,
            "connectionCredentials": {"username": username or pair.source.sasl_username, "passwordFile": password_file}}


def test_migrates_with_a_password_and_never_writes_it_down(start_guest, run_plugin, pair, password_file, tmp_path):  # CFG-17
    guest = start_guest(**IDLE)
    log = tmp_path / "precopy.log"
    plugin = run_plugin(guest.uuid, logFilePath=str(log), verbose=3,
                        **credentials(pair, password_file(pair.source.sasl_password)))
    message = plugin.completion()
    assert message["completion"]["result"] == "success", message
    assert pair.source.sasl_password not in str(message) and pair.source.sasl_password not in log.read_text()
    assert_moved(guest, pair)


@pytest.mark.parametrize("wrong", ["password", "username"])
def test_says_that_the_credentials_are_wrong(run_plugin, pair, password_file, wrong):
    file = password_file("nonsense" if wrong == "password" else pair.source.sasl_password)
    error = run_plugin("g1", **credentials(pair, file, "nobody" if wrong == "username" else None)).error(timeout=30)
    assert error["code"] == 12
    assert "connectionCredentials" in error["details"] and "authentication" in error["details"]


def test_says_that_credentials_are_missing(run_plugin, pair):
    error = run_plugin("g1", connection=pair.source.sasl_uri).error(timeout=30)
    assert error["code"] == 12 and "connectionCredentials" in error["details"]


def test_refuses_a_password_that_others_may_read(run_plugin, pair, password_file):  # CFG-17
    error = run_plugin("g1", **credentials(pair, password_file(pair.source.sasl_password, 0o644))).error(timeout=30)
    assert error["code"] == 3 and "chmod 600" in error["details"]
