# SPDX-License-Identifier: ISC
"""Certificates for tests: one CA per build tree, server certificates issued on demand.

    cert = install(folder, "old.test")   # folder/cert.pem and key.pem, names old.test and localhost
    client_context()                     # an ssl context that trusts only this CA
    ca_file()                            # its certificate, for "verify" settings
"""
import fcntl
import shutil
import ssl
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
STORE = ROOT / "build" / "certs"
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


def _openssl(*argv):
    if not shutil.which("openssl"):
        raise AssertionError("openssl is not here: apt-get install openssl")
    done = subprocess.run(["openssl", *argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise AssertionError(f"openssl {argv[0]}: {done.stdout.strip()[-300:]}")


def _issue(name, extensions, issuer=()):
    """STORE/name.pem and .key, made aside and renamed."""
    key, cert = STORE / f"{name}.key", STORE / f"{name}.pem"
    if cert.exists():
        return cert, key
    added = [arg for extension in extensions for arg in ("-addext", extension)]
    _openssl("req", "-x509", "-days", "3650", "-subj", f"/CN={name}", *KEY, *added, *issuer,
             "-keyout", key, "-out", f"{cert}.new")
    Path(f"{cert}.new").rename(cert)
    return cert, key


def _locked(make):
    STORE.mkdir(parents=True, exist_ok=True)
    with open(STORE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return make()


def ca_file():
    return _locked(lambda: _issue("coexist-test-ca", ["keyUsage=critical,keyCertSign,cRLSign"]))[0]


def issue(name):
    """(certificate, key) for a server of this name on this machine."""
    ca = ca_file()
    extensions = [f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1", "basicConstraints=critical,CA:false",
                  "extendedKeyUsage=serverAuth,clientAuth"]
    return _locked(lambda: _issue(name, extensions, ["-CA", ca, "-CAkey", ca.with_suffix(".key")]))


def install(folder, name):
    """Copy a server's certificate and key to folder/cert.pem and folder/key.pem."""
    cert, key = issue(name)
    shutil.copy(cert, Path(folder) / "cert.pem")
    shutil.copy(key, Path(folder) / "key.pem")
    return Path(folder) / "cert.pem"


def client_context():
    return ssl.create_default_context(cafile=str(ca_file()))
