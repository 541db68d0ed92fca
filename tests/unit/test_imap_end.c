/* SPDX-License-Identifier: ISC */
/* The IMAP end against scripted octets: what it believes, and what it asks again. */
#include "base/mail/uids.h"
#include "imapsync/ends/imap_parts.h"
#include "tests/unit/imap_peer.h"

#define OPEN_5 "* 5 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 90] .\n~ OK [READ-ONLY] .\n"

static void test_words_are_merged(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE", "* 2 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 9] .\n~ OK .\n"},
        {"UID FETCH 1:*",
            "* 1 FETCH (UID 1 FLAGS (\\Seen) INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")\n"
            "* 2 FETCH (UID 2 FLAGS () INTERNALDATE \"17-Jul-1996 02:44:26 -0700\")\n"
            "* 2 FETCH (FLAGS (\\Flagged) UID 2)\n"
            "* 1 FETCH (UID 1 MODSEQ (8))\n"
            "~ OK .\n"},
        {NULL, NULL}};
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    const struct end_open o = {.want = END_WANT_FLAGS | END_WANT_DATES};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    assert_int_equal(c.n, 2);
    assert_true(c.v[0].has_date && c.v[0].has_flags && c.v[1].has_date && c.v[1].has_flags);
    assert_int_equal(c.v[0].flags.system, FLAG_SEEN);
    assert_int_equal(c.v[1].flags.system, FLAG_FLAGGED);
    assert_int_equal(c.v[1].date_s, 837596666);
    assert_true(c.is_whole && c.is_sure);
    fini(&c);
    stop();
    clean();
}

/* Which keywords last, and which are none. */
static void test_keywords(void **state)
{
    static const struct {
        const char *told, *kept, *lost;
        size_t n_lost;
    } rows[] = {
        {"", "\\Answered \\Deleted \\Draft \\Flagged \\Seen Work Other", "J??l", 1},
        {"* OK [PERMANENTFLAGS (\\Seen \\*)] .\n", "\\Seen Work Other", "J??l", 1},
        {"* OK [PERMANENTFLAGS (\\Seen WORK $Junk)] .\n", "\\Seen Work", "J??l", 1},
        {"* OK [PERMANENTFLAGS ()] .\n", "", "J??l", 1},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[300];
        assert_int_equal(
            fmt_into(text, sizeof(text),
                "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 9] .\n%s~ OK .\n", rows[i].told),
            0);
        const struct imap_peer_row script[] = {{"SELECT", text},
            {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS (Work \\Recent J\xc3\xbcl Other) "
                              "INTERNALDATE \"17-Jul-1996 "
                              "02:44:25 -0700\")\n~ OK .\n"},
            {NULL, NULL}};
        struct end_changes c;
        struct err err = ERR_INIT;
        struct buf kept;
        imap_peer_start(&peer, "", script);
        const struct end_open o = {.want = END_WANT_FLAGS | END_WANT_DATES, .is_for_writing = true};
        assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
        struct flags f = end_changes_storable(&c);
        buf_init(&kept, 1000);
        assert_int_equal(flags_format(&f, &keywords, &kept), 0);
        assert_string_equal(buf_cstr(&kept), rows[i].kept);
        assert_int_equal(c.flags_lost, rows[i].n_lost);
        assert_string_equal(buf_cstr(&c.lost_words), rows[i].lost);
        /* \Recent is the server's own. */
        buf_clear(&kept);
        assert_int_equal(flags_format(&c.v[0].flags, &keywords, &kept), 0);
        assert_string_equal(buf_cstr(&kept), "Work Other");
        buf_fini(&kept);
        fini(&c);
        stop();
        clean();
    }
}

/* What came of flags is told for who wants to know it; the server is asked to be silent else. */
static void test_flags_as_they_are(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"SELECT", "* 5 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 90] .\n~ OK .\n"},
        {"UID STORE 3:4 +FLAGS (\\Seen Work)\n",
            "* 1 FETCH (FLAGS (\\Seen \\Recent) UID 3)\n* 2 FETCH (UID 4 FLAGS (\\Seen Work))\n"
            "* 9 FETCH (UID 90 FLAGS ())\n* 3 FETCH (FLAGS (\\Seen))\n~ OK .\n"},
        {"UID STORE 3 -FLAGS.SILENT (\\Seen Work)\n", "* 1 FETCH (FLAGS () UID 3)\n~ OK .\n"},
        {NULL, NULL}};
    static const uint32_t uids[] = {3, 4};
    struct end_changes c, there;
    struct end_ticket t[2] = {{0}};
    struct err err = ERR_INIT;
    struct flags f;
    (void)state;
    imap_peer_start(&peer, "", rows);
    const struct end_open o = {.is_for_writing = true, .is_only_opened = true};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    end_changes_init(&there, &keywords);
    assert_int_equal(flags_parse(SLICE_LIT("\\Seen Work"), &keywords, &f), 0);
    struct end_flags add = {.flags = &f, .keywords = &keywords, .there = &there};
    struct end_flags take = {.flags = &f, .keywords = &keywords, .is_removal = true};
    peer.end->ops->flags(peer.end, uids, 2, &add, NULL, &t[0]);
    peer.end->ops->flags(peer.end, uids, 1, &take, NULL, &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    end_changes_finish(&there);
    assert_true(peer.used[1] && peer.used[2]);
    assert_int_equal(there.n, 2);
    assert_int_equal(there.v[0].flags.system, FLAG_SEEN);
    struct flags less = flags_minus(&f, &there.v[0].flags);
    assert_false(flags_empty(&less));
    assert_true(flags_eq(&there.v[1].flags, &f));
    end_changes_fini(&there);
    fini(&c);
    stop();
    clean();
}

/* What the server still had to say about the folder before. */
static void test_the_folder_before(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE \"a\"", "* 1 EXISTS\n* OK [UIDVALIDITY 3] .\n* OK [UIDNEXT 77] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"},
        {"EXAMINE \"b\"", "* 9 EXPUNGE\n* 1 FETCH (UID 44 FLAGS (\\Deleted))\n* 800 EXISTS\n"
                          "* OK [UIDNEXT 3] .\n* OK [CLOSED] .\n"
                          "* 4 EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 5 FLAGS ())\n* 2 FETCH (UID 6 FLAGS ())\n~ OK .\n"},
        {"FETCH 1:4", "* 1 FETCH (UID 5 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    struct uid_set known = uid_set_of((const uint32_t[]){5, 6, 7}, 3);
    struct end_changes a, b;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    const struct end_open o = {.want = END_WANT_FLAGS, .known = &known};
    assert_int_equal(open_folder("a", &o, &a, &err), END_OK);
    assert_int_equal(open_folder("b", &o, &b, &err), END_OK);
    assert_int_equal(b.n, 2);
    assert_null(end_changes_find(&b, 44));
    assert_int_equal(b.exists, 4);
    assert_int_equal(b.uidnext, 0);
    assert_int_equal(b.uidvalidity, 7);
    /* Two of four: the EXPUNGE was the other folder's and explains nothing. */
    assert_true(b.is_whole && !b.is_sure);
    assert_int_equal(b.n_vanished, 0);
    end_changes_fini(&a);
    fini(&b);
    uid_set_fini(&known);
    stop();
    clean();
}

static void test_a_short_listing_is_asked_again(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPEN_5},
        {"UID FETCH 1:*", "* 1 FETCH (UID 11 FLAGS ())\n* 2 FETCH (UID 12 FLAGS ())\n"
                          "~ OK .\n"},
        {"FETCH 1:5", "* 3 FETCH (UID 13 FLAGS ())\n* 4 FETCH (UID 14 FLAGS ())\n"
                      "* 5 FETCH (UID 15 FLAGS (x))\n~ OK .\n"},
        {NULL, NULL}};
    struct uid_set known = uid_set_of((const uint32_t[]){9, 12, 15, 20}, 4);
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    const struct end_open o = {.want = END_WANT_FLAGS, .known = &known};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    assert_int_equal(c.n, 5);
    assert_true(c.is_whole && c.is_sure);
    assert_int_equal(c.n_vanished, 2);
    assert_int_equal(c.vanished[0], 9);
    assert_int_equal(c.vanished[1], 20);
    fini(&c);
    uid_set_fini(&known);
    stop();
    clean();
}

/* New mail that is listed does not make up for a message that is not. */
static void test_new_mail_hides_no_gap(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE",
            "* 2 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 30] .\n~ OK [READ-ONLY] .\n"},
        {"UID FETCH 1:*", "* 3 EXISTS\n* 1 FETCH (UID 11 FLAGS ())\n* 3 FETCH (UID 30 FLAGS ())\n"
                          "~ OK .\n"},
        {"FETCH 1:2", "* 1 FETCH (UID 11 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.want = END_WANT_FLAGS}, &c, &err), 1);
    assert_int_equal(c.n, 2);
    assert_false(c.is_sure);
    fini(&c);
    stop();
    clean();
}

/* Courier: each EXAMINE gives another UIDVALIDITY, until somebody has opened it for writing. */
static void test_uidvalidity_of_each_examine(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"},
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"},
        {"SELECT", "* 1 EXISTS\n* OK [UIDVALIDITY 9] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"},
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 9] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.uidvalidity = 6}, &c, &err), END_OK);
    assert_int_equal(c.uidvalidity, 9);
    assert_int_equal(c.n, 1);
    fini(&c);
    assert_int_equal(open_folder("a", &(struct end_open){.uidvalidity = 9}, &c, &err), END_OK);
    fini(&c);
    stop();
    assert_null(strstr(said("SELECT") + 1, "SELECT"));
    clean();
}

/* Where that is known the first look opens it so, whatever STATUS has told a moment ago; a token is
 * of such a look. */
static void test_uidvalidity_is_made_to_last(void **state)
{
    static const struct {
        const char *name, *token;
        uint32_t expected;
        bool selects;
    } rows[] = {
        {"nothing is known", "", 0, true},
        {"STATUS has told the same", "", 9, true},
        {"STATUS has told another", "", 8, true},
        {"it was looked at before", "x", 9, false},
    };
    static const struct imap_peer_row script[] = {
        {"SELECT", "* 1 EXISTS\n* OK [UIDVALIDITY 9] .\n~ OK .\n"},
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 9] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct end_changes c;
        imap_peer_start(&peer, "", script);
        imap_end_recognise(imap_end_of(peer.end), SLICE_LIT("Courier-IMAP"));
        assert_row(rows[i].name, open_folder("a",
                                     &(struct end_open){.uidvalidity = rows[i].expected,
                                         .token = slice_str(rows[i].token)},
                                     &c, &err) == END_OK);
        assert_row(rows[i].name, c.uidvalidity == 9 && c.n == 1);
        fini(&c);
        stop();
        assert_row(rows[i].name, (said("SELECT") != NULL) == rows[i].selects);
        assert_row(rows[i].name, (said("EXAMINE") != NULL) != rows[i].selects);
        clean();
    }
}

/* One that has really changed is no reason to open anything for writing. */
static void test_another_uidvalidity(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"},
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 1 FLAGS ())\n~ OK .\n"}, {NULL, NULL}};
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.uidvalidity = 6}, &c, &err), END_OK);
    assert_true(c.is_sure);
    assert_int_equal(c.uidvalidity, 7);
    fini(&c);
    stop();
    assert_null(said("SELECT"));
    clean();
}

/* What is begun behind an open() that is refused has no effect, and answers come in order. */
static void test_refused_with_its_open(void **state)
{
    static const struct imap_peer_row rows[] = {{"SELECT \"a\"", "~ NO no such folder\n"},
        {"SELECT \"b\"", "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uid = 1;
    struct flags f = {.system = FLAG_SEEN};
    struct end_changes a, b;
    struct end_ticket t[6] = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "UIDPLUS", rows);
    struct end *e = peer.end;
    const struct end_flags change = {.flags = &f, .keywords = &keywords};
    struct end_open o = {.is_for_writing = true, .is_only_opened = true, .folder = SLICE_LIT("a")};
    end_changes_init(&a, &keywords);
    end_changes_init(&b, &keywords);
    e->ops->open(e, &o, &a, &t[0]);
    e->ops->flags(e, &uid, 1, &change, NULL, &t[1]);
    e->ops->remove(e, &uid, 1, &t[2]);
    o.folder = SLICE_LIT("b");
    o.uidvalidity = 7;
    e->ops->open(e, &o, &b, &t[3]);
    e->ops->flags(e, &uid, 1, &change, NULL, &t[4]);
    e->ops->remove(e, &uid, 1, &t[5]);
    assert_int_equal(end_drain(e, &err), 0);
    for (size_t i = 0; i < COUNT_OF(t); i++)
        assert_int_equal(t[i].result, END_NO);
    assert_int_equal(t[2].err.scope, ERR_SCOPE_FOLDER);
    end_changes_fini(&a);
    fini(&b);
    stop();
    assert_null(said("STORE"));
    assert_null(said("EXPUNGE"));
    clean();
}

static void test_removal_needs_uidplus(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"SELECT", "* 1 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uid = 1;
    struct end_changes c;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_false(peer.end->ops->can(peer.end) & END_CAN_REMOVE);
    const struct end_open o = {.is_for_writing = true, .is_only_opened = true};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    peer.end->ops->remove(peer.end, &uid, 1, &t);
    assert_int_equal(end_wait(peer.end, &t, &err), 0);
    assert_int_equal(t.result, END_NO);
    fini(&c);
    stop();
    assert_null(said("STORE"));
    clean();
}

static void append_one(struct end_uids *u, struct end_ticket *t)
{
    struct end *e = peer.end;
    e->ops->append_begin(e, SLICE_LIT("a"), u, t);
    e->ops->append_message(e, &(struct end_message){.size = 3});
    e->ops->append_octets(e, SLICE_LIT("abc"));
    e->ops->append_end(e);
}

/* Courier stores nothing into a folder that the same connection has open read-only. */
static void test_append_leaves_the_folder(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"EXAMINE", "* 0 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"},
        {"APPEND", "~ OK [APPENDUID 8 1] .\n"}, {"APPEND", "~ OK [APPENDUID 8 2] .\n"},
        {"EXAMINE", "* 2 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"},
        {"UID FETCH 2 ", "* 2 FETCH (UID 2 FLAGS (\\Draft))\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uid = 2;
    struct end_changes c;
    struct end_ticket t[3] = {0};
    struct end_uids u[2] = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "LITERAL+ UIDPLUS", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.is_only_opened = true}, &c, &err), 1);
    append_one(&u[0], &t[0]);
    append_one(&u[1], &t[1]);
    /* And what follows is still about the folder that was opened. */
    peer.end->ops->attributes(peer.end, &uid, 1, END_WANT_FLAGS, &c, &t[2]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    for (size_t i = 0; i < COUNT_OF(t); i++)
        assert_int_equal(t[i].result, END_OK);
    assert_int_equal(u[1].v[0], 2);
    assert_int_equal(end_changes_find(&c, 2)->flags.system, FLAG_DRAFT);
    for (size_t i = 0; i < COUNT_OF(u); i++)
        end_uids_fini(&u[i]);
    fini(&c);
    stop();
    assert_non_null(said("CLOSE\nAPPEND"));
    assert_null(strstr(said("CLOSE") + 1, "CLOSE"));
    clean();
}

/* GNU imap4d loses what it stores into the folder that is open for writing. */
static void test_append_leaves_what_is_open_for_writing(void **state)
{
    static const struct {
        const char *caps, *said;
        bool leaves;
    } rows[] = {{"LITERAL+ UNSELECT", "UNSELECT\nAPPEND", true},
        {"LITERAL+", "CLOSE\nAPPEND", true}, {"LITERAL+ UNSELECT UIDPLUS", "APPEND", false}};
    static const struct imap_peer_row script[] = {
        {"SELECT", "* 0 EXISTS\n* OK [UIDVALIDITY 8] .\n~ OK .\n"}, {NULL, NULL}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct end_changes c;
        struct end_ticket t[2] = {0};
        struct end_uids u[2] = {0};
        struct err err = ERR_INIT;
        imap_peer_start(&peer, rows[i].caps, script);
        const struct end_open o = {.is_only_opened = true, .is_for_writing = true};
        assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
        append_one(&u[0], &t[0]);
        append_one(&u[1], &t[1]);
        assert_int_equal(end_drain(peer.end, &err), 0);
        fini(&c);
        stop();
        assert_row(rows[i].caps,
            said(rows[i].said) && (said("UNSELECT") || said("CLOSE")) == rows[i].leaves);
        clean();
    }
}

static void test_names(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"LIST", "* LIST () \".\" inbox\n* LIST () \".\" Work\n* LIST () \".\" WORK\n"
                 "* LIST (\\Sent) \".\" Sent\n~ OK .\n"},
        {"STATUS \"WORK\"", "* STATUS work (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 6)\n"
                            "* STATUS WORK (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 5)\n~ OK .\n"},
        {"STATUS \"inbox\"", "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n~ OK .\n"},
        {"STATUS \"Work\"", "* STATUS Work (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 4)\n~ OK .\n"},
        {"STATUS \"WORK\"", "* STATUS WORK (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 5)\n~ OK .\n"},
        {"STATUS \"Sent\"", "~ NO not now\n"}, {NULL, NULL}};
    struct folder_list l;
    struct end_ticket t[2] = {0};
    struct err err = ERR_INIT;
    struct folder one = {.name = SLICE_LIT("WORK")};
    (void)state;
    imap_peer_start(&peer, "", rows);
    folder_list_init(&l);
    peer.end->ops->folders(peer.end, &l, &t[0]);
    peer.end->ops->status(peer.end, &one, &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_int_equal(t[0].result, END_OK);
    assert_int_equal(t[1].result, END_OK);
    assert_int_equal(l.n, 4);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("INBOX"))->uidvalidity, 3);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("Work"))->uidvalidity, 4);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("WORK"))->uidvalidity, 5);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("Sent"))->has, 0);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("Sent"))->use, FOLDER_USE_SENT);
    assert_int_equal(one.uidvalidity, 5);
    folder_list_fini(&l);
    stop();
    clean();
}

/* A server that offers more than it takes is asked the old way. */
static void test_list_without_extras(void **state)
{
    static const struct imap_peer_row rows[] = {{"LIST \"\" \"*\" RETURN", "~ BAD what?\n"},
        {"LIST", "* LIST () \"/\" INBOX\n~ OK .\n"}, {"LSUB", "* LSUB () \"/\" INBOX\n~ OK .\n"},
        {"STATUS", "* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n~ OK .\n"}, {NULL, NULL}};
    struct folder_list l;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "LIST-EXTENDED LIST-STATUS", rows);
    folder_list_init(&l);
    peer.end->ops->folders(peer.end, &l, &t);
    assert_int_equal(end_check(peer.end, &t, "list", &err), 0);
    assert_int_equal(l.n, 1);
    assert_true(l.v[0].attrs & FOLDER_SUBSCRIBED);
    assert_true(l.v[0].has & FOLDER_HAS_UIDVALIDITY);
    folder_list_fini(&l);
    stop();
    clean();
}

struct got {
    char text[200];
    size_t n;
};

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct got *g = arg;
    (void)size;
    g->n += strlen(g->text + g->n);
    BUG_ON(fmt_into(g->text + g->n, sizeof(g->text) - g->n, "[%u ", uid) != 0);
    return uid != 3;
}

static void on_data(void *arg, struct slice octets)
{
    struct got *g = arg;
    g->n += strlen(g->text + g->n);
    BUG_ON(fmt_into(g->text + g->n, sizeof(g->text) - g->n, "%.*s", SLICE_ARG(octets)) != 0);
}

static void on_end(void *arg, uint32_t uid)
{
    struct got *g = arg;
    g->n += strlen(g->text + g->n);
    BUG_ON(fmt_into(g->text + g->n, sizeof(g->text) - g->n, " %u]", uid) != 0);
}

static const struct end_sink sink = {on_begin, on_data, on_end};

static void test_bodies(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPEN_5},
        {"UID FETCH 1:3 ", "* 3 FETCH (UID 3 BODY[] {2}\ncc)\n* 1 FETCH (UID 1 FLAGS (\\Seen))\n"
                           "* 1 FETCH (UID 1 BODY[] {2}\naa)\n* 8 FETCH (UID 8 BODY[] {2}\nzz)\n"
                           "* 2 FETCH (UID 2 BODY[] NIL)\n~ NO one of them is gone\n"},
        /* Which tells the UID behind the body. */
        {"UID FETCH 1:2 ", "* 1 FETCH (BODY[] {1}\nx UID 1)\n* 2 FETCH (BODY[] {1}\ny UID 2)\n"
                           "~ OK .\n"},
        {"UID FETCH 1 ", "* 1 FETCH (BODY[] {1}\nx UID 1)\n~ OK .\n"},
        {"UID FETCH 2 ", "* 2 FETCH (BODY[] {1}\ny UID 2)\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uids[] = {1, 2, 3};
    struct end_changes c;
    struct end_ticket t[2] = {0};
    struct got got[2] = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.is_only_opened = true}, &c, &err), 1);
    peer.end->ops->read(peer.end, uids, 3, &sink, &got[0], &t[0]);
    peer.end->ops->read(peer.end, uids, 2, &sink, &got[1], &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_int_equal(t[0].result, END_NO);
    assert_string_equal(got[0].text, "[3 [1 aa 1]");
    assert_int_equal(t[1].result, END_OK);
    assert_string_equal(got[1].text, "[1 x 1][2 y 2]");
    fini(&c);
    stop();
    clean();
}

/* UIDs of a folder that was replaced meanwhile are those of other messages. */
static void test_bodies_of_another_folder(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPEN_5},
        {"UID FETCH 1:2 ", "* 1 FETCH (UID 1 BODY[] {2}\naa)\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uids[] = {1, 2};
    struct end_changes c;
    struct end_ticket t[2] = {0};
    struct got got = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    end_changes_init(&c, &keywords);
    const struct end_open o = {.folder = SLICE_LIT("a"), .is_only_opened = true, .uidvalidity = 6};
    peer.end->ops->open(peer.end, &o, &c, &t[0]);
    peer.end->ops->read(peer.end, uids, 2, &sink, &got, &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_int_equal(t[0].result, END_NO);
    assert_int_equal(t[1].result, END_NO);
    assert_int_equal(t[1].err.scope, ERR_SCOPE_FOLDER);
    assert_string_equal(got.text, "");
    fini(&c);
    stop();
    clean();
}

static void test_a_body_of_another_message(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", OPEN_5},
        {"UID FETCH", "* 1 FETCH (UID 1 BODY[] {2}\naa UID 2)\n~ OK .\n"}, {NULL, NULL}};
    const uint32_t uids[] = {1, 2};
    struct end_changes c;
    struct end_ticket t[2] = {0};
    struct got got = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "", rows);
    assert_int_equal(open_folder("a", &(struct end_open){.is_only_opened = true}, &c, &err), 1);
    peer.end->ops->read(peer.end, uids, 2, &sink, &got, &t[0]);
    assert_int_equal(end_wait(peer.end, &t[0], &err), -1);
    assert_int_equal(t[0].result, END_LOST);
    assert_int_equal(err.class, ERR_TEMP);
    /* A lost end answers at once. */
    peer.end->ops->read(peer.end, uids, 2, &sink, &got, &t[1]);
    assert_int_equal(t[1].result, END_LOST);
    /* And who waits for all answers is told, though there is none to wait for. */
    err = (struct err)ERR_INIT;
    assert_int_equal(end_drain(peer.end, &err), -1);
    assert_int_equal(err.class, ERR_TEMP);
    fini(&c);
    stop();
    clean();
}

/* What is no body of one message is nobody's.  At two the end breaks, and a sink hears an end for
 * each begin but the last. */
static void test_bodies_in_odd_places(void **state)
{
    static const struct {
        const char *name, *fetch, *got;
        enum end_result result;
    } rows[] = {
        {"twice, the second one short", "* 1 FETCH (UID 1 BODY[] {2}\naa BODY[] \"bb\")\n~ OK .\n",
            "[1 aa", END_LOST},
        {"twice, the second one as a literal",
            "* 1 FETCH (UID 1 BODY[] {2}\naa BODY[] {2}\nbb)\n~ OK .\n", "[1 aa", END_LOST},
        {"twice, and NIL", "* 1 FETCH (UID 1 BODY[] {2}\naa BODY[] NIL)\n~ OK .\n", "[1 aa",
            END_LOST},
        {"another item",
            "* 1 FETCH (UID 1 XBODY[] {2}\naa)\n* 2 FETCH (UID 2 BODY[] {2}\nbb)\n"
            "~ OK .\n",
            "[2 bb 2]", END_OK},
        {"inside of another item", "* 1 FETCH (UID 1 X (BODY[] {2}\naa))\n~ OK .\n", "", END_OK},
        {"behind a name", "* 1 FETCH (UID 1 X BODY[] {2}\naa)\n~ OK .\n", "", END_OK},
        {"more than announced", "* 1 FETCH (UID 1 BODY[] {1}\naa)\n~ OK .\n", "[1 a", END_LOST},
        {"lines more", "* 1 FETCH (UID 1 BODY[] {2}\naab\nc\n)\n~ OK .\n", "[1 aa", END_LOST},
        {"more that looks like data", "* 1 FETCH (UID 1 BODY[] {2}\naa b c\n)\n~ OK .\n", "[1 aa",
            END_LOST},
        {"more behind a CRLF", "* 1 FETCH (UID 1 BODY[] {2}\naa\nbb\n)\n~ OK .\n", "[1 aa",
            END_LOST},
        {"a CRLF more",
            "* 1 FETCH (UID 1 BODY[] {2}\naa\n)\n* 2 FETCH (UID 2 BODY[] {2}\nbb\n )\n~ OK .\n",
            "[1 aa 1][2 bb 2]", END_OK},
        {"no bracket", "* 1 FETCH (UID 1 BODY[] {2}\naa\n* 2 FETCH (UID 2 BODY[] {2}\nbb\n~ OK .\n",
            "[1 aa 1][2 bb 2]", END_OK},
        {"odd data behind", "* 1 FETCH (UID 1 BODY[] {2}\naa FLAGS NIL MODSEQ x)\n~ OK .\n",
            "[1 aa 1]", END_OK},
    };
    const uint32_t uids[] = {1, 2};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {
            {"EXAMINE", OPEN_5}, {"UID FETCH", rows[i].fetch}, {NULL, NULL}};
        struct end_changes c;
        struct end_ticket t = {0};
        struct got got = {0};
        struct err err = ERR_INIT;
        imap_peer_start(&peer, "", script);
        assert_int_equal(open_folder("a", &(struct end_open){.is_only_opened = true}, &c, &err), 1);
        peer.end->ops->read(peer.end, uids, 2, &sink, &got, &t);
        assert_row(rows[i].name, (end_drain(peer.end, &err) == 0) == (rows[i].result == END_OK));
        assert_row(rows[i].name, t.result == rows[i].result);
        assert_string_equal(got.text, rows[i].got);
        fini(&c);
        stop();
        clean();
    }
}

/* Closed with everything on its way: each ticket is answered, and once. */
static void count(void *arg, struct end_ticket *t)
{
    size_t *n = arg;
    assert_int_equal(t->result, END_LOST);
    ++*n;
}

static void test_closing_answers_all(void **state)
{
    static const struct imap_peer_row rows[] = {{"EXAMINE", ""}, {NULL, NULL}};
    const uint32_t uids[] = {1, 2};
    size_t n = 0;
    struct end_changes c;
    struct got got = {0};
    struct folder_list l;
    struct end_ticket t[4];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(t); i++)
        t[i] = (struct end_ticket){.done = count, .arg = &n};
    imap_peer_start(&peer, "LITERAL+", rows);
    struct end *e = peer.end;
    end_changes_init(&c, &keywords);
    folder_list_init(&l);
    e->ops->open(e, &(struct end_open){.folder = SLICE_LIT("a")}, &c, &t[0]);
    e->ops->read(e, uids, 2, &sink, &got, &t[1]);
    e->ops->folders(e, &l, &t[2]);
    struct err err = ERR_INIT;
    assert_int_equal(end_pump(&e, 1, &err), 0);
    if (e->ops->has_room(e)) {
        e->ops->append_begin(e, SLICE_LIT("b"), NULL, &t[3]);
        e->ops->append_message(e, &(struct end_message){.size = 30});
    } else {
        n++;
    }
    stop();
    assert_int_equal(n, COUNT_OF(t));
    folder_list_fini(&l);
    fini(&c);
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_merged),
        cmocka_unit_test(test_keywords),
        cmocka_unit_test(test_flags_as_they_are),
        cmocka_unit_test(test_the_folder_before),
        cmocka_unit_test(test_a_short_listing_is_asked_again),
        cmocka_unit_test(test_new_mail_hides_no_gap),
        cmocka_unit_test(test_uidvalidity_of_each_examine),
        cmocka_unit_test(test_uidvalidity_is_made_to_last),
        cmocka_unit_test(test_another_uidvalidity),
        cmocka_unit_test(test_refused_with_its_open),
        cmocka_unit_test(test_removal_needs_uidplus),
        cmocka_unit_test(test_append_leaves_the_folder),
        cmocka_unit_test(test_append_leaves_what_is_open_for_writing),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_list_without_extras),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_bodies_of_another_folder),
        cmocka_unit_test(test_a_body_of_another_message),
        cmocka_unit_test(test_bodies_in_odd_places),
        cmocka_unit_test(test_closing_answers_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
