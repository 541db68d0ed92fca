/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/imap/limits.h"
#include "imapsync/imap/response.h"
#include "tests/unit/unit.h"

static int parse(const char *text, struct imap_response *r)
{
    return imap_response_parse(slice_str(text), (struct imap_streamed){0}, r);
}

static void test_valid(void **state)
{
    static const struct {
        const char *text;
        enum imap_kind kind;
    } rows[] = {
        {"c1 OK done", IMAP_KIND_TAGGED},
        {"c1 OK", IMAP_KIND_TAGGED},
        {"c1 no [X-FOO bar] no", IMAP_KIND_TAGGED},
        {"+ go", IMAP_KIND_CONTINUE},
        {"+", IMAP_KIND_CONTINUE},
        {"* OK [", IMAP_KIND_STATUS},
        {"* OK [UIDVALIDITY x] odd number", IMAP_KIND_STATUS},
        {"* BYE", IMAP_KIND_STATUS},
        {"* PREAUTH hi", IMAP_KIND_STATUS},
        {"* CAPABILITY IMAP4rev1 AUTH=PLAIN", IMAP_KIND_CAPABILITY},
        {"* LIST () NIL inbox", IMAP_KIND_LIST},
        {"* LIST (\\NonExistent) \"/\" \"a b\" (\"CHILDINFO\" (\"SUBSCRIBED\"))", IMAP_KIND_LIST},
        {"* LIST (\\HasNoChildren) \"\\\\\" \"a\\\\b\"", IMAP_KIND_LIST},
        {"* LSUB () \".\" a.b", IMAP_KIND_LSUB},
        {"* STATUS blurdybloop (MESSAGES 231 UIDNEXT 44292)", IMAP_KIND_MAILBOX_STATUS},
        {"* STATUS a (MESSAGES 1 X-GUID (abc) MAILBOXID (F1)) ", IMAP_KIND_MAILBOX_STATUS},
        {"* STATUS a ()", IMAP_KIND_MAILBOX_STATUS},
        {"* FLAGS (\\Seen $Junk)", IMAP_KIND_FLAGS},
        {"* SEARCH", IMAP_KIND_SEARCH},
        {"* SEARCH 1 2 3 (MODSEQ 7)", IMAP_KIND_SEARCH},
        {"* ESEARCH", IMAP_KIND_ESEARCH},
        {"* ESEARCH (TAG \"c1\") UID", IMAP_KIND_ESEARCH},
        {"* ESEARCH (TAG \"c1\") UID COUNT 5 ALL 1:3,7", IMAP_KIND_ESEARCH},
        {"* 23 EXISTS", IMAP_KIND_EXISTS},
        {"* 0 RECENT", IMAP_KIND_RECENT},
        {"* 44 EXPUNGE", IMAP_KIND_EXPUNGE},
        {"* VANISHED (EARLIER) 41,43:116", IMAP_KIND_VANISHED},
        {"* VANISHED 405", IMAP_KIND_VANISHED},
        {"* NAMESPACE ((\"\" \"/\")) NIL NIL", IMAP_KIND_NAMESPACE},
        {"* ACL INBOX ann lrs \"bob b\" \"\"", IMAP_KIND_ACL},
        {"* ACL \"Work\"", IMAP_KIND_ACL},
        {"* METADATA INBOX (/private/comment \"a\")", IMAP_KIND_METADATA},
        {"* METADATA \"\" (\"/private/comment\" {3}\r\na)b /shared/comment NIL)",
            IMAP_KIND_METADATA},
        {"* METADATA \"INBOX\" /shared/comment /private/comment", IMAP_KIND_METADATA},
        {"* 1 FETCH (UID 2 X-GM-MSGID 1278455344230334865)", IMAP_KIND_FETCH},
        {"* 1 FETCH (UID 2 RFC822.SIZE 9 BODY[HEADER]<0> \"a: b\")", IMAP_KIND_FETCH},
        {"* NAMESPACE NIL ((\"Other/\" \"/\")) ((\"#shared/\" \"/\")(\"#p/\" \"/\"))",
            IMAP_KIND_NAMESPACE},
        {"* ENABLED CONDSTORE QRESYNC", IMAP_KIND_ENABLED},
        {"* ID (\"name\" \"x\")", IMAP_KIND_ID},
        {"* ID NIL", IMAP_KIND_ID},
        {"* IDLE x", IMAP_KIND_OTHER},
        {"* 3 SOMETHING new", IMAP_KIND_OTHER},
        {"* 1 FETCH (FLAGS () UID 4)", IMAP_KIND_FETCH},
        {"* 1 FETCH (MODSEQ (65402) X-GM-LABELS (\\Inbox \"a b\") UID 4)", IMAP_KIND_FETCH},
        {"* 1 FETCH (BODY[HEADER.FIELDS (TO CC)]<0> \"x\" UID 4)", IMAP_KIND_FETCH},
        {"* 1 FETCH (ENVELOPE (NIL \"a\" ((NIL NIL \"u\" \"h\"))) UID 4)", IMAP_KIND_FETCH},
        {"* 1 FETCH (BODY[] NIL)", IMAP_KIND_FETCH},
        {"* 1 FETCH ()", IMAP_KIND_FETCH},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_response r;
        assert_row(rows[i].text, parse(rows[i].text, &r) == 0);
        assert_row(rows[i].text, r.kind == rows[i].kind);
    }
}

static void test_invalid(void **state)
{
    static const char *const rows[] = {
        "",
        "*",
        "* ",
        "*OK",
        "c1",
        "c1 MAYBE",
        "c1 BYE",
        "c1 PREAUTH",
        "* LIST",
        "* LIST () \"//\" a",
        "* LIST () \"\xc3\xa4\" a",
        "* LIST () \" \" a",
        "* LIST (\\Seen",
        "* LIST () \"/\" {5}\r\nab",
        "* 4294967296 EXISTS",
        "* 1 EXISTS now",
        "* 1 FETCH",
        "* 1 FETCH (UID 0)",
        "* 1 FETCH (UID 4294967296)",
        "* 1 FETCH (UID x)",
        "* 1 FETCH (UID -1 FLAGS ())",
        "* -1 EXISTS",
        "* LIST () \"/\"",
        "* LIST \"/\" a",
        "* STATUS a",
        "* VANISHED 5,99999999999",
        "* VANISHED 5 x",
        "* ESEARCH UID ALL 5:x",
        "* ESEARCH UID ALL 1:19564493749",
        "* ACL",
        "* METADATA",
        "* METADATA INBOX",
        "* NAMESPACE",
        "* NAMESPACE (\"\" \"/\"",
        "* \"hello\"",
        "* 1 FETCH (FLAGS \\Seen)",
        "* 1 FETCH (FLAGS (\\Seen (x)))",
        "* 1 FETCH (RFC822.SIZE 18446744073709551616)",
        "* 1 FETCH (BODY[] x)",
        "* VANISHED x",
        "* VANISHED",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_response r;
        assert_row(rows[i], parse(rows[i], &r) != 0);
        assert_row(rows[i], r.is_odd);
    }
}

/* What a FETCH that is not in order still says. */
static void test_odd_fetch(void **state)
{
    enum { U = IMAP_FETCH_UID, F = IMAP_FETCH_FLAGS, D = IMAP_FETCH_INTERNALDATE };
    static const struct {
        const char *text;
        bool is_odd;
        unsigned has;
        uint32_t uid;
        const char *flags; /* as words, one blank between them */
    } rows[] = {
        {"* 3 FETCH (UID 19436 )", false, U, 19436, ""},
        {"* 3 FETCH ( UID 5 FLAGS (\\Seen) ) ", false, U | F, 5, "\\Seen"},
        {"*  3  FETCH  (UID  5  FLAGS  (\\Seen  a))", false, U | F, 5, "\\Seen a"},
        {" * 3 FETCH (UID 5)", false, U, 5, ""},
        {"* 3 FETCH(UID 5)", true, 0, 0, ""},
        {"* 3 FETCH (UID 5 FLAGS NIL)", false, U | F, 5, ""},
        {"* 3 FETCH (UID 5 FLAGS ( \\Seen $NotJunk ))", false, U | F, 5, "\\Seen $NotJunk"},
        {"* 3 FETCH (UID 5 FLAGS (\"\\\\Seen\" b))", false, U | F, 5, "\\Seen b"},
        {"* 3 FETCH (UID 5 FLAGS (\"\\Seen\" \"b\"))", false, U | F, 5, "\\Seen b"},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen [Gmail]/x] b))", false, U | F, 5, "\\Seen [Gmail]/x] b"},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen old(x)y b) INTERNALDATE \"x\")", true, U | F | D, 5,
            "\\Seen b"},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen (a b) c))", true, U | F, 5, "\\Seen c"},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen a\tb c))", true, U | F, 5, "\\Seen c"},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen old)x y) INTERNALDATE \"x\")", true, U | F, 5,
            "\\Seen old"},
        {"* 3 FETCH (UID 5 FLAGS \\Seen INTERNALDATE \"x\")", true, U | D, 5, ""},
        {"* 3 FETCH (UID 5 FLAGS (\\Seen", true, U, 5, ""},
        {"* 3 FETCH (FLAGS (\\Seen) UID 5", true, U | F, 5, "\\Seen"},
        {"* 3 FETCH (RFC822.SIZE -1 UID 5 FLAGS ())", true, U | F, 5, ""},
        {"* 3 FETCH (MODSEQ 7 UID 5)", true, U, 5, ""},
        {"* 3 FETCH (MODSEQ (99999999999999999999) UID 5)", true, U, 5, ""},
        {"* 3 FETCH (INTERNALDATE NIL UID 5)", false, U, 5, ""},
        {"* 3 FETCH (INTERNALDATE 5 UID 5)", false, U, 5, ""},
        {"* 3 FETCH (X-NEW {2}\r\na) UID 5)", false, U, 5, ""},
        {"* 99999999999 FETCH (UID 5)", true, U, 5, ""},
        {"* -3 FETCH (UID 5)", true, U, 5, ""},
        {"* 3 FETCH (UID 5 BODY[]<0> \"x\")", false, U | IMAP_FETCH_BODY, 5, ""},
        {"* 3 FETCH (UID 5) )", true, U, 5, ""},
        {"* 3 FETCH (UID 5 FLAGS (a\"b) INTERNALDATE 7)", true, U, 5, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_response r;
        struct slice word;
        struct buf flags;
        buf_init(&flags, 100);
        int result = parse(rows[i].text, &r);
        assert_row(rows[i].text, r.kind == IMAP_KIND_FETCH || rows[i].has == 0);
        assert_row(rows[i].text, (result == 0) == (rows[i].has != 0));
        assert_row(rows[i].text, r.is_odd == rows[i].is_odd);
        assert_row(rows[i].text, r.fetch.has == rows[i].has && r.fetch.uid == rows[i].uid);
        while (imap_word_next(&r.fetch.flags, &word))
            assert_int_equal(
                buf_addf(&flags, "%s%.*s", flags.n > 0 ? " " : "", SLICE_ARG(word)), 0);
        assert_string_equal(r.fetch.has & F ? buf_cstr(&flags) : "", rows[i].flags);
        buf_fini(&flags);
    }
}

/* And a LIST or a STATUS. */
static void test_odd_folders(void **state)
{
    static const struct {
        const char *text;
        bool is_odd;
        int delimiter; /* 0: a STATUS */
        const char *name;
    } rows[] = {
        {"* LIST (\\HasNoChildren) \"/\" INBOX/Da\tOggetto\tRicevuto\t", true, '/',
            "INBOX/Da\tOggetto\tRicevuto"},
        {"* LIST () \"/\" Sent Items", true, '/', "Sent Items"},
        {"* LIST () \"/\" Sent Items ", true, '/', "Sent Items"},
        {"* LIST () \"\\\" \"Old\\Mail\"", false, '\\', "Old\\Mail"},
        {"* LIST () \"\\\" \"Old\\\"", true, '\\', "Old\\"},
        {"* LIST () \"\\\\\" \"Old\\\\Mail\"", false, '\\', "Old\\Mail"},
        {"* LIST () \"/\" \"say \"hi\" now\"", true, '/', "say \"hi\" now"},
        {"* LIST () \"/\" \"a", true, '/', "\"a"},
        {"* LIST () \"/\" \"\"", false, '/', ""},
        {"* LIST  ()  \"/\"  a ", false, '/', "a"},
        {"* LIST NIL \"/\" a", false, '/', "a"},
        {"* LIST ((a) \\Sent) \"/\" b", true, '/', "b"},
        {"* LSUB () \"/\" a b", true, '/', "a b"},
        {"* LIST () \"/\" \"a b\" (\"CHILDINFO\" (\"SUBSCRIBED\")) ", false, '/', "a b"},
        {"* STATUS Sent Items (MESSAGES 1)", true, 0, "Sent Items"},
        {"* STATUS  a  ( MESSAGES  1 ) ", false, 0, "a"},
        {"* STATUS a (UIDNEXT -1 MESSAGES 1)", true, 0, "a"},
        {"* STATUS a (UIDNEXT 4294967296 MESSAGES 1)", true, 0, "a"},
        {"* STATUS a (MESSAGES 1", true, 0, "a"},
        {"* STATUS a (MESSAGES 1 UIDNEXT)", true, 0, "a"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct imap_response r;
        struct buf name;
        bool is_status = rows[i].delimiter == 0;
        buf_init(&name, 100);
        assert_row(rows[i].text, parse(rows[i].text, &r) == 0);
        assert_row(rows[i].text, r.is_odd == rows[i].is_odd);
        assert_row(rows[i].text, is_status || r.mailbox.delimiter == rows[i].delimiter);
        assert_row(rows[i].text,
            !is_status || (r.status_data.has == IMAP_ITEM_MESSAGES && r.status_data.messages == 1));
        assert_row(rows[i].text,
            imap_str_add(is_status ? r.status_data.name : r.mailbox.name, &name) == 0);
        assert_row(rows[i].text, slice_eq(buf_slice(&name), slice_str(rows[i].name)));
        buf_fini(&name);
    }
}

static void test_odd_others(void **state)
{
    struct imap_response r;
    (void)state;
    assert_int_equal(parse("* FLAGS (\\Seen old(x)y z))", &r), 0);
    assert_true(r.is_odd);
    assert_int_equal(parse("* FLAGS (\"\\\\Deleted\" \\Answered)", &r), 0);
    assert_true(imap_words_have(r.list, "\\Deleted"));
    assert_int_equal(parse("* 3 EXISTS ", &r), 0);
    assert_int_equal(r.number, 3);
    assert_int_equal(parse("* CAPABILITY IMAP4rev1  \"odd( one\" IDLE ", &r), 0);
    assert_true(r.is_odd);
    assert_true(imap_words_have(r.list, "IDLE"));
    assert_int_equal(parse("* NAMESPACE ((\"\" \"/\")) NIL", &r), 0);
    assert_false(r.is_odd);
    assert_int_equal(parse("* NAMESPACE ((\"\" \"/\")) ", &r), 0);
    assert_int_equal(parse("* NAMESPACE ((\"\" \"/\"))  NIL NIL ", &r), 0);
    assert_int_equal(parse("* OK [PERMANENTFLAGS (\\Seen a(b) \\*)] x", &r), 0);
    assert_true(imap_words_have(r.code.list, "\\*"));
    /* What an answer that makes no sense was about is known. */
    assert_int_equal(parse("c7 FINE done", &r), -1);
    assert_int_equal(r.kind, IMAP_KIND_TAGGED);
    assert_slice_equal(r.tag, "c7");
    /* And a line of which nothing else is. */
    assert_int_equal(parse("* 99999999999 EXISTS", &r), -1);
    assert_int_equal(r.kind, IMAP_KIND_EXISTS);
    assert_int_equal(parse("* 3 FETCH (UID -1)", &r), -1);
    assert_int_equal(r.kind, IMAP_KIND_FETCH);
    assert_int_equal(parse("* LIST (\\Seen", &r), -1);
    assert_int_equal(r.kind, IMAP_KIND_LIST);
}

static void test_values(void **state)
{
    struct imap_response r;
    (void)state;
    assert_int_equal(parse("c7 OK [APPENDUID 38505 3955:3957] ok then", &r), 0);
    assert_slice_equal(r.tag, "c7");
    assert_int_equal(r.code.kind, IMAP_CODE_APPENDUID);
    assert_int_equal(r.code.number, 38505);
    assert_slice_equal(r.code.set, "3955:3957");
    assert_slice_equal(r.text, "ok then");

    assert_int_equal(parse("* OK [COPYUID 1 2,3 4:5] x", &r), 0);
    assert_slice_equal(r.code.set2, "4:5");
    assert_int_equal(parse("* OK [CAPABILITY IMAP4rev1 IDLE] hi", &r), 0);
    assert_slice_equal(r.text, "hi");
    assert_true(imap_words_have(r.code.list, "idle"));
    assert_false(imap_words_have(r.code.list, "IDL"));
    assert_int_equal(parse("* OK [PERMANENTFLAGS (\\Seen \\*)] l", &r), 0);
    assert_true(imap_words_have(r.code.list, "\\*"));
    assert_int_equal(parse("* NO [TRYCREATE] x", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_TRYCREATE);
    assert_int_equal(r.status, IMAP_STATUS_NO);
    assert_int_equal(parse("* OK [APPENDUID 1 x] bad set", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_OTHER);
    assert_int_equal(parse("c8 OK [MODIFIED 7,9:11] x", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_MODIFIED);
    assert_slice_equal(r.code.set, "7,9:11");
    assert_int_equal(parse("* OK [MAILBOXID (F2-_a)] x", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_MAILBOXID);
    assert_slice_equal(r.code.list, "F2-_a");
    assert_int_equal(parse("c8 OK [MESSAGELIMIT 1000 23221] x", &r), 0);
    assert_int_equal(r.code.number, 1000);
    assert_int_equal(r.code.number2, 23221);
    assert_int_equal(parse("c8 NO [MESSAGELIMIT 1000] x", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_MESSAGELIMIT);
    assert_int_equal(r.code.number2, 0);

    assert_int_equal(
        parse("* 12 FETCH (FLAGS (\\Seen a-b) UID 99 INTERNALDATE \"17-Jul-1996 02:44:25 -0700\" "
              "RFC822.SIZE 4286 MODSEQ (7))",
            &r),
        0);
    assert_int_equal(r.number, 12);
    assert_int_equal(r.fetch.uid, 99);
    assert_int_equal(r.fetch.size, 4286);
    assert_int_equal(r.fetch.modseq, 7);
    assert_slice_equal(r.fetch.flags, "\\Seen a-b");
    assert_slice_equal(r.fetch.internal_date, "17-Jul-1996 02:44:25 -0700");
    assert_int_equal(r.fetch.has, IMAP_FETCH_UID | IMAP_FETCH_FLAGS | IMAP_FETCH_INTERNALDATE |
                                      IMAP_FETCH_SIZE | IMAP_FETCH_MODSEQ);

    assert_int_equal(
        parse("* STATUS \"a\\\"b\" (UIDNEXT 3 HIGHESTMODSEQ 9223372036854775807)", &r), 0);
    assert_int_equal(r.status_data.has, IMAP_ITEM_UIDNEXT | IMAP_ITEM_HIGHESTMODSEQ);
    assert_int_equal(r.status_data.highestmodseq, INT64_MAX);
    /* 64 bits were allowed once: as good as none. */
    assert_int_equal(parse("* STATUS a (HIGHESTMODSEQ 18446744073709551614 UIDNEXT 3)", &r), 0);
    assert_int_equal(r.status_data.has, IMAP_ITEM_UIDNEXT);
    assert_int_equal(parse("* 1 FETCH (MODSEQ (9223372036854775808) UID 4)", &r), 0);
    assert_int_equal(r.fetch.modseq, 0);
    assert_int_equal(r.fetch.uid, 4);
    assert_int_equal(parse("* OK [HIGHESTMODSEQ 9223372036854775808] x", &r), 0);
    assert_int_equal(r.code.kind, IMAP_CODE_OTHER);
    assert_int_equal(
        parse("* STATUS \"a\\\"b\" (UIDNEXT 3 HIGHESTMODSEQ 9223372036854775807)", &r), 0);
    struct buf name;
    buf_init(&name, 100);
    assert_int_equal(imap_str_add(r.status_data.name, &name), 0);
    assert_slice_equal(buf_slice(&name), "a\"b");
    buf_fini(&name);
    assert_int_equal(parse("* STATUS a (MAILBOXID (F1) UIDNEXT 3)", &r), 0);
    assert_int_equal(r.status_data.has, IMAP_ITEM_UIDNEXT | IMAP_ITEM_MAILBOXID);
    assert_slice_equal(r.status_data.id, "F1");
    assert_int_equal(parse("* STATUS a (MAILBOXID (F.1) UIDNEXT 3)", &r), 0);
    assert_int_equal(r.status_data.has, IMAP_ITEM_UIDNEXT);
    assert_int_equal(parse("* STATUS a (MAILBOXID NIL UIDNEXT 3)", &r), 0);
    assert_int_equal(r.status_data.has, IMAP_ITEM_UIDNEXT);
    assert_int_equal(parse("* 1 FETCH (EMAILID (M6d99ac) UID 4 THREADID NIL)", &r), 0);
    assert_int_equal(r.fetch.has, IMAP_FETCH_UID | IMAP_FETCH_EMAILID);
    assert_slice_equal(r.fetch.email_id, "M6d99ac");

    assert_int_equal(parse("* LIST (\\HasChildren) \"\\\\\" {3}\r\na\\b", &r), 0);
    assert_int_equal(r.mailbox.delimiter, '\\');
    assert_slice_equal(r.mailbox.name.raw, "a\\b");
    assert_int_equal(parse("* LIST () NIL a", &r), 0);
    assert_int_equal(r.mailbox.delimiter, -1);

    assert_int_equal(
        parse("* NAMESPACE ((\"INBOX.\" \".\")) NIL ((\"#a/\" \"/\")(\"#b\" NIL))", &r), 0);
    struct imap_str prefix;
    int delimiter;
    assert_true(imap_namespace_next(&r.personal, &prefix, &delimiter));
    assert_slice_equal(prefix.raw, "INBOX.");
    assert_int_equal(delimiter, '.');
    assert_false(imap_namespace_next(&r.personal, &prefix, &delimiter));
    assert_false(imap_namespace_next(&r.other, &prefix, &delimiter));
    assert_true(imap_namespace_next(&r.shared, &prefix, &delimiter));
    assert_true(imap_namespace_next(&r.shared, &prefix, &delimiter));
    assert_int_equal(delimiter, -1);
}

static void test_streamed_head(void **state)
{
    static const char head[] = "* 3 FETCH (UID 5 FLAGS (\\Seen) BODY[] {10}\r\n";
    struct imap_streamed s = {.is_set = true, .at = (size_t)(strchr(head, '{') - head), .size = 10};
    struct imap_response r;
    (void)state;
    assert_int_equal(imap_response_parse(slice_str(head), s, &r), 0);
    assert_int_equal(r.fetch.uid, 5);
    assert_true(r.fetch.body.is_streamed);
    assert_int_equal(
        imap_response_parse(
            SLICE_LIT("* 3 FETCH (UID 5 FLAGS (\\Seen) BODY[] {10}\r\n MODSEQ (4))"), s, &r),
        0);
    assert_int_equal(r.fetch.modseq, 4);
    /* Without the octets and without the mark it is a torn literal. */
    assert_int_equal(parse(head, &r), 0);
    assert_true(r.is_odd);
    assert_false(r.fetch.has & IMAP_FETCH_BODY);
}

static void test_nesting(void **state)
{
    (void)state;
    for (int depth = IMAP_NEST_MAX - 1; depth <= IMAP_NEST_MAX + 1; depth++) {
        struct buf b;
        struct imap_response r;
        buf_init(&b, 1000);
        assert_int_equal(buf_add_str(&b, "* 1 FETCH (X "), 0);
        for (int i = 0; i < depth; i++)
            assert_int_equal(buf_add_str(&b, "("), 0);
        for (int i = 0; i < depth; i++)
            assert_int_equal(buf_add_str(&b, ")"), 0);
        assert_int_equal(buf_add_str(&b, ")"), 0);
        int result = imap_response_parse(buf_slice(&b), (struct imap_streamed){0}, &r);
        assert_int_equal(result == 0, depth <= IMAP_NEST_MAX);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_invalid),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_odd_fetch),
        cmocka_unit_test(test_odd_folders),
        cmocka_unit_test(test_odd_others),
        cmocka_unit_test(test_streamed_head),
        cmocka_unit_test(test_nesting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
