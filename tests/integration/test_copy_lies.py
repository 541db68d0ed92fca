# SPDX-License-Identifier: ISC
"""A copy was made; then one of the two servers lies, stalls or floods.

Whatever it says, nothing of the target is removed that its user has not removed on the source, nothing comes twice, the
run ends in time with a status that says so and in little memory, and once the server is honest again the next run
mends what was left.
"""
import re

import pytest
from lib.chaos import IS_SOAK
from lib.fakeimap import CAPABILITIES, SILENT
from lib.lies import Stand

COUNT = 12  # more than a folder may have that becomes empty without a question
MAIL = [b"Subject: %d\r\n\r\nbody of %d\r\n" % (i, i) for i in range(1, COUNT + 1)]
LATE = b"Subject: late\r\n\r\nlate\r\n"
PEAK_KIB = 64 << 10
LINE = b'* %d FETCH (UID %d FLAGS () INTERNALDATE "02-Nov-2026 09:00:00 +0000" RFC822.SIZE 30)\r\n'
OK = b"{tag} OK done\r\n"
QUIET = "400ms"  # of a server that owes an answer for ever
PATIENT = "60s"
MODSEQ = CAPABILITIES + b" ENABLE CONDSTORE ESEARCH"
QRESYNC = MODSEQ + b" QRESYNC"


def stand_for(factory, **capabilities):
    return Stand(factory.mktemp("lies"), MAIL, **capabilities)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    made = stand_for(tmp_path_factory)
    yield made
    made.close()


@pytest.fixture(scope="module")
def condstore(tmp_path_factory):
    made = stand_for(tmp_path_factory, source=MODSEQ)
    yield made
    made.close()


@pytest.fixture(scope="module")
def qresync(tmp_path_factory):
    made = stand_for(tmp_path_factory, source=QRESYNC)
    yield made
    made.close()


# --- What is said in place of the truth ------------------------------------------------------------------

def lines(*uids):
    return b"".join(LINE % (i, uid) for i, uid in enumerate(uids, 1))


TRUE = range(1, COUNT + 1)
SHORT = range(1, COUNT)  # one is missing


def listed(*uids, before=b"", behind=b""):
    return {"FETCH": before + lines(*uids) + behind + OK}


def told(name, *changes):
    """The honest answer with changes: (pattern, replacement)."""
    def answer(server, tag, line):
        text = server._ordinary(name, tag, line)
        for pattern, replacement in changes:
            text = re.sub(pattern, lambda _, said=replacement: said, text)
        return text
    return {name: answer}


def flood(piece, count=None):
    """For ever, or so often."""
    def answer(server, tag, line):
        try:
            for _ in iter(int, 1) if count is None else range(count):
                server.sockets[-1].sendall(piece)
        except OSError:
            return None
        return OK
    return answer


def half(server, tag, line):
    server.sockets[-1].sendall(b"* OK half of a li")


WAYS = {
    "NO": b"{tag} NO not now\r\n",
    "BAD": b"{tag} BAD what\r\n",
    "OK and nothing else": OK,
    "BYE": lambda s, t, l: s.sockets[-1].sendall(b"* BYE going down\r\n"),
    "an end": None,
    "half a line": half,
    "silence": SILENT,
    "an answer to another": b"zz OK done\r\n",
    "a continuation": b"+ go on\r\n",
}
STALLS = {"silence", "an answer to another", "a continuation"}


# --- The source lies about what it has ---------------------------------------------------------------------

EXISTS, UIDNEXT, UIDVALIDITY = rb"\* \d+ EXISTS", rb"UIDNEXT \d+", rb"UIDVALIDITY \d+"


def opened(*changes):
    return told("EXAMINE", *changes)


SOURCE = {
    # Counts and lists that contradict each other.
    "0 there, all listed": opened((EXISTS, b"* 0 EXISTS")),
    "none listed": listed(),
    "one listed": listed(1),
    "one missing": listed(*SHORT),
    "the first missing": listed(*range(2, COUNT + 1)),
    "4294967295 there": {**opened((EXISTS, b"* 4294967295 EXISTS")), **listed(*SHORT)},
    "4294967296 there": {**opened((EXISTS, b"* 4294967296 EXISTS")), **listed(*SHORT)},
    "-1 there": {**opened((EXISTS, b"* -1 EXISTS")), **listed(*SHORT)},
    "no count": {**opened((EXISTS + rb"\r\n", b"")), **listed()},
    "no count, and one missing": {**opened((EXISTS + rb"\r\n", b"")), **listed(*SHORT)},
    "a count that falls to nothing": {**opened((EXISTS, b"\r\n".join(b"* %d EXISTS" % n for n in range(COUNT, -1, -1)))), **listed()},
    "a count that falls while it is listed": {"FETCH": b"* 3 EXISTS\r\n" + lines(1, 2, 3) + OK},
    "all expunged while it is listed": listed(behind=b"* 1 EXPUNGE\r\n" * COUNT),
    "100,000 expunged": listed(behind=b"* 1 EXPUNGE\r\n" * 100000),
    "number 0 expunged": listed(*SHORT, behind=b"* 0 EXPUNGE\r\n"),
    "a number expunged that is not there": listed(*SHORT, behind=b"* 4294967295 EXPUNGE\r\n"),
    "one more expunged than there are": listed(*SHORT, behind=b"* %d EXPUNGE\r\n" % (COUNT + 1)),
    "expunged that cannot be read": listed(*SHORT, behind=b"* x EXPUNGE\r\n"),
    "vanished, without QRESYNC": listed(*SHORT, behind=b"* VANISHED 1:12\r\n"),
    "vanished earlier, without QRESYNC": listed(*TRUE, before=b"* VANISHED (EARLIER) 1:4294967295\r\n"),
    # UIDs.
    "UID 0": listed(*SHORT, 0),
    "UID 4294967295": listed(*SHORT, 4294967295),
    "UID 4294967296": listed(*SHORT, 4294967296),
    "UID 2^64": listed(*SHORT, 1 << 64),
    "one UID for all": listed(*[1] * COUNT),
    "each UID twice, one missing": listed(*SHORT, *SHORT),
    "descending": listed(*reversed(TRUE)),
    "from 101 on": listed(*range(101, 101 + COUNT)),
    "the last UID everywhere": {"FETCH": b"".join(LINE % (i, COUNT) for i in TRUE) + OK},
    "no UIDs": {"FETCH": b"".join(b"* %d FETCH (FLAGS ())\r\n" % i for i in TRUE) + OK},
    "lines of others": {"FETCH": b"".join(b"* %d FETCH (UID %d)\r\n" % (i, i + 500) for i in TRUE) + OK},
    "two UIDs in a line": {"FETCH": lines(*SHORT) + b"* 12 FETCH (UID 12 UID 3 FLAGS ())\r\n" + OK},
    "400 UIDs more": listed(*range(1, 400)),
    # Numbers of the folder.
    "no UIDVALIDITY": opened((rb"\* OK \[UIDVALIDITY \d+\] v\r\n", b"")),
    "UIDVALIDITY 0": opened((UIDVALIDITY, b"UIDVALIDITY 0")),
    "UIDVALIDITY 2^32": opened((UIDVALIDITY, b"UIDVALIDITY 4294967296")),
    "UIDVALIDITY x": opened((UIDVALIDITY, b"UIDVALIDITY x")),
    "two UIDVALIDITYs": opened((rb"\* OK \[UIDVALIDITY 7\]", b"* OK [UIDVALIDITY 8] o\r\n* OK [UIDVALIDITY 7]")),
    "UIDVALIDITY in STATUS is another": told("STATUS", (UIDVALIDITY, b"UIDVALIDITY 8")),
    "UIDVALIDITY changes while it is listed": listed(before=b"* OK [UIDVALIDITY 8] v\r\n* 0 EXISTS\r\n"),
    "UIDVALIDITY changes in each line": {"FETCH": b"".join(b"* OK [UIDVALIDITY %d] v\r\n" % i + LINE % (i, i) for i in SHORT) + OK},
    "UIDNEXT 0": {**opened((UIDNEXT, b"UIDNEXT 0")), **listed(*SHORT)},
    "UIDNEXT 1": {**opened((UIDNEXT, b"UIDNEXT 1")), **listed(*SHORT)},
    "UIDNEXT 4294967295": {**opened((UIDNEXT, b"UIDNEXT 4294967295")), **listed(*SHORT)},
    "UIDNEXT 2^64": {**opened((UIDNEXT, b"UIDNEXT 18446744073709551616")), **listed(*SHORT)},
    "UIDNEXT goes back, and the end is gone": {**opened((UIDNEXT, b"UIDNEXT 4"), (EXISTS, b"* 3 EXISTS")), **listed(1, 2, 3)},
    "STATUS of nothing": told("STATUS", (rb"MESSAGES \d+ UIDNEXT \d+", b"MESSAGES 0 UIDNEXT 1")),
    "STATUS of four thousand million": told("STATUS", (rb"MESSAGES \d+ UIDNEXT \d+", b"MESSAGES 4294967295 UIDNEXT 4294967295")),
    "STATUS of another folder": told("STATUS", (rb"STATUS INBOX", b"STATUS Elsewhere")),
    "STATUS twice": told("STATUS", (rb"^", b"* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 9)\r\n")),
    "STATUS of 100,000 folders": told("STATUS", (rb"^", b"".join(b"* STATUS x%d (MESSAGES 1)\r\n" % i for i in range(100000)))),
    # Folders.
    "no folder": {"LIST": OK},
    "INBOX cannot be opened": {"LIST": b'* LIST (\\Noselect) "/" INBOX\r\n' + OK},
    "INBOX does not exist": {"LIST": b'* LIST (\\NonExistent) "/" INBOX\r\n' + OK},
    "only others": {"LIST": b'* LIST () "/" Other\r\n' + OK, "EXAMINE": b"{tag} NO no such folder\r\n"},
    "INBOX twice": {"LIST": b'* LIST (\\Noselect) "/" INBOX\r\n* LIST () "/" inbox\r\n' + OK},
    "INBOX shows others": {"LIST": b'* LIST (\\All) "/" INBOX\r\n' + OK},
    "INBOX is somebody else's": {"NAMESPACE": b'* NAMESPACE (("mine/" "/")) (("" "/")) NIL\r\n' + OK},
    "90,000 folders": {"LIST": b"".join(b'* LIST (\\Noselect) "/" d/%d\r\n' % i for i in range(90000)) + b'* LIST () "/" INBOX\r\n' + OK},
    "a folder in itself": {"LIST": b"".join(b'* LIST (\\Noselect) "/" "' + b"/".join([b"a"] * i) + b'"\r\n' for i in range(1, 64)) +
                           b'* LIST () "/" INBOX\r\n' + OK},
    "names that end lines": {"LIST": b'* LIST () "/" {8}\r\na\r\nb\0c\rd\r\n* LIST () "/" INBOX\r\n' + OK, "EXAMINE": OK},
    "names that climb": {"LIST": b'* LIST () "/" "../../../etc/passwd"\r\n* LIST () "/" "%s%n*"\r\n* LIST () "/" INBOX\r\n' + OK},
    "a name of 60,000 octets": {"LIST": b'* LIST () "/" {60000}\r\n' + b"n" * 60000 + b'\r\n* LIST () "/" INBOX\r\n' + OK},
    "another delimiter each": {"LIST": b'* LIST () "x" INBOX\r\n* LIST (\\Noselect) "." a.b\r\n* LIST (\\Noselect) "/" a/b\r\n' + OK},
    # Literals and sizes.
    "a literal in place of a flag": {"FETCH": b"* 1 FETCH (UID 1 FLAGS ({5}\r\n\\Seen))\r\n" + lines(*SHORT) + OK},
    "a literal of 64 KiB": {"FETCH": b"* 1 FETCH (X {65536}\r\n" + b"x" * 65536 + b")\r\n" + lines(*TRUE) + OK},
    "a literal above 64 KiB": {"FETCH": b"* 1 FETCH (X {65537}\r\n" + b"x" * 65537 + b")\r\n" + lines(*TRUE) + OK},
    "a literal of 4 GiB": {"FETCH": b"* 1 FETCH (X {4294967295}\r\n" + lines(*TRUE) + OK},
    "a literal of 2^64": {"FETCH": b"* 1 FETCH (X {18446744073709551616}\r\n" + lines(*TRUE) + OK},
    "a line of 3 MiB": {"FETCH": b"* 1 FETCH (UID 1 FLAGS (" + b"x" * (3 << 20) + b"))\r\n" + lines(*TRUE) + OK},
    "100,000 keywords": {"FETCH": b"".join(b"* 1 FETCH (UID 1 FLAGS (" + b" ".join(b"k%d" % i for i in range(n, n + 1000)) + b"))\r\n"
                                             for n in range(0, 100000, 1000)) + lines(*TRUE) + OK},
    "sizes of 2^32": {"FETCH": lines(*TRUE).replace(b"SIZE 30", b"SIZE 4294967296") + OK},
    # Noise.
    "old tags again": listed(*TRUE, before=b"c1 OK again\r\nc2 NO again\r\nc3 BAD\r\nc0 OK\r\nc4294967296 OK\r\nC99 OK\r\n"),
    "100,000 answers to nobody": listed(*TRUE, before=b"zz OK done\r\n" * 100000),
    "100,000 odd lines": listed(*TRUE, before=b"* \x01\x02 what\r\n" * 100000),
    "a greeting in between": listed(*SHORT, before=b"* OK [CAPABILITY IMAP4rev1] hello again\r\n* PREAUTH hi\r\n"),
    "capabilities go": listed(*TRUE, before=b"* CAPABILITY IMAP4rev1\r\n"),
    "no space left": listed(*SHORT, behind=b"* NO [SERVERBUG] index is broken\r\n"),
}
# What is lost by these is about no message, and what they contradict is known better.
HARMLESS = {"0 there, all listed", "vanished earlier, without QRESYNC", "descending", "INBOX shows others", "INBOX is somebody else's",
            "90,000 folders", "a folder in itself", "names that climb", "another delimiter each", "a literal of 64 KiB",
            "sizes of 2^32", "old tags again", "100,000 answers to nobody", "capabilities go", "two UIDVALIDITYs",
            "UIDVALIDITY in STATUS is another", "STATUS of four thousand million", "STATUS of another folder",
            "STATUS twice", "STATUS of 100,000 folders"}


def check(stand, result, allowed=()):
    assert stand.removed() <= set(allowed), result.log
    assert result.peak <= PEAK_KIB, result.peak
    stored = list(zip(stand.target.stored_in, stand.target.appended))
    assert len(set(stored)) == len(stored), "a message twice"


def mended(stand, mail, allowed=(), kept=()):
    """By the next run, when everybody says how it is.  kept: what a target may keep, having said that it is gone."""
    for server in (stand.source, stand.target):
        server.script = {}
    honest = stand.go(PATIENT)
    check(stand, honest, allowed)
    there = stand.target.stored(b"INBOX")
    assert there[:len(mail)] == mail and set(there[len(mail):]) <= set(kept), honest.log
    return honest


@pytest.mark.parametrize("case", SOURCE)
def test_a_source_that_lies_takes_nothing_away(case, plain):
    plain.restore()
    plain.source.script = SOURCE[case]
    lied = plain.go(PATIENT if case != "a literal of 4 GiB" else QUIET)
    check(plain, lied)
    assert (lied.status == 0) == (case in HARMLESS), (lied.status, lied.log)
    assert mended(plain, MAIL).status == 0


# --- The source stops at each step ---------------------------------------------------------------------------

# BYE and a reset are test_copy_cut.py's.
STEPS = [(step, way) for step in ("NAMESPACE", "LIST", "STATUS", "EXAMINE", "FETCH") for way in WAYS if way not in ("BYE", "an end")]


@pytest.mark.parametrize("step, way", STEPS)
def test_a_source_that_stops_takes_nothing_away(step, way, plain):
    plain.restore()
    plain.source.script = {step: WAYS[way]}
    lied = plain.go(QUIET if way in STALLS else PATIENT)
    check(plain, lied)
    is_needless = step in ("NAMESPACE", "STATUS") and way in ("NO", "BAD", "OK and nothing else")
    assert (lied.status == 0) == is_needless, (lied.status, lied.log)
    assert mended(plain, MAIL).status == 0


# --- The source never ends -----------------------------------------------------------------------------------

ENDLESS = {
    "still here": {"FETCH": flood(b"* OK still here\r\n" * 1000)},
    "the same message": {"FETCH": flood(lines(1) * 1000)},
    "counts": {"EXAMINE": flood(b"* 12 EXISTS\r\n* 0 EXISTS\r\n" * 1000)},
    "expunged": {"FETCH": flood(b"* 1 EXPUNGE\r\n" * 1000)},
    "odd lines": {"LIST": flood(b"* what is this\r\n" * 1000)},
    "one folder": {"LIST": flood(b'* LIST () "/" INBOX\r\n' * 1000)},
    "empty lines": {"STATUS": flood(b"\r\n" * 1000)},
    "one line": {"FETCH": flood(b"x" * 10000)},
    "one literal": {"FETCH": lambda s, t, l: (s.sockets[-1].sendall(b"* 1 FETCH (X {4294967295}\r\n"), flood(b"x" * 10000)(s, t, l))[1]},
    "a greeting": {"greeting": flood(b"* NO wait\r\n" * 1000)},
    "challenges": {"AUTHENTICATE": flood(b"+ bW9yZQ==\r\n" * 1000)},
}


# Eight million lines take a while to say.
SLOW = {"the same message", "one folder", "odd lines"}


@pytest.mark.parametrize("case", [case for case in ENDLESS if IS_SOAK or case not in SLOW])
def test_a_source_without_end_is_left(case, plain):
    plain.restore()
    plain.source.script = ENDLESS[case]
    lied = plain.go("100ms")
    check(plain, lied)
    assert lied.status not in (0, 1), lied.log
    assert mended(plain, MAIL).status == 0


# --- The source lies about what has changed --------------------------------------------------------------------

def behind_open(text):
    """EXAMINE with more in front of its end."""
    return told("EXAMINE", (rb"\{tag\} OK", text + b"{tag} OK"))


def with_modseq(number):
    return told("EXAMINE", (rb"\* OK \[HIGHESTMODSEQ \d+\] m\r\n", number))


def search(uids):
    return {"SEARCH": b'* ESEARCH (TAG "{tag}") UID' + uids + b"\r\n{tag} OK done\r\n"}


FEWER = (EXISTS, b"* %d EXISTS" % (COUNT - 1))
DELTAS = {
    "all vanished, and all there": ("qresync", behind_open(b"* VANISHED (EARLIER) 1:4294967295\r\n")),
    "some vanished, and all there": ("qresync", behind_open(b"* VANISHED (EARLIER) 3:5\r\n")),
    "one vanished, and all there": ("qresync", behind_open(b"* VANISHED (EARLIER) 12\r\n")),
    "vanished before it is open, and all there": ("qresync", {"EXAMINE": lambda s, t, l: b"* VANISHED (EARLIER) 1:12\r\n" + s._ordinary("EXAMINE", t, l)}),
    "two vanished, one fewer": ("qresync", told("EXAMINE", FEWER, (rb"\{tag\} OK", b"* VANISHED (EARLIER) 3,12\r\n{tag} OK"))),
    "vanished, 100,000 times": ("qresync", behind_open(b"* VANISHED (EARLIER) 1:12\r\n" * 100000)),
    "UID 0 vanished": ("qresync", behind_open(b"* VANISHED (EARLIER) 0:12\r\n")),
    "x vanished": ("qresync", behind_open(b"* VANISHED (EARLIER) x\r\n")),
    "vanished now": ("qresync", {"FETCH": b"* VANISHED 1:4294967295\r\n" + OK}),
    "flags of UID 0": ("qresync", behind_open(b"* 1 FETCH (UID 0 FLAGS (\\Deleted) MODSEQ (101))\r\n")),
    "no MODSEQ any more": ("qresync", with_modseq(b"* OK [NOMODSEQ] m\r\n")),
    "MODSEQ goes back": ("qresync", with_modseq(b"* OK [HIGHESTMODSEQ 1] m\r\n")),
    "MODSEQ 0": ("qresync", with_modseq(b"* OK [HIGHESTMODSEQ 0] m\r\n")),
    "MODSEQ 2^64": ("qresync", with_modseq(b"* OK [HIGHESTMODSEQ 18446744073709551616] m\r\n")),
    "MODSEQ goes back, and none is listed": ("qresync", {**with_modseq(b"* OK [HIGHESTMODSEQ 1] m\r\n"), "FETCH": OK}),
    "one fewer, and nobody says which": ("qresync", {**told("EXAMINE", FEWER), **search(b"")}),
    "one fewer, and a search of nothing": ("condstore", {**told("EXAMINE", FEWER), **search(b"")}),
    "one fewer, and three are found": ("condstore", {**told("EXAMINE", FEWER), **search(b" ALL 1:3")}),
    "one fewer, and others are found": ("condstore", {**told("EXAMINE", FEWER), **search(b" ALL 101:103")}),
    "one fewer, and all UIDs are found": ("condstore", {**told("EXAMINE", FEWER), **search(b" ALL 1:4294967295")}),
    "one fewer, and UID 0 is found": ("condstore", {**told("EXAMINE", FEWER), **search(b" ALL 0:11")}),
    "one fewer, and a search that is refused": ("condstore", {**told("EXAMINE", FEWER), "SEARCH": b"{tag} NO no\r\n"}),
    "QRESYNC is offered and refused": ("qresync", {"ENABLE": b"{tag} BAD what\r\n", "EXAMINE": lambda s, t, l: (
        t + b" BAD what\r\n" if b"QRESYNC" in l else s._ordinary("EXAMINE", t, l))}),
    "changes that are refused": ("condstore", {"FETCH": lambda s, t, l: b"{tag} NO no\r\n" if b"CHANGEDSINCE" in l else s._ordinary("FETCH", t, l)}),
    "fewer than all, and changes that are refused": ("condstore", {**told("EXAMINE", FEWER), **search(b" ALL 1:11"), "FETCH": b"{tag} NO no\r\n"}),
}


@pytest.mark.parametrize("case", DELTAS)
def test_changes_that_are_lies_take_nothing_away(case, request):
    kind, script = DELTAS[case]
    stand = request.getfixturevalue(kind)
    stand.restore()
    stand.source.modseq += 1
    stand.source.script = script
    lied = stand.go(PATIENT)
    check(stand, lied)
    assert lied.status in (0, 1), lied.log
    stand.source.modseq += 1
    assert mended(stand, MAIL).status == 0


# --- The target lies while it takes a message -------------------------------------------------------------------

def stored(answer):
    """It has taken the message, and then says this."""
    def append(server, tag, line):
        server._ordinary("APPEND", tag, line)
        return answer(server, tag, line) if callable(answer) else answer
    return {"APPEND": append}


TAKES = {
    **{f"{way} at {step}": {step: answer} for step in ("LIST", "STATUS") for way, answer in WAYS.items() if way not in ("BYE", "an end")},
    **{f"{way} at APPEND": {"APPEND": answer} for way, answer in WAYS.items() if way != "OK and nothing else"},
    **{f"stored, and {way}": stored(answer) for way, answer in WAYS.items()},
    "STATUS of nothing": told("STATUS", (rb"MESSAGES \d+ UIDNEXT \d+", b"MESSAGES 0 UIDNEXT 1")),
    "STATUS of four thousand million": told("STATUS", (rb"MESSAGES \d+ UIDNEXT \d+", b"MESSAGES 4294967295 UIDNEXT 4294967295")),
    "UIDVALIDITY 0": told("STATUS", (UIDVALIDITY, b"UIDVALIDITY 0")),
    "100,000 lines before the answer": stored(b"* 1 EXISTS\r\n* 1 EXPUNGE\r\n" * 100000 + b"{tag} OK [APPENDUID 7 13] done\r\n"),
    "the message is expunged at once": stored(b"* 13 EXPUNGE\r\n* 12 EXPUNGE\r\n{tag} OK [APPENDUID 7 13] done\r\n"),
    "a UID that was given before": stored(b"{tag} OK [APPENDUID 7 1] done\r\n"),
    "a UIDVALIDITY of its own": stored(b"{tag} OK [APPENDUID 4294967295 13] done\r\n"),
    "two answers": stored(b"{tag} OK [APPENDUID 7 13] done\r\n{tag} NO or not\r\n"),
    "two answers, the other way": stored(b"{tag} NO no\r\n{tag} OK [APPENDUID 7 13] done\r\n"),
}


@pytest.mark.parametrize("case", TAKES)
def test_a_target_that_lies_when_it_takes(case, plain):
    plain.restore()
    plain.source.messages.append(LATE)
    plain.target.script = TAKES[case]
    lied = plain.go(QUIET if any(way in case for way in STALLS) else PATIENT)
    check(plain, lied)
    mended(plain, MAIL + [LATE])


# --- The target lies while it removes one -----------------------------------------------------------------------

GONE = {
    **{f"{way} at {step}": {step: answer} for step in ("SELECT", "STORE", "EXPUNGE") for way, answer in WAYS.items()},
    "another UIDVALIDITY": told("SELECT", (UIDVALIDITY, b"UIDVALIDITY 8")),
    "no UIDVALIDITY": told("SELECT", (rb"\* OK \[UIDVALIDITY \d+\] v\r\n", b"")),
    "UIDVALIDITY 0": told("SELECT", (UIDVALIDITY, b"UIDVALIDITY 0")),
    "another UIDVALIDITY while it marks": {"STORE": b"* OK [UIDVALIDITY 8] v\r\n" + OK},
    "all are marked": {"STORE": b"".join(b"* %d FETCH (UID %d FLAGS (\\Deleted))\r\n" % (i, i) for i in TRUE) + OK},
    "all are expunged": {"EXPUNGE": b"* 1 EXPUNGE\r\n" * COUNT + OK},
    "100,000 are expunged": {"EXPUNGE": b"* 1 EXPUNGE\r\n" * 100000 + OK},
    "none is expunged": {"EXPUNGE": OK},
    "UIDs that were moved on": told("SELECT", (UIDNEXT, b"UIDNEXT 4294967295")),
    "UIDPLUS goes": told("SELECT", (rb"^", b"* CAPABILITY IMAP4rev1\r\n")),
    "one to be seen, then none": told("SELECT", (EXISTS, b"* 0 EXISTS")),
}


# It has not said that it is gone.
RETRIED = {f"{way} at EXPUNGE" for way in WAYS if way != "OK and nothing else"}


@pytest.mark.parametrize("case", GONE)
def test_a_target_that_lies_when_it_removes(case, plain):
    """What goes is what the source's user has removed, whatever the target says of others."""
    plain.restore()
    plain.source.messages.pop()
    plain.target.script = GONE[case]
    lied = plain.go(QUIET if any(way in case for way in STALLS) else PATIENT)
    check(plain, lied, allowed=(str(COUNT),))
    is_told = plain.target.script.get("EXPUNGE") is not None and case not in RETRIED
    mended(plain, MAIL[:-1], (str(COUNT),), MAIL[-1:] if is_told else ())
