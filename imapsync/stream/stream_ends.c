/* SPDX-License-Identifier: ISC */
/*
 * stream_ends: the octets of a copy, from the source's reads into the target's appends as they
 * come.
 *
 * While the target has much to take the source is paused; what comes all the same is left out and
 * asked for again.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/stream/stream_parts.h"

/* --- Extras: what a message may be refused for ----------------------------------------------- */

/* A target may know no keywords, Cyrus refuses dates before 1970, and others refuse the zones of
 * the Pacific; in UTC it is the same date. */
#define DATE_MIN_S 86400
#define DATE_MAX_S (INT64_C(0x7fffffff) - 86400)

static struct listed without_extras(const struct listed *m)
{
    struct listed plain = *m;
    memset(plain.flags.keywords, 0, sizeof(plain.flags.keywords));
    if (plain.date_s < DATE_MIN_S)
        plain.date_s = DATE_MIN_S;
    if (plain.date_s > DATE_MAX_S)
        plain.date_s = DATE_MAX_S;
    if (plain.zone_min < -12 * 60 || plain.zone_min > 12 * 60)
        plain.zone_min = 0;
    return plain;
}

bool stream_has_keywords(const struct listed *m)
{
    const struct listed plain = without_extras(m);
    return !flags_eq(&plain.flags, &m->flags);
}

bool stream_has_other_date(const struct listed *m)
{
    return m->has_date && without_extras(m).date_s != m->date_s;
}

bool stream_has_extras(const struct listed *m)
{
    return stream_has_keywords(m) ||
           (m->has_date && (stream_has_other_date(m) || without_extras(m).zone_min != m->zone_min));
}

bool stream_has_odd_date(const struct listed *m)
{
    return m->has_date && (m->date_s < DATE_MIN_S || m->date_s > clock_wall_ms() / 1000);
}

/* --- The target's side ---------------------------------------------------------------- */

void stream_forget_append(struct append *a)
{
    struct append **at = &a->stream->appends;
    while (*at != a)
        at = &(*at)->next;
    *at = a->next;
    if (a->stream->open == a)
        a->stream->open = NULL;
    end_uids_fini(&a->uids);
    free(a);
}

static void append_end(struct stream *s)
{
    if (!s->open)
        return;
    struct append *a = s->open;
    s->open = NULL;
    s->target->ops->append_end(s->target);
    if (a->ticket.result != END_PENDING)
        stream_forget_append(a); /* it was answered before its end */
}

/* The first side that says so. */
static void lose(struct stream *s, enum batches_side side)
{
    if (!s->is_lost)
        s->lost = side;
    s->is_lost = true;
}

static void on_appended(void *arg, struct end_ticket *t)
{
    struct append *a = arg;
    struct stream *s = a->stream;
    struct err err = t->err;
    if (t->result == END_LOST) {
        lose(s, BATCHES_TARGET);
        return;
    }
    if (t->result == END_OK) {
        bool is_same =
            a->uids.uidvalidity == stream_folder_of(s, a->folder)->record->target.uidvalidity;
        batches_appended(s->batches, a->number, a->uids.v, is_same ? a->uids.n : 0, NULL);
    } else {
        err_wrap(&err, "target: cannot store the message");
        batches_appended(s->batches, a->number, NULL, 0, &err);
    }
    if (s->open != a)
        stream_forget_append(a);
}

static void append_begin(struct stream *s, uint32_t number, uint32_t folder)
{
    struct append *a = mem_zalloc(sizeof(*a)), **end = &s->appends;
    while (*end)
        end = &(*end)->next;
    *end = a;
    a->stream = s;
    a->number = number;
    a->folder = folder;
    a->ticket = (struct end_ticket){.done = on_appended, .arg = a};
    s->open = a;
    s->target->ops->append_begin(
        s->target, stream_folder_of(s, folder)->record->target.name, &a->uids, &a->ticket);
}

static bool has_room(const struct stream *s)
{
    if (s->is_settling || s->target->ops->unsent(s->target) > STREAM_FULL)
        return false;
    return s->open || s->target->ops->has_room(s->target);
}

/* --- The source's side ---------------------------------------------------------------- */

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct window *w = arg;
    struct stream *s = w->stream;
    const struct end_changes *listing = stream_folder_of(s, w->folder)->listing;
    const struct listed *m = end_changes_find(listing, uid);
    if (!m)
        return false;
    if (batches_body_next(s->batches, w->number, size))
        append_end(s);
    struct batches_verdict v = batches_body(s->batches, w->number, uid, size, has_room(s));
    if (!v.is_taken)
        return false;
    if (v.begins)
        append_begin(s, v.append, v.folder);
    struct listed plain = without_extras(m);
    const struct listed *as = v.is_plain ? &plain : m;
    const struct end_message message = {.flags = &as->flags,
        .keywords = listing->keywords,
        .has_date = as->has_date,
        .date_s = as->date_s,
        .zone_min = as->zone_min,
        .size = size};
    s->target->ops->append_message(s->target, &message);
    return true;
}

static void on_data(void *arg, struct slice octets)
{
    struct stream *s = ((struct window *)arg)->stream;
    sha256_add(s->sha, octets);
    canon_add(s->canon, octets);
    s->target->ops->append_octets(s->target, octets);
}

static void on_end(void *arg, uint32_t uid)
{
    struct stream *s = ((struct window *)arg)->stream;
    unsigned char digest[SHA256_SIZE];
    struct canon canon;
    (void)uid;
    sha256_finish(s->sha, digest);
    canon_end(s->canon, &canon);
    if (batches_body_end(s->batches, digest, &canon))
        append_end(s);
}

static const struct end_sink sink = {on_begin, on_data, on_end};

static void on_read(void *arg, struct end_ticket *t)
{
    struct window *w = arg;
    struct stream *s = w->stream;
    if (t->result == END_LOST)
        lose(s, BATCHES_SOURCE);
    else if (batches_read_over(s->batches, w->number, t->result == END_OK ? NULL : &t->err))
        append_end(s);
}

void stream_read(struct stream *s, const struct batches_todo *todo)
{
    struct stream_folder *f = stream_folder_of(s, todo->folder);
    struct window *w = stream_window(s, todo->window);
    if (s->opened != f)
        s->source->ops->open(s->source,
            &(struct end_open){.folder = f->record->source.name,
                .is_only_opened = true,
                .uidvalidity = f->listing->uidvalidity},
            &w->numbers, &w->opening);
    s->opened = f;
    w->ticket = (struct end_ticket){.done = on_read, .arg = w};
    s->source->ops->read(s->source, todo->uids, todo->n, &sink, w, &w->ticket);
}
