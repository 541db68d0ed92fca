# SPDX-License-Identifier: ISC
"""Learning the map before refusing: maptool unmapped and what-if."""
from lib.mapsock import MapSocket
from lib.smtp import message, send
from lib.socketmap import SocketMapClient

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "lmtp://10.1.2.5:24"}}
LOG = """time=2026-11-28T14:00:00.000Z level=info prog=coexist-relay event=rcpt_accept rcpt=bob@example.org dsn=2.1.5
time=2026-11-28T14:01:00.000Z level=info prog=coexist-relay event=rcpt_refuse rcpt=typo@example.org code=550 dsn=5.1.1
Nov 28 14:02:00 mx postfix/lmtp[1]: 4X: to=<Bob+news@example.org>, relay=x, dsn=2.0.0, status=sent (ok)
Nov 28 14:03:00 mx postfix/lmtp[1]: 4X: to=<ann@example.org>, relay=x, dsn=2.0.0, status=sent (ok)
Nov 28 14:04:00 mx postfix/lmtp[1]: 4X: to=<x@elsewhere.example>, relay=x, dsn=2.0.0, status=sent (ok)
postmaster@example.org
"""


def test_learn_before_refusing(site, tmp_path):
    live = site(SERVERS, domains={"example.org": {"default": "old"}}).init({"ann@example.org": "new"})
    log = tmp_path / "log"
    log.write_text(LOG)
    done = live.maptool("unmapped", log, check=False)
    assert done.returncode == 1 and [line.split() for line in done.stdout.splitlines()[1:]] == [
        ["bob@example.org", "2", "Nov", "28", "14:02:00", "yes"],
        ["typo@example.org", "1", "2026-11-28T14:01:00.000Z", "no"]]
    # The switch to reject names who would be refused.
    done = live.maptool("what-if", "--default", "reject", log, check=False)
    assert done.returncode == 1 and done.stdout.endswith("3 of 5 addresses would get another answer\n")
    changed = {line.split()[0]: line for line in done.stdout.splitlines()[1:-1]}
    assert sorted(changed) == ["bob+news@example.org", "bob@example.org", "typo@example.org"]
    assert "old as bob@example.org" in changed["bob@example.org"] and "550 5.1.1" in changed["bob@example.org"]
    # What the servers know becomes a list that is imported, and then nobody is refused who exists.
    csv = live.maptool("unmapped", "--csv", "--known", log, check=False).stdout
    assert csv == "key,seen,last,known\nbob@example.org,2,Nov 28 14:02:00,yes\n"
    learnt = tmp_path / "learnt.csv"
    learnt.write_text(csv)
    done = live.maptool("what-if", "--default", "reject", "--import", learnt, "--route", "old", log, check=False)
    assert done.stdout.splitlines()[-1] == "1 of 5 addresses would get another answer"
    live.maptool("import", "--route", "old", learnt)
    assert [e["key"] for e in live.json("unmapped", log, check=False)] == ["typo@example.org"]


def test_what_if_an_import_moved_people_back(site, tmp_path):
    live = site(SERVERS).init({f"{name}@example.org": "old" for name in ("ann", "bob", "cat")})
    with MapSocket(live.run) as map_:
        epoch = map_.ok(op="hold", key="ann@example.org", owner="o", deadline_ms=60000, id="h")["epoch"]
        map_.ok(op="flip", key="ann@example.org", epoch=epoch, route="new", id="f")
    live.maptool("set", "bob@example.org", "route=new")
    (tmp_path / "old.csv").write_text("key,route\nann@example.org,old\nbob@example.org,old\ndan@example.org,new\n")
    who = "ann@example.org\nbob@example.org\ncat@example.org\ndan@example.org\n"
    ask = ["what-if", "--import", tmp_path / "old.csv", "-"]
    assert [e["key"] for e in live.json(*ask, input=who, check=False)] == ["dan@example.org"]
    assert [e["key"] for e in live.json(*ask, "--reroute", input=who, check=False)] == ["bob@example.org", "dan@example.org"]
    assert live.maptool("what-if", "--default", "reject", "-", input=who).stdout == "0 of 4 addresses would get another answer\n"
    done = live.maptool("what-if", "-", input=who, check=False)
    assert done.returncode == 64 and "--default or --import" in done.stderr


def learnt(live, *args):
    return {row["key"]: (row["seen"], row["known"], row["by"]) for row in live.json("unmapped", *args, check=False)}


def test_learn_without_logs(site, scripted):
    """Relay and look-up note whom nobody has listed, over kills of each program, until he is refused or listed."""
    typo = "typo@example.org"
    old = scripted({"rcpt": {typo: "550 5.1.1 no such user", "full@example.org": "452 4.2.2 full"}})
    live = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": "lmtp://10.1.2.5:24"}},
                domains={"example.org": {"default": "old"}}).init({"ann@example.org": "old"})
    live.start("relay", "lookup")

    def mail(*recipients):
        return send(live.relay_port, "s@example.net", list(recipients), message("t"))

    mail("ann@example.org", "Bob+news@example.org", typo, "postmaster@example.org")
    mail("bob@example.org")
    with SocketMapClient(live.lookup_port) as client:
        for key in ("cat@example.org", "ann@example.org", "x@elsewhere.example", "cat@example.org"):
            client.query("transport", key)
        client.query("recipients", "dan@example.org")
    want = {"bob@example.org": (2, "yes", "relay"), typo: (1, "no", "relay"), "cat@example.org": (2, "?", "lookup")}
    assert learnt(live) == want
    status = live.json("status", check=False)
    consumers = {c["program"]: c for c in status["consumers"]}
    assert sorted(consumers) == ["lookup", "relay"] and consumers["lookup"]["pid"] == live.pid("lookup")
    assert {c["sequence"] for c in consumers.values()} == {status["lookups"]["sequence"]}
    assert all(c["committing"] == c["ambiguous"] == 0 and c["used_s"] < 60 for c in consumers.values())
    # The programs go, and mapd does, with no time to say goodbye: nothing is forgotten or counted twice.
    live.kill("lookup")
    live.kill("mapd")
    mail("full@example.org")
    live.start("mapd", "lookup")
    want["full@example.org"] = (1, "?", "relay")
    assert learnt(live) == want
    live.kill("relay")
    live.stop("mapd")
    assert learnt(live) == want, "without a mapd"
    live.start("mapd", "relay")
    # Who would be refused: named by what-if without any log, and by mapd at the switch.
    done = live.maptool("what-if", "--default", "reject", check=False)
    assert done.stdout.endswith("4 of 4 addresses would get another answer\n"), done
    live.domains["example.org"]["default"] = "reject"
    live.write_conf()
    live.reload("mapd")
    event = live.wait_event("mapd", "unmapped_refused")
    assert event["domain"] == "example.org" and event["addresses"] == "3"
    assert sorted(event["first"].split()) == sorted(set(want) - {typo})
    # The server is asked about those of whom it has said nothing.
    assert learnt(live, "--ask", "old", "--rate", "1000")["cat@example.org"] == (2, "yes", "lookup")
    said = [c for s in old.sessions[-1:] for c in s.commands]
    assert "MAIL FROM:<>" in said and not any(typo in c or "DATA" in c for c in said)
    csv = live.maptool("unmapped", "--csv", "--known", "--ask", "old", "--rate", "1000", check=False).stdout
    live.maptool("import", "--route", "old", "-", input=csv)
    assert sorted(learnt(live)) == sorted(["full@example.org", typo])
    done = live.maptool("unmapped", "--ask", "mars", check=False)
    assert done.returncode == 64 and "no server" in done.stderr
