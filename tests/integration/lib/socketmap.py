# SPDX-License-Identifier: ISC
"""The socket map protocol from both ends (netstrings "MAP KEY" -> "OK value", "NOTFOUND ", "TEMP reason", ...).

    with SocketMapClient(site.lookup_port) as c: c.query("transport", "ann@example.org")   # ("OK", "lmtp:...")
    with ScriptedSocketMap({"ldapmh ann@example.org": "OK old.route"}) as server: server.port, server.queries
"""
import socket
import threading

from .wait import free_port


def read_netstring(file):
    """The next netstring as text, None at the end of the connection."""
    size = b""
    while not size.endswith(b":"):
        byte = file.read(1)
        if not byte:
            return None
        size += byte
    text = file.read(int(size[:-1]))
    assert file.read(1) == b",", "netstring without a comma"
    return text.decode()


def netstring(text):
    data = text.encode()
    return b"%d:%s," % (len(data), data)


class SocketMapClient:
    def __init__(self, port, timeout=20):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.sock.makefile("rb")

    def query(self, name, key):
        """(status, text); ("", "") when the server hangs up."""
        self.sock.sendall(netstring(f"{name} {key}"))
        status, _, text = (read_netstring(self.file) or "").partition(" ")
        return status, text

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class ScriptedSocketMap:
    """Answers from a table, NOTFOUND for what is not in it."""

    def __init__(self, answers=None):
        self.answers = dict(answers or {})
        self.port = free_port()
        self.queries = []
        self.listener = None

    def start(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=50)
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()
        return self

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        with sock, sock.makefile("rb") as file:
            try:
                while (query := read_netstring(file)) is not None:
                    self.queries.append(query)
                    sock.sendall(netstring(self.answers.get(query, "NOTFOUND ")))
            except OSError:
                pass

    def __enter__(self):
        return self if self.listener else self.start()

    def __exit__(self, *_):
        self.close()
