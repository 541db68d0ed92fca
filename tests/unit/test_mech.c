/* SPDX-License-Identifier: ISC */
/* By which mechanism one signs in, and what a refusal means. */
#include "imapsync/imap/mech.h"
#include "imapsync/imap/refusal.h"
#include "imapsync/imap/fault.h"
#include "tests/unit/unit.h"

#define M(name) (1u << MECH_##name)
#define ALL (M(COMMAND) - 1)

static void test_choice(void **state)
{
    static const struct row {
        const char *name;
        unsigned offered;
        struct mech_wish wish;
        bool fits;
        enum mech mech;
        const char *why; /* where none fits */
    } rows[] = {
        {"everything, bound", ALL, {.can_bind = true}, .fits = true,
            .mech = MECH_SCRAM_SHA_256_PLUS},
        {"everything, no channel", ALL, {0}, .fits = true, .mech = MECH_SCRAM_SHA_256},
        {"a binding that servers may not know", ALL, {.can_bind = true, .is_unsure = true},
            .fits = true, .mech = MECH_SCRAM_SHA_256},
        {"and by name", ALL, {.named = "scram-sha-1-plus", .can_bind = true, .is_unsure = true},
            .fits = true, .mech = MECH_SCRAM_SHA_1_PLUS},
        {"an administrator", ALL, {.is_admin = true, .acts = true, .is_open = true}, .fits = true,
            .mech = MECH_PLAIN},
        {"an administrator in one name", M(SCRAM_SHA_1) | M(CRAM_MD5), {.is_admin = true},
            .fits = true, .mech = MECH_SCRAM_SHA_1},
        {"SHA-1, bound", M(SCRAM_SHA_1_PLUS) | M(SCRAM_SHA_256), {.can_bind = true}, .fits = true,
            .mech = MECH_SCRAM_SHA_1_PLUS},
        {"PLAIN before CRAM-MD5 and LOGIN under TLS", M(PLAIN) | M(CRAM_MD5) | M(LOGIN), {0},
            .fits = true, .mech = MECH_PLAIN},
        {"and behind CRAM-MD5 without", M(PLAIN) | M(CRAM_MD5) | M(LOGIN), {.is_open = true},
            .fits = true, .mech = MECH_CRAM_MD5},
        {"PLAIN without TLS, where there is nothing else", M(PLAIN), {.is_open = true},
            .fits = true, .mech = MECH_PLAIN},
        {"LOGIN", M(LOGIN), {0}, .fits = true, .mech = MECH_LOGIN},
        {"CRAM-MD5 before the command", M(CRAM_MD5), {0}, .fits = true, .mech = MECH_CRAM_MD5},
        {"the command", 0, {0}, .fits = true, .mech = MECH_COMMAND},
        {"no command", 0, {.has_no_login = true}, .fits = false, .why = "disabled LOGIN"},
        {"a mechanism in spite of LOGINDISABLED", M(LOGIN), {.has_no_login = true}, .fits = true,
            .mech = MECH_LOGIN},
        {"for another: PLAIN", M(CRAM_MD5) | M(LOGIN) | M(PLAIN), {.acts = true, .is_open = true},
            .fits = true, .mech = MECH_PLAIN},
        {"for another: SCRAM", ALL, {.acts = true}, .fits = true, .mech = MECH_SCRAM_SHA_256},
        {"for another: nothing", M(CRAM_MD5) | M(LOGIN), {.acts = true}, .fits = false,
            .why = "no SASL mechanism by which an administrator"},
        {"a token", ALL, {.secret = MECH_TOKEN}, .fits = true, .mech = MECH_OAUTHBEARER},
        {"a token, the older way", ALL & ~M(OAUTHBEARER), {.secret = MECH_TOKEN, .acts = true},
            .fits = true, .mech = MECH_XOAUTH2},
        {"a token is not for PLAIN", M(PLAIN), {.secret = MECH_TOKEN}, .fits = false,
            .why = "neither OAUTHBEARER nor XOAUTH2"},
        {"a ticket", ALL, {.secret = MECH_TICKET, .acts = true}, .fits = true, .mech = MECH_GSSAPI},
        {"a ticket is not for PLAIN", M(PLAIN), {.secret = MECH_TICKET}, .fits = false,
            .why = "GSSAPI"},
        {"a password is not for GSSAPI", M(GSSAPI) | M(XOAUTH2), {.has_no_login = true},
            .fits = false, .why = "disabled LOGIN"},
        {"named", ALL, {.named = "cram-md5"}, .fits = true, .mech = MECH_CRAM_MD5},
        {"named, in any case", ALL, {.named = "Plain"}, .fits = true, .mech = MECH_PLAIN},
        {"named, though it is not offered", 0, {.named = "plain"}, .fits = true,
            .mech = MECH_PLAIN},
        {"the command, named", ALL, {.named = "login"}, .fits = true, .mech = MECH_COMMAND},
        {"the mechanism, named", ALL, {.named = "sasl-login"}, .fits = true, .mech = MECH_LOGIN},
        {"named, and forbidden", ALL, {.named = "login", .has_no_login = true}, .fits = false,
            .why = "disabled LOGIN"},
        {"named, and cannot act", ALL, {.named = "login", .acts = true}, .fits = false,
            .why = "no administrator"},
        {"named, for another secret", ALL, {.named = "xoauth2"}, .fits = false,
            .why = "credentials"},
        {"named, without a channel", ALL, {.named = "scram-sha-1-plus"}, .fits = false,
            .why = "channel"},
        {"a name that is none", ALL, {.named = "smoke"}, .fits = false, .why = "unknown"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        enum mech mech = MECH_COMMAND;
        const char *why = "";
        bool fits = mech_choose(rows[i].offered, &rows[i].wish, &mech, &why);
        assert_row(rows[i].name, fits == rows[i].fits);
        assert_row(rows[i].name, !fits || mech == rows[i].mech);
        assert_row(rows[i].name, fits || strstr(why, rows[i].why));
    }
}

static void test_offers(void **state)
{
    static const struct {
        const char *word;
        unsigned bit;
    } rows[] = {
        {"AUTH=PLAIN", M(PLAIN)},
        {"auth=plain", M(PLAIN)},
        {"AUTH=SCRAM-SHA-256-PLUS", M(SCRAM_SHA_256_PLUS)},
        {"AUTH=SCRAM-SHA-256-PLU", 0},
        {"AUTH=", 0},
        {"AUTH=NTLM", 0},
        {"XAUTH=PLAIN", 0},
        {"PLAIN", 0},
        {"AUTH=XOAUTH2", M(XOAUTH2)},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].word, mech_offered(slice_str(rows[i].word)) == rows[i].bit);
    for (unsigned i = 0; i < MECH_COMMAND; i++) {
        char word[64] = "AUTH=";
        memcpy(word + 5, mech_name((enum mech)i), strlen(mech_name((enum mech)i)) + 1);
        assert_row(word, mech_offered(slice_str(word)) == 1u << i);
    }
}

static void test_refusals(void **state)
{
    static const struct {
        enum imap_code_kind code;
        const char *text;
        enum refusal is;
    } rows[] = {
        {IMAP_CODE_AUTHENTICATIONFAILED, "Authentication failed.", REFUSAL_REAL},
        {IMAP_CODE_AUTHENTICATIONFAILED, "Too many invalid passwords", REFUSAL_REAL},
        {IMAP_CODE_NONE, "", REFUSAL_REAL},
        {IMAP_CODE_NONE, "LOGIN failed.", REFUSAL_REAL},
        {IMAP_CODE_NONE, "Login failed: authentication failure", REFUSAL_REAL},
        {IMAP_CODE_ALERT, "Invalid credentials (Failure)", REFUSAL_REAL},
        {IMAP_CODE_OTHER, "no", REFUSAL_REAL},
        {IMAP_CODE_UNAVAILABLE, "Temporary authentication failure.", REFUSAL_LATER},
        {IMAP_CODE_LIMIT, "no", REFUSAL_LATER},
        {IMAP_CODE_INUSE, "no", REFUSAL_LATER},
        {IMAP_CODE_THROTTLED, "no", REFUSAL_LATER},
        {IMAP_CODE_SERVERBUG, "no", REFUSAL_LATER},
        {IMAP_CODE_ALERT, "Too many simultaneous connections. (Failure)", REFUSAL_LATER},
        {IMAP_CODE_NONE, "Maximum number of connections from user+IP exceeded", REFUSAL_LATER},
        {IMAP_CODE_NONE, "Request is throttled. Suggested Backoff Time: 299961 milliseconds",
            REFUSAL_LATER},
        {IMAP_CODE_NONE, "Server Unavailable. 15", REFUSAL_LATER},
        {IMAP_CODE_NONE, "LOGIN Server error - please try again later", REFUSAL_LATER},
        {IMAP_CODE_NONE, "Database connection failed", REFUSAL_LATER},
        {IMAP_CODE_NONE, "LDAP server down", REFUSAL_LATER},
        {IMAP_CODE_NONE, "Service not available", REFUSAL_LATER},
        {IMAP_CODE_NONE, "The system is going down for maintenance", REFUSAL_LATER},
        {IMAP_CODE_NONE, "mailbox locked by another process", REFUSAL_LATER},
        {IMAP_CODE_OTHER, "busy", REFUSAL_LATER},
        {IMAP_CODE_ALERT, "Lockdown in sector 4 (Failure)", REFUSAL_LATER},
        {IMAP_CODE_OVERQUOTA, "Account exceeded command or bandwidth limits. (Failure)",
            REFUSAL_LATER},
        {IMAP_CODE_NONE, "Account is locked", REFUSAL_REAL},
        {IMAP_CODE_NONE, "User is not in the database", REFUSAL_REAL},
        {IMAP_CODE_NONE, "IMAP is not available for this account", REFUSAL_REAL},
        {IMAP_CODE_AUTHORIZATIONFAILED, "no", REFUSAL_OTHER},
        {IMAP_CODE_EXPIRED, "no", REFUSAL_OTHER},
        {IMAP_CODE_CONTACTADMIN, "no", REFUSAL_OTHER},
        {IMAP_CODE_PRIVACYREQUIRED, "no", REFUSAL_OTHER},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].text, refusal_judge(rows[i].code, rows[i].text, false) == rows[i].is);
}

/* What a NO is about: without a code, by its words. */
static void test_faults(void **state)
{
    static const struct {
        const char *text;
        enum err_class class;
        enum err_scope scope;
        bool is_wide;
    } rows[] = {
        {"no", ERR_PERM, ERR_SCOPE_NONE, false},
        {"Message too long", ERR_PERM, ERR_SCOPE_NONE, false},
        {"Request is throttled.", ERR_TEMP, ERR_SCOPE_USER, false},
        {"Server busy, please try again later", ERR_TEMP, ERR_SCOPE_USER, false},
        {"Server error, please try again later", ERR_PERM, ERR_SCOPE_NONE, false},
        {"APPEND The 1500 MB storage limit has been exceeded.", ERR_TEMP, ERR_SCOPE_USER, true},
        {"You exceeded your mail quota, mailbox is FULL", ERR_TEMP, ERR_SCOPE_USER, true},
        {"Quota exceeded (mailbox for user is full)", ERR_TEMP, ERR_SCOPE_USER, true},
        {"Write error: No space left on device", ERR_TEMP, ERR_SCOPE_USER, true},
        {"Quota root is not known", ERR_PERM, ERR_SCOPE_NONE, false},
    };
    /* By its code; the wide ones are given to single messages too, the others mean what they say.
     */
    static const struct {
        enum imap_code_kind code;
        enum err_scope scope;
        bool is_wide;
    } codes[] = {
        {IMAP_CODE_SERVERBUG, ERR_SCOPE_HOST, true},
        {IMAP_CODE_UNAVAILABLE, ERR_SCOPE_HOST, true},
        {IMAP_CODE_PRIVACYREQUIRED, ERR_SCOPE_HOST, true},
        {IMAP_CODE_OVERQUOTA, ERR_SCOPE_USER, true},
        {IMAP_CODE_AUTHENTICATIONFAILED, ERR_SCOPE_USER, true},
        {IMAP_CODE_AUTHORIZATIONFAILED, ERR_SCOPE_USER, true},
        {IMAP_CODE_EXPIRED, ERR_SCOPE_USER, true},
        {IMAP_CODE_CONTACTADMIN, ERR_SCOPE_USER, true},
        {IMAP_CODE_LIMIT, ERR_SCOPE_FOLDER, true},
        {IMAP_CODE_CANNOT, ERR_SCOPE_FOLDER, true},
        {IMAP_CODE_INUSE, ERR_SCOPE_FOLDER, true},
        {IMAP_CODE_NOPERM, ERR_SCOPE_FOLDER, true},
        {IMAP_CODE_TOOBIG, ERR_SCOPE_MESSAGE, false},
        {IMAP_CODE_NONEXISTENT, ERR_SCOPE_FOLDER, false},
        {IMAP_CODE_TRYCREATE, ERR_SCOPE_FOLDER, false},
        {IMAP_CODE_THROTTLED, ERR_SCOPE_USER, false},
        {IMAP_CODE_OTHER, ERR_SCOPE_NONE, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(imap_fault_parts(IMAP_STATUS_NO, codes[i].code, "no", "x", &err), -1);
        assert_row(imap_code_name(codes[i].code),
            err.scope == codes[i].scope && err.is_wide == codes[i].is_wide);
    }
    const enum imap_code_kind less[] = {
        IMAP_CODE_NONE, IMAP_CODE_ALERT, IMAP_CODE_LIMIT, IMAP_CODE_OVERQUOTA, IMAP_CODE_INUSE};
    for (size_t i = 0; i < COUNT_OF(less); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(imap_fault_parts(IMAP_STATUS_NO, less[i],
                             "Account exceeded command or bandwidth limits.", "x", &err),
            -1);
        assert_true(err.class == ERR_TEMP && err.scope == ERR_SCOPE_USER && !err.is_wide);
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(
            imap_fault_parts(IMAP_STATUS_NO, IMAP_CODE_NONE, rows[i].text, "x", &err), -1);
        assert_row(rows[i].text, err.class == rows[i].class && err.scope == rows[i].scope &&
                                     err.is_wide == rows[i].is_wide);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choice),
        cmocka_unit_test(test_offers),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
