# SPDX-License-Identifier: ISC
"""Ways to write one address that mail servers know and a filter need not know.

    check(mx, site, target, known=ANN, unknown=NOBODY, held=BOB)

sends messages to each of them under every spelling.  Whether the mail server takes a spelling, and for
whom, is its own business.  What must be true: nothing for the unknown or the held one reaches the
target, a spelling under which the known one gets mail is refused for the unknown one and put off for
the held one at RCPT, and mail for the known one is stamped.
"""
import re

from . import smtp

HOST = "mx.test"
SPELLINGS = (
    "<{a}>", "{a}", "<{A}>", "<{a}.>", "<{l}@{D}.>", "<{a}..>", "< {a} >", "<{l} @ {d}>", "<{l}@ {d}>", "<{l} @{d}>",
    # Routes: percent, bang, a second "@", RFC 822 source routes, and one within the other.
    "<{l}%{d}>", "<{l}%{D}>", "<{l}%{d}.>", f"<{{l}}%{{d}}@{HOST}>", f"<{{l}}%{{d}}%{HOST}>", f"<{{l}}%{{d}}%{HOST}@{HOST}>",
    "<{l}%{d}@>", "<{a}@>", "<{a}@@>", f"<{{a}}@{HOST}>", f"<{{a}}%{HOST}>", f"<{{l}}%{{d}}@{HOST}.>",
    "<{d}!{l}>", "<{D}!{l}>", "<{d}.!{l}>", f"<{HOST}!{{d}}!{{l}}>", f"<{{d}}!{{l}}@{HOST}>", f"<{{d}}!{{l}}%{HOST}>",
    "<mx!{d}!{l}>", f"<{HOST}!{{l}}%{{d}}>", "<{l}%{d}@[127.0.0.1]>", "<{d}!{l}@[127.0.0.1]>",
    "<@a.test:{a}>", "<@a.test,@b.test:{a}>", f"<@{HOST}:{{l}}%{{d}}>", f"<@{HOST}:{{d}}!{{l}}>", f"<@{HOST},@{{d}}:{{a}}>",
    # Quotes, around all of it or within.
    '<"{a}">', '<"{l}%{d}">', '<"{d}!{l}">', f'<"{{a}}"@{HOST}>', f'<"{{a}}."@{HOST}>', f'<"{{l}}%{{d}}"@{HOST}>',
    f'<"{{d}}!{{l}}"@{HOST}>', f'<"{{l}}"%{{d}}@{HOST}>', '<"{l}"@{d}>', '<"{l}" @{d}>', "<\\{l}@{d}>", '<"\\{l}"@{d}>',
    '<"\\"{l}\\""@{d}>', '<"{l}"."x"@{d}>', '<"{a}"@{d}>', "<{l}%{d}@{d}>", "<{d}!{l}@{d}>", "<{a}@{d}>",
    # Phrases, comments, groups.
    "<x <{a}>>", "<<{a}>>", "x <{a}>", '<"x" <{a}>>', "<{l}(c)@{d}>", "<(c){a}(d)>", "<{l}@(c){d}>", "<({a}){a}>", "<(x@y.test){a}>",
    "<g:{a};>", "<g: {a};>", "<{a},>", "<{a};>", "<{a}(>", "<{l}%(c){d}>", f"<{{l}}(@x.test)%{{d}}@{HOST}>",
    # Only the name: the server may add a domain of ours.
    "<{l}>", "<{l}@>", '<"{l}">', "<{l}%>", f"<{{l}}@{HOST}>",
)


def offer(port, address):
    """Send a message to the address under each spelling, with the token sN; the list of the replies to RCPT."""
    local, _, domain = address.partition("@")
    codes = []
    with smtp.Client(port) as client:
        client.ehlo()
        for number, spelling in enumerate(SPELLINGS):
            said = spelling.format(a=address, A=address.upper(), l=local, d=domain, D=domain.upper())
            assert client.cmd("MAIL FROM:<a@example.net>").code == 250
            codes.append(client.cmd(f"RCPT TO:{said}").code)
            if codes[-1] == 250:
                assert client.cmd("DATA").code == 354
                client.write(smtp.wire(smtp.message(f"s{number}.")))
                assert client.reply().code == 250, said
            else:
                client.cmd("RSET")
    return codes


def arrived(target):
    """{number of the spelling: message}"""
    subjects = [(re.search(rb"^Subject: s(\d+)\.\r\n", m.data, re.M), m) for m in target.messages]
    assert all(found for found, _ in subjects), [m for found, m in subjects if not found]
    return {int(found[1]): m for found, m in subjects}


def check(mx, site, target, known, unknown, held, fewest, stamps=1):
    """fewest: so many spellings must reach the known one, else the test shows nothing."""
    site.maptool("hold", held)
    put_off, refused = offer(mx.smtp_port, held), offer(mx.smtp_port, unknown)
    mx.wait_empty()
    assert {SPELLINGS[n]: m.recipients for n, m in arrived(target).items()} == {}
    offer(mx.smtp_port, known)
    mx.wait_empty()
    got = arrived(target)
    assert len(got) >= fewest, [SPELLINGS[n] for n in got]
    for number, message in got.items():
        said = SPELLINGS[number]
        assert refused[number] >= 500, (said, refused[number])
        assert 400 <= put_off[number] < 500, (said, put_off[number])
        assert message.data.count(b"Coexist-Trace: v=1;") == stamps, said
