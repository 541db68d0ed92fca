/* SPDX-License-Identifier: ISC */
/*
 * An IMAP server of arbitrary bytes against the client engine with a few commands in flight.  The
 * first byte chooses how the input is cut; whole and cut input must give the same events.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/err.h"
#include "imapsync/imap/client.h"
#include "imapsync/imap/uids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

static void on_done(void *arg, const struct imap_response *r)
{
    add(arg, r->tag);
    add(arg, r->text);
}

static const struct imap_events events = {on_untagged, on_begin, on_data, on_end};

static uint64_t run(struct slice in, size_t step)
{
    uint64_t sum = 14695981039346656037u;
    struct err err = ERR_INIT;
    struct imap_client *c = imap_client_new();
    imap_client_events(c, &events, &sum);
    imap_cmd_begin(c, on_done, &sum);
    imap_cmd_text(c, "APPEND x ");
    imap_cmd_literal(c, 5);
    imap_cmd_octets(c, SLICE_LIT("hello"));
    imap_cmd_end(c);
    imap_cmd_begin(c, on_done, &sum);
    imap_cmd_text(c, "NOOP");
    imap_cmd_end(c);
    while (in.n > 0) {
        struct slice part = slice_sub(in, 0, step);
        in = slice_from(in, part.n);
        /* Sent only at the start, so that cutting the input changes nothing else. */
        imap_client_sent(c, imap_client_out(c).n);
        if (imap_client_feed(c, part, &err) != 0)
            break;
    }
    add(&sum, slice_str(err.text));
    imap_client_free(&c);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice in = slice_make(data + 1, size - 1);
    size_t step = data[0] % 16 + 1u;
    /* With a "+" in the input what may be sent depends on the cut: then only run it. */
    uint64_t whole = run(in, in.n), cut = run(in, step);
    if (whole != cut && slice_find(in, '+') < 0 && slice_search(in, SLICE_LIT("c2")) < 0)
        abort();
    return 0;
}
