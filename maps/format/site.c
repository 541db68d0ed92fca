/* SPDX-License-Identifier: ISC */
/* site: see site.h. */
#include "maps/format/site.h"

#include <sysexits.h>
#include "base/core/buf.h"
#include "base/mail/idn.h"
#include "maps/format/answer.h"
#include "maps/next_hop.h"
#include "maps/route.h"

int site_hop(struct site *s, struct slice text, struct err *err)
{
    ptrdiff_t at = slice_rfind(text, '=');
    struct slice server = slice_from(text, (size_t)(at + 1));

    if (at <= 0 || conf_server_index(s->conf, server) == CONF_SERVER_NONE)
        return err_set(err, ERR_PERM, EX_USAGE,
            "--next-hop is HOP=SERVER with a server of the configuration, not \"%.*s\"",
            SLICE_ARG(text));
    if (s->n_hops == SITE_HOPS_MAX)
        return err_set(
            err, ERR_PERM, EX_USAGE, "--next-hop stands there more than %d times", SITE_HOPS_MAX);
    s->hops[s->n_hops++] =
        (struct site_hop){.hop = slice_sub(text, 0, (size_t)at), .server = server};
    return 0;
}

struct slice site_word(struct slice text, struct slice *rest_out)
{
    bool is_quoted = false;
    size_t n = 0;

    text = slice_trim(text);
    for (; n < text.n && (is_quoted || !ascii_is_blank(text.p[n])); n++) {
        if (text.p[n] == '"')
            is_quoted = !is_quoted;
        else if (text.p[n] == '\\' && n + 1 < text.n)
            n++;
    }
    *rest_out = slice_trim(slice_from(text, n));
    return slice_sub(text, 0, n);
}

/* --- Names ------------------------------------------------------------------------------------ */

enum site_place site_address(const struct site *s, struct slice name, struct buf *out)
{
    size_t before = out->n;
    bool has_domain = slice_rfind(name, '@') >= 0;
    char domain[IDN_DOMAIN_MAX + 1];

    if (!has_domain && (s->domain.n == 0 || name.n == 0))
        return SITE_NOWHERE;
    struct slice text =
        has_domain ? slice_from(name, (size_t)slice_rfind(name, '@') + 1) : s->domain;
    if (idn_to_ascii(text, domain) != 0)
        return SITE_NOWHERE;
    if (buf_add(out, name) != 0 ||
        (!has_domain && (buf_add_byte(out, '@') != 0 || buf_add(out, s->domain) != 0))) {
        buf_truncate(out, before);
        return SITE_NOWHERE;
    }
    return conf_domain(s->conf, slice_str(domain)) ? SITE_OURS : SITE_ELSEWHERE;
}

/* Keys that are not ours are no entry. true: go on. */
static bool take_key(const struct site *s, size_t line, struct slice key, struct buf *out,
    int *rc_out, struct err *err)
{
    *rc_out = 0;
    buf_init(out, ROUTE_KEY_MAX * 2);
    switch (site_address(s, key, out)) {
    case SITE_OURS:
        return true;
    case SITE_ELSEWHERE:
        sink_note(s->sink, line, "%.*s is in a domain that is not in the configuration",
            SLICE_ARG(buf_slice(out)));
        break;
    case SITE_NOWHERE:
        *rc_out =
            slice_rfind(key, '@') < 0 && s->domain.n == 0
                ? sink_bad(s->sink, line, err,
                      "%.*s has no domain: say which one is meant with --domain", SLICE_ARG(key))
                : sink_bad(s->sink, line, err, "%.*s is no address", SLICE_ARG(key));
        break;
    }
    buf_fini(out);
    return false;
}

/* --- Rows ------------------------------------------------------------------------------------- */

static struct slice find_server(const struct site *s, struct slice hop)
{
    for (size_t i = 0; i < s->n_hops; i++)
        if (slice_eq_nocase(s->hops[i].hop, hop))
            return s->hops[i].server;
    int server = next_hop_find(s->conf, hop);
    return server == CONF_SERVER_NONE ? SLICE_NONE : slice_str(s->conf->servers[server].name);
}

static int give_own(const struct site *s, size_t line, json_t *row, bool is_text, struct err *err)
{
    if (is_text)
        return sink_row_own(s->sink, line, row, err);
    json_decref(row);
    return sink_bad(s->sink, line, err, "a word cannot be kept as text");
}

static int unknown_hop(const struct site *s, size_t line, struct slice hop, struct err *err)
{
    return sink_bad(s->sink, line, err,
        "no server of the configuration is %.*s: say which one with --next-hop '%.*s=SERVER'",
        SLICE_ARG(hop), SLICE_ARG(hop));
}

/* kind "" is what an entry is without. */
static int give_routed(const struct site *s, size_t line, struct slice key, const char *kind,
    struct slice hop, struct slice deliver_as, struct err *err)
{
    struct slice server = SLICE_NONE;
    struct buf address;
    int rc;

    if (hop.n) {
        server = find_server(s, hop);
        if (server.n == 0)
            return unknown_hop(s, line, hop, err);
    }
    if (!take_key(s, line, key, &address, &rc, err))
        return rc;
    json_t *row = json_object(), *set = json_object();
    bool is_text = json_object_set_new(row, "set", set) == 0 &&
                   sink_set(row, "key", buf_slice(&address)) == 0 &&
                   (!*kind || sink_set(set, "kind", slice_str(kind)) == 0) &&
                   (server.n == 0 || sink_set(set, "route", server) == 0) &&
                   (deliver_as.n == 0 || sink_set(set, "deliver_as", deliver_as) == 0);
    buf_fini(&address);
    return give_own(s, line, row, is_text, err);
}

int site_mailbox(const struct site *s, size_t line, struct slice key, struct slice hop,
    struct slice deliver_as, struct err *err)
{
    return give_routed(s, line, key, "", hop, deliver_as, err);
}

int site_group(
    const struct site *s, size_t line, struct slice key, struct slice hop, struct err *err)
{
    return give_routed(s, line, key, "group", hop, SLICE_NONE, err);
}

/* The status and the text as one; false when it is none that an SMTP answer may have. */
static bool set_answer_text(json_t *set, const struct answer *answer)
{
    struct buf text;
    bool is_good;

    buf_init(&text, ROUTE_TEXT_MAX);
    is_good = buf_add(&text, answer->status) == 0 &&
              (answer->status.n == 0 || answer->text.n == 0 || buf_add_byte(&text, ' ') == 0) &&
              buf_add(&text, answer->text) == 0;
    for (size_t i = 0; is_good && i < buf_slice(&text).n; i++)
        is_good = ascii_is_print(buf_slice(&text).p[i]);
    if (is_good && buf_slice(&text).n > 0)
        is_good = sink_set(set, "text", buf_slice(&text)) == 0;
    buf_fini(&text);
    return is_good;
}

int site_reject(
    const struct site *s, size_t line, struct slice key, struct slice text, struct err *err)
{
    struct buf address;
    int rc;

    if (!take_key(s, line, key, &address, &rc, err))
        return rc;
    struct answer answer = answer_read(text);
    json_t *row = json_object(), *set = json_object();
    bool is_text = json_object_set_new(row, "set", set) == 0 &&
                   sink_set(row, "key", buf_slice(&address)) == 0 &&
                   sink_set(set, "kind", SLICE_LIT("reject")) == 0;
    if (is_text && answer.code != 0)
        is_text = json_object_set_new(set, "code", json_sprintf("%u", answer.code)) == 0;
    if (is_text && !set_answer_text(set, &answer))
        sink_note(s->sink, line,
            "%.*s is refused with the map's own words: these cannot be in an "
            "SMTP answer",
            SLICE_ARG(buf_slice(&address)));
    buf_fini(&address);
    return give_own(s, line, row, is_text, err);
}

/* --- Aliases ---------------------------------------------------------------------------------- */

struct targets {
    struct buf list;
    size_t n, n_ours, n_self;
};

/* As the map compares them. */
static bool is_same(const struct site *s, struct slice a, struct slice b)
{
    struct buf one, other;

    buf_init(&one, 2 * ROUTE_KEY_MAX);
    buf_init(&other, 2 * ROUTE_KEY_MAX);
    bool is = normalise_key(s->conf, a, &one) == 0 && normalise_key(s->conf, b, &other) == 0 &&
              slice_eq(buf_slice(&one), buf_slice(&other));
    buf_fini(&one);
    buf_fini(&other);
    return is;
}

/* 0; 1: a target is wrong, and the sink has been told with *rc_out. */
static int add_target(const struct site *s, size_t line, struct slice name, struct slice key,
    struct targets *t, int *rc_out, struct err *err)
{
    struct buf address;
    int rc = 1;

    buf_init(&address, 2 * ROUTE_KEY_MAX);
    enum site_place place = site_address(s, name, &address);
    if (name.n && name.p[0] == '@' && place != SITE_NOWHERE) {
        sink_lost(s->sink, line,
            "%.*s: the map has no alias of a whole domain; `maptool set @DOMAIN route=SERVER "
            "deliver_as=%.*s` has the server know its users so",
            SLICE_ARG(key), SLICE_ARG(name));
    } else if (place == SITE_NOWHERE) {
        *rc_out = sink_bad(s->sink, line, err,
            slice_rfind(name, '@') < 0 && s->domain.n == 0
                ? "%.*s has no domain: say which one is meant with --domain"
                : "%.*s is no address",
            SLICE_ARG(name));
    } else if ((t->list.n && buf_add_byte(&t->list, ',') != 0) ||
               buf_add(&t->list, buf_slice(&address)) != 0) {
        *rc_out = sink_bad(
            s->sink, line, err, "the addresses are longer than %d bytes", SITE_TARGETS_MAX);
    } else {
        t->n++;
        t->n_ours += place == SITE_OURS;
        t->n_self += is_same(s, buf_slice(&address), key);
        rc = 0;
    }
    buf_fini(&address);
    return rc;
}

static int give_alias(
    const struct site *s, size_t line, struct slice key, struct targets *t, struct err *err)
{
    if (t->n_self && t->n == 1)
        return site_mailbox(s, line, key, SLICE_NONE, SLICE_NONE, err);
    if (t->n_self) {
        sink_lost(s->sink, line,
            "%.*s keeps a copy and sends others on: a mailbox in the map is a mailbox alone, so "
            "this "
            "remains for its server to do",
            SLICE_ARG(key));
        return site_mailbox(s, line, key, SLICE_NONE, SLICE_NONE, err);
    }
    json_t *row = json_object(), *set = json_object();
    bool is_text =
        json_object_set_new(row, "set", set) == 0 && sink_set(row, "key", key) == 0 &&
        sink_set(set, "kind", t->n_ours ? SLICE_LIT("alias") : SLICE_LIT("forward")) == 0 &&
        sink_set(set, "to", buf_slice(&t->list)) == 0;
    return give_own(s, line, row, is_text, err);
}

/* The next of addresses with commas, blanks or both between them. */
static struct slice next_target(struct slice *rest)
{
    bool is_quoted = false;
    size_t n = 0;

    while (rest->n && (ascii_is_blank(rest->p[0]) || rest->p[0] == ','))
        *rest = slice_from(*rest, 1);
    for (; n < rest->n; n++) {
        unsigned char c = rest->p[n];
        if (c == '\\' && n + 1 < rest->n)
            n++;
        else if (c == '"')
            is_quoted = !is_quoted;
        else if (!is_quoted && (ascii_is_blank(c) || c == ','))
            break;
    }
    struct slice word = slice_sub(*rest, 0, n);
    *rest = slice_from(*rest, n);
    return word;
}

int site_alias(
    const struct site *s, size_t line, struct slice key, struct slice targets, struct err *err)
{
    struct targets t = {0};
    struct buf address;
    struct slice name;
    int rc;

    if (!take_key(s, line, key, &address, &rc, err))
        return rc;
    buf_init(&t.list, SITE_TARGETS_MAX);
    bool is_right = true;
    while (is_right && (name = next_target(&targets)).n)
        is_right = add_target(s, line, name, buf_slice(&address), &t, &rc, err) == 0;
    if (is_right && t.n == 0)
        rc = sink_bad(s->sink, line, err, "%.*s leads nowhere", SLICE_ARG(key));
    else if (is_right)
        rc = give_alias(s, line, buf_slice(&address), &t, err);
    buf_fini(&t.list);
    buf_fini(&address);
    return rc;
}
