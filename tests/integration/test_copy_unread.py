# SPDX-License-Identifier: ISC
"""The connection is lost while contents are read that would tell what was moved: nothing is judged by what was not read."""
import pytest
from lib.mailbox import Mail, argv, expunge, fill, look, message, run
from lib.proxy import Proxy

ANN = "ann@example.org"


class Dropper(Proxy):
    """Ends the link instead of the first so many FETCHes of bodies from now on."""

    left = 0

    def command(self, link, line, literal):
        if b"BODY.PEEK[]" in line and self.left > 0:
            self.left -= 1
            return None
        return super().command(link, line, literal)


def contents(client):
    return sorted(seen.sha for seen in look(client)["INBOX"])


@pytest.mark.parametrize("losses, statuses", ((1, (0,)), (2, (1,)), (99, (1, 75))))
@pytest.mark.parametrize("side", ("source", "target"))
def test_lost_while_contents_are_read_for_a_plan(side, losses, statuses, dovecot, tmp_path):
    """A message gets another number in its folder, as a program does that stores it anew."""
    servers = {"source": dovecot("old"), "target": dovecot("new")}
    texts = ["one", "two of them", "and a third one"]
    fill(servers["source"].imap(ANN), {"INBOX": [Mail(message(text)) for text in texts]})
    proxies = {name: Dropper(server) for name, server in servers.items()}
    line = argv(proxies["source"], proxies["target"], tmp_path, "--timeout=30s", "--settle=0s", user=ANN)
    try:
        assert run(line).status == 0
        before = contents(servers["target"].imap(ANN))
        fill(servers["source"].imap(ANN), {"INBOX": [Mail(message("new mail, so that both sides are asked"))]})
        client = servers[side].imap(ANN)
        client.select("INBOX")
        client.uid("COPY", "2", "INBOX")
        expunge(client, "INBOX", "2")
        client.logout()
        proxies[side].left = losses
        broken = run(line)
        assert broken.status in statuses, broken.log
        assert (broken.messages_deleted, broken.messages_away) == (0, 0), broken.log
        proxies[side].left = 0
        for _ in range(2):
            last = run(line)
            assert (last.status, last.messages_away) == (0, 0), last.log
        after = contents(servers["target"].imap(ANN))
        assert after == contents(servers["source"].imap(ANN)) and set(before) < set(after)
    finally:
        for proxy in proxies.values():
            proxy.close()
