# SPDX-License-Identifier: ISC
"""Does the judge bite?  A run that went well is made up, then each fault in turn is planted into its mailboxes, ledger and logs.

    main()                  every planted fault, and what was not found; the exit status
    real(run)               the same in the mailboxes of real servers, at the end of a real run (SCHEDULE)

PLANTED has a function for each fault, with the kind and the message by which the judge has to name it; UNDOUBTED has what
looks like a fault and is none.
"""
import copy as copies_of
import json
import time

from evidence import arrivals, changes, copy_of, crashes, postfix_doubts, relay_doubts
from judge import Evidence, faults, judge
from ledger import body_digest, head_lines
from people import octets_of

ANN, BOB = "ann@example.org", "bob@example.org"
FOUND_MIN_PERCENT = 95
START = 1795000000.0
SEEN, FLAGGED = "\\Seen", "\\Flagged"
RECEIVED = b"Received: from client.test by relay.test; Sat, 28 Nov 2026 09:00:00 +0000\r\nCoexist-Trace: v=1; k=k1; h=xyz\r\n"


class Story:
    """A run that went well.  ann has moved to new, bob to new and back; times are in seconds."""

    def __init__(self):
        self.lines, self.copies, self.map_log = [], [], []
        self.texts = {"mapd": [], "relay": [], "postfix": [], "old": [], "new": []}
        self.home, self.states = {ANN: "new", BOB: "old"}, {ANN: "active", BOB: "active"}
        self.stuck, self.ended = [], []
        for user in (ANN, BOB):
            self.change(0, user, "old", "active", 1)
        self.before()
        self.change(10, ANN, "old", "held", 2)
        self.log("mapd", 10.1, "event=barrier result=clear waited_ms=0 who=root")
        self.change(11, ANN, "new", "active", 3)
        self.change(12, BOB, "old", "held", 2)
        self.change(13, BOB, "new", "active", 3)
        self.line("turn", user=ANN, to="new")
        self.line("turn", user=BOB, to="new")
        self.behind()
        self.line("turn", user=BOB, to="old")
        self.change(30, BOB, "new", "held", 4)
        self.change(31, BOB, "old", "active", 5)

    def before(self):
        """All on old, and copied."""
        self.mail("smtp-ann-1", ANN, 1, "old", copied=True)
        self.own("own-ann-1", ANN, "old", "INBOX", [SEEN], copied=True)
        self.own("own-ann-2", ANN, "old", "INBOX", [], copied=True)
        self.act("move", ANN, "old", "own-ann-2", folder="Work")
        self.put("own-ann-2", ANN, "Work")
        self.own("own-ann-3", ANN, "old", "INBOX", [])
        self.act("delete", ANN, "old", "own-ann-3")
        self.drop("own-ann-3", "old")
        self.own("own-ann-4", ANN, "old", "INBOX", [], copied=True)
        self.act("flag", ANN, "old", "own-ann-4", flag=FLAGGED, sign="+")
        self.act("flag", ANN, "old", "own-ann-1", flag=FLAGGED, sign="+")
        self.act("flag", ANN, "old", "own-ann-1", flag=SEEN, sign="-")
        self.act("flag", ANN, "old", "own-ann-1", flag=SEEN, sign="+")
        self.act("flag", ANN, "old", "own-ann-1", flag=FLAGGED, sign="-")
        self.flags("own-ann-4", {FLAGGED})
        self.mail("smtp-bob-1", BOB, 2, "old", copied=True)
        self.own("own-bob-1", BOB, "old", "INBOX", [], copied=True)

    def behind(self):
        """ann on new; bob there for a while."""
        self.mail("smtp-ann-2", ANN, 15, "new")
        # The client lost a reply and tried again.
        self.mail("lmtp-ann-1", ANN, 16, "new", replies=(0, 250), times=2)
        # The relay lost one, and said so.
        self.mail("smtp-ann-3", ANN, 17, "new", replies=(451, 250), times=2)
        self.log("relay", 17, "event=deliver from=w-smtp-ann-3@example.net rcpt=ann@example.org code=451 duplicate=possible client_gone=no")
        # Postfix kept it for a while, and it came to old and was swept.
        self.mail("mx-ann-1", ANN, 18, "old", copied=True, door="mx")
        self.texts["postfix"].append("Nov 28 mx postfix/cleanup[7]: 4AB: message-id=<mx-ann-1@chaos>")
        self.own("own-ann-5", ANN, "new", "INBOX", [])
        self.act("delete", ANN, "new", "own-ann-5")
        self.drop("own-ann-5", "new")
        # During an attempt: whether it was seen nobody knows.
        self.own("own-ann-6", ANN, "old", "INBOX", [], copied=True)
        self.act("flag", ANN, "old", "own-ann-6", sure=False, flag=SEEN, sign="+")
        self.act("delete", BOB, "new", "own-bob-1")
        self.drop("own-bob-1", "new")
        self.put("own-bob-1", BOB, "Trash", "old")
        self.mail("lmtp-both-1", ANN, 20, "new")
        self.mail("lmtp-both-1", BOB, 20, "new")
        # ... and the way back has carried bob's to old.
        self.add("old", BOB, "INBOX", "lmtp-both-1", octets=RECEIVED + octets_of("lmtp-both-1", ANN))

    # --- How it is made up ---------------------------------------------------------------

    def line(self, event, **fields):
        self.lines.append({"event": event, "time": START, **fields})

    def log(self, name, at, text):
        self.texts[name].append(f"time={stamp(START + at)} level=info {text}")

    def change(self, at, user, route, state, epoch):
        generation = len(self.map_log) + 1
        self.map_log.append({"generation": generation, "key": user, "when": stamp(START + at)[:19] + "Z",
                             "new": {"route": route, "state": state, "epoch": epoch}})
        self.log("mapd", at, f"event=map_change op=set key={user} who=root id=x generation={generation}")

    def saved(self, server, user, token, at):
        moment = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(START + at))
        self.texts[server].append(f"{moment}.{int(at % 1 * 1e6):06} lmtp({user})<5><x>: Info: msgid=<{token}@chaos>: saved mail to INBOX")

    def written(self, token, user, door):
        if not any(line["event"] == "message" and line["token"] == token for line in self.lines):
            octets = octets_of(token, user)
            self.line("message", token=token, door=door, body=body_digest(octets), head=head_lines(octets))

    def mail(self, token, user, at, server, copied=False, replies=(250,), times=1, door=None):
        door = door or token.partition("-")[0]
        self.written(token, user, door)
        for code in replies:
            self.line("dot", token=token, users=[user])
            self.line("reply", token=token, user=user, code=code, text="2.0.0 ok")
        octets = RECEIVED + octets_of(token, ANN if "both" in token else user)
        for _ in range(times):
            self.saved(server, user, token, at)
            for there in ("old", "new") if copied else (server,):
                self.add(there, user, "INBOX", token, octets=octets)

    def own(self, token, user, server, folder, flags, copied=False):
        self.written(token, user, "imap")
        self.line("append", token=token, user=user, server=server, folder=folder, flags=flags, date=START, sure=True)
        for there in ("old", "new") if copied else (server,):
            self.add(there, user, folder, token, flags)

    def act(self, what, user, server, token, sure=True, **fields):
        self.line(what, user=user, server=server, token=token, sure=sure, **fields)

    def add(self, server, user, folder, token, flags=(), octets=None, date=START):
        self.copies.append(copy_of(server, user, folder, flags, date, octets_of(token, user) if octets is None else octets))

    def of(self, token, server=None, user=None):
        return [c for c in self.copies if c.token == token and server in (None, c.server) and user in (None, c.user)]

    def drop(self, token, server=None, user=None):
        gone = self.of(token, server, user)
        self.copies = [c for c in self.copies if not any(c is other for other in gone)]

    def put(self, token, user, folder, server=None):
        for copy in self.of(token, server, user):
            copy.folder = folder

    def flags(self, token, flags, server=None):
        for copy in self.of(token, server):
            copy.flags = frozenset(flags)

    def twice(self, token, at="new", **fields):
        more = copies_of.copy(self.of(token, at)[0])
        for name, value in fields.items():
            setattr(more, name, value)
        self.copies.append(more)

    def altered(self, token, change, server="new"):
        [copy] = self.of(token, server)[:1]
        octets = change(RECEIVED + octets_of(token, copy.user))
        self.copies[[c is copy for c in self.copies].index(True)] = copy_of(server, copy.user, copy.folder, copy.flags, copy.date, octets)

    def judged(self):
        evidence = Evidence(copies=self.copies, home=self.home, states=self.states, stuck=self.stuck, crashes=self.ended)
        text = {name: "\n".join(lines) for name, lines in self.texts.items()}
        evidence.changes = changes(json.dumps(self.map_log), text["mapd"])
        evidence.arrivals = arrivals("old", text["old"]) + arrivals("new", text["new"])
        more, evidence.bounces = postfix_doubts(text["postfix"])
        evidence.doubts = relay_doubts(text["relay"]) + more
        evidence.crashes += [line for name in ("mapd", "relay") for line in crashes(name, text[name])]
        return judge(self.lines, evidence)


def stamp(moment):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment)) + f".{int(moment % 1 * 1000):03}Z"


# --- The faults: (what, kind, token, how) ---------------------------------------------------------------

def swept_away(story):
    story.drop("mx-ann-1", "new")


def replies_of(story, token):
    return [line for line in story.lines if line["event"] == "reply" and line["token"] == token]


def all_arrived(story, token):
    for line in replies_of(story, token):
        line["code"] = 451 if line["code"] == 0 else line["code"]


def late_delivery(story):
    story.twice("smtp-ann-2", "new", server="old")
    story.saved("old", ANN, "smtp-ann-2", 15.5)


PLANTED = [
    ("a delivery that was acknowledged and is nowhere", "LOST", "smtp-ann-2", lambda s: s.drop("smtp-ann-2")),
    ("the cut-over has not copied it", "LOST", "smtp-ann-1", lambda s: s.drop("smtp-ann-1", "new")),
    ("late mail that no sweep has found", "LOST", "mx-ann-1", swept_away),
    ("what its user put there is gone", "LOST", "own-ann-1", lambda s: s.drop("own-ann-1", "new")),
    ("both copies of a doubled one are gone", "LOST", "lmtp-ann-1", lambda s: s.drop("lmtp-ann-1")),
    ("one of two recipients has not got it", "LOST", "lmtp-both-1", lambda s: s.drop("lmtp-both-1", "old", BOB)),
    ("what nobody deleted is in Trash", "LOST", "smtp-bob-1", lambda s: s.put("smtp-bob-1", BOB, "Trash")),
    ("the way back has not carried it", "LOST", "smtp-bob-1", lambda s: s.drop("smtp-bob-1", "old")),
    ("a delivery is there twice", "DUP", "smtp-ann-2", lambda s: s.twice("smtp-ann-2")),
    ("copied twice", "DUP", "own-ann-2", lambda s: s.twice("own-ann-2")),
    ("copied again into another folder", "DUP", "own-ann-1", lambda s: s.twice("own-ann-1", folder="Work")),
    ("three, and one reply was lost", "DUP", "lmtp-ann-1", lambda s: s.twice("lmtp-ann-1")),
    ("two, and no reply was lost", "DUP", "lmtp-ann-1", lambda s: all_arrived(s, "lmtp-ann-1")),
    ("two, and the relay tells of no doubt", "DUP", "smtp-ann-3", lambda s: s.texts["relay"].clear()),
    ("swept twice", "DUP", "mx-ann-1", lambda s: s.twice("mx-ann-1")),
    ("one in its folder, and one in Trash", "DUP", "smtp-bob-1", lambda s: s.twice("smtp-bob-1", "old", folder="Trash")),
    ("in somebody else's mailbox", "MISROUTED", "smtp-ann-2", lambda s: s.twice("smtp-ann-2", user=BOB)),
    ("in somebody else's on the other server", "MISROUTED", "smtp-ann-1", lambda s: s.twice("smtp-ann-1", user=BOB, server="old")),
    ("the relay brought it to old behind the flip", "MISROUTED", "smtp-ann-2", late_delivery),
    ("the relay brought it to new before the flip", "MISROUTED", "smtp-ann-1", lambda s: s.saved("new", ANN, "smtp-ann-1", 5)),
    ("to new when its user was back", "MISROUTED", "smtp-bob-1", lambda s: s.saved("new", BOB, "smtp-bob-1", 40)),
    ("a line of the body is missing", "CORRUPT", "smtp-ann-2", lambda s: s.altered("smtp-ann-2", lambda o: o[:-9])),
    ("a dot was taken for stuffing", "CORRUPT", "smtp-ann-1", lambda s: s.altered("smtp-ann-1", lambda o: o + b".\r\n")),
    ("a field of the header is gone", "CORRUPT", "smtp-ann-2", lambda s: s.altered("smtp-ann-2", lambda o: o.replace(b"X-Folded", b"X-Moulded"))),
    ("octets of 8 bits were changed", "CORRUPT", "smtp-ann-2", lambda s: s.altered("smtp-ann-2", lambda o: o + "ü".encode())),
    ("on the server that was left as well", "CORRUPT", "smtp-ann-1", lambda s: s.altered("smtp-ann-1", lambda o: o[:-9], "old")),
    ("a flag is lost", "FLAGDIFF", "own-ann-1", lambda s: s.flags("own-ann-1", ())),
    ("a flag too many", "FLAGDIFF", "smtp-ann-1", lambda s: s.flags("smtp-ann-1", {SEEN})),
    ("a change of flags was not carried", "FLAGDIFF", "own-ann-4", lambda s: s.flags("own-ann-4", (), "new")),
    ("the date of arrival is another", "FLAGDIFF", "own-ann-2", lambda s: [setattr(c, "date", START + 3600) for c in s.of("own-ann-2")]),
    ("a move was not carried", "FOLDER", "own-ann-2", lambda s: s.put("own-ann-2", ANN, "INBOX", "new")),
    ("deleted before the flip, and on new", "RESURRECTED", "own-ann-3", lambda s: s.add("new", ANN, "INBOX", "own-ann-3")),
    ("deleted on new, and there again", "RESURRECTED", "own-ann-5", lambda s: s.add("new", ANN, "INBOX", "own-ann-5")),
    ("deleted on new, and on old in its folder", "RESURRECTED", "own-bob-1", lambda s: s.put("own-bob-1", BOB, "INBOX")),
    ("three stamps", "LOOPED", "smtp-ann-2", lambda s: s.altered("smtp-ann-2", lambda o: RECEIVED + RECEIVED + o)),
    ("refused as a loop", "LOOPED", "smtp-ann-2", lambda s: s.line("refused", token="smtp-ann-2", user=ANN, code=554, text="5.4.6 loop")),
    ("nobody has sent it", "GHOST", "smtp-ann-99", lambda s: s.add("new", ANN, "INBOX", "smtp-ann-99")),
    ("it was smuggled behind another", "GHOST", "smuggled", lambda s: s.add("new", ANN, "Work", "smuggled")),
    ("told, and never given a dot", "GHOST", "smtp-ann-7", lambda s: (s.written("smtp-ann-7", ANN, "smtp"), s.add("new", ANN, "INBOX", "smtp-ann-7"))),
    ("a user who exists is refused for ever", "REFUSED", "smtp-ann-2",
     lambda s: s.line("refused", token="smtp-ann-2", user=ANN, code=550, text="5.1.1 no such user")),
    ("Postfix has bounced it", "REFUSED", "mx-ann-1",
     lambda s: s.texts["postfix"].append("x postfix/lmtp[8]: 4AB: to=<ann@example.org>, relay=x, dsn=5.1.1, status=bounced (host said 550)")),
    ("old was emptied behind the flip", "SOURCE", "smtp-ann-1", lambda s: s.drop("smtp-ann-1", "old")),
    ("the hold has no end", "STUCK", "", lambda s: s.states.update({ANN: "held"})),
    ("a command has no end", "STUCK", "", lambda s: s.stuck.append((ANN, "cutover"))),
    ("a sanitizer has spoken", "CRASHED", "", lambda s: s.texts["relay"].append("==7==ERROR: AddressSanitizer: heap-use-after-free")),
    ("a program has ended by itself", "CRASHED", "", lambda s: s.ended.append("coexist-mapd ended by itself")),
]

UNDOUBTED = [
    ("a doubled one came only once", lambda s: s.copies.remove(s.of("lmtp-ann-1")[0])),
    ("no reply was written down, and it is there twice", lambda s: (s.line("dot", token="smtp-ann-2", users=[ANN]), s.twice("smtp-ann-2"))),
    ("a flag that was set during an attempt was seen", lambda s: s.flags("own-ann-6", {SEEN})),
    ("what was never acknowledged is not there",
     lambda s: (s.written("smtp-ann-8", ANN, "smtp"), s.line("dot", token="smtp-ann-8", users=[ANN]))),
    ("a delivery in doubt came to old behind the flip",
     lambda s: (s.log("mapd", 10.2, "event=barrier result=ambiguous waited_ms=9 who=root"), late_delivery(s))),
    ("mapd was killed before its log had the flip",
     lambda s: s.texts.update(mapd=[line for line in s.texts["mapd"] if "generation=4" not in line])),
    ("Postfix tells of a doubt", lambda s: (s.twice("mx-ann-1"), s.texts["postfix"].append(
        "x postfix/lmtp[8]: 4AB: to=<ann@example.org>, status=deferred (lost connection while sending end of data -- message may be sent more than once)"))),
    ("deleted during an attempt, and still there", lambda s: s.act("delete", ANN, "old", "own-ann-6", sure=False)),
]


def named(verdicts, kind, token):
    return any(verdict.kind == kind and token in ("", verdict.token) for verdict in verdicts)


def main():
    clean = [str(verdict) for verdict in faults(Story().judged())]
    for verdict in clean:
        print(f"chaos: in a run that went well: {verdict}")
    found = 0
    for what, kind, token, plant in PLANTED:
        story = Story()
        plant(story)
        verdicts = faults(story.judged())
        if named(verdicts, kind, token):
            found += 1
        else:
            print(f"chaos: not found: {what} ({kind} {token}): {[str(v) for v in verdicts]}")
    wrong = 0
    for what, plant in UNDOUBTED:
        story = Story()
        plant(story)
        for verdict in faults(story.judged()):
            wrong += 1
            print(f"chaos: no fault, and found: {what}: {verdict}")
    print(f"chaos: the judge finds {found} of {len(PLANTED)} planted faults, and none in {len(UNDOUBTED)} cases that look like one"
          if not wrong else f"chaos: {wrong} verdicts about cases that only look like faults")
    is_good = not clean and not wrong and 100 * found >= FOUND_MIN_PERCENT * len(PLANTED)
    return 0 if is_good else 1
