/* SPDX-License-Identifier: ISC */
/*
 * canon: one pass over the octets, a header line at a time, then the body through a small buffer.
 * Digests of header lines are added up, so that their order does not count and k equal ones do.
 */
#include "imapsync/journal/canon.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"

#define HELD 4096
#define NAME_MAX_OCTETS 24 /* longer than any of those that are looked for */
#define WORDS 4

enum state {
    AT_LINE, /* the first octet of a header line comes */
    IN_NAME,
    IN_VALUE,
    IN_BODY,
};

struct canon_reader {
    enum state state;
    bool has_cr; /* as the last octet of a header: what follows decides */
    struct sha256 *line, *body;
    unsigned char held[HELD];
    size_t n_held;
    char name[NAME_MAX_OCTETS];
    size_t n_name; /* more than it holds: none of ours */
    bool has_line;
    uint64_t telling[WORDS], all[WORDS];
    bool has_telling;
};

/* What one message has and another has not, and what servers and scanners leave alone. */
static const char *const telling[] = {
    "date", "from", "to", "cc", "subject", "message-id", "in-reply-to", "references"};

struct canon_reader *canon_new(void)
{
    struct canon_reader *c = mem_zalloc(sizeof(*c));
    c->line = sha256_new();
    c->body = sha256_new();
    return c;
}

void canon_free(struct canon_reader **at)
{
    if (!*at)
        return;
    sha256_free(&(*at)->line);
    sha256_free(&(*at)->body);
    free(*at);
    *at = NULL;
}

#define LEFT_OUT_BODY [0 ... ' '] = 1, ['>'] = 1, [0x7f] = 1, [0x80] = 1

static bool is_kept(unsigned char o)
{
    /* 0x80 is what Dovecot puts in the place of a NUL. */
    return o > ' ' && o != 0x7f && o != 0x80;
}

static void flush(struct canon_reader *c, struct sha256 *to)
{
    sha256_add(to, slice_make(c->held, c->n_held));
    c->n_held = 0;
}

static void keep(struct canon_reader *c, struct sha256 *to, unsigned char o)
{
    c->held[c->n_held++] = o;
    if (c->n_held == HELD)
        flush(c, to);
}

static void add_up(uint64_t sum[WORDS], const unsigned char digest[SHA256_SIZE])
{
    for (size_t i = 0; i < WORDS; i++) {
        uint64_t word = 0;
        for (size_t k = 0; k < 8; k++)
            word = word << 8 | digest[8 * i + k];
        sum[i] += word;
    }
}

static bool is_telling(const struct canon_reader *c)
{
    for (size_t i = 0; i < sizeof(telling) / sizeof(*telling); i++) {
        if (c->n_name == strlen(telling[i]) && memcmp(c->name, telling[i], c->n_name) == 0)
            return true;
    }
    return false;
}

static void line_over(struct canon_reader *c)
{
    unsigned char digest[SHA256_SIZE];
    if (!c->has_line)
        return;
    flush(c, c->line);
    sha256_finish(c->line, digest);
    add_up(c->all, digest);
    if (is_telling(c)) {
        add_up(c->telling, digest);
        c->has_telling = true;
    }
    c->has_line = false;
}

static void line_begins(struct canon_reader *c)
{
    line_over(c);
    c->has_line = true;
    c->n_name = 0;
    c->state = IN_NAME;
}

/* Names have no case; a name that is not followed by ":" is a line of no name. */
static void take_name(struct canon_reader *c, unsigned char o)
{
    if (o == ':') {
        c->state = IN_VALUE;
    } else if (is_kept(o)) {
        o = o >= 'A' && o <= 'Z' ? (unsigned char)(o | 0x20) : o;
        if (c->n_name < NAME_MAX_OCTETS)
            c->name[c->n_name] = (char)o;
        c->n_name++;
    }
    if (is_kept(o))
        keep(c, c->line, o);
}

static void header_line_end(struct canon_reader *c)
{
    if (c->state == AT_LINE) {
        line_over(c);
        c->state = IN_BODY;
        return;
    }
    if (c->state == IN_NAME)
        c->n_name = NAME_MAX_OCTETS + 1;
    c->state = AT_LINE;
}

static void header_octet(struct canon_reader *c, unsigned char o)
{
    bool is_folded = c->state == AT_LINE && (o == ' ' || o == '\t');
    if (c->state == AT_LINE && !(is_folded && c->has_line))
        line_begins(c);
    if (is_folded)
        c->state = IN_VALUE;
    if (c->state == IN_NAME)
        take_name(c, o);
    else if (is_kept(o))
        keep(c, c->line, o);
}

/* A line ends with LF, however many CRs are before it, or with a CR alone. */
static void take_header(struct canon_reader *c, unsigned char o)
{
    bool had_cr = c->has_cr;
    c->has_cr = o == '\r';
    if (o == '\r')
        return;
    if (o == '\n' || had_cr)
        header_line_end(c);
    if (o != '\n' && c->state != IN_BODY)
        header_octet(c, o);
    else if (o != '\n' && is_kept(o) && o != '>')
        keep(c, c->body, o);
}

/* Without a branch for each octet: those that are left out are written over by the next one. */
static void take_body(struct canon_reader *c, struct slice octets)
{
    static const unsigned char left_out[256] = {LEFT_OUT_BODY};
    for (size_t i = 0; i < octets.n;) {
        size_t n = c->n_held, end = i + (HELD - n);
        end = end < octets.n ? end : octets.n;
        for (; i < end; i++) {
            c->held[n] = octets.p[i];
            n += !left_out[octets.p[i]];
        }
        c->n_held = n;
        if (n == HELD)
            flush(c, c->body);
    }
}

void canon_add(struct canon_reader *c, struct slice octets)
{
    size_t i = 0;
    for (; i < octets.n && c->state != IN_BODY; i++)
        take_header(c, octets.p[i]);
    take_body(c, slice_from(octets, i));
}

static void add_sum(struct sha256 *to, const uint64_t sum[WORDS])
{
    unsigned char octets[8 * WORDS];
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (unsigned char)(sum[i / 8] >> (56 - 8 * (i % 8)));
    sha256_add(to, slice_make(octets, sizeof(octets)));
}

void canon_end(struct canon_reader *c, struct canon *out)
{
    unsigned char digest[SHA256_SIZE];
    if (c->state != IN_BODY)
        line_over(c);
    else
        flush(c, c->body);
    /* Where nothing tells it from others every line does. */
    add_sum(c->body, c->has_telling ? c->telling : c->all);
    sha256_finish(c->body, digest);
    memcpy(out->text, digest, CANON_TEXT);
    add_sum(c->line, c->all);
    sha256_finish(c->line, digest);
    memcpy(out->header, digest, CANON_HEADER);
    c->state = AT_LINE;
    c->has_cr = c->has_line = c->has_telling = false;
    c->n_held = 0;
    memset(c->telling, 0, sizeof(c->telling));
    memset(c->all, 0, sizeof(c->all));
}
