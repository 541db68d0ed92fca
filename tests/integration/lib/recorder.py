# SPDX-License-Identifier: ISC
"""A relay in front of an IMAP server that keeps what clients say."""
import socket
import threading

from .wait import free_port


class Recorder:
    """`before` is called with what a client says before the server hears it."""

    def __init__(self, server, before=None):
        self.server, self.before, self.said, self.imap_port = server, before, b"", free_port()
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
            server = socket.create_connection(("127.0.0.1", self.server.imap_port))
            for one, other, keep in ((client, server, True), (server, client, False)):
                threading.Thread(target=self._pump, args=(one, other, keep), daemon=True).start()

    def _pump(self, one, other, keep):
        try:
            while data := one.recv(65536):
                if keep:
                    self.said += data
                if keep and self.before:
                    self.before(data)
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
