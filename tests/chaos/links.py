# SPDX-License-Identifier: ISC
"""Links: a proxy in front of each server and each door, which cuts, delays and loses as the schedule wants it.

    links = Links()
    port = links.add("old.lmtp", server.lmtp_port)     who connects there comes to the server
    links.cut("old.lmtp")       links.cut_at("old.imap", 700)      links.lose("old.lmtp")
    links.close_link(name)      links.stall(name)                  links.slow(name, 20)
    links.hang(name)
    links.open_link(name)       links.open_all()                   links.end()

All connections are served by one thread with a loop of its own.
"""
import asyncio
import socket
import struct
import threading

from lib.wait import free_port, release_port

END_OF_DATA = b"\r\n.\r\n"


class Link:
    def __init__(self, target):
        self.target, self.pairs = target, set()
        self.is_closed, self.delay_ms, self.cut_after, self.loses = False, 0, None, False
        self.hangs = False
        self.flows = asyncio.Event()
        self.flows.set()


class Links:
    def __init__(self):
        self.loop, self.links, self.ports = asyncio.new_event_loop(), {}, []
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def _do(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def add(self, name, target):
        port = free_port()
        self.ports.append(port)

        async def listen():
            link = self.links[name] = Link(target)
            await asyncio.start_server(lambda r, w: self._serve(link, r, w), "127.0.0.1", port)
        self._do(listen())
        return port

    def _change(self, name, change):
        async def work():
            change(self.links[name])
        self._do(work())

    def cut(self, name):
        self._change(name, self._reset_all)

    def cut_at(self, name, octets):
        self._change(name, lambda link: setattr(link, "cut_after", octets))

    def lose(self, name):
        self._change(name, lambda link: setattr(link, "loses", True))

    def close_link(self, name):
        def change(link):
            link.is_closed = True
            self._reset_all(link)
        self._change(name, change)

    def stall(self, name):
        self._change(name, lambda link: link.flows.clear())

    def hang(self, name):
        """The end of the next message waits for open_link(), and comes through then, whoever has left meanwhile."""
        self._change(name, lambda link: setattr(link, "hangs", True))

    def slow(self, name, milliseconds):
        self._change(name, lambda link: setattr(link, "delay_ms", milliseconds))

    def open_link(self, name):
        def change(link):
            link.is_closed, link.delay_ms, link.cut_after, link.loses, link.hangs = False, 0, None, False, False
            link.flows.set()
        self._change(name, change)

    def open_all(self):
        for name in self.links:
            self.open_link(name)

    def end(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        for port in self.ports:
            release_port(port)

    # --- In the loop ------------------------------------------------------------------

    @staticmethod
    def _reset_all(link):
        for pair in list(link.pairs):
            for writer in pair:
                reset(writer)

    async def _serve(self, link, reader, writer):
        if link.is_closed:
            reset(writer)
            return
        try:
            there, to_server = await asyncio.open_connection("127.0.0.1", link.target)
        except OSError:
            reset(writer)
            return
        pair = (writer, to_server)
        link.pairs.add(pair)
        state = {"left": link.cut_after, "waits": False}
        link.cut_after = None
        up = asyncio.ensure_future(self._pump(link, state, pair, reader, to_server, True))
        down = asyncio.ensure_future(self._pump(link, state, pair, there, writer, False))
        await asyncio.wait({up, down})
        link.pairs.discard(pair)
        for side in pair:
            side.close()

    async def _pump(self, link, state, pair, reader, writer, is_up):
        tail = b""
        try:
            while data := await reader.read(65536):
                if link.delay_ms:
                    await asyncio.sleep(link.delay_ms / 1000)
                if is_up:
                    tail = (tail + data)[-len(END_OF_DATA):]
                    state["waits"] = tail == END_OF_DATA
                    if state["waits"] and link.hangs:
                        link.hangs = False
                        link.flows.clear()
                await link.flows.wait()
                if not is_up and state["waits"] and link.loses:
                    link.loses = False   # the server has it, and nobody hears of that
                    break
                if state["left"] is not None:
                    data, state["left"] = data[:state["left"]], state["left"] - len(data)
                writer.write(data)
                await writer.drain()
                if state["left"] is not None and state["left"] <= 0:
                    break
            else:
                if writer.can_write_eof():
                    writer.write_eof()
                return
        except OSError:
            pass
        for side in pair:
            reset(side)


def reset(writer):
    """Ends with RST, so that the peer sees an error and no end."""
    sock = writer.get_extra_info("socket")
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    writer.transport.abort()
