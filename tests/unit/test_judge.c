/* SPDX-License-Identifier: ISC */
#include "base/core/clock.h"
#include "relay/judge.h"
#include "tests/unit/site.h"

#define KEY "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char CONF[] = "domain \"example.org\" { model = chaining }\n"
                           "server \"old\" { smtp = \"smtp://127.0.0.1:25\" }\n"
                           "server \"new\" { smtp = \"smtp://127.0.0.1:26\" }\n"
                           "relay { hops_max = 5 }\n"
                           "mapd { direction_grace = 0s }\n";

static const struct site_row ROWS[] = {
    {.key = "ann@example.org", .route = "old", .epoch = 7},
    {.key = "bob@example.org", .route = "new", .deliver_as = "bob@new.example.org", .epoch = 8},
    {.key = "eve@example.org", .route = "old", .state = ROUTE_STATE_HELD, .epoch = 9},
    {.key = "one@example.org", .to = "bob@example.org", .epoch = 10},
    {.key = "two@example.org", .to = "ann@example.org\nbob@example.org", .epoch = 11},
    {.key = "out@example.org", .to = "c@example.com", .epoch = 12},
    {.key = "few@example.org", .to = "ann@example.org", .senders = "@example.net", .epoch = 13},
    {.key = NULL},
};

static const struct site_row MOVED[] = {
    {.key = "ann@example.org", .route = "new", .epoch = 10},
    {.key = NULL},
};

struct fixture {
    struct conf *conf;
    struct trace_keys *keys;
    struct site_map map;
    struct judge judge;
    struct arena *kept; /* what the relay keeps of decisions */
};

static int set_up(void **state)
{
    static struct fixture f;
    struct err err = ERR_INIT;

    f = (struct fixture){.conf = site_conf(CONF), .map = {.rows = ROWS}};
    assert_int_equal(trace_keys_parse(SLICE_LIT("k1 " KEY "\n"), &f.keys, &err), 0);
    f.judge = (struct judge){.conf = f.conf,
        .view = site_view(&f.map),
        .keys = f.keys,
        .mem = arena_new(DECIDE_MEM_MAX)};
    f.kept = arena_new((size_t)1 << 20);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    arena_free(&f->judge.mem);
    arena_free(&f->kept);
    trace_keys_free(&f->keys);
    conf_free(&f->conf);
    return 0;
}

static struct decision ask(struct fixture *f, const char *rcpt, int from)
{
    struct decision d, kept;

    judge_rcpt(&f->judge, SLICE_LIT("s@example.com"), slice_str(rcpt), from, &d);
    assert_int_equal(decision_copy(&d, f->kept, &kept), 0);
    return kept;
}

static void recipients(void **state)
{
    struct fixture *f = *state;
    struct decision d = ask(f, "Ann+x@Example.org", CONF_SERVER_NONE);

    assert_int_equal(d.kind, DECIDE_DELIVER);
    assert_int_equal(decision_server(&d), 0);
    assert_int_equal(decision_epoch(&d), 7);
    d = ask(f, "bob@example.org", CONF_SERVER_NONE);
    assert_int_equal(decision_server(&d), 1);
    assert_string_equal(d.deliveries[0].address, "bob@new.example.org");
    assert_int_equal(ask(f, "eve@example.org", CONF_SERVER_NONE).kind, DECIDE_HOLD);
    assert_int_equal(ask(f, "nobody@example.org", CONF_SERVER_NONE).code, 550);
    assert_int_equal(ask(f, "ann@example.net", CONF_SERVER_NONE).kind, DECIDE_NOT_OURS);
    /* The server that ann lives on sent it: it does not know her. */
    assert_int_equal(ask(f, "ann@example.org", 0).code, 550);
    f->map.is_unknown = true;
    assert_int_equal(ask(f, "nobody@example.org", CONF_SERVER_NONE).code, 451);
}

/* What one transaction without a spool cannot deliver is never accepted. */
static void aliases(void **state)
{
    struct fixture *f = *state;
    struct decision d = ask(f, "one@example.org", CONF_SERVER_NONE);

    assert_int_equal(d.kind, DECIDE_DELIVER);
    assert_int_equal(decision_server(&d), 1);
    assert_int_equal(decision_epoch(&d), 8);
    assert_string_equal(d.deliveries[0].address, "bob@new.example.org");
    /* Its stamp is one for the target too: the message may come back for either. */
    struct buf stamp;
    struct decide_stamp found[2];
    buf_init(&stamp, 4096);
    assert_int_equal(judge_stamp(&f->judge, &d, 1, &stamp), 0);
    assert_true(stamp.n <= judge_stamp_size(&f->judge, &d));
    static const char *const keys[] = {"one@example.org", "bob@example.org"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_int_equal(
            trace_find(f->keys, buf_slice(&stamp), slice_str(keys[i]), clock_wall_s(), found, 2),
            1);
    buf_fini(&stamp);

    static const char *const refused[] = {"two@example.org", "out@example.org"};
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        d = ask(f, refused[i], CONF_SERVER_NONE);
        assert_int_equal(d.kind, DECIDE_DEFER);
        assert_int_equal(d.code, 451);
        assert_int_equal(d.n_deliveries, 0);
    }
    d = ask(f, "few@example.org", CONF_SERVER_NONE);
    assert_int_equal(d.code, 550);
    assert_string_equal(d.enhanced, "5.7.1");
}

/* A header with our own stamp so many times. */
static void add_stamps(struct fixture *f, const struct decision *d, size_t n, struct buf *header)
{
    for (size_t i = 0; i < n; i++)
        assert_int_equal(judge_stamp(&f->judge, d, 1, header), 0);
    assert_int_equal(buf_add_str(header, "Subject: x\r\n\r\n"), 0);
}

static void stamps(void **state)
{
    struct fixture *f = *state;

    for (size_t n = 0; n <= 3; n++) {
        struct decision d = ask(f, "ann@example.org", CONF_SERVER_NONE);
        struct answer no = {0};
        struct buf header;
        int rc;

        buf_init(&header, 4096);
        add_stamps(f, &d, n, &header);
        rc = judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, &d, 1, &no);
        assert_int_equal(rc, n < 2 ? 0 : -1);
        assert_int_equal(no.code, n < 2 ? 0 : 554);
        /* Another recipient of the same message is in no loop. */
        d = ask(f, "bob@example.org", CONF_SERVER_NONE);
        assert_int_equal(
            judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, &d, 1, &no), 0);
        buf_fini(&header);
    }
}

static void one_of_many_loops(void **state)
{
    struct fixture *f = *state;
    struct decision both[2] = {
        ask(f, "ann+a@example.org", CONF_SERVER_NONE), ask(f, "ann@example.org", CONF_SERVER_NONE)};
    struct answer no = {0};
    struct buf header;

    buf_init(&header, 4096);
    add_stamps(f, &both[1], 2, &header);
    assert_int_equal(
        judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, both, 1, &no), 0);
    assert_int_equal(
        judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, both, 2, &no), -1);
    assert_int_equal(no.code, 554);
    assert_string_equal(no.enhanced, "5.4.6");
    buf_fini(&header);
}

/* A stamp makes the map be asked again; what it says now counts. */
static void moved_meanwhile(void **state)
{
    struct fixture *f = *state;
    struct decision d = ask(f, "ann@example.org", CONF_SERVER_NONE);
    struct answer no = {0};
    struct buf header;

    buf_init(&header, 4096);
    add_stamps(f, &d, 1, &header);
    f->map.rows = MOVED;
    assert_int_equal(judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, &d, 1, &no), -1);
    assert_int_equal(no.code, 451);
    f->map.is_unknown = true;
    assert_int_equal(judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, &d, 1, &no), -1);
    assert_int_equal(no.code, 451);
    buf_fini(&header);
}

static void hops(void **state)
{
    struct fixture *f = *state;
    struct decision d = ask(f, "ann@example.org", CONF_SERVER_NONE);

    for (int n = 4; n <= 6; n++) {
        struct answer no = {0};
        struct buf header;

        buf_init(&header, 4096);
        for (int i = 0; i < n; i++)
            assert_int_equal(buf_add_str(&header, "Received: from a\r\n by b\r\n"), 0);
        assert_int_equal(buf_add_str(&header, "\r\n"), 0);
        assert_int_equal(judge_header(&f->judge, buf_slice(&header), CONF_SERVER_NONE, &d, 1, &no),
            n <= 5 ? 0 : -1);
        assert_int_equal(no.code, n <= 5 ? 0 : 554);
        buf_fini(&header);
    }
}

static void stamp_for_many(void **state)
{
    enum { N = 100 };
    struct fixture *f = *state;
    static struct decision d[N];
    struct decide_stamp found[2];
    struct buf out;

    for (size_t i = 0; i < N; i++) {
        char rcpt[64];

        assert_int_equal(fmt_into(rcpt, sizeof(rcpt), "ann+%zu@example.org", i), 0);
        d[i] = ask(f, rcpt, CONF_SERVER_NONE);
    }
    buf_init(&out, 16384);
    assert_int_equal(judge_stamp(&f->judge, d, N, &out), 0);
    for (size_t i = 0; i < N; i++) {
        assert_int_equal(
            trace_find(f->keys, buf_slice(&out), slice_make(d[i].keys[0].text, d[i].keys[0].n),
                clock_wall_s(), found, 2),
            1);
        assert_slice_equal(found[0].server, "old");
    }
    buf_fini(&out);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(recipients),
        TEST(aliases),
        TEST(stamps),
        TEST(one_of_many_loops),
        TEST(moved_meanwhile),
        TEST(hops),
        TEST(stamp_for_many),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
