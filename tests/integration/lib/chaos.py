# SPDX-License-Identifier: ISC
"""How much the tests do that could do any amount: little in `make check`, as much as is asked in `make chaos` and `make soak`."""
import os

KILLS = int(os.environ.get("COEXIST_KILLS", "50"))
# Everything that has a table or a sample: all of it, not some.
IS_SOAK = "COEXIST_SOAK" in os.environ
HISTORIES = int(os.environ.get("COEXIST_HISTORIES", "60" if IS_SOAK else "3"))
