# SPDX-License-Identifier: ISC
"""coexist-lookup over the wire: the four maps, the limits, bad clients, restarts and kills."""
import os
import resource
import signal
import socket
import subprocess
import threading
import time
from types import SimpleNamespace

import pytest
from lib.chaos import KILLS
from lib.socketmap import SocketMapClient, netstring, read_netstring
from lib.wait import wait_for

ANN, BOB, CAT = "ann@example.org", "bob@example.org", "cat@example.org"
OLD, NEW = "smtp:[127.0.0.1]:2525", "lmtp:inet:127.0.0.1:2424"
SERVERS = {"old": {"smtp": "smtp://127.0.0.1:2525"}, "new": {"smtp": "lmtp://127.0.0.1:2424"}}
REQUEST_MAX = 8192


@pytest.fixture
def lookup(site):
    """A started coexist-lookup with ann and bob on old and cat on new."""
    def make(**settings):
        made = site(SERVERS, settings={"lookup": settings})
        made.init({ANN: "old", BOB: "old", CAT: "new"})
        return made.start("lookup")
    return make


def query(site, name, key):
    with SocketMapClient(site.lookup_port) as client:
        return client.query(name, key)


def exchange(site, data):
    """Everything that comes back for these bytes until the server hangs up or is silent and done."""
    with socket.create_connection(("127.0.0.1", site.lookup_port), 20) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        out = b""
        while piece := sock.recv(65536):
            out += piece
        return out


def test_every_map_answers(lookup):
    site = lookup()
    with SocketMapClient(site.lookup_port) as client:
        assert client.query("transport", ANN) == ("OK", OLD)
        assert client.query("transport", "Cat+Detail@Example.ORG") == ("OK", NEW)
        assert client.query("transport", "nobody@example.org") == ("NOTFOUND", "")
        assert client.query("transport", "x@elsewhere.test") == ("NOTFOUND", "")
        assert client.query("recipients", ANN) == ("OK", "old")
        assert client.query("recipients", "postmaster@example.org")[0] == "OK"
        assert client.query("recipients", "nobody@example.org") == ("NOTFOUND", "")
        assert client.query("recipients", "@example.org") == ("NOTFOUND", "")
        assert client.query("aliases", ANN) == ("NOTFOUND", "")
        assert client.query("mailhost", ANN) == ("OK", "coexist-old:[127.0.0.1]")
        assert client.query("ldapmh", CAT) == ("OK", "coexist-new:[127.0.0.1]")
        assert client.query("nonsense", ANN)[0] == "TEMP"


def test_a_change_is_in_the_next_answer(lookup):
    site = lookup()
    with SocketMapClient(site.lookup_port) as client:
        for server, transport in (("new", NEW), ("old", OLD)) * 5:
            site.set(ANN, server)
            assert client.query("transport", ANN) == ("OK", transport)
        site.set("dan@example.org", "new")
        assert client.query("recipients", "dan@example.org") == ("OK", "new")
        site.maptool("del", "dan@example.org")
        assert client.query("recipients", "dan@example.org") == ("NOTFOUND", "")
        site.maptool("set", "eve@example.org", "route=new", "deliver_as=eve@new.example.org")
        assert client.query("aliases", "eve@example.org") == ("OK", "eve@new.example.org")


@pytest.mark.parametrize("local", ["ann+x%evil.test", '"ann+x@evil.test"', "ann+x@evil.test", "ann+evil.test!victim",
                                   "eve+x%evil.test", "dan+evil.test!victim", "postmaster+x%evil.test"])
def test_no_foreign_address_in_a_detail(lookup, local):
    site = lookup()
    site.maptool("set", "dan@example.org", "route=new", "deliver_as=@new.example.org")
    site.maptool("set", "eve@example.org", "route=new", "deliver_as=eve@new.example.org")
    site.maptool("set", "gus%x@example.org", "route=old")
    with SocketMapClient(site.lookup_port) as client:
        for name in ("transport", "recipients", "aliases", "mailhost"):
            assert client.query(name, f"{local}@example.org") == ("NOTFOUND", ""), name
        assert client.query("transport", "gus%x@example.org") == ("OK", OLD)
    if local.count("@") == 0 or local[0] == '"':
        said = site.maptool("explain", f"{local}@example.org", check=False)
        assert said.returncode == 1 and "could read a foreign address" in said.stdout


def test_details_and_lists_by_the_rules_of_the_domain(site):
    """Also at the address by which only a server knows them."""
    made = site(SERVERS, domains={"example.org": {"delimiter": "-", "list_addresses": ["*-request", "owner-*"]}},
                settings={"lookup": {}}).init({ANN: "old"})
    made.maptool("set", "staff@example.org", "kind=group", "route=new", "deliver_as=list@tenant.test")
    made.start("lookup")
    with SocketMapClient(made.lookup_port) as client:
        assert client.query("transport", "ann-news@example.org") == ("OK", OLD)
        assert client.query("transport", "ann+news@example.org") == ("NOTFOUND", "")
        for name, inside in (("staff-request", "list-request"), ("owner-staff", "owner-list"), ("staff-x", "list-x")):
            assert client.query("aliases", f"{name}@example.org") == ("OK", f"{inside}@tenant.test")
            assert client.query("transport", f"{inside}@tenant.test") == ("OK", NEW)


def test_a_server_without_smtp_gets_no_mail(site):
    """Also when the map got the route while the server had one."""
    made = site({**SERVERS, "arch": {"smtp": "smtp://127.0.0.1:2627", "imap": "imap://127.0.0.1:143"}})
    made.init({ANN: "arch", BOB: "old", "@example.org": "arch"})
    made.start("lookup")
    assert query(made, "transport", ANN) == ("OK", "smtp:[127.0.0.1]:2627")
    del made.servers["arch"]["smtp"]
    made.reload("lookup")
    made.wait_event("lookup", "reloaded")
    with SocketMapClient(made.lookup_port) as client:
        for name in ("transport", "recipients", "mailhost", "aliases"):
            for key in (ANN, "someone@example.org"):
                status, text = client.query(name, key)
                assert status == "TEMP" and text.startswith("4.3.5 "), (name, key)
        assert client.query("transport", BOB) == ("OK", OLD)


def test_a_delivery_address_goes_where_its_user_goes(lookup):
    site = lookup()
    with SocketMapClient(site.lookup_port) as client:
        assert client.query("transport", "eve@tenant.test") == ("NOTFOUND", "")
        for server, transport in (("new", NEW), ("old", OLD)) * 3:
            site.maptool("set", "eve@example.org", f"route={server}", "deliver_as=eve@tenant.test")
            assert client.query("aliases", "eve@example.org") == ("OK", "eve@tenant.test")
            assert client.query("transport", "eve@tenant.test") == ("OK", transport)
        site.maptool("hold", "eve@example.org")
        assert client.query("transport", "eve@tenant.test")[1].startswith("retry:4.2.1 ")
        site.kill("lookup")
        site.start("lookup")
    with SocketMapClient(site.lookup_port) as client:
        assert client.query("transport", "eve@tenant.test")[1].startswith("retry:4.2.1 ")
        site.maptool("release", "eve@example.org")
        assert client.query("transport", "eve@tenant.test") == ("OK", OLD)
        assert client.query("transport", "zoe@tenant.test") == ("NOTFOUND", "")
        # An import of more than a thousand makes a new snapshot.
        rows = "".join(f"u{n}@example.org,new,u{n}@tenant.test\n" for n in range(2000))
        site.maptool("import", "-", input=f"key,route,deliver_as\n{rows}")
        assert client.query("transport", "u1999@tenant.test") == ("OK", NEW)
        site.maptool("set", "eve@example.org", "deliver_as=")
        assert client.query("transport", "eve@tenant.test") == ("NOTFOUND", "")
        site.maptool("set", CAT, "deliver_as=@tenant.test")
        assert client.query("transport", "cat+x@tenant.test") == ("OK", NEW)


def test_held_exists_and_waits(lookup):
    site = lookup()
    site.maptool("hold", ANN)
    with SocketMapClient(site.lookup_port) as client:
        status, text = client.query("transport", ANN)
        assert status == "OK" and text.startswith("retry:4.2.1 ")
        assert client.query("recipients", ANN) == ("OK", "old")
        assert client.query("mailhost", ANN)[0] == "TEMP"
        assert client.query("transport", BOB) == ("OK", OLD)
        site.maptool("release", ANN)
        assert client.query("transport", ANN) == ("OK", OLD)


def test_requests_may_come_in_any_pieces(lookup):
    site = lookup()
    one = netstring(f"recipients {ANN}")
    reply = netstring("OK old")
    with socket.create_connection(("127.0.0.1", site.lookup_port), 20) as sock, sock.makefile("rb") as file:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in one:
            sock.sendall(bytes([byte]))
        assert read_netstring(file) == "OK old"
        sock.sendall(one + one + one[:7])
        assert [read_netstring(file), read_netstring(file)] == ["OK old"] * 2
        sock.sendall(one[7:])
        assert read_netstring(file) == "OK old"
    assert exchange(site, one * 5000) == reply * 5000


def test_request_size_limit(lookup):
    site = lookup()
    after = netstring(f"recipients {ANN}")
    for size in (REQUEST_MAX - 1, REQUEST_MAX, REQUEST_MAX + 1):
        request = f"recipients {'x' * (size - len('recipients @example.org'))}@example.org"
        assert len(request) == size
        want = netstring("NOTFOUND ") + netstring("OK old") if size <= REQUEST_MAX else b""
        assert exchange(site, netstring(request) + after) == want


BAD = [b"GET / HTTP/1.1\r\n\r\n", b"-1:x,", b"99999999999:", b"03:a b,", b"3:a bX", b"\0" * 100]


def test_a_bad_client_hurts_only_itself(lookup):
    site = lookup()
    good = netstring(f"recipients {CAT}")
    with SocketMapClient(site.lookup_port) as other:
        for count, bad in enumerate(BAD, 1):
            assert other.query("recipients", ANN) == ("OK", "old")
            with socket.create_connection(("127.0.0.1", site.lookup_port), 20) as sock:
                sock.sendall(good + bad + good)
                out = b""
                try:
                    while piece := sock.recv(65536):
                        out += piece
                except ConnectionResetError:
                    pass
            assert out in (netstring("OK new"), b"")
            assert other.query("recipients", ANN) == ("OK", "old")
            site.wait_event("lookup", "client_bad", count=count)


def test_a_client_that_does_not_read_waits_for_itself_alone(lookup):
    site = lookup()
    request = netstring(f"transport {ANN}") * 1000
    sent = 0
    with socket.create_connection(("127.0.0.1", site.lookup_port), 20) as sock:
        sock.setblocking(False)
        # Until nothing moves any more: its window is full, and so is the server's buffer for it.
        stuck_since = time.monotonic()
        while time.monotonic() - stuck_since < 0.5:
            try:
                sent += sock.send(request[sent % len(request):])
                stuck_since = time.monotonic()
            except BlockingIOError:
                assert query(site, "recipients", CAT) == ("OK", "new")
        assert sent > 100000
        sock.setblocking(True)
        sock.settimeout(20)
        sock.shutdown(socket.SHUT_WR)
        got = 0
        while piece := sock.recv(1 << 20):
            got += len(piece)
        assert got == sent // len(netstring(f"transport {ANN}")) * len(netstring(f"OK {OLD}"))


def test_a_silent_client_is_let_go(lookup):
    site = lookup(idle_timeout="1s")
    with socket.create_connection(("127.0.0.1", site.lookup_port), 20) as sock:
        sock.sendall(b"10:recip")
        assert sock.recv(10) == b""


def test_more_clients_than_allowed_push_out_the_silent_ones(lookup):
    limit = 4
    site = lookup(clients_max=limit)
    clients = [SocketMapClient(site.lookup_port) for _ in range(limit)]
    for client in clients:
        assert client.query("recipients", ANN) == ("OK", "old")
    assert clients[0].query("recipients", CAT) == ("OK", "new")
    with SocketMapClient(site.lookup_port) as late:
        assert late.query("recipients", CAT) == ("OK", "new")
        assert clients[1].file.read(1) == b""
        for client in (clients[0], clients[2], clients[3]):
            assert client.query("recipients", ANN) == ("OK", "old")
    for client in clients:
        client.close()


def test_starved_of_descriptors(site):
    """Who has been silent longest makes room, so nobody who asks is kept waiting."""
    here = site(SERVERS, plain=True).init({ANN: "old"}).start("lookup")
    pid = here.pid("lookup")
    n_open = len(os.listdir(f"/proc/{pid}/fd"))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (n_open + 5, n_open + 5))
    clients = []
    for _ in range(20):
        clients.append(SocketMapClient(here.lookup_port))
        assert clients[-1].query("recipients", ANN) == ("OK", "old")
    assert here.events("lookup", "accept_failed")
    assert clients[0].file.read(1) == b""
    assert clients[-1].query("recipients", ANN) == ("OK", "old")
    for client in clients:
        client.close()


def test_without_a_map_nothing_is_unknown(site):
    made = site(SERVERS)
    made.start("lookup")
    assert query(made, "transport", ANN)[0] == "TEMP"
    assert query(made, "recipients", "nobody@example.org")[0] == "TEMP"
    assert query(made, "transport", "x@elsewhere.test") == ("NOTFOUND", "")
    made.wait_event("lookup", "map_unknown")
    made.init({ANN: "old"})
    assert query(made, "recipients", ANN) == ("OK", "old")
    assert query(made, "recipients", "nobody@example.org") == ("NOTFOUND", "")
    made.wait_event("lookup", "map_known")


def test_reload(lookup):
    site = lookup()
    site.servers["new"]["smtp"] = "smtp://127.0.0.1:2626"
    site.reload("lookup")
    site.wait_event("lookup", "reloaded")
    assert query(site, "transport", CAT) == ("OK", "smtp:[127.0.0.1]:2626")
    good = site.conf.read_text()
    site.conf.write_text("server {\n")
    site.signal("lookup", signal.SIGHUP)
    site.wait_event("lookup", "reload_failed")
    assert query(site, "transport", CAT) == ("OK", "smtp:[127.0.0.1]:2626")
    site.conf.write_text(good)
    site.stop("lookup")


def test_unix_socket(site, tmp_path):
    made = site(SERVERS)
    path = made.run / "lookup.sock"
    made.settings["lookup"]["socketmap"] = f"unix:{path}"
    made.write_conf()
    made.init({ANN: "old"})
    for _ in range(2):
        made.start("lookup")
        assert path.stat().st_mode & 0o777 == 0o666
        with socket.socket(socket.AF_UNIX) as sock, sock.makefile("rb") as file:
            sock.connect(str(path))
            sock.sendall(netstring(f"recipients {ANN}"))
            assert read_netstring(file) == "OK old"
        made.kill("lookup")  # leaves the file; the next start takes it over
    made.start("lookup")
    made.stop("lookup")
    assert not path.exists()


def run(site, *args):
    return subprocess.run([site.bin / "coexist-lookup", "-c", site.conf, *args], stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=30, env=site.env())


def test_port_in_use(lookup):
    site = lookup()
    done = run(site)
    assert done.returncode == os.EX_UNAVAILABLE
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == 1 and f"127.0.0.1:{site.lookup_port}" in lines[0] and "lookup.socketmap" in lines[0], lines
    assert query(site, "recipients", ANN) == ("OK", "old")


def test_command_line(site):
    made = site(SERVERS)
    assert run(made, "-n").returncode == 0
    assert "coexist-lookup" in run(made, "--help").stdout
    made.conf.write_text("nonsense = 1\n")
    done = run(made, "-n")
    assert done.returncode == os.EX_CONFIG and str(made.conf) in done.stderr


# --- Kills ---------------------------------------------------------------------------


class Asker(threading.Thread):
    """Asks all the time over one connection (a new one when it is lost) and keeps what is not right."""

    def __init__(self, site, may_lose):
        super().__init__(daemon=True)
        self.site, self.may_lose = site, may_lose
        self.answers, self.lost, self.wrong = 0, 0, []
        self.ended = threading.Event()
        self.start()

    def run(self):
        while not self.ended.is_set():
            try:
                with SocketMapClient(self.site.lookup_port) as client:
                    while not self.ended.is_set():
                        got = (client.query("recipients", CAT), client.query("recipients", "nobody@example.org"))
                        if got == (("OK", "new"), ("NOTFOUND", "")):
                            self.answers += 1
                        elif ("", "") in got and self.may_lose:
                            self.lost += 1
                            break
                        else:
                            self.wrong.append(got)
            except OSError as problem:
                self.lost += 1
                if not self.may_lose:
                    self.wrong.append(problem)

    def stop(self):
        self.ended.set()
        self.join(20)
        return SimpleNamespace(answers=self.answers, lost=self.lost, wrong=self.wrong)


def plain_site(site):
    made = site(SERVERS, plain=True)
    made.init({ANN: "old", BOB: "old", CAT: "new"})
    return made.start("lookup")


def test_answers_go_on_while_mapd_is_killed(site):
    made = plain_site(site)
    asker = Asker(made, may_lose=False)
    for number in range(KILLS):
        before = asker.answers
        made.kill("mapd")
        wait_for(lambda: asker.answers > before + 1, 20, "answers without mapd")
        made.start("mapd")
        made.set(ANN, ("new", "old")[number % 2])
        assert query(made, "recipients", ANN)[1] == ("new", "old")[number % 2]
    got = asker.stop()
    assert got.wrong == [] and got.answers > KILLS


def test_killed_lookup_comes_back_and_harms_nothing(site):
    made = plain_site(site)
    asker = Asker(made, may_lose=True)
    for number in range(KILLS):
        before = asker.answers
        wait_for(lambda: asker.answers > before, 20, "answers before the kill")
        made.kill("lookup")
        made.set(ANN, ("new", "old")[number % 2])  # nobody waits for the dead
        made.start("lookup")
        assert query(made, "recipients", ANN)[1] == ("new", "old")[number % 2]
    got = asker.stop()
    assert got.wrong == [] and got.answers >= KILLS
    assert made.json("get", ANN)["route"] == "old"
