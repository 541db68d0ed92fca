# SPDX-License-Identifier: ISC
"""The demo's user whose mailbox moves: what is in it, the cut-over step by step, the comparison."""
import collections
import json
import random
import subprocess

from lib.cutover import argv
from lib.mailbox import Mail, fill, look, message

FOLDERS = ("INBOX", "Entwürfe", "Gelöschte Objekte", "Projekte", "Projekte.Müller & Söhne", "Projekte.Straße 2026", "日本")
FLAGS = ((), ("\\Seen",), ("\\Seen", "\\Answered"), ("\\Flagged",), ("\\Seen", "$Forwarded", "Wichtig"), ("\\Draft",))
DATES = ('"17-Jul-1996 02:44:25 -0700"', '"29-Feb-2020 00:00:00 +0000"', '" 5-Feb-2024 23:59:59 +0530"')
COUNT = 400
PATH = "mailbox"         # as the third door through which mail came


def furnish(server, user, ledger):
    """A mailbox that somebody has used for years; every message is in the ledger."""
    rng = random.Random(1)
    spec = {name: [] for name in FOLDERS}
    name = user.partition("@")[0]
    for number in range(COUNT):
        token = f"{name}-{PATH}-{number:04}"
        lines = "".join("x" * rng.randrange(72) + "\r\n" for _ in range(rng.randrange(60)))
        odd = ".\r\n..\r\nÄÖÜ\r\n" if number % 5 == 0 else ""
        text = message(token, lines + odd + ("no newline at the end" if number % 9 == 0 else ""))
        entry = ledger.open(token, user, PATH, text)
        ledger.before_dot(entry)
        ledger.after_dot(entry, 250)
        spec[FOLDERS[number % len(FOLDERS)]].append(Mail(text, rng.choice(FLAGS), rng.choice(DATES)))
    client = server.imap(user)
    fill(client, spec)
    client.logout()
    return show(server, user)


def show(server, user):
    """{folder: multiset of (flags, date, digest of all bytes)} over IMAP."""
    client = server.imap(user)
    try:
        return {name: collections.Counter(seen) for name, seen in look(client).items()}
    finally:
        client.logout()


def differences(before, after):
    """What was there before and is not, byte for byte and with its flags and date."""
    return [f"{sum((seen - after.get(name, collections.Counter())).values())} messages of {name}"
            for name, seen in before.items() if seen - after.get(name, collections.Counter())]


def cut_over(site, user, step):
    """Run coexist-sync; step(line) for each of its lines.  (exit status, what it said on stderr)"""
    process = subprocess.Popen(argv(site, "cutover", "--json", user), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=site.env())
    try:
        for line in process.stdout:
            parsed = json.loads(line)
            if not parsed.get("progress"):
                step(parsed)
        return process.wait(60), process.stderr.read().strip()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
