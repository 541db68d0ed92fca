/* SPDX-License-Identifier: ISC */
/* The mbox end: fields of the mailbox's own, names, and what no table of promises asks of it. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/mbox_parts.h"
#include "tests/unit/tmpdir.h"

/* --- Fields ------------------------------------------------------------------------------- */

/* Without the blanks at the ends of lines. */
static bool is_but_for_room(struct slice s, const char *want)
{
    struct buf out;
    buf_init(&out, 1000);
    for (size_t i = 0; i < s.n; i++) {
        size_t k = i;
        while (k < s.n && s.p[k] == ' ')
            k++;
        if (k == s.n || s.p[k] != '\n')
            assert_int_equal(buf_add_byte(&out, s.p[i]), 0);
        else
            assert_int_equal(buf_add_byte(&out, s.p[i = k]), 0);
    }
    bool is = slice_eq(buf_slice(&out), slice_str(want));
    buf_fini(&out);
    return is;
}

static void test_flags_in_a_header(void **state)
{
    static const struct {
        const char *header, *want; /* with \Seen, \Flagged and the keyword "a" */
        bool grows;
    } rows[] = {
        {"X-UID: 3\nStatus: O\nX-Keywords:                   \nA: b\n\n",
            "X-UID: 3\nStatus: RO\nX-Status: F\nX-Keywords: a\nA: b\n\n", false},
        {"A: b\nStatus: O\nX-Keywords:                   \n\n",
            "A: b\nStatus: RO\nX-Status: F\nX-Keywords: a\n\n", false},
        {"X-IMAPbase: 7 9 a\n b\nStatus: R\nA: b\nX-Status: DDDDDDDDDDDDDDDDDDDDDDDDD\n\n",
            "X-IMAPbase: 7 9 a\n b\nStatus: RO\nX-Status: F\nX-Keywords: a\nA: b\n\n", false},
        {"A: b\n\n", "Status: RO\nX-Status: F\nX-Keywords: a\nA: b\n\n", true},
        {"Content-Length: 5\nStatus: O\n\n",
            "Content-Length: 5\nStatus: RO\nX-Status: F\nX-Keywords: a\n\n", true},
    };
    struct keywords names = {0};
    const struct flags flags = {.system = FLAG_SEEN | FLAG_FLAGGED, .keywords = {1}};
    const struct mbox_label label = {.flags = &flags, .keywords = &names};
    (void)state;
    assert_int_equal(keywords_bit(&names, SLICE_LIT("a")), 0);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_row(rows[i].header, mbox_head_edit(slice_str(rows[i].header), &label, &out) == 0);
        assert_row(rows[i].header, is_but_for_room(buf_slice(&out), rows[i].want));
        assert_row(rows[i].header, (out.n != strlen(rows[i].header)) == rows[i].grows);
        buf_fini(&out);
    }
    keywords_fini(&names);
}

static void test_keywords_find_room(void **state)
{
    static const struct {
        const char *header, *want; /* NULL: there is none */
    } rows[] = {
        {"X-IMAPbase: 7 0000000003           \nA: b\n\n",
            "X-IMAPbase: 7 0000000012 one two\nA: b\n\n"},
        {"X-IMAPbase: 7 3\nX-UID: 1                        \nA: b\n\n",
            "X-IMAPbase: 7 0000000012 one two\nX-UID: 1\nA: b\n\n"},
        {"X-IMAPbase: 7 3 a\n b c d e f g h i j k l\nX-UID: 1\n\n",
            "X-IMAPbase: 7 0000000012 one two\nX-UID: 1\n\n"},
        {"X-IMAPbase: 7 0000000003 \nA: b            \n\n", NULL},
        {"X-IMAP: 7 0000000003                                     \n\n", NULL},
    };
    struct keywords names = {0};
    (void)state;
    (void)keywords_bit(&names, SLICE_LIT("one"));
    (void)keywords_bit(&names, SLICE_LIT("two"));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 1000);
        int r = mbox_base_edit(slice_str(rows[i].header), 7, 12, &names, &out);
        assert_row(rows[i].header, (r == 0) == (rows[i].want != NULL));
        if (r == 0) {
            assert_row(rows[i].header, out.n == strlen(rows[i].header));
            assert_row(rows[i].header, is_but_for_room(buf_slice(&out), rows[i].want));
        }
        buf_fini(&out);
    }
    keywords_fini(&names);
}

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool is;
    } rows[] = {{"A", true}, {"A/B", true}, {"A.B", true}, {"Entw&APw-rfe", true}, {"", false},
        {"/A", false}, {"A/", false}, {"A//B", false}, {".A", false}, {"A/.imap", false},
        {"A.lock", false}, {"..", false}, {"&", false}, {"\xc3\xa4", false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name, mbox_name_is_sound(slice_str(rows[i].name)) == rows[i].is);
}

/* --- The end ------------------------------------------------------------------------------ */

static struct tmpdir tmp;
static struct mbox_maker maker;
static struct end *end;
static struct keywords keywords;

#define F "From a Thu Nov 26 10:00:00 2026\n"

static void put(const char *file, const char *text)
{
    struct err err = ERR_INIT;
    int fd = open(tmpdir_file(&tmp, file), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, slice_str(text), &err), 0);
    io_close(&fd);
}

static void open_end(bool makes)
{
    struct err err = ERR_INIT;
    const struct end_maker *silent, *makers[] = {&maker.maker};
    assert_int_equal(mbox_maker_init(&maker, "target", tmp.path, makes, &err), 0);
    assert_int_equal(end_open_all(makers, 1, NULL, &end, &silent, &err), 0);
}

static void close_end(void)
{
    end_close(&end);
    mbox_maker_fini(&maker);
    keywords_fini(&keywords);
}

static enum end_result answer(const struct end_ticket *t)
{
    struct err err = ERR_INIT;
    return end_wait(end, t, &err) == 0 ? t->result : END_LOST;
}

static void look(struct end_changes *c)
{
    struct end_ticket t = {0};
    end_changes_init(c, &keywords);
    end->ops->open(end,
        &(struct end_open){
            .folder = SLICE_LIT("INBOX"), .is_for_writing = true, .want = END_WANT_FLAGS},
        c, &t);
    assert_int_equal(answer(&t), END_OK);
}

static void append(void)
{
    static const struct flags none;
    struct end_ticket t = {0};
    end->ops->append_begin(end, SLICE_LIT("INBOX"), NULL, &t);
    end->ops->append_message(
        end, &(struct end_message){.flags = &none, .keywords = &keywords, .size = 7});
    end->ops->append_octets(end, SLICE_LIT("\r\nnew\r\n"));
    end->ops->append_end(end);
    assert_int_equal(answer(&t), END_OK);
}

static void set_flag(uint32_t uid, uint8_t flag)
{
    const struct flags flags = {.system = flag};
    struct end_ticket t = {0};
    end->ops->flags(
        end, &uid, 1, &(struct end_flags){.flags = &flags, .keywords = &keywords}, NULL, &t);
    assert_int_equal(answer(&t), END_OK);
}

static off_t size_of(const char *file)
{
    struct stat st;
    assert_int_equal(stat(tmpdir_file(&tmp, file), &st), 0);
    return st.st_size;
}

static bool has(const char *file, const char *text)
{
    struct buf octets;
    struct err err = ERR_INIT;
    buf_init(&octets, 1 << 16);
    assert_int_equal(io_read_file(tmpdir_file(&tmp, file), 1 << 16, &octets, &err), 0);
    bool is = slice_search(buf_slice(&octets), slice_str(text)) >= 0;
    buf_fini(&octets);
    return is;
}

static void test_a_torn_tail_is_cut_off(void **state)
{
    struct end_changes c;
    (void)state;
    tmpdir_make(&tmp);
    put("inbox",
        F "\nold\n\nFrom coexist-mboxrd-400 Thu Nov 26 10:00:00 2026 +0000\nX-UID: 7\n\ntorn\n");
    open_end(true);
    look(&c);
    assert_int_equal(c.n, 1);
    end_changes_fini(&c);
    append();
    look(&c);
    assert_int_equal(c.n, 2);
    end_changes_fini(&c);
    assert_true(has("inbox", "old\n\nFrom coexist-mboxrd-6 ") && !has("inbox", "torn"));
    close_end();
    tmpdir_remove(&tmp);
}

/* Where there is room they are written in place; else the file grows, once. */
static void test_flags(void **state)
{
    struct end_changes c;
    (void)state;
    tmpdir_make(&tmp);
    put("INBOX", F "A: b\n\nx\n\n");
    open_end(true);
    look(&c);
    uint32_t uid = c.v[0].uid;
    end_changes_fini(&c);
    set_flag(uid, FLAG_SEEN);
    off_t size = size_of("INBOX");
    assert_true(has("INBOX", "Status: RO\n") && has("INBOX", "A: b\n\nx\n\n"));
    set_flag(uid, FLAG_FLAGGED);
    assert_int_equal(size_of("INBOX"), size);
    look(&c);
    assert_true(c.n == 1 && c.v[0].uid == uid);
    assert_int_equal(c.v[0].flags.system, FLAG_SEEN | FLAG_FLAGGED);
    end_changes_fini(&c);
    close_end();
    tmpdir_remove(&tmp);
}

/* UIDs stay with their messages, and the file stays as it is. */
static void test_a_source_is_not_written(void **state)
{
    static const char *const text = F "\none\n\n" F "\ntwo\n\n" F "\nthree\n\n";
    struct end_changes c;
    (void)state;
    tmpdir_make(&tmp);
    put("inbox", text);
    open_end(false);
    look(&c);
    uint32_t validity = c.uidvalidity;
    assert_true(c.n == 3 && c.v[0].uid == 1 && c.v[2].uid == 3);
    end_changes_fini(&c);
    close_end();
    assert_int_equal(size_of("inbox"), (off_t)strlen(text));
    put("inbox", F "\none\n\n" F "\nthree\n\n" F "\nfour\n\n");
    open_end(false);
    look(&c);
    assert_true(c.uidvalidity == validity && c.n == 3);
    assert_true(c.v[0].uid == 1 && c.v[1].uid == 3 && c.v[2].uid == 4);
    end_changes_fini(&c);
    close_end();
    tmpdir_remove(&tmp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_flags_in_a_header),
        cmocka_unit_test(test_keywords_find_room),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_a_torn_tail_is_cut_off),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_a_source_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
