# SPDX-License-Identifier: ISC
"""Cut-overs between Dovecot and Cyrus, in both directions, while mail flows."""
import collections

import pytest
from lib.cutover import ANN, Stream, cutover, imap_servers, status
from lib.mailbox import fill, look, sample
from lib.wait import wait_for


@pytest.mark.parametrize("source, target", [("dovecot", "cyrus"), ("cyrus", "dovecot")])
def test_a_user_moves(request, site, tmp_path, source, target):
    old = request.getfixturevalue(source)("old")
    new = request.getfixturevalue(target)("new")
    separator = {"dovecot": ".", "cyrus": "/"}
    place = site(imap_servers(tmp_path, old=old, new=new))
    place.init({ANN: "old"})
    # Cyrus takes no quotation marks in names.
    spec = {name: mails for name, mails in sample(40).items() if '"' not in name}
    fill(old.imap(ANN), spec, separator[source])
    before = look(old.imap(ANN), separator[source])
    place.start("relay")
    with Stream(place, [ANN]) as mail:
        wait_for(lambda: mail.count() > 5, 20, "some mail")
        moved = cutover(place)
        assert moved.status == 0, moved.log
        count = mail.count()
        wait_for(lambda: mail.count() > count + 5, 20, "mail behind the flip")
    mail.judge({ANN: (old, new)})
    there = look(new.imap(ANN), separator[target])
    for name, seen in before.items():
        missing = collections.Counter((s.sha, s.date) for s in seen) - collections.Counter((s.sha, s.date) for s in there[name])
        assert not missing, name
    assert status(place)[ANN]["state"] == "done"
