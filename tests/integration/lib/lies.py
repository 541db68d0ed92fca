# SPDX-License-Identifier: ISC
"""Two scripted servers and a copy between them that was made already: what the next run does when one of them lies.

    stand = Stand(folder)                       the first copy; one for all cases of a module
    stand.restore()                             as behind the first copy, journal and mailboxes
    stand.go("500ms")                           a run: Result, with .peak, the largest resident set in KiB; it is ended where it
                                                would begin to wait for a better connection (AGAIN)
    stand.removed()                             UIDs that the target was told to remove or to mark, since restore()

Each case begins from a copy of the same state: the journal names servers by their ports.
"""
import os
import re
import shutil
import signal
import subprocess

from .fakeimap import CAPABILITIES, FakeImap
from .mailbox import ROOT, argv, result_of
from .wait import wait_for

AGAIN = 75
DEADLINE_S = 60

PEAK = ROOT / "build" / "bin" / "peak"
# Memory that was given back counts as well; an eager kernel is none of our business.
SANITIZER = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
REMOVALS = re.compile(rb"(?:UID STORE (\S+) \+FLAGS(?:\.SILENT)? \([^)]*\\Deleted|UID EXPUNGE (\S+)|UID MOVE (\S+))")


class Told(FakeImap):
    """Removes what it is told to, at the end of its one folder, and has MODSEQs where its capabilities say so."""

    modseq = 100

    def _ordinary(self, name, tag, line):
        if name == "EXPUNGE":
            for uid in reversed(self.asked(line.replace(b"EXPUNGE", b"FETCH"))):
                if uid == len(self.stored(self.selected)):
                    for kept in (self.appended, self.stored_in) if self.appended else (self.messages,):
                        kept.pop()
        answer = super()._ordinary(name, tag, line)
        if b"CONDSTORE" not in self.capabilities:
            return answer
        if name == "STATUS":
            return answer.replace(b" UIDVALIDITY", b" HIGHESTMODSEQ %d UIDVALIDITY" % self.modseq)
        if name in ("EXAMINE", "SELECT"):
            return b"* OK [HIGHESTMODSEQ %d] m\r\n" % self.modseq + answer
        if name == "ENABLE" and b"QRESYNC" in self.capabilities:
            return b"* ENABLED QRESYNC CONDSTORE\r\n" + answer
        if name == "FETCH" and b"CHANGEDSINCE" in line:
            return b"{tag} OK done\r\n"
        if name == "SEARCH":
            uids = b",".join(b"%d" % (i + 1) for i in range(len(self.stored(self.selected))))
            return b'* ESEARCH (TAG "{tag}") UID' + (b" ALL " + uids if uids else b"") + b"\r\n{tag} OK done\r\n"
        return answer


class Stand:
    """See the top of this file."""

    def __init__(self, folder, mail, source=CAPABILITIES, target=CAPABILITIES):
        self.folder, self.mail = folder, list(mail)
        self.source, self.target = Told(self.mail, None, source), Told([], None, target)
        self.restore(False)
        first = self.go("60s")
        assert first.status == 0 and self.target.appended == self.mail, first.log
        (folder / "state").rename(folder / "kept")

    def close(self):
        for server in (self.source, self.target):
            server.__exit__()

    def restore(self, is_copied=True):
        if is_copied:
            shutil.rmtree(self.folder / "state", ignore_errors=True)
            shutil.copytree(self.folder / "kept", self.folder / "state")
        n = len(self.mail) if is_copied else 0
        self.source.messages, self.source.modseq = list(self.mail), Told.modseq
        self.target.appended, self.target.stored_in = list(self.mail)[:n], [b"INBOX"] * n
        for server in (self.source, self.target):
            server.kept = {}
            server.script, server.last, server.received, server.uidvalidity = {}, {b"INBOX": n}, b"", 7
            server.kept = {}

    def go(self, patience, *more):
        peak = self.folder / "peak"
        line = argv(self.source, self.target, self.folder, f"--timeout={patience}", "--settle=0s", *more)
        with open(self.folder / "out", "wb") as out, open(self.folder / "log", "wb") as log, open(self.folder / "log") as said:
            process = subprocess.Popen([PEAK, peak, *line], stdin=subprocess.DEVNULL, stdout=out, stderr=log,
                                       env={"ASAN_OPTIONS": SANITIZER}, start_new_session=True)
            text = ""

            def is_over():
                nonlocal text
                text += said.read()
                return process.poll() is not None or "event=copy_again" in text
            try:
                wait_for(is_over, DEADLINE_S, "the run to end", 0.01)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            text += said.read()
        status = AGAIN if process.returncode == -signal.SIGTERM else process.returncode
        assert status >= 0, text
        result = result_of(status, (self.folder / "out").read_text(), text)
        result.counts["peak"] = int(peak.read_text())
        return result

    def removed(self):
        """Sets as they were written: "12", "1:*"."""
        return {set_.decode() for found in REMOVALS.findall(self.target.received) for set_ in found if set_}
