# SPDX-License-Identifier: ISC
"""Users of a mailbox that is being copied, and what may have become of each message when all is quiet.

    tale = Tale(random.Random(seed))
    user = User(tale, Side(...), is_target=False)
    user.act()                          one random thing, and the tale knows it
    tale.judge(old, new)                a list of what is wrong, by the contents alone
    tale.flip(new)                      from here on the target is its user's, and
    tale.judge_flipped(new)             what the source says counts no more, but for late mail

old and new are what Side.look() gives, through places().

A message is known by its content: a token in its Subject and nothing else.  Some are born twice.  The judge
is in doubt where users of both sides did something to the same message, or while a pass was under way, and
then it allows both; what only one side did has to be exactly so.
"""
import collections
import re
import threading

from .mailbox import Mail, message

FOLDERS = ("INBOX", "Work", "Alt.2025", "Trash")
FLAGS = ("\\Seen", "\\Flagged", "\\Answered", "Later")
SUBJECT = re.compile(rb"Subject: (\S+)")
UID = re.compile(rb"UID (\d+)")


def body(token):
    return message(token, f"{token}\r\n" * (1 + hash_of(token) % 40))


def hash_of(token):
    return sum(ord(c) * 31 ** (i % 5) for i, c in enumerate(token))


class Life:
    """What users did to all messages of one content."""

    def __init__(self, is_own):
        self.is_own = is_own                   # born on the target
        self.touched = set()                   # flags that users of the target changed
        self.removed = collections.Counter()   # by users of the target, or moved away, from these folders
        self.n_deleted = 0                     # of removed: deleted
        self.sure = collections.Counter()      # of removed: while nothing was under way
        self.arrived = collections.Counter()   # moved to these folders by users of the target
        self.lost = collections.Counter()      # removed from these folders, or moved away, by users of the source
        self.unsure_lost = collections.Counter()  # of lost: while something was under way
        self.unsure_flags = set()              # changed by users of the source while something was under way
        self.n_late = None                     # deliveries to the source behind the flip; None: born before it
        self.base = {}                         # what the target had of it at the flip, by folder


class Tale:
    def __init__(self, rng):
        self.rng, self.lives, self.lock = rng, {}, threading.Lock()
        self.is_sure = True  # the last pass came to its end, and none is under way
        self.is_flipped = False
        self.has_twins = True  # the same content may be delivered again
        self.log = []

    def tell(self, text):
        self.log.append(text)

    def born(self, is_target):
        """A token: mostly a new one, now and then one of the same side again."""
        known = [t for t, life in self.lives.items() if life.is_own == is_target]
        if known and self.has_twins and self.rng.random() < 0.15:
            return self.rng.choice(known)
        token = f"{'own' if is_target else 'm'}{len(self.lives)}"
        self.lives[token] = Life(is_target)
        if self.is_flipped and not is_target:
            self.lives[token].n_late = 1
        return token

    def judge(self, old, new):
        wrong = []
        for token, life in self.lives.items():
            source, target = old.get(token, {}), new.get(token, {})
            total = [sum(len(v) for v in there.values()) for there in (source, target)]
            if total[1] < total[0] - life.n_deleted:
                wrong.append(f"LOST: {token}: {total[1]} of {total[0]}; {vars(life)}")
            for folder in sorted(set(source) | set(target) | set(life.arrived)):
                t, (low, high) = len(target.get(folder, [])), self.bounds(life, len(source.get(folder, [])), folder)
                if not low <= t <= high:
                    wrong.append(f"{'LOST' if t < low else 'TOO MANY'}: {token} in {folder}: {t}, not {low} to {high}; {vars(life)}")
                elif len(source.get(folder, [])) == t == 1 and not sum(life.unsure_lost.values()) and not life.arrived:
                    differ = (source[folder][0].flags ^ target[folder][0].flags) - life.touched - life.unsure_flags
                    if differ:
                        wrong.append(f"FLAGS: {token} in {folder}: {differ}; {vars(life)}")
        return wrong + self.strangers(old) + self.strangers(new)

    @staticmethod
    def bounds(life, count, folder):
        """How many a folder of the target may have for those of the source."""
        if life.is_own:
            known = life.arrived[folder] - life.removed[folder]
            return known, known
        # A copy that its user has removed or moved does not come back because its original is moved.
        removed = sum(life.removed.values()) if life.lost else life.removed[folder]
        low = max(0, max(count, life.arrived[folder]) - removed)
        high = count + life.arrived[folder] + life.unsure_lost[folder]
        if not life.lost[folder] and not life.arrived[folder]:
            high -= life.sure[folder]
        if life.touched or life.removed or life.arrived:
            high += life.lost[folder]
        return low, high

    def strangers(self, there):
        return [f"UNKNOWN: {token}" for token in there if token not in self.lives]

    def flip(self, new):
        self.is_flipped, self.has_twins = True, False
        for token, life in self.lives.items():
            life.__init__(life.is_own)
            life.base = new.get(token, {})

    def judge_flipped(self, new):
        wrong = []
        for token, life in self.lives.items():
            there = new.get(token, {})
            if life.n_late is not None:
                count = sum(len(v) for v in there.values())
                most = life.n_late - sum(life.removed.values()) + sum(life.arrived.values())
                if not most - sum(life.lost.values()) <= count <= most:
                    wrong.append(f"LATE: {token}: {count} for {most}; {vars(life)}")
                continue
            for folder in sorted(set(there) | set(life.base) | set(life.arrived)):
                count = len(life.base.get(folder, [])) + life.arrived[folder] - life.removed[folder]
                if len(there.get(folder, [])) != count:
                    wrong.append(f"CHANGED: {token} in {folder}: {len(there.get(folder, []))}, not {count}; {vars(life)}")
                elif count == 1 and not life.arrived and not life.removed:
                    gone = life.base[folder][0].flags - there[folder][0].flags - life.touched
                    if gone:
                        wrong.append(f"FLAGS: {token} in {folder}: lost {gone}; {vars(life)}")
        return wrong + self.strangers(new)


def places(shown, name):
    """{token: {folder: [Seen, ...]}}; name: the content of a Seen, as a token."""
    out = {}
    for folder, mails in shown.items():
        for seen in mails:
            out.setdefault(name(seen), {}).setdefault(folder, []).append(seen)
    return out


class User:
    """Somebody's mail client.  All that it does it does to messages that it sees there."""

    def __init__(self, tale, side, is_target):
        self.tale, self.side, self.is_target = tale, side, is_target

    def listing(self, folder):
        """[(uid, token)]"""
        self.side.select(folder)
        answer = self.side.client.uid("FETCH", "1:*", "(UID BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
        out = []
        for i, item in enumerate(answer):
            if isinstance(item, tuple):
                text = item[0] + (answer[i + 1] if isinstance(answer[i + 1], bytes) else b"")
                out.append((UID.search(text)[1].decode(), SUBJECT.search(item[1])[1].decode()))
        return sorted(out, key=lambda m: int(m[0]))

    def act(self, choices=("deliver", "deliver", "flag", "flag", "remove", "move")):
        with self.tale.lock:
            what, folder = self.tale.rng.choice(choices), self.tale.rng.choice(FOLDERS)
            at, other = self.tale.rng.random(), self.tale.rng.choice([f for f in FOLDERS if f != folder])
            flag, sign = self.tale.rng.choice(FLAGS), self.tale.rng.choice("+-")
            token = self.tale.born(self.is_target) if what == "deliver" else None
        if what == "deliver":
            self.tell(f"delivers {token} to {folder}")
            if self.is_target:
                self.tale.lives[token].arrived[folder] += 1
            self.side.fill({folder: [Mail(body(token), (flag,) if sign == "+" else ())]})
            return
        found = self.listing(folder)
        if not found:
            return
        uid, token = found[int(at * len(found))]
        life, is_sure = self.tale.lives[token], self.tale.is_sure
        if what == "flag":
            self.tell(f"{sign}{flag} {token} in {folder}")
            if self.is_target:
                life.touched.add(flag.lower())
            elif not is_sure:
                life.unsure_flags.add(flag.lower())
            self.side.store(folder, uid, sign + "FLAGS", flag)
            return
        self.tell(f"{what}s {token} from {folder}" + (f" to {other}" if what == "move" else ""))
        if self.is_target:
            life.removed[folder] += 1
            life.n_deleted += what == "remove"
            life.sure[folder] += is_sure
            life.arrived[other] += what == "move"
        else:
            life.lost[folder] += 1
            life.unsure_lost[folder] += not is_sure
        if what == "move":
            self.side.move(uid, folder, other)
        else:
            self.side.expunge(folder, uid)

    def tell(self, text):
        self.tale.tell(f"{'target' if self.is_target else 'source'} {text}" + ("" if self.tale.is_sure else " (meanwhile)"))
