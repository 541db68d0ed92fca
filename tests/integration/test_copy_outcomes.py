# SPDX-License-Identifier: ISC
"""What was sent is known from then on, whatever the servers say about sizes and UIDs; a deletion that was cut off is finished."""
import re

import pytest
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import argv, run

MAILS = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(5)]
WITHOUT_UIDPLUS = CAPABILITIES.replace(b" UIDPLUS", b"")


def wrong_sizes(server, tag, line):
    """Exchange's RFC822.SIZE is an estimate."""
    return re.sub(rb"RFC822.SIZE (\d+)", lambda m: b"RFC822.SIZE %d" % (int(m[1]) + 1), server._ordinary("FETCH", tag, line))


def store(change=lambda data: data, answer=b"{tag} OK done\r\n"):
    def append(server, tag, line):
        server.appended += server.literals
        server.messages += [change(data) for data in server.literals]
        return answer
    return append


def status(server, tag, line):
    n = len(server.messages)
    return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)


def runs(source, target, folder, count):
    return [run(argv(source, target, folder, "--timeout=60s", "--settle=0s")) for _ in range(count)]


def test_no_uids_and_wrong_sizes(tmp_path):
    with FakeImap(MAILS, {"FETCH": wrong_sizes}) as source, \
            FakeImap([], {"APPEND": store(), "STATUS": status}, capabilities=WITHOUT_UIDPLUS) as target:
        done = runs(source, target, tmp_path, 4)
        assert [d.status for d in done] == [0, 0, 0, 0], done[0].log
        assert target.messages == MAILS
        assert [d.messages_copied for d in done] == [5, 0, 0, 0]


def test_an_answer_that_was_lost_and_wrong_sizes(tmp_path):
    lost = []

    def once(server, tag, line):
        first = len(server.messages) + 1
        store()(server, tag, line)
        if not lost:
            lost.append(1)
            server.sockets[-1].sendall(b"* BYE overloaded\r\n")
            return None
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))
    with FakeImap(MAILS, {"FETCH": wrong_sizes}) as source, FakeImap([], {"APPEND": once, "STATUS": status}) as target:
        done = runs(source, target, tmp_path, 3)
        assert done[-1].status == 0, done[-1].log
        assert target.messages == MAILS


@pytest.mark.parametrize("alter, exit_status", [
    (lambda data: b"X-Server: odd\r\n" + data, 0),
    (lambda data: data + b"checked by odd\r\n", 1),
], ids=["another-line-of-the-header", "another-body"])
def test_a_target_that_alters_what_it_stores(tmp_path, alter, exit_status):
    """It tells no UIDs.  A message is known again by what servers leave alone; where not even that is left nobody can
    tell which is which: that is said, each time.  Nothing is sent again either way."""
    with FakeImap(MAILS) as source, \
            FakeImap([], {"APPEND": store(alter), "STATUS": status}, capabilities=WITHOUT_UIDPLUS) as target:
        done = runs(source, target, tmp_path, 3)
        assert len(target.messages) == 5
        assert [d.status for d in done] == [exit_status] * 3
        assert all(("E-VANISHED" in str(d.counts["exceptions"])) == (exit_status == 1) for d in done)


def test_equal_messages_without_uids(tmp_path):
    with FakeImap([MAILS[0]] * 4) as source, \
            FakeImap([MAILS[0]], {"APPEND": store(), "STATUS": status}, capabilities=WITHOUT_UIDPLUS) as target:
        done = runs(source, target, tmp_path, 2)
        assert [d.status for d in done] == [0, 0], done[0].log
        assert target.messages == [MAILS[0]] * 4  # one was there


def test_a_deletion_that_was_cut_off(tmp_path):
    """Between our mark and the expunge: the next one takes the mark back, and the plan decides anew."""
    deleted = []

    def mark(server, tag, line):
        deleted[:] = [1] if b"+FLAGS" in line else []
        return tag + b" OK done\r\n"

    def flags(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"FLAGS ()", b"FLAGS (\\Deleted)" if deleted else b"FLAGS ()")
    with FakeImap(MAILS) as source, FakeImap() as target:
        line = argv(source, target, tmp_path, "--timeout=60s", "--settle=0s")
        assert run(line).status == 0
        target.messages = list(target.appended)
        source.messages = MAILS[:4]
        target.script.update({"STORE": mark, "EXPUNGE": None, "FETCH": flags})
        assert run(line).status != 0
        del target.script["EXPUNGE"]
        before = target.received.count(b"UID EXPUNGE 5")
        done = run(line)
        assert (done.status, done.counts["messages_deleted"], done.counts["messages_kept"]) == (0, 1, 0), done.log
        assert target.received.count(b"UID EXPUNGE 5") == before + 1


def test_a_target_that_cannot_remove_single_messages(tmp_path):
    """EXPUNGE alone would take messages that are not ours, so nothing is deleted: and that is said."""
    with FakeImap(MAILS) as source, FakeImap() as target:
        line = argv(source, target, tmp_path, "--timeout=60s", "--settle=0s")
        assert run(line).status == 0
        target.messages = list(target.appended)
        target.capabilities = WITHOUT_UIDPLUS
        source.messages = MAILS[:4]
        for _ in range(2):
            done = run(line)
            assert (done.status, done.counts["messages_deleted"], done.counts["deletions_withheld"]) == (1, 0, 1), done.log
        assert b"EXPUNGE" not in target.received


def test_what_was_compared_is_not_read_again(tmp_path):
    with FakeImap(MAILS) as source, FakeImap() as target:
        line = argv(source, target, tmp_path, "--timeout=60s", "--settle=0s")
        assert run(line).status == 0
        target.messages = list(target.appended)
        check = [*line[:-2], "--verify", *line[-2:]]
        assert run(check).status == 0
        read = target.received.count(b"BODY.PEEK[]")
        assert read > 0
        source.script["FETCH"] = lambda s, t, l: s._ordinary("FETCH", t, l).replace(b"UID 2 FLAGS ()", b"UID 2 FLAGS (\\Seen)")
        assert run(check).status == 0
        assert target.received.count(b"BODY.PEEK[]") == read
