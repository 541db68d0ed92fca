/* SPDX-License-Identifier: ISC */
/* What folders have beside messages, over IMAP: rights of others, and annotations. */
#include "imapsync/copy/extras.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/named.h"
#include "tests/unit/imap_peer.h"

#define END                                                                                        \
    {                                                                                              \
        NULL, NULL                                                                                 \
    }
#define ASKED(name) "GETMETADATA (DEPTH infinity MAXSIZE 16384) \"" name "\" (/private /shared)\n"

static struct named_list asked[3];

/* Of "a", "b" and the whole mailbox, all on their way at once. */
static void ask(const struct imap_peer_row *rows, struct end_ticket *t)
{
    static const char *const names[] = {"a", "b", ""};
    struct err err = ERR_INIT;
    imap_peer_start(&peer, "METADATA ACL LITERAL+", rows);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        peer.end->ops->metadata(peer.end, slice_str(names[i]), &asked[i], &t[i]);
    if (end_drain(peer.end, &err) != 0)
        fail_msg("%s", err.text);
}

static void done(void)
{
    for (size_t i = 0; i < COUNT_OF(asked); i++)
        named_list_fini(&asked[i]);
    stop();
    clean();
}

static void assert_has(const struct named_list *l, const char *name, struct slice value)
{
    const struct named *n = named_list_find(l, slice_str(name));
    assert_row(name, n && slice_eq(n->value, value));
}

static void test_values(void **state)
{
    static const struct imap_peer_row rows[] = {
        {ASKED("a"), "* METADATA b (\"/private/comment\" {5}\na\"b)\\ /shared/comment NIL)\n"
                     "* METADATA a /private/comment /shared/comment\n"
                     "* METADATA c (/private/comment \"not asked for\")\n"
                     "* METADATA \"\" ( /private/comment  \"x\\\"y\" )\n"
                     "* METADATA a (/private/empty \"\" /private/many {1}\n1)\n"
                     "* METADATA a (/private/vendor/x NIL)\n~ OK .\n"},
        END};
    struct end_ticket t[3] = {0};
    (void)state;
    ask(rows, t);
    for (size_t i = 0; i < COUNT_OF(t); i++)
        assert_int_equal(t[i].result, END_OK);
    assert_int_equal(asked[0].n, 2);
    assert_has(&asked[0], "/private/empty", SLICE_NONE);
    assert_has(&asked[0], "/private/many", SLICE_LIT("1"));
    assert_int_equal(asked[1].n, 1);
    assert_has(&asked[1], "/private/comment", SLICE_LIT("a\"b)\\"));
    assert_int_equal(asked[2].n, 1);
    assert_has(&asked[2], "/private/comment", SLICE_LIT("x\"y"));
    done();
}

/* Refused, too long, and what cannot be read: known of the one folder that it is about. */
static void test_refusals(void **state)
{
    static const struct imap_peer_row rows[] = {
        {ASKED("a"),
            "* METADATA a (/private/comment \"kept\")\n~ OK [METADATA LONGENTRIES 70000] .\n"},
        {ASKED("b"), "* METADATA b (/private/comment (x))\n~ OK .\n"},
        {"\"\" (/private", "~ NO [METADATA NOPRIVATE] none of that\n"}, END};
    struct end_ticket t[3] = {0};
    (void)state;
    ask(rows, t);
    assert_int_equal(t[0].result, END_OK);
    assert_true(asked[0].is_cut);
    assert_int_equal(asked[0].n, 1);
    assert_int_equal(t[1].result, END_NO);
    assert_int_equal(t[2].result, END_NO);
    assert_string_equal(t[2].err.text, "NOPRIVATE: the server says: [METADATA] none of that");
    done();
}

static void test_setting(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"SETMETADATA \"b\"", "~ NO [METADATA TOOMANY] .\n"}, END};
    static const struct {
        const char *folder, *entry;
        struct slice value;
        enum end_result result;
    } sets[] = {
        {"a", "/private/comment", SLICE_LIT("a \"b\" \\"), END_OK},
        {"a", "/shared/comment", SLICE_LIT("one\r\nc9 DELETE INBOX\r\n"), END_OK},
        {"b", "/private/comment", SLICE_LIT(""), END_NO},
        {"a", "/private/nul", SLICE_LIT("a\0b"), END_NO},
        {"", "/private/comment", SLICE_LIT("all"), END_OK},
    };
    struct end_ticket t[COUNT_OF(sets)] = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "METADATA LITERAL+", rows);
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        peer.end->ops->set_metadata(
            peer.end, slice_str(sets[i].folder), slice_str(sets[i].entry), sets[i].value, &t[i]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        assert_row(sets[i].entry, t[i].result == sets[i].result);
    assert_non_null(strstr(t[2].err.text, "TOOMANY"));
    stop();
    assert_non_null(said("SETMETADATA \"a\" (\"/private/comment\" \"a \\\"b\\\" \\\\\")\n"));
    assert_non_null(said("SETMETADATA \"a\" (\"/shared/comment\" {22+}_)\n"));
    assert_non_null(said("SETMETADATA \"\" (\"/private/comment\" \"all\")\n"));
    assert_null(said("nul"));
    clean();
}

static void test_acl(void **state)
{
    static const struct imap_peer_row rows[] = {
        {"GETACL \"a\"", "* ACL a ann lrs \"bob b\" \"\"\n~ OK .\n"},
        {"SETACL \"a\"", "~ NO [NOPERM] not you\n"}, END};
    struct named_list l = {0};
    struct end_ticket t[2] = {0};
    struct err err = ERR_INIT;
    (void)state;
    imap_peer_start(&peer, "ACL", rows);
    peer.end->ops->acl(peer.end, SLICE_LIT("a"), &l, &t[0]);
    peer.end->ops->set_acl(peer.end, SLICE_LIT("a"), SLICE_LIT("bob"), SLICE_LIT("lr"), &t[1]);
    assert_int_equal(end_drain(peer.end, &err), 0);
    assert_int_equal(l.n, 2);
    assert_has(&l, "bob b", SLICE_NONE);
    assert_int_equal(t[1].result, END_NO);
    assert_non_null(strstr(t[1].err.text, "not you"));
    named_list_fini(&l);
    stop();
    assert_non_null(said("SETACL \"a\" \"bob\" \"lr\"\n"));
    clean();
}

/* What one server says can fill no memory. */
static void test_limits(void **state)
{
    static const char octets[20000] = "x";
    struct named_list l = {0};
    (void)state;
    for (size_t i = 0; i < 5; i++)
        named_list_add(&l, SLICE_LIT("/private/x"), slice_make(octets, sizeof(octets)));
    assert_int_equal(l.n, 3);
    assert_true(l.is_cut);
    named_list_fini(&l);
    for (size_t i = 0; i < NAMED_MAX + 5; i++)
        named_list_add(&l, SLICE_LIT("a"), SLICE_NONE);
    assert_int_equal(l.n, NAMED_MAX);
    assert_true(l.is_cut);
    named_list_fini(&l);
}

static void test_whose(void **state)
{
    static const struct {
        const char *entry;
        bool in_folder, in_all;
    } rows[] = {
        {"/private/comment", true, true},
        {"/shared/comment", true, false},
        {"/shared/vendor/kolab/folder-type", true, false},
        {"/PRIVATE/SPECIALUSE", false, false},
        {"/shared/vendor/CMU/cyrus-imapd/uniqueid", false, false},
        {"/private/vendor/cmuother", true, true},
        {"/private/vendor/vendor.dovecot/pvt/x", false, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_row(
            rows[i].entry, metadata_is_users(slice_str(rows[i].entry), false) == rows[i].in_folder);
        assert_row(
            rows[i].entry, metadata_is_users(slice_str(rows[i].entry), true) == rows[i].in_all);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_setting),
        cmocka_unit_test(test_acl),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_whose),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
