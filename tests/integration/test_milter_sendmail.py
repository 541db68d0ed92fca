# SPDX-License-Identifier: ISC
"""A real Sendmail that routes by coexist-lookup and judges by coexist-milter, as docs/recipes/sendmail.md says."""
from types import SimpleNamespace

import pytest
from lib import recipes, smtp, spellings
from lib.milter import MilterProxy
from lib.wait import wait_for

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"
NOBODY = "nobody@example.org"
NEMO = "nemo@example.org"  # not a user of the host either


ITSELF = "LOCAL_DOMAIN(`[127.0.0.1]')dnl\n"  # where Sendmail looks at its interfaces, which the fixture's does not

PLACES = {"lookup": "inet:10225@127.0.0.1", "milter": "inet:10226@127.0.0.1", "old": "TCP $h 2525", "new": "TCP $h 2424",
          "relay": "TCP $h 10025"}


def block(name, **ports):
    """A block of the recipe with ports of this test."""
    new = {"lookup": "inet:{}@127.0.0.1", "milter": "inet:{}@127.0.0.1", "old": "TCP $h {}", "new": "TCP $h {}",
           "relay": "TCP $h {}"}
    return recipes.block("sendmail.md", name, {PLACES[k]: new[k].format(port) for k, port in ports.items()})


def send(mx, recipients, token, **kwargs):
    return smtp.send(mx.smtp_port, "a@example.net", recipients, smtp.message(token), **kwargs)


def refuse(mx, recipient):
    return send(mx, recipient, "refused").rcpts[recipient]


def with_token(target, token):
    return [m for m in target.messages if f"Subject: {token}\r\n".encode() in m.data]


def arrives(target, token):
    return wait_for(lambda: with_token(target, token), 20, token)[0]


@pytest.fixture
def routed(scripted, site, sendmail):
    """Sendmail with the map, the milter and a mailer for each of two servers, the second by LMTP."""
    old, new = scripted(), scripted(lmtp=True)
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": f"lmtp://127.0.0.1:{new.port}"}})
    made.init({ANN: "old", BOB: "old", CAT: "new"})
    made.start("lookup", "milter")
    # FEATURE(mailertable) is in the fixture's sendmail.mc, with a table.
    mailers = block("sendmail.mc mailers", old=old.port, new=new.port).replace("FEATURE(`mailertable')dnl\n", "")
    mx = sendmail(mc=block("sendmail.mc routes", lookup=made.lookup_port, milter=made.milter_port) + ITSELF + mailers)
    return SimpleNamespace(old=old, new=new, site=made, mx=mx)


def test_each_recipient_reaches_its_server(routed):
    outcome = send(routed.mx, [ANN, "Cat+detail@Example.ORG", NOBODY, "x@elsewhere.test"], "one")
    assert [v.code for v in outcome.rcpts.values()] == [250, 250, 550, 250] and outcome.data.code == 250
    old, new = arrives(routed.old, "one"), arrives(routed.new, "one")
    assert old.recipients == [ANN] and new.recipients == ["Cat+detail@Example.ORG"]
    assert old.data.count(b"Coexist-Trace: v=1;") == new.data.count(b"Coexist-Trace: v=1;") == 2
    routed.mx.wait_empty()
    assert "coexist-old, host [127.0.0.1], user ann@example.org" in routed.mx.resolve(ANN)


def test_the_next_recipient_sees_a_change(routed):
    assert refuse(routed.mx, "dan@example.org").code == 550
    for number in range(4):
        server = ("new", "old")[number % 2]
        routed.site.set("dan@example.org", server)
        assert send(routed.mx, "dan@example.org", f"flip{number}").accepted == ["dan@example.org"]
        arrives(getattr(routed, server), f"flip{number}")
    routed.mx.wait_empty()
    assert [len(with_token(routed.old, f"flip{n}")) for n in range(4)] == [0, 1, 0, 1]


def test_deliver_as_in_another_domain(routed):
    routed.site.maptool("set", CAT, "route=old", "deliver_as=cat@tenant.test")
    routed.site.maptool("set", ANN, "route=new", "deliver_as=ann@tenant.test")
    for user, token, target, address in ((ANN, "one", routed.new, "ann@tenant.test"), (BOB, "three", routed.old, BOB),
                                         ("cat+Box@example.org", "two", routed.old, "cat+Box@tenant.test")):
        assert send(routed.mx, user, token).accepted == [user]
        assert arrives(target, token).recipients == [address]
    routed.site.maptool("set", "boss@example.org", "kind=alias", f"to={ANN}")
    assert send(routed.mx, "boss@example.org", "boss").accepted == ["boss@example.org"]
    assert arrives(routed.new, "boss").recipients == ["ann@tenant.test"]
    routed.site.maptool("hold", ANN)
    assert 400 <= refuse(routed.mx, ANN).code < 500
    assert 400 <= refuse(routed.mx, "boss@example.org").code < 500
    assert refuse(routed.mx, NOBODY).code == 550


def test_held(routed):
    routed.site.maptool("hold", ANN)
    assert 400 <= refuse(routed.mx, ANN).code < 500
    assert send(routed.mx, [ANN, CAT], "both").accepted == [CAT]
    routed.site.maptool("release", ANN)
    assert send(routed.mx, ANN, "after").accepted == [ANN]
    arrives(routed.old, "after")


def test_queued_mail_waits_for_a_hold_and_follows_the_flip(routed):
    """Accepted, then held: it stays queued until the flip and then goes to the new server."""
    routed.old.script["connect"] = "421 4.3.2 not now"
    assert send(routed.mx, ANN, "late").accepted == [ANN]
    wait_for(lambda: routed.mx.logged("stat=Deferred"), 20, "a deferred message")
    routed.site.maptool("hold", ANN)
    routed.site.kill("lookup")
    routed.mx.flush()
    routed.site.start("lookup")
    routed.mx.flush()
    assert len(routed.mx.queued()) == 1
    routed.site.maptool("release", ANN)
    routed.site.set(ANN, "new")
    arrives(routed.new, "late")
    routed.mx.wait_empty()
    assert not with_token(routed.old, "late")


def test_loop(routed):
    def pass_again(data):
        return smtp.send(routed.mx.smtp_port, "a@example.net", [ANN], data)

    assert send(routed.mx, ANN, "loop").accepted == [ANN]
    assert pass_again(arrives(routed.old, "loop").data).accepted == [ANN]
    second = wait_for(lambda: [m for m in with_token(routed.old, "loop") if m.data.count(b"Coexist-Trace:") == 2], 20,
                      "the second pass")[0]
    outcome = pass_again(second.data)
    assert outcome.data.code == 554 and outcome.data.text.startswith("5.4.6 "), outcome


def test_lookup_killed(routed):
    routed.site.kill("lookup")
    for recipient in (ANN, NOBODY):
        assert 400 <= refuse(routed.mx, recipient).code < 500
    assert send(routed.mx, "x@elsewhere.test", "out").accepted == ["x@elsewhere.test"]
    routed.site.start("lookup")
    assert send(routed.mx, ANN, "after").accepted == [ANN]
    assert refuse(routed.mx, NOBODY).code == 550


def test_one_port_for_all(scripted, site, sendmail):
    """Servers at the mailer relay's own port need no mailers.  The entry of the mailertable only undoes the fixture's
    own one for everything else."""
    old = scripted()
    made = site({"old": {"smtp": "smtp://127.0.0.1:25"}})
    made.init({ANN: "old"})
    made.start("lookup", "milter")
    mx = sendmail(relay_port=old.port, mailertable={"[127.0.0.1]": "relay:[127.0.0.1]"},
                  mc=block("sendmail.mc routes", lookup=made.lookup_port, milter=made.milter_port))
    assert send(mx, ANN, "one").accepted == [ANN]
    assert arrives(old, "one").recipients == [ANN]
    assert refuse(mx, NOBODY).code == 550


def test_relay_behind(pair, sendmail):
    pair.site.settings["milter"]["stamp"] = "no"
    pair.site.write_conf()
    pair.site.start("milter", "relay")
    # FEATURE(mailertable) is in the fixture's sendmail.mc, with a table.
    mc = block("sendmail.mc relay behind", milter=pair.site.milter_port, relay=pair.site.relay_port)
    domain, mailer = recipes.block("sendmail.md", "mailertable relay behind").split()
    mx = sendmail(mc=mc.replace("FEATURE(`mailertable')dnl\n", ""), mailertable={domain: mailer})
    outcome = send(mx, [ANN, CAT, NOBODY], "one")
    assert [v.code for v in outcome.rcpts.values()] == [250, 250, 550] and outcome.data.code == 250
    for server, user in ((pair.old, ANN), (pair.new, CAT)):
        data = wait_for(lambda s=server, u=user: s.messages(u), 20, f"the message of {user}")[0].data
        assert data.count(b"Coexist-Trace: v=1;") == 1
    mx.wait_empty()
    assert not mx.logged("stat=Deferred") and not mx.logged("4.5.3")
    assert len(pair.old.messages(ANN)) == len(pair.new.messages(CAT)) == 1


# --- Spellings ----------------------------------------------------------------------------------


def test_every_spelling_is_judged_as_what_it_leads_to(routed):
    spellings.check(routed.mx, routed.site, routed.old, ANN, NEMO, BOB, fewest=35)


def test_every_spelling_when_the_milter_is_alone(guarded):
    made = guarded()
    spellings.check(made.mx, made.site, made.old, ANN, NEMO, BOB, fewest=35)


def test_every_spelling_with_the_relay_behind(scripted, site, sendmail):
    old = scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}}, settings={"milter": {"stamp": "no"}})
    made.init({ANN: "old", BOB: "old"}).start("milter", "relay")
    mc = block("sendmail.mc relay behind", milter=made.milter_port, relay=made.relay_port)
    domain, mailer = recipes.block("sendmail.md", "mailertable relay behind").split()
    mx = sendmail(mc=ITSELF + mc.replace("FEATURE(`mailertable')dnl\n", ""), mailertable={domain: mailer})
    spellings.check(mx, made, old, ANN, NEMO, BOB, fewest=35)


def test_every_spelling_when_a_mailer_takes_names_without_a_domain(guarded):
    """Its {rcpt_addr} is "ann" for ann@example.org: a plain spelling is judged, others are refused."""
    made = guarded(mailer_flags="l")
    spellings.check(made.mx, made.site, made.old, ANN, NEMO, BOB, fewest=5)


# --- Addresses that RCPT never shows --------------------------------------------------------------


def test_virtusertable_is_seen_at_rcpt(guarded):
    """Its result is what {rcpt_addr} says."""
    table = "".join(f"R{said} < @ alias . test . >\t$: {to} < @ example . org >\n"
                    for said, to in (("ann", "ann"), ("bob", "bob"), ("nemo", "nemo")))
    made = guarded(mc=f"LOCAL_RULE_0\n{table}")
    made.site.maptool("hold", BOB)
    outcome = send(made.mx, ["ann@alias.test", "bob@alias.test", "nemo@alias.test"], "one")
    assert [v.code for v in outcome.rcpts.values()] == [250, 450, 550]
    assert arrives(made.old, "one").data.count(b"Coexist-Trace:") == 1


def test_behind_the_relay_a_hold_counts_for_an_alias(scripted, site, sendmail):
    old = scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}}, settings={"milter": {"stamp": "no"}, "relay": {"hold_wait": "0s"}})
    made.init({ANN: "old"}).start("milter", "relay")
    mc = block("sendmail.mc relay behind", milter=made.milter_port, relay=made.relay_port)
    domain, mailer = recipes.block("sendmail.md", "mailertable relay behind").split()
    mx = sendmail(mc=mc.replace("FEATURE(`mailertable')dnl\n", ""), mailertable={domain: mailer}, aliases={"info": ANN})
    made.maptool("hold", ANN)
    assert send(mx, "info@mx.test", "held").accepted == ["info@mx.test"]
    wait_for(lambda: mx.logged("450 4.2.1"), 20, "a deferred message")
    assert old.messages == []
    made.maptool("release", ANN)
    data = arrives(old, "held").data
    for _ in range(2):
        count = len(old.messages)
        assert smtp.send(mx.smtp_port, "a@example.net", ["info@mx.test"], data).accepted == ["info@mx.test"]
        if _ == 0:
            data = wait_for(lambda n=count: old.messages[n:], 20, "the message")[0].data
    wait_for(lambda: mx.logged("554 5.4.6"), 20, "a loop")
    assert len(with_token(old, "held")) == 2


# --- The milter is the only guard ----------------------------------------------------------


@pytest.fixture
def guarded(scripted, site, sendmail):
    old = scripted()
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}})
    made.init({ANN: "old", BOB: "old"})
    made.start("milter")

    def make(port=None, mc="", **kwargs):
        mx = sendmail(mailers={"old": old.port}, mailertable={"example.org": "old:[127.0.0.1]"}, **kwargs,
                      mc=block("sendmail.mc milter alone", milter=port or made.milter_port) + ITSELF + mc)
        return SimpleNamespace(old=old, site=made, mx=mx)
    return make


def test_milter_alone(guarded):
    made = guarded()
    got = refuse(made.mx, NOBODY)
    assert got.code == 550 and got.text.startswith("5.1.1 ")
    made.site.maptool("hold", BOB)
    got = refuse(made.mx, BOB)
    assert got.code == 450 and got.text.startswith("4.2.1 ")
    got = refuse(made.mx, "a%b@example.org")
    assert got.code == 550 and "%%" not in got.text
    assert send(made.mx, [ANN, NOBODY, BOB], "one").accepted == [ANN]
    assert arrives(made.old, "one").data.count(b"Coexist-Trace:") == 1
    with smtp.Client(made.mx.smtp_port) as client:
        client.ehlo()
        for number in range(3):
            assert client.transaction("a@example.net", [ANN], smtp.message(f"m{number}")).accepted == [ANN]
            assert client.transaction("a@example.net", [NOBODY], smtp.message("none")).data is None
    for number in range(3):
        assert arrives(made.old, f"m{number}").data.count(b"Coexist-Trace:") == 1


def test_milter_alone_without_a_map(site, sendmail):
    made = site({"old": {"smtp": "smtp://127.0.0.1:2525"}})
    made.start("milter")
    mx = sendmail(mc=block("sendmail.mc milter alone", milter=made.milter_port))
    for recipient in (ANN, NOBODY):
        got = refuse(mx, recipient)
        assert got.code == 451 and got.text.startswith("4.3.0 ")


@pytest.mark.parametrize("step", ["O", "C", "M", "R", "L", "E"])
def test_milter_fails_at_each_step(guarded, step):
    """Whatever step it fails at: 4xx to the client, nothing goes on unjudged, and the next message passes."""
    with MilterProxy(0) as proxy:
        made = guarded(port=proxy.port)
        proxy.target = made.site.milter_port
        proxy.fail(step)
        outcome = send(made.mx, ANN, "unjudged")
        replies = [outcome.mail, *outcome.rcpts.values()] + ([outcome.data] if outcome.data else [])
        assert outcome.accepted == [] and proxy.failed >= 1
        assert all(r.code < 500 for r in replies) and any(400 <= r.code < 500 for r in replies), replies
        proxy.fail(None)
        assert send(made.mx, ANN, "judged").accepted == [ANN]
        assert b"Coexist-Trace:" in arrives(made.old, "judged").data
        made.mx.wait_empty()
        assert not with_token(made.old, "unjudged")


def test_milter_killed_in_a_session(guarded):
    made = guarded()
    with smtp.Client(made.mx.smtp_port) as client:
        client.ehlo()
        client.cmd("MAIL FROM:<a@example.net>")
        assert client.cmd(f"RCPT TO:<{ANN}>").code == 250
        made.site.kill("milter")
        got = client.cmd("DATA")
        if got.code == 354:
            client.write(smtp.wire(smtp.message("unjudged")))
            got = client.reply()
        assert 400 <= got.code < 500, got
    assert 400 <= send(made.mx, ANN, "down").mail.code < 500 or send(made.mx, ANN, "down").accepted == []
    made.site.start("milter")
    assert send(made.mx, ANN, "judged").accepted == [ANN]
    arrives(made.old, "judged")
    assert not with_token(made.old, "unjudged") and not with_token(made.old, "down")
