# SPDX-License-Identifier: ISC
"""Cutting users over with coexist-sync, and what to look at afterwards.

    servers = imap_servers(old=dovecot, new=cyrus, folder=tmp_path)   for Coexist(servers=...): SMTP, IMAP
                                                   and the administrator's login in a file
    cutover(site, "ann@example.org")               Outcome(.status .lines .text .log)
    status(site)["ann@example.org"]["state"]
    with Stream(site, ["ann@example.org"]) as mail:  mail through the relay until the end of the block
        ...
    mail.judge({"ann@example.org": (old, new)})    every accepted message once, content compared
"""
import collections
import hashlib
import json
import subprocess
import threading
from dataclasses import dataclass, field

from . import smtp

ANN = "ann@example.org"


def imap_servers(folder, **servers):
    """{name: settings} with an administrative login whose password is in a file."""
    out = {}
    for name, server in servers.items():
        secret = folder / f"{name}.password"
        is_cyrus = hasattr(server, "admin_password")
        secret.write_text((server.admin_password if is_cyrus else server.master_password) + "\n")
        secret.chmod(0o600)
        out[name] = {"smtp": f"lmtp://127.0.0.1:{server.lmtp_port}", "imap": f"imap://127.0.0.1:{server.imap_port}",
                     "imap_user": "cyrus" if is_cyrus else "master", "imap_password_file": str(secret)}
    return out


@dataclass
class Outcome:
    status: int
    log: str
    lines: list = field(default_factory=list)

    @property
    def states(self):
        return [line["state"] for line in self.lines if not line.get("progress") and "exception" not in line]

    def line(self, state):
        return [line for line in self.lines if line["state"] == state and not line.get("progress")][-1]


def argv(site, *words):
    return [str(site.bin / "coexist-sync"), "-c", str(site.conf), *words]


def sync(site, *words, timeout=120, before=(), env=None):
    """Run coexist-sync; words such as "cutover", "--json", ANN."""
    done = subprocess.run([*before, *argv(site, *words)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, env={**site.env(), **(env or {})},
                          start_new_session=True)
    assert "Sanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return done


def cutover(site, user=ANN, *more, command="cutover", **kwargs):
    done = sync(site, command, "--json", *more, user, **kwargs)
    return Outcome(done.returncode, done.stderr, [json.loads(line) for line in done.stdout.splitlines()])


def status(site):
    """Records by user."""
    done = sync(site, "status", "--json")
    assert done.returncode == 0, done.stderr
    return {r["user"]: r for r in json.loads(done.stdout)}


def folder_of(site, user):
    """Where this user's journals and lock are."""
    return site.state / "sync" / hashlib.sha256(f"{user}\n\n".encode()).hexdigest()[:16]


def store_logs(site):
    """What the supervisor commits to: each step is one fdatasync of one of them."""
    return [site.state / "sync" / "store" / f"log.{n:010}" for n in range(1, 40)]


def entry(site, user=ANN):
    return site.json("get", user)


def digest(message):
    """Of the body, which nobody may change; fields are put on top on the way."""
    return hashlib.sha256(message.replace(b"\r\n", b"\n").partition(b"\n\n")[2]).hexdigest()


class Stream:
    """One thread for each user that sends through the relay, as a sender does who tries again."""

    def __init__(self, site, users, pause=0.02):
        self.site, self.users, self.pause = site, users, pause
        self.accepted = collections.Counter()     # (user, token, digest)
        self.uncertain = collections.Counter()    # no answer to the dot
        self.ending = threading.Event()
        self.threads = [threading.Thread(target=self.run, args=(user,)) for user in users]
        self.problems = []

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def run(self, user):
        number = 0
        while not self.ending.wait(self.pause):
            number += 1
            try:
                self.send(user, f"{user.partition('@')[0]}-{number:05}")
            except (OSError, AssertionError) as problem:
                self.problems.append(f"{user}: {problem!r}")

    def send(self, user, token):
        text = smtp.message(token, to=user, body_lines=5)
        key = (user, token, digest(text))
        while True:
            with smtp.Client(self.site.relay_port) as client:
                replies = [client.greeting, client.ehlo("writer.example.net"), client.cmd("MAIL FROM:<writer@example.net>"),
                           client.cmd(f"RCPT TO:<{user}>")]
                code = replies[-1].code
                if code == 250 and client.cmd("DATA").code == 354:
                    client.write(smtp.wire(text))
                    code = client.reply().code
                    if code == 0:
                        self.uncertain[key] += 1
            if code == 250:
                self.accepted[key] += 1
                return
            if code >= 500:
                self.problems.append(f"{user}: {token} was refused: {replies[-1]}")
                return
            if self.ending.wait(0.05):
                return

    def count(self):
        return sum(self.accepted.values())

    def judge(self, places):
        """places: {user: (old server, new server)}.  After the flip everything is on new, once; what is on
        old too is what was copied from there."""
        assert not self.problems, self.problems[:5]
        for user, (old, new) in places.items():
            wanted = collections.Counter({k: n for k, n in self.accepted.items() if k[0] == user})
            maybe = collections.Counter({k: n for k, n in self.uncertain.items() if k[0] == user})
            found = collections.Counter((user, token(m.data), digest(m.data)) for m in new.messages(user)
                                        if token(m.data).startswith(user.partition("@")[0] + "-"))
            lost, extra = wanted - found, found - wanted - maybe
            assert not lost, f"lost {len(lost)}: {list(lost)[:3]}"
            assert not extra, f"duplicated {len(extra)}: {list(extra)[:3]}"
            behind = collections.Counter((user, token(m.data), digest(m.data)) for m in old.messages(user)
                                         if token(m.data).startswith(user.partition("@")[0] + "-"))
            assert not behind - found, "old has what new has not"


def token(message):
    head = message.replace(b"\r\n", b"\n").partition(b"\n\n")[0]
    for line in head.split(b"\n"):
        if line.lower().startswith(b"message-id:"):
            return line.partition(b"<")[2].partition(b"@")[0].decode(errors="replace")
    return ""
