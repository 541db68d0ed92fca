/* SPDX-License-Identifier: ISC */
/* What the IMAP end does with messages of a folder: moves, guarded flags, and the IDs that they
 * keep. */
#include "base/mail/uids.h"
#include "tests/unit/imap_peer.h"

#define SELECTED                                                                                   \
    {                                                                                              \
        "SELECT \"a\"", "* 5 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 90] .\n~ OK .\n"        \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }

static const uint32_t some[] = {12, 3, 4, 30};
static struct end_changes changes;
static struct end_uids uids;

static void start(const char *caps, const struct imap_peer_row *rows)
{
    struct err err = ERR_INIT;
    imap_peer_start(&peer, caps, rows);
    const struct end_open o = {.is_for_writing = true, .is_only_opened = true};
    assert_int_equal(open_folder("a", &o, &changes, &err), END_OK);
}

static void done(void)
{
    end_uids_fini(&uids);
    fini(&changes);
    stop();
    clean();
}

static enum end_result move(const char *to, struct err *err)
{
    struct end_ticket t = {0};
    peer.end->ops->move(peer.end, some, COUNT_OF(some), slice_str(to), &uids, &t);
    if (end_wait(peer.end, &t, err) != 0)
        return END_LOST;
    *err = t.err;
    return t.result;
}

/* "0 9 8 0", or "" for none. */
static void assert_uids(const char *name, const char *want)
{
    struct buf text;
    buf_init(&text, 1000);
    for (size_t i = 0; i < uids.n; i++)
        assert_int_equal(buf_addf(&text, "%s%u", i ? " " : "", uids.v[i]), 0);
    if (strcmp(buf_cstr(&text), want) != 0)
        fail_msg("%s: %s, not %s", name, buf_cstr(&text), want);
    assert_int_equal(uids.uidvalidity != 0, uids.n > 0);
    buf_fini(&text);
}

#define MOVE "UID MOVE 3:4,12,30 \"b c\"\n"

/* What a server says to MOVE, and which UIDs that tells. */
static void test_move(void **state)
{
    static const struct {
        const char *name, *reply, *uids;
        enum end_result result;
    } rows[] = {
        {"untagged, before the expunges",
            "* OK [COPYUID 9 3:4,12,30 50:53] .\n* 1 EXPUNGE\n* 1 EXPUNGE\n~ OK .\n", "52 50 51 53",
            END_OK},
        {"VANISHED", "* OK [COPYUID 9 3:4,12,30 50:53] .\n* VANISHED 3:4,12,30\n~ OK .\n",
            "52 50 51 53", END_OK},
        {"tagged", "* 1 EXPUNGE\n~ OK [COPYUID 9 3,4,12,30 50,51,52,53] .\n", "52 50 51 53",
            END_OK},
        {"in two parts",
            "* OK [COPYUID 9 3 50] .\n* 1 EXPUNGE\n* OK [COPYUID 9 12,4 61,60] .\n~ OK .\n",
            "61 50 60 0", END_OK},
        {"not in order", "* OK [COPYUID 9 30,12,4,3 50:53] .\n~ OK .\n", "51 53 52 50", END_OK},
        {"one was not there", "* OK [COPYUID 9 3,4,30 50:52] .\n~ OK .\n", "0 50 51 52", END_OK},
        {"others than ours", "* OK [COPYUID 9 3,77 50:51] .\n~ OK .\n", "0 50 0 0", END_OK},
        {"none was there", "~ OK .\n", "", END_OK},
        {"numbers that differ", "* OK [COPYUID 9 3:4,12,30 50:52] .\n~ OK .\n", "", END_OK},
        {"too many", "* OK [COPYUID 9 1:4000000000 1:4000000000] .\n~ OK .\n", "", END_OK},
        {"no set", "* OK [COPYUID 9 3: 50] .\n~ OK .\n", "", END_OK},
        {"UIDVALIDITY 0", "* OK [COPYUID 0 3 50] .\n~ OK .\n", "", END_OK},
        {"two UIDVALIDITYs", "* OK [COPYUID 9 3 50] .\n* OK [COPYUID 8 4 51] .\n~ OK .\n", "",
            END_OK},
        {"refused half way", "* OK [COPYUID 9 3 50] .\n* 1 EXPUNGE\n~ NO [OVERQUOTA] full\n",
            "0 50 0 0", END_NO},
        {"refused", "~ NO [TRYCREATE] no such folder\n", "", END_NO},
        {"cut half way", NULL, "", END_LOST},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {SELECTED, {MOVE, rows[i].reply}, END};
        struct err err = ERR_INIT;
        start("UIDPLUS MOVE", script);
        assert_true(peer.end->ops->can(peer.end) & END_CAN_MOVE);
        assert_row(rows[i].name, move("b c", &err) == rows[i].result);
        assert_uids(rows[i].name, rows[i].uids);
        if (rows[i].result == END_NO)
            assert_row(rows[i].name, err.scope == ERR_SCOPE_FOLDER);
        assert_null(said("STORE"));
        assert_null(said("COPY"));
        done();
    }
}

/* Without MOVE: what is said, and in which order. */
static void test_copy_and_expunge(void **state)
{
    static const struct {
        const char *name, *copy, *store, *expunge, *uids, *said;
        enum end_result result;
    } rows[] = {
        {"all", "~ OK [COPYUID 9 3:4,12,30 50:53] .\n", "~ OK .\n", "* 1 EXPUNGE\n~ OK .\n",
            "52 50 51 53",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3:4,12,30 +FLAGS.SILENT (\\Deleted)\n"
            "UID EXPUNGE 3:4,12,30\n",
            END_OK},
        {"only those that were named", "~ OK [COPYUID 9 3,30 50:51] .\n", "~ OK .\n", "~ OK .\n",
            "0 50 0 51",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3,30 +FLAGS.SILENT (\\Deleted)\nUID EXPUNGE "
            "3,30\n",
            END_OK},
        {"untagged", "* OK [COPYUID 9 3,30 50:51] .\n~ OK .\n", "~ OK .\n", "~ OK .\n", "0 50 0 51",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3,30 +FLAGS.SILENT (\\Deleted)\nUID EXPUNGE "
            "3,30\n",
            END_OK},
        {"named none", "~ OK .\n", "~ OK .\n", "~ OK .\n", "",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3:4,12,30 +FLAGS.SILENT (\\Deleted)\n"
            "UID EXPUNGE 3:4,12,30\n",
            END_OK},
        {"no copy", "~ NO [OVERQUOTA] full\n", "", "", "", "UID COPY 3:4,12,30 \"b\"\n", END_NO},
        {"a part of a copy", "~ OK [MESSAGELIMIT 2 4] .\n", "", "", "",
            "UID COPY 3:4,12,30 \"b\"\n", END_NO},
        {"not marked", "~ OK [COPYUID 9 3 50] .\n", "~ NO read-only\n", "~ OK .\n", "0 50 0 0",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3 +FLAGS.SILENT (\\Deleted)\n", END_NO},
        {"not expunged", "~ OK [COPYUID 9 3 50] .\n", "~ OK .\n", "~ NO not now\n", "0 50 0 0",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3 +FLAGS.SILENT (\\Deleted)\nUID EXPUNGE 3\n",
            END_NO},
        {"cut behind the copy", "~ OK [COPYUID 9 3 50] .\n", NULL, "", "",
            "UID COPY 3:4,12,30 \"b\"\nUID STORE 3 +FLAGS.SILENT (\\Deleted)\n", END_LOST},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {SELECTED, {"UID COPY", rows[i].copy},
            {"UID STORE", rows[i].store}, {"UID EXPUNGE", rows[i].expunge}, END};
        struct err err = ERR_INIT;
        start("UIDPLUS", script);
        assert_true(peer.end->ops->can(peer.end) & END_CAN_MOVE);
        assert_row(rows[i].name, move("b", &err) == rows[i].result);
        assert_uids(rows[i].name, rows[i].uids);
        stop();
        if (slice_search(slice_str(buf_cstr(&peer.lines)), slice_str(rows[i].said)) < 0)
            fail_msg("%s: %s", rows[i].name, buf_cstr(&peer.lines));
        assert_row(rows[i].name, !said("\nEXPUNGE") && !said("UID MOVE"));
        end_uids_fini(&uids);
        fini(&changes);
        clean();
    }
}

/* What was begun behind a move that takes several steps sees the folder behind it. */
static void test_order(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED,
        {"UID COPY", "~ OK [COPYUID 9 3:4,12,30 50:53] .\n"}, {"UID STORE", "~ OK .\n"},
        {"UID EXPUNGE", "~ OK .\n"},
        {"EXAMINE \"a\"", "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 90] .\n~ OK .\n"},
        {"UID FETCH 1:*", "* 1 FETCH (UID 44 FLAGS ())\n~ OK .\n"}, END};
    struct end_ticket t[2] = {0};
    struct end_changes later;
    struct err err = ERR_INIT;
    (void)state;
    start("UIDPLUS", rows);
    struct end *e = peer.end;
    end_changes_init(&later, &keywords);
    e->ops->move(e, some, COUNT_OF(some), SLICE_LIT("b"), &uids, &t[0]);
    assert_false(e->ops->has_room(e)); /* an append would come in between */
    e->ops->open(
        e, &(struct end_open){.folder = SLICE_LIT("a"), .want = END_WANT_FLAGS}, &later, &t[1]);
    assert_int_equal(end_drain(e, &err), 0);
    assert_int_equal(t[0].result, END_OK);
    assert_int_equal(t[1].result, END_OK);
    assert_int_equal(later.n, 1);
    end_changes_fini(&later);
    stop();
    assert_non_null(said("UID EXPUNGE 3:4,12,30\nEXAMINE"));
    end_uids_fini(&uids);
    fini(&changes);
    clean();
}

static void test_neither(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED, END};
    struct err err = ERR_INIT;
    (void)state;
    start("", rows);
    assert_false(peer.end->ops->can(peer.end) & END_CAN_MOVE);
    assert_int_equal(move("b", &err), END_NO);
    assert_int_equal(err.scope, ERR_SCOPE_FOLDER);
    stop();
    assert_null(said("COPY"));
    assert_null(said("STORE"));
    fini(&changes);
    clean();
}

/* Several commands, of as many messages as the server takes. */
static void test_in_portions(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED,
        {"UID MOVE 3:4 \"b\"", "* OK [COPYUID 9 3:4 50:51] .\n~ OK .\n"},
        {"UID MOVE 12,30 \"b\"", "* OK [COPYUID 9 12,30 52:53] .\n~ OK .\n"}, END};
    struct err err = ERR_INIT;
    (void)state;
    start("UIDPLUS MOVE MESSAGELIMIT=2", rows);
    assert_int_equal(move("b", &err), END_OK);
    assert_uids("portions", "52 50 51 53");
    done();
}

/* One set that has many gaps once it is known what was copied. */
static void test_every_second_one(void **state)
{
    uint32_t many[3000];
    struct buf copy;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    size_t n_sets = 0;
    (void)state;
    buf_init(&copy, 1u << 20);
    assert_int_equal(buf_add_str(&copy, "~ OK [COPYUID 9 "), 0);
    for (uint32_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = i + 1;
        if (i % 2 == 0)
            assert_int_equal(buf_addf(&copy, "%s%u", i ? "," : "", i + 1), 0);
    }
    assert_int_equal(buf_add_str(&copy, " 1:1500] .\n"), 0);
    const struct imap_peer_row script[] = {
        SELECTED, {"UID COPY 1:3000 \"b\"\n", buf_cstr(&copy)}, END};
    start("UIDPLUS", script);
    peer.end->ops->move(peer.end, many, COUNT_OF(many), SLICE_LIT("b"), &uids, &t);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_int_equal(t.result, END_OK);
    assert_int_equal(uids.v[0], 1);
    assert_int_equal(uids.v[1], 0);
    assert_int_equal(uids.v[2998], 1500);
    for (const char *at = buf_cstr(&peer.lines); (at = strstr(at, "UID EXPUNGE ")); at++)
        n_sets++;
    assert_true(n_sets > 1);
    assert_non_null(said("UID STORE 1,3,5,"));
    assert_non_null(said(",2997,2999 +FLAGS.SILENT (\\Deleted)\n"));
    assert_non_null(said(",2997,2999\n"));
    assert_null(said(",2998"));
    buf_fini(&copy);
    done();
}

/* --- Flags ----------------------------------------------------------------------------------- */

static enum end_result guarded(uint64_t since, struct err *err)
{
    struct end_ticket t = {0};
    struct flags f = {.system = FLAG_SEEN};
    const struct end_flags how = {.flags = &f, .keywords = &keywords, .unchanged_since = since};
    peer.end->ops->flags(peer.end, some, COUNT_OF(some), &how, &uids, &t);
    assert_int_equal(end_wait(peer.end, &t, err), 0);
    *err = t.err;
    return t.result;
}

static void test_guarded_flags(void **state)
{
    static const struct {
        const char *name, *reply, *modified;
        enum end_result result;
    } rows[] = {
        {"none", "* 1 FETCH (UID 3 MODSEQ (101))\n~ OK .\n", "", END_OK},
        {"some", "* 1 FETCH (UID 3 MODSEQ (101))\n~ OK [MODIFIED 4,30] Conditional STORE failed\n",
            "4 30", END_OK},
        {"not in order, and others", "~ OK [MODIFIED 30,1:3,99] .\n", "3 30", END_OK},
        {"more than can be", "~ OK [MODIFIED 1:4294967295] .\n", "3 4 12 30", END_OK},
        {"refused", "~ NO [MODIFIED 12] some are gone\n", "12", END_NO},
        {"no set", "~ OK [MODIFIED ] .\n", "", END_OK},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {SELECTED,
            {"UID STORE 3:4,12,30 (UNCHANGEDSINCE 100) +FLAGS.SILENT (\\Seen)\n", rows[i].reply},
            END};
        struct err err = ERR_INIT;
        start("ENABLE CONDSTORE", script);
        assert_true(peer.end->ops->can(peer.end) & END_CAN_GUARD);
        assert_row(rows[i].name, guarded(100, &err) == rows[i].result);
        assert_uids(rows[i].name, rows[i].modified);
        assert_true(peer.used[1]);
        done();
    }
}

static void test_no_guard(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED, END};
    struct err err = ERR_INIT;
    (void)state;
    start("", rows);
    assert_false(peer.end->ops->can(peer.end) & END_CAN_GUARD);
    assert_int_equal(guarded(100, &err), END_NO);
    assert_int_equal(guarded(0, &err), END_OK);
    stop();
    assert_non_null(said("UID STORE 3:4,12,30 +FLAGS.SILENT (\\Seen)\n"));
    assert_null(said("UNCHANGEDSINCE"));
    fini(&changes);
    clean();
}

/* --- IDs ------------------------------------------------------------------------------------- */

static void test_ids(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED,
        {"EXAMINE", "* 3 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 90] .\n"
                    "* OK [MAILBOXID (F-2)] .\n~ OK .\n"},
        {"UID FETCH 1:* (UID FLAGS EMAILID)\n",
            "* 3 FETCH (UID 30 FLAGS () EMAILID (M3))\n* 1 FETCH (UID 3 FLAGS () EMAILID (M1-_x))\n"
            "* 2 FETCH (UID 4 FLAGS () EMAILID NIL)\n~ OK .\n"},
        {"UID FETCH 12 (UID EMAILID)\n", "* 2 FETCH (UID 12 EMAILID (M12))\n~ OK .\n"}, END};
    struct end_changes c;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    (void)state;
    start("OBJECTID", rows);
    assert_true(peer.end->ops->can(peer.end) & END_CAN_TELL_IDS);
    const struct end_open o = {.want = END_WANT_FLAGS | END_WANT_IDS};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    assert_int_equal(c.n, 3);
    assert_slice_equal(buf_slice(&c.folder_id), "F-2");
    assert_slice_equal(end_changes_id(&c, 0), "M1-_x");
    assert_int_equal(end_changes_id(&c, 1).n, 0);
    assert_slice_equal(end_changes_id(&c, 2), "M3");
    const uint32_t uid = 12;
    peer.end->ops->attributes(peer.end, &uid, 1, END_WANT_IDS, &c, &t);
    assert_int_equal(end_wait(peer.end, &t, &err), 0);
    assert_int_equal(c.n, 4);
    assert_slice_equal(end_changes_id(&c, 2), "M12");
    assert_slice_equal(end_changes_id(&c, 3), "M3");
    end_changes_fini(&c);
    done();
}

static void test_no_ids(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED,
        {"EXAMINE", "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n~ OK .\n"},
        {"UID FETCH 1:* (UID FLAGS)\n", "* 1 FETCH (UID 3 FLAGS ())\n~ OK .\n"}, END};
    struct end_changes c;
    struct err err = ERR_INIT;
    (void)state;
    start("", rows);
    assert_false(peer.end->ops->can(peer.end) & END_CAN_TELL_IDS);
    const struct end_open o = {.want = END_WANT_FLAGS | END_WANT_IDS};
    assert_int_equal(open_folder("a", &o, &c, &err), END_OK);
    assert_int_equal(c.n, 1);
    assert_int_equal(end_changes_id(&c, 0).n, 0);
    end_changes_fini(&c);
    done();
}

/* Beside other items Cyrus 3.6 shows anything. */
static void test_folder_ids(void **state)
{
    static const struct imap_peer_row rows[] = {SELECTED,
        {"LIST \"\" \"*\" RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY))\n",
            "* LIST () \"/\" INBOX\n* STATUS INBOX (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n"
            "* LIST () \"/\" a\n~ OK .\n"},
        {"LIST \"\" \"*\" RETURN (STATUS (MAILBOXID))\n",
            "* LIST () \"/\" INBOX\n* STATUS INBOX (MAILBOXID (F-1))\n~ OK .\n"},
        {"STATUS \"a\" (MESSAGES UIDNEXT UIDVALIDITY)\n",
            "* STATUS a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n~ OK .\n"},
        {"STATUS \"a\" (MAILBOXID)\n", "* STATUS a (MAILBOXID (F-2))\n~ OK .\n"},
        {"STATUS \"a\" (MESSAGES UIDNEXT UIDVALIDITY)\n",
            "* STATUS a (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n~ OK .\n"},
        END};
    struct folder_list l;
    struct folder one = {.name = SLICE_LIT("a")};
    struct end_ticket t[2] = {0};
    struct err err = ERR_INIT;
    (void)state;
    start("OBJECTID LIST-EXTENDED LIST-STATUS", rows);
    folder_list_init(&l);
    peer.end->ops->folders(peer.end, &l, &t[0]);
    peer.end->ops->status(peer.end, &one, &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_slice_equal(folder_list_find(&l, SLICE_LIT("INBOX"))->id, "F-1");
    assert_slice_equal(folder_list_find(&l, SLICE_LIT("a"))->id, "F-2");
    assert_int_equal(one.id.n, 0); /* nobody would own it */
    assert_int_equal(folder_list_find(&l, SLICE_LIT("INBOX"))->uidvalidity, 3);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("INBOX"))->messages, 1);
    folder_list_fini(&l);
    done();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_copy_and_expunge),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_neither),
        cmocka_unit_test(test_every_second_one),
        cmocka_unit_test(test_in_portions),
        cmocka_unit_test(test_guarded_flags),
        cmocka_unit_test(test_no_guard),
        cmocka_unit_test(test_ids),
        cmocka_unit_test(test_no_ids),
        cmocka_unit_test(test_folder_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
