# SPDX-License-Identifier: ISC
"""Two hundred mailboxes through one coexist-sync run, twenty at a time, and few messages of very many octets.

Many: each user has 50 messages in 3 folders on one Dovecot and is cut over to another.  What is counted is
processor time, of our daemons and of both servers; "bare" is the same mail by nothing but pipelined commands
(read it, make the folders, append it), of which the servers' part is what nothing can do without.

Few: 10 messages of 100 MB.  "bare" hands the octets of one server's FETCH to the other's APPEND as they come.
Medians of ROUNDS.

BENCH_USERS=N another number of users, BENCH_LARGE_MB=N another size of the large messages.
"""
import concurrent.futures
import os
import re
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from bench_copy import CONF, ROUNDS, Imap
from lib.coexist import Coexist
from lib.cutover import argv as cutover_argv, imap_servers
from lib.dovecot import Dovecot
from lib.guest import ROOT
from lib.mailbox import argv
from lib.measure import maildir_name

TITLE = "Many mailboxes, and few large messages"
USERS = int(os.environ.get("BENCH_USERS", "200"))
JOBS, FOLDERS, MESSAGES = 20, 3, 50
LARGE_MB, LARGE = int(os.environ.get("BENCH_LARGE_MB", "100")), 10
WORK = ROOT / "build" / "bench" / "many"
SECRET = "secret"
ROW = ("0123456789abcdef" * 5)[:76] + "\n"
TEXT = "From: a@example.net\nTo: b@example.org\nSubject: {0}\nMessage-ID: <{0}@example.net>\n\n{0}\n" + ROW * 20


def cpu(pid):
    """Seconds of a process, of its children and of those that it has waited for."""
    spent, tick = 0.0, os.sysconf("SC_CLK_TCK")
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        below = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return 0.0
    spent += sum(int(f) for f in fields[11:15]) / tick
    return spent + sum(cpu(int(child)) for child in below)


def of_server(server):
    return cpu(int((server.dir / "init.pid").read_text()))


def put(server, user, folder, texts):
    base = f"var/mail/{user}/Maildir" + (f"/.{folder}" if folder else "")
    for path in (f"var/mail/{user}", f"var/mail/{user}/Maildir", base, *(f"{base}/{d}" for d in ("cur", "new", "tmp"))):
        server.folder(path, user="vmail")
    for i, text in enumerate(texts):
        server.write(f"{base}/cur/{maildir_name(i + 1, text, 'S')}", text, user="vmail")


def folder_name(number):
    return f"F{number}" if number else ""


def read(client, folder):
    """The messages of a folder as they come."""
    client.send(f"EXAMINE {folder or 'INBOX'}".encode())
    client.wait()
    client.send(b"UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])")
    while True:
        line = client.file.readline()
        found = re.search(rb"\{(\d+)\}\r\n$", line)
        if found:
            yield client.file.read(int(found[1]))
        elif line.startswith(b"a"):
            client.answers.append(line)
            return


def bare_mailbox(old, new, user):
    source, target = (Imap(server.imap_port, user, SECRET) for server in (old, new))
    target.send(b'LIST "" "*"')
    for i in range(FOLDERS):
        name = folder_name(i)
        if name:
            target.send(f"CREATE {name}".encode())
            target.send(f"SUBSCRIBE {name}".encode())
        target.append((name or "INBOX").encode(), [(b"\\Seen", text) for text in read(source, name)])
    source.close()
    target.close()


def at_once(work, users):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        list(pool.map(work, users))


def many(old, new):
    """Seconds: the servers' for the bare commands; ours and the servers' for the cut-overs; wall of both."""
    users = [f"u{i:03}@example.org" for i in range(USERS)]
    bare = [f"b{i:03}@example.org" for i in range(USERS)]
    for user in users + bare:
        for i in range(FOLDERS):
            put(old, user, folder_name(i), [TEXT.format(f"{i}.{k}") for k in range(MESSAGES // FOLDERS)])
    before, started = of_server(old) + of_server(new), time.monotonic()
    at_once(lambda user: bare_mailbox(old, new, user), bare)
    alone, alone_wall = of_server(old) + of_server(new) - before, time.monotonic() - started
    site = Coexist(WORK / "site", imap_servers(WORK, old=old, new=new),
                   settings={"sync": dict.fromkeys(("jobs_max", "copies_max", "deltas_max"), JOBS)}, plain=True)
    try:
        site.init({user: "old" for user in users})
        site.start("sync", args=("run",))
        daemons = [site.pid("sync"), site.pid("mapd")]
        before, ours, started = of_server(old) + of_server(new), sum(map(cpu, daemons)), time.monotonic()

        def move(user):
            done = subprocess.run(cutover_argv(site, "cutover", "--json", user), stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            assert done.returncode == 0, done.stderr[-1000:]

        at_once(move, users)
        wall = time.monotonic() - started
        return alone, sum(map(cpu, daemons)) - ours, of_server(old) + of_server(new) - before, alone_wall, wall
    finally:
        site.close()


def bare_large(old, new, user):
    """Reads and appends at the same time, octets as they come."""
    started = time.monotonic()
    source, target = Imap(old.imap_port, "large@example.org", SECRET), Imap(new.imap_port, user, SECRET)
    source.send(b"EXAMINE INBOX")
    source.wait()
    for number in range(1, LARGE + 1):
        source.send(b"UID FETCH %d (UID BODY.PEEK[])" % number)
        size = int(re.search(rb"\{(\d+)\}", source.file.readline())[1])
        target.sent += 1
        target.sock.sendall(b"a%d APPEND INBOX (\\Seen) {%d+}\r\n" % (target.sent, size))
        while size:
            octets = source.file.read1(min(size, 1 << 20))
            target.sock.sendall(octets)
            size -= len(octets)
        target.sock.sendall(b"\r\n")
        source.wait()
    source.close()
    target.close()
    return time.monotonic() - started


def our_large(old, new, user):
    line = argv(old, new, WORK / "large" / user, "--settle=0s", user="large@example.org", target_user=user,
                binary=ROOT / "build" / "bin" / "coexist-sync")
    started = time.monotonic()
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr[-1000:]
    return time.monotonic() - started


def few(old, new):
    text = TEXT.format("large") + ROW * (LARGE_MB * 1_000_000 // len(ROW))
    put(old, "large@example.org", "", [text] * LARGE)
    client = Imap(old.imap_port, "large@example.org", SECRET)
    client.send(b"EXAMINE INBOX")
    client.close()
    spent = {bare_large: [], our_large: []}
    for number in range(ROUNDS):
        for at, how in enumerate(spent):
            user = f"l{number}{at}@example.org"
            spent[how].append(how(old, new, user))
            print(f"   large messages {number + 1}: {how.__name__} {spent[how][-1]:.2f} s", flush=True)
            shutil.rmtree(new.dir / "var/mail" / user)
    return statistics.median(spent[bare_large]), statistics.median(spent[our_large])


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    names = [f"{kind}{i:03}" for kind in "ub" for i in range(USERS)] + ["large"]
    names += [f"l{number}{at}" for number in range(ROUNDS) for at in range(2)]
    users = {f"{name}@example.org": SECRET for name in names}
    old = Dovecot(WORK / "old", users=users, conf=CONF).start()
    new = Dovecot(WORK / "new", users=users, conf=CONF).start()
    try:
        alone, ours, servers, alone_wall, wall = many(old, new)
        print(f"   many: bare {alone:.2f} s, ours {ours:.2f} s and the servers' {servers:.2f} s", flush=True)
        bare, large = few(old, new)
    finally:
        old.close()
        new.close()
        shutil.rmtree(WORK, ignore_errors=True)
    return (f"{USERS} users with {MESSAGES} messages in {FOLDERS} folders each are cut over by one `coexist-sync run`, {JOBS} at a time, between two\n"
            "Dovecots with Maildir; \"bare\" is their mail by pipelined commands alone, as many at a time. Seconds of processor time:\n\n"
            "| | servers | coexist-sync and mapd | all / servers | servers / bare | wall |\n|---|---|---|---|---|---|\n"
            f"| bare | {alone:.2f} | | | | {alone_wall:.1f} |\n"
            f"| cut-overs | {servers:.2f} | {ours:.2f} | {(ours + servers) / servers:.2f} | {servers / alone:.2f} | {wall:.1f} |\n\n"
            f"{LARGE} messages of {LARGE_MB} MB: {large:.2f} s, and {bare:.2f} s for what one server's FETCH sends handed to the other's\n"
            f"APPEND: {large / bare:.2f} x. Medians of {ROUNDS}.\n")
