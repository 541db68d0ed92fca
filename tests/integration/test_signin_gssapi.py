# SPDX-License-Identifier: ISC
"""Signing in by Kerberos: a realm of our own and a Dovecot that has a key in it."""
from lib.coexist import ROOT
from lib.dovecot import Dovecot
from lib.kerberos import Kerberos
from lib.mailbox import Mail, argv, fill, message, run

CONF = """\
auth_mechanisms = plain login gssapi
auth_gssapi_hostname = "$ALL"
auth_krb5_keytab = /etc/dovecot/keytab
import_environment = TZ KRB5_CONFIG=/etc/dovecot/krb5.conf
"""


class DovecotGssapi(Dovecot):
    tree_name = "dovecot-gssapi"


def test_a_ticket_signs_in(dovecot, tmp_path):
    with Kerberos(tmp_path / "kdc") as realm:
        realm.principal("ann", "ann-secret")
        realm.principal("bob", "bob-secret")
        key = realm.keytab("imap/localhost")
        old = DovecotGssapi(tmp_path / "old", {"ann": "x"}, CONF, "old.test",
                            files={"krb5.conf": realm.config.read_text()})
        (old.dir / "etc").mkdir(exist_ok=True)
        old.folder("var/tmp", 0o1777)
        (old.dir / "etc" / "keytab").write_bytes(key)
        (old.dir / "etc" / "keytab").chmod(0o644)
        new = dovecot("new", users={"ann": "x"})
        with old:
            fill(old.imap("ann"), {"INBOX": [Mail(message("one"))]})
            # Not the one with the sanitizers: libgssapi leaks 16 octets where there is no ticket.
            line = argv(old, new, tmp_path, "--source-auth=gssapi", "--source-tls-name=localhost", user="ann",
                        binary=ROOT / "build" / "bin" / "coexist-sync")
            at = line.index("--source-password-file")
            del line[at:at + 2]
            none = run(line, env={"KRB5_CONFIG": str(realm.config), "KRB5CCNAME": f"FILE:{tmp_path}/none"})
            assert none.status != 0 and "GSSAPI" in none.log, none.log
            done = run(line, env=realm.ticket("ann", "ann-secret"))
            assert (done.status, done.messages_copied) == (0, 1), done.log
            assert old.logged("method=GSSAPI")
            # A ticket of somebody else does not open ann's mailbox.
            other = run(line, env=realm.ticket("bob", "bob-secret"))
            assert other.status != 0, other.log
