# SPDX-License-Identifier: ISC
"""Fixtures of the integration tests: real mail servers and our programs, each test its own.

Everything listens on 127.0.0.1 with ports chosen at run time, lives in the test's folder and is
ended by its process id when the test ends, failed or not.  A failing test shows the tails of all
logs.  Servers start in about 0.1 s, so a test may have as many as it wants.

Mail servers (tests/integration/lib/, each file documents its class at the top)
    dovecot(name="old", users=..., conf=...)      started Dovecot: .lmtp_port .imap_port .imaps_port,
                                                  .deliver .imap .messages .add_user .remove_user
    cyrus(name="cyrus", users=..., conf=...)      the same for Cyrus
    courier(name="courier", users=...)            Courier IMAP: .imap_port .deliver .imap .messages
    postfix(main=..., master=..., start=True)     Postfix: .smtp_port .queue() .mailq() .flush() .wait_empty()
                                                  .table() .query() .reload() .sendmail()
    sendmail(mailers=..., milters=..., ...)       Sendmail: .smtp_port .queued() .flush() .wait_empty() .resolve()
    exim(routes=..., ...)                         Exim: .smtp_port .queued() .wait_empty()
    every one: .start() .stop() .kill() .run(command...) .logged(text) .tail()
    scripted(script, lmtp=False)                  started ScriptedSmtp (lib/smtp.py): a target that
                                                  refuses, waits or hangs up as told

Our programs
    site(servers={...}, domains={...}, settings={...}, plain=False)
                                                  Coexist (lib/coexist.py): .init(routes) .start("relay")
                                                  .maptool(...) .json(...) .kill("mapd") .events("relay")
    two_servers                                   two Dovecots, "old" and "new", with ann, bob and cat
                                                  at example.org on both
    moved                                         ann has been cut over from Dovecot old to Dovecot new (lib/moved.py)
    pair                                          two_servers and a site that routes ann and bob to old
                                                  and cat to new, mapd running: .old .new .site

Plain functions and classes: lib.smtp.send, lib.smtp.Client, lib.smtp.message, lib.wait.wait_for,
lib.wait.free_port, lib.socketmap.SocketMapClient (asks coexist-lookup).
COEXIST_BIN chooses another folder of binaries than build/asan.
"""
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from lib.coexist import Coexist  # noqa: E402
from lib.courier import Courier  # noqa: E402
from lib.cyrus import Cyrus  # noqa: E402
from lib.dovecot import Dovecot  # noqa: E402
from lib.exim import Exim  # noqa: E402
from lib.moved import moved  # noqa: E402, F401
from lib.postfix import Postfix  # noqa: E402
from lib.sendmail import Sendmail  # noqa: E402
from lib.smtp import ScriptedSmtp  # noqa: E402
from lib.wait import claimed_ports, release_port  # noqa: E402

USERS = {f"{name}@example.org": f"{name}-secret" for name in ("ann", "bob", "cat")}


class Stage:
    """What runs for one test, and what to show of it when the test fails."""

    def __init__(self, folder):
        self.folder = folder
        self.actors = []

    def path(self, name):
        path, number = self.folder / name, 2
        while path.exists():
            path, number = self.folder / f"{name}{number}", number + 1
        return path

    def enter(self, actor, start=True):
        self.actors.append(actor)
        return actor.start() if start else actor

    def tails(self):
        return "\n".join(filter(None, (actor.tail() for actor in self.actors if hasattr(actor, "tail"))))

    def close(self):
        problems = []
        for actor in reversed(self.actors):
            try:
                actor.close()
            except AssertionError as problem:
                problems.append(problem)
        if problems:
            raise problems[0]


@pytest.fixture(autouse=True)
def ports_given_back():
    """A claim on a port is an open socket: hundreds of tests would run out of descriptors."""
    before = claimed_ports()
    yield
    for port in claimed_ports() - before:
        release_port(port)


@pytest.fixture
def stage(tmp_path, request):
    actors = Stage(tmp_path)
    request.node.stage = actors
    yield actors
    actors.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    actors = getattr(item, "stage", None)
    item.failed = getattr(item, "failed", False) or report.failed
    if report.failed and actors is not None:
        report.sections.append(("ends of the logs", actors.tails()))
    # A site takes 48 MiB (a map's log and its reserve), and there are a thousand of them: only what
    # a failed test left is worth the disk.
    if report.when == "teardown" and not item.failed and "tmp_path" in item.funcargs:
        shutil.rmtree(item.funcargs["tmp_path"], ignore_errors=True)


@pytest.fixture
def dovecot(stage):
    def make(name="dovecot", users=None, **kwargs):
        return stage.enter(Dovecot(stage.path(name), users=users or USERS, hostname=f"{name}.test", **kwargs))
    return make


@pytest.fixture
def cyrus(stage):
    def make(name="cyrus", users=None, **kwargs):
        return stage.enter(Cyrus(stage.path(name), users=users or USERS, hostname=f"{name}.test", **kwargs))
    return make


@pytest.fixture
def courier(stage):
    def make(name="courier", users=None, **kwargs):
        return stage.enter(Courier(stage.path(name), users=users or USERS, hostname=f"{name}.test", **kwargs))
    return make


@pytest.fixture
def postfix(stage):
    def make(start=True, name="postfix", **kwargs):
        return stage.enter(Postfix(stage.path(name), **kwargs), start)
    return make


@pytest.fixture
def sendmail(stage):
    def make(start=True, name="sendmail", **kwargs):
        return stage.enter(Sendmail(stage.path(name), **kwargs), start)
    return make


@pytest.fixture
def exim(stage):
    def make(start=True, name="exim", **kwargs):
        return stage.enter(Exim(stage.path(name), **kwargs), start)
    return make


@pytest.fixture
def scripted(stage):
    def make(script=None, **kwargs):
        return stage.enter(ScriptedSmtp(script, **kwargs))
    return make


@pytest.fixture
def site(stage):
    def make(servers, name="site", **kwargs):
        return stage.enter(Coexist(stage.path(name), servers, **kwargs), start=False)
    return make


@pytest.fixture
def two_servers(dovecot):
    return SimpleNamespace(old=dovecot("old"), new=dovecot("new"))


@pytest.fixture
def pair(two_servers, site):
    old, new = two_servers.old, two_servers.new
    made = site({"old": {"smtp": f"lmtp://127.0.0.1:{old.lmtp_port}", "imap": f"imap://127.0.0.1:{old.imap_port}"},
                 "new": {"smtp": f"lmtp://127.0.0.1:{new.lmtp_port}", "imap": f"imap://127.0.0.1:{new.imap_port}"}})
    made.init({"ann@example.org": "old", "bob@example.org": "old", "cat@example.org": "new"})
    return SimpleNamespace(old=old, new=new, site=made)
