# SPDX-License-Identifier: ISC
"""What people see of a copy: a plan that changes nothing, progress, a report, how to go on, and what programs read."""
import fcntl
import hashlib
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
from pathlib import Path

import pytest
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.imap import quoted
from lib.mailbox import Mail, argv, copy, expunge, fill, look, message, run, same
from lib.proxy import Proxy

ANN = "ann@example.org"
ROOT = Path(__file__).resolve().parents[2]
CHANGES = re.compile(rb"(UID )?(APPEND|CREATE|DELETE|RENAME|SUBSCRIBE|UNSUBSCRIBE|SELECT|STORE|EXPUNGE|COPY|MOVE)\b", re.I)


def state_of(folder):
    """Every file below, with its contents; the lock has the number of a process."""
    return {p.relative_to(folder): hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.rglob("*")
            if p.is_file() and p.name != "lock"}


def changes(proxy):
    return [line for line in proxy.commands if CHANGES.match(line)]


def by_folder(result):
    return {f["folder"]: f for f in result.by_folder}


def test_a_dry_run_changes_nothing(dovecot, tmp_path):
    old, new = dovecot("old"), Proxy(dovecot("new", separator="/"))
    source, target = old.imap(ANN), new.server.imap(ANN)
    fill(source, {"INBOX": [Mail(message(f"m{i}")) for i in range(6)], "Work": [Mail(message(f"w{i}")) for i in range(4)],
                  "Work.Old": []})
    fill(target, {"INBOX": [Mail(message("m0")), Mail(message("theirs"))]})
    before = look(target, "/")
    new.forget()
    first = copy(old, new, tmp_path, "--dry-run", "--map=Work=Arbeit")
    assert (first.status, first.dry_run, first.messages_copied, first.messages_adopted) == (0, True, 9, 1), first.log
    assert first.bytes_copied == sum(len(message(s)) for s in ["m1", "m2", "m3", "m4", "m5", "w0", "w1", "w2", "w3"])
    folders = by_folder(first)
    assert {n: (f["target"], f["name_from"], f["made"], f["copied"]) for n, f in folders.items()} == {
        "INBOX": ("INBOX", "plain", False, 5), "Work": ("Arbeit", "map", True, 4), "Work.Old": ("Arbeit/Old", "below", True, 0)}
    assert changes(new) == [] and look(target, "/") == before and state_of(tmp_path / "state") == {}
    # Copied, and changed on the source in every way.
    assert copy(old, new, tmp_path, "--map=Work=Arbeit").status == 0
    source.select("INBOX")
    assert source.uid("STORE", "2:3", "+FLAGS", "\\Seen")[0] == "OK"
    assert source.uid("COPY", "5", quoted("Work"))[0] == "OK"
    expunge(source, "INBOX", "4:5")
    fill(source, {"Work": [Mail(message("w9"))], "New": [Mail(message("n"))]})
    before, state = look(target, "/"), state_of(tmp_path / "state")
    new.forget()
    plan = copy(old, new, tmp_path, "--dry-run")
    assert plan.status == 0, plan.log
    done = ("messages_copied", "flags_changed", "messages_moved", "messages_deleted", "bytes_copied")
    assert [plan.counts[n] for n in done] == [2, 2, 1, 1, len(message("w9")) + len(message("n"))]
    assert (by_folder(plan)["INBOX"]["deleted"], by_folder(plan)["INBOX"]["flags_changed"]) == (1, 2)
    assert changes(new) == [] and look(target, "/") == before and state_of(tmp_path / "state") == state
    # It was right.
    real = copy(old, new, tmp_path, "--sizes")
    assert [real.counts[n] for n in done] == [plan.counts[n] for n in done], real.log
    assert {n: {k: v for k, v in f.items() if not k.endswith("_after") and "_bytes_" not in k} for n, f in by_folder(real).items()} == by_folder(plan)
    inbox = by_folder(real)["INBOX"]
    assert (inbox["source_before"], inbox["source_after"], inbox["target_before"], inbox["target_after"]) == (4, 4, 7, 5)
    octets = {side: sum(seen.size for seen in look(client, separator)["INBOX"])
              for side, client, separator in (("source", source, "."), ("target", target, "/"))}
    assert {side: inbox[f"{side}_bytes_after"] for side in octets} == octets
    assert inbox["target_bytes_before"] == octets["target"] + len(message("m3")) + len(message("m4"))


def test_weeks_ahead_and_then_the_rest(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    dates = ['" 1-Oct-2026 23:59:59 +0000"', '" 2-Oct-2026 00:00:00 +0000"', '" 3-Oct-2026 10:00:00 +0000"']
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}"), ("\\Flagged",) * (i % 2), dates[i % 3]) for i in range(9)],
                         "Large": [Mail(message("s")), Mail(message("l", "x" * 5000 + "\r\n"))]})
    ahead = copy(old, new, tmp_path, "--before=2026-10-02", "--max-size=4k", "--newest-first", "--verify")
    assert (ahead.status, ahead.messages_copied, ahead.messages_filtered) == (0, 3, 8), ahead.log
    assert ahead.verified["missing"] == 0 and ahead.exceptions == []
    rest = copy(old, new, tmp_path, "--verify")
    assert (rest.status, rest.messages_copied, rest.messages_filtered, rest.verified["missing"]) == (0, 8, 0, 0), rest.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    for wrong in (["--before=soon"], ["--with-flag=\\Recent"], ["--since=3d", "--before=3d"], ["--max-size=-1"]):
        assert copy(old, new, tmp_path, *wrong).status == 64


def taker(script, n_refused=0):
    """A target that calls script(server) before it answers an APPEND, and refuses the first ones."""
    def append(server, tag, line):
        script(server)
        if any(b"Subject: %d\r\n" % i in m for m in server.literals for i in range(n_refused)):
            return b"{tag} NO message contains a bad header\r\n"
        first = len(server.messages) + 1
        server.messages += server.literals
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))

    def status(server, tag, line):
        n = len(server.messages)
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)
    return FakeImap([], {"APPEND": append, "STATUS": status}, capabilities=CAPABILITIES.replace(b" MULTIAPPEND", b""))


def mails(n):
    return [b"Subject: %d\r\n\r\nbody of %d\r\n" % (i, i) for i in range(n)]


@pytest.mark.parametrize("how", (signal.SIGINT, signal.SIGTERM))
def test_stopped_it_says_how_to_go_on(how, tmp_path):
    running = []

    def stop(server):
        if len(server.messages) == 100:  # of 40 on their way some have been answered
            running[0].send_signal(how)
    with FakeImap(mails(200)) as source, taker(stop) as target:
        line = argv(source, target, tmp_path, "--settle=0s")
        running.append(subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        out, log = running[0].communicate(timeout=60)
        doc = json.loads(out)
        assert running[0].returncode == 75 and doc["broke_off"].endswith("stopped on request"), log
        told = re.search(r"coexist-sync: (\d+) messages? \(.*\) (?:was|were) copied in this run and will not come again: "
                         r"run the same command to go on\n\Z", log)
        assert int(told[1]) == doc["messages_copied"] < 200, log
        done = run(line)
        assert done.status == 0 and len(target.messages) == 200 == len(set(target.messages)), done.log
        assert done.messages_copied + done.messages_adopted >= 200 - doc["messages_copied"]


def test_events(tmp_path):
    page = (ROOT / "docs/man/coexist-json.5").read_text()
    with FakeImap(mails(30)) as source, taker(lambda server: None, 2) as target:
        line = argv(source, target, tmp_path, "--settle=0s", "--json-events")
        done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    events = [json.loads(text) for text in done.stdout.splitlines()]
    kinds = [e["event"] for e in events]
    assert done.returncode == 1 and kinds[0] == "begin" and kinds[-1] == "end" and kinds.count("folder") == 1
    assert kinds.count("exception") == 2 == events[-1]["exceptions_total"] == events[-1]["by_code"]["E-REFUSED"]
    assert events[-1]["by_folder"][0]["items"] == 2 and events[-1]["messages_copied"] == 28
    assert events[0]["source"].startswith("imap://") and [e["ms"] for e in events] == sorted(e["ms"] for e in events)
    for event in events:
        for key in [event["event"], *event]:
            assert re.search(rf"\b{key}\b", page), key


def on_terminal(line, columns, **env):
    """Standard error and output on a terminal so wide: all that was written to it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=slave, stderr=slave, env={**os.environ, **env}) as running:
        os.close(slave)
        seen = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            seen += part
        os.close(master)
        running.wait(60)
    return seen.decode()


def test_a_bar_on_a_terminal(tmp_path):
    for columns, term in ((80, "xterm"), (120, "xterm"), (80, "dumb")):
        with FakeImap(mails(150)) as source, taker(lambda server: None, 2) as target:
            line = argv(source, target, tmp_path / f"{columns}{term}", "--settle=0s")
            line.remove("--json")
            seen = on_terminal(line, columns, TERM=term)
        if term == "dumb":
            assert "\033" not in seen and "[##" not in seen and "event=copy_exception" in seen
            continue
        bars = [re.sub("\033.*", "", text) for text in seen.split("\r") if re.match(r"(looks  )?\[", text)]
        assert bars and all(len(bar) < columns for bar in bars), seen
        assert any(re.match(r"(looks  )?\[[#.]+\] +\d+%  \d+/150  ", bar) for bar in bars), bars
        # Whatever else is written begins where the bar began, and the report is not wider than the terminal.
        for text in seen.replace("\r\n", "\n").split("\n"):
            written = text.split("\033[K")[-1]
            assert "[#" not in written and "[." not in written, text
            assert len(written) <= columns or "event=" in written, written
        assert re.search(r"^INBOX +150 +0 +148 +148 ", seen.replace("\r\n", "\n").split("\033[K")[-1], re.M), seen


def test_a_forecast_goes_by_the_pace_and_by_what_a_filter_takes(tmp_path):
    """By the rates of each side; what is left out takes no time."""
    large = [b"Subject: large\r\n\r\n%b\r\n" % (b"x" * 90000)] * 2
    with FakeImap(mails(10) + large + mails(10)) as source, FakeImap() as target:
        def plan(*more):
            done = run(argv(source, target, tmp_path, "--dry-run", "--settle=0s", *more))
            assert not target.appended and done.status in (0, 1), done.log
            return done.messages_copied, done.counts.get("seconds_by_source"), done.counts.get("seconds_by_target")
        assert plan() == (22, None, None)
        assert plan("--max-rate=30k") == (22, 6, 6)
        assert plan("--max-rate=30k", "--max-size=1k") == (20, 1, 1)
        # A day that is too small for it, and commands, which only what is sent needs.
        assert min(plan("--max-day=100k")[1:]) >= 86400
        assert plan("--max-commands=10", "--max-size=1k") == (20, None, 2)


def test_a_dry_run_into_a_maildir_that_is_not_there(tmp_path):
    with FakeImap(mails(3)) as source:
        before = set(Path(os.environ.get("TMPDIR", "/tmp")).glob("coexist-dry-run.*"))
        plan = copy(source, tmp_path / "kept", tmp_path, "--dry-run")
        assert (plan.status, plan.messages_copied) == (0, 3) and not (tmp_path / "kept").exists(), plan.log
        assert set(Path(os.environ.get("TMPDIR", "/tmp")).glob("coexist-dry-run.*")) <= before
