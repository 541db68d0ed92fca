# SPDX-License-Identifier: ISC
"""The ledger of a run: what clients were promised, and what users did.  A line is on the disk before the run goes on.

    ledger = Ledger(path)
    ledger.message("s-ann-1", octets, "smtp")   the message there is going to be
    ledger.dot("s-ann-1", users)                before the last line of DATA leaves
    ledger.reply("s-ann-1", user, 250, text)    what came back; 0: the connection ended instead
    ledger.act("delete", user, server, token)   what a user did, when it is done
    read(path)                                  the lines as dicts, for the judge

A dot without a reply behind it is an acknowledgement that was lost, as a reply 0 is.
"""
import hashlib
import json
import os
import threading
import time


def body_digest(octets):
    """Of what no server may change; fields are put on top on the way."""
    return hashlib.sha256(octets.replace(b"\r\n", b"\n").partition(b"\n\n")[2]).hexdigest()


def head_lines(octets):
    """The header as lines of text."""
    return octets.replace(b"\r\n", b"\n").partition(b"\n\n")[0].decode("utf-8", "backslashreplace").split("\n")


class Ledger:
    def __init__(self, path):
        self.lock = threading.Lock()
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, event, **fields):
        line = json.dumps({"event": event, "time": time.time(), **fields}) + "\n"
        with self.lock:
            os.write(self.file, line.encode())
            os.fsync(self.file)

    def message(self, token, octets, door):
        self.write("message", token=token, door=door, body=body_digest(octets), head=head_lines(octets))

    def dot(self, token, users):
        self.write("dot", token=token, users=list(users))

    def reply(self, token, user, code, text):
        self.write("reply", token=token, user=user, code=code, text=text)

    def refused(self, token, user, code, text):
        self.write("refused", token=token, user=user, code=code, text=text)

    def act(self, what, user, server, token, **fields):
        self.write(what, user=user, server=server, token=token, **fields)

    def close(self):
        os.close(self.file)


def read(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]
