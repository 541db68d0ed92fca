# SPDX-License-Identifier: ISC
"""What the demo shows: one line per event, colours and a moving status line on a terminal only."""
import os
import shutil
import sys
import time

COLOURS = {"old": "33", "new": "36", "good": "32", "bad": "31;1", "dim": "2", "bold": "1"}


class Screen:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.is_tty = out.isatty() and os.environ.get("TERM", "dumb") != "dumb"
        self.colours = self.is_tty and "NO_COLOR" not in os.environ
        self.started = time.monotonic()
        self.last_topic = None
        self.status_shown = False

    def paint(self, name, text):
        """The text in a named colour, or as it is."""
        return f"\x1b[{COLOURS[name]}m{text}\x1b[0m" if self.colours else str(text)

    def server(self, name):
        return self.paint(name, name)

    def title(self, *lines):
        self.print()
        self.print("  " + self.paint("bold", lines[0]))
        for line in lines[1:]:
            self.print("  " + self.paint("dim", line))
        self.print()

    def event(self, topic, text):
        """One line: time, topic (once per run of lines about it), text."""
        shown = "" if topic == self.last_topic else topic
        self.last_topic = topic
        seconds = f"{time.monotonic() - self.started:5.1f} s"
        self.print(f"  {self.paint('dim', seconds)}  {self.paint('bold', f'{shown:9}')} {text}")

    def command(self, topic, text):
        """A command as a person would type it; it begins a new run of lines."""
        self.last_topic = None
        self.event(topic, self.paint("dim", "$ " + text))

    def status(self, text):
        """A line that the next one overwrites; nothing where the output is not a terminal."""
        if not self.is_tty:
            return
        width = shutil.get_terminal_size().columns - 1
        self.out.write("\r\x1b[K" + f"           {text}"[:width])
        self.out.flush()
        self.status_shown = True

    def print(self, text=""):
        if self.status_shown:
            self.out.write("\r\x1b[K")
            self.status_shown = False
        self.out.write(text + "\n")
        self.out.flush()

    def table(self, head, rows, paint):
        """Columns wide enough for their cells, the first two flush left; paint(column, padded text)."""
        cells = [[str(c) for c in row] for row in [head, *rows]]
        widths = [max(len(row[n]) for row in cells) for n in range(len(head))]
        for number, row in enumerate(cells):
            out = []
            for n, text in enumerate(row):
                padded = text.ljust(widths[n]) if n < 2 else text.rjust(widths[n])
                out.append(self.paint("dim", padded) if number == 0 else paint(n, padded))
            self.print("  " + "   ".join(out).rstrip())
            if number == 0:
                self.print("  " + self.paint("dim", "-" * (sum(widths) + 3 * (len(widths) - 1))))
