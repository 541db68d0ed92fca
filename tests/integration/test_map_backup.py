# SPDX-License-Identifier: ISC
"""Backups of map, configuration and keys, and a map from one of them."""
import gzip
import json
import re
import shutil
import subprocess

import pytest
from lib.mapsock import MapSocket
from lib.wait import wait_for

SERVERS = {"old": {"smtp": "smtp://10.1.1.5:25"}, "new": {"smtp": "smtp://10.1.2.5:25"}}
ANN, BOB, CAT, DAN, EVE = (f"{name}@example.org" for name in ("ann", "bob", "cat", "dan", "eve"))


@pytest.fixture(params=["mapd", "alone"])
def made(site, request):
    out = site(SERVERS)
    out.maptool("init")
    if request.param == "mapd":
        out.start("mapd")
    for user in (ANN, BOB, CAT):
        out.set(user, "old")
    out.maptool("set", CAT, "note=first floor")
    out.maptool("set", EVE, "kind=reject")
    return out


def backup(site):
    return site.maptool("backup", "now").stdout.strip()


def read_map(folder):
    return gzip.decompress((folder / "map.jsonl.gz").read_bytes()).decode()


def routes(site):
    return {e["key"]: (e["route"], e["state"]) for e in site.json("list")}


def test_a_set_is_whole(made):
    name = backup(made)
    folder = made.state / "backup" / name
    assert re.fullmatch(r"\d{8}T\d{6}Z-5", name) and folder.stat().st_mode & 0o777 == 0o700
    assert sorted(p.name for p in folder.iterdir()) == ["SHA256SUMS", "coexist.conf", "map.jsonl.gz", "trace.key"]
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=folder, check=True)
    assert (folder / "coexist.conf").read_bytes() == made.conf.read_bytes()
    lines = [json.loads(line) for line in read_map(folder).splitlines()]
    assert lines[0]["format"] == "coexist-map" and lines[0]["version"] == 3 and lines[-1] == {"generation": 5, "rows": 4}
    told, = made.json("backup", "list")
    assert (told["name"], told["generation"]) == (name, 5) and told["age_s"] < 600
    assert told["bytes"] == sum(p.stat().st_size for p in folder.iterdir())
    assert re.search(rf"^{name} +{told['made']} +\d+ (s|min) +5 +\d+ (B|KiB)$",
                     made.maptool("backup").stdout, re.M)
    assert not list((made.state / "backup").glob(".new*"))


def test_lost_map(made):
    """The disk is lost: a new map from the set, whose generations are above all that were given."""
    name = backup(made)
    before = made.json("list")
    if made.running("mapd"):
        made.stop("mapd")
    shutil.rmtree(made.state / "map")
    made.maptool("init")
    made.start("mapd")
    assert made.json("restore", name, "--dry-run")["added"] == 4 and routes(made) == {}
    done = made.maptool("restore", name, "--why", "disk lost")
    assert done.stdout.startswith("4 added, 0 changed, 0 deleted, 0 unchanged") and done.stderr == ""
    after = made.json("list")
    for old, new in zip(before, after):
        assert new["epoch"] > 1 << 32 > old["epoch"]
        assert {k: v for k, v in old.items() if k not in ("epoch", "who", "when")} == \
            {k: v for k, v in new.items() if k not in ("epoch", "who", "when")}
    assert made.json("log", "--last", "1")[0]["why"] == "disk lost"
    assert made.maptool("check").returncode == 0
    # A second one changes nothing.
    assert made.json("restore", name)["unchanged"] == 4


def test_when_each_source_was_imported_comes_back(made):
    def sources():
        return [{k: v for k, v in row.items() if k != "age_s"} for row in made.json("status")["sources"]]
    (made.state / "hr.csv").write_text(f"{ANN},old\n{BOB},old\n")
    made.maptool("import", made.state / "hr.csv")
    known = sources()
    assert [(row["source"], row["rows"]) for row in known] == [("hr.csv", 2)]
    assert re.search(rf"^  hr\.csv +{known[0]['when']} +\d+ (s|min) +2  \S", made.maptool("status", check=False).stdout, re.M)
    name = backup(made)
    made.maptool("import", "--source", "later", made.state / "hr.csv")
    assert [row["source"] for row in sources()] == ["hr.csv", "later"]
    made.maptool("restore", name, "--dry-run")
    assert len(sources()) == 2
    made.maptool("restore", name)
    assert sources() == known


def test_who_is_elsewhere_comes_back_held(made):
    name = backup(made)
    made.set(ANN, "new")            # moved since
    made.maptool("del", BOB)        # gone since
    made.set(DAN, "new")            # came since
    moved = made.dir / "moved.csv"
    moved.write_text(f"{CAT},new\n")    # what a cut-over says
    done = made.maptool("restore", name, "--moved", moved, check=False)
    assert done.returncode == 1 and "mail for 4 addresses waits" in done.stderr
    assert routes(made) == {ANN: ("old", "held"), BOB: ("old", "held"), CAT: ("old", "held"), DAN: ("new", "held"),
                            EVE: ("", "active")}
    if made.running("mapd"):
        assert made.json("explain", ANN)["decision"] == "hold"
    for side, user, route in (("sync", ANN, "new"), ("map", BOB, "old"), ("sync", CAT, "new"), ("map", DAN, None)):
        made.maptool("restore", "--take", side, user, "--why", "looked")
        assert routes(made).get(user) == ((route, "active") if route else None)
    assert made.json("status")["held"] == 0
    done = made.maptool("restore", "--take", "map", ANN, check=False)
    assert done.returncode == 1 and "is not held by a restore" in done.stderr
    assert made.json("get", CAT)["note"] == "first floor"


def test_what_is_no_set(made):
    name = backup(made)
    folder = made.state / "backup" / name

    def refused(text):
        done = made.maptool("restore", name, check=False)
        assert done.returncode in (65, 66) and text in done.stderr, done.stderr
        assert made.json("status")["generation"] == 5

    whole = read_map(folder)
    packed = (folder / "map.jsonl.gz").read_bytes()
    (folder / "map.jsonl.gz").write_bytes(gzip.compress(whole.replace("cat@", "cut@").encode()))
    refused("its sum differs")

    def signed(data):
        (folder / "map.jsonl.gz").write_bytes(data if isinstance(data, bytes) else gzip.compress(data.encode()))
        with open(folder / "SHA256SUMS", "w", encoding="ascii") as out:
            subprocess.run(["sha256sum", "map.jsonl.gz"], cwd=folder, stdout=out, check=True)

    signed(whole.rsplit("\n", 2)[0] + "\n")
    refused("has no end")
    signed(whole.replace('"rows":4', '"rows":5'))
    refused("has 4 rows, and says that there are 5")
    signed(whole.replace('"version":3', '"version":9'))
    refused("another version")
    signed(whole.replace('"record":"', '"record":"zz'))
    refused("record of ann@example.org")
    signed("")
    refused("has no end")
    for damaged in (b"", packed[:-1], packed[:40], packed + b"\0", whole.encode()):
        signed(damaged)
        refused("map.jsonl.gz: it is no whole gzip file")
    (folder / "SHA256SUMS").unlink()
    refused("No such file")
    for args, status, text in ((["restore", "nowhere"], 66, "there is no set"), (["backup", "soon"], 64, "neither list nor now"),
                               (["restore", "--take", "both", ANN], 64, "map or sync")):
        done = made.maptool(*args, check=False)
        assert done.returncode == status and text in done.stderr, done.stderr


def test_a_set_of_version_1(made):
    """As earlier versions made them: the same lines, not packed."""
    name = backup(made)
    folder = made.state / "backup" / name
    (folder / "map.jsonl").write_text(read_map(folder).replace('"version":3', '"version":1'))
    (folder / "map.jsonl.gz").unlink()
    with open(folder / "SHA256SUMS", "w", encoding="ascii") as out:
        subprocess.run(["sha256sum", "map.jsonl", "coexist.conf"], cwd=folder, stdout=out, check=True)
    made.maptool("del", ANN)
    assert made.maptool("restore", name, check=False).returncode == 1
    assert routes(made)[ANN] == ("old", "held")


def test_changes_meanwhile_are_in_the_set(site):
    """The map changes while it is read: what the set has is one state of it, at the generation that it says."""
    made = site(SERVERS, plain=True).init()
    made.maptool("import", "--route", "old", "-", input="".join(f"u{i:05}@example.org\n" for i in range(9000)))
    with MapSocket(made.run) as map_:
        page = map_.ok(op="dump")
        map_.ok(op="set", key="u00001@example.org", set={"route": "new"})
        map_.ok(op="del", key="u08999@example.org")
        rest = map_.ok(op="dump", since=page["generation"])
        assert [r["key"] for r in rest["rows"][:-1]] == ["u00001@example.org", "u08999@example.org"]
        assert rest["rows"][-1]["source"] == "stdin"
        assert rest["next"] is None and rest["generation"] == page["generation"] + 2 and page["next"] == page["rows"][-1]["key"]


def test_backups_by_themselves(site):
    made = site(SERVERS, settings={"mapd": {"backup": "1h", "backup_keep": "1h"}}).init()
    backups = made.state / "backup"

    def names():
        return sorted(p.name for p in backups.iterdir() if not p.name.startswith(".")) if backups.exists() else []

    wait_for(names, 20, "the first set")
    (backups / "20200101T000000Z-1").mkdir()
    (backups / "20200101T000000Z-1" / "SHA256SUMS").touch()
    made.maptool("import", "--route", "old", "-", input=f"{ANN}\n{BOB}\n")
    wait_for(lambda: [n for n in names() if n.endswith("-2")], 20, "a set behind an import")
    wait_for(lambda: "20200101T000000Z-1" not in names(), 20, "an old set to go")
