/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "base/mail/address.h"
#include "maps/trace.h"
#include "milter/judge.h"
#include "tests/unit/site.h"

#define NOW 1800000000
#define KEY "k1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

/* As U-labels an address there is short enough to be one, and its key is too long for the map. */
#define FIVE_A_LABELS "xn--4ca.xn--4ca.xn--4ca.xn--4ca.xn--4ca."
#define FIVE_U_LABELS "\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4.\xc3\xa4."
#define LONG_DOMAIN FIVE_A_LABELS FIVE_A_LABELS "org"

static const char conf_text[] =
    "domain \"example.org\" { model = central default = reject }\n"
    "domain \"chain.test\" { model = chaining }\n"
    "domain \"case.test\" { case = keep }\n"
    "domain \"xn--exmple-cua.org\" { }\n"
    "domain \"" LONG_DOMAIN "\" { }\n"
    "server \"old\" { smtp = \"smtp://10.1.1.5\" tls = none from = {\"10.1.1.0/24\"} }\n"
    "server \"new\" { smtp = \"smtp://10.1.2.5\" tls = none from = {\"10.1.2.5/32\"} }\n"
    "relay { hops_max = 5 }\n";

enum { OLD, NEW, OUTSIDE = CONF_SERVER_NONE };

static const struct site_row rows[] = {
    {.key = "ann@example.org", .route = "old", .epoch = 7},
    {.key = "bob@example.org", .route = "new", .epoch = 8},
    {.key = "held@example.org", .route = "old", .state = ROUTE_STATE_HELD, .epoch = 9},
    {.key = "gone@example.org", .epoch = 10},
    {.key = "ann@chain.test", .route = "old", .epoch = 11},
    {.key = "Ann@case.test", .route = "old", .epoch = 12},
    {.key = "bob@case.test", .route = "old", .epoch = 13},
    {.key = "ann@xn--exmple-cua.org", .route = "old", .epoch = 14},
    {.key = "team@example.org", .to = "ann@example.org\nbob@example.org", .epoch = 15},
    {.key = "few@example.org", .to = "ann@example.org", .senders = "bob@example.org", .epoch = 16},
    {0},
};
/* The same map a moment later. */
static const struct site_row later[] = {
    {.key = "ann@example.org", .route = "new", .epoch = 20},
    {.key = "bob@example.org", .route = "new", .state = ROUTE_STATE_HELD, .epoch = 21},
    {0},
};

struct fixture {
    struct conf *conf;
    struct trace_keys *keys;
    struct site_map map;
    struct route_view view;
    struct judge_site site;
    struct milter_judge *judge;
};

static int setup(void **state)
{
    static struct fixture f;
    struct err err = ERR_INIT;

    f = (struct fixture){.conf = site_conf(conf_text), .map = {.rows = rows}};
    assert_int_equal(trace_keys_parse(slice_str(KEY), &f.keys, &err), 0);
    f.view = site_view(&f.map);
    f.site = (struct judge_site){.conf = f.conf, .keys = f.keys};
    f.judge = milter_judge_new();
    milter_judge_begin(f.judge, &f.site, OUTSIDE);
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    milter_judge_free(&f->judge);
    trace_keys_free(&f->keys);
    conf_free(&f->conf);
    return 0;
}

/* resolved: NULL when the mail server does not tell. */
static struct judge_finding resolved(struct fixture *f, const char *said, const char *resolved)
{
    struct meaning_rcpt rcpt = {.said = slice_str(said), .resolved = slice_str(resolved)};
    struct judge_finding finding;

    milter_judge_rcpt(f->judge, &f->view, &rcpt, NOW, &finding);
    return finding;
}

static struct judge_finding rcpt(struct fixture *f, const char *said)
{
    return resolved(f, said, NULL);
}

static struct judge_finding message(struct fixture *f)
{
    struct judge_finding finding;

    milter_judge_message(f->judge, &f->view, NOW, &finding);
    return finding;
}

/* --- Recipients ---------------------------------------------------------------------- */

#define ELSEWHERE 0, "", false
#define LET_PASS 0, "", true
#define UNKNOWN 550, "5.1.1", true
#define HELD 450, "4.2.1", true
#define INVALID 553, "5.1.3", true
#define NOT_TOLD 451, "4.3.5", true

static const struct {
    const char *name, *said, *resolved;
    int source, code; /* 0: continue */
    const char *enhanced;
    bool is_ours;
} rcpts[] = {
    {"plain", "<ann@example.org>", "ann@example.org", OUTSIDE, LET_PASS},
    {"plain, not told", "<ann@example.org>", NULL, OUTSIDE, LET_PASS},
    {"upper case", "<ANN@Example.ORG>", NULL, OUTSIDE, LET_PASS},
    {"detail", "<ann+x@example.org>", NULL, OUTSIDE, LET_PASS},
    {"without brackets", "ann@example.org", NULL, OUTSIDE, LET_PASS},
    {"blanks around", " < ann@example.org > ", NULL, OUTSIDE, LET_PASS},
    {"quoted without need", "<\"ann\"@example.org>", NULL, OUTSIDE, LET_PASS},
    {"postmaster", "<postmaster@example.org>", NULL, OUTSIDE, LET_PASS},
    {"unknown", "<nobody@example.org>", NULL, OUTSIDE, UNKNOWN},
    {"unknown without brackets", "nobody@example.org", NULL, OUTSIDE, UNKNOWN},
    {"unknown behind a source route", "<@a.test,@b.test:nobody@example.org>", NULL, OUTSIDE,
        UNKNOWN},
    {"known behind a source route", "<@a.test:ann@example.org>", NULL, OUTSIDE, LET_PASS},
    {"rejected", "<gone@example.org>", NULL, OUTSIDE, UNKNOWN},
    {"held", "<held@example.org>", NULL, OUTSIDE, HELD},
    {"other domain", "<who@elsewhere.test>", NULL, OUTSIDE, ELSEWHERE},
    {"trailing dot", "<ann@example.org.>", NULL, OUTSIDE, LET_PASS},
    {"trailing dot, unknown", "<nobody@example.org.>", NULL, OUTSIDE, UNKNOWN},
    {"bare postmaster", "<Postmaster>", NULL, OUTSIDE, ELSEWHERE},
    {"central, from its own server", "<ann@example.org>", NULL, OLD, LET_PASS},
    {"chaining, from outside", "<ann@chain.test>", NULL, OUTSIDE, LET_PASS},
    {"chaining, from the other server", "<ann@chain.test>", NULL, NEW, LET_PASS},
    {"chaining, from its own server", "<ann@chain.test>", NULL, OLD, UNKNOWN},
    {"U-label", "<ann@ex\xc3\xa4mple.org>", NULL, OUTSIDE, LET_PASS},
    {"U-label, unknown", "<nobody@EX\xc3\x84mple.org>", NULL, OUTSIDE, UNKNOWN},
    {"U-label, resolved", "<ann%ex\xc3\xa4mple.org>", "ann@ex\xc3\xa4mple.org", OUTSIDE, LET_PASS},

    /* What was resolved is judged, whatever was said. */
    {"percent, known", "<ann%example.org>", "ann@example.org", OUTSIDE, LET_PASS},
    {"capitals where case does not matter", "<ANN%example.org>", "ann@example.org", OUTSIDE,
        LET_PASS},
    {"percent, unknown", "<nobody%example.org>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"percent, held", "<held%example.org>", "held@example.org", OUTSIDE, HELD},
    {"bang", "<mx!example.org!held>", "held@example.org", OUTSIDE, HELD},
    {"quoted", "<\"nobody@example.org\">", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"at at the end", "<nobody@example.org@>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"bare name", "<nobody>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"bare postmaster of ours", "<postmaster>", "postmaster@example.org", OUTSIDE, LET_PASS},
    {"blanks", "<nobody @ example.org>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"phrase", "<x <nobody@example.org>>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"comment", "<(ann)nobody@(x)example.org>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"says a known one", "<ann@example.org>", "nobody@example.org", OUTSIDE, UNKNOWN},
    {"says an unknown one", "<nobody@example.org>", "ann@example.org", OUTSIDE, LET_PASS},
    {"says one elsewhere", "<ann@elsewhere.test>", "held@example.org", OUTSIDE, HELD},
    {"dot at the end", "<x>", "nobody@example.org.", OUTSIDE, UNKNOWN},
    {"two of them", "<x>", "nobody@Example.Org..", OUTSIDE, UNKNOWN},
    {"blanks around it", "<x>", " nobody@example.org ", OUTSIDE, UNKNOWN},
    {"resolved to what is no address", "<x>", "a b@example.org", OUTSIDE, INVALID},
    {"a backslash", "<x>", "an\\n@example.org", OUTSIDE, INVALID},
    {"an empty local part", "<@example.org>", "\"\"@example.org", OUTSIDE, UNKNOWN},
    {"a route is left in it", "<x>", "ann%example.org@example.org", OUTSIDE, UNKNOWN},
    {"a quoted route is left in it", "<x>", "\"ann@example.org\"@example.org", OUTSIDE, UNKNOWN},
    {"a quote in quotes", "<x>", "\"a\\\"@elsewhere.test\"@example.org", OUTSIDE, UNKNOWN},
    {"quotes in quotes", "<x>", "\"\\\"ann\\\"\"@example.org", OUTSIDE, UNKNOWN},
    {"elsewhere with our name in front", "<x>", "ann@example.org@elsewhere.test", OUTSIDE,
        ELSEWHERE},
    {"elsewhere, quoted", "<x>", "\"ann@example.org\"@elsewhere.test", OUTSIDE, ELSEWHERE},
    {"a literal", "<ann%example.org@[192.0.2.1]>", "ann%example.org@[192.0.2.1]", OUTSIDE,
        ELSEWHERE},

    /* The mail server has rewritten an address of ours: it is still the map's. */
    {"rewritten, known", "<ann@example.org>", "ann@tenant.test", OUTSIDE, LET_PASS},
    {"rewritten, held", "<held@example.org>", "held@tenant.test", OUTSIDE, HELD},
    {"rewritten, unknown", "<nobody@example.org>", "nobody@tenant.test", OUTSIDE, UNKNOWN},
    {"relayed, with a route", "<ann%tenant.test@example.org>", "ann@tenant.test", OUTSIDE,
        ELSEWHERE},

    /* It delivers by itself, under a name without a domain. */
    {"own, plain", "<held@example.org>", "held", OUTSIDE, HELD},
    {"own, elsewhere", "<root@mx.test>", "root", OUTSIDE, ELSEWHERE},
    {"own, bare", "<Root>", "root", OUTSIDE, ELSEWHERE},
    {"own, bare postmaster", "<postmaster>", "postmaster", OUTSIDE, ELSEWHERE},
    {"own, with a detail", "<root+x>", "root", OUTSIDE, ELSEWHERE},
    {"own, a comment", "<(x)root>", "root", OUTSIDE, INVALID},
    {"own, nothing", "<>", "root", OUTSIDE, INVALID},
    {"own, with a route", "<held%example.org>", "held", OUTSIDE, INVALID},
    {"own, quoted", "<\"held@example.org\">", "\"held@example.org\"", OUTSIDE, INVALID},
    {"own, open quote", "<x%y>", "x\"@example.org", OUTSIDE, INVALID},

    /* It does not tell, and the spelling says too little. */
    {"not told, percent", "<ann%example.org>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, percent elsewhere", "<ann%example.org@mx.test>", "", OUTSIDE, NOT_TOLD},
    {"not told, bang", "<example.org!ann@mx.test>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, quoted", "<\"ann@example.org\"@mx.test>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, quoted alone", "<\"ann@example.org\">", NULL, OUTSIDE, NOT_TOLD},
    {"not told, bare", "<ann>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, a name", "Ann <ann@example.org>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, a blank", "<a b@elsewhere.test>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, route in a route", "<@a.test:ann%example.org@a.test>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, null path", "<>", NULL, OUTSIDE, NOT_TOLD},
    {"not told, nothing", "", NULL, OUTSIDE, NOT_TOLD},

    /* Where letter case matters it comes from the client, for Postfix tells lower case. */
    {"case", "<Ann@case.test>", "ann@case.test", OUTSIDE, LET_PASS},
    {"another case", "<ann@case.test>", "ann@case.test", OUTSIDE, UNKNOWN},
    {"case in a strange spelling", "<Ann%case.test>", "ann@case.test", OUTSIDE, INVALID},
    {"case, and the mail server keeps it", "<Ann%case.test>", "Ann@case.test", OUTSIDE, LET_PASS},
    {"case, all lower", "<bob%case.test>", "bob@case.test", OUTSIDE, LET_PASS},
    {"case of another address", "<Ann@case.test>", "bob@case.test", OUTSIDE, INVALID},
};

static void test_rcpts(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(rcpts); i++) {
        struct judge_finding got;

        milter_judge_begin(f->judge, &f->site, rcpts[i].source);
        got = resolved(f, rcpts[i].said, rcpts[i].resolved);
        assert_row(rcpts[i].name, got.code == rcpts[i].code);
        assert_row(rcpts[i].name, got.is_ours == rcpts[i].is_ours);
        assert_row(rcpts[i].name, strcmp(got.enhanced, rcpts[i].enhanced) == 0);
        assert_row(rcpts[i].name, got.verdict == (got.code == 0       ? JUDGE_CONTINUE
                                                     : got.code < 500 ? JUDGE_TEMPFAIL
                                                                      : JUDGE_REJECT));
        assert_row(rcpts[i].name, milter_judge_rcpts(f->judge) == (got.code == 0 && got.is_ours));
    }
}

static void test_key_too_long(void **state)
{
    struct fixture *f = *state;

    for (size_t n = 236; n <= 237; n++) {
        char address[ADDRESS_MAX + 1];
        struct judge_finding got;

        memset(address, 'x', n);
        assert_int_equal(
            fmt_into(address + n, sizeof(address) - n, "@%s", FIVE_U_LABELS FIVE_U_LABELS "org"),
            0);
        got = resolved(f, "<x>", address);
        assert_int_equal(got.code, 550);
        assert_true(got.is_ours);
        assert_string_equal(got.enhanced, n == 236 ? "5.1.1" : "5.7.1");
    }
}

static void test_unknown_state(void **state)
{
    struct fixture *f = *state;

    f->map.is_unknown = true;
    assert_int_equal(rcpt(f, "<ann@example.org>").code, 451);
    assert_int_equal(rcpt(f, "<nobody@example.org>").code, 451);
    assert_int_equal(rcpt(f, "<who@elsewhere.test>").code, 0);
    assert_int_equal(resolved(f, "<nobody%example.org>", "nobody@example.org").code, 451);
}

/* Every spelling with every resolved address: what is judged has the key of the resolved one. */
static void test_resolved_decides(void **state)
{
    static const char *const addresses[] = {"ann@example.org", "nobody@example.org",
        "held@example.org", "Ann@case.test", "ann@case.test", "\"a b\"@example.org",
        "a%b@example.org", "ann@chain.test"};
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(addresses); i++)
        for (size_t k = 0; k < COUNT_OF(rcpts); k++) {
            struct judge_finding got = resolved(f, rcpts[k].said, addresses[i]);
            struct buf keys[2];

            buf_init(&keys[0], ROUTE_KEY_MAX);
            buf_init(&keys[1], ROUTE_KEY_MAX);
            assert_int_equal(normalise_key(NULL, slice_str(addresses[i]), &keys[0]), 0);
            assert_int_equal(normalise_key(NULL, got.rcpt, &keys[1]), 0);
            assert_row(rcpts[k].said, slice_eq(buf_slice(&keys[0]), buf_slice(&keys[1])));
            assert_row(rcpts[k].said, got.is_ours);
            assert_true(slice_eq(got.said, slice_str(rcpts[k].said)));
            buf_fini(&keys[0]);
            buf_fini(&keys[1]);
        }
}

static void test_rcpt_limit(void **state)
{
    struct fixture *f = *state;

    for (size_t i = 1; i <= JUDGE_RCPTS_MAX + 1; i++) {
        struct judge_finding got;
        char arg[64];

        assert_int_equal(fmt_into(arg, sizeof(arg), "<ann+%zu@example.org>", i), 0);
        got = rcpt(f, arg);
        assert_int_equal(got.code, i <= JUDGE_RCPTS_MAX ? 0 : 452);
    }
    assert_int_equal(milter_judge_rcpts(f->judge), JUDGE_RCPTS_MAX);
    assert_int_equal(rcpt(f, "<who@elsewhere.test>").code, 0);
    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, "<ann@example.org>").code, 0);
}

/* --- Messages -------------------------------------------------------------------------- */

/* Hands a stamp of ours over as an MTA does: no name, LF for folds. */
static void add_stamp(struct fixture *f, const char *field)
{
    struct slice rest = slice_from(slice_str(field), sizeof(TRACE_FIELD ":") - 1), line;
    struct buf value;

    buf_init(&value, 65536);
    rest = slice_trim(rest);
    while (slice_split(&rest, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > 0 && value.n > 0)
            assert_int_equal(buf_add_byte(&value, '\n'), 0);
        assert_int_equal(buf_add(&value, line), 0);
    }
    milter_judge_header(f->judge, SLICE_LIT("coexist-TRACE"), buf_slice(&value));
    buf_fini(&value);
}

/* One pass of a message for the recipients; the stamps it leaves go to the end of `stamps`. */
static struct judge_finding pass(
    struct fixture *f, const char *const *args, char **stamps, size_t *n_stamps, size_t received)
{
    struct judge_finding finding;

    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    for (; *args != NULL; args++)
        assert_int_equal(rcpt(f, *args).code, 0);
    for (size_t i = 0; i < *n_stamps; i++)
        add_stamp(f, stamps[i]);
    for (size_t i = 0; i < received; i++)
        milter_judge_header(f->judge, SLICE_LIT("Received"), SLICE_LIT("from a by b"));
    finding = message(f);
    for (int server = 0; server < 2 && finding.verdict == JUDGE_CONTINUE; server++) {
        struct buf field;
        int rc;

        buf_init(&field, 65536);
        rc = milter_judge_stamp(f->judge, server, NOW, &field);
        assert_int_not_equal(rc, -1);
        if (rc == 1)
            stamps[(*n_stamps)++] = buf_steal_cstr(&field);
        buf_fini(&field);
    }
    return finding;
}

/* Each target gets a stamp on its server, and so does the alias there. */
static void test_alias(void **state)
{
    struct fixture *f = *state;
    static const struct {
        int server;
        const char *key;
    } want[] = {{OLD, "team@example.org"}, {OLD, "ann@example.org"}, {NEW, "team@example.org"},
        {NEW, "bob@example.org"}};
    struct decide_stamp found;

    assert_int_equal(rcpt(f, "<team@example.org>").code, 0);
    assert_int_equal(message(f).verdict, JUDGE_CONTINUE);
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        struct buf field;
        buf_init(&field, 65536);
        assert_int_equal(milter_judge_stamp(f->judge, want[i].server, NOW, &field), 1);
        assert_int_equal(
            trace_find(f->keys, buf_slice(&field), slice_str(want[i].key), NOW, &found, 1), 1);
        buf_fini(&field);
    }
}

static void test_senders(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path;
        int code;
    } tries[] = {{"<bob@example.org>", 0}, {"Bob@Example.org", 0}, {"<ann@example.org>", 550},
        {"<>", 550}, {"<@>", 550}};

    assert_int_equal(rcpt(f, "<few@example.org>").code, 0);
    for (size_t i = 0; i < COUNT_OF(tries); i++) {
        milter_judge_begin(f->judge, &f->site, OUTSIDE);
        milter_judge_sender(f->judge, slice_str(tries[i].path));
        assert_row(tries[i].path, rcpt(f, "<few@example.org>").code == tries[i].code);
    }
}

static void free_stamps(char **stamps, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(stamps[i]);
}

static void test_loop(void **state)
{
    static const char *const both[] = {
        "<ann@example.org>", "<ANN@example.org>", "<bob@example.org>", "<who@x.test>", NULL};
    struct fixture *f = *state;
    struct judge_finding got;
    char *stamps[8];
    size_t n = 0;

    assert_int_equal(pass(f, both, stamps, &n, 1).code, 0);
    assert_int_equal(n, 2); /* one field per server */
    assert_int_equal(pass(f, both, stamps, &n, 2).code, 0);
    assert_int_equal(n, 4);
    got = pass(f, both, stamps, &n, 3);
    assert_int_equal(got.verdict, JUDGE_REJECT);
    assert_int_equal(got.code, 554);
    assert_string_equal(got.enhanced, "5.4.6");
    assert_int_equal(n, 4);
    /* After a flip the same stamps are no loop. */
    f->map.rows = later;
    assert_int_equal(
        pass(f, (const char *const[]){"<ann@example.org>", NULL}, stamps, &n, 3).code, 0);
    free_stamps(stamps, n);
}

/* Nothing of one message is left for the next one on the same connection. */
static void test_next_message(void **state)
{
    static const char *const ann[] = {"<ann@example.org>", NULL};
    struct fixture *f = *state;
    char *stamps[8];
    size_t n = 0, none = 0;

    assert_int_equal(pass(f, ann, stamps, &n, 5).code, 0);
    assert_int_equal(pass(f, ann, stamps, &n, 5).code, 0);
    assert_int_equal(pass(f, ann, stamps, &n, 5).code, 554);
    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(milter_judge_rcpts(f->judge), 0);
    assert_false(message(f).is_ours);
    assert_int_equal(pass(f, ann, stamps + n, &none, 5).code, 0);
    free_stamps(stamps, n + none);
}

static void test_hops(void **state)
{
    static const char *const ann[] = {"<ann@example.org>", NULL};
    static const char *const who[] = {"<who@elsewhere.test>", NULL};

    for (size_t hops = 4; hops <= 6; hops++) {
        char *stamps[8];
        size_t n = 0;

        assert_int_equal(pass(*state, ann, stamps, &n, hops).code, hops <= 5 ? 0 : 554);
        free_stamps(stamps, n);
        n = 0;
        assert_int_equal(pass(*state, who, stamps, &n, hops).code, 0);
        assert_int_equal(n, 0);
    }
}

/* What changed since RCPT is never refused for good, and never accepted as it was. */
static void test_changed(void **state)
{
    static const struct {
        const char *name, *arg;
        const struct site_row *rows;
        bool is_unknown;
        int code;
    } cases[] = {
        {"flipped", "<ann@example.org>", later, false, 0},
        {"held", "<bob@example.org>", later, false, 450},
        {"deleted", "<ann@example.org>", later + 2, false, 451},
        {"map lost", "<ann@example.org>", rows, true, 451},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        f->map = (struct site_map){.rows = rows};
        milter_judge_begin(f->judge, &f->site, OUTSIDE);
        assert_int_equal(rcpt(f, cases[i].arg).code, 0);
        f->map = (struct site_map){.rows = cases[i].rows, .is_unknown = cases[i].is_unknown};
        assert_row(cases[i].name, message(f).code == cases[i].code);
    }
}

/* What the first recipient hears is what the message hears. */
static void test_first_change(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(rcpt(f, "<bob@example.org>").code, 0);
    assert_int_equal(rcpt(f, "<ann@case.test>").code, 550);
    assert_int_equal(rcpt(f, "<Ann@case.test>").code, 0);
    f->map.rows = later; /* bob is held, Ann is gone */
    struct judge_finding got = message(f);
    assert_int_equal(got.code, 450);
    assert_slice_equal(got.rcpt, "bob@example.org");
}

/* At the end a message must not go back to the server that sent it, whatever RCPT said. */
static void test_direction_at_the_end(void **state)
{
    static const struct site_row back[] = {
        {.key = "ann@chain.test", .route = "new", .epoch = 12}, {0}};
    struct fixture *f = *state;

    milter_judge_begin(f->judge, &f->site, NEW);
    assert_int_equal(rcpt(f, "<ann@chain.test>").code, 0);
    f->map.rows = back;
    assert_int_equal(message(f).code / 100, 4);
}

/* Two spellings of one user are one item: the field is the same as for one of them. */
static void test_one_item_per_key(void **state)
{
    struct fixture *f = *state;
    struct buf fields[2];

    assert_int_equal(rcpt(f, "<ann@example.org>").code, 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(message(f).code, 0);
        buf_init(&fields[i], 65536);
        assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &fields[i]), 1);
        assert_int_equal(rcpt(f, "<ANN@example.org>").code, 0);
    }
    assert_string_equal(buf_cstr(&fields[0]), buf_cstr(&fields[1]));
    buf_fini(&fields[0]);
    buf_fini(&fields[1]);
}

/* The stamp names the resolved address, so that a loop of strange spellings is found. */
static void test_stamp_of_a_strange_spelling(void **state)
{
    static const char *const plain[] = {"<ann@example.org>", NULL};
    struct fixture *f = *state;
    char *stamps[8];
    size_t n = 0;

    for (int i = 0; i < 2; i++) {
        struct buf field;

        milter_judge_begin(f->judge, &f->site, OUTSIDE);
        assert_int_equal(resolved(f, "<mx!example.org!ann>", "ann@example.org").code, 0);
        assert_int_equal(message(f).code, 0);
        buf_init(&field, 65536);
        assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &field), 1);
        stamps[n++] = buf_steal_cstr(&field);
    }
    assert_int_equal(pass(f, plain, stamps, &n, 0).code, 554);
    free_stamps(stamps, n);
}

/* Of several that changed the first one is told, and a key is stamped once. */
static void test_several(void **state)
{
    struct fixture *f = *state;
    struct decide_stamp found[4];
    struct buf field;

    assert_int_equal(rcpt(f, "<ann@example.org>").code, 0);
    assert_int_equal(rcpt(f, "<ANN@example.org>").code, 0);
    assert_int_equal(message(f).code, 0);
    buf_init(&field, 65536);
    assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &field), 1);
    assert_int_equal(
        trace_find(f->keys, buf_slice(&field), SLICE_LIT("ann@example.org"), NOW, found, 4), 1);
    buf_fini(&field);

    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, "<bob@example.org>").code, 0);
    assert_int_equal(rcpt(f, "<ann@chain.test>").code, 0);
    f->map.rows = later;
    assert_int_equal(message(f).code, 450);
}

/* The flip is stamped under the epoch that routes it. */
static void test_stamp_after_flip(void **state)
{
    struct fixture *f = *state;
    struct decide_stamp found[4];
    struct buf field;

    assert_int_equal(rcpt(f, "<ann@example.org>").code, 0);
    f->map.rows = later;
    assert_int_equal(message(f).code, 0);
    buf_init(&field, 65536);
    assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &field), 0);
    assert_int_equal(milter_judge_stamp(f->judge, NEW, NOW, &field), 1);
    assert_int_equal(
        trace_find(f->keys, buf_slice(&field), SLICE_LIT("ann@example.org"), NOW, found, 4), 1);
    assert_slice_equal(found[0].server, "new");
    assert_int_equal(found[0].epoch, 20);
    buf_fini(&field);
}

/* The largest message of ours fits a field that the adapter takes and that the next pass reads. */
static void test_largest_stamp(void **state)
{
    struct fixture *f = *state;
    struct buf field;
    char *stamps[2];

    for (size_t i = 1; i <= JUDGE_RCPTS_MAX; i++) {
        char arg[64];

        assert_int_equal(fmt_into(arg, sizeof(arg), "<ann+%zu@example.org>", i), 0);
        assert_int_equal(rcpt(f, arg).code, 0);
    }
    assert_int_equal(message(f).code, 0);
    buf_init(&field, 32768);
    assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &field), 1);
    stamps[0] = stamps[1] = buf_steal_cstr(&field);
    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, "<ann+500@example.org>").code, 0);
    add_stamp(f, stamps[0]);
    add_stamp(f, stamps[1]);
    assert_int_equal(message(f).code, 554);
    free(stamps[0]);
}

/* Forged fields further down neither count nor push ours out; too many on top are just dropped. */
static void test_forged(void **state)
{
    static const char *const ann[] = {"<ann@example.org>", NULL};
    struct fixture *f = *state;
    struct buf big;
    char *stamps[8];
    size_t n = 0;

    assert_int_equal(pass(f, ann, stamps, &n, 0).code, 0);
    assert_int_equal(pass(f, ann, stamps, &n, 0).code, 0);
    buf_init(&big, JUDGE_TRACE_MAX + 100);
    while (big.n < JUDGE_TRACE_MAX)
        assert_int_equal(buf_add_str(&big, "7:AAAAAAAAAAAAAAAAAAAAAA, "), 0);

    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, ann[0]).code, 0);
    add_stamp(f, stamps[0]);
    add_stamp(f, stamps[1]);
    milter_judge_header(f->judge, SLICE_LIT(TRACE_FIELD), buf_slice(&big));
    for (int i = 0; i < 1000; i++)
        milter_judge_header(
            f->judge, SLICE_LIT(TRACE_FIELD), SLICE_LIT("v=1; k=k1; t=1; s=old; 7:AA"));
    assert_int_equal(message(f).code, 554);

    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, ann[0]).code, 0);
    milter_judge_header(f->judge, SLICE_LIT(TRACE_FIELD), buf_slice(&big));
    add_stamp(f, stamps[0]);
    add_stamp(f, stamps[1]);
    assert_int_equal(message(f).code, 0);
    buf_fini(&big);
    free_stamps(stamps, n);
}

/* Behind us stands the relay: it stamps and looks. */
static void test_without_keys(void **state)
{
    struct fixture *f = *state;
    struct buf field;

    f->site.keys = NULL;
    milter_judge_begin(f->judge, &f->site, OUTSIDE);
    assert_int_equal(rcpt(f, "<ann@example.org>").code, 0);
    milter_judge_header(f->judge, SLICE_LIT(TRACE_FIELD), SLICE_LIT("v=1; anything"));
    assert_int_equal(message(f).code, 0);
    buf_init(&field, 1000);
    assert_int_equal(milter_judge_stamp(f->judge, OLD, NOW, &field), 0);
    buf_fini(&field);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_alias, setup, teardown),
        cmocka_unit_test_setup_teardown(test_senders, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rcpts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_key_too_long, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unknown_state, setup, teardown),
        cmocka_unit_test_setup_teardown(test_resolved_decides, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rcpt_limit, setup, teardown),
        cmocka_unit_test_setup_teardown(test_loop, setup, teardown),
        cmocka_unit_test_setup_teardown(test_next_message, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_first_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_direction_at_the_end, setup, teardown),
        cmocka_unit_test_setup_teardown(test_one_item_per_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamp_of_a_strange_spelling, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stamp_after_flip, setup, teardown),
        cmocka_unit_test_setup_teardown(test_largest_stamp, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forged, setup, teardown),
        cmocka_unit_test_setup_teardown(test_without_keys, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
