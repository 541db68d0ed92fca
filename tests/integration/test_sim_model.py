# SPDX-License-Identifier: ISC
"""The model of the simulation answers as Dovecot and Cyrus do, and so does the IMAP end promise by promise."""
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACE = os.path.join(ROOT, "build", "sim", "trace")
PROMISES = os.path.join(ROOT, "build", "sim", "promises")
ANN = "ann@example.org"
STEPS = 120


def trace(seed, *server):
    run = subprocess.run([TRACE, str(seed), str(STEPS), *server], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout.splitlines()


# A server that hides MOVE: moves are COPY, STORE and EXPUNGE then, and come to the same.
NO_MOVE = {"conf": "imap_capability = IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MULTIAPPEND ENABLE CONDSTORE QRESYNC ESEARCH\n"}


KINDS = pytest.mark.parametrize("kind,options", [("dovecot", {}), ("cyrus", {}), ("dovecot", NO_MOVE)], ids=["dovecot", "cyrus", "no-move"])


def place(request, tmp_path, kind, options):
    """The arguments that name the server."""
    server = request.getfixturevalue(kind)(**options)
    secret = tmp_path / "secret"
    secret.write_text(f"{ANN.split('@')[0]}-secret")
    secret.chmod(0o600)
    return f"imap://{ANN}@127.0.0.1:{server.imap_port}/", str(secret)


@KINDS
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_same_trace(request, tmp_path, kind, options, seed):
    seed = -seed if kind == "cyrus" else seed  # it may tell more of the folder that is open
    want = trace(seed)
    got = trace(seed, *place(request, tmp_path, kind, options))
    n = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), None)
    assert n is None, f"{n}: model {want[n]!r}, server {got[n]!r}, behind {want[max(0, n - 8):n]}"


@KINDS
def test_promises(request, tmp_path, kind, options):
    """Each sentence of imapsync/ends/end.h, as the table in tests/sim/promises_*.c has it."""
    run = subprocess.run([PROMISES, *place(request, tmp_path, kind, options)], stdout=subprocess.PIPE,
                         stderr=subprocess.STDOUT, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout
