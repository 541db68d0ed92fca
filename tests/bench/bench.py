#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""make bench: ours and the peers in turn, on this machine, in one run.

    bench.py [relay] [lookup] [map] [copy] [follow] [export] [many] [large] [size] [wide] [connections]      all but the last four without a name

Every figure is the median of several rounds; in each round the programs take turns, so that a
busy minute hits all of them.  The results, with date and machine, go to docs/benchmarks.md, one
section a bench, and a section is only replaced by a run of that bench.  The machine should do
nothing else meanwhile.
"""
import datetime
import importlib
import os
import platform
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "integration"))
sys.path.insert(0, str(ROOT / "tests" / "bench"))
PAGE = ROOT / "docs" / "benchmarks.md"
BENCHES = ["relay", "lookup", "map", "copy", "follow", "export", "many"]
LONG = ["large", "size", "wide", "import", "connections"]

INTRO = """# Benchmarks

`make bench` runs ours and the peers (Debian's packages, as guests) in turn on one machine in one
run and writes this page.  Ratios matter; absolute numbers belong to the machine.  Each section
says when and where it was measured.
"""


def machine():
    """One line about this machine that helps to read the figures and names nobody."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1)) >> 20
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")
    return f"{os.cpu_count()} cores of {model}, {memory} GiB, {system}, Linux {platform.release().split('-')[0]}"


def replace_section(name, text):
    """Puts the section of one bench on the page, leaving the others alone."""
    page = PAGE.read_text() if PAGE.exists() else INTRO
    begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    block = f"{begin}\n{text.strip()}\n{end}\n"
    if begin in page:
        page = page[:page.index(begin)] + block + page[page.index(end) + len(end) + 1:]
    else:
        page = page.rstrip("\n") + "\n\n" + block
    PAGE.write_text(page)


def main():
    names = sys.argv[1:] or [n for n in BENCHES if (ROOT / "tests" / "bench" / f"bench_{n}.py").exists()]
    for name in names:
        if name not in BENCHES + LONG:
            sys.exit(f"bench.py: no bench '{name}'; there are: {', '.join(BENCHES + LONG)}")
    for name in names:
        module = importlib.import_module(f"bench_{name}")
        print(f"== {name}: {module.TITLE}", flush=True)
        body = module.run()
        stamp = f"Measured {datetime.date.today().isoformat()} on {machine()}."
        replace_section(name, f"## {module.TITLE}\n\n{stamp}\n\n{body}")
        print(body, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
