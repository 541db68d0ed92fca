# SPDX-License-Identifier: ISC
"""Faults planted into real mailboxes at the end of a real run: is what the judge is shown what is there?

    run(parse(SCHEDULE), folder, sabotage=spoil)     and then wrong(result.verdicts) is what it has not named

teeth.py makes up what a run leaves; here the servers, their logs and IMAP are real, and each fault is one that a gateway
or a copy could commit.  A fault of another kind and message than those planted is no less wrong.
"""
from lib.imap import fetch_all, quoted
from lib.mailbox import expunge
from people import DATES, octets_of
from world import address

SCHEDULE = """\
fill ann 7
fill bob 2
mail smtp ann 6
mail lmtp bob 1
pass 300
do ann delete 3
move ann new
until ann done
mail smtp ann 2
pass 300
"""
ANN, BOB = address("ann"), address("bob")
STAMP = b"Coexist-Trace: v=1; k=k1; h=00\r\n"
UNKNOWN = octets_of("smtp-ann-77", ANN)

# What the judge has to name: kind, message.
PLANTED = [
    ("LOST", "own-ann-1"), ("DUP", "own-ann-2"), ("FLAGDIFF", "own-ann-3"), ("RESURRECTED", "own-ann-4"), ("FOLDER", "own-ann-5"),
    ("SOURCE", "own-ann-6"), ("FLAGDIFF", "own-ann-7"), ("LOST", "smtp-ann-1"), ("DUP", "smtp-ann-2"), ("CORRUPT", "smtp-ann-3"),
    ("MISROUTED", "smtp-ann-4"), ("LOOPED", "smtp-ann-5"), ("CORRUPT", "smtp-ann-6"), ("MISROUTED", "smtp-ann-7"),
    ("GHOST", "smtp-ann-77"),
]


class Spoiler:
    def __init__(self, world):
        self.clients = {(name, user): server.imap(user) for name, server in world.servers.items() for user in world.users}

    def of(self, token, name="new", user=ANN):
        """The message as the server shows it."""
        client = self.clients[name, user]
        return next(m for m in fetch_all(client) if f"Message-ID: <{token}@chaos>".encode() in m.data)

    def remove(self, token, name="new"):
        message = self.of(token, name)
        expunge(self.clients[name, ANN], quoted(message.folder), str(message.uid))

    def put(self, octets, folder="INBOX", name="new", user=ANN, flags=(), date=None):
        status, answer = self.clients[name, user].append(quoted(folder), f"({' '.join(flags)})", date, octets)
        assert status == "OK", answer

    def change(self, token, change):
        message = self.of(token)
        self.remove(token)
        self.put(change(message.data), message.folder, flags=message.flags)

    def close(self):
        for client in self.clients.values():
            client.logout()


def spoil(run):
    spoiler = Spoiler(run.world)
    spoiler.remove("own-ann-1")
    message = spoiler.of("own-ann-2")
    spoiler.put(message.data, message.folder)
    message = spoiler.of("own-ann-3")
    spoiler.clients["new", ANN].select(quoted(message.folder))
    spoiler.clients["new", ANN].uid("STORE", str(message.uid), "+FLAGS", "(\\Answered)")
    spoiler.put(octets_of("own-ann-4", ANN), date=DATES[0])
    message = spoiler.of("own-ann-5")
    spoiler.clients["new", ANN].select(quoted(message.folder))
    spoiler.clients["new", ANN].uid("MOVE", str(message.uid), "INBOX" if message.folder != "INBOX" else "Work")
    spoiler.remove("own-ann-6", "old")
    # APPEND without a date: that of now.
    spoiler.change("own-ann-7", lambda octets: octets)
    spoiler.remove("smtp-ann-1")
    spoiler.put(spoiler.of("smtp-ann-2").data)
    spoiler.change("smtp-ann-3", lambda octets: octets[:-7])
    spoiler.put(spoiler.of("smtp-ann-4").data, user=BOB)
    spoiler.change("smtp-ann-5", lambda octets: STAMP + STAMP + octets)
    spoiler.change("smtp-ann-6", lambda octets: octets.replace(b"MIME-Version", b"X-MIME-Version"))
    # As somebody would who has not heard of the flip.
    run.world.servers["old"].deliver(ANN, spoiler.of("smtp-ann-7").data)
    spoiler.put(UNKNOWN)
    spoiler.close()


def missed(verdicts):
    """Planted and not named, and named without having been planted."""
    named = {(verdict.kind, verdict.token) for verdict in verdicts}
    return sorted(set(PLANTED) - named), sorted(named - set(PLANTED))
