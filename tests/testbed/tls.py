# SPDX-License-Identifier: Apache-2.0
"""Certificates for the hosts of one pair, good for a day, from an authority of that pair alone."""

from __future__ import annotations

from pathlib import Path

from .system import run

TOOLS = {"openssl": "package openssl: it makes the hosts' certificates"}
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1")


def make_authority(folder: Path) -> None:
    folder.mkdir()
    run(["openssl", "req", "-x509", *KEY, "-keyout", folder / "ca-key.pem", "-out", folder / "ca-cert.pem",
         "-subj", "/CN=testbed", "-addext", "keyUsage=critical,keyCertSign"])


def certify(authority: Path, folder: Path, name: str) -> None:
    """Fills a folder as QEMU wants it. The certificate is for that name and for no address."""
    folder.mkdir()
    (folder / "ca-cert.pem").write_bytes((authority / "ca-cert.pem").read_bytes())
    key, certificate = folder / "server-key.pem", folder / "server-cert.pem"
    run(["openssl", "req", "-x509", *KEY, "-CA", authority / "ca-cert.pem", "-CAkey", authority / "ca-key.pem",
         "-keyout", key, "-out", certificate, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}",
         "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "keyUsage=critical,digitalSignature",
         "-addext", "extendedKeyUsage=serverAuth,clientAuth"])
    (folder / "client-key.pem").write_bytes(key.read_bytes())
    (folder / "client-cert.pem").write_bytes(certificate.read_bytes())
