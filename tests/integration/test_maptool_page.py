# SPDX-License-Identifier: ISC
"""Every example of maptool(1) runs, in the order of the page, and every command has one."""
import re
import shutil
import subprocess
from pathlib import Path

from lib.mapsock import MapSocket
from lib.socketmap import SocketMapClient
from lib.wait import wait_for

PAGE = Path(__file__).resolve().parents[2] / "docs/man/maptool.1"
USERS = "".join(f"{name}@example.org\n" for name in ("anna", "bob", "carl", "dora"))
LOG = """Nov 28 14:02:00 mx postfix/lmtp[1]: 4X: to=<emil@example.org>, relay=x, dsn=2.0.0, status=sent (ok)
Nov 28 14:03:00 mx postfix/lmtp[1]: 4Y: to=<typo@example.org>, relay=x, dsn=5.1.1, status=bounced (no such user)
"""
TELL = ("diff", "what-if", "unmapped", "status")    # whose exit status 1 says that there is something


def examples():
    text = PAGE.read_text().split("\n.Sh EXAMPLES\n")[1].split("\n.Sh ")[0]
    for block in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", text, re.M):
        yield from re.findall(r"^\$ (maptool .*)", block.replace("\\e", "\\").replace("\\\n", " "), re.M)


def write_files(live, old_port):
    for name, text in (("users.csv", USERS), ("etc/postfix/transport", f"fred@example.org smtp:[127.0.0.1]:{old_port}\n"),
                       ("etc/postfix/relay_recipients", "gina@example.org OK\n"), ("etc/aliases", "info: anna, bob\n"),
                       ("var/log/mail.log", LOG)):
        path = live.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def new_map(live):
    if live.running("mapd"):
        live.stop("mapd")
    shutil.rmtree(live.state / "map", ignore_errors=True)


def cut_over(live, address):
    with MapSocket(live.run) as map_:
        epoch = map_.ok(op="hold", key=address, owner="o", deadline_ms=60000, id="h")["epoch"]
        map_.ok(op="flip", key=address, epoch=epoch, route="new", id="f")


def get_mail_for_ivan(live):
    live.start("lookup")
    with SocketMapClient(live.lookup_port) as client:
        client.query("transport", "ivan@example.org")
        wait_for(lambda: live.json("unmapped", check=False), 10, "an address that is noted")
    live.stop("lookup")


def run(live, line, generation):
    """The line as a shell runs it, with files of ours, and generation and set as this map has them."""
    line = re.sub(r"(?<= )/(?=etc/|var/)", f"{live.dir}/", line)
    if " restore " in line:
        line = re.sub(r"\d{8}T\d{6}Z-\d+", live.json("backup", "list")[-1]["name"], line)
    line = re.sub(r"\b1201\b", str(generation), line)
    if not shutil.which("jq"):
        line = line.partition(" | jq")[0]
    script = f'set -o pipefail\nmaptool() {{ {live.bin}/maptool -c {live.conf} "$@"; }}\n{line}\n'
    return subprocess.run(["bash", "-c", script], cwd=live.dir, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=60, check=False)


def test_examples_run(site, scripted):
    old = scripted({"rcpt": {"typo@example.org": "550 5.1.1 no such user"}})
    live = site({"old": {"smtp": f"smtp://127.0.0.1:{old.port}"}, "new": {"smtp": "lmtp://10.1.2.5:24"}},
                domains={"example.org": {"default": "old"}}, settings={"lookup": {"aliases": "yes"}},
                plain=True)
    write_files(live, old.port)
    seen, generation = set(), 0
    for line in examples():
        command = line.split()[1]
        seen.add(command)
        if command == "init":
            new_map(live)
        if command == "diff":
            live.set("bob@example.org", "new")
        if command == "retire":
            cut_over(live, line.split()[2])
        if command == "unmapped" and "--ask" in line:
            get_mail_for_ivan(live)
        if command == "backup":
            live.maptool("backup", "now")
        if "PrimarySmtpAddress" in line:
            (live.dir / "users.csv").write_text('"PrimarySmtpAddress","DisplayName"\n"hans@example.org","Hans"\n')
        done = run(live, line, generation)
        assert done.returncode == 0 or (done.returncode == 1 and command in TELL), (line, done)
        write_files(live, old.port)
        if command == "init":
            live.start("mapd")
        if command == "set" and "anna" in line:
            generation = live.json("status")["generation"]
    known = live.maptool("--help").stdout
    assert seen == set(re.findall(r"^  ([a-z][a-z-]*)\b", known.split("Commands")[-1], re.M)), "a command without an example"
