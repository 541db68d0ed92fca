/* SPDX-License-Identifier: ISC */
/* Each extension: what is said to a server that offers it, and to one that does not. */
#include "tests/unit/imap_peer.h"

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }
#define STATUS_OF(name) "* STATUS " name " (MESSAGES 1 UIDNEXT 12 UIDVALIDITY 7)\n"
#define OPENED "* 1 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 12] .\n~ OK .\n"

static struct end_changes changes;

static void list(void)
{
    struct folder_list l;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    folder_list_init(&l);
    peer.end->ops->folders(peer.end, &l, &t);
    assert_int_equal(end_check(peer.end, &t, "list", &err), 0);
    assert_int_equal(l.n, 1);
    assert_true(l.v[0].has & FOLDER_HAS_UIDVALIDITY);
    folder_list_fini(&l);
}

static void append(struct slice folder, struct slice text, size_t n)
{
    struct end_ticket t = {0};
    struct end_uids uids = {0};
    struct err err = ERR_INIT;
    assert_int_equal(end_room(peer.end, &err), 0);
    peer.end->ops->append_begin(peer.end, folder, &uids, &t);
    for (size_t i = 0; i < n; i++) {
        peer.end->ops->append_message(peer.end, &(struct end_message){.size = text.n});
        peer.end->ops->append_octets(peer.end, text);
    }
    peer.end->ops->append_end(peer.end);
    assert_int_equal(end_check(peer.end, &t, "append", &err), 0);
    end_uids_fini(&uids);
}

/* Everything once. */
static void use(const char *caps)
{
    static const struct imap_peer_row rows[] = {
        {"LIST \"\" \"*\"", "* LIST () \"/\" INBOX\n" STATUS_OF("INBOX") "~ OK .\n"},
        {"LIST \"\" \"*\"", "* LIST () \"/\" INBOX\n" STATUS_OF("INBOX") "~ OK .\n"},
        {"STATUS \"INBOX\"", STATUS_OF("INBOX") "~ OK .\n"}, {"SELECT \"a\"", OPENED},
        {"SELECT \"a\"", OPENED}, {"EXAMINE \"a\"\n", OPENED}, {"EXAMINE \"a\"\n", OPENED},
        {"UID SEARCH", "* ESEARCH (TAG \"~\") UID ALL 11\n~ OK .\n"},
        {"UID FETCH", "* 1 FETCH (UID 11)\n~ OK .\n"}, END};
    const struct end_open for_writing = {.is_for_writing = true, .is_only_opened = true};
    const uint32_t uid = 11;
    struct end_ticket t[2] = {0};
    struct err err = ERR_INIT;
    imap_peer_start(&peer, caps, rows);
    list();
    peer.end->ops->make(peer.end, SLICE_LIT("Sent"), FOLDER_USE_SENT, &t[0]);
    assert_int_equal(end_check(peer.end, &t[0], "make", &err), 0);
    assert_int_equal(open_folder("a", &for_writing, &changes, &err), END_OK);
    end_changes_fini(&changes);
    list(); /* which leaves it */
    assert_int_equal(
        open_folder("a", &(struct end_open){.is_brief = true}, &changes, &err), END_OK);
    assert_true(changes.is_sure);
    assert_int_equal(changes.n_uids + changes.n, 1);
    end_changes_fini(&changes);
    append(SLICE_LIT("b"), SLICE_LIT("text"), 1);
    assert_int_equal(open_folder("a", &for_writing, &changes, &err), END_OK);
    peer.end->ops->move(peer.end, &uid, 1, SLICE_LIT("b"), NULL, &t[1]);
    assert_int_equal(end_wait(peer.end, &t[1], &err), 0);
}

static void test_offered_and_masked(void **state)
{
    static const struct {
        const char *name, *offered, *masked;
        const char *with, *without; /* said by just one of the two; NULL: nothing */
    } rows[] = {
        {"ID", "ID", "", "ID (\"name\" ", NULL},
        {"NAMESPACE", "NAMESPACE", "", "\nNAMESPACE\n", NULL},
        {"LIST-EXTENDED", "LIST-EXTENDED", "", " RETURN (SUBSCRIBED)\n", "LSUB \"\" \"*\"\n"},
        {"LIST-STATUS", "LIST-EXTENDED LIST-STATUS", "LIST-EXTENDED",
            " RETURN (SUBSCRIBED STATUS (MESSAGES UIDNEXT UIDVALIDITY))\n",
            " RETURN (SUBSCRIBED)\n"},
        {"SPECIAL-USE", "LIST-EXTENDED SPECIAL-USE", "LIST-EXTENDED",
            " RETURN (SUBSCRIBED SPECIAL-USE)\n", " RETURN (SUBSCRIBED)\n"},
        {"CREATE-SPECIAL-USE", "CREATE-SPECIAL-USE", "", "CREATE \"Sent\" (USE (\\Sent))\n",
            "CREATE \"Sent\"\n"},
        {"ESEARCH", "ESEARCH", "", "UID SEARCH RETURN (ALL) ALL\n", "UID FETCH 1:* (UID)\n"},
        {"UNSELECT", "UNSELECT", "", "\nUNSELECT\n", "EXAMINE \"a\"\nCLOSE\n"},
        {"CONDSTORE", "LIST-EXTENDED LIST-STATUS CONDSTORE", "LIST-EXTENDED LIST-STATUS",
            "UIDVALIDITY HIGHESTMODSEQ))\n", "UIDNEXT UIDVALIDITY))\n"},
        {"ENABLE", "ENABLE CONDSTORE", "CONDSTORE", "ENABLE CONDSTORE\n", NULL},
        {"QRESYNC", "ENABLE QRESYNC", "ENABLE CONDSTORE", "ENABLE QRESYNC\n", NULL},
        {"MOVE", "UIDPLUS MOVE", "UIDPLUS", "UID MOVE 11 \"b\"\n", "UID COPY 11 \"b\"\n"},
        {"UIDPLUS", "UIDPLUS", "", "UID EXPUNGE 11\n", NULL},
        {"UTF8=ONLY", "ENABLE UTF8=ONLY", "ENABLE UTF8=ACCEPT", "ENABLE UTF8=ACCEPT\n",
            "APPEND \"b\" {4+}_\n"},
        {"COMPRESS, which is for slow lines", "", "COMPRESS=DEFLATE", NULL, NULL},
        {"IMAP4rev2 beside the older one", "", "IMAP4rev2", NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(rows); i++) {
        bool is_offered = i % 2 == 0;
        const char *with = rows[i / 2].with, *without = rows[i / 2].without;
        char caps[200];
        assert_int_equal(fmt_into(caps, sizeof(caps), "LITERAL+ %s",
                             is_offered ? rows[i / 2].offered : rows[i / 2].masked),
            0);
        use(caps);
        fini(&changes);
        stop();
        if ((with && (said(with) != NULL) != is_offered) ||
            (without && (said(without) != NULL) == is_offered))
            fail_msg("%s: %s", rows[i / 2].name, buf_cstr(&peer.lines));
        assert_null(said("COMPRESS"));
        clean();
    }
}

/* What an end can, and how large a message may be. */
static void test_abilities(void **state)
{
    static const struct {
        const char *caps;
        unsigned can;
        uint64_t size_max;
    } rows[] = {
        {"", 0, 0},
        {"UIDPLUS", END_CAN_TELL_UIDS | END_CAN_REMOVE | END_CAN_MOVE, 0},
        {"MOVE", END_CAN_MOVE, 0},
        {"MULTIAPPEND", 0, 0},
        {"MULTIAPPEND LITERAL+", END_CAN_BATCH, 0},
        {"MULTIAPPEND LITERAL-", 0, 0},
        {"MULTIAPPEND LITERAL+ MESSAGELIMIT=1000", 0, 0},
        {"CONDSTORE", END_CAN_TELL_CHANGES | END_CAN_GUARD, 0},
        {"OBJECTID", END_CAN_TELL_IDS, 0},
        {"APPENDLIMIT=1000", END_CAN_CHECK_SIZE, 1000},
        {"APPENDLIMIT", 0, 0},
        {"ACL", END_CAN_ACL, 0},
        {"ACL RIGHTS=texk", END_CAN_ACL | END_CAN_NEW_RIGHTS, 0},
        {"METADATA", END_CAN_METADATA | END_CAN_METADATA_ALL, 0},
        {"METADATA-SERVER", END_CAN_METADATA_ALL, 0},
    };
    static const struct imap_peer_row none[] = {END};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        imap_peer_start(&peer, rows[i].caps, none);
        assert_row(rows[i].caps, peer.end->ops->can(peer.end) == (rows[i].can | END_CAN_SHARE));
        assert_row(rows[i].caps, peer.end->ops->size_max(peer.end) == rows[i].size_max);
        stop();
        clean();
    }
}

/* Names and messages with a server that talks only UTF-8: ours stay what they are. */
static void test_utf8_only(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"LIST", "* LIST () \"/\" \"Entw\xc3\xbcrfe\"\n* LIST () \"/\" \"A & B\"\n~ OK .\n"},
        {"LSUB", "* LSUB () \"/\" \"Entw\xc3\xbcrfe\"\n~ OK .\n"},
        {"}_ (MESSAGES",
            "* STATUS \"Entw\xc3\xbcrfe\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 3)\n~ OK .\n"},
        {"STATUS \"A & B\"", "* STATUS \"A & B\" (MESSAGES 1 UIDNEXT 2 UIDVALIDITY 4)\n~ OK .\n"},
        END};
    struct folder_list l;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "ENABLE CONDSTORE UTF8=ONLY LITERAL+ MULTIAPPEND", rows);
    folder_list_init(&l);
    peer.end->ops->folders(peer.end, &l, &t);
    assert_int_equal(end_check(peer.end, &t, "list", &err), 0);
    assert_int_equal(l.n, 2);
    const struct folder *f = folder_list_find(&l, SLICE_LIT("Entw&APw-rfe"));
    assert_non_null(f);
    assert_true(f->attrs & FOLDER_SUBSCRIBED);
    assert_int_equal(f->uidvalidity, 3);
    assert_int_equal(folder_list_find(&l, SLICE_LIT("A &- B"))->uidvalidity, 4);
    append(SLICE_LIT("A &- B"), SLICE_LIT("Subject: \xc3\xbc\r\n\r\n"), 2);
    folder_list_fini(&l);
    stop();
    assert_true(said("ENABLE UTF8=ACCEPT\n") == buf_cstr(&peer.lines));
    assert_non_null(said("APPEND \"A & B\" UTF8 (~{15+}_) UTF8 (~{15+}_)\n"));
    clean();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offered_and_masked),
        cmocka_unit_test(test_abilities),
        cmocka_unit_test(test_utf8_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
