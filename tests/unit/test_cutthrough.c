/* SPDX-License-Identifier: ISC */
/*
 * Transactions against scripted targets:
 *     ! verb    an input (see act())
 *     < text    the target sends a line; several in a row arrive in one piece
 *     > text    the target has received exactly these lines so far
 *     = things  what there was to do so far
 */
#include "relay/cutthrough.h"
#include "tests/unit/unit.h"

#define HEADER_MAX 40

static const struct cutthrough_server servers[] = {
    {"old", false, false}, {"new", false, false}, {"lmtp", true, false}, {"seven", false, true}};

struct run {
    const char *name;
    struct cutthrough ct;
    struct smtp_client client;
    bool has_client;
    size_t room; /* that our fields take */
    struct buf sent, done, in;
};

static void flush(struct run *r)
{
    struct slice out;

    while (r->has_client && (out = smtp_client_output(&r->client)).n > 0) {
        assert_int_equal(buf_add(&r->sent, out), 0);
        smtp_client_sent(&r->client, out.n);
    }
}

static void note(struct run *r, const char *text)
{
    assert_int_equal(buf_addf(&r->done, " %s", text), 0);
}

static void drop_client(struct run *r)
{
    smtp_client_fini(&r->client);
    r->has_client = false;
}

/* Does what there is to do and writes it down. */
static void work(struct run *r)
{
    static const char *const how[] = {"keep", "reset", "close"};
    enum cutthrough_action action;

    while ((action = cutthrough_next(&r->ct)) != CUT_NOTHING) {
        switch (action) {
        case CUT_ANSWER:
            assert_int_equal(
                buf_addf(&r->done, " %d %s", r->ct.answer.code, r->ct.answer.enhanced), 0);
            if (r->ct.n_answers != 1)
                assert_int_equal(buf_addf(&r->done, " x%u", r->ct.n_answers), 0);
            break;
        case CUT_CONNECT:
            assert_int_equal(buf_addf(&r->done, " connect%s %s", r->ct.wants_fresh ? "-fresh" : "",
                                 servers[r->ct.server].name),
                0);
            break;
        case CUT_RELEASE:
            note(r, how[r->ct.release]);
            drop_client(r);
            break;
        case CUT_UNCLAIM:
            note(r, r->ct.is_ambiguous ? "unclaim-ambiguous" : "unclaim");
            break;
        case CUT_HOLD:
            note(r, "hold");
            break;
        case CUT_JUDGE:
            assert_int_equal(buf_addf(&r->done, " judge:%zu", r->ct.n_header), 0);
            break;
        case CUT_CLAIM:
            assert_int_equal(buf_addf(&r->done, " claim:%zu", r->ct.n_decisions), 0);
            break;
        case CUT_FLUSH:
            assert_row(r->name, r->has_client);
            flush(r);
            break;
        case CUT_NOTHING:
            break;
        }
    }
}

static void feed(struct run *r, struct slice in)
{
    struct smtp_client_event ev;
    size_t used;

    while (r->has_client && in.n > 0) {
        enum smtp_client_kind kind = smtp_client_feed(&r->client, in, &used, &ev);
        in = slice_from(in, used);
        if (kind == SMTP_CLIENT_MORE)
            break;
        cutthrough_target_event(&r->ct, &ev);
        work(r);
    }
}

static void open_client(struct run *r, const char *keywords)
{
    struct smtp_client_options options = {
        .hello_name = "gw", .is_lmtp = servers[r->ct.server].is_lmtp};
    struct smtp_client_event ev;
    size_t used;
    struct buf hello;

    smtp_client_init(&r->client, &options);
    r->has_client = true;
    smtp_client_feed(&r->client, SLICE_LIT("220 hi\r\n"), &used, &ev);
    smtp_client_sent(&r->client, smtp_client_output(&r->client).n);
    buf_init(&hello, 200);
    assert_int_equal(buf_addf(&hello, "250-hi\r\n250-%s\r\n250 PIPELINING\r\n", keywords), 0);
    assert_int_equal(
        smtp_client_feed(&r->client, buf_slice(&hello), &used, &ev), SMTP_CLIENT_READY);
    buf_fini(&hello);
}

static struct decision decision(struct slice words)
{
    static struct decide_delivery delivery;
    struct decision d = {
        .kind = DECIDE_DELIVER, .text = "", .deliveries = &delivery, .n_deliveries = 1};
    struct slice kind;

    delivery.server = 0;
    slice_split(&words, ' ', &kind);
    if (slice_eq(kind, SLICE_LIT("hold"))) {
        d.kind = DECIDE_HOLD;
        d.code = 450;
        memcpy(d.enhanced, "4.2.1", 6);
    } else if (slice_eq(kind, SLICE_LIT("reject"))) {
        d.kind = DECIDE_REJECT;
        d.code = 550;
        memcpy(d.enhanced, "5.1.1", 6);
    } else if (slice_eq(kind, SLICE_LIT("defer"))) {
        d.kind = DECIDE_DEFER;
        d.code = 451;
        memcpy(d.enhanced, "4.3.0", 6);
    } else if (slice_eq(kind, SLICE_LIT("foreign"))) {
        d.kind = DECIDE_NOT_OURS;
    } else {
        while (!slice_eq(kind, slice_str(servers[delivery.server].name)))
            delivery.server++;
    }
    delivery.errors_to = slice_eq(words, SLICE_LIT("owner")) ? "o@x" : NULL;
    delivery.address = words.n > 0 && !delivery.errors_to ? "a b@x" : "r@x";
    return d;
}

static void act(struct run *r, struct slice verb)
{
    struct cutthrough *ct = &r->ct;
    struct answer no;
    struct err lost = {.class = ERR_TEMP, .text = "gone"};
    struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &lost};
    struct decision d;

    answer_set(&no, 451, "4.3.0", "no");
    if (slice_eq(verb, SLICE_LIT("mail")) || slice_eq(verb, SLICE_LIT("mail8"))) {
        struct smtp_command mail = {
            .mailbox = SLICE_LIT("s@x"), .has_size = true, .size = 9, .is_8bit = verb.n == 5};
        cutthrough_mail(ct, &mail);
    } else if (slice_starts(verb, SLICE_LIT("rcpt "))) {
        d = decision(slice_from(verb, 5));
        cutthrough_rcpt(ct, &d, r->room);
    } else if (slice_starts(verb, SLICE_LIT("content "))) {
        cutthrough_content(ct, slice_from(verb, 8));
        cutthrough_content(ct, SLICE_LIT("\r\n"));
    } else if (slice_eq(verb, SLICE_LIT("empty"))) {
        cutthrough_content(ct, SLICE_LIT("\r\n"));
    } else if (slice_eq(verb, SLICE_LIT("target"))) {
        open_client(r, "SIZE");
        cutthrough_target(ct, &r->client, false, NULL);
    } else if (slice_starts(verb, SLICE_LIT("target SIZE="))) {
        char keyword[20];
        assert_int_equal(
            fmt_into(keyword, sizeof(keyword), "SIZE %.*s", SLICE_ARG(slice_from(verb, 12))), 0);
        open_client(r, keyword);
        cutthrough_target(ct, &r->client, false, NULL);
    } else if (slice_eq(verb, SLICE_LIT("undeclared"))) {
        cutthrough_mail(ct, &(struct smtp_command){.mailbox = SLICE_LIT("s@x")});
    } else if (slice_eq(verb, SLICE_LIT("report"))) {
        cutthrough_mail(ct, &(struct smtp_command){.mailbox = SLICE_LIT("")});
    } else if (slice_eq(verb, SLICE_LIT("room"))) {
        r->room = 10;
    } else if (slice_eq(verb, SLICE_LIT("reused"))) {
        open_client(r, "8BITMIME");
        cutthrough_target(ct, &r->client, true, NULL);
    } else if (slice_eq(verb, SLICE_LIT("notarget"))) {
        cutthrough_target(ct, NULL, false, &lost);
    } else if (slice_eq(verb, SLICE_LIT("lost"))) {
        cutthrough_target_event(ct, &ev);
    } else if (slice_eq(verb, SLICE_LIT("stuck"))) {
        smtp_client_stuck(&r->client, true);
    } else if (slice_eq(verb, SLICE_LIT("over"))) {
        cutthrough_hold_over(ct);
    } else if (slice_eq(verb, SLICE_LIT("data"))) {
        cutthrough_data(ct);
    } else if (slice_eq(verb, SLICE_LIT("end"))) {
        cutthrough_end(ct);
    } else if (slice_eq(verb, SLICE_LIT("judged"))) {
        cutthrough_judged(ct, NULL, SLICE_LIT("Received: x\r\n"));
    } else if (slice_eq(verb, SLICE_LIT("judged-no"))) {
        cutthrough_judged(ct, &no, SLICE_NONE);
    } else if (slice_eq(verb, SLICE_LIT("claimed"))) {
        cutthrough_claimed(ct, NULL);
    } else if (slice_eq(verb, SLICE_LIT("claimed-no"))) {
        cutthrough_claimed(ct, &no);
    } else if (slice_eq(verb, SLICE_LIT("abort"))) {
        cutthrough_abort(ct);
    } else {
        fail_msg("'%s': what is %.*s?", r->name, SLICE_ARG(verb));
    }
    work(r);
}

static void expect(struct run *r, struct buf *got, struct slice want)
{
    if (!slice_eq(slice_trim(buf_slice(got)), want))
        fail_msg("'%s': expected %.*s, got %s", r->name, SLICE_ARG(want), buf_cstr(got));
    buf_clear(got);
}

static void run(const char *name, bool client_is_lmtp, const char *script)
{
    struct run r = {.name = name};
    struct slice rest = slice_str(script), line;

    cutthrough_init(&r.ct, servers, HEADER_MAX, client_is_lmtp);
    buf_init(&r.sent, 10000);
    buf_init(&r.done, 10000);
    buf_init(&r.in, 10000);
    while (slice_split(&rest, '\n', &line)) {
        struct slice text = slice_from(line, 2);
        if (line.n == 0)
            continue;
        if (line.p[0] == '<') {
            assert_int_equal(buf_add(&r.in, text), 0);
            assert_int_equal(buf_add_str(&r.in, "\r\n"), 0);
            continue;
        }
        feed(&r, buf_slice(&r.in));
        buf_clear(&r.in);
        if (line.p[0] == '!') {
            act(&r, text);
        } else if (line.p[0] == '=') {
            expect(&r, &r.done, text);
        } else {
            struct slice got = buf_slice(&r.sent);
            ptrdiff_t lf = slice_find(got, '\n');
            if (lf < 1 || !slice_eq(slice_sub(got, 0, (size_t)lf - 1), text))
                fail_msg("'%s': expected %.*s, sent %s", name, SLICE_ARG(text), buf_cstr(&r.sent));
            buf_consume(&r.sent, (size_t)lf + 1);
        }
    }
    expect(&r, &r.done, SLICE_NONE);
    expect(&r, &r.sent, SLICE_NONE);
    cutthrough_abort(&r.ct);
    work(&r);
    if (r.has_client) {
        /* Only behind the dot does an abort leave the connection alone. */
        assert_row(name, r.ct.state == CUT_DOTTED);
        act(&r, SLICE_LIT("lost"));
    }
    assert_row(name, r.ct.state == CUT_IDLE);
    cutthrough_fini(&r.ct);
    buf_fini(&r.sent);
    buf_fini(&r.done);
    buf_fini(&r.in);
}

#define MAIL "! mail\n= 250 2.1.0\n"
#define ASK "! rcpt old\n= connect old\n! target\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"
#define RCPT ASK "< 250 ok\n< 250 ok\n= 250 2.1.5\n"
#define HEADER "! data\n= 354\n! content A: b\n! empty\n= judge:8\n"
#define SEVEN                                                                                      \
    "! rcpt seven\n= connect seven\n! target\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"         \
    "< 250 ok\n< 250 ok\n= 250 2.1.5\n"
/* A server that takes so much. */
#define SIZED(n)                                                                                   \
    "! rcpt old\n= connect old\n! target SIZE=" n "\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"  \
    "< 250 ok\n< 250 ok\n= 250 2.1.5\n"
#define DATA HEADER "! judged\n> DATA\n"
#define BODY DATA "< 354 go\n> Received: x\n> A: b\n> \n"
#define ENDED BODY "! content .x\n> ..x\n! end\n= claim:1\n"
#define DOTTED ENDED "! claimed\n> .\n"

static const struct script {
    const char *name, *text;
} scripts[] = {
    {"one message", MAIL RCPT DOTTED "< 250 2.6.0 kept\n= unclaim keep 250 2.6.0\n" MAIL RCPT},
    {"whole message before 354",
        MAIL RCPT DATA "! content x\n! end\n< 354 go\n= claim:1\n! claimed\n> Received: x\n> A: b\n"
                       "> \n> x\n> .\n< 250 kept\n= unclaim keep 250 2.0.0\n"},
    {"message without a body",
        MAIL RCPT "! data\n= 354\n! content A: b\n! end\n= judge:6\n! judged\n> DATA\n< 354 go\n"
                  "= claim:1\n! claimed\n> Received: x\n> A: b\n> .\n"},
    {"empty message", MAIL RCPT "! data\n= 354\n! end\n= judge:0\n! judged\n> DATA\n< 354 go\n"
                                "= claim:1\n! claimed\n> Received: x\n> .\n"},
    {"message without a header", MAIL RCPT "! data\n= 354\n! empty\n= judge:2\n! judged\n> DATA\n"},

    {"unknown", MAIL "! rcpt reject\n= 550 5.1.1\n" RCPT},
    {"map unknown", MAIL "! rcpt defer\n= 451 4.3.0\n"},
    {"foreign domain", MAIL "! rcpt foreign\n= 550 5.7.1\n"},
    {"held, then released",
        MAIL "! rcpt hold\n= hold\n! rcpt old\n= connect old\n! target\n"
             "> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n"},
    {"held, still held", MAIL "! rcpt hold\n= hold\n! rcpt hold\n= hold\n! over\n= 450 4.2.1\n"},
    {"held, then gone", MAIL "! rcpt hold\n= hold\n! rcpt reject\n= 550 5.1.1\n"},
    {"held second recipient",
        MAIL RCPT "! rcpt hold\n= hold\n! rcpt old\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"held, the target is lost meanwhile",
        MAIL RCPT "! rcpt hold\n= hold\n! lost\n= close 451 4.4.1\n! data\n= 451 4.4.1\n"},
    {"second recipient, same server",
        MAIL RCPT "! rcpt old\n> RCPT TO:<r@x>\n< 550 no\n= 550 5.0.0\n"
                  "! rcpt old\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"second recipient, second server",
        MAIL RCPT "! rcpt new\n= 452 4.5.3\n! rcpt old\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"the first accepted one fixes the server", MAIL ASK
        "< 250 ok\n< 550 5.1.1 no\n= 550 5.1.1\n! rcpt new\n= reset connect new\n! target\n"
        "> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"},
    {"errors of an alias go to its owner",
        MAIL "! rcpt old owner\n= connect old\n! target\n> MAIL FROM:<o@x> SIZE=9\n"
             "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n! rcpt old\n= 452 4.5.3\n"
             "! rcpt old owner\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"an alias with an owner behind somebody else", MAIL RCPT "! rcpt old owner\n= 452 4.5.3\n"},
    {"the first accepted one fixes the sender", MAIL
        "! rcpt old owner\n= connect old\n! target\n> MAIL FROM:<o@x> SIZE=9\n"
        "> RCPT TO:<r@x>\n< 250 ok\n< 550 5.1.1 no\n= 550 5.1.1\n"
        "! rcpt old\n= reset connect old\n! target\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"},
    {"a report to an alias with an owner stays from nobody",
        "! report\n= 250 2.1.0\n! rcpt old owner\n= connect old\n! target\n> MAIL FROM:<>\n"
        "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n"
        "! rcpt old\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"refused by the target", MAIL ASK "< 250 ok\n< 550 5.1.1 no\n= 550 5.1.1\n! rcpt old\n"
                                       "> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"},
    {"sender refused by the target",
        MAIL ASK "< 550 5.7.1 no\n< 503 no mail\n= reset 550 5.7.1\n! rcpt old\n= connect old\n"},
    {"target wants STARTTLS", MAIL ASK "< 530 5.7.0 TLS first\n< 503 no\n= reset 451 4.3.5\n"},
    {"target down", MAIL "! rcpt old\n= connect old\n! notarget\n= 451 4.4.1\n! rcpt new\n"
                         "= connect new\n! notarget\n= 451 4.4.1\n"},
    {"lost at RCPT", MAIL ASK "! lost\n= close 451 4.4.1\n! rcpt new\n= connect new\n"},
    {"421 at RCPT", MAIL ASK "< 250 ok\n< 421 bye\n= close 451 4.4.1\n"},
    {"lost at the second RCPT", MAIL RCPT
        "! rcpt old\n> RCPT TO:<r@x>\n! lost\n= close 451 4.4.1\n! rcpt old\n= 451 4.4.1\n"
        "! data\n= 451 4.4.1\n" MAIL},
    {"lost before DATA",
        MAIL RCPT "! lost\n= close\n! rcpt new\n= 451 4.4.1\n! data\n= 451 4.4.1\n"},
    {"lost with nobody accepted",
        MAIL ASK "< 250 ok\n< 550 no\n= 550 5.0.0\n! lost\n= close\n! rcpt old\n= connect old\n"},
    {"reused and dead: once more on a fresh one",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n! lost\n"
             "= close connect-fresh old\n! target\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"
             "< 250 ok\n< 250 ok\n= 250 2.1.5\n"},
    {"reused and dead: only once",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n! lost\n"
             "= close connect-fresh old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n! lost\n"
             "= close 451 4.4.1\n"},
    {"reused and timed out: once more on a fresh one",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
             "< 451 4.4.2 timeout\n= close connect-fresh old\n! reused\n> MAIL FROM:<s@x>\n"
             "> RCPT TO:<r@x>\n< 451 4.4.2 timeout\n< 503 no\n= reset 451 4.4.2\n"},
    {"reused and 4xx without a reason: once more on a fresh one",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
             "< 451 timeout\n= close connect-fresh old\n"},
    {"reused and out of step: once more on a fresh one",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
             "< 503 5.5.2 send hello first\n= close connect-fresh old\n"},
    {"fresh and out of step", MAIL ASK "< 503 5.5.2 send hello first\n= reset 451 4.3.5\n"},
    {"fresh and timed out", MAIL ASK "< 451 4.4.2 timeout\n= reset 451 4.4.2\n"},
    {"reused and refused for another reason",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
             "< 452 4.3.1 disk\n= reset 452 4.3.1\n"},
    {"reused and refused for good",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
             "< 550 no\n= reset 550 5.0.0\n"},
    {"too many recipients, another one accepted",
        MAIL RCPT "! rcpt old\n> RCPT TO:<r@x>\n< 552 too many\n= 452 4.5.3\n"
                  "! rcpt old\n> RCPT TO:<r@x>\n< 550 5.5.3 too many\n= 452 4.5.3\n"},
    {"552 to the first recipient", MAIL ASK "< 250 ok\n< 552 full\n= 552 5.0.0\n"},
    {"reused and dead: not with accepted recipients",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n< 250 ok\n"
             "< 250 ok\n= 250 2.1.5\n! rcpt old\n> RCPT TO:<r@x>\n! lost\n= close 451 4.4.1\n"},
    {"8-bit, and the target takes it", "! mail8\n= 250 2.1.0\n! rcpt old\n= connect old\n! reused\n"
                                       "> MAIL FROM:<s@x> BODY=8BITMIME\n> RCPT TO:<r@x>\n"},
    {"8-bit, and the target does not know the word: it goes as it is",
        "! mail8\n= 250 2.1.0\n! rcpt old\n= connect old\n! target\n> MAIL FROM:<s@x> SIZE=9\n"
        "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n! data\n= 354\n! content A: \xff\n"
        "! empty\n= judge:8\n! judged\n> DATA\n< 354 go\n> Received: x\n> A: \xff\n> \n"},
    {"8-bit, and the target must not have it: others may",
        "! mail8\n= 250 2.1.0\n! rcpt seven\n= connect seven\n! target\n= keep 554 5.6.3\n"
        "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x> BODY=8BITMIME\n> RCPT TO:<r@x>\n"},
    {"8-bit, and the target takes it today",
        "! mail8\n= 250 2.1.0\n! rcpt seven\n= connect seven\n! reused\n"
        "> MAIL FROM:<s@x> BODY=8BITMIME\n> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n"
        "! data\n= 354\n! content A: \xff\n! empty\n= judge:8\n! judged\n> DATA\n< 354 go\n"
        "> Received: x\n> A: \xff\n> \n! content \x80\n> \x80\n"},
    {"8-bit that nobody declared, in the header", MAIL SEVEN
        "! data\n= 354\n! content A: \x80\n= reset\n! content x\n! end\n= 554 5.6.3\n" MAIL},
    {"8-bit that nobody declared, in the body", MAIL SEVEN BODY
        "! content x\x7fy\n> x\x7fy\n! content x\xffy\n= close\n! end\n= 554 5.6.3\n" MAIL},
    {"8-bit that nobody declared, before 354",
        MAIL SEVEN DATA "! content x\xffy\n= close\n! end\n= 554 5.6.3\n"},

    {"declared size at the target's limit",
        "! room\n" MAIL "! rcpt old\n= connect old\n! target SIZE=18\n= keep 552 5.3.4\n"
        "! rcpt old\n= connect old\n! target SIZE=9\n= keep 552 5.3.4\n"
        "! rcpt new\n= connect new\n! target SIZE=19\n> MAIL FROM:<s@x> SIZE=19\n"
        "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n"
        "! rcpt new\n= 452 4.5.3\n"},
    {"declared size, room for two",
        "! room\n" MAIL "! rcpt old\n= connect old\n! target SIZE=67\n> MAIL FROM:<s@x> SIZE=19\n"
        "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n! rcpt old\n> RCPT TO:<r@x>\n"
        "< 250 ok\n= 250 2.1.5\n! rcpt old\n= 452 4.5.3\n"},
    {"declared size, and room that grew",
        MAIL "! rcpt old\n= connect old\n! target SIZE=18\n> MAIL FROM:<s@x> SIZE=9\n"
             "> RCPT TO:<r@x>\n< 250 ok\n< 550 no\n= 550 5.0.0\n! room\n! rcpt old\n= 552 5.3.4\n"
             "! abort\n= reset\n"},
    {"no size declared, none known",
        "! room\n! undeclared\n= 250 2.1.0\n"
        "! rcpt old\n= connect old\n! target SIZE=0\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"
        "< 250 ok\n< 250 ok\n= 250 2.1.5\n" BODY "! content x\n> x\n"},
    {"no size declared: the target is asked",
        "! room\n! undeclared\n= 250 2.1.0\n"
        "! rcpt old\n= connect old\n! target SIZE=9\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n"},
    /* "Received: x", "A: b", "" are 21 bytes. */
    {"what comes is at the target's limit",
        MAIL SIZED("25") BODY "! content ab\n> ab\n! end\n= claim:1\n"},
    {"what comes is above the target's limit",
        MAIL SIZED("24") BODY "! content ab\n= close\n! end\n= 552 5.3.4\n" MAIL},
    {"what comes is above the target's limit, before 354",
        MAIL SIZED("24") DATA "! content ab\n= close\n! end\n= 552 5.3.4\n" MAIL},
    {"the header with our fields is at the limit", MAIL SIZED("21") BODY "! end\n= claim:1\n"},
    {"the header with our fields is above the limit",
        MAIL SIZED("20") HEADER "! judged\n= reset\n! end\n= 552 5.3.4\n" MAIL},
    {"the header with our fields is above the limit, and all is there",
        MAIL SIZED(
            "18") "! data\n= 354\n! content A: b\n! end\n= judge:6\n! judged\n= reset 552 5.3.4\n"},
    {"the header is above the limit alone",
        MAIL SIZED(
            "9") "! data\n= 354\n! content A: b\n! content B: c\n= reset\n! end\n= 552 5.3.4\n"},
    {"an address that no target can read",
        MAIL "! rcpt old bad\n= connect old\n! target\n= reset 451 4.3.5\n"},
    {"an address that no target can read, later",
        MAIL RCPT "! rcpt old bad\n= 451 4.3.5\n! rcpt old\n> RCPT TO:<r@x>\n"},
    {"one recipient for LMTP",
        MAIL "! rcpt lmtp\n= connect lmtp\n! target\n> MAIL FROM:<s@x> SIZE=9\n"
             "> RCPT TO:<r@x>\n< 250 ok\n< 250 ok\n= 250 2.1.5\n! rcpt lmtp\n"
             "= 452 4.5.3\n"},

    {"refused by its header", MAIL RCPT HEADER "! judged-no\n= reset\n! content x\n! end\n"
                                               "= 451 4.3.0\n" MAIL},
    {"refused by its header, no body", MAIL RCPT
        "! data\n= 354\n! content A: b\n! end\n= judge:6\n! judged-no\n= reset 451 4.3.0\n"},
    {"DATA refused", MAIL RCPT DATA "< 554 5.7.1 no\n= reset\n! content x\n! end\n= 554 5.7.1\n"},
    {"DATA refused behind the end", MAIL RCPT DATA "! end\n< 451 later\n= reset 451 4.0.0\n"},
    {"DATA answered 250", MAIL RCPT DATA "< 250 fine\n= close\n! end\n= 451 4.4.1\n"},
    {"lost in the header", MAIL RCPT "! data\n= 354\n! content A: b\n! lost\n= close\n! content x\n"
                                     "! end\n= 451 4.4.1\n"},
    {"lost at DATA", MAIL RCPT DATA "! lost\n= close\n! content x\n! end\n= 451 4.4.1\n"},
    {"lost in the body", MAIL RCPT BODY "! lost\n= close\n! content x\n! end\n= 451 4.4.1\n" MAIL},
    {"reply in the body", MAIL RCPT BODY "< 250 fine\n= close\n! end\n= 451 4.4.1\n"},
    {"552 in the body",
        MAIL RCPT BODY "! content x\n> x\n< 552 5.3.4 big\n= close\n! content y\n! end\n"
                       "= 552 5.3.4\n" MAIL RCPT},
    {"552 with the 354",
        MAIL RCPT DATA "< 354 go\n< 552 5.3.4 big\n= close\n> Received: x\n> A: b\n"
                       "> \n! end\n= 552 5.3.4\n"},
    {"421 in the body", MAIL RCPT BODY "< 421 bye\n= close\n! end\n= 451 4.3.5\n"},
    {"530 in the body", MAIL RCPT BODY "< 530 5.7.0 tls\n= close\n! end\n= 451 4.3.5\n"},
    {"552 before the claim", MAIL RCPT ENDED "< 552 5.3.4 big\n= close 552 5.3.4\n" MAIL},
    {"552 while the dot waits to leave", MAIL RCPT ENDED
        "! stuck\n! claimed\n> .\n< 552 5.3.4 big\n= unclaim close 552 5.3.4\n" MAIL},
    {"250 while the dot waits to leave", MAIL RCPT ENDED
        "! stuck\n! claimed\n> .\n< 250 ok\n= unclaim-ambiguous close 451 4.4.1\n" MAIL},
    {"claim refused", MAIL RCPT ENDED "! claimed-no\n= close 451 4.3.0\n" MAIL},
    {"dot refused", MAIL RCPT DOTTED "< 554 5.7.1 spam\n= unclaim keep 554 5.7.1\n"},
    {"dot deferred", MAIL RCPT DOTTED "< 452 4.3.1 disk\n= unclaim keep 452 4.3.1\n"},
    {"dot answered 421", MAIL RCPT DOTTED "< 421 bye\n= unclaim close 451 4.3.5\n"},
    {"dot answered 354", MAIL RCPT DOTTED "< 354 go\n= unclaim-ambiguous close 451 4.4.1\n"},
    {"dot answered by garbage", MAIL RCPT DOTTED "< what\n= unclaim-ambiguous close 451 4.4.1\n"},
    {"lost behind the dot", MAIL RCPT DOTTED "! lost\n= unclaim-ambiguous close 451 4.4.1\n" MAIL},

    {"a message behind another one is a new one", MAIL RCPT DOTTED
        "< 250 kept\n= unclaim keep 250 2.0.0\n" MAIL RCPT
        "! data\n= 354\n! content A: b\n! empty\n= judge:8\n! judged\n> DATA\n< 354 go\n"
        "> Received: x\n> A: b\n> \n! content y\n> y\n! end\n= claim:1\n"},
    {"a short header behind a longer one", MAIL RCPT DOTTED
        "< 250 kept\n= unclaim keep 250 2.0.0\n" MAIL RCPT "! data\n= 354\n! empty\n= judge:2\n"},
    {"an outcome that is known behind one that is not",
        MAIL RCPT DOTTED "! lost\n= unclaim-ambiguous close 451 4.4.1\n" MAIL RCPT DOTTED
                         "< 250 kept\n= unclaim keep 250 2.0.0\n"},
    {"each transaction may replace a dead connection",
        MAIL "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n! lost\n"
             "= close connect-fresh old\n! notarget\n= 451 4.4.1\n! abort\n" MAIL
             "! rcpt old\n= connect old\n! reused\n> MAIL FROM:<s@x>\n> RCPT TO:<r@x>\n! lost\n"
             "= close connect-fresh old\n"},
    {"messages are measured one by one", MAIL SIZED("25") BODY
        "! content ab\n> ab\n! end\n= claim:1\n! claimed\n> .\n"
        "< 250 kept\n= unclaim keep 250 2.0.0\n" MAIL SIZED("25") BODY "! content ab\n> ab\n"},
    {"abort: mail", MAIL "! abort\n" MAIL},
    {"abort: held", MAIL "! rcpt hold\n= hold\n! abort\n" MAIL},
    {"abort: connecting", MAIL "! rcpt old\n= connect old\n! abort\n" MAIL},
    {"abort: asked", MAIL ASK "! abort\n= reset\n" MAIL},
    {"abort: ready", MAIL RCPT "! abort\n= reset\n" MAIL},
    {"abort: broken", MAIL RCPT "! lost\n= close\n! abort\n" MAIL RCPT},
    {"abort: header", MAIL RCPT "! data\n= 354\n! abort\n= reset\n" MAIL},
    {"abort: waiting", MAIL RCPT DATA "! abort\n= close\n" MAIL},
    {"abort: body", MAIL RCPT BODY "! abort\n= close\n" MAIL},
    {"abort: refused", MAIL RCPT BODY "! lost\n= close\n! abort\n" MAIL RCPT},
    {"abort: dotted", MAIL RCPT DOTTED "! abort\n< 250 kept\n= unclaim keep 250 2.0.0\n"},
};

static void test_scripts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scripts); i++)
        run(scripts[i].name, false, scripts[i].text);
    for (int s = 0; s < CUT_STATES; s++)
        assert_non_null(cutthrough_state_name((enum cutthrough_state)s));
}

#define LMTP_RCPTS                                                                                 \
    MAIL "! rcpt lmtp\n= connect lmtp\n! target\n> MAIL FROM:<s@x> SIZE=9\n> RCPT TO:<r@x>\n"      \
         "< 250 ok\n< 250 ok\n= 250 2.1.5\n! rcpt lmtp\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n"

/* A client that takes one answer for each recipient. */
static void test_lmtp_client(void **state)
{
    (void)state;
    run("each has an answer", true,
        LMTP_RCPTS BODY "! end\n= claim:2\n! claimed\n> .\n< 250 kept\n= 250 2.0.0\n"
                        "< 452 4.2.2 full\n= unclaim keep 452 4.2.2\n");
    run("both at once", true,
        LMTP_RCPTS BODY "! end\n= claim:2\n! claimed\n> .\n< 250 kept\n< 550 5.2.0 no\n"
                        "= 250 2.0.0 unclaim keep 550 5.2.0\n");
    run("lost behind the first answer", true,
        LMTP_RCPTS BODY "! end\n= claim:2\n! claimed\n> .\n< 250 kept\n= 250 2.0.0\n! lost\n"
                        "= unclaim-ambiguous close 451 4.4.1\n");
    run("lost before any answer", true,
        LMTP_RCPTS BODY "! end\n= claim:2\n! claimed\n> .\n! lost\n"
                        "= unclaim-ambiguous close 451 4.4.1 x2\n");
    run("refused for both", true,
        LMTP_RCPTS HEADER "! judged-no\n= reset\n! end\n= 451 4.3.0 x2\n");
    run("given up in the body, for both", true,
        LMTP_RCPTS BODY "< 552 5.3.4 big\n= close\n! end\n= 552 5.3.4 x2\n");
    run("SMTP target", true,
        MAIL RCPT "! rcpt old\n> RCPT TO:<r@x>\n< 250 ok\n= 250 2.1.5\n" BODY "! end\n= claim:2\n"
                  "! claimed\n> .\n< 250 kept\n= unclaim keep 250 2.0.0 x2\n");
    run("second server", true, LMTP_RCPTS "! rcpt old\n= 452 4.5.3\n");
}

/* The block with its empty line counts. */
static void test_header_limit(void **state)
{
    (void)state;
    for (size_t n = HEADER_MAX - 1; n <= HEADER_MAX + 1; n++) {
        for (int has_body = 0; has_body < 2; has_body++) {
            struct run r = {.name = "header"};
            struct buf text;
            bool is_good = n <= HEADER_MAX;

            cutthrough_init(&r.ct, servers, HEADER_MAX, false);
            buf_init(&r.sent, 10000);
            buf_init(&r.done, 10000);
            buf_init(&text, 10000);
            assert_int_equal(buf_add_str(&text, "A: "), 0);
            while (text.n < n - 4)
                assert_int_equal(buf_add_byte(&text, 'x'), 0);
            assert_int_equal(buf_add_str(&text, "\r\n\r\n"), 0);
            if (has_body)
                assert_int_equal(buf_add_str(&text, "body\r\n"), 0);
            act(&r, SLICE_LIT("mail"));
            act(&r, SLICE_LIT("rcpt old"));
            act(&r, SLICE_LIT("target"));
            feed(&r, SLICE_LIT("250 ok\r\n250 ok\r\n"));
            act(&r, SLICE_LIT("data"));
            buf_clear(&r.done);
            cutthrough_content(&r.ct, buf_slice(&text));
            work(&r);
            assert_true(slice_starts(
                buf_slice(&r.done), is_good ? SLICE_LIT(" judge") : SLICE_LIT(" reset")));
            assert_int_equal(r.ct.state, is_good ? CUT_HEADER : CUT_REFUSED);
            act(&r, SLICE_LIT("abort"));
            cutthrough_fini(&r.ct);
            buf_fini(&r.sent);
            buf_fini(&r.done);
            buf_fini(&text);
        }
    }
}

/* The same with bytes that come one by one, and no end of the header in sight. */
static void test_header_endless(void **state)
{
    struct run r = {.name = "endless"};

    (void)state;
    cutthrough_init(&r.ct, servers, HEADER_MAX, false);
    buf_init(&r.sent, 10000);
    buf_init(&r.done, 10000);
    act(&r, SLICE_LIT("mail"));
    act(&r, SLICE_LIT("rcpt old"));
    act(&r, SLICE_LIT("target"));
    feed(&r, SLICE_LIT("250 ok\r\n250 ok\r\n"));
    act(&r, SLICE_LIT("data"));
    for (size_t i = 0; i < HEADER_MAX; i++) {
        assert_int_equal(r.ct.state, CUT_HEADER);
        cutthrough_content(&r.ct, SLICE_LIT("x"));
        work(&r);
    }
    assert_int_equal(r.ct.state, CUT_REFUSED);
    buf_clear(&r.done);
    act(&r, SLICE_LIT("end"));
    expect(&r, &r.done, SLICE_LIT("552 5.3.4"));
    cutthrough_fini(&r.ct);
    buf_fini(&r.sent);
    buf_fini(&r.done);
}

/* One more recipient than the LMTP engine can await answers for. */
static void test_lmtp_recipient_limit(void **state)
{
    struct run r = {.name = "limit"};

    (void)state;
    cutthrough_init(&r.ct, servers, HEADER_MAX, true);
    buf_init(&r.sent, 100000);
    buf_init(&r.done, 100000);
    act(&r, SLICE_LIT("mail"));
    act(&r, SLICE_LIT("rcpt lmtp"));
    act(&r, SLICE_LIT("target"));
    feed(&r, SLICE_LIT("250 ok\r\n250 ok\r\n"));
    for (size_t i = 1; i < SMTP_CLIENT_LMTP_RCPTS_MAX; i++) {
        act(&r, SLICE_LIT("rcpt lmtp"));
        feed(&r, SLICE_LIT("250 ok\r\n"));
    }
    assert_int_equal(r.ct.n_decisions, SMTP_CLIENT_LMTP_RCPTS_MAX);
    buf_clear(&r.done);
    act(&r, SLICE_LIT("rcpt lmtp"));
    expect(&r, &r.done, SLICE_LIT("452 4.5.3"));
    act(&r, SLICE_LIT("abort"));
    cutthrough_fini(&r.ct);
    buf_fini(&r.sent);
    buf_fini(&r.done);
}

static void to_waiting(struct run *r)
{
    cutthrough_init(&r->ct, servers, HEADER_MAX, false);
    buf_init(&r->sent, 1 << 20);
    buf_init(&r->done, 10000);
    act(r, SLICE_LIT("mail"));
    act(r, SLICE_LIT("rcpt old"));
    act(r, SLICE_LIT("target"));
    feed(r, SLICE_LIT("250 ok\r\n250 ok\r\n"));
    act(r, SLICE_LIT("data"));
    act(r, SLICE_LIT("empty"));
    act(r, SLICE_LIT("judged"));
    assert_int_equal(r->ct.state, CUT_WAITING);
    buf_clear(&r->done);
}

/* Owners hold content back far earlier; this is the last line. */
static void test_content_that_has_no_room(void **state)
{
    static unsigned char piece[1 << 20];
    struct run r = {.name = "full"};
    size_t before;

    (void)state;
    to_waiting(&r);
    before = cutthrough_backlog(&r.ct);
    assert_true(before > 0);
    memset(piece, 'x', sizeof(piece));
    cutthrough_content(&r.ct, slice_make(piece, 100));
    work(&r);
    assert_int_equal(cutthrough_backlog(&r.ct), before + 100);
    for (int i = 0; i < 40 && r.ct.state == CUT_WAITING; i++) {
        cutthrough_content(&r.ct, slice_make(piece, sizeof(piece)));
        work(&r);
    }
    assert_int_equal(r.ct.state, CUT_REFUSED);
    assert_int_equal(cutthrough_backlog(&r.ct), 0);
    act(&r, SLICE_LIT("end"));
    expect(&r, &r.done, SLICE_LIT("close 451 4.3.0"));
    cutthrough_fini(&r.ct);
    buf_fini(&r.sent);
    buf_fini(&r.done);
}

/* What was asked for and not done yet is not done after the client has left. */
static void test_abort_takes_back(void **state)
{
    struct run r = {.name = "abort"};

    (void)state;
    to_waiting(&r);
    cutthrough_content(&r.ct, SLICE_LIT("x\r\n"));
    feed(&r, SLICE_LIT("354 go\r\n"));
    cutthrough_end(&r.ct);
    cutthrough_abort(&r.ct);
    work(&r);
    expect(&r, &r.done, SLICE_LIT("close"));
    cutthrough_fini(&r.ct);
    buf_fini(&r.sent);
    buf_fini(&r.done);
}

/* Nor is it after the target has left. */
static void test_trouble_takes_back(void **state)
{
    (void)state;
    for (int is_early = 0; is_early < 2; is_early++) {
        struct err lost = {.class = ERR_TEMP, .text = "gone"};
        struct smtp_client_event ev = {.kind = SMTP_CLIENT_FAILED, .err = &lost};
        struct run r = {.name = "trouble"};
        size_t used;

        to_waiting(&r);
        feed(&r, SLICE_LIT("354 go\r\n"));
        cutthrough_end(&r.ct);
        if (is_early)
            assert_int_equal(
                smtp_client_feed(&r.client, SLICE_LIT("552 5.3.4 big\r\n"), &used, &ev),
                SMTP_CLIENT_DOT_REPLY);
        cutthrough_target_event(&r.ct, &ev);
        work(&r);
        expect(&r, &r.done, is_early ? SLICE_LIT("close 552 5.3.4") : SLICE_LIT("close 451 4.4.1"));
        cutthrough_fini(&r.ct);
        buf_fini(&r.sent);
        buf_fini(&r.done);
    }
}

/* Many recipients give their memory back, a few keep theirs. */
static void test_forget(void **state)
{
    (void)state;
    for (size_t n = 3; n <= 9; n += 6) {
        struct run r = {.name = "forget"};

        cutthrough_init(&r.ct, servers, HEADER_MAX, false);
        buf_init(&r.sent, 10000);
        buf_init(&r.done, 10000);
        act(&r, SLICE_LIT("mail"));
        act(&r, SLICE_LIT("rcpt old"));
        act(&r, SLICE_LIT("target"));
        feed(&r, SLICE_LIT("250 ok\r\n250 ok\r\n"));
        for (size_t i = 1; i < n; i++) {
            act(&r, SLICE_LIT("rcpt old"));
            feed(&r, SLICE_LIT("250 ok\r\n"));
        }
        assert_int_equal(r.ct.n_decisions, n);
        act(&r, SLICE_LIT("abort"));
        cutthrough_forget(&r.ct);
        assert_int_equal(r.ct.decisions != NULL, n == 3);
        assert_int_equal(r.ct.decisions_cap, n == 3 ? 4 : 0);
        act(&r, SLICE_LIT("mail"));
        act(&r, SLICE_LIT("abort"));
        cutthrough_fini(&r.ct);
        buf_fini(&r.sent);
        buf_fini(&r.done);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scripts),
        cmocka_unit_test(test_lmtp_client),
        cmocka_unit_test(test_header_limit),
        cmocka_unit_test(test_header_endless),
        cmocka_unit_test(test_lmtp_recipient_limit),
        cmocka_unit_test(test_content_that_has_no_room),
        cmocka_unit_test(test_abort_takes_back),
        cmocka_unit_test(test_trouble_takes_back),
        cmocka_unit_test(test_forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
