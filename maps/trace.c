/* SPDX-License-Identifier: ISC */
/*
 * trace: makes and recognises the stamp of a routing hop.  Keys and text in, text out.
 *
 *     field = "Coexist-Trace:" "v=1;" "k=" id ";" "t=" digits ";" "s=" server ";" item *("," item)
 *     item  = epoch ":" 22 characters of base64, the first 16 bytes of
 *             HMAC-SHA256(key, "coexist-trace-1" NUL time epoch length-of-server server recipient)
 *
 * Between tokens any folding white space may stand, since MTAs fold anew.  A field that is not
 * exactly of this form is no stamp; nobody without the key can make one, or tell from one who the
 * recipient is.  What a sender forges costs at most TRACE_MACS_MAX digests per recipient; beyond
 * that, and beyond TRACE_FIELDS_MAX fields, stamps are not seen and the hop limit stops the loop.
 */
#include "maps/trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/mail/header.h"
#include "base/os/hmac.h"

#define KEY_SIZE 32
#define ID_MAX 32
#define SERVER_MAX 64
#define MAC_SIZE 16
#define MAC_TEXT 22 /* base64 without padding */
#define LINE_MAX_COLUMNS 77
#define TRACE_MACS_MAX 2048

struct trace_key {
    char id[ID_MAX + 1];
    unsigned char secret[KEY_SIZE];
};

struct trace_keys {
    struct trace_key v[TRACE_KEYS_MAX];
    size_t n;
};

/* Names that stand in a field as they are. */
static bool is_name(struct slice s, size_t max)
{
    for (size_t i = 0; i < s.n; i++)
        if (!ascii_is_alpha(s.p[i]) && !ascii_is_digit(s.p[i]) && s.p[i] != '.' && s.p[i] != '_' &&
            s.p[i] != '-')
            return false;
    return s.n > 0 && s.n <= max;
}

bool trace_is_server_name(struct slice name)
{
    return is_name(name, SERVER_MAX);
}

/* --- Keys ------------------------------------------------------------------------------- */

static int parse_line(struct trace_keys *k, struct slice line, struct err *err)
{
    struct slice id, secret = line;
    if (k->n == TRACE_KEYS_MAX)
        return err_set(err, ERR_PERM, EX_CONFIG, "more than %d keys", TRACE_KEYS_MAX);
    struct trace_key *key = &k->v[k->n];
    if (!slice_split(&secret, ' ', &id) || !is_name(id, ID_MAX) ||
        num_hex(slice_trim(secret), key->secret, KEY_SIZE) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "line %zu: not \"<id> <%d hexadecimal digits>\"",
            k->n + 1, 2 * KEY_SIZE);
    memcpy(key->id, id.p, id.n);
    if (k->n == 1 && strcmp(key->id, k->v[0].id) == 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "both keys have the id %s", key->id);
    k->n++;
    return 0;
}

int trace_keys_parse(struct slice text, struct trace_keys **out, struct err *err)
{
    struct trace_keys *k = mem_zalloc(sizeof *k);
    struct slice line;
    while (slice_split(&text, '\n', &line)) {
        line = slice_trim(line);
        if (line.n > 0 && parse_line(k, line, err) != 0)
            goto fail;
    }
    if (k->n == 0) {
        err_set(err, ERR_PERM, EX_CONFIG, "no key");
        goto fail;
    }
    *out = k;
    return 0;
fail:
    trace_keys_free(&k);
    return -1;
}

void trace_keys_free(struct trace_keys **k)
{
    if (!*k)
        return;
    explicit_bzero(*k, sizeof **k);
    free(*k);
    *k = NULL;
}

/* --- The digest ------------------------------------------------------------------------- */

static unsigned char *put_64(unsigned char *p, uint64_t v)
{
    for (int shift = 56; shift >= 0; shift -= 8)
        *p++ = (unsigned char)(v >> shift);
    return p;
}

static void make_mac(const struct trace_key *key, int64_t time_s, struct slice server,
    uint64_t epoch, struct slice rcpt_key, char out[HMAC_BASE64_SIZE(MAC_SIZE)])
{
    static const char label[] = "coexist-trace-1";
    unsigned char text[sizeof label + 24 + SERVER_MAX + ROUTE_KEY_MAX], mac[SHA256_SIZE];
    BUG_ON(server.n > SERVER_MAX || rcpt_key.n > ROUTE_KEY_MAX);
    memcpy(text, label, sizeof label);
    unsigned char *p = put_64(text + sizeof label, (uint64_t)time_s);
    p = put_64(p, epoch);
    p = put_64(p, server.n);
    memcpy(p, server.p, server.n);
    p += server.n;
    memcpy(p, rcpt_key.p, rcpt_key.n);
    p += rcpt_key.n;
    hmac_sha256(slice_make(key->secret, KEY_SIZE), slice_make(text, (size_t)(p - text)), mac);
    hmac_base64(slice_make(mac, MAC_SIZE), out);
}

/* --- Writing -------------------------------------------------------------------------------- */

/* The id of the key, the time, the server. */
#define HEAD_FORMAT TRACE_FIELD ": v=1; k=%s; t=%" PRId64 ";\r\n s=%.*s;"

size_t trace_stamp_size(
    const struct trace_keys *k, uint64_t epoch, struct slice server, int64_t now_s)
{
    char text[TRACE_STAMP_MAX];

    if (fmt_into(text, sizeof text, HEAD_FORMAT "\r\n %" PRIu64 ":%*s\r\n", k->v[0].id, now_s,
            SLICE_ARG(server), epoch, MAC_TEXT, "") != 0)
        return TRACE_STAMP_MAX;
    return strlen(text);
}

int trace_stamp(const struct trace_keys *k, const struct trace_rcpt *rcpts, size_t n,
    struct slice server, int64_t now_s, struct buf *out)
{
    size_t before = out->n, column = 0;
    if (n == 0 || now_s < 0 || !trace_is_server_name(server) ||
        buf_addf(out, HEAD_FORMAT, k->v[0].id, now_s, SLICE_ARG(server)) != 0)
        goto fail;
    for (size_t i = 0; i < n; i++) {
        char mac[HMAC_BASE64_SIZE(MAC_SIZE)], item[TRACE_ITEM_MAX];
        if (rcpts[i].key.n > ROUTE_KEY_MAX)
            goto fail;
        make_mac(&k->v[0], now_s, server, rcpts[i].epoch, rcpts[i].key, mac);
        if (fmt_into(item, sizeof item, "%" PRIu64 ":%.*s%s", rcpts[i].epoch, MAC_TEXT, mac,
                i + 1 < n ? "," : "") != 0)
            BUG("an item does not fit");
        bool is_folded = column == 0 || column + 1 + strlen(item) > LINE_MAX_COLUMNS;
        if (buf_add_str(out, is_folded ? "\r\n " : " ") != 0 || buf_add_str(out, item) != 0)
            goto fail;
        column = (is_folded ? 0 : column) + 1 + strlen(item);
    }
    if (buf_add_str(out, "\r\n") == 0)
        return 0;
fail:
    buf_truncate(out, before);
    return -1;
}

/* --- Reading -------------------------------------------------------------------------------- */

static struct slice trim_fws(struct slice s)
{
    while (s.n > 0 && (ascii_is_blank(s.p[0]) || s.p[0] == '\r' || s.p[0] == '\n'))
        s = slice_from(s, 1);
    while (
        s.n > 0 && (ascii_is_blank(s.p[s.n - 1]) || s.p[s.n - 1] == '\r' || s.p[s.n - 1] == '\n'))
        s.n--;
    return s;
}

/* "name=value;" at the start of *rest. */
static bool take_tag(struct slice *rest, const char *name, struct slice *value_out)
{
    struct slice part;
    if (slice_find(*rest, ';') < 0 || !slice_split(rest, ';', &part))
        return false;
    part = trim_fws(part);
    if (!slice_starts(part, slice_str(name)))
        return false;
    *value_out = slice_from(part, strlen(name));
    return true;
}

struct stamp_field {
    const struct trace_key *key;
    int64_t time_s;
    struct slice server, items;
};

static bool parse_field(
    const struct trace_keys *k, const struct header_field *field, struct stamp_field *out)
{
    struct slice rest = field->value, version, id, time;
    uint64_t time_s;
    if (!slice_eq_nocase(field->name, SLICE_LIT(TRACE_FIELD)))
        return false;
    if (!take_tag(&rest, "v=", &version) || !slice_eq(version, SLICE_LIT("1")) ||
        !take_tag(&rest, "k=", &id) || !take_tag(&rest, "t=", &time) ||
        num_u64(time, 0, INT64_MAX, &time_s) != 0 || !take_tag(&rest, "s=", &out->server) ||
        !trace_is_server_name(out->server))
        return false;
    out->key = NULL;
    for (size_t i = 0; i < k->n; i++)
        if (slice_eq(id, slice_str(k->v[i].id)))
            out->key = &k->v[i];
    out->time_s = (int64_t)time_s;
    out->items = rest;
    return out->key != NULL;
}

/* The epoch under which the recipient stands in a field; false: it does not. */
static bool find_item(
    const struct stamp_field *f, struct slice rcpt_key, size_t *macs_left, uint64_t *epoch_out)
{
    struct slice rest = f->items, item, epoch_text;
    char mac[HMAC_BASE64_SIZE(MAC_SIZE)];
    bool has_mac = false;
    uint64_t mac_epoch = 0, epoch;
    while (slice_split(&rest, ',', &item)) {
        item = trim_fws(item);
        if (item.n < MAC_TEXT + 2 || !slice_split(&item, ':', &epoch_text) || item.n != MAC_TEXT ||
            num_u64(epoch_text, 0, UINT64_MAX, &epoch) != 0)
            return false;
        if (!has_mac || epoch != mac_epoch) {
            if (*macs_left == 0)
                return false;
            (*macs_left)--;
            make_mac(f->key, f->time_s, f->server, epoch, rcpt_key, mac);
            mac_epoch = epoch;
            has_mac = true;
        }
        if (hmac_equal(mac, item.p, MAC_TEXT)) {
            *epoch_out = epoch;
            return true;
        }
    }
    return false;
}

size_t trace_find(const struct trace_keys *k, struct slice header, struct slice rcpt_key,
    int64_t now_s, struct decide_stamp *out, size_t max)
{
    size_t n = 0, n_fields = 0, macs_left = TRACE_MACS_MAX;
    struct header_field field;
    if (rcpt_key.n > ROUTE_KEY_MAX)
        return 0;
    while (n < max && n_fields < TRACE_FIELDS_MAX && header_next(&header, &field)) {
        struct stamp_field f;
        uint64_t epoch;
        if (!parse_field(k, &field, &f))
            continue;
        n_fields++;
        /* A time in the future comes from another gateway's clock: our key vouches for it. */
        if (now_s - f.time_s < TRACE_VALID_S && find_item(&f, rcpt_key, &macs_left, &epoch))
            out[n++] =
                (struct decide_stamp){.server = f.server, .epoch = epoch, .time_s = f.time_s};
    }
    return n;
}
