# SPDX-License-Identifier: ISC
"""Signing in with OAuth 2.0 access tokens: real Dovecot, and a token endpoint of our own."""
import json
import stat

import pytest
from lib.mailbox import Mail, argv, fill, look, message, run
from lib.tokens import Tokens

ANN = "ann@example.org"


@pytest.fixture
def tokens():
    with Tokens(ANN) as server:
        yield server


@pytest.fixture
def old(dovecot, tokens):
    """A server that takes tokens, with one message."""
    server = dovecot("old", **tokens.dovecot())
    fill(server.imap(ANN), {"INBOX": [Mail(message("one"))]})
    return server


def with_token(old, new, folder, *more):
    """copy() with no password for the source."""
    line = argv(old, new, folder, *more)
    at = line.index("--source-password-file")
    return run(line[:at] + line[at + 2:])


@pytest.mark.parametrize("way", [None, "oauthbearer", "xoauth2"])
def test_file(dovecot, old, tokens, tmp_path, way):
    new = dovecot("new")
    file = tokens.file(tmp_path / "token.json", scope="mail")
    done = with_token(old, new, tmp_path, f"--source-token-file={file}", *([f"--source-auth={way}"] if way else []))
    assert (done.status, done.messages_copied) == (0, 1), done.log
    assert tokens.asked == [{"grant_type": "refresh_token", "refresh_token": tokens.refresh, "client_id": "coexist",
                             "client_secret": "client-secret", "scope": "mail"}]
    assert old.logged("method=" + (way or "oauthbearer").upper())


def test_client_credentials(dovecot, old, tokens, tmp_path):
    file = tokens.file(tmp_path / "token.json", refresh_token="")
    done = with_token(old, dovecot("new"), tmp_path, f"--source-token-file={file}")
    assert (done.status, done.messages_copied) == (0, 1), done.log
    assert tokens.asked[0]["grant_type"] == "client_credentials"


def test_command(dovecot, old, tokens, tmp_path):
    new = dovecot("new")
    tokens.valid.add("from-a-command")
    done = with_token(old, new, tmp_path, "--source-token-command=echo from-a-command; echo and more")
    assert (done.status, done.messages_copied) == (0, 1), done.log
    failed = with_token(old, new, tmp_path, "--source-token-command=exit 3")
    assert failed.status != 0 and "no access token: /bin/sh: it failed" in failed.log


def test_a_refused_token_is_renewed_once(dovecot, old, tokens, tmp_path):
    """What the endpoint gives first is not valid any more when the server sees it."""
    tokens.answers = [(200, {"access_token": "ended", "expires_in": 3600})]
    file = tokens.file(tmp_path / "token.json")
    done = with_token(old, dovecot("new"), tmp_path, f"--source-token-file={file}")
    assert (done.status, done.messages_copied, len(tokens.asked)) == (0, 1, 2), done.log


@pytest.mark.parametrize("way", ["oauthbearer", "xoauth2"])
def test_refused_for_good(dovecot, old, tokens, tmp_path, way):
    tokens.answers = [(200, {"access_token": f"ended-{i}"}) for i in range(9)]
    file = tokens.file(tmp_path / "token.json")
    done = with_token(old, dovecot("new"), tmp_path, f"--source-token-file={file}", f"--source-auth={way}")
    assert (done.status, len(tokens.asked)) == (77, 2), done.log
    assert "cannot sign in" in done.log and '"status"' in done.log and "ended-" not in done.log


def test_a_new_refresh_token_is_kept(dovecot, old, tokens, tmp_path):
    tokens.rotates = True
    file = tokens.file(tmp_path / "token.json")
    new = dovecot("new")
    for _ in range(3):
        done = with_token(old, new, tmp_path, f"--source-token-file={file}")
        assert done.status == 0, done.log
        assert json.loads(file.read_text())["refresh_token"] == tokens.refresh
        assert json.loads(file.read_text())["client_secret"] == "client-secret"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(tokens.asked) == 3


@pytest.mark.parametrize("change, shown", [
    ({"refresh_token": "wrong"}, "invalid_grant"), ({"token_uri": "http://127.0.0.1:1/"}, "http"),
    ({"client_id": ""}, "client_id is missing"), ({"ca_file": "/nowhere"}, "/nowhere")])
def test_endpoint_refuses(dovecot, old, tokens, tmp_path, change, shown):
    file = tokens.file(tmp_path / "token.json", **change)
    done = with_token(old, dovecot("new"), tmp_path, f"--source-token-file={file}")
    assert done.status not in (0, 1) and shown in done.log, done.log
    assert "wrong" not in done.log and "client-secret" not in done.log


def test_the_file_is_a_secret(dovecot, old, tokens, tmp_path):
    file = tokens.file(tmp_path / "token.json")
    file.chmod(0o644)
    done = with_token(old, dovecot("new"), tmp_path, f"--source-token-file={file}")
    assert done.status != 0 and "token.json" in done.log and tokens.asked == []


def test_a_process_asks_once(dovecot, old, tokens, tmp_path):
    """Every connection of a process that asks the same source has the same token."""
    file = tokens.file(tmp_path / "token.json")
    new = dovecot("new")
    done = with_token(old, new, tmp_path, f"--source-token-file={file}", "--verify")
    assert done.status == 0 and len(tokens.asked) == 1
    assert len(look(new.imap(ANN))["INBOX"]) == 1
