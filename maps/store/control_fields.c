/* SPDX-License-Identifier: ISC */
/*
 * control_fields: the fields of an entry as a request writes them, and what an entry as a whole has
 * to be.  A field is checked by itself when it is read; whether the fields fit together is known
 * when they are merged with those that the entry has (change_check_entry).
 */
#include "maps/store/control_priv.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/clock.h"
#include "base/core/num.h"
#include "base/mail/address.h"
#include "base/mail/idn.h"
#include "maps/delivery.h"

#define NUMBER_TEXT_MAX 32

struct field_call {
    const struct control *c;
    struct arena *mem;
    struct change *out;
};

/* --- Values ----------------------------------------------------------------------------- */

static int copy_text(struct arena *mem, struct slice text, struct slice *out, struct err *err)
{
    *out = arena_dup(mem, text);
    return out->p ? 0 : err_set(err, ERR_TEMP, EX_OSERR, "the request needs too much memory");
}

static int bad(struct err *err, const char *field, struct slice text, const char *what)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "%s %.*s%s%s", field,
        (int)(text.n < ROUTE_KEY_MAX ? text.n : ROUTE_KEY_MAX), (const char *)text.p,
        text.n < ROUTE_KEY_MAX ? "" : "...", what);
}

int change_check_route(const struct conf *conf, struct slice route, struct err *err)
{
    int server = conf_server_index(conf, route);
    if (server != CONF_SERVER_NONE && conf_server_takes_mail(&conf->servers[server]))
        return 0;
    if (server != CONF_SERVER_NONE)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "server \"%.*s\" has no smtp in the configuration, so no mail can be routed there",
            SLICE_ARG(route));
    struct buf names;
    buf_init(&names, 256);
    for (size_t i = 0; i < conf->n_servers; i++)
        if (buf_addf(&names, "%s%s", i ? ", " : "", conf->servers[i].name) != 0)
            break;
    err_set(err, ERR_PERM, EX_DATAERR,
        "there is no server \"%.*s\" in the configuration (servers: %s)", SLICE_ARG(route),
        buf_cstr(&names));
    buf_fini(&names);
    return -1;
}

/* An address, or "@domain": the recipient's local part there. */
static int check_deliver_as(struct slice text, struct err *err)
{
    struct slice domain = slice_from(text, 1);
    struct address a;
    if (text.n == 0 || (text.p[0] == '@' && net_is_host_name(domain)))
        return 0;
    if (address_parse(text, &a) != 0 || a.domain.n == 0)
        return bad(err, "deliver_as", text, " is not an address");
    if (!address_is_ascii(a.domain))
        return bad(err, "deliver_as", text, ": the domain has to be in ASCII (xn--...)");
    return 0;
}

/* As a key where the domain is ours, otherwise as it is with the domain as A-labels. */
static int add_address(
    const struct conf *conf, const char *field, struct slice text, struct buf *out, struct err *err)
{
    char domain[IDN_DOMAIN_MAX + 1];
    struct address a;
    size_t before = out->n;
    if (address_parse(text, &a) != 0 || a.domain.n == 0 || a.is_literal ||
        idn_to_ascii(a.domain, domain) != 0)
        return bad(err, field, text, " is not an address");
    int rc = conf_domain(conf, slice_str(domain))
                 ? normalise_key(conf, text, out)
                 : (buf_add(out, a.local) != 0 || buf_add_byte(out, '@') != 0 ||
                       buf_add_str(out, domain) != 0);
    if (rc != 0 || out->n - before > ROUTE_KEY_MAX)
        return bad(err, field, text, " is too long");
    return 0;
}

/* The parts of "a@x, b@y", commas in quotes left alone; false at the end. */
static bool next_part(struct slice *rest, struct slice *part_out)
{
    bool is_quoted = false;
    size_t n = 0;
    if (rest->n == 0)
        return false;
    for (; n < rest->n && (is_quoted || rest->p[n] != ','); n++) {
        if (rest->p[n] == '\\' && is_quoted)
            n++;
        else if (rest->p[n] == '"')
            is_quoted = !is_quoted;
    }
    *part_out = slice_trim(slice_sub(*rest, 0, n));
    *rest = slice_from(*rest, n + 1);
    return true;
}

static int add_part(const struct conf *conf, const char *field, bool with_domains,
    struct slice part, struct buf *out, struct err *err)
{
    if (part.n == 0)
        return 0;
    if (out->n > 0 && buf_add_byte(out, '\n') != 0)
        return bad(err, field, part, ": too much text in one entry");
    if (!with_domains || part.p[0] != '@')
        return add_address(conf, field, part, out, err);
    if (normalise_key(conf, part, out) != 0)
        return bad(err, field, part, " is not a domain");
    return 0;
}

/* A list from a text with commas or from an array of texts. */
static int read_list(const struct field_call *f, const json_t *set, const char *field,
    bool with_domains, struct slice *list_out, struct err *err)
{
    const json_t *v = json_object_get(set, field);
    struct slice part, rest;
    struct buf list;
    int rc = 0;

    buf_init(&list, ROUTE_TARGETS_MAX);
    if (json_is_array(v)) {
        for (size_t i = 0; i < json_array_size(v) && rc == 0; i++) {
            const json_t *one = json_array_get(v, i);
            rc = !json_is_string(one)
                     ? err_set(err, ERR_PERM, EX_USAGE, "\"%s\" has to hold strings", field)
                     : add_part(f->c->conf, field, with_domains,
                           slice_make(json_string_value(one), json_string_length(one)), &list, err);
        }
    } else {
        rc = control_string(set, field, ROUTE_TARGETS_MAX, false, &rest, err);
        while (rc == 0 && next_part(&rest, &part))
            rc = add_part(f->c->conf, field, with_domains, part, &list, err);
    }
    if (rc == 0 && route_list_count(buf_slice(&list)) > ROUTE_TARGETS_COUNT_MAX)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "%s: an entry has at most %d addresses", field,
            ROUTE_TARGETS_COUNT_MAX);
    if (rc == 0)
        rc = copy_text(f->mem, buf_slice(&list), list_out, err);
    buf_fini(&list);
    return rc;
}

static int read_text(const struct field_call *f, const json_t *set, const char *field, size_t max,
    struct slice *out, struct err *err)
{
    struct slice text;
    if (control_string(set, field, max, false, &text, err) != 0)
        return -1;
    return copy_text(f->mem, text, out, err);
}

/* --- Fields ------------------------------------------------------------------------------- */

/* The fields that few entries have; made when the first of them comes. */
static struct change_more *more(const struct field_call *f, struct err *err)
{
    if (!f->out->more)
        f->out->more = arena_alloc(f->mem, sizeof *f->out->more);
    if (!f->out->more)
        err_set(err, ERR_TEMP, EX_OSERR, "the request needs too much memory");
    return f->out->more;
}

static int read_route(const struct field_call *f, const json_t *set, struct err *err)
{
    if (read_text(f, set, "route", ROUTE_NOTE_MAX, &f->out->route, err) != 0)
        return -1;
    return f->out->route.n == 0 ? 0 : change_check_route(f->c->conf, f->out->route, err);
}

static int read_kind(const struct field_call *f, const json_t *set, struct err *err)
{
    struct slice text;
    if (control_string(set, "kind", ROUTE_NOTE_MAX, false, &text, err) != 0)
        return -1;
    if (route_kind_parse(text, &f->out->kind) != 0)
        return bad(err, "kind", text, ": the kinds are mailbox, alias, group, forward and reject");
    return 0;
}

static int read_deliver_as(const struct field_call *f, const json_t *set, struct err *err)
{
    if (read_text(f, set, "deliver_as", ROUTE_NOTE_MAX, &f->out->deliver_as, err) != 0)
        return -1;
    return check_deliver_as(f->out->deliver_as, err);
}

static int read_note(const struct field_call *f, const json_t *set, struct err *err)
{
    return read_text(f, set, "note", ROUTE_NOTE_MAX, &f->out->note, err);
}

static int read_to(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    return m ? read_list(f, set, "to", false, &m->targets, err) : -1;
}

static int read_owner(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    if (!m || read_list(f, set, "owner", false, &m->owner, err) != 0)
        return -1;
    return route_list_count(m->owner) <= 1
               ? 0
               : err_set(err, ERR_PERM, EX_DATAERR, "owner: one address gets the errors");
}

static int read_senders(const struct field_call *f, const json_t *set, struct err *err)
{
    static const char *const WORDS[] = {"inside", "members"};
    struct change_more *m = more(f, err);
    struct slice text = SLICE_NONE;
    if (!m)
        return -1;
    if (!json_is_array(json_object_get(set, "senders")) &&
        control_string(set, "senders", ROUTE_TARGETS_MAX, false, &text, err) != 0)
        return -1;
    m->senders = SLICE_LIT("");
    if (slice_eq_nocase(text, SLICE_LIT("any")))
        return 0;
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++)
        if (slice_eq_nocase(text, slice_str(WORDS[i]))) {
            m->senders = slice_str(WORDS[i]);
            return 0;
        }
    return read_list(f, set, "senders", true, &m->senders, err);
}

static int read_code(const struct field_call *f, const json_t *set, struct err *err)
{
    const json_t *v = json_object_get(set, "code");
    struct change_more *m = more(f, err);
    struct slice text;
    uint64_t code = 0;
    if (!m)
        return -1;
    if (json_is_integer(v)) {
        code = json_integer_value(v) > 0 ? (uint64_t)json_integer_value(v) : 1;
    } else if (control_string(set, "code", NUMBER_TEXT_MAX, false, &text, err) != 0) {
        return -1;
    } else if (text.n > 0 && num_u64(text, 0, 999, &code) != 0) {
        code = 1;
    }
    if (code != 0 && (code < 400 || code > 599))
        return err_set(err, ERR_PERM, EX_DATAERR, "code: an answer is a number from 400 to 599");
    m->reply_code = (unsigned)code;
    return 0;
}

static int read_reply_text(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    if (!m || read_text(f, set, "text", ROUTE_TEXT_MAX, &m->reply_text, err) != 0)
        return -1;
    for (size_t i = 0; i < m->reply_text.n; i++)
        if (!ascii_is_print(m->reply_text.p[i]))
            return err_set(
                err, ERR_PERM, EX_DATAERR, "text: an SMTP answer has printable ASCII only");
    return 0;
}

static int read_also(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    if (!m || read_text(f, set, "also", ROUTE_SERVER_MAX, &m->also, err) != 0)
        return -1;
    return m->also.n == 0 ? 0 : change_check_route(f->c->conf, m->also, err);
}

static int read_until(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    struct slice text;
    uint64_t ms;
    if (!m || control_string(set, "until", NUMBER_TEXT_MAX, false, &text, err) != 0)
        return -1;
    m->until_s = 0;
    if (text.n == 0 || clock_parse_utc(text, &m->until_s) == 0)
        return 0;
    /* A bare number is no duration here: 20261201 is a date that was meant otherwise. */
    if (ascii_is_digit(text.p[text.n - 1]) || num_duration_ms(text, &ms) != 0)
        return bad(err, "until", text, " is neither 2026-12-31, 2026-12-31T18:00:00Z nor 7d");
    m->until_s = f->c->now_ms / 1000 + (int64_t)(ms / 1000);
    return 0;
}

static int read_source(const struct field_call *f, const json_t *set, struct err *err)
{
    struct change_more *m = more(f, err);
    return m ? read_text(f, set, "source", ROUTE_SOURCE_MAX, &m->source, err) : -1;
}

static const struct field {
    const char *name;
    unsigned bit;
    int (*read)(const struct field_call *f, const json_t *set, struct err *err);
} FIELDS[] = {
    {"route", CHANGE_ROUTE, read_route},
    {"kind", CHANGE_KIND, read_kind},
    {"deliver_as", CHANGE_DELIVER_AS, read_deliver_as},
    {"note", CHANGE_NOTE, read_note},
    {"to", CHANGE_TO, read_to},
    {"owner", CHANGE_OWNER, read_owner},
    {"senders", CHANGE_SENDERS, read_senders},
    {"code", CHANGE_CODE, read_code},
    {"text", CHANGE_TEXT, read_reply_text},
    {"also", CHANGE_ALSO, read_also},
    {"until", CHANGE_UNTIL, read_until},
    {"source", CHANGE_SOURCE, read_source},
};

int change_parse_field(const struct control *c, const json_t *set, const char *name,
    struct arena *mem, struct change *out, struct err *err)
{
    const struct field_call f = {.c = c, .mem = mem, .out = out};
    for (size_t i = 0; i < sizeof FIELDS / sizeof FIELDS[0]; i++)
        if (strcmp(name, FIELDS[i].name) == 0) {
            out->has |= FIELDS[i].bit;
            return FIELDS[i].read(&f, set, err);
        }
    return err_set(err, ERR_PERM, EX_USAGE,
        "unknown field \"%s\" (fields: route, kind, deliver_as, note, to, owner, senders, code, "
        "text, also, until, source)",
        name);
}

/* --- Entries ---------------------------------------------------------------------------------- */

/* What a kind has no use for goes when the kind changes. */
static void clear_for_kind(unsigned has, struct route_entry *next)
{
    bool has_targets = next->kind == ROUTE_KIND_ALIAS || next->kind == ROUTE_KIND_FORWARD ||
                       next->kind == ROUTE_KIND_GROUP;
    if (!(has & CHANGE_ROUTE) &&
        (next->kind == ROUTE_KIND_ALIAS || next->kind == ROUTE_KIND_FORWARD))
        next->route = SLICE_NONE;
    if (!(has & CHANGE_DELIVER_AS) && has_targets && next->kind != ROUTE_KIND_GROUP)
        next->deliver_as = SLICE_NONE;
    if (!(has & CHANGE_TO) && !has_targets)
        next->targets = SLICE_NONE;
    if (!(has & CHANGE_OWNER) && !has_targets)
        next->owner = SLICE_NONE;
    if (!(has & CHANGE_SENDERS) && !has_targets)
        next->senders = SLICE_NONE;
    if (!(has & CHANGE_CODE) && next->kind != ROUTE_KIND_REJECT)
        next->reply_code = 0;
    if (!(has & CHANGE_TEXT) && next->kind != ROUTE_KIND_REJECT)
        next->reply_text = SLICE_NONE;
    if (!(has & CHANGE_ALSO) && next->kind != ROUTE_KIND_MAILBOX)
        next->also = SLICE_NONE;
    if (!(has & CHANGE_UNTIL) && next->kind != ROUTE_KIND_MAILBOX)
        next->until_s = 0;
}

void change_merge(
    const struct change *change, const struct route_entry *old, struct route_entry *next)
{
    static const struct change_more none;
    const struct change_more *m = change->more ? change->more : &none;
    *next = *old;
    if (old->is_tombstone)
        *next = (struct route_entry){0};
    /* Whoever gets a route again is not leaving. */
    if (next->state == ROUTE_STATE_RETIRING && (change->has & (CHANGE_KIND | CHANGE_ROUTE))) {
        next->state = ROUTE_STATE_ACTIVE;
        next->until_s = 0;
    }
    if ((change->has & CHANGE_KIND) && change->kind != next->kind) {
        next->kind = change->kind;
        clear_for_kind(change->has, next);
    }
    if (change->has & CHANGE_ROUTE)
        next->route = change->route;
    if (change->has & CHANGE_DELIVER_AS)
        next->deliver_as = change->deliver_as;
    if (change->has & CHANGE_NOTE)
        next->note = change->note;
    if (change->has & CHANGE_TO)
        next->targets = m->targets;
    if (change->has & CHANGE_OWNER)
        next->owner = m->owner;
    if (change->has & CHANGE_SENDERS)
        next->senders = m->senders;
    if (change->has & CHANGE_CODE)
        next->reply_code = m->reply_code;
    if (change->has & CHANGE_TEXT)
        next->reply_text = m->reply_text;
    if (change->has & CHANGE_ALSO)
        next->also = m->also;
    if (change->has & CHANGE_UNTIL)
        next->until_s = m->until_s;
    if (change->has & CHANGE_SOURCE)
        next->source = m->source;
    if (next->state == ROUTE_STATE_ACTIVE || next->state == ROUTE_STATE_BOTH)
        next->state = next->also.n ? ROUTE_STATE_BOTH : ROUTE_STATE_ACTIVE;
}

/* Addresses that no recipient of the whole domain would be delivered as (maps/delivery.h). */
static int check_domain_entry(struct slice key, const struct route_entry *e, struct err *err)
{
    struct address a;
    if (key.p[0] != '@' || e->deliver_as.n == 0 || e->deliver_as.p[0] == '@' ||
        address_parse(e->deliver_as, &a) != 0 || !delivery_is_foreign(a.local))
        return 0;
    return err_set(err, ERR_PERM, EX_DATAERR,
        "deliver_as %.*s has one of \"%%\", \"!\" and \"@\" in its local part, by which a whole "
        "domain cannot be delivered",
        SLICE_ARG(e->deliver_as));
}

static int misfit(struct err *err, struct slice key, const char *what)
{
    return err_set(err, ERR_PERM, EX_DATAERR, "%.*s: %s", SLICE_ARG(key), what);
}

/* One target, and of ours. */
static bool is_simple(const struct conf *conf, const struct route_entry *e)
{
    return e->route.n > 0 ||
           (route_list_count(e->targets) == 1 && conf_domain(conf, normalise_domain(e->targets)));
}

/* Alias, forward, group. */
static int check_leading(
    const struct control *c, struct slice key, const struct route_entry *e, struct err *err)
{
    bool is_group = e->kind == ROUTE_KIND_GROUP;
    if (!is_group && e->route.n > 0)
        return misfit(
            err, key, "an alias or forward has no route of its own: it follows its targets");
    if (!is_group && e->deliver_as.n > 0)
        return misfit(err, key, "an alias or forward is delivered as its targets are");
    if (e->route.n == 0 && e->targets.n == 0)
        return misfit(err, key,
            is_group
                ? "a group needs the server that expands it (route=SERVER), or its members (to=...)"
                : "an alias or forward needs its targets (to=ADDRESS,...)");
    if (slice_eq(e->senders, SLICE_LIT("members")) && e->targets.n == 0)
        return misfit(err, key, "senders = members needs the members (to=ADDRESS,...)");
    if (!is_simple(c->conf, e) && !c->conf->lookup.aliases)
        return err_set(err, ERR_PERM, EX_UNAVAILABLE,
            "%.*s leads to several addresses or outside, which the relay cannot deliver: only a "
            "mail "
            "server that asks the map `aliases` can (lookup { aliases = yes })",
            SLICE_ARG(key));
    return 0;
}

/* The answer that a reject entry gives. */
static int check_reply(struct slice key, const struct route_entry *e, struct err *err)
{
    unsigned char class = (unsigned char)('0' + (e->reply_code ? e->reply_code / 100 : 5));
    struct slice t = e->reply_text;
    if (t.n > 2 && ascii_is_digit(t.p[0]) && t.p[1] == '.' && ascii_is_digit(t.p[2]) &&
        t.p[0] != class)
        return misfit(err, key, "the enhanced code in the text is of another class than the code");
    return 0;
}

/* A copy for a second server: what such an entry has to be, and whether anybody can deliver it. */
static int check_both(
    const struct control *c, struct slice key, const struct route_entry *e, struct err *err)
{
    if (e->kind != ROUTE_KIND_MAILBOX || key.p[0] == '@')
        return misfit(err, key,
            "two servers at once (also, until) are for one mailbox: no alias, no group, no domain");
    if (e->also.n == 0)
        return misfit(err, key, "until is the end of also=SERVER, and there is none");
    if (slice_eq(e->also, e->route))
        return misfit(err, key, "route and also are the same server");
    if (e->until_s == 0)
        return misfit(err, key, "also needs its end (until=7d)");
    if (e->until_s - c->now_ms / 1000 > ROUTE_BOTH_MAX_S)
        return misfit(err, key, "until is more than 14 days ahead");
    return err_set(err, ERR_PERM, EX_UNAVAILABLE,
        "%.*s: two servers at once (also, until) need a relay with a spool, which is not "
        "possible yet",
        SLICE_ARG(key));
}

int change_check_entry(
    const struct control *c, struct slice key, const struct route_entry *e, struct err *err)
{
    bool is_leading =
        e->kind == ROUTE_KIND_ALIAS || e->kind == ROUTE_KIND_FORWARD || e->kind == ROUTE_KIND_GROUP;
    if (e->kind == ROUTE_KIND_MAILBOX && e->route.n == 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "%.*s is new and needs a route (route=SERVER)",
            SLICE_ARG(key));
    if (!is_leading && (e->targets.n || e->owner.n || e->senders.n))
        return misfit(err, key, "to, owner and senders are for aliases, groups and forwards");
    if (e->kind != ROUTE_KIND_REJECT && (e->reply_code || e->reply_text.n))
        return misfit(err, key, "code and text are for reject entries");
    if ((e->also.n || (e->until_s && e->state != ROUTE_STATE_RETIRING)) &&
        check_both(c, key, e, err) != 0)
        return -1;
    if (is_leading && check_leading(c, key, e, err) != 0)
        return -1;
    if (e->kind == ROUTE_KIND_REJECT && check_reply(key, e, err) != 0)
        return -1;
    return check_domain_entry(key, e, err);
}
