# SPDX-License-Identifier: ISC
"""maptool import and export."""
import json
import random

import pytest
from lib.mapsock import MapSocket

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "lmtp://10.1.2.5:24"},
           "cloud": {"smtp": "smtps://mx.example.net:465", "tls": "verify"}}


@pytest.fixture
def live(site):
    return site(SERVERS, domains={"example.org": {}, "example.net": {"default": "cloud"}}).init()


def fails(site, status, text, *args, **kwargs):
    done = site.maptool("import", *args, check=False, **kwargs)
    assert (done.returncode, text in done.stderr) == (status, True), (done.returncode, done.stderr)


def routes(site):
    return {e["key"]: e["route"] for e in site.json("list")}


def test_import_forms(live):
    assert live.maptool("import", "-", input="Ann@example.org,old\nbob@example.org,new\n").stdout == \
        "2 added, 0 changed, 0 deleted, 0 unchanged\n"
    live.maptool("import", "--route", "old", "-", input="\ufeffcat@example.org\r\ndan@example.org;new\r\n")
    live.maptool("import", "-", input='note;EmailAddress;Server\n"a ""b""; c";eve@example.org;cloud\n')
    assert routes(live) == {"ann@example.org": "old", "bob@example.org": "new", "cat@example.org": "old",
                            "dan@example.org": "new", "eve@example.org": "cloud"}
    assert live.json("get", "eve@example.org")["note"] == 'a "b"; c'
    reply = live.json("import", "--reroute", "-", input="ann@example.org,new\nbob@example.org,new\n")
    assert (reply["added"], reply["changed"], reply["unchanged"]) == (0, 1, 1)


@pytest.mark.parametrize("text, message, options", [
    ("ann@example.org,old\nbob@example.org,mars\n", 'line 2: there is no server "mars"', []),
    ("ann@example.org,old\n\nbob@example.com,old\n", "line 3: bob@example.com: the domain example.com", []),
    ("key,route\nann@example.org,old\nbob,old\n", "line 3: bob is not an address", []),
    ("key,rout\n", 'line 1: column "rout" is nearly "route"', []),
    ("route,name\n", "line 1: neither an address nor a header line", []),
    ("ann@example.org,old\nANN@example.org,new\n", "line 2: ann@example.org occurs twice (first in line 1)", []),
    ("ann@example.org\n", "line 1: ann@example.org is new and needs a route", []),
    ('ann@example.org,old\n"bob@example.org,old\n', "line 2: a quote opens", []),
    ("", "there is no entry in it", []),
    ("ann@example.org,old\n", "the import would take 2 of 2 addresses from old", ["--replace", "--max-drop", "99"]),
])
def test_import_is_all_or_nothing(live, text, message, options):
    live.maptool("import", "-", input="yan@example.org,old\nzoe@example.org,old\n")
    before = live.json("status")["generation"]
    fails(live, 65, f"standard input: {message}", *options, "-", input=text)
    assert live.json("status")["generation"] == before
    assert sorted(routes(live)) == ["yan@example.org", "zoe@example.org"]


def test_import_names_the_file(live, tmp_path):
    path = tmp_path / "users.csv"
    path.write_bytes("ann@example.org,old\nM\xfcller@example.org,old\n".encode("latin-1"))
    fails(live, 65, f"{path}: line 2: an address that is not ASCII", path)
    path.write_bytes("J\xf6rg@example.org,old\n".encode() + b"M\xfcller@example.org,old\n")
    fails(live, 65, f"{path}: line 2: this is not UTF-8", path)


def test_wrong_lines_come_together(live):
    text = "key,route\n" + "".join(f"u{i}@example.org,{'mars' if i % 2 else 'old'}\n" for i in range(8)) + "bob,old,x\nx,old\n"
    done = live.maptool("import", "-", input=text, check=False)
    lines = done.stderr.splitlines()
    assert done.returncode == 65 and lines[-1] == "maptool: standard input: 6 wrong lines, nothing was changed"
    assert [line.split(": ")[2] for line in lines[:-1]] == ["line 10", "line 3", "line 5", "line 7", "line 9", "line 11"]
    many = live.maptool("import", "-", input="".join(f"u{i}@example.org,mars\n" for i in range(5000)), check=False)
    assert len(many.stderr.splitlines()) == 21 and "at least 20 wrong lines" in many.stderr
    twice = live.maptool("import", "-", input="".join(f"u{i % 3}@example.org,old\n" for i in range(6)), check=False).stderr
    assert "line 4: u0@example.org occurs twice (first in line 1)" in twice and "3 wrong lines" in twice
    assert routes(live) == {}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "cp1252"])
def test_import_of_an_export(live, tmp_path, encoding):
    """As PowerShell and a spreadsheet write it."""
    path = tmp_path / "users.csv"
    path.write_bytes('sep=;\r\n"Name";"Alias";"PrimarySmtpAddress";"Notes from HR"\r\n'
                     '"J\u00f6rg M\u00fcller";"jm";"Joerg@Example.org";"first line\r\nsecond \u00fc"\r\n'
                     '"Room 1";"r1";"";""\r\n'.encode(encoding))
    done = live.maptool("import", "--route", "old", "--column", "key=PrimarySmtpAddress", "--column", "note=Notes from HR", path)
    assert live.json("get", "joerg@example.org")["note"] == "first line  second \u00fc"
    assert "columns that are not used: Name, Alias" in done.stderr and "line 5: no address" in done.stderr
    assert ("read as windows-1252" in done.stderr) == (encoding == "cp1252")


def test_import_of_tables(live, tmp_path):
    """A Postfix and a Sendmail that knew both servers; aliases and LDIF: test_reader.c has more."""
    (tmp_path / "transport").write_text("# moved\nann@example.org lmtp:inet:10.1.2.5:24\nbob@example.org\n  smtp:[10.1.1.5]\n"
                                        "example.com smtp:[10.1.1.5]\ngone@example.org error:5.1.1 no\n")
    done = live.maptool("import", tmp_path / "transport")
    assert "read as postfix-transport" in done.stderr and "line 5: @example.com is in a domain" in done.stderr
    assert routes(live) == {"ann@example.org": "new", "bob@example.org": "old", "gone@example.org": ""}
    gone = live.json("get", "gone@example.org")
    assert (gone["kind"], gone["text"]) == ("reject", "5.1.1 no")
    assert "550 5.1.1 no" in live.maptool("explain", "gone@example.org", check=False).stdout
    live.maptool("import", "--route", "old", "--format", "postfix-relay-recipients", "-", input="cat@example.org x\n")
    live.maptool("import", "--format", "sendmail-mailertable", "--next-hop", "local:=cloud", "-", input="example.net\tlocal:\n")
    assert (routes(live)["cat@example.org"], routes(live)["@example.net"]) == ("old", "cloud")
    fails(live, 65, "line 1: no server of the configuration is smtp:[192.0.2.1]", "--format", "postfix-transport", "-",
          input="ann@example.org smtp:[192.0.2.1]\n")
    fails(live, 64, "unknown format \"xls\" (formats: csv, ", "--format", "xls", "-", input="")


def test_import_of_aliases(site, tmp_path):
    made = site(SERVERS, domains={"example.org": {}}, settings={"lookup": {"aliases": "yes"}}).init()
    made.maptool("import", "-", input="ann@example.org,old\nbob@example.org,new\n")
    (tmp_path / "virtual").write_text("boss@example.org ann@example.org\nteam@example.org boss@example.org,\n  bob@example.org\n"
                                      "away@example.org eve@example.net\n")
    (tmp_path / "aliases").write_text("info: bob\nlist: \"|/usr/bin/listman\"\nbob: bob\n")
    made.maptool("import", tmp_path / "virtual")
    made.maptool("import", "--domain", "example.org", "--route", "old", tmp_path / "aliases")
    kinds = {e["key"].partition("@")[0]: e["kind"] for e in made.json("list")}
    assert kinds == {"ann": "mailbox", "bob": "mailbox", "boss": "alias", "team": "alias", "away": "forward", "info": "alias",
                     "list": "group"}
    assert made.json("get", "bob@example.org")["route"] == "new"
    told = made.maptool("explain", "team@example.org").stdout
    assert "boss@example.org" in told and "ann@example.org" in told and "bob@example.org" in told
    # Where nothing asks for aliases, what leads to several addresses or outside is refused, and says why.
    made.settings["lookup"]["aliases"] = "no"
    made.stop("mapd")
    made.write_conf()
    made.start("mapd")
    several = made.maptool("import", "--format", "postfix-virtual", "-", check=False,
                           input="a@example.org ann@example.org,bob@example.org\n")
    assert several.returncode == 69 and "aliases" in several.stderr, several.stderr


def test_import_charset(live, tmp_path):
    path = tmp_path / "users.csv"
    path.write_bytes("M\xfcller@example.org,old\n".encode("latin-1"))
    live.maptool("import", "--charset", "iso-8859-1", path)
    assert list(routes(live)) == ["m\u00fcller@example.org"]
    fails(live, 64, 'unknown character set "klingon"', "--charset", "klingon", path)


def test_import_of_a_held_address(live):
    live.maptool("import", "-", input="ann@example.org,old\nbob@example.org,old\n")
    live.maptool("hold", "bob@example.org")
    done = live.maptool("import", "--reroute", "--max-drop", "50", "-", input="ann@example.org,new\nbob@example.org,new\n", check=False)
    assert done.returncode == 1 and "line 2: bob@example.org is being moved: nothing of it was changed" in done.stderr
    assert routes(live) == {"ann@example.org": "new", "bob@example.org": "old"}


def test_replace(live):
    users = "".join(f"u{i}@example.org,old\n" for i in range(20))
    live.maptool("import", "-", input=users + "@example.org,old\nx@example.net,cloud\n")
    ten = "".join(f"u{i}@example.org,new\n" for i in range(10))
    fails(live, 65, "would take 20 of 21 addresses from old (10 are not in it, 10 get another route), more than 94 percent",
          "--replace", "--reroute", "--max-drop", "94", "-", input=ten)
    dry = live.maptool("import", "--replace", "--reroute", "--max-drop", "96", "--dry-run", "-", input=ten).stdout.splitlines()
    assert dry[0] == "dry run, nothing done: 0 added, 10 changed, 0 deleted, 0 unchanged, 10 retiring"
    assert [line.split() for line in dry[1:]] == [["SERVER", "NOW", "ADDED", "ARRIVE", "LEAVE", "RETIRE", "THEN"],
        ["old", "21", "0", "0", "10", "10", "11"], ["new", "0", "0", "10", "0", "0", "10"], ["cloud", "1", "0", "0", "0", "0", "1"]]
    assert set(routes(live).values()) == {"old", "cloud"}
    live.maptool("import", "--replace", "--reroute", "--max-drop", "96", "-", input=ten)
    left = routes(live)
    assert len(left) == 22 and left["@example.org"] == "old" and left["x@example.net"] == "cloud" and left["u3@example.org"] == "new"
    assert live.json("get", "u13@example.org")["state"] == "retiring" and "event=import_retires" in live.log("mapd").read_text()


def test_nightly_import_during_a_migration(live):
    """Twenty users, of whom a cut-over has moved some, is moving one, and people have set others: the
    same file as ever changes nobody's route, takes what is new and leaves out nobody who moved."""
    users = [f"u{i:02}@example.org" for i in range(20)]
    nightly = ["import", "--source", "directory", "--route", "old", "--replace", "-"]
    text = "".join(f"{user}\n" for user in users)
    live.maptool(*nightly, input=text)
    with MapSocket(live.run) as map_:
        for i, user in enumerate(users[:8]):
            epoch = map_.ok(op="hold", key=user, owner="cut-over", deadline_ms=60000, id=f"m{i}")["epoch"]
            if i < 7:
                map_.ok(op="flip", key=user, epoch=epoch, route="new", id=f"f{i}")
    live.maptool("set", users[8], "route=cloud")
    before = routes(live)
    assert [before[user] for user in users[:10]] == ["new"] * 7 + ["old", "cloud", "old"]
    done = live.maptool(*nightly, input=text + "newcomer@example.org\n")
    assert done.stdout == "1 added, 0 changed, 0 deleted, 20 unchanged\n" and done.stderr == ""
    assert routes(live) == {**before, "newcomer@example.org": "old"}
    # The same with their old routes in it, as in an export of last month.
    old = "".join(f"{user},old\n" for user in users) + "newcomer@example.org,old\n"
    done = live.maptool(*nightly, input=old)
    assert "line 1: u00@example.org stays on new, not old: a cut-over moved it there" in done.stderr
    assert "kept as they are: 1 with another route (--reroute changes it), 7 that a cut-over has moved, 0 that are held" in done.stderr
    assert routes(live) == {**before, "newcomer@example.org": "old"}
    # Somebody who has left, and one who was moved and is not in the directory of old any more.
    live.maptool(*nightly, input=text.replace(users[0] + "\n", "").replace(users[9] + "\n", "") + "newcomer@example.org\n")
    assert live.json("get", users[0])["state"] == "active" and live.json("get", users[9])["state"] == "retiring"
    assert routes(live) == {**before, "newcomer@example.org": "old"}


def test_export_csv_reads_back(live, site):
    rows = [row + ",,,,,,,,hr" for row in (
        "ann@example.org,old,mailbox,,", 'bob@example.org,new,mailbox,bob@new.example.org,"a ""b"", c"',
        "gone@example.org,,reject,,", "@example.net,cloud,mailbox,,M\u00fcller", '"""a b""@example.org",old,mailbox,,')]
    head = "key,route,kind,deliver_as,note,to,owner,senders,code,text,also,until,source"
    live.maptool("import", "-", input=head + "\n" + "\n".join(rows) + "\n")
    text = live.maptool("export").stdout
    assert sorted(text.splitlines()) == sorted(rows + [head])
    other = site(SERVERS, name="other", domains={"example.org": {}, "example.net": {}}).init()
    other.maptool("import", "-", input=text)
    assert other.maptool("export").stdout == text
    assert live.json("import", "-", input=text)["unchanged"] == 5


def test_export_postfix_transport(live, tmp_path):
    live.maptool("import", "-", input="key,route,kind,deliver_as\nann@example.org,old,,\nbob@example.org,new,,b@x.org\n"
                 "cat@example.net,cloud,,\ngone@example.org,,reject,\nheld@example.org,old,,\n")
    live.maptool("hold", "held@example.org")
    done = live.maptool("export", "--format", "postfix-transport", "--output", tmp_path / "transport")
    assert done.stdout == "" and "1 entries have a deliver_as" in done.stderr and "1 held" in done.stderr
    lines = (tmp_path / "transport").read_text().splitlines()
    assert lines[1:] == [
        "ann@example.org\tsmtp:[10.1.1.5]:25", "bob@example.org\tlmtp:inet:10.1.2.5:24",
        "cat@example.net\tsmtps:[mx.example.net]:465", "gone@example.org\terror:5.1.1 User unknown",
        "held@example.org\tretry:4.2.1 This mailbox is being moved",
        "postmaster@example.org\tsmtp:[10.1.1.5]:25", "abuse@example.org\tsmtp:[10.1.1.5]:25",
        "example.org\terror:5.1.1 User unknown",
        "postmaster@example.net\tsmtp:[10.1.1.5]:25", "abuse@example.net\tsmtp:[10.1.1.5]:25",
        "example.net\tsmtps:[mx.example.net]:465", "b@x.org\tlmtp:inet:10.1.2.5:24"]


def test_export_json_lines(live, tmp_path):
    live.maptool("import", "-", input="key,route,note\nann@example.org,old,M\u00fcller\nbob@example.org,new,\n")
    live.maptool("export", "--format", "json", "--output", tmp_path / "map.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "map.jsonl").read_text().splitlines()]
    assert rows == live.json("list") and rows[0]["note"] == "M\u00fcller"
    for args, text in ((["--format", "json", "--output", tmp_path / "x", "--db"], "--db is for the tables"),
                       (["--format", "postfix-virtual", "--db"], "--db needs --output")):
        done = live.maptool("export", *args, check=False)
        assert done.returncode == 64 and text in done.stderr


def test_export_of_a_held_domain(live):
    """Whoever holds a domain holds all of it: no line of a user goes around that."""
    live.maptool("import", "-", input="key,route\n1@example.org,old\nann@example.org,old\n@example.org,new\ncat@example.net,cloud\n")
    live.maptool("hold", "@example.org")
    lines = dict(line.split("\t") for line in live.maptool("export", "--format", "postfix-transport").stdout.splitlines()[1:])
    held = {key for key, answer in lines.items() if answer.startswith("retry:4.2.1 ")}
    assert held == {"1@example.org", "ann@example.org", "postmaster@example.org", "abuse@example.org", "example.org"}
    assert lines["cat@example.net"] == "smtps:[mx.example.net]:465"


def test_export_refuses_nobody_whom_it_leaves_out(live, tmp_path):
    live.maptool("import", "-", input='key,route\nann@example.org,old\n#tag@example.org,new\n'
                 '"""a b""@example.org",old\n#tag@example.net,cloud\n')
    done = live.maptool("export", "--format", "postfix-transport", "--output", tmp_path / "transport", check=False)
    assert done.returncode == 1 and "3 addresses were left out" in done.stderr and "1 domains" in done.stderr
    for name in ("#tag@example.org", '"a b"@example.org', "#tag@example.net"):
        assert name in done.stderr.splitlines()
    lines = dict(line.split("\t") for line in (tmp_path / "transport").read_text().splitlines()[1:])
    assert lines["ann@example.org"] == lines["postmaster@example.org"] == "smtp:[10.1.1.5]:25"
    assert lines["example.org"].startswith("retry:4.3.5 ") and lines["example.net"] == "smtps:[mx.example.net]:465"
    assert live.maptool("export").returncode == 0


def test_many(site):
    """100,001 rows in any order, then the same again, then replaced by another order with changes."""
    live = site(SERVERS, plain=True).init()
    users = [f"user{i:06}@example.org" for i in range(100001)]
    order = random.Random(7).sample(users, len(users))
    text = "".join(f"{user},old\n" for user in order)
    assert live.json("import", "-", input=text)["added"] == 100001
    assert live.json("status")["lookups"]["keys"] == 100001
    assert live.json("import", "-", input=text)["unchanged"] == 100001
    reply = live.json("import", "--replace", "--reroute", "--max-drop", "100", "-",
                      input="".join(f"{user},new\n" for user in users[1:]))
    assert (reply["changed"], reply["retiring"]) == (100000, 1)
    assert live.json("explain", users[50000])["server"] == "new"
    assert len(live.maptool("export").stdout.splitlines()) == 100002
