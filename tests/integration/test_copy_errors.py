# SPDX-License-Identifier: ISC
"""What goes wrong is named, the rest goes on, and no secret is shown to anyone."""
import fcntl
import os
import pty
import signal
import subprocess
import termios

import pytest
from lib import certs
from lib.mailbox import ROOT, Mail, argv, copy, fill, look, message, run, same, to_wire
from lib.wait import wait_for

ANN = "ann@example.org"
ACL = """
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
}
"""


def test_wrong_password(two_servers, tmp_path):
    old, new = two_servers.old, two_servers.new
    line = argv(old, new, tmp_path)
    (tmp_path / "target.password").write_text("not-the-password\n")
    done = run(line)
    assert done.status == 77
    assert "target: cannot sign in" in done.log and "not-the-password" not in done.log
    # One try only: an account is never locked because of us.
    assert len([line for line in (new.dir / "inst" / "log").read_text().splitlines() if "auth failed" in line]) == 1


def test_open_password_file_is_refused(two_servers, tmp_path):
    line = argv(two_servers.old, two_servers.new, tmp_path)
    (tmp_path / "source.password").chmod(0o644)
    done = run(line)
    assert done.status in (77, 78) and "source" in done.log


def test_password_in_the_url_is_refused(two_servers, tmp_path):
    line = argv(two_servers.old, two_servers.new, tmp_path)
    line[-1] = line[-1].replace("ann%40example.org@", "ann:secret@")
    done = run(line)
    assert done.status == 64 and "secret" not in done.log


def test_password_command(two_servers, tmp_path):
    line = argv(two_servers.old, two_servers.new, tmp_path, "--accept=E-EMPTY")
    at = line.index("--source-password-file")
    line[at:at + 2] = ["--source-password-command", f"cat {tmp_path / 'source.password'}"]
    assert run(line).status == 0


def test_no_server(two_servers, tmp_path):
    old, new = two_servers.old, two_servers.new
    new.stop()
    done = copy(old, new, tmp_path, "--timeout=1s")
    assert done.status in (69, 75) and "target" in done.log


def test_tls_is_verified(two_servers, tmp_path):
    old, new = two_servers.old, two_servers.new
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    line = argv(old, new, tmp_path)
    line[-1] = line[-1].replace("imap://", "imaps://").replace(str(new.imap_port), str(new.imaps_port))
    done = run(line)
    assert done.status != 0 and "target" in done.log
    ca = ["--target-ca-file", str(certs.ca_file())]
    assert run(line[:-2] + ca + ["--target-tls-name", "wrong.test"] + line[-2:]).status != 0
    done = run(line[:-2] + ca + ["--target-tls-name", "new.test"] + line[-2:])
    assert done.status == 0, done.log
    # STARTTLS, asked for on a loopback address too.
    line = argv(old, new, tmp_path / "two")
    assert run(line[:-2] + ["--target-tls=verify"] + line[-2:]).status != 0
    done = run(line[:-2] + ["--target-tls=verify", *ca] + line[-2:])
    assert done.status == 0, done.log


def test_a_folder_without_rights_is_named_and_the_rest_goes_on(dovecot, tmp_path):
    old, new = dovecot("old", conf=ACL), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))], "Geheim": [Mail(message("two"))], "Offen": [Mail(message("three"))]})
    folder = old.dir / "var" / "mail" / ANN / "Maildir" / f".{to_wire('Geheim')}"
    (folder / "dovecot-acl").write_text(f"user={ANN} l\n")
    first = copy(old, new, tmp_path)
    assert (first.status, first.folders_failed, first.messages_copied) == (1, 1, 2), first.log
    assert [e["folder"] for e in first.exceptions] == ["Geheim"]
    (folder / "dovecot-acl").unlink()
    old.stop()
    old.start()
    second = copy(old, new, tmp_path)
    assert (second.status, second.messages_copied) == (0, 1), second.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_a_folder_that_cannot_be_created_is_named_and_the_rest_goes_on(dovecot, tmp_path):
    old, new = dovecot("old"), dovecot("new")
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))], "Zu": [Mail(message("two"))], "Offen": [Mail(message("three"))]})
    assert look(new.imap(ANN))["INBOX"] == []
    # A plain file stands where the folder has to go.
    (new.dir / "var" / "mail" / ANN / "Maildir" / ".Zu").write_text("")
    first = copy(old, new, tmp_path)
    assert (first.status, first.folders_failed, first.messages_copied) == (1, 1, 2), first.log
    assert [e["folder"] for e in first.exceptions] == ["Zu"] and "cannot" in first.exceptions[0]["error"]


def test_quota_ends_the_run_and_more_room_lets_it_go_on(dovecot, tmp_path):
    """Dovecot says so in the middle of a message, and reads it to its end."""
    quota = ("mail_plugins = quota\nplugin {{\n  quota = count:User quota\n  quota_vsizes = yes\n  quota_rule = *:bytes={}\n}}\n")
    old, new = dovecot("old"), dovecot("new", conf=quota.format(500000))
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}", ("x" * 70 + "\r\n") * 1000)) for i in range(20)]})
    first = copy(old, new, tmp_path)
    assert first.status not in (0, 1) and "OVERQUOTA" in first.log, first.log
    new.stop()
    new.conf = quota.format(20000000)
    new.start()
    second = copy(old, new, tmp_path)
    assert second.status == 0, second.log
    same(look(old.imap(ANN)), look(new.imap(ANN)))


def test_no_secret_is_shown(two_servers, tmp_path):
    old, new = two_servers.old, two_servers.new
    fill(old.imap(ANN), {"INBOX": [Mail(message("one"))]})
    line = argv(old, new, tmp_path)
    assert not any("ann-secret" in word for word in line)
    done = run([line[0], "-v", "-v", *line[1:]])
    assert done.status == 0, done.log
    encoded = ["ann-secret", "AGFubkBleGFtcGxlLm9yZwBhbm4tc2VjcmV0"]
    for path in (tmp_path / "state").rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            assert not any(secret.encode() in data for secret in encoded), path
    assert not any(secret in done.log + str(done.counts) for secret in encoded)


def test_two_runs_at_once(two_servers, tmp_path):
    """The second one says who is in the way and touches nothing."""
    old, new = two_servers.old, two_servers.new
    fill(old.imap(ANN), {"INBOX": [Mail(message(f"m{i}", "x" * 1000)) for i in range(50)]})
    line = argv(old, new, tmp_path)
    children = [subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outcomes = []
    for child in children:
        child.communicate(timeout=60)
        outcomes.append(child.returncode)
    assert sorted(outcomes) in ([0, 75], [0, 0])
    same(look(old.imap(ANN)), look(new.imap(ANN)))


@pytest.mark.parametrize("how", (b"\x03", signal.SIGTERM), ids=("^C", "SIGTERM"))
def test_a_question_that_is_interrupted_leaves_the_echo_on(how, tmp_path):
    here, terminal = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's job in the background ignores it

    def has_echo():
        return bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
    line = [str(ROOT / "build" / "asan" / "coexist-sync"), "copy", "--state", str(tmp_path), "imap://a@127.0.0.1:1/", "imap://b@127.0.0.1:2/"]
    with subprocess.Popen(line, stdin=terminal, stdout=terminal, stderr=terminal, preexec_fn=own_terminal) as process:
        wait_for(lambda: not has_echo(), 20, "the question for a password")
        if isinstance(how, bytes):
            os.write(here, how)
        else:
            process.send_signal(how)
        assert process.wait(20) == -(how if isinstance(how, int) else signal.SIGINT)
    assert has_echo()
    os.close(here)
    os.close(terminal)


@pytest.mark.parametrize("words, told", (
    (["copy"], "copy: SOURCE is missing"), (["copy", "imap://a@127.0.0.1/"], "copy: TARGET is missing"),
    (["export", "imap://a@127.0.0.1/"], "export: DIR is missing"), (["import", "mail"], "import: TARGET is missing"),
    (["cutover"], "cutover: USER is missing"), (["trust"], "trust: SERVER is missing"),
    (["copy", "a", "b", "c"], "c: one word too many"),
    # The target's is told before anybody is asked for the source's password, or a command for it.
    (["copy", "--source-password-command", "touch asked", "imap://a@127.0.0.1/", "127.0.0.1"], "target: not a URL"),
    (["copy", "--source-password-command", "touch asked", "imap://a@127.0.0.1/", "maildir:"], "target: the name of the folder is missing"),
))
def test_a_command_that_is_not_whole(words, told, tmp_path):
    done = subprocess.run([str(ROOT / "build" / "asan" / "coexist-sync"), *words], stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, cwd=tmp_path, timeout=60, check=False)
    assert done.returncode == 64 and f"coexist-sync: {told}" in done.stderr, done.stderr
    assert not list(tmp_path.iterdir())
