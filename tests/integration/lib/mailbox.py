# SPDX-License-Identifier: ISC
"""Filling mailboxes, copying them with coexist-sync, and comparing what two servers show.

    fill(client, spec)                     folders and messages by APPEND; spec: {folder: [Mail, ...]}
    sample(count)                          a spec with umlauts, flags, keywords, dates, odd bodies
    look(client)                           {folder: [Seen(flags, date, sha256), ...]} in UID order
    copy(source, target, folder, ...)      runs coexist-sync copy --json: Result(.status .counts .log)

A folder's name is text; it is written on the wire in modified UTF-7.
"""
import base64
import collections
import datetime
import hashlib
import json
import os
import random
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from .imap import folders, quoted

ROOT = Path(__file__).resolve().parents[3]

Mail = collections.namedtuple("Mail", "data flags date", defaults=((), '" 1-Nov-2026 10:00:00 +0100"'))
Seen = collections.namedtuple("Seen", "flags date sha size")


def to_wire(name):
    """Modified UTF-7 of a folder's name."""
    def shift(match):
        return "&" + base64.b64encode(match[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",") + "-"
    return re.sub(r"[^\x20-\x7e]+", shift, name.replace("&", "&-"))


def message(subject, body="", extra=""):
    text = (f"From: Sender <sender@example.net>\r\nTo: ann@example.org\r\nSubject: {subject}\r\n"
            f"Message-ID: <{subject.replace(' ', '.')}@example.net>\r\n{extra}\r\n{body}")
    return text.encode("utf-8", "surrogateescape")


def sample(count=30, seed=1):
    """About `count` messages in seven folders, none of them boring."""
    rng = random.Random(seed)
    flag_sets = [(), ("\\Seen",), ("\\Seen", "\\Answered"), ("\\Flagged", "$Forwarded"), ("\\Draft",),
                 ("\\Seen", "Work", "$Label1")]
    dates = ['"17-Jul-1996 02:44:25 -0700"', '" 5-Feb-2024 23:59:59 +0530"', '"29-Feb-2020 00:00:00 +0000"',
             '"31-Dec-2025 23:00:01 -1130"']
    names = ["INBOX", "Entwürfe", "Gelöscht & weg", "日本", "Projekte.Kunde A", "Projekte.Kunde B.2026", 'quo"te']
    spec = {name: [] for name in names}
    for i in range(count):
        body = "".join(f"line {k} of message {i} {'x' * rng.randrange(70)}\r\n" for k in range(rng.randrange(40)))
        if i % 7 == 3:
            body += ".\r\n..\r\n" + "ü" * 50 + "\r\n" + "y" * 2000 + "\r\n"
        if i % 11 == 5:
            body += "no newline at the end"
        mail = Mail(message(f"number {i}", body), rng.choice(flag_sets), rng.choice(dates))
        spec[names[i % len(names)]].append(mail)
    twin = Mail(message("twin", "the same twice\r\n"), ("\\Seen",), dates[0])
    spec["INBOX"] += [twin, twin, twin]
    spec["leer"] = []
    return spec


def fill(client, spec, separator="."):
    for name, mails in spec.items():
        wire = to_wire(name.replace(".", separator))
        if name != "INBOX":
            status, answer = client.create(quoted(wire))
            assert status == "OK" or wire in folders(client), answer
            status, answer = client.subscribe(quoted(wire))
            assert status == "OK", answer
        for mail in mails:
            status, answer = client.append(quoted(wire), f"({' '.join(mail.flags)})", mail.date, mail.data)
            assert status == "OK", answer


FETCH = re.compile(rb"UID (\d+)")
FLAGS = re.compile(rb"FLAGS \(([^)]*)\)")
DATE = re.compile(rb'INTERNALDATE "([^"]+)"')


def when(date):
    return datetime.datetime.strptime(date.strip(), "%d-%b-%Y %H:%M:%S %z").timestamp()


def expunge(client, folder, uids):
    client.select(folder)
    client.uid("STORE", uids, "+FLAGS", "(\\Deleted)")
    client.uid("EXPUNGE", uids)


def look(client, separator=".", text=lambda octets: octets):
    """What the server shows, by folder; separators are shown as ".", dates as instants.  text: what of
    the octets of a message counts."""
    out = {}
    for name in folders(client):
        status, answer = client.select(quoted(name), readonly=True)
        assert status == "OK", answer
        found = []
        if int(answer[0]):
            status, answer = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")
            assert status == "OK", answer
            for index, item in enumerate(answer):
                if not isinstance(item, tuple):
                    continue
                rest = answer[index + 1] if isinstance(answer[index + 1], bytes) else b""
                about, octets = item[0] + rest, text(item[1])
                flags = frozenset(f.decode().lower() for f in FLAGS.search(about)[1].split()) - {"\\recent"}
                found.append((int(FETCH.search(about)[1]),
                              Seen(flags, when(DATE.search(about)[1].decode()), hashlib.sha256(octets).hexdigest(), len(octets))))
        out[name.replace(separator, ".")] = [seen for _, seen in sorted(found)]
    return out


def same(one, other):
    """Asserts that two looks are equal as multisets, folder by folder.

    Some servers make the folders above a new one real: those may be there too, if they are empty.
    """
    extra = {name for name in set(other) - set(one)
             if not other[name] and any(known.startswith(name + ".") for known in one)}
    assert sorted(one) == sorted(set(other) - extra), (sorted(one), sorted(other))
    for name in one:
        assert collections.Counter(one[name]) == collections.Counter(other[name]), name


# Of Dovecot: rights of others, and annotations.
ACL = """
mail_plugins = acl
protocol imap {
  mail_plugins = acl imap_acl
}
plugin {
  acl = vfile
  # Else who signs in for others has no more rights than anybody else.
  acl_user = %u
}
"""
ANNOTATIONS = """
mail_attribute_dict = file:%h/attributes
protocol imap {
  imap_metadata = yes
}
"""


def annotation(client, name, entry):
    """The value of one that there is."""
    assert client.xatom("GETMETADATA", name, f"({entry})")[0] == "OK"
    told = client.response("METADATA")[1][0]
    return (told[1] if isinstance(told, tuple) else re.search(rb'"([^"]*)"\)$', told)[1]).decode()


@dataclass
class Result:
    status: int
    log: str
    counts: dict = field(default_factory=dict)

    def __getattr__(self, name):
        return self.counts[name]


def argv(source, target, folder, *more, binary=None, user="ann@example.org", target_user=None):
    """The command line that copies `user` from one server to another; passwords go into files.  A Path
    in place of a server is a Maildir, a text is an end as it is written."""
    users = (user, target_user or user)
    folder.mkdir(parents=True, exist_ok=True)
    line = [str(binary or ROOT / "build" / "asan" / "coexist-sync"), "copy", "--json", "--state", str(folder / "state")]
    urls = []
    for side, server, name in zip(("source", "target"), (source, target), users):
        if isinstance(server, (Path, str)):
            urls.append(server if isinstance(server, str) else f"maildir:{server}")
            continue
        secret = folder / f"{side}.password"
        secret.write_text(server.users[name] + "\n")
        secret.chmod(0o600)
        line += [f"--{side}-password-file", str(secret)]
        urls.append(f"imap://{name.replace('@', '%40')}@127.0.0.1:{getattr(server, 'proxy_port', server.imap_port)}/")
    return line + list(more) + urls


def run(line, timeout=120, env=None):
    done = subprocess.run(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, env={**os.environ, **(env or {})}, start_new_session=True)
    return result_of(done.returncode, done.stdout, done.stderr)


def result_of(status, out, log):
    assert "Sanitizer" not in log and "runtime error" not in log, log
    return Result(status, log, json.loads(out) if out.strip() else {})


def copy(source, target, folder, *more, **kwargs):
    return run(argv(source, target, folder, *more, **kwargs))
