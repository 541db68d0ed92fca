# SPDX-License-Identifier: ISC
"""coexist-sync copy to a target that refuses names."""
import re
import shutil

import pytest
from lib.fakeimap import CAPABILITIES, FakeImap, named
from lib.mailbox import ACL, ANNOTATIONS, Mail, annotation, argv, copy, fill, message, run

# The last two differ in the case of an Armenian letter, which only the target folds.
NAMES = (b"INBOX", b"Work", b"WORK", b"Unseen", b"cur", b"cur/below", b"&APw-bersicht", b"&BTE-rm", b"&BWE-rm")


def source():
    """The same two messages in each of its folders."""
    def status(server, tag, line):
        return server._ordinary("STATUS", tag, line).replace(b"STATUS INBOX", b"STATUS " + named(line))
    listed = b"".join(b'* LIST () "/" "%s"\r\n' % name for name in NAMES)
    return FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(2)],
                    {"LIST": listed + b"{tag} OK done\r\n", "STATUS": status})


class Refusing(FakeImap):
    """Does not tell case, nor composed letters; takes no cur, nor anything below it; has a folder that no LIST shows."""

    def __init__(self):
        super().__init__(script={name: getattr(Refusing, name.lower()) for name in ("LIST", "CREATE", "STATUS", "SELECT", "EXAMINE", "APPEND")})
        self.folders = {self.folded(name): name for name in (b"INBOX", b"U&Awg-bersicht")}
        self.folders[b"unseen"] = None

    @staticmethod
    def folded(name):
        return name.lower().replace(b"&apw-", b"u&awg-").replace(b"&bwe-", b"&bte-")

    def stored(self, folder):
        return [mail for mail, name in zip(self.appended, self.stored_in) if self.folded(name) == self.folded(folder)]

    def append(self, tag, line):
        return self.opened("APPEND", tag, line)

    def list(self, _tag, _line):
        return b"".join(b'* LIST () "/" "%s"\r\n' % n for n in self.folders.values() if n) + b"{tag} OK done\r\n"

    def create(self, _tag, line):
        name = named(line)
        if name.split(b"/")[0] in (b"cur", b"cur-below"):
            return b"{tag} BAD Command Argument Error. 11\r\n"
        if self.folded(name) in self.folders:
            return b"{tag} NO Mailbox exists\r\n"
        self.folders[self.folded(name)] = name
        return b"{tag} OK done\r\n"

    def opened(self, command, tag, line):
        if self.folded(named(line)) not in self.folders:
            return b"{tag} NO no such folder\r\n"
        self.uidvalidity = 7 + list(self.folders).index(self.folded(named(line)))
        return self._ordinary(command, tag, line).replace(b"STATUS INBOX", b"STATUS " + named(line))

    def status(self, tag, line):
        return self.opened("STATUS", tag, line)

    def select(self, tag, line):
        return self.opened("SELECT", tag, line)

    def examine(self, tag, line):
        return self.opened("EXAMINE", tag, line)


def go(here, there, folder, *more):
    return run(argv(here, there, folder, "--timeout=60s", "--settle=0s", *more))


def test_each_folder_has_a_name_of_its_own_that_the_target_takes(tmp_path):
    with source() as here, Refusing() as there:
        result = go(here, there, tmp_path)
        assert (result.status, result.messages_copied) == (0, 2 * len(NAMES)), result.log
        got = {name: there.stored_in.count(name) for name in there.stored_in}
        assert set(got.values()) == {2}, got
        # As they are called, as the target calls them, and with digits behind what had to have another name.
        assert set(got) >= {b"INBOX", b"Unseen", b"U&Awg-bersicht"}
        others = [name for name in got if re.search(rb"-[0-9a-f]{8}$", name)]
        assert len(others) == 4 and len(set(got) & {b"Work", b"WORK"}) == 1, got
        assert len({name for name in got if name.endswith(b"-rm")}) == 1, got
        assert {name.rpartition(b"-")[0].lower() for name in others} - {b"&bte-rm", b"&bwe-rm"} == {b"cur", b"cur_below", b"work"}
        assert result.log.count("event=folder_renamed") == 5, result.log
        # And it stays so, with the journal or without.
        result = go(here, there, tmp_path)
        assert (result.status, result.messages_copied) == (0, 0), result.log
        assert "folder_renamed" not in result.log
        shutil.rmtree(tmp_path / "state")
        result = go(here, there, tmp_path)
        assert (result.status, result.messages_copied) == (0, 0), result.log
        assert {name for name in there.folders.values() if name} == set(got) - {b"Unseen"}


def test_folders_are_left_out_and_have_the_names_that_were_said(tmp_path):
    said = ("--map=cur=Jetzt/\u00c4", "--map", "WORK=Arbeit", "--include=%", "--include", "cur/*", "--exclude=Un*")
    with source() as here, FakeImap() as there:
        def sorted_names():
            return sorted(set(there.stored_in))
        first = go(here, there, tmp_path, *said)
        assert first.status == 0, first.log
        assert sorted_names() == sorted([b"INBOX", b"Work", b"Arbeit", b"Jetzt/&AMQ-", b"Jetzt/&AMQ-/below", b"&APw-bersicht", b"&BTE-rm", b"&BWE-rm"])
        # What is left out later is not gone on the source: it stays, and what it had is not looked for elsewhere.
        asked = len(there.received)
        later = go(here, there, tmp_path, *said, "--exclude=cur*", "--verify")
        assert later.status in (0, 1) and later.messages_copied == 0, later.log
        assert later.counts["folders_vanished"] == 0, later.log
        assert b"Jetzt" not in there.received[asked:].replace(b"LIST", b""), there.received[asked:]
        assert go(here, there, tmp_path, "--map=a").status == 64


@pytest.mark.parametrize("back", [False, True])
def test_rights_of_others(back, dovecot, cyrus, tmp_path):
    """Given again to whom a file names, in the letters of the target; who has no line is named."""
    ann, bob, eva = "ann@example.org", "bob@example.org", "eva@example.org"
    old, new = dovecot("one", conf=ACL), cyrus("other")
    old, new = (new, old) if back else (old, new)
    client = old.imap(ann)
    fill(client, {"Work": [Mail(message("w"))]})
    for who, rights in ((bob, "lrs"), (eva, "lr")):
        assert client.setacl("Work", who, rights)[0] == "OK"
    (tmp_path / "names").write_text(f"# old new\n{bob} {bob}\n")
    for _ in range(2):
        done = copy(old, new, tmp_path, "--acl", str(tmp_path / "names"))
        [told] = [e for e in done.exceptions if e["code"] == "E-ACL" and e["folder"] == "Work"]
        assert done.status == 1 and f"{eva} lr: the file of names has no line for it" in told["error"], done.log
        given = new.imap(ann).getacl("Work")[1][0].decode().split()[1:]
        rights = dict(zip(given[::2], given[1::2]))
        assert set(rights[bob]) == set("lrs") and eva not in rights, given


@pytest.mark.parametrize("back", [False, True])
def test_annotations(back, dovecot, cyrus, tmp_path):
    """They come along, those of the whole mailbox too; what has another value on the target stays, and is named."""
    ann = "ann@example.org"
    old, new = dovecot("one", conf=ANNOTATIONS), cyrus("other")
    old, new = (new, old) if back else (old, new)
    here, there = old.imap(ann), new.imap(ann)
    fill(here, {"Work": [Mail(message("w"))], "Play": []})
    there.create("Play")
    values = {('""', "/private/comment"): "all", ("INBOX", "/private/comment"): "of INBOX",
              ("Work", "/private/comment"): 'a "quoted" \\ one', ("Work", "/shared/comment"): "one\r\ntwo"}
    for (name, entry), value in values.items():
        assert here.xatom("SETMETADATA", name, f"({entry} {{{len(value)}+}}\r\n{value})")[0] == "OK"
    for client, value in ((here, "mine"), (there, "theirs")):
        assert client.xatom("SETMETADATA", "Play", f'(/private/comment "{value}")')[0] == "OK"
    for _ in range(2):
        done = copy(old, new, tmp_path)
        [told] = done.exceptions
        assert (told["code"], told["folder"], done.status) == ("E-METADATA", "Play", 1), done.log
        assert told["error"] == "/private/comment: the target has another value, which stays", told
        assert {key: annotation(there, *key) for key in values} == values
        assert annotation(there, "Play", "/private/comment") == "theirs"
    assert there.xatom("SETMETADATA", "Play", '(/private/comment "mine")')[0] == "OK"
    assert copy(old, new, tmp_path).status == 0


def test_annotations_that_are_refused(tmp_path):
    """Each costs itself; a target without METADATA costs those that there are, and a source that tells none one item."""
    told = {b"Work": b'"/private/comment" "a" "/private/vendor/x" "b"', b"WORK": b'"/shared/vendor/cmu/size" "0" "/shared/comment" NIL'}
    capabilities = CAPABILITIES + b" METADATA"

    def getting(server, tag, line):
        found = told.get(re.search(rb'16384\) "([^"]*)"', line)[1])
        return (b"* METADATA " + named_last(line) + b" (" + found + b")\r\n" if found else b"") + b"{tag} OK done\r\n"

    def named_last(line):
        return re.search(rb'16384\) ("[^"]*")', line)[1]

    def setting(server, tag, line):
        return b"{tag} NO [METADATA TOOMANY] no\r\n" if b"vendor" in line else b"{tag} OK done\r\n"

    def items(status, *expected, **script):
        with source() as here, Refusing() as there:
            here.capabilities = there.capabilities = capabilities
            here.script["GETMETADATA"] = getting
            there.script.update(SETMETADATA=setting)
            for side, part in script.items():
                (here if side == "source" else there).__dict__.update(part)
            shutil.rmtree(tmp_path / "state", ignore_errors=True)
            done = go(here, there, tmp_path)
            found = [(e["folder"], e["error"]) for e in done.exceptions if e["code"] == "E-METADATA"]
            assert found == list(expected) and done.status == status, (found, done.log)
            return here, there

    here, there = items(1, ("Work", "/private/vendor/x: TOOMANY: the server says: [METADATA] no"))
    assert here.received.count(b"GETMETADATA") == len(NAMES) + 1 and there.received.count(b"GETMETADATA") == 1
    assert there.received.count(b"SETMETADATA") == 2
    items(1, ("Work", "/private/comment: the target has no annotations (METADATA); "
              "/private/vendor/x: the target has no annotations (METADATA)"), target={"capabilities": CAPABILITIES})
    items(1, ("INBOX", "annotations: the server says: no"), source={"script": dict(source().script, GETMETADATA=b"{tag} NO no\r\n")})
    items(0, source={"capabilities": CAPABILITIES})


def test_rights_that_are_refused(tmp_path):
    """Each costs itself: who, which, and what the server says."""
    capabilities = CAPABILITIES + b" ACL RIGHTS=texk"
    (tmp_path / "names").write_text("bob robert\neva eva\n")
    with FakeImap([message("w")], {"GETACL": b"* ACL INBOX ann@example.org lrswipkxtea bob lrs eva lr\r\n{tag} OK done\r\n"},
                  capabilities) as here, FakeImap([], capabilities=capabilities) as there:
        there.script["SETACL"] = lambda server, tag, line: b"{tag} NO [NOPERM] nobody here\r\n" if b"robert" in line else b"{tag} OK done\r\n"
        for _ in range(2):
            done = go(here, there, tmp_path, "--acl", str(tmp_path / "names"))
            [told] = done.exceptions
            assert (told["code"], told["folder"], done.status) == ("E-ACL", "INBOX", 1), done.log
            assert told["error"] == "bob lrs: the server says: [NOPERM] nobody here", told
        assert there.received.count(b'SETACL "INBOX" "eva" "lr"') == 2
