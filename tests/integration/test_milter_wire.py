# SPDX-License-Identifier: ISC
"""coexist-milter over its wire: verdicts, stamps, hostile peers, drain, reload and kills."""
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import threading

import pytest
from lib.chaos import KILLS
from lib.coexist import ProgramError
from lib.milter import ACTIONS_ALL, ADDHDRS, STEPS_ALL, MilterClient, session
from lib.wait import free_port, listens, wait_for

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"
NOBODY = "nobody@example.org"
SERVERS = {"old": {"smtp": "smtp://127.0.0.1:2525", "from": ["10.1.1.5/32"]},
           "new": {"smtp": "smtp://127.0.0.1:2526", "from": ["10.1.2.5/32", "2001:db8::/32"]}}
TRACE = "Coexist-Trace"


@pytest.fixture
def judge(site):
    """A started coexist-milter with ann and bob on old and cat on new."""
    def make(plain=False, domains=None, **settings):
        made = site(SERVERS, settings={"milter": settings}, plain=plain, domains=domains)
        made.init({ANN: "old", BOB: "old", CAT: "new"})
        return made.start("milter")
    return make


def one(site, *recipients, fields=(("Subject", "x"),), address="192.0.2.1"):
    with session(site.milter_port, address) as mta:
        return mta.message(list(recipients), fields)


def stamps(verdict):
    """The inserted fields as a next hop would show them to its milter."""
    return [(name, value) for _, name, value in verdict.inserted]


# --- Verdicts ---------------------------------------------------------------------------


def test_recipients_get_exact_answers(judge):
    site = judge()
    site.maptool("hold", BOB)
    with session(site.milter_port) as mta:
        mta.mail()
        assert mta.rcpt(f"<{ANN}>").code == 250
        assert mta.rcpt("<Ann+Detail@Example.ORG>").code == 250
        assert mta.rcpt("<x@elsewhere.test>").code == 250
        assert mta.rcpt("<postmaster>").code == 250
        assert mta.rcpt("<postmaster@example.org>").code == 250
        for unknown in (f"<{NOBODY}>", NOBODY, f"<@relay.test:{NOBODY}>"):
            got = mta.rcpt(unknown)
            assert got.code == 550 and got.text.startswith("5.1.1 "), got
        got = mta.rcpt(f"<{BOB}>")
        assert got.code == 450 and got.text.startswith("4.2.1 "), got
    site.wait_event("milter", "rcpt_refuse", rcpt=BOB, code=450)
    assert site.events("milter", "rcpt_accept", rcpt=ANN)[0]["route"] == "old"
    assert not site.events("milter", rcpt="x@elsewhere.test")


SPELLINGS = ("{0}", "<{1}%{2}>", "<{1}%{2}@mx.test>", "<{2}!{1}>", "<mx!{2}!{1}>", '<"{0}">', "<{0}@>", "<{1} @ {2}>", "<{1}>",
             "<x <{0}>>", "<@mx.test:{1}%{2}>", "<{0}.>", "<(c){1}@(c){2}>", '<"{1}%{2}"@[127.0.0.1]>', "<who@elsewhere.test>")


def test_the_resolved_address_is_judged(judge):
    """Whatever was said, what counts is the address that the mail server will deliver to."""
    site = judge()
    site.maptool("hold", BOB)
    for said in SPELLINGS:
        with session(site.milter_port) as mta:
            mta.mail()
            for address, code in ((NOBODY, 550), (BOB, 450), (ANN, 250)):
                got = mta.rcpt(said.format(address, *address.split("@")), resolved=address)
                assert got.code == code, (said, address, got)
            mta.headers([("Subject", "x")])
            assert len(mta.end().inserted) == 1, said
    found = site.wait_event("milter", "rcpt_refuse", rcpt=NOBODY, said="<example.org!nobody>")
    assert found["code"] == "550"


def test_what_is_not_resolved(judge):
    site = judge()
    with session(site.milter_port) as mta:
        mta.mail()
        assert mta.rcpt("<ann%example.org>", resolved=ANN).code == 250
        # Nothing is told here, and what was told before is not taken for it.
        got = mta.rcpt("<nobody%example.org>")
        assert got.code == 451 and got.text.startswith("4.3.5 "), got
        assert mta.rcpt(f"<{ANN}>").code == 250
        assert mta.rcpt(f"<{NOBODY}>").code == 550
        assert mta.rcpt("<nobody%example.org>", resolved="nobody").code == 553, "delivered under a name without a domain"
        assert mta.rcpt("<root>", resolved="root").code == 250


def test_a_change_counts_for_the_next_recipient(judge):
    site = judge()
    with session(site.milter_port) as mta:
        mta.mail()
        assert mta.rcpt("<dan@example.org>").code == 550
        site.set("dan@example.org", "new")
        assert mta.rcpt("<dan@example.org>").code == 250
        site.maptool("del", "dan@example.org")
        assert mta.rcpt("<dan@example.org>").code == 550
        site.maptool("hold", ANN)
        assert mta.rcpt(f"<{ANN}>").code == 450
        site.maptool("release", ANN)
        assert mta.rcpt(f"<{ANN}>").code == 250


def test_without_a_map_everything_of_ours_is_temporary(site):
    made = site(SERVERS)
    made.start("milter")
    rcpts, verdict = one(made, ANN, NOBODY, "x@elsewhere.test")
    assert rcpts[ANN].code == rcpts[NOBODY].code == 451 and rcpts[ANN].text.startswith("4.3.0 ")
    assert rcpts["x@elsewhere.test"].code == 250 and verdict.code == 250


def test_direction(judge):
    """Chaining: what a server sends for a user that it has itself, it does not know."""
    site = judge(domains={"example.org": {"model": "chaining"}})
    assert one(site, ANN)[0][ANN].code == 250
    assert one(site, ANN, address="10.1.2.5")[0][ANN].code == 250
    got = one(site, ANN, address="10.1.1.5")[0][ANN]
    assert got.code == 451 and got.text.startswith("4.4.6 "), "the entry is new, see direction_grace"
    assert one(site, CAT, address="10.1.1.5")[0][CAT].code == 250
    assert one(site, CAT, address="2001:db8::25")[0][CAT].code == 451
    with MilterClient(site.milter_port) as mta:
        assert mta.negotiate()
        mta.connect_unknown({"_": "mail.example.net [10.1.1.5]"})
        mta.mail()
        assert mta.rcpt(f"<{ANN}>").code == 451
    with MilterClient(site.milter_port) as mta:
        assert mta.negotiate()
        mta.connect_unknown({"client_addr": "10.1.2.5", "{client_addr}": "10.1.2.5", "_": "x [10.1.1.5]"})
        mta.mail()
        assert mta.rcpt(f"<{ANN}>").code == 250


def test_loop(judge):
    site = judge()
    seen = [("Received", "from a by b"), ("Subject", "x")]
    for hop in range(2):
        rcpts, verdict = one(site, ANN, CAT, "x@elsewhere.test", fields=seen)
        assert {v.code for v in rcpts.values()} == {250}
        assert verdict.code == 250
        assert [name for _, name, _ in verdict.inserted] == [TRACE, TRACE], "one field for each server"
        assert [index for index, _, _ in verdict.inserted] == [0, 0]
        for _, value in stamps(verdict):
            assert "\r" not in value and all(len(line) < 78 for line in value.split("\n"))
            assert not re.search(r"\n(?![ \t])", value) and "example.org" not in value
        seen = stamps(verdict) + [("Received", f"hop {hop}")] + seen
    rcpts, verdict = one(site, ANN, fields=seen)
    assert rcpts[ANN].code == 250
    assert verdict.code == 554 and verdict.text.startswith("5.4.6 ") and verdict.inserted == ()
    site.wait_event("milter", "message_refuse", rcpt=ANN, code=554)
    # Another recipient, or another epoch, is no loop.
    assert one(site, BOB, fields=seen)[1].code == 250
    site.set(ANN, "new")
    assert one(site, ANN, fields=seen)[1].code == 250
    # One looping recipient refuses the message for all: it is never dropped from it.
    assert one(site, BOB, CAT, fields=seen)[1].code == 554


def test_hops(judge):
    site = judge()
    made = [("Received", f"from h{n}") for n in range(200)]
    assert one(site, ANN, fields=made)[1].code == 554
    assert one(site, "x@elsewhere.test", fields=made)[1].code == 250


def test_many_recipients(judge):
    limit = 500
    site = judge()
    names = [f"ann+{n}@example.org" for n in range(1, limit + 2)]
    with session(site.milter_port) as mta:
        rcpts, verdict = mta.message(names)
        assert [v.code for v in rcpts.values()] == [250] * limit + [452]
        assert verdict.code == 250 and sum(len(v) for _, v in stamps(verdict)) < 32768
        rcpts, again = mta.message(names[:1], stamps(verdict))
        assert again.code == 250
        assert mta.message(names[:1], stamps(again) + stamps(verdict))[1].code == 554


def test_changed_between_rcpt_and_end(judge):
    site = judge()
    with session(site.milter_port) as mta:
        mta.mail()
        assert mta.rcpt(f"<{ANN}>").code == mta.rcpt(f"<{CAT}>").code == 250
        mta.headers([("Subject", "x")])
        site.maptool("hold", ANN)
        got = mta.end()
        assert got.code == 450 and got.inserted == ()
        site.maptool("del", BOB)
        site.maptool("release", ANN)
        assert mta.message([ANN])[1].code == 250


def test_messages_of_one_connection_know_nothing_of_each_other(judge):
    site = judge()
    with session(site.milter_port) as mta:
        first = mta.message([ANN])[1]
        second = mta.message([ANN], stamps(first))[1]
        loop = stamps(second) + stamps(first)
        assert mta.message([ANN], loop)[1].code == 554
        # Fields of the message before do not count, nor do its recipients.
        assert mta.message([ANN])[1].code == 250
        got = mta.message(["x@elsewhere.test"], loop)[1]
        assert got.code == 250 and got.inserted == ()
        # Abandoned in every state.
        mta.mail()
        mta.abort()
        mta.mail()
        mta.rcpt(f"<{ANN}>")
        mta.abort()
        mta.mail()
        mta.rcpt(f"<{ANN}>")
        mta.headers(loop)
        mta.abort()
        got = mta.message([CAT])[1]
        assert got.code == 250 and len(got.inserted) == 1
        mta.mail()
        mta.rcpt(f"<{ANN}>")
        mta.headers(loop)
        got = mta.message([CAT])[1]  # MAIL without an end before
        assert got.code == 250 and len(got.inserted) == 1
        # A new SMTP client over the same connection.
        mta.send(b"K")
        mta.connect("10.1.1.5")
        assert mta.message([ANN])[1].code == 250
    assert {e["client"] for e in site.events("milter", "message_accept")} == {"192.0.2.1", "10.1.1.5"}


def test_behind_us_the_relay_stamps(judge):
    site = judge(stamp="no")
    with session(site.milter_port) as mta:
        assert mta.steps & 0x20, "no header fields are asked for"
        rcpts, verdict = mta.message([ANN, NOBODY])
        assert rcpts[ANN].code == 250 and rcpts[NOBODY].code == 550
        assert verdict.code == 250 and verdict.inserted == ()


def test_shadow_mode_only_talks(judge):
    site = judge(mode="shadow")
    site.maptool("hold", BOB)
    rcpts, verdict = one(site, ANN, BOB, NOBODY)
    assert {v.code for v in rcpts.values()} == {250}
    assert verdict.code == 250 and verdict.inserted == ()
    assert site.wait_event("milter", "shadow_rcpt_refuse", rcpt=NOBODY)["code"] == "550"
    assert site.wait_event("milter", "shadow_rcpt_refuse", rcpt=BOB)["code"] == "450"
    assert site.wait_event("milter", "shadow_rcpt_accept", rcpt=ANN)["route"] == "old"
    assert not site.events("milter", "rcpt_refuse")


def test_shadow_mode_refuses_nothing_while_it_is_stopped(judge):
    """Messages of that time are judged, logged and waited for like those before."""
    site = judge(mode="shadow")
    with session(site.milter_port) as busy, session(site.milter_port) as idle:
        busy.mail()
        assert busy.rcpt(f"<{ANN}>").code == 250
        site.signal("milter", signal.SIGTERM)
        site.wait_event("milter", "draining")
        assert busy.rcpt(f"<{NOBODY}>").code == 250
        idle.mail()
        assert idle.rcpt(f"<{NOBODY}>").code == 250
        with session(site.milter_port) as late:
            rcpts, verdict = late.message([ANN, NOBODY])
            assert {v.code for v in rcpts.values()} == {250} and verdict.code == 250
        busy.headers([("Subject", "x")])
        assert busy.end().code == 250
        assert site.running("milter"), "a message is in progress"
        assert idle.end().code == 250
        wait_for(lambda: not site.running("milter"), 20, "the milter to end")
    assert site.events("milter", "stopped")[0]["cut_off"] == "0"


def test_shadow_mode_takes_any_mail_server(judge):
    site = judge(mode="shadow")
    with MilterClient(site.milter_port) as mta:
        assert mta.negotiate(offer_actions=ACTIONS_ALL & ~ADDHDRS)
        assert mta.connect().code == 250
        rcpts, verdict = mta.message([ANN, NOBODY])
        assert {v.code for v in rcpts.values()} == {250} and verdict.code == 250
    site.wait_event("milter", "negotiation_failed")


# --- Negotiation and hostile peers --------------------------------------------------------


def test_only_needed_steps_are_asked_for(judge):
    site = judge()
    with session(site.milter_port) as mta:
        assert mta.actions == 0x101 and mta.steps == 0x02 | 0x10 | 0x40 | 0x100, "every step that remains is answered"
        assert mta.symbols == {0: "_ {client_addr}", 2: "i", 3: "i {rcpt_addr}", 5: "i"}


def test_old_mail_servers(judge):
    """No "no reply", no DATA or UNKNOWN steps, no choice of macros: protocol 2 of Sendmail 8.13."""
    site = judge()
    with MilterClient(site.milter_port) as mta:
        assert mta.negotiate(version=2, offer_actions=0x3F, offer_steps=0x7F)
        assert mta.actions == ADDHDRS and mta.steps & ~0x7F == 0
        assert mta.connect().code == 250
        rcpts, verdict = mta.message([ANN, NOBODY])
        assert rcpts[ANN].code == 250 and rcpts[NOBODY].code == 550
        assert verdict.code == 250 and len(verdict.inserted) == 1


def test_a_mail_server_that_cannot_add_headers_is_refused(judge):
    site = judge()
    with MilterClient(site.milter_port) as mta:
        assert not mta.negotiate(offer_actions=ACTIONS_ALL & ~ADDHDRS)
    site.wait_event("milter", "negotiation_failed")
    assert one(site, ANN)[1].code == 250


HELLO = struct.pack("!IcIII", 13, b"O", 6, ACTIONS_ALL, STEPS_ALL)


def packet(command, data=b""):
    return struct.pack("!I", 1 + len(data)) + command + data


HOSTILE = {
    "nothing": b"",
    "truncated length": b"\0\0",
    "zero length": struct.pack("!I", 0),
    "2 GiB": struct.pack("!I", 0x80000000) + b"O",
    "4 GiB": b"\xff\xff\xff\xff",
    "just over the limit": struct.pack("!I", 256 * 1024 + 1) + b"O" + bytes(256 * 1024),
    "short negotiation": packet(b"O", b"\0\0"),
    "old version": struct.pack("!IcIII", 13, b"O", 1, 1, 1),
    "unknown command": HELLO + packet(b"%"),
    "no negotiation": packet(b"R", b"<ann@example.org>\0"),
    "truncated connect": HELLO + packet(b"C", b"host"),
    "bad address": HELLO + packet(b"C", b"host\x004\x00\x19not an address\0"),
    "unknown family": HELLO + packet(b"C", b"host\x00Zxxxx\0"),
    "long unix path": HELLO + packet(b"C", b"host\x00L\x00\x19" + b"x" * 500 + b"\0"),
    "recipient without NUL": HELLO + packet(b"C", b"h\0U") + packet(b"M", b"<>\0") + packet(b"R", b"<ann@example.org>"),
    "empty recipient": HELLO + packet(b"C", b"h\0U") + packet(b"M", b"<>\0") + packet(b"R", b"\0"),
    "recipient first": HELLO + packet(b"C", b"h\0U") + packet(b"R", b"<ann@example.org>\0"),
    "end first": HELLO + packet(b"C", b"h\0U") + packet(b"E"),
    "end without recipient": HELLO + packet(b"C", b"h\0U") + packet(b"M", b"<>\0") + packet(b"E"),
    "header first": HELLO + packet(b"C", b"h\0U") + packet(b"L", b"Subject\0x\0"),
    "header without value": HELLO + packet(b"C", b"h\0U") + packet(b"M", b"<>\0") + packet(b"R", b"<a@b.test>\0") +
                            packet(b"L", b"Subject\0"),
    "header without NUL": HELLO + packet(b"C", b"h\0U") + packet(b"M", b"<>\0") + packet(b"R", b"<a@b.test>\0") +
                          packet(b"L", b"Subject\0x"),
    "macros for nothing": HELLO + packet(b"D", b"?i\0x\0"),
    "negotiation twice": HELLO + HELLO + HELLO,
    "quit first": packet(b"Q"),
    "abort first": HELLO + packet(b"A") * 50,
    "text": b"EHLO client.test\r\nMAIL FROM:<>\r\n",
}


def test_hostile_peers(judge):
    """Each of them loses its own connection at most, while another session has a message in progress."""
    site = judge()
    with session(site.milter_port) as other:
        other.mail()
        for name, data in HOSTILE.items():
            with MilterClient(site.milter_port) as mta:
                try:
                    mta.raw(data)
                    mta.sock.shutdown(socket.SHUT_WR)
                    while mta.sock.recv(65536):
                        pass
                except OSError:
                    pass  # it has hung up already
            assert other.rcpt(f"<{ANN}>").code == 250, name
        other.headers([("Subject", "x")])
        assert other.end().code == 250
    assert site.running("milter")


def test_strange_values(judge):
    site = judge()
    with session(site.milter_port) as mta:
        mta.mail()
        for recipient in ("<>", "<@>", "<@example.org>", '<"">', '<"a@b"@example.org>', "<" * 100, "<%s%n@example.org>",
                          "<a%b@example.org>", "<" + "x" * 60000 + "@example.org>", "<\x80@example.org>",
                          "<ann@example.org", "ann@example.org>", "<ann@example.org>\r\nx"):
            assert mta.rcpt(recipient).code in (250, 451, 550, 553)
            assert mta.rcpt(recipient, resolved=recipient.strip("<>")).code in (250, 451, 550, 553)
        assert mta.rcpt(f"<{ANN}>").code == 250
        big = [(TRACE, "x" * 60000)] * 20 + [("X" * 60000, "y"), (TRACE, ""), (TRACE, "\n\n\n")]
        mta.headers(big)
        got = mta.end()
        assert got.code == 250 and len(got.inserted) == 1


def test_packet_limit(judge):
    limit = 256 * 1024
    site = judge()
    for size in (limit - 1, limit, limit + 1):
        with session(site.milter_port) as mta:
            mta.mail()
            assert mta.rcpt(f"<{ANN}>").code == 250
            value = "x" * (size - len("Subject") - 2)  # with a NUL behind each
            try:
                code = mta.step("L", f"Subject\0{value}\0".encode()).code
                if code == 250:
                    code = mta.end().code
            except ConnectionError:
                code = 0
            assert code == (250 if size <= limit else 0), size


# --- Start, reload, stop --------------------------------------------------------------------


def run(site, *args):
    return subprocess.run([site.bin / "coexist-milter", "-c", site.conf, *args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, env=site.env())


def only_line(done):
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1, lines
    return lines[0]


def test_second_instance_port_in_use_and_missing_key(judge, site, tmp_path):
    first = judge()
    done = run(first)
    assert done.returncode == os.EX_UNAVAILABLE and f"127.0.0.1:{first.milter_port}" in only_line(done)
    assert one(first, ANN)[1].code == 250
    second = site(SERVERS, name="second", settings={"milter": {"listen": f"inet:127.0.0.1:{first.milter_port}"}})
    done = run(second)
    assert done.returncode == os.EX_UNAVAILABLE and f"127.0.0.1:{first.milter_port}" in only_line(done)
    (second.dir / "trace.key").unlink()
    done = run(second)
    assert done.returncode != 0 and "trace.key" in only_line(done)
    (second.dir / "trace.key").write_text("nonsense\n")
    (second.dir / "trace.key").chmod(0o600)
    done = run(second)
    assert done.returncode == os.EX_CONFIG and "trace.key" in only_line(done)


def test_unix_socket(site):
    made = site(SERVERS)
    path = made.run / "milter.sock"
    made.settings["milter"]["listen"] = f"unix:{path}"
    made.write_conf()
    for _ in range(2):
        made.start("milter")
        assert path.stat().st_mode & 0o777 == 0o660
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(path))
            sock.sendall(HELLO)
            assert sock.recv(5)[4:] == b"O"
        made.kill("milter")  # leaves the file; the next start takes it over
    made.start("milter")
    made.stop("milter")
    assert not path.exists()


def test_second_instance_at_a_unix_socket(site):
    """libmilter would take the socket away from the first one."""
    made = site(SERVERS)
    made.settings["milter"]["listen"] = f"unix:{made.run}/milter.sock"
    made.write_conf()
    made.start("milter")
    before = (made.run / "milter.sock").stat().st_ino
    done = run(made)
    assert done.returncode == os.EX_TEMPFAIL and "milter.sock.lock" in only_line(done)
    assert (made.run / "milter.sock").stat().st_ino == before
    made.stop("milter")


@pytest.fixture
def given_away(site, tmp_path):
    """A site whose run folder belongs to nobody, whom the milter becomes, and a file and a folder of root's."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != folder.parent and str(folder) != "/tmp":
            folder.chmod(0o755)
    made = site(SERVERS, settings={"milter": {"user": "nobody"}})
    made.settings["milter"]["listen"] = f"unix:{made.run}/milter.sock"
    made.settings["milter"]["socket_group"] = grp.getgrgid(pwd.getpwnam("nobody").pw_gid).gr_name
    made.write_conf()
    for path in (made.run, made.dir / "trace.key"):
        shutil.chown(path, "nobody")
    victim = made.dir / "precious"
    victim.write_text("precious\n")
    victim.chmod(0o600)
    return made, victim


def state(path):
    found = path.lstat()
    return found.st_uid, found.st_gid, found.st_mode, found.st_mtime_ns, path.read_text() if path.is_file() else sorted(path.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_what_root_starts_makes_nothing_as_root(given_away):
    site, _ = given_away
    site.start("milter")
    user = pwd.getpwnam("nobody")
    for name, mode in (("milter.sock", 0o660), ("milter.sock.lock", 0o600)):
        found = (site.run / name).stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o777) == (user.pw_uid, user.pw_gid, mode), name
    site.stop("milter")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("name", ["milter.lock", "milter.sock", "milter.sock.lock"])
@pytest.mark.parametrize("is_hard", [False, True], ids=["symlink", "hardlink"])
def test_a_link_in_the_run_folder_is_no_way_to_root(given_away, name, is_hard, tmp_path):
    """Whoever owns the folder may put anything there; no file of root's is written, given away or opened up by it."""
    site, victim = given_away
    if is_hard and site.run.stat().st_dev != victim.stat().st_dev:
        victim = site.run.parent / f"{site.run.name}-precious"
        victim.write_text("precious\n")
        victim.chmod(0o600)
    link = site.run / name
    os.link(victim, link) if is_hard else link.symlink_to(victim)
    before = state(victim)
    try:
        site.start("milter")
        site.stop("milter")
    except ProgramError as refusal:
        assert str(link) in str(refusal)
    assert state(victim) == before
    if is_hard:
        victim.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_links_that_change_while_it_starts(given_away):
    """The owner of the folder puts links in the place of the socket all the time."""
    site, victim = given_away
    before, ended = state(victim), threading.Event()
    path = site.run / "milter.sock"

    def swap():
        other = site.run / "other"
        while not ended.is_set():
            try:
                other.symlink_to(victim)
                other.rename(path)
                path.unlink()
            except OSError:
                pass

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(20):
            try:
                site.start("milter")
                site.kill("milter")
            except ProgramError as refusal:
                assert str(path) in str(refusal)
            assert state(victim) == before
    finally:
        ended.set()
        thread.join()


def test_command_line(site):
    made = site(SERVERS)
    assert run(made, "-n").returncode == 0
    assert "coexist-milter" in run(made, "--help").stdout


def test_reload_in_the_middle_of_a_message(judge):
    site = judge()
    with session(site.milter_port) as mta:
        mta.mail()
        assert mta.rcpt(f"<{ANN}>").code == 250
        site.domains["second.test"] = {}
        site.reload("milter")
        site.wait_event("milter", "reloaded")
        assert mta.rcpt("<x@second.test>").code == 250, "this message began before"
        mta.headers([("Subject", "x")])
        assert mta.end().code == 250
        mta.mail()
        assert mta.rcpt("<x@second.test>").code == 550
        mta.abort()
        site.conf.write_text("nonsense = {\n")
        site.signal("milter", signal.SIGHUP)
        site.wait_event("milter", "reload_failed")
        (site.dir / "trace.key").write_text("nonsense\n")
        site.reload("milter")
        site.wait_event("milter", "reload_failed", count=2)
        mta.mail()
        assert mta.rcpt("<x@second.test>").code == 550
        assert mta.rcpt(f"<{ANN}>").code == 250


def test_reloads_while_messages_pass(judge):
    site = judge()
    ended = threading.Event()
    wrong = []

    def deliver():
        with session(site.milter_port) as mta:
            while not ended.is_set():
                rcpts, verdict = mta.message([ANN, CAT, NOBODY])
                if [v.code for v in rcpts.values()] != [250, 250, 550] or verdict.code != 250:
                    wrong.append((rcpts, verdict))

    threads = [threading.Thread(target=deliver) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(1, 101):
        site.signal("milter", signal.SIGHUP)
        site.wait_event("milter", "reloaded", count=number)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    site.stop("milter")


def test_drain(judge):
    """SIGTERM lets the message in progress end, tells others to come back, then stops."""
    site = judge()
    with session(site.milter_port) as busy, session(site.milter_port) as idle:
        busy.mail()
        assert busy.rcpt(f"<{ANN}>").code == 250
        site.signal("milter", signal.SIGTERM)
        site.wait_event("milter", "draining")
        assert busy.rcpt(f"<{CAT}>").code == 250
        idle.mail()
        got = idle.rcpt(f"<{ANN}>")
        assert got.code == 451 and got.text.startswith("4.3.2 ")
        with MilterClient(site.milter_port) as late:
            assert not late.negotiate()
        assert site.running("milter")
        busy.headers([("Subject", "x")])
        assert busy.end().code == 250
        wait_for(lambda: not site.running("milter"), 20, "the milter to end")
    assert site.processes["milter"].returncode == 0
    assert site.events("milter", "stopped")[0]["cut_off"] == "0"


def test_drain_is_bounded(judge):
    site = judge(drain_timeout="1s")
    with session(site.milter_port) as busy:
        busy.mail()
        assert busy.rcpt(f"<{ANN}>").code == 250
        site.stop("milter")
    assert site.events("milter", "stopped")[0]["cut_off"] == "1"
    site.start("milter")
    with session(site.milter_port) as busy:
        busy.mail()
        site.signal("milter", signal.SIGHUP)
        site.wait_event("milter", "reloaded")
        site.stop("milter")


def test_idle_stop_is_quick_and_never_by_libmilter(judge):
    """libmilter's own thread waits for the same signals; it must never get one."""
    site = judge()
    for number in range(20):
        if not site.running("milter"):
            site.start("milter")
        with session(site.milter_port) as mta:
            mta.mail()
            assert mta.rcpt(f"<{ANN}>").code == 250
            for _ in range(number):
                site.signal("milter", signal.SIGHUP)
            site.signal("milter", signal.SIGTERM)
            site.wait_event("milter", "draining", count=number + 1)
            assert mta.rcpt(f"<{ANN}>").code == 250
            mta.abort()
            wait_for(lambda: not site.running("milter"), 4, "the milter to end")
        assert site.processes["milter"].returncode == 0


AT_EXIT = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* What exit() takes apart before a process ends. */
__attribute__((destructor)) static void mark(void)
{
    close(open(getenv("EXIT_MARK"), O_WRONLY | O_CREAT, 0600));
}
"""


def test_the_end_takes_nothing_apart(judge, tmp_path):
    """Threads of libmilter may be at work until the very end, with OpenSSL and all that exit() would tidy up."""
    library, mark = tmp_path / "at_exit.so", tmp_path / "mark"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", "-o", library, "-"], input=AT_EXIT, text=True, check=True)
    preloaded = {"LD_PRELOAD": str(library), "EXIT_MARK": str(mark)}
    site = judge(plain=True)
    site.stop("milter")
    subprocess.run([site.bin / "coexist-milter", "-n", "-c", site.conf], env=dict(os.environ, **preloaded), check=True)
    mark.unlink()       # whoever calls exit() leaves it
    plain_env = site.env
    site.env = lambda: dict(plain_env(), **preloaded)
    site.start("milter")
    site.stop("milter")
    assert not mark.exists()


def test_killed_milter_comes_back_and_harms_nothing(judge):
    site = judge(plain=True)
    for number in range(KILLS):
        with session(site.milter_port) as mta:
            mta.mail()
            for step in range(number % 4):
                (lambda: mta.rcpt(f"<{ANN}>"), lambda: mta.rcpt(f"<{NOBODY}>"),
                 lambda: mta.headers([("Subject", "x")]))[step]()
            site.kill("milter")
            assert mta.receive() is None
        if number % 10 == 9:
            site.set(ANN, ("new", "old")[number // 10 % 2])
        assert not listens(site.milter_port)
        site.start("milter")
        assert one(site, ANN)[1].code == 250
    assert site.json("get", ANN)["route"] == "new"


def test_verdicts_go_on_while_mapd_is_killed(judge):
    site = judge(plain=True)
    with session(site.milter_port) as mta:
        for number in range(KILLS):
            site.kill("mapd")
            rcpts, verdict = mta.message([ANN, NOBODY])
            assert rcpts[ANN].code == 250 and rcpts[NOBODY].code == 550 and verdict.code == 250
            site.start("mapd")
            if number % 10 == 0:
                name = f"n{number}@example.org"
                site.set(name, "new")
                assert mta.message([name])[1].code == 250


def test_ports_are_given_back(judge):
    site = judge()
    site.stop("milter")
    assert not listens(site.milter_port)
    site.settings["milter"]["listen"] = f"inet:127.0.0.1:{free_port()}"
    site.write_conf()
    site.start("milter")
    site.stop("milter")
