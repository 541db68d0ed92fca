# SPDX-License-Identifier: ISC
"""A cut-over of a mailbox of very many messages: memory stays flat, and the hold short (plain build)."""
import json

from lib.cutover import ANN, argv, imap_servers, status
from lib.measure import RSS_MAX_KIB, measured, put_in_maildir

MESSAGES = 100_000


def test_very_many_messages(dovecot, site, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    place = site(imap_servers(tmp_path, old=old, new=new), plain=True)
    place.init({ANN: "old"})
    put_in_maildir(old, ANN, MESSAGES)
    out = tmp_path / "lines"
    code, peak = measured(argv(place, "cutover", "--json", ANN), out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert code == 0, lines[-3:]
    assert peak < RSS_MAX_KIB, peak
    assert (status(place)[ANN]["copied"], status(place)[ANN]["verified"]) == (MESSAGES, MESSAGES)
    # Listing twice the UIDs of all messages, but reading none of them.
    assert [line["hold_ms"] for line in lines if line["state"] == "flipped"][0] < 20000
