# SPDX-License-Identifier: ISC
"""STARTTLS on both sides of the relay: injection, downgrade, and what a target has to show."""
import hashlib
import socket
import ssl

import pytest

from lib import certs
from lib.netns import own_network
from lib.relay import Gate, envelope
from lib.smtp import Client, ScriptedSmtp, close, message, raw, reset, send


def test_client_side_of_ours_is_told(site, scripted):
    gate = Gate(site, scripted, tls=True)
    with gate.client() as c:
        assert "STARTTLS" in c.features
        assert c.starttls(verify=True).code == 220
        assert c.ehlo().code == 250 and "STARTTLS" not in c.features
        assert c.cmd("STARTTLS").code == 503
        assert c.transaction("s@example.net", ["ann@example.org"], message("tls")).data.code == 250
    assert b" with ESMTPS id " in gate.old.messages[0].data


def test_big_message_over_tls(site, scripted):
    gate = Gate(site, scripted, tls=True)
    text = b"Subject: big\r\n\r\n" + b"0123456789abcdef\r\n" * 200000
    with gate.client() as c:
        assert c.starttls().code == 220
        c.ehlo()
        assert c.transaction("s@example.net", ["ann@example.org"], text).data.code == 250
    assert gate.old.messages[0].data.endswith(text)


def test_everything_is_forgotten(site, scripted):
    gate = Gate(site, scripted, tls=True)
    with gate.client() as c:
        assert c.starttls().code == 220
        assert c.cmd("MAIL FROM:<s@example.net>").code == 503
        assert c.ehlo().code == 250


def test_no_starttls_within_a_transaction(site, scripted):
    gate = Gate(site, scripted, tls=True)
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("STARTTLS").code == 503
        assert c.cmd("RSET").code == 250
        assert c.starttls().code == 220


@pytest.mark.parametrize("injected", [b"MAIL FROM:<evil@example.net>\r\n", b"EHLO evil\r\nMAIL FROM:<evil@example.net>\r\n", b"\r\n", b"N"])
def test_text_behind_starttls_is_no_command(site, scripted, injected):
    """A4: commands that came in the clear are never run behind the handshake."""
    gate = Gate(site, scripted, tls=True)
    with gate.client() as c:
        c.write(b"STARTTLS\r\n" + injected)
        assert [c.reply().code, c.reply().code] == [503, 0]


def first_byte(client):
    try:
        return client.sock.recv(1)
    except ConnectionError:
        return b""


def test_text_between_the_answer_and_the_handshake(site, scripted):
    """Bytes that come a moment later spoil the handshake and are thrown away with the connection."""
    gate = Gate(site, scripted, tls=True)
    with gate.client() as c:
        assert c.cmd("STARTTLS").code == 220
        c.write(b"MAIL FROM:<evil@example.net>\r\n")
        assert first_byte(c) not in (b"2", b"3", b"4", b"5")
    gate.wait_event("client_lost", state="tls")
    assert gate.send("ann@example.org").data.code == 250


def test_not_offered_without_a_certificate(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        assert "STARTTLS" not in c.features and c.cmd("STARTTLS").code == 502


# --- Towards the targets ---------------------------------------------------------------------

TLS = ["PIPELINING", "STARTTLS", "SIZE 1000000"]


def outcome(gate):
    reply = gate.send("ann@example.org")
    return reply.data or reply.rcpts["ann@example.org"]


def test_verified(site, scripted):
    gate = Gate(site, scripted, extensions=TLS,
                server={"tls": "verify", "name": "scripted.test", "ca_file": str(certs.ca_file())})
    assert outcome(gate).code == 250
    commands = gate.old.sessions[-1].commands if not gate.old.messages else gate.old.messages[0].session.commands
    assert [line.split()[0] for line in commands[:4]] == ["EHLO", "STARTTLS", "EHLO", "MAIL"]
    assert isinstance(gate.old.messages[0].session.sock, ssl.SSLSocket)


@pytest.mark.parametrize("policy", [
    {"tls": "verify", "name": "wrong.test", "ca_file": "CA"},          # not its name
    {"tls": "verify", "name": "scripted.test"},                        # not a CA that we trust
    {"tls": "fingerprint", "fingerprint": "00" * 32},
], ids=["wrong-name", "unknown-ca", "wrong-fingerprint"])
def test_not_verified_is_deferred(site, scripted, policy):
    """A18: never in the clear, never to somebody else."""
    policy = {k: str(certs.ca_file()) if v == "CA" else v for k, v in policy.items()}
    gate = Gate(site, scripted, extensions=TLS, server=policy)
    reply = outcome(gate)
    assert (reply.code, reply.text[:5]) == (451, "4.4.1"), reply
    assert not any(line.startswith("MAIL") for line in gate.old.commands())


def test_fingerprint(site, scripted):
    cert, _ = certs.issue("scripted.test")
    der = ssl.PEM_cert_to_DER_cert(cert.read_text())
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "fingerprint", "fingerprint": hashlib.sha256(der).hexdigest()})
    assert outcome(gate).code == 250
    assert isinstance(gate.old.messages[0].session.sock, ssl.SSLSocket)


def test_encrypt_takes_any_certificate(site, scripted):
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "encrypt"})
    assert outcome(gate).code == 250
    assert isinstance(gate.old.messages[0].session.sock, ssl.SSLSocket)


def test_reply_injected_before_the_handshake(site, scripted):
    """A17 (CVE-2021-38371): what follows the 220 in the clear ends the connection."""
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "encrypt"},
                old={"starttls": raw(b"220 go\r\n250 injected\r\n")}, new={"starttls": raw(b"220 go\r\n250 injected\r\n")})
    reply = outcome(gate)
    assert reply.code == 451 and "inject" in reply.text
    assert not any(line.startswith("MAIL") for line in gate.old.commands())


@pytest.mark.parametrize("answer", ["454 4.7.0 not now", "502 5.5.1 what", "250 fine", raw(b"junk\r\n")])
def test_starttls_refused(site, scripted, answer):
    """On loopback TLS is used when it is offered; where it is a must, a refusal defers (unit tests)."""
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "encrypt"}, old={"starttls": answer}, new={"starttls": answer})
    reply = outcome(gate)
    plain_is_fine = isinstance(answer, str) and answer[0] in "45"
    assert reply.code == (250 if plain_is_fine else 451), reply


def test_implicit_tls_target(site, scripted, stage):
    cert, key = certs.issue("scripted.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    class Smtps(ScriptedSmtp):
        def _accept(self, listener):
            wrapped = context.wrap_socket(listener.dup(), server_side=True)
            try:
                super()._accept(wrapped)
            finally:
                wrapped.close()

    target = stage.enter(Smtps())
    made = site({"old": {"smtp": f"smtps://127.0.0.1:{target.port}", "tls": "verify", "name": "scripted.test",
                         "ca_file": str(certs.ca_file())}})
    made.init({"ann@example.org": "old"}).start("relay")
    assert send(made.relay_port, "s@example.net", "ann@example.org", message("smtps")).data.code == 250
    assert isinstance(target.messages[0].session.sock, ssl.SSLSocket)


def test_handshake_that_never_comes(site, scripted):
    gate = Gate(site, scripted, tls=True, settings={"command_timeout": "3s"})
    with gate.client() as c:
        assert c.cmd("STARTTLS").code == 220
        c.sock.settimeout(20)
        assert c.sock.recv(100) == b""
    gate.wait_event("client_timeout", state="tls")


def test_client_that_leaves_in_the_handshake(site, scripted):
    gate = Gate(site, scripted, tls=True)
    for _ in range(5):
        c = gate.client()
        assert c.cmd("STARTTLS").code == 220
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        c.close()
    with Client(gate.port) as c:
        assert c.ehlo().code == 250


# --- A handshake that does not come about -------------------------------------------------------

def says_plain(session, _):
    """220, and text where the handshake should be."""
    session.sock.sendall(b"220 go\r\n")
    session.sock.recv(100)
    session.sock.sendall(b"500 what is that\r\n" * 3)
    return close()


def old_versions_only(session, _):
    """220, and then the alert of a server that knows no version of ours."""
    session.sock.sendall(b"220 go\r\n")
    session.sock.recv(1000)
    session.sock.sendall(bytes.fromhex("15030100020246"))
    return close()


def hangs(session, _):
    session.sock.sendall(b"220 go\r\n")
    while session.sock.recv(1000):
        pass
    return close()


BROKEN = {"closed": close("220 go"), "reset": lambda s, _: s.sock.sendall(b"220 go\r\n") or reset(), "plain": says_plain,
          "version": old_versions_only, "hangs": hangs, "no-answer": close(), "421": close("421 bye"), "junk": raw(b"junk\r\n"),
          "250": "250 fine"}


@pytest.mark.parametrize("how", BROKEN)
def test_may_goes_on_in_the_clear(site, scripted, how):
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "may"}, settings={"connect_timeout": "5s"}, old={"starttls": BROKEN[how]})
    assert outcome(gate).code == 250
    assert len(gate.old.messages) == 1
    assert [line.split()[0] for line in gate.old.messages[0].session.commands[:2]] == ["EHLO", "MAIL"]
    assert gate.wait_event("tls_fallback", server="old")["level"] == "warn"
    assert not gate.events("server_down")


@pytest.mark.parametrize("policy", ["encrypt", "verify", "fingerprint"])
@pytest.mark.parametrize("how", ["closed", "plain", "version"])
def test_others_do_not(site, scripted, policy, how):
    """On loopback, where the offer may be missing, a handshake that was begun must end well all the same."""
    more = {"fingerprint": "00" * 32} if policy == "fingerprint" else {}
    gate = Gate(site, scripted, extensions=TLS, server={"tls": policy, **more}, old={"starttls": BROKEN[how]})
    assert outcome(gate).code == 451
    assert not any(line.startswith("MAIL") for line in gate.old.commands()) and not gate.events("tls_fallback")


def test_may_does_not_go_round_an_injection(site, scripted):
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "may"}, old={"starttls": raw(b"220 go\r\n250 injected\r\n")})
    assert outcome(gate).code == 451
    assert not any(line.startswith("MAIL") for line in gate.old.commands())


def test_may_and_tls_from_the_first_byte(site, scripted, stage):
    target = scripted({"connect": close()})
    made = site({"old": {"smtp": f"smtps://127.0.0.1:{target.port}", "tls": "may"}})
    made.init({"ann@example.org": "old"}).start("relay")
    assert send(made.relay_port, "s@example.net", "ann@example.org", message("smtps")).rcpts["ann@example.org"].code == 451
    assert not target.commands() and not made.events("relay", "tls_fallback")


def test_both_connections_fail(site, scripted):
    gate = Gate(site, scripted, extensions=TLS, server={"tls": "may"}, old={"starttls": close("220 go"), "connect": ["220 hi", close("421 busy")]})
    assert outcome(gate).code == 451
    assert gate.events("tls_fallback") and not any(line.startswith("MAIL") for line in gate.old.commands())


# --- Where somebody could listen in ------------------------------------------------------------

ADDRESS = "192.0.2.1"


def far_outcome(site, stage, policy, script=None, extensions=TLS):
    with own_network(ADDRESS):
        target = stage.enter(ScriptedSmtp(script, extensions=extensions, host=ADDRESS))
        made = site({"old": {"smtp": f"smtp://{ADDRESS}:{target.port}", **policy}})
        made.init({"ann@example.org": "old"}).start("relay")
        got = send(made.relay_port, "s@example.net", "ann@example.org", message("far"))
        return got.data or got.rcpts["ann@example.org"], target


POLICIES = {"encrypt": {"tls": "encrypt"}, "verify": {"tls": "verify"}, "fingerprint": {"tls": "fingerprint", "fingerprint": "00" * 32}}


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("how", ["stripped", "refused", "no-ehlo", "closed"])
def test_stripping_far_away(site, stage, policy, how):
    """A17: whoever sits between the two of us takes the offer away; no address and no word of a message leaves in the clear."""
    script = {"stripped": {}, "refused": {"starttls": "454 4.7.0 not now"}, "no-ehlo": {"ehlo": "502 what"}, "closed": {"starttls": close("220 go")}}
    reply, target = far_outcome(site, stage, POLICIES[policy], script[how], [] if how == "stripped" else TLS)
    assert (reply.code, reply.text[:5]) == (451, "4.4.1"), reply
    assert all(line.split()[0] in ("EHLO", "STARTTLS") for line in target.commands()), target.commands()


@pytest.mark.parametrize("policy,extensions", [({"tls": "none"}, TLS), ({"tls": "may"}, []), ({"tls": "encrypt"}, TLS)])
def test_delivered_far_away(site, stage, policy, extensions):
    reply, target = far_outcome(site, stage, policy, None, extensions)
    assert reply.code == 250
    assert isinstance(target.messages[0].session.sock, ssl.SSLSocket) == (policy["tls"] == "encrypt")
