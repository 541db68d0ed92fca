# SPDX-License-Identifier: ISC
"""A proxy that keeps what a client says, and can hold the server's answers back.

    tap = Wiretap(server)                   server.proxy_port is its port from now on
    tap.hold(rb"APPEND ", 60)               from the first one on nothing is answered, until 60 have come
    tap.count(rb"APPEND ")                  commands that fit, of all connections
    tap.heard                               octets that the server has answered

With hold() a test sees that a client asks all of it before it waits: one that waits sooner waits for ever.
"""
import re
import socket
import threading


class Wiretap:
    def __init__(self, server):
        self.server = server
        self.said = b""
        self.heard = 0
        self.held = None
        self.news = threading.Condition()
        self.listener = socket.create_server(("127.0.0.1", 0))
        server.proxy_port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, command):
        return len(re.findall(rb"^c\d+ " + command, self.said, re.M))

    def hold(self, command, until):
        self.held = (command, until)

    def forget(self):
        with self.news:
            self.said = b""
            self.heard = 0

    def close(self):
        del self.server.proxy_port
        self.listener.close()

    def _may_answer(self):
        return not self.held or self.count(self.held[0]) in (0, *range(self.held[1], 1 << 20))

    def _accept(self):
        while True:
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.server.imap_port))
            for side in (client, server):
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._say, args=(client, server), daemon=True).start()
            threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _say(self, client, server):
        while octets := self._received(client):
            with self.news:
                self.said += octets
                self.news.notify_all()
            server.sendall(octets)
        self._end(server)

    def _answer(self, server, client):
        while octets := self._received(server):
            with self.news:
                self.heard += len(octets)
                self.news.wait_for(self._may_answer)
            try:
                client.sendall(octets)
            except OSError:
                break
        self._end(client)

    @staticmethod
    def _received(side):
        try:
            return side.recv(65536)
        except OSError:
            return b""

    @staticmethod
    def _end(side):
        try:
            side.shutdown(socket.SHUT_WR)
        except OSError:
            pass
