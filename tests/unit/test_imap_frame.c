/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/imap/frame.h"
#include "imapsync/imap/limits.h"
#include "tests/unit/unit.h"

/* What a stream of bytes becomes, as text: <response>, B(size) [octets] E, ! for bad. */
static void transcript(struct slice in, size_t step, struct buf *out)
{
    struct imap_frame f;
    imap_frame_init(&f);
    while (in.n > 0) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_from(in, part.n);
        while (part.n > 0) {
            size_t used;
            struct slice data;
            enum imap_frame_event e = imap_frame_feed(&f, part, &used, &data);
            part = slice_from(part, used);
            int r = 0;
            switch (e) {
            case IMAP_FRAME_MORE:
                break;
            case IMAP_FRAME_RESPONSE:
                r = buf_addf(out, "<%.*s>", SLICE_ARG(imap_frame_text(&f)));
                break;
            case IMAP_FRAME_BODY_BEGIN:
                r = buf_addf(out, "B(%u)", (unsigned)f.streamed.size);
                break;
            case IMAP_FRAME_BODY_DATA:
                r = buf_add(out, data);
                break;
            case IMAP_FRAME_BODY_END:
                r = buf_add_str(out, "E");
                break;
            case IMAP_FRAME_BAD:
                r = buf_add_str(out, "!");
                part.n = in.n = 0;
                break;
            }
            assert_int_equal(r, 0);
        }
    }
    imap_frame_fini(&f);
}

static const struct {
    const char *name, *in, *want;
} rows[] = {
    {"a line", "* OK hi\r\n", "<* OK hi>"},
    {"two lines", "* OK hi\r\n* 3 EXISTS\r\n", "<* OK hi><* 3 EXISTS>"},
    {"unfinished", "* OK hi\r\n* 3 EX", "<* OK hi>"},
    {"empty line", "\r\n", "<>"},
    {"literal kept", "* LIST () \"/\" {3}\r\na\nb\r\n", "<* LIST () \"/\" {3}\r\na\nb>"},
    {"two literals", "* X {1}\r\na {2}\r\nbc\r\n", "<* X {1}\r\na {2}\r\nbc>"},
    {"empty literal", "* X {0}\r\n\r\n", "<* X {0}\r\n>"},
    {"NUL in a literal is not ours to judge", "* X {1}\r\nq\r\n", "<* X {1}\r\nq>"},
    {"body", "* 1 FETCH (UID 7 BODY[] {5}\r\nab\r\nc)\r\n* 2 EXISTS\r\n",
        "B(5)ab\r\ncE<* 1 FETCH (UID 7 BODY[] {5}\r\n)><* 2 EXISTS>"},
    {"empty body", "* 1 FETCH (BODY[] {0}\r\n UID 3)\r\n",
        "B(0)E<* 1 FETCH (BODY[] {0}\r\n UID 3)>"},
    {"body and a literal behind it", "* 1 FETCH (BODY[] {1}\r\na X {2}\r\nbc)\r\n",
        "B(1)aE<* 1 FETCH (BODY[] {1}\r\n X {2}\r\nbc)>"},
    {"a second body is kept, if small", "* 1 FETCH (BODY[] {1}\r\na BODY[] {1}\r\nb)\r\n",
        "B(1)aE<* 1 FETCH (BODY[] {1}\r\n BODY[] {1}\r\nb)>"},
    {"part of a body is no body", "* 1 FETCH (BODY[HEADER] {1}\r\na)\r\n",
        "<* 1 FETCH (BODY[HEADER] {1}\r\na)>"},
    {"body case", "* 1 fetch (body[] {1}\r\na)\r\n", "B(1)aE<* 1 fetch (body[] {1}\r\n)>"},
    {"status text may end like a literal", "* OK {5}\r\na1 NO {3}\r\n+ {4}\r\n",
        "<* OK {5}><a1 NO {3}><+ {4}>"},
    {"no status", "* OKAY {1}\r\na\r\n", "<* OKAY {1}\r\na>"},
    {"non-synchronising from a server is none", "* X {5+}\r\n", "<* X {5+}>"},
    {"negative size", "* X {-1}\r\n", "<* X {-1}>"},
    {"size over 64 bits", "* X {18446744073709551616}\r\n", "!"},
    {"4 GiB kept", "* X {4294967295}\r\n", "!"},
    {"4 GiB body", "* 1 FETCH (BODY[] {4294967295}\r\n", "B(4294967295)"},
    {"over 4 GiB body", "* 1 FETCH (BODY[] {4294967296}\r\n", "!"},
    {"bare LF", "* OK hi\n* 3 EXISTS\r\n", "<* OK hi><* 3 EXISTS>"},
    {"only bare LF", "\n\n", "<><>"},
    {"bare LF behind a literal's header", "* X {3}\na\nb)\n", "<* X {3}\r\na\nb)>"},
    {"bare LF behind a body's header", "* 1 FETCH (BODY[] {3}\na\nb)\n",
        "B(3)a\nbE<* 1 FETCH (BODY[] {3}\r\n)>"},
    {"LF within quotes makes no line", "* LIST () \"/\" \"a\n* 9 EXPUNGE\"\r\n",
        "<* LIST () \"/\" \"a\n* 9 EXPUNGE\">"},
    {"behind an escaped quote too", "* X \"a\\\"\n* 9 EXPUNGE\"\n", "<* X \"a\\\"\n* 9 EXPUNGE\">"},
    {"quotes of a text are none", "* OK say \"hi\nc1 OK\n", "<* OK say \"hi><c1 OK>"},
    {"a stray quote is over at CRLF", "* X a\"b\r\n* 3 EXISTS\n", "<* X a\"b><* 3 EXISTS>"},
    {"bare CR", "* OK\rhi\r\n", "<* OK\rhi>"},
    {"CR CR LF", "* OK\r\r\n", "<* OK>"},
    {"a blank in front", " * 1 FETCH (BODY[] {1}\r\na)\r\n", "B(1)aE< * 1 FETCH (BODY[] {1}\r\n)>"},
    {"two blanks", "*  1  FETCH  (BODY[]  {1}\r\na)\r\n", "B(1)aE<*  1  FETCH  (BODY[]  {1}\r\n)>"},
    {"the first octet named", "* 1 FETCH (BODY[]<0> {1}\r\na)\r\n",
        "B(1)aE<* 1 FETCH (BODY[]<0> {1}\r\n)>"},
    {"another octet is no whole body", "* 1 FETCH (BODY[]<9> {1}\r\na)\r\n",
        "<* 1 FETCH (BODY[]<9> {1}\r\na)>"},
    {"the older word", "* 1 FETCH (UID 7 RFC822 {1}\r\na)\r\n",
        "B(1)aE<* 1 FETCH (UID 7 RFC822 {1}\r\n)>"},
    {"XBODY[]", "* 1 FETCH (XBODY[] {1}\r\na)\r\n", "<* 1 FETCH (XBODY[] {1}\r\na)>"},
};

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static const size_t steps[] = {100000, 1, 3};
        for (size_t k = 0; k < COUNT_OF(steps); k++) {
            struct buf got;
            buf_init(&got, 4096);
            transcript(slice_str(rows[i].in), steps[k], &got);
            assert_row(rows[i].name, slice_eq(buf_slice(&got), slice_str(rows[i].want)));
            buf_fini(&got);
        }
    }
}

static void test_nul(void **state)
{
    (void)state;
    struct buf got;
    buf_init(&got, 100);
    transcript(SLICE_LIT("* OK a\0b\r\n"), 100, &got);
    assert_int_equal(got.n, slice_str("<* OK a>").n);
    buf_fini(&got);
}

/* Feeds "* X " and n bytes in a line, or in a literal, and says how it ended. */
static enum imap_frame_event big(size_t n, const char *before, const char *after)
{
    struct imap_frame f;
    struct buf in;
    struct slice data;
    size_t used = 0;
    imap_frame_init(&f);
    buf_init(&in, IMAP_RESPONSE_MAX + 100);
    assert_int_equal(buf_add_str(&in, before), 0);
    memset(buf_reserve(&in, n), 'x', n);
    buf_commit(&in, n);
    assert_int_equal(buf_add_str(&in, after), 0);
    enum imap_frame_event e = imap_frame_feed(&f, buf_slice(&in), &used, &data);
    buf_fini(&in);
    imap_frame_fini(&f);
    return e;
}

static void test_limits(void **state)
{
    (void)state;
    assert_int_equal(big(IMAP_RESPONSE_MAX - 7, "* X ", "\r\n"), IMAP_FRAME_RESPONSE);
    assert_int_equal(big(IMAP_RESPONSE_MAX - 6, "* X ", "\r\n"), IMAP_FRAME_RESPONSE);
    assert_int_equal(big(IMAP_RESPONSE_MAX - 5, "* X ", "\r\n"), IMAP_FRAME_BAD);
    assert_int_equal(big(65535, "* X {65535}\r\n", "\r\n"), IMAP_FRAME_RESPONSE);
    assert_int_equal(big(65536, "* X {65536}\r\n", "\r\n"), IMAP_FRAME_RESPONSE);
    assert_int_equal(big(65537, "* X {65537}\r\n", "\r\n"), IMAP_FRAME_BAD);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_nul),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
