# SPDX-License-Identifier: ISC
"""Mail through the relay arrives on the server that the map names, whole programs together."""
from lib.smtp import message, send

ANN = "ann@example.org"


def ids(server):
    return [token for token in ("before", "after") for m in server.messages(ANN) if f"<{token}@test>".encode() in m.data]


def test_mail_follows_the_map(pair):
    pair.site.start("relay")
    port = pair.site.relay_port
    assert send(port, "sender@example.net", ANN, message("before")).accepted == [ANN]
    pair.site.set(ANN, "new")
    assert send(port, "sender@example.net", ANN, message("after")).accepted == [ANN]
    assert ids(pair.old) == ["before"] and ids(pair.new) == ["after"]
    unknown = send(port, "sender@example.net", "nobody@example.org", message("never"))
    assert unknown.rcpts["nobody@example.org"].code == 550, unknown
