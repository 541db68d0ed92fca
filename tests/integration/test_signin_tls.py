# SPDX-License-Identifier: ISC
"""TLS towards mailboxes: public keys that somebody has accepted, certificates of our own, old servers."""
import os
import pty
import subprocess

import pytest
from lib import certs
from lib.coexist import ROOT
from lib.mailbox import Mail, copy, fill, message

ANN = "ann@example.org"
SYNC = str(ROOT / "build" / "asan" / "coexist-sync")


def trust(*args, answer=None):
    """coexist-sync trust, with a terminal to answer at when there is an answer."""
    if answer is None:
        return subprocess.run([SYNC, "trust", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, answer.encode())
        return subprocess.run([SYNC, "trust", *args], stdin=theirs, capture_output=True, text=True)
    finally:
        os.close(ours)
        os.close(theirs)


def key_of(done):
    assert done.returncode == 0, done.stderr
    return done.stdout.split("key: ")[1].split()[0]


def another(key):
    """A key that differs from this one for certain: its first character is another."""
    kind, digest = key.split("//")
    return f"{kind}//{'B' if digest[0] == 'A' else 'A'}{digest[1:]}"


def self_signed(server, folder, key=None):
    """Gives the server a certificate that nobody vouches for, with its old key or a new one."""
    made = ["-key", str(key)] if key else ["-newkey", "rsa:2048", "-nodes", "-keyout", str(folder / "key.pem")]
    subprocess.run(["openssl", "req", "-x509", "-days", "2", "-subj", "/CN=nobody knows", *made,
                    "-out", str(folder / "cert.pem")], check=True, capture_output=True)
    for name in ("cert.pem", "key.pem"):
        (server.dir / "inst" / name).write_bytes((folder / name).read_bytes())


def test_an_unknown_certificate_is_shown_and_its_key_kept(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    old.stop()
    self_signed(old, tmp_path)
    old.start()
    pins = tmp_path / "old.pins"
    url = f"imap://127.0.0.1:{old.imap_port}"
    shown = trust(url)
    assert shown.returncode == 0 and "subject: CN = nobody" in shown.stdout and not pins.exists()
    key = key_of(shown)
    assert key == key_of(trust(f"imaps://127.0.0.1:{old.imaps_port}/"))
    # Nobody agrees; somebody does; another key than the one that was accepted.
    assert trust(url, "--store", str(pins)).returncode != 0
    assert trust(url, "--store", str(pins), answer="y\n").returncode != 0
    assert trust(url, "--store", str(pins), "--accept", another(key)).returncode != 0
    assert not pins.exists()
    # Before, the copy refuses the certificate.
    refused = copy(old, new, tmp_path, "--source-tls=verify")
    assert refused.status != 0 and "certificate is not accepted" in refused.log
    assert "stored in" in trust(url, "--store", str(pins), answer="yes\n").stdout
    assert key in pins.read_text()
    assert copy(old, new, tmp_path, f"--source-pin-file={pins}").status == 0
    # A renewed certificate with the same key is the same; another key is not.
    old.stop()
    self_signed(old, tmp_path, tmp_path / "key.pem")
    old.start()
    assert copy(old, new, tmp_path, f"--source-pin-file={pins}").status == 0
    old.stop()
    self_signed(old, tmp_path)
    old.start()
    other = copy(old, new, tmp_path, f"--source-pin-file={pins}")
    assert other.status != 0 and "public key mismatch" in other.log
    assert trust(url, "--store", str(pins), "--accept", key_of(trust(url))).returncode == 0
    assert copy(old, new, tmp_path, f"--source-pin-file={pins}").status == 0


def test_a_certificate_of_our_own(dovecot, tmp_path):
    old = dovecot("old", files={"ca.pem": certs.ca_file().read_text()},
                  conf="ssl_verify_client_cert = yes\nssl_ca = </etc/dovecot/ca.pem\nssl_require_crl = no\n"
                  "auth_ssl_require_client_cert = yes\n")
    new = dovecot("new")
    cert, key = certs.issue("client.test")
    tls = ["--source-tls=verify", f"--source-ca-file={certs.ca_file()}"]
    assert copy(old, new, tmp_path, *tls).status != 0
    done = copy(old, new, tmp_path, "--accept=E-EMPTY", *tls, f"--source-cert-file={cert}", f"--source-key-file={key}")
    assert done.status == 0, done.log
    half = copy(old, new, tmp_path, *tls, f"--source-cert-file={cert}")
    assert half.status == 64 and "go together" in half.log


@pytest.mark.parametrize("more, works", [((), False), (("--source-tls-level=0",), False),
                                         (("--source-tls-level=0", "--source-tls-min=TLSv1"), True)])
def test_an_old_server(cyrus, dovecot, tmp_path, more, works):
    old = cyrus("old", conf="tls_versions: tls1_0\ntls_ciphers: ALL:@SECLEVEL=0\n")
    done = copy(old, dovecot("new"), tmp_path, "--accept=E-EMPTY", "--source-tls=verify", f"--source-ca-file={certs.ca_file()}", *more)
    assert (done.status == 0) == works, done.log
    shown = trust(f"imap://127.0.0.1:{old.imap_port}", *[m.replace("--source", "-") for m in more])
    assert (shown.returncode == 0) == works, shown.stderr
