# SPDX-License-Identifier: ISC
"""What maptool prints with --json is what coexist-json(5) lists, member by member and both ways."""
import re
from pathlib import Path

from lib.mapsock import MapSocket
from lib.socketmap import SocketMapClient
from lib.wait import wait_for

PAGE = Path(__file__).resolve().parents[2] / "docs/man/coexist-json.5"
SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "lmtp://10.1.2.5:24"}}
ANN, BOB, CAT, DAN, EVE = (f"{name}@example.org" for name in ("ann", "bob", "cat", "dan", "eve"))
ALIAS, GROUP = "alias@example.org", "group@example.org"


def listed():
    """{title: ({members}, {those that are in every document})} of the page."""
    out = {}
    for title, text in re.findall(r"^\.Ss maptool (\S+)\n((?:(?!\.S[hs] ).*\n)*)", PAGE.read_text(), re.M):
        items = re.findall(r"^\.It Cm (.+)\n(.*)", text, re.M)
        assert items, title
        out[title] = ({name for names, _ in items for name in names.split(" , ")},
                      {name for names, behind in items if not behind.startswith("(if any)") for name in names.split(" , ")})
    return out


def members(value, path=""):
    """The paths of a document; an entry in another document, and an array of texts, is one member."""
    if isinstance(value, dict) and not (path and {"key", "kind", "epoch"} <= set(value)):
        return {name for k, inner in value.items() for name in members(inner, f"{path}.{k}" if path else k)}
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return {name for one in value for name in members(one, path + "[]")}
    return {path} if path else set()


def documents(live):
    """{title: documents}, of all kinds."""
    out = {}

    def run(title, *args):
        done = live.json(*args, check=False)
        out.setdefault(title, []).extend(done if isinstance(done, list) else [done])
        return done

    live.maptool("init")
    run("status", "status")     # without a map for look-ups
    live.start("mapd", "lookup")
    hr, later, addresses = (live.dir / name for name in ("hr.csv", "later.csv", "addresses"))
    hr.write_text(f"key,route,note\n{ANN},old,first floor\n{BOB},old,\n{CAT},new,\n")
    run("import", "import", hr)
    live.set(EVE, "old")
    with MapSocket(live.run) as map_:
        epoch = map_.ok(op="hold", key=EVE, owner="o", deadline_ms=60000, id="h")["epoch"]
        map_.ok(op="flip", key=EVE, epoch=epoch, route="new", id="f")
    later.write_text(f"key,route\n{ANN},old\n{EVE},old\n")
    run("import", "import", "--replace", "--reroute", "--source", "hr.csv", "--dry-run", later)
    for fields in ((ALIAS, "kind=alias", f"to={ANN},nobody@example.org", f"owner={BOB}"),
                   (GROUP, "kind=group", "route=old", f"to={ANN},{BOB}", f"senders={BOB}"),
                   ("gone@example.org", "kind=reject", "code=551", "text=5.1.6 gone"),
                   (DAN, "route=old", "deliver_as=dan@old.example", "source=hand")):
        run("set", "set", *fields)
    run("set", "hold", BOB)
    run("get", "list")
    run("get", "get", EVE)
    for address in (ANN, BOB, ALIAS, "gone@example.org", "nobody@example.org", GROUP):
        run("explain", "explain", address)
    run("log", "log")
    run("log", "log", "--each")
    run("log", "log", ANN)
    run("diff", "diff", "1")
    with SocketMapClient(live.lookup_port) as client:
        client.query("transport", "new@example.net")
        wait_for(lambda: live.json("unmapped", check=False), 10, "an address that is noted")
        wait_for(lambda: live.json("status", check=False)["emergency"], 20, "emergency files")
        run("status", "status")
        run("unmapped", "unmapped")
    addresses.write_text(f"{ANN}\ntypo@example.org\n")
    run("unmapped", "unmapped", addresses)
    run("what-if", "what-if", "--default", "old", addresses)
    run("check", "check")
    run("set", "release", BOB)
    run("set", "retire", EVE)
    run("set", "del", CAT)
    run("restore", "revert", "--dry-run", "1", CAT)
    name = run("backup", "backup", "now")["name"]
    run("backup", "backup", "list")
    live.set(ANN, "new")
    run("restore", "restore", name)
    run("restore", "restore", "--take", "map", ANN)
    return out


def test_documents_are_those_of_the_page(site):
    live = site(SERVERS, domains={"example.org": {}, "example.net": {"default": "old"}},
                settings={"lookup": {"aliases": "yes"}, "mapd": {"emergency": "1s"}})
    made, page = documents(live), listed()
    assert sorted(made) == sorted(page)
    for title, docs in made.items():
        every, always = page[title]
        seen = set()
        for doc in docs:
            found = {name for name in members(doc) if not any(known.startswith(name + "[].") for known in every)}
            assert found <= every, (title, "not on the page", sorted(found - every), doc)
            assert always <= found or "entry" in found and title == "restore", (title, "not there", sorted(always - found), doc)
            seen |= found
        assert seen == every, (title, "never seen", sorted(every - seen))
