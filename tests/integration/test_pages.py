# SPDX-License-Identifier: ISC
"""What an administrator copies from the pages: configurations that are read, commands and options that exist."""
import re
import subprocess
from pathlib import Path

import pytest
from lib.coexist import binary_dir

ROOT = Path(__file__).resolve().parents[2]
BIN = binary_dir()
MAN = sorted((ROOT / "docs/man").iterdir())
RECIPES = sorted((ROOT / "docs/recipes").iterdir())
README = ROOT / "README.md"
PAGES = [README, *RECIPES, *MAN]


def literal_blocks(page):
    """The texts of a page that stand there to be copied."""
    text = page.read_text()
    if page in MAN:
        return [b.replace("\\e", "\\") for b in re.findall(r"^\.Bd -literal.*\n((?:.*\n)*?)\.Ed$", text, re.M)]
    fenced = re.findall(r"^```\n((?:.*\n)*?)```$", text, re.M)
    indented = re.findall(r"^    .*\n(?:(?:    .*)?\n)*", text, re.M)
    return fenced + [re.sub(r"^    ", "", block, flags=re.M) for block in indented]


def configurations(page):
    out = [b for b in literal_blocks(page) if re.search(r'^\s*(domain|server) "[^"]+" \{ *\w*', b, re.M) and "title" not in b]
    if page not in MAN:
        out += re.findall(r"`((?:milter|relay|lookup|mapd|sync) \{ \w+ = [^`]*\})`", page.read_text())
    return [text for text in out if "..." not in text]


def section(title):
    return README.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def commands():
    """(program, words) of every line with a command of ours."""
    for page in PAGES:
        for block in literal_blocks(page):
            for line in block.replace("\\\n", " ").splitlines():
                found = re.match(r"(?:[#$] )?(?:/\S+/)?(maptool|coexist-(?:mapd|lookup|relay|milter|sync))( [^#|&]*)?", line)
                if found and "event=" not in line:
                    yield page.name, found[1], (found[2] or "").split()


def help_of(program, *words):
    done = subprocess.run([BIN / program, *words, "--help"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_configurations_are_read(page, tmp_path):
    found = configurations(page)
    assert found or page.name not in ("README.md", "postfix.md", "coexist.conf.5"), "no example is left"
    for text in found:
        (tmp_path / "coexist.conf").write_text(text)
        done = subprocess.run([BIN / "coexist-mapd", "-c", tmp_path / "coexist.conf", "-n"], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=20, check=False)
        assert done.returncode == 0, (done.stdout, text)


@pytest.mark.parametrize("title, recipe", [("Beside Postfix", "postfix.md"), ("Beside Sendmail", "sendmail.md")])
def test_the_readme_says_what_the_recipe_says(title, recipe):
    lines = [line[4:] for line in section(title).splitlines() if re.match(r"    (?!#|dnl)", line)]
    tested = (ROOT / "docs/recipes" / recipe).read_text().splitlines()
    assert lines and [line for line in lines if line not in tested] == []


@pytest.mark.parametrize("title", ["Beside Postfix", "Beside Sendmail"])
def test_coexist_lookup_has_the_lines_of_the_readme(title):
    page = "\n".join(literal_blocks(ROOT / "docs/man/coexist-lookup.8")).replace("\\(ga", "`").replace("\\(aq", "'")
    lines = [line[4:] for line in section(title).splitlines() if re.match(r"    (?!#|dnl)", line)]
    assert lines and [line for line in lines if line not in page.splitlines()] == []


def test_commands_and_options_exist():
    seen = set()
    for page, program, words in commands():
        is_tool = program in ("maptool", "coexist-sync") and words and words[0].isalpha()
        known = help_of(program)
        if is_tool:
            assert re.search(rf"^  {words[0]}\b", known, re.M), (page, program, words)
            seen.add((program, words[0]))
        if program == "coexist-sync" and is_tool and words[0] != "run":
            known = help_of(program, words[0])
        for word in words:
            if word.startswith("-") and len(word) > 1:
                assert re.search(rf"(?<![\w-]){word.partition('=')[0]}\b", known), (page, program, word)
    assert {("maptool", "init"), ("maptool", "import"), ("coexist-sync", "copy"), ("coexist-sync", "cutover")} <= seen
