# SPDX-License-Identifier: ISC
"""Round trips and octets of a pass, counted: in turns, by what is asked before it is waited for, and by its commands."""
import pytest
from lib.lockstep import Lockstep
from lib.mailbox import Mail, argv, fill, look, message, run, same
from lib.measure import put_in_maildir
from lib.proxy import Proxy

ANN = "ann@example.org"
FOLDERS = 128  # of one window of the copy


@pytest.fixture
def pair(dovecot):
    made = Proxy(dovecot("old")), Proxy(dovecot("new"))
    yield made
    for server in made:
        server.close()


@pytest.fixture
def turns(dovecot):
    made = Lockstep(dovecot("old"), dovecot("new"))
    yield made
    made.close()


def spec(folders, text):
    return {"INBOX" if i == 0 else f"F{i}": [Mail(message(f"{text}{i}"))] for i in range(folders)}


def test_nothing_new(pair, tmp_path):
    """Sign in, list, say goodbye: the same commands for one folder and for many."""
    old, new = pair
    line = argv(old, new, tmp_path, "--settle=0s")
    for folders in (1, FOLDERS):
        fill(old.imap(ANN), spec(folders, f"{folders} "))
        assert run(line).status == 0
        assert run(line).status == 0  # a folder that was just filled is looked at once more
        for server in pair:
            server.forget()
        done = run(line)
        assert (done.status, done.messages_copied) == (0, 0)
        for server in pair:
            words = [said.split()[0] for said in server.commands]
            assert words == [b"AUTHENTICATE", b"ID", b"ENABLE", b"ENABLE", b"NAMESPACE", b"LIST", b"LOGOUT"], server.commands


def test_new_folders(pair, tmp_path):
    """As many are made at once as the pipeline has room for, and all messages are on their way before the first is answered."""
    old, new = pair
    fill(old.imap(ANN), spec(FOLDERS, "a"))
    new.hold(rb"CREATE ", 80)  # three commands for each
    old.hold(rb"UID FETCH \d+ \(UID BODY", FOLDERS)
    done = run(argv(old, new, tmp_path))
    assert (done.status, done.messages_copied) == (0, FOLDERS), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_changed_folders(pair, tmp_path):
    old, new = pair
    line = argv(old, new, tmp_path, "--settle=0s")
    fill(old.imap(ANN), spec(FOLDERS, "a"))
    assert run(line).status == 0
    client = old.imap(ANN)
    for folder, [mail] in spec(FOLDERS, "b").items():
        client.append(folder, None, mail.date, mail.data)
    for server in pair:
        server.forget()
    old.hold(rb"EXAMINE ", FOLDERS)
    new.hold(rb"APPEND ", FOLDERS)
    done = run(line)
    assert (done.status, done.messages_copied) == (0, FOLDERS), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_appends_of_small_messages(pair, dovecot, tmp_path):
    """A MULTIAPPEND costs the server work that grows with the folder: they are few."""
    old, new = pair
    put_in_maildir(old, ANN, 6500)
    done = run(argv(old, new, tmp_path))
    assert (done.status, done.messages_copied) == (0, 6500), done.log
    assert new.count(rb"APPEND ") <= 5  # the first of them before it is known that all are small


# --- Turns: what is to be reached is in docs/benchmarks.md -----------------------------------------------------------------


def put_folders(server, folders, count=1, first=0):
    names = [f"F{i}" for i in range(1, folders)]
    for name in ["", *names]:
        put_in_maildir(server, ANN, count, name, first)
    server.write(f"var/mail/{ANN}/Maildir/subscriptions", "".join(f"{name}\n" for name in names), user="vmail")


def copied(turns, tmp_path):
    """A mailbox that was copied, and looked at once more, as a folder that was just filled is."""
    line = argv(*turns.servers, tmp_path, "--settle=0s")
    for _ in range(2):
        assert turns.through(line).status == 0
    return line


@pytest.mark.parametrize("folders", (1, 300))
def test_turns_of_nothing_new(turns, tmp_path, folders):
    put_folders(turns.servers[0], folders)
    done, trips = turns.run(copied(turns, tmp_path))
    assert (done.status, done.messages_copied) == (0, 0), done.log
    assert trips <= 5


def test_turns_of_100_changed_folders(turns, tmp_path):
    put_folders(turns.servers[0], 100)
    line = copied(turns, tmp_path)
    put_folders(turns.servers[0], 100, first=1)
    done, trips = turns.run(line)
    assert (done.status, done.messages_copied) == (0, 100), done.log
    assert trips <= 15


def test_turns_of_all_kinds_of_changes_in_100_folders(turns, tmp_path):
    """They go together, whatever is changed and wherever."""
    old, new = turns.servers
    put_folders(old, 100, count=3)
    line = copied(turns, tmp_path)
    client = old.imap(ANN)
    for i in range(1, 100):
        client.select(f"F{i}")
        client.uid("STORE", "1", "+FLAGS.SILENT", "(\\Flagged)")
        if i <= 50:  # more in one pass would be withheld
            client.uid("STORE", "2", "+FLAGS.SILENT", "(\\Deleted)")
            client.uid("EXPUNGE", "2")
    put_folders(old, 100, first=3)
    done, trips = turns.run(line)
    assert (done.status, done.messages_copied, done.messages_deleted) == (0, 100, 50), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    assert trips <= 12


def test_turns_of_1000_new_folders(turns, tmp_path):
    put_folders(turns.servers[0], 1000)
    done, trips = turns.run(argv(*turns.servers, tmp_path, "--settle=0s"))
    assert (done.status, done.messages_copied) == (0, 1000), done.log
    assert trips <= 60


def test_turns_of_a_large_folder(turns, tmp_path):
    """How many messages are in it besides makes no difference, nor that some of those that are moved got flags as well."""
    old, new = turns.servers
    put_in_maildir(old, ANN, 4000)
    line = copied(turns, tmp_path)
    client = old.imap(ANN)
    client.create("Moved")
    client.select("INBOX")
    client.uid("STORE", "1:950,2001:2050", "+FLAGS.SILENT", "(\\Flagged)")
    client.uid("MOVE", "2001:2100", "Moved")
    client.uid("STORE", "3951:4000", "+FLAGS.SILENT", "(\\Deleted)")
    client.uid("EXPUNGE", "3951:4000")
    put_in_maildir(old, ANN, 100, first=4000)
    done, trips = turns.run(line)
    assert (done.status, done.messages_copied, done.messages_moved, done.messages_deleted) == (0, 100, 100, 50), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    assert trips <= 12


# --- Octets ----------------------------------------------------------------------------------------------------------------


def test_a_delta_fetches_only_what_is_new(pair, tmp_path):
    """Neither the bodies nor the list of what was there come over the line again, from either side.

    The flags that the target has are looked at by the first pass behind the one that has copied everything.
    """
    old, new = pair
    put_in_maildir(old, ANN, 3000)
    line = argv(old, new, tmp_path, "--settle=0s")
    assert run(line).status == 0
    client = old.imap(ANN)
    client.append("INBOX", None, None, message("one more"))
    assert run(line).messages_copied == 1
    client.select("INBOX")
    client.uid("STORE", "100:104", "+FLAGS.SILENT", "(\\Flagged)")
    bodies = [message(f"new {i}", "x" * 5000 + "\r\n") for i in range(10)]
    for body in bodies:
        client.append("INBOX", None, None, body)
    for server in pair:
        server.forget()
    done = run(line)
    assert (done.status, done.messages_copied) == (0, 10), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))
    new_octets = sum(map(len, bodies))
    assert new_octets < old.heard < new_octets + 8192
    assert new.heard < 8192
    assert new.count(rb"APPEND ") == 1 and new.count(rb"UID FETCH \d+:\*") <= 1
