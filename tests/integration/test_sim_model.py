# SPDX-License-Identifier: ISC
"""The model of the simulation answers as Dovecot and Cyrus do."""
import os
import subprocess

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TRACE = os.path.join(ROOT, "build", "sim", "trace")
ANN = "ann@example.org"
STEPS = 120


def trace(seed, *server):
    run = subprocess.run([TRACE, str(seed), str(STEPS), *server], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    return run.stdout.splitlines()


# A server that hides MOVE: moves are COPY, STORE and EXPUNGE then, and come to the same.
NO_MOVE = {"conf": "imap_capability = IMAP4rev1 SASL-IR LITERAL+ UIDPLUS MULTIAPPEND ENABLE CONDSTORE QRESYNC ESEARCH\n"}


@pytest.mark.parametrize("kind,options", [("dovecot", {}), ("cyrus", {}), ("dovecot", NO_MOVE)], ids=["dovecot", "cyrus", "no-move"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4, 5, 6])
def test_same_trace(request, tmp_path, kind, options, seed):
    server = request.getfixturevalue(kind)(**options)
    secret = tmp_path / "secret"
    secret.write_text(f"{ANN.split('@')[0]}-secret")
    secret.chmod(0o600)
    url = f"imap://{ANN}@127.0.0.1:{server.imap_port}/"
    want = trace(seed)
    got = trace(seed, url, str(secret))
    n = next((i for i, (a, b) in enumerate(zip(want, got)) if a != b), None)
    assert n is None, f"{n}: model {want[n]!r}, server {got[n]!r}, behind {want[max(0, n - 8):n]}"
