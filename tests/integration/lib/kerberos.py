# SPDX-License-Identifier: ISC
"""A Kerberos realm of its own on a loopback port: MIT's KDC as a guest, no name service.

    with Kerberos(tmp_path / "kdc") as realm:
        realm.principal("ann", "secret")           # a user
        realm.keytab("imap/localhost")             # text of a key table for a service, as bytes
        realm.ticket("ann", "secret")              # environment of a process that has ann's ticket
        realm.config                               # krb5.conf, for whoever runs on this machine
"""
from .guest import Guest
from .wait import free_port

REALM = "COEXIST.TEST"

CONF = """\
[libdefaults]
  default_realm = {realm}
  dns_lookup_kdc = false
  dns_lookup_realm = false
  dns_canonicalize_hostname = false
  rdns = false
[realms]
  {realm} = {{
    kdc = 127.0.0.1:{port}
  }}
"""

KDC = """\
[kdcdefaults]
  kdc_listen = 127.0.0.1:{port}
  kdc_tcp_listen = 127.0.0.1:{port}
[realms]
  {realm} = {{
    database_name = /var/lib/krb5kdc/principal
    key_stash_file = /var/lib/krb5kdc/stash
  }}
[logging]
  kdc = FILE:/inst/log
"""


class Kerberos(Guest):
    """See the top of this file."""

    tree_name = "kerberos"

    def __init__(self, folder):
        super().__init__(folder)
        self.realm, self.port = REALM, free_port()
        self.folder("var/lib/krb5kdc", 0o700)
        self.config = self.write("inst/krb5.conf", CONF.format(**vars(self)))
        self.write("inst/kdc.conf", KDC.format(**vars(self)))

    def argv(self):
        return ["/usr/sbin/krb5kdc", "-n", "-P", "/run/kdc.pid"]

    def ports(self):
        return [self.port]

    def _env(self):
        return {**super()._env(), "KRB5_CONFIG": "/inst/krb5.conf", "KRB5_KDC_PROFILE": "/inst/kdc.conf"}

    def start(self, timeout=30):
        self.run("/usr/sbin/kdb5_util", "create", "-s", "-r", REALM, "-P", "master-key")
        return super().start(timeout)

    def admin(self, *words):
        return self.run("/usr/sbin/kadmin.local", "-r", REALM, "-q", " ".join(words))

    def principal(self, name, password):
        self.admin("addprinc", "-pw", password, name)

    def keytab(self, name):
        self.admin("addprinc", "-randkey", name)
        self.admin("ktadd", "-k", "/inst/keytab", name)
        return (self.dir / "inst" / "keytab").read_bytes()

    def ticket(self, name, password):
        self.run("/usr/bin/kinit", "-c", "/inst/ticket", name, input=password + "\n")
        return {"KRB5_CONFIG": str(self.config), "KRB5CCNAME": f"FILE:{self.dir}/inst/ticket"}
