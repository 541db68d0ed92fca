# SPDX-License-Identifier: ISC
"""coexist-sync copy and folders that come, go and change between its runs."""
from lib.mailbox import Mail, copy, fill, look, message

ANN = "ann@example.org"
SPECIAL = """
namespace inbox {
  mailbox Sent {
    special_use = \\Sent
    auto = create
  }
}
"""


def test_two_folders_never_become_one(dovecot, tmp_path):
    """Sent went to the target's own "Gesendet"; later a folder of that very name appears on the source."""
    old = dovecot("old", conf=SPECIAL)
    new = dovecot("new", conf=SPECIAL.replace("mailbox Sent", "mailbox Gesendet"))
    twin = Mail(message("twin"))
    fill(old.imap(ANN), {"Sent": [twin, Mail(message("sent"))]})
    assert copy(old, new, tmp_path).status == 0
    assert len(look(new.imap(ANN))["Gesendet"]) == 2
    fill(old.imap(ANN), {"Gesendet": [twin, Mail(message("other"))]})
    result = copy(old, new, tmp_path)
    assert result.status == 0, result.log
    there = look(new.imap(ANN))
    assert sorted(len(mails) for mails in there.values()) == [0, 2, 2], there
    # And it stays so.
    result = copy(old, new, tmp_path)
    assert (result.status, result.messages_copied) == (0, 0)
    # A message that is deleted in one of them stays in the other.
    client = old.imap(ANN)
    client.select("Sent")
    client.uid("STORE", "1", "+FLAGS", "(\\Deleted)")
    client.expunge()
    assert copy(old, new, tmp_path).status == 0
    assert sorted(len(mails) for mails in look(new.imap(ANN)).values()) == [0, 1, 2]
