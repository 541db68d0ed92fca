# SPDX-License-Identifier: ISC
"""Tables that `maptool export --db` makes, in running Postfix and Sendmail, as docs/recipes says."""
import shlex
from types import SimpleNamespace

import pytest
from lib import recipes, smtp
from lib.wait import wait_for

ANN, BOB, CAT, EVE = "ann@example.org", "bob@example.org", "cat@example.org", "eve@example.org"
NOBODY = "nobody@example.org"


def export(site, recipe, etc, folder):
    """The commands of the recipe, with its folder in place of the guest's."""
    for line in recipes.block(recipe, "export tables", {etc: f"{folder}/"}).splitlines():
        program, *args = shlex.split(line)
        assert program == "maptool"
        site.maptool(*args)


def send(mx, recipients, token):
    return smtp.send(mx.smtp_port, "a@example.net", recipients, smtp.message(token))


def refuse(mx, recipient):
    return send(mx, recipient, "refused").rcpts[recipient]


def arrives(target, token):
    def found():
        return [m for m in target.messages if f"Subject: {token}\r\n".encode() in m.data]
    return wait_for(found, 20, token)[0]


def make_site(site, old, new):
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": f"lmtp://127.0.0.1:{new.port}"}})
    made.init({ANN: "old", BOB: "old", CAT: "new"})
    made.maptool("set", BOB, "deliver_as=bob@tenant.test")
    made.maptool("set", EVE, "kind=reject")
    return made


@pytest.fixture
def by_postfix(scripted, site, postfix):
    old, new = scripted(), scripted(lmtp=True)
    made = make_site(site, old, new)
    # A process of smtpd says what it once heard until it ends: here after one connection.
    mx = postfix(start=False, main={**recipes.settings(recipes.block("postfix.md", "main.cf tables")), "max_use": "1"})
    export(made, "postfix.md", "/etc/postfix/", mx.dir / "etc")
    mx.start()
    return SimpleNamespace(old=old, new=new, site=made, mx=mx, at_once=mx.reload,
                           again=lambda: export(made, "postfix.md", "/etc/postfix/", mx.dir / "etc"))


@pytest.fixture
def by_sendmail(scripted, site, sendmail):
    old, new = scripted(), scripted(lmtp=True)
    made = make_site(site, old, new)
    ports = {"TCP $h 2525": f"TCP $h {old.port}", "TCP $h 2424": f"TCP $h {new.port}"}
    mailers = recipes.block("sendmail.md", "sendmail.mc mailers", ports).replace("FEATURE(`mailertable')dnl\n", "")
    mx = sendmail(start=False, mc=recipes.block("sendmail.md", "sendmail.mc tables") +
                  "LOCAL_DOMAIN(`[127.0.0.1]')dnl\n" + mailers)
    export(made, "sendmail.md", "/etc/mail/", mx.dir / "etc")
    mx.start()
    return SimpleNamespace(old=old, new=new, site=made, mx=mx, at_once=lambda: None,
                           again=lambda: export(made, "sendmail.md", "/etc/mail/", mx.dir / "etc"))


@pytest.mark.parametrize("mta", ["by_postfix", "by_sendmail"])
def test_each_recipient_reaches_its_server(mta, request):
    made = request.getfixturevalue(mta)
    outcome = send(made.mx, [ANN, BOB, "Cat+detail@Example.ORG", NOBODY, EVE], "one")
    assert [v.code for v in outcome.rcpts.values()] == [250, 250, 250, 550, 550], outcome
    assert arrives(made.new, "one").recipients == ["Cat+detail@Example.ORG"]
    wait_for(lambda: sorted(r for m in made.old.messages for r in m.recipients) == [ANN, "bob@tenant.test"], 20, "both")
    assert send(made.mx, "postmaster@example.org", "two").accepted and arrives(made.old, "two")
    # A running server sees a new file: the hold, the flip, the user that is gone.
    made.site.maptool("hold", ANN)
    made.site.set(CAT, "old")
    made.again()
    wait_for(lambda: 400 <= refuse(made.mx, ANN).code < 500, 20, "the hold to be seen")
    made.site.maptool("release", ANN)
    made.site.set(ANN, "new")
    made.again()
    made.at_once()
    wait_for(lambda: send(made.mx, ANN, "three").accepted, 20, "the release to be seen")
    assert arrives(made.new, "three").recipients == [ANN]
    assert send(made.mx, CAT, "four").accepted and arrives(made.old, "four").recipients == [CAT]
    made.site.maptool("del", CAT)
    made.again()
    wait_for(lambda: refuse(made.mx, CAT).code == 550, 20, "the deletion to be seen")
    made.mx.wait_empty()
