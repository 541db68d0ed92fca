# SPDX-License-Identifier: ISC
"""The marks are on the disk before the flip, and each write of them may be the last thing that happens."""
import re
import shutil

from lib.cutover import ANN, argv, cutover, entry, imap_servers, status
from lib.mailbox import Mail, expunge, fill, look, message
from lib.strace import killed_at, strace

# Each call with an effect of a write of the marks, as io_write_file_durable() makes them.
WRITE = ("openat", "write", "fsync", "rename")


def writes_of_marks(place, user, folder):
    """[(system call, its number)] up to and behind each rename to marks/, of one more cut-over."""
    done = strace(argv(place, "cutover", "--json", user), folder / "calls")
    assert done.returncode == 0, done.stderr
    seen, found, last = {}, [], {}
    for name, line in re.findall(r"^\d+ +(\w+)(\(.*)$", (folder / "calls").read_text(), re.M):
        seen[name] = seen.get(name, 0) + 1
        last[name] = seen[name]
        if name == "rename" and "/sync/marks/" in line:
            found += [(kind, last[kind]) for kind in WRITE if kind in last]
    return found


def make(dovecot, site, tmp_path, users):
    old, new = dovecot("old", users=users), dovecot("new", users=users)
    place = site(imap_servers(tmp_path, old=old, new=new), plain=True)
    place.init()
    place.maptool("import", "--route", "old", "-", input="".join(f"{u}\n" for u in users))
    place.old, place.new = old, new
    for user in users:
        fill(old.imap(user), {name: [Mail(message(f"{name}{i}")) for i in range(3)] for name in ("INBOX", "Work")})
    return place


def lose_the_journals(place):
    for path in (place.state / "sync").glob("*/*/"):
        shutil.rmtree(path)


def counts(server, user):
    return {name: len(mails) for name, mails in look(server.imap(user)).items()}


def test_killed_while_marks_are_written(dovecot, site, tmp_path):
    users = {f"u{i}@example.org": "secret" for i in range(13)}
    place = make(dovecot, site, tmp_path, users)
    points = writes_of_marks(place, "u0@example.org", tmp_path)
    # Before the first pass, behind it, and before the flip.
    assert len(points) == 3 * len(WRITE), points
    killed = 0
    for i, at in enumerate(points, start=1):
        user = f"u{i}@example.org"
        _, was_killed = killed_at(argv(place, "cutover", "--json", user), tmp_path, *at)
        killed += was_killed
        assert entry(place, user)["route"] == "old", at
        again = cutover(place, user)
        assert again.status == 0 and entry(place, user)["route"] == "new", (at, again.log)
    assert killed == len(points)
    for user in users:
        expunge(place.new.imap(user), "Work", "1:2")
        fill(place.old.imap(user), {"INBOX": [Mail(message("late"))]})
    lose_the_journals(place)
    for user in users:
        assert cutover(place, user).status == 0
        assert counts(place.new, user) == {"INBOX": 4, "Work": 1}, user


def test_killed_while_late_mail_is_noted(dovecot, site, tmp_path):
    """It was copied, and is in the journal before it is in the marks: nothing comes twice, nothing comes back."""
    users = {f"u{i}@example.org": "secret" for i in range(5)}
    place = make(dovecot, site, tmp_path, users)
    for user in users:
        assert cutover(place, user).status == 0
        expunge(place.new.imap(user), "Work", "1:2")
        fill(place.old.imap(user), {"INBOX": [Mail(message("late"))]})
    points = writes_of_marks(place, "u0@example.org", tmp_path)
    assert len(points) == len(WRITE), points
    for i, at in enumerate(points, start=1):
        user = f"u{i}@example.org"
        _, was_killed = killed_at(argv(place, "cutover", "--json", user), tmp_path, *at)
        assert was_killed
        for _ in range(2):
            assert cutover(place, user).status == 0
            assert counts(place.new, user) == {"INBOX": 4, "Work": 1}, at


def test_no_flip_without_marks(dovecot, site, tmp_path):
    """A place where nothing can be written: released, and nothing is lost."""
    place = make(dovecot, site, tmp_path, {ANN: "ann-secret"})
    (place.state / "sync").mkdir(exist_ok=True)
    stone = place.state / "sync" / "marks"
    stone.write_text("")
    done = cutover(place)
    assert done.status not in (0, 1) and entry(place)["route"] == "old", done.log
    stone.unlink()
    assert cutover(place).status == 0
    assert status(place)[ANN]["state"] == "done"
