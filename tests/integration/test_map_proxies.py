# SPDX-License-Identifier: ISC
"""Exports for IMAP proxies, in a running Dovecot and a running nginx, as docs/recipes/proxies.md says."""
import imaplib
import shlex
import tomllib

import pytest
from lib import recipes
from lib.nginx import Nginx
from lib.wait import free_port, wait_for

ANN, BOB, EVE = "ann@example.org", "bob@example.org", "eve@example.org"
USERS = {ANN: "old-or-new", BOB: "of-bob", EVE: "of-eve"}


@pytest.fixture
def place(dovecot, site):
    """The map of two servers, the new one with TLS, each of which has a message that tells which it is."""
    servers = {"old": dovecot("old", users=USERS), "new": dovecot("new", users=USERS)}
    made = site({name: {"smtp": f"lmtp://127.0.0.1:{server.lmtp_port}", "imap": f"imap://127.0.0.1:{server.imap_port}",
                        "tls": tls} for (name, server), tls in zip(servers.items(), ("none", "encrypt"))})
    made.maptool("init")
    for user, server in ((ANN, "old"), (BOB, "new")):
        made.set(user, server)
    made.maptool("set", EVE, "kind=reject")
    for name, server in servers.items():
        for user in (ANN, BOB):
            server.deliver(user, f"Subject: {name}\r\n\r\n{name}\r\n".encode())
    return made


def export(made, name, etc, folder):
    program, *args = shlex.split(recipes.block("proxies.md", f"{name} export", {etc: f"{folder}/"}))
    assert program == "maptool"
    made.maptool(*args)


def where(port, user, password=None):
    """The server that a user reaches through the proxy, by the message in INBOX; None when nobody may in."""
    client = imaplib.IMAP4("127.0.0.1", port)
    try:
        client.login(user, USERS[user.lower()] if password is None else password)
        assert client.select("INBOX")[0] == "OK"
        return client.fetch("1", "(BODY[TEXT])")[1][0][1].decode().strip()
    except imaplib.IMAP4.error:
        return None
    finally:
        client.shutdown()


def check(made, port, again):
    assert where(port, ANN) == "old" and where(port, BOB) == "new"
    assert where(port, ANN.upper()) == "old"
    # The server judges the password, and whom the map refuses reaches none.
    assert where(port, ANN, "wrong") is None and where(port, EVE) is None
    made.set(ANN, "new")
    again()
    wait_for(lambda: where(port, ANN) == "new", 20, "the proxy to follow")
    made.maptool("del", BOB)
    again()
    wait_for(lambda: where(port, BOB) is None, 20, "the proxy to forget bob")


def test_dovecot(place, dovecot):
    proxy = dovecot("proxy", users={"nobody@example.net": "x"}, conf=recipes.block("proxies.md", "dovecot.conf passdb"),
                    files={"coexist.passwd": ""})

    def again():
        export(place, "dovecot", "/etc/dovecot/", proxy.dir / "etc")

    again()
    wait_for(lambda: where(proxy.imap_port, ANN), 20, "Dovecot to see the file")
    check(place, proxy.imap_port, again)


def test_nginx(place, stage):
    port, asked = free_port(), free_port()
    conf = recipes.block("proxies.md", "nginx.conf", {"127.0.0.1:9143": f"127.0.0.1:{asked}", "127.0.0.1:143": f"127.0.0.1:{port}"})
    proxy = Nginx(stage.path("nginx"), conf=conf, ports=[port, asked])

    def again():
        export(place, "nginx", "/etc/nginx/", proxy.dir / "etc")
        if proxy.running():
            proxy.reload()

    again()
    stage.enter(proxy)
    check(place, port, again)


def test_stalwart(place):
    """No package of Debian has it: the form that its documentation gives to a lookup store in the settings file, names of
    addresses with values and a pattern, read by another reader of such files."""
    place.set("@example.org", "old")
    place.set('"a b"@example.org', "new")
    text = place.maptool("export", "--format", "stalwart").stdout
    assert tomllib.loads(text)["lookup"]["coexist"] == {ANN: "old", BOB: "new", EVE: "", '"a b"@example.org': "new",
                                                        "*@example.org": "old"}
