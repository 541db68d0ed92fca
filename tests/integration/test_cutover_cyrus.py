# SPDX-License-Identifier: ISC
"""Cut-overs between Dovecot and Cyrus, in both directions, while mail flows."""
import collections

import pytest
from lib.cutover import ANN, Stream, cutover, imap_servers, status
from lib.mailbox import ACL, ANNOTATIONS, annotation, fill, look, sample
from lib.wait import wait_for


@pytest.mark.parametrize("source, target", [("dovecot", "cyrus"), ("cyrus", "dovecot")])
def test_a_user_moves(request, site, tmp_path, source, target):
    conf = {"dovecot": ACL + ANNOTATIONS, "cyrus": ""}
    old = request.getfixturevalue(source)("old", conf=conf[source])
    new = request.getfixturevalue(target)("new", conf=conf[target])
    separator = {"dovecot": ".", "cyrus": "/"}
    bob, names = "bob@example.org", tmp_path / "names"
    names.write_text(f"{bob} {bob}\n")
    place = site(imap_servers(tmp_path, old=old, new=new), settings={"sync": {"acl_file": str(names)}})
    place.init({ANN: "old"})
    # Cyrus takes no quotation marks in names.
    spec = {name: mails for name, mails in sample(40).items() if '"' not in name} | {"Work": []}
    fill(old.imap(ANN), spec, separator[source])
    before = look(old.imap(ANN), separator[source])
    owner = old.imap(ANN)
    assert owner.setacl("Work", bob, "lrs")[0] == "OK"
    assert owner.xatom("SETMETADATA", "Work", '(/private/comment "ours")')[0] == "OK"
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
    # What others may do with the folders, by the file of the configuration, and annotations.
    given = new.imap(ANN).getacl("Work")[1][0].decode().split()[1:]
    assert set(dict(zip(given[::2], given[1::2]))[bob]) == set("lrs"), given
    assert annotation(new.imap(ANN), "Work", "/private/comment") == "ours"
