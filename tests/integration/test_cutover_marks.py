# SPDX-License-Identifier: ISC
"""The marks are on the disk before the flip, and each write of them may be the last thing that happens."""
import json
import re
import shutil
import subprocess

from lib.cutover import ANN, argv, cutover, entry, folder_of, imap_servers, status
from lib.mailbox import ROOT, Mail, expunge, fill, look, message
from lib.strace import killed_at, only, strace

# Calls with an effect on what is on the disk.
EFFECTS = ("openat", "ftruncate", "write", "pwrite64", "fsync", "fdatasync", "rename")


def marks_of(place, user):
    """Their folder, and their files."""
    folder, name = place.state / "sync" / "marks", folder_of(place, user).name
    return [folder, *(folder / (name + end) for end in ("", ".new", ".log"))]


def journal_of(place, user):
    """What its commits are written to."""
    return [path / "journal" / f"log.{n:010}" for path in folder_of(place, user).glob("*/") for n in range(1, 20)]


def effects(place, user, folder):
    """[(system call, its number of those on the marks, its line)] of one more run of the cut-over; the number of
    commits of the journal behind them is of those on the journal."""
    done = strace(argv(place, "cutover", "--json", user), folder / "calls", "-y",
                  *only([*marks_of(place, user), *journal_of(place, user)]))
    assert done.returncode == 0, done.stderr
    seen, found = {}, []
    for name, line in re.findall(r"^\d+ +(\w+)(\(.*)$", (folder / "calls").read_text(), re.M):
        what = (name, is_marks((0, 0, line)))
        seen[what] = seen.get(what, 0) + 1
        if name in EFFECTS and (name != "openat" or "O_CREAT" in line):
            found.append((name, seen[what], line))
    return found


def last_call(folder):
    """The call at which the run was killed: strace has no result of it."""
    return next((line for line in reversed((folder / "calls").read_text().splitlines()) if line.endswith(" = ?")), "")


def is_marks(call):
    return "/sync/marks" in call[2]


def make(dovecot, site, tmp_path, users):
    old, new = dovecot("old", users=users), dovecot("new", users=users)
    # A worker that was killed is not begun again.
    place = site(imap_servers(tmp_path, old=old, new=new), settings={"sync": {"deaths_max": 1}}, plain=True)
    place.init()
    place.maptool("import", "--route", "old", "-", input="".join(f"{u}\n" for u in users))
    place.old, place.new = old, new
    for user in users:
        fill(old.imap(user), {name: [Mail(message(f"{name}{i}")) for i in range(3)] for name in ("INBOX", "Work")})
    return place


def lose_the_journals(place, users):
    for user in users:
        for path in folder_of(place, user).glob("*/"):
            shutil.rmtree(path)


def counts(server, user):
    return {name: len(mails) for name, mails in look(server.imap(user)).items()}


def test_killed_while_marks_are_written(dovecot, site, tmp_path):
    users = {f"u{i}@example.org": "secret" for i in range(20)}
    place = make(dovecot, site, tmp_path, users)
    # What is asked once a day, of the servers' administrators, comes with the first user only.
    assert cutover(place, users.popitem()[0]).status == 0
    calls = [c for c in effects(place, "u0@example.org", tmp_path) if is_marks(c)]
    points = [c[:2] for c in calls]
    # All of them before the first pass and behind it; for the flip a line in the log.
    assert [c[0] for c in calls].count("rename") == 2 and calls[-1][0] == "fsync", calls
    assert len(points) < len(users), points
    killed = 0
    for i, at in enumerate(points, start=1):
        user = f"u{i}@example.org"
        killed_at(argv(place, "cutover", "--json", user), tmp_path, *at, place.new, paths=marks_of(place, user))
        # How many calls come before it depends on how fast the servers answer.
        if is_marks((0, 0, last_call(tmp_path))):
            killed += 1
            assert entry(place, user)["route"] == "old", at
        again = cutover(place, user)
        assert again.status == 0 and entry(place, user)["route"] == "new", (at, again.log)
    assert killed >= len(points) // 2
    users = list(users)[:1 + len(points)]
    for user in users:
        expunge(place.new.imap(user), "Work", "1:2")
        fill(place.old.imap(user), {"INBOX": [Mail(message("late"))]})
    lose_the_journals(place, users)
    for user in users:
        assert cutover(place, user).status == 0
        assert counts(place.new, user) == {"INBOX": 4, "Work": 1}, user


def late_points(place, user, folder):
    """The calls from the first write of the marks on, when a late message has come, and the commits behind them."""
    calls = effects(place, user, folder)
    first = next(i for i, call in enumerate(calls) if is_marks(call))
    n = sum(map(is_marks, calls[first:]))
    assert all(map(is_marks, calls[first:first + n])) and calls[first + n - 1][0] == "fsync", calls
    # Behind them the commits of the journal: how many writes one of them takes depends on where its log stands.
    behind = [c for c in calls[first + n:] if c[0] == "fdatasync"][:3]
    return [(marks_of, c[:2]) for c in calls[first:first + n]] + [(journal_of, c[:2]) for c in behind]


def had_marks(folder):
    """Whether the run that ended last had the late message's marks on the disk: how many commits come before them
    depends on how fast the servers answer."""
    return any(is_marks((0, 0, line)) and line.endswith(" = 0")
               for line in re.findall(r"^\d+ +fsync(\(.*)$", (folder / "calls").read_text(), re.M))


def make_late(dovecot, site, tmp_path):
    users = {f"u{i}@example.org": "secret" for i in range(8)}
    place = make(dovecot, site, tmp_path, users)
    for user in users:
        assert cutover(place, user).status == 0
        expunge(place.new.imap(user), "Work", "1:2")
        fill(place.old.imap(user), {"INBOX": [Mail(message("late"))]})
    return place


def test_killed_while_late_mail_is_noted(dovecot, site, tmp_path):
    """It was stored, and is in the marks before it is in the journal: nothing comes twice, nothing comes back."""
    place = make_late(dovecot, site, tmp_path)
    points = late_points(place, "u0@example.org", tmp_path)
    for i, (where, at) in enumerate(points, start=1):
        user = f"u{i}@example.org"
        killed_at(argv(place, "cutover", "--json", user), tmp_path, *at, place.new, paths=where(place, user))
        for _ in range(2):
            assert cutover(place, user).status == 0
            assert counts(place.new, user) == {"INBOX": 4, "Work": 1}, at


def test_killed_behind_the_marks_and_the_journal_lost(dovecot, site, tmp_path):
    """From the moment on in which the journal can know of a late message the marks do: its user removes it, the
    journal is lost before any other pass, and it does not come again."""
    place, moments = make_late(dovecot, site, tmp_path), 0
    for i in range(8):
        user, at = f"u{i}@example.org", ("fdatasync", i + 1)
        _, was_killed = killed_at(argv(place, "cutover", "--json", user), tmp_path, *at, place.new,
                                  paths=[*journal_of(place, user), *marks_of(place, user)])
        if not was_killed or moments == 3:
            break
        if not had_marks(tmp_path):
            continue
        moments += 1
        assert counts(place.new, user) == {"INBOX": 4, "Work": 1}, at
        expunge(place.new.imap(user), "INBOX", "4")
        lose_the_journals(place, [user])
        for _ in range(2):
            assert cutover(place, user).status == 0
            assert counts(place.new, user) == {"INBOX": 3, "Work": 1}, at
    assert moments >= 2


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


def test_marks_of_many_messages(tmp_path):
    """None of them is in memory but what is asked for: the same for a hundred thousand as for a few."""
    def measure(n):
        place = tmp_path / str(n)
        place.mkdir()
        done = subprocess.run([ROOT / "build" / "bin" / "bench_marks", place, str(n)], stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout)

    few, many = measure(100), measure(100_000)
    assert many["peak_kib"] - few["peak_kib"] < 2048, (few, many)
    assert many["anew_peak_kib"] - few["peak_kib"] < 6144, (few, many)
    assert many["octets"] < 12.1 * many["messages"]
