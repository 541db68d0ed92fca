# SPDX-License-Identifier: ISC
"""Signing in on real servers: by every mechanism that they have, and as somebody else."""
import pytest
from lib import certs
from lib.mailbox import Mail, copy, fill, look, message

ANN = "ann@example.org"
SCRAM = "auth_mechanisms = plain login scram-sha-1 scram-sha-256 cram-md5\n"
TLS = ("--source-tls=verify", f"--source-ca-file={certs.ca_file()}", "--source-tls-name=localhost")


def filled(server):
    fill(server.imap(ANN), {"INBOX": [Mail(message("one"))]}, "/" if server.tree_name == "cyrus" else ".")
    return server


def log_auths(server):
    """The mechanisms by which somebody has signed in, by the server's own log."""
    return [line.split("method=")[1].split(",")[0] for line in server.log.read_text().splitlines()
            if "Login: user=" in line and "method=" in line]


@pytest.mark.parametrize("way, tls", [
    (None, False), (None, True), ("scram-sha-256", False), ("scram-sha-1", True), ("cram-md5", False),
    ("plain", True), ("sasl-login", False), ("login", False)])
def test_dovecot(dovecot, tmp_path, way, tls):
    old, new = filled(dovecot("old", conf=SCRAM)), dovecot("new")
    more = ([f"--source-auth={way}"] if way else []) + list(TLS if tls else ())
    done = copy(old, new, tmp_path, *more)
    assert (done.status, done.messages_copied) == (0, 1), done.log
    used = {"sasl-login": "LOGIN", "login": "PLAIN", None: "SCRAM-SHA-256"}.get(way, (way or "").upper())
    assert log_auths(old)[-1] == used


@pytest.mark.parametrize("offered, used", [
    ("plain login cram-md5", "CRAM-MD5"), ("plain login scram-sha-1", "SCRAM-SHA-1")])
def test_dovecot_has_less(dovecot, tmp_path, offered, used):
    """Nothing listens on a loopback address, but what shows the password comes last there too."""
    old, new = filled(dovecot("old", conf=f"auth_mechanisms = {offered}\n")), dovecot("new")
    done = copy(old, new, tmp_path)
    assert (done.status, done.messages_copied) == (0, 1), done.log
    assert log_auths(old)[-1] == used


@pytest.mark.parametrize("way", ["plain", "scram-sha-256", "login", "sasl-login", None])
@pytest.mark.parametrize("separator", [True, False])
def test_master_user_of_dovecot(dovecot, tmp_path, way, separator):
    old, new = filled(dovecot("old", conf=SCRAM)), dovecot("new")
    old.users = {ANN: old.master_password}
    more = ["--source-admin=master"] + ([f"--source-auth={way}"] if way else [])
    done = copy(old, new, tmp_path, *more, *(["--source-admin-separator=*"] if separator else []))
    if not separator and way in ("login", "sasl-login"):
        assert done.status != 0 and "no administrator can act for a user" in done.log
    elif way == "scram-sha-256":
        # Dovecot compares with the password of the user: that is why PLAIN comes first.
        assert done.status != 0 and "AUTHORIZATIONFAILED" in done.log, done.log
    else:
        assert (done.status, done.messages_copied) == (0, 1), done.log


@pytest.mark.parametrize("way", [None, "plain", "scram-sha-1", "scram-sha-256", "cram-md5", "scram-sha-256-plus"])
@pytest.mark.parametrize("admin", [True, False])
def test_cyrus(cyrus, dovecot, tmp_path, way, admin):
    old = filled(cyrus("old", mechanisms="PLAIN LOGIN SCRAM-SHA-1 SCRAM-SHA-256 CRAM-MD5"))
    new = dovecot("new")
    more = list(TLS) + ([f"--source-auth={way}"] if way else [])
    if admin:
        old.users = {ANN: old.admin_password}
        more += ["--source-admin=cyrus"]
    if way == "scram-sha-256-plus":
        # It knows tls-unique only, whatever the version.
        old.kill()
        old.conf += "tls_versions: tls1_2\n"
        old.start()
    done = copy(old, new, tmp_path, *more)
    if admin and way == "cram-md5":
        assert done.status != 0 and "no administrator can act for a user" in done.log
    else:
        assert (done.status, done.messages_copied) == (0, 1), done.log
        assert old.logged({None: "PLAIN" if admin else "SCRAM-SHA-256"}.get(way, way.upper() if way else "") + "+TLS")
    assert len(look(new.imap(ANN))["INBOX"]) == (1 if done.status == 0 else 0)
