# SPDX-License-Identifier: ISC
"""Who sends and who reads: the injector's clients, users at their mailboxes, and attempts to move them.

    Client(world, ledger, door, users).send(3)     begins; it goes on until each message has been accepted
    Person(world, ledger, user).act("delete", "4")   at once; the ledger knows it when this returns
    Attempt(world, "cutover", user, "--to", "new")   coexist-sync in the background
"""
import json
import queue
import random
import re
import signal
import subprocess
import threading
import time

from evidence import copy_of
from lib import smtp
from lib.coexist import reaper
from lib.cutover import argv
from lib.imap import folders, quoted
from lib.mailbox import DATE, FLAGS, when
from lib.mailbox import FETCH as UID
from schedule import FOLDERS
from world import tell, tree

RETRY_S = 0.15
REPLY_S = 8          # a client that has waited so long goes away
DATES = ('"17-Jul-1996 02:44:25 -0700"', '" 5-Feb-2024 23:59:59 +0530"', '" 1-Nov-2026 10:00:00 +0100"')


def octets_of(token, to):
    """A message that a gateway could spoil in many ways, always the same for the same token."""
    rng = random.Random(token)
    lines = [token]
    for _ in range(rng.randrange(1, 25)):
        lines.append(rng.choice((".", "..", ".x", "", "From here", "x" * rng.randrange(70), "y" * rng.randrange(900, 990),
                                 "Grüße aus Straßburg", " blank", "tab\there")))
    return (f"From: <w-{token}@example.net>\r\nTo: <{to}>\r\nSubject: {token}\r\nMessage-ID: <{token}@chaos>\r\n"
            "Date: Mon, 02 Nov 2026 09:00:00 +0000\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
            "Content-Transfer-Encoding: 8bit\r\nX-Folded: one\r\n two\r\n\r\n" + "\r\n".join(lines) + "\r\n").encode()


class Client(threading.Thread):
    """One client of one door.  What is refused for now it tries again, as a mail server does, for those who lack it."""

    def __init__(self, world, ledger, door, users):
        super().__init__(daemon=True)
        self.world, self.ledger, self.door, self.users = world, ledger, door, users
        self.todo, self.number, self.at_work, self.last = queue.Queue(), 0, 0, ""
        self.lock = threading.Lock()
        self.is_over = False
        self.start()

    def send(self, count):
        with self.lock:
            self.at_work += count
        for _ in range(count):
            self.number += 1
            names = "-".join(user.partition("@")[0] for user in self.users)
            self.todo.put(f"{self.door}-{names}-{self.number}")

    def run(self):
        while (token := self.todo.get()) is not None:
            octets, wanted = octets_of(token, self.users[0]), list(self.users)
            self.ledger.message(token, octets, self.door)
            while wanted and not self.is_over:
                try:
                    self.attempt(token, octets, wanted)
                except (OSError, AssertionError, ValueError) as problem:
                    self.last = f"{token}: {problem!r}"
                if wanted:
                    time.sleep(RETRY_S)
            with self.lock:
                self.at_work -= 1

    def attempt(self, token, octets, wanted):
        with smtp.Client(self.world.ports[self.door], lmtp=self.door == "lmtp", timeout=REPLY_S) as client:
            replies = [client.greeting] if client.greeting.code != 220 else [client.ehlo(), client.cmd(f"MAIL FROM:<w-{token}@example.net>")]
            if any(reply.code != 250 for reply in replies):
                self.last = f"{token}: {replies[-1]}"
                return
            taken = []
            for user in list(wanted):
                reply = client.cmd(f"RCPT TO:<{user}>")
                self.last = f"{token}: {reply}"
                if reply.code == 250:
                    taken.append(user)
                elif reply.code >= 500:
                    self.ledger.refused(token, user, *reply)
                    wanted.remove(user)
            if not taken or client.cmd("DATA").code != 354:
                return
            wire = smtp.wire(octets)
            client.write(wire[:-3])
            self.ledger.dot(token, taken)
            self.finish(client, token, wire[-3:], taken, wanted)

    def finish(self, client, token, end, taken, wanted):
        """The dot, and what is said about it; silence is a lost reply."""
        reply, is_lost = smtp.CLOSED, False
        try:
            client.write(end)
        except OSError:
            is_lost = True
        for number, user in enumerate(taken):
            if not is_lost and (number == 0 or self.door == "lmtp"):
                try:
                    reply = client.reply()
                except (OSError, AssertionError, ValueError):
                    reply, is_lost = smtp.CLOSED, True
            elif is_lost:
                reply = smtp.CLOSED
            self.last = f"{token}: {reply}"
            self.ledger.reply(token, user, *reply)
            if reply.code == 250 or reply.code >= 500:
                wanted.remove(user)

    def end(self):
        self.is_over = True
        self.todo.put(None)


class Person:
    """A user, who acts where his mail is now, and on what he sees there."""

    def __init__(self, world, ledger, user):
        self.world, self.ledger, self.user, self.name = world, ledger, user, user.partition("@")[0]
        self.route, self.number = "old", 0
        self.is_settled = True        # no attempt is under way, and the last one came to its end
        self.has_moved = False

    def has_flipped(self):
        """Or is about to, or nobody can say."""
        entry = self.world.entry(self.user)
        return entry is None or entry["state"] != "active" or entry["route"] != self.route

    def listing(self, client):
        """[(token, folder, uid)] outside Trash, ordered by token."""
        out = []
        for folder in folders(client):
            if folder not in FOLDERS or not int(client.select(quoted(folder), readonly=True)[1][0]):
                continue
            answer = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[HEADER])")[1]
            for at, item in enumerate(answer):
                if isinstance(item, tuple):
                    about = item[0] + (answer[at + 1] if isinstance(answer[at + 1], bytes) else b"")
                    copy = copy_of("", self.user, folder, FLAGS.search(about)[1].split(), when(DATE.search(about)[1].decode()), item[1])
                    out.append((copy.token, folder, UID.search(about)[1].decode()))
        return sorted(out)

    def act(self, what, *words):
        before = self.world.entry(self.user)
        if before:
            self.route = before["route"]
        server = self.route
        client = self.world.servers[server].imap(self.user)
        try:
            lines = getattr(self, what)(client, server, *words)
        finally:
            client.logout()
        is_sure = self.is_settled and before is not None and before["state"] == "active" and before == self.world.entry(self.user)
        for line in lines:
            self.ledger.act(what, self.user, server, sure=is_sure, **line)

    def append(self, client, _, folder):
        flags = random.Random(self.number).sample(("\\Seen", "\\Flagged", "Later"), self.number % 3)
        return [self.put(client, folder, flags)]

    def put(self, client, folder, flags=()):
        self.number += 1
        token = f"own-{self.name}-{self.number}"
        date, octets = DATES[self.number % len(DATES)], octets_of(token, self.user)
        self.ledger.message(token, octets, "imap")
        if folder != "INBOX" and folder not in folders(client):
            client.create(quoted(folder))
        status, answer = client.append(quoted(folder), f"({' '.join(flags)})", date, octets)
        assert status == "OK", answer
        return {"token": token, "folder": folder, "flags": list(flags), "date": when(date.strip('"'))}

    def chosen(self, client, number):
        seen = self.listing(client)
        if not seen:
            return None
        token, folder, uid = seen[int(number) % len(seen)]
        client.select(quoted(folder))
        return token, folder, uid

    def flag(self, client, _, number, change):
        if not (found := self.chosen(client, number)):
            return []
        done = client.uid("STORE", found[2], f"{change[0]}FLAGS", f"({change[1:]})")[1]
        return [{"token": found[0], "flag": change[1:], "sign": change[0]}] if done != [None] else []

    def move(self, client, _, number, folder):
        found = self.chosen(client, number)
        if not found or found[1] == folder:
            return []
        if folder not in folders(client):
            client.create(quoted(folder))
        client.uid("MOVE", found[2], quoted(folder))
        return [{"token": found[0], "folder": folder}] if client.response("COPYUID")[1] != [None] else []

    def copy(self, client, _, number, folder):
        """The same octets once more."""
        if not (found := self.chosen(client, number)):
            return []
        if folder not in folders(client):
            client.create(quoted(folder))
        client.uid("COPY", found[2], quoted(folder))
        return [{"token": found[0], "folder": folder}] if client.response("COPYUID")[1] != [None] else []

    def delete(self, client, _, number):
        if not (found := self.chosen(client, number)):
            return []
        client.uid("STORE", found[2], "+FLAGS", "(\\Deleted)")
        client.uid("EXPUNGE", found[2])
        return [{"token": found[0]}] if client.response("EXPUNGE")[1] != [None] else []

    def late(self, folder):
        """Mail that comes by itself to the server that the user has left."""
        entry = self.world.entry(self.user)
        if not self.has_moved or not entry or entry["state"] != "active" or not self.is_settled:
            return
        server = {"old": "new", "new": "old"}[entry["route"]]
        client = self.world.servers[server].imap(self.user)
        try:
            line = self.put(client, folder)
        finally:
            client.logout()
        self.ledger.act("append", self.user, server, sure=True, **line)


class Attempt(threading.Thread):
    """A command that goes on by itself; states are those that it has told."""

    def __init__(self, world, command, user, *more):
        super().__init__(daemon=True)
        self.user, self.command, self.states, self.status, self.said = user, command, [], None, ""
        self.process = subprocess.Popen(argv(world.site, command, "--json", *more, user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True, env=world.site.env(), start_new_session=True)
        self.world = world
        reaper().note("+", self.process.pid)
        self.start()

    def run(self):
        errors = []
        reader = threading.Thread(target=lambda: errors.extend(self.process.stderr), daemon=True)
        reader.start()
        for line in self.process.stdout:
            try:
                told = json.loads(line)
            except ValueError:
                continue      # killed in the middle of it
            if not told.get("progress") and "exception" not in told:
                self.states.append(told["state"])
        reader.join()
        reaper().note("-", self.process.pid)
        self.said = "".join(errors).strip()
        self.status = self.process.wait()
        if re.search(r"ERROR: \w+Sanitizer|runtime error:", self.said):
            self.world.crashes.append(f"coexist-sync {self.command}: {self.said[-3000:]}")

    @property
    def is_over(self):
        return self.status is not None

    def signal(self, number):
        if not self.is_over:
            tell(tree(self.process.pid), number)

    def kill(self):
        self.signal(signal.SIGKILL)
