# SPDX-License-Identifier: ISC
"""coexist-sync copy against servers that lie, stall, attack or simply do not know IMAP.

Numbers A29 to A36 are those of the attack catalogue.  Whatever a server does, the copy ends in time
with a status that says so, sends no password that it should not, takes no message twice and never
asks a target to delete anything.
"""
import itertools
import re
import threading

import pytest
from lib.fakeimap import CAPABILITIES, SILENT, FakeImap
from lib.mailbox import argv, run

MAIL = [b"Subject: one\r\n\r\nbody of one\r\n", b"Subject: two\r\n\r\nbody of two\r\n", b"Subject: three\r\n\r\n.\r\n"]
SECRETS = (b"ann-secret", b"AGFubkBleGFtcGxlLm9yZwBhbm4tc2VjcmV0")
TLS = ["--source-tls=encrypt"]
CAPABLE = b"* OK [CAPABILITY " + CAPABILITIES + b"] ready\r\n"
STARTTLS = b"* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] ready\r\n"


# Cases in which the server owes an answer for ever: it is to be given up.  A busy machine is no such server, so the others
# have patience with it.
SILENT_CASES = {"plain text where the handshake should be", "a greeting that never comes", "4 GiB announced", "cut in the literal", "BYE",
                "no answer", "still here, for ever", "a listing that stalls", "one byte at a time", "an answer to another tag",
                "an answer to a later tag", "a continuation", "challenges without end"}


def go(source, target, folder, *more, case=None):
    patience = "500ms" if case in SILENT_CASES else "30s"
    result = run(argv(source, target, folder, f"--timeout={patience}", "--settle=0s", *more), timeout=120)
    assert result.status >= 0, result.log
    assert b"EXPUNGE" not in target.received and b"Deleted" not in target.received
    # Each folder of the source has the same messages.
    stored = list(itertools.zip_longest(target.stored_in, target.appended))
    assert len(stored) == len(set(stored)), "a message twice"
    return result


def test_an_ordinary_fake_is_copied(tmp_path):
    with FakeImap(MAIL) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert target.appended == MAIL
        assert b"EXAMINE" in source.received and b"SELECT" not in source.received


# --- A29: no credential before TLS ------------------------------------------------------------

DOWNGRADES = {
    "PREAUTH": {"greeting": b"* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n"},
    "no STARTTLS": {"greeting": CAPABLE},
    "STARTTLS refused": {"greeting": STARTTLS, "STARTTLS": b"{tag} NO not today\r\n"},
    "STARTTLS is bad": {"greeting": STARTTLS, "STARTTLS": b"{tag} BAD what\r\n"},
    "a continuation instead": {"greeting": STARTTLS, "STARTTLS": b"+ go ahead\r\n"},
    "capabilities behind the OK": {"greeting": STARTTLS, "STARTTLS": b"{tag} OK go\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"},
    "a tagged OK behind the OK": {"greeting": STARTTLS, "STARTTLS": b"{tag} OK go\r\nc3 OK in\r\n"},
    "half a line behind the OK": {"greeting": STARTTLS, "STARTTLS": b"{tag} OK go\r\n*"},
    "PREAUTH in STARTTLS": {"greeting": STARTTLS, "STARTTLS": b"* PREAUTH in\r\n{tag} OK go\r\n"},
    "plain text where the handshake should be": {"greeting": STARTTLS, "STARTTLS": lambda s, t, l: t + b" OK go\r\n"},
    "capabilities before TLS": {"greeting": b"* OK hi\r\n", "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK\r\n"},
    "BYE": {"greeting": b"* BYE go away\r\n"},
    "an SMTP server": {"greeting": b"220 mail.example.net ESMTP\r\n"},
    "garbage": {"greeting": bytes(range(256)) * 4 + b"\r\n"},
    "nothing at all": {"greeting": None},
    "a greeting that never comes": {"greeting": SILENT},
}


@pytest.mark.parametrize("case", DOWNGRADES)
def test_a29_no_credential_before_tls(case, tmp_path):
    with FakeImap(MAIL, DOWNGRADES[case]) as source, FakeImap() as target:
        result = go(source, target, tmp_path, *TLS, case=case)
        assert result.status not in (0, 1), result.log
        assert not any(secret in source.received for secret in SECRETS)
        assert target.appended == []


SIGN_IN = {
    "PREAUTH without TLS": {"greeting": b"* PREAUTH hello\r\n"},
    "LOGINDISABLED": {"greeting": b"* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n"},
}


@pytest.mark.parametrize("case", SIGN_IN)
def test_a29_no_credential_where_none_is_wanted(case, tmp_path):
    with FakeImap(MAIL, SIGN_IN[case]) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status not in (0, 1)
        assert not any(secret in source.received for secret in SECRETS)


# --- A30: names of mailboxes --------------------------------------------------------------------

NAMES = {
    "a path": b'* LIST () "/" "../../etc/passwd"\r\n',
    "an absolute path": b'* LIST () "/" "/etc/passwd"\r\n',
    "a home": b'* LIST () "/" "~root"\r\n',
    "empty levels": b'* LIST () "/" "a//b/"\r\n',
    "invalid UTF-7": b'* LIST () "/" "&AOQ"\r\n* LIST () "/" "&"\r\n* LIST () "/" "&AGE-"\r\n',
    "raw bytes": b'* LIST () "/" {2}\r\n\xc3\xa4\r\n* LIST () "/" {1}\r\n\xe4\r\n',
    "a line feed": b'* LIST () "/" {3}\r\na\nb\r\n',
    "a backslash": b'* LIST () "\\\\" "a\\\\b"\r\n',
    "odd INBOX": b'* LIST () "/" inBOX\r\n* LIST () "/" Inbox\r\n',
    "the same again": b'* LIST () "/" a\r\n* LIST () "/" a\r\n* LIST () "/" "a"\r\n',
    "no hierarchy": b'* LIST () NIL "a/b"\r\n',
    "fifty levels": b'* LIST () "/" "' + b"/".join([b"x"] * 50) + b'"\r\n',
    "equal when folded": b'* LIST () "/" Work\r\n* LIST () "/" WORK\r\n* LIST () "/" work\r\n',
}


@pytest.mark.parametrize("case", NAMES)
def test_a30_names_are_quoted_and_never_merged(case, tmp_path):
    script = {"LIST": NAMES[case] + b"{tag} OK done\r\n"}
    with FakeImap(MAIL, script) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status in (0, 1), result.log
        created = [line for line in target.received.split(b"\r\n") if b" CREATE " in line]
        assert len(set(created)) == len(created)
        assert not any(b"\n" in line or b"\0" in line for line in created)
    # Nothing but the journal was written.
    assert {p.name for p in tmp_path.iterdir()} <= {"state", "source.password", "target.password"}


BAD_LISTS = {
    "a name of 10,000 bytes": (b'* LIST () "/" "' + b"n" * 10000 + b'"\r\n', (1,)),
    "a hundred levels": (b'* LIST () "/" "' + b"/".join([b"x"] * 100) + b'"\r\n', (1,)),
    "a NUL": (b'* LIST () "/" {3}\r\na\0b\r\n', (1,)),
    "a long delimiter": (b'* LIST () "::" a\r\n', (1,)),
    "a control character as delimiter": (b'* LIST () "\t" a\r\n', (1,)),
    "no name": (b'* LIST () "/"\r\n', (1,)),
    "an open quote": (b'* LIST () "/" "a\r\n', (0,)),
}


@pytest.mark.parametrize("case", BAD_LISTS)
def test_a30_what_is_no_name(case, tmp_path):
    listed, statuses = BAD_LISTS[case]
    with FakeImap(MAIL, {"LIST": listed + b"{tag} OK done\r\n"}) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status in statuses, result.log


# --- A31: literals and sizes ----------------------------------------------------------------------

def bodies(*parts):
    return {"BODY": b"".join(parts) + b"{tag} OK done\r\n"}


BODIES = {
    "NIL": (bodies(b"* 1 FETCH (UID 1 BODY[] NIL)\r\n"), 1, 0),
    "a quoted body": (bodies(b'* 1 FETCH (UID 1 BODY[] "Subject: q")\r\n', b"* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n",
                             b"* 3 FETCH (UID 3 BODY[] {1}\r\ny)\r\n"), 0, 3),
    "an empty body": (bodies(b"* 1 FETCH (UID 1 BODY[] {0}\r\n)\r\n", b"* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n",
                             b"* 3 FETCH (UID 3 BODY[] {1}\r\ny)\r\n"), 0, 3),
    "an empty quoted body": (bodies(b'* 1 FETCH (UID 1 BODY[] "")\r\n', b"* 2 FETCH (UID 2 BODY[] {1}\r\nx)\r\n",
                                    b"* 3 FETCH (UID 3 BODY[] {1}\r\ny)\r\n"), 0, 3),
    "4 GiB announced": (bodies(b"* 1 FETCH (UID 1 BODY[] {4294967295}\r\nabc"), 75, 0),
    "over 4 GiB": (bodies(b"* 1 FETCH (UID 1 BODY[] {4294967296}\r\nabc)\r\n"), 76, 0),
    "over 64 bits": (bodies(b"* 1 FETCH (UID 1 BODY[] {18446744073709551616}\r\nabc)\r\n"), 76, 0),
    "a negative size": (bodies(b"* 1 FETCH (UID 1 BODY[] {-1}\r\nabc)\r\n"), 1, 0),
    "a literal of clients": (bodies(b"* 1 FETCH (UID 1 BODY[] {3+}\r\nabc)\r\n"), 1, 0),
    "a million parentheses": (bodies(b"* 1 FETCH (UID 1 X " + b"(" * 1000000 + b"\r\n"), 1, 0),
    "a line without end": (bodies(b"* 1 FETCH (UID 1 X " + b"a" * 3000000), 76, 0),
    "a body that was not asked for": (bodies(b"* 9 FETCH (UID 99 BODY[] {3}\r\nabc)\r\n"), 1, 0),
    "UID 0": (bodies(b"* 1 FETCH (UID 0 BODY[] {3}\r\nabc)\r\n"), 76, 0),
    "the same body twice": (bodies(b"* 1 FETCH (UID 1 BODY[] {3}\r\nabc)\r\n" * 2), 1, 1),
    "a UID behind the body": (bodies(b"* 1 FETCH (BODY[] {3}\r\nabc UID 1)\r\n"), None, None),
    "another UID behind the body": (bodies(b"* 1 FETCH (BODY[] {3}\r\nabc UID 2)\r\n"), None, None),
    "cut in the literal": ({"BODY": lambda s, t, l: b"* 1 FETCH (UID 1 BODY[] {1000}\r\nabc"}, 75, 0),
    "a bare LF": (bodies(b"* 1 FETCH (UID 1\n)\r\n"), 1, 0),
    "NO": ({"BODY": b"{tag} NO gone\r\n"}, 1, 0),
    "BAD": ({"BODY": b"{tag} BAD what\r\n"}, 1, 0),
    "BYE": ({"BODY": b"* BYE overloaded\r\n"}, 75, 0),
    "an answer to another tag": ({"BODY": b"zz OK done\r\n"}, 75, 0),
    "an answer to a later tag": ({"BODY": b"c999 OK done\r\n"}, 75, 0),
    "a continuation": ({"BODY": b"+ more\r\n"}, 75, 0),
}


@pytest.mark.parametrize("case", BODIES)
def test_a31_bodies(case, tmp_path):
    script, status, stored = BODIES[case]
    with FakeImap(MAIL, script) as source, FakeImap() as target:
        result = go(source, target, tmp_path, case=case)
        assert status is None or result.status == status, result.log
        assert stored is None or len(target.appended) == stored
        assert all(m in (b"", b"x", b"y", b"abc", b"Subject: q") for m in target.appended)


def test_a31_a_uid_behind_each_body_is_only_slower(tmp_path):
    """Asked for one at a time, such a server is understood."""
    def body(server, tag, line):
        return b"".join(b"* %d FETCH (BODY[] {%d}\r\n%s UID %d)\r\n" % (u, len(server.messages[u - 1]), server.messages[u - 1], u)
                        for u in server.asked(line)) + tag + b" OK done\r\n"
    with FakeImap(MAIL, {"BODY": body}) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert sorted(target.appended) == sorted(MAIL)


# --- A32: lying UIDs -------------------------------------------------------------------------------

DATE = b'INTERNALDATE "02-Nov-2026 09:00:00 +0000"'
# Fewer messages than EXISTS has said are an exception, whatever the reason.
LISTINGS = {
    "UID 0": (b"* 1 FETCH (UID 0 FLAGS ())\r\n", (1,)),
    "descending": (b"".join(b"* %d FETCH (UID %d FLAGS () %s)\r\n" % (i, i, DATE) for i in (3, 2, 1)), (0,)),
    "repeated": (b"* 1 FETCH (UID 1 FLAGS ())\r\n" * 5 + b"* 2 FETCH (UID 2 FLAGS ())\r\n", (1,)),
    "beyond UIDNEXT": (b"* 1 FETCH (UID 4000000000 FLAGS ())\r\n", (1,)),
    "without UIDs": (b"* 1 FETCH (FLAGS ())\r\n", (1,)),
    "expunged meanwhile": (b"* 1 FETCH (UID 1 FLAGS () " + DATE + b")\r\n* 3 EXPUNGE\r\n* 2 EXPUNGE\r\n", (0,)),
    "a number expunged that is not there": (b"* 1 FETCH (UID 1 FLAGS () " + DATE + b")\r\n* 99 EXPUNGE\r\n* 0 EXISTS\r\n", (1,)),
    "strange dates": (b'* 1 FETCH (UID 1 FLAGS () INTERNALDATE "99-Foo-0000 00:00:00 +0000")\r\n', (1,)),
    "strange flags": (b"* 1 FETCH (UID 1 FLAGS (\\Recent \\Foo a[b] \xc3\xa4 $ok))\r\n", (1,)),
    "too many keywords": (b"* 1 FETCH (UID 1 FLAGS (" + b" ".join(b"k%d" % i for i in range(500)) + b"))\r\n", (1,)),
}


@pytest.mark.parametrize("case", LISTINGS)
def test_a32_listings(case, tmp_path):
    listing, statuses = LISTINGS[case]
    with FakeImap(MAIL, {"FETCH": listing + b"{tag} OK done\r\n"}) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status in statuses, result.log


# --- Lines that are not quite IMAP ------------------------------------------------------------------------

LISTED = b'* %d FETCH (UID %d FLAGS (%s) INTERNALDATE "02-Nov-2026 09:00:00 +0000")\r\n'
LINES = [LISTED % (i, i, b"\\Seen") for i in (1, 2, 3)]


def listed(*lines):
    return {"FETCH": b"".join(lines) + b"{tag} OK done\r\n"}


def opened(line):
    return {"EXAMINE": lambda s, t, l: line + s._ordinary("EXAMINE", t, l)}


# What is harmless is nothing but a line of the log.
HARMLESS = {
    "a quoted flag": listed(LINES[0].replace(b"\\Seen", b'"\\\\Seen"'), *LINES[1:]),
    "blanks": listed(*(x.replace(b" F", b"  F").replace(b"(", b"( ").replace(b")", b" ) ") for x in LINES)),
    "blanks in front": listed(*(b" " + x for x in LINES)),
    "bare LF": listed(*(x.replace(b"\r", b"") for x in LINES)),
    "CR CR LF": listed(*(x.replace(b"\r", b"\r\r") for x in LINES)),
    "empty lines": listed(*(b"\r\n\n" + x for x in LINES)),
    "FLAGS NIL": listed(*(x.replace(b"(\\Seen)", b"NIL") for x in LINES)),
    "sizes below 0": listed(*(x.replace(b"FLAGS", b"RFC822.SIZE -1 FLAGS") for x in LINES)),
    "answers to nothing": listed(b"c1 OK again\r\nzz NO never\r\n", *LINES),
    "flags of the folder": opened(b'* FLAGS ("\\\\Deleted" a(b) c))\r\n'),
    "blank lines of the folder": opened(b"\r\n \r\n* OK still here\n"),
    "the root": {"LIST": b'* LIST (\\Noselect) "/" ""\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n'},
    "numbers of a folder": {"STATUS": b"* STATUS INBOX (MESSAGES -1 UIDNEXT 4294967296 UIDVALIDITY 7 )\r\n{tag} OK done\r\n"},
    "two parts of a namespace": {"NAMESPACE": b'* NAMESPACE (("" "/")) NIL \r\n{tag} OK done\r\n'},
}

# Here something is lost that may have been about a message or a folder: named, and nothing is known to be gone.
LOST = {
    "a UID that is none": listed(*LINES[1:], LINES[0].replace(b"UID 1 ", b"UID 19564493749 ")),
    "UID -1": listed(*LINES[1:], LINES[0].replace(b"UID 1 ", b"UID -1 ")),
    "no UID and no end": listed(*LINES[1:], b"* 1 FETCH (FLAGS (\\Seen\r\n"),
    "no star": listed(*LINES[1:], LINES[0][2:]),
    "a word": listed(*LINES[1:], b"FETCH\r\n"),
    "a folder": {"LIST": b'* LIST () "/"\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n'},
    "a folder without a star": {"LIST": b'LIST () "/" Work\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n'},
}


@pytest.mark.parametrize("case", HARMLESS)
def test_odd_lines(case, tmp_path):
    with FakeImap(MAIL, HARMLESS[case]) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_copied, result.lines_unread) == (0, 3, 0), result.log
        assert target.appended == MAIL


@pytest.mark.parametrize("case", LOST)
def test_a_lost_line_deletes_nothing(case, tmp_path):
    """Everything was copied once; then it is told like this."""
    with FakeImap(MAIL) as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        source.script = LOST[case]
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_copied, result.messages_deleted) == (1, 0, 0), result.log
        assert result.lines_unread >= 1 and "event=imap_line_odd" in result.log and "E-SHORT" in result.log
        assert target.appended == MAIL


# --- Servers with habits ---------------------------------------------------------------------------------

def test_the_client_says_who_it_is_before_it_opens_a_folder(tmp_path):
    """NetEase opens none for who does not; where ID is not offered it is not said."""
    def examine(server, tag, line):
        return server._ordinary("EXAMINE", tag, line) if b" ID (" in server.received else tag + b" NO EXAMINE Unsafe Login\r\n"
    with FakeImap(MAIL, {"EXAMINE": examine}, CAPABILITIES + b" ID") as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        assert target.appended == MAIL and b" ID (" not in target.received


@pytest.mark.parametrize("silent", ("STATUS", "STATUS and SELECT"))
def test_a_target_that_tells_no_uidnext(silent, tmp_path):
    def without(name):
        return lambda s, t, l: re.sub(rb" UIDNEXT \d+|\* OK \[UIDNEXT \d+\] n\r\n", b"", s._ordinary(name, t, l))
    script = {name: without(name) for name in ("STATUS", "SELECT") if name in silent}
    other = b"Subject: other\r\n\r\n"
    with FakeImap(list(MAIL)) as source, FakeImap([other, MAIL[0]], script) as target:
        result = go(source, target, tmp_path, "--verify")
        assert (result.status, result.messages_copied, result.messages_adopted) == (0, 2, 1), result.log
        again = go(source, target, tmp_path)
        assert (again.status, again.messages_copied) == (0, 0), again.log
        assert target.appended == MAIL[1:]


@pytest.mark.parametrize("which", ("source", "target"))
def test_names_of_a_server_with_imap4rev2_only(which, tmp_path):
    """They are UTF-8 on its wire, and modified UTF-7 on the other one's."""
    new = CAPABILITIES.replace(b"IMAP4rev1", b"IMAP4rev2")
    lists = {"source": b"{9}\r\nEntw\xc3\xbcrfe\r\n* LIST () \"/\" R&D", "target": b"Entw&APw-rfe\r\n* LIST () \"/\" R&-D"}
    script = {"LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" ' + lists[which] + b"\r\n{tag} OK done\r\n"}
    with FakeImap(MAIL, script, new if which == "source" else CAPABILITIES) as source, \
            FakeImap([], None, new if which == "target" else CAPABILITIES) as target:
        assert go(source, target, tmp_path).status in (0, 1)  # this target has one INBOX
        old, utf8 = (target, source) if which == "source" else (source, target)
        assert b"{9+}\r\nEntw\xc3\xbcrfe" in utf8.received and b'"R&D"' in utf8.received
        assert b'"Entw&APw-rfe"' in old.received and b'"R&-D"' in old.received
        assert b"&APw-" not in utf8.received


@pytest.mark.parametrize("name, answer", [("BODY", b"BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds"),
                                          ("EXAMINE", b"NO [LIMIT] Rate limit hit"),
                                          ("FETCH", b"NO [OVERQUOTA] Account exceeded command or bandwidth limits. (Failure)")])
def test_a_server_that_has_no_time_refuses_nothing(name, answer, tmp_path):
    """Exchange has no code for it, others one that says something else."""
    busy = {name: b"{tag} " + answer + b"\r\n"}
    with FakeImap(MAIL, busy) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert (result.status, result.messages_failed, result.counts["folders_failed"]) == (75, 0, 0), result.log
        assert source.received.count(b"BODY.PEEK[]") <= 3
        source.script = {}
        assert go(source, target, tmp_path).status == 0
        assert target.appended == MAIL


APPENDUIDS = {
    "absent": b"{tag} OK done\r\n",
    "another UIDVALIDITY": b"{tag} OK [APPENDUID 999 1:3] done\r\n",
    "too few": b"{tag} OK [APPENDUID 7 1] done\r\n",
    "too many": b"{tag} OK [APPENDUID 7 1:100000] done\r\n",
    "all that there are": b"{tag} OK [APPENDUID 7 1:4294967295] done\r\n",
    "not a set": b"{tag} OK [APPENDUID 7 x] done\r\n",
    "UID 0": b"{tag} OK [APPENDUID 7 0:2] done\r\n",
}


@pytest.mark.parametrize("case", APPENDUIDS)
def test_a32_appenduid_is_not_believed(case, tmp_path):
    def append(server, tag, line):
        server.appended += server.literals
        server.messages = list(server.appended)
        return APPENDUIDS[case].replace(b"{tag}", tag)
    with FakeImap(MAIL) as source, FakeImap([], {"APPEND": append}) as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert sorted(target.appended) == sorted(MAIL)
        # The pairs were found by content, so nothing comes again.
        again = go(source, target, tmp_path)
        assert (again.status, again.messages_copied) == (0, 0), again.log


@pytest.mark.parametrize("capabilities", (CAPABILITIES, CAPABILITIES.replace(b" MULTIAPPEND", b"")), ids=("multi", "single"))
@pytest.mark.parametrize("n_others", (2, 4))
def test_a32_uids_of_others_are_not_ours(capabilities, n_others, tmp_path):
    """What is removed later would be somebody else's."""
    def append(server, tag, line):
        server.messages += server.literals
        return b"{tag} OK [APPENDUID 7 1%s] done\r\n" % (b":%d" % len(server.literals) if len(server.literals) > 1 else b"")

    def expunge(server, tag, line):
        expunged.extend(server.asked(line.replace(b"UID EXPUNGE", b"UID FETCH")))
        return b"{tag} OK done\r\n"
    expunged, others = [], [b"Subject: other %d\r\n\r\n" % i for i in range(n_others)]
    with FakeImap(list(MAIL)) as source, FakeImap(list(others), {"APPEND": append, "EXPUNGE": expunge}, capabilities) as target:
        line = argv(source, target, tmp_path, "--timeout=30s", "--settle=0s", "--verify")
        for _ in range(2):
            assert run(line).status == 0
        assert target.messages == others + MAIL
        source.messages.pop()
        assert run(line[:-3] + line[-2:]).messages_deleted == 1
        assert expunged == [n_others + 3]


TOO_HIGH = {"all": lambda first, n: b"%d:%d" % (first + 1, first + n), "the last": lambda first, n: b"%d:%d,%d" % (first, first + n - 2, first + n)}


@pytest.mark.parametrize("others", (0, 1))
@pytest.mark.parametrize("which", TOO_HIGH)
def test_a32_uids_that_others_get_later_are_not_ours(which, others, tmp_path):
    """One too high: the UID of what comes next, which a deletion would remove."""
    def append(server, tag, line):
        first = len(server.messages) + 1
        server.messages += server.literals
        return b"{tag} OK [APPENDUID 7 %s] done\r\n" % TOO_HIGH[which](first, len(server.literals))

    def expunge(server, tag, line):
        expunged.extend(server.asked(line.replace(b"UID EXPUNGE", b"UID FETCH")))
        return b"{tag} OK done\r\n"
    expunged, before = [], [b"Subject: other %d\r\n\r\n" % i for i in range(others)]
    with FakeImap(list(MAIL)) as source, FakeImap(list(before), {"APPEND": append, "EXPUNGE": expunge}) as target:
        line = argv(source, target, tmp_path, "--timeout=30s", "--settle=0s")
        assert run(line).status == 0
        target.messages.append(b"Subject: somebody else's\r\n\r\n")
        source.messages.pop()
        assert run(line).messages_deleted == 1
        assert expunged == [others + 3]
        assert target.messages[:-1] == before + MAIL


def test_a32_uids_below_a_uidnext_that_lies(tmp_path):
    """They are not believed, and found by content where they are."""
    def status(server, tag, line):
        n = len(server.stored(b"INBOX"))
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 100)
    with FakeImap(MAIL) as source, FakeImap([b"Subject: other\r\n\r\n"], {"STATUS": status}) as target:
        for _ in range(2):
            result = go(source, target, tmp_path, "--verify")
            assert result.status == 0, result.log
        assert target.appended == MAIL


def test_a32_a_new_uidvalidity_deletes_and_repeats_nothing(tmp_path):
    with FakeImap(MAIL) as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        target.messages = list(target.appended)
        source.uidvalidity = 8
        source.messages = MAIL[1:]
        again = go(source, target, tmp_path)
        # Each pair knows its content, and follows its message to its new UID: nothing is compared with the target.
        assert (again.status, again.messages_copied, again.messages_adopted) == (0, 0, 0), again.log
        target.uidvalidity = 9
        again = go(source, target, tmp_path)
        assert (again.status, again.messages_copied) == (0, 0), again.log


VALIDITIES = {"none": b"", "zero": b"* OK [UIDVALIDITY 0] v\r\n", "not a number": b"* OK [UIDVALIDITY x] v\r\n"}


@pytest.mark.parametrize("case", VALIDITIES)
def test_a32_a_folder_without_uidvalidity_is_an_exception_and_the_rest_goes_on(case, tmp_path):
    def examine(server, tag, line):
        told = VALIDITIES[case] if b"Bad" in line else b"* OK [UIDVALIDITY 7] v\r\n"
        return b"* 3 EXISTS\r\n" + told + b"{tag} OK [READ-ONLY] done\r\n"

    def status(server, tag, line):
        name = line.split()[2]
        return b"* STATUS " + name + b" (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7)\r\n{tag} OK done\r\n"
    names = b'* LIST () "/" Bad\r\n* LIST () "/" INBOX\r\n{tag} OK done\r\n'
    with FakeImap(MAIL, {"LIST": names, "EXAMINE": examine}) as source, FakeImap([], {"STATUS": status}) as target:
        result = go(source, target, tmp_path)
        assert (result.status, result.counts["folders_failed"]) == (1, 1), result.log
        assert "Bad" in result.log and target.appended == MAIL
        again = go(source, target, tmp_path, "--verify")
        assert (again.status, again.counts["folders_failed"], again.messages_copied) == (1, 1, 0), again.log
        assert again.counts["verified"]["missing"] > 0


def test_a32_a_target_with_uidvalidity_zero_takes_nothing_twice(tmp_path):
    with FakeImap(MAIL) as source, FakeImap() as target:
        target.uidvalidity = 0
        assert go(source, target, tmp_path).status == 1
        again = go(source, target, tmp_path)
        assert (again.status, again.counts["folders_failed"]) == (1, 1), again.log
        assert target.appended == []


# --- A33, A34, A35: refusals, stalls, referrals ---------------------------------------------------------

ANSWERS = {
    "APPEND is refused": ({"APPEND": b"{tag} NO not this one\r\n"}, 1),
    "APPEND is bad": ({"APPEND": b"{tag} BAD Command Argument Error 11\r\n"}, 1),
    "the quota is reached": ({"APPEND": b"{tag} NO [OVERQUOTA] full\r\n"}, 73),
    "the quota is reached, without a code": ({"APPEND": b"{tag} NO APPEND The 1500 MB storage limit has been exceeded.\r\n"}, 73),
    "the folder is gone": ({"APPEND": b"{tag} NO [TRYCREATE] no such folder\r\n"}, None),
    "throttled": ({"APPEND": b"{tag} NO [THROTTLED] slow down\r\n"}, 75),
    "in use": ({"APPEND": b"{tag} NO [INUSE] locked\r\n"}, None),
    "BYE": ({"APPEND": b"* BYE overloaded\r\n"}, 75),
    "closed": ({"APPEND": None}, 75),
    "no answer": ({"APPEND": SILENT}, 75),
    "still here, for ever": ({"APPEND": b"* OK Still here\r\n" * 1000}, 75),
    "an alert with an escape": ({"LIST": b"* OK [ALERT] \x1b[2Jboo\r\n* LIST () \"/\" INBOX\r\n{tag} OK\r\n"}, 0),
    "a referral": ({"AUTHENTICATE": b"{tag} NO [REFERRAL imap://evil.example/] go there\r\n"}, 77),
    "a wrong password": ({"AUTHENTICATE": b"{tag} NO [AUTHENTICATIONFAILED] no\r\n"}, 77),
    "challenges without end": ({"AUTHENTICATE": b"+ \r\n" * 50}, None),
    "a listing that stalls": ({"LIST": SILENT}, 75),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a33_a34_a35_answers(case, tmp_path):
    script, status = ANSWERS[case]
    with FakeImap(MAIL) as source, FakeImap([], script) as target:
        result = go(source, target, tmp_path, case=case)
        assert status is None or result.status == status, (result.status, result.log)
        assert ("run the same command to go on" in result.log) == (result.status in (69, 73, 74, 75, 76)), result.log
        assert "\x1b" not in result.log
        assert "\\x1b" not in result.log or "ALERT" not in case


def test_a34_one_byte_at_a_time_is_no_progress(tmp_path):
    """A server that drips is given up like one that is silent."""
    with FakeImap(MAIL) as source, FakeImap() as target:
        def drip(server, tag, line):
            sock = server.sockets[-1]
            stop = threading.Event()

            def run_drip():
                try:
                    sock.sendall(b"* 1 FETCH (UID 1 BODY[] {100000}\r\n")
                    while not stop.wait(0.05):
                        sock.sendall(b"x")
                except OSError:
                    pass
            threading.Thread(target=run_drip, daemon=True).start()
            return SILENT
        source.script["BODY"] = drip
        result = go(source, target, tmp_path, case="one byte at a time")
        assert result.status == 75, result.log


def test_a36_very_many_folders(tmp_path):
    names = b"".join(b'* LIST (\\Noselect) "/" f%d\r\n' % i for i in range(50000))
    with FakeImap(MAIL, {"LIST": names + b'* LIST () "/" INBOX\r\n{tag} OK done\r\n'}) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert len(target.appended) == 3
