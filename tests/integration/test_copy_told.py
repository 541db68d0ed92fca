# SPDX-License-Identifier: ISC
"""What a copy leaves out, cannot read or must not undo, it says; nothing of it is found out in silence."""
import re

import pytest
from lib.fakeimap import FakeImap
from lib.imap import quoted
from lib.mailbox import Mail, argv, copy, expunge, fill, look, message, run, same, when

ANN = "ann@example.org"
MAILS = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(4)]


def go(source, target, folder, *more):
    return run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more))


def codes(done):
    return [e["code"] for e in done.exceptions]


# --- Folders that only show messages of others ------------------------------------------------------

class Folders(FakeImap):
    """Each folder has messages of its own."""

    def __init__(self, boxes=(), script=None):
        self.boxes = dict(boxes)
        super().__init__([], {"STATUS": Folders.status, **(script or {})})

    def stored(self, folder):
        return self.boxes.get(folder, []) + super().stored(folder)

    def status(self, tag, line):
        return self._ordinary("STATUS", tag, line).replace(b"STATUS INBOX", b"STATUS " + line.split()[2])


class ShowsAll(Folders):
    """And one shows those of others, like Gmail's."""

    def __init__(self, boxes, shown, attribute=b"\\All"):
        self.n_bodies = 0
        names = b"".join(b'* LIST () "/" %s\r\n' % name for name in boxes)
        super().__init__({**boxes, b"All": shown}, {"LIST": names + b'* LIST (%s) "/" All\r\n{tag} OK done\r\n' % attribute,
                                                    "BODY": ShowsAll.body})

    def body(self, tag, line):
        self.n_bodies += len(self.asked(line)) if self.selected == b"All" else 0
        return self._ordinary("BODY", tag, line)


ONE, TWO, THREE, FOUR = MAILS
# Of one length and one date: nothing but the content tells them apart.
SHOWN = {
    "archived": ({b"INBOX": [ONE]}, [ONE, TWO, THREE], [2, 3]),
    "archived, and two labels": ({b"INBOX": [ONE], b"Label": [ONE]}, [ONE, TWO], [2]),
    "many labels": ({b"INBOX": [ONE, TWO], b"Label": [ONE, TWO], b"More": [ONE]}, [ONE, TWO, THREE], [3]),
    "a folder that is not shown": ({b"INBOX": [ONE], b"Trash": [FOUR]}, [ONE, TWO], [2]),
    "nothing but shown": ({b"INBOX": []}, [ONE], [1]),
    "all is elsewhere": ({b"INBOX": [ONE], b"Label": [ONE, TWO], b"Trash": [FOUR]}, [TWO, ONE], []),
    "nothing is shown": ({b"INBOX": [ONE]}, [], []),
}


@pytest.mark.parametrize("attribute", [b"\\All", b"\\Flagged", b"\\Important"])
@pytest.mark.parametrize("case", SHOWN)
def test_mail_that_is_only_where_all_is_shown(case, attribute, tmp_path):
    """Archived by taking it out of all folders, as Gmail does it: it comes along, once."""
    boxes, shown, only = SHOWN[case]
    with ShowsAll(boxes, shown, attribute) as source, Folders() as target:
        for n in (sum(map(len, boxes.values())) + len(only), 0):
            done = go(source, target, tmp_path, *([] if n else ["--verify"]))
            assert (done.status, done.messages_copied) == (0, n), done.log
            # Without headers or IDs each is read; what is nowhere else once more, when it is copied.
            assert source.n_bodies == len(shown) + len(only)
        assert sorted(target.appended) == sorted([mail for box in boxes.values() for mail in box] + [shown[uid - 1] for uid in only])
        there = b"Archive" if attribute == b"\\All" else b"All"
        assert target.stored_in.count(there) == len(only)


class Told(ShowsAll):
    """Tells headers, or Gmail's IDs, of which a message has the same in all folders."""

    def __init__(self, way, *args):
        super().__init__(*args)
        self.script["FETCH"] = getattr(Told, way)
        if way == "ids":
            self.capabilities += b" X-GM-EXT-1"

    def headers(self, tag, line):
        if b"BODY.PEEK[HEADER]" not in line:
            return self._ordinary("FETCH", tag, line)
        return b"".join(b"* %d FETCH (UID %d RFC822.SIZE %d BODY[HEADER]<0> {%d}\r\n%s)\r\n" % (u, u, len(mail), len(head), head)
                        for u in self.asked(line) for mail in [self.stored(self.selected)[u - 1]]
                        for head in [mail[:mail.index(b"\r\n\r\n") + 4]]) + tag + b" OK done\r\n"

    def ids(self, tag, line):
        if b"X-GM-MSGID" not in line:
            return self._ordinary("FETCH", tag, line)
        return b"".join(b"* %d FETCH (UID %d X-GM-MSGID %d)\r\n" % (u, u, 1 + NAMED.index(self.stored(self.selected)[u - 1]))
                        for u in self.asked(line)) + tag + b" OK done\r\n"


NAMED = [b"Message-ID: <%d@x>\r\n" % i + mail for i, mail in enumerate(MAILS)]


@pytest.mark.parametrize("way", ["headers", "ids"])
def test_what_is_elsewhere_too_is_not_read_again(way, tmp_path):
    """By what the server tells of a message it is known which of the copied ones it is."""
    with Told(way, {b"INBOX": NAMED[:2], b"Label": NAMED[1:2]}, NAMED[:3]) as source, Folders() as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, source.n_bodies) == (0, 4, 2), done.log
        source.boxes[b"INBOX"].append(NAMED[3])
        source.boxes[b"All"].append(NAMED[3])
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, source.n_bodies) == (0, 1, 2), done.log


VIRTUAL = """
mail_plugins = $mail_plugins virtual
namespace virtual {
  prefix = virtual.
  separator = .
  location = virtual:/etc/dovecot/virtual:INDEX=/var/mail/%Lu/virtual
  %s
}
namespace archived {
  prefix = Archived.
  separator = .
  location = maildir:/var/mail/%Lu/Archived
  list = no
}
"""
# Of the user's folders, and of those that no listing shows.
SHOWS = {"virtual/All/dovecot-virtual": "INBOX\nWork\nArchived.*\n  all\n"}


@pytest.mark.parametrize("told,place", [("mailbox All {\n special_use = \\All\n }", "Archive"), ("", "virtual.All")])
def test_virtual_folders_of_dovecot(told, place, dovecot, tmp_path):
    """With the plugin for them, told by their use or by their namespace."""
    old, new = dovecot("old", conf=VIRTUAL.replace("%s", told), files=SHOWS), dovecot("new")
    mails = [Mail(b"Message-ID: <%d@x>\r\n" % i + message(f"m{i}")) for i in range(6)]
    client = old.imap(ANN)
    fill(client, {"INBOX": mails[:2], "Work": mails[1:3]})
    client.create("Archived.2019")
    for mail in mails[3:5]:
        client.append("Archived.2019", None, None, mail.data)
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied) == (0, 6), done.log
    there = {name: [seen.sha for seen in found] for name, found in look(new.imap(ANN)).items()}
    assert {name: len(found) for name, found in there.items()} == {"INBOX": 2, "Work": 2, place: 2}
    # One gets a place of its own; one loses it, and has another number where all is shown; one comes.
    client.select("Archived.2019")
    client.uid("COPY", "1", "Work")
    client.select("INBOX")
    client.uid("COPY", "1", "Archived.2019")
    expunge(client, "INBOX", "1")
    client.append("Archived.2019", None, None, mails[5].data)
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied, done.messages_moved, done.messages_deleted) == (0, 2, 1, 1), done.log
    counts = {name: len(found) for name, found in look(new.imap(ANN)).items()}
    assert counts == {"INBOX": 1, "Work": 3, place: 3}


def test_a_folder_of_others_that_cannot_be_read(tmp_path):
    """Nobody knows what is in it, and that is said; what kills the source there costs no other mail."""
    with ShowsAll({b"INBOX": [ONE, TWO]}, [ONE, TWO]) as source, Folders() as target:
        source.script["EXAMINE"] = lambda s, t, l: t + b" NO you may not\r\n" if b"All" in l else s._ordinary("EXAMINE", t, l)
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, codes(done)) == (1, 2, ["E-FOLDER"]), done.log
        del source.script["EXAMINE"]
        source.script["BODY"] = lambda s, t, l: None if s.selected == b"All" else s._ordinary("BODY", t, l)
        done = go(source, target, tmp_path)
        assert done.status == 1 and codes(done)[-1:] == ["E-UNREAD"], done.log
        assert go(source, target, tmp_path).status == 1
        source.script["BODY"] = ShowsAll.body
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied) == (0, 0), done.log


@pytest.mark.parametrize("bad", [{2}, {1, 2, 3}])
def test_a_message_of_others_that_cannot_be_read(bad, tmp_path):
    """What can be read is copied all the same."""
    def body(server, tag, line):
        return tag + b" NO damaged\r\n" if server.selected == b"All" and bad & set(server.asked(line)) else server._ordinary("BODY", tag, line)
    with ShowsAll({b"INBOX": [ONE]}, [ONE, TWO, THREE]) as source, Folders() as target:
        source.script["BODY"] = body
        done = go(source, target, tmp_path)
        assert (done.status, codes(done)) == (1, ["E-UNREAD"]), done.log
        assert sorted(target.appended) == sorted([ONE] + ([THREE] if bad == {2} else []))
        source.script["BODY"] = ShowsAll.body
        done = go(source, target, tmp_path)
        assert (done.status, sorted(target.appended)) == (0, sorted([ONE, TWO, THREE])), done.log


def test_folders_without_mail(tmp_path):
    """Exchange shows calendars as folders of messages: each is named, and copied if somebody wants it."""
    names = (b"INBOX", b"Kalender", b"Kalender/Urlaub", b"Aufgaben", b"Privat")
    listed = b"".join(b'* LIST () "/" %s\r\n' % name for name in names) + b"{tag} OK done\r\n"
    greeting = b"* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] The Microsoft Exchange IMAP4 service is ready. [QgBO]\r\n"
    for script, n in (({"greeting": greeting}, 2), ({}, 5)):
        with Folders({name: [ONE] for name in names}, {"LIST": listed, **script}) as source, Folders() as target:
            done = go(source, target, tmp_path / str(n))
            assert (done.status, done.messages_copied) == (n == 2, n), done.log
            assert codes(done) == (["E-LEFT-OUT"] * 3 if n == 2 else []), done.log
            assert (done.counts["folders_left_out"], done.messages_left_out) == (5 - n, 5 - n)
            if n == 2:
                done = go(source, target, tmp_path / "2", "--accept=E-LEFT-OUT", "--include=INBOX", "--include=Kal*", "--include=Privat")
                assert (done.status, done.messages_copied) == (0, 2), done.log
                done = go(source, target, tmp_path / "2", "--exclude=Aufgaben", "--exclude=Kal*")
                assert done.status == 0, done.log


# --- Dates ----------------------------------------------------------------------------------------

@pytest.mark.parametrize("date", [b"", b'INTERNALDATE "00-Jan-0000 00:00:00 +0000"', b'INTERNALDATE "01-Jan-2019"'])
def test_a_message_without_a_date_is_named(tmp_path, date):
    def listing(server, tag, line):
        return re.sub(rb'(UID 2 FLAGS \(\)) INTERNALDATE "[^"]*"', rb"\1 " + date, server._ordinary("FETCH", tag, line)).replace(b"  ", b" ")
    with FakeImap(MAILS, {"FETCH": listing}) as source, FakeImap() as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, done.messages_reduced) == (1, 4, 1), done.log
        assert [(e["uid"], "date of today" in e["error"]) for e in done.exceptions] == [(2, True)]
        assert target.appended == MAILS
        # It stays an item until somebody accepts it.
        again = go(source, target, tmp_path)
        assert (again.status, again.messages_copied, again.counts["items_changed"]) == (1, 0, 1), again.log
        assert go(source, target, tmp_path, "--accept=E-DATE").status == 0


def test_dates_that_only_headers_tell(tmp_path):
    """The newest Received, else Date; it stays an item, since nobody knows better."""
    mails = [b"Received: by b; Tue, 1 Jan 2019 10:00:00 +0200\r\nReceived: by a; 1 Jan 2018 10:00:00 +0000\r\nDate: 1 Jan 2017 10:00:00 +0000\r\n\r\nx\r\n",
             b"Received: by a; soon\r\nDate: 1 Jan 2017 10:00:00 GMT\r\n\r\nx\r\n", b"Date: 1 Jan 2117 10:00:00 +0000\r\n\r\nx\r\n"]

    def fetch(server, tag, line):
        if b"HEADER.FIELDS" not in line:
            return re.sub(rb'INTERNALDATE "[^"]*"', b"INTERNALDATE NIL", server._ordinary("FETCH", tag, line))
        heads = [(uid, mails[uid - 1].partition(b"\r\n\r\n")[0] + b"\r\n\r\n") for uid in server.asked(line)]
        return b"".join(b"* %d FETCH (UID %d BODY[HEADER.FIELDS (DATE RECEIVED)]<0> {%d}\r\n%s)\r\n" % (uid, uid, len(head), head)
                        for uid, head in heads) + b"{tag} OK done\r\n"
    with FakeImap(mails, {"FETCH": fetch}) as source, FakeImap() as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, done.messages_reduced) == (1, 3, 3), done.log
        assert [(e["uid"], e["code"], "date of today" in e["error"]) for e in done.exceptions] == [
            (1, "E-DATE", False), (2, "E-DATE", False), (3, "E-DATE", True)]
        assert b' " 1-Jan-2019 10:00:00 +0200" {' in target.received and b' " 1-Jan-2017 10:00:00 +0000" {' in target.received
        assert target.appended == mails
        assert go(source, target, tmp_path, "--accept=E-DATE").status == 0


def answers_with_date(date):
    return lambda server, tag, line: re.sub(rb'INTERNALDATE "[^"]*"', b'INTERNALDATE "%s"' % date, server._ordinary("FETCH", tag, line))


@pytest.mark.parametrize("date, is_asked", [(b" 1-Jan-1970 00:00:00 +0000", True), (b"31-Dec-1969 23:59:59 +0000", True),
                                            (b" 1-Jan-2106 00:00:00 +0000", True), (b"17-Jul-1996 02:44:25 -0700", False)])
@pytest.mark.parametrize("keeps", [True, False])
def test_a_date_that_the_target_does_not_keep(date, is_asked, keeps, tmp_path):
    """It says OK, as Cyrus does to the first second of 1970 and Dovecot to what is still to come."""
    with FakeImap(MAILS, {"FETCH": answers_with_date(date)}) as source, FakeImap() as target:
        if keeps:
            target.script["FETCH"] = answers_with_date(date)
        done = go(source, target, tmp_path)
        is_told = is_asked and not keeps
        assert (done.status, done.messages_copied, done.messages_reduced) == ((1, 4, 4) if is_told else (0, 4, 0)), done.log
        assert [e["uid"] for e in done.exceptions if "another date" in e["error"]] == ([1, 2, 3, 4] if is_told else [])
        assert (b"INTERNALDATE" in target.received) == is_asked
        assert target.appended == MAILS
        assert go(source, target, tmp_path, "--accept=E-DATE").status == 0


@pytest.mark.parametrize("kind, date", [("dovecot", b" 1-Jan-2040 00:00:00 +0000"), ("cyrus", b" 1-Jan-1970 00:00:00 +0000")])
def test_a_date_that_a_real_target_does_not_keep(request, kind, date, tmp_path):
    new = request.getfixturevalue(kind)("new")
    with FakeImap(MAILS, {"FETCH": answers_with_date(date)}) as source:
        done = copy(source, new, tmp_path)
        there = look(new.imap(ANN), {"dovecot": ".", "cyrus": "/"}[kind])["INBOX"]
        n_other = sum(seen.date != when(date.decode()) for seen in there)
        assert len(there) == 4 and done.messages_reduced == n_other and done.status == (n_other > 0), done.log
        assert n_other == 4, "a server that keeps it: another date is wanted here"


# --- Flags ----------------------------------------------------------------------------------------

def test_flags_that_were_set_before_the_copy_was_known(tmp_path):
    """The answer to the APPEND is lost; its user reads and marks the message before the next run: both stay."""
    lost, flags = [], b""

    def append(server, tag, line):
        first = len(server.messages) + 1
        server.messages += server.literals
        if not lost:
            lost.append(1)
            server.sockets[-1].sendall(b"* BYE overloaded\r\n")
            return None
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))

    def listing(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"FLAGS ()", b"FLAGS (%s)" % flags)

    def status(server, tag, line):
        n = len(server.messages)
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)
    with FakeImap(MAILS) as source, FakeImap([], {"APPEND": append, "FETCH": listing, "STATUS": status}) as target:
        # The flags are there from the moment of storing on, whether the same run finds the copies or the next.
        flags = b"\\Seen \\Flagged"
        for _ in range(3):
            done = go(source, target, tmp_path)
        assert done.status == 0 and target.messages == MAILS, done.log
        assert b" STORE " not in target.received, target.received


# --- Names ----------------------------------------------------------------------------------------

def test_folders_whose_names_differ_in_case(dovecot, tmp_path):
    """Made in one run: each has its own numbers, its own messages, and its own deletions."""
    old, new = dovecot("old"), dovecot("new", separator="/")
    fill(old.imap(ANN), {name: [Mail(message(f"{name} {i}")) for i in range(n)] for name, n in (("Work", 3), ("WORK", 2), ("wOrk", 1))})
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied, done.counts["verified"]["missing"]) == (0, 6, 0), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))
    expunge(old.imap(ANN), quoted("WORK"), "1")
    done = copy(old, new, tmp_path, "--verify")
    assert (done.status, done.messages_copied, done.messages_adopted, done.messages_deleted) == (0, 0, 0, 1), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN), "/"))


# --- Flags and keywords ---------------------------------------------------------------------------

def test_keywords_that_the_target_does_not_keep(tmp_path):
    """It is asked before, what it does not keep is not sent, and each one is named, once for the folder."""
    def listing(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"UID 2 FLAGS ()", b"UID 2 FLAGS (\\Seen Work Later \\Recent)")

    def opened(server, tag, line):
        return b"* OK [PERMANENTFLAGS (\\Answered \\Deleted \\Draft \\Flagged \\Seen WORK)] .\r\n" + server._ordinary("SELECT", tag, line)
    with FakeImap(MAILS, {"FETCH": listing}) as source, FakeImap([], {"SELECT": opened}) as target:
        done = go(source, target, tmp_path)
        assert (done.status, done.messages_copied, done.messages_reduced) == (1, 4, 0), done.log
        assert [(e["code"], e["uid"], e["error"]) for e in done.exceptions] == [
            ("E-KEYWORD", 0, "the target's folder keeps none of these: Later")]
        assert done.counts["keywords_lost"] == 1
        assert b' (\\Seen Work) "' in target.received and b"Later" not in target.received and b"Recent" not in target.received
        assert go(source, target, tmp_path, "--accept=E-KEYWORD").status == 0
        assert b"Later" not in target.received


def test_a_keyword_that_cannot_be_set(tmp_path):
    """It costs itself, and neither the folder nor the other flags."""
    ours = {}

    def listing(server, tag, line):
        return re.sub(rb"UID (\d) FLAGS \(\)", lambda m: b"UID %b FLAGS (%b)" % (m[1], ours.get(int(m[1]), b"")), server._ordinary("FETCH", tag, line))

    def store(server, tag, line):
        return tag + b" NO [CANNOT] no keywords here\r\n" if b"Label" in line else server._ordinary("STORE", tag, line)
    with FakeImap(MAILS, {"FETCH": listing}) as source, FakeImap([], {"STORE": store}) as target:
        assert go(source, target, tmp_path).status == 0
        ours.update({1: b"Label", 2: b"\\Seen Label", 3: b"\\Seen"})
        for _ in range(2):
            done = go(source, target, tmp_path)
            assert (done.status, done.counts["folders_failed"], done.counts["items_changed"]) == (1, 0, 2), done.log
            assert [(e["code"], e["uid"], "does not set Label" in e["error"]) for e in done.exceptions] == [("E-FLAG", 1, True), ("E-FLAG", 2, True)]
        assert {uid: flags for (_, uid), flags in target.kept.items() if flags} == {2: [b"\\Seen"], 3: [b"\\Seen"]}
        del target.script["STORE"]
        assert go(source, target, tmp_path).status == 0
        assert target.kept[b"INBOX", 2] == [b"\\Seen", b"Label"]
