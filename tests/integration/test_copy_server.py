# SPDX-License-Identifier: ISC
"""What a server offers and what it bears: compression, MESSAGELIMIT for bodies, paces, octets a day."""
import random
import socket
import threading
import time

from lib.cutover import cutover, entry, imap_servers
from lib.fakeimap import FakeImap
from lib.mailbox import Mail, argv, copy, fill, look, message, run, same, sample

ANN = "ann@example.org"
ZLIB = "protocol imap {\n  mail_plugins = $mail_plugins imap_zlib\n}\n"


class Tap:
    """In front of a server: what goes over the line, both ways."""

    def __init__(self, server):
        self.server, self.users, self.heard = server, server.users, b""
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.imap_port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                one = self.listener.accept()[0]
            except OSError:
                return
            two = socket.create_connection(("127.0.0.1", self.server.imap_port))
            for pair in ((one, two), (two, one)):
                threading.Thread(target=self._pass, args=pair, daemon=True).start()

    def _pass(self, one, two):
        try:
            while data := one.recv(65536):
                self.heard += data
                two.sendall(data)
            two.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def test_compressed(dovecot, tmp_path):
    """Dovecot on both sides: all is there, and what went over the lines was less, and nobody could read it."""
    old, new = Tap(dovecot("old", conf=ZLIB)), Tap(dovecot("new", conf=ZLIB))
    spec = sample(30)
    spec["INBOX"] += [Mail(message("plain", "the same words again and again\r\n" * 40000)),
                      Mail(message("noise", "".join(random.Random(1).choices("abcdefgh\u00fc", k=300000)) + "\r\n"))]
    fill(old.server.imap(ANN), spec)
    done = copy(old, new, tmp_path, "--source-compress=yes", "--target-compress=yes", "--verify")
    assert (done.status, done.verified["missing"]) == (0, 0), done.log
    same(look(old.server.imap(ANN)), look(new.server.imap(ANN)))
    for tap in (old, new):
        tap.close()
        assert b"COMPRESS DEFLATE\r\n" in tap.heard
        assert b"the same words" not in tap.heard and b"EXAMINE" not in tap.heard and b'APPEND "' not in tap.heard
        assert 100000 < len(tap.heard) < done.bytes_copied, len(tap.heard)


def test_bodies_in_portions(tmp_path):
    """RFC 9738: the bodies that did not come are asked for, and no message counts as refused or gone."""
    asked = []

    def body(server, tag, line):
        uids = server.asked(line)
        asked.append(len(uids))
        return b"".join(b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (u, u, len(server.messages[u - 1]), server.messages[u - 1])
                        for u in uids[:40]) + tag + \
            (b" OK [MESSAGELIMIT 40 %d] a part\r\n" % uids[39] if len(uids) > 40 else b" OK done\r\n")
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(100)], {"BODY": body}) as source, FakeImap() as target:
        done = copy(source, target, tmp_path)
        assert (done.status, done.messages_copied, done.exceptions) == (0, 100, []), done.log
        assert sorted(target.appended) == sorted(source.messages)
        assert max(asked) > 40 and asked[-1] <= 40, asked


def test_octets_a_second(tmp_path):
    """A second's worth at once, and then as fast as it may be; nobody is late."""
    with FakeImap([b"Subject: x\r\n\r\n" + b"x" * 300000 + b"\r\n"]) as source, FakeImap() as target:
        start = time.monotonic()
        done = copy(source, target, tmp_path, "--max-rate=200k", "--max-commands=1000", "--timeout=200ms")
        assert (done.status, done.messages_copied) == (0, 1), done.log
        assert time.monotonic() - start > 0.45


def test_octets_a_day(tmp_path):
    """When they are used up the run ends and says when to go on; the next one knows of it, and tells nobody."""
    mail = [b"Subject: %d\r\n\r\n" % i + b"x" * 300000 + b"\r\n" for i in range(3)]
    with FakeImap(mail) as source, FakeImap() as target:
        line = argv(source, target, tmp_path, "--settle=0s")
        for _ in range(2):
            done = run(line[:-2] + ["--max-day=400k"] + line[-2:])
            assert done.status == 75 and "goes on at 20" in done.log, done.log
            assert "source" in done.log
            sessions = len(source.sessions)
        assert sessions == 1
        done = run(line[:-2] + ["--max-day=100M"] + line[-2:])
        assert done.status == 0, done.log
        assert sorted(target.appended) == mail


def test_how_long_it_would_take(tmp_path):
    """By the pace of the server, told before anything is done."""
    with FakeImap([b"Subject: x\r\n\r\n" + b"x" * 900000 + b"\r\n"]) as source, FakeImap() as target:
        done = copy(source, target, tmp_path, "--dry-run", "--max-rate=100k")
        assert (done.status, done.seconds_by_source, done.seconds_by_target) == (0, 9, 9), done.log
        assert not target.appended


def test_a_cutover_and_the_day(dovecot, site, tmp_path):
    """What a server bears is a setting of its section: the user stays where he is, and goes on another day."""
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}", "x" * 70000)) for i in range(5)]})
    servers = imap_servers(tmp_path, old=old, new=new)
    servers["old"] |= {"imap_day": "200k", "imap_profile": "dovecot", "imap_compress": "yes", "imap_connections": 2}
    place = site(servers)
    place.init({ANN: "old"})
    for _ in range(2):
        done = cutover(place, ANN)
        assert done.status == 75 and "goes on at 20" in done.log, done.log
        assert entry(place)["route"] == "old" and entry(place)["state"] == "active"
    servers["old"]["imap_day"] = "10M"
    place = site(servers)
    place.init({ANN: "old"})
    assert cutover(place, ANN).status == 0
    same(look(old.imap(ANN)), look(new.imap(ANN)))
