# SPDX-License-Identifier: ISC
"""A server that was restored from a backup gives UIDs a second time, under the same UIDVALIDITY."""
import shutil
import subprocess


def back_up(server):
    server.stop()
    subprocess.run(["cp", "-a", server.dir / "var", server.dir / "backup"], check=True)
    server.start()


def work(client, folder):
    """What only MODSEQs keep: they are higher then than so much mail alone makes them."""
    client.select(folder)
    for sign in "+-" * 6:
        assert client.uid("STORE", "*", f"{sign}FLAGS", "(\\Draft)")[0] == "OK"
    client.logout()


def restore(server):
    server.stop()
    shutil.rmtree(server.dir / "var")
    subprocess.run(["cp", "-a", server.dir / "backup", server.dir / "var"], check=True)
    server.start()
