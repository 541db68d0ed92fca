/* SPDX-License-Identifier: ISC */
/* The Maildir end: names, lists of UIDs, and what no table of promises asks of it. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/io.h"
#include "imapsync/ends/maildir_end.h"
#include "imapsync/ends/maildir_name.h"
#include "imapsync/ends/maildir_parts.h"
#include "imapsync/ends/maildir_uidlist.h"
#include "tests/unit/tmpdir.h"

/* --- Names -------------------------------------------------------------------------------- */

static void test_names(void **state)
{
    static const struct {
        const char *name, *base, *letters; /* base NULL: no message */
        uint8_t system;
        uint32_t keywords;
    } rows[] = {
        {"1.a", "1.a", "", 0, 0},
        {"1.a:2,", "1.a", "", 0, 0},
        {"1.a,S=3,W=4:2,FSa", "1.a,S=3,W=4", "FSa", FLAG_FLAGGED | FLAG_SEEN, 1},
        {"1.a:2,DFRSTzb", "1.a", "DFRSTzb", 31, 1u << 25 | 2},
        {"1.a:2,PS", "1.a", "PS", FLAG_SEEN, 0},
        {"1.a:2,S,T", "1.a", "S,T", FLAG_SEEN, 0},
        {"1.a:1,S", "1.a", "", 0, 0},
        {"\xc3\xa4 :2,T", "\xc3\xa4 ", "T", FLAG_DELETED, 0},
        {":2,S", NULL, NULL, 0, 0},
        {".hidden", NULL, NULL, 0, 0},
        {"a\nb", NULL, NULL, 0, 0},
        {"", NULL, NULL, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct maildir_name parts;
        bool is = maildir_name_split(slice_str(rows[i].name), &parts);
        assert_row(rows[i].name, is == (rows[i].base != NULL));
        if (!is)
            continue;
        assert_row(rows[i].name, slice_eq(parts.base, slice_str(rows[i].base)));
        assert_row(rows[i].name, slice_eq(parts.letters, slice_str(rows[i].letters)));
        assert_row(rows[i].name, maildir_letters_system(parts.letters) == rows[i].system);
        assert_row(rows[i].name, maildir_letters_keywords(parts.letters) == rows[i].keywords);
    }
}

static void test_new_names(void **state)
{
    static const struct {
        const char *before, *want;
        uint8_t system;
        uint32_t keywords;
    } rows[] = {
        {"", "1:2,", 0, 0}, {"", "1:2,DFRST", 31, 0}, {"", "1:2,Sabz", FLAG_SEEN, 1u << 25 | 3},
        {"PSq", "1:2,FP", FLAG_FLAGGED, 0},       /* passed on stays */
        {"S,x=1", "1:2,Fc,x=1", FLAG_FLAGGED, 4}, /* and what nobody knows */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 1000);
        assert_row(rows[i].want, maildir_name_join(SLICE_LIT("1"), slice_str(rows[i].before),
                                     rows[i].system, rows[i].keywords, &out) == 0);
        assert_row(rows[i].want, slice_eq(buf_slice(&out), slice_str(rows[i].want)));
        buf_fini(&out);
    }
    char longest[MAILDIR_NAME_MAX];
    struct buf out;
    memset(longest, 'x', sizeof(longest));
    buf_init(&out, 1000);
    const struct slice base = slice_make(longest, MAILDIR_NAME_MAX - 4);
    assert_int_equal(maildir_name_join(base, SLICE_NONE, FLAG_SEEN, 0, &out), 0);
    buf_clear(&out);
    assert_int_equal(maildir_name_join(base, SLICE_NONE, FLAG_SEEN, 1, &out), -1);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
}

static void test_numbers_in_names(void **state)
{
    uint64_t n = 0;
    (void)state;
    assert_true(maildir_base_number(SLICE_LIT("1.a,S=12,W=34"), 'W', &n) && n == 34);
    assert_true(maildir_base_number(SLICE_LIT("1.a,S=12,W=34"), 'S', &n) && n == 12);
    assert_false(maildir_base_number(SLICE_LIT("S=1"), 'S', &n));
    assert_false(maildir_base_number(SLICE_LIT("1,S=-1"), 'S', &n));
    assert_false(maildir_base_number(SLICE_LIT("1,S="), 'S', &n));
    assert_false(maildir_base_number(SLICE_LIT("1,S=99999999999999999999"), 'S', &n));
}

static void test_folder_names(void **state)
{
    static const struct {
        const char *name, *dir; /* dir NULL: there can be none */
    } rows[] = {
        {"INBOX", "."},
        {"inbox", "."},
        {"A", ".A"},
        {"A.B", ".A.B"},
        {"Entw&APw-rfe", ".Entw&APw-rfe"},
        {"INBOX.A", ".INBOX.A"},
        {"", NULL},
        {".", NULL},
        {".A", NULL},
        {"A.", NULL},
        {"A..B", NULL},
        {"A/B", NULL},
        {"&", NULL},
        {"\xc3\xa4", NULL},
    };
    struct slice back;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf dir;
        buf_init(&dir, 1000);
        assert_row(rows[i].name,
            (maildir_folder_dir(slice_str(rows[i].name), &dir) == 0) == (rows[i].dir != NULL));
        assert_row(rows[i].name, !rows[i].dir || slice_eq(buf_slice(&dir), slice_str(rows[i].dir)));
        if (dir.n > 1)
            assert_row(rows[i].name, maildir_folder_name(buf_slice(&dir), &back) &&
                                         slice_eq(back, slice_str(rows[i].name)));
        buf_fini(&dir);
    }
    assert_false(maildir_folder_name(SLICE_LIT(".INBOX"), &back));
    assert_false(maildir_folder_name(SLICE_LIT("."), &back));
    assert_false(maildir_folder_name(SLICE_LIT("A"), &back));
}

/* --- Lists of UIDs ------------------------------------------------------------------------ */

static void test_lists(void **state)
{
    static const struct {
        const char *text;
        int result;
        uint32_t validity, next;
        size_t rows, skipped;
        bool is_torn;
    } lists[] = {
        {"3 V7 N9 Gabc\n5 :a\n8 W3 :b\n", 0, 7, 9, 2, 0, false},
        {"3 V7 N9\n5 :a\n12 :b\n", 0, 7, 13, 2, 0, false},
        {"3 V7 N1\n", 0, 7, 1, 0, 0, false},
        {"3 N1 V7 X\n5 :a\n", 0, 7, 6, 1, 0, false},
        {"1 7 9\n5 a\n6 b:2,S\n", 0, 7, 9, 2, 0, false},
        {"3 V7 N1\n5 :a\n6 :b", 0, 7, 6, 1, 0, true},
        {"3 V7 N1\n5 :a\n4 :b\n5 :c\n", 0, 7, 6, 1, 2, false},
        {"3 V7 N1\nx\n5 a\n:\n0 :a\n6 :\n7 :ok\n", 0, 7, 8, 1, 5, false},
        {"3 V7 N1\n5 :a\n6 :a\n", 0, 7, 7, 1, 0, false},
        {"3 V7 N1\n4294967294 :a\n", 0, 7, 1, 0, 1, false},
        {"3 V0 N1\n", -1, 0, 0, 0, 0, false},
        {"3 V7\n", -1, 0, 0, 0, 0, false},
        {"2 V7 N1\n", -1, 0, 0, 0, 0, false},
        {"3 V7 N1", -1, 0, 0, 0, 0, true},
        {"", -1, 0, 0, 0, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct uidlist l;
        size_t rows = 0;
        uidlist_init(&l);
        assert_int_equal(buf_add_str(&l.text, lists[i].text), 0);
        assert_row(lists[i].text, uidlist_parse(&l) == lists[i].result);
        for (size_t k = 0; k < l.n; k++)
            rows += l.v[k].uid != 0;
        if (lists[i].result == 0) {
            assert_row(lists[i].text, l.validity == lists[i].validity && l.next == lists[i].next);
            assert_row(lists[i].text, rows == lists[i].rows && l.n_skipped == lists[i].skipped);
        }
        assert_row(lists[i].text, l.is_torn == lists[i].is_torn);
        uidlist_fini(&l);
    }
}

static void test_ids(void **state)
{
    struct uidlist l;
    (void)state;
    uidlist_init(&l);
    assert_int_equal(buf_add_str(&l.text, "3 V7 N1 Gfolder\n5 :a\n6 W3 Gother :b\n"), 0);
    assert_int_equal(uidlist_parse(&l), 0);
    assert_slice_equal(l.guid, "folder");
    assert_slice_equal(uidlist_id(uidlist_find(&l, SLICE_LIT("a"))), "a");
    assert_slice_equal(uidlist_id(uidlist_find(&l, SLICE_LIT("b"))), "other");
    assert_null(uidlist_find(&l, SLICE_LIT("c")));
    uidlist_fini(&l);
}

/* --- The end ------------------------------------------------------------------------------ */

static struct tmpdir tmp;
static struct maildir_maker maker;
static struct end *end;
static struct keywords keywords;

static void start(void)
{
    struct err err = ERR_INIT;
    const struct end_maker *silent, *makers[] = {&maker.maker};
    tmpdir_make(&tmp);
    assert_int_equal(maildir_maker_init(&maker, "target", tmp.path, true, &err), 0);
    assert_int_equal(end_open_all(makers, 1, NULL, &end, &silent, &err), 0);
}

static void stop(void)
{
    end_close(&end);
    maildir_maker_fini(&maker);
    keywords_fini(&keywords);
    tmpdir_remove(&tmp);
}

static enum end_result answer(const struct end_ticket *t)
{
    struct err err = ERR_INIT;
    return end_wait(end, t, &err) == 0 ? t->result : END_LOST;
}

static void look(struct slice folder, struct slice token, struct end_changes *c)
{
    struct end_ticket t = {0};
    end_changes_init(c, &keywords);
    end->ops->open(end,
        &(struct end_open){.folder = folder,
            .is_for_writing = true,
            .want = END_WANT_FLAGS | END_WANT_DATES,
            .token = token},
        c, &t);
    assert_int_equal(answer(&t), END_OK);
}

static void put(const char *file, struct slice octets)
{
    struct err err = ERR_INIT;
    int fd = open(tmpdir_file(&tmp, file), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(io_write_all(fd, octets, &err), 0);
    io_close(&fd);
}

static size_t count(const char *dir)
{
    size_t n = 0;
    DIR *d = opendir(tmpdir_file(&tmp, dir));
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    (void)closedir(d);
    return n;
}

static bool is_same(struct slice token)
{
    struct folder f = {.name = SLICE_LIT("INBOX")};
    struct end_ticket t = {0};
    end->ops->status(end, &f, &t);
    assert_int_equal(answer(&t), END_OK);
    return end->ops->is_same(end, &f, token);
}

static void test_a_token_tells_of_any_change(void **state)
{
    static const char *const changes[] = {"new/2.b", "cur/3.c:2,S", "dovecot-keywords"};
    struct end_changes c;
    (void)state;
    start();
    put("cur/1.a:2,", SLICE_LIT("x\n"));
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
        assert_row(changes[i], is_same(buf_slice(&c.token)));
        put(changes[i], SLICE_LIT("0 Word\n"));
        assert_row(changes[i], !is_same(buf_slice(&c.token)));
        end_changes_fini(&c);
    }
    look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
    char from[256];
    assert_int_equal(fmt_into(from, sizeof(from), "%s", tmpdir_file(&tmp, "cur/1.a:2,")), 0);
    assert_int_equal(rename(from, tmpdir_file(&tmp, "cur/1.a:2,F")), 0);
    assert_false(is_same(buf_slice(&c.token)));
    end_changes_fini(&c);
    stop();
}

static void test_a_lost_list_is_another_uidvalidity(void **state)
{
    struct end_changes c, d;
    (void)state;
    start();
    put("cur/1.a:2,", SLICE_LIT("x\n"));
    look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
    assert_int_equal(unlink(tmpdir_file(&tmp, "dovecot-uidlist")), 0);
    look(SLICE_LIT("INBOX"), buf_slice(&c.token), &d);
    assert_true(d.is_whole && d.uidvalidity > c.uidvalidity && d.n == 1);
    end_changes_fini(&c);
    end_changes_fini(&d);
    stop();
}

/* --- Line ends ---------------------------------------------------------------------------- */

struct body {
    struct buf text;
    uint64_t size;
    size_t ends;
};

static bool body_begin(void *arg, uint32_t uid, uint64_t size)
{
    (void)uid;
    ((struct body *)arg)->size = size;
    return true;
}

static void body_data(void *arg, struct slice octets)
{
    assert_int_equal(buf_add(&((struct body *)arg)->text, octets), 0);
}

static void body_end(void *arg, uint32_t uid)
{
    (void)uid;
    ((struct body *)arg)->ends++;
}

static void assert_body(const char *name, struct slice stored, struct slice want)
{
    static const struct end_sink sink = {body_begin, body_data, body_end};
    struct body b = {0};
    struct end_changes c;
    struct end_ticket t = {0};
    buf_init(&b.text, 1 << 20);
    start();
    put("cur/1.a:2,", stored);
    look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
    end->ops->read(end, &c.v[0].uid, 1, &sink, &b, &t);
    assert_row(name, answer(&t) == END_OK && b.ends == 1);
    assert_row(name, b.size == want.n && slice_eq(buf_slice(&b.text), want));
    end_changes_fini(&c);
    buf_fini(&b.text);
    stop();
}

static void test_line_ends(void **state)
{
    static const struct {
        const char *stored, *want;
    } rows[] = {
        {"", ""},
        {"a\n", "a\r\n"},
        {"a\r\nb\r\n", "a\r\nb\r\n"},
        {"\n\na\r\n\rb\n", "\r\n\r\na\r\n\rb\r\n"},
        {"no end", "no end"},
        {"\r", "\r"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_body(rows[i].want, slice_str(rows[i].stored), slice_str(rows[i].want));
}

/* The line's end lies across what is read at once. */
static void test_line_ends_far_on(void **state)
{
    struct buf stored, want;
    (void)state;
    for (size_t at = 65534; at < 65538; at++) {
        buf_init(&stored, 1 << 20);
        buf_init(&want, 1 << 20);
        for (size_t i = 0; i < at; i++)
            assert_int_equal(buf_add_byte(&stored, 'x'), 0);
        assert_int_equal(buf_add(&want, buf_slice(&stored)), 0);
        assert_int_equal(buf_add_str(&stored, "\r\ny\nz"), 0);
        assert_int_equal(buf_add_str(&want, "\r\ny\r\nz"), 0);
        assert_body("far on", buf_slice(&stored), buf_slice(&want));
        buf_fini(&stored);
        buf_fini(&want);
    }
}

/* --- Batches ------------------------------------------------------------------------------ */

static enum end_result append(struct slice folder, size_t n, size_t missing)
{
    static const struct flags none;
    struct end_ticket t = {0};
    end->ops->append_begin(end, folder, NULL, &t);
    for (size_t i = 0; i < n; i++) {
        end->ops->append_message(
            end, &(struct end_message){.flags = &none, .keywords = &keywords, .size = 4});
        end->ops->append_octets(
            end, slice_sub(SLICE_LIT("abc\n"), 0, i + 1 == n ? 4 - missing : 4));
    }
    end->ops->append_end(end);
    return answer(&t);
}

static void test_a_batch_is_all_or_none(void **state)
{
    (void)state;
    start();
    assert_int_equal(append(SLICE_LIT("Nowhere"), 3, 0), END_NO);
    assert_int_equal(append(SLICE_LIT("INBOX"), 3, 1), END_NO);
    assert_int_equal(count("cur") + count("tmp"), 0);
    assert_int_equal(append(SLICE_LIT("INBOX"), 100, 0), END_OK);
    assert_int_equal(count("cur"), 100);
    assert_int_equal(count("tmp"), 0);
    stop();
}

static void test_keywords_have_26_letters(void **state)
{
    struct end_changes c;
    struct end_ticket t = {0};
    struct flags all = {0};
    char name[8];
    (void)state;
    start();
    put("cur/1.a:2,", SLICE_LIT("x\n"));
    for (unsigned i = 0; i < 27; i++) {
        assert_int_equal(fmt_into(name, sizeof(name), "k%u", i), 0);
        int bit = keywords_bit(&keywords, slice_str(name));
        all.keywords[bit / 64] |= UINT64_C(1) << (bit % 64);
    }
    look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
    end->ops->flags(
        end, &c.v[0].uid, 1, &(struct end_flags){.flags = &all, .keywords = &keywords}, NULL, &t);
    assert_int_equal(answer(&t), END_OK);
    end_changes_fini(&c);
    look(SLICE_LIT("INBOX"), SLICE_NONE, &c);
    assert_int_equal(__builtin_popcountll(c.v[0].flags.keywords[0]), 26);
    end_changes_fini(&c);
    stop();
}

/* --- What is left in tmp/ ------------------------------------------------------------------ */

static void test_tmp_names(void **state)
{
    static const struct {
        const char *name;
        uint32_t pid; /* 0: not ours */
    } rows[] = {
        {"1.M2P345Q6.host", 345},
        {"1.M2P345Q6.host.example", 0},
        {"1.M2P345Q6.other", 0},
        {"1.M2P345.host", 0},
        {"1.P345Q6.host", 0},
        {"1.M2P0Q6.host", 0},
        {"1.M2PQ6.host", 0},
        {"1.M2P345Q6", 0},
        {"host", 0},
        {"", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint32_t pid = 0;
        bool is = maildir_tmp_is_ours(slice_str(rows[i].name), SLICE_LIT("host"), &pid);
        assert_row(rows[i].name, is == (rows[i].pid != 0) && (!is || pid == rows[i].pid));
    }
}

static void test_tmp_is_cleaned(void **state)
{
    char host[64], ours[128], living[128];
    const struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    (void)state;
    start();
    end_close(&end);
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    assert_int_equal(waitpid(gone, NULL, 0), gone);
    assert_int_equal(gethostname(host, sizeof(host)), 0);
    assert_int_equal(fmt_into(ours, sizeof(ours), "tmp/1.M2P%dQ3.%s", (int)gone, host), 0);
    assert_int_equal(fmt_into(living, sizeof(living), "tmp/1.M2P%dQ3.%s", (int)getpid(), host), 0);
    put(ours, SLICE_LIT("x"));
    put(living, SLICE_LIT("x"));
    put("tmp/1.somebody's", SLICE_LIT("x"));
    /* Old by its time of change, but somebody has put it there just now. */
    put("tmp/2.somebody's", SLICE_LIT("x"));
    assert_int_equal(utimensat(AT_FDCWD, tmpdir_file(&tmp, "tmp/2.somebody's"), old, 0), 0);
    struct err err = ERR_INIT;
    const struct end_maker *silent, *makers[] = {&maker.maker};
    assert_int_equal(end_open_all(makers, 1, NULL, &end, &silent, &err), 0);
    assert_int_equal(count("tmp"), 3);
    assert_int_equal(access(tmpdir_file(&tmp, ours), F_OK), -1);
    stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_new_names),
        cmocka_unit_test(test_numbers_in_names),
        cmocka_unit_test(test_folder_names),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_a_token_tells_of_any_change),
        cmocka_unit_test(test_a_lost_list_is_another_uidvalidity),
        cmocka_unit_test(test_line_ends),
        cmocka_unit_test(test_line_ends_far_on),
        cmocka_unit_test(test_a_batch_is_all_or_none),
        cmocka_unit_test(test_keywords_have_26_letters),
        cmocka_unit_test(test_tmp_names),
        cmocka_unit_test(test_tmp_is_cleaned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
