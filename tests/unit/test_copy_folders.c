/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "imapsync/plan/folders.h"
#include "imapsync/copy/trash.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/no_mail.h"
#include "tests/unit/unit.h"

static void attributes(const char *text, unsigned *attrs, enum folder_use *use)
{
    static const struct {
        const char *word;
        unsigned attr;
        enum folder_use use;
    } words[] = {
        {"\\Noselect", FOLDER_NOSELECT, FOLDER_USE_NONE},
        {"\\All", FOLDER_VIRTUAL | FOLDER_ALL, FOLDER_USE_NONE},
        {"\\Flagged", FOLDER_VIRTUAL, FOLDER_USE_NONE},
        {"\\Sent", 0, FOLDER_USE_SENT},
        {"\\Trash", 0, FOLDER_USE_TRASH},
        {"\\Junk", 0, FOLDER_USE_JUNK},
        {"\\Drafts", 0, FOLDER_USE_DRAFTS},
        {"\\Archive", 0, FOLDER_USE_ARCHIVE},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!strstr(text, words[i].word))
            continue;
        *attrs |= words[i].attr;
        *use = words[i].use != FOLDER_USE_NONE ? words[i].use : *use;
    }
}

/* A list out of "name attributes" rows, one delimiter for all. */
static void make(struct folder_list *l, int delimiter, const char *personal, const char *foreign,
    const char *const rows[][2])
{
    struct err err = ERR_INIT;
    folder_list_init(l);
    l->delimiter = delimiter;
    if (personal)
        l->personal = slice_make(slice_dup(slice_str(personal)), strlen(personal));
    if (foreign)
        l->foreign[l->n_foreign++] = slice_make(slice_dup(slice_str(foreign)), strlen(foreign));
    for (size_t i = 0; rows[i][0]; i++) {
        unsigned attrs = 0;
        enum folder_use use = FOLDER_USE_NONE;
        attributes(rows[i][1], &attrs, &use);
        assert_int_equal(folder_list_add(l, slice_str(rows[i][0]), delimiter, attrs, use, &err), 0);
    }
}

static const char *const none[][2] = {{NULL, NULL}};

/* "#" stands for the eight digits of a fallback. */
static bool is_like(struct slice name, const char *want)
{
    size_t at = 0;
    bool is = true;
    for (; is && *want; want++) {
        for (size_t k = 0; k < (*want == '#' ? 8u : 1u); k++, at++) {
            unsigned char c = at < name.n ? name.p[at] : 0;
            is = is && (*want == '#' ? ascii_is_digit(c) || (c >= 'a' && c <= 'f')
                                     : c == (unsigned char)*want);
        }
    }
    return is && at == name.n;
}

static void check_kept(const struct folder_list *source, const struct folder_list *target,
    const struct slice *kept, const char *const *want)
{
    struct folder_map m;
    folder_map_make(&(struct folder_mapping){.source = source, .target = target, .kept = kept}, &m);
    for (size_t i = 0; i < m.n; i++) {
        if (!want[i]) {
            assert_null(m.names[i].p);
        } else {
            assert_non_null(m.names[i].p);
            assert_row(want[i], is_like(m.names[i], want[i]));
        }
    }
    folder_map_fini(&m);
}

static void check(
    const struct folder_list *source, const struct folder_list *target, const char *const *want)
{
    check_kept(source, target, NULL, want);
}

static void test_delimiters_and_prefixes(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"INBOX.Work", ""}, {"INBOX.Work.a/b", ""},
        {"INBOX.Entw&APw-rfe", ""}, {"inbox", ""}, {"INBOX.a..b", ""}, {"INBOX.", ""},
        {"INBOX.x&-y", ""}, {NULL, NULL}};
    static const char *const slash[] = {
        "INBOX", "Work", "Work/a_b", "Entw&APw-rfe", "a/_/b", "INBOX/_", "x&-y"};
    static const char *const prefixed[] = {"INBOX", "INBOX.Work", "INBOX.Work.a/b",
        "INBOX.Entw&APw-rfe", "INBOX.a._.b", "INBOX._", "INBOX.x&-y"};
    static const char *const flat[] = {
        "INBOX", "Work", "Work_a/b", "Entw&APw-rfe", "a___b", "INBOX__", "x&-y"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', "INBOX.", NULL, rows);
    assert_int_equal(source.n, 7); /* inbox is INBOX */
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, slash);
    folder_list_fini(&target);
    make(&target, '.', "INBOX.", NULL, none);
    check(&source, &target, prefixed);
    folder_list_fini(&target);
    make(&target, -1, NULL, NULL, none);
    check(&source, &target, flat);
    folder_list_fini(&target);
    folder_list_fini(&source);
}

static void test_bad_names(void **state)
{
    /* Not modified UTF-7, each in its way; a path is only a name. */
    static const char *const rows[][2] = {{"&", ""}, {"\xc3\xa4", ""}, {"\xe4", ""}, {"..", ""},
        {"../x", ""}, {"/y", ""}, {"~", ""}, {"a\tb", ""}, {"&AAk-", ""}, {NULL, NULL}};
    static const char *const want[] = {
        "&-", "&AOQ-", "&AOQ--#", "__", "__.x", "_.y", "~", "a_b", "_"};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', NULL, NULL, rows);
    make(&target, '.', NULL, NULL, none);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_collisions(void **state)
{
    static const char *const rows[][2] = {
        {"a/b", ""}, {"a_b", ""}, {"a\tb", ""}, {"a%b", ""}, {NULL, NULL}};
    /* Who keeps his name by himself has it, wherever he stands. */
    static const char *const want[] = {"a_b-#", "a_b", "a_b-#", "a%b"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', NULL, NULL, rows);
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_special_use(void **state)
{
    static const char *const rows[][2] = {{"Gesendet", "\\HasNoChildren \\Sent"},
        {"Papierkorb", "\\Trash"}, {"Junk", "\\Junk"}, {"Trash", ""}, {"[Gmail]/Alle", "\\All"},
        {"[Gmail]/Markiert", "\\Flagged"}, {"Shared/x", ""}, {"Shared", "\\Noselect"},
        {NULL, NULL}};
    static const char *const there[][2] = {
        {"Sent", "\\Sent"}, {"Trash", "\\Trash"}, {"Spam", "\\Junk"}, {NULL, NULL}};
    /* Papierkorb cannot become Trash: a plain folder of the source needs that name. */
    static const char *const want[] = {
        "Sent", "Papierkorb", "Spam", "Trash", "Archive", "[Gmail]/Markiert", NULL, NULL};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', "", "Shared/", rows);
    make(&target, '/', "", NULL, there);
    check(&source, &target, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

/* What shows all messages is the archive, of which there is one. */
static void test_what_shows_all(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"All", "\\All"}, {NULL, NULL}};
    static const char *const archived[][2] = {
        {"INBOX", ""}, {"All", "\\All"}, {"Archiv", ""}, {NULL, NULL}};
    static const char *const there[][2] = {{"Ablage", "\\Archive"}, {NULL, NULL}};
    static const char *const own[] = {"INBOX", "INBOX.Archive"}, *const met[] = {"INBOX", "Ablage"};
    static const char *const beside[] = {"INBOX", "Archive", "Ablage"};
    static const char *const named[][2] = {
        {"INBOX", ""}, {"All", "\\All"}, {"Archive", ""}, {NULL, NULL}};
    static const char *const yields[] = {"INBOX", "All", "Archive"};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', "", NULL, rows);
    make(&target, '.', "INBOX.", NULL, none);
    check(&source, &target, own);
    folder_list_fini(&target);
    make(&target, '/', "", NULL, there);
    check(&source, &target, met);
    folder_list_fini(&source);
    make(&source, '/', "", NULL, archived);
    check(&source, &target, beside);
    folder_list_fini(&source);
    folder_list_fini(&target);
    make(&source, '/', "", NULL, named);
    make(&target, '/', "", NULL, none);
    check(&source, &target, yields);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

/* Below a prefix a folder may have the name that is another one's without it. */
static void test_inbox_of_the_user(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"INBOX.Inbox", ""}, {"INBOX.INBOX", ""},
        {"INBOX.inbox.a", ""}, {NULL, NULL}};
    static const char *const slash[] = {"INBOX", "Inbox-#", "INBOX-#", "inbox/a"};
    struct folder_list source, target;
    (void)state;
    make(&source, '.', "INBOX.", NULL, rows);
    make(&target, '/', NULL, NULL, none);
    check(&source, &target, slash);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

/* Without a prefix INBOX is a parent like others; a target that has all below INBOX has it so too.
 */
static void test_children_of_inbox(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"Inbox/COMPTA", ""}, {"INBOX/a/b.c", ""},
        {"COMPTA", ""}, {"INBOX/Inbox", ""}, {"Inboxes/x", ""}, {"INBOX/", ""}, {NULL, NULL}};
    static const char *const prefixed[] = {"INBOX", "INBOX.COMPTA-#", "INBOX.a.b_c", "INBOX.COMPTA",
        "INBOX.Inbox", "INBOX.Inboxes.x", "INBOX._"};
    static const char *const plain[] = {
        "INBOX", "INBOX.COMPTA", "INBOX.a.b_c", "COMPTA", "INBOX.Inbox", "Inboxes.x", "INBOX._"};
    static const char *const elsewhere[] = {"INBOX", "Mail.INBOX.COMPTA", "Mail.INBOX.a.b_c",
        "Mail.COMPTA", "Mail.INBOX.Inbox", "Mail.Inboxes.x", "Mail.INBOX._"};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', "", NULL, rows);
    make(&target, '.', "INBOX.", NULL, none);
    check(&source, &target, prefixed);
    folder_list_fini(&target);
    make(&target, '.', "", NULL, none);
    check(&source, &target, plain);
    folder_list_fini(&target);
    make(&target, '.', "Mail.", NULL, none);
    check(&source, &target, elsewhere);
    folder_list_fini(&target);
    folder_list_fini(&source);
    /* And back: both have all below INBOX. */
    static const char *const below[][2] = {
        {"INBOX", ""}, {"INBOX.INBOX.x", ""}, {"INBOX.x", ""}, {NULL, NULL}};
    static const char *const same[] = {"INBOX", "INBOX/INBOX/x", "INBOX/x"};
    make(&source, '.', "INBOX.", NULL, below);
    make(&target, '/', "INBOX/", NULL, none);
    check(&source, &target, same);
    folder_list_fini(&target);
    folder_list_fini(&source);
}

/* Who has got another name takes those below along, but for what the journal says of them. */
static void test_below_another_name(void **state)
{
    static const char *const rows[][2] = {{"Sent/2019/May", ""}, {"Sent", "\\Sent"},
        {"Sent/2019", ""}, {"a_b", ""}, {"a.b", ""}, {"a.b/x", ""}, {"a_b/x", ""}, {"Work/New", ""},
        {"Work", ""}, {"Work/Old", ""}, {NULL, NULL}};
    static const char *const there[][2] = {{"Gesendet", "\\Sent"}, {NULL, NULL}};
    static const char *const want[] = {"Gesendet.2019.May", "Gesendet", "Gesendet.2019", "a_b",
        "a_b-#", "a_b-#.x", "a_b.x", "Arbeit.New", "Arbeit", "Work.Old"};
    struct slice kept[10] = {[8] = SLICE_LIT("Arbeit"), [9] = SLICE_LIT("Work.Old")};
    struct folder_list source, target;
    (void)state;
    make(&source, '/', "", NULL, rows);
    make(&target, '.', "", NULL, there);
    check_kept(&source, &target, kept, want);
    folder_list_fini(&source);
    folder_list_fini(&target);
}

static void test_special_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *name, *personal;
        const char *const here[5][2], *const there[5][2], *want[4];
    } cases[] = {
        {"any language, by its name and by its use", "",
            {{"Gesendete Objekte", ""}, {"Corbeille", ""}, {NULL, NULL}},
            {{"Sent", ""}, {"Papelera", "\\Trash"}, {NULL, NULL}}, {"Sent", "Papelera"}},
        {"composed or not, in any case", "", {{"ENTWU&Awg-RFE", ""}, {NULL, NULL}},
            {{"Drafts", "\\Drafts"}, {NULL, NULL}}, {"Drafts"}},
        {"below INBOX", "INBOX/", {{"INBOX/Kosz", ""}, {NULL, NULL}},
            {{"Trash", "\\Trash"}, {NULL, NULL}}, {"Trash"}},
        {"the target has none", "", {{"Gesendet", ""}, {NULL, NULL}}, {{NULL, NULL}}, {"Gesendet"}},
        {"the same name wins over another by name", "", {{"Gesendet", ""}, {NULL, NULL}},
            {{"Sent", "\\Sent"}, {"Gesendet", ""}, {NULL, NULL}}, {"Gesendet"}},
        {"the same name among several", "", {{"Sent Messages", "\\Sent"}, {NULL, NULL}},
            {{"Sent", "\\Sent"}, {"Sent Messages", "\\Sent"}, {NULL, NULL}}, {"Sent Messages"}},
        {"one of the source is one of the target", "",
            {{"Gesendet", ""}, {"Sent Items", ""}, {"Verzonden", ""}, {NULL, NULL}},
            {{"Enviados", "\\Sent"}, {NULL, NULL}}, {"Gesendet", "Enviados", "Verzonden"}},
        {"nobody guesses where the server says", "",
            {{"Post", "\\Sent"}, {"Sent", ""}, {NULL, NULL}},
            {{"Enviados", "\\Sent"}, {"Sent Items", ""}, {NULL, NULL}}, {"Enviados", "Sent"}},
        {"not the name of another folder", "", {{"Gesendet", "\\Sent"}, {"Sent", ""}, {NULL, NULL}},
            {{"Sent", "\\Sent"}, {NULL, NULL}}, {"Gesendet", "Sent"}},
        {"deeper ones are only folders", "", {{"Work/Gesendet", ""}, {NULL, NULL}},
            {{"Sent", "\\Sent"}, {NULL, NULL}}, {"Work/Gesendet"}},
        {"one that can have no messages", "", {{"Gesendet", ""}, {NULL, NULL}},
            {{"Sent", "\\Sent \\Noselect"}, {NULL, NULL}}, {"Gesendet"}},
        {"another user's", "", {{"Gesendet", ""}, {NULL, NULL}},
            {{"shared/Sent", "\\Sent"}, {NULL, NULL}}, {"Gesendet"}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct folder_list source, target;
        struct folder_map m;
        make(&source, '/', cases[i].personal, NULL, cases[i].here);
        make(&target, '/', "", "shared/", cases[i].there);
        folder_map_make(&(struct folder_mapping){.source = &source, .target = &target}, &m);
        for (size_t k = 0; k < m.n; k++)
            assert_row(cases[i].name, slice_eq(m.names[k], slice_str(cases[i].want[k])));
        folder_map_fini(&m);
        folder_list_fini(&source);
        folder_list_fini(&target);
    }
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool matches;
    } rows[] = {{"Work", "Work", true}, {"Work", "Works", false}, {"Work", "work", false},
        {"*", "a/b/c", true}, {"%", "a/b/c", false}, {"%", "abc", true}, {"%/b", "a/b", true},
        {"a/%", "a/b", true}, {"a/%", "a/b/c", false}, {"a/*", "a/b/c", true}, {"a/*", "a", false},
        {"a*", "a", true}, {"*c", "a/b/c", true}, {"*b*", "a/b/c", true},
        {"a*b%c", "a/x/b-c", true}, {"a*b%c", "a/x/b/c", false}, {"%%*", "", true}, {"", "", true},
        {"", "a", false},
        {"*a*a*a*a*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].pattern, folder_pattern_matches(slice_str(rows[i].pattern),
                                        slice_str(rows[i].name), '/') == rows[i].matches);
    assert_true(folder_pattern_matches(SLICE_LIT("%"), SLICE_LIT("a/b"), -1));
}

static void test_rules(void **state)
{
    static const char *const rows[][2] = {{"INBOX", ""}, {"B&APw-ro", ""}, {"B&APw-ro/Alt", ""},
        {"Gesendet", "\\Sent"}, {"Junk", ""}, {"Junk/2019", ""}, {"Neu", ""}, {NULL, NULL}};
    static const char *const there[][2] = {{"INBOX.Sent", "\\Sent"}, {NULL, NULL}};
    static const char *const map[] = {"B\xc3\xbcro=Office.\xc3\x9c", "Gesendet=INBOX.Neu", NULL};
    static const char *const exclude[] = {"Junk*", NULL}, *const include[] = {
                                                              "inbox", "B*", "G%", NULL};
    static const char *const mapped[] = {"INBOX", "INBOX.Office.&ANw-", "INBOX.Office.&ANw-.Alt",
        "INBOX.Neu", NULL, NULL, "INBOX.Neu-#"};
    static const char *const some[] = {
        "INBOX", "INBOX.B&APw-ro", "INBOX.B&APw-ro.Alt", "INBOX.Sent", NULL, NULL, NULL};
    struct folder_rules rules = {.map = folder_words(map), .exclude = folder_words(exclude)};
    struct folder_mapping in = {.rules = &rules};
    struct folder_list source, target;
    struct folder_map m;
    struct err err = ERR_INIT;
    (void)state;
    make(&source, '/', "", NULL, rows);
    make(&target, '.', "INBOX.", NULL, there);
    in.source = &source;
    in.target = &target;
    for (size_t round = 0; round < 2; round++) {
        const char *const *want = round == 0 ? mapped : some;
        if (round == 1)
            rules = (struct folder_rules){.include = folder_words(include)};
        assert_int_equal(folder_rules_check(&rules, &err), 0);
        folder_map_make(&in, &m);
        for (size_t i = 0; i < m.n; i++)
            assert_row(rows[i][0], want[i] ? is_like(m.names[i], want[i]) : !m.names[i].p);
        folder_map_fini(&m);
    }
    folder_list_fini(&source);
    folder_list_fini(&target);
}

/* What is no mail is only taken along where somebody says so. */
static void test_no_mail(void **state)
{
    static const char *const in[] = {"INBOX", "Kal*", NULL}, *const out[] = {"Kalender", NULL};
    const struct folder_rules include = {.include = folder_words(in)};
    const struct folder_rules exclude = {.exclude = folder_words(out)};
    const struct folder_rules other = {.exclude = folder_words(&in[1])};
    struct folder f = {.name = SLICE_LIT("Kalender"), .delimiter = '/', .attrs = FOLDER_NO_MAIL};
    (void)state;
    assert_int_equal(folder_rules_choose(NULL, &f), FOLDER_HAS_NO_MAIL);
    assert_int_equal(folder_rules_choose(&include, &f), FOLDER_TAKEN);
    assert_int_equal(folder_rules_choose(&exclude, &f), FOLDER_RULED_OUT);
    f.name = SLICE_LIT("Contacts");
    assert_int_equal(folder_rules_choose(&include, &f), FOLDER_RULED_OUT);
    assert_int_equal(folder_rules_choose(&other, &f), FOLDER_HAS_NO_MAIL);
}

static void test_no_mail_names(void **state)
{
    static const struct {
        const char *name;
        bool is;
    } rows[] = {{"Calendar", true}, {"CALENDAR/Birthdays", true}, {"Kalender", true},
        {"T&AOI-ches", true}, {"Attivit&AOA-", true}, {"Calendars", false},
        {"Work/Calendar", false}, {"INBOX", false}, {"Notities/x/y", true}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name, no_mail_is_name(slice_str(rows[i].name), '/') == rows[i].is);
    assert_true(
        no_mail_is_exchange(SLICE_LIT("The Microsoft Exchange IMAP4 service is ready. [QgBO]")));
    assert_false(no_mail_is_exchange(SLICE_LIT("Dovecot ready.")));
}

static void test_bad_rules(void **state)
{
    static const char *const bad[][3] = {{"a", NULL}, {"=b", NULL}, {"a=", NULL}, {"INBOX=x", NULL},
        {"x=inbox", NULL}, {"a=b", "a=c", NULL}, {"a=c", "b=c", NULL}, {"a\t=b", NULL},
        {"a=\xff", NULL}};
    static const char *const bad_patterns[] = {"", NULL};
    struct err err = ERR_INIT;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct folder_rules rules = {.map = folder_words(bad[i])};
        assert_row(bad[i][0], folder_rules_check(&rules, &err) == -1);
    }
    struct folder_rules rules = {.exclude = folder_words(bad_patterns)};
    assert_int_equal(folder_rules_check(&rules, &err), -1);
}

static struct slice fallback_of(const struct folder *f, const char *wanted, int delimiter,
    const char *salt, unsigned step, struct buf *out)
{
    struct folder_list target = {.delimiter = delimiter, .personal = SLICE_LIT("INBOX.")};
    buf_init(out, 1u << 20);
    folder_fallback(f, slice_str(wanted), &target, salt, step, out);
    return buf_slice(out);
}

/* Refused names: what is left of them, before the digest. */
static void test_fallback(void **state)
{
    static const struct {
        const char *wanted, *in_place, *flat;
    } rows[] = {
        {"INBOX.cur", "INBOX.cur", "INBOX.cur"},
        {"INBOX.a.tmp", "INBOX.a.tmp", "INBOX.a_tmp"},
        {"Tasks?", "Tasks_", "INBOX.Tasks_"},
        {"INBOX. x  y ", "INBOX._x _y ", "INBOX._x _y "},
        {"INBOX.~root", "INBOX._root", "INBOX._root"},
        {"INBOX.emoji &2D3eAA-", "INBOX.emoji _", "INBOX.emoji _"},
        {"INBOX.&ZeVnLIqe-", "INBOX.&ZeVnLIqe-", "INBOX.___"},
        {"INBOX.Entw&APw-rfe", "INBOX.Entw&APw-rfe", "INBOX.Entw_rfe"},
    };
    struct folder f = {.name = SLICE_LIT("n"), .uidvalidity = 7};
    struct folder other = {.name = SLICE_LIT("n"), .uidvalidity = 8};
    struct folder with_id = {.name = SLICE_LIT("n"), .uidvalidity = 7, .id = SLICE_LIT("F1")};
    struct folder moved = {.name = SLICE_LIT("n"), .uidvalidity = 9, .id = SLICE_LIT("F1")};
    struct buf a, b;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (unsigned step = 0; step < FOLDER_FALLBACKS; step++) {
            struct slice name = fallback_of(&f, rows[i].wanted, '.', "ann", step, &a);
            const char *want = step == 0 ? rows[i].in_place : rows[i].flat;
            assert_row(rows[i].wanted, name.n == strlen(want) + 9 && name.p[name.n - 9] == '-');
            assert_row(rows[i].wanted, slice_starts(name, slice_str(want)));
            buf_fini(&a);
        }
    }
    struct slice first = fallback_of(&f, "INBOX.x?", '.', "ann", 0, &a);
    assert_true(slice_eq(first, fallback_of(&f, "INBOX.x?", '.', "ann", 0, &b)));
    buf_fini(&b);
    assert_false(slice_eq(first, fallback_of(&f, "INBOX.x?", '.', "bob", 0, &b)));
    buf_fini(&b);
    assert_false(slice_eq(first, fallback_of(&other, "INBOX.x?", '.', "ann", 0, &b)));
    buf_fini(&b);
    buf_fini(&a);
    first = fallback_of(&with_id, "INBOX.x?", '.', "ann", 1, &a);
    assert_true(slice_eq(first, fallback_of(&moved, "INBOX.x?", '.', "ann", 1, &b)));
    buf_fini(&a);
    buf_fini(&b);
}

static void test_fallback_is_short(void **state)
{
    struct folder f = {.name = SLICE_LIT("n")};
    struct buf a;
    char deep[2000];
    (void)state;
    memset(deep, 'x', sizeof(deep) - 1);
    deep[sizeof(deep) - 1] = '\0';
    for (size_t i = 40; i < sizeof(deep) - 1; i += 40)
        deep[i] = '.';
    assert_true(fallback_of(&f, deep, '.', "ann", 1, &a).n < 80);
    buf_fini(&a);
    memset(deep, 'x', sizeof(deep) - 1);
    assert_true(fallback_of(&f, deep, '.', "ann", 0, &a).n < 120);
    buf_fini(&a);
}

/* --- What a name depends on --------------------------------------------------------------------
 */

#define SOME_NAMES 24

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 8;
}

/* Names that meet when they are mapped. */
static void random_name(uint32_t *seed, char *out, size_t size)
{
    static const char *const parts[] = {
        "a", "A", "a.b", "a_b", "a\tb", "Sent", "Gesendet", "INBOX", "Inbox", "&AOQ-", "\xe4", "_"};
    const char *first = parts[next_random(seed) % COUNT_OF(parts)];
    const char *second = parts[next_random(seed) % COUNT_OF(parts)];
    bool is_deep = next_random(seed) % 3 == 0;
    assert_int_equal(fmt_into(out, size, is_deep ? "%s/%s" : "%s", first, second), 0);
}

struct some_names {
    char v[SOME_NAMES][40];
    size_t n;
};

/* From the place `from` on, and then those before it; uidvalidity follows from the name. */
static void list_from(const struct some_names *names, size_t from, struct folder_list *out)
{
    struct err err = ERR_INIT;
    folder_list_init(out);
    out->delimiter = '/';
    for (size_t i = 0; i < names->n; i++) {
        struct slice name = slice_str(names->v[(from + i) % names->n]);
        assert_int_equal(folder_list_add(out, name, '/', 0, FOLDER_USE_NONE, &err), 0);
        folder_list_find(out, name)->uidvalidity = (uint32_t)folder_name_hash(name);
    }
}

static struct slice name_of(
    const struct folder_list *l, const struct folder_map *m, struct slice name)
{
    const struct folder *f = folder_list_find(l, name);
    return f ? m->names[f - l->v] : SLICE_NONE;
}

/* Whatever order they are listed in, each has the same name; and one that is not its own is that of
 * the fallback, whoever is in its way. */
static void test_names_depend_on_nothing_else(void **state)
{
    static const char *const there[][2] = {{"INBOX.Sent", "\\Sent"}, {NULL, NULL}};
    struct folder_list target;
    (void)state;
    make(&target, '.', "INBOX.", NULL, there);
    for (uint32_t round = 1; round <= 300; round++) {
        uint32_t seed = round;
        struct some_names names = {.n = SOME_NAMES};
        struct folder_list list, turned, alone;
        struct folder_map first, second, single;
        for (size_t i = 0; i < names.n; i++)
            random_name(&seed, names.v[i], sizeof(names.v[i]));
        list_from(&names, 0, &list);
        list_from(&names, 1 + next_random(&seed) % (names.n - 1), &turned);
        struct folder_mapping in = {.source = &list, .target = &target, .salt = "ann"};
        folder_map_make(&in, &first);
        in.source = &turned;
        folder_map_make(&in, &second);
        for (size_t i = 0; i < list.n; i++) {
            const struct folder *f = &list.v[i];
            assert_true(slice_eq(first.names[i], name_of(&turned, &second, f->name)));
            if (slice_find(f->name, '/') >= 0)
                continue;
            struct some_names only = {.n = 1};
            assert_int_equal(fmt_into(only.v[0], sizeof(only.v[0]), "%.*s", SLICE_ARG(f->name)), 0);
            list_from(&only, 0, &alone);
            in.source = &alone;
            folder_map_make(&in, &single);
            struct buf name;
            bool is_own = slice_eq(first.names[i], single.names[0]), is = is_own;
            buf_init(&name, 32 * FOLDER_NAME_MAX);
            folder_fallback(f, single.names[0], &target, "ann", 0, &name);
            is = is || slice_eq(first.names[i], buf_slice(&name)) || f->use != FOLDER_USE_NONE;
            /* One that would be Sent's yields to the folder that is called so. */
            is = is || slice_eq(single.names[0], SLICE_LIT("INBOX.Sent"));
            assert_row(names.v[0], is);
            buf_fini(&name);
            folder_map_fini(&single);
            folder_list_fini(&alone);
        }
        folder_map_fini(&first);
        folder_map_fini(&second);
        folder_list_fini(&list);
        folder_list_fini(&turned);
    }
    folder_list_fini(&target);
}

/* As many as there are, and still as many names. */
static void test_many_twins(void **state)
{
    struct folder_list l, target;
    struct folder_map m;
    struct err err = ERR_INIT;
    (void)state;
    folder_list_init(&l);
    folder_list_init(&target);
    for (unsigned i = 0; i < 20000; i++) {
        char name[32];
        assert_int_equal(fmt_into(name, sizeof(name), "%u.x", i % 31), 0);
        for (size_t k = 0, bits = i / 31; k < 10; k++, bits /= 2)
            name[strlen(name) + 1] = '\0', name[strlen(name)] = bits & 1 ? '\1' : '\2';
        assert_int_equal(folder_list_add(&l, slice_str(name), '/', 0, FOLDER_USE_NONE, &err), 0);
    }
    folder_map_make(&(struct folder_mapping){.source = &l, .target = &target, .salt = ""}, &m);
    folder_list_init(&target);
    for (size_t i = 0; i < m.n; i++)
        assert_int_equal(folder_list_add(&target, m.names[i], '/', 0, FOLDER_USE_NONE, &err), 0);
    assert_int_equal(target.n, l.n);
    folder_map_fini(&m);
    folder_list_fini(&l);
    folder_list_fini(&target);
}

static void test_limits(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    for (size_t levels = FOLDER_LEVELS_MAX - 1; levels <= FOLDER_LEVELS_MAX + 1; levels++) {
        struct folder_list l;
        struct buf name;
        folder_list_init(&l);
        buf_init(&name, 1000);
        for (size_t i = 0; i < levels; i++)
            assert_int_equal(buf_add_str(&name, i ? "/a" : "a"), 0);
        assert_int_equal(folder_list_add(&l, buf_slice(&name), '/', 0, FOLDER_USE_NONE, &err), 0);
        assert_int_equal(l.n, levels <= FOLDER_LEVELS_MAX);
        assert_int_equal(l.ignored, levels > FOLDER_LEVELS_MAX);
        buf_fini(&name);
        folder_list_fini(&l);
    }
    for (size_t n = FOLDER_NAME_MAX - 1; n <= FOLDER_NAME_MAX + 1; n++) {
        struct folder_list l;
        char *name = mem_zalloc(n);
        memset(name, 'a', n);
        folder_list_init(&l);
        assert_int_equal(
            folder_list_add(&l, slice_make(name, n), '/', 0, FOLDER_USE_NONE, &err), 0);
        assert_int_equal(l.n, n <= FOLDER_NAME_MAX);
        free(name);
        folder_list_fini(&l);
    }
}

static void test_limit_of_all_names(void **state)
{
    const size_t most = FOLDERS_OCTETS_MAX / FOLDER_NAME_MAX;
    struct folder_list l;
    struct err err = ERR_INIT;
    char *name = mem_zalloc(FOLDER_NAME_MAX + 1);
    (void)state;
    memset(name, 'a', FOLDER_NAME_MAX);
    folder_list_init(&l);
    for (size_t i = 0; i <= most; i++) {
        assert_int_equal(fmt_into(name, 16, "%zu", i), 0);
        name[strlen(name)] = '-';
        assert_int_equal(
            folder_list_add(&l, slice_make(name, FOLDER_NAME_MAX), '/', 0, FOLDER_USE_NONE, &err),
            i < most ? 0 : -1);
    }
    assert_int_equal(l.n, most);
    assert_int_equal(l.octets, FOLDERS_OCTETS_MAX);
    free(name);
    folder_list_fini(&l);
}

static void test_many(void **state)
{
    struct folder_list l, target;
    struct folder_map m;
    struct err err = ERR_INIT;
    (void)state;
    folder_list_init(&l);
    for (unsigned i = 0; i < 100000; i++) {
        char name[32];
        assert_int_equal(fmt_into(name, sizeof(name), "f%u", i), 0);
        assert_int_equal(folder_list_add(&l, slice_str(name), '/', 0, FOLDER_USE_NONE, &err), 0);
    }
    make(&target, '.', NULL, NULL, none);
    folder_map_make(&(struct folder_mapping){.source = &l, .target = &target, .salt = ""}, &m);
    assert_int_equal(m.n, 100000);
    assert_slice_equal(m.names[99999], "f99999");
    folder_map_fini(&m);
    folder_list_fini(&l);
    folder_list_fini(&target);
}

/* Where on the way back goes what was removed; NULL: there is none. */
static void test_trash(void **state)
{
    (void)state;
    static const struct {
        const char *name, *personal, *trash;
        const char *const rows[4][2];
    } cases[] = {
        {"the special use, whatever its name", NULL, "Korb",
            {{"Trash", ""}, {"Korb", "\\Trash"}, {NULL, NULL}}},
        {"one that nothing can be put into", NULL, "Trash",
            {{"Korb", "\\Trash \\Noselect"}, {"Trash", ""}, {NULL, NULL}}},
        {"by its name, in any case", NULL, "TRASH", {{"TRASH", ""}, {NULL, NULL}}},
        {"as Outlook calls it", NULL, "Deleted Items", {{"Deleted Items", ""}, {NULL, NULL}}},
        {"as Apple does", NULL, "Deleted Messages", {{"Deleted Messages", ""}, {NULL, NULL}}},
        {"the usual one first", NULL, "Trash",
            {{"Deleted Items", ""}, {"Trash", ""}, {NULL, NULL}}},
        {"in the namespace", "INBOX/", "INBOX/Trash", {{"INBOX/Trash", ""}, {NULL, NULL}}},
        {"below INBOX without a namespace", NULL, "INBOX/Trash",
            {{"INBOX/Trash", ""}, {NULL, NULL}}},
        {"another's", NULL, NULL, {{"shared/Trash", ""}, {NULL, NULL}}},
        {"somewhere below", NULL, NULL, {{"Work/Trash", ""}, {NULL, NULL}}},
        {"none", NULL, NULL, {{"Trashed", ""}, {NULL, NULL}}},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct folder_list l;
        make(&l, '/', cases[i].personal, "shared/", cases[i].rows);
        const struct folder *f = trash_find(&l);
        assert_row(
            cases[i].name, cases[i].trash ? f && slice_eq(f->name, slice_str(cases[i].trash)) : !f);
        folder_list_fini(&l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trash),
        cmocka_unit_test(test_delimiters_and_prefixes),
        cmocka_unit_test(test_bad_names),
        cmocka_unit_test(test_collisions),
        cmocka_unit_test(test_special_use),
        cmocka_unit_test(test_what_shows_all),
        cmocka_unit_test(test_inbox_of_the_user),
        cmocka_unit_test(test_children_of_inbox),
        cmocka_unit_test(test_below_another_name),
        cmocka_unit_test(test_special_by_name),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_rules),
        cmocka_unit_test(test_no_mail),
        cmocka_unit_test(test_no_mail_names),
        cmocka_unit_test(test_bad_rules),
        cmocka_unit_test(test_fallback),
        cmocka_unit_test(test_fallback_is_short),
        cmocka_unit_test(test_names_depend_on_nothing_else),
        cmocka_unit_test(test_many_twins),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_limit_of_all_names),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
