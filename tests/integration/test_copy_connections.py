# SPDX-License-Identifier: ISC
"""A copy over several connections to each server (`copy --connections`)."""
import re

import pytest
from lib.mailbox import ROOT, Mail, argv, copy, fill, look, message, run, same
from lib.proxy import Proxy
from lib.strace import Sample, calls_in, killed_at, record, sampled

ANN = "ann@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
BODIES = rb"UID FETCH \S+ .*BODY\.PEEK\[\]"
EACH = 200      # messages that a further connection is begun for
SAMPLES = 6


@pytest.fixture
def old(dovecot):
    return dovecot("old")


def stock(server, folders=("INBOX", "Eins", "Zwei")):
    fill(server.imap(ANN), {name: [Mail(message(f"{name} {i}", "body\r\n"), ("\\Seen",) if i % 3 else ()) for i in range(EACH)]
                            for name in folders})


def test_folders_go_over_all_of_them(old, dovecot, tmp_path):
    """The first connection gets no body before two others have asked for some, so each has folders of its own."""
    stock(old)
    source, new = Proxy(old), Proxy(dovecot("new"))
    source.hold_each(BODIES, lambda: len(source.said) >= 3)
    first = copy(source, new, tmp_path, "--connections=3")
    assert (first.status, first.messages_copied) == (0, 3 * EACH), first.log
    assert len(source.said) == 3
    same(look(old.imap(ANN)), look(new.server.imap(ANN)))
    # All have said goodbye: both servers have ended their sessions by themselves.
    source.drained()
    assert source.count(rb"LOGOUT") == source.count(rb"AUTHENTICATE|LOGIN")
    again = copy(source, new, tmp_path, "--connections=3")
    assert (again.status, again.messages_copied, again.flags_changed) == (0, 0, 0), again.log


class TwoOnly(Proxy):
    """Refuses a third connection in Dovecot's words."""

    def __init__(self, server):
        self.n_refused = self.n_passed = 0
        super().__init__(server)

    def command(self, link, line, literal):
        if b"AUTHENTICATE" not in line and b"LOGIN" not in line:
            return super().command(link, line, literal)
        self.n_passed += 1
        if self.n_passed <= 2:
            return super().command(link, line, literal)
        self.n_refused += 1
        link.last_words = b"* BYE [ALERT] Maximum number of connections from user+IP exceeded\r\n"
        return None


def test_a_server_that_allows_fewer(old, dovecot, tmp_path):
    """The copy goes on with the two connections that it has, and says so."""
    stock(old, ("INBOX", "Eins", "Zwei", "Drei"))
    source, new = TwoOnly(old), dovecot("new")
    source.hold_each(BODIES, lambda: len(source.said) >= 2 and source.n_refused >= 2)
    done = copy(source, new, tmp_path, "--connections=4")
    assert (done.status, done.messages_copied) == (0, 4 * EACH), done.log
    assert re.search(r"fewer_connections.* wanted=4 used=2 .*Maximum number of connections", done.log), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_killed_at_any_system_call(old, dovecot, tmp_path):
    users = {f"u{i}@example.org": "secret" for i in range(2 * SAMPLES + 1)}
    stock(old)
    source, new, taken = Proxy(old), dovecot("new", users=users), iter(users)
    want = look(old.imap(ANN))

    def line(user):
        return argv(source, new, tmp_path / user, "--settle=200ms", "--connections=3", binary=PLAIN, target_user=user)

    def hold():
        source.hold_each(BODIES, lambda: len(source.said) >= 3)

    hold()
    assert len(record(line(next(taken)), tmp_path)) > 200
    sample = Sample(lambda: calls_in(tmp_path), lambda calls: sampled(calls, SAMPLES))
    for at, user in zip(sample, taken):
        hold()
        sample.judge(killed_at(line(user), tmp_path, *at, new))
        source.hold_each(BODIES, None)
        second = run(line(user))
        assert second.status == 0, (at, second.log)
        same(want, look(new.imap(user)))
        third = run(line(user))
        assert (third.status, third.messages_copied, third.flags_changed) == (0, 0, 0), (at, third.counts)
    assert sample.n_met > SAMPLES // 2
