/* SPDX-License-Identifier: ISC */
/* subjects: see subjects.h. */
#include "imapsync/copy/subjects.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "base/mail/header.h"
#include "imapsync/journal/text.h"

#define HEADER_MAX (256u << 10)
#define TEXT_MAX 4096
#define AT_ONCE 50

void subjects_add(
    struct subjects *s, struct slice folder, uint32_t uid, uint32_t uidvalidity, size_t at)
{
    if ((s->n & (s->n - 1)) == 0)
        s->v = mem_realloc_array(s->v, s->n ? 2 * s->n : 1, sizeof(*s->v));
    s->v[s->n++] = (struct subject){.folder = slice_make(slice_dup(folder), folder.n),
        .uid = uid,
        .uidvalidity = uidvalidity,
        .at = at};
}

void subjects_fini(struct subjects *s)
{
    for (size_t i = 0; i < s->n; i++) {
        free((void *)(uintptr_t)s->v[i].folder.p);
        free(s->v[i].text);
    }
    free(s->v);
    *s = (struct subjects){0};
}

/* --- What comes ------------------------------------------------------------------------------- */

struct reader {
    struct subject *v; /* those that were asked for */
    size_t n;
    struct buf header;
    size_t scanned;
    bool is_whole;
};

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct reader *r = arg;
    (void)uid, (void)size;
    buf_clear(&r->header);
    r->scanned = 0;
    r->is_whole = false;
    return true;
}

static void on_data(void *arg, struct slice octets)
{
    struct reader *r = arg;
    if (r->is_whole)
        return;
    r->is_whole =
        buf_add(&r->header, octets) != 0 || header_end(buf_slice(&r->header), &r->scanned) > 0;
}

static void on_end(void *arg, uint32_t uid)
{
    struct reader *r = arg;
    struct header_field field;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    if (header_find(buf_slice(&r->header), SLICE_LIT("Subject"), &field))
        subject_decode(field.value, &text);
    for (size_t i = 0; i < r->n; i++) {
        if (r->v[i].uid == uid && !r->v[i].text)
            r->v[i].text = text_dup(buf_slice(&text));
    }
    buf_fini(&text);
}

static const struct end_sink sink = {on_begin, on_data, on_end};

/* --- Reading ---------------------------------------------------------------------------------- */

/* A message that is not given has no subject, and that is all. */
static int read_some(struct end *e, struct reader *r, struct err *err)
{
    uint32_t uids[AT_ONCE];
    size_t n = 0;
    struct end_ticket t = {0};
    for (size_t i = 0; i < r->n; i++) {
        if (n == 0 || uids[n - 1] != r->v[i].uid)
            uids[n++] = r->v[i].uid;
    }
    e->ops->read(e, uids, n, &sink, r, &t);
    return end_wait(e, &t, err);
}

static int read_folder(struct end *e, struct subject *v, size_t n, struct err *err)
{
    struct keywords none = {0};
    struct end_changes numbers;
    struct end_ticket t = {0};
    const struct end_open o = {
        .folder = v->folder, .is_only_opened = true, .uidvalidity = v->uidvalidity};
    end_changes_init(&numbers, &none);
    e->ops->open(e, &o, &numbers, &t);
    int result = end_wait(e, &t, err);
    end_changes_fini(&numbers);
    for (size_t i = 0; result == 0 && t.result == END_OK && i < n; i += AT_ONCE) {
        struct reader r = {.v = v + i, .n = n - i < AT_ONCE ? n - i : AT_ONCE};
        buf_init(&r.header, HEADER_MAX);
        result = read_some(e, &r, err);
        buf_fini(&r.header);
    }
    return result;
}

int subjects_read(struct end *e, struct subjects *s, struct err *err)
{
    size_t n;
    for (size_t i = 0; i < s->n; i += n) {
        for (n = 1; i + n < s->n && slice_eq(s->v[i + n].folder, s->v[i].folder) &&
                    s->v[i + n].uidvalidity == s->v[i].uidvalidity;
             n++) {
        }
        if (read_folder(e, &s->v[i], n, err) != 0)
            return -1;
    }
    return 0;
}
