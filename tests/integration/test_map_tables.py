# SPDX-License-Identifier: ISC
"""Tables that `maptool export --db` makes, in running Postfix and Sendmail, as docs/recipes says."""
import re
import shlex
import shutil
from types import SimpleNamespace

import pytest
from lib import recipes, smtp
from lib.wait import wait_for

ANN, BOB, CAT, EVE = "ann@example.org", "bob@example.org", "cat@example.org", "eve@example.org"
NOBODY = "nobody@example.org"
LIST = "ann-request@example.org"      # of no list of that name: any entry may be one


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


# --- When nothing of ours runs any more ------------------------------------------------------------

def run_postfix(mx, name, replace):
    for line in recipes.block("emergency.md", name, replace).splitlines():
        program, *args = shlex.split(line)
        if program == "postfix":
            mx.reload(write=False)
        else:
            mx.run(f"/usr/sbin/{program}", *args)


def run_sendmail(mx, name, replace):
    for line in recipes.block("emergency.md", name, replace).splitlines():
        if line.startswith("service "):
            mx.restart()
        else:
            mx.run("/usr/bin/sh", "-ec", line)


def emergency_by_postfix(site, postfix, _old, _new):
    lookup, milter = f"127.0.0.1:{site.lookup_port}", f"127.0.0.1:{site.milter_port}"
    main = recipes.block("postfix.md", "main.cf aliases", {"127.0.0.1:10225": lookup})
    main += recipes.block("postfix.md", "main.cf routes", {"127.0.0.1:10225": lookup, "127.0.0.1:10226": milter})
    mx = postfix(main={**recipes.settings(main), "max_use": "1"})
    back = {"127.0.0.1:10225": lookup, "127.0.0.1:10226": milter}
    return (mx, lambda: run_postfix(mx, "tables", {"/var/lib/coexist/": "/inst/"}), lambda: run_postfix(mx, "back", back))


def emergency_by_sendmail(site, sendmail, old, new):
    lookup, milter = f"inet:{site.lookup_port}@127.0.0.1", f"inet:{site.milter_port}@127.0.0.1"
    ports = {"TCP $h 2525": f"TCP $h {old.port}", "TCP $h 2424": f"TCP $h {new.port}"}
    mailers = "LOCAL_DOMAIN(`[127.0.0.1]')dnl\n" + \
        recipes.block("sendmail.md", "sendmail.mc mailers", ports).replace("FEATURE(`mailertable')dnl\n", "")
    mx = sendmail(start=False, mc=recipes.block("sendmail.md", "sendmail.mc tables") + mailers)
    mx.write_configuration()
    emergency = (mx.dir / "etc" / "sendmail.cf").read_bytes()
    mx.mc = recipes.block("sendmail.md", "sendmail.mc routes", {"inet:10225@127.0.0.1": lookup, "inet:10226@127.0.0.1": milter})
    mx.mc += mailers
    mx.start()
    (mx.dir / "etc" / "sendmail-emergency.cf").write_bytes(emergency)
    shutil.copy(mx.dir / "etc" / "sendmail.cf", mx.dir / "etc" / "sendmail-coexist.cf")
    return (mx, lambda: run_sendmail(mx, "sendmail tables", {"/var/lib/coexist/": "/inst/"}),
            lambda: run_sendmail(mx, "sendmail back", {}))


@pytest.mark.parametrize("mta", ["postfix", "sendmail"])
def test_an_mta_goes_on_without_us(mta, request, scripted, site):
    old, new = scripted(), scripted(lmtp=True)
    made = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": f"lmtp://127.0.0.1:{new.port}"}},
                settings={"mapd": {"emergency": "1s"}}, domains={"example.org": {"list_addresses": ["*-request"]}})
    made.init({ANN: "old", BOB: "old", CAT: "new"})
    made.maptool("set", BOB, "deliver_as=bob@tenant.test")
    made.maptool("set", EVE, "kind=reject")
    made.start("lookup", "milter")
    by = {"postfix": emergency_by_postfix, "sendmail": emergency_by_sendmail}[mta]
    mx, take_tables, go_back = by(made, request.getfixturevalue(mta), old, new)
    assert send(mx, [ANN, CAT], "before").accepted == [ANN, CAT]
    made.maptool("hold", CAT)
    files = made.state / "emergency"
    generation = str(made.json("status")["generation"])
    wait_for(lambda: (files / "generation").exists() and (files / "generation").read_text().strip() == generation, 20,
             "the last change to be in the files")
    assert not list(files.glob("*.new"))
    for program in ("lookup", "milter", "mapd"):
        made.kill(program)
    shutil.rmtree(made.run)
    assert not send(mx, ANN, "nothing works").accepted
    shutil.copytree(files, mx.dir / "inst" / "emergency")       # the guest has a file system of its own
    take_tables()
    assert refuse(mx, NOBODY).code == refuse(mx, EVE).code == 550
    assert 400 <= refuse(mx, CAT).code < 500
    assert send(mx, [ANN, BOB, LIST], "meanwhile").accepted == [ANN, BOB, LIST]
    wait_for(lambda: sorted(r for m in old.messages for r in m.recipients if b"Subject: meanwhile" in m.data) ==
             [LIST, ANN, "bob@tenant.test"], 20, "all three")
    # And back.
    made.run.mkdir()
    made.start("mapd", "lookup", "milter")
    made.maptool("release", CAT)
    go_back()
    assert send(mx, [CAT, BOB], "after").accepted == [CAT, BOB]
    assert b"Coexist-Trace:" in arrives(new, "after").data


def test_emergency_files_follow_a_clean_stop(site):
    """Written at the end too, and for a configuration that was read anew."""
    made = site({"old": {"smtp": "smtp://10.1.1.5:25"}}, settings={"mapd": {"emergency": "1d"}}).init()
    files = made.state / "emergency"
    wait_for(lambda: (files / "generation").exists(), 20, "the first files")
    made.set(ANN, "old")
    made.stop("mapd")
    assert f"{ANN}\tsmtp:[10.1.1.5]:25\n" in (files / "postfix-transport").read_text()
    assert f"{ANN}\tOK\n" in (files / "postfix-recipients").read_text()
    assert (files / "generation").read_text() == "1\n"
    assert sorted(p.name for p in files.iterdir()) == ["generation", "postfix-recipients", "postfix-transport",
                                                      "postfix-virtual", "sendmail-address", "sendmail-mailhost"]


# --- coexist-map(5) -----------------------------------------------------------------------------------

def test_the_page_shows_what_is_written(site):
    text = (recipes.RECIPES.parent / "man" / "coexist-map.5").read_text()
    blocks = dict(re.findall(r'^\.\\" test: (\S+)\n\.Bd .*\n((?:.*\n)*?)\.Ed$', text, re.M))
    made = site({"old": {"smtp": "smtp://10.1.1.5:25", "imap": "imap://10.1.1.5:143", "tls": "verify"},
                 "new": {"smtp": "lmtp://10.1.2.5:24", "imap": "imaps://10.1.2.5:993", "tls": "verify"}})
    made.maptool("init")
    made.maptool("import", "-", input=blocks.pop("import"))
    assert len(blocks) == 8
    for name, want in blocks.items():
        assert made.maptool("export", "--format", name).stdout == want, name
