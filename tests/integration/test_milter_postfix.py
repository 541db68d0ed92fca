# SPDX-License-Identifier: ISC
"""A real Postfix that routes by coexist-lookup and judges by coexist-milter, as docs/recipes/postfix.md says."""
from types import SimpleNamespace

import pytest
from lib import recipes, smtp, spellings
from lib.milter import MilterProxy
from lib.wait import wait_for

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"
NOBODY = "nobody@example.org"
LOOKUP, MILTER = "127.0.0.1:10225", "127.0.0.1:10226"


def main_cf(site, name, milter_port=None):
    text = recipes.block("postfix.md", name)
    ports = {LOOKUP: f"127.0.0.1:{site.lookup_port}", MILTER: f"127.0.0.1:{milter_port or site.milter_port}"}
    return recipes.settings(recipes.block("postfix.md", name, {k: v for k, v in ports.items() if k in text}))


@pytest.fixture
def make_routed(pair, postfix):
    """Recipe A: two Dovecots, Postfix, socket map and milter; more settings of main.cf as arguments."""
    def make(**main):
        pair.site.start("lookup", "milter")
        mx = postfix(main={**main_cf(pair.site, "main.cf routes"), **main})
        return SimpleNamespace(old=pair.old, new=pair.new, site=pair.site, mx=mx)
    return make


@pytest.fixture
def routed(make_routed):
    return make_routed()


def send(mx, recipients, token, **kwargs):
    return smtp.send(mx.smtp_port, "a@example.net", recipients, smtp.message(token), **kwargs)


def found(server, user, token):
    return [m for m in server.messages(user) if f"Subject: {token}\r\n".encode() in m.data]


def arrives(server, user, token):
    return wait_for(lambda: found(server, user, token), 20, f"{token} for {user}")[0].data


def refuse(mx, recipient):
    return send(mx, recipient, "refused").rcpts[recipient]


def wait_until_forgotten(mx, recipient):
    """A process of smtpd says what it once heard about a recipient until it ends, after 100 connections."""
    wait_for(lambda: send(mx, recipient, "forgotten").accepted, 30, f"smtpd to take {recipient}")


def another_look_up(routed, token="between"):
    """The queue manager remembers its last answer for 30 seconds, but only the last one."""
    assert send(routed.mx, CAT, token).accepted == [CAT]
    arrives(routed.new, CAT, token)


def test_each_recipient_reaches_its_server(routed):
    outcome = send(routed.mx, [ANN, "Cat+detail@Example.ORG", NOBODY, "x@elsewhere.test"], "one")
    assert {r: v.code for r, v in outcome.rcpts.items()} == {ANN: 250, "Cat+detail@Example.ORG": 250, NOBODY: 550,
                                                             "x@elsewhere.test": 250}
    assert outcome.rcpts[NOBODY].text.startswith("5.1.1 ") and outcome.data.code == 250
    data = arrives(routed.old, ANN, "one")
    assert data.count(b"Coexist-Trace: v=1;") == 2, "a stamp for each server"
    assert b"Coexist-Trace: v=1;" in arrives(routed.new, CAT, "one")
    routed.mx.wait_empty()
    assert not found(routed.new, ANN, "one") and not found(routed.old, CAT, "one")


def test_the_next_recipient_sees_a_change(routed):
    with smtp.Client(routed.mx.smtp_port) as client:
        client.ehlo()
        client.cmd("MAIL FROM:<a@example.net>")
        assert client.cmd("RCPT TO:<dan@example.org>").code == 550
        routed.site.set("dan@example.org", "new")
        assert client.cmd("RCPT TO:<dan@example.org>").code == 250
    for number in range(3):
        server, other = (("new", "old"), ("old", "new"))[number % 2]
        routed.site.set(ANN, server)
        another_look_up(routed, f"between{number}")
        assert send(routed.mx, ANN, f"flip{number}").accepted == [ANN]
        arrives(getattr(routed, server), ANN, f"flip{number}")
        assert not found(getattr(routed, other), ANN, f"flip{number}")


# Retries only when told: one that comes too soon finds the message still locked, and the next is minutes away.
PATIENT = {"queue_run_delay": "1h", "minimal_backoff_time": "1h", "maximal_backoff_time": "1h"}


def test_held(make_routed):
    routed = make_routed(**PATIENT)
    routed.site.maptool("hold", ANN)
    got = refuse(routed.mx, ANN)
    assert got.code == 450 and got.text.startswith("4.2.1 ")
    assert send(routed.mx, [ANN, BOB], "both").accepted == [BOB]
    # What never passes smtpd waits in the queue.
    routed.mx.sendmail("a@example.net", [ANN], "Subject: local\n\nx\n")
    wait_for(lambda: routed.mx.logged("dsn=4.2.1, status=deferred (Mailbox is being moved"), 20, "a deferred message")
    routed.site.maptool("release", ANN)
    wait_until_forgotten(routed.mx, ANN)
    another_look_up(routed)
    routed.mx.flush()
    arrives(routed.old, ANN, "local")


def test_a_release_is_seen_at_once(make_routed):
    judged = recipes.settings(recipes.block("postfix.md", "main.cf milter judges"))
    routed = make_routed(**judged, mydestination="mx.test")
    with smtp.Client(routed.mx.smtp_port) as client:
        client.ehlo()
        client.cmd("MAIL FROM:<a@example.net>")
        assert client.cmd("RCPT TO:<nobody@example.org>").code == 550
        assert client.cmd("RCPT TO:<nobody@mx.test>").code == 550
        routed.site.maptool("hold", ANN)
        assert client.cmd(f"RCPT TO:<{ANN}>").code == 450
        routed.site.maptool("release", ANN)
        assert client.cmd(f"RCPT TO:<{ANN}>").code == 250
    assert send(routed.mx, [ANN, CAT], "both").accepted == [ANN, CAT]
    arrives(routed.old, ANN, "both")


def test_queued_mail_follows_the_flip(make_routed):
    routed = make_routed(**PATIENT)
    routed.old.stop()
    assert send(routed.mx, ANN, "late").accepted == [ANN]
    wait_for(lambda: routed.mx.logged("status=deferred"), 20, "a deferred message")
    routed.site.set(ANN, "new")
    another_look_up(routed)
    routed.mx.flush()
    arrives(routed.new, ANN, "late")
    routed.old.start()
    assert not found(routed.old, ANN, "late")


def test_loop(routed):
    def pass_again(data):
        return smtp.send(routed.mx.smtp_port, "a@example.net", [ANN], data)

    assert send(routed.mx, ANN, "loop").accepted == [ANN]
    first = arrives(routed.old, ANN, "loop")
    assert pass_again(first).accepted == [ANN]
    second = wait_for(lambda: [m.data for m in found(routed.old, ANN, "loop") if m.data.count(b"Coexist-Trace:") == 2], 20,
                      "the second pass")[0]
    outcome = pass_again(second)
    assert outcome.rcpts[ANN].code == 250
    assert outcome.data.code == 554 and outcome.data.text.startswith("5.4.6 ") and "loop" in outcome.data.text.lower()
    routed.mx.wait_empty()
    assert len(found(routed.old, ANN, "loop")) == 2


def test_messages_of_one_session_know_nothing_of_each_other(routed):
    with smtp.Client(routed.mx.smtp_port) as client:
        client.ehlo()
        for number in range(5):
            assert client.transaction("a@example.net", [ANN], smtp.message(f"m{number}")).accepted == [ANN]
            assert client.transaction("a@example.net", [NOBODY], smtp.message("none")).data is None
            client.cmd("MAIL FROM:<a@example.net>")
            client.cmd(f"RCPT TO:<{ANN}>")
            client.cmd("RSET")
            assert client.transaction("a@example.net", [CAT], smtp.message(f"m{number}")).accepted == [CAT]
    for number in range(5):
        assert arrives(routed.old, ANN, f"m{number}").count(b"Coexist-Trace:") == 1
        assert arrives(routed.new, CAT, f"m{number}").count(b"Coexist-Trace:") == 1
    routed.mx.wait_empty()


def test_percent_and_quotes(routed):
    for local in ("a%b", '"a b"', "a%sb", '"a@b"'):
        got = refuse(routed.mx, f"{local}@example.org")
        assert got.code == 550 and "%%" not in got.text, got
    routed.site.set('"o dd"@example.org', "old")
    assert send(routed.mx, '"o dd"@example.org', "quoted").rcpts['"o dd"@example.org'].code == 250


def test_aliases(routed):
    routed.mx.main["virtual_alias_maps"] = f"socketmap:inet:127.0.0.1:{routed.site.lookup_port}:aliases"
    routed.mx.reload()
    routed.site.maptool("set", "sel@example.org", "route=new", "deliver_as=cat@example.org")
    assert send(routed.mx, "sel@example.org", "alias").accepted == ["sel@example.org"]
    arrives(routed.new, CAT, "alias")
    routed.site.maptool("set", "boss@example.org", "kind=alias", f"to={CAT}")
    assert send(routed.mx, "Boss@example.org", "boss").accepted == ["Boss@example.org"]
    assert arrives(routed.new, CAT, "boss").count(b"Coexist-Trace: v=1;") == 1
    # Postfix resolves to all that the map leads to; a hold of one of them holds the alias.
    routed.site.settings["lookup"]["aliases"] = "yes"
    routed.site.stop("mapd")
    routed.site.write_conf()
    routed.site.start("mapd")
    routed.site.maptool("set", "team@example.org", "kind=group", f"to=boss@example.org,{ANN}", "senders=inside")
    assert refuse(routed.mx, "team@example.org").code == 550
    routed.site.maptool("set", "team@example.org", "senders=any")
    assert send(routed.mx, "team@example.org", "team").accepted == ["team@example.org"]
    arrives(routed.new, CAT, "team")
    arrives(routed.old, ANN, "team")
    held = routed.site.maptool("hold", CAT).stdout
    assert refuse(routed.mx, "team@example.org").code in (450, 451), held


TENANT = "tenant.test"


@pytest.fixture
def hosted(site, scripted, postfix):
    """Recipe A with aliases: two servers, which know some users by addresses of one tenant's domain.  All other mail of
    that domain has a server of its own."""
    old, new, mx_of_tenant = scripted(), scripted(), scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": f"smtp://127.0.0.1:{new.port}"}})
    made.init({BOB: "old"})
    made.maptool("import", "-", input=f"key,route,deliver_as\n{ANN},new,ann@{TENANT}\n{CAT},old,cat@{TENANT}\n"
                 f"dan@example.org,new,d123@example.org\n")
    made.start("lookup", "milter")
    mx = postfix(main={**main_cf(made, "main.cf routes"), **main_cf(made, "main.cf aliases"), **PATIENT,
                       "default_transport": f"smtp:[127.0.0.1]:{mx_of_tenant.port}"})
    return SimpleNamespace(old=old, new=new, tenant=mx_of_tenant, site=made, mx=mx)


def received(target, token):
    return [m.recipients for m in target.messages if f"Subject: {token}\r\n".encode() in m.data]


def reaches(target, token, *recipients):
    wait_for(lambda: received(target, token), 20, f"{token} for {recipients}")
    assert received(target, token) == [list(recipients)]


def test_deliver_as_in_another_domain(hosted):
    for user, token, target, address in ((ANN, "one", hosted.new, f"ann@{TENANT}"),
                                         ("cat+Box@example.org", "two", hosted.old, f"cat+Box@{TENANT}"),
                                         (BOB, "three", hosted.old, BOB),
                                         ("dan@example.org", "four", hosted.new, "d123@example.org"),
                                         (f"zoe@{TENANT}", "five", hosted.tenant, f"zoe@{TENANT}"),
                                         (f"ann@{TENANT}", "six", hosted.new, f"ann@{TENANT}")):
        assert send(hosted.mx, user, token).accepted == [user]
        reaches(target, token, address)
    hosted.mx.wait_empty()
    assert [len(t.messages) for t in (hosted.new, hosted.old, hosted.tenant)] == [3, 2, 1]


def test_deliver_as_in_another_domain_waits_for_a_hold(hosted):
    """What was rewritten before the hold began waits in the queue, and follows the flip."""
    hosted.new.script["connect"] = "421 4.3.2 not now"
    assert send(hosted.mx, ANN, "late").accepted == [ANN]
    wait_for(lambda: hosted.mx.logged("status=deferred"), 20, "a deferred message")
    hosted.site.maptool("hold", ANN)
    hosted.site.kill("lookup")
    hosted.site.start("lookup")
    assert send(hosted.mx, BOB, "between").accepted == [BOB]  # the queue manager remembers one answer
    reaches(hosted.old, "between", BOB)
    hosted.mx.flush()
    wait_for(lambda: hosted.mx.logged("dsn=4.2.1, status=deferred (Mailbox is being moved"), 20, "it to wait")
    hosted.site.maptool("release", ANN)
    hosted.site.set(ANN, "old")
    assert send(hosted.mx, BOB, "after").accepted == [BOB]
    reaches(hosted.old, "after", BOB)
    hosted.mx.flush()
    reaches(hosted.old, "late", f"ann@{TENANT}")
    assert not received(hosted.tenant, "late") and not received(hosted.new, "late")


def test_lookup_killed(routed):
    assert send(routed.mx, ANN, "before").accepted == [ANN]
    arrives(routed.old, ANN, "before")
    routed.site.kill("lookup")
    for recipient in (ANN, NOBODY, CAT):
        got = refuse(routed.mx, recipient)
        assert 400 <= got.code < 500, got
    routed.site.start("lookup")
    wait_until_forgotten(routed.mx, CAT)
    assert refuse(routed.mx, "another@example.org").code == 550
    assert send(routed.mx, ANN, "after").accepted == [ANN]
    arrives(routed.old, ANN, "after")


def test_mapd_killed(routed):
    routed.site.kill("mapd")
    assert send(routed.mx, [ANN, CAT], "without").accepted == [ANN, CAT]
    assert refuse(routed.mx, NOBODY).code == 550
    arrives(routed.old, ANN, "without")
    arrives(routed.new, CAT, "without")


def test_no_map(two_servers, site, postfix):
    made = site({"old": {"smtp": f"lmtp://127.0.0.1:{two_servers.old.lmtp_port}"}})
    made.start("lookup", "milter")
    mx = postfix(main=main_cf(made, "main.cf routes"))
    assert refuse(mx, ANN).code == refuse(mx, NOBODY).code == 451
    assert send(mx, "x@elsewhere.test", "out").accepted == ["x@elsewhere.test"]
    made.init({ANN: "old"})
    wait_until_forgotten(mx, ANN)
    assert refuse(mx, "another@example.org").code == 550


# --- The relay stands behind ------------------------------------------------------------------


@pytest.fixture
def behind(pair, postfix):
    """Recipe B: Postfix hands everything for the domain to coexist-relay."""
    pair.site.settings["milter"]["stamp"] = "no"
    pair.site.write_conf()
    pair.site.start("lookup", "milter", "relay")
    text = recipes.block("postfix.md", "main.cf relay behind", {
        LOOKUP: f"127.0.0.1:{pair.site.lookup_port}", MILTER: f"127.0.0.1:{pair.site.milter_port}",
        "[127.0.0.1]:10025": f"[127.0.0.1]:{pair.site.relay_port}"})
    mx = postfix(main={**recipes.settings(text), **PATIENT})
    return SimpleNamespace(old=pair.old, new=pair.new, site=pair.site, mx=mx)


def test_relay_behind(behind):
    outcome = send(behind.mx, [ANN, CAT, NOBODY, "x@elsewhere.test"], "one")
    assert [v.code for v in outcome.rcpts.values()] == [250, 250, 550, 250] and outcome.data.code == 250
    assert arrives(behind.old, ANN, "one").count(b"Coexist-Trace: v=1;") == 1
    assert arrives(behind.new, CAT, "one").count(b"Coexist-Trace: v=1;") == 1
    behind.site.set(ANN, "new")
    assert send(behind.mx, ANN, "two").accepted == [ANN]
    arrives(behind.new, ANN, "two")
    behind.site.maptool("hold", ANN)
    assert refuse(behind.mx, ANN).code == 450
    behind.site.maptool("release", ANN)
    assert send(behind.mx, ANN, "three").accepted == [ANN]
    arrives(behind.new, ANN, "three")
    behind.mx.wait_empty()
    assert not behind.mx.logged("status=deferred")
    assert len(behind.old.messages(ANN)) == 1 and len(behind.new.messages(ANN)) == 2


# --- Spellings ----------------------------------------------------------------------------------

ORIGIN = {"myorigin": "example.org"}
LOCAL = {"mydestination": "mx.test", "local_transport": "discard:"}
ARRANGEMENTS = {
    "routes": (["main.cf routes"], LOCAL),
    "routes, milter judges": (["main.cf routes", "main.cf milter judges"], LOCAL),
    "routes, milter judges, origin": (["main.cf routes", "main.cf milter judges"], {**LOCAL, **ORIGIN}),
    "milter alone": (["main.cf milter alone"], LOCAL),
    "milter alone, origin": (["main.cf milter alone"], {**LOCAL, **ORIGIN}),
    "relay behind": (["main.cf relay behind"], {**LOCAL, **ORIGIN}),
}


@pytest.fixture
def open_house(site, scripted, postfix):
    """An arrangement of the recipe in front of a server that takes whatever comes."""
    def make(name, **more):
        blocks, main = ARRANGEMENTS[name]
        target = scripted()
        made = site({"old": {"smtp": f"smtp://127.0.0.1:{target.port}"}},
                    settings={"milter": {"stamp": "no" if "relay" in name else "yes"}, "relay": {"hold_wait": "0s"}})
        made.init({ANN: "old", BOB: "old"}).start("lookup", "milter", *(["relay"] if "relay" in name else []))
        places = {LOOKUP: f"127.0.0.1:{made.lookup_port}", MILTER: f"127.0.0.1:{made.milter_port}",
                  "[127.0.0.1]:10025": f"[127.0.0.1]:{made.relay_port}"}
        settings = {"relay_transport": f"smtp:[127.0.0.1]:{target.port}"}
        for block in blocks:
            text = recipes.block("postfix.md", block)
            settings |= recipes.settings(recipes.block("postfix.md", block, {k: v for k, v in places.items() if k in text}))
        return SimpleNamespace(site=made, target=target, mx=postfix(main={**settings, **main, **more}))
    return make


@pytest.mark.parametrize("name", ARRANGEMENTS)
def test_every_spelling_is_judged_as_what_it_leads_to(open_house, name):
    made = open_house(name)
    spellings.check(made.mx, made.site, made.target, ANN, NOBODY, BOB, fewest=40)


@pytest.mark.parametrize("name", ["routes", "milter alone"])
def test_a_loop_of_strange_spellings(open_house, name):
    made = open_house(name)
    data = smtp.message("loop")
    for number, said in enumerate(("ann%example.org", "mx.test!example.org!ann", "ann@example.org@")):
        outcome = smtp.send(made.mx.smtp_port, "a@example.net", [said], data)
        if number < 2:
            data = wait_for(lambda n=number: made.target.messages[n:], 20, "the message")[0].data
    assert outcome.data.code == 554 and outcome.data.text.startswith("5.4.6 "), outcome


# --- Addresses that RCPT never shows --------------------------------------------------------------

REWRITTEN = {
    "virtual alias": ("info@alias.test", {"virtual_alias_domains": "alias.test",
                                          "virtual_alias_maps": "inline:{{{{info@alias.test = {0}}}}}"}),
    "copy of a recipient": ("x@elsewhere.test", {"recipient_bcc_maps": "inline:{{{{x@elsewhere.test = {0}}}}}"}),
    "copy of everything": ("x@elsewhere.test", {"always_bcc": "{0}"}),
    "canonical address": ("x@elsewhere.test", {"recipient_canonical_maps": "inline:{{{{x@elsewhere.test = {0}}}}}"}),
}


@pytest.fixture
def hidden(open_house):
    """The relay behind Postfix, and one of Postfix's tables that leads from an address elsewhere to one of ours."""
    def make(table, leads_to):
        said, main = REWRITTEN[table]
        made = open_house("relay behind", **PATIENT, **{k: v.format(leads_to) for k, v in main.items()})
        made.said = said
        return made
    return make


@pytest.mark.parametrize("table", REWRITTEN)
def test_behind_the_relay_a_hold_counts_for_what_rcpt_never_shows(hidden, table):
    made = hidden(table, ANN)
    made.site.maptool("hold", ANN)
    assert send(made.mx, made.said, "held").accepted == [made.said]
    wait_for(lambda: made.mx.logged("status=deferred") and made.mx.logged("450 4.2.1"), 20, "a deferred message")
    assert made.target.messages == []
    made.site.maptool("release", ANN)
    made.mx.flush()
    assert wait_for(lambda: made.target.messages, 20, "the message")[0].recipients == [ANN]


@pytest.mark.parametrize("table", ["virtual alias", "copy of a recipient"])
def test_behind_the_relay_a_loop_of_what_rcpt_never_shows_is_found(hidden, table):
    made = hidden(table, ANN)
    data = smtp.message("loop")
    for number in range(3):
        assert smtp.send(made.mx.smtp_port, "a@example.net", [made.said], data).accepted == [made.said]
        if number < 2:
            data = wait_for(lambda n=number: made.target.messages[n:], 20, "the message")[0].data
    wait_for(lambda: made.mx.logged("status=bounced") and made.mx.logged("554 5.4.6"), 20, "a loop")
    assert len(made.target.messages) == 2


def test_behind_the_relay_an_unknown_one_that_rcpt_never_shows_bounces(hidden):
    made = hidden("virtual alias", NOBODY)
    assert send(made.mx, made.said, "unknown").accepted == [made.said]
    wait_for(lambda: made.mx.logged("status=bounced") and made.mx.logged("550 5.1.1"), 20, "a bounce")
    assert made.target.messages == []


def test_routed_by_the_map_a_hold_counts_for_a_virtual_alias(open_house):
    """Postfix asks for the route of the final address: its queue keeps what is held."""
    _, main = REWRITTEN["virtual alias"]
    made = open_house("routes", **PATIENT, **{k: v.format(ANN) for k, v in main.items()})
    made.site.maptool("hold", ANN)
    assert send(made.mx, "info@alias.test", "held").accepted == ["info@alias.test"]
    wait_for(lambda: made.mx.logged("dsn=4.2.1, status=deferred"), 20, "a deferred message")
    assert made.target.messages == []


# --- The milter is the only guard ----------------------------------------------------------


@pytest.fixture
def guarded(pair, postfix):
    """The recipe "milter alone": everything goes to old, and Postfix knows no recipients."""
    def make(port=None, **main):
        mx = postfix(main={"relay_transport": f"lmtp:inet:127.0.0.1:{pair.old.lmtp_port}",
                           **main_cf(pair.site, "main.cf milter alone", port), **main})
        return SimpleNamespace(old=pair.old, site=pair.site, mx=mx)
    pair.site.start("milter")
    return make


def test_milter_alone(guarded):
    made = guarded()
    assert refuse(made.mx, NOBODY) == (550, "5.1.1 Recipient unknown")
    made.site.maptool("hold", BOB)
    got = refuse(made.mx, BOB)
    assert got.code == 450 and got.text.startswith("4.2.1 ")
    assert refuse(made.mx, "a%b@example.org").code == 550
    assert send(made.mx, [ANN, NOBODY, BOB], "one").accepted == [ANN]
    assert arrives(made.old, ANN, "one").count(b"Coexist-Trace:") == 1
    made.site.kill("milter")
    assert 400 <= send(made.mx, ANN, "unjudged").mail.code < 500


def test_milter_alone_without_a_map(site, dovecot, postfix):
    made = site({"old": {"smtp": f"lmtp://127.0.0.1:{dovecot().lmtp_port}"}})
    made.start("milter")
    mx = postfix(main=main_cf(made, "main.cf milter alone"))
    for recipient in (ANN, NOBODY):
        got = refuse(mx, recipient)
        assert got.code == 451 and got.text.startswith("4.3.0 ")


STEPS = {"O": "negotiation", "C": "connect", "M": "MAIL", "R": "RCPT", "L": "header", "E": "end of message"}


@pytest.mark.parametrize("hang", [False, True], ids=["dies", "hangs"])
@pytest.mark.parametrize("step", STEPS)
def test_milter_fails_at_each_step(guarded, step, hang):
    """Whatever step it fails at: 4xx to the client, nothing goes on unjudged, and the next message passes."""
    with MilterProxy(0) as proxy:
        patience = {f"milter_{name}_timeout": "3s" for name in ("connect", "command", "content")}
        made = guarded(port=proxy.port, **(patience if hang else {}))
        proxy.target = made.site.milter_port
        proxy.fail(step, hang)
        outcome = send(made.mx, ANN, "unjudged")
        replies = [outcome.mail, *outcome.rcpts.values()] + ([outcome.data] if outcome.data else [])
        assert outcome.accepted == [] and proxy.failed >= 1
        assert all(r.code < 500 for r in replies), replies
        assert any(400 <= r.code < 500 for r in replies), replies
        proxy.fail(None)
        assert send(made.mx, ANN, "judged").accepted == [ANN]
        assert b"Coexist-Trace:" in arrives(made.old, ANN, "judged")
        made.mx.wait_empty()
        assert not found(made.old, ANN, "unjudged")


@pytest.mark.parametrize("moment", range(4), ids=["before MAIL", "before RCPT", "before DATA", "before the dot"])
def test_milter_killed_in_a_session(guarded, moment):
    made = guarded()
    with smtp.Client(made.mx.smtp_port) as client:
        client.ehlo()
        steps = ["MAIL FROM:<a@example.net>", f"RCPT TO:<{ANN}>", "DATA"]
        for step in steps[:moment]:
            assert client.cmd(step).code in (250, 354)
        made.site.kill("milter")
        replies = [client.cmd(step) for step in steps[moment:]]
        if not replies or replies[-1].code == 354:
            client.write(smtp.wire(smtp.message("unjudged")))
            replies.append(client.reply())
        assert any(400 <= r.code < 500 for r in replies) and all(r.code != 250 for r in replies[-1:]), replies
        assert not any(r.code >= 500 and r.code not in (503, 554) for r in replies), replies
    made.site.start("milter")
    assert send(made.mx, ANN, "judged").accepted == [ANN]
    arrives(made.old, ANN, "judged")
    made.mx.wait_empty()
    assert not found(made.old, ANN, "unjudged")
