/* SPDX-License-Identifier: ISC */
/*
 * store_view: an import between its switch and the end of its fold.
 *
 * The switch is the record "import" in meta: number, base, count of places, and the cause.  Whoever
 * reads an entry looks for its row first; a row that is folded is gone, in the transaction that
 * wrote its entry and its record of the change log.  So nothing has to be remembered of how far the
 * fold has come, and a kill costs nothing but the last few rows, which are folded again.
 */
#include <sysexits.h>
#include "maps/store/store_priv.h"

#define META_IMPORT SLICE_LIT("import")
#define TRIM_STEP 16
#define NUMBERS 4 /* in front of the texts, each of which ends with NUL */

/* --- The switch ---------------------------------------------------------------------------- */

static int save_view(struct store_txn *txn, const struct store_view *v, struct err *err)
{
    const uint64_t numbers[NUMBERS] = {v->number, v->base, v->n, (uint64_t)v->when_s};
    const char *texts[] = {v->who, v->why, v->request_id};
    unsigned char bytes[HISTORY_KEY_SIZE];
    struct buf value;
    int full = 0;

    buf_init(&value, STORE_VALUE_MAX);
    for (size_t i = 0; i < NUMBERS; i++) {
        history_key(numbers[i], bytes);
        full |= buf_add(&value, slice_make(bytes, sizeof bytes));
    }
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        full |= buf_add_str(&value, texts[i]) | buf_add_byte(&value, '\0');
    BUG_ON(full);
    int rc = bdb_put(txn->store->meta, txn->bdb, META_IMPORT, buf_slice(&value), err);
    buf_fini(&value);
    return rc;
}

static int parse_view(struct slice rest, struct store_view *v)
{
    uint64_t numbers[NUMBERS];
    struct slice who, why, request_id;

    for (size_t i = 0; i < NUMBERS; i++) {
        if (rest.n < HISTORY_KEY_SIZE ||
            history_key_parse(slice_sub(rest, 0, HISTORY_KEY_SIZE), &numbers[i]) != 0)
            return -1;
        rest = slice_from(rest, HISTORY_KEY_SIZE);
    }
    v->number = numbers[0];
    v->base = numbers[1];
    v->n = numbers[2];
    v->when_s = (int64_t)numbers[3];
    if (!slice_split(&rest, '\0', &who) || !slice_split(&rest, '\0', &why) ||
        !slice_split(&rest, '\0', &request_id))
        return -1;
    return fmt_into(v->who, sizeof v->who, "%.*s", SLICE_ARG(who)) ||
                   fmt_into(v->why, sizeof v->why, "%.*s", SLICE_ARG(why)) ||
                   fmt_into(v->request_id, sizeof v->request_id, "%.*s", SLICE_ARG(request_id))
               ? -1
               : 0;
}

int view_load(struct store *s, struct err *err)
{
    struct buf value;
    bool found;

    buf_init(&value, STORE_VALUE_MAX);
    int rc = bdb_get(s->meta, NULL, META_IMPORT, &value, &found, err);
    if (rc == 0 && found && parse_view(buf_slice(&value), &s->import) != 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the record of the last import is damaged");
    buf_fini(&value);
    return rc;
}

/* Texts are cut where they are too long: who asked was bounded before. */
static void set_cause(struct store_view *v, const struct store_cause *cause)
{
    v->when_s = cause->when_s;
    (void)!fmt_into(v->who, sizeof v->who, "%.*s", SLICE_ARG(cause->who));
    (void)!fmt_into(v->why, sizeof v->why, "%.*s", SLICE_ARG(cause->why));
    (void)!fmt_into(v->request_id, sizeof v->request_id, "%.*s", SLICE_ARG(cause->request_id));
}

static struct store_view view_of_stage(
    const struct store_stage *stage, uint64_t base, const struct store_cause *cause)
{
    struct store_view v = {.number = stage->number, .base = base, .n = stage->n};
    set_cause(&v, cause);
    return v;
}

static int see_generation(void *arg, const struct history_record *record, struct err *err)
{
    uint64_t *last = arg;
    (void)err;
    *last = record->generation;
    return 0;
}

/* Behind the last change that was not lost: the generation of the map is always one of the log. */
static int trim(struct store_txn *txn, struct store_view *v, struct err *err)
{
    uint64_t last = v->base, from = v->n + 1;

    while (last == v->base && from > 1) {
        from = from > TRIM_STEP ? from - TRIM_STEP : 1;
        if (view_scan_history(txn->store, txn, v, v->base + from, see_generation, &last, err) != 0)
            return -1;
    }
    v->n = last - v->base;
    return 0;
}

int store_switch(struct store_txn *txn, struct store_stage *stage, uint64_t base,
    const struct store_cause *cause, struct err *err)
{
    BUG_ON(store_view_of(txn->store, txn) || base < txn->generation);
    struct store_view v = view_of_stage(stage, base, cause);
    if (stage_flush_keys(txn, stage, err) != 0 || trim(txn, &v, err) != 0 ||
        save_view(txn, &v, err) != 0)
        return -1;
    txn->view = v;
    txn->view_changed = true;
    txn->has_switched = true;
    txn->needs_sync = true;
    txn->changes += v.n;
    txn->generation = base + v.n;
    txn->live = (uint64_t)((int64_t)txn->live + stage->live);
    return 0;
}

bool store_has_switched(const struct store_txn *txn)
{
    return txn->has_switched && txn->view.number != 0;
}

uint64_t store_switched_base(const struct store_txn *txn)
{
    return txn->view.base;
}

bool store_is_folding(const struct store *s)
{
    return s->import.number != 0;
}

/* --- Reading through ------------------------------------------------------------------------ */

int view_read(struct store *s, struct store_txn *txn, const struct store_view *v, struct slice key,
    struct buf *bytes, struct stage_value *value, bool *found_out, struct err *err)
{
    if (key.n > ROUTE_KEY_MAX) {
        *found_out = false;
        return 0;
    }
    struct stage_key k = stage_key(v->number, STAGE_TAG_KEY, key);
    if (bdb_get(s->staged, store_bdb_txn(txn), stage_key_slice(&k), bytes, found_out, err) != 0)
        return err_wrap(err, "cannot read an import");
    if (*found_out && stage_value_parse(buf_slice(bytes), value, err) != 0)
        return -1;
    *found_out = *found_out && stage_value_counts(value);
    return 0;
}

int view_entry(const struct store_view *v, const struct stage_value *value, struct slice key,
    struct route_entry *out, struct err *err)
{
    if (record_decode(value->record, out) != 0)
        return store_damaged(key, err);
    if (value->is_new_epoch)
        out->epoch = v->base + value->place;
    out->who = slice_str(v->who);
    out->when_s = v->when_s;
    return 0;
}

void stage_look(struct store_txn *txn, const struct store_stage *stage, uint64_t base,
    const struct store_cause *cause)
{
    BUG_ON(store_view_of(txn->store, txn));
    txn->view = view_of_stage(stage, base, cause);
    txn->view_changed = true;
}

void stage_look_away(struct store_txn *txn)
{
    txn->view = (struct store_view){0};
    txn->view_changed = false;
}

/* --- The fold ------------------------------------------------------------------------------ */

static int fold_row(struct store_txn *txn, const struct store_view *v, struct slice key,
    const struct stage_value *value, struct err *err)
{
    struct history_record record = {.generation = v->base + value->place,
        .when_s = v->when_s,
        .key = key,
        .who = slice_str(v->who),
        .why = slice_str(v->why),
        .request_id = slice_str(v->request_id)};
    struct route_entry old, next;
    struct buf bytes;

    buf_init(&bytes, 2 * ROUTE_RECORD_MAX);
    int rc = store_get_folded(txn->store, txn, key, &bytes, &old, err);
    if (rc == 0)
        rc = view_entry(v, value, key, &next, err);
    if (rc == 0)
        rc = store_write(txn, key, &old, &next, &record, err);
    /* For whoever staged it before the switch. */
    if (rc == 0)
        rc = stage_touch(txn, key, true, err);
    txn->is_written = true;
    buf_fini(&bytes);
    return rc;
}

int view_fold_key(struct store_txn *txn, struct slice key, struct err *err)
{
    const struct store_view *v = store_view_of(txn->store, txn);
    struct stage_value value;
    struct buf bytes;
    bool found;

    if (!v)
        return 0;
    buf_init(&bytes, STAGE_VALUE_MAX);
    int rc = view_read(txn->store, txn, v, key, &bytes, &value, &found, err);
    if (rc == 0 && found) {
        struct stage_key k = stage_key(v->number, STAGE_TAG_KEY, key);
        rc = fold_row(txn, v, key, &value, err);
        if (rc == 0)
            rc = bdb_del(txn->store->staged, txn->bdb, stage_key_slice(&k), &found, err);
    }
    buf_fini(&bytes);
    return rc;
}

struct fold {
    struct store_txn *txn;
    const struct store_view *view;
};

static int fold_pair(void *arg, struct slice key, struct slice bytes, struct err *err)
{
    const struct fold *f = arg;
    struct stage_value value;

    if (stage_value_parse(bytes, &value, err) != 0)
        return -1;
    return stage_value_counts(&value) ? fold_row(f->txn, f->view, key, &value, err) : 0;
}

int store_fold(struct store *s, struct store_txn *txn, size_t max, bool *done_out, struct err *err)
{
    struct fold f = {.txn = txn, .view = store_view_of(s, txn)};
    bool found;
    size_t n;

    *done_out = true;
    if (!f.view)
        return 0;
    const struct stage_key k = stage_key(f.view->number, STAGE_TAG_KEY, SLICE_NONE);
    if (stage_take(txn, stage_key_slice(&k), max, fold_pair, &f, &n, err) != 0)
        return -1;
    *done_out = n == 0;
    if (n > 0)
        return 0;
    /* The rest of it is swept. */
    s->has_leftovers = true;
    txn->is_written = true;
    txn->view_changed = true;
    txn->view = (struct store_view){0};
    return bdb_del(s->meta, txn->bdb, META_IMPORT, &found, err);
}

/* --- The change log -------------------------------------------------------------------------- */

struct log_scan {
    struct store *s;
    struct store_txn *txn;
    const struct store_view *v;
    int (*fn)(void *arg, const struct history_record *record, struct err *err);
    void *arg;
    struct buf row, old, value;
};

/* What the fold would write. */
static int tell_row(
    struct log_scan *l, struct slice key, const struct stage_value *value, struct err *err)
{
    struct history_record record = {.generation = l->v->base + value->place,
        .when_s = l->v->when_s,
        .key = key,
        .who = slice_str(l->v->who),
        .why = slice_str(l->v->why),
        .request_id = slice_str(l->v->request_id)};
    struct route_entry next;
    bool found;

    if (bdb_get(l->s->entries, store_bdb_txn(l->txn), key, &l->old, &found, err) != 0 ||
        view_entry(l->v, value, key, &next, err) != 0)
        return -1;
    buf_clear(&l->value);
    if (record_encode(&next, true, &l->value) != 0)
        return store_damaged(key, err);
    record.old_value = found ? buf_slice(&l->old) : SLICE_NONE;
    record.new_value = buf_slice(&l->value);
    return l->fn(l->arg, &record, err);
}

static int tell_place(struct log_scan *l, uint64_t place, struct slice key, struct err *err)
{
    struct stage_value value;
    struct history_record record;
    bool found;

    if (view_read(l->s, l->txn, l->v, key, &l->row, &value, &found, err) != 0)
        return -1;
    if (found)
        return tell_row(l, key, &value, err);
    if (store_history_get(l->s, l->txn, l->v->base + place, &l->value, &record, &found, err) != 0)
        return -1;
    return found ? l->fn(l->arg, &record, err) : 0; /* else it was lost */
}

/* One pair of the index of places. */
static int tell_keys(
    struct log_scan *l, uint64_t place, uint64_t from, struct slice rest, struct err *err)
{
    for (; rest.n > 2; place++) {
        size_t n = (size_t)rest.p[0] << 8 | rest.p[1];
        if (n > rest.n - 2)
            return err_set(err, ERR_PERM, EX_DATAERR, "the rows of an import are damaged");
        int rc = place < from ? 0 : tell_place(l, place, slice_sub(rest, 2, n), err);
        if (rc != 0)
            return rc;
        rest = slice_from(rest, 2 + n);
    }
    return 0;
}

static int scan_places(struct log_scan *l, uint64_t from, struct err *err)
{
    struct stage_key start = stage_key(l->v->number, STAGE_TAG_PLACE, SLICE_NONE);
    struct bdb_cursor *cursor;
    struct slice key, value;
    struct buf below;
    uint64_t place;
    int rc;

    /* The pair that has the first place wanted begins with it or below. */
    unsigned char bytes[HISTORY_KEY_SIZE];
    history_key(from + 1, bytes);
    const struct stage_key above =
        stage_key(l->v->number, STAGE_TAG_PLACE, slice_make(bytes, sizeof bytes));
    buf_init(&below, STAGE_KEY_SIZE);
    rc = bdb_last_below(l->s->staged, store_bdb_txn(l->txn), stage_key_slice(&above), &below, err);
    bool is_there = rc == 1 && slice_starts(buf_slice(&below), stage_key_slice(&start));
    if (rc >= 0)
        rc = bdb_cursor_open(l->s->staged, store_bdb_txn(l->txn),
            is_there ? buf_slice(&below) : stage_key_slice(&start), &cursor, err);
    buf_fini(&below);
    if (rc != 0)
        return -1;
    while ((rc = bdb_cursor_next(cursor, &key, &value, err)) == 1 &&
           slice_starts(key, stage_key_slice(&start))) {
        if (history_key_parse(slice_from(key, STAGE_PREFIX_SIZE), &place) != 0)
            rc = err_set(err, ERR_PERM, EX_DATAERR, "the rows of an import are damaged");
        else
            rc = tell_keys(l, place, from, value, err);
        if (rc != 0) {
            bdb_cursor_close(&cursor);
            return rc;
        }
    }
    bdb_cursor_close(&cursor);
    return rc < 0 ? -1 : 0;
}

int view_scan_history(struct store *s, struct store_txn *txn, const struct store_view *v,
    uint64_t from, int (*fn)(void *arg, const struct history_record *record, struct err *err),
    void *arg, struct err *err)
{
    struct log_scan l = {.s = s, .txn = txn, .v = v, .fn = fn, .arg = arg};

    buf_init(&l.row, STAGE_VALUE_MAX);
    buf_init(&l.old, 2 * ROUTE_RECORD_MAX);
    buf_init(&l.value, STORE_VALUE_MAX);
    int rc = scan_places(&l, from > v->base ? from - v->base : 1, err);
    buf_fini(&l.row);
    buf_fini(&l.old);
    buf_fini(&l.value);
    return rc;
}
