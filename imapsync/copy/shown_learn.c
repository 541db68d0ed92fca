/* SPDX-License-Identifier: ISC */
/*
 * shown_learn: the contents of messages in a folder that shows those of others, as far as can be
 * without reading them: most of them were copied from another folder, so that the journal has their
 * digests, and only which one is which has to be found out:
 *
 *   by EMAILID, or what the server has of the kind: it is the same wherever a message is shown
 *   by its size and its header: if that has a Message-ID, two messages that have both are one
 *   by reading it
 *
 * Few are looked for among what has changed in this pass, many in all folders.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/stream/bodies.h"
#include "imapsync/copy/shown.h"

#define AT_ONCE 500
#define LISTED_AT_ONCE 5000
#define FEW 200
#define HITS_MAX 1000

/* Something that tells a message, as far as 64 bits do. */
struct sign {
    uint64_t sign;
    uint32_t uid;
};

/* What was found out, and is not in the journal yet. */
struct hit {
    uint32_t uid;
    unsigned char digest[SHA256_SIZE];
};

struct learner {
    struct shown *s;
    uint32_t uidvalidity;
    struct sign *v; /* of those that are unknown; owned; sorted */
    size_t n, cap;
    struct hit hits[HITS_MAX];
    size_t n_hits;
    struct canon_reader *canon;
    struct buf header;
    uint64_t size;
    bool is_header; /* signs are sizes and headers; else IDs */
};

static uint64_t sign_of(struct slice octets, uint64_t size)
{
    unsigned char digest[SHA256_SIZE];
    uint64_t sign;
    sha256_of(octets, digest);
    memcpy(&sign, digest, sizeof(sign));
    return sign ^ size * UINT64_C(0x9e3779b97f4a7c15);
}

static void add_sign(struct learner *l, uint64_t sign, uint32_t uid)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? 2 * l->cap : 64;
        l->v = mem_realloc_array(l->v, l->cap, sizeof(*l->v));
    }
    l->v[l->n++] = (struct sign){sign, uid};
}

static int by_sign(const void *a, const void *b)
{
    const struct sign *x = a, *y = b;
    return x->sign < y->sign ? -1 : x->sign > y->sign;
}

/* --- The source ----------------------------------------------------------------------------------
 */

static int open_folder(struct shown *s, struct slice name, uint32_t uidvalidity, struct err *err)
{
    struct end *from = s->c->from;
    struct end_changes numbers;
    struct end_ticket t = {0};
    end_changes_init(&numbers, &s->keywords);
    from->ops->open(from,
        &(struct end_open){.folder = name, .is_only_opened = true, .uidvalidity = uidvalidity},
        &numbers, &t);
    int result = end_check(from, &t, "cannot open the folder", err);
    end_changes_fini(&numbers);
    return result;
}

/* The EMAILIDs of messages of the folder that is open, to `each`. */
static int list_ids(struct shown *s, const struct uid_set *of,
    int (*each)(void *arg, uint32_t uid, struct slice id, struct err *err), void *arg,
    struct err *err)
{
    struct end *from = s->c->from;
    uint32_t *uids = mem_realloc_array(NULL, LISTED_AT_ONCE, sizeof(*uids));
    int result = 0;
    for (size_t n, last = 0; result == 0; last = uids[n - 1]) {
        struct end_changes told;
        struct end_ticket t = {0};
        n = uid_set_some(of, (uint32_t)last, uids, LISTED_AT_ONCE);
        if (n == 0)
            break;
        result = copy_check_cancelled(s->c, err);
        if (result != 0)
            break;
        end_changes_init(&told, &s->keywords);
        from->ops->attributes(from, uids, n, END_WANT_IDS, &told, &t);
        result = end_check(from, &t, "cannot list messages", err);
        for (size_t i = 0; result == 0 && i < told.n; i++) {
            struct slice id = end_changes_id(&told, i);
            if (id.n > 0)
                result = each(arg, told.v[i].uid, id, err);
        }
        end_changes_fini(&told);
    }
    free(uids);
    return result;
}

/* --- Signs of what is unknown --------------------------------------------------------------------
 */

static int on_id(void *arg, uint32_t uid, struct slice id, struct err *err)
{
    (void)err;
    add_sign(arg, sign_of(id, 0), uid);
    return 0;
}

static bool on_header_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct learner *l = arg;
    (void)uid;
    buf_clear(&l->header);
    l->size = size;
    return true;
}

static void on_header_data(void *arg, struct slice octets)
{
    struct learner *l = arg;
    if (buf_add(&l->header, octets) != 0)
        buf_clear(&l->header);
}

/* Whether a line of the header begins so. */
static bool has_field(struct slice header, struct slice name)
{
    struct slice line;
    bool has = false;
    while (!has && slice_split(&header, '\n', &line))
        has = slice_starts_nocase(line, name);
    return has;
}

static void on_header_end(void *arg, uint32_t uid)
{
    struct learner *l = arg;
    struct canon canon;
    canon_add(l->canon, buf_slice(&l->header));
    canon_end(l->canon, &canon);
    if (l->size > 0 && has_field(buf_slice(&l->header), SLICE_LIT("Message-ID:")))
        add_sign(l, sign_of(slice_make(canon.header, CANON_HEADER), l->size), uid);
}

static const struct end_sink header_sink = {
    .begin = on_header_begin, .data = on_header_data, .end = on_header_end};

static int read_headers(struct learner *l, struct err *err)
{
    struct shown *s = l->s;
    struct end *from = s->c->from;
    uint32_t uids[AT_ONCE];
    int result = 0;
    for (size_t n, last = 0; result == 0; last = uids[n - 1]) {
        struct end_ticket t = {0};
        n = uid_set_some(&s->unknown, (uint32_t)last, uids, AT_ONCE);
        if (n == 0)
            break;
        result = copy_check_cancelled(s->c, err);
        if (result != 0)
            break;
        from->ops->headers(from, uids, n, &header_sink, l, &t);
        result = end_check(from, &t, "cannot read headers", err);
        /* One of them may be damaged: what has no sign is read. */
        if (t.result == END_NO && (err->class != ERR_TEMP || err->is_wide)) {
            err_clear(err);
            result = 0;
        }
    }
    return result;
}

/* --- Which of the copied ones it is
 * --------------------------------------------------------------- */

static int write_hits(struct learner *l, struct err *err)
{
    struct journal *j = l->s->c->journal;
    if (l->n_hits == 0)
        return 0;
    journal_begin(j);
    for (size_t i = 0; i < l->n_hits; i++)
        journal_shown_put(j, l->s->f->name, l->uidvalidity, l->hits[i].uid, l->hits[i].digest);
    l->n_hits = 0;
    return journal_commit(j, err);
}

/* The messages with this sign have the content of this one, if the journal has it. */
static int try_sign(
    struct learner *l, uint64_t sign, uint32_t folder, uint32_t uid, struct err *err)
{
    const struct sign key = {.sign = sign};
    struct content content;
    bool is_known;
    size_t i = mem_place(&key, l->v, l->n, sizeof(key), by_sign);
    if (i == l->n || l->v[i].sign != sign)
        return 0;
    if (shown_content(l->s, folder, uid, &content, &is_known, err) != 0)
        return -1;
    for (; is_known && i < l->n && l->v[i].sign == sign; i++) {
        struct hit *hit = &l->hits[l->n_hits++];
        hit->uid = l->v[i].uid;
        memcpy(hit->digest, content.digest, SHA256_SIZE);
        if (l->n_hits == HITS_MAX && write_hits(l, err) != 0)
            return -1;
    }
    return 0;
}

struct among {
    struct learner *l;
    uint32_t folder;
};

static int on_copied_id(void *arg, uint32_t uid, struct slice id, struct err *err)
{
    const struct among *a = arg;
    return try_sign(a->l, sign_of(id, 0), a->folder, uid, err);
}

static int among_ids(
    struct learner *l, const struct shown_place *p, const struct uid_set *of, struct err *err)
{
    struct among a = {l, p->id};
    return open_folder(l->s, p->folder->name, p->uidvalidity, err) == 0
               ? list_ids(l->s, of, on_copied_id, &a, err)
               : -1;
}

static int among_headers(
    struct learner *l, const struct shown_place *p, const struct uid_set *of, struct err *err)
{
    int result = 0;
    for (uint32_t uid = uid_set_next(of, 0); result == 0 && uid != 0; uid = uid_set_next(of, uid)) {
        struct content c;
        bool is_known;
        result = shown_content(l->s, p->id, uid, &c, &is_known, err);
        if (result == 0 && is_known && canon_is_known(&c.canon))
            result = try_sign(
                l, sign_of(slice_make(c.canon.header, CANON_HEADER), c.size), p->id, uid, err);
    }
    return result;
}

/* An error of another folder is told where that is copied. */
static int find_all(struct learner *l, struct err *err)
{
    struct shown *s = l->s;
    const bool are_few = uid_set_size(&s->unknown) <= FEW;
    int result = 0;
    mem_sort(l->v, l->n, sizeof(*l->v), by_sign);
    for (size_t i = 0; result == 0 && l->n > 0 && i < s->n_places; i++) {
        struct journal_known known = {0};
        const struct shown_place *p = &s->places[i];
        if ((are_few && !p->has_changed) || p->uidvalidity == 0)
            continue;
        result = journal_known_get(s->c->journal, p->id, &known, err);
        if (result == 0 && uid_set_size(&known.source) > 0)
            result = l->is_header ? among_headers(l, p, &known.source, err)
                                  : among_ids(l, p, &known.source, err);
        if (result != 0 && copy_is_exception(s->c, err)) {
            err_clear(err);
            result = 0;
        }
        journal_known_fini(&known);
    }
    return result == 0 ? write_hits(l, err) : -1;
}

/* --- What is left
 * ---------------------------------------------------------------------------------- */

static int forget_found(struct shown *s, uint32_t uidvalidity, struct err *err)
{
    struct uid_set left = {0};
    int result = 0;
    for (uint32_t uid = uid_set_next(&s->unknown, 0); result == 0 && uid != 0;
         uid = uid_set_next(&s->unknown, uid)) {
        unsigned char digest[SHA256_SIZE];
        bool is_known;
        result =
            journal_shown_get(s->c->journal, s->f->name, uidvalidity, uid, digest, &is_known, err);
        if (result == 0 && !is_known)
            uid_set_add(&left, uid);
    }
    uid_set_join(&left);
    uid_set_fini(&s->unknown);
    s->unknown = left;
    return result;
}

static int read_some(
    struct shown *s, uint32_t uidvalidity, struct body *v, size_t n, struct err *err)
{
    struct copy *c = s->c;
    if (bodies_digest(c->from, v, n, err) != 0) {
        c->has_died = c->has_died || c->from->ops->is_broken(c->from);
        return -1;
    }
    journal_begin(c->journal);
    for (size_t i = 0; i < n; i++) {
        if (v[i].is_refused)
            uid_set_add(&s->refused, v[i].uid);
        if (v[i].is_there)
            journal_shown_put(c->journal, s->f->name, uidvalidity, v[i].uid, v[i].digest);
    }
    return journal_commit(c->journal, err);
}

static int read_rest(struct shown *s, uint32_t uidvalidity, struct err *err)
{
    uint32_t uids[AT_ONCE];
    if (uid_set_size(&s->unknown) == 0 || !copy_reads(s->c))
        return 0;
    int result = open_folder(s, s->f->name, uidvalidity, err);
    for (size_t n, last = 0; result == 0; last = uids[n - 1]) {
        struct body v[AT_ONCE] = {0};
        n = uid_set_some(&s->unknown, (uint32_t)last, uids, AT_ONCE);
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++)
            v[i].uid = uids[i];
        result = copy_check_cancelled(s->c, err);
        if (result == 0)
            result = read_some(s, uidvalidity, v, n, err);
    }
    return result;
}

int shown_learn(struct shown *s, uint32_t uidvalidity, struct err *err)
{
    struct end *from = s->c->from;
    struct learner *l = mem_zalloc(sizeof(*l));
    const bool tells_ids = from->ops->can(from) & (END_CAN_TELL_IDS | END_CAN_TELL_EMAILIDS);
    int result = open_folder(s, s->f->name, uidvalidity, err);
    l->s = s;
    l->uidvalidity = uidvalidity;
    l->canon = canon_new();
    l->is_header = !tells_ids;
    buf_init(&l->header, 65536);
    if (result == 0 && tells_ids)
        result = list_ids(s, &s->unknown, on_id, l, err);
    else if (result == 0 && from->ops->headers)
        result = read_headers(l, err);
    if (result == 0)
        result = find_all(l, err);
    if (result == 0)
        result = forget_found(s, uidvalidity, err);
    if (result == 0)
        result = read_rest(s, uidvalidity, err);
    canon_free(&l->canon);
    buf_fini(&l->header);
    free(l->v);
    free(l);
    return result;
}
