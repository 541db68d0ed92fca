/* SPDX-License-Identifier: ISC */
/*
 * copy_rig: the copy between two model servers (tests/sim), one pass at a time, killed where a test
 * wants it.  A test says what users do; what then has to be there the test, or rig_compare(), says.
 */
#ifndef TESTS_UNIT_COPY_RIG_H
#define TESTS_UNIT_COPY_RIG_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/buf.h"
#include "base/core/log.h"
#include "imapsync/copy/copy.h"
#include "tests/sim/disk.h"
#include "tests/sim/faults.h"
#include "tests/sim/model_end.h"
#include "tests/sim/site.h"
#include "tests/sim/world.h"
#include "tests/unit/unit.h"

#define RIG_PASSES_MAX 12

struct rig {
    struct history h;
    struct world w;
    struct copy *copy;
    struct copy_counts n;        /* of the last pass */
    struct copy_options options; /* of the next copy: rig_close() ends one */
    enum plan_policy_id policy;
    const struct past *past; /* behind a flip; NULL: nobody knows */
    const struct journal_watch *watch;
    struct err err; /* of the last pass */
    unsigned n_claims;
    bool is_anothers; /* whoever claims a mailbox hears that it is another user's */
    char told[200];   /* the last exception */
    const char *name; /* of what is tested: for failures */
};

static void (*rig_dress)(struct end *e); /* gives an end more than the model has; NULL: no */

static struct end *rig_dressed(struct end *e)
{
    if (rig_dress)
        rig_dress(e);
    return e;
}

static struct end *rig_source(const struct end_maker *m, const struct wait_limits *limits)
{
    (void)m;
    return rig_dressed(model_end_new(world, &world->source, limits));
}

static struct end *rig_target(const struct end_maker *m, const struct wait_limits *limits)
{
    (void)m;
    return rig_dressed(model_end_new(world, &world->target, limits));
}

static void rig_progress(void *arg, const struct copy_counts *counts)
{
    (void)arg, (void)counts;
}

static void rig_exception(void *arg, const struct copy_exception *e)
{
    struct rig *r = arg;
    world_story(&r->w, "    engine: %s, message %u: %s", e->folder, e->uid, e->why);
    if (fmt_into(r->told, sizeof(r->told), "%s %u %s", e->folder, e->uid, e->why) != 0)
        r->told[0] = '\0';
}

static int rig_claim(void *arg, struct end *e, bool is_target, struct err *err)
{
    struct rig *r = arg;
    (void)e, (void)is_target;
    r->n_claims++;
    return r->is_anothers ? err_set(err, ERR_PERM, 0, "another user's") : 0;
}

/* Quirks of the servers, and what the network does. */
static inline void rig_init(
    struct rig *r, const char *name, uint32_t source, uint32_t target, uint64_t seed)
{
    log_set_level(LOG_LEVEL_ERROR);
    faults_reset();
    *r = (struct rig){.name = name,
        .options = {.delete_percent = PLAN_DELETIONS_PERCENT, .accept = UINT32_C(1) << ITEM_EMPTY},
        .h = {.seed = seed, .quirks = {source, target}}};
    world_init(&r->w, &r->h, getenv("RIG_STORY") ? stdout : NULL);
    world_story(
        &r->w, "--- %s, source %x, target %x, seed %u", name, source, target, (unsigned)seed);
}

static inline void rig_close(struct rig *r)
{
    copy_free(&r->copy);
    if (!r->w.is_killed)
        return;
    disk_crash(site_dir());
    world_revive(&r->w);
}

/* Also when a test has failed; twice is fine. */
static inline void rig_fini(struct rig *r)
{
    if (world != &r->w)
        return;
    rig_close(r);
    world = NULL;
    world_fini(&r->w);
    site_lose(site_dir());
    disk_forget();
    faults_reset();
}

/* Something (ACT_KILL...) happens so many ticks from now, instead of what was to happen before. */
static inline void rig_arm(struct rig *r, enum act what, uint32_t ticks)
{
    r->h.v[0] = (struct action){.tick = r->w.tick + ticks, .what = what};
    r->h.n = 1;
    r->w.next = 0;
}

static inline void rig_disarm(struct rig *r)
{
    r->w.next = r->h.n = 0;
    r->w.kill_armed = KILL_NONE;
}

/* true: it went through and changed nothing. */
static inline bool rig_pass(struct rig *r)
{
    static const struct end_maker source = {
        .label = "source", .user = "user", .name = "sim://old", .make = rig_source};
    static const struct end_maker target = {
        .label = "target", .user = "user", .name = "sim://new", .make = rig_target};
    static const struct copy_events events = {
        .progress = rig_progress, .exception = rig_exception, .claim = rig_claim};
    struct err err = ERR_INIT;
    int result = 0;
    r->n = (struct copy_counts){0};
    r->told[0] = '\0';
    if (!r->copy)
        result = copy_new(&source, &target, site_dir(), &r->options, &events, r, &r->copy, &err);
    world_story(&r->w, "pass begins");
    if (result == 0 && r->past)
        copy_behind_flip(r->copy, r->past, r->watch);
    if (result == 0)
        result = copy_pass(r->copy, r->policy, &r->n, &err);
    world_story(&r->w, "pass is over: %d %s", result, err.text);
    r->err = err;
    if (r->w.is_killed || result != 0)
        rig_close(r);
    return result == 0 && r->n.messages_copied + r->n.messages_adopted + r->n.messages_moved +
                                  r->n.messages_deleted + r->n.flags_changed ==
                              0;
}

static inline void rig_quiet(struct rig *r)
{
    unsigned n_quiet = 0;
    rig_disarm(r);
    r->w.is_quiet = true;
    for (unsigned i = 0; i < RIG_PASSES_MAX && n_quiet < 2; i++)
        n_quiet = rig_pass(r) ? n_quiet + 1 : 0;
    if (n_quiet < 2)
        fail_msg("%s: no quiet: %s", r->name, r->told);
    r->w.is_quiet = false;
}

/* --- What users do -------------------------------------------------------------------------- */

static inline struct mailbox *rig_box(struct server *s, uint8_t name)
{
    struct mailbox *b = server_find(s, name);
    return b ? b : server_make(s, name);
}

static inline void rig_deliver(struct rig *r, uint8_t box, uint32_t content, uint16_t flags)
{
    (void)user_add(&r->w.source, rig_box(&r->w.source, box), content, flags);
}

/* The first with this content; NULL: there is none. */
static inline struct message *rig_find(struct server *s, uint8_t box, uint32_t content)
{
    struct mailbox *b = server_find(s, box);
    for (size_t i = 0; b && i < b->n; i++) {
        if (b->v[i].content == content)
            return &b->v[i];
    }
    return NULL;
}

static inline bool rig_flag(
    struct rig *r, struct server *s, uint8_t box, uint32_t content, uint16_t flag, bool on)
{
    struct message *m = rig_find(s, box, content);
    if (m)
        user_flag(s, server_find(s, box), m, flag, on, r->w.tick);
    return m != NULL;
}

static inline void rig_remove(struct server *s, uint8_t box, uint32_t content)
{
    user_remove(s, server_find(s, box), rig_find(s, box, content));
}

static inline void rig_move(struct server *s, uint8_t box, uint32_t content, uint8_t to)
{
    (void)user_move(s, server_find(s, box), rig_find(s, box, content), rig_box(s, to));
}

/* --- What is there -------------------------------------------------------------------------- */

/* "0+16 2": contents, each with its flags, in the order of both. */
static inline void rig_text(const struct server *s, uint8_t box, struct buf *out)
{
    const struct mailbox *b = server_find(s, box);
    for (uint32_t c = 0; b && c < MODEL_CONTENTS; c++) {
        for (unsigned f = 0; f < 1u << MODEL_FLAGS; f++) {
            for (size_t i = 0; i < b->n; i++) {
                if (b->v[i].content == c && b->v[i].flags == f)
                    assert_int_equal(
                        buf_addf(out, f ? "%s%u+%u" : "%s%u", out->n ? " " : "", c, f), 0);
            }
        }
    }
}

static inline void rig_expect(
    const struct rig *r, const struct server *s, uint8_t box, const char *want)
{
    struct buf got;
    buf_init(&got, 10000);
    rig_text(s, box, &got);
    bool is_so = strcmp(buf_cstr(&got), want) == 0;
    if (!is_so)
        print_error("%s: seed %u, target %x: %s has %s, not %s\n", r->name, (unsigned)r->h.seed,
            r->h.quirks[1], model_folder_name(box), buf_cstr(&got), want);
    buf_fini(&got);
    assert_true(is_so);
}

/* The target has what the source has. */
static inline void rig_compare(const struct rig *r)
{
    for (uint8_t f = 0; f < MODEL_FOLDERS; f++) {
        struct buf want;
        buf_init(&want, 10000);
        rig_text(&r->w.source, f, &want);
        rig_expect(r, &r->w.target, f, buf_cstr(&want));
        buf_fini(&want);
    }
}

#endif
