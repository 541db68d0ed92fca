# SPDX-License-Identifier: ISC
"""A cut-over that cannot be finished: the user stays on old, the reason is named, and trying again works."""
import json
import os
import signal
import subprocess
import threading
import time

import pytest
from lib import smtp
from lib.cutover import ANN, argv, cutover, entry, imap_servers, status, sync
from lib.fakeimap import SILENT, FakeImap
from lib.mailbox import Mail, expunge, fill, look, message, same, to_wire
from lib.proxy import Proxy
from lib.wait import wait_for


@pytest.fixture
def make(dovecot, site, tmp_path):
    """A site of two Dovecots with ann on old; `smtp` replaces old's door for mail."""
    def build(settings=None, conf_new="", script=None, scripted=None, plain=False):
        old, new = dovecot("old"), dovecot("new", conf=conf_new)
        servers = imap_servers(tmp_path, old=old, new=new)
        made_target = None
        if script is not None:
            made_target = scripted(script, lmtp=True)
            servers["old"]["smtp"] = f"lmtp://127.0.0.1:{made_target.port}"
        made = site(servers, settings=settings, plain=plain)
        made.init({ANN: "old"})
        made.old, made.new, made.target = old, new, made_target
        return made
    return build


def is_on_old(place, user=ANN):
    e = entry(place, user)
    return (e["route"], e["state"]) == ("old", "active")


def was_held(place):
    return any(c["new"] and c["new"]["state"] == "held" for c in place.json("log", ANN))


# --- Before the hold ------------------------------------------------------------------------------

@pytest.mark.parametrize("side", ["old", "new"])
def test_wrong_password(make, tmp_path, side):
    place = make()
    (tmp_path / f"{side}.password").write_text("not-the-password\n")
    done = cutover(place)
    assert done.status == 77 and f"{side}: cannot sign in" in done.log, done.log
    assert "not-the-password" not in done.log
    assert is_on_old(place) and not was_held(place)
    record = status(place)[ANN]
    assert (record["state"], record["error_code"]) == ("prepared", 77) and "cannot sign in" in record["error"]
    (tmp_path / f"{side}.password").write_text("master-secret\n")
    assert cutover(place, ANN, "--accept=E-EMPTY").status == 0


def test_who_may_not_act_for_the_user(make, tmp_path):
    place = make()
    place.servers["new"]["imap_user"] = "bob@example.org"
    (tmp_path / "new.password").write_text("bob@example.org-secret\n")
    place.write_conf()
    done = cutover(place)
    assert done.status == 77 and "new: cannot sign in" in done.log
    assert is_on_old(place) and not was_held(place)


def test_users_that_cannot_move(make):
    place = make()
    assert cutover(place, "nobody@example.org").status == 67
    assert cutover(place, "@example.org").status == 64
    assert cutover(place, ANN, "--to=mars").status == 78
    place.set("bob@example.org", "new")
    already = cutover(place, "bob@example.org", "--to=new")
    assert already.status == 65 and "is on new already" in already.log
    place.maptool("hold", ANN)
    held = cutover(place)
    assert held.status == 75 and "is held by" in held.log
    place.maptool("release", ANN)
    place.kill("mapd")
    assert sync(place, "status").returncode == 0
    nobody = cutover(place, timeout=8)
    assert nobody.status == 75 and "is coexist-mapd running?" in nobody.log
    assert cutover(place, command="rollback").status == 67


def test_a_folder_that_cannot_be_created(make):
    place = make()
    old, new = place.old, place.new
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))], "Zu": [Mail(message("two"))], "Offen": [Mail(message("three"))]})
    assert look(new.imap(ANN))["INBOX"] == []
    stone = new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu"
    stone.write_text("")
    done = cutover(place)
    assert done.status == 73 and "Zu" in done.log, done.log
    # The rest has been copied, and nobody has waited for it.
    assert len(look(new.imap(ANN))["Offen"]) == 1
    assert is_on_old(place) and not was_held(place)
    stone.unlink()
    assert cutover(place).status == 0
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_a_message_that_the_target_refuses(dovecot, cyrus, site, tmp_path):
    old, new = dovecot("old"), cyrus("new", conf="maxmessagesize: 100000\n")
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    big = message("too big", "x" * 70 + "\r\n" * 60000)
    fill(old.imap(ANN), {"INBOX": [Mail(message("small")), Mail(big), Mail(message("last"))]})
    done = cutover(place)
    assert done.status == 65 and "UID 2" in done.log, done.log
    assert [line["exception"]["uid"] for line in done.lines if "exception" in line] == [2]
    assert is_on_old(place) and not was_held(place)
    assert len(look(new.imap(ANN), "/")["INBOX"]) == 2


def test_a_copy_that_was_altered_is_found(make):
    """Somebody deletes a copy on new before the flip: what is on old has to be on new."""
    place = make()
    old, new = place.old, place.new
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(5)]})
    place.servers["new"]["smtp"], good = "lmtp://127.0.0.1:1", place.servers["new"]["smtp"]
    assert cutover(place).status == 0
    place.maptool("set", "--force", "--why", "by hand", ANN, "route=old")
    client = new.imap(ANN)
    client.select("INBOX")
    client.uid("STORE", "3", "+FLAGS", "(\\Deleted)")
    client.uid("EXPUNGE", "3")
    done = cutover(place)
    assert done.status == 65 and "1 deleted there" in done.log
    assert is_on_old(place)
    assert good


# --- With a delivery under way ----------------------------------------------------------------------

class Pending(threading.Thread):
    """A message whose final dot the old server leaves unanswered."""

    def __init__(self, place):
        super().__init__(daemon=True)
        self.place, self.outcome = place, None
        self.start()
        assert place.target.reached("dot").wait(20)

    def run(self):
        self.outcome = smtp.send(self.place.relay_port, "w@example.net", ANN, smtp.message("pending"))


@pytest.fixture
def stuck(make, scripted):
    """ann's mail on old hangs at the final dot until `go` is set."""
    places = []

    def build(**settings):
        go = threading.Event()
        place = make(settings={"relay": {"hold_wait": "0ms", **settings.pop("relay", {})}, "sync": settings},
                     script={"dot": smtp.wait(go)}, scripted=scripted)
        place.go = go
        place.start("relay")
        fill(place.old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(3)]})
        places.append(place)
        return place
    yield build
    for place in places:
        place.go.set()


def with_patience(place):
    """What a test makes short for an attempt that has to fail is no bound for the one that has to succeed."""
    for name in ("barrier", "hold"):
        place.settings["sync"].pop(name, None)
    place.write_conf()
    return place


def wait_for_the_hold(place, state="draining"):
    """At once: some holds of these tests are short."""
    wait_for(lambda: status(place).get(ANN, {}).get("state") == state, 20, f"ann to be {state}")


def in_thread(function, *args, **kwargs):
    out = []
    thread = threading.Thread(target=lambda: out.append(function(*args, **kwargs)))
    thread.start()
    return lambda: (thread.join(), out[0])[1]


def test_the_barrier_times_out(stuck):
    place = stuck(barrier="300ms")
    pending = Pending(place)
    done = cutover(place)
    assert done.status == 75 and "barrier" in done.log
    assert done.states[-2:] == ["holding", "released"]
    assert is_on_old(place) and was_held(place)
    assert (status(place)[ANN]["state"], status(place)[ANN]["error_code"]) == ("released", 75)
    place.go.set()
    pending.join(20)
    assert pending.outcome.accepted == [ANN]
    assert cutover(with_patience(place)).status == 0


def test_a_stopped_worker_makes_the_flip_late_not_wrong(stuck):
    place = stuck(barrier="300ms")
    pending = Pending(place)
    workers = [int(p) for p in os.listdir("/proc") if p.isdigit() and parent(p) == place.pid("relay")]
    assert workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        place.go.set()
        done = cutover(place)
        assert done.status == 75 and "barrier" in done.log and is_on_old(place)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)
    pending.join(20)
    assert pending.outcome.accepted == [ANN]
    assert cutover(with_patience(place)).status == 0


def parent(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return int(file.read().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def test_the_hold_expires(stuck):
    place = stuck(hold="1s", barrier="10s")
    pending = Pending(place)
    done = cutover(place)
    assert done.status == 75 and is_on_old(place), done.log
    assert status(place)[ANN]["state"] == "released"
    place.go.set()
    pending.join(20)
    assert cutover(with_patience(place)).status == 0


def test_a_flip_without_its_hold_does_not_happen(stuck):
    place = stuck()
    pending = Pending(place)
    result = in_thread(cutover, place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "draining", 20, "the hold")
    place.maptool("release", ANN)
    place.go.set()
    done = result()
    pending.join(20)
    assert done.status == 75 and "is not held" in done.log, done.log
    assert is_on_old(place) and done.states[-1] == "released"


def test_deletions_are_withheld_while_mail_waits(stuck):
    place = stuck(barrier="30s")
    fill(place.old.imap(ANN), {"Trash": [Mail(message(f"t{i}")) for i in range(60)]})
    pending = Pending(place)
    result = in_thread(cutover, place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "draining", 20, "the hold")
    expunge(place.old.imap(ANN), "Trash", "1:*")
    place.go.set()
    done = result()
    pending.join(20)
    assert done.status == 65 and "E-WITHHELD" in done.log, done.log
    assert is_on_old(place) and done.states[-1] == "released"
    assert cutover(place, ANN, "--delete-percent=100").status == 0
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))


def test_an_answer_that_never_came(stuck):
    """kill -9 of the relay between dot and answer: flipped, but not done before the sweeps have looked."""
    place = stuck(relay={"dot_timeout": "5m"})
    Pending(place)
    place.kill("relay")
    done = cutover(place)
    assert done.status == 1, done.log
    assert done.line("draining")["ambiguous"] is True and done.states[-1] == "sweeping"
    assert entry(place)["route"] == "new"
    assert (status(place)[ANN]["state"], status(place)[ANN]["ambiguous"]) == ("sweeping", True)
    # Now old stores it after all.
    place.old.deliver(ANN, smtp.message("pending"))
    assert cutover(place).status == 1
    place.settings["relay"]["dot_timeout"] = "100ms"
    place.write_conf()
    wait_for(lambda: cutover(place).status == 0, 20, "the sweep behind the relay's patience")
    assert status(place)[ANN]["late"] == 1
    assert sum(b"<pending@" in m.data for m in place.new.messages(ANN)) == 1


def test_mapd_is_killed_while_mail_waits(stuck):
    place = stuck()
    pending = Pending(place)
    result = in_thread(cutover, place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "draining", 20, "the hold")
    place.kill("mapd")
    place.go.set()
    pending.join(20)
    place.start("mapd")
    done = result()
    assert done.status == 0, done.log
    assert entry(place)["route"] == "new"


def test_mapd_stays_away(stuck):
    """Nobody can be asked: the hold ends by its deadline, and the next run finds out."""
    place = stuck(hold="4s", barrier="30s")
    Pending(place)
    result = in_thread(cutover, place)
    wait_for_the_hold(place)
    place.kill("mapd")
    done = result()
    assert done.status == 75 and "nobody can say" in done.log
    assert status(place)[ANN]["state"] == "draining"
    place.go.set()
    place.start("mapd")
    wait_for(lambda: is_on_old(place), 20, "the deadline")
    again = cutover(with_patience(place))
    assert again.status == 0 and again.states[0] == "released", again.log


# --- A server that falls silent while mail waits --------------------------------------------------------

@pytest.fixture
def silent(make):
    """old answers nothing any more from the hold on; its own patience is a minute."""
    with FakeImap([b"Subject: %d\r\n\r\nx\r\n" % i for i in range(3)]) as source:
        def build(**settings):
            place = make(settings={"sync": {"imap_timeout": "60s", **settings}})
            place.servers["old"]["imap"] = f"imap://127.0.0.1:{source.imap_port}"
            place.write_conf()

            def answer(server, tag, line):
                if status(place).get(ANN, {}).get("state") in ("draining", "delta"):
                    return SILENT
                return b'* LIST () "/" INBOX\r\n' + tag + b" OK done\r\n"
            source.script["LIST"] = answer
            return place
        yield build
        source.script.pop("LIST")


def test_silence_costs_what_is_left_of_the_hold(silent):
    place = silent(delta_max="1s")
    began = time.monotonic()
    done = cutover(place, timeout=50)
    assert done.status == 75 and is_on_old(place) and done.states[-1] == "released", done.log
    assert time.monotonic() - began < 30


def test_a_rollback_does_not_wait_for_a_silent_server(silent):
    place = silent(delta_max="60s")
    place.start("sync", args=("run",))
    result = in_thread(cutover, place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "delta", 20, "the delta")
    began = time.monotonic()
    back = cutover(place, command="rollback")
    assert back.status == 0 and is_on_old(place), back.log
    assert time.monotonic() - began < 40     # delta_max and the patience with the server are a minute
    assert result().status == 75


def test_a_rollback_does_not_queue_behind_others(stuck):
    """One place for jobs, and somebody in it for as long as it takes."""
    place = stuck(barrier="30s", jobs_max=1)
    Pending(place)
    place.start("sync", args=("run",))
    result = in_thread(cutover, place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "draining", 20, "the hold")
    assert cutover(place, "bob@example.org", command="rollback", timeout=15).status == 67
    assert status(place)[ANN]["state"] == "draining"
    assert cutover(place, command="rollback", timeout=15).status == 0
    assert result().status == 75


def test_a_signal_does_not_wait_for_a_silent_server(silent):
    place = silent()
    process = start(place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "delta", 20, "the delta")
    process.terminate()
    assert process.wait(15) == 75
    assert is_on_old(place) and status(place)[ANN]["state"] == "released"


# --- Rollback --------------------------------------------------------------------------------------------

def test_rollback_after_a_kill(stuck):
    place = stuck(barrier="30s")
    Pending(place)
    process = start(place)
    wait_for_the_hold(place)
    busy = cutover(place, command="rollback")
    assert busy.status == 75 and "being worked on" in busy.log
    process.kill()
    process.wait()
    assert entry(place)["state"] == "held"
    back = cutover(place, command="rollback")
    assert back.status == 0 and back.states == ["released", "rolled-back"], back.log
    assert is_on_old(place) and status(place)[ANN]["state"] == "rolled-back"
    place.go.set()
    assert cutover(place).status == 0
    late = cutover(place, command="rollback")
    assert late.status == 69 and "no way back" in late.log
    assert entry(place)["route"] == "new"


def test_stopped_by_a_signal_while_mail_waits(stuck):
    place = stuck(barrier="30s")
    Pending(place)
    process = start(place)
    wait_for(lambda: status(place).get(ANN, {}).get("state") == "draining", 20, "the hold")
    process.terminate()
    assert process.wait(25) == 75
    assert is_on_old(place) and status(place)[ANN]["state"] == "released"
    place.go.set()
    assert cutover(place).status == 0


def test_stopped_by_a_signal_while_it_copies(make):
    place = make()
    old, new = place.old, place.new
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}", "x" * 70 + "\r\n" * 2000)) for i in range(800)]})
    # Nothing is answered from the first message on, so that the copy is not through before the signal.
    proxy, real = Proxy(new), place.servers["new"]["imap"]
    proxy.hold(rb"APPEND ", 1 << 20)
    place.servers["new"]["imap"] = f"imap://127.0.0.1:{proxy.imap_port}"
    place.write_conf()
    process = start(place)
    wait_for(lambda: any(new.maildir_files(ANN)), 20, "the first messages")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 75
    proxy.close()
    place.servers["new"]["imap"] = real
    place.write_conf()
    assert is_on_old(place) and status(place)[ANN]["state"] in ("copying", "synced")
    assert 0 < len(look(new.imap(ANN))["INBOX"])
    assert cutover(place).status == 0
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def start(place):
    return subprocess.Popen(argv(place, "cutover", ANN), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL, env=place.env())


def test_a_route_that_was_turned_back_by_hand(make):
    place = make()
    fill(place.old.imap(ANN), {"INBOX": [Mail(message("one"))], to_wire("Ä"): []})
    assert cutover(place).status == 0
    place.maptool("set", "--force", "--why", "by hand", ANN, "route=old")
    again = cutover(place)
    assert again.status == 0 and again.states[:2] == ["done", "prepared"], again.log
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))


def test_two_at_once(make):
    place = make()
    fill(place.old.imap(ANN), {"INBOX": [Mail(message(f"m{i}")) for i in range(100)]})
    one, two = in_thread(cutover, place), in_thread(cutover, place)
    outcomes = sorted([one().status, two().status])
    assert outcomes in ([0, 0], [0, 75])
    same(look(place.old.imap(ANN)), look(place.new.imap(ANN)))
