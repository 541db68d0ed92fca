# SPDX-License-Identifier: ISC
"""What a pass has found out is said and weighed by a cut-over as by a copy."""
import json
import subprocess

import pytest
from lib.cutover import ANN, argv, cutover, entry, imap_servers, status, store_logs, sync
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import Mail, expunge, fill, look, message, same
from lib.strace import only

CAT = "cat@example.org"


@pytest.fixture
def make(dovecot, site, tmp_path):
    """ann on old, cat on new; `old` and `new` may be scripted servers in place of the Dovecots."""
    def build(old=None, new=None, conf_new="", plain=False):
        made_old, made_new = dovecot("old"), dovecot("new", conf=conf_new)
        servers = imap_servers(tmp_path, old=made_old, new=made_new)
        for name, scripted in (("old", old), ("new", new)):
            if scripted:
                servers[name]["imap"] = f"imap://127.0.0.1:{scripted.imap_port}"
        made = site(servers, plain=plain)
        made.init({ANN: "old", CAT: "new"})
        made.old, made.new = made_old, made_new
        return made
    return build


def was_held(place, user=ANN):
    return any(c["new"] and c["new"]["state"] == "held" for c in place.json("log", user))


def stop_before_the_flip(place):
    """A first attempt that copies everything there is and then cannot make one more folder."""
    stone = place.new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu"
    assert look(place.new.imap(ANN)) is not None
    fill(place.old.imap(ANN), {"Zu": [Mail(message("zu"))]})
    stone.write_text("")
    assert cutover(place).status == 73
    stone.unlink()


def tidy_up(place):
    """What users do between two attempts: empty the Trash, archive the INBOX.  That is no deletion: it is moved."""
    client = place.old.imap(ANN)
    client.create("Archive")
    client.select("INBOX")
    client.uid("COPY", "1:*", "Archive")
    expunge(client, "INBOX", "1:*")
    expunge(client, "Trash", "1:*")


def mails(prefix, count):
    return [Mail(message(f"{prefix}{i}")) for i in range(count)]


# --- Withheld deletions ---------------------------------------------------------------------------

def withheld(place):
    fill(place.old.imap(ANN), {"INBOX": mails("m", 60), "Trash": mails("t", 60)})
    stop_before_the_flip(place)
    tidy_up(place)
    done = cutover(place)
    assert done.status == 65 and "E-WITHHELD" in done.log, done.log
    assert "--delete-percent=100" in done.log and "--delete-percent=0" in done.log
    # Nobody has waited for that, and nothing is decided.
    assert entry(place)["route"] == "old" and not was_held(place)
    record = status(place)[ANN]
    assert record["report"]["deletions_withheld"] == 60 and "E-WITHHELD" in record["error"]
    assert {e["folder"] for e in record["report"]["exceptions"]} == {"Trash"}
    assert record["report"]["messages_moved"] == 60


def test_carried_out_when_somebody_says_so(make):
    place = make()
    withheld(place)
    done = cutover(place, ANN, "--delete-percent=100")
    assert done.status == 0, done.log
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))
    assert status(place)[ANN]["report"]["messages_deleted"] == 60


def test_kept_when_somebody_says_so_over_the_daemon(make):
    place = make()
    withheld(place)
    place.start("sync", args=("run",))
    done = cutover(place, ANN, "--delete-percent=0")
    assert done.status == 0, done.log
    there = {name: len(found) for name, found in look(place.new.imap(ANN)).items()}
    assert there == {"INBOX": 0, "Trash": 60, "Archive": 60, "Zu": 1}


@pytest.mark.parametrize("percent, work", [(100, 0), (0, 5)])
def test_a_folder_that_is_gone(make, percent, work):
    """Deleted, or hidden by rights, a name space, a server that is not whole: nobody can tell, so somebody has to say."""
    place = make()
    fill(place.old.imap(ANN), {"INBOX": mails("m", 5), "Work": mails("w", 5)})
    stop_before_the_flip(place)
    place.old.imap(ANN).delete("Work")
    done = cutover(place)
    assert done.status == 65 and "E-WITHHELD" in done.log and "does not list the folder" in done.log, done.log
    assert entry(place)["route"] == "old" and not was_held(place)
    assert status(place)[ANN]["report"]["deletions_withheld"] == 5
    assert cutover(place, ANN, f"--delete-percent={percent}").status == 0
    there = {name: len(found) for name, found in look(place.new.imap(ANN)).items()}
    assert there["INBOX"] == 5 and there.get("Work", 0) == work


def test_a_target_that_cannot_delete(make):
    place = make(conf_new="imap_capability = IMAP4rev1 SASL-IR LITERAL+ LIST-EXTENDED LIST-STATUS\n")
    fill(place.old.imap(ANN), {"INBOX": mails("m", 5)})
    stop_before_the_flip(place)
    expunge(place.old.imap(ANN), "INBOX", "2:3")
    for _ in range(2):
        done = cutover(place)
        assert done.status == 65 and "E-WITHHELD" in done.log and "UIDPLUS" in done.log, done.log
        assert entry(place)["route"] == "old" and not was_held(place)
    assert cutover(place, ANN, "--delete-percent=0").status == 0


# --- Filters --------------------------------------------------------------------------------------

@pytest.mark.parametrize("way", ["lifted", "accepted"])
def test_a_filter_keeps_a_user_on_old(make, way):
    """What it leaves out is copied when it is gone, or stays on old for good when somebody has accepted that."""
    place = make()
    fill(place.old.imap(ANN), {"INBOX": mails("m", 4), "Large": [Mail(message("l", "x" * 3000 + "\r\n"))]})
    conf = place.conf.read_text()
    place.conf.write_text(conf + 'sync { message_max_size = "2k" }\n')
    for _ in range(2):
        done = cutover(place)
        assert done.status == 65 and "E-FILTERED" in done.log and "1 message is not copied" in done.log, done.log
        assert entry(place)["route"] == "old" and not was_held(place)
    assert {name: len(found) for name, found in look(place.new.imap(ANN)).items()} == {"INBOX": 4, "Large": 0}
    if way == "lifted":
        place.conf.write_text(conf)
    else:
        assert sync(place, "accept", "--why=not worth it", "--code=E-FILTERED", ANN).returncode == 0
    done = cutover(place)
    assert done.status == 0 and done.line("done"), done.log
    # Late mail comes whatever it is like; and what was left out stays out.
    fill(place.old.imap(ANN), {"Large": [Mail(message("late", "y" * 3000 + "\r\n"))]})
    assert cutover(place).status == 0
    there = {name: len(found) for name, found in look(place.new.imap(ANN)).items()}
    assert there == {"INBOX": 4, "Large": 2 if way == "lifted" else 1}


# --- Other findings -----------------------------------------------------------------------------

def test_a_short_listing(make):
    """EXISTS 250, and 100 of them listed: what is not known cannot be moved."""
    def fetch(server, tag, line):
        return b"".join(b'* %d FETCH (UID %d FLAGS () INTERNALDATE "02-Nov-2026 09:00:00 +0000")\r\n' % (u, u)
                        for u in server.asked(line) if u <= 100) + tag + b" OK [MESSAGELIMIT 100] that is all\r\n"
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(250)], {"FETCH": fetch}) as source:
        place = make(old=source)
        done = cutover(place)
        assert done.status == 65 and "lists fewer messages than it counts" in done.log, done.log
        assert entry(place)["route"] == "old" and not was_held(place)
        assert status(place)[ANN]["report"]["folders_short"] == 1


def test_mail_that_is_only_where_all_is_shown(make):
    """Archived mail of a source like Gmail comes along."""
    mail = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(4)]
    boxes = {b"INBOX": mail[:1], b"Label": mail[:1], b"All": mail[:2]}

    class ShowsAll(FakeImap):
        def stored(self, folder):
            return boxes.get(folder, [])

    def status_of(server, tag, line):
        name = line.split()[2].strip(b'"')
        n = len(server.stored(name))
        last = server.last[name] = max(server.last.get(name, 0), n)
        return b"* STATUS %s (MESSAGES %d UIDNEXT %d UIDVALIDITY 7)\r\n{tag} OK done\r\n" % (name, n, last + 1)
    listing = b'* LIST () "/" INBOX\r\n* LIST () "/" Label\r\n* LIST (\\All) "/" All\r\n{tag} OK done\r\n'

    def there():
        return {name: len(found) for name, found in look(place.new.imap(ANN)).items()}
    with ShowsAll([], {"LIST": listing, "STATUS": status_of}) as source:
        place = make(old=source)
        done = cutover(place)
        assert done.status == 0 and entry(place)["route"] == "new", done.log
        assert status(place)[ANN]["report"]["messages_copied"] == 3
        assert there() == {"INBOX": 1, "Label": 1, "Archive": 1}
        # Late mail: one that a filter archives at once, one in INBOX; and then its user archives that there.
        boxes[b"INBOX"] += mail[3:]
        boxes[b"All"] += mail[2:]
        done = cutover(place)
        assert done.status == 0 and there() == {"INBOX": 2, "Label": 1, "Archive": 2}, (done.log, there())
        boxes[b"INBOX"].pop()
        done = cutover(place)
        assert done.status == 0 and there() == {"INBOX": 2, "Label": 1, "Archive": 2}, done.log


def test_messages_without_their_keywords(make):
    """Flipped, and somebody has to know: a status of its own, until it is accepted."""
    def fetch(server, tag, line):
        return b"".join(b'* %d FETCH (UID %d FLAGS (Work) INTERNALDATE "02-Nov-2026 09:00:00 +0000")\r\n' % (u, u)
                        for u in server.asked(line)) + tag + b" OK done\r\n"

    def append(server, tag, line):
        if b"Work" in line:
            return tag + b" NO no keywords here\r\n"
        first = len(server.messages) + 1
        server.messages += server.literals
        return tag + b" OK [APPENDUID 9 %d:%d] done\r\n" % (first, len(server.messages))
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(3)], {"FETCH": fetch}) as source, \
            FakeImap([], {"APPEND": append}) as target:
        target.uidvalidity = 9
        place = make(old=source, new=target)
        done = cutover(place)
        assert done.status == 1 and "3 messages were stored without their keywords" in done.log, done.log
        assert entry(place)["route"] == "new"
        assert status(place)[ANN]["report"]["messages_reduced"] == 3
        assert [line["report"]["messages_reduced"] for line in done.lines if "report" in line][-1] == 3
        again = cutover(place)
        assert again.status == 1 and "3 items of class changed are open; first INBOX" in again.log, again.log
        assert sync(place, "accept", "--code=E-FLAG", "--why=nobody needs them", ANN).stdout == "3 items accepted\n"
        again = cutover(place)
        assert again.status == 0, again.log


def test_a_refused_message_stops_the_hold_until_it_is_accepted(make):
    def append(server, tag, line):
        if any(b"Subject: 1" in m for m in server.literals):
            return tag + b" NO [CANNOT] this one never\r\n"
        first = len(server.messages) + 1
        server.messages += server.literals
        return tag + b" OK [APPENDUID 9 %d:%d] done\r\n" % (first, len(server.messages))
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(3)]) as source, FakeImap([], {"APPEND": append}) as target:
        target.uidvalidity = 9
        place = make(old=source, new=target)
        for _ in range(2):
            done = cutover(place)
            assert done.status == 65 and "E-REFUSED" in done.log and "this one never" in done.log, done.log
            assert entry(place)["route"] == "old" and len(target.messages) == 2
        shown = sync(place, "items", ANN)
        assert shown.returncode == 1 and "E-REFUSED" in shown.stdout and "UID 2" in shown.stdout, shown
        assert sync(place, "accept", "--folder=INBOX", "--uid=2", "--why=spam", ANN).returncode == 0
        done = cutover(place)
        assert done.status == 0 and entry(place)["route"] == "new" and len(target.messages) == 2, done.log
        [item] = json.loads(sync(place, "items", "--json", "--all").stdout)
        assert (item["user"], item["state"], item["source"]) == (ANN, "accepted", item["source"])


@pytest.mark.parametrize("with_daemon", [False, True])
def test_a_folder_name_that_is_no_text(make, with_daemon):
    def of_folder(name, otherwise):
        def answer(server, tag, line):
            if b"INBOX" in line:
                return server._ordinary(name, tag, line).replace(b"{tag}", tag)
            return otherwise.replace(b"{tag}", tag)
        return answer
    script = {"LIST": b'* LIST () "/" INBOX\r\n* LIST () "/" "B\xe4d\xc2\x9b"\r\n{tag} OK done\r\n',
              "EXAMINE": of_folder("EXAMINE", b"{tag} NO you may not \xff\r\n"),
              "STATUS": of_folder("STATUS", b'* STATUS "B\xe4d\xc2\x9b" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 7)\r\n{tag} OK done\r\n')}
    with FakeImap([b"Subject: x\r\n\r\n"], script) as source:
        place = make(old=source)
        if with_daemon:
            place.start("sync", args=("run",))
        done = cutover(place)
        assert done.status == 73, done.log
        assert [e["exception"]["folder"] for e in done.lines if "exception" in e] == ["B?d??"]
        assert status(place)[ANN]["report"]["folders_failed"] == 1


# --- Where to ---------------------------------------------------------------------------------------

def test_nobody_moves_back_by_accident(make):
    """cat is on new without a record: put there by hand, or the records were lost."""
    place = make()
    fill(place.new.imap(CAT), {"INBOX": mails("m", 1)})
    done = cutover(place, CAT)
    assert done.status == 64 and "--to" in done.log, done.log
    assert entry(place, CAT)["route"] == "new" and CAT not in status(place)
    # Who says so means it, and need not say it twice.
    assert cutover(place, CAT, "--to=mars").status == 78
    place.servers["old"]["imap_user"] = "nobody"
    place.write_conf()
    assert cutover(place, CAT, "--to=old").status == 77
    place.servers["old"]["imap_user"] = "master"
    place.write_conf()
    assert cutover(place, CAT).status == 0
    assert entry(place, CAT)["route"] == "old"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_one_mailbox_as_both(make, host, tmp_path):
    place = make()
    fill(place.old.imap(ANN), {"INBOX": mails("m", 2)})
    place.servers["new"]["imap"] = f"imap://{host}:{place.old.imap_port}"
    place.write_conf()
    done = cutover(place)
    assert done.status == 78 and "the same mailbox" in done.log, done.log
    secret = tmp_path / "ann.password"
    secret.write_text("ann-secret\n")
    secret.chmod(0o600)
    url = "imap://{}@{}:%d/" % place.old.imap_port
    copy = subprocess.run([*argv(place, "copy", "--json", f"--state={tmp_path}", f"--source-password-file={secret}",
                                 f"--target-password-file={secret}"), url.format("ann%40example.org", "127.0.0.1"),
                           url.format("ANN@example.org", host)], capture_output=True, text=True, check=False)
    assert copy.returncode == 64 and "the same mailbox" in copy.stderr, copy.stderr
    assert len(look(place.old.imap(ANN))["INBOX"]) == 2


# --- A disk that is full -------------------------------------------------------------------------------

def test_the_record_cannot_be_written(make, tmp_path):
    """From one write on, another one each time: whoever is held by then is let go, and the error says why."""
    place = make(plain=True)
    fill(place.old.imap(ANN), {"INBOX": mails("m", 3)})
    stop_before_the_flip(place)
    released = 0
    for write in range(1, 60):
        done = cutover(place, before=("strace", "-f", "-o", str(tmp_path / "trace"), "-e", "trace=fdatasync",
                                      "-e", f"inject=fdatasync:error=ENOSPC:when={write}+", *only(store_logs(place))))
        now = entry(place)
        assert now["state"] == "active", done.log
        if now["route"] == "new":
            break
        assert done.status == 75 and "No space left on device" in done.log, done.log
        if "holding" in done.states:
            released += 1
            assert any("stays on old" in line["text"] and "No space left" in line["text"] for line in done.lines)
    assert released >= 3 and now["route"] == "new"
    again = cutover(place)
    assert again.status == 0, again.log
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))
