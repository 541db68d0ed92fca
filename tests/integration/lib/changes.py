# SPDX-License-Identifier: ISC
"""What users do to a mailbox between two passes, again and again: the same kind of pass any number of times.

    stock(old, 40)                     enough for 40 changes of each kind
    CHANGES["deletion"](old, n)        the n-th one
"""
from .mailbox import Mail, message

FOLDERS = ("INBOX", "Work", "Eins.Zwei")


def mail(text, flags=()):
    return Mail(message(text, f"{text}\r\n" * 20), flags)


def stock(old, count):
    old.fill({folder: [mail(f"stock {folder} {i}", ("\\Seen",) if i % 3 else ()) for i in range(4 + (count if folder != "Eins.Zwei" else 0))]
              for folder in FOLDERS})
    # Equal ones: nobody can tell them apart.
    old.fill({"INBOX": [mail("twin")] * 2, "Work": [mail("twin")]})


def delta(old, n):
    old.fill({"INBOX": [mail(f"new {n}"), mail(f"new {n} too", ("\\Seen", "Work"))], "Work": [mail(f"new {n}")]})
    flags(old, n)


def flags(old, n):
    sign = "+-"[n // 2 % 2]
    old.store("INBOX", old.uids("INBOX")[-1 - n % 2], sign + "FLAGS", "\\Flagged Later")
    old.store("Eins.Zwei", "1:3", "+-"[n % 2] + "FLAGS", "\\Answered")


def move(old, n):
    old.move(old.uids("INBOX")[0], "INBOX", "Work")
    old.move(old.uids("Work")[n % 2], "Work", "Eins.Zwei")


def deletion(old, _):
    old.expunge("INBOX", old.uids("INBOX")[0])
    old.expunge("Work", old.uids("Work")[0])


def all_of_them(old, n):
    for change in (delta, move, deletion):
        change(old, n)


CHANGES = {"delta": delta, "flags": flags, "move": move, "deletion": deletion, "all": all_of_them}
