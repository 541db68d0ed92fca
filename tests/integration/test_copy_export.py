# SPDX-License-Identifier: ISC
"""coexist-sync export and import: a mailbox into files that other programs read, the proof that all of it is there, and back."""
import email
import mailbox
import shutil

import pytest
from lib.mailbox import ROOT, Mail, fill, look, message, run, same, sample, to_wire

ANN = "ann@example.org"


@pytest.fixture
def old(dovecot):
    return dovecot("old")


@pytest.fixture
def new(dovecot):
    return dovecot("new")


def command(word, server, path, folder, *more):
    """export from a server or import into one, with a journal in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    secret = folder / "password"
    secret.write_text(server.users[ANN] + "\n")
    secret.chmod(0o600)
    url = f"imap://ann%40example.org@127.0.0.1:{server.imap_port}/"
    side, ends = ("source", (url, path)) if word == "export" else ("target", (path, url))
    return run([str(ROOT / "build" / "asan" / "coexist-sync"), word, "--json", "--state", str(folder / "state"),
                f"--{side}-password-file", str(secret), *more, *map(str, ends)])



@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_export_proves_itself_and_is_imported(form, old, new, tmp_path):
    fill(old.imap(ANN), sample())
    path = tmp_path / "kept"
    first = command("export", old, path, tmp_path / "one", "--verify", "--format", form)
    assert first.status == 0, first.log
    assert first.messages_copied == 33 and first.verified["messages"] == 33
    shown = {f["folder"]: f["verified"]["messages"] for f in first.by_folder if "verified" in f}
    assert shown == {name: len(seen) for name, seen in ((n, s) for n, s in named(old).items())}
    assert all(f["verified"][what] == 0 for f in first.by_folder if f["folder"] in shown for what in ("missing", "different", "gone"))
    damage(path, form)
    second = command("export", old, path, tmp_path / "one", "--verify", "--format", form)
    assert second.status == 1, second.log
    assert [f["folder"] for f in second.by_folder if f.get("verified", {}).get("different")] == ["Entwürfe"]
    shutil.rmtree(path)
    assert command("export", old, path, tmp_path / "two", "--format", form).status == 0
    imported = command("import", new, path, tmp_path / "three", "--verify")
    assert imported.status == 0, imported.log
    assert imported.messages_copied == 33 and not any("verified" in f for f in imported.by_folder)
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def named(server):
    """Numbers of messages by the names that people see."""
    decode = {to_wire(name): name for name in sample()}
    return {decode.get(name, name): seen for name, seen in look(server.imap(ANN)).items() if name != "Projekte"}


def damage(path, form):
    wire = to_wire("Entwürfe")
    file = next((path / f".{wire}" / "cur").iterdir()) if form == "maildir" else path / wire
    octets = file.read_bytes()
    file.write_bytes(octets.replace(b"Subject: number", b"Subject: nuNber", 1))


def test_import_of_a_part_makes_no_duplicate(old, new, tmp_path):
    """What is on the server is found by its octets, without a journal too."""
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}", f"{i}\r\n")) for i in range(8)], "Work": [Mail(message("w"))]})
    path = tmp_path / "kept"
    assert command("export", old, path, tmp_path / "one").status == 0
    half = tmp_path / "half"
    shutil.copytree(path, half)
    for file in sorted((half / "cur").iterdir())[::2]:
        file.unlink()
    part = command("import", new, half, tmp_path / "two")
    assert (part.status, part.messages_copied) == (0, 5), part.log
    rest = command("import", new, path, tmp_path / "three")
    assert (rest.status, rest.messages_copied, rest.messages_adopted) == (0, 4, 5), rest.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    again = command("import", new, path, tmp_path / "four")
    assert (again.status, again.messages_copied, again.messages_adopted) == (0, 0, 9), again.log


def test_python_reads_what_was_exported(old, tmp_path):
    odd = message("odd", "From here on it rains.\r\n>From there too.\r\n", "Status: RO\r\n")
    fill(old.imap(ANN), {"INBOX": [Mail(message("one", "1\r\n"), ("\\Seen", "\\Answered", "Word")), Mail(odd, ("\\Flagged",), '"17-Jul-1996 02:44:25 -0700"')],
                         "Work.Deep": [Mail(message("deep", "no end"), ("\\Draft", "\\Seen"))]})
    kept, boxes = tmp_path / "maildir", tmp_path / "mbox"
    assert command("export", old, kept, tmp_path / "one").status == 0
    assert command("export", old, boxes, tmp_path / "two", "--format=mbox").status == 0
    box = mailbox.Maildir(kept, create=False)
    found = sorted((m["Subject"], "".join(sorted(m.get_flags())), m.get_date()) for m in box)
    assert [(s, f) for s, f, _ in found] == [("odd", "F"), ("one", "RSa")] and found[0][2] == 837596665
    assert box.list_folders() == ["Work.Deep"]
    assert [m.get_flags() for m in box.get_folder("Work.Deep")] == ["DS"]
    assert any(octets.read_bytes() == odd for octets in (kept / "cur").iterdir())
    # The class has letters of its own: R read, O old, D deleted, F flagged, A answered.
    box = mailbox.mbox(boxes / "inbox", create=False)
    found = {m["Subject"]: m for m in box}
    assert set(found) == {"one", "odd"} and set(found["one"].get_flags()) == set("ROA") and set(found["odd"].get_flags()) == set("OF")
    assert found["one"]["X-Keywords"].split() == ["Word"] and "Wed Jul 17 09:44:25 1996" in found["odd"].get_from()
    assert found["odd"].get_payload() == ">From here on it rains.\n>>From there too.\n"
    assert email.message_from_bytes(odd)["Status"] == found["odd"][">Status"] == "RO"
    assert [m["Subject"] for m in mailbox.mbox(boxes / "Work" / "Deep", create=False)] == ["deep"]


def test_what_python_wrote_is_imported(new, tmp_path):
    path = tmp_path / "theirs"
    path.mkdir()
    (path / "inbox").touch()
    box = mailbox.mbox(path / "Old", create=True)
    for i in range(3):
        m = mailbox.mboxMessage(message(f"m{i}", f"From {i}\n").replace(b"\r\n", b"\n"))
        m.set_flags("ROF"[:i + 1])
        m.set_from("ann@example.org", (2026, 11, 26, 10, i, 0, 3, 330, 0))
        box.add(m)
    box.flush()
    done = command("import", new, path, tmp_path / "one")
    assert (done.status, done.messages_copied) == (0, 3), done.log
    seen = look(new.imap(ANN))["Old"]
    assert [s.flags for s in seen] == [{"\\seen"}, {"\\seen"}, {"\\seen", "\\flagged"}]
    again = command("import", new, path, tmp_path / "one")
    assert (again.status, again.messages_copied, again.folders_unchanged) == (0, 0, again.folders), again.log
    # Somebody else appends, and takes one away: the others keep their UIDs.
    box.remove(0)
    box.add(mailbox.mboxMessage(b"Subject: late\n\nx\n"))
    box.flush()
    third = command("import", new, path, tmp_path / "one")
    assert (third.status, third.messages_copied, third.messages_deleted) == (0, 1, 1), third.log
