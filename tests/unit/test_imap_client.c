/* SPDX-License-Identifier: ISC */
#include "base/core/buf.h"
#include "imapsync/imap/client.h"
#include "imapsync/imap/limits.h"
#include "tests/unit/unit.h"

/* A client, what it said through its events, and the answers to its commands. */
struct rig {
    struct imap_client *c;
    struct buf said;
    struct err err;
};

static void say(struct rig *g, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    assert_int_equal(buf_vaddf(&g->said, fmt, ap), 0);
    va_end(ap);
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    say(arg, "u%d ", (int)r->kind);
}

static void on_begin(void *arg, uint32_t uid, uint64_t size)
{
    say(arg, "b%u:%u ", uid, (unsigned)size);
}

static void on_data(void *arg, struct slice octets)
{
    say(arg, "%.*s", SLICE_ARG(octets));
}

static void on_end(void *arg)
{
    say(arg, " e ");
}

static void on_odd(void *arg, const struct imap_response *r, bool is_kept, struct slice line)
{
    say(arg, "odd%d%s(%.*s) ", (int)r->kind, is_kept ? "+" : "", SLICE_ARG(line));
}

static void on_done(void *arg, const struct imap_response *r)
{
    say(arg, "%.*s=%d ", SLICE_ARG(r->tag), (int)r->status);
}

static const struct imap_events events = {on_untagged, on_begin, on_data, on_end, on_odd};

static int feed(struct rig *g, const char *text)
{
    g->err = ERR_INIT;
    return imap_client_feed(g->c, slice_str(text), &g->err);
}

static void rig_up(struct rig *g, const char *greeting)
{
    *g = (struct rig){.c = imap_client_new()};
    buf_init(&g->said, 100000);
    imap_client_events(g->c, &events, g);
    if (greeting)
        assert_int_equal(feed(g, greeting), 0);
}

static void rig_down(struct rig *g)
{
    imap_client_free(&g->c);
    buf_fini(&g->said);
}

static void assert_said(struct rig *g, const char *want)
{
    assert_string_equal(buf_cstr(&g->said), want);
    buf_clear(&g->said);
}

/* Takes what the client wants to send. */
static void assert_out(struct rig *g, const char *want)
{
    struct slice out = imap_client_out(g->c);
    assert_slice_equal(out, want);
    imap_client_sent(g->c, out.n);
}

static void command(struct rig *g, const char *text)
{
    imap_cmd_begin(g->c, on_done, g);
    imap_cmd_text(g->c, text);
    imap_cmd_end(g->c);
}

#define GREETING "* OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] hi\r\n"
#define PLUS "* OK [CAPABILITY IMAP4rev1 LITERAL+] hi\r\n"
#define MINUS "* OK [CAPABILITY IMAP4rev1 LITERAL-] hi\r\n"

static void test_greetings(void **state)
{
    static const struct {
        const char *greeting;
        int result;
        enum imap_session session;
    } rows[] = {
        {"* OK hi\r\n", 0, IMAP_SESSION_OPEN},
        {"* PREAUTH hi\r\n", 0, IMAP_SESSION_PREAUTH},
        {"* BYE full\r\n", 0, IMAP_SESSION_BYE},
        {"* CAPABILITY IMAP4rev1\r\n", -1, IMAP_SESSION_GREETING},
        {"c1 OK hi\r\n", -1, IMAP_SESSION_GREETING},
        {"+ hi\r\n", -1, IMAP_SESSION_GREETING},
        {"220 smtp.example.org ESMTP\r\n", -1, IMAP_SESSION_GREETING},
        {"* 1 FETCH (BODY[] {1}\r\nx)\r\n", -1, IMAP_SESSION_GREETING},
        {"* OKAY hi\r\n", -1, IMAP_SESSION_GREETING},
        {"\r\n", 0, IMAP_SESSION_GREETING},
        {"\n* OK hi\n", 0, IMAP_SESSION_OPEN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        rig_up(&g, NULL);
        assert_row(rows[i].greeting, feed(&g, rows[i].greeting) == rows[i].result);
        assert_row(rows[i].greeting, imap_client_session(g.c) == rows[i].session);
        assert_row(rows[i].greeting, rows[i].result == 0 || g.err.class == ERR_PEER);
        rig_down(&g);
    }
    /* What it says instead is shown. */
    for (int i = 0; i < 2; i++) {
        struct rig g;
        rig_up(&g, NULL);
        assert_int_equal(feed(&g, i == 0 ? "* NO too many\r\n" : "* BAD too many\r\n"), -1);
        assert_int_equal(g.err.class, ERR_TEMP);
        assert_non_null(strstr(g.err.text, "too many"));
        rig_down(&g);
    }
}

static void test_capabilities(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    assert_false(imap_client_has(g.c, IMAP_CAP_KNOWN));
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev1 qresync LITERAL+X\r\n"), 0);
    assert_true(imap_client_has(g.c, IMAP_CAP_KNOWN | IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE));
    assert_false(imap_client_has(g.c, IMAP_CAP_LITERAL_PLUS));
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev2\r\n"), 0);
    assert_true(imap_client_has(g.c, IMAP_CAP_UIDPLUS | IMAP_CAP_LITERAL_MINUS));
    assert_false(imap_client_has(g.c, IMAP_CAP_QRESYNC));
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev1 IMAP4rev2\r\n"), 0);
    assert_false(imap_client_has(g.c, IMAP_CAP_UIDPLUS));
    rig_down(&g);
}

static void test_pipelining(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    command(&g, "NOOP");
    command(&g, "LIST \"\" *");
    assert_out(&g, "c1 NOOP\r\nc2 LIST \"\" *\r\n");
    assert_int_equal(imap_client_pending(g.c), 2);
    assert_int_equal(feed(&g, "* 1 EXISTS\r\nc2 NO x\r\nc1 OK y\r\n"), 0);
    assert_said(&g, "u11 c2=1 c1=0 ");
    assert_int_equal(imap_client_pending(g.c), 0);
    for (unsigned i = 0; i < IMAP_PIPELINE_MAX; i++) {
        assert_true(imap_client_may_send(g.c));
        command(&g, "NOOP");
    }
    assert_false(imap_client_may_send(g.c));
    rig_down(&g);
}

/* Lines that answer nothing are told and passed over, and the command waits. */
#define ON_THEIR_WAY (IMAP_PIPELINE_MAX - 2)

static const char *odd_or_even(unsigned tag)
{
    return tag % 2 ? "FETCH" : "NOOP";
}

/* Three times as many as can be on their way at once, and of each three the answer of the oldest
 * comes last. */
static void test_answers_out_of_order(void **state)
{
    static const unsigned order[] = {1, 2, 0};
    struct rig g;
    unsigned next = 1;
    char text[64];
    (void)state;
    rig_up(&g, PLUS);
    for (unsigned tag = 1; tag <= ON_THEIR_WAY; tag++)
        command(&g, odd_or_even(tag));
    for (; next <= 3 * IMAP_PIPELINE_MAX; next += COUNT_OF(order)) {
        imap_client_sent(g.c, imap_client_out(g.c).n);
        for (unsigned k = 0; k < COUNT_OF(order); k++) {
            unsigned tag = next + order[k], oldest = order[k] == 0 ? next + 3 : next;
            BUG_ON(fmt_into(text, sizeof(text), "c%u OK x\r\n", tag) != 0);
            assert_int_equal(feed(&g, text), 0);
            assert_int_equal(feed(&g, text), 0);
            BUG_ON(fmt_into(text, sizeof(text), "c%u=%d odd%d(c%u OK x) ", tag, (int)IMAP_STATUS_OK,
                       (int)IMAP_KIND_TAGGED, tag) != 0);
            assert_said(&g, text); /* the second one is nobody's */
            assert_slice_equal(imap_client_oldest(g.c), odd_or_even(oldest));
            command(&g, odd_or_even(ON_THEIR_WAY + next + k));
        }
        assert_int_equal(imap_client_pending(g.c), ON_THEIR_WAY);
    }
    imap_client_cancel(g.c);
    BUG_ON(fmt_into(text, sizeof(text), "=%d ", (int)IMAP_STATUS_CANCELLED) != 0);
    for (size_t i = 0; i < ON_THEIR_WAY; i++) {
        assert_true(slice_starts(buf_slice(&g.said), slice_str(text)));
        buf_consume(&g.said, strlen(text));
    }
    assert_int_equal(g.said.n, 0);
    rig_down(&g);
}

static void test_wrong_tags(void **state)
{
    static const char *const rows[] = {"c2 OK x\r\n", "c0 OK x\r\n", "c01x OK x\r\n", "a1 OK x\r\n",
        "c OK x\r\n", "+ go\r\n", "c2 FINE\r\n", "\r\n", ")\r\n", "* LIST (\r\n",
        "* 5 FETCH (UID 0)\r\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        rig_up(&g, "* OK hi\r\n");
        command(&g, "NOOP");
        assert_out(&g, "c1 NOOP\r\n");
        assert_row(rows[i], feed(&g, rows[i]) == 0);
        assert_row(rows[i], slice_starts(buf_slice(&g.said), SLICE_LIT("odd")));
        assert_row(rows[i], imap_client_pending(g.c) == 1);
        buf_clear(&g.said);
        assert_row(rows[i], feed(&g, "c1 OK x\r\n") == 0);
        assert_said(&g, "c1=0 ");
        /* Twice is once too often. */
        assert_row(rows[i], feed(&g, "c1 OK x\r\n") == 0);
        assert_said(&g, "odd0(c1 OK x) ");
        rig_down(&g);
    }
    /* An answer that comes before its command is a guess. */
    struct rig g;
    rig_up(&g, "* OK hi\r\n");
    command(&g, "NOOP");
    assert_int_equal(feed(&g, "c1 OK x\r\n"), 0);
    assert_int_equal(imap_client_pending(g.c), 1);
    rig_down(&g);
    /* Nothing of the kind is passed over while TLS is to begin. */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        rig_up(&g, "* OK hi\r\n");
        imap_cmd_starttls(g.c, on_done, &g);
        assert_out(&g, "c1 STARTTLS\r\n");
        assert_row(rows[i], feed(&g, rows[i]) == -1 && g.err.class == ERR_PEER);
        rig_down(&g);
    }
}

/* A command is over when anything has answered it, and what a line still says counts. */
static void test_odd_lines(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    command(&g, "NOOP");
    assert_out(&g, "c1 NOOP\r\n");
    assert_int_equal(feed(&g, "c1 FINE done\r\n"), 0);
    assert_said(&g, "odd0+(c1 FINE done) c1=2 ");
    assert_int_equal(feed(&g, "* 1 FETCH (UID 4 FLAGS (a(b)) UID 4 BODY[] {1}\r\nx)\r\n"), 0);
    assert_said(&g, "b4:1 x e odd14+(* 1 FETCH (UID 4 FLAGS (a(b)) UID 4 BODY[] {1}\r\n)) u14 ");
    /* Behind what has no end nobody knows what is what; its octets are no lines. */
    assert_int_equal(feed(&g, "* 1 FETCH (UID 4 FLAGS ((a BODY[] {4}\r\nx\r\n*)\r\n"), 0);
    assert_said(&g, "odd14+(* 1 FETCH (UID 4 FLAGS ((a BODY[] {4}\r\n)) u14 ");
    rig_down(&g);
    rig_up(&g, "* OK hi\r\n");
    imap_client_hide(g.c, SLICE_LIT("correct horse"));
    assert_int_equal(feed(&g, "(correct horse\r\n"), 0);
    assert_said(&g, "odd21((a line that repeats what was sent to sign in)) ");
    rig_down(&g);
}

static void append_two(struct rig *g)
{
    imap_cmd_begin(g->c, on_done, g);
    imap_cmd_text(g->c, "APPEND a ");
    imap_cmd_literal(g->c, 3);
    imap_cmd_octets(g->c, SLICE_LIT("one"));
    imap_cmd_text(g->c, " ");
    imap_cmd_literal(g->c, 4097);
    imap_cmd_octets(g->c, SLICE_LIT("two"));
    imap_cmd_end(g->c);
}

static void test_literal_plus(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, PLUS);
    append_two(&g);
    assert_out(&g, "c1 APPEND a {3+}\r\none {4097+}\r\ntwo\r\n");
    assert_int_equal(feed(&g, "+ go\r\n"), 0);
    assert_said(&g, "odd2(+ go) ");
    rig_down(&g);
}

static void test_literal_sizes(void **state)
{
    (void)state;
    for (uint64_t n = IMAP_FREE_LITERAL_MAX - 1; n <= IMAP_FREE_LITERAL_MAX + 1; n++) {
        struct rig g;
        rig_up(&g, PLUS);
        imap_cmd_begin(g.c, on_done, &g);
        imap_cmd_literal(g.c, n);
        imap_cmd_text(g.c, "x");
        struct slice out = imap_client_out(g.c);
        assert_int_equal(out.p[out.n - 1] == 'x', n <= IMAP_FREE_LITERAL_MAX);
        rig_down(&g);
    }
    struct rig g;
    rig_up(&g, "* OK [CAPABILITY IMAP4rev1 LITERAL+ APPENDLIMIT=35651584] hi\r\n");
    assert_int_equal(imap_client_limits(g.c).append, 35651584);
    for (uint64_t n = 35651583; n <= 35651585; n++) {
        imap_cmd_begin(g.c, on_done, &g);
        imap_cmd_literal(g.c, n);
        struct slice out = imap_client_out(g.c);
        assert_int_equal(slice_search(out, SLICE_LIT("+}")) >= 0, n <= 35651584);
        imap_cmd_end(g.c);
        imap_client_sent(g.c, imap_client_out(g.c).n);
    }
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev1 APPENDLIMIT\r\n"), 0);
    assert_int_equal(imap_client_limits(g.c).append, 0);
    rig_down(&g);
}

static void test_literal_minus(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, MINUS);
    append_two(&g);
    command(&g, "NOOP");
    assert_out(&g, "c1 APPEND a {3+}\r\none {4097}\r\n");
    assert_out(&g, "");
    assert_int_equal(feed(&g, "+ go\r\n"), 0);
    assert_out(&g, "two\r\nc2 NOOP\r\n");
    rig_down(&g);
}

static void test_literal_sync(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    append_two(&g);
    assert_out(&g, "c1 APPEND a {3}\r\n");
    assert_int_equal(feed(&g, "+\r\n"), 0);
    assert_out(&g, "one {4097}\r\n");
    /* The second one is refused: nothing of it leaves, what is behind goes on. */
    command(&g, "NOOP");
    assert_int_equal(feed(&g, "c1 NO [TOOBIG] x\r\n"), 0);
    assert_said(&g, "c1=1 ");
    assert_out(&g, "c2 NOOP\r\n");
    assert_int_equal(feed(&g, "c2 OK\r\n"), 0);
    assert_said(&g, "c2=0 ");
    rig_down(&g);
}

static void test_literal_refused_while_composing(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    imap_cmd_begin(g.c, on_done, &g);
    imap_cmd_text(g.c, "APPEND a ");
    imap_cmd_literal(g.c, 10);
    assert_out(&g, "c1 APPEND a {10}\r\n");
    imap_cmd_octets(g.c, SLICE_LIT("half"));
    assert_false(imap_cmd_is_over(g.c));
    assert_int_equal(feed(&g, "c1 NO x\r\n"), 0);
    assert_true(imap_cmd_is_over(g.c));
    imap_cmd_octets(g.c, SLICE_LIT("rest"));
    imap_cmd_end(g.c);
    assert_out(&g, "");
    command(&g, "NOOP");
    assert_out(&g, "c2 NOOP\r\n");
    rig_down(&g);

    /* OK instead of "+" would leave us out of step. */
    rig_up(&g, "* OK hi\r\n");
    append_two(&g);
    assert_out(&g, "c1 APPEND a {3}\r\n");
    assert_int_not_equal(feed(&g, "c1 OK x\r\n"), 0);
    rig_down(&g);
}

static void test_strings(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, PLUS);
    imap_cmd_begin(g.c, on_done, &g);
    imap_cmd_astring(g.c, SLICE_LIT("a\"b\\c d"));
    imap_cmd_astring(g.c, SLICE_LIT("\xc3\xa4"));
    imap_cmd_astring(g.c, SLICE_LIT(""));
    imap_cmd_end(g.c);
    assert_out(&g, "c1 \"a\\\"b\\\\c d\"{2+}\r\n\xc3\xa4\"\"\r\n");
    rig_down(&g);
}

static void test_bodies(void **state)
{
    static const char in[] = "* 1 FETCH (UID 7 BODY[] {3}\r\nabc)\r\n"
                             "* 2 FETCH (BODY[] {0}\r\n UID 8)\r\n"
                             "* 3 FETCH (UID 9 BODY[] \"x\\\\y\")\r\n"
                             "* 4 FETCH (UID 10 BODY[] NIL)\r\n"
                             "* 5 FETCH (UID 11 BODY[] \"\")\r\n";
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    assert_int_equal(feed(&g, in), 0);
    assert_said(&g, "b7:3 abc e u14 b0:0  e u14 b9:3 x\\y e u14 u14 b11:0  e u14 ");
    for (size_t i = 0; i < sizeof(in) - 1; i++)
        assert_int_equal(imap_client_feed(g.c, slice_make(in + i, 1), &g.err), 0);
    assert_said(&g, "b7:3 abc e u14 b0:0  e u14 b9:3 x\\y e u14 u14 b11:0  e u14 ");
    rig_down(&g);
}

static void test_starttls(void **state)
{
    static const struct {
        const char *answer;
        int result;
        bool wants_tls;
    } rows[] = {
        {"c1 OK go\r\n", 0, true},
        {"* OK hm\r\nc1 OK go\r\n", 0, true},
        {"c1 NO no\r\n", 0, false},
        {"c1 BAD no\r\n", 0, false},
        {"+ go\r\n", -1, false},
        {"* PREAUTH in\r\n", -1, false},
        {"c1 OK go\r\n* CAPABILITY AUTH=PLAIN\r\n", -1, true},
        {"c1 OK go\r\nx", -1, true},
        {"c2 OK go\r\n", -1, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        rig_up(&g, GREETING);
        imap_cmd_starttls(g.c, on_done, &g);
        assert_out(&g, "c1 STARTTLS\r\n");
        assert_false(imap_client_may_send(g.c));
        assert_row(rows[i].answer, feed(&g, rows[i].answer) == rows[i].result);
        assert_row(rows[i].answer, imap_client_wants_tls(g.c) == rows[i].wants_tls);
        rig_down(&g);
    }
    /* What was told before TLS is forgotten after it, half a line included. */
    struct rig g;
    rig_up(&g, GREETING);
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev1 AUTH=PLAIN X-EV"), 0);
    imap_client_secured(g.c);
    assert_int_equal(feed(&g, "* CAPABILITY IMAP4rev1\r\n"), 0);
    assert_int_equal(imap_client_limits(g.c).mechs, 0);
    rig_down(&g);
}

static void on_challenge(void *arg, struct slice text)
{
    struct rig *g = arg;
    say(g, "[%.*s] ", SLICE_ARG(text));
    imap_cmd_line(g->c, "answer");
}

static void test_authenticate(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, GREETING);
    imap_cmd_authenticate(g.c, "PLAIN", "abc=", on_challenge, on_done, &g);
    assert_out(&g, "c1 AUTHENTICATE PLAIN abc=\r\n");
    assert_false(imap_client_may_send(g.c));
    assert_int_equal(feed(&g, "+ one\r\n"), 0);
    assert_out(&g, "answer\r\n");
    assert_int_equal(feed(&g, "+ \r\n"), 0);
    assert_out(&g, "answer\r\n");
    assert_int_equal(feed(&g, "c1 OK [CAPABILITY IMAP4rev1 UIDPLUS] in\r\n"), 0);
    assert_said(&g, "[one] [] c1=0 ");
    assert_true(imap_client_may_send(g.c));
    assert_true(imap_client_has(g.c, IMAP_CAP_UIDPLUS));
    rig_down(&g);
}

static void test_bye(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, "* OK hi\r\n");
    assert_int_equal(feed(&g, "* BYE so\tlong \x1b[1m\r\n"), 0);
    assert_string_equal(imap_client_bye(g.c), "so?long ?[1m");
    assert_int_equal(imap_client_session(g.c), IMAP_SESSION_BYE);
    rig_down(&g);
}

/* Commands of many literals for a server that wants to be asked for each. */
static void test_many_waits(void **state)
{
    struct rig g;
    size_t n;
    (void)state;
    rig_up(&g, MINUS);
    imap_cmd_begin(g.c, on_done, &g);
    imap_cmd_text(g.c, "APPEND a");
    for (n = 0; !imap_cmd_is_full(g.c); n++) {
        imap_cmd_text(g.c, " ");
        imap_cmd_literal(g.c, 5000);
    }
    assert_int_equal(n, IMAP_WAITS_FULL);
    imap_cmd_end(g.c);
    assert_false(imap_client_may_send(g.c));
    assert_out(&g, "c1 APPEND a {5000}\r\n");
    assert_true(imap_client_is_owed(g.c));
    assert_int_equal(feed(&g, "+ go\r\n"), 0);
    assert_false(imap_cmd_is_full(g.c));
    assert_out(&g, " {5000}\r\n");
    assert_int_equal(feed(&g, "c1 NO enough\r\n"), 0);
    assert_said(&g, "c1=1 ");
    assert_int_equal(imap_client_unsent(g.c), 0);
    rig_down(&g);
}

/* Who goes on when it is full loses the connection, not the process. */
static void test_overrun(void **state)
{
    static const char much[65536] = {'x'};
    (void)state;
    for (int by_waits = 0; by_waits < 2; by_waits++) {
        struct rig g;
        rig_up(&g, "* OK [CAPABILITY IMAP4rev1] hi\r\n");
        imap_cmd_begin(g.c, on_done, &g);
        imap_cmd_text(g.c, "APPEND a ");
        if (!by_waits)
            imap_cmd_literal(g.c, UINT32_MAX);
        for (size_t i = 0; i <= IMAP_WAITS_MAX; i++) {
            if (by_waits)
                imap_cmd_literal(g.c, 1);
            imap_cmd_octets(g.c, slice_make(much, by_waits ? 1 : sizeof(much)));
            imap_cmd_f(g.c, " (%s)", "\\Seen");
        }
        assert_true(imap_cmd_is_full(g.c));
        assert_int_equal(imap_client_check(g.c, &g.err), -1);
        assert_int_equal(g.err.class, ERR_PEER);
        assert_int_equal(g.err.scope, ERR_SCOPE_HOST);
        assert_int_equal(imap_client_out(g.c).n, 0);
        assert_int_equal(feed(&g, "+ go\r\n"), -1);
        imap_cmd_end(g.c);
        rig_down(&g);
    }
}

static void test_cancel(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, PLUS);
    command(&g, "NOOP");
    assert_out(&g, "c1 NOOP\r\n");
    command(&g, "CHECK");
    imap_cmd_begin(g.c, on_done, &g);
    imap_cmd_text(g.c, "APPEND a ");
    imap_cmd_literal(g.c, 10);
    imap_client_cancel(g.c);
    assert_said(&g, "=5 =5 =5 ");
    assert_int_equal(imap_client_pending(g.c), 0);
    assert_true(imap_cmd_is_over(g.c));
    imap_cmd_octets(g.c, SLICE_LIT("0123456789"));
    imap_cmd_end(g.c);
    assert_false(imap_client_may_send(g.c));
    /* One that is composed by someone who has not looked is answered when the client goes. */
    command(&g, "NOOP");
    assert_said(&g, "");
    imap_client_free(&g.c);
    assert_said(&g, "=5 ");
    rig_down(&g);
}

static void test_owed(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, NULL);
    assert_true(imap_client_is_owed(g.c)); /* the greeting */
    assert_int_equal(feed(&g, PLUS), 0);
    assert_false(imap_client_is_owed(g.c));
    imap_cmd_begin(g.c, on_done, &g);
    imap_cmd_text(g.c, "APPEND a ");
    imap_cmd_literal(g.c, 4);
    assert_true(imap_client_is_owed(g.c)); /* to take it */
    imap_client_sent(g.c, imap_client_out(g.c).n);
    assert_false(imap_client_is_owed(g.c)); /* it is our turn */
    imap_cmd_octets(g.c, SLICE_LIT("body"));
    imap_cmd_end(g.c);
    imap_client_sent(g.c, imap_client_out(g.c).n);
    assert_true(imap_client_is_owed(g.c)); /* the answer */
    assert_int_equal(feed(&g, "c1 OK in\r\n"), 0);
    assert_false(imap_client_is_owed(g.c));
    rig_down(&g);
}

#define BIT(name) (1u << IMAP_KIND_##name)

/* The bits of all kinds that it awaits. */
static unsigned awaited(const struct imap_client *c)
{
    unsigned kinds = 0;
    for (unsigned kind = 0; kind <= IMAP_KIND_OTHER; kind++)
        kinds |= imap_client_awaits(c, (enum imap_kind)kind) ? 1u << kind : 0;
    return kinds;
}

static void test_causes(void **state)
{
    static const struct {
        const char *command;
        unsigned causes;
    } rows[] = {
        {"NOOP", 0},
        {"LIST \"\" \"*\"", BIT(LIST) | BIT(MAILBOX_STATUS)},
        {"UID FETCH 1:* (UID)", BIT(FETCH) | BIT(VANISHED)},
        {"uid fetch 1 (UID)", BIT(FETCH) | BIT(VANISHED)},
        {"FETCH 1 (UID)", BIT(FETCH) | BIT(VANISHED)},
        {"UID STORE 1 +FLAGS (\\Seen)", BIT(FETCH)},
        {"UID EXPUNGE 1", BIT(EXPUNGE) | BIT(VANISHED)},
        {"STATUS INBOX (UIDNEXT)", BIT(MAILBOX_STATUS)},
        {"CAPABILITY", BIT(CAPABILITY)},
        {"APPEND a {3+}", 0},
        {"UID", 0},
        {"SOMETHING-VERY-LONG-THAT-NOBODY-KNOWS x", 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        rig_up(&g, PLUS);
        imap_cmd_begin(g.c, on_done, &g);
        for (size_t k = 0; rows[i].command[k]; k++)
            imap_cmd_f(g.c, "%c", rows[i].command[k]);
        imap_cmd_end(g.c);
        assert_row(rows[i].command, awaited(g.c) == 0);
        imap_client_sent(g.c, 1);
        assert_row(rows[i].command, awaited(g.c) == rows[i].causes);
        rig_down(&g);
    }
}

static void on_text(void *arg, const struct imap_response *r)
{
    say(arg, "%.*s", SLICE_ARG(r->text));
}

static void test_secrets_are_not_repeated(void **state)
{
    static const struct {
        const char *text;
        bool is_shown;
    } rows[] = {
        {"no such user", true},
        {"unknown command: AUTHENTICATE PLAIN AGFubgBzM2NyM3QtdzByZA==", false},
        {"unknown command: AUTHENTICATE PLAIN AGFubgBzM2Ny...", false},
        {"UNKNOWN: AGFUBGBZM2NYM3QTDZBYZA==", false},
        {"LOGIN \"ann\" \"s3cr\\\"3t-w0rd\"", false},
        {"bad password s3cr\"3t-w0rd!", false},
        {"s3cr\"3t-", false},
        {"the secret is wrong", true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int kind = 0; kind < 3; kind++) {
            static const char *const before[] = {"c1 BAD ", "c1 NO [ALERT] ", "* BYE "};
            struct rig g;
            char line[200];
            rig_up(&g, GREETING);
            imap_client_hide(g.c, SLICE_LIT("s3cr\"3t-w0rd"));
            imap_cmd_authenticate(g.c, "PLAIN", "AGFubgBzM2NyM3QtdzByZA==", NULL, on_text, &g);
            imap_client_sent(g.c, imap_client_out(g.c).n);
            assert_int_equal(
                fmt_into(line, sizeof(line), "%s%s\r\n", before[kind], rows[i].text), 0);
            assert_int_equal(feed(&g, line), 0);
            const char *said = kind == 2 ? imap_client_bye(g.c) : buf_cstr(&g.said);
            assert_row(rows[i].text, (strcmp(said, rows[i].text) == 0) == rows[i].is_shown);
            assert_row(rows[i].text, rows[i].is_shown || strstr(said, "repeats"));
            imap_client_events(g.c, NULL, NULL);
            rig_down(&g);
        }
    }
}

/* A word of three letters is in half of all texts. */
static void test_short_secrets(void **state)
{
    struct rig g;
    (void)state;
    rig_up(&g, GREETING);
    imap_client_hide(g.c, SLICE_LIT("abc"));
    imap_client_hide(g.c, SLICE_NONE);
    imap_cmd_begin(g.c, on_text, &g);
    imap_cmd_end(g.c);
    imap_cmd_begin(g.c, on_text, &g);
    imap_cmd_end(g.c);
    imap_client_sent(g.c, imap_client_out(g.c).n);
    assert_int_equal(feed(&g, "c1 BAD the abcdef is wrong\r\n"), 0);
    assert_said(&g, "the abcdef is wrong");
    assert_int_equal(feed(&g, "c2 BAD LOGIN x abc\r\n"), 0);
    assert_non_null(strstr(buf_cstr(&g.said), "repeats"));
    rig_down(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greetings),
        cmocka_unit_test(test_capabilities),
        cmocka_unit_test(test_pipelining),
        cmocka_unit_test(test_answers_out_of_order),
        cmocka_unit_test(test_wrong_tags),
        cmocka_unit_test(test_odd_lines),
        cmocka_unit_test(test_literal_plus),
        cmocka_unit_test(test_literal_sizes),
        cmocka_unit_test(test_literal_minus),
        cmocka_unit_test(test_literal_sync),
        cmocka_unit_test(test_literal_refused_while_composing),
        cmocka_unit_test(test_strings),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_starttls),
        cmocka_unit_test(test_authenticate),
        cmocka_unit_test(test_bye),
        cmocka_unit_test(test_many_waits),
        cmocka_unit_test(test_overrun),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_owed),
        cmocka_unit_test(test_causes),
        cmocka_unit_test(test_secrets_are_not_repeated),
        cmocka_unit_test(test_short_secrets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
