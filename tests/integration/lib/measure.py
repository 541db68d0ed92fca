# SPDX-License-Identifier: ISC
"""Memory of a program, and mailboxes large enough to make it matter."""
import re
import subprocess
import time
from pathlib import Path

RSS_MAX_KIB = 32 << 10


def measured(line, out=None):
    """Exit status and the largest resident set of the process, in KiB; standard output goes to a file.

    VmHWM, because the resource usage of a child begins with that of the process that started it.
    """
    with open(out or "/dev/null", "wb") as file:
        child = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=file)
        peak = 0
        while child.poll() is None:
            try:
                text = Path(f"/proc/{child.pid}/status").read_text()
            except OSError:
                continue
            found = re.search(r"VmHWM:\s+(\d+)", text)
            peak = int(found[1]) if found else peak
            time.sleep(0.01)
    return child.returncode, peak


def maildir_name(number, text, flags):
    """As Dovecot makes it: what its names are hashed by differs, and it need not read the message for its sizes."""
    octets = len(text.encode())
    return (f"{1700000000 + number}.M{number * 7919 % 1000000}P{number % 30011 + 300}.host,S={octets},"
            f"W={octets + text.count(chr(10))}:2,{flags}")


def put_in_maildir(server, user, count, folder="", first=0):
    """Messages in a folder of the user (INBOX), behind the server's back; much faster than APPEND."""
    maildir = f"var/mail/{user}/Maildir" + (f"/.{folder}" if folder else "")
    for path in (f"var/mail/{user}", f"var/mail/{user}/Maildir", maildir, f"{maildir}/cur", f"{maildir}/new", f"{maildir}/tmp"):
        server.folder(path, user="vmail")
    for i in range(first, first + count):
        text = f"From: a@example.net\nSubject: {i}\n\n{i}\n"
        server.write(f"{maildir}/cur/{maildir_name(i, text, 'S' if i % 3 else '')}", text, user="vmail")
