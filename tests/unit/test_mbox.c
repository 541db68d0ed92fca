/* SPDX-License-Identifier: ISC */
/* The mbox: octets there and back, From_ lines, messages of a file, and which UIDs they have. */
#include "base/core/mem.h"
#include "imapsync/ends/mbox_codec.h"
#include "imapsync/ends/mbox_from.h"
#include "imapsync/ends/mbox_scan.h"
#include "imapsync/ends/mbox_uids.h"
#include "tests/unit/unit.h"

/* --- Octets ------------------------------------------------------------------------------- */

static void collect(void *arg, struct slice octets)
{
    assert_int_equal(buf_add(arg, octets), 0);
}

/* In portions of `step` octets. */
static void code(struct mbox_codec *c, struct slice in, size_t step)
{
    for (size_t i = 0; i < in.n; i += step)
        mbox_codec_feed(c, slice_sub(in, i, step));
    mbox_codec_end(c);
}

static void encode(struct slice in, size_t step, struct buf *out)
{
    struct mbox_codec c;
    buf_init(out, 1 << 16);
    mbox_encoder_init(&c, collect, out);
    code(&c, in, step);
}

static void decode(struct slice in, enum mbox_style style, size_t step, struct buf *out)
{
    struct mbox_codec c;
    buf_init(out, 1 << 16);
    mbox_decoder_init(&c, style, collect, out);
    code(&c, in, step);
}

static const struct {
    const char *message, *file;
} codes[] = {
    {"", ""},
    {"Subject: x\r\n\r\nbody\r\n", "Subject: x\n\nbody\n"},
    {"\r\nFrom here on\r\n>From >>From \r\n", "\n>From here on\n>>From >>From \n"},
    {"\r\nFrom", "\nFrom"},
    {"\r\nFromage\r\n From x\r\nfrom x\r\n", "\nFromage\n From x\nfrom x\n"},
    {"\r\n>>From x", "\n>>>From x"},
    {"From x\r\nSubject: y\r\n\r\n", ">From x\nSubject: y\n\n"},
    {"Status: RO\r\n>X-uid: 4\r\nX-Statusx: 1\r\n\r\nStatus: x\r\n",
        ">Status: RO\n>>X-uid: 4\nX-Statusx: 1\n\nStatus: x\n"},
    {"Content-Length: 5\r\nX-IMAP: 1\r\nX-IMAPbase: 1\r\nX-Keywords: a\r\nX-Status: A\r\n",
        ">Content-Length: 5\n>X-IMAP: 1\n>X-IMAPbase: 1\n>X-Keywords: a\n>X-Status: A\n"},
    {" folded\r\n once\r\n", "> folded\n once\n"},
    {">\tfolded\r\n> not\r\n", ">>\tfolded\n> not\n"},
    {"a\rb\r\r\nc\r", "a\rb\r\nc\r"},
    {"\r\r\nStatus: still the header\r\n", "\r\n>Status: still the header\n"},
    {">", ">"},
    {">>\r\n>", ">>\n>"},
};

static void test_octets_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        for (size_t step = 1; step < 64; step += 62) {
            struct buf file, back;
            encode(slice_str(codes[i].message), step, &file);
            assert_row(codes[i].message, slice_eq(buf_slice(&file), slice_str(codes[i].file)));
            decode(buf_slice(&file), MBOX_OURS, step, &back);
            assert_row(codes[i].message, slice_eq(buf_slice(&back), slice_str(codes[i].message)));
            buf_fini(&file);
            buf_fini(&back);
        }
    }
}

static void test_what_others_wrote(void **state)
{
    static const struct {
        const char *file, *quoted, *plain;
    } rows[] = {
        {"A: b\nStatus: RO\nC: d\n\n>From x\n", "A: b\r\nC: d\r\n\r\nFrom x\r\n",
            "A: b\r\nC: d\r\n\r\n>From x\r\n"},
        {"X-Keywords: a\n b\n\tc\nC: d\n e\nX-UID: 1\n\nX-UID: 2\n",
            "C: d\r\n e\r\n\r\nX-UID: 2\r\n", "C: d\r\n e\r\n\r\nX-UID: 2\r\n"},
        {"Status: R\r\nC: d\r\n\r\nb\r\nStatus: c\n", "C: d\r\n\r\nb\r\nStatus: c\r\n",
            "C: d\r\n\r\nb\r\nStatus: c\r\n"},
        {">From x\n>Status: R\n\n>>From y\n>\n", ">From x\r\n>Status: R\r\n\r\n>From y\r\n>\r\n",
            ">From x\r\n>Status: R\r\n\r\n>>From y\r\n>\r\n"},
        {"\rA: b\n\r\nx\r", "\rA: b\r\n\r\nx\r", "\rA: b\r\n\r\nx\r"},
        {"Status: R", "", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (size_t step = 1; step < 64; step += 62) {
            struct buf out;
            decode(slice_str(rows[i].file), MBOX_QUOTED, step, &out);
            assert_row(rows[i].file, slice_eq(buf_slice(&out), slice_str(rows[i].quoted)));
            buf_fini(&out);
            decode(slice_str(rows[i].file), MBOX_PLAIN, step, &out);
            assert_row(rows[i].file, slice_eq(buf_slice(&out), slice_str(rows[i].plain)));
            buf_fini(&out);
        }
    }
}

/* --- From_ lines -------------------------------------------------------------------------- */

static void test_from_lines(void **state)
{
    static const struct {
        const char *line;
        bool is, is_local, is_ours;
        int64_t date_s;
    } rows[] = {
        {"From a@b Thu Nov 26 10:00:00 2026", true, true, false, 1795687200},
        {"From a@b  Thu Nov  5 10:00 2026\r", true, true, false, 1793872800},
        {"From - Thu Nov 26 10:00:00 2026", true, true, false, 1795687200},
        {"From a@b Thu Nov 26 10:00:00 +0100 2026", true, false, false, 1795683600},
        {"From a@b Thu Nov 26 10:00:00 2026 -0130", true, false, false, 1795692600},
        {"From a@b Thu Nov 26 10:00:00 CET 2026", true, true, false, 1795687200},
        {"From a@b Thu Nov 26 10:00:00 MET DST 2026", true, true, false, 1795687200},
        {"From \"a b\"@c Thu Nov 26 10:00:00 2026", true, true, false, 1795687200},
        {"From a@b Thu Nov 26 10:00:00 2026 remote from x", true, true, false, 1795687200},
        {"From a@b Thu, 26 Nov 2026 10:00:00 +0000", true, false, false, 1795687200},
        {"From coexist-mboxrd-17 Thu Nov 26 10:00:00 2026 +0000", true, false, true, 1795687200},
        {"From coexist-mboxrd-x Thu Nov 26 10:00:00 2026 +0000", true, false, false, 1795687200},
        {"From coexist-mboxrd-17 Thu Nov 26 10:00:00 2026", true, true, false, 1795687200},
        {"From here on it rains", false, false, false, 0},
        {"From a@b Thu Nov 32 10:00:00 2026", false, false, false, 0},
        {"From a@b Thu Nov 26 24:00:00 2026", false, false, false, 0},
        {"From a@b Thu Nov 26 10:00:00", false, false, false, 0},
        {"From a@b Thu Nox 26 10:00:00 2026", false, false, false, 0},
        {">From a@b Thu Nov 26 10:00:00 2026", false, false, false, 0},
        {"from a@b Thu Nov 26 10:00:00 2026", false, false, false, 0},
        {"From ", false, false, false, 0},
        {"", false, false, false, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct mbox_from f;
        assert_row(rows[i].line, mbox_from_parse(slice_str(rows[i].line), &f) == rows[i].is);
        if (!rows[i].is)
            continue;
        assert_row(rows[i].line, f.date_s == rows[i].date_s && f.is_local == rows[i].is_local);
        assert_row(rows[i].line, f.is_ours == rows[i].is_ours);
    }
}

static void test_from_lines_of_ours(void **state)
{
    static const int64_t dates[] = {0, -1, 1795687200, 951782400, -62135596800};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        struct mbox_from f;
        struct buf line;
        buf_init(&line, 1000);
        assert_int_equal(mbox_from_format(dates[i], 4711, &line), 0);
        assert_true(mbox_from_parse(slice_sub(buf_slice(&line), 0, line.n - 1), &f));
        assert_true(f.is_ours && f.octets == 4711 && f.date_s == dates[i] && !f.is_local);
        buf_fini(&line);
    }
}

/* --- Files -------------------------------------------------------------------------------- */

static ssize_t read_at(void *arg, uint64_t at, void *to, size_t n)
{
    const struct slice *file = arg;
    struct slice part = slice_sub(*file, (size_t)at, n);
    if (part.n > 0)
        memcpy(to, part.p, part.n);
    return (ssize_t)part.n;
}

/* What is told of each message, with a "|" behind it. */
static void show(const struct mbox_scan *s, struct slice file, struct buf *out)
{
    buf_init(out, 1 << 16);
    for (size_t i = 0; i < s->n; i++) {
        struct buf one;
        const struct mbox_mail *m = &s->v[i];
        decode(slice_sub(file, (size_t)m->head, (size_t)(m->end - m->head)),
            (enum mbox_style)m->style, 7, &one);
        assert_int_equal(one.n, m->size);
        assert_int_equal(buf_add(out, buf_slice(&one)) + buf_add_byte(out, '|'), 0);
        buf_fini(&one);
    }
}

#define F "From a Thu Nov 26 10:00:00 2026\n"
#define O(n) "From coexist-mboxrd-" #n " Thu Nov 26 10:00:00 2026 +0000\n"

static void test_files(void **state)
{
    static const struct {
        const char *name, *file, *told; /* told NULL: no mbox */
        size_t torn;
    } rows[] = {
        {"nothing", "", "", 0},
        {"one", F "A: b\n\nx\n\n", "A: b\r\n\r\nx\r\n|", 0},
        {"without the last line end", F "A: b\n\nx", "A: b\r\n\r\nx|", 0},
        {"without the empty line", F "A: b\n\nx\n", "A: b\r\n\r\nx\r\n|", 0},
        {"two", F "A: b\n\nx\n\n" F "C: d\n\ny\n\n", "A: b\r\n\r\nx\r\n|C: d\r\n\r\ny\r\n|", 0},
        {"no empty line between", F "\nx\n" F "\ny\n", "\r\nx\r\n|\r\ny\r\n|", 0},
        {"two empty lines", F "\nx\n\n\n" F "\ny\n", "\r\nx\r\n\r\n|\r\ny\r\n|", 0},
        {"no body", F "A: b\n\n" F "C: d\n" F "\n", "A: b\r\n\r\n|C: d\r\n|\r\n|", 0},
        {"CRLF",
            "From a Thu Nov 26 10:00:00 2026\r\nA: b\r\n\r\nx\r\n\r\n"
            "From a Thu Nov 26 10:00:00 2026\r\n\r\ny\r\n",
            "A: b\r\n\r\nx\r\n|\r\ny\r\n|", 0},
        {"quoted", F "\n>From x\n>>From y\nFrom z\n", "\r\nFrom x\r\n>From y\r\nFrom z\r\n|", 0},
        {"counted", F "Content-Length: 40\n\n" F ">From\nx\n\n" F "\ny\n",
            "\r\nFrom a Thu Nov 26 10:00:00 2026\r\n>From\r\nx\r\n|\r\ny\r\n|", 0},
        {"counted to the end", F "Content-Length: 8\n\n>From x\n", "\r\n>From x\r\n|", 0},
        {"counted without a line end", F "Content-Length: 1\n\nx\n" F "\ny\n", "\r\nx|\r\ny\r\n|",
            0},
        {"nothing counted", F "Content-Length: 0\n\n\n" F "\ny\n", "\r\n|\r\ny\r\n|", 0},
        {"counted wrong", F "Content-Length: 3\n\n>From x\n\n" F "\ny\n",
            "\r\nFrom x\r\n|\r\ny\r\n|", 0},
        {"counted too far", F "Content-Length: 99\n\n>From x\n\n" F "\ny\n",
            "\r\nFrom x\r\n|\r\ny\r\n|", 0},
        {"counted absurdly", F "Content-Length: 99999999999999999999\n\nx\n", "\r\nx\r\n|", 0},
        {"ours", O(12) "X-UID: 1\n>Status: x\n\n" O(4) "\nab\n" O(4) "\nab\n",
            "Status: x\r\n|\r\nab|\r\nab|", 0},
        {"ours and empty", O(1) "X-UID: 1\n\n" O(1) "X-UID: 2\n\n", "||", 0},
        {"ours, torn", O(4) "\nab\n" O(40) "X-UID: 2\nA: b\n\nx\n", "\r\nab|", 1},
        {"ours, torn in the line", O(4) "\nab\nFrom coexist-mboxrd-5 Thu Nov",
            "\r\nab\r\nFrom coexist-mboxrd-5 Thu Nov|", 0},
        {"ours, torn in the middle", O(40) "A: b\n" O(4) "\nab\n", "\r\nab|", 1},
        {"a pseudo message",
            F "Subject: DON'T DELETE THIS MESSAGE\nX-IMAP: 77 0000000009\n\nx\n\n" F "\ny\n\n",
            "\r\ny\r\n|", 0},
        {"empty lines first", "\n\n" F "\nx\n", "\r\nx\r\n|", 0},
        {"a first line without a date", "From nobody\n\nx\n\n" F "\ny\n", "\r\nx\r\n|\r\ny\r\n|",
            0},
        {"no mbox", "Subject: x\n\nFrom a Thu Nov 26 10:00:00 2026\n", NULL, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice file = slice_str(rows[i].file);
        struct mbox_scan s;
        struct err err = ERR_INIT;
        struct buf told;
        mbox_scan_init(&s, read_at, &file);
        int r = mbox_scan_run(&s, file.n, &err);
        assert_row(rows[i].name, (r == 0) == (rows[i].told != NULL));
        if (r == 0) {
            show(&s, file, &told);
            if (!slice_eq(buf_slice(&told), slice_str(rows[i].told)))
                print_message("%s: %s\n", rows[i].name, buf_cstr(&told));
            assert_row(rows[i].name, slice_eq(buf_slice(&told), slice_str(rows[i].told)));
            assert_row(rows[i].name, s.n_torn == rows[i].torn);
            buf_fini(&told);
        }
        mbox_scan_fini(&s);
    }
}

static void test_fields(void **state)
{
    struct slice file =
        SLICE_LIT(F "X-IMAPbase: 77 0000000012 Work\nX-UID: 5\nStatus: RO\nX-Status: "
                    "AFTD\nX-Keywords: Work $Later\n\tmore   \n\nx\n\n" F
                    "Status: O\nX-IMAPbase: 78 99\nX-UID: 7\n\n");
    struct mbox_scan s;
    struct err err = ERR_INIT;
    (void)state;
    mbox_scan_init(&s, read_at, &file);
    assert_int_equal(mbox_scan_run(&s, file.n, &err), 0);
    assert_int_equal(s.n, 2);
    assert_true(s.validity == 77 && s.last == 12 && s.base_head == 32);
    assert_slice_equal(
        slice_sub(file, (size_t)s.base_at, s.base_n), "X-IMAPbase: 77 0000000012 Work\n");
    assert_true(s.base_keywords.n == 1 && strcmp(s.base_keywords.names[0], "Work") == 0);
    assert_true(s.v[0].uid == 5 && s.v[1].uid == 7);
    assert_int_equal(s.v[0].flags.system, 31);
    assert_int_equal(s.v[1].flags.system, 0);
    assert_int_equal(s.v[0].flags.keywords[0], 7);
    assert_string_equal(s.keywords.names[2], "more");
    assert_true(s.sound == file.n && s.ends_line);
    mbox_scan_fini(&s);
}

/* A line that is longer than any window, and messages across its edge. */
static void test_long_lines(void **state)
{
    struct buf file, told, want;
    struct mbox_scan s;
    struct err err = ERR_INIT;
    (void)state;
    for (size_t n = 65400; n < 65540; n += 13) {
        buf_init(&file, 1 << 20);
        buf_init(&want, 1 << 20);
        assert_int_equal(buf_add_str(&file, F "A: "), 0);
        assert_int_equal(buf_add_str(&want, "A: "), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf_add_byte(&file, 'x') + buf_add_byte(&want, 'x'), 0);
        assert_int_equal(buf_add_str(&file, "\n\nFrom x\n\n" F "\ny\n"), 0);
        assert_int_equal(buf_add_str(&want, "\r\n\r\nFrom x\r\n|\r\ny\r\n|"), 0);
        struct slice octets = buf_slice(&file);
        mbox_scan_init(&s, read_at, &octets);
        assert_int_equal(mbox_scan_run(&s, octets.n, &err), 0);
        buf_init(&told, 1 << 20);
        for (size_t i = 0; i < s.n; i++) {
            struct mbox_codec c;
            mbox_decoder_init(&c, (enum mbox_style)s.v[i].style, collect, &told);
            code(&c, slice_sub(octets, (size_t)s.v[i].head, (size_t)(s.v[i].end - s.v[i].head)),
                999);
            assert_int_equal(buf_add_byte(&told, '|'), 0);
        }
        assert_true(slice_eq(buf_slice(&told), buf_slice(&want)));
        buf_fini(&told);
        buf_fini(&file);
        buf_fini(&want);
        mbox_scan_fini(&s);
    }
}

/* --- UIDs --------------------------------------------------------------------------------- */

struct given {
    const char *name;
    uint32_t validity, last; /* of the file */
    struct mbox_mail mails[5];
    const char *list;
    uint32_t uids[5], validity_out, next;
    bool is_needed, labels;
};

static void check_given(const struct given *g)
{
    struct mbox_scan s;
    struct mbox_list l = {0};
    bool labels = false;
    mbox_scan_init(&s, read_at, NULL);
    s.validity = g->validity;
    s.last = g->last;
    s.v = mem_zalloc(sizeof(g->mails));
    for (; s.n < 5 && g->mails[s.n].key != 0; s.n++)
        s.v[s.n] = g->mails[s.n];
    if (g->list)
        assert_row(g->name, mbox_list_parse(slice_str(g->list), &l) == 0);
    assert_row(g->name, mbox_uids_give(&s, &l, 999, &labels) == g->is_needed);
    for (size_t i = 0; i < s.n; i++)
        assert_row(g->name, s.v[i].uid == g->uids[i]);
    assert_row(g->name, l.validity == g->validity_out && l.next == g->next);
    assert_row(g->name, labels == g->labels && l.count == s.n);
    mbox_list_fini(&l);
    mbox_scan_fini(&s);
}

#define HEAD(v, n, k) "coexist-uids 1 V" #v " N" #n " K" #k " C0 S0 M0 I0\n"
#define ROW(uid, key) #uid " 000000000000000" #key "\n"

static void test_uids(void **state)
{
    static const struct given rows[] = {
        {"an empty file", 0, 0, {{0}}, NULL, {0}, 999, 1, true, true},
        {"an empty file that was known", 0, 0, {{0}}, HEAD(5, 7, 0), {0}, 5, 7, true, true},
        {"all by the file", 77, 9, {{.uid = 3, .key = 1}, {.uid = 5, .key = 2}}, NULL, {3, 5}, 77,
            10, false, true},
        {"the highest is gone", 77, 3, {{.uid = 3, .key = 1}}, HEAD(77, 6, 0), {3}, 77, 6, false,
            true},
        {"one came since", 77, 3, {{.uid = 3, .key = 1}, {.key = 2}}, NULL, {3, 4}, 77, 5, true,
            false},
        {"and is known", 77, 3, {{.uid = 3, .key = 1}, {.key = 2}, {.key = 3}},
            HEAD(77, 9, 0) ROW(8, 2), {3, 8, 9}, 77, 10, true, false},
        {"and got what we said", 77, 3, {{.uid = 3, .key = 1}, {.uid = 4, .key = 2}},
            HEAD(77, 5, 0) ROW(4, 2), {3, 4}, 77, 5, false, true},
        {"and got another's", 77, 3, {{.uid = 3, .key = 1}, {.uid = 4, .key = 3}},
            HEAD(77, 5, 0) ROW(4, 2), {1, 2}, 999, 3, true, false},
        {"nothing in the file", 0, 0, {{.key = 1}, {.key = 2}}, NULL, {1, 2}, 999, 3, true, false},
        {"known by the list", 0, 0, {{.key = 2}, {.key = 3}, {.key = 4}},
            HEAD(5, 4, 1) ROW(1, 1) ROW(2, 2) ROW(3, 3), {2, 3, 4}, 5, 5, true, false},
        {"twins", 0, 0, {{.key = 1}, {.key = 1}, {.key = 1}}, HEAD(5, 3, 1) ROW(1, 1) ROW(2, 1),
            {1, 2, 3}, 5, 4, true, false},
        {"sorted by somebody", 0, 0, {{.key = 2}, {.key = 1}}, HEAD(5, 3, 1) ROW(1, 1) ROW(2, 2),
            {2, 3}, 5, 4, true, false},
        {"labelled since", 77, 2, {{.uid = 1, .key = 1}, {.uid = 2, .key = 2}},
            HEAD(5, 3, 1) ROW(1, 1) ROW(2, 2), {1, 2}, 77, 3, false, true},
        {"nonsense in the file", 77, 2, {{.uid = 2, .key = 1}, {.uid = 1, .key = 2}}, NULL, {1, 2},
            999, 3, true, false},
        {"a gap", 77, 2, {{.key = 1}, {.uid = 1, .key = 2}}, NULL, {1, 2}, 999, 3, true, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_given(&rows[i]);
}

static void test_lists(void **state)
{
    static const char *const good[] = {HEAD(5, 4, 1) ROW(1, 1) ROW(3, 2),
        "coexist-uids 1 V1764151200 N13 K0 C12 S48211 M1764151201000000000 I4711\n"};
    static const char *const bad[] = {"", "x\n", "coexist-uids 1 V5 N4 K1 C0 S0 M0 I0",
        HEAD(0, 4, 1), HEAD(5, 0, 1), HEAD(5, 4, 2), HEAD(5, 4, 1) "1\n", HEAD(5, 4, 1) ROW(4, 1),
        HEAD(5, 4, 1) ROW(2, 1) ROW(1, 1), HEAD(5, 4, 1) "2 00", HEAD(5, 4, 1) "\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct mbox_list l = {0};
        struct buf out;
        buf_init(&out, 1000);
        assert_row(good[i], mbox_list_parse(slice_str(good[i]), &l) == 0);
        assert_int_equal(mbox_list_format(&l, &out), 0);
        assert_row(good[i], slice_eq(buf_slice(&out), slice_str(good[i])));
        buf_fini(&out);
        mbox_list_fini(&l);
    }
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct mbox_list l = {0};
        assert_row(bad[i], mbox_list_parse(slice_str(bad[i]), &l) == -1 && l.validity == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_octets_come_back),
        cmocka_unit_test(test_what_others_wrote),
        cmocka_unit_test(test_from_lines),
        cmocka_unit_test(test_from_lines_of_ours),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_fields),
        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_uids),
        cmocka_unit_test(test_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
