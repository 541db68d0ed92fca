# SPDX-License-Identifier: ISC
"""The relay's cut-through: who answers what to whom, with scripted targets and with real ones."""
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lib.process import children
from lib.relay import Gate, body_of, envelope
from lib.smtp import Client, Step, close, message, raw, reset, send, wait, wire
from lib.wait import wait_for


def test_each_recipient_on_its_server(pair):
    pair.site.start("relay")
    for user, server, other in (("ann", pair.old, pair.new), ("cat", pair.new, pair.old)):
        text = message(f"to-{user}", to=f"{user}@example.org", extra="X-Long: a\r\n folded\r\n")
        outcome = send(pair.site.relay_port, "s@example.net", f"{user}@example.org", text)
        assert outcome.data.code == 250, outcome
        found = wait_for(lambda: server.messages(f"{user}@example.org"), 30, "the message")
        data = found[0].data.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        assert len(found) == 1 and body_of(data[data.index(b"Received: from client.test"):]) == text
        assert not other.messages(f"{user}@example.org")
    deliver = pair.site.events("relay", "deliver")
    assert [e["route"] for e in deliver] == ["old", "new"] and all(e["duplicate"] == "no" for e in deliver)
    assert {e["qid"].split(".")[0] for e in deliver} == {e["sid"] for e in deliver}


def test_octets_pass_exactly(site, scripted):
    gate = Gate(site, scripted)
    texts = [b"Subject: a\r\n\r\n", b"Subject: a\r\n\r\n.\r\n..\r\n...\r\n.x\r\n", b"\r\nbody only\r\n", b"Subject: no body\r\n",
             b"A: b\r\n\r\n" + b"x" * 998 + b"\r\n" + b"x" * 999 + b"\r\n" + b"y" * 65536 + b"\r\n",
             b"A: b\r\n\r\n" + bytes(range(128, 256)) + b"\r\n\t \r\n\r\n\r\n", b"A: b\r\n\r\n" + b".\r\n" * 50000]
    for n, text in enumerate(texts):
        assert gate.send("ann@example.org", text=text).data.code == 250
        assert body_of(gate.old.wait_messages(n + 1)[n].data) == text
    # The same cut anywhere.
    text = b"A: b\r\n\r\n.\r\n..x\r\n"
    for cut in range(1, len(wire(text))):
        with gate.client() as c:
            envelope(c, "ann@example.org")
            assert c.cmd("DATA").code == 354
            c.write(wire(text)[:cut])
            c.write(wire(text)[cut:])
            assert c.reply().code == 250
    assert {body_of(m.data) for m in gate.old.messages[len(texts):]} == {text}


@pytest.mark.parametrize("first", [b" x\r\n", b"\tX: y\r\n", b" \r\n", b" only", b" x\r\n\r\n"])
def test_first_line_that_begins_with_a_blank(site, scripted, first):
    """It is the first one of the body and spoils no field of ours: the loop is found in the third pass."""
    gate = Gate(site, scripted)
    text = first + b"Subject: s\r\n\r\nbody\r\n"
    assert gate.send("ann@example.org", text=text).data.code == 250
    data = gate.old.wait_messages(1)[0].data
    assert body_of(data) == b"\r\n" + text
    assert gate.send("ann@example.org", text=data).data.code == 250
    outcome = gate.send("ann@example.org", text=gate.old.wait_messages(2)[1].data)
    assert (outcome.data.code, outcome.data.text[:5]) == (554, "5.4.6")


def test_unknown_and_foreign_recipients(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<s@example.net>").code == 250
        for recipient, code, text in (("nobody@example.org", 550, "5.1.1"), ("ann@example.net", 550, "5.7.1"),
                                      ("ann@sub.example.org", 550, "5.7.1"), ("ann@xexample.org", 550, "5.7.1")):
            reply = c.cmd(f"RCPT TO:<{recipient}>")
            assert (reply.code, reply.text.split()[0]) == (code, text), recipient
        assert c.cmd("DATA").code == 554
        assert c.cmd("RCPT TO:<ann@example.org>").code == 250
    assert [line for line in gate.old.commands() if line.startswith("RCPT")] == ["RCPT TO:<ann@example.org>"]
    refused = gate.events("rcpt_refuse", rcpt="nobody@example.org")
    assert len(refused) == 1 and refused[0]["dsn"] == "5.1.1" and refused[0]["client"] == "127.0.0.1"


FORMS = """ann%example.org@evil.test ann%evil.test@example.org @example.org:ann@evil.test @evil.test,@x.test:ann@example.org
evil.test!ann evil.test!ann@example.org "ann@example.org"@evil.test "ann@evil.test"@example.org ann@example.org@evil.test
ann@evil.test@example.org ann@example.org. ann@evil.test. ann@[127.0.0.1] ann@[10.1.1.5] ann@[IPv6:::1] ann@127.0.0.1 ann@ @ ann
@example.org ann@example.org%evil.test ann@example.orgevil.test ann@evilexample.org ann@sub.example.org ann@org ann@.org
ann@example..org ann@-example.org ann@example.org:25 <ann@example.org> ann@example.org> ann@evil.test(example.org)
ann(c)@example.org ann@xn--exmple-cua.org ann@example.o\u0433g \u00e4nn@example.org ann@evil.test/example.org
ann@evil.test\\@example.org "ann\\"@evil.test ann@evil.test,ann@example.org ann@evil.test;ann@example.org
postmaster@evil.test postmaster%evil.test abuse@evil.test root@localhost ann@localhost ann@relay.test ann@[0.0.0.0]
"ann"@evil.test ann+x@evil.test ANN@EVIL.TEST @ann@example.org ann%%example.org@example.org ann!@example.org
`id`@evil.test |/bin/sh@evil.test /etc/passwd@evil.test ann@ex\u00ebmple.org ann@example\u3002org ann@ex\u00adample.org
ann@example.org\u200b ann+x%evil.test@example.org "ann+x@evil.test"@example.org ann+evil.test!victim@example.org
"ann+x\\%evil.test"@example.org ANN+%evil.test@EXAMPLE.org ann+x+%evil.test@example.org postmaster+x%evil.test@example.org
"ann+\\x\\@evil.test"@example.org abuse+evil.test!x@example.org ann+!@example.org ann+%@example.org "ann+ %evil.test"@example.org
cat+x%evil.test@example.org Cat+evil.test!x@example.org""".split()


def test_no_form_of_address_is_relayed(site, scripted):
    """A5: forms by which a relay was made an open one.  The same user on the same server is no relaying."""
    assert len(FORMS) >= 60
    gate = Gate(site, scripted, settings={"errors_max": 1000})
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<s@example.net>").code == 250
        for form in FORMS + ['ann@exam"\\r\\n"ple.org', " ann@evil.test", "ann@evil.test "]:
            reply = c.cmd(f"RCPT TO:<{form}>")
            if reply.code == 250:
                last = gate.old.sessions[-1].commands[-1]
                assert re.fullmatch(r"RCPT TO:<ann[^@%!]*@example\.org>", last, re.I), (form, last)
            else:
                assert 400 <= reply.code < 600, form
        for line in ("RCPT TO:<ann@example.org> <x@evil.test>", "RCPT TO:<x@evil.test> <ann@example.org>",
                     "RCPT TO:<ann@example.org>,<x@evil.test>", "RCPT TO: x@evil.test"):
            assert c.cmd(line).code >= 500, line
    assert all("evil" not in line for line in gate.old.commands() + gate.new.commands())


def test_postmaster_is_always_valid(site, scripted):
    gate = Gate(site, scripted)
    for recipient in ("postmaster", "Postmaster", "postmaster@example.org", "abuse@example.org"):
        with gate.client() as c:
            assert c.cmd("MAIL FROM:<>").code == 250
            reply = c.cmd(f"RCPT TO:<{recipient}>")
            assert reply.code == 250, (recipient, reply)


def test_target_refuses_one_of_three(site, scripted):
    gate = Gate(site, scripted, old={"rcpt": {"bob@example.org": "550 5.7.133 not for you"}},
                routes={"ann@example.org": "old", "bob@example.org": "old", "dan@example.org": "old"})
    outcome = gate.send(["ann@example.org", "bob@example.org", "dan@example.org"])
    assert [str(r) for r in outcome.rcpts.values()] == ["250 2.1.5 ok", "550 5.7.133 not for you", "250 2.1.5 ok"]
    assert outcome.data.code == 250
    assert [m.recipients for m in gate.old.messages] == [["ann@example.org", "dan@example.org"]]


def test_second_route_is_asked_to_come_back(site, scripted):
    gate = Gate(site, scripted)
    outcome = gate.send(["ann@example.org", "cat@example.org", "bob@example.org"])
    assert [(r.code, r.text[:5]) for r in outcome.rcpts.values()] == [(250, "2.1.5"), (452, "4.5.3"), (250, "2.1.5")]
    assert gate.old.messages[0].recipients == ["ann@example.org", "bob@example.org"] and not gate.new.messages


def test_lmtp_target_takes_one_recipient_from_an_smtp_client(site, scripted):
    gate = Gate(site, scripted, lmtp=True, old={"dot": {"ann@example.org": "452 4.2.2 full"}})
    outcome = gate.send(["bob@example.org", "ann@example.org"])
    assert [(r.code, r.text[:5]) for r in outcome.rcpts.values()] == [(250, "2.1.5"), (452, "4.5.3")]
    assert outcome.data.code == 250
    assert str(gate.send("ann@example.org").data) == "452 4.2.2 full"
    assert [m.recipients for m in gate.old.messages] == [["bob@example.org"]]


def test_lmtp_client_has_an_answer_for_each(site, scripted):
    gate = Gate(site, scripted, lmtp=True, old={"dot": {"ann@example.org": "452 4.2.2 full"}}, start=False)
    gate.site.settings["relay"]["listen"] = [f"lmtp://127.0.0.1:{gate.site.relay_port}"]
    gate.site.write_conf()
    gate.site.start("relay")
    outcome = gate.send(["bob@example.org", "ann@example.org", "cat@example.org"], lmtp=True)
    assert [r.code for r in outcome.rcpts.values()] == [250, 250, 452]
    assert [str(r) for r in outcome.data] == ["250 2.0.0 stored", "452 4.2.2 full"]
    assert outcome.accepted == ["bob@example.org"]


def test_map_that_is_not_there(site, scripted):
    gate = Gate(site, scripted, init=False)
    assert [(r.code, r.text[:5]) for r in gate.send("ann@example.org").rcpts.values()] == [(451, "4.3.0")]
    gate.site.init({"ann@example.org": "old"})
    assert gate.send("ann@example.org").data.code == 250


def test_map_goes_on_without_mapd(site, scripted):
    gate = Gate(site, scripted)
    gate.site.kill("mapd")
    assert gate.send("ann@example.org").data.code == 250
    assert gate.send("nobody@example.org").rcpts["nobody@example.org"].code == 550
    gate.site.start("mapd")
    gate.site.set("ann@example.org", "new")
    assert gate.send("ann@example.org").data.code == 250
    assert [len(gate.old.messages), len(gate.new.messages)] == [1, 1]


def test_target_down_and_up(site, scripted):
    gate = Gate(site, scripted)
    gate.old.stop()
    reply = gate.send("ann@example.org").rcpts["ann@example.org"]
    assert (reply.code, reply.text[:5]) == (451, "4.4.1") and "old" in reply.text
    assert gate.send("cat@example.org").data.code == 250
    gate.old.start()
    wait_for(lambda: gate.send("ann@example.org").accepted, 30, "the target to be used again")


# A15: what the client hears, by stage and by what the target said.  None: the connection ends.
REPLIES = ["250 2.0.0 ok", "354 go", "421 4.3.2 bye", "450 4.2.0 later", "500 5.5.1 what", "554 5.7.1 no",
           raw(b"garbage\r\n"), Step(text="250 ok", wire=(b"250 ok\n",)), Step(text="250 ok", wire=(b"251-a\r\n250 b\r\n",)), close(), reset()]
GOOD = {"connect": [], "ehlo": [0, 7, 8], "mail": [0, 7, 8], "rcpt": [0, 7, 8], "data": [1], "dot": [0, 7, 8]}


@pytest.mark.parametrize("point", GOOD)
def test_every_reply_at_every_stage(site, scripted, point):
    gate = Gate(site, scripted)
    for n, reply in enumerate(REPLIES):
        gate.old.script = {point: reply}
        before = len(gate.old.messages)
        # A connection that waits in the pool has the greeting behind it.
        for session in gate.old.sessions:
            session.shutdown()
        outcome = gate.send("ann@example.org", text=message(f"{point}-{n}"))
        rcpt, data = outcome.rcpts["ann@example.org"], outcome.data
        last = data or rcpt
        what = (point, reply, outcome)
        if n in GOOD[point]:
            assert last.code == 250, what
        elif point == "ehlo" and n in (4, 5):
            assert last.code == 250, what           # HELO helps
        elif n == 3 and point in ("mail", "rcpt", "data", "dot"):
            assert str(last) == "450 4.2.0 later", what
        elif n == 5 and point in ("mail", "rcpt", "data", "dot"):
            assert str(last) == "554 5.7.1 no", what
        else:
            assert last.code == 451, what
        assert (rcpt.code == 250) == (point in ("data", "dot") or last.code == 250), what
        assert len(gate.old.messages) - before <= 1 and (last.code != 250 or len(gate.old.messages) > before), what
    ambiguous = gate.events("refuse", duplicate="possible")
    assert len(ambiguous) == (4 if point == "dot" else 0)


def test_answer_to_the_dot_cut_at_each_byte(site, scripted):
    """A16: only a whole answer counts; else the client hears 451 and the log tells of a possible duplicate."""
    gate = Gate(site, scripted)
    answer = b"250 2.0.0 kept\r\n"
    for n in range(len(answer) + 1):
        gate.old.script = {"dot": raw(answer[:n], close=True)}
        outcome = gate.send("ann@example.org")
        assert outcome.data.code == (250 if n == len(answer) else 451), n
    assert len(gate.events("refuse", duplicate="possible")) == len(answer)


def test_dot_timeout(site, scripted):
    never = threading.Event()
    gate = Gate(site, scripted, old={"dot": wait(never)}, settings={"dot_timeout": "300ms"})
    assert (lambda r: (r.code, r.text[:5]))(gate.send("ann@example.org").data) == (451, "4.4.1")
    assert gate.wait_event("refuse")["duplicate"] == "possible"


def test_connections_are_reused(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        for n in range(3):
            assert c.transaction("s@example.net", ["ann@example.org"], message(f"m{n}")).data.code == 250
    for n in range(3):
        assert gate.send("ann@example.org").data.code == 250
    used = [s for s in gate.old.sessions if any(line.startswith("MAIL") for line in s.commands)]
    assert len(used) == 1 and len(gate.old.messages) == 6
    assert sum(line.startswith("MAIL") for line in used[0].commands) == 6


def test_dead_connection_is_replaced_once(site, scripted):
    """A23: a pooled connection that is dead at MAIL costs nothing, as long as a fresh one works."""
    gate = Gate(site, scripted, old={"mail": ["250 ok", close(), "250 ok", "421 4.3.2 too many", "250 ok", close(), close(), "250 ok"]})
    for want in (250, 250, 250, None, 250):
        outcome = gate.send("ann@example.org")
        if want:
            assert outcome.data.code == want, outcome
        else:
            assert outcome.rcpts["ann@example.org"].code == 451, outcome
    assert len(gate.old.messages) == 4


def test_refused_transactions_leave_the_connection_clean(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("RSET").code == 250
        assert c.cmd("RCPT TO:<bob@example.org>").code == 503
        assert c.transaction("t@example.net", ["bob@example.org"], message("after")).data.code == 250
    assert [(m.sender, m.recipients) for m in gate.old.messages] == [("t@example.net", ["bob@example.org"])]


def test_loop_is_found_at_the_third_pass(site, scripted):
    gate = Gate(site, scripted)
    text = message("loop")
    for n in range(2):
        assert gate.send("ann@example.org", text=text).data.code == 250
        text = gate.old.wait_messages(n + 1)[n].data
    data_before = sum(line == "DATA" for line in gate.old.commands())
    outcome = gate.send("ann@example.org", text=text)
    assert (outcome.data.code, outcome.data.text[:5]) == (554, "5.4.6") and "old" in outcome.data.text
    assert sum(line == "DATA" for line in gate.old.commands()) == data_before
    # Another recipient, and the same one behind a change of the route, are no loop.
    assert gate.send("bob@example.org", text=text).data.code == 250
    gate.site.set("ann@example.org", "new")
    assert gate.send("ann@example.org", text=text).data.code == 250


@pytest.mark.parametrize("hops,code", [(9, 250), (10, 250), (11, 554)])
def test_hop_limit(site, scripted, hops, code):
    gate = Gate(site, scripted, settings={"hops_max": 10})
    text = b"Received: by x; now\r\n" * hops + message("hops")
    reply = gate.send("ann@example.org", text=text).data
    assert reply.code == code
    if code == 554:
        assert reply.text.startswith("5.4.6") and "DATA" not in gate.old.commands()


@pytest.mark.parametrize("size,code", [(16383, 250), (16384, 250), (16385, 552)])
def test_header_limit(site, scripted, size, code):
    gate = Gate(site, scripted, settings={"header_size_max": "16k"})
    head = b"X-Pad: "
    text = head + b"x" * (size - len(head) - 4) + b"\r\n\r\nbody\r\n"
    assert gate.send("ann@example.org", text=text).data.code == code
    assert len(gate.old.messages) == (code == 250)


@pytest.mark.parametrize("size,code", [(65535, 250), (65536, 250), (65537, 552)])
def test_message_limit(site, scripted, size, code):
    """What really comes counts, and the target never sees the end of what is too big."""
    gate = Gate(site, scripted, settings={"message_size_max": "64k"})
    text = b"A: b\r\n\r\n" + b"x" * (size - 10) + b"\r\n"
    assert len(text) == size
    with gate.client() as c:
        assert "SIZE 65536" in c.features
        assert c.cmd(f"MAIL FROM:<> SIZE={size}").code == code
        c.cmd("RSET")
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        c.write(wire(text))
        assert c.reply().code == code
        assert c.cmd("NOOP").code == 250
    assert len(gate.old.messages) == (code == 250)


def test_target_without_pipelining(site, scripted):
    gate = Gate(site, scripted, extensions=[])
    outcome = gate.send(["ann@example.org", "bob@example.org"])
    assert outcome.data.code == 250 and gate.old.messages[0].recipients == ["ann@example.org", "bob@example.org"]


def test_pipelining_client(site, scripted):
    gate = Gate(site, scripted, old={"rcpt": {"bob@example.org": "550 5.1.1 no", None: "250 2.1.5 ok"}})
    group = b"MAIL FROM:<s@example.net>\r\nRCPT TO:<ann@example.org>\r\nRCPT TO:<bob@example.org>\r\nRCPT TO:<no@example.org>\r\nDATA\r\n"
    for step in (len(group), 1, 7):
        with gate.client() as c:
            for at in range(0, len(group), step):
                c.write(group[at:at + step])
            assert [c.reply().code for _ in range(5)] == [250, 250, 550, 550, 354]
            c.write(wire(message("p")) + b"MAIL FROM:<>\r\nRSET\r\nQUIT\r\n")
            assert [c.reply().code for _ in range(5)] == [250, 250, 250, 221, 0]


def test_content_that_waits_for_the_target(site, scripted):
    """The client is held back above a mark, and goes on when the target lets its content in."""
    go = threading.Event()
    gate = Gate(site, scripted, old={"data": wait(go, "354 go")})
    text = b"Subject: big\r\n\r\n" + (b"x" * 70 + b"\r\n") * 100000
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        writer = threading.Thread(target=c.write, args=(wire(text),))
        writer.start()
        gate.old.reached("data").wait(20)
        writer.join(0.5)
        assert writer.is_alive(), "the whole message was taken in"
        go.set()
        assert c.reply().code == 250
        writer.join()
    assert body_of(gate.old.messages[0].data) == text


# --- Holds ---------------------------------------------------------------------------------


def test_held_recipient_waits_and_goes_where_the_map_says_then(site, scripted):
    gate = Gate(site, scripted)
    gate.site.maptool("hold", "ann@example.org")
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(gate.send, "ann@example.org")
        gate.wait_event("rcpt_hold", rcpt="ann@example.org")
        assert gate.send("bob@example.org").data.code == 250
        gate.site.maptool("release", "ann@example.org")
        assert sending.result(20).data.code == 250
        assert len(gate.old.messages) == 2 and not gate.new.messages
        gate.site.maptool("hold", "ann@example.org")
        sending = pool.submit(gate.send, "ann@example.org")
        gate.wait_event("rcpt_hold", count=2, rcpt="ann@example.org")
        gate.site.maptool("release", "ann@example.org")
        gate.site.set("ann@example.org", "new")
        outcome = sending.result(20)
    assert outcome.data is None or outcome.data.code in (250, 451)
    assert gate.send("ann@example.org").data.code == 250 and gate.new.messages


def test_held_domain(site, scripted):
    gate = Gate(site, scripted, settings={"hold_wait": "100ms"})
    gate.site.maptool("hold", "@example.org")
    for user in ("ann", "cat", "nobody"):
        reply = gate.send(f"{user}@example.org").rcpts[f"{user}@example.org"]
        assert (reply.code, reply.text[:5]) == (450, "4.2.1"), user
    gate.site.maptool("release", "@example.org")
    assert gate.send("ann@example.org").data.code == 250


def test_hold_that_lasts(site, scripted):
    gate = Gate(site, scripted, settings={"hold_wait": "300ms"})
    gate.site.maptool("hold", "ann@example.org")
    with gate.client() as c:
        assert c.cmd("MAIL FROM:<>").code == 250
        reply = c.cmd("RCPT TO:<ann@example.org>")
        assert (reply.code, reply.text[:5]) == (450, "4.2.1")
        assert c.cmd("RCPT TO:<bob@example.org>").code == 250


@pytest.mark.parametrize("waits", [1, 2, 3])
def test_room_for_the_holds_of_one_user(site, scripted, waits):
    """The user has the places, whatever detail a sender makes up."""
    gate = Gate(site, scripted, settings={"hold_wait": "60s", "hold_waits_per_user_max": 2})
    gate.site.maptool("hold", "ann@example.org")
    gate.site.maptool("hold", "bob@example.org")
    clients = []
    for local in ("ann+1", "Ann+2+3", '"ann+ 4"')[:waits]:
        c = gate.client()
        clients.append(c)
        assert c.cmd("MAIL FROM:<>").code == 250
        c.write(f"RCPT TO:<{local}@example.org>\r\n".encode())
        if len(clients) <= 2:
            gate.wait_event("rcpt_hold", count=len(clients))
    if waits == 3:
        assert clients[2].reply().code == 450
    other = gate.client()
    assert other.cmd("MAIL FROM:<>").code == 250
    other.write(b"RCPT TO:<bob+1@example.org>\r\n")
    gate.wait_event("rcpt_hold", count=min(waits, 2) + 1)
    for user in ("ann", "bob"):
        gate.site.maptool("release", f"{user}@example.org")
    assert {c.reply().code for c in [*clients[:2], other]} == {250}
    for c in [*clients, other]:
        c.close()


@pytest.mark.parametrize("setting", ["hold_waits_max", "hold_waits_per_user_max"])
@pytest.mark.parametrize("waits", [1, 2, 3])
def test_room_for_holds(site, scripted, setting, waits):
    """W19: at the limit a RCPT still waits, above it the answer comes at once."""
    gate = Gate(site, scripted, settings={"hold_wait": "60s", setting: 2})
    gate.site.maptool("hold", "ann@example.org")
    gate.site.maptool("hold", "bob@example.org")
    users = ["ann", "ann" if setting == "hold_waits_per_user_max" else "bob", "ann"][:waits]
    clients = []
    for user in users:
        c = gate.client()
        clients.append(c)
        assert c.cmd("MAIL FROM:<>").code == 250
        c.write(f"RCPT TO:<{user}@example.org>\r\n".encode())
        if len(clients) <= 2:
            gate.wait_event("rcpt_hold", count=len(clients))
    if waits == 3:
        assert clients[2].reply().code == 450
    gate.site.maptool("release", "ann@example.org")
    gate.site.maptool("release", "bob@example.org")
    assert [c.reply().code for c in clients[:2]] == [250] * min(waits, 2)
    for c in clients:
        c.close()


def test_client_that_leaves_a_hold_makes_room(site, scripted):
    gate = Gate(site, scripted, settings={"hold_wait": "60s", "hold_waits_max": 1})
    gate.site.maptool("hold", "ann@example.org")
    for n in range(3):
        c = gate.client()
        assert c.cmd("MAIL FROM:<>").code == 250
        c.write(b"RCPT TO:<ann@example.org>\r\n")
        gate.wait_event("rcpt_hold", count=n + 1)
        c.close()
        gate.wait_event("abort", count=n + 1)


# --- Clients that behave badly ---------------------------------------------------------------


def test_slow_commands(site, scripted):
    """A10: the deadline is for the whole command, so that a byte now and then buys no time."""
    gate = Gate(site, scripted, settings={"command_timeout": "3s"})
    with gate.client() as c:
        stop = threading.Event()

        def trickle():
            try:
                while not stop.wait(0.2):
                    c.write(b"x")
            except OSError:
                pass

        thread = threading.Thread(target=trickle)
        thread.start()
        reply = c.reply()
        stop.set()
        thread.join()
        assert (reply.code, reply.text[:5]) == (421, "4.4.2")
        assert c.reply().code == 0
    gate.wait_event("client_timeout")


def test_slow_content(site, scripted):
    gate = Gate(site, scripted, settings={"data_timeout": "1s"})
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        c.write(b"Subject: x\r\n\r\n")
        reply = c.reply()
        assert (reply.code, reply.text[:5]) == (421, "4.4.2")
    assert not gate.old.messages


def test_session_timeout(site, scripted):
    gate = Gate(site, scripted, settings={"session_timeout": "3s"})
    with gate.client() as c:
        wait_for(lambda: c.cmd("NOOP").code == 421, 30, "the end of the session")


def test_errors_end_the_session(site, scripted):
    gate = Gate(site, scripted, settings={"errors_max": 3})
    with gate.client() as c:
        assert [c.cmd("WHAT").code for _ in range(4)] == [500, 500, 500, 421]
        assert c.reply().code == 0


@pytest.mark.parametrize("sessions", [1, 2, 3])
@pytest.mark.parametrize("setting", ["sessions_max", "sessions_per_client_max"])
def test_session_limits(site, scripted, setting, sessions):
    gate = Gate(site, scripted, settings={setting: 2})
    clients = [Client(gate.port) for _ in range(sessions)]
    assert [c.greeting.code for c in clients] == [220, 220, 421][:sessions]
    for c in clients:
        c.close()
    wait_for(lambda: Client(gate.port).greeting.code == 220, 30, "room again")


def test_client_that_speaks_first(site, scripted):
    gate = Gate(site, scripted)
    # Until the relay looks, the bytes may not have come; then they are an ordinary first command.
    gate.site.signal("relay", signal.SIGSTOP)
    for worker in workers(gate.site):
        worker.stop()
    try:
        c = Client(gate.port, greeting=False)
        c.write(b"EHLO early\r\n")
    finally:
        for worker in workers(gate.site):
            worker.go_on()
        gate.site.signal("relay", signal.SIGCONT)
    assert c.reply().code == 554
    c.close()


@pytest.mark.parametrize("lines", [b"EHLO x\r\nMAIL FROM:<>\r\n", b"HELO x\r\nNOOP\r\n"])
def test_stuffed_commands(site, scripted, lines):
    """A6: nothing may follow EHLO or DATA before the answer."""
    gate = Gate(site, scripted)
    with Client(gate.port) as c:
        c.write(lines)
        assert [c.reply().code, c.reply().code] == [503, 0]


def test_stuffed_data(site, scripted):
    gate = Gate(site, scripted)
    with gate.client() as c:
        envelope(c, "ann@example.org")
        c.write(b"DATA\r\nSubject: stuffed\r\n\r\n.\r\n")
        assert [c.reply().code, c.reply().code] == [503, 0]
    assert not gate.old.messages


def workers(site):
    return children(site.pid("relay"))
