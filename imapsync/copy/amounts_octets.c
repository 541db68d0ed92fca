/* SPDX-License-Identifier: ISC */
/*
 * amounts_octets: how much is in folders of the source.  No server tells that at once, and many
 * read each message to tell its size.  So what was copied the journal answers for, and only of
 * other folders, where a quota leaves a doubt, sizes are asked for: as many folders at once as have
 * few messages.
 */
#include <stdlib.h>

#include "base/core/mem.h"
#include "imapsync/copy/copy_parts.h"

static uint64_t part_of(uint64_t octets, uint64_t some, uint64_t all)
{
    return all > 0 ? (uint64_t)((double)octets / (double)all * (double)some) : 0;
}

int amounts_of_copied(
    struct copy *c, const struct folder *f, uint64_t *out, bool *known_out, struct err *err)
{
    struct journal_folder record;
    uint64_t octets, n = 0;
    *out = 0;
    if (journal_folder_get(c->journal, f->name, &record, known_out, err) != 0)
        return -1;
    int result = *known_out ? journal_weigh(c->journal, record.id, &octets, &n, err) : 0;
    journal_folder_fini(&record);
    *known_out = result == 0 && n > 0;
    if (*known_out)
        *out = part_of(octets, f->messages, n);
    return result;
}

/* --- Sizes ------------------------------------------------------------------------------------ */

struct sized {
    struct end_ticket t;
    struct keywords keywords;
    struct end_changes listing;
};

/* Of all that are listed, as many as count. */
static void add(
    const struct sized *s, uint64_t n, const struct filter *filter, struct amounts_sum *out)
{
    const struct end_changes *c = &s->listing;
    uint64_t messages = 0, octets = 0;
    for (size_t i = 0; i < c->n; i++) {
        if (filter && !filter_takes(filter, &c->v[i], &s->keywords))
            continue;
        messages++;
        octets += c->v[i].has_size ? c->v[i].size : 0;
    }
    out->messages += part_of(messages, n, c->n);
    out->octets += part_of(octets, n, c->n);
}

static int ask(struct copy *c, const struct amounts_folder *v, struct sized *s, size_t n,
    const struct filter *filter, struct err *err)
{
    const unsigned all = END_WANT_FLAGS | END_WANT_DATES | END_WANT_SIZES;
    int result = 0;
    for (size_t i = 0; i < n; i++) {
        s[i] = (struct sized){0};
        end_changes_init(&s[i].listing, &s[i].keywords);
        const struct end_open o = {
            .folder = v[i].f->name, .want = filter ? all | filter_wants(filter) : END_WANT_SIZES};
        if (result == 0 && end_room(c->from, err) == 0)
            c->from->ops->open(c->from, &o, &s[i].listing, &s[i].t);
        else
            result = -1;
    }
    return result == 0 ? end_drain(c->from, err) : -1;
}

/* 1 <= n: as many as may be asked at once. */
static size_t window(const struct amounts_folder *v, size_t n)
{
    size_t k = 0;
    uint64_t messages = 0;
    while (k < n && k < COPY_FOLDERS_AT_ONCE &&
           (k == 0 || messages + v[k].f->messages <= COPY_MESSAGES_AT_ONCE))
        messages += v[k++].f->messages;
    return k;
}

int amounts_of_folders(struct copy *c, const struct amounts_folder *v, size_t n,
    const struct filter *filter, struct amounts_sum *out, struct err *err)
{
    struct sized *s = mem_zalloc(COPY_FOLDERS_AT_ONCE * sizeof(*s));
    int result = 0;
    *out = (struct amounts_sum){0};
    for (size_t i = 0, some; result == 0 && i < n; i += some) {
        some = window(v + i, n - i);
        result = copy_check_cancelled(c, err);
        if (result != 0)
            break;
        result = ask(c, v + i, s, some, filter, err);
        for (size_t k = 0; k < some; k++) {
            add(&s[k], v[i + k].n, filter, out);
            end_changes_fini(&s[k].listing);
            keywords_fini(&s[k].keywords);
        }
    }
    free(s);
    return result;
}
