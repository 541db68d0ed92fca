# SPDX-License-Identifier: ISC
"""Round trips, counted by what is asked before it is waited for, and the commands of a pass."""
import pytest
from lib.mailbox import Mail, argv, fill, look, message, run, same
from lib.measure import put_in_maildir
from lib.wiretap import Wiretap

ANN = "ann@example.org"
FOLDERS = 128  # of one window of the copy


@pytest.fixture
def taps(dovecot):
    made = [Wiretap(dovecot("old")), Wiretap(dovecot("new"))]
    yield made
    for tap in made:
        tap.close()


def spec(folders, text):
    return {"INBOX" if i == 0 else f"F{i}": [Mail(message(f"{text}{i}"))] for i in range(folders)}


def test_nothing_new(taps, tmp_path):
    """Sign in, list, say goodbye: the same commands for one folder and for many."""
    old, new = (t.server for t in taps)
    line = argv(old, new, tmp_path, "--settle=0s")
    for folders in (1, FOLDERS):
        fill(old.imap(ANN), spec(folders, f"{folders} "))
        assert run(line).status == 0
        assert run(line).status == 0  # a folder that was just filled is looked at once more
        for tap in taps:
            tap.forget()
        done = run(line)
        assert (done.status, done.messages_copied) == (0, 0)
        for tap in taps:
            words = [said.split()[1] for said in tap.said.splitlines()]
            assert words == [b"AUTHENTICATE", b"ENABLE", b"ENABLE", b"NAMESPACE", b"LIST", b"LOGOUT"], tap.said


def test_new_folders(taps, tmp_path):
    """As many are made at once as the pipeline has room for, and all messages are on their way before the first is answered."""
    old, new = (t.server for t in taps)
    fill(old.imap(ANN), spec(FOLDERS, "a"))
    taps[1].hold(rb"CREATE ", 80)  # three commands for each
    taps[0].hold(rb"UID FETCH \d+ \(UID BODY", FOLDERS)
    done = run(argv(old, new, tmp_path))
    assert (done.status, done.messages_copied) == (0, FOLDERS), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_changed_folders(taps, tmp_path):
    old, new = (t.server for t in taps)
    line = argv(old, new, tmp_path, "--settle=0s")
    fill(old.imap(ANN), spec(FOLDERS, "a"))
    assert run(line).status == 0
    client = old.imap(ANN)
    for folder, [mail] in spec(FOLDERS, "b").items():
        client.append(folder, None, mail.date, mail.data)
    for tap in taps:
        tap.forget()
    taps[0].hold(rb"EXAMINE ", FOLDERS)
    taps[1].hold(rb"APPEND ", FOLDERS)
    done = run(line)
    assert (done.status, done.messages_copied) == (0, FOLDERS), done.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_appends_of_small_messages(taps, dovecot, tmp_path):
    """A MULTIAPPEND costs the server work that grows with the folder: they are few."""
    old, new = (t.server for t in taps)
    put_in_maildir(old, ANN, 2500)
    done = run(argv(old, new, tmp_path))
    assert (done.status, done.messages_copied) == (0, 2500), done.log
    assert taps[1].count(rb"APPEND ") <= 4
