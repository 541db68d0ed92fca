# SPDX-License-Identifier: ISC
"""Reading what a run has left: mailboxes over IMAP, the map, and the logs, as the judge's Evidence.

    evidence = gather(world)

Each parser of a log is a function of its text alone.
"""
import calendar
import email.utils
import hashlib
import json
import re
import time

from judge import Arrival, Change, Copy, Evidence
from ledger import body_digest, head_lines
from lib.coexist import SANITIZER, parse_line
from lib.imap import folders, quoted
from lib.mailbox import DATE, FLAGS, when

# A message's token stands in its Message-ID.
TOKEN = re.compile(r"<([^@<>]*)@chaos>")
SAVED = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\.(\d{6}) lmtp\(([^)]*)\).* msgid=<([^@>]*)@chaos>: saved mail to ", re.M)
SENDER = re.compile(r"w-(.*)@example\.net$")
POSTFIX_ID = re.compile(r"postfix/cleanup\[\d+\]: ([0-9A-Za-z]+): message-id=<([^@>]*)@chaos>")
POSTFIX_TWICE = re.compile(r"postfix/\w+\[\d+\]: ([0-9A-Za-z]+): .*message may be sent more than once")
POSTFIX_BOUNCED = re.compile(r"postfix/\w+\[\d+\]: ([0-9A-Za-z]+): to=<([^>]*)>.*status=(?:bounced|expired) (.*)$")


def token_of(head):
    for line in head:
        if line.lower().startswith("message-id:"):
            found = TOKEN.search(line)
            return found[1] if found else line.partition(":")[2].strip()
    return "no Message-ID"


def copy_of(server, user, folder, flags, date, octets):
    head = head_lines(octets)
    return Copy(server, user, folder, token_of(head), frozenset(flags), date, body_digest(octets), hashlib.sha256(octets).hexdigest(),
                head, sum(line.lower().startswith("coexist-trace:") for line in head))


def mailbox(name, server, user):
    """Every copy that the server shows of this user's mail."""
    client, out = server.imap(user), []
    try:
        for folder in folders(client):
            status, answer = client.select(quoted(folder), readonly=True)
            assert status == "OK", answer
            if not int(answer[0]):
                continue
            answer = client.uid("FETCH", "1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")[1]
            for at, item in enumerate(answer):
                if isinstance(item, tuple):
                    about = item[0] + (answer[at + 1] if isinstance(answer[at + 1], bytes) else b"")
                    flags = {flag.decode() for flag in FLAGS.search(about)[1].split()} - {"\\Recent"}
                    out.append(copy_of(name, user, folder, flags, when(DATE.search(about)[1].decode()), item[1]))
    finally:
        client.logout()
    return out


# --- Logs ----------------------------------------------------------------------------------------

def arrivals(server, text):
    """Of Dovecot's log, in UTC."""
    return [Arrival(server, found[3], found[4], calendar.timegm(time.strptime(found[1], "%Y-%m-%d %H:%M:%S")) + int(found[2]) / 1e6)
            for found in SAVED.finditer(text)]


def relay_doubts(text):
    out = []
    for line in text.splitlines():
        if "duplicate=possible" in line:
            found = SENDER.match(parse_line(line).get("from", ""))
            if found:
                out.append((found[1], "the relay has lost the server's reply"))
    return out


def postfix_doubts(text):
    tokens, doubts, bounces = {}, [], []
    for line in text.splitlines():
        if found := POSTFIX_ID.search(line):
            tokens[found[1]] = found[2]
        elif found := POSTFIX_TWICE.search(line):
            doubts.append((tokens.get(found[1], ""), "Postfix has lost the server's reply"))
        elif found := POSTFIX_BOUNCED.search(line):
            bounces.append((tokens.get(found[1], ""), found[2], found[3]))
    return doubts, bounces


def stamp(text):
    """Seconds of a time in a log of ours, or of the map."""
    return email.utils.parsedate_to_datetime(text).timestamp() if "," in text else _iso(text)


def _iso(text):
    whole, _, rest = text.rstrip("Z").partition(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + (float("0." + rest) if rest else 0)


def changes(map_log, mapd_text):
    """maptool log --json tells every change, to the second; mapd's log the millisecond, unless it was killed before."""
    exact, out, ambiguous = {}, [], []
    for line in mapd_text.splitlines():
        fields = parse_line(line)
        if fields.get("event") == "map_change":
            exact[int(fields["generation"])] = _iso(fields["time"])
        elif fields.get("event") == "barrier" and fields.get("result") == "ambiguous":
            ambiguous.append(_iso(fields["time"]))
    for item in json.loads(map_log):
        entry, second = item["new"], _iso(item["when"])
        if entry is None:
            continue
        known = exact.get(item["generation"])
        low, high = (known, known) if known is not None else (second - 1, second + 2)
        out.append(Change(item["key"], entry["route"], entry["state"], entry["epoch"], low, high))
    for change, following in zip(out, out[1:] + [None]):
        if change.state == "held":
            end = min((c.high for c in out if c.user == change.user and c.epoch > change.epoch), default=float("inf"))
            change.is_ambiguous = any(change.low - 1 <= moment <= end + 1 for moment in ambiguous)
    return out


def crashes(name, text):
    found = SANITIZER.search(text)
    if found:
        return [f"coexist-{name}: {text[found.start():found.start() + 3000]}"]
    return [line for line in text.splitlines() if "event=bug" in line or "BUG:" in line]


def gather(world):
    """All of it, from servers that run and logs that are complete."""
    out = Evidence()
    for name, server in world.servers.items():
        for user in world.users:
            out.copies += mailbox(name, server, user)
        out.arrivals += arrivals(name, server.log.read_text(errors="replace"))
    for user in world.users:
        entry = world.site.json("get", user)
        out.home[user], out.states[user] = entry["route"], entry["state"]
    out.changes = changes(world.site.maptool("log", "--all", "--json").stdout, world.log_text("mapd"))
    out.doubts = relay_doubts(world.log_text("relay"))
    more, out.bounces = postfix_doubts(world.mx.log.read_text(errors="replace"))
    out.doubts += more
    for name in ("mapd", "lookup", "relay", "milter", "sync"):
        out.crashes += crashes(name, world.log_text(name))
    out.crashes += world.crashes
    return out
