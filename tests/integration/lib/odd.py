# SPDX-License-Identifier: ISC
"""Odd messages, whatever a mailbox of thirty years has: the same ones for the same seed.

    corpus()                {name: octets}: more than 300, no two of one name, a few of the same octets
    bare(octets)            what is left of it where servers change line ends, NUL, and what ends a message
"""
import random

HEAD = b"From: a@example.net\r\nTo: ann@example.org\r\nSubject: %s\r\nMessage-ID: <%s@odd.example.net>\r\n"
# What ends a buffer, a literal that is sent without asking, or one that may be.
EDGES = (1024, 2048, 4096, 8192, 16384, 32768, 65536)
LARGE = ((1 << 20) - 1, 1 << 20, (1 << 20) + 1, (8 << 20) + 1)
DATES = (
    b"Mon, 1 Jan 0000 00:00:00 +0000", b"Thu, 1 Jan 1970 00:00:00 GMT", b"Wed, 31 Dec 1969 23:59:59 +0000",
    b"Tue, 19 Jan 2038 03:14:08 +0000", b"7 Feb 2106 06:28:16 +0000", b"Fri, 31 Dec 9999 23:59:60 +0000", b"1 Jan 12345 0:0:0 Z",
    b"Mon, 30 Feb 2020 25:61:61 +9900", b"29 Feb 2019 12:00 +0000", b"Sun, 1 Jan 2023 00:00:00 +0000 (a (nested) comment)",
    b"1 jan 23 1:2 est", b"1-Jan-2023 00:00:00", b"2023-01-01T00:00:00Z", b"Sonntag, 1. J\xe4nner 2023", b"yesterday", b"", b"0", b"-1",
    b"Mon,\r\n 1\r\n Jan\r\n 2024\r\n 00:00:00\r\n +0000", b"Mon, 1 Jan 2024 00:00:00 +0000\0", b"Mon, 1 Jan 2024 00:00:00 " + b"+" * 500,
    b"99999999999999999999999999", b"Mon, 1 Jan 2024 00:00:00 +-100", b"=?utf-8?q?Mon=2C_1_Jan_2024?=",
)
WORDS = (
    b"+", b"%", b"%s%n%x", b"+ go ahead", b"%00", b"{5}", b"{5+}", b"{4294967296}", b")", b"(", b"()", b"\\", b'"', b"\\\"", b"*", b"* BYE", b"* OK",
    b"c1 OK done", b"a BAD", b"~", b"&", b"&-", b"&AOQ", b".", b"..", b".\r\n", b"\r\n.\r\n", b"\r\n.\r\nMAIL FROM:<x>\r\n", b"From ", b">From ",
    b"\nFrom x\n", b"NIL", b"=", b"=3D", b"=\r\n", b"\x1b[2J", b"\x7f", b"\x80", b"\xff\xfe", b"\xef\xbb\xbf", b"\xc3\x28", b"\xed\xa0\x80", b"\t", b" ",
    b"\r", b"\n", b"\r\n", b"\r\r\n", b"\n\r", b"\0", b"\0\0\0\0", b":", b"--b", b"--b--",
)
ENDS = (b"", b"\n", b"\r", b"\r\n", b"\r\r\n", b"\n\r", b"\r\n\r\n", b"\n\n\n", b"\r\n.", b"\r\n.\r\n", b"\0", b" ", b"\r\n ", b"\r\n\t\r\n", b")", b"\x1a")


def head(name, more=b""):
    return HEAD % (name, name.replace(b" ", b".")) + more


def of_size(name, size):
    """Of exactly so many octets, in lines of 78."""
    start = head(name) + b"\r\n"
    return (start + (b"x" * 76 + b"\r\n") * (size // 78 + 1))[:size - 2] + b"\r\n"


def nested(depth, inner=b"deep\r\n"):
    for i in range(depth):
        inner = b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (i, i) + inner + b"\r\n--b%d--\r\n" % i
    return inner


def forwarded(depth):
    text = head(b"innermost") + b"\r\ninnermost\r\n"
    for i in range(depth):
        text = head(b"forwarded %d" % i, b"Content-Type: message/rfc822\r\n") + b"\r\n" + text
    return text


def mime(kind, body):
    return head(b"mime", b"MIME-Version: 1.0\r\nContent-Type: " + kind + b"\r\n") + b"\r\n" + body


def shapes():
    whole = head(b"shape") + b"\r\nbody\r\n"
    yield "empty", b""
    for i, octets in enumerate((b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\0", b"x", b".", b" ", b"\xff", b":", b"From ", b"a:", b"a: b", b"a: b\r\n")):
        yield f"tiny {i}", octets
    yield "no header", b"\r\nonly a body\r\n"
    yield "no empty line", head(b"no empty line")
    yield "header only", head(b"header only") + b"\r\n"
    yield "body without a header", b"just some words\r\nand more\r\n"
    yield "blanks first", b" \r\n\t\r\n" + whole
    yield "a folded first line", b" folded from nowhere\r\n" + whole
    yield "bare LF", whole.replace(b"\r\n", b"\n") + b"lf\n"
    yield "bare CR", whole.replace(b"\r\n", b"\r") + b"cr\r"
    yield "CR CR LF", whole.replace(b"\r\n", b"\r\r\n") + b"crcrlf\r\r\n"
    yield "LF CR", whole.replace(b"\r\n", b"\n\r")
    yield "mixed ends", head(b"mixed") + b"\r\none\r\ntwo\nthree\rfour\r\r\nfive\n\r\r\n"
    for i, end in enumerate(ENDS):
        yield f"end {i}", head(b"end %d" % i) + b"\r\nends so" + end
        yield f"header's end {i}", head(b"header's end %d" % i) + b"X-Last: so" + end
    for i, word in enumerate(WORDS):
        yield f"word {i} in the subject", head(b"with " + word + b" in it %d" % i) + b"\r\nbody\r\n"
        yield f"word {i} in the body", head(b"body %d" % i) + b"\r\n" + word + b"\r\n" + word + word + b" x" + word
    for i, date in enumerate(DATES):
        yield f"date {i}", head(b"date %d" % i, b"Date: " + date + b"\r\n") + b"\r\nx\r\n"
        if i % 3 == 0:
            yield f"received {i}", b"Received: from a by b; " + date + b"\r\n" + head(b"received %d" % i) + b"\r\nx\r\n"


def sizes():
    for edge in EDGES:
        for more in (-2, -1, 0, 1, 2):
            yield f"{edge} octets {more:+}", of_size(b"size", edge + more)
    for size in LARGE:
        yield f"{size} octets", of_size(b"size", size)
    for n in (76, 77, 78, 79, 80, 998, 999, 1000, 8190, 8191, 8192, 100 << 10):
        yield f"a line of {n}", head(b"line %d" % n) + b"\r\n" + b"y" * n + b"\r\n" + b"z" * n + b"\r\n"
    for n in (998, 4096, 65536, 100 << 10):
        yield f"a field of {n}", head(b"field %d" % n, b"X-Long: " + b"w" * n + b"\r\n") + b"\r\nx\r\n"
    yield "10,000 fields", head(b"fields", b"".join(b"X-%d: %d\r\n" % (i, i) for i in range(10000))) + b"\r\nx\r\n"
    yield "one field 1,000 times", head(b"again", b"Subject: again\r\n" * 1000) + b"\r\nx\r\n"
    yield "folded 5,000 times", head(b"folds", b"X-Folded: a" + b"\r\n b" * 5000 + b"\r\n") + b"\r\nx\r\n"
    yield "1,000 addresses", head(b"many", b"Cc: " + b",\r\n ".join(b"u%d@example.net" % i for i in range(1000)) + b"\r\n") + b"\r\nx\r\n"
    yield "50,000 empty lines", head(b"lines") + b"\r\n" * 50000
    for at in (1023, 4095, 4096, 65535, 65536):  # a pair of octets across the edge
        text = of_size(b"pair", at + 100)
        yield f"CR LF across {at}", text[:at - 1] + b"\r\n" + text[at + 1:]
        yield f"NUL at {at}", text[:at] + b"\0" + text[at + 1:]


def fields():
    for i, line in enumerate((b"no colon here", b": no name", b"X Y: blank in the name", b"X-Empty:", b"X-Blank: ", b"X\0Y: nul", b"X-Nul: a\0b", b"X-8: \xe4\xf6\xfc",
                              b"X-U: \xc3\xa4", b"X-Bad: \xc3", b"X-Esc: \x1b[31m", b"X-CR: a\rb", b"X-LF: a\nb", b"X-Enc: =?utf-8?b?w6Q=?= =?x?y?z?=", b"X-Tab:\ta\tb",
                              b"Status: RO", b"X-UID: 17", b"X-Keywords: Work", b"X-IMAPbase: 1 99 Work", b"X-IMAP: 1 99", b"X-Status: AF", b"Content-Length: 5",
                              b"Content-Length: 99999999999999999999", b"Lines: -1", b"Return-Path: <>", b"Bcc: secret@example.net", b"Message-ID: none",
                              b"Message-ID: <", b"X" * 300 + b": long name", b"X-Comment: ((((((((((")):
        yield f"field {i}", head(b"fields %d" % i, line + b"\r\n") + b"\r\nx\r\n"
    for i in range(4):
        yield f"one Message-ID {i}", b"Message-ID: <same@odd.example.net>\r\nSubject: s\r\n\r\nbody %d\r\n" % i
    for i in range(3):
        yield f"equal {i}", head(b"equal") + b"\r\nequal in every octet\r\n"
    for i, first in enumerate((b"From a@example.net Mon Jan  1 00:00:00 2024\r\n", b">From a@example.net\r\n", b"From nobody\n", b"From:\r\n")):
        yield f"From {i}", first + head(b"from %d" % i) + b"\r\nFrom here on\r\n\r\nFrom a@example.net Mon Jan  1 00:00:00 2024\r\n>From\r\n"


def parts():
    yield "nested 100 deep", head(b"nested") + nested(100)
    yield "nested 1,000 deep", head(b"nested more") + nested(1000)
    yield "forwarded 50 times", forwarded(50)
    for i, (kind, body) in enumerate((
            (b"multipart/mixed; boundary=b", b"--b\r\n\r\n--b\r\n\r\n--b--\r\n"), (b"multipart/mixed; boundary=b", b"--b--\r\n"),
            (b"multipart/mixed; boundary=b", b"--b\r\nno end"), (b"multipart/mixed; boundary=b", b"nothing of it"), (b"multipart/mixed", b"--b\r\n\r\nx\r\n--b--\r\n"),
            (b"multipart/mixed; boundary=\"\"", b"--\r\n\r\nx\r\n----\r\n"), (b"multipart/mixed; boundary=" + b"b" * 500, b"--" + b"b" * 500 + b"\r\n\r\nx\r\n"),
            (b"multipart/mixed; boundary=b", b"--b\r\n\r\nx\r\n--bb\r\n\r\ny\r\n--b --\r\n"), (b"multipart/mixed; boundary=b; boundary=c", b"--b\r\n\r\nx\r\n--c--\r\n"),
            (b"multipart/digest; boundary=b", b"--b\r\n\r\n" + head(b"in a digest") + b"\r\nx\r\n--b--\r\n"), (b"message/rfc822", b""), (b"message/rfc822", b"\r\n"),
            (b"message/partial; number=1; total=3", b"a part\r\n"), (b"text/plain; charset=utf-16", "ü\r\n".encode("utf-16")), (b"text/plain; charset=\"\xff\"", b"x\r\n"),
            (b"text/plain; name*0*=utf-8''%E4; name*1=b", b"x\r\n"), (b"/", b"x\r\n"), (b"", b"x\r\n"), (b"text/plain\r\nContent-Transfer-Encoding: base64", b"!!!not base64!!!"),
            (b"text/plain\r\nContent-Transfer-Encoding: quoted-printable", b"=\r\n=ZZ=\r\n="), (b"text/plain\r\nContent-Transfer-Encoding: binary", bytes(range(256))),
            (b"text/plain\r\nContent-Transfer-Encoding: 8bit", bytes(range(128, 256)) + b"\r\n"), (b"multipart/mixed; boundary=b", b"--b\r\n\r\nx\r\n" * 2000 + b"--b--\r\n"),
            (b"application/octet-stream", bytes(range(1, 256)) * 40))):
        yield f"mime {i}", mime(kind, body)
    text = "From: a@example.net\r\nSubject: ü€😀\r\n\r\nü\r\n"
    for code in ("utf-8", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-7"):
        yield f"all in {code}", text.encode(code)
    for code in ("latin-1", "cp1252", "shift_jis", "koi8-r", "gb18030", "iso2022_jp"):
        yield f"header in {code}", b"Subject: " + "Grüße Привет 日本語".encode(code, "replace") + b"\r\n\r\n" + "ä日本Я\r\n".encode(code, "replace")


def random_ones(rng, count):
    pieces = WORDS + (b"word", b"\r\n", b"\r\n", b"\r\n\r\n", b"X-Field: value\r\n", b"Subject: s\r\n", b"z" * 80, b"\xe4" * 30)
    for i in range(count):
        text = head(b"random %d" % i) if i % 3 else b""
        text += b"".join(rng.choice(pieces) for _ in range(rng.randrange(1, 200)))
        yield f"random {i}", text
    for i in range(count // 4):
        yield f"noise {i}", rng.randbytes(rng.choice((1, 10, 100, 1000, 5000, 20000)))


def corpus(seed=1):
    rng = random.Random(seed)
    out = {}
    for make in (shapes, sizes, fields, parts, lambda: random_ones(rng, 40)):
        for name, octets in make():
            assert name not in out, name
            out[name] = octets
    return out


def bare(octets):
    return octets.replace(b"\0", b"\x80").replace(b"\r", b"").rstrip(b"\n")
