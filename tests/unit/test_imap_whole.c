/* SPDX-License-Identifier: ISC */
/* Whether the IMAP end tells whole lines, of all messages, from servers that tell them by parts. */
#include "imapsync/ends/imap_token.h"
#include "tests/unit/imap_peer.h"

#define DATE "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\""
#define OPENED(exists, uidnext)                                                                    \
    "* " exists " EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT " uidnext                          \
    "] .\n* OK [HIGHESTMODSEQ 108] .\n"
#define OPEN(exists, uidnext)                                                                      \
    {                                                                                              \
        "EXAMINE", OPENED(exists, uidnext) "~ OK .\n"                                              \
    }
#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }
#define BOTH (END_WANT_FLAGS | END_WANT_DATES)

static const struct imap_token then = {.uidvalidity = 7, .uidnext = 21, .exists = 4, .modseq = 100};
static const uint32_t known[] = {11, 12, 15, 20};
static struct end_changes changes;

/* "11+ 12+dh" as the UIDs that are told, with + those that have flags, d a date, and h its
 * header's.
 */
static void assert_told(const char *name, const char *want)
{
    struct buf text;
    buf_init(&text, 4000);
    for (size_t i = 0; i < changes.n; i++)
        assert_int_equal(buf_addf(&text, "%s%u%s%s%s", i ? " " : "", changes.v[i].uid,
                             changes.v[i].has_flags ? "+" : "", changes.v[i].has_date ? "d" : "",
                             changes.v[i].has_arrival ? "h" : ""),
            0);
    if (strcmp(buf_cstr(&text), want) != 0)
        fail_msg("%s: %s, not %s", name, buf_cstr(&text), want);
    buf_fini(&text);
}

static void open_it(const char *caps, const struct imap_peer_row *rows, bool has_token)
{
    struct folder one = {.name = SLICE_LIT("x")};
    struct end_ticket t = {0};
    struct buf token;
    struct err err = ERR_INIT;
    imap_peer_start(&peer, caps, rows);
    /* ENABLE is answered before the folder is opened. */
    peer.end->ops->status(peer.end, &one, &t);
    assert_int_equal(end_wait(peer.end, &t, &err), 0);
    buf_init(&token, END_TOKEN_MAX);
    if (has_token)
        imap_token_pack(&token, &then);
    struct uid_set uids = uid_set_of(known, COUNT_OF(known));
    const struct end_open o = {.token = buf_slice(&token), .known = &uids, .want = BOTH};
    enum end_result r = open_folder("a", &o, &changes, &err);
    uid_set_fini(&uids);
    buf_fini(&token);
    if (r != END_OK)
        fail_msg("%s", err.text);
}

static void done(void)
{
    fini(&changes);
    stop();
    clean();
}

/* --- Whole lines ---------------------------------------------------------------------------- */

/* What comes with a listing of 11 and 12, the folder's UIDNEXT being 13, and what is asked again.
 */
static void test_unsolicited(void **state)
{
    static const char listed[] = "* 1 FETCH (UID 11 FLAGS () " DATE ")\n"
                                 "* 2 FETCH (UID 12 FLAGS () " DATE ")\n";
    static const struct {
        const char *name, *more, *again, *reply, *told;
        bool is_sure;
    } rows[] = {
        {"flags of one that is listed", "* 2 FETCH (UID 12 FLAGS (\\Seen))\n", NULL, "",
            "11+d 12+d", true},
        {"flags of one that has come", "* 3 EXISTS\n* 3 FETCH (UID 13 FLAGS (\\Seen))\n",
            "UID FETCH 13 (UID FLAGS INTERNALDATE)",
            "* 3 FETCH (UID 13 FLAGS (\\Seen) " DATE ")\n~ OK .\n", "11+d 12+d 13+d", true},
        {"and has gone", "* 3 EXISTS\n* 3 FETCH (UID 13 FLAGS (\\Seen))\n",
            "UID FETCH 13 (UID FLAGS INTERNALDATE)", "* 3 EXPUNGE\n~ OK .\n", "11+d 12+d", true},
        {"and is refused", "* 3 EXISTS\n* 3 FETCH (UID 13 FLAGS (\\Seen))\n",
            "UID FETCH 13 (UID FLAGS INTERNALDATE)", "~ NO not now\n", "11+d 12+d", true},
        {"and is told by half again", "* 3 EXISTS\n* 3 FETCH (UID 13 FLAGS (\\Seen))\n",
            "UID FETCH 13 (UID FLAGS INTERNALDATE)", "* 3 FETCH (UID 13 FLAGS ())\n~ OK .\n",
            "11+d 12+d", true},
        {"several", "* 5 EXISTS\n* 5 FETCH (UID 15 MODSEQ (9))\n* 3 FETCH (UID 13 FLAGS ())\n",
            "UID FETCH 13,15 (UID FLAGS INTERNALDATE)",
            "* 5 FETCH (UID 15 FLAGS () " DATE ")\n~ OK .\n", "11+d 12+d 15+d", true},
        {"nothing of one but its MODSEQ", "* 3 FETCH (UID 13 MODSEQ (9))\n",
            "UID FETCH 13 (UID FLAGS INTERNALDATE)",
            "* 3 FETCH (UID 13 FLAGS () " DATE ")\n~ OK .\n", "11+d 12+d 13+d", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[600];
        assert_int_equal(fmt_into(text, sizeof(text), "%s%s~ OK .\n", listed, rows[i].more), 0);
        const struct imap_peer_row script[] = {OPEN("2", "13"), {"UID FETCH 1:*", text},
            {rows[i].again ? rows[i].again : "never", rows[i].reply}, END};
        open_it("", script, false);
        assert_told(rows[i].name, rows[i].told);
        assert_row(rows[i].name, changes.is_sure == rows[i].is_sure);
        assert_row(rows[i].name, peer.used[2] == (rows[i].again != NULL));
        done();
    }
}

/* One that was there all along, and whose line does not come whole. */
static void test_half_lines(void **state)
{
    static const struct {
        const char *name, *half, *reply, *told;
        bool is_sure;
    } rows[] = {
        {"no date, and then one", "FLAGS ()", "* 2 FETCH (UID 12 FLAGS () " DATE ")\n~ OK .\n",
            "11+d 12+d", true},
        {"a date that is none", "FLAGS () INTERNALDATE \"yesterday\"",
            "* 2 FETCH (UID 12 FLAGS () INTERNALDATE \"yesterday\")\n~ OK .\n", "11+d 12+", true},
        {"no date at all", "FLAGS () INTERNALDATE NIL",
            "* 2 FETCH (UID 12 FLAGS () INTERNALDATE NIL)\n~ OK .\n", "11+d 12+", true},
        {"no flags", DATE, "* 2 FETCH (UID 12 " DATE ")\n~ OK .\n", "11+d", false},
        {"in two lines", DATE ")\n* 2 FETCH (UID 12 FLAGS ()", NULL, "11+d 12+d", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[600];
        assert_int_equal(
            fmt_into(text, sizeof(text),
                "* 1 FETCH (UID 11 FLAGS () " DATE ")\n* 2 FETCH (UID 12 %s)\n~ OK .\n",
                rows[i].half),
            0);
        const struct imap_peer_row script[] = {OPEN("2", "13"), {"UID FETCH 1:*", text},
            {"FETCH 1:2", "~ OK .\n"},
            {rows[i].reply ? "UID FETCH 12 (UID FLAGS INTERNALDATE)" : "never", rows[i].reply},
            END};
        open_it("", script, false);
        assert_told(rows[i].name, rows[i].told);
        assert_row(rows[i].name, changes.is_sure == rows[i].is_sure);
        assert_row(rows[i].name, (changes.token.n > 0) == rows[i].is_sure);
        assert_row(rows[i].name, changes.n_vanished == (rows[i].is_sure ? 2 : 0));
        done();
    }
}

#define FIELDS "(UID BODY.PEEK[HEADER.FIELDS (DATE RECEIVED)]<0.16384>)\n"

/* What was there all along and has no date gets that of its header, where there is one. */
static void test_dates_of_headers(void **state)
{
    static const struct {
        const char *name, *fields, *told;
        int64_t date_s;
    } rows[] = {
        {"none comes", "", "11+d 12+", 0},
        {"it is refused", "NO", "11+d 12+", 0},
        {"Date",
            "BODY[HEADER.FIELDS (DATE RECEIVED)]<0> {36}\nDate: 17 Jul 1996 02:44:25 -0700\n\n",
            "11+d 12+dh", 837596665},
        {"as the server writes it",
            "BODY[header.fields (\"Date\" \"Received\")] {34}\nDate: 17 Jul 1996 02:44:25 -0700\n",
            "11+d 12+dh", 837596665},
        {"Received",
            "BODY[HEADER.FIELDS (DATE RECEIVED)]<0> {34}\nReceived: by a; 17 Jul 1996 02:4\n",
            "11+d 12+dh", 837569040},
        {"nothing", "BODY[HEADER.FIELDS (DATE RECEIVED)]<0> {2}\n\n", "11+d 12+", 0},
        {"NIL", "BODY[HEADER.FIELDS (DATE RECEIVED)]<0> NIL", "11+d 12+", 0},
        {"no string", "BODY[HEADER.FIELDS (DATE RECEIVED)]<0> (a b)", "11+d 12+", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[600];
        bool is_refused = strcmp(rows[i].fields, "NO") == 0;
        if (is_refused || !rows[i].fields[0])
            assert_int_equal(fmt_into(text, sizeof(text), "~ %s .\n", is_refused ? "NO" : "OK"), 0);
        else
            assert_int_equal(
                fmt_into(text, sizeof(text), "* 2 FETCH (UID 12 %s)\n~ OK .\n", rows[i].fields), 0);
        const struct imap_peer_row script[] = {OPEN("2", "13"),
            {"UID FETCH 1:*", "* 1 FETCH (UID 11 FLAGS () " DATE ")\n"
                              "* 2 FETCH (UID 12 FLAGS () INTERNALDATE NIL)\n~ OK .\n"},
            {"UID FETCH 12 (UID FLAGS INTERNALDATE)", "* 2 FETCH (UID 12 FLAGS () INTERNALDATE "
                                                      "\"00-Jan-0000 00:00:00 +0000\")\n~ OK .\n"},
            {"UID FETCH 12 " FIELDS, text}, END};
        open_it("", script, false);
        assert_told(rows[i].name, rows[i].told);
        assert_row(rows[i].name, peer.used[3] && changes.is_sure && changes.n_vanished == 2);
        assert_row(rows[i].name, changes.v[1].date_s == rows[i].date_s);
        done();
    }
}

/* The same by UID, for who wants to copy; who wants to know what the server has is not deceived.  A
 * date in another form is one. */
static void test_dates_by_uid(void **state)
{
    static const struct imap_peer_row rows[] = {OPEN("0", "21"), {"UID FETCH 1:*", "~ OK .\n"},
        {"UID FETCH 3:4 (UID FLAGS INTERNALDATE)",
            "* 3 FETCH (UID 3 FLAGS () INTERNALDATE \"Wed, 17 Jul 1996 02:44:25 -0700\")\n"
            "* 4 FETCH (UID 4 FLAGS () INTERNALDATE NIL)\n~ OK .\n"},
        {"UID FETCH 4 (UID FLAGS INTERNALDATE)", "* 4 FETCH (UID 4 FLAGS ())\n~ OK .\n"},
        {"UID FETCH 4 " FIELDS, "* 4 FETCH (UID 4 BODY[HEADER.FIELDS (DATE RECEIVED)]<0> {50}\n"
                                "Received: x\n\ty;\n\t17 Jul 1996 02:44:25 -0700\n\n)\n~ OK .\n"},
        {"UID FETCH 5 (UID INTERNALDATE)", "* 4 FETCH (UID 5 INTERNALDATE NIL)\n~ OK .\n"}, END};
    static const uint32_t uids[] = {3, 4, 5};
    struct end_ticket t = {0}, alone = {0};
    struct err err = ERR_INIT;
    (void)state;
    open_it("", rows, false);
    peer.end->ops->attributes(peer.end, uids, 2, BOTH, &changes, &t);
    assert_int_equal(end_check(peer.end, &t, "look", &err), 0);
    assert_told("attributes", "3+d 4+dh");
    assert_int_equal(changes.v[1].date_s, 837596665);
    end_changes_clear(&changes);
    peer.end->ops->attributes(peer.end, uids + 2, 1, END_WANT_DATES, &changes, &alone);
    assert_int_equal(end_check(peer.end, &alone, "look", &err), 0);
    assert_told("alone", "5");
    assert_null(said("UID FETCH 5 (UID BODY"));
    done();
}

/* Of those that the token knows, flags are enough; of the others not. */
static void test_deltas(void **state)
{
    static const struct {
        const char *name, *caps, *told;
        bool has_qresync;
    } rows[] = {
        {"QRESYNC", "ENABLE CONDSTORE QRESYNC ESEARCH", "12+ 15+ 21+d 23+d", true},
        {"CONDSTORE", "ENABLE CONDSTORE ESEARCH", "12+ 15+ 21+d 23+d", false},
        {"neither", "", "11+ 12+ 15+ 20+ 21+d 23+d", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {{"ENABLE QRESYNC", "* ENABLED QRESYNC\n~ OK .\n"},
            {"EXAMINE \"a\" (QRESYNC",
                OPENED("5", "22") "* 2 FETCH (UID 12 FLAGS ())\n* 3 FETCH (UID 15 MODSEQ (105))\n"
                                  "~ OK .\n"},
            OPEN("5", "22"),
            {"UID FETCH 21:*",
                "* 5 FETCH (UID 21 FLAGS () " DATE ")\n* 6 FETCH (UID 23 FLAGS ())\n~ OK .\n"},
            {"CHANGEDSINCE", "* 2 FETCH (UID 12 FLAGS ())\n* 3 FETCH (UID 15 MODSEQ (105))\n"
                             "* 5 FETCH (UID 21 FLAGS () " DATE ")\n* 6 FETCH (UID 23 FLAGS ())\n"
                             "~ OK .\n"},
            {"UID FETCH 1:* (UID FLAGS)\n",
                "* 1 FETCH (UID 11 FLAGS ())\n* 2 FETCH (UID 12 FLAGS ())\n"
                "* 3 FETCH (UID 15 MODSEQ (1))\n* 4 FETCH (UID 20 FLAGS ())\n~ OK .\n"},
            {"(UID FLAGS INTERNALDATE)\n", "* 3 FETCH (UID 15 FLAGS ())\n"
                                           "* 6 FETCH (UID 23 FLAGS () " DATE ")\n~ OK .\n"},
            END};
        open_it(rows[i].caps, script, true);
        assert_told(rows[i].name, rows[i].told);
        assert_row(rows[i].name, changes.is_sure);
        assert_row(rows[i].name, said("UID FETCH 15,23 (UID FLAGS INTERNALDATE)\n") != NULL);
        assert_row(rows[i].name, (said("(QRESYNC") != NULL) == rows[i].has_qresync);
        done();
    }
}

/* A change that was not told is not passed by the token. */
static void test_a_delta_with_a_gap(void **state)
{
    static const struct imap_peer_row rows[] = {OPEN("4", "21"),
        {"CHANGEDSINCE", "* 3 FETCH (UID 15 MODSEQ (105))\n~ OK .\n"},
        {"UID FETCH 15 ", "* 3 FETCH (UID 15 MODSEQ (105))\n~ OK .\n"}, END};
    (void)state;
    open_it("ENABLE CONDSTORE ESEARCH", rows, true);
    assert_told("gap", "");
    assert_false(changes.is_sure);
    assert_int_equal(changes.token.n, 0);
    done();
}

static void test_attributes(void **state)
{
    static const struct imap_peer_row rows[] = {OPEN("0", "21"), {"UID FETCH 1:*", "~ OK .\n"},
        {"UID FETCH 3:5 ", "* 3 FETCH (UID 3 FLAGS () " DATE ")\n* 4 FETCH (UID 4 FLAGS ())\n"
                           "* 5 FETCH (UID 5 MODSEQ (3))\n* 9 FETCH (UID 9 FLAGS ())\n~ OK .\n"},
        {"UID FETCH 4:5 ", "* 4 FETCH (UID 4 FLAGS (\\Seen) " DATE ")\n~ OK .\n"}, END};
    static const uint32_t uids[] = {3, 4, 5};
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    (void)state;
    open_it("", rows, false);
    peer.end->ops->attributes(peer.end, uids, COUNT_OF(uids), BOTH, &changes, &t);
    assert_int_equal(end_check(peer.end, &t, "look", &err), 0);
    assert_told("attributes", "3+d 4+d");
    done();
}

/* --- Lines that cannot be read -----------------------------------------------------------------
 */

/* Of 11 and 12, and 15, which is known: whatever could not be read, nothing is known to be gone. */
static void test_unread(void **state)
{
    static const struct {
        const char *name, *opened, *listed, *told;
        bool is_unread;
    } rows[] = {
        {"nothing odd", "", "", "11+d 12+d", false},
        {"an empty line", "\n", "\n", "11+d 12+d", false},
        {"an answer to nothing", "", "c0 OK x\nc99 OK x\n", "11+d 12+d", false},
        {"blanks", "* 2 EXISTS \n", "* 2 FETCH (UID 12 FLAGS ( ) " DATE " ) \n", "11+d 12+d",
            false},
        {"flags of the folder", "* FLAGS (a(b)))\n", "", "11+d 12+d", false},
        {"an odd keyword", "", "* 2 FETCH (UID 12 FLAGS (a(b)) " DATE ")\n", "11+d 12+d", false},
        {"no UID", "", "* 3 FETCH (UID 19564493749 FLAGS () " DATE ")\n", "11+d 12+d", true},
        {"a number that is none", "* -2 EXISTS\n", "", "11+d 12+d", true},
        {"EXPUNGE", "", "* 99999999999 EXPUNGE\n", "11+d 12+d", true},
        {"nobody knows what", "", "FLAGS (\\Seen) UID 15)\n", "11+d 12+d", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[2][600];
        assert_int_equal(
            fmt_into(text[0], sizeof(text[0]), OPENED("2", "21") "%s~ OK .\n", rows[i].opened), 0);
        assert_int_equal(fmt_into(text[1], sizeof(text[1]),
                             "* 1 FETCH (UID 11 FLAGS () " DATE ")\n"
                             "* 2 FETCH (UID 12 FLAGS () " DATE ")\n%s~ OK .\n",
                             rows[i].listed),
            0);
        const struct imap_peer_row script[] = {
            {"EXAMINE", text[0]}, {"UID FETCH 1:*", text[1]}, END};
        open_it("", script, false);
        assert_told(rows[i].name, rows[i].told);
        assert_row(rows[i].name, changes.is_sure == !rows[i].is_unread);
        assert_row(rows[i].name, changes.has_unread == rows[i].is_unread);
        assert_row(rows[i].name, changes.n_vanished == (rows[i].is_unread ? 0 : 2));
        assert_row(rows[i].name, (changes.token.n == 0) == rows[i].is_unread);
        assert_row(rows[i].name, (peer.end->n_unread > 0) == rows[i].is_unread);
        done();
    }
}

/* Nor of a delta; and the flags that stood there are no flags that are gone. */
static void test_unread_deltas(void **state)
{
    static const struct {
        const char *name, *delta;
    } rows[] = {
        {"VANISHED", "* VANISHED (EARLIER) 12,99999999999\n"},
        {"no UID", "* 3 FETCH (UID -1 FLAGS ())\n"},
        {"no flags", "* 3 FETCH (UID 15 FLAGS \\Seen MODSEQ (105))\n"},
        {"no end", "* 3 FETCH (UID 15 MODSEQ (105) FLAGS (\\Seen\n"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[600];
        assert_int_equal(
            fmt_into(text, sizeof(text), OPENED("4", "21") "%s~ OK .\n", rows[i].delta), 0);
        const struct imap_peer_row script[] = {{"ENABLE", "* ENABLED QRESYNC\n~ OK .\n"},
            {"EXAMINE", text}, {"UID FETCH 21:*", "~ OK .\n"}, {"UID FETCH 15 ", "~ OK .\n"}, END};
        open_it("ENABLE QRESYNC", script, true);
        assert_told(rows[i].name, "");
        assert_row(rows[i].name, !changes.is_sure && changes.n_vanished == 0);
        done();
    }
}

/* What was asked for by UID and does not come is only gone when every line could be read. */
static void test_unread_by_uid(void **state)
{
    static const struct {
        const char *reply;
        enum end_result result;
    } rows[] = {
        {"* 3 FETCH (UID 3 FLAGS () " DATE ")\n~ OK .\n", END_OK},
        {"* 3 FETCH (UID 3 FLAGS () " DATE ")\n* 4 FETCH (UID -4)\n~ OK .\n", END_NO},
        {"* 3 FETCH (UID 3 FLAGS () " DATE ")\n* 4 FETCH (UID 4 FLAGS () " DATE
         ")\n* 4 FETCH (UID -4)\n~ OK .\n",
            END_OK},
    };
    static const uint32_t uids[] = {3, 4};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {OPEN("0", "21"), {"UID FETCH 1:*", "~ OK .\n"},
            {"UID FETCH 3:4 ", rows[i].reply}, {"UID FETCH 3:4 ", rows[i].reply}, END};
        const struct end_sink sink = {0};
        struct end_ticket t[2] = {0};
        struct err err = ERR_INIT;
        open_it("", script, false);
        peer.end->ops->attributes(peer.end, uids, COUNT_OF(uids), BOTH, &changes, &t[0]);
        peer.end->ops->read(peer.end, uids, COUNT_OF(uids), &sink, NULL, &t[1]);
        assert_int_equal(end_drain(peer.end, &err), 0);
        assert_row(rows[i].reply, t[0].result == rows[i].result);
        /* No body comes at all. */
        assert_row(rows[i].reply, (t[1].result == END_NO) == (i > 0));
        done();
    }
}

/* The folders that a list names are there, whatever else there is. */
static void test_unread_folders(void **state)
{
    static const struct {
        const char *line;
        size_t n, unread;
        bool is_unsure;
    } rows[] = {
        {"", 1, 0, false},
        {"* LIST () \"/\" \"\"\n", 1, 0, false},
        {"* LIST () \"\\\" \"Old\\Mail\"\n", 2, 0, false},
        {"* LIST () \"/\" Sent Items\n", 2, 0, true},
        {"* LIST (a(b) \\Sent) \"/\" Sent\n", 2, 0, true},
        {"* LIST () \"/\"\n", 1, 1, true},
        {"* LIST Sent\n* LIST Sent\n", 1, 2, true},
        {"LIST () \"/\" Sent\n", 1, 1, true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char text[200];
        assert_int_equal(
            fmt_into(text, sizeof(text), "* LIST () \"/\" INBOX\n%s~ OK .\n", rows[i].line), 0);
        const struct imap_peer_row script[] = {{"LIST", text}, END};
        struct folder_list l;
        struct end_ticket t = {0};
        struct err err = ERR_INIT;
        imap_peer_start(&peer, "", script);
        folder_list_init(&l);
        peer.end->ops->folders(peer.end, &l, &t);
        assert_int_equal(end_check(peer.end, &t, "list", &err), 0);
        assert_row(rows[i].line, l.n == rows[i].n && l.unread == rows[i].unread);
        assert_row(rows[i].line, l.is_unsure == rows[i].is_unsure);
        folder_list_fini(&l);
        stop();
        clean();
    }
}

/* --- MESSAGELIMIT (RFC 9738) ------------------------------------------------------------------ */

#define LINE(position, uid) "* " position " FETCH (UID " uid " FLAGS () " DATE ")\n"

/* A folder of five, and a server that answers for two in one command. */
static void test_portions(void **state)
{
    static const struct {
        const char *name, *caps, *first;
        bool is_told; /* before anything is asked */
    } rows[] = {
        {"the limit is told", "MESSAGELIMIT=2", "", true},
        {"the answer tells it, and has the last ones", "",
            LINE("5", "20") LINE("4", "16") "~ OK [MESSAGELIMIT 2 16] .\n", false},
        {"and has the first ones", "",
            LINE("1", "11") LINE("2", "12") "~ OK [MESSAGELIMIT 2 12] .\n", false},
        {"it is smaller than was told", "MESSAGELIMIT=4", "", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {OPEN("5", "21"), {"UID FETCH 1:*", rows[i].first},
            {"FETCH 1:4", LINE("1", "11") LINE("2", "12") "~ OK [MESSAGELIMIT 2 12] .\n"},
            {"FETCH 1:2", LINE("1", "11") LINE("2", "12") "~ OK .\n"},
            {"FETCH 3:4", LINE("3", "15") LINE("4", "16") "~ OK .\n"},
            {"FETCH 5:5", LINE("5", "20") "~ OK .\n"}, {"FETCH 5:5", LINE("5", "20") "~ OK .\n"},
            END};
        open_it(rows[i].caps, script, false);
        assert_told(rows[i].name, "11+d 12+d 15+d 16+d 20+d");
        assert_row(rows[i].name, changes.is_sure && changes.is_whole && changes.token.n > 0);
        assert_row(rows[i].name, (said("UID FETCH 1:*") != NULL) == (*rows[i].caps == '\0'));
        done();
    }
}

/* One that has no more than the limit is listed at once; one that goes on cutting is no witness. */
static void test_limits_that_do_not_matter(void **state)
{
    static const struct imap_peer_row rows[] = {
        OPEN("2", "21"), {"UID FETCH 1:*", LINE("1", "11") LINE("2", "12") "~ OK .\n"}, END};
    static const struct imap_peer_row cut[] = {OPEN("2", "21"),
        {"FETCH 1:1", LINE("1", "11") "~ OK .\n"}, {"FETCH 2:2", "~ OK [MESSAGELIMIT 1] .\n"}, END};
    (void)state;
    open_it("MESSAGELIMIT=2", rows, false);
    assert_told("as large", "11+d 12+d");
    assert_true(changes.is_sure);
    assert_int_equal(changes.n_vanished, 2);
    done();
    open_it("MESSAGELIMIT=1", cut, false);
    assert_told("cut", "11+d");
    assert_false(changes.is_sure);
    assert_int_equal(changes.n_vanished, 0);
    done();
}

/* Changes that were cut are no changes: everything is listed. */
static void test_a_delta_that_is_cut(void **state)
{
    static const struct {
        const char *name, *caps;
    } rows[] = {{"QRESYNC", "ENABLE CONDSTORE QRESYNC ESEARCH"},
        {"CONDSTORE", "ENABLE CONDSTORE ESEARCH"},
        {"QRESYNC, told", "ENABLE QRESYNC MESSAGELIMIT=2"},
        {"CONDSTORE, told", "ENABLE CONDSTORE ESEARCH MESSAGELIMIT=2"}, {"neither", ""},
        {"neither, told", "MESSAGELIMIT=2"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct imap_peer_row script[] = {{"ENABLE QRESYNC", "* ENABLED QRESYNC\n~ OK .\n"},
            OPEN("3", "21"), {"UID FETCH 21:*", "~ OK [MESSAGELIMIT 2 12] .\n"},
            {"CHANGEDSINCE", LINE("1", "11") LINE("2", "12") "~ OK [MESSAGELIMIT 2 12] .\n"},
            {"FETCH 1:2", LINE("1", "11") LINE("2", "12") "~ OK .\n"},
            {"FETCH 3:3", LINE("3", "15") "~ OK .\n"},
            {"UID FETCH 1:*", LINE("1", "11") LINE("2", "12") "~ OK [MESSAGELIMIT 2 12] .\n"}, END};
        open_it(rows[i].caps, script, true);
        assert_told(rows[i].name, "11+d 12+d 15+d");
        assert_row(rows[i].name, changes.is_sure && changes.is_whole);
        assert_row(rows[i].name, changes.n_vanished == 1 && changes.vanished[0] == 20);
        done();
    }
}

static bool begin_body(void *arg, uint32_t uid, uint64_t size)
{
    (void)uid, (void)size;
    ++*(size_t *)arg;
    return true;
}

#define BODY(position, uid) "* " position " FETCH (UID " uid " BODY[] {1}\nx)\n"
#define SELECTED                                                                                   \
    {                                                                                              \
        "SELECT", "* 4 EXISTS\n* OK [UIDVALIDITY 7] .\n* OK [UIDNEXT 21] .\n~ OK .\n"              \
    }

/* What each operation on 11, 12, 15 and 20 comes to, and says, where the server does a part. */
static void test_parts_of_other_things(void **state)
{
    enum what { READ, ATTRIBUTES, FLAGS, GUARDED, REMOVE, MOVE };
    static const struct {
        const char *name, *caps;
        enum what what;
        struct imap_peer_row rows[6];
        enum end_result result;
        size_t n; /* bodies, or messages that are told, or come back as modified */
    } rows[] = {
        {"bodies: the rest", "", READ,
            {{"UID FETCH 11:12,15,20 ",
                 BODY("1", "11") BODY("2", "12") "~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID FETCH 15,20 ", BODY("4", "20") BODY("3", "15") "~ OK .\n"}},
            END_OK, 4},
        {"bodies: refused, in portions", "", READ,
            {{"UID FETCH 11:12,15,20 ", "~ NO [MESSAGELIMIT 3] .\n"},
                {"UID FETCH 11:12,15 ", BODY("1", "11") BODY("2", "12") BODY("3", "15") "~ OK .\n"},
                {"UID FETCH 20 ", BODY("4", "20") "~ OK .\n"}},
            END_OK, 4},
        {"bodies: told before, in portions", "MESSAGELIMIT=2", READ,
            {{"UID FETCH 11:12 ", BODY("1", "11") BODY("2", "12") "~ OK .\n"},
                {"UID FETCH 15,20 ", BODY("3", "15") "~ OK [MESSAGELIMIT 1 15] .\n"},
                {"UID FETCH 20 ", BODY("4", "20") "~ OK .\n"}},
            END_OK, 4},
        {"bodies: told before, and cut at another place", "MESSAGELIMIT=2", READ,
            {{"UID FETCH 11:12 ", BODY("1", "11") "~ OK [MESSAGELIMIT 2 11] .\n"},
                {"UID FETCH 15,20 ", BODY("3", "15") "~ OK [MESSAGELIMIT 2 15] .\n"},
                {"UID FETCH 12,20 ", BODY("2", "12") BODY("4", "20") "~ OK .\n"}},
            END_OK, 4},
        {"bodies: one has gone", "", READ,
            {{"UID FETCH 11:12,15,20 ", BODY("1", "11") "~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID FETCH 12,15 ", BODY("2", "15") "~ OK .\n"},
                {"UID FETCH 20 ", BODY("3", "20") "~ OK .\n"}},
            END_OK, 3},
        {"bodies: it goes on cutting", "", READ,
            {{"UID FETCH 11:12,15,20 ", BODY("1", "11") "~ OK [MESSAGELIMIT 1 11] .\n"},
                {"UID FETCH 12 ", "~ OK [MESSAGELIMIT 1] .\n"}, {"UID FETCH 15 ", "~ OK .\n"},
                {"UID FETCH 20 ", "~ OK .\n"}},
            END_NO, 1},
        {"attributes", "", ATTRIBUTES,
            {{"UID FETCH 11:12,15,20 ",
                 "* 1 FETCH (UID 11 FLAGS ())\n~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID FETCH 11:12 ", "* 1 FETCH (UID 11 FLAGS ())\n* 2 FETCH (UID 12 FLAGS ())\n"
                                     "~ OK .\n"},
                {"UID FETCH 15,20 ", "* 3 FETCH (UID 15 FLAGS ())\n* 4 FETCH (UID 20 FLAGS ())\n"
                                     "~ OK .\n"}},
            END_OK, 4},
        {"attributes: it goes on cutting", "MESSAGELIMIT=4", ATTRIBUTES,
            {{"UID FETCH 11:12,15,20 ", "~ NO [MESSAGELIMIT 4] .\n"}}, END_NO, 0},
        {"flags", "", FLAGS,
            {{"UID STORE 11:12,15,20 ", "~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID STORE 11:12 ", "~ OK .\n"}, {"UID STORE 15,20 ", "~ OK .\n"}},
            END_OK, 0},
        {"flags: it goes on cutting", "MESSAGELIMIT=2", FLAGS,
            {{"UID STORE 11:12 ", "~ OK .\n"},
                {"UID STORE 15,20 ", "~ OK [MESSAGELIMIT 2 15] .\n"}},
            END_NO, 0},
        {"flags where nobody else has been: what is done already comes back", "CONDSTORE", GUARDED,
            {{"UID STORE 11:12,15,20 (UNCHANGEDSINCE", "~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID STORE 11:12 (UNCHANGEDSINCE", "~ OK [MODIFIED 11:12] .\n"},
                {"UID STORE 15,20 (UNCHANGEDSINCE", "~ OK .\n"}},
            END_OK, 2},
        {"removal", "UIDPLUS", REMOVE,
            {{"UID EXPUNGE 11:12,15,20", "* 1 EXPUNGE\n~ NO [MESSAGELIMIT 3] .\n"},
                {"UID EXPUNGE 11:12,15", "* 1 EXPUNGE\n* 1 EXPUNGE\n~ OK .\n"},
                {"UID EXPUNGE 20", "* 1 EXPUNGE\n~ OK .\n"}},
            END_OK, 0},
        {"move", "MOVE", MOVE,
            {{"UID MOVE 11:12,15,20 ", "* OK [COPYUID 9 11:12 50:51] .\n* 1 EXPUNGE\n* 1 EXPUNGE\n"
                                       "~ OK [MESSAGELIMIT 2 12] .\n"},
                {"UID MOVE 11:12 ", "~ OK .\n"},
                {"UID MOVE 15,20 ", "* OK [COPYUID 9 15,20 52:53] .\n* 1 EXPUNGE\n* 1 EXPUNGE\n"
                                    "~ OK .\n"}},
            END_OK, 4},
        {"move: it goes on cutting", "MOVE MESSAGELIMIT=4", MOVE,
            {{"UID MOVE 11:12,15,20 ", "~ OK [MESSAGELIMIT 4 12] .\n"}}, END_NO, 0},
        {"copy and expunge: refused as a whole", "UIDPLUS", MOVE,
            {{"UID COPY 11:12,15,20 ", "~ NO [MESSAGELIMIT 3] .\n"},
                {"UID COPY 11:12,15 ", "~ OK [COPYUID 9 11:12,15 50:52] .\n"},
                {"UID COPY 20 ", "~ OK [COPYUID 9 20 53] .\n"}},
            END_OK, 4},
    };
    static const struct end_sink sink = {.begin = begin_body};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_peer_row script[COUNT_OF(rows[i].rows) + 2] = {SELECTED};
        struct end_ticket t = {0};
        struct end_uids uids = {0};
        struct err err = ERR_INIT;
        struct flags f = {.system = FLAG_SEEN};
        size_t n = 0;
        memcpy(script + 1, rows[i].rows, sizeof(rows[i].rows));
        imap_peer_start(&peer, rows[i].caps, script);
        struct end *e = peer.end;
        const struct end_open o = {.is_for_writing = true, .is_only_opened = true};
        struct end_flags how = {.flags = &f, .keywords = &keywords};
        assert_int_equal(open_folder("a", &o, &changes, &err), END_OK);
        switch (rows[i].what) {
        case READ:
            e->ops->read(e, known, COUNT_OF(known), &sink, &n, &t);
            break;
        case ATTRIBUTES:
            e->ops->attributes(e, known, COUNT_OF(known), END_WANT_FLAGS, &changes, &t);
            break;
        case GUARDED:
            how.unchanged_since = 100;
            /* fall through */
        case FLAGS:
            e->ops->flags(e, known, COUNT_OF(known), &how, &uids, &t);
            break;
        case REMOVE:
            e->ops->remove(e, known, COUNT_OF(known), &t);
            break;
        case MOVE:
            e->ops->move(e, known, COUNT_OF(known), SLICE_LIT("b"), &uids, &t);
            break;
        }
        assert_int_equal(end_wait(e, &t, &err), 0);
        if (t.result != rows[i].result)
            fail_msg("%s: %s", rows[i].name, buf_cstr(&peer.lines));
        assert_row(rows[i].name, t.result == END_OK || t.err.class == ERR_TEMP);
        for (size_t k = 0; k < uids.n; k++)
            n += uids.v[k] != 0;
        assert_row(rows[i].name, n + changes.n == rows[i].n);
        for (size_t k = 0; rows[i].rows[k].text; k++)
            assert_row(rows[i].rows[k].text, peer.used[k + 1]);
        end_uids_fini(&uids);
        done();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unsolicited),
        cmocka_unit_test(test_half_lines),
        cmocka_unit_test(test_dates_of_headers),
        cmocka_unit_test(test_dates_by_uid),
        cmocka_unit_test(test_deltas),
        cmocka_unit_test(test_a_delta_with_a_gap),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_unread),
        cmocka_unit_test(test_unread_deltas),
        cmocka_unit_test(test_unread_by_uid),
        cmocka_unit_test(test_unread_folders),
        cmocka_unit_test(test_portions),
        cmocka_unit_test(test_limits_that_do_not_matter),
        cmocka_unit_test(test_a_delta_that_is_cut),
        cmocka_unit_test(test_parts_of_other_things),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
