/* SPDX-License-Identifier: ISC */
/*
 * What an MTA may hand to the milter's judge, as lines:
 *
 *     M  message begins       Rsaid TAB resolved  RCPT
 *     E  message ends         Hname:value  field ("\r" in it stands for LF)
 *     S  a field that we stamped ourselves
 *
 * What is judged must be what the mail server resolved: the same key, but for letter case where the
 * domain keeps it.
 */
#include "base/core/buf.h"
#include "base/core/err.h"
#include "maps/trace.h"
#include "milter/judge.h"
#include "tests/fuzz/small_site.h"

#define NOW 1800000000
#define KEY "k1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct trace_keys *keys;
static struct route_view view;

static void check(const struct judge_finding *f)
{
    BUG_ON((f->verdict == JUDGE_CONTINUE) != (f->code == 0));
    BUG_ON(f->verdict == JUDGE_TEMPFAIL && (f->code < 400 || f->code > 499));
    BUG_ON(f->verdict == JUDGE_REJECT && (f->code < 500 || f->code > 599));
    BUG_ON(f->server != CONF_SERVER_NONE && (f->server < 0 || f->server > 1));
}

/* 0 and the key of an address of our domains, with or without regard to letter case. */
static int key_of_ours(const struct conf *conf, struct slice address, struct buf *out)
{
    buf_clear(out);
    return normalise_key(conf, address, out) == 0 &&
                   conf_domain(&small_site_conf, normalise_domain(buf_slice(out))) != NULL
               ? 0
               : -1;
}

static void rcpt(struct milter_judge *j, struct slice text)
{
    struct slice said = SLICE_NONE;
    struct meaning_rcpt r;
    struct judge_finding f;
    struct buf want, got;

    (void)slice_split(&text, '\t', &said);
    r = (struct meaning_rcpt){.said = said, .resolved = text};
    milter_judge_rcpt(j, &view, &r, NOW, &f);
    check(&f);
    buf_init(&want, ROUTE_KEY_MAX);
    buf_init(&got, ROUTE_KEY_MAX);
    if (r.resolved.n > 0 && r.resolved.p[0] != '@' && key_of_ours(NULL, r.resolved, &want) == 0) {
        BUG_ON(!f.is_ours);
        BUG_ON(key_of_ours(NULL, f.rcpt, &got) != 0);
        BUG_ON(!slice_eq(buf_slice(&want), buf_slice(&got)));
    }
    buf_fini(&want);
    buf_fini(&got);
}

static void header(struct milter_judge *j, struct slice field)
{
    struct slice name, value = field;
    struct buf folded;

    if (!slice_split(&value, ':', &name) || value.p == NULL)
        return;
    buf_init(&folded, value.n + 1);
    BUG_ON(buf_add(&folded, value) != 0);
    for (size_t i = 0; i < folded.n; i++)
        if (folded.p[i] == '\r')
            folded.p[i] = '\n';
    milter_judge_header(j, name, buf_slice(&folded));
    buf_fini(&folded);
}

static void stamp(struct milter_judge *j, struct buf *stamped)
{
    for (int server = 0; server < 2; server++) {
        buf_clear(stamped);
        if (milter_judge_stamp(j, server, NOW, stamped) == 1)
            header(j, buf_slice(stamped));
    }
}

static void line(struct milter_judge *j, const struct judge_site *site, struct slice text)
{
    struct judge_finding f;
    struct buf stamped;

    switch (text.n > 0 ? text.p[0] : 0) {
    case 'M':
        milter_judge_begin(j, site, text.n > 1 ? text.p[1] % 3 - 1 : CONF_SERVER_NONE);
        break;
    case 'R':
        rcpt(j, slice_from(text, 1));
        break;
    case 'H':
        header(j, slice_from(text, 1));
        break;
    case 'E':
        milter_judge_message(j, &view, NOW, &f);
        check(&f);
        break;
    case 'S':
        buf_init(&stamped, 1 << 20);
        stamp(j, &stamped);
        buf_fini(&stamped);
        break;
    default:
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_make(data, size), text;
    struct judge_site site = {.conf = &small_site_conf};
    struct milter_judge *j = milter_judge_new();

    if (keys == NULL)
        BUG_ON(trace_keys_parse(SLICE_LIT(KEY), &keys, NULL) != 0);
    view = small_site_view();
    site.keys = keys;
    milter_judge_begin(j, &site, CONF_SERVER_NONE);
    while (slice_split(&rest, '\n', &text))
        line(j, &site, text);
    milter_judge_free(&j);
    return 0;
}
