/* SPDX-License-Identifier: ISC */
/* Entries that lead to others: aliases, groups, forwards; answers of their own; two servers. */
#include "maps/route.h"
#include "tests/unit/unit.h"

#define NOW 1800000000

enum { OLD, NEW };

static struct conf_server servers[] = {
    {.name = (char *)"old", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.1.5", 25}},
    {.name = (char *)"new", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.2.5", 25}},
};
static char *list_addresses[] = {(char *)"*-request", (char *)"*-bounces", (char *)"owner-*"};
static struct conf_domain domains[] = {
    {.name = (char *)"x.org",
        .model = CONF_MODEL_CHAINING,
        .default_server = CONF_SERVER_NONE,
        .fold_local_part = true},
    {.name = (char *)"held.org", .default_server = OLD, .fold_local_part = true},
    {.name = (char *)"all.org", .default_server = OLD, .fold_local_part = true},
    {.name = (char *)"lists.org",
        .default_server = CONF_SERVER_NONE,
        .fold_local_part = true,
        .list_addresses = {list_addresses, 3}},
    {.name = (char *)"dash.org",
        .default_server = CONF_SERVER_NONE,
        .fold_local_part = true,
        .delimiter = (char *)"-",
        .list_addresses = {list_addresses, 3}},
};
static const struct conf conf = {
    .domains = domains, .n_domains = 5, .servers = servers, .n_servers = 2};

#define S(text) SLICE_LIT(text)
#define ALIAS .kind = ROUTE_KIND_ALIAS
#define GROUP .kind = ROUTE_KIND_GROUP

static const struct {
    const char *key;
    struct route_entry e;
} map[] = {
    {"ann@x.org", {.route = S("old"), .epoch = 1}},
    {"bob@x.org", {.route = S("new"), .deliver_as = S("b@new.x.org"), .epoch = 2}},
    {"held@x.org", {.route = S("new"), .state = ROUTE_STATE_HELD, .epoch = 3}},
    {"one@x.org", {ALIAS, .targets = S("ann@x.org"), .epoch = 4}},
    {"two@x.org", {ALIAS, .targets = S("ann@x.org\nbob@x.org"), .epoch = 5}},
    {"nest@x.org", {ALIAS, .targets = S("two@x.org\none@x.org"), .epoch = 6}},
    {"detail@x.org", {ALIAS, .targets = S("ann+box@x.org"), .epoch = 7}},
    {"waits@x.org", {ALIAS, .targets = S("ann@x.org\nheld@x.org"), .epoch = 8}},
    {"shut@x.org", {ALIAS, .targets = S("somebody@held.org"), .epoch = 9}},
    {"self@x.org", {ALIAS, .targets = S("self@x.org"), .epoch = 10}},
    {"ring1@x.org", {ALIAS, .targets = S("ring2@x.org"), .epoch = 11}},
    {"ring2@x.org", {ALIAS, .targets = S("ann@x.org\nring1+y@x.org"), .epoch = 12}},
    {"dead@x.org", {ALIAS, .targets = S("nobody@x.org"), .epoch = 13}},
    {"half@x.org", {ALIAS, .targets = S("nobody@x.org\nann@x.org"), .epoch = 14}},
    {"out@x.org", {.kind = ROUTE_KIND_FORWARD, .targets = S("c@other.com"), .epoch = 15}},
    {"mixed@x.org", {ALIAS, .targets = S("c@other.com\nann@x.org"), .epoch = 16}},
    {"there@x.org", {GROUP, .route = S("old"), .targets = S("bob@x.org"), .epoch = 17}},
    {"here@x.org",
        {GROUP, .targets = S("ann@x.org\nbob@x.org"), .senders = S("members"), .epoch = 18}},
    {"inside@x.org", {GROUP, .route = S("new"), .senders = S("inside"), .epoch = 19}},
    {"some@x.org",
        {ALIAS, .targets = S("ann@x.org"), .senders = S("@other.com\nbob@x.org"), .epoch = 20}},
    {"r@x.org", {.kind = ROUTE_KIND_REJECT, .epoch = 21}},
    {"r554@x.org", {.kind = ROUTE_KIND_REJECT, .reply_code = 554, .epoch = 22}},
    {"rtext@x.org",
        {.kind = ROUTE_KIND_REJECT, .reply_text = S("5.1.6 Write to me@other.com"), .epoch = 23}},
    {"rbare@x.org", {.kind = ROUTE_KIND_REJECT, .reply_text = S("Gone"), .epoch = 24}},
    {"r450@x.org", {.kind = ROUTE_KIND_REJECT,
                       .reply_code = 450,
                       .reply_text = S("4.7.13 Back soon"),
                       .epoch = 25}},
    {"r451@x.org", {.kind = ROUTE_KIND_REJECT, .reply_code = 451, .epoch = 26}},
    {"both@x.org", {.route = S("old"),
                       .state = ROUTE_STATE_BOTH,
                       .also = S("new"),
                       .until_s = NOW + 1,
                       .epoch = 27}},
    {"was@x.org", {.route = S("old"),
                      .state = ROUTE_STATE_BOTH,
                      .also = S("new"),
                      .until_s = NOW,
                      .epoch = 28}},
    {"goes@x.org",
        {.route = S("old"), .state = ROUTE_STATE_RETIRING, .until_s = NOW + 1, .epoch = 29}},
    {"went@x.org", {.route = S("old"), .state = ROUTE_STATE_RETIRING, .until_s = NOW, .epoch = 30}},
    {"@held.org", {.state = ROUTE_STATE_HELD, .epoch = 31}},
    {"@all.org", {ALIAS, .targets = S("ann@x.org"), .epoch = 32}},
    {"postmaster@x.org", {ALIAS, .targets = S("ann@x.org"), .epoch = 33}},
    {"empty@x.org", {ALIAS, .epoch = 35}},
    {"staff@lists.org", {GROUP, .route = S("old"), .senders = S("inside"), .epoch = 40}},
    {"as@lists.org", {GROUP, .route = S("new"), .deliver_as = S("l@new.x.org"), .epoch = 41}},
    {"open@lists.org", {GROUP, .targets = S("ann@x.org\nbob@x.org"), .epoch = 42}},
    {"errs@x.org", {ALIAS, .targets = S("ann@x.org"), .owner = S("boss@x.org"), .epoch = 50}},
    {"outer@x.org",
        {ALIAS, .targets = S("errs@x.org\nbob@x.org"), .owner = S("o@x.org"), .epoch = 51}},
    {"owned@lists.org", {GROUP, .targets = S("ann@x.org"), .owner = S("bob@x.org"), .epoch = 43}},
    {"own@lists.org",
        {GROUP, .targets = S("ann@x.org"), .owner = S("own-request@lists.org"), .epoch = 43}},
    {"open@dash.org", {GROUP, .targets = S("ann@x.org"), .epoch = 46}},
    {"owner@dash.org", {.route = S("new"), .epoch = 47}},
    {"staff@dash.org", {GROUP, .route = S("old"), .epoch = 48}},
    {"moves@lists.org", {GROUP, .route = S("old"), .state = ROUTE_STATE_HELD, .epoch = 44}},
    {"as-bounces@lists.org", {.route = S("old"), .epoch = 45}},
    {"unsure@x.org", {ALIAS, .targets = S("ann@x.org\nunknown@x.org"), .epoch = 34}},
};

static enum route_answer get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    struct slice local = normalise_local(key);
    static char next[64];
    (void)arg;
    (void)store;
    route_entry_clear(e);
    if (slice_eq(key, S("unknown@x.org")))
        return ROUTE_UNKNOWN;
    /* c1 leads to c2 and so on, c99 to ann; w1 to two hundred. */
    if (local.n == 3 && local.p[0] == 'c') {
        int n = (local.p[1] - '0') * 10 + (local.p[2] - '0');
        e->kind = ROUTE_KIND_ALIAS;
        e->epoch = 100;
        if (n == 0)
            assert_int_equal(fmt_into(next, sizeof next, "ann@x.org"), 0);
        else
            assert_int_equal(fmt_into(next, sizeof next, "c%02d@x.org", n - 1), 0);
        /* Each depth has a text of its own, in the store. */
        memcpy(store->bytes, next, strlen(next));
        e->targets = slice_make(store->bytes, strlen(next));
        return ROUTE_FOUND;
    }
    for (size_t i = 0; i < COUNT_OF(map); i++)
        if (slice_eq(key, slice_str(map[i].key))) {
            *e = map[i].e;
            e->when_s = 1;
            return ROUTE_FOUND;
        }
    return ROUTE_NOT_FOUND;
}

#define ANYBODY NULL
#define OUT CONF_SERVER_NONE

static const struct {
    const char *rcpt, *sender;
    int from;
    enum decision_kind kind;
    const char *want; /* "server address epoch key-of-stamp ..." or the answer */
} rows[] = {
    {"one@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"one+box@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"two@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old ann@x.org 1 ann@x.org new b@new.x.org 2 bob@x.org"},
    {"nest@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old ann@x.org 1 ann@x.org new b@new.x.org 2 bob@x.org"},
    {"detail@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann+box@x.org 1 ann+box@x.org"},
    {"waits@x.org", ANYBODY, OUT, DECIDE_HOLD, "450 4.2.1 Mailbox is being moved, try again later"},
    {"shut@x.org", ANYBODY, OUT, DECIDE_HOLD, "450 4.2.1 Mailbox is being moved, try again later"},
    {"self@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.3.5 The map leads this recipient in a circle"},
    {"ring1@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.3.5 The map leads this recipient in a circle"},
    {"empty@x.org", ANYBODY, OUT, DECIDE_DEFER, "451 4.3.5 The map leads this recipient nowhere"},
    {"dead@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"half@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"out@x.org", ANYBODY, OUT, DECIDE_DELIVER, "outside c@other.com 15 out@x.org"},
    {"mixed@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "outside c@other.com 16 mixed@x.org old ann@x.org 1 ann@x.org"},
    {"there@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old there@x.org 17 there@x.org"},
    {"here@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old ann@x.org 1 ann@x.org new b@new.x.org 2 bob@x.org"},
    {"here@x.org", "Bob@X.ORG", OUT, DECIDE_DELIVER,
        "old ann@x.org 1 ann@x.org new b@new.x.org 2 bob@x.org"},
    {"here@x.org", "eve@x.org", OUT, DECIDE_REJECT, "550 5.7.1 You may not send to this address"},
    {"here@x.org", "", OUT, DECIDE_REJECT, "550 5.7.1 You may not send to this address"},
    {"inside@x.org", "ann@x.org", OUT, DECIDE_REJECT, "550 5.7.1 You may not send to this address"},
    {"inside@x.org", "ann@x.org", OLD, DECIDE_DELIVER, "new inside@x.org 19 inside@x.org"},
    {"some@x.org", "who@other.com", OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"some@x.org", "bob@x.org", OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"some@x.org", "ann@x.org", OUT, DECIDE_REJECT, "550 5.7.1 You may not send to this address"},
    /* old does not know the alias; it knows its own user. */
    {"one@x.org", ANYBODY, OLD, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"ann@x.org", ANYBODY, OLD, DECIDE_REJECT,
        "550 5.1.1 Recipient unknown to the server that has it"},
    {"r@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"r554@x.org", ANYBODY, OUT, DECIDE_REJECT, "554 5.1.1 Recipient unknown"},
    {"rtext@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.6 Write to me@other.com"},
    {"rbare@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Gone"},
    {"r450@x.org", ANYBODY, OUT, DECIDE_DEFER, "450 4.7.13 Back soon"},
    {"r451@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.2.1 Mailbox is not available, try again later"},
    {"both@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old both@x.org 27 both@x.org new both@x.org 27 both@x.org"},
    {"was@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old was@x.org 28 was@x.org"},
    {"goes@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.2.1 Mailbox is being closed, try again later"},
    {"went@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"anybody@all.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"postmaster@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"unsure@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.3.0 Recipient map is not available, try again later"},
    {"staff-request@lists.org", "who@other.com", OUT, DECIDE_DELIVER,
        "old staff-request@lists.org 40 staff-request@lists.org"},
    {"staff@lists.org", "who@other.com", OUT, DECIDE_REJECT,
        "550 5.7.1 You may not send to this address"},
    {"Owner-Staff@lists.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old Owner-Staff@lists.org 40 owner-staff@lists.org"},
    {"staff-bounces+c=d.e@lists.org", "", OUT, DECIDE_DELIVER,
        "old staff-bounces+c=d.e@lists.org 40 staff-bounces+c=d.e@lists.org"},
    {"as-request+x@lists.org", ANYBODY, OUT, DECIDE_DELIVER,
        "new l-request+x@new.x.org 41 as-request+x@lists.org"},
    {"owner-as@lists.org", ANYBODY, OUT, DECIDE_DELIVER,
        "new owner-l@new.x.org 41 owner-as@lists.org"},
    {"as-bounces+x@lists.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old as-bounces+x@lists.org 45 as-bounces+x@lists.org"},
    {"as-x@lists.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"none-request@lists.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"open-request@lists.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    /* A detail by its looks. */
    {"open-request@dash.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"open-x@dash.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"owner-staff@dash.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old owner-staff@dash.org 48 owner-staff@dash.org"},
    {"owner-none@dash.org", ANYBODY, OUT, DECIDE_DELIVER,
        "new owner-none@dash.org 47 owner-none@dash.org"},
    /* Errors go to the innermost owner; what is written to the owner is not from him. */
    {"errs@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org !boss@x.org"},
    {"outer@x.org", ANYBODY, OUT, DECIDE_DELIVER,
        "old ann@x.org 1 ann@x.org !boss@x.org new b@new.x.org 2 bob@x.org !o@x.org"},
    {"owned@lists.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org !bob@x.org"},
    {"owned-request@lists.org", ANYBODY, OUT, DECIDE_DELIVER, "new b@new.x.org 2 bob@x.org"},
    {"own-request@lists.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.3.5 The map leads this recipient in a circle"},
    {"moves-request@lists.org", ANYBODY, OUT, DECIDE_HOLD,
        "450 4.2.1 Mailbox is being moved, try again later"},
    {"as-request+a%b@lists.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"staff-request@x.org", ANYBODY, OUT, DECIDE_REJECT, "550 5.1.1 Recipient unknown"},
    {"c09@x.org", ANYBODY, OUT, DECIDE_DELIVER, "old ann@x.org 1 ann@x.org"},
    {"c10@x.org", ANYBODY, OUT, DECIDE_DEFER,
        "451 4.3.5 The map leads this recipient through too many aliases"},
};

static void describe(const struct decision *d, struct buf *out)
{
    if (d->kind != DECIDE_DELIVER)
        assert_int_equal(buf_addf(out, "%d %s %s", d->code, d->enhanced, d->text), 0);
    for (size_t i = 0; d->kind == DECIDE_DELIVER && i < d->n_deliveries; i++) {
        const struct decide_delivery *to = &d->deliveries[i];
        assert_int_equal(to->is_outside, to->server == CONF_SERVER_NONE);
        assert_int_equal(buf_addf(out, "%s%s %s %d %s", i ? " " : "",
                             to->is_outside ? "outside" : servers[to->server].name, to->address,
                             (int)to->epoch, d->keys[to->rcpt].text),
            0);
        if (to->errors_to)
            assert_int_equal(buf_addf(out, " !%s", to->errors_to), 0);
    }
}

static void test_rows(void **state)
{
    const struct route_view view = {.get = get};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct decide_request request = {.rcpt = slice_str(rows[i].rcpt),
            .source_server = rows[i].from,
            .now_s = NOW,
            .has_sender = rows[i].sender != NULL,
            .sender = slice_str(rows[i].sender)};
        struct buf text, steps;
        struct decision d;
        buf_init(&text, 4096);
        buf_init(&steps, 65536);
        arena_reset(mem);
        decide(&conf, &view, &request, mem, &d, &steps);
        describe(&d, &text);
        if (d.kind != rows[i].kind || strcmp(buf_cstr(&text), rows[i].want) != 0)
            fail_msg("%s: %s %s\n%s", rows[i].rcpt, decision_kind_name(d.kind), buf_cstr(&text),
                buf_cstr(&steps));
        assert_int_equal(d.code == 0, d.kind == DECIDE_DELIVER);
        assert_int_equal(
            d.is_endless, strstr(rows[i].want, "circle") || strstr(rows[i].want, "too many"));
        assert_int_equal(d.n_skipped, strcmp(rows[i].rcpt, "half@x.org") == 0 ? 1 : 0);
        buf_fini(&text);
        buf_fini(&steps);
    }
    arena_free(&mem);
}

/* Claims are made of them: every key on the way, those of the targets too. */
static void test_keys(void **state)
{
    static const char *const want[] = {"nest@x.org", "@x.org", "two@x.org", "@x.org", "ann@x.org",
        "@x.org", "bob@x.org", "@x.org", "one@x.org", "@x.org", "ann@x.org", "@x.org"};
    const struct route_view view = {.get = get};
    const struct decide_request request = {
        .rcpt = S("nest@x.org"), .source_server = OUT, .now_s = NOW};
    struct arena *mem = arena_new(DECIDE_MEM_MAX), *other = arena_new(DECIDE_MEM_MAX);
    struct decision d, copy;
    (void)state;
    decide(&conf, &view, &request, mem, &d, NULL);
    assert_int_equal(decision_copy(&d, other, &copy), 0);
    arena_free(&mem);
    assert_int_equal(copy.n_keys, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++)
        assert_string_equal(copy.keys[i].text, want[i]);
    assert_int_equal(copy.user, 0);
    arena_free(&other);
}

/* A list of 101 that are there is one too many; a hundred of whom one comes twice is none. */
static enum route_answer get_wide(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    int n = *(int *)arg;
    struct buf text;
    (void)store;
    route_entry_clear(e);
    if (key.p[0] == '@')
        return ROUTE_NOT_FOUND;
    if (slice_eq(key, S("a@x.org")) || slice_eq(key, S("b@x.org"))) {
        bool is_b = key.p[0] == 'b';
        buf_init(&text, ROUTE_TARGETS_MAX);
        for (int i = 0; i < n; i++)
            assert_int_equal(
                buf_addf(&text, "%s%c%d@x.org", i ? "\n" : "", is_b ? 'v' : 'u', i), 0);
        if (!is_b)
            assert_int_equal(buf_addf(&text, "\nb@x.org"), 0);
        assert_true(text.n <= sizeof store->bytes);
        memcpy(store->bytes, text.p, text.n);
        e->kind = ROUTE_KIND_ALIAS;
        e->targets = slice_make(store->bytes, text.n);
        buf_fini(&text);
    } else {
        e->route = S("old");
    }
    e->epoch = 1;
    return ROUTE_FOUND;
}

static void test_fan_out(void **state)
{
    int n;
    const struct route_view view = {.get = get_wide, .arg = &n};
    const struct decide_request request = {
        .rcpt = S("a@x.org"), .source_server = OUT, .now_s = NOW};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    (void)state;
    for (n = 49; n <= 51; n++) {
        arena_reset(mem);
        decide(&conf, &view, &request, mem, &d, NULL);
        assert_int_equal(d.kind, n <= 50 ? DECIDE_DELIVER : DECIDE_DEFER);
        assert_int_equal(d.code == 0, d.kind == DECIDE_DELIVER);
        assert_int_equal(d.is_endless, n > 50);
        if (n <= 50)
            assert_int_equal(d.n_deliveries, 2 * n);
    }
    arena_free(&mem);
}

/* Two stamps for the recipient under the epoch of the target are a loop. */
static void test_loop(void **state)
{
    const struct route_view view = {.get = get};
    const struct decide_stamp stamps[] = {{S("old"), 1, NOW - 2}, {S("old"), 1, NOW - 1}};
    struct decide_request request = {.rcpt = S("one@x.org"),
        .source_server = OUT,
        .now_s = NOW,
        .stamps = stamps,
        .n_stamps = 1};
    struct arena *mem = arena_new(DECIDE_MEM_MAX);
    struct decision d;
    (void)state;
    decide(&conf, &view, &request, mem, &d, NULL);
    assert_int_equal(d.kind, DECIDE_DELIVER);
    request.n_stamps = 2;
    arena_reset(mem);
    decide(&conf, &view, &request, mem, &d, NULL);
    assert_int_equal(d.kind, DECIDE_REJECT);
    assert_string_equal(d.enhanced, "5.4.6");
    arena_free(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_fan_out),
        cmocka_unit_test(test_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
