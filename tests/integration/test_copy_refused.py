# SPDX-License-Identifier: ISC
"""A NO is looked at before it is believed: servers store and then say NO, and not every MULTIAPPEND is atomic.  And what kills a
connection is found, named and left out."""
import re
import shutil

import pytest
from lib.fakeimap import CAPABILITIES, LITERAL, FakeImap, named
from lib.mailbox import argv, run

SINGLE = CAPABILITIES.replace(b" MULTIAPPEND", b"")
NO_UIDS = CAPABILITIES.replace(b" UIDPLUS", b"")


def mails(n):
    return [b"Subject: %d\r\n\r\nbody of %d\r\n" % (i, i) for i in range(n)]


def status(server, tag, line):
    n = len(server.messages)
    return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)


def target(answer, capabilities=CAPABILITIES):
    """answer(server): which of the literals are stored, and None for OK or else what it says."""
    def append(server, tag, line):
        first = len(server.messages) + 1
        stored, text = answer(server)
        server.messages += stored
        if text:
            return b"{tag} " + text + b"\r\n"
        if b"UIDPLUS" not in capabilities:
            return b"{tag} OK done\r\n"
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))
    return FakeImap([], {"APPEND": append, "STATUS": status}, capabilities=capabilities)


def runs(source, target, folder, count=2, *more):
    return [run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more)) for _ in range(count)]


@pytest.mark.parametrize("capabilities", (CAPABILITIES, SINGLE, NO_UIDS), ids=("multi", "single", "no-uids"))
def test_stored_and_refused(capabilities, tmp_path):
    """A server whose time is over behind the storing."""
    with FakeImap(mails(3)) as source, \
            target(lambda server: (server.literals, b"NO Server error, please try again later"), capabilities) as new:
        done = runs(source, new, tmp_path)
        assert sorted(new.messages) == sorted(source.messages), done[0].log
        assert [d.status for d in done] == [0, 0], done[0].log
        assert done[0].messages_copied == 3 and done[1].messages_copied == 0


@pytest.mark.parametrize("capabilities", (CAPABILITIES, NO_UIDS), ids=("uids", "no-uids"))
@pytest.mark.parametrize("keeps", ("none", "before", "all good"))
def test_an_append_that_is_not_atomic(keeps, capabilities, tmp_path):
    def answer(server):
        bad = [b"Subject: 7\r\n" in m for m in server.literals]
        if not any(bad):
            return server.literals, None
        kept = {"none": [], "before": server.literals[:bad.index(True)],
                "all good": [m for m, b in zip(server.literals, bad) if not b]}[keeps]
        return kept, b"NO message contains a bad header"
    with FakeImap(mails(10)) as source, target(answer, capabilities) as new:
        done = runs(source, new, tmp_path)
        assert len(new.messages) == 9 and len(set(new.messages)) == 9, done[0].log
        assert done[0].status == 1 and done[0].messages_copied == 9
        assert [e["uid"] for e in done[0].counts["exceptions"]] == [8]


def test_equal_messages_and_a_no(tmp_path):
    """Two were stored of three equal ones: one more is sent, not three."""
    said = []

    def answer(server):
        if not said:
            said.append(1)
            return server.literals[:2], b"NO try again"
        return server.literals, None
    with FakeImap([mails(1)[0]] * 3) as source, target(answer) as new:
        done = runs(source, new, tmp_path)
        assert new.messages == source.messages
        assert [d.status for d in done] == [0, 0], done[0].log


def test_refused_and_somebody_else_delivers(tmp_path):
    """A message that nobody knows may be ours, altered: nothing is sent again in this pass."""
    said = []

    def answer(server):
        if not said:
            said.append(1)
            return [b"Subject: another\r\n\r\n"], b"NO try again"
        return server.literals, None
    with FakeImap(mails(3)) as source, target(answer) as new:
        done = runs(source, new, tmp_path)
        assert done[0].status == 1 and new.messages[0] == b"Subject: another\r\n\r\n", done[0].log
        assert done[1].status == 0 and sorted(new.messages[1:]) == sorted(source.messages), done[1].log


def test_a_message_that_kills_the_source(tmp_path):
    def body(server, tag, line):
        uids = server.asked(line)
        text = b"".join(b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (u, u, len(m), m) if u != 13 else b""
                        for u, m in ((u, server.messages[u - 1]) for u in uids if 13 not in uids or u < 13))
        if 13 not in uids:
            return text + b"{tag} OK done\r\n"
        server.sockets[-1].sendall(text)
        return None
    with FakeImap(mails(40), {"BODY": body}) as source, target(lambda server: (server.literals, None)) as new:
        done = runs(source, new, tmp_path, 1)[0]
        assert done.status == 1, done.log
        assert sorted(new.messages) == sorted(m for i, m in enumerate(source.messages) if i != 12)
        assert [e["uid"] for e in done.counts["exceptions"]] == [13]


def test_a_message_that_kills_the_target(tmp_path):
    def append(server, tag, line):
        if any(b"Subject: 12\r\n" in m for m in server.literals):
            return None
        first = len(server.messages) + 1
        server.messages += server.literals
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))
    with FakeImap(mails(40)) as source, FakeImap([], {"APPEND": append, "STATUS": status}) as new:
        done = runs(source, new, tmp_path, 1)[0]
        assert done.status == 1, done.log
        assert sorted(new.messages) == sorted(m for i, m in enumerate(source.messages) if i != 12)
        assert [e["uid"] for e in done.counts["exceptions"]] == [13]


class Rotten(FakeImap):
    """Has a folder Bad beside INBOX, with the same messages, and dies of one command there."""

    deadly = None
    has_bad = True

    def _ordinary(self, name, tag, line):
        answer = super()._ordinary(name, tag, line)
        if name == "LIST" and self.has_bad:
            answer = b'* LIST () "/" Bad\r\n' + answer
        if name == "STATUS":
            answer = answer.replace(b"STATUS INBOX", b"STATUS " + named(line))
        about = named(line) if name in ("STATUS", "CREATE", "EXAMINE", "SELECT") else self.selected
        return None if name == self.deadly and about == b"Bad" else answer


DEADLY = [("source", "STATUS"), ("source", "EXAMINE"), ("source", "FETCH"), ("target", "STATUS"), ("target", "BODY"), ("target", "CREATE")]


@pytest.mark.parametrize("side, name", DEADLY)
def test_a_folder_that_kills(side, name, tmp_path):
    """It costs itself; where it cannot be made it gets another name, and what cannot be compared is told."""
    with Rotten(mails(3)) as source, Rotten() as new:
        (source if side == "source" else new).deadly = name
        new.has_bad = name != "CREATE"
        done = runs(source, new, tmp_path, 1, *(["--verify"] if name == "BODY" else []))[0]
        assert new.stored(b"INBOX") == mails(3), done.log
        if name == "CREATE":
            assert done.status == 0 and len(new.appended) == 6 and set(new.stored_in) != {b"INBOX", b"Bad"}, done.log
            return
        assert done.status == 1, done.log
        assert [(e["folder"], e["code"]) for e in done.counts["exceptions"]] == [("Bad", "E-FOLDER")]
        assert new.stored(b"Bad") == (mails(3) if name == "BODY" else [])


OPTIONAL = {"ID": b"ID", "ENABLE": b"ENABLE CONDSTORE", "NAMESPACE": b"", "GETQUOTAROOT": b"QUOTA", "COMPRESS": b"COMPRESS=DEFLATE",
            "GETACL": b"ACL", "GETMETADATA": b"METADATA", "UNSELECT": b"UNSELECT"}


@pytest.mark.parametrize("names", [(name,) for name in OPTIONAL] + [tuple(OPTIONAL)], ids=lambda names: "+".join(names))
def test_a_command_that_kills_and_need_not_be(names, tmp_path):
    """Each costs a connection, and the copy goes on without it."""
    capabilities = CAPABILITIES + b"".join(b" " + OPTIONAL[name] for name in names)
    if "UNSELECT" in names:  # asked only of a target that tells no UIDs
        capabilities = capabilities.replace(b" UIDPLUS", b"")
    with FakeImap(mails(3), dict.fromkeys(names), capabilities=capabilities) as source, \
            FakeImap([], dict.fromkeys(names), capabilities=capabilities) as new:
        people = tmp_path / "people"
        people.write_text("bob bob\n")
        wants_acl = "GETACL" in names  # what was asked for, and is not to be had, is told
        done = runs(source, new, tmp_path, 1, "--source-compress=yes", *([f"--acl={people}"] if wants_acl else []))[0]
        assert [e["code"] for e in done.counts["exceptions"]] == (["E-ACL"] if wants_acl else []), done.log
        assert new.stored(b"INBOX") == mails(3)
        avoided = re.findall(r"imap_command_avoided.* server=(\w+) .*command=(\w+)", done.log)
        assert len(avoided) == len(set(avoided)) and {command for _, command in avoided} == set(names), done.log


@pytest.mark.parametrize("answer", (b"NO broken", b"BAD broken", b"NO [SERVERBUG] broken"))
def test_a_copy_that_cannot_be_compared(answer, tmp_path):
    """It is told, and the others are compared."""
    def body(server, tag, line):
        return tag + b" " + answer + b"\r\n" if 2 in server.asked(line) else server._ordinary("BODY", tag, line)
    with FakeImap(mails(3)) as source, FakeImap([], {"BODY": body}) as new:
        done = runs(source, new, tmp_path, 1, "--verify")[0]
        assert done.status == 1, done.log
        assert [(e["uid"], e["code"]) for e in done.counts["exceptions"]] == [(2, "E-DIFFERENT")]
        assert (done.counts["verified"]["different"], done.counts["verified"]["missing"]) == (1, 0)


@pytest.mark.parametrize("side", ("source", "target"))
def test_a_message_that_is_not_read_for_a_plan(side, tmp_path):
    """The journal is lost, and what is on both sides is found by content: a NO costs one of 12.  What the source does not give
    waits, since the target may have it; what the target does not give is no copy."""
    broken = []

    def body(server, tag, line):
        return tag + b" NO broken\r\n" if server in broken and 5 in server.asked(line) else server._ordinary("BODY", tag, line)
    with FakeImap(mails(12), {"BODY": body}) as source, FakeImap([], {"BODY": body}) as new:
        assert runs(source, new, tmp_path, 1)[0].status == 0
        shutil.rmtree(tmp_path / "state")
        broken.append(source if side == "source" else new)
        done = runs(source, new, tmp_path, 1)[0]
        assert done.messages_adopted == 11, done.log
        assert [e["code"] for e in done.counts["exceptions"]] == (["E-WITHHELD"] if side == "source" else []), done.log
        broken.clear()
        last = runs(source, new, tmp_path)[1]
        assert (last.status, last.messages_copied) == (0, 0), last.log
        assert sorted(new.stored(b"INBOX")) == sorted(mails(12) + (mails(5)[4:] if side == "target" else []))


class Hasty(FakeImap):
    """Refuses a message when it hears how large it is, and reads on."""

    refused = 0

    def _command(self, sock, file):
        line = file.readline()
        found = LITERAL.search(line)
        if b" APPEND " not in line or not found or int(found[1]) < 1000:
            return super()._command(sock, Ahead(line, file))
        sock.sendall(line.split()[0] + b" NO [LIMIT] too large\r\n")
        self.refused += 1
        while found:
            assert len(file.read(int(found[1]))) == int(found[1])
            found = LITERAL.search(file.readline())
        return self._command(sock, file)


class Ahead:
    """A file whose first line was read already."""

    def __init__(self, line, file):
        self.line, self.file, self.read = line, file, file.read

    def readline(self, size=-1):
        line, self.line = self.line, b""
        return line or self.file.readline(size)


def test_a_refusal_before_the_end_of_a_literal_that_nobody_asked_for(tmp_path):
    """What was announced is sent: else the next commands would be taken for its octets."""
    large = [b"Subject: large %d\r\n\r\n" % i + b"x" * (3 << 20) for i in range(2)]
    with FakeImap(mails(4) + large + mails(8)[4:]) as source, Hasty(capabilities=SINGLE) as new:
        done = run(argv(source, new, tmp_path, "--timeout=60s", "--settle=0s"))
        assert (done.status, done.messages_copied, done.messages_failed) == (1, 8, 2), done.log
        assert sorted(new.appended) == mails(8) and new.refused >= 2
        assert len(new.sockets) == 1, "one session was enough"
