# SPDX-License-Identifier: ISC
"""coexist-sync copy against servers that make it hold much back, or leave it with answers that it did not wait for."""
import time

import pytest
from lib.fakeimap import CAPABILITIES, FakeImap
from lib.mailbox import argv, run

TINY = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(250)]
SMALL = [b"Subject: %d\r\n\r\n" % i + b"x" * 4100 + b"\r\n" for i in range(150)]
NO_PLUS = CAPABILITIES.replace(b" LITERAL+", b"")
TARGETS = {
    "no LITERAL+": (NO_PLUS, TINY),
    "no LITERAL+ and no MULTIAPPEND": (NO_PLUS.replace(b" MULTIAPPEND", b""), TINY),
    "LITERAL- for small ones": (NO_PLUS + b" LITERAL-", TINY),
    "LITERAL- and larger ones": (NO_PLUS + b" LITERAL-", SMALL),
}


def go(source, target, folder, *more):
    return run(argv(source, target, folder, "--timeout=60s", "--settle=0s", *more))


@pytest.mark.parametrize("case", TARGETS)
def test_a_target_that_wants_to_be_asked_for_each_literal(case, tmp_path):
    capabilities, mails = TARGETS[case]
    with FakeImap(mails) as source, FakeImap(capabilities=capabilities) as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert sorted(target.appended) == sorted(mails)


def test_a_target_that_takes_its_time_to_consent(tmp_path):
    """The source is faster: what has come may not wait in ever more literals."""
    mails = [b"Subject: %d\r\n\r\nx\r\n" % i for i in range(1200)]
    with FakeImap(mails) as source, FakeImap(capabilities=NO_PLUS) as target:
        def until_the_source_is_through():
            deadline = time.monotonic() + 2
            while source.received.count(b"BODY.PEEK") < 12 and time.monotonic() < deadline:
                time.sleep(0.01)
            target.before_consent = lambda: None
        target.before_consent = until_the_source_is_through
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert sorted(target.appended) == sorted(mails)
        assert "connection" not in result.log


def test_keywords_that_outweigh_their_messages(tmp_path):
    keywords = b" ".join(b"k%03d" % i + b"x" * 236 for i in range(128))

    def listing(server, tag, line):
        return server._ordinary("FETCH", tag, line).replace(b"FLAGS ()", b"FLAGS (" + keywords + b")")
    with FakeImap(TINY, {"FETCH": listing}) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status == 0, result.log
        assert sorted(target.appended) == sorted(TINY)


def test_a_refusal_with_more_answers_on_their_way(tmp_path):
    """Two windows of messages are asked for at once; the first NO must not leave the second answer without a home."""
    with FakeImap(TINY) as source, FakeImap() as target:
        assert go(source, target, tmp_path).status == 0
        target.messages = list(target.appended)
        target.script["BODY"] = b"{tag} NO [INUSE] somebody else has it\r\n"
        result = run(argv(source, target, tmp_path, "--timeout=60s", "--settle=0s", "--verify"),
                     env={"ASAN_OPTIONS": "detect_stack_use_after_return=1"})
        assert result.status == 1 and "INUSE" in result.log, result.log


@pytest.mark.parametrize("answer", (b"{tag} BAD unknown: ", b"{tag} NO ", b"* BYE too many of these: "))
@pytest.mark.parametrize("capabilities", (CAPABILITIES, b"IMAP4rev1"), ids=("AUTHENTICATE", "LOGIN"))
def test_a_server_that_repeats_the_command(capabilities, answer, tmp_path):
    def echo(server, tag, line):
        return answer.replace(b"{tag}", tag) + line.strip() + b"\r\n"
    script = {"AUTHENTICATE": echo, "LOGIN": echo}
    with FakeImap(TINY, script, capabilities) as source, FakeImap() as target:
        result = go(source, target, tmp_path)
        assert result.status not in (0, 1), result.log
        assert "ann-secret" not in result.log and "AGFubk" not in result.log and "repeats" in result.log
