/* SPDX-License-Identifier: ISC */
/* learn: see learn.h. */
#include "maps/mapd/learn.h"

#include <stdlib.h>
#include <string.h>
#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "maps/consumer.h"
#include "maps/snapshot.h"
#include "maps/store/control.h"
#include "maps/unmapped.h"

#define SAVE_MS 60000
#define NAMED_MAX 20

/* How far a page has been read. */
struct place {
    char id[CONSUMER_ID_MAX];
    uint64_t read;
    bool is_there, is_dead; /* in this tick */
};

struct learn {
    const struct conf *conf;
    struct unmapped *book;
    struct place *places;
    size_t n_places, cap_places;
    unsigned by; /* of the page that is being read */
    bool has_news, has_dead, is_unreadable;
    int64_t gathered_ms; /* when it began, the last time */
    int64_t known_ms;    /* what pages say until then is in the book that was loaded */
    bool is_first_read;  /* of this page, by this mapd */
    uint64_t saved_ms;
};

/* --- Gathering ------------------------------------------------------------------------------- */

static unsigned program_bit(const char *program)
{
    for (unsigned i = 0; i < UNMAPPED_PROGRAMS; i++)
        if (strcmp(program, unmapped_programs[i]) == 0)
            return 1U << i;
    return 0;
}

/* What a page says is what a program of a stranger's input wrote: it has to be a key of ours. */
static bool is_key(const struct conf *conf, struct slice text)
{
    struct buf key;
    buf_init(&key, ROUTE_KEY_MAX);
    bool is = text.p[0] != '@' && normalise_key(conf, text, &key) == 0 &&
              slice_eq(buf_slice(&key), text) && conf_domain(conf, normalise_domain(text));
    buf_fini(&key);
    return is;
}

static void on_seen(void *arg, struct slice key, int64_t when_ms, enum mail_log_known known)
{
    struct learn *l = arg;
    int64_t now_s = clock_wall_s(), when_s = when_ms / 1000;
    if (!is_key(l->conf, key) || (l->is_first_read && when_ms < l->known_ms))
        return;
    if (when_s < 0 || when_s > now_s)
        when_s = now_s;
    char *text = slice_dup(key);
    unmapped_add(l->book, &(struct unmapped_row){.key = text,
                              .count = 1,
                              .first_s = when_s,
                              .last_s = when_s,
                              .known = known,
                              .by = l->by});
    mem_free_string(&text);
    l->has_news = true;
}

static struct place *place_of(struct learn *l, const char *id)
{
    for (size_t i = 0; i < l->n_places; i++)
        if (strcmp(l->places[i].id, id) == 0)
            return &l->places[i];
    if (l->n_places == l->cap_places) {
        l->cap_places = l->cap_places ? 2 * l->cap_places : 16;
        l->places = mem_realloc_array(l->places, l->cap_places, sizeof *l->places);
    }
    struct place *p = &l->places[l->n_places++];
    *p = (struct place){0};
    if (fmt_into(p->id, sizeof p->id, "%s", id) != 0)
        BUG("an id does not fit");
    return p;
}

static void on_page(void *arg, const struct consumer_info *info)
{
    struct learn *l = arg;
    struct place *p = place_of(l, info->id);

    p->is_there = true;
    p->is_dead = !info->is_alive;
    l->has_dead |= p->is_dead;
    l->by = program_bit(info->program);
    if (info->seen != p->read) {
        l->is_first_read = p->read == 0;
        uint64_t lost = consumer_read(l->conf->run, info->id, p->read, &p->read, on_seen, l);
        if (l->is_first_read && info->started_s * 1000 < l->known_ms)
            lost = 0; /* how many of them were read is not known any more */
        l->book->missed += lost;
        l->has_news |= lost > 0;
    }
}

static void write_book(struct learn *l)
{
    struct err err = ERR_INIT;

    if (!l->has_news)
        return;
    if (unmapped_save(l->book, l->conf->state, l->gathered_ms, &err) != 0)
        log_warn("unmapped_unsaved", log_err(&err));
    else
        l->has_news = false;
}

static void gather(struct learn *l)
{
    struct err err = ERR_INIT;
    size_t kept = 0;

    for (size_t i = 0; i < l->n_places; i++)
        l->places[i].is_there = l->places[i].is_dead = false;
    l->has_dead = false;
    l->gathered_ms = clock_wall_ms();
    bool is_unreadable = consumers_list(l->conf->run, on_page, l, &err) != 0;
    if (is_unreadable && !l->is_unreadable)
        log_warn("consumers_unreadable", log_err(&err));
    l->is_unreadable = is_unreadable;
    if (is_unreadable)
        return;
    /* What the dead have left is on the disk before it goes here. */
    if (l->has_dead)
        write_book(l);
    for (size_t i = 0; i < l->n_places; i++) {
        if (l->places[i].is_dead && !l->has_news)
            consumer_remove(l->conf->run, l->places[i].id);
        else if (l->places[i].is_there)
            l->places[kept++] = l->places[i];
    }
    l->n_places = kept;
}

/* --- Who would be refused --------------------------------------------------------------------- */

/* Those of one domain whom the map does not have and no server has refused. */
static void warn_domain(struct learn *l, const struct conf_domain *domain,
    const struct route_view *view, struct arena *mem)
{
    struct buf names;
    size_t n = 0;

    buf_init(&names, LOG_VALUE_MAX);
    for (size_t i = 0; i < l->book->n; i++) {
        const struct unmapped_row *r = &l->book->v[i];
        struct slice key = slice_str(r->key), unused;
        struct decide_request request = {
            .rcpt = key, .source_server = CONF_SERVER_NONE, .now_s = clock_wall_s()};
        struct decision d;
        if (r->known == MAIL_LOG_REFUSED || conf_domain(l->conf, normalise_domain(key)) != domain)
            continue;
        arena_reset(mem);
        decide(l->conf, view, &request, mem, &d, NULL);
        if (d.kind != DECIDE_REJECT || d.n_deliveries == 0 || !decision_is_unmapped(&d, 0, &unused))
            continue;
        if (n++ < NAMED_MAX && buf_addf(&names, "%s%s", names.n ? " " : "", r->key) != 0)
            n = n > NAMED_MAX ? n : NAMED_MAX;
    }
    if (n > 0)
        log_warn("unmapped_refused", log_str("domain", domain->name), log_u64("addresses", n),
            log_slice("first", buf_slice(&names)), log_str("all", "maptool unmapped"));
    buf_fini(&names);
}

static void warn(struct learn *l)
{
    struct snapshot *snapshot = snapshot_new(l->conf->run);
    struct route_view view = snapshot_view(snapshot);
    struct arena *mem = arena_new(DECIDE_MEM_MAX);

    for (size_t i = 0; i < l->conf->n_domains && l->book->n > 0; i++)
        if (l->conf->domains[i].default_server == CONF_SERVER_NONE)
            warn_domain(l, &l->conf->domains[i], &view, mem);
    arena_free(&mem);
    snapshot_free(&snapshot);
}

/* --- Life ------------------------------------------------------------------------------------- */

static void save(struct learn *l)
{
    gather(l); /* so that the file is as of now */
    unmapped_prune(l->book, clock_wall_s() - UNMAPPED_KEPT_S);
    l->saved_ms = clock_mono_ms();
    write_book(l);
}

struct learn *learn_new(const struct conf *conf)
{
    struct learn *l = mem_zalloc(sizeof *l);
    struct err err = ERR_INIT;

    l->conf = conf;
    l->book = unmapped_new(UNMAPPED_MAX);
    l->saved_ms = clock_mono_ms();
    if (unmapped_load(l->book, conf->state, &err) != 0)
        log_warn("unmapped_unread", log_err(&err));
    l->known_ms = l->book->saved_ms;
    gather(l);
    warn(l);
    return l;
}

void learn_free(struct learn **lp)
{
    struct learn *l = *lp;
    if (!l)
        return;
    save(l);
    unmapped_free(&l->book);
    free(l->places);
    free(l);
    *lp = NULL;
}

void learn_tick(struct learn *l)
{
    if (clock_mono_ms() - l->saved_ms >= SAVE_MS)
        save(l);
    else
        gather(l);
}

void learn_reload(struct learn *l, const struct conf *conf)
{
    l->conf = conf;
    gather(l);
    warn(l);
}

json_t *learn_answer(struct learn *l, const json_t *request)
{
    json_t *reply = json_object();
    struct err err = ERR_INIT;

    gather(l);
    if (control_unmapped_page(l->book, request, reply, &err) != 0) {
        json_decref(reply);
        return control_error(&err);
    }
    json_object_set_new(reply, "ok", json_true());
    return reply;
}
