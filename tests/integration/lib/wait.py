# SPDX-License-Identifier: ISC
"""Waiting for conditions instead of sleeping, and ports that nobody else takes."""
import os
import random
import socket
import time

# Below Linux' range for outgoing connections, so that none of those can sit on a chosen port.
PORT_RANGE = (10240, 32000)
_claims = {}


class Timeout(AssertionError):
    """A condition did not come true in time; the text says which."""


def wait_for(condition, timeout=20, what="condition", interval=0.02):
    """Call condition() until it returns something true and return that.

    Exceptions of the kinds that a server gives while it starts or stops count as "not yet".
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
        except (OSError, EOFError) as problem:
            last = problem
        if time.monotonic() >= deadline:
            raise Timeout(f"waited {timeout} s for {what}" + (f" (last: {last!r})" if last else ""))
        time.sleep(interval)


def free_port():
    """A TCP port of 127.0.0.1 that is free and stays ours among all tests of this machine.

    The claim is an abstract Unix socket named after the port: it ends with this process,
    however that ends.
    """
    for _ in range(1000):
        port = random.randrange(*PORT_RANGE)
        claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            claim.bind(f"\0coexist-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            claim.close()
            continue
        _claims[port] = (claim, os.getpid())
        return port
    raise OSError("no free port on 127.0.0.1")


def claimed_ports():
    """The ports that this process has from free_port."""
    return set(_claims)


def release_port(port):
    """Give a port of free_port back."""
    claim = _claims.pop(port, None)
    if claim:
        claim[0].close()


def listens(port, host="127.0.0.1"):
    """Whether something accepts connections there."""
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False
