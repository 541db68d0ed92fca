# SPDX-License-Identifier: ISC
"""The control socket of coexist-mapd, and a process that looks the map up, both without our C client.

    with MapSocket(site.run) as map:
        map.ok(op="get", key="ann@example.org")["entry"]["route"]
        map.error(op="release", key="ann@example.org")["code"]

    with Probe(site.run) as probe:                    # build/bin/map_probe, see tests/tools/map_probe.c
        probe.ask("get ann@example.org")              # "found old active 1"
"""
import json
import socket
import struct
import subprocess

from .coexist import ROOT, reaper


class MapSocket:
    """Requests as keyword arguments, replies as dicts."""

    def __init__(self, run, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(str(run / "mapd.sock"))

    def send(self, **request):
        body = json.dumps(request).encode()
        self.socket.sendall(struct.pack(">I", len(body)) + body)

    def _read(self, n):
        out = b""
        while len(out) < n:
            part = self.socket.recv(n - len(out))
            if not part:
                raise ConnectionError("coexist-mapd closed the connection")
            out += part
        return out

    def receive(self):
        return json.loads(self._read(struct.unpack(">I", self._read(4))[0]))

    def call(self, **request):
        self.send(**request)
        return self.receive()

    def ok(self, **request):
        reply = self.call(**request)
        assert reply["ok"], reply
        return reply

    def error(self, **request):
        reply = self.call(**request)
        assert not reply["ok"], reply
        return reply["error"]

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Probe:
    """A consumer of the snapshot that does what it is told."""

    def __init__(self, run):
        self.process = subprocess.Popen([ROOT / "build/bin/map_probe", str(run)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        reaper().note("+", self.process.pid)
        self.pid = self.process.pid

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        reply = self.process.stdout.readline()
        assert reply, f"map_probe ended while asked: {line}"
        return reply.rstrip("\n")

    def report(self):
        return {name: int(value) for name, value in (pair.split("=") for pair in self.ask("report").split())}

    def kill(self):
        self.process.kill()
        self.close()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()
        reaper().note("-", self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.close()
