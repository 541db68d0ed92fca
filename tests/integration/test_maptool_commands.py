# SPDX-License-Identifier: ISC
"""Every command of maptool: what it does, prints and exits with, with a mapd and without."""
import fcntl
import json
import re
import subprocess

import pytest

from lib.mapsock import MapSocket

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25", "from": ["10.1.1.5"]},
           "new": {"smtp": "lmtp://10.1.2.5:24", "from": ["10.1.2.0/24"]}}


@pytest.fixture(params=["mapd", "alone"])
def made(site, request):
    """A map with two users, with a running mapd and without."""
    out = site(SERVERS)
    out.maptool("init")
    if request.param == "mapd":
        out.start("mapd")
    out.set("ann@example.org", "old")
    out.set("bob@example.org", "new")
    return out


@pytest.fixture
def live(site):
    return site(SERVERS).init({"ann@example.org": "old", "bob@example.org": "new"})


def fails(site, status, text, *args, **kwargs):
    done = site.maptool(*args, check=False, **kwargs)
    assert (done.returncode, text in done.stderr) == (status, True), (done.returncode, done.stderr)
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("maptool: "), done.stderr
    return done


# --- init ---------------------------------------------------------------------------------------

def test_init_makes_a_map_once(site):
    made = site(SERVERS)
    fails(made, 66, "there is no map", "get", "ann@example.org")
    assert re.fullmatch(r"made the empty map [0-9a-f]{32} in .*\n", made.maptool("init").stdout)
    fails(made, 73, "already holds the map", "init")
    made.start("mapd")
    fails(made, 73, "already holds a map", "init")
    assert made.json("status")["keys"] == 0


# --- set, get, del --------------------------------------------------------------------------------

def test_set_get_del(made):
    done = made.maptool("set", "Carl@Example.Org", "route=old", "note=first floor", "--why", "new here")
    assert done.stdout == "carl@example.org: mailbox on old, epoch 3\n"
    assert made.maptool("set", "carl@example.org", "route=old").stdout.endswith("(unchanged)\n")
    entry = made.json("get", "CARL@example.org")
    assert (entry["route"], entry["kind"], entry["state"], entry["epoch"], entry["note"]) == \
        ("old", "mailbox", "active", 3, "first floor")
    assert entry["who"] and re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", entry["when"])
    text = made.maptool("get", "carl@example.org").stdout
    assert re.search(r"^route +old$", text, re.M) and re.search(r"^note +first floor$", text, re.M)
    # Only what is named changes; a note leaves the epoch alone.
    assert made.json("set", "carl@example.org", "note=")["entry"]["epoch"] == 3
    reply = made.json("set", "carl@example.org", "deliver_as=carl@new.example.org")
    assert reply["entry"]["route"] == "old" and reply["entry"]["epoch"] == 5 and reply["changed"] == 1
    assert made.maptool("del", "carl@example.org").stdout == "carl@example.org: deleted\n"
    fails(made, 1, "there is no entry for carl@example.org", "get", "carl@example.org")
    fails(made, 1, "there is no entry", "del", "carl@example.org")
    # What comes back is newer than what was deleted.
    assert made.json("set", "carl@example.org", "route=old")["entry"]["epoch"] == 7


def test_reject_and_domain_default(made):
    made.maptool("set", "gone@example.org", "kind=reject")
    made.maptool("set", "@example.org", "route=new")
    assert made.json("get", "@EXAMPLE.org")["route"] == "new"
    if made.running("mapd"):
        assert made.json("explain", "whoever@example.org")["server"] == "new"
        done = made.maptool("explain", "gone@example.org", check=False)
        assert done.returncode == 1 and "550" in done.stdout


@pytest.mark.parametrize("status, text, args", [
    (64, "no command", []),
    (64, "unknown command \"fly\"", ["fly"]),
    (64, "an argument is missing", ["get"]),
    (64, "unexpected argument \"x\"", ["get", "ann@example.org", "x"]),
    (64, "unknown option \"--loud\"", ["get", "--loud", "ann@example.org"]),
    (64, "--why needs a value", ["set", "ann@example.org", "route=old", "--why"]),
    (64, "\"route\" is not FIELD=VALUE", ["set", "ann@example.org", "route"]),
    (64, "unknown field \"rout\"", ["set", "ann@example.org", "rout=old"]),
    (65, "there is no server \"mars\" in the configuration (servers: old, new)",
     ["set", "ann@example.org", "route=mars"]),
    (65, "not an address", ["get", "ann"]),
    (65, "the domain example.com is not in the configuration", ["get", "ann@example.com"]),
    (65, "carl@example.org is new and needs a route", ["set", "carl@example.org", "note=x"]),
    (65, "has to be one line", ["set", "ann@example.org", "note=a\nb"]),
    (64, "unknown state", ["list", "--state", "asleep"]),
    (64, "unknown format", ["export", "--format", "xml"]),
    (64, "unknown format", ["import", "--format", "xml", "-"]),
    (64, "--max-drop is a percentage", ["import", "--max-drop", "101", "-"]),
    (66, "nowhere.csv: No such file", ["import", "nowhere.csv"]),
    (1, "is not held", ["release", "ann@example.org"]),
    (1, "there is no entry", ["hold", "zoe@example.org"]),
    (64, "--until takes a duration", ["hold", "ann@example.org", "--until", "soon"]),
    (64, "is in the past", ["hold", "ann@example.org", "--until", "2001-01-01T00:00:00Z"]),
    (65, "a hold lasts from 1 ms", ["hold", "ann@example.org", "--until", "2099-01-01T00:00:00Z"]),
    (64, "--from mars is neither", ["explain", "ann@example.org", "--from", "mars"]),
    (64, "--sender x is not an address", ["explain", "ann@example.org", "--sender", "x"]),
    (64, "is no generation", ["diff", "yesterday"]),
    (64, "the older generation comes first", ["diff", "2", "1"]),
    (64, "the map is at generation 2", ["diff", "1", "3"]),
    (64, "the map is at generation 2", ["revert", "3"]),
    (64, "an argument is missing", ["revert"]),
    (64, "--last counts", ["log", "ann@example.org", "--last", "3"]),
])
def test_wrong_use(live, status, text, args):
    before = live.json("status")["generation"]
    fails(live, status, text, *args, input="")
    assert live.json("status")["generation"] == before


def test_two_dashes_end_the_options(live):
    fails(live, 65, "not an address", "get", "--", "--json")


# --- list and log ------------------------------------------------------------------------------------

def test_list(made):
    lines = made.maptool("list").stdout.splitlines()
    assert lines[0].split()[:5] == ["ADDRESS", "KIND", "ROUTE", "STATE", "EPOCH"]
    assert [line.split()[0] for line in lines[1:]] == ["ann@example.org", "bob@example.org"]
    columns = {line.index(route) for line, route in zip(lines, ("ROUTE", "old", "new"))}
    assert len(columns) == 1, lines
    assert [e["key"] for e in made.json("list", "--route", "new")] == ["bob@example.org"]
    assert made.json("list", "--route=mars") == []
    assert made.json("list", "--state", "held") == []
    assert len(made.json("list", "--domain", "example.org", "--kind", "mailbox")) == 2


def test_list_of_many_pages(live):
    rows = "".join(f"u{i:05}@example.org,old\n" for i in range(5001))
    live.maptool("import", "-", input=rows)
    listed = [e["key"] for e in live.json("list")]
    assert len(listed) == 5003 and listed == sorted(set(listed))
    assert len(live.maptool("list").stdout.splitlines()) == 5004


def test_diff_and_revert(made):
    made.set("ann@example.org", "new")
    made.set("carl@example.org", "new")
    made.maptool("set", "bob@example.org", "note=x")
    made.maptool("set", "bob@example.org", "note=")
    done = made.maptool("diff", "2", check=False)
    assert done.returncode == 1 and [line.split() for line in done.stdout.splitlines()] == [
        ["ADDRESS", "CHANGE"], ["ann@example.org", "old", "->", "new"], ["carl@example.org", "-", "->", "new"]]
    assert [c["key"] for c in json.loads(made.maptool("diff", "2", "3", "--json", check=False).stdout)] == ["ann@example.org"]
    done = made.maptool("diff", "4", "6")
    assert (done.returncode, done.stdout) == (0, "")
    assert made.maptool("revert", "2", "--dry-run").stdout.startswith("dry run, nothing done: 0 came back, 1 changed, 1 ")
    done = made.maptool("revert", "2", "--why", "wrong file")
    assert "mail that was delivered meanwhile stays" in done.stderr
    assert [(e["key"], e["route"]) for e in made.json("list")] == [("ann@example.org", "old"), ("bob@example.org", "new")]
    assert made.json("log", "--last", "1")[0]["why"] == "wrong file"
    made.maptool("revert", "6", "carl@example.org")
    assert made.json("get", "carl@example.org")["route"] == "new" and made.json("get", "ann@example.org")["route"] == "old"


def test_text_for_a_terminal_is_harmless(live):
    live.maptool("set", "ann@example.org", "note=\x1b[2Jboo\u0085")
    for command in (["list"], ["get", "ann@example.org"], ["log"]):
        assert "\x1b" not in live.maptool(*command).stdout
    assert live.json("get", "ann@example.org")["note"] == "\x1b[2Jboo\u0085"


def test_log(made):
    made.maptool("set", "ann@example.org", "route=new", "--why", "pilot group")
    made.maptool("del", "ann@example.org")
    log = made.json("log", "ann@example.org")
    assert [(c["generation"], (c["old"] or {}).get("route"), (c["new"] or {}).get("route"), c["why"]) for c in log] == \
        [(1, None, "old", ""), (3, "old", "new", "pilot group"), (4, "new", None, "")]
    assert all(c["who"] and c["request"] for c in log)
    assert [c["generation"] for c in made.json("log", "--last", "2")] == [3, 4]
    assert [c["generation"] for c in made.json("log", "--all")] == [1, 2, 3, 4]
    text = made.maptool("log", "ann@example.org").stdout
    assert "old -> new" in text and "pilot group" in text
    # What one request has changed is one line, and each change one with --each.
    made.maptool("import", "--why", "staff", "--route", "old", "-", input="c1@example.org\nc2@example.org\nc3@example.org\n")
    made.maptool("set", "c2@example.org", "route=new")
    made.maptool("import", "--reroute", "-", input="".join(f"c{i}@example.org,new\n" for i in (1, 3, 4)))
    lines = made.maptool("log", "--last", "3").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["5-7", "8", "9-11"]
    assert "3 addresses" in lines[0] and "3 - -> old" in lines[0] and lines[0].endswith("staff")
    assert "3 addresses" in lines[2] and "2 old -> new; 1 - -> new" in lines[2]
    assert [(s["generation"], s["to"], s["count"]) for s in made.json("log", "--all")][4:] == [(5, 7, 3), (8, 8, 1), (9, 11, 3)]
    assert [c["generation"] for c in made.json("log", "--each", "--last", "4")] == [8, 9, 10, 11]


# --- Two operators --------------------------------------------------------------------------------------

def test_who_has_seen_another_entry_changes_nothing(made):
    """Both have seen the same epoch: the second one is told, whatever they do."""
    seen = str(made.json("get", "ann@example.org")["epoch"])
    assert made.maptool("set", "--epoch", seen, "ann@example.org", "route=new").stdout.endswith("epoch 3\n")
    for args in (["set", "ann@example.org", "route=old"], ["set", "--force", "--why", "w", "ann@example.org", "note=n"],
                 ["del", "ann@example.org"], ["hold", "ann@example.org"], ["retire", "ann@example.org"]):
        fails(made, 1, f"ann@example.org has changed: its epoch is 3, not {seen}", *args, "--epoch", seen)
    assert made.json("get", "ann@example.org")["epoch"] == 3
    # 0: there is no entry, and never was, or not any more.
    fails(made, 1, "there is an entry for ann@example.org meanwhile: its epoch is 3", "set", "--epoch=0", "ann@example.org", "route=old")
    made.maptool("set", "--epoch", "0", "carl@example.org", "route=old")
    made.maptool("del", "--epoch", "4", "carl@example.org")
    fails(made, 1, "its epoch is 5, not 4, and there is no entry", "set", "--epoch", "4", "carl@example.org", "route=new")
    made.maptool("set", "--epoch", "0", "carl@example.org", "route=new")
    # A hold is one's own by its epoch.
    held = json.loads(made.maptool("hold", "--json", "--epoch", "3", "ann@example.org", "--until", "60s").stdout)["epoch"]
    fails(made, 1, f"with epoch {held}, not 3", "release", "--epoch", "3", "ann@example.org")
    made.maptool("release", "--epoch", str(held), "ann@example.org")
    for wrong in ("-1", "x", ""):
        fails(made, 64, "--epoch needs an epoch", "set", f"--epoch={wrong}", "ann@example.org", "route=old")


# --- explain -------------------------------------------------------------------------------------------

def test_explain(live):
    done = live.maptool("explain", "ann+lists@example.org", "--from", "10.1.2.9", "--sender", "x@y.org")
    assert "=>   deliver to old as ann+lists@example.org" in done.stdout
    answer = live.json("explain", "ann@example.org")
    assert (answer["decision"], answer["server"], answer["address"]) == ("deliver", "old", "ann@example.org")
    assert {"key": "ann@example.org", "epoch": 1} in answer["keys"] and answer["steps"]
    done = live.maptool("explain", "zoe@example.org", check=False)
    assert done.returncode == 1 and "550 5.1.1" in done.stdout
    assert live.maptool("explain", "zoe@example.com", check=False).returncode == 1
    # Who else goes where the user goes.
    live.maptool("set", "info@example.org", "kind=alias", "to=ann@example.org")
    live.maptool("set", "staff@example.org", "kind=group", "route=old", "to=ann@example.org,bob@example.org")
    follow, names = "1 alias follows; 1 group on old has this member", ["info@example.org", "staff@example.org"]
    assert f"     {follow}: {', '.join(names)}\n" in live.maptool("explain", "ann+lists@example.org").stdout
    answer = live.json("explain", "ann@example.org")
    assert (answer["follow"], answer["followers"]) == (follow, names)
    assert "follow" not in live.json("explain", "info@example.org")
    # It reads the snapshot, so it needs no mapd but for that.
    live.kill("mapd")
    done = live.maptool("explain", "--json", "ann@example.org")
    assert json.loads(done.stdout)["server"] == "old" and "which aliases and groups lead to ann@" in done.stderr


def test_explain_without_a_snapshot(site):
    made = site(SERVERS)
    done = made.maptool("explain", "ann@example.org", check=False)
    assert done.returncode == 75 and "451 4.3.0" in done.stdout and "snapshot" in done.stdout


# --- hold and release ------------------------------------------------------------------------------------

def test_hold_and_release(live):
    done = live.maptool("hold", "ann@example.org", "--until", "60s", "--owner", "me", "--why", "test")
    assert re.fullmatch(r"ann@example.org: held until \S+Z, epoch 3\n", done.stdout)
    entry = live.json("get", "ann@example.org")
    assert (entry["state"], entry["hold"]["owner"]) == ("held", "me")
    assert "450" in live.maptool("explain", "ann@example.org").stdout
    for change in (["set", "ann@example.org", "route=new"], ["del", "ann@example.org"],
                   ["hold", "ann@example.org"]):
        fails(live, 75, "held by me until", *change)
    done = live.maptool("import", "-", input="key,note\nann@example.org,x\n", check=False)
    assert done.returncode == 1 and "line 2: ann@example.org is being moved" in done.stderr
    status = live.json("status")
    assert (status["held"], status["holds"][0]["key"]) == (1, "ann@example.org")
    assert "held by" in live.maptool("get", "ann@example.org").stdout
    assert "ann@example.org" in live.maptool("status").stdout
    assert live.maptool("release", "ann@example.org").stdout == "ann@example.org: released\n"
    entry = live.json("get", "ann@example.org")
    assert (entry["state"], entry["route"], entry["epoch"]) == ("active", "old", 4)


def test_hold_of_a_domain(live):
    live.maptool("set", "sub@example.org", "kind=reject")
    live.maptool("hold", "@example.org", "--until", "60s")
    for user in ("ann", "bob", "ann+detail", "whoever"):
        assert live.json("explain", f"{user}@example.org")["decision"] == "hold"
    # Routes may change meanwhile; nothing is delivered.
    live.maptool("set", "ann@example.org", "route=new")
    assert live.json("explain", "ann@example.org")["decision"] == "hold"
    live.maptool("release", "@example.org")
    assert live.json("explain", "ann@example.org")["server"] == "new"
    assert live.maptool("explain", "whoever@example.org", check=False).returncode == 1
    fails(live, 1, "there is no entry", "get", "@example.org")


# --- status and the rest ------------------------------------------------------------------------------------

def test_status(made):
    status = made.json("status")
    assert status["keys"] == 2 and status["generation"] == 2 and len(status["map_id"]) == 32
    assert status["running"] == made.running("mapd")
    assert status["lookups"]["valid"] and status["lookups"]["generation"] == 2
    text = made.maptool("status").stdout
    assert re.search(r"^entries +2$", text, re.M) and re.search(r"^look-ups +generation 2", text, re.M)
    assert re.search(r"^  new +mailbox +active +1$", text, re.M)


def test_status_is_for_monitoring(live):
    def level():
        done = live.maptool("status", "--json", check=False)
        told = json.loads(done.stdout)
        assert done.returncode == ["ok", "warning", "critical"].index(told["level"])
        assert bool(told["problems"]) == (done.returncode > 0)
        return told["level"], " ".join(told["problems"])

    live.maptool("set", "gone@example.org", "kind=reject")
    live.maptool("hold", "ann@example.org", "--owner", "me")
    assert level() == ("ok", "")
    counts = {(c["route"], c["kind"], c["state"]): c["entries"] for c in live.json("status")["counts"]}
    assert counts == {("old", "mailbox", "held"): 1, ("new", "mailbox", "active"): 1, ("", "reject", "active"): 1}
    hold = live.json("status")["holds"][0]
    assert (hold["key"], hold["owner"], hold["is_over"]) == ("ann@example.org", "me", False) and hold["age_s"] >= 0
    live.stop("mapd")
    assert level()[0] == "warning" and "does not run" in level()[1]
    (live.run / "map.ctl").unlink()
    assert level()[0] == "critical" and "mail waits" in level()[1]
    live.start("mapd")
    assert level()[0] == "ok"


def test_check(live):
    assert live.maptool("check").stdout == "2 entries at generation 2, 0 differ for look-ups\n"
    assert live.json("check")["different"] == 0
    # A snapshot of another day.
    live.stop("mapd")
    ctl = live.run / "map.ctl"
    data = next(live.run.glob("map.[0-9]*"))
    before = (ctl.read_bytes(), data.read_bytes())
    live.maptool("set", "ann@example.org", "route=new")
    live.maptool("del", "bob@example.org")
    ctl.write_bytes(before[0])
    data.write_bytes(before[1])
    done = live.maptool("check", check=False)
    assert done.returncode == 1 and done.stdout == "1 entries at generation 4, 2 differ for look-ups\n  ann@example.org\n"
    live.start("mapd")
    assert live.maptool("check").returncode == 0


def test_changes_without_mapd_are_published(site):
    made = site(SERVERS)
    made.maptool("init")
    made.set("ann@example.org", "old")
    assert made.json("explain", "ann@example.org")["server"] == "old"
    # A request that is refused leaves look-ups as they were.
    fails(made, 65, "no server", "set", "ann@example.org", "route=mars")
    assert made.json("explain", "ann@example.org")["server"] == "old"
    made.start("mapd")
    assert made.json("get", "ann@example.org")["epoch"] == 1


def test_nobody_answers_though_the_lock_is_taken(site):
    """A mapd that is starting, or hangs: wait a while, then say what is wrong."""
    made = site(SERVERS)
    made.maptool("init")
    with open(made.state / "map" / "lock", "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = made.maptool("get", "ann@example.org", check=False)
    assert done.returncode == 75 and "is coexist-mapd running?" in done.stderr


def test_help_names_every_command(live):
    text = subprocess.run([live.bin / "maptool", "--help"], stdout=subprocess.PIPE, text=True, check=True).stdout
    for command in ("init", "set", "get", "del", "list", "import", "export", "explain", "log", "hold", "release",
                    "diff", "revert", "check", "status", "unmapped", "what-if"):
        assert re.search(rf"^ +{command}\b", text, re.M), command


def test_output_that_cannot_be_written(live):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([live.bin / "maptool", "-c", live.conf, "list"], stdout=full, stderr=subprocess.PIPE,
                              text=True, check=False)
    assert done.returncode != 0 and "cannot write the output" in done.stderr


def test_who_made_a_change(live):
    """The name comes from the kernel, not from the request."""
    with MapSocket(live.run) as map_:
        map_.ok(op="set", key="ann@example.org", set={"route": "new"}, who="somebody else")
    user = subprocess.run(["id", "-un"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    assert live.json("log", "ann@example.org")[-1]["who"] == user
    assert json.dumps(live.json("log")).find("somebody else") < 0
