/* SPDX-License-Identifier: ISC */
/*
 * net: see net.h.  Addresses are parsed by inet_pton(), which is strict (no leading zeros, no short
 * forms).  A range with bits behind its prefix ("10.1.1.5/8") is refused, because it is nearly
 * always a mistyped length, and trust hangs on these.
 */
#include <arpa/inet.h>
#include <string.h>
#include <sys/un.h>
#include <sysexits.h>
#include "base/core/mem.h"
#include "base/core/buf.h"
#include "base/core/net.h"
#include "base/core/num.h"

#define HOST_NAME_MAX_DNS 253
#define LABEL_MAX 63

static const unsigned char v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int net_addr_parse(struct slice text, struct net_addr *out)
{
    char copy[NET_TEXT_MAX];
    struct net_addr a;

    if (text.n >= 2 && text.p[0] == '[' && text.p[text.n - 1] == ']')
        text = slice_sub(text, 1, text.n - 2);
    if (slice_starts_nocase(text, SLICE_LIT("IPv6:")))
        text = slice_from(text, 5);
    if (text.n == 0 || text.n >= sizeof(copy) || slice_find(text, '\0') >= 0)
        return -1;
    memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    memcpy(a.b, v4_prefix, sizeof(v4_prefix));
    if (inet_pton(AF_INET, copy, a.b + 12) != 1 && inet_pton(AF_INET6, copy, a.b) != 1)
        return -1;
    *out = a;
    return 0;
}

static bool bits_behind_are_zero(const struct net_addr *a, unsigned bits)
{
    for (unsigned i = bits; i < 128; i++)
        if (a->b[i / 8] & (0x80U >> (i % 8)))
            return false;
    return true;
}

int net_range_parse(struct slice text, struct net_range *out)
{
    ptrdiff_t slash = slice_find(text, '/');
    struct slice addr = slash < 0 ? text : slice_sub(text, 0, (size_t)slash);
    struct net_range r;
    uint32_t bits, most;

    if (net_addr_parse(addr, &r.addr) != 0)
        return -1;
    /* "::ffff:10.0.0.0/104" counts from the front of the IPv6 form, "10.0.0.0/8" does not. */
    most = slice_find(addr, ':') < 0 ? 32 : 128;
    bits = most;
    if (slash >= 0 && num_u32(slice_from(text, (size_t)slash + 1), 0, most, &bits) != 0)
        return -1;
    r.bits = bits + 128 - most;
    if (!bits_behind_are_zero(&r.addr, r.bits))
        return -1;
    *out = r;
    return 0;
}

bool net_addr_is_v4(const struct net_addr *a)
{
    return memcmp(a->b, v4_prefix, sizeof(v4_prefix)) == 0;
}

bool net_addr_is_loopback(const struct net_addr *a)
{
    static const struct net_addr one = {{[15] = 1}};

    return net_addr_is_v4(a) ? a->b[12] == 127 : net_addr_eq(a, &one);
}

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
    return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

bool net_range_contains(const struct net_range *r, const struct net_addr *a)
{
    unsigned whole = r->bits / 8, rest = r->bits % 8;

    if (memcmp(r->addr.b, a->b, whole) != 0)
        return false;
    return rest == 0 || ((r->addr.b[whole] ^ a->b[whole]) >> (8 - rest)) == 0;
}

void net_addr_format(const struct net_addr *a, char out[NET_TEXT_MAX])
{
    const char *text = net_addr_is_v4(a) ? inet_ntop(AF_INET, a->b + 12, out, NET_TEXT_MAX)
                                         : inet_ntop(AF_INET6, a->b, out, NET_TEXT_MAX);

    BUG_ON(text == NULL);
}

/* --- Endpoints -------------------------------------------------------------- */

static const struct {
    const char *prefix;
    enum net_scheme scheme;
    uint16_t port;
} schemes[] = {
    {"smtp://", NET_SCHEME_SMTP, 25},
    {"smtps://", NET_SCHEME_SMTPS, 465},
    {"lmtp://", NET_SCHEME_LMTP, 24},
    {"imap://", NET_SCHEME_IMAP, 143},
    {"imaps://", NET_SCHEME_IMAPS, 993},
    {"inet:", NET_SCHEME_NONE, 0},
};

static int bad(struct err *err, struct slice text, const char *why)
{
    char shown[64];
    size_t n = text.n < sizeof(shown) - 1 ? text.n : sizeof(shown) - 1;

    for (size_t i = 0; i < n; i++)
        shown[i] = ascii_is_print(text.p[i]) ? (char)text.p[i] : '?';
    shown[n] = '\0';
    return err_set(err, ERR_PERM, EX_CONFIG, "'%s' is not an endpoint: %s", shown, why);
}

bool net_is_host_name(struct slice s)
{
    struct slice rest = s, label;

    if (s.n == 0 || s.n > HOST_NAME_MAX_DNS)
        return false;
    while (slice_split(&rest, '.', &label)) {
        if (label.n == 0 || label.n > LABEL_MAX || label.p[0] == '-' || label.p[label.n - 1] == '-')
            return false;
        for (size_t i = 0; i < label.n; i++)
            if (!ascii_is_alpha(label.p[i]) && !ascii_is_digit(label.p[i]) && label.p[i] != '-' &&
                label.p[i] != '_')
                return false;
    }
    return true;
}

static int parse_unix(
    struct slice text, struct slice path, struct net_endpoint *out, struct err *err)
{
    if (path.n == 0 || path.p[0] != '/')
        return bad(err, text, "a path of a socket begins with /");
    if (path.n >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return bad(err, text, "the path of a socket is too long (107 bytes at most)");
    if (slice_find(path, '\0') >= 0)
        return bad(err, text, "a path holds no NUL");
    *out = (struct net_endpoint){.scheme = NET_SCHEME_UNIX, .host = slice_dup(path)};
    return 0;
}

/* Cuts "host", "host:port", "[v6]" or "[v6]:port"; has_port_out tells which. */
static const char *split_port(
    struct slice s, struct slice *host_out, struct slice *port_out, bool *has_port_out)
{
    struct slice after;
    struct net_addr addr;

    if (s.n > 0 && s.p[0] == '[') {
        ptrdiff_t end = slice_find(s, ']');

        if (end < 0 || net_addr_parse(slice_sub(s, 0, (size_t)end + 1), &addr) != 0)
            return "brackets hold an IPv6 address";
        *host_out = slice_sub(s, 1, (size_t)end - 1);
        after = slice_from(s, (size_t)end + 1);
    } else {
        ptrdiff_t colon = slice_find(s, ':');

        if (colon >= 0 && slice_rfind(s, ':') != colon)
            return "an IPv6 address needs brackets";
        *host_out = colon < 0 ? s : slice_sub(s, 0, (size_t)colon);
        after = colon < 0 ? slice_from(s, s.n) : slice_from(s, (size_t)colon);
        if (!net_is_host_name(*host_out))
            return "there is no valid host name or address";
    }
    *has_port_out = after.n > 0;
    if (after.n > 0 && after.p[0] != ':')
        return "only :PORT may follow the brackets";
    *port_out = slice_from(after, 1);
    return NULL;
}

int net_endpoint_parse(
    struct slice text, uint16_t default_port, struct net_endpoint *out, struct err *err)
{
    struct slice rest = text, host, port_text;
    enum net_scheme scheme = NET_SCHEME_NONE;
    bool is_url = false, has_port;
    uint32_t port = 0;
    const char *why;

    if (slice_starts_nocase(text, SLICE_LIT("unix:")))
        return parse_unix(text, slice_from(text, 5), out, err);
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        struct slice prefix = slice_str(schemes[i].prefix);

        if (slice_starts_nocase(text, prefix)) {
            rest = slice_from(text, prefix.n);
            scheme = schemes[i].scheme;
            is_url = scheme != NET_SCHEME_NONE;
            port = schemes[i].port;
            break;
        }
    }
    if (is_url && rest.n > 0 && rest.p[rest.n - 1] == '/')
        rest.n--;
    if ((why = split_port(rest, &host, &port_text, &has_port)) != NULL)
        return bad(err, text, why);
    if (has_port && num_u32(port_text, 0, 65535, &port) != 0)
        return bad(err, text, "a port is a number from 0 to 65535");
    if (!has_port && default_port != 0)
        port = default_port;
    if (!has_port && port == 0)
        return bad(err, text, "the port is missing (HOST:PORT)");
    *out = (struct net_endpoint){.scheme = scheme, .host = slice_dup(host), .port = (uint16_t)port};
    return 0;
}

void net_endpoint_fini(struct net_endpoint *e)
{
    mem_free_string(&e->host);
    *e = (struct net_endpoint){0};
}

bool net_endpoint_eq(const struct net_endpoint *a, const struct net_endpoint *b)
{
    return a->scheme == b->scheme && a->port == b->port && strcmp(a->host, b->host) == 0;
}
