# SPDX-License-Identifier: ISC
"""A server that says BYE at any step of a copy: no wrong success, and after a rerun each message once.

Each case counts the commands of a whole run, then ends the connection at each of them in turn.
"""
import concurrent.futures

import pytest
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import argv, run

TWIN = b"Subject: twin\r\n\r\nthe same twice\r\n"
MAIL = [b"Subject: one\r\n\r\nbody of one\r\n", TWIN, b"Subject: three\r\n\r\n.\r\n", TWIN]
BYE = b"* BYE shutting down\r\n"


class Leaver(FakeImap):
    """Ends the connection at its `bye_at`-th answer, in one of the ways below, and is an ordinary server again."""

    def __init__(self, messages, way, bye_at, capabilities):
        self.way, self.bye_at, self.n_answers = way, bye_at, 0
        super().__init__(messages, {"STATUS": Leaver.status}, capabilities)
        self.appended = self.messages  # what is stored is listed

    def stored(self, folder):
        return self.messages

    def status(self, tag, line):
        n = len(self.messages)
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)

    def _answer(self, name, tag, line):
        if name == "LOGOUT":
            return super()._answer(name, tag, line)
        self.n_answers += 1
        if self.n_answers != self.bye_at:
            return super()._answer(name, tag, line)
        self.sockets[-1].sendall(self.way(lambda: super(Leaver, self)._answer(name, tag, line)))
        return None


def without_last_line(answer):
    return answer[:answer[:-2].rfind(b"\r\n") + 2] if answer.count(b"\r\n") > 1 else b""


WAYS = {
    "instead of the answer": lambda answer: BYE,
    "when it is done, without the answer": lambda answer: (answer(), BYE)[1],
    "before the end of the answer": lambda answer: without_last_line(answer()) + BYE,
    "in the middle of a line": lambda answer: (lambda whole: whole[:len(whole) // 2])(answer()),
    "behind the answer": lambda answer: answer() + BYE,
}
SINGLE = CAPABILITIES.replace(b" MULTIAPPEND", b"")


def attempt(folder, side, way, bye_at, capabilities):
    """One run that is disturbed, two that are not.  The number of answers that an undisturbed run takes."""
    at = {"source": 0, "target": 0, side: bye_at}
    with Leaver(MAIL, way, at["source"], CAPABILITIES) as source, Leaver([], way, at["target"], capabilities) as target:
        line = argv(source, target, folder, "--timeout=20s", "--settle=0s", "--verify")
        first = run(line, timeout=60)
        n_answers = (source if side == "source" else target).n_answers
        assert first.status in ((0, 75) if bye_at else (0,)), (bye_at, first.status, first.log)
        if first.status == 0:
            assert sorted(target.messages) == sorted(MAIL), (bye_at, target.messages, first.log)
            assert first.counts["verified"]["messages"] == len(MAIL) and first.counts["verified"]["missing"] == 0
        second = run(line, timeout=60)
        assert second.status == 0, (bye_at, second.log)
        assert sorted(target.messages) == sorted(MAIL), (bye_at, target.messages, first.log, second.log)
        third = run(line, timeout=60)
        assert (third.status, third.messages_copied) == (0, 0), (bye_at, third.log)
        assert sorted(target.messages) == sorted(MAIL), (bye_at, target.messages)
        for server in (source, target):
            assert b"EXPUNGE" not in server.received and b"Deleted" not in server.received
        return n_answers


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("side, capabilities", [("source", CAPABILITIES), ("target", CAPABILITIES), ("target", SINGLE)],
                         ids=["source", "target", "target with single APPENDs"])
def test_bye_at_any_step(side, capabilities, way, tmp_path):
    steps = attempt(tmp_path / "whole", side, WAYS[way], 0, capabilities)
    assert steps >= 8
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(attempt, tmp_path / f"run{i}", side, WAYS[way], i, capabilities) for i in range(1, steps + 1)]:
            done.result()
