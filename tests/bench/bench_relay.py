# SPDX-License-Identifier: ISC
"""Relaying: coexist-relay beside Postfix and Exim, Postfix' smtp-source into its smtp-sink.

10 KiB messages, 20 sessions, 100,001 recipients, every second one on the new server.  Two sinks
stand for the two servers.  "kept" keeps a session for many messages, "new" opens one for each.
The rate counts a message when a sink has it, so Postfix' queue is waited for.

BENCH_BEFORE=FOLDER runs the programs of another build (a checkout of an earlier commit, its
build/bin) in the same rounds, so that a change of speed is seen beside the noise of the machine.
"""
import os
import shutil
import statistics
import subprocess
import time
from pathlib import Path

from lib.coexist import Coexist
from lib.exim import Exim
from lib.guest import ROOT, peers
from lib.postfix import Postfix
from lib.wait import free_port, listens, wait_for

TITLE = "Relaying: delivered messages per second"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
BEFORE = os.environ.get("BENCH_BEFORE")
MESSAGES = {"straight": 20000, "coexist": 20000, "before": 20000, "postfix": 4000, "exim": 4000}
RECIPIENTS = 100001
WORK = ROOT / "build" / "bench" / "relay"


def postfix_tool(name, *args):
    """The command line of one of Postfix' test programs, straight from its unpacked tree."""
    tree = Path(os.path.realpath(peers.get(["postfix"])["postfix"]))
    libraries = [tree / "lib/x86_64-linux-gnu", tree / "usr/lib/x86_64-linux-gnu", tree / "usr/lib/postfix"]
    return [str(tree / "lib64/ld-linux-x86-64.so.2"), "--library-path", ":".join(map(str, libraries)),
            str(tree / "usr/sbin" / name), *args]


class Sink:
    """smtp-sink, which counts what it gets."""

    def __init__(self, name):
        self.port = free_port()
        self.path = WORK / f"sink-{name}"
        self.out = open(self.path, "wb")
        self.process = subprocess.Popen(
            postfix_tool("smtp-sink", "-u", "nobody", "-c", f"127.0.0.1:{self.port}", "1000"),
            stdout=self.out, stderr=subprocess.STDOUT)
        wait_for(lambda: listens(self.port), what="smtp-sink to listen")

    def messages(self):
        with open(self.path, "rb") as f:
            f.seek(max(0, self.path.stat().st_size - 200))
            counts = [p for p in f.read().split(b"\r") if p.startswith(b"sess=") and b"mesg=" in p]
        return int(counts[-1].rsplit(b"mesg=", 1)[1] or 0) if counts else 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.out.close()


def recipient(n):
    """The address that smtp-source -N makes for its nth message."""
    return f"{n}user@example.org"


def route(n):
    return "new" if n % 2 else "old"


def start_coexist(sinks, name="coexist", programs=ROOT / "build" / "bin"):
    site = Coexist(WORK / name, plain=True, servers={
        name: {"smtp": f"smtp://127.0.0.1:{sink.port}"} for name, sink in sinks.items()},
        settings={"relay": {"workers": 0, "sessions_per_client_max": 1000}})
    site.bin = Path(programs).resolve()
    site.init()
    csv = "address,route\n" + "".join(f"{recipient(n)},{route(n)}\n" for n in range(1, RECIPIENTS + 1))
    site.maptool("import", "-", input=csv)
    site.start("relay")
    return site, site.relay_port


def start_before(sinks):
    return start_coexist(sinks, "before", BEFORE)


def start_postfix(sinks):
    server = Postfix(WORK / "postfix", main={
        "relay_domains": "example.org",
        "transport_maps": "hash:/etc/postfix/transport",
        "relay_recipient_maps": "hash:/etc/postfix/recipients",
        "default_process_limit": "100", "smtp_connection_cache_on_demand": "yes",
        "smtpd_tls_security_level": "none"})
    numbers = range(1, RECIPIENTS + 1)
    server.table("transport", {recipient(n): f"smtp:[127.0.0.1]:{sinks[route(n)].port}" for n in numbers})
    server.table("recipients", {recipient(n): "ok" for n in numbers})
    server.start()
    return server, server.smtp_port


def start_exim(sinks):
    routers = ("bench:\n  driver = manualroute\n  domains = example.org\n"
               "  route_data = ${lookup{$local_part@$domain}dbm{/etc/exim4/routes}}\n"
               "  transport = out\n  self = send\n")
    transports = "out:\n  driver = smtp\n  hosts_try_prdr =\n  hosts_try_chunking =\n  hosts_avoid_tls = *\n"
    server = Exim(WORK / "exim", routers=routers, transports=transports, settings="chunking_advertise_hosts =\n",
                  acl_rcpt="  accept control = cutthrough_delivery\n")
    server.write("etc/routes.txt", "".join(f"{recipient(n)}: 127.0.0.1::{sinks[route(n)].port}\n"
                                           for n in range(1, RECIPIENTS + 1)))
    server.start()
    server.run("/usr/sbin/exim_dbmbuild", "/etc/exim4/routes.txt", "/etc/exim4/routes")
    return server, server.smtp_port


def send(port, messages, keep):
    """smtp-source until it ends; refused or lost messages make it fail."""
    command = postfix_tool("smtp-source", *(["-d"] if keep else []), "-N", "-s", "20", "-l", "10240",
                           "-m", str(messages), "-f", "sender@example.net", "-t", "user@example.org",
                           f"127.0.0.1:{port}")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)
    if done.returncode or "fatal" in done.stdout:
        raise SystemExit(f"bench: smtp-source against port {port}: {done.stdout.strip()[-300:]}")


def measure(name, port, sinks, keep):
    messages = MESSAGES[name]
    before = sum(s.messages() for s in sinks.values())
    started = time.monotonic()
    send(port, messages, keep)
    wait_for(lambda: sum(s.messages() for s in sinks.values()) >= before + messages, 120,
             f"{messages} messages of {name} in the sinks", interval=0.005)
    return messages / (time.monotonic() - started)


def run():
    shutil.rmtree(WORK, ignore_errors=True)
    WORK.mkdir(parents=True)
    sinks = {name: Sink(name) for name in ("old", "new")}
    started = []
    rates = {}
    try:
        ports = {"straight": sinks["old"].port}
        programs = [("coexist", start_coexist), ("postfix", start_postfix), ("exim", start_exim)]
        for name, start in programs + ([("before", start_before)] if BEFORE else []):
            server, ports[name] = start(sinks)
            started.append(server)
        for keep in (True, False):
            for name in ports:
                send(ports[name], 200, keep)  # warm: connections, caches, processes
            for number in range(ROUNDS):
                # Who comes first finds another machine than who comes last.
                for name, port in list(ports.items())[::-1 if number % 2 else 1]:
                    rate = measure(name, port, sinks, keep)
                    rates.setdefault((name, keep), []).append(rate)
                    print(f"   round {number + 1}, {'kept' if keep else 'new'} sessions: {name} {rate:,.0f}/s", flush=True)
    finally:
        for server in started:
            getattr(server, "close", server.kill)()
        for sink in sinks.values():
            sink.stop()
    return table(rates)


def table(rates):
    median = {key: statistics.median(values) for key, values in rates.items()}
    lines = ["smtp-source to smtp-sink through each program: 10 KiB messages, 20 sessions, 100,001 recipients,",
             "two targets; Postfix with `transport_maps` and `relay_recipient_maps` (hash), Exim with",
             f"`cutthrough_delivery` and a dbm route. Medians of {ROUNDS} rounds.", ""]
    lines += ["| sessions | straight | coexist-relay | Postfix | Exim | ours / Postfix | ours / Exim | ours / straight |",
              "|---|---|---|---|---|---|---|---|"]
    for keep in (True, False):
        straight, ours, postfix, exim = (median[(n, keep)] for n in ("straight", "coexist", "postfix", "exim"))
        lines.append(f"| {'kept' if keep else 'one per message'} | {straight:,.0f} | {ours:,.0f} | {postfix:,.0f} | {exim:,.0f} "
                     f"| {ours / postfix:.1f} | {ours / exim:.1f} | {ours / straight:.2f} |")
    if BEFORE:
        lines += ["", "Beside the programs of an earlier commit, in the same rounds:", "",
                  "| sessions | now (lowest to highest) | before (lowest to highest) | now / before |", "|---|---|---|---|"]
        for keep in (True, False):
            now, before = rates[("coexist", keep)], rates[("before", keep)]
            lines.append(f"| {'kept' if keep else 'one per message'} | {spread(now)} | {spread(before)} "
                         f"| {statistics.median(now) / statistics.median(before):.2f} |")
    return "\n".join(lines)


def spread(values):
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"
