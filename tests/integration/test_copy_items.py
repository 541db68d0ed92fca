# SPDX-License-Identifier: ISC
"""What differs is an item: it stays until it is mended, or somebody has accepted it, and the next run goes by it."""
import json
import subprocess

import pytest
from lib.coexist import binary_dir
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import argv, run


def mails(n):
    return [b"Subject: %d\r\n\r\nbody of %d\r\n" % (i, i) for i in range(n)]


def target(refused, words=b"NO message contains a bad header"):
    """Takes nothing whose subject is in `refused`."""
    def append(server, tag, line):
        server.tries = getattr(server, "tries", 0) + 1
        if any(b"Subject: %d\r\n" % i in m for m in server.literals for i in refused):
            return b"{tag} " + words + b"\r\n"
        first = len(server.messages) + 1
        server.messages += server.literals
        return b"{tag} OK [APPENDUID 7 %d:%d] done\r\n" % (first, len(server.messages))

    def status(server, tag, line):
        n = len(server.messages)
        return b"* STATUS INBOX (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (n, n + 1)
    return FakeImap([], {"APPEND": append, "STATUS": status}, capabilities=CAPABILITIES)


def command(folder, name, *more):
    done = subprocess.run([binary_dir() / "coexist-sync", name, "--state", folder / "state", *more], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def items(folder, *more):
    status, out, err = command(folder, "items", "--json", *more)
    assert status in (0, 1), err
    found = json.loads(out)
    assert status == any(i["state"] in ("open", "retried") for i in found)
    return found


def test_an_item_from_refusal_to_mending(tmp_path):
    refused = {2}
    with FakeImap(mails(4)) as source, target(refused) as new:
        def copy(*more):
            before = getattr(new, "tries", 0)
            done = run(argv(source, new, tmp_path, "--timeout=60s", "--settle=0s", *more))
            return done, new.tries - before
        done, _ = copy()
        assert (done.status, done.counts["items_loss"], len(new.messages)) == (1, 1, 3), done.log
        assert [(e["code"], e["class"], e["uid"]) for e in done.exceptions] == [("E-REFUSED", "loss", 3)]
        assert "code=E-REFUSED" in done.log
        [item] = items(tmp_path)
        assert (item["folder"], item["uid"], item["state"], item["tries"]) == ("INBOX", 3, "open", 1)
        assert "bad header" in item["error"] and item["date"] and item["remedy"] and item["source"].startswith("imap://")
        # Each run tries it once more, and says that it is still open.
        done, tries = copy()
        assert (done.status, tries, items(tmp_path)[0]["tries"]) == (1, 1, 2), done.log
        # Whoever accepts says what, and why.
        assert command(tmp_path, "accept", "--all")[0] == 64
        assert command(tmp_path, "accept", "--why=x")[0] == 64
        assert command(tmp_path, "accept", "--code=E-NOTHING", "--why=x")[0] == 64
        assert command(tmp_path, "accept", "--folder=INBOX", "--uid=2", "--why=x")[0] == 1
        assert command(tmp_path, "accept", "--folder=INBOX", "--uid=3", "--why=only spam")[:2] == (0, "1 item accepted\n")
        assert items(tmp_path) == []
        [item] = items(tmp_path, "--all")
        assert (item["state"], item["reason"]) == ("accepted", "only spam") and item["by"]
        assert "accepted" in command(tmp_path, "items", "--all")[1]
        done, tries = copy("--verify")
        assert (done.status, tries, done.exceptions, done.counts["items_accepted"]) == (0, 0, [], 1), done.log
        # Retried, it is tried again and is open as long as that fails.
        assert command(tmp_path, "retry", "--code=E-REFUSED")[0] == 0
        assert [i["state"] for i in items(tmp_path)] == ["retried"]
        done, tries = copy()
        assert (done.status, tries) == (1, 1) and items(tmp_path)[0]["state"] == "open", done.log
        refused.clear()
        done, tries = copy()
        assert (done.status, tries, len(new.messages)) == (0, 1, 4), done.log
        assert items(tmp_path) == [] and items(tmp_path, "--all")[0]["state"] == "gone"


def test_a_code_is_accepted_in_advance(tmp_path):
    with FakeImap(mails(3)) as source, target({0, 2}) as new:
        done = run(argv(source, new, tmp_path, "--timeout=60s", "--settle=0s", "--accept=E-DATE", "--accept", "E-REFUSED"))
        assert (done.status, done.counts["items_accepted"], len(new.messages)) == (0, 2, 1), done.log
        assert run(argv(source, new, tmp_path, "--accept=E-NO")).status == 64


@pytest.mark.parametrize("name", ["items", "accept", "retry"])
def test_where_nothing_is(name, tmp_path):
    more = ["--all", "--why=x"] if name != "items" else []
    (tmp_path / "state").mkdir()
    status, _, err = command(tmp_path, name, *more)
    assert status == 66 and "there is no journal" in err


@pytest.mark.parametrize("how", ("accept", "--accept"))
def test_a_message_that_a_comparison_misses(how, tmp_path):
    """It came behind the pass: open, or accepted by whoever knows that; the next run brings it along, accepted or not."""
    def arrive(server, tag, line):
        if len(source.messages) == 3:
            source.messages += mails(4)[3:]
        return server._ordinary("APPEND", tag, line)
    with FakeImap(mails(3)) as source, FakeImap(script={"APPEND": arrive}) as new:
        def copy(*more):
            return run(argv(source, new, tmp_path, "--timeout=60s", "--settle=0s", "--verify", *more))

        def missing(*more):
            return [(i["uid"], i["state"]) for i in items(tmp_path, *more) if i["code"] == "E-MISSING"]
        in_advance = how == "--accept"
        done = copy(*["--accept=E-MISSING"] * in_advance)
        assert (done.status, len(done.exceptions)) == ((0, 0) if in_advance else (1, 1)), done.log
        if not in_advance:
            assert missing() == [(4, "open")]
            assert command(tmp_path, "accept", "--code=E-MISSING", "--why=it is new")[:2] == (0, "1 item accepted\n")
        assert missing() == [] and missing("--all") == [(4, "accepted")]
        done = copy()
        assert (done.status, done.messages_copied) == (0, 1), done.log
        assert missing() == []
