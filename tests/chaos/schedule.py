# SPDX-License-Identifier: ISC
"""Schedules: what happens in a run, as text that anybody can read, write, keep and replay.

    schedule = generate(17)                     the same steps for the same seed, always
    schedule.text()                             one step a line; parse(text) is the way back
    shrink(schedule, fails)                     leaves steps out as long as fails(candidate) holds

A step is a line of words.  A user is a name, DOOR one of smtp, lmtp, mx, LINK one of LINKS, SERVER old or new.
WORDS has all of them; docs/chaos.md explains them with an example.
"""
import random
from dataclasses import dataclass, field

USERS = ("ann", "bob")
DOORS = ("smtp", "lmtp", "mx")                  # the relay, the relay's LMTP, Postfix with the milter
LINKS = ("door.smtp", "door.lmtp", "door.mx", "old.lmtp", "new.lmtp", "old.imap", "new.imap")
PROCESSES = ("mapd", "lookup", "relay", "relay-worker", "milter", "sync", "sync-worker", "mover")
STARTED = ("mapd", "lookup", "relay", "milter", "sync")
FOLDERS = ("INBOX", "Work", "Alt.2025")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "Later")
STATES = ("prepared", "copying", "synced", "holding", "draining", "delta", "verified", "flipped", "sweeping", "done")

# Verb, its words, and what it does.
WORDS = {
    "daemon": ("", "coexist-sync run is started before anything else"),
    "cyrus": ("", "new is a Cyrus, and no Dovecot"),
    "disk": ("", "the state lies on a small file system"),
    "fill": ("USER COUNT", "so many messages are in the user's folders on old"),
    "mail": ("DOOR USERS COUNT", "clients begin to send so many messages, each to all of these users"),
    "do": ("USER append FOLDER | flag N SIGNFLAG | move N FOLDER | copy N FOLDER | delete N", "the user acts where his route leads to"),
    "late": ("USER FOLDER", "a message comes to the server that the user has left"),
    "move": ("USER SERVER", "a cut-over is begun"),
    "rollback": ("USER", "and this is wished for"),
    "until": ("USER STATE", "waits until the user's attempt has told this state, has ended, or is slow"),
    "pass": ("MS", "so much time goes by"),
    "kill": ("PROCESS", "kill -9, with all that it has started"),
    "start": ("PROCESS", "if it does not run"),
    "stop": ("PROCESS", "SIGSTOP"),
    "go": ("PROCESS", "SIGCONT"),
    "cut": ("LINK", "its connections are reset"),
    "cutat": ("LINK OCTETS", "the next connection is reset when so much has gone through"),
    "lose": ("LINK", "the next answer to the end of a message is lost"),
    "close": ("LINK", "nobody gets through"),
    "stall": ("LINK", "nothing comes through, and no connection ends"),
    "hang": ("LINK", "the end of the next message comes through only when the link is open again"),
    "slow": ("LINK MS", "each piece takes so long"),
    "open": ("LINK", "all is well with it again"),
    "full": ("", "the disk is full"),
    "room": ("", "and is not any more"),
}


class ScheduleError(ValueError):
    """A line that is no step."""


@dataclass
class Schedule:
    steps: list = field(default_factory=list)    # lists of words
    seed: int = 0

    def text(self):
        return "".join(" ".join(step) + "\n" for step in self.steps)

    def has(self, verb):
        return any(step[0] == verb for step in self.steps)


def _kinds(words):
    return {"USER": USERS, "DOOR": DOORS, "LINK": LINKS, "SERVER": ("old", "new"), "STATE": STATES, "PROCESS": PROCESSES,
            "FOLDER": FOLDERS}.get(words)


def _check(words):
    verb, rest = words[0], words[1:]
    if verb not in WORDS:
        return f"no such step; there are {', '.join(WORDS)}"
    wanted = WORDS[verb][0]
    if verb == "do":
        forms = {"append": ["FOLDER"], "flag": ["COUNT", "SIGNFLAG"], "move": ["COUNT", "FOLDER"], "copy": ["COUNT", "FOLDER"],
                 "delete": ["COUNT"]}
        if len(rest) < 2 or rest[0] not in USERS or rest[1] not in forms:
            return f"it is: {wanted}"
        wanted, rest = forms[rest[1]], rest[2:]
    else:
        wanted = wanted.split()
    if len(rest) != len(wanted):
        return f"it has the words: {WORDS[verb][0] or 'none'}"
    for kind, word in zip(wanted, rest):
        if _kinds(kind) and word not in _kinds(kind):
            return f"{word} is none of {', '.join(_kinds(kind))}"
        if kind in ("COUNT", "MS", "OCTETS") and not word.isdigit():
            return f"{word} is no number"
        if kind == "USERS" and not set(word.split(",")) <= set(USERS):
            return f"{word} is no list of {', '.join(USERS)}"
        if kind == "SIGNFLAG" and (word[:1] not in "+-" or word[1:] not in FLAGS):
            return f"{word} is no sign with one of {' '.join(FLAGS)}"
    return ""


def parse(text, seed=0):
    """Blank lines and those that begin with # are no steps."""
    steps = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        wrong = _check(words)
        if wrong:
            raise ScheduleError(f"line {number}: {line.strip()}: {wrong}")
        steps.append(words)
    return Schedule(steps, seed)


class Generator:
    """Draws a schedule.  Who changes it gives every seed another schedule: what a seed has found is kept as text."""

    def __init__(self, seed):
        self.rng, self.seed, self.steps = random.Random(f"chaos {seed}"), seed, []
        self.where = dict.fromkeys(USERS, "old")
        self.pending = []        # what has to be undone some steps later: (steps left, words)

    def say(self, *words):
        self.steps.append([str(word) for word in words])

    def later(self, *words):
        self.pending.append([self.rng.randrange(1, 5), [str(word) for word in words]])

    def run(self):
        rng = self.rng
        if rng.random() < 0.7:
            self.say("daemon")
        if rng.random() < 0.1:
            self.say("cyrus")
        has_disk = rng.random() < 0.12
        if has_disk:
            self.say("disk")
        for user in USERS:
            self.say("fill", user, rng.choice((2, 4, 7, 20)))
        kinds = [(self.mail, 22), (self.act, 20), (self.attempt, 12), (self.life, 5), (self.late, 4), (self.process, 11), (self.link, 14),
                 (self.quiet_time, 6)] + [(self.disk, 8)] * has_disk
        for _ in range(rng.randrange(10, 30)):
            rng.choices([kind for kind, _ in kinds], [weight for _, weight in kinds])[0]()
            self.undo()
        return Schedule(self.steps, self.seed)

    def undo(self):
        for item in self.pending:
            item[0] -= 1
        for _, words in [item for item in self.pending if item[0] <= 0]:
            self.steps.append(words)
        self.pending = [item for item in self.pending if item[0] > 0]

    def mail(self):
        users = self.rng.choice((*USERS, *USERS, ",".join(USERS)))
        self.say("mail", self.rng.choice(DOORS), users, self.rng.randrange(1, 6))

    def life(self):
        """A user who has moved lives there for a while, undisturbed by his attempt: what he does has to be exactly so."""
        user = self.rng.choice(USERS)
        self.where[user] = {"old": "new", "new": "old"}[self.where[user]]
        self.say("move", user, self.where[user])
        self.say("until", user, "done")
        for _ in range(self.rng.randrange(2, 6)):
            self.act(user)
        if self.rng.random() < 0.3:
            self.say("late", user, self.rng.choice(FOLDERS))

    def act(self, user=None):
        rng, user = self.rng, user or self.rng.choice(USERS)
        what = rng.choice(("append", "flag", "flag", "move", "copy", "delete", "delete"))
        words = {"append": [rng.choice(FOLDERS)], "flag": [rng.randrange(30), rng.choice("+-") + rng.choice(FLAGS)],
                 "move": [rng.randrange(30), rng.choice(FOLDERS)], "copy": [rng.randrange(30), rng.choice(FOLDERS)],
                 "delete": [rng.randrange(30)]}
        self.say("do", user, what, *words[what])

    def attempt(self):
        """A move, mostly with something that happens in the middle of it."""
        rng, user = self.rng, self.rng.choice(USERS)
        to = {"old": "new", "new": "old"}[self.where[user]] if rng.random() < 0.85 else self.where[user]
        self.say("move", user, to)
        self.where[user] = to
        for state in sorted(rng.sample(STATES, rng.choice((0, 1, 1, 2))), key=STATES.index):
            self.say("until", user, state)
            for _ in range(rng.randrange(3)):
                rng.choice((self.process, self.link, self.mail, self.act, self.act))()
            if rng.random() < 0.12:
                self.say("rollback", user)

    def late(self):
        self.say("late", self.rng.choice(USERS), self.rng.choice(FOLDERS))

    def process(self):
        rng, name = self.rng, self.rng.choice(PROCESSES)
        if rng.random() < 0.65:
            self.say("kill", name)
            if name in STARTED:
                self.later("start", name)
        else:
            self.say("stop", name)
            self.later("go", name)

    def link(self):
        rng, name = self.rng, self.rng.choice(LINKS)
        verb = rng.choice(("cut", "cutat", "lose", "close", "stall", "slow", "hang"))
        if verb in ("lose", "hang") and name.endswith("imap"):
            verb = "cut"
        more = {"cutat": [rng.randrange(1, 4000)], "slow": [rng.randrange(5, 60)]}.get(verb, [])
        self.say(verb, name, *more)
        if verb in ("close", "stall", "slow", "hang"):
            self.later("open", name)

    def disk(self):
        self.say("full")
        self.later("room")

    def quiet_time(self):
        self.say("pass", self.rng.randrange(10, 250))


def generate(seed):
    return Generator(seed).run()


def shrink(schedule, fails, tries=60):
    """The shortest schedule found that still fails: halves are left out first, then ever smaller parts."""
    steps, size = list(schedule.steps), max(1, len(schedule.steps) // 2)
    while tries > 0:
        at, is_shorter = 0, False
        while at < len(steps) and tries > 0:
            candidate = steps[:at] + steps[at + size:]
            tries -= 1
            if candidate and fails(Schedule(candidate, schedule.seed)):
                steps, is_shorter = candidate, True
            else:
                at += size
        if size == 1 and not is_shorter:
            break
        size = max(1, size // 2)
    return Schedule(steps, schedule.seed)
