/* SPDX-License-Identifier: ISC */
/*
 * conf_value: see conf_value.h.  Formatting gives back what set() reads, so that the output of -P
 * is itself a configuration.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/conf.h"
#include "base/core/conf_value.h"
#include "base/core/mem.h"
#include "base/core/num.h"

#define TEXT_MAX 1024

/* Fields that are enums are written as int. */
_Static_assert(sizeof(enum conf_tls) == sizeof(int) && sizeof(enum conf_model) == sizeof(int) &&
                   sizeof(enum conf_bare_lf) == sizeof(int) &&
                   sizeof(enum conf_milter_mode) == sizeof(int),
    "an enum of the configuration has the size of an int");

/* --- What is wrong, what is allowed -------------------------------------------------- */

static int refuse(struct err *err, struct slice text, const char *allowed)
{
    char shown[64];
    size_t n = text.n < sizeof(shown) - 4 ? text.n : sizeof(shown) - 4;

    for (size_t i = 0; i < n; i++)
        shown[i] = ascii_is_print(text.p[i]) ? (char)text.p[i] : '?';
    memcpy(shown + n, n < text.n ? "..." : "", n < text.n ? 4 : 1);
    return err_set(err, ERR_PERM, EX_CONFIG, "'%s' is not %s", shown, allowed);
}

static int refuse_choice(
    struct err *err, struct slice text, const char *prefix, const char *const *choices)
{
    struct buf all;
    int rc;

    buf_init(&all, 256);
    rc = buf_add_str(&all, prefix);
    for (size_t i = 0; choices[i] != NULL && rc == 0; i++) {
        const char *sep = i == 0 ? "" : choices[i + 1] == NULL ? " or " : ", ";

        rc = buf_addf(&all, "%s%s", sep, choices[i]);
    }
    BUG_ON(rc != 0);
    refuse(err, text, buf_cstr(&all));
    buf_fini(&all);
    return -1;
}

/* --- Units --------------------------------------------------------------------------- */

struct unit {
    const char *name;
    uint64_t factor;
};

/* With the largest unit that leaves no rest; the last unit has factor 1. */
static int format_with_unit(uint64_t v, const struct unit *u, struct buf *out)
{
    while (u->factor > 1 && (v == 0 || v % u->factor != 0))
        u++;
    return buf_addf(out, "%llu%s", (unsigned long long)(v / u->factor), u->name);
}

static int format_quantity(enum schema_type type, uint64_t v, struct buf *out)
{
    static const struct unit durations[] = {
        {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    static const struct unit sizes[] = {{"G", 1U << 30}, {"M", 1U << 20}, {"k", 1U << 10}, {"", 1}};

    if (type == SCHEMA_NUMBER)
        return buf_addf(out, "%llu", (unsigned long long)v);
    return format_with_unit(v, type == SCHEMA_DURATION ? durations : sizes, out);
}

static int refuse_quantity(const struct schema_key *key, struct slice text, struct err *err)
{
    struct buf allowed;
    const char *what = key->type == SCHEMA_NUMBER     ? "a number"
                       : key->type == SCHEMA_DURATION ? "a time like 250ms, 20s, 5m, 1h or 7d"
                                                      : "a size like 512, 64k, 10M or 1G";

    buf_init(&allowed, 256);
    if (buf_addf(&allowed, "%s from ", what) != 0 ||
        format_quantity(key->type, key->min, &allowed) != 0 || buf_add_str(&allowed, " to ") != 0 ||
        format_quantity(key->type, key->max, &allowed) != 0)
        BUG("a range does not fit");
    refuse(err, text, buf_cstr(&allowed));
    buf_fini(&allowed);
    return -1;
}

static int parse_quantity(
    const struct schema_key *key, struct slice text, uint64_t *out, struct err *err)
{
    uint64_t v;
    int rc = key->type == SCHEMA_NUMBER     ? num_u64(text, 0, UINT32_MAX, &v)
             : key->type == SCHEMA_DURATION ? num_duration_ms(text, &v)
                                            : num_bytes(text, &v);

    if (rc != 0 || v < key->min || v > key->max)
        return refuse_quantity(key, text, err);
    *out = v;
    return 0;
}

/* --- Single values ------------------------------------------------------------------- */

static int index_of(const char *const *choices, struct slice text)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (slice_eq_nocase(text, slice_str(choices[i])))
            return i;
    return -1;
}

static bool is_printable(struct slice text)
{
    for (size_t i = 0; i < text.n; i++)
        if (!ascii_is_print(text.p[i]))
            return false;
    return text.n > 0 && text.n <= TEXT_MAX;
}

static bool is_path(struct slice text)
{
    return text.n > 0 && text.n <= TEXT_MAX && text.p[0] == '/' && slice_find(text, '\0') < 0;
}

static bool is_host(struct slice text)
{
    struct net_addr addr;

    return net_addr_parse(text, &addr) == 0 || net_is_host_name(text);
}

static bool is_fingerprint(struct slice text)
{
    unsigned char digest[32];
    char digits[64];
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == ':')
            continue;
        if (n == sizeof(digits))
            return false;
        digits[n++] = (char)text.p[i];
    }
    return num_hex(slice_make(digits, n), digest, sizeof(digest)) == 0;
}

static int set_string(char **field, struct slice text)
{
    mem_free_string(field);
    *field = slice_dup(text);
    return 0;
}

static const char *scheme_name(enum net_scheme scheme)
{
    switch (scheme) {
    case NET_SCHEME_NONE:
        return "inet";
    case NET_SCHEME_SMTP:
        return "smtp";
    case NET_SCHEME_SMTPS:
        return "smtps";
    case NET_SCHEME_LMTP:
        return "lmtp";
    case NET_SCHEME_IMAP:
        return "imap";
    case NET_SCHEME_IMAPS:
        return "imaps";
    case NET_SCHEME_UNIX:
        return "unix";
    }
    BUG("unknown scheme");
}

static int parse_endpoint(
    const struct schema_key *key, struct slice text, struct net_endpoint *out, struct err *err)
{
    struct net_endpoint e;

    if (net_endpoint_parse(text, 0, &e, err) != 0)
        return -1;
    if (index_of(key->choices, slice_str(scheme_name(e.scheme))) < 0) {
        net_endpoint_fini(&e);
        return refuse_choice(err, text, "an endpoint of the kind ", key->choices);
    }
    *out = e;
    return 0;
}

/* --- Lists --------------------------------------------------------------------------- */

static int add_endpoint(
    const struct schema_key *key, struct conf_endpoints *list, struct slice text, struct err *err)
{
    struct net_endpoint e;

    if (parse_endpoint(key, text, &e, err) != 0)
        return -1;
    list->v = mem_realloc_array(list->v, list->n + 1, sizeof(*list->v));
    list->v[list->n++] = e;
    return 0;
}

static int add_range(struct conf_ranges *list, struct slice text, struct err *err)
{
    struct net_range r;

    if (net_range_parse(text, &r) != 0)
        return refuse(
            err, text, "an address or a range like 10.0.0.0/8 (with no bits behind the prefix)");
    list->v = mem_realloc_array(list->v, list->n + 1, sizeof(*list->v));
    list->v[list->n++] = r;
    return 0;
}

static int add_name(struct conf_strings *list, struct slice text, struct err *err)
{
    bool is_text = text.n > 0;
    for (size_t i = 0; i < text.n; i++)
        is_text = is_text && text.p[i] >= 0x20 && text.p[i] != 0x7f;
    if (!is_text)
        return refuse(err, text, "text without control characters");
    list->v = mem_realloc_array(list->v, list->n + 1, sizeof(*list->v));
    list->v[list->n++] = slice_dup(text);
    return 0;
}

/* --- The whole ----------------------------------------------------------------------- */

int conf_value_set(const struct schema_key *key, void *field, struct slice text, struct err *err)
{
    uint64_t v;
    struct net_endpoint e;
    int choice;

    switch (key->type) {
    case SCHEMA_NUMBER:
        if (parse_quantity(key, text, &v, err) != 0)
            return -1;
        *(uint32_t *)field = (uint32_t)v;
        return 0;
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
        return parse_quantity(key, text, field, err);
    case SCHEMA_BOOL:
    case SCHEMA_CHOICE:
    case SCHEMA_WORD:
        choice = index_of(key->choices, text);
        if (choice < 0)
            return refuse_choice(err, text, "", key->choices);
        if (key->type == SCHEMA_BOOL)
            *(bool *)field = choice == 1;
        else if (key->type == SCHEMA_CHOICE)
            *(int *)field = choice;
        else
            return set_string(field, slice_str(key->choices[choice]));
        return 0;
    case SCHEMA_TEXT:
        return is_printable(text) ? set_string(field, text)
                                  : refuse(err, text, "printable ASCII text");
    case SCHEMA_PATH:
        return is_path(text) ? set_string(field, text) : refuse(err, text, "an absolute path");
    case SCHEMA_HOST:
        return is_host(text) ? set_string(field, text)
                             : refuse(err, text, "a host name or an address");
    case SCHEMA_PRINT:
        return is_fingerprint(text)
                   ? set_string(field, text)
                   : refuse(err, text, "a SHA-256 fingerprint (64 hexadecimal digits)");
    case SCHEMA_ENDPOINT:
        if (parse_endpoint(key, text, &e, err) != 0)
            return -1;
        net_endpoint_fini(field);
        *(struct net_endpoint *)field = e;
        return 0;
    case SCHEMA_ENDPOINTS:
        return add_endpoint(key, field, text, err);
    case SCHEMA_RANGES:
        return add_range(field, text, err);
    case SCHEMA_NAMES:
        return add_name(field, text, err);
    case SCHEMA_SERVER_REF:
        break;
    }
    BUG("this type is set elsewhere");
}

void conf_value_fini(const struct schema_key *key, void *field)
{
    struct conf_endpoints *endpoints = field;
    struct conf_ranges *ranges = field;
    struct conf_strings *names = field;

    switch (key->type) {
    case SCHEMA_WORD:
    case SCHEMA_TEXT:
    case SCHEMA_PATH:
    case SCHEMA_HOST:
    case SCHEMA_PRINT:
        mem_free_string(field);
        return;
    case SCHEMA_ENDPOINT:
        net_endpoint_fini(field);
        return;
    case SCHEMA_ENDPOINTS:
        for (size_t i = 0; i < endpoints->n; i++)
            net_endpoint_fini(&endpoints->v[i]);
        free(endpoints->v);
        *endpoints = (struct conf_endpoints){0};
        return;
    case SCHEMA_RANGES:
        free(ranges->v);
        *ranges = (struct conf_ranges){0};
        return;
    case SCHEMA_NAMES:
        for (size_t i = 0; i < names->n; i++)
            free(names->v[i]);
        free(names->v);
        *names = (struct conf_strings){0};
        return;
    case SCHEMA_NUMBER:
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
    case SCHEMA_BOOL:
    case SCHEMA_CHOICE:
    case SCHEMA_SERVER_REF:
        return;
    }
}

int conf_value_quote(const char *text, struct buf *out)
{
    int rc = buf_add_byte(out, '"');

    for (const char *c = text; *c != '\0' && rc == 0; c++) {
        if (*c == '"' || *c == '\\' || *c == '$')
            rc = buf_add_byte(out, '\\');
        if (rc == 0)
            rc = buf_add_byte(out, (unsigned char)*c);
    }
    return rc == 0 ? buf_add_byte(out, '"') : -1;
}

static int format_endpoint(const struct net_endpoint *e, struct buf *out)
{
    const char *scheme = scheme_name(e->scheme);
    bool is_v6;

    if (e->host == NULL)
        return 0;
    if (e->scheme == NET_SCHEME_UNIX)
        return buf_addf(out, "\"unix:%s\"", e->host);
    is_v6 = strchr(e->host, ':') != NULL;
    return buf_addf(out, "\"%s%s%s%s%s:%u\"", scheme, e->scheme == NET_SCHEME_NONE ? ":" : "://",
        is_v6 ? "[" : "", e->host, is_v6 ? "]" : "", e->port);
}

static int format_range(const struct net_range *r, struct buf *out)
{
    char text[NET_TEXT_MAX];
    unsigned bits = net_addr_is_v4(&r->addr) && r->bits >= 96 ? r->bits - 96 : r->bits;

    net_addr_format(&r->addr, text);
    return buf_addf(out, "\"%s/%u\"", text, bits);
}

static size_t list_size(const struct schema_key *key, const void *field)
{
    if (key->type == SCHEMA_RANGES)
        return ((const struct conf_ranges *)field)->n;
    if (key->type == SCHEMA_NAMES)
        return ((const struct conf_strings *)field)->n;
    return ((const struct conf_endpoints *)field)->n;
}

static int format_item(const struct schema_key *key, const void *field, size_t i, struct buf *out)
{
    if (key->type == SCHEMA_RANGES)
        return format_range(&((const struct conf_ranges *)field)->v[i], out);
    if (key->type == SCHEMA_NAMES)
        return conf_value_quote(((const struct conf_strings *)field)->v[i], out);
    return format_endpoint(&((const struct conf_endpoints *)field)->v[i], out);
}

static int format_list(const struct schema_key *key, const void *field, struct buf *out)
{
    size_t n = list_size(key, field);
    int rc = 0;

    if (n == 0)
        return 0;
    rc = buf_add_byte(out, '{');
    for (size_t i = 0; i < n && rc == 0; i++) {
        if (i > 0)
            rc = buf_add_str(out, ", ");
        if (rc == 0)
            rc = format_item(key, field, i, out);
    }
    return rc == 0 ? buf_add_byte(out, '}') : -1;
}

int conf_value_format(const struct schema_key *key, const void *field, struct buf *out)
{
    const char *text;

    switch (key->type) {
    case SCHEMA_NUMBER:
        return format_quantity(key->type, *(const uint32_t *)field, out);
    case SCHEMA_DURATION:
    case SCHEMA_BYTES:
        return format_quantity(key->type, *(const uint64_t *)field, out);
    case SCHEMA_BOOL:
        return buf_add_str(out, key->choices[*(const bool *)field ? 1 : 0]);
    case SCHEMA_CHOICE:
        return buf_add_str(out, key->choices[*(const int *)field]);
    case SCHEMA_WORD:
    case SCHEMA_TEXT:
    case SCHEMA_PATH:
    case SCHEMA_HOST:
    case SCHEMA_PRINT:
        text = *(char *const *)field;
        return text != NULL ? conf_value_quote(text, out) : 0;
    case SCHEMA_ENDPOINT:
        return format_endpoint(field, out);
    case SCHEMA_ENDPOINTS:
    case SCHEMA_RANGES:
    case SCHEMA_NAMES:
        return format_list(key, field, out);
    case SCHEMA_SERVER_REF:
        break;
    }
    BUG("this type is formatted elsewhere");
}
