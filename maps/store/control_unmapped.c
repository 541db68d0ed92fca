/* SPDX-License-Identifier: ISC */
/* control_unmapped: whom consumers have noted without an entry, as a page of JSON. */
#include "maps/store/control_priv.h"

#include <sysexits.h>

static json_t *row_json(const struct unmapped_row *r)
{
    static const char *const KNOWN[] = {
        [MAIL_LOG_UNKNOWN] = "?", [MAIL_LOG_TAKEN] = "yes", [MAIL_LOG_REFUSED] = "no"};
    json_t *row = json_object(), *by = json_array();

    control_set(row, "key", slice_str(r->key));
    control_set_u64(row, "seen", r->count);
    control_set_time(row, "first", r->first_s);
    control_set_time(row, "last", r->last_s);
    control_set(row, "known", slice_str(KNOWN[r->known]));
    for (unsigned i = 0; i < UNMAPPED_PROGRAMS; i++)
        if (r->by & 1U << i)
            json_array_append_new(by, json_string(unmapped_programs[i]));
    json_object_set_new(row, "by", by);
    return row;
}

/* Whole buckets, so that a row that comes or goes moves no other one to another page. */
int control_unmapped_page(
    const struct unmapped *u, const json_t *request, json_t *reply, struct err *err)
{
    json_t *rows = json_array();
    uint64_t after = 0;

    json_object_set_new(reply, "rows", rows);
    if (control_number(request, "after", u->n_buckets, false, &after, err) != 0)
        return -1;
    while (after < u->n_buckets && json_array_size(rows) < CONTROL_LIST_MAX) {
        for (uint32_t i = u->buckets[after++]; i; i = u->v[i - 1].next)
            json_array_append_new(rows, row_json(&u->v[i - 1]));
    }
    control_set_u64(reply, "missed", u->missed);
    json_object_set_new(
        reply, "next", after < u->n_buckets ? json_integer((json_int_t)after) : json_null());
    return 0;
}

/* Without a mapd: what it has left. */
enum control_outcome control_unmapped(struct control_call *call)
{
    struct unmapped *u = unmapped_new(UNMAPPED_MAX);
    enum control_outcome outcome = CONTROL_REFUSED;

    if (unmapped_load(u, call->c->conf->state, call->err) == 0 &&
        control_unmapped_page(u, call->request, call->reply, call->err) == 0)
        outcome = CONTROL_DONE;
    unmapped_free(&u);
    return outcome;
}
