/* SPDX-License-Identifier: ISC */
/*
 * trace: the same operations, decided by a seed, on the model and on a real server, both behind
 * the interface of an end, so that what they answer can be compared line by line.
 *
 *     trace SEED STEPS                              on the model
 *     trace SEED STEPS imap://user@host:port/ FILE  on a server, with the password in FILE
 *     trace -SEED ...                               without STATUS of a folder that is open
 *
 * Two connections work on two folders.  UIDs are printed as they are (the folders are new);
 * UIDVALIDITY, MODSEQ and tokens only as far as they are the same as before, and IDs only where
 * they are not: a server may have none.  A server may tell more than what has changed: what is
 * printed is what was not known.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/num.h"
#include "tests/sim/both.h"
#include "tests/sim/model.h"
#include "tests/sim/rng.h"

#define BOXES 2
#define KNOWN_MAX 512

static const char *const box_names[BOXES] = {"Lists", "Moved"};

struct box {
    struct slice name;
    uint32_t validity;
    uint64_t modseq; /* of the last look */
    struct buf token;
    bool is_seen;
    char id[64]; /* MAILBOXID */
    uint32_t uids[KNOWN_MAX];
    uint8_t flags[KNOWN_MAX];
    size_t n;
};

struct trace {
    struct rng rng;
    struct both both;
    struct box box[BOXES];
    struct keywords keywords;
    bool is_newer; /* STATUS of the folder that is open may be newer than what was told */
    uint32_t contents;
};

static void fail(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

static bool wait_for(struct end *e, const struct end_ticket *t)
{
    struct err err = ERR_INIT;
    if (end_wait(e, t, &err) != 0)
        fail("lost", &err);
    return t->result == END_OK;
}

static void print_uids(const struct box *b, const struct end_uids *u)
{
    if (u->n > 0)
        (void)printf(
            u->uidvalidity == b->validity || b->validity == 0 ? "" : " (other UIDVALIDITY)");
    for (size_t i = 0; i < u->n; i++)
        (void)printf(" %u", u->v[i]);
}

/* --- Steps
 * ---------------------------------------------------------------------------------------- */

static void append(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct end_uids uids = {0};
    struct buf octets;
    size_t n = 1 + rng_below(&t->rng, 3);
    buf_init(&octets, 4096);
    e->ops->append_begin(e, b->name, &uids, &ticket);
    for (size_t i = 0; i < n; i++) {
        uint32_t content = t->contents++ % MODEL_CONTENTS;
        struct flags f = {.system = (uint8_t)(rng_below(&t->rng, 32) & ~(uint32_t)FLAG_DELETED)};
        model_octets(content, &octets);
        const struct end_message m = {.flags = &f,
            .keywords = &t->keywords,
            .has_date = true,
            .date_s = model_date(content),
            .size = octets.n};
        e->ops->append_message(e, &m);
        e->ops->append_octets(e, buf_slice(&octets));
    }
    e->ops->append_end(e);
    (void)printf("append %zu to %.*s:%s", n, SLICE_ARG(b->name), wait_for(e, &ticket) ? "" : " NO");
    print_uids(b, &uids);
    end_uids_fini(&uids);
    buf_fini(&octets);
}

static bool open_for_writing(struct trace *t, struct end *e, struct box *b, uint32_t validity)
{
    struct end_ticket ticket = {0};
    struct end_changes c;
    end_changes_init(&c, &t->keywords);
    e->ops->open(e,
        &(struct end_open){.folder = b->name,
            .is_for_writing = true,
            .is_only_opened = true,
            .uidvalidity = validity},
        &c, &ticket);
    bool is_ok = wait_for(e, &ticket);
    if (is_ok)
        b->validity = c.uidvalidity;
    end_changes_fini(&c);
    return is_ok;
}

/* One that was there at the last look, and may not be any more. */
static uint32_t some_uid(struct trace *t, const struct box *b)
{
    return b->n > 0 ? b->uids[rng_below(&t->rng, (uint32_t)b->n)] : 1;
}

/* Half of the time only where nobody has changed them since the last look. */
static void change_flags(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct end_uids modified = {0};
    uint32_t uid = some_uid(t, b);
    struct flags f = {.system = (uint8_t)(1u << rng_below(&t->rng, 5))};
    const struct end_flags how = {.is_removal = rng_one_in(&t->rng, 3),
        .flags = &f,
        .keywords = &t->keywords,
        .unchanged_since = rng_one_in(&t->rng, 2) ? b->modseq : 0};
    if (!open_for_writing(t, e, b, b->validity))
        return;
    e->ops->flags(e, &uid, 1, &how, &modified, &ticket);
    (void)printf("flags %x %s UID %u of %.*s: %s", f.system, how.is_removal ? "from" : "to", uid,
        SLICE_ARG(b->name), wait_for(e, &ticket) ? "OK" : "NO");
    (void)printf(modified.n > 0 ? " (changed since)" : "");
    end_uids_fini(&modified);
}

static void print_id(
    struct trace *t, struct end *e, const struct box *b, uint32_t uid, char out[64])
{
    struct end_ticket ticket = {0};
    struct end_changes c;
    out[0] = '\0';
    end_changes_init(&c, &t->keywords);
    e->ops->attributes(e, &uid, 1, END_WANT_FLAGS | END_WANT_IDS, &c, &ticket);
    if (!wait_for(e, &ticket))
        (void)printf(" cannot look at UID %u of %.*s", uid, SLICE_ARG(b->name));
    else if (c.n == 1 && end_changes_id(&c, 0).n > 0 &&
             fmt_into(out, 64, "%.*s", SLICE_ARG(end_changes_id(&c, 0))) != 0)
        exit(1);
    end_changes_fini(&c);
}

/* One or two to the other folder, the later one first, and the first may be one that is not there.
 */
static void move(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct end_uids given = {0};
    struct box *to = &t->box[b == t->box];
    uint32_t uids[2] = {some_uid(t, b), some_uid(t, b)};
    size_t n = uids[0] > uids[1] ? 2 : 1;
    char before[64], after[64];
    if (!open_for_writing(t, e, b, b->validity))
        return;
    print_id(t, e, b, uids[0], before);
    e->ops->move(e, uids, n, to->name, &given, &ticket);
    (void)printf("move UID %u", uids[0]);
    (void)printf(n > 1 ? " and %u" : "", uids[1]);
    (void)printf(
        " of %.*s: %s", SLICE_ARG(b->name), wait_for(e, &ticket) ? "OK, given" : "NO, given");
    print_uids(to, &given);
    if (given.n > 0 && given.v[0] != 0 && open_for_writing(t, e, to, to->validity)) {
        print_id(t, e, to, given.v[0], after);
        (void)printf(strcmp(before, after) == 0 ? "" : " (ID %s is now %s)", before, after);
    }
    end_uids_fini(&given);
}

static void remove_one(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket marked = {0}, ticket = {0};
    const struct flags deleted = {.system = FLAG_DELETED};
    const struct end_flags mark = {.flags = &deleted, .keywords = &t->keywords};
    uint32_t uid = some_uid(t, b);
    if (!open_for_writing(t, e, b, b->validity))
        return;
    e->ops->flags(e, &uid, 1, &mark, NULL, &marked);
    e->ops->remove(e, &uid, 1, &ticket);
    (void)printf(
        "remove UID %u of %.*s: %s", uid, SLICE_ARG(b->name), wait_for(e, &ticket) ? "OK" : "NO");
}

/* MAILBOXIDs of the listing with those of opened folders. */
static void compare_ids(const struct trace *t, struct end *e)
{
    struct end_ticket ticket = {0};
    struct folder_list l;
    folder_list_init(&l);
    e->ops->folders(e, &l, &ticket);
    (void)printf(wait_for(e, &ticket) ? "" : ", no listing");
    for (size_t i = 0; i < BOXES; i++) {
        const struct folder *f = folder_list_find(&l, t->box[i].name);
        if (!f || !(f->has & FOLDER_HAS_UIDNEXT))
            (void)printf(", %.*s is not listed", SLICE_ARG(t->box[i].name));
        else if (t->box[i].is_seen && !slice_eq(f->id, slice_str(t->box[i].id)))
            (void)printf(", MAILBOXID %.*s, not %s", SLICE_ARG(f->id), t->box[i].id);
    }
    folder_list_fini(&l);
}

static void refused(struct trace *t, struct end *e, struct box *b)
{
    bool is_ok = open_for_writing(t, e, b, b->validity + 1000);
    struct end_ticket ticket = {0};
    struct folder none = {.name = SLICE_LIT("Archive")};
    e->ops->status(e, &none, &ticket);
    (void)printf("another UIDVALIDITY: %s, no folder: %s", is_ok ? "OK" : "NO",
        wait_for(e, &ticket) ? "OK" : "NO");
    compare_ids(t, e);
}

static void print_status(struct end *e, const struct box *b, const struct folder *f)
{
    (void)printf("%u messages, UIDNEXT %u, %s, %s", f->messages, f->uidnext,
        b->validity == 0 || f->uidvalidity == b->validity ? "same UIDVALIDITY" : "new UIDVALIDITY",
        b->token.n > 0 && e->ops->is_same(e, f, buf_slice(&b->token)) ? "same" : "changed");
}

/* Of the folder that is open, or of another one: a server may tell of the first what it has told
 * this session (RFC 9051 6.3.11), as Dovecot does; Cyrus sometimes tells more. */
static void status(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct folder f = {.name = b->name};
    struct box *other = &t->box[b == t->box];
    bool is_other = rng_one_in(&t->rng, 2) || t->is_newer;
    if (is_other && !open_for_writing(t, e, other, other->validity))
        return;
    e->ops->status(e, &f, &ticket);
    (void)printf("status of %.*s: %s", SLICE_ARG(b->name), wait_for(e, &ticket) ? "" : "NO");
    print_status(e, b, &f);
}

static size_t known_at(const struct box *b, uint32_t uid)
{
    size_t i = 0;
    while (i < b->n && b->uids[i] != uid)
        i++;
    return i;
}

static void learn(struct box *b, const struct listed *l)
{
    size_t at = known_at(b, l->uid);
    if (at < b->n && (!l->has_flags || b->flags[at] == l->flags.system))
        return;
    if (at == b->n && at < KNOWN_MAX)
        b->uids[b->n++] = l->uid;
    b->flags[at] = l->flags.system;
    (void)printf(" %u:%x", l->uid, l->flags.system);
    if (l->has_date)
        (void)printf("@%lld", (long long)l->date_s);
}

static void forget(struct box *b, uint32_t uid)
{
    size_t at = known_at(b, uid);
    if (at == b->n)
        return;
    (void)printf(" -%u", uid);
    memmove(&b->uids[at], &b->uids[at + 1], (b->n - at - 1) * sizeof(*b->uids));
    memmove(&b->flags[at], &b->flags[at + 1], b->n - at - 1);
    b->n--;
}

static void look(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct end_changes c;
    struct uid_set known = uid_set_of(b->uids, b->n);
    end_changes_init(&c, &t->keywords);
    e->ops->open(e,
        &(struct end_open){.folder = b->name,
            .uidvalidity = b->validity,
            .token = buf_slice(&b->token),
            .known = &known,
            .want = END_WANT_FLAGS},
        &c, &ticket);
    uid_set_fini(&known);
    (void)printf("look at %.*s: %s", SLICE_ARG(b->name), wait_for(e, &ticket) ? "OK" : "NO");
    for (size_t i = 0; i < c.n_vanished; i++)
        forget(b, c.vanished[i]);
    for (size_t i = 0; i < c.n; i++)
        learn(b, &c.v[i]);
    (void)printf(" | %u there, UIDNEXT %u%s", c.exists, c.uidnext, c.is_sure ? "" : ", not sure");
    if ((c.folder_id.n > 0) != ((e->ops->can(e) & END_CAN_TELL_IDS) != 0) ||
        (b->id[0] && strcmp(buf_cstr(&c.folder_id), b->id) != 0))
        (void)printf(", MAILBOXID %s after %s", buf_cstr(&c.folder_id), b->id);
    if (fmt_into(b->id, sizeof(b->id), "%s", buf_cstr(&c.folder_id)) != 0)
        exit(1);
    b->is_seen = true;
    b->validity = c.uidvalidity;
    b->modseq = c.modseq;
    buf_clear(&b->token);
    if (buf_add(&b->token, buf_slice(&c.token)) != 0)
        exit(1);
    end_changes_fini(&c);
}

static void dates(struct trace *t, struct end *e, struct box *b)
{
    struct end_ticket ticket = {0};
    struct end_changes c;
    uint32_t uid = some_uid(t, b);
    if (!open_for_writing(t, e, b, b->validity))
        return;
    end_changes_init(&c, &t->keywords);
    e->ops->attributes(e, &uid, 1, END_WANT_DATES | END_WANT_SIZES, &c, &ticket);
    (void)printf("date and size of UID %u: %s", uid, wait_for(e, &ticket) ? "OK" : "NO");
    for (size_t i = 0; i < c.n; i++)
        (void)printf(" %lld %u", (long long)c.v[i].date_s, c.v[i].size);
    end_changes_fini(&c);
}

static void step(struct trace *t)
{
    struct end *e = t->both.end[rng_below(&t->rng, 2)];
    struct box *b = &t->box[rng_below(&t->rng, BOXES)];
    switch (rng_below(&t->rng, 12)) {
    case 0:
    case 1:
        append(t, e, b);
        break;
    case 2:
    case 3:
    case 4:
        change_flags(t, e, b);
        break;
    case 5:
        remove_one(t, e, b);
        break;
    case 6:
        move(t, e, b);
        break;
    case 7:
        refused(t, e, b);
        break;
    case 8:
        status(t, e, b);
        break;
    case 9:
        dates(t, e, b);
        break;
    default:
        look(t, e, b);
        break;
    }
    (void)printf("\n");
}

static void begin(struct trace *t, uint64_t seed)
{
    t->rng.s = seed;
    for (size_t i = 0; i < BOXES; i++) {
        struct end_ticket ticket = {0};
        t->box[i].name = slice_str(box_names[i]);
        buf_init(&t->box[i].token, END_TOKEN_MAX);
        t->both.end[0]->ops->make(t->both.end[0], t->box[i].name, FOLDER_USE_NONE, &ticket);
        if (!wait_for(t->both.end[0], &ticket))
            fail("cannot make the folder", &ticket.err);
    }
}

static void end(struct trace *t)
{
    for (size_t i = 0; i < BOXES; i++)
        buf_fini(&t->box[i].token);
    both_close(&t->both);
    keywords_fini(&t->keywords);
}

int main(int argc, char **argv)
{
    struct trace t = {0};
    uint64_t seed, steps;
    log_set_level(LOG_LEVEL_ERROR);
    t.is_newer = argc > 1 && argv[1][0] == '-';
    if ((argc != 3 && argc != 5) ||
        num_u64(slice_str(argv[1] + t.is_newer), 0, INT64_MAX, &seed) != 0 ||
        num_u64(slice_str(argv[2]), 0, 100000, &steps) != 0) {
        (void)fprintf(stderr, "usage: trace SEED STEPS [URL PASSWORD_FILE]\n");
        return 64;
    }
    if (argc == 3)
        both_on_model(&t.both, seed, 0);
    else
        both_on_server(&t.both, argv[3], argv[4]);
    begin(&t, seed);
    for (uint64_t i = 0; i < steps; i++)
        step(&t);
    end(&t);
    return 0;
}
