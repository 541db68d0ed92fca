/* SPDX-License-Identifier: ISC */
/*
 * judge: see judge.h.  Every recipient that is let pass is kept with its key, decided again at the
 * end of the message with the stamps of the header, and that second decision is what is stamped.
 *
 * At the end only a loop is refused for good.  Any other change since RCPT (held, deleted, map
 * lost) is 4xx for the message: at the next try its own RCPT gets the exact answer, and the other
 * recipients of this message did nothing to be refused for.
 *
 * Trace fields are read from the top, because that is where gateways put theirs: whoever pads a
 * message with forged fields further down cannot push the real ones out.
 */
#include <stdlib.h>
#include <string.h>
#include "base/core/buf.h"
#include "base/core/conf.h"
#include "base/core/mem.h"
#include "base/core/slice.h"
#include "base/mail/address.h"
#include "maps/route.h"
#include "maps/trace.h"
#include "milter/judge.h"
#include "milter/meaning.h"

/* Room for JUDGE_RCPTS_MAX addresses at their longest. */
#define ADDRESSES_MAX ((size_t)JUDGE_RCPTS_MAX * 2 * ROUTE_KEY_MAX)

struct judged_rcpt {
    size_t address, address_n; /* in judge.addresses */
    size_t key, key_n;
};

/* What is stamped: a recipient, or a target of one, and where it goes. */
struct judged_delivery {
    size_t key, key_n; /* in judge.targets */
    int server;
    uint64_t epoch;
};

struct milter_judge {
    struct judge_site site;
    int source_server;
    struct arena *mem; /* of the decision at hand */
    struct buf addresses;
    struct judged_rcpt *rcpts;
    size_t n_rcpts, cap_rcpts;
    struct buf sender; /* address without brackets */
    bool has_sender;
    /* Of all recipients, as they were last decided. */
    struct buf targets;
    struct judged_delivery *deliveries;
    size_t n_deliveries, cap_deliveries;
    struct buf trace; /* trace fields from the top, each with CRLF */
    size_t n_trace;
    bool is_trace_full;
    size_t hops;
};

struct milter_judge *milter_judge_new(void)
{
    struct milter_judge *j = mem_zalloc(sizeof(*j));

    j->mem = arena_new(DECIDE_MEM_MAX);
    buf_init(&j->addresses, ADDRESSES_MAX);
    buf_init(&j->trace, JUDGE_TRACE_MAX);
    buf_init(&j->sender, ADDRESS_MAX);
    buf_init(&j->targets, ADDRESSES_MAX);
    return j;
}

void milter_judge_free(struct milter_judge **jp)
{
    struct milter_judge *j = *jp;

    if (j == NULL)
        return;
    arena_free(&j->mem);
    buf_fini(&j->addresses);
    buf_fini(&j->trace);
    buf_fini(&j->sender);
    buf_fini(&j->targets);
    free(j->rcpts);
    free(j->deliveries);
    free(j);
    *jp = NULL;
}

void milter_judge_begin(struct milter_judge *j, const struct judge_site *site, int source_server)
{
    j->site = *site;
    j->source_server = source_server;
    buf_clear(&j->addresses);
    buf_clear(&j->trace);
    buf_clear(&j->sender);
    j->has_sender = false;
    j->n_rcpts = 0;
    j->n_deliveries = 0;
    j->n_trace = 0;
    j->is_trace_full = false;
    j->hops = 0;
}

void milter_judge_sender(struct milter_judge *j, struct slice path)
{
    unsigned char plain[ADDRESS_MAX];
    struct address a;
    struct slice mailbox = SLICE_NONE;

    /* What cannot be read is nobody: a list of senders does not have it. */
    buf_clear(&j->sender);
    j->has_sender = true;
    if (address_path_parse(&path, false, &a, &mailbox, plain) == ADDRESS_PATH_MAILBOX &&
        buf_add(&j->sender, mailbox) != 0)
        buf_clear(&j->sender);
}

size_t milter_judge_rcpts(const struct milter_judge *j)
{
    return j->n_rcpts;
}

/* --- Recipients ------------------------------------------------------------------ */

static void finding_set(struct judge_finding *f, int code, const char *enhanced, const char *text)
{
    f->verdict = code < 500 ? JUDGE_TEMPFAIL : JUDGE_REJECT;
    f->code = code;
    if (fmt_into(f->enhanced, sizeof(f->enhanced), "%s", enhanced) != 0 ||
        fmt_into(f->text, sizeof(f->text), "%s", text) != 0)
        f->text[0] = '\0';
}

static void finding_from(struct judge_finding *f, const struct decision *d)
{
    f->server =
        d->kind == DECIDE_DELIVER || d->kind == DECIDE_HOLD ? decision_server(d) : CONF_SERVER_NONE;
    f->epoch = decision_epoch(d);
    switch (d->kind) {
    case DECIDE_DELIVER:
        break;
    case DECIDE_NOT_OURS: /* its domain is ours, so it is one that no map can have */
    case DECIDE_HOLD:
    case DECIDE_REJECT:
    case DECIDE_DEFER:
        finding_set(f, d->code, d->enhanced, d->text);
        break;
    }
}

static int keep_delivery(struct milter_judge *j, struct slice key, int server, uint64_t epoch)
{
    struct judged_delivery r = {
        .key = j->targets.n, .key_n = key.n, .server = server, .epoch = epoch};

    if (j->n_deliveries == JUDGE_DELIVERIES_MAX || buf_add(&j->targets, key) != 0)
        return -1;
    if (j->n_deliveries == j->cap_deliveries) {
        j->cap_deliveries = j->cap_deliveries == 0 ? 8 : 2 * j->cap_deliveries;
        j->deliveries = mem_realloc_array(j->deliveries, j->cap_deliveries, sizeof(*j->deliveries));
    }
    j->deliveries[j->n_deliveries++] = r;
    return 0;
}

/* All that a decision sends to a server, under the key of the recipient and of the target.  What is
 * more than there is room for has no stamp, and then counts hops alone. */
static void keep_deliveries(struct milter_judge *j, const struct decision *d)
{
    for (size_t i = 0; i < d->n_deliveries; i++) {
        const struct decide_delivery *to = &d->deliveries[i];
        if (to->server == CONF_SERVER_NONE)
            continue;
        if (keep_delivery(j, decision_key(d, 0), to->server, to->epoch) != 0 ||
            (to->rcpt != 0 &&
                keep_delivery(j, decision_key(d, to->rcpt), to->server, to->epoch) != 0))
            return;
    }
}

/* Keeps a recipient that passes.  The decision has at least one key, its own. */
static int keep(struct milter_judge *j, struct slice address, const struct decision *d)
{
    struct slice key = decision_key(d, 0);
    struct judged_rcpt r = {.address = j->addresses.n, .address_n = address.n, .key_n = key.n};

    if (j->n_rcpts == j->cap_rcpts) {
        j->cap_rcpts = j->cap_rcpts == 0 ? 8 : 2 * j->cap_rcpts;
        j->rcpts = mem_realloc_array(j->rcpts, j->cap_rcpts, sizeof(*j->rcpts));
    }
    r.key = r.address + address.n;
    if (buf_add(&j->addresses, address) != 0 || buf_add(&j->addresses, key) != 0)
        return -1;
    j->rcpts[j->n_rcpts++] = r;
    return 0;
}

/* In shadow mode the mail of those whom the map would refuse goes on: they are to be learnt. */
static void tell_routed(const struct milter_judge *j, const struct decision *d)
{
    bool is_shadow = j->site.conf->milter.mode == CONF_MILTER_SHADOW;
    if (j->site.routed && (d->kind == DECIDE_DELIVER || d->kind == DECIDE_HOLD ||
                              (d->kind == DECIDE_REJECT && is_shadow)))
        j->site.routed(j->site.routed_arg, d);
}

void milter_judge_rcpt(struct milter_judge *j, const struct route_view *view,
    const struct meaning_rcpt *rcpt, int64_t now_s, struct judge_finding *out)
{
    struct decide_request request = {.source_server = j->source_server, .now_s = now_s};
    struct slice mailbox;
    struct address parsed;
    enum meaning meaning = meaning_of(j->site.conf, rcpt, &mailbox);
    struct decision d;

    *out = (struct judge_finding){
        .rcpt = mailbox, .said = rcpt->said, .server = CONF_SERVER_NONE, .is_ours = true};
    switch (meaning) {
    case MEANING_NOT_OURS:
        out->is_ours = false;
        return;
    case MEANING_UNKNOWN:
        if (rcpt->resolved.n > 0)
            finding_set(out, 553, "5.1.3", "write the address as user@domain");
        else
            finding_set(
                out, 451, "4.3.5", "the mail server does not tell where this address leads");
        return;
    case MEANING_MAILBOX:
        break;
    }
    if (address_parse(mailbox, &parsed) != 0) {
        finding_set(out, 553, "5.1.3", "not a valid mail address");
        return;
    }
    request.rcpt = mailbox;
    request.has_sender = j->has_sender;
    request.sender = buf_slice(&j->sender);
    arena_reset(j->mem);
    decide(j->site.conf, view, &request, j->mem, &d, NULL);
    tell_routed(j, &d);
    finding_from(out, &d);
    if (out->verdict != JUDGE_CONTINUE)
        return;
    if (j->n_rcpts >= JUDGE_RCPTS_MAX || d.n_keys == 0 || keep(j, mailbox, &d) != 0)
        finding_set(out, 452, "4.5.3", "too many recipients in one message");
}

/* --- The header --------------------------------------------------------------------- */

/* MTAs hand folded values over with LF or CRLF; fields here end their lines as on the wire. */
static int add_field(struct buf *out, struct slice name, struct slice value)
{
    size_t before = out->n;
    int failed = buf_add(out, name) | buf_add_str(out, ": ");
    struct slice line;

    while (!failed && slice_split(&value, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        failed = buf_add(out, line) | buf_add_str(out, "\r\n");
    }
    if (failed)
        buf_truncate(out, before);
    return failed ? -1 : 0;
}

void milter_judge_header(struct milter_judge *j, struct slice name, struct slice value)
{
    if (slice_eq_nocase(name, SLICE_LIT("Received")))
        j->hops++;
    if (j->site.keys == NULL || j->is_trace_full || !slice_eq_nocase(name, SLICE_LIT(TRACE_FIELD)))
        return;
    if (j->n_trace == TRACE_FIELDS_MAX || add_field(&j->trace, name, value) != 0)
        j->is_trace_full = true;
    else
        j->n_trace++;
}

/* --- The message ---------------------------------------------------------------------- */

static struct slice part(const struct milter_judge *j, size_t from, size_t n)
{
    return slice_sub(buf_slice(&j->addresses), from, n);
}

/* Decides one kept recipient with everything that is known now. */
static void decide_again(struct milter_judge *j, const struct route_view *view,
    const struct judged_rcpt *r, int64_t now_s, struct judge_finding *f)
{
    struct decide_stamp stamps[TRACE_FIELDS_MAX];
    struct decide_request request = {.rcpt = part(j, r->address, r->address_n),
        .source_server = j->source_server,
        .now_s = now_s,
        .stamps = stamps,
        .hops = j->hops,
        .hops_max = j->site.conf->relay.hops_max};
    struct decision d;

    if (j->site.keys != NULL)
        request.n_stamps = trace_find(j->site.keys, buf_slice(&j->trace), part(j, r->key, r->key_n),
            now_s, stamps, TRACE_FIELDS_MAX);
    arena_reset(j->mem);
    decide(j->site.conf, view, &request, j->mem, &d, NULL);
    *f = (struct judge_finding){.rcpt = request.rcpt, .said = request.rcpt, .is_ours = true};
    finding_from(f, &d);
    if (d.kind == DECIDE_DELIVER)
        keep_deliveries(j, &d);
}

static bool is_loop(const struct judge_finding *f)
{
    return f->verdict == JUDGE_REJECT && strcmp(f->enhanced, "5.4.6") == 0;
}

void milter_judge_message(
    struct milter_judge *j, const struct route_view *view, int64_t now_s, struct judge_finding *out)
{
    struct judge_finding f;

    buf_clear(&j->targets);
    j->n_deliveries = 0;
    *out = (struct judge_finding){.server = CONF_SERVER_NONE, .is_ours = j->n_rcpts > 0};
    for (size_t i = 0; i < j->n_rcpts; i++) {
        decide_again(j, view, &j->rcpts[i], now_s, &f);
        if (is_loop(&f)) {
            *out = f;
            return;
        }
        if (f.verdict == JUDGE_REJECT)
            finding_set(&f, 451, "4.3.0", "a recipient has changed in this moment, try again");
        if (f.verdict != JUDGE_CONTINUE && out->verdict == JUDGE_CONTINUE)
            *out = f;
    }
}

/* One item per key, however many spellings of it were accepted: of two in one field the reader
 * looks at the first alone. */
static bool has_key(const struct trace_rcpt *rcpts, size_t n, struct slice key)
{
    for (size_t i = 0; i < n; i++)
        if (slice_eq(rcpts[i].key, key))
            return true;
    return false;
}

int milter_judge_stamp(struct milter_judge *j, int server, int64_t now_s, struct buf *out)
{
    struct trace_rcpt *rcpts;
    size_t n = 0;
    int failed = 0;

    if (j->site.keys == NULL || j->n_deliveries == 0)
        return 0;
    rcpts = mem_realloc_array(NULL, j->n_deliveries, sizeof(*rcpts));
    for (size_t i = 0; i < j->n_deliveries; i++) {
        const struct judged_delivery *r = &j->deliveries[i];

        struct slice key = slice_sub(buf_slice(&j->targets), r->key, r->key_n);

        if (r->server == server && !has_key(rcpts, n, key))
            rcpts[n++] = (struct trace_rcpt){.key = key, .epoch = r->epoch};
    }
    if (n > 0)
        failed = trace_stamp(
            j->site.keys, rcpts, n, slice_str(j->site.conf->servers[server].name), now_s, out);
    free(rcpts);
    return failed ? -1 : n > 0;
}
