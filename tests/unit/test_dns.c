/* SPDX-License-Identifier: ISC */
/* A small name server on the same loop answers by a table and counts what it was asked. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/os/dns.h"
#include "base/os/loop.h"
#include "tests/unit/unit.h"

enum { TYPE_A = 1, TYPE_AAAA = 28, SERVFAIL = 2, NXDOMAIN = 3, SILENT = 99 };

/* One kind of record of one name. */
struct zone_row {
    const char *name;
    int type, rcode;
    const char *addrs[3];
    uint32_t ttl;
};

static const struct zone_row zone[] = {
    {"both.test", TYPE_A, 0, {"10.0.0.1", "10.0.0.2"}, 300},
    {"both.test", TYPE_AAAA, 0, {"2001:db8::1"}, 300},
    {"four.test", TYPE_A, 0, {"10.0.0.4"}, 300},
    {"four.test", TYPE_AAAA, 0, {NULL}, 0},
    {"six.test", TYPE_A, NXDOMAIN, {NULL}, 0},
    {"six.test", TYPE_AAAA, 0, {"2001:db8::6"}, 300},
    {"none.test", TYPE_A, NXDOMAIN, {NULL}, 0},
    {"none.test", TYPE_AAAA, NXDOMAIN, {NULL}, 0},
    {"nodata.test", TYPE_A, 0, {NULL}, 0},
    {"nodata.test", TYPE_AAAA, 0, {NULL}, 0},
    {"fail.test", TYPE_A, SERVFAIL, {NULL}, 0},
    {"fail.test", TYPE_AAAA, SERVFAIL, {NULL}, 0},
    /* Half an answer is none: the missing half may hold the address. */
    {"halffail.test", TYPE_A, SERVFAIL, {NULL}, 0},
    {"halffail.test", TYPE_AAAA, NXDOMAIN, {NULL}, 0},
    {"otherfail.test", TYPE_A, 0, {NULL}, 0},
    {"otherfail.test", TYPE_AAAA, SERVFAIL, {NULL}, 0},
    {"halfgood.test", TYPE_A, 0, {"10.0.0.9"}, 300},
    {"halfgood.test", TYPE_AAAA, SERVFAIL, {NULL}, 0},
    {"silent.test", TYPE_A, SILENT, {NULL}, 0},
    {"silent.test", TYPE_AAAA, SILENT, {NULL}, 0},
};

struct fixture {
    struct loop *loop;
    struct loop_timer *guard;
    struct loop_io *server_io;
    struct dns *dns;
    int server_fd, asked, answers, wanted;
    enum dns_result result;
    char addrs[4][NET_TEXT_MAX];
    size_t n;
    char reason[200];
    struct dns_query *query;
};

static void put16(struct buf *b, unsigned v)
{
    assert_int_equal(buf_add_byte(b, (unsigned char)(v >> 8)), 0);
    assert_int_equal(buf_add_byte(b, (unsigned char)v), 0);
}

/* The name of the question with dots, and where its type stands. */
static size_t read_name(const unsigned char *q, size_t n, struct buf *name)
{
    size_t at = 12;

    while (at < n && q[at] != 0) {
        assert_true(at + 1 + q[at] < n);
        if (name->n > 0)
            assert_int_equal(buf_add_byte(name, '.'), 0);
        assert_int_equal(buf_add(name, slice_make(q + at + 1, q[at])), 0);
        at += 1U + q[at];
    }
    return at + 1;
}

static void put_record(struct buf *b, const struct zone_row *row, const char *text)
{
    struct net_addr addr;
    size_t n = row->type == TYPE_A ? 4 : 16;

    assert_int_equal(net_addr_parse(slice_str(text), &addr), 0);
    put16(b, 0xc00c); /* the name of the question */
    put16(b, (unsigned)row->type);
    put16(b, 1);
    put16(b, row->ttl >> 16);
    put16(b, row->ttl & 0xffff);
    put16(b, (unsigned)n);
    assert_int_equal(buf_add(b, slice_make(addr.b + 16 - n, n)), 0);
}

static void on_question(void *arg, int events)
{
    struct fixture *f = arg;
    unsigned char q[512];
    struct sockaddr_in from;
    socklen_t from_n = sizeof(from);
    ssize_t n = recvfrom(f->server_fd, q, sizeof(q), 0, (struct sockaddr *)&from, &from_n);
    struct buf name, reply;
    size_t end, count = 0;
    const struct zone_row *row = NULL;

    (void)events;
    if (n < 17)
        return;
    f->asked++;
    buf_init(&name, 300);
    buf_init(&reply, 512);
    end = read_name(q, (size_t)n, &name);
    for (size_t i = 0; i < COUNT_OF(zone); i++)
        if (slice_eq(buf_slice(&name), slice_str(zone[i].name)) &&
            zone[i].type == (q[end] << 8 | q[end + 1]))
            row = &zone[i];
    if (row != NULL && row->rcode != SILENT) {
        while (count < 3 && row->addrs[count] != NULL)
            count++;
        assert_int_equal(buf_add(&reply, slice_make(q, 2)), 0);
        put16(&reply, 0x8180U | (unsigned)row->rcode);
        put16(&reply, 1);
        put16(&reply, (unsigned)count);
        put16(&reply, 0);
        put16(&reply, 0);
        assert_int_equal(buf_add(&reply, slice_make(q + 12, end + 4 - 12)), 0);
        for (size_t i = 0; i < count; i++)
            put_record(&reply, row, row->addrs[i]);
        assert_true(sendto(f->server_fd, buf_slice(&reply).p, reply.n, 0, (struct sockaddr *)&from,
                        from_n) > 0);
    }
    buf_fini(&reply);
    buf_fini(&name);
}

static void on_guard(void *arg)
{
    (void)arg;
    fail_msg("no answer came");
}

static int set_up(void **state)
{
    static struct fixture fixture;
    struct fixture *f = &fixture;
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(sa);
    char servers[40];
    struct dns_options options = {.servers = servers, .timeout_ms = 250};
    struct err err = ERR_INIT;

    *f = (struct fixture){.loop = loop_new(), .wanted = 1};
    f->guard = loop_timer_new(f->loop, on_guard, f);
    loop_timer_start(f->guard, 30000);
    f->server_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(f->server_fd, (struct sockaddr *)&sa, n), 0);
    assert_int_equal(getsockname(f->server_fd, (struct sockaddr *)&sa, &n), 0);
    f->server_io = loop_io_new(f->loop, f->server_fd, on_question, f);
    loop_io_want(f->server_io, LOOP_READ);
    assert_int_equal(
        fmt_into(servers, sizeof(servers), "127.0.0.1:%u", (unsigned)ntohs(sa.sin_port)), 0);
    assert_int_equal(dns_new(f->loop, &options, &f->dns, &err), 0);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    dns_free(&f->dns);
    loop_io_free(&f->server_io);
    loop_timer_free(&f->guard);
    loop_free(&f->loop);
    close(f->server_fd);
    return 0;
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
    struct fixture *f = arg;

    f->result = answer->result;
    f->n = answer->n;
    for (size_t i = 0; i < answer->n && i < 4; i++)
        net_addr_format(&answer->addrs[i], f->addrs[i]);
    assert_int_equal(fmt_into(f->reason, sizeof(f->reason), "%s", answer->reason), 0);
    if (++f->answers == f->wanted)
        loop_stop(f->loop);
}

static void ask(struct fixture *f, const char *host)
{
    f->answers = 0;
    f->query = dns_resolve(f->dns, host, on_answer, f);
    assert_int_equal(f->answers, 0);
    loop_run(f->loop);
    assert_int_equal(f->answers, 1);
}

static void test_answers(void **state)
{
    static const struct {
        const char *host;
        enum dns_result result;
        const char *addrs[3];
        int asked;
    } rows[] = {
        {"both.test", DNS_FOUND, {"10.0.0.1", "10.0.0.2", "2001:db8::1"}, 2},
        {"four.test", DNS_FOUND, {"10.0.0.4"}, 2},
        {"six.test", DNS_FOUND, {"2001:db8::6"}, 2},
        {"none.test", DNS_NONE, {NULL}, 2},
        {"nodata.test", DNS_NONE, {NULL}, 2},
        {"fail.test", DNS_TEMPORARY, {NULL}, -1},
        {"halffail.test", DNS_TEMPORARY, {NULL}, -1},
        {"otherfail.test", DNS_TEMPORARY, {NULL}, -1},
        {"halfgood.test", DNS_FOUND, {"10.0.0.9"}, -1},
        {"silent.test", DNS_TEMPORARY, {NULL}, -1},
        {"10.9.8.7", DNS_FOUND, {"10.9.8.7"}, 0},
        {"::1", DNS_FOUND, {"::1"}, 0},
        {"not a name", DNS_NONE, {NULL}, 0},
        {"", DNS_NONE, {NULL}, 0},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t n = 0;

        f->asked = 0;
        ask(f, rows[i].host);
        assert_row(rows[i].host, f->result == rows[i].result);
        assert_row(rows[i].host, (f->reason[0] == '\0') == (f->result == DNS_FOUND));
        while (n < 3 && rows[i].addrs[n] != NULL) {
            assert_row(rows[i].host, n < f->n);
            assert_string_equal(f->addrs[n], rows[i].addrs[n]);
            n++;
        }
        assert_int_equal(f->n, n);
        if (rows[i].asked >= 0)
            assert_row(rows[i].host, f->asked == rows[i].asked);
    }
}

static void test_cache(void **state)
{
    struct fixture *f = *state;

    ask(f, "both.test");
    ask(f, "BOTH.test");
    assert_int_equal(f->n, 3);
    assert_int_equal(f->asked, 2);
    ask(f, "none.test");
    ask(f, "none.test");
    assert_int_equal(f->asked, 4);
    /* What is temporary is never remembered. */
    ask(f, "fail.test");
    f->asked = 0;
    ask(f, "fail.test");
    assert_true(f->asked >= 2);
}

/* More names than the cache holds: the old ones go, the answers stay right. */
static void test_full_cache(void **state)
{
    struct fixture *f = *state;
    char host[32];

    for (int i = 0; i < 1100; i++) {
        assert_int_equal(fmt_into(host, sizeof(host), "10.1.%d.%d", i / 256, i % 256), 0);
        ask(f, host);
        assert_int_equal(f->n, 1);
        assert_string_equal(f->addrs[0], host);
    }
}

static void test_hosts_file(void **state)
{
    struct fixture *f = *state;

    ask(f, "localhost");
    assert_int_equal(f->result, DNS_FOUND);
    assert_true(f->n >= 1);
    assert_int_equal(f->asked, 0);
}

static void test_shared_and_cancelled(void **state)
{
    struct fixture *f = *state;
    struct dns_query *first, *second, *third;

    first = dns_resolve(f->dns, "both.test", on_answer, f);
    second = dns_resolve(f->dns, "both.test", on_answer, f);
    third = dns_resolve(f->dns, "both.test", on_answer, f);
    dns_cancel(&second);
    assert_null(second);
    dns_cancel(&second);
    f->wanted = 2;
    loop_run(f->loop);
    assert_int_equal(f->answers, 2);
    assert_int_equal(f->asked, 2);
    (void)first, (void)third;
    /* Freed with a question under way: nothing comes, nothing leaks. */
    (void)dns_resolve(f->dns, "silent.test", on_answer, f);
    (void)dns_resolve(f->dns, "four.test", on_answer, f);
    dns_free(&f->dns);
    assert_int_equal(f->answers, 2);
}

static void test_bad_servers(void **state)
{
    struct fixture *f = *state;
    struct dns_options options = {.servers = "not a server"};
    struct dns *dns = NULL;
    struct err err = ERR_INIT;

    assert_int_equal(dns_new(f->loop, &options, &dns, &err), -1);
    assert_null(dns);
    assert_int_equal(dns_new(f->loop, NULL, &dns, &err), 0);
    dns_free(&dns);
    dns_free(&dns);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(test_answers),
        WITH_FIXTURE(test_cache),
        WITH_FIXTURE(test_full_cache),
        WITH_FIXTURE(test_hosts_file),
        WITH_FIXTURE(test_shared_and_cancelled),
        WITH_FIXTURE(test_bad_servers),
    };

    return cmocka_run_group_tests_name("dns", tests, NULL, NULL);
}
