/* SPDX-License-Identifier: ISC */
/*
 * mail_log: see mail_log.h.
 *
 *     time=... event=rcpt_accept ... rcpt=ann@example.org ... dsn=2.1.5          coexist-relay
 *     time=... event=rcpt_refuse ... rcpt=ann@example.org code=550 dsn=5.1.1
 *     time=... prog=coexist-milter event=rcpt_accept rcpt=... said=... (its answer is the map's
 * alone) Nov 28 ... postfix/lmtp[7]: QID: to=<a@x>, orig_to=<b@x>, ... dsn=2.0.0, status=sent (...)
 *     Nov 28 ... postfix/smtpd[7]: NOQUEUE: reject: RCPT from h[i]: 550 5.1.1 <a@x>: Recipient ...
 *     Nov 28 ... sendmail[7]: QID: to=<a@x>,<b@x>, ... dsn=2.0.0, stat=Sent (...)
 *     ann@example.org                                                            a list, or CSV
 *
 * An address counts as unknown to its server with 5.1.1 alone: other refusals (spam, size, quota)
 * are about the message.
 */
#include "maps/format/mail_log.h"

/* The value behind " name=" or at the start, without quotes; p == NULL: there is none. */
static struct slice value_of(struct slice line, const char *name)
{
    struct slice key = slice_str(name), rest = line;

    for (ptrdiff_t at; (at = slice_search(rest, key)) >= 0;
         rest = slice_from(rest, (size_t)at + key.n)) {
        struct slice value = slice_from(rest, (size_t)at + key.n);
        size_t before = (size_t)(rest.p + at - line.p), n = 0;
        if (before > 0 && line.p[before - 1] != ' ' && line.p[before - 1] != ',')
            continue;
        if (value.n && value.p[0] == '"') {
            value = slice_from(value, 1);
            for (; n < value.n && value.p[n] != '"'; n++)
                n += value.p[n] == '\\';
        } else {
            while (n < value.n && value.p[n] != ' ')
                n++;
        }
        return slice_sub(value, 0, n);
    }
    return SLICE_NONE;
}

static void add(struct mail_log *out, struct slice address)
{
    address = slice_trim(address);
    if (out->n < MAIL_LOG_RCPTS_MAX && slice_find(address, '@') > 0 && slice_find(address, ' ') < 0)
        out->rcpts[out->n++] = address;
}

/* "<a@x>,<b@x>, delay=..." */
static void add_list(struct mail_log *out, struct slice text)
{
    while (text.n && text.p[0] == '<') {
        ptrdiff_t end = slice_find(text, '>');
        if (end < 0)
            return;
        add(out, slice_sub(text, 1, (size_t)end - 1));
        text = slice_from(text, (size_t)end + 1);
        if (text.n > 1 && text.p[0] == ',' && text.p[1] == '<')
            text = slice_from(text, 1);
        else
            return;
    }
}

/* The time that the line begins with: one word of ISO 8601, or "Nov 28 14:55:01". */
static struct slice time_of(struct slice line)
{
    ptrdiff_t blank = slice_find(line, ' ');

    if (line.n && ascii_is_digit(line.p[0]) && blank > 0)
        return slice_sub(line, 0, (size_t)blank);
    return line.n > 15 && line.p[15] == ' ' && line.p[9] == ':' && line.p[12] == ':'
               ? slice_sub(line, 0, 15)
               : SLICE_LIT("");
}

static void read_ours(struct slice line, struct slice event, struct mail_log *out)
{
    bool is_refused = slice_ends_nocase(event, SLICE_LIT("rcpt_refuse"));
    struct slice said = value_of(line, "said=");

    if (!is_refused && !slice_ends_nocase(event, SLICE_LIT("rcpt_accept")))
        return;
    add(out, said.p ? said : value_of(line, "rcpt="));
    out->when = value_of(line, "time=");
    if (slice_eq(value_of(line, "prog="), SLICE_LIT("coexist-relay")))
        out->known = !is_refused                                            ? MAIL_LOG_TAKEN
                     : slice_eq(value_of(line, "dsn="), SLICE_LIT("5.1.1")) ? MAIL_LOG_REFUSED
                                                                            : MAIL_LOG_UNKNOWN;
}

static bool has(struct slice line, const char *text)
{
    return slice_search(line, slice_str(text)) >= 0;
}

static void read_mta(struct slice line, struct mail_log *out)
{
    ptrdiff_t to = slice_search(line, SLICE_LIT(" to=<"));
    ptrdiff_t orig = slice_search(line, SLICE_LIT(" orig_to=<"));
    ptrdiff_t reject = slice_search(line, SLICE_LIT("reject: RCPT from "));

    if (orig >= 0) {
        add_list(out, slice_from(line, (size_t)orig + 9));
    } else if (to >= 0) {
        add_list(out, slice_from(line, (size_t)to + 4));
    } else if (reject >= 0) {
        struct slice rest = slice_from(line, (size_t)reject);
        ptrdiff_t open = slice_find(rest, '<');
        if (open >= 0)
            add_list(out, slice_from(rest, (size_t)open));
    }
    out->when = time_of(line);
    if (has(line, "status=sent") || has(line, "stat=Sent"))
        out->known = MAIL_LOG_TAKEN;
    else if (has(line, "dsn=5.1.1") || has(line, " 550 5.1.1 "))
        out->known = MAIL_LOG_REFUSED;
}

void mail_log_read(struct slice line, struct mail_log *out)
{
    struct slice event = value_of(line, "event="), word = slice_trim(line);
    ptrdiff_t end;

    *out = (struct mail_log){.when = SLICE_LIT("")};
    if (word.n && word.p[word.n - 1] == '\r')
        word = slice_trim(slice_sub(word, 0, word.n - 1));
    if (event.p) {
        read_ours(line, event, out);
        return;
    }
    if (has(line, " to=<") || has(line, "reject: RCPT from ")) {
        read_mta(line, out);
        return;
    }
    /* A list: an address, or the first cell of a row. */
    if ((end = slice_find(word, ',')) >= 0 || (end = slice_find(word, ';')) >= 0 ||
        (end = slice_find(word, '\t')) >= 0)
        word = slice_sub(word, 0, (size_t)end);
    if (word.n > 2 && word.p[0] == '<' && word.p[word.n - 1] == '>')
        word = slice_sub(word, 1, word.n - 2);
    add(out, word);
}
