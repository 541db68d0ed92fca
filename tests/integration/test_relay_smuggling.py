# SPDX-License-Identifier: ISC
"""A1, A2: no doubtful end of data ever becomes the end of a message, anywhere on the way through.

Each form is sent with a second transaction behind it and cut at each byte around it, in a connection
of its own; the targets are counted.  A ghost is a message at a target that no client asked for.
"""
import fcntl
import re
import struct
import termios

import pytest

from lib.relay import Gate, body_of, envelope
from lib.wait import wait_for

FORMS = {
    "LF.LF": b"\n.\n", "CR.CR": b"\r.\r", "CR.LF": b"\r.\n", "LF.CR": b"\n.\r", "LF.CRLF": b"\n.\r\n", "CRLF.LF": b"\r\n.\n",
    "CR.CRLF": b"\r.\r\n", "CRLF.CR": b"\r\n.\r", "CRLF NUL.CRLF": b"\r\n\0.\r\n", "CRLF.NUL CRLF": b"\r\n.\0\r\n",
    "CRLF.CR CRLF": b"\r\n.\r\r\n", "CR CRLF.CR CRLF": b"\r\r\n.\r\r\n",
}
FIRST = b"Subject: first\r\n\r\nfirst line"
SECOND = b"MAIL FROM:<evil@example.net>\r\nRCPT TO:<cat@example.org>\r\nDATA\r\nSubject: ghost\r\n\r\nghost\r\n"


@pytest.fixture(params=["normalise", "refuse"])
def gate(site, scripted, request):
    made = Gate(site, scripted, settings={"bare_lf": request.param, "sessions_per_client_max": 1000})
    made.refuses = request.param == "refuse"
    return made


def talk(gate, wire, cut):
    """Everything that the relay says to content cut in two, up to the end of the connection."""
    with gate.client() as c:
        envelope(c, "ann@example.org")
        assert c.cmd("DATA").code == 354
        c.write(wire[:cut])
        if 0 < cut < len(wire):
            # The relay has the first piece before the second one leaves.
            wait_for(lambda: unread(c) == 0, 30, "the relay to read")
        try:
            c.write(wire[cut:])
            codes = []
            while True:
                reply = c.reply()
                codes.append(reply.code)
                if reply.code in (0, 221):
                    return codes
        except ConnectionError:
            return [0]


def unread(client):
    """Bytes that the peer's kernel has not acknowledged."""
    return struct.unpack("i", fcntl.ioctl(client.sock, termios.TIOCOUTQ, b"\0" * 4))[0]


@pytest.mark.parametrize("form", FORMS)
def test_no_ghost(gate, form):
    end = FORMS[form]
    wire = FIRST + end + SECOND + b".\r\nQUIT\r\n"
    first = len(FIRST)
    bare_lf_only = b"\r" not in end.replace(b"\r\n", b"") and b"\0" not in end
    for cut in range(first - 1, first + len(end) + 3):
        before = len(gate.old.messages)
        codes = talk(gate, wire, cut)
        if bare_lf_only and not gate.refuses:
            # Passed on as one message, with proper line ends.
            assert codes == [250, 221], (cut, codes)
            assert len(gate.old.messages) == before + 1
            data = body_of(gate.old.messages[-1].data)
            assert data.startswith(b"Subject: first\r\n") and b"MAIL FROM:<evil@example.net>\r\n" in data
            assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", data)
        else:
            assert codes == [550, 0], (cut, codes)
            assert len(gate.old.messages) == before
    assert not gate.new.messages
    assert not any("evil" in line for line in gate.old.commands() + gate.new.commands())


def test_no_raw_form_reaches_a_target(gate):
    """What targets see between DATA and the dot never holds a form that another reader could take for an end."""
    for form, end in FORMS.items():
        with gate.client() as c:
            envelope(c, "ann@example.org")
            assert c.cmd("DATA").code == 354
            c.write(FIRST + end + b"more\r\n.\r\n")
            c.reply()
    for received in gate.old.messages:
        assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", received.data)


def test_ends_across_the_header(gate):
    """The same where the header ends, since the trace fields go in front of it."""
    for end in FORMS.values():
        for head in (b"", b"Subject: x", b"Subject: x\r\n", b"Subject: x\r\n\r\n"):
            with gate.client() as c:
                envelope(c, "ann@example.org")
                assert c.cmd("DATA").code == 354
                try:
                    c.write(head + end + SECOND + b".\r\nQUIT\r\n")
                    while c.reply().code not in (0, 221):
                        pass
                except ConnectionError:
                    pass
    assert not gate.new.messages and not any("evil" in line for line in gate.old.commands())


def test_pipelined_second_message_is_two_messages(gate):
    """The honest form: CRLF.CRLF and a second transaction in one piece."""
    wire = b"Subject: one\r\n\r\n.\r\nMAIL FROM:<b@example.net>\r\nRCPT TO:<cat@example.org>\r\nDATA\r\n"
    for cut in range(len(wire)):
        with gate.client() as c:
            envelope(c, "ann@example.org")
            assert c.cmd("DATA").code == 354
            c.write(wire[:cut])
            c.write(wire[cut:])
            assert [c.reply().code for _ in range(4)] == [250, 250, 250, 354]
            c.write(b"Subject: two\r\n\r\n.\r\n")
            assert c.reply().code == 250
    assert len(gate.old.messages) == len(gate.new.messages) == len(wire)
