# SPDX-License-Identifier: ISC
"""How often the kill tests kill: 50 times in `make check`, as often as asked in `make chaos`."""
import os

KILLS = int(os.environ.get("COEXIST_KILLS", "50"))
