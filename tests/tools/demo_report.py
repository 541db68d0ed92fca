# SPDX-License-Identifier: ISC
"""The end of the demo: where the mail arrived over time, the table, the verdict."""
import shutil

SERVERS = ("old", "new")
WRONGS = ("lost", "duplicated", "misrouted", "altered")
HEAD = ["user", "through", "accepted", "on old", "on new", "lost", "duplicated", "misrouted"]


def show(screen, ledger, arrivals, counts, problems, moved):
    """Print everything; True when nothing was wrong and there was something to be right about."""
    course(screen, ledger, arrivals)
    table(screen, counts)
    for user, (source, _) in moved.items():
        name = user.partition("@")[0]
        screen.print("  " + screen.paint("dim", f"{name}'s mailbox was moved: what {source} had is on both, for nothing is deleted there"))
    for problem in problems[:20]:
        screen.print("  " + screen.paint("bad", problem))
    totals = {wrong: sum(getattr(row, wrong) for row in counts.values()) for wrong in WRONGS}
    is_good = not any(totals.values()) and not problems and ledger.accepted() > 0
    shown = [w for w in WRONGS if w != "altered" or totals[w]]
    screen.print()
    screen.print("  " + screen.paint("good" if is_good else "bad", ", ".join(f"{w} {totals[w]}" for w in shown)))
    screen.print()
    return is_good


def course(screen, ledger, arrivals):
    """One line per user and door: each letter is a message, in the order of acceptance."""
    width = shutil.get_terminal_size().columns - 20 if screen.is_tty else 60
    screen.print()
    screen.print("  " + screen.paint("dim", "where the mail arrived over time: o = old, N = new"))
    rows = {}
    for entry in ledger.sent.values():
        if entry.accepted and entry.path not in ("loop", "mailbox"):
            on = tuple(s for s in SERVERS if (s, entry.token) in arrivals)
            rows.setdefault((entry.user, entry.path), []).append({("old",): "o", ("new",): "N"}.get(on, "?"))
    above = None
    for (user, path), marks in sorted(rows.items()):
        step = max(1, -(-len(marks) // max(20, width)))
        shown = "".join(screen.paint({"o": "old", "N": "new"}.get(m, "bad"), m) for m in marks[::step])
        name = user.partition("@")[0]
        screen.print(f"  {name if name != above else '':5} {path:8} {shown}")
        above = name
    screen.print()


def table(screen, counts):
    rows, above = [], None
    for (user, path), row in sorted(counts.items()):
        name = user.partition("@")[0]
        rows.append([name if name != above else "", path, row.accepted, row.on.get("old", 0), row.on.get("new", 0),
                     row.lost, row.duplicated, row.misrouted])
        above = name
    rows.append(["all", "", *(sum(row[n] for row in rows) for n in range(2, len(HEAD)))])

    def paint(column, text):
        if HEAD[column] in ("on old", "on new"):
            return screen.paint(HEAD[column][3:], text)
        if HEAD[column] in WRONGS:
            return screen.paint("good" if text.strip() == "0" else "bad", text)
        return screen.paint("bold", text) if column == 0 else text

    screen.table(HEAD, rows, paint)
