# SPDX-License-Identifier: ISC
"""A network of the test's own, with addresses that are not loopback ones and are reached by nobody else.

    with own_network("192.0.2.1"):
        target = ScriptedSmtp(host="192.0.2.1").start()
        made.start("relay")          # programs that are started meanwhile live there

The calling thread moves to a new network namespace and comes back at the end.  Sockets and
processes stay where they were made.  The addresses are on the loopback device, so no other device is needed.
"""
import contextlib
import ctypes
import fcntl
import os
import socket
import struct

CLONE_NEWNET = 0x40000000
SIOCSIFFLAGS, SIOCSIFADDR = 0x8914, 0x8916
IFF_UP = 1

libc = ctypes.CDLL(None, use_errno=True)


def check(result, doing):
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{doing}: {os.strerror(ctypes.get_errno())}")


def configure(address, number):
    name = f"lo:{number}".encode() if number else b"lo"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        if number:
            fcntl.ioctl(control, SIOCSIFADDR, struct.pack("16sHH4s8x", name, socket.AF_INET, 0, socket.inet_aton(address)))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name, IFF_UP))


@contextlib.contextmanager
def own_network(*addresses):
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc.unshare(CLONE_NEWNET), "unshare")
        configure(None, 0)
        for number, address in enumerate(addresses, 1):
            configure(address, number)
        yield
    finally:
        check(libc.setns(home, CLONE_NEWNET), "setns")
        os.close(home)
