/* SPDX-License-Identifier: ISC */
/* What the IMAP end tells since a token, by each of its ways, and when a token is worth nothing. */
#include "imapsync/ends/imap_token.h"
#include "tests/unit/imap_peer.h"

static const struct imap_token then = {.uidvalidity = 7, .uidnext = 21, .exists = 4, .modseq = 100};

/* What it was before: 11, 12, 15 and 20. */
static const uint32_t known[] = {11, 12, 15, 20};

static struct end_changes changes;

static void open_since(const struct imap_token *t, unsigned want)
{
    struct buf token;
    struct err err = ERR_INIT;
    buf_init(&token, END_TOKEN_MAX);
    imap_token_pack(&token, t);
    struct uid_set uids = uid_set_of(known, COUNT_OF(known));
    const struct end_open o = {.token = buf_slice(&token), .known = &uids, .want = want};
    enum end_result r = open_folder("a", &o, &changes, &err);
    uid_set_fini(&uids);
    buf_fini(&token);
    if (r != END_OK)
        fail_msg("%s", err.text);
}

/* "11 12+" as the UIDs that are listed, with + those that have flags, and d a date. */
static void assert_changes(const char *listed, const char *vanished)
{
    struct buf text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < changes.n; i++)
        assert_int_equal(buf_addf(&text, "%s%u%s%s", i ? " " : "", changes.v[i].uid,
                             changes.v[i].has_flags ? "+" : "", changes.v[i].has_date ? "d" : ""),
            0);
    assert_string_equal(buf_cstr(&text), listed);
    buf_clear(&text);
    for (size_t i = 0; i < changes.n_vanished; i++)
        assert_int_equal(buf_addf(&text, "%s%u", i ? " " : "", changes.vanished[i]), 0);
    assert_string_equal(buf_cstr(&text), vanished);
    buf_fini(&text);
}

static struct imap_token now(void)
{
    struct imap_token t;
    if (!imap_token_unpack(buf_slice(&changes.token), &t))
        t = (struct imap_token){0};
    return t;
}

static void done(void)
{
    fini(&changes);
    stop();
    clean();
}

/* ENABLE is answered before the first folder is opened. */
static void start(const char *caps, const struct imap_peer_row *rows)
{
    struct folder one = {.name = SLICE_LIT("x")};
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    imap_peer_start(&peer, caps, rows);
    peer.end->ops->status(peer.end, &one, &t);
    assert_int_equal(end_wait(peer.end, &t, &err), 0);
}

#define BOTH END_WANT_FLAGS | END_WANT_DATES
#define QRESYNC "ENABLE CONDSTORE QRESYNC ESEARCH"
#define ENABLED                                                                                    \
    {                                                                                              \
        "ENABLE QRESYNC", "* ENABLED QRESYNC\n~ OK .\n"                                            \
    }
#define DATE "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\""
#define OPENED(exists, uidnext, modseq)                                                            \
    "* " exists " EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT " uidnext                          \
    "] .\n* OK [HIGHESTMODSEQ " modseq "] .\n"

static void test_qresync(void **state)
{
    static const struct imap_peer_row rows[] = {ENABLED,
        {"EXAMINE \"a\" (QRESYNC (7 100))",
            OPENED("4", "23", "108") "* VANISHED (EARLIER) 12:14\n"
                                     "* 2 FETCH (UID 15 FLAGS (\\Seen) MODSEQ (107))\n"
                                     "* 4 FETCH (UID 22 FLAGS () MODSEQ (900))\n~ OK .\n"},
        {"UID FETCH 21:*", "* 4 FETCH (UID 22 FLAGS () " DATE ")\n~ OK .\n"}, {NULL, NULL}};
    (void)state;
    start(QRESYNC, rows);
    open_since(&then, BOTH);
    assert_changes("15+ 22+d", "12");
    assert_true(changes.is_sure && !changes.is_whole);
    struct imap_token t = now();
    assert_true(t.uidvalidity == 7 && t.uidnext == 23 && t.exists == 4);
    assert_int_equal(t.modseq, 108); /* never that of a FETCH */
    done();
}

/* The second folder: what stands before [CLOSED] is the first one's. */
static void test_qresync_behind_another(void **state)
{
    static const struct imap_peer_row rows[] = {ENABLED,
        {"EXAMINE \"first\"", OPENED("0", "1", "1") "~ OK .\n"},
        {"EXAMINE \"a\"",
            "* VANISHED (EARLIER) 11\n* 1 FETCH (UID 20 FLAGS (\\Draft))\n"
            "* OK [CLOSED] .\n" OPENED(
                "3", "21", "101") "* VANISHED (EARLIER) 12\n* 2 FETCH (UID 15 FLAGS ())\n~ OK .\n"},
        {"EXAMINE \"a\"", OPENED("4", "21", "101") "* 2 FETCH (UID 15 FLAGS ())\n~ OK .\n"},
        {"UID FETCH 21:*", "~ OK .\n"}, {"UID FETCH 21:*", "~ OK .\n"},
        {"UID FETCH 1:*",
            "* 1 FETCH (UID 11 FLAGS ())\n* 2 FETCH (UID 12 FLAGS ())\n"
            "* 3 FETCH (UID 15 FLAGS ())\n* 4 FETCH (UID 20 FLAGS (\\Seen))\n~ OK .\n"},
        {NULL, NULL}};
    struct err err = ERR_INIT;
    struct end_changes first;
    (void)state;
    start(QRESYNC, rows);
    assert_int_equal(
        open_folder("first", &(struct end_open){.is_only_opened = true}, &first, &err), END_OK);
    end_changes_fini(&first);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("15+", "12");
    end_changes_fini(&changes);
    /* A server that does not say where the one ends and the other begins is asked for all. */
    open_since(&then, END_WANT_FLAGS);
    assert_changes("11+ 12+ 15+ 20+", "");
    assert_true(changes.is_whole && changes.is_sure);
    done();
}

/* A server that keeps no memory of what it has expunged and does not say so. */
static void test_qresync_that_forgets(void **state)
{
    static const struct imap_peer_row rows[] = {ENABLED,
        {"EXAMINE", OPENED("2", "21", "108") "~ OK .\n"}, {"UID FETCH 21:*", "~ OK .\n"},
        {"UID SEARCH", "* ESEARCH (TAG \"~\") UID ALL 11:12\n~ OK .\n"}, {NULL, NULL}};
    (void)state;
    start(QRESYNC, rows);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("", "15 20");
    assert_true(changes.is_sure);
    done();
}

static void test_condstore(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE \"a\"\n", OPENED("5", "23", "108") "~ OK .\n"},
        {"UID FETCH 1:* (UID FLAGS INTERNALDATE) (CHANGEDSINCE 100)",
            "* 3 FETCH (UID 15 FLAGS (\\Seen) " DATE " MODSEQ (900))\n"
            "* 5 FETCH (UID 22 FLAGS () " DATE " MODSEQ (108))\n~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start("ENABLE CONDSTORE", rows);
    open_since(&then, BOTH);
    assert_changes("15+d 22+d", "");
    assert_true(changes.is_sure && !changes.is_whole);
    assert_int_equal(now().modseq, 108);
    assert_null(said("SEARCH"));
    done();
}

static void test_condstore_and_vanished(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPENED("3", "23", "108") "~ OK .\n"},
        {"CHANGEDSINCE", "* 3 FETCH (UID 22 FLAGS ())\n~ OK .\n"},
        {"UID SEARCH RETURN (ALL) ALL", "* ESEARCH (TAG \"~\") UID ALL 20,12,22\n~ OK .\n"},
        /* And a server without ESEARCH lists. */
        {"EXAMINE", OPENED("3", "23", "108") "~ OK .\n"},
        {"CHANGEDSINCE", "* 3 FETCH (UID 22 FLAGS ())\n~ OK .\n"},
        {"UID FETCH 1:* (UID FLAGS)", "* 1 FETCH (UID 12 FLAGS ())\n* 2 FETCH (UID 20 FLAGS ())\n"
                                      "* 3 FETCH (UID 22 FLAGS ())\n~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start("ENABLE CONDSTORE ESEARCH", rows);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("22+", "11 15");
    assert_true(changes.is_sure && !changes.is_whole);
    done();
    start("ENABLE CONDSTORE", rows + 3);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("12+ 20+ 22+", "11 15");
    assert_true(changes.is_sure && changes.is_whole);
    done();
}

/* More than by the counts can be: messages under UIDs that were given before. */
static void test_condstore_that_does_not_add_up(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPENED("5", "21", "108") "~ OK .\n"},
        {"CHANGEDSINCE", "~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 10 FLAGS ())\n* 1 FETCH (UID 11 FLAGS ())\n"
                          "* 1 FETCH (UID 12 FLAGS ())\n* 1 FETCH (UID 15 FLAGS ())\n"
                          "* 1 FETCH (UID 20 FLAGS ())\n~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start("ENABLE CONDSTORE ESEARCH", rows);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("10+ 11+ 12+ 15+ 20+", "");
    assert_true(changes.is_sure && changes.is_whole);
    done();
}

/* Neither, or a proxy that hides them: all flags, and the dates of the new ones only. */
static void test_flags(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPENED("4", "23", "108") "~ OK .\n"},
        {"UID FETCH 1:* (UID FLAGS)\n",
            "* 1 FETCH (UID 11 FLAGS ())\n* 2 FETCH (UID 15 FLAGS ())\n"
            "* 3 FETCH (UID 20 FLAGS ())\n* 4 FETCH (UID 22 FLAGS ())\n~ OK .\n"},
        {"UID FETCH 21:* (UID FLAGS INTERNALDATE)",
            "* 4 FETCH (UID 22 FLAGS () " DATE ")\n~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start("", rows);
    open_since(&then, BOTH);
    assert_changes("11+ 15+ 20+ 22+d", "12");
    assert_true(changes.is_sure && changes.is_whole);
    done();
}

/* QRESYNC is offered, and the server behind the proxy does not know it. */
static void test_qresync_that_is_not_enabled(void **state)
{
    static const struct imap_peer_row rows[] = {{"ENABLE QRESYNC", "~ OK .\n"},
        {"EXAMINE \"a\"\n", OPENED("4", "21", "108") "~ OK .\n"}, {"CHANGEDSINCE", "~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start(QRESYNC, rows);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("", "");
    done();
    assert_null(said("(QRESYNC"));
}

static void test_a_delta_that_is_refused(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPENED("4", "21", "108") "~ OK .\n"},
        {"CHANGEDSINCE", "~ BAD what?\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 11 FLAGS ())\n* 1 FETCH (UID 12 FLAGS ())\n"
                          "* 1 FETCH (UID 15 FLAGS ())\n* 1 FETCH (UID 20 FLAGS ())\n~ OK .\n"},
        {NULL, NULL}};
    (void)state;
    start("ENABLE CONDSTORE ESEARCH", rows);
    open_since(&then, END_WANT_FLAGS);
    assert_changes("11+ 12+ 15+ 20+", "");
    assert_true(changes.is_sure && changes.is_whole);
    done();
}

/* What makes a token worth nothing, by each way. */
static void test_voids(void **state)
{
    static const struct {
        const char *name, *caps, *opened;
    } rows[] = {
        {"UIDNEXT, QRESYNC", QRESYNC, OPENED("1", "20", "108")},
        {"UIDNEXT, CONDSTORE", "ENABLE CONDSTORE", OPENED("1", "20", "108")},
        {"UIDNEXT, neither", "", OPENED("1", "20", "108")},
        {"UIDVALIDITY, QRESYNC", QRESYNC,
            "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n* OK [UIDNEXT 21] .\n"},
        {"UIDVALIDITY, neither", "", "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n* OK [UIDNEXT 21] .\n"},
        {"MODSEQ, QRESYNC", QRESYNC, OPENED("1", "21", "99")},
        {"MODSEQ, CONDSTORE", "ENABLE CONDSTORE", OPENED("1", "21", "99")},
        {"both, QRESYNC", QRESYNC, OPENED("1", "20", "99")},
        {"NOMODSEQ, QRESYNC", QRESYNC,
            "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 21] .\n* OK [NOMODSEQ] .\n"},
        {"NOMODSEQ, CONDSTORE", "ENABLE CONDSTORE",
            "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 21] .\n* OK [NOMODSEQ] .\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char opened[500];
        assert_int_equal(fmt_into(opened, sizeof(opened), "%s~ OK .\n", rows[i].opened), 0);
        const struct imap_peer_row script[] = {ENABLED, {"EXAMINE", opened}, {"EXAMINE", opened},
            {"UID FETCH 21:*", "~ OK .\n"}, {"UID FETCH 21:*", "~ OK .\n"},
            {"CHANGEDSINCE", "~ OK .\n"},
            {"UID FETCH 1:* (UID FLAGS INTERNALDATE)\n",
                "* 1 FETCH (UID 12 FLAGS () " DATE ")\n~ OK .\n"},
            {NULL, NULL}};
        start(rows[i].caps, script);
        open_since(&then, BOTH);
        /* Restored: what it had may be there under any UID. */
        const bool is_back = strncmp(rows[i].name, "UIDNEXT", 7) == 0 ||
                             slice_starts(slice_str(rows[i].name), SLICE_LIT("both"));
        assert_row(rows[i].name, changes.is_whole && changes.is_sure == !is_back);
        assert_changes("12+d", is_back ? "" : "11 15 20");
        done();
    }
}

static void test_status(void **state)
{
    const struct folder same = {
        .has = 15, .uidvalidity = 7, .uidnext = 21, .messages = 4, .modseq = 100};
    struct folder f;
    (void)state;
    assert_true(imap_token_is_same(&then, &same));
    f = same, f.uidvalidity++;
    assert_false(imap_token_is_same(&then, &f));
    f = same, f.uidnext++;
    assert_false(imap_token_is_same(&then, &f));
    f = same, f.messages--;
    assert_false(imap_token_is_same(&then, &f));
    f = same, f.modseq++;
    assert_false(imap_token_is_same(&then, &f));
    f = same, f.has = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    assert_false(imap_token_is_same(&then, &f));
    struct imap_token none = then;
    none.modseq = 0;
    f = same, f.modseq = 0;
    assert_false(imap_token_is_same(&none, &f));
}

static void test_token(void **state)
{
    static const struct imap_token rows[] = {{1, 1, 0, 0}, {7, 21, 4, 100},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX}, {0, 21, 4, 100}, {7, 0, 4, 100}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_token t;
        struct buf b;
        buf_init(&b, END_TOKEN_MAX);
        imap_token_pack(&b, &rows[i]);
        assert_int_equal(b.n > 0, i < 3);
        if (b.n > 0) {
            assert_true(imap_token_unpack(buf_slice(&b), &t));
            assert_memory_equal(&t, &rows[i], sizeof(t));
            assert_false(imap_token_unpack(slice_sub(buf_slice(&b), 0, b.n - 1), &t));
            b.p[b.off] ^= 0xff;
            assert_false(imap_token_unpack(buf_slice(&b), &t));
        }
        buf_fini(&b);
    }
}

#define NUMBERS                                                                                    \
    (FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY | FOLDER_HAS_MODSEQ)

/* Only one that its status says is empty, with all that a token has, is not opened. */
static void test_an_empty_folder_as_listed(void **state)
{
    static const struct {
        const char *name;
        struct folder listed;
        struct end_open o;
        bool is_asked;
    } rows[] = {
        {"empty", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3}, {.from = 0},
            false},
        {"expected", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3},
            {.uidvalidity = 8}, false},
        {"another one is expected", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3},
            {.uidvalidity = 7}, true},
        {"a message", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3, .messages = 1},
            {.from = 0}, true},
        {"no MODSEQ told", {.has = NUMBERS & ~FOLDER_HAS_MODSEQ, .uidvalidity = 8, .uidnext = 5},
            {.from = 0}, true},
        {"no MODSEQs", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5}, {.from = 0}, true},
        {"no UIDVALIDITY", {.has = NUMBERS, .uidnext = 5, .modseq = 3}, {.from = 0}, true},
        {"no count told",
            {.has = NUMBERS & ~FOLDER_HAS_MESSAGES, .uidvalidity = 8, .uidnext = 5, .modseq = 3},
            {.from = 0}, true},
        {"for writing", {.has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3},
            {.is_for_writing = true}, true},
    };
    static const struct imap_peer_row answers[] = {
        {"a", "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n* OK [UIDNEXT 6] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 5 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct end_changes c;
        struct err err = ERR_INIT;
        imap_peer_start(&peer, "CONDSTORE", answers);
        struct end_open o = rows[i].o;
        o.listed = &rows[i].listed;
        o.want = END_WANT_FLAGS;
        enum end_result result = open_folder("a", &o, &c, &err);
        if (!rows[i].is_asked) {
            assert_row(rows[i].name, result == END_OK && c.is_sure && c.is_whole && c.n == 0);
            assert_row(rows[i].name, c.uidvalidity == 8 && c.uidnext == 5 && c.modseq == 3);
            assert_row(rows[i].name,
                peer.end->ops->is_same(peer.end, &rows[i].listed, buf_slice(&c.token)));
        }
        fini(&c);
        stop();
        assert_row(
            rows[i].name, (said("EXAMINE \"a\"") || said("SELECT \"a\"")) == rows[i].is_asked);
        clean();
    }
}

/* It is opened before anything that is asked of it, and then has to be the one that was listed. */
static void test_an_empty_folder_that_is_used(void **state)
{
    static const struct folder listed = {
        .has = NUMBERS, .uidvalidity = 8, .uidnext = 5, .modseq = 3};
    static const char *const uidvalidities[] = {"8", "9"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(uidvalidities); i++) {
        char reply[100];
        const uint32_t uid = 5;
        struct end_changes c, more;
        struct end_ticket t = {0};
        struct err err = ERR_INIT;
        assert_int_equal(fmt_into(reply, sizeof(reply),
                             "* 1 EXISTS\n* OK [UIDVALIDITY %s] .\n~ OK .\n", uidvalidities[i]),
            0);
        const struct imap_peer_row rows[] = {
            {"EXAMINE \"b\"", "* 1 EXISTS\n* OK [UIDVALIDITY 4] .\n* OK [UIDNEXT 9] .\n~ OK .\n"},
            {"UID FETCH 1:*", "* 1 FETCH (UID 5 FLAGS (\\Seen))\n~ OK .\n"},
            {"EXAMINE \"a\"", reply}, {"UID FETCH 5", "* 1 FETCH (UID 5 FLAGS ())\n~ OK .\n"},
            {NULL, NULL}};
        imap_peer_start(&peer, "CONDSTORE", rows);
        assert_int_equal(
            open_folder("b", &(struct end_open){.want = END_WANT_FLAGS}, &c, &err), END_OK);
        end_changes_fini(&c);
        assert_int_equal(open_folder("a", &(struct end_open){.listed = &listed}, &c, &err), END_OK);
        end_changes_init(&more, &keywords);
        peer.end->ops->attributes(peer.end, &uid, 1, END_WANT_FLAGS, &more, &t);
        assert_int_equal(end_wait(peer.end, &t, &err), 0);
        assert_int_equal(t.result, i == 0 ? END_OK : END_NO);
        end_changes_fini(&more);
        fini(&c);
        stop();
        assert_non_null(said("EXAMINE \"a\""));
        clean();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_qresync),
        cmocka_unit_test(test_qresync_behind_another),
        cmocka_unit_test(test_qresync_that_forgets),
        cmocka_unit_test(test_condstore),
        cmocka_unit_test(test_condstore_and_vanished),
        cmocka_unit_test(test_condstore_that_does_not_add_up),
        cmocka_unit_test(test_flags),
        cmocka_unit_test(test_qresync_that_is_not_enabled),
        cmocka_unit_test(test_a_delta_that_is_refused),
        cmocka_unit_test(test_voids),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_token),
        cmocka_unit_test(test_an_empty_folder_as_listed),
        cmocka_unit_test(test_an_empty_folder_that_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
