# SPDX-License-Identifier: ISC
"""Reading whole mailboxes with imaplib, the tests' independent IMAP client."""
import re
from typing import NamedTuple


class Message(NamedTuple):
    folder: str
    uid: int
    flags: frozenset
    data: bytes


LIST_LINE = re.compile(rb'\((?P<attributes>[^)]*)\) (?:"(?P<separator>.)"|NIL) (?P<name>.+)$')


def folders(client):
    """Selectable folders, names as on the wire (modified UTF-7)."""
    status, lines = client.list()
    assert status == "OK", lines
    out = []
    for line in lines:
        if line is None:
            continue
        if isinstance(line, tuple):  # the name came as a literal
            out.append(line[1].decode())
            continue
        found = LIST_LINE.match(line)
        assert found, line
        if b"\\noselect" in found["attributes"].lower() or b"\\nonexistent" in found["attributes"].lower():
            continue
        name = found["name"].decode()
        if name.startswith('"'):
            name = re.sub(r"\\(.)", r"\1", name[1:-1])
        out.append(name)
    return out


def quoted(name):
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def fetch_folder(client, folder):
    """Messages of one folder in UID order; nothing is marked as read."""
    status, answer = client.select(quoted(folder), readonly=True)
    assert status == "OK", answer
    if int(answer[0]) == 0:
        return []
    status, answer = client.uid("FETCH", "1:*", "(UID FLAGS BODY.PEEK[])")
    assert status == "OK", answer
    out = []
    for index, item in enumerate(answer):
        if not isinstance(item, tuple):
            continue
        # Attributes may stand before the literal or after it.
        rest = answer[index + 1] if index + 1 < len(answer) and isinstance(answer[index + 1], bytes) else b""
        text = item[0] + rest
        uid = int(re.search(rb"UID (\d+)", text)[1])
        flags = frozenset(f.decode() for f in re.search(rb"FLAGS \(([^)]*)\)", text)[1].split())
        out.append(Message(folder, uid, flags - {"\\Recent"}, item[1]))
    return sorted(out, key=lambda m: m.uid)


def fetch_all(client):
    """Messages of all folders, INBOX first."""
    names = sorted(folders(client), key=lambda n: (n.upper() != "INBOX", n))
    return [message for name in names for message in fetch_folder(client, name)]
