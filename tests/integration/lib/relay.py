# SPDX-License-Identifier: ISC
"""A relay between two scripted targets, for tests of its dialogue.

    gate = Gate(site, scripted, settings={"hold_wait": "1s"}, old={"rcpt": "450 4.2.2 full"})
    gate.old.messages, gate.new.messages            # ScriptedSmtp each
    with gate.client() as c: c.cmd("MAIL FROM:<>")  # EHLO was said
    gate.send("ann@example.org", token="t1")        # Outcome
"""
from .smtp import Client, message, send

ROUTES = {"ann@example.org": "old", "bob@example.org": "old", "cat@example.org": "new"}


class Gate:
    def __init__(self, site, scripted, old=None, new=None, routes=ROUTES, settings=None, server=None, extensions=None,
                 lmtp=False, start=True, init=True, **kwargs):
        more = {"extensions": extensions} if extensions is not None else {}
        self.old, self.new = (scripted(script, lmtp=lmtp, **more) for script in (old, new))
        scheme = "lmtp" if lmtp else "smtp"
        self.site = site({name: {"smtp": f"{scheme}://127.0.0.1:{target.port}", **(server or {})}
                          for name, target in (("old", self.old), ("new", self.new))},
                         settings={"relay": settings or {}}, **kwargs)
        if init:
            self.site.init(routes)
        if start:
            self.site.start("relay")

    @property
    def port(self):
        return self.site.relay_port

    def client(self, hello=True, **kwargs):
        client = Client(self.port, **kwargs)
        if hello:
            assert client.ehlo().code == 250
        return client

    def send(self, recipients, token="token", text=None, sender="s@example.net", **kwargs):
        return send(self.port, sender, recipients, text or message(token), **kwargs)

    def events(self, event=None, **fields):
        return self.site.events("relay", event, **fields)

    def wait_event(self, event, **fields):
        return self.site.wait_event("relay", event, **fields)


def envelope(client, *recipients, sender="s@example.net"):
    """MAIL and RCPTs, all accepted."""
    assert client.cmd(f"MAIL FROM:<{sender}>").code == 250
    for recipient in recipients:
        assert client.cmd(f"RCPT TO:<{recipient}>").code == 250, recipient
    return client


def body_of(data):
    """Behind the fields that the relay put in front."""
    lines = data.split(b"\r\n")
    n = 0
    assert lines[0].startswith(b"Received: ")
    for field in (b"Received:", b"Coexist-Trace:"):
        assert lines[n].startswith(field), lines[n]
        n += 1
        while lines[n][:1] in (b" ", b"\t"):
            n += 1
    return b"\r\n".join(lines[n:])
