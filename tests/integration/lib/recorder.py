# SPDX-License-Identifier: ISC
"""A relay in front of an IMAP server that keeps what clients say."""
import socket
import threading

from .wait import free_port


class Recorder:
    """`before` is called with what a client says before the server hears it, `behind` with what the server says before
    the client does."""

    def __init__(self, server, before=None, behind=None):
        self.server, self.before, self.behind, self.said, self.imap_port = server, before, behind, b"", free_port()
        self.listener = socket.create_server(("127.0.0.1", self.imap_port), backlog=20)
        threading.Thread(target=self._accept, daemon=True).start()

    def __getattr__(self, name):
        return getattr(self.server, name)

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.server.imap_port))
            except OSError:
                client.close()
                continue
            for one, other, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(one, other, keep), daemon=True).start()

    def _pump(self, one, other, keep):
        try:
            while data := one.recv(65536):
                if keep:
                    self.said += data
                told = self.before if keep else self.behind
                if told:
                    told(data)
                other.sendall(data)
        except OSError:
            pass
        for sock in (one, other):
            try:
                sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def count(self, word):
        return self.said.count(word)
