# SPDX-License-Identifier: ISC
"""Mail through the relay arrives on the server that the map names, whole programs together."""
from lib.smtp import message, send
from lib.wait import free_port

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
    # What goes to an alias with an owner is from the owner, who gets the errors; a report is from nobody.
    pair.site.maptool("set", "staff@example.org", "kind=alias", f"to={ANN}", "owner=boss@example.org")
    for number, (sender, errors_to) in enumerate((("sender@example.net", b"boss@example.org"), ("", b""))):
        assert send(port, sender, "staff@example.org", message(f"listed{number}")).accepted == ["staff@example.org"]
        [listed] = [m.data for m in pair.new.messages(ANN) if f"<listed{number}@test>".encode() in m.data]
        assert b"Return-Path: <" + errors_to + b">" in listed, listed
    assert ", errors to boss@example.org" in pair.site.maptool("explain", "staff@example.org").stdout
    assert pair.site.json("explain", "staff@example.org")["deliveries"][0]["errors_to"] == "boss@example.org"
    unknown = send(port, "sender@example.net", "nobody@example.org", message("never"))
    assert unknown.rcpts["nobody@example.org"].code == 550, unknown


def test_lmtp_answers_for_each_recipient(pair):
    port = free_port()
    pair.site.settings["relay"]["listen"].append(f"lmtp://127.0.0.1:{port}")
    pair.site.write_conf()
    pair.site.start("relay")
    outcome = send(port, "sender@example.net", [ANN, "bob@example.org", "cat@example.org"], message("both"), lmtp=True)
    assert [reply.code for reply in outcome.rcpts.values()] == [250, 250, 452], outcome
    assert [reply.code for reply in outcome.data] == [250, 250], outcome
    assert len(pair.old.messages(ANN)) == 1 and len(pair.old.messages("bob@example.org")) == 1
