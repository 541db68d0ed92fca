# SPDX-License-Identifier: ISC
"""The journal on the disk: what it costs, kills at each of its writes, damage, a full disk, and its loss behind a flip."""
import collections
import json
import os
import re
import shutil
import subprocess

import pytest
from lib import smtp, strace
from lib.chaos import IS_SOAK
from lib.cutover import ANN, cutover, folder_of, imap_servers, status, sync
from lib.mailbox import ROOT, Mail, argv, fill, look, message, run, same
from lib.wait import wait_for

BOB = "bob@example.org"
PLAIN = ROOT / "build" / "bin" / "coexist-sync"
WRITES = ("write", "pwrite64", "fdatasync", "fsync", "rename", "unlink", "openat", "ftruncate")


def on_disk(folder):
    return sum(p.stat().st_blocks * 512 for p in folder.rglob("*") if p.is_file())


def journal_of(folder):
    """The folder that has the lock, the journal and what was set aside."""
    [found] = [p.parent for p in folder.rglob("journal") if p.is_dir()]
    return found


def set_aside(folder):
    return list(folder.rglob("damaged-*"))


def written(line, tmp_path):
    """Octets that a run writes to files below tmp_path, and its result."""
    out = tmp_path / "written"
    done = subprocess.run(["strace", "-f", "-y", "-o", out, "-e", "trace=write,pwrite64", *line], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    mine = re.compile(rf"(?:write|pwrite64)\(\d+<{re.escape(str(tmp_path))}/state[^>]*>.* = (\d+)$", re.M)
    return sum(int(n) for n in mine.findall(out.read_text())), json.loads(done.stdout)


def spec(count=50):
    return {"INBOX": [Mail(message(f"m{i}", f"{i}\r\n" * 20), ("\\Seen",) if i % 2 else ("Work",)) for i in range(count)]}


def test_costs(dovecot, tmp_path, record_property):
    """A pass that finds nothing new, the size of a small journal, and that of one which was killed."""
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), spec())
    state = tmp_path / "state"
    line = argv(old, new, state, "--settle=0s", binary=PLAIN)
    first, counts = written(line, tmp_path)
    assert counts["messages_copied"] == 50
    idle, counts = written(line, tmp_path)
    assert counts["messages_copied"] == 0
    size = on_disk(state)
    # Killed with the journal open: the next run recovers, which fills its log file.
    fill(old.imap(ANN), {"INBOX": [Mail(message("late"))]})
    _, was_killed = strace.killed_at(line, tmp_path, "fdatasync", 1, new)
    assert was_killed
    assert run(line).status == 0
    recovered = on_disk(state)
    again, _ = written(line, tmp_path)
    print(f"first {first}, idle {idle}, again {again} octets written; {size}, recovered {recovered} octets on disk")
    record_property("idle_octets", idle)
    record_property("disk_octets", recovered)
    assert idle <= 16 << 10 and again <= 16 << 10
    assert size <= 200 << 10 and recovered <= 200 << 10


def test_costs_of_many(tmp_path):
    """Octets on the disk for each message; the bench prints memory and time too, with half a million."""
    done = subprocess.run([ROOT / "build" / "bin" / "bench_journal", tmp_path / "state", "20000"], stdout=subprocess.PIPE,
                          text=True, timeout=120, check=True)
    print(done.stdout)
    found = json.loads(done.stdout)
    assert found["messages"] == 20000
    assert found["octets_per_message"] <= 240
    assert found["memory_kib"] <= 24 << 10


def calls_on_the_journal(folder):
    """(name, k), of the run that ended last: the k-th call of that name of all touches the journal."""
    seen, calls = collections.Counter(), []
    for call in re.findall(r"^\d+ +(\w+\(.*)", (folder / "calls").read_text(), re.M):
        name = call.split("(")[0]
        seen[name] += 1
        if name in WRITES and "/state/" in call and not (name == "openat" and "O_CREAT" not in call):
            calls.append((name, seen[name]))
    return calls


def test_killed_at_each_write(dovecot, tmp_path):
    """First copy, then flags, a deletion and new mail: a kill at every write of the journal, and one more run."""
    users = {f"u{i}@example.org": "secret" for i in range(150)}
    old, new = dovecot("old"), dovecot("new", users=users)
    client = old.imap(ANN)
    fill(client, {"INBOX": spec(8)["INBOX"], "Work": spec(3)["INBOX"]})
    taken = iter(users)

    def line(user):
        return argv(old, new, tmp_path / user, "--settle=0s", binary=PLAIN, target_user=user)

    def kills(users, count):
        """One run to its end, and that many that are killed, each for a user of its own."""
        done = strace.strace(line(next(users)), tmp_path / "calls", "-y")
        assert done.returncode == 0, done.stderr
        sample = strace.Sample(lambda: calls_on_the_journal(tmp_path), lambda calls: strace.sampled(calls, count))
        for at, user in zip(sample, users):
            first = sample.judge(strace.killed_at(line(user), tmp_path, *at, new))
            second = run(line(user))
            assert second.status == 0, (at, first.stderr, second.log)
            same(look(client), look(new.imap(user)))
            third = run(line(user))
            assert (third.status, third.messages_copied, third.flags_changed) == (0, 0, 0), (at, third.counts)
            assert not set_aside(tmp_path / user)
        return sample.n_met

    assert kills(taken, 40) > 30

    # The same journal again and again: a mailbox that was whole, and changes.
    later = [next(taken) for _ in range(40)]
    for user in later:
        assert run(line(user)).status == 0
    client.select("INBOX")
    client.uid("STORE", "1", "+FLAGS", "(\\Flagged Work)")
    client.uid("STORE", "2:3", "+FLAGS", "(\\Deleted)")
    client.uid("EXPUNGE", "2:3")
    fill(client, {"INBOX": [Mail(message("new"))]})
    assert kills(iter(later), 30) > 20


# --- Damage -------------------------------------------------------------------------------------


def noise(path):
    with open(path, "r+b") as f:
        for page in range(1, path.stat().st_size // 4096):
            f.seek(page * 4096)
            f.write(os.urandom(4096))


def flip(path):
    with open(path, "r+b") as f:
        f.seek(4096 + 4000)
        octet = f.read(1)
        f.seek(4096 + 4000)
        f.write(bytes([octet[0] ^ 0x10]))


DAMAGES = {
    "noise": lambda home: noise(home / "pairs.db"),
    "one bit": lambda home: flip(home / "pairs.db"),
    "cut": lambda home: os.truncate(home / "pairs.db", 4096),
    "missing": lambda home: (home / "pairs.db").unlink(),
    "no log": lambda home: [p.unlink() for p in home.glob("log.*")],
    "no state": lambda home: os.truncate(home / "state.db", 0),
}


@pytest.mark.parametrize("how", DAMAGES)
def test_damage_before_the_flip(dovecot, tmp_path, how):
    """The copy goes on with a new journal: nothing comes twice."""
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), spec())
    line = argv(old, new, tmp_path / "state", "--settle=0s")
    assert run(line).status == 0
    DAMAGES[how](journal_of(tmp_path) / "journal")
    fill(old.imap(ANN), {"INBOX": [Mail(message("late"))]})
    done = run(line)
    assert done.status == 0, done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    assert len(set_aside(tmp_path)) == 1
    assert "journal_set_aside" in done.log
    again = run(line)
    assert (again.status, again.messages_copied) == (0, 0), again.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


@pytest.fixture
def moved(dovecot, site, tmp_path):
    """ann and bob are on new; ann has tidied up there."""
    old, new = dovecot("old"), dovecot("new")
    made = site(imap_servers(tmp_path, old=old, new=new), settings={"sync": {"sweep_interval": "300ms"}})
    made.init({ANN: "old", BOB: "old"})
    made.old, made.new = old, new
    for user in (ANN, BOB):
        fill(old.imap(user), {"INBOX": [Mail(message(f"m{i}")) for i in range(60)], "Work": [Mail(message("w"))] * 3})
        done = cutover(made, user)
        assert done.status == 0, done.log
    client = new.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "1:20", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.delete("Work")
    return made


def counts(server, user=ANN):
    return {name: len(mails) for name, mails in look(server.imap(user)).items()}


def journal_of_user(place, user):
    return journal_of(folder_of(place, user))


def break_it(place, how):
    found = journal_of_user(place, ANN)
    if how == "lost":
        shutil.rmtree(found)
    else:
        DAMAGES[how](found / "journal")


@pytest.mark.parametrize("how", [*DAMAGES, "lost"])
def test_damage_behind_the_flip(moved, how):
    """What its user has deleted does not come back, and what is late comes, once: the marks know."""
    break_it(moved, how)
    moved.old.deliver(ANN, smtp.message("late"))
    for _ in range(2):
        done = cutover(moved)
        assert done.status == 0 and "E-LATE-UNKNOWN" not in str(done.lines) + done.log, done
        assert counts(moved.new) == {"INBOX": 41}
    assert counts(moved.new, BOB) == {"INBOX": 60, "Work": 3}


@pytest.mark.parametrize("how, marks", [("noise", "damaged"), ("lost", "lost")])
def test_damage_of_journal_and_marks(moved, how, marks):
    """What its user has deleted does not come back; what is in doubt is told, and is open until somebody has looked;
    later mail comes."""
    break_it(moved, how)
    for path in (moved.state / "sync" / "marks").iterdir():
        if marks == "lost":
            path.unlink()
        else:
            path.write_bytes(path.read_bytes()[:-1])
    moved.old.deliver(ANN, smtp.message("in-doubt"))
    told = cutover(moved)
    again = cutover(moved)
    assert again.status == 1 and "class loss" in again.log and "E-LATE-UNKNOWN" in again.log, (told.log, again.log)
    assert sync(moved, "accept", "--code=E-LATE-UNKNOWN", "--why=looked", ANN).returncode == 0
    again = cutover(moved)
    assert again.status == 0, (told.log, again.log)
    assert counts(moved.new) == {"INBOX": 40}
    assert told.status != 0 and "E-LATE-UNKNOWN" in str(told.lines) + told.log, told
    moved.old.deliver(ANN, smtp.message("late"))
    fill(moved.old.imap(ANN), {"Neu": [Mail(message("late too"))]})
    assert cutover(moved).status == 0
    assert counts(moved.new) == {"INBOX": 41, "Neu": 1}
    assert counts(moved.new, BOB) == {"INBOX": 60, "Work": 3}


def test_the_daemon_outlives_a_damaged_journal(moved):
    break_it(moved, "noise")
    moved.start("sync", args=("run",))
    moved.old.deliver(BOB, smtp.message("late-bob"))
    wait_for(lambda: counts(moved.new, BOB)["INBOX"] == 61, 30, "bob's mail to come")
    moved.old.deliver(ANN, smtp.message("first"))
    wait_for(lambda: set_aside(moved.state), 30, "the journal to be set aside")
    before = status(moved)[ANN]["sweeps"]
    wait_for(lambda: status(moved)[ANN]["sweeps"] > before + 1, 30, "ann to be swept again")
    moved.old.deliver(ANN, smtp.message("second"))
    wait_for(lambda: any(b"second" in m.data for m in moved.new.messages(ANN)), 30, "ann's mail to come")
    assert moved.running("sync")
    assert counts(moved.new)["INBOX"] in (41, 42)


# --- A disk that is full ---------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", state], stderr=subprocess.PIPE, check=False).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        yield state
    finally:
        subprocess.run(["umount", state], check=True)


@pytest.mark.parametrize("room", [0, 60, 180])
def test_a_full_disk(dovecot, tmp_path, small, room):
    """An error: with room again the journal goes on, and nothing comes twice."""
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(20)]})
    line = argv(old, new, small, "--settle=12s", binary=PLAIN)
    assert run(line).status == 0
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"n{i}")) for i in range(1500)]})
    free = shutil.disk_usage(small).free - (room << 10)
    subprocess.run(["fallocate", "-l", str(free), small / "filler"], check=True)
    for _ in range(2):
        done = run(line)
        assert done.status in (74, 75), done.log
        assert "No space left on device" in done.log
    (small / "filler").unlink()
    done = run(line)
    assert done.status == 0, done.log
    assert not set_aside(small)
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    assert run(line).messages_copied == 0


def journal_fill(folder, *args):
    """How many messages it says are in the journal, and its end."""
    done = subprocess.run([ROOT / "build/bin/journal_fill", folder, *map(str, args)], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return int(done.stdout), done


@pytest.mark.parametrize("at_once", [17, 300])
def test_a_disk_that_is_full_at_any_write(small, at_once):
    """What a commit said is true, and no recovery takes the log for torn: at the first write of a log file too."""
    errors = 0
    for room in range(0, 560 if IS_SOAK else 350, 4 if at_once == 17 else 20):
        folder, filler = small / str(room), small / "filler"
        assert journal_fill(folder, 20, 20)[0] == 20
        subprocess.run(["fallocate", "-l", str(shutil.disk_usage(small).free - (room << 10)), filler], check=True)
        acked = 20
        for _ in range(2):
            has, done = journal_fill(folder, 3000, at_once)
            assert done.returncode == 1 and "No space left on device" in done.stderr, done
            acked = max(acked, has)
            errors += 1
        filler.unlink()
        has, done = journal_fill(folder)
        assert done.returncode == 0 and has >= acked, (room, acked, has, done)
        assert journal_fill(folder, 3000, at_once)[0] == 3000
        assert not set_aside(small), (room, done)
        shutil.rmtree(folder)
    assert errors > 20


@pytest.mark.parametrize("error", ("EIO", "ENOSPC"))
@pytest.mark.parametrize("part", (0, 0.4, 0.8))
def test_a_failed_sync(dovecot, tmp_path, error, part):
    """The run fails, and the next one recovers what is true."""
    users = {f"u{i}@example.org": "secret" for i in range(5)}
    old, new = dovecot("old"), dovecot("new", users=users)
    fill(old.imap(ANN), spec(250))
    fault = []
    for user in users:
        line = argv(old, new, tmp_path / user, "--settle=2s", binary=PLAIN, target_user=user)
        done = strace.strace(line, tmp_path / "calls", *fault)
        calls = (tmp_path / "calls").read_text()
        if "INJECTED" in calls:
            break
        # A whole run, of which nobody knows before how often it syncs.
        assert done.returncode == 0, done.stderr
        fault = ["-e", f"inject=fdatasync:error={error}:when={1 + int(part * (calls.count('fdatasync(') - 1))}"]
    else:
        pytest.fail("no run came as far as its fault")
    assert done.returncode in (0, 74), done.stderr
    assert run(line).status == 0
    same(look(old.imap(ANN)), look(new.imap(user)))
    assert run(line).messages_copied == 0
