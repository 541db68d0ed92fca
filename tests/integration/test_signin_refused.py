# SPDX-License-Identifier: ISC
"""Who is refused is no nuisance: one try, an alarm, and the next try when somebody has changed something."""
from pathlib import Path

from lib.cutover import ANN, cutover, imap_servers, status
from lib.mailbox import Mail, fill, message
from lib.wait import wait_for

BOB = "bob@example.org"


def refused(server):
    return server.count_logged("auth failed,")


def test_the_daemon_tries_once(dovecot, site, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    servers = imap_servers(tmp_path, old=old, new=new)
    place = site(servers, settings={"sync": {"sweep_interval": "200ms"}})
    place.init({ANN: "old", BOB: "old"})
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    secret = Path(servers["old"]["imap_password_file"])
    right = secret.read_text()
    secret.write_text("wrong\n")
    place.start("sync", args=("run",))
    first, again, other = cutover(place), cutover(place), cutover(place, BOB)
    assert first.status != 0 and "AUTHENTICATIONFAILED" in first.log + str(first.lines)
    for done in (again, other):
        assert done.status != 0 and "the next try is in" in done.log + str(done.lines)
    assert refused(old) == 1
    [alarm] = [e for e in place.events("sync") if e["event"] == "sign_in_refused"]
    assert (alarm["level"], alarm["server"], alarm["user"], alarm["waits"]) == ("error", "old", ANN, "everybody")
    # Another password is another try.
    secret.write_text(right)
    assert cutover(place).status == 0
    seen = refused(old)
    assert seen == 2  # whether the administrator has a mailbox of his own was asked, once
    # Behind the flip the sweeps of everybody wait, without a word for each of them.
    secret.write_text("wrong again\n")
    wait_for(lambda: refused(old) > seen, 30, "a sweep to be refused")
    wait_for(lambda: len([e for e in place.events("sync") if e["event"] == "sign_in_refused"]) == 2, 30, "the alarm")
    assert cutover(place, BOB).status != 0
    assert refused(old) == seen + 1
    assert status(place)[ANN]["state"] == "done"
