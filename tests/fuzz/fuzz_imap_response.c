/* SPDX-License-Identifier: ISC */
/*
 * An IMAP server of arbitrary bytes against the client engine with commands in flight.  The first
 * byte chooses how the input is cut, and what is composed: one literal, or as many as there is room
 * for.  Whole and cut input must give the same events.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/err.h"
#include "imapsync/imap/client.h"
#include "base/mail/uids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIALOGUE 8 /* ways of composing above it go on while answers come */

static void add(uint64_t *sum, struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        *sum = (*sum ^ s.p[i]) * 1099511628211u;
}

static void on_untagged(void *arg, const struct imap_response *r)
{
    struct imap_str prefix;
    struct uid_range range;
    struct slice word, list = r->list, part = r->personal, set = r->set;
    int delimiter;
    add(arg, slice_make(&r->kind, sizeof(r->kind)));
    add(arg, r->mailbox.name.raw);
    while (imap_word_next(&list, &word))
        add(arg, word);
    while (imap_namespace_next(&part, &prefix, &delimiter))
        add(arg, prefix.raw);
    while (uids_next(&set, &range) > 0)
        add(arg, slice_make(&range, sizeof(range)));
    struct buf name;
    buf_init(&name, 1000);
    if (imap_str_add(r->mailbox.name, &name) == 0)
        add(arg, buf_slice(&name));
    buf_fini(&name);
}

static void on_begin(void *arg, uint32_t uid, uint64_t size)
{
    add(arg, slice_make(&uid, sizeof(uid)));
    add(arg, slice_make(&size, sizeof(size)));
}

static void on_data(void *arg, struct slice octets)
{
    add(arg, octets);
}

static void on_end(void *arg)
{
    add(arg, SLICE_LIT("end"));
}

static void on_odd(void *arg, const struct imap_response *r, bool is_kept, struct slice line)
{
    add(arg, slice_make(&r->kind, sizeof(r->kind)));
    add(arg, is_kept ? SLICE_LIT("+") : SLICE_LIT("-"));
    add(arg, line);
}

static void on_done(void *arg, const struct imap_response *r)
{
    add(arg, r->tag);
    add(arg, r->text);
}

static const struct imap_events events = {on_untagged, on_begin, on_data, on_end, on_odd};

/* Composes until the client says that it is full, and then a little of what somebody may who had
 * looked before: as many literals as the server makes us wait for. */
static void compose(struct imap_client *c, unsigned how, uint64_t *sum)
{
    static const char keywords[16384] = "(\\Seen ";
    imap_cmd_begin(c, on_done, sum);
    imap_cmd_text(c, "APPEND x ");
    imap_cmd_literal(c, 5);
    imap_cmd_octets(c, SLICE_LIT("hello"));
    for (unsigned i = 0; i < how * 8 && !imap_cmd_is_full(c) && !imap_cmd_is_over(c); i++) {
        if (how == DIALOGUE)
            imap_cmd_octets(c, slice_make(keywords, sizeof(keywords)));
        imap_cmd_literal(c, i % 3 == 0 ? 4097 : 1);
        imap_cmd_octets(c, SLICE_LIT("x"));
    }
    imap_cmd_end(c);
    while (imap_client_may_send(c) && imap_client_pending(c) < how) {
        imap_cmd_begin(c, on_done, sum);
        imap_cmd_text(c, "UID STORE ");
        imap_cmd_astring(c, SLICE_LIT("\xc3\xa4"));
        imap_cmd_end(c);
    }
}

static uint64_t run(struct slice in, size_t step, unsigned how)
{
    uint64_t sum = 14695981039346656037u;
    struct err err = ERR_INIT;
    struct imap_client *c = imap_client_new();
    imap_client_events(c, &events, &sum);
    imap_client_hide(c, SLICE_LIT("hello"));
    compose(c, how, &sum);
    if (imap_client_may_send(c)) {
        imap_cmd_begin(c, on_done, &sum);
        imap_cmd_text(c, "NOOP");
        imap_cmd_end(c);
    }
    while (in.n > 0) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_from(in, part.n);
        imap_client_sent(c, imap_client_out(c).n);
        if (imap_client_feed(c, part, &err) != 0)
            break;
        if (how > DIALOGUE && imap_client_may_send(c))
            compose(c, how, &sum);
    }
    add(&sum, slice_str(err.text));
    size_t pending = imap_client_pending(c);
    imap_client_cancel(c);
    if (imap_client_pending(c) != 0)
        abort();
    add(&sum, slice_make(&pending, sizeof(pending)));
    imap_client_free(&c);
    return sum;
}

/* Of those behind the first one it depends on the cut whether they were sent. */
static bool names_later_command(struct slice in)
{
    for (size_t i = 0; i + 2 < in.n; i++) {
        if (in.p[i] == 'c' && ascii_is_digit(in.p[i + 1]) &&
            (in.p[i + 1] != '1' || ascii_is_digit(in.p[i + 2])))
            return true;
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_make(data + 1, size - 1);
    size_t step = data[0] % 16 + 1u;
    unsigned how = data[0] / 16;
    /* Where what may be sent depends on the cut, only run it. */
    uint64_t whole = run(in, in.n, how), cut = run(in, step, how);
    if (whole != cut && how <= DIALOGUE && slice_find(in, '+') < 0 && !names_later_command(in))
        abort();
    return 0;
}
