# SPDX-License-Identifier: ISC
"""Dovecot, Cyrus and Courier, each as source and as target of each: copy, delta, deletion, move, comparison, cut-over.  And
Dovecot's other formats, each as source and as target of one of them; all of each with COEXIST_SOAK."""
import pytest
from conftest import Stage
from lib.chaos import IS_SOAK
from lib.courier import Courier
from lib.cutover import cutover, entry, imap_servers, status
from lib.mailbox import Mail, copy, message, same, sample
from lib.proxy import Door
from lib.sides import FORMATS, KINDS, Side

ALL = {**KINDS, **FORMATS}
FEW = [("sdbox", "mdbox"), ("mdbox", "mbox"), ("mbox", "cyrus"), ("courier", "sdbox")]
PAIRS = [(source, target) for source in ALL for target in ALL
         if IS_SOAK or (source in KINDS and target in KINDS) or (source, target) in FEW]
# Each as source and as target.
MOVES = [pair for pair in PAIRS if set(pair) <= set(KINDS)] if IS_SOAK else [("dovecot", "cyrus"), ("cyrus", "courier"), ("courier", "dovecot")]


def address(source, target):
    return f"{source}-{target}@example.org"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    """(role, kind) -> server, with a user for each pair; started when first asked for."""
    stage, made = Stage(tmp_path_factory.mktemp("servers")), {}

    def get(role, kind):
        if (role, kind) not in made:
            users = {address(s, t): "secret" for s, t in PAIRS if kind == (s if role == "old" else t)}
            made[role, kind] = stage.enter(ALL[kind].make(stage.path(f"{role}-{kind}"), users=users,
                                                            hostname=f"{role}.{kind}.test"))
        return made[role, kind]
    yield get
    stage.close()


def whole(mail):
    """Courier ends a last line that has no end; Cyrus takes no quotation mark in a name."""
    return mail if mail.data.endswith(b"\r\n") else mail._replace(data=mail.data + b"\r\n")


def ends_apart(octets):
    """Dovecot's mbox gives a message without a body one more line."""
    return octets.rstrip(b"\r\n")


def changed_flags(old):
    old.store("INBOX", "1:2", "+FLAGS", "\\Flagged Later")
    old.store("INBOX", "3", "FLAGS", "\\Seen")
    old.store("日本", "1:*", "-FLAGS", "\\Seen Work")


# As those of sample(), by date too: an equal one may take the place of one that goes in the same pass.
TWIN = Mail(message("twin", "the same twice\r\n"), ("\\Seen",), '"17-Jul-1996 02:44:25 -0700"')


def new_mail(old):
    old.fill({"INBOX": [Mail(message("late", "x\r\n"), ("\\Seen",)), TWIN],
              "Projekte.Kunde A": [Mail(message("later", ".\r\n"), ("Work",))],
              "Neu.dort": [Mail(message("first"), ("\\Answered",), '"17-Jul-1996 02:44:25 -0700"')], "Neu leer": []})


def deleted(old):
    old.expunge("INBOX", "2,4")
    old.expunge("Projekte.Kunde B.2026", "1")


def moved(old):
    old.move("1", "INBOX", "Neu.dort")
    old.move(old.uids("Entwürfe")[0], "Entwürfe", "INBOX")


# Change, and what the run behind it has to count: copied, flags, deleted (None: moves may be followed or copied anew).
STEPS = {
    "flags": (changed_flags, (0, None, 0)),
    "delta": (new_mail, (4, 0, 0)),
    "deletion": (deleted, (0, 0, 3)),
    "move": (moved, (None, 0, None)),
    "all": (lambda old: (new_mail(old), changed_flags(old), old.move("1", "Neu.dort", "日本"), old.expunge("INBOX", "5")),
            (None, None, None)),
}


@pytest.mark.parametrize("source, target", PAIRS)
def test_copy_and_what_changes(servers, tmp_path, source, target):
    user = address(source, target)
    old, new = Side(servers("old", source), source, user), Side(servers("new", target), target, user)
    old.fill({name: [whole(mail) for mail in mails] for name, mails in sample(25).items() if '"' not in name})

    text = ends_apart if "mbox" in (source, target) else bytes

    def go(*more):
        return copy(old.server, new.server, tmp_path, *more, user=user)
    first = go("--verify")
    assert (first.status, first.messages_failed, first.messages_adopted) == (0, 0, 0), first.log
    same(old.look(text), new.look(text))
    for step, (change, counts) in STEPS.items():
        change(old)
        done = go("--verify")
        assert done.status == 0, (step, done.log)
        for name, count in zip(("messages_copied", "flags_changed", "messages_deleted"), counts):
            assert count in (None, done.counts[name]), (step, name, done.counts)
        same(old.look(text), new.look(text))
    total = sum(len(mails) for mails in old.look().values())
    again = go("--verify")
    assert again.counts["verified"]["messages"] == total
    assert (again.status, again.messages_copied, again.flags_changed, again.messages_deleted) == (0, 0, 0, 0), again.log


@pytest.mark.parametrize("source, target", MOVES)
def test_move_of_the_user(servers, site, tmp_path, source, target):
    """Behind the copy above, if it was made, the cut-over, which has no journal of it, finds everything by content."""
    user = address(source, target)
    old, new = Side(servers("old", source), source, user), Side(servers("new", target), target, user)
    old.fill({"INBOX": [Mail(message("for the flip"), ("\\Seen",))], "Flip": [Mail(message("w"), ("\\Flagged",))]})
    doors = {role: Door(side.server) if side.kind.make is Courier else side.server for role, side in (("old", old), ("new", new))}
    place = site(imap_servers(tmp_path, **doors))
    place.init({user: "old"})
    done = cutover(place, user)
    assert (done.status, done.states[-1]) == (0, "done"), done.log
    assert entry(place, user)["route"] == "new"
    same(old.look(), new.look())
    # The user works on new: what is late on old comes, and nothing of this is undone.
    new.expunge("INBOX", new.uids("INBOX")[0])
    new.move(new.uids("Flip")[0], "Flip", "INBOX")
    want = {name: len(mails) for name, mails in new.look().items()}
    old.fill({"INBOX": [Mail(message("late behind the flip"))]})
    for _ in range(2):
        swept = cutover(place, user)
        assert swept.status == 0, swept.log
        assert {name: len(mails) for name, mails in new.look().items()} == {**want, "INBOX": want["INBOX"] + 1}
    assert status(place)[user]["late"] == 1
