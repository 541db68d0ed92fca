# SPDX-License-Identifier: ISC
"""The recipes of docs/recipes/, so that what people copy is what the tests run.

    block("postfix.md", "main.cf routes", {"127.0.0.1:10225": f"127.0.0.1:{port}"})   # text of the block
    settings(text)                                                                  # main.cf lines as a dict

A block is the fenced one behind <!-- test: NAME -->.  Every text to replace must be in it.
"""
import re
from pathlib import Path

RECIPES = Path(__file__).resolve().parents[3] / "docs" / "recipes"


def block(recipe, name, replace=None):
    text = (RECIPES / recipe).read_text()
    found = re.search(rf"<!-- test: {re.escape(name)} -->\n```\n(.*?)\n```\n", text, re.S)
    assert found, f"{recipe} has no block {name}"
    out = found[1] + "\n"
    for old, new in (replace or {}).items():
        assert old in out, f"{old} is not in block {name} of {recipe}"
        out = out.replace(old, new)
    return out


def settings(text):
    return {name.strip(): value.strip() for name, _, value in (line.partition("=") for line in text.splitlines() if line)}
