# SPDX-License-Identifier: ISC
"""Postfix with a configuration, queue and data folder of its own.

    with Postfix(tmp_path / "mx", main={
            "relay_domains": "example.org",
            "transport_maps": f"socketmap:inet:127.0.0.1:{port}:transport",
            "relay_recipient_maps": f"socketmap:inet:127.0.0.1:{port}:recipients",
            "smtpd_milters": f"inet:127.0.0.1:{milter_port}"}) as mx:
        smtp.send(mx.smtp_port, "a@example.net", ["ann@example.org"], message)
        mx.wait_empty()

main: settings of main.cf on top of the defaults below.  master: lines added to master.cf.
Retries come within seconds, so that tests can wait for them.  IPv4 loopback clients are trusted
(mynetworks) and may use XFORWARD and XCLIENT.  Mail that no table routes, bounces to senders
included, is discarded with a line in the log (relay=none, "discard").
"""
import json
import os
import shutil
import signal
import time

from . import certs
from .guest import Guest
from .wait import free_port, wait_for

MAIN = {
    "compatibility_level": "3.6",
    "queue_directory": "/var/spool/postfix",
    "data_directory": "/var/lib/postfix",
    "command_directory": "/usr/sbin",
    "daemon_directory": "/usr/lib/postfix/sbin",
    "shlib_directory": "/usr/lib/postfix",
    "mail_owner": "postfix",
    "setgid_group": "postdrop",
    "default_privs": "nobody",
    "default_transport": "discard:",
    "inet_interfaces": "127.0.0.1",
    "inet_protocols": "ipv4",
    "mynetworks": "127.0.0.0/8",
    "mydestination": "",
    "relay_domains": "",
    "local_recipient_maps": "",
    "local_transport": "error:5.1.1 no local mail here",
    "alias_maps": "",
    "alias_database": "",
    "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
    "smtpd_authorized_xforward_hosts": "127.0.0.0/8",
    "smtpd_authorized_xclient_hosts": "127.0.0.0/8",
    "smtpd_peername_lookup": "no",
    "smtpd_error_sleep_time": "0",
    "smtpd_soft_error_limit": "1000",
    "smtpd_hard_error_limit": "2000",
    "smtpd_client_connection_count_limit": "0",
    "smtp_host_lookup": "native",
    "smtp_dns_support_level": "disabled",
    "smtp_address_preference": "ipv4",
    "disable_dns_lookups": "yes",
    "milter_default_action": "tempfail",
    "queue_run_delay": "1s",
    "minimal_backoff_time": "1s",
    "maximal_backoff_time": "3s",
    "transport_retry_time": "1s",
    "smtp_connect_timeout": "5s",
    "in_flow_delay": "0",
    "biff": "no",
    "message_size_limit": "104857600",
    "mailbox_size_limit": "0",
    "smtpd_tls_cert_file": "/inst/cert.pem",
    "smtpd_tls_key_file": "/inst/key.pem",
    "smtpd_tls_security_level": "may",
    "smtp_tls_security_level": "none",
}

MASTER = """\
127.0.0.1:{smtp_port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
lmtp unix - - n - - lmtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
"""

QUEUES = {"active": 0o700, "bounce": 0o700, "corrupt": 0o700, "defer": 0o700, "deferred": 0o700, "flush": 0o700,
          "hold": 0o700, "incoming": 0o700, "private": 0o700, "saved": 0o700, "trace": 0o700}


class Postfix(Guest):
    """See the top of this file.  main and master may be changed before start() or reload()."""

    tree_name = "postfix"
    etc = "/etc/postfix"

    def __init__(self, folder, main=None, master="", hostname="mx.test"):
        super().__init__(folder)
        self.main = {**MAIN, "myhostname": hostname, **(main or {})}
        self.master = master
        self.hostname = hostname
        self.smtp_port = free_port()
        certs.install(self.dir / "inst", hostname)

    def argv(self):
        return ["/usr/lib/postfix/sbin/master", "-d", "-c", "/etc/postfix"]

    def ports(self):
        return [self.smtp_port]

    def start(self, timeout=30):
        for name, mode in QUEUES.items():
            self.folder(f"var/spool/postfix/{name}", mode, user="postfix")
        self.folder("var/spool/postfix/maildrop", 0o730, user="postfix", group="postdrop")
        self.folder("var/spool/postfix/public", 0o710, user="postfix", group="postdrop")
        self.folder("var/spool/postfix/pid")
        self.folder("var/lib/postfix", 0o700, user="postfix")
        self.write_configuration()
        before = self.count_logged("daemon started -- version")
        super().start(timeout)
        # Its ports listen before it is ready for signals: an early SIGHUP would end it.
        wait_for(lambda: self.count_logged("daemon started -- version") > before, timeout, "Postfix to be up")
        return self

    def write_configuration(self):
        main = self.write("etc/main.cf", "".join(f"{name} = {value}\n" for name, value in self.main.items()))
        # Postfix waits until the file is some seconds old, lest somebody still writes it.
        long_ago = time.time() - 60
        os.utime(main, (long_ago, long_ago))
        self.write("etc/master.cf", MASTER.format(smtp_port=self.smtp_port) + self.master)
        dynamic = self.tree / "etc/postfix/dynamicmaps.cf"
        if dynamic.exists():
            shutil.copy(dynamic, self.dir / "etc")
        for name in ("dynamicmaps.cf.d",):
            if (self.tree / "etc/postfix" / name).is_dir():
                shutil.copytree(self.tree / "etc/postfix" / name, self.dir / "etc" / name, dirs_exist_ok=True)

    def table(self, name, entries, kind="hash"):
        """Write and compile a lookup table; returns its "hash:/etc/postfix/NAME"."""
        self.write(f"etc/{name}", "".join(f"{key}\t{value}\n" for key, value in entries.items()))
        if not (self.dir / "etc/main.cf").exists():
            self.write_configuration()
        if kind in ("hash", "btree", "cdb", "lmdb"):
            self.run("/usr/sbin/postmap", f"{kind}:/etc/postfix/{name}")
        return f"{kind}:/etc/postfix/{name}"

    def query(self, table, key):
        """postmap -q: the table's answer or None; lookup errors raise."""
        done = self.run("/usr/sbin/postmap", "-q", key, table, check=False)
        if done.returncode and done.stderr:
            raise AssertionError(f"postmap -q {key} {table}: {done.stderr.strip()}")
        return done.stdout.rstrip("\n") if done.returncode == 0 else None

    def reload(self, write=True):
        """Write the configuration anew, or leave what postconf made of it, and have the running master read it."""
        if write:
            self.write_configuration()
        else:
            long_ago = time.time() - 60
            os.utime(self.dir / "etc/main.cf", (long_ago, long_ago))
        before = self.count_logged("reload -- version")
        self.signal(signal.SIGHUP)
        wait_for(lambda: self.count_logged("reload -- version") > before, 30, "Postfix to reload")

    def queue(self):
        """The queue as postqueue shows it: [{queue_name, queue_id, sender, recipients: [...]}]."""
        lines = self.run("/usr/sbin/postqueue", "-j").stdout.splitlines()
        return [json.loads(line) for line in lines]

    def mailq(self):
        return self.run("/usr/sbin/postqueue", "-p").stdout

    def flush(self):
        """Try everything in the queue now: all of it has been put back before, else some would have to wait for the
        next retry.  What is logged as deferred is not yet there."""
        wait_for(lambda: all(m["queue_name"] in ("deferred", "hold") for m in self.queue()), 20, "deliveries to end")
        self.run("/usr/sbin/postqueue", "-f")

    def wait_empty(self, timeout=30):
        try:
            # A message that goes from one queue to the next meanwhile may be missed in both.
            wait_for(lambda: not self.queue() and not self.queue(), timeout, "an empty Postfix queue")
        except AssertionError as problem:
            raise AssertionError(f"{problem}\n{self.mailq()}\n{self.tail()}") from None

    def sendmail(self, sender, recipients, message):
        """Local submission through the sendmail command."""
        self.run("/usr/sbin/sendmail", "-f", sender, "-i", "--", *recipients, input=message)
