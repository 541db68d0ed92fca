# SPDX-License-Identifier: ISC
"""What became of each message: the ledger against the mailboxes and logs, when all is quiet.

    verdicts = judge(ledger_lines, evidence)     [Verdict(kind, user, token, text)]
    faults(verdicts)                             those that are failures; the others are duplicates with a cause

The judge knows nothing of the programs under test but what the manual pages promise, reads no file and asks nobody:
tests/chaos/teeth.py shows it mailboxes and logs that it has made up.

What a user did while his mailbox stood still has to be exactly so.  What he did during an attempt, or between one that
was killed and the next that came to its end, may have been seen or not ("sure" is false in the ledger): then both are
right, but nothing may be lost for it.
"""
import collections
from dataclasses import dataclass, field

TRASH = "Trash"
PASSES_MAX = 2
CLOCK_S = 0.005      # between a log's clock, which is cut to milliseconds, and another's

KINDS = {
    "LOST": "acknowledged, or put there by the user, and not in the mailbox",
    "DUP": "there are more than were accepted, and no lost acknowledgement tells why",
    "DUP-EXPLAINED": "there are more, because an acknowledgement was lost; no failure",
    "MISROUTED": "in a mailbox, or brought to a server, that was not its recipient's",
    "CORRUPT": "other octets than were sent",
    "FLAGDIFF": "other flags than its user has given it, or another date",
    "FOLDER": "in another folder than its user has put it into",
    "RESURRECTED": "its user has deleted it, and it is there again",
    "LOOPED": "it went through the gateway again and again",
    "GHOST": "nobody has ever sent it",
    "REFUSED": "refused for ever, or bounced, though the recipient exists",
    "SOURCE": "the server that the user has left does not have any more what it had",
    "STUCK": "it did not come to rest by itself when all faults had ended",
    "CRASHED": "a program ended by itself, or a sanitizer spoke",
}


@dataclass
class Verdict:
    kind: str
    user: str
    token: str
    text: str

    def __str__(self):
        return f"{self.kind}: {' '.join(filter(None, (self.user, self.token)))}: {self.text}"


@dataclass
class Copy:
    """A message as a server shows it."""
    server: str
    user: str
    folder: str
    token: str
    flags: frozenset
    date: float
    body: str            # digest
    octets: str          # digest of everything
    head: list           # lines
    passes: int          # stamps of the gateway


@dataclass
class Evidence:
    copies: list = field(default_factory=list)
    home: dict = field(default_factory=dict)         # user -> where the map routes in the end
    states: dict = field(default_factory=dict)       # user -> state of his entry in the end
    changes: list = field(default_factory=list)      # Change, oldest first
    arrivals: list = field(default_factory=list)     # Arrival
    doubts: list = field(default_factory=list)       # (token, cause): an acknowledgement that was lost inside
    bounces: list = field(default_factory=list)      # (token, user, text)
    stuck: list = field(default_factory=list)        # (user, text)
    crashes: list = field(default_factory=list)      # text


@dataclass
class Change:
    """Of the map: from when, at the earliest and at the latest, this is so."""
    user: str
    route: str
    state: str
    epoch: int
    low: float
    high: float
    is_ambiguous: bool = False    # a barrier behind it could not tell whether all deliveries had ended


@dataclass
class Arrival:
    """A server's log: stored, at this time."""
    server: str
    user: str
    token: str
    when: float


class Life:
    """What the ledger says about one message in one user's mailbox."""

    def __init__(self, is_mail=False):
        self.is_mail = is_mail
        self.dots = self.replies = self.acked = 0
        self.causes = []              # of more copies than were accepted
        self.appended = 0
        self.deleted = self.maybe_deleted = 0
        self.more = 0                 # copies that a doubt allows
        self.folder, self.flags, self.unsure_flags = "INBOX", set(), set()
        self.is_loose = False         # where it is, and how often, is in doubt
        self.is_twin = False          # there were several, and which one was meant nobody has written down
        self.servers = set()          # where it was put by its user
        self.old_deleted = False      # on old by its user, whenever
        self.date = None

    @property
    def low(self):
        return self.acked + self.appended - self.deleted - self.maybe_deleted

    @property
    def high(self):
        return self.acked + self.appended + len(self.causes) + self.more - self.deleted


class Judge:
    def __init__(self, lines, evidence):
        self.evidence, self.verdicts = evidence, []
        self.messages, self.lives, self.went_back = {}, {}, set()
        self.doors = {}
        for line in lines:
            getattr(self, "on_" + line["event"].replace("-", "_"))(line)
        for life in self.lives.values():
            for _ in range(life.dots - life.replies):
                life.causes.append("no reply was written down")
        for token, cause in evidence.doubts:
            for (user, other), life in self.lives.items():
                if other == token and life.dots:
                    life.causes.append(cause)

    def say(self, kind, user, token, text):
        self.verdicts.append(Verdict(kind, user, token, text))

    # --- The ledger ---------------------------------------------------------------------

    def life(self, line, user=None):
        return self.lives.setdefault((user or line["user"], line["token"]), Life())

    def on_message(self, line):
        self.messages[line["token"]] = line

    def on_dot(self, line):
        for user in line["users"]:
            self.life(line, user).dots += 1
            self.life(line, user).is_mail = True

    def on_reply(self, line):
        life = self.life(line)
        life.replies += 1
        if line["code"] == 250:
            life.acked += 1
        elif line["code"] == 0:
            life.causes.append("the client lost the reply")
        elif line["code"] >= 500:
            self.on_refused(line)

    def on_refused(self, line):
        looped = "5.4.6" in line["text"]
        self.say("LOOPED" if looped else "REFUSED", line["user"], line["token"], f"{line['code']} {line['text']}")

    def on_append(self, line):
        life = self.life(line)
        life.appended += 1
        life.folder, life.flags, life.date = line["folder"], {f.lower() for f in line.get("flags", ())}, line.get("date")
        life.servers.add(line["server"])

    def on_flag(self, line):
        life, flag = self.life(line), line["flag"].lower()
        if line["sure"]:
            life.unsure_flags.discard(flag)
            (life.flags.add if line["sign"] == "+" else life.flags.discard)(flag)
        else:
            life.unsure_flags.add(flag)

    def on_move(self, line):
        life = self.life(line)
        if line["sure"] and not life.is_loose:
            life.folder = line["folder"]
        else:
            life.is_loose = True
            life.more += 1
        life.old_deleted |= line["server"] == "old"

    def on_copy(self, line):
        life = self.life(line)
        life.is_twin = True
        if line["sure"] and not life.is_loose:
            life.appended += 1
        else:
            life.more += 1

    def on_delete(self, line):
        life = self.life(line)
        if line["sure"] and not life.is_loose:
            life.deleted += 1
        else:
            life.maybe_deleted += 1
            life.is_loose = True
        life.old_deleted |= line["server"] == "old"

    def on_turn(self, line):
        if line["to"] == "old":
            self.went_back.add(line["user"])

    # --- The mailboxes --------------------------------------------------------------------

    def run(self):
        self.strangers()
        self.by_user()
        self.routes()
        self.source()
        evidence = self.evidence
        for token, user, text in evidence.bounces:
            self.say("LOOPED" if "5.4.6" in text else "REFUSED", user, token, text)
        for user, text in evidence.stuck:
            self.say("STUCK", user, "", text)
        for user, state in evidence.states.items():
            if state != "active":
                self.say("STUCK", user, "", f"the map has its entry as {state}")
        for text in evidence.crashes:
            self.say("CRASHED", "", "", text)
        return self.verdicts

    def strangers(self):
        """Each copy anywhere: somebody has sent it, to this user, with these octets."""
        for copy in self.evidence.copies:
            sent, where = self.messages.get(copy.token), f"{copy.folder} on {copy.server}"
            owners = {user for user, token in self.lives if token == copy.token}
            if sent is None or not owners:
                self.say("GHOST", copy.user, copy.token, f"in {where}")
                continue
            if copy.user not in owners:
                self.say("MISROUTED", copy.user, copy.token, f"it was for {', '.join(sorted(owners))}, in {where}")
            if copy.body != sent["body"]:
                self.say("CORRUPT", copy.user, copy.token, f"its body in {where}")
            elif copy.head[-len(sent["head"]):] != sent["head"]:
                self.say("CORRUPT", copy.user, copy.token, f"its header in {where}")
            if copy.passes > PASSES_MAX:
                self.say("LOOPED", copy.user, copy.token, f"{copy.passes} stamps in {where}")

    def by_user(self):
        there = collections.defaultdict(list)
        for copy in self.evidence.copies:
            if copy.server == self.evidence.home.get(copy.user):
                there[copy.user, copy.token].append(copy)
        for (user, token), life in self.lives.items():
            if user in self.evidence.home:
                self.count(user, token, life, there[user, token])

    def count(self, user, token, life, copies):
        home = self.evidence.home[user]
        outside = [copy for copy in copies if copy.folder != TRASH]
        places = ", ".join(sorted(copy.folder for copy in copies)) or "nowhere"
        # What a roll-back takes out of a folder goes to Trash, and is still there.
        in_trash = len(copies) - len(outside)
        present = len(outside) + (in_trash if life.is_loose else 0)
        if present < max(0, life.low):
            self.say("LOST", user, token, f"{life.low} have to be on {home}, and it is {places}")
            return
        if len(outside) > max(0, life.high):
            kind = "RESURRECTED" if life.deleted + life.maybe_deleted else "DUP"
            self.say(kind, user, token, f"{life.high} may be on {home}, and it is in {places}")
            return
        if in_trash and not (life.is_loose or (life.deleted and user in self.went_back)):
            self.say("DUP", user, token, f"nobody has deleted it on {home}, and it is in {places}")
            return
        if len(outside) > life.acked + life.appended - life.deleted and not life.is_loose:
            self.say("DUP-EXPLAINED", user, token, f"in {places}: {'; '.join(life.causes)}")
        if len(outside) == 1 and life.low == life.high == 1 and not (life.is_loose or life.is_twin):
            self.exactly(user, token, life, outside[0])

    def exactly(self, user, token, life, copy):
        if copy.folder != life.folder:
            self.say("FOLDER", user, token, f"in {copy.folder} on {copy.server}, and its user has it in {life.folder}")
        differ = ({flag.lower() for flag in copy.flags} ^ life.flags) - life.unsure_flags
        if differ:
            self.say("FLAGDIFF", user, token, f"{' '.join(sorted(differ))} in {copy.folder} on {copy.server}: its flags are "
                     f"{' '.join(sorted(copy.flags)) or 'none'}")
        if life.date is not None and copy.date != life.date:
            self.say("FLAGDIFF", user, token, f"its date on {copy.server} is {copy.date - life.date:+.0f} s off")

    # --- The routes -----------------------------------------------------------------------

    def routes(self):
        """What the relay brought to a server came while the map said so."""
        for arrival in self.evidence.arrivals:
            sent = self.messages.get(arrival.token)
            if sent is None or sent["door"] not in ("smtp", "lmtp"):
                continue      # an MTA in front asks for a route before its own queue; what comes late is swept
            if not self.may_arrive(arrival):
                self.say("MISROUTED", arrival.user, arrival.token, f"stored on {arrival.server}, which was not the route then")

    def may_arrive(self, arrival):
        changes = [change for change in self.evidence.changes if change.user == arrival.user]
        for number, change in enumerate(changes):
            following = changes[number + 1:]
            if change.route == arrival.server:
                end = next((c for c in following if c.route != arrival.server), None)
                begin = change.low
                if number and changes[number - 1].route != change.route:
                    begin = changes[number - 1].low      # since its hold: the flip is told when it has happened
                is_open = any(c.is_ambiguous for c in following)
                if begin - CLOCK_S <= arrival.when and (end is None or is_open or arrival.when <= end.high + CLOCK_S):
                    return True
        return not changes

    # --- The server that was left -----------------------------------------------------------

    def source(self):
        """Until somebody moves back, old keeps what it had but for what its user removed there."""
        on_old = {(copy.user, copy.token) for copy in self.evidence.copies if copy.server == "old"}
        stored = {(a.user, a.token) for a in self.evidence.arrivals if a.server == "old"}
        for (user, token), life in self.lives.items():
            was_there = (user, token) in stored or "old" in life.servers
            if was_there and user not in self.went_back and not life.old_deleted and (user, token) not in on_old:
                self.say("SOURCE", user, token, "it was on old, and is not any more")


def judge(lines, evidence):
    return Judge(lines, evidence).run()


def faults(verdicts):
    return [verdict for verdict in verdicts if verdict.kind != "DUP-EXPLAINED"]
