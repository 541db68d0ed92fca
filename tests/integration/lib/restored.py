# SPDX-License-Identifier: ISC
"""A server that was restored from a backup gives UIDs a second time, under the same UIDVALIDITY."""
import shutil
import subprocess


def back_up(server):
    server.stop()
    subprocess.run(["cp", "-a", server.dir / "var", server.dir / "backup"], check=True)
    server.start()


def restore(server):
    server.stop()
    shutil.rmtree(server.dir / "var")
    subprocess.run(["cp", "-a", server.dir / "backup", server.dir / "var"], check=True)
    server.start()
