/* SPDX-License-Identifier: ISC */
/* What a server says of a folder and what cannot be: nothing is known to be gone because of it. */
#include "imapsync/ends/imap_token.h"
#include "tests/unit/imap_peer.h"

#define QRESYNC "ENABLE CONDSTORE QRESYNC"
#define NUMBERS "* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 21] .\n* OK [HIGHESTMODSEQ 108] .\n"
#define OPEN(before)                                                                               \
    {                                                                                              \
        "EXAMINE", before NUMBERS "~ OK .\n"                                                       \
    }
#define LINE(uid) "* 1 FETCH (UID " #uid " FLAGS ())\n"
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

static const struct imap_token then = {.uidvalidity = 7, .uidnext = 21, .exists = 4, .modseq = 100};
static const uint32_t known[] = {11, 12, 15, 20};
static struct end_changes changes;

static enum end_result open_it(
    const char *caps, const struct imap_peer_row *rows, bool has_token, struct err *err)
{
    struct folder one = {.name = SLICE_LIT("x")};
    struct end_ticket t = {0};
    struct buf token;
    imap_peer_start(&peer, caps, rows);
    /* ENABLE is answered before the folder is opened. */
    peer.end->ops->status(peer.end, &one, &t);
    assert_int_equal(end_wait(peer.end, &t, err), 0);
    buf_init(&token, END_TOKEN_MAX);
    if (has_token)
        imap_token_pack(&token, &then);
    struct uid_set uids = uid_set_of(known, COUNT_OF(known));
    const struct end_open o = {.token = buf_slice(&token), .known = &uids, .want = END_WANT_FLAGS};
    enum end_result r = open_folder("a", &o, &changes, err);
    uid_set_fini(&uids);
    buf_fini(&token);
    return r;
}

static void done(void)
{
    fini(&changes);
    stop();
    clean();
}

static void assert_gone(const char *name, bool is_sure, const char *want)
{
    struct buf text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < changes.n_vanished; i++)
        assert_int_equal(buf_addf(&text, "%s%u", i ? " " : "", changes.vanished[i]), 0);
    if (changes.is_sure != is_sure || strcmp(buf_cstr(&text), want) != 0)
        fail_msg("%s: gone %s, %s", name, buf_cstr(&text), changes.is_sure ? "sure" : "not sure");
    buf_fini(&text);
}

/* 20 is not listed, and what is said besides. */
static void test_listings(void **state)
{
    static const struct {
        const char *name, *caps, *opened, *more, *gone;
        bool is_sure;
    } rows[] = {
        {"the truth", "", "* 4 EXISTS\n", "* 4 EXPUNGE\n", "20", true},
        {"the truth, by UID", QRESYNC, "* 4 EXISTS\n", "* VANISHED 20\n", "20", true},
        {"nothing", "", "* 4 EXISTS\n", "", "", false},
        {"a number that nothing has", "", "* 4 EXISTS\n", "* 5 EXPUNGE\n", "", false},
        {"number 0", "", "* 4 EXISTS\n", "* 0 EXPUNGE\n", "", false},
        {"the last number", "", "* 4 EXISTS\n", "* 4294967295 EXPUNGE\n", "", false},
        {"more than there are", QRESYNC, "* 4 EXISTS\n", "* VANISHED 1:4294967295\n", "", false},
        {"by UID, and nobody has asked for it", "", "* 4 EXISTS\n", "* VANISHED 20\n", "", false},
        {"no count", "", "", "", "", false},
        {"no count, and one that is gone", "", "", "* 1 EXPUNGE\n", "", false},
        {"a count that comes too late", "", "", "* 3 EXISTS\n", "", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;
        char opened[300], listed[300];
        assert_int_equal(
            fmt_into(opened, sizeof(opened), "%s" NUMBERS "~ OK .\n", rows[i].opened), 0);
        assert_int_equal(
            fmt_into(listed, sizeof(listed), LINE(11) LINE(12) LINE(15) "%s~ OK .\n", rows[i].more),
            0);
        const struct imap_peer_row script[] = {{"ENABLE QRESYNC", "* ENABLED QRESYNC\n~ OK .\n"},
            {"EXAMINE", opened}, {"UID FETCH 1:*", listed},
            {"FETCH 1:", LINE(11) LINE(12) LINE(15) "~ OK .\n"}, END};
        assert_row(rows[i].name, open_it(rows[i].caps, script, false, &err) == END_OK);
        assert_gone(rows[i].name, rows[i].is_sure, rows[i].gone);
        done();
    }
}

/* There were four: 11, 12, 15 and 20. */
static void test_vanished(void **state)
{
    static const struct {
        const char *name, *count, *vanished, *found, *gone;
        bool is_asked, is_sure;
    } rows[] = {
        {"the truth", "3", "12", "", "12", false, true},
        {"and what was never there", "3", "1:10,12:14", "", "12", false, true},
        {"told twice", "3", "12,12", "", "12", false, true},
        {"one that is there", "4", "12", "11:12,15,20", "", true, true},
        {"all, and they are there", "4", "1:4294967295", "11:12,15,20", "", true, true},
        {"two, and one is gone", "3", "11:12", "11,15,20", "12", true, true},
        {"another one is gone", "3", "11:12", "11:12,15", "20", true, true},
        {"one, and none is found", "4", "12", "1", "", true, false},
        {"one, and too few are found", "4", "12", "11,15,20", "", true, false},
    };
    static const char *const ways[] = {QRESYNC " ESEARCH", QRESYNC};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        const bool can_search = i % 2 == 0;
        const char *name = rows[i / 2].name;
        struct err err = ERR_INIT;
        char opened[300], found[300];
        assert_int_equal(fmt_into(opened, sizeof(opened),
                             "* %s EXISTS\n" NUMBERS "* VANISHED (EARLIER) %s\n~ OK .\n",
                             rows[i / 2].count, rows[i / 2].vanished),
            0);
        assert_int_equal(fmt_into(found, sizeof(found),
                             "* ESEARCH (TAG \"~\") UID ALL %s\n~ OK .\n", rows[i / 2].found),
            0);
        const struct imap_peer_row script[] = {{"ENABLE QRESYNC", "* ENABLED QRESYNC\n~ OK .\n"},
            {"EXAMINE", opened}, {"UID SEARCH", found}, {"UID FETCH 21:*", "~ OK .\n"},
            {"UID FETCH 1:*", LINE(11) LINE(12) LINE(15) LINE(20) "~ OK .\n"}, END};
        assert_row(name, open_it(ways[i % 2], script, true, &err) == END_OK);
        assert_row(name,
            (said(can_search ? "UID SEARCH" : "UID FETCH 1:*") != NULL) == rows[i / 2].is_asked);
        if (can_search || !rows[i / 2].is_asked)
            assert_gone(name, rows[i / 2].is_sure, rows[i / 2].gone);
        else
            assert_gone(name, true, "");
        done();
    }
}

static void add_lines(struct buf *out, uint32_t first, uint32_t n, uint32_t step)
{
    for (uint32_t i = 0; i < n; i++)
        BUG_ON(buf_addf(out, "* 1 FETCH (UID %u FLAGS ())\n", first + i * step) != 0);
    BUG_ON(buf_add_str(out, "~ OK .\n") != 0);
}

/* Ten thousand more than it counts is no folder; the same one over and over is one message. */
static void test_endless(void **state)
{
    static const struct {
        const char *name, *count;
        uint32_t first, n, step;
        bool is_good;
    } rows[] = {
        {"some that came meanwhile", "2", 1, 1000, 1, true},
        {"more and more", "2", 1, 10100, 1, false},
        {"as many as it has counted", "10100", 1, 10100, 1, true},
        {"descending", "2", 20000, 10100, UINT32_MAX, false},
        {"one", "2", 12, 30000, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;
        struct buf listed;
        char opened[300];
        buf_init(&listed, 8u << 20);
        add_lines(&listed, rows[i].first, rows[i].n, rows[i].step);
        assert_int_equal(fmt_into(opened, sizeof(opened),
                             "* %s EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n", rows[i].count),
            0);
        const struct imap_peer_row script[] = {
            {"EXAMINE", opened}, {"UID FETCH 1:*", buf_cstr(&listed)}, END};
        enum end_result r = open_it("", script, false, &err);
        assert_row(rows[i].name, r == (rows[i].is_good ? END_OK : END_NO));
        assert_row(rows[i].name, changes.cap < 20000);
        assert_row(rows[i].name, rows[i].is_good || err.scope == ERR_SCOPE_FOLDER);
        done();
        buf_fini(&listed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_listings),
        cmocka_unit_test(test_vanished),
        cmocka_unit_test(test_endless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
