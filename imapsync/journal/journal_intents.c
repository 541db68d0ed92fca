/* SPDX-License-Identifier: ISC */
/* journal_intents: what was begun, and whose outcome is not known. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/journal/journal_parts.h"
#include "imapsync/journal/pack.h"

void journal_intent_put(struct journal *j, uint32_t folder, struct intent *i)
{
    struct buf key, value, uids;
    i->id = ++j->last_intent;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    buf_init(&uids, RECORD_MAX);
    for (size_t k = 0; k < i->n && i->kind != INTENT_MOVE; k++)
        record_add_uid(&uids, i->uids[k]);
    for (size_t k = 0; k < i->n && i->kind == INTENT_MOVE; k++) {
        pack_u32(&uids, i->uids[k]);
        pack_u32(&uids, i->new_uids[k]);
    }
    const struct record_intent r = {.kind = i->kind,
        .to = (uint8_t)j->to,
        .time_ms = i->time_ms,
        .uidnext = i->tgt_uidnext,
        .add = i->add,
        .remove = i->remove,
        .folder = i->to,
        .uids = buf_slice(&uids)};
    record_key_intent(&key, folder, i->id);
    record_pack_intent(&value, &r);
    journal_put_record(j, j->t.state, &key, &value);
    journal_put_last(j);
    buf_fini(&key);
    buf_fini(&value);
    buf_fini(&uids);
}

void journal_intent_sent_put(
    struct journal *j, uint32_t folder, uint64_t id, const struct intent_sent *sent, size_t n)
{
    struct buf key, value;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    for (size_t i = 0; i < n; i++) {
        struct record_sent r = {.uid = sent[i].uid,
            .size = sent[i].content.size,
            .flags = sent[i].flags,
            .canon = sent[i].content.canon};
        memcpy(r.digest, sent[i].content.digest, SHA256_SIZE);
        record_add_sent(&value, &r);
    }
    record_key_sent(&key, folder, id);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}

void journal_intent_del(struct journal *j, uint32_t folder, uint64_t id)
{
    struct buf key;
    buf_init(&key, 16);
    record_key_intent(&key, folder, id);
    journal_del_record(j, j->t.state, &key);
    record_key_sent(&key, folder, id);
    journal_del_record(j, j->t.state, &key);
    buf_fini(&key);
}

static void add_intent(
    struct intent **v, size_t *n, uint32_t folder, uint64_t id, const struct record_intent *r)
{
    struct slice uids = r->uids;
    bool is_move = r->kind == INTENT_MOVE;
    *v = mem_realloc_array(*v, *n + 1, sizeof(**v));
    struct intent *i = &(*v)[(*n)++];
    *i = (struct intent){.id = id,
        .folder = folder,
        .kind = r->kind,
        .time_ms = r->time_ms,
        .tgt_uidnext = r->uidnext,
        .add = r->add,
        .remove = r->remove,
        .to = r->folder};
    i->uids = mem_realloc_array(NULL, uids.n / 4 + 1, sizeof(*i->uids));
    if (is_move)
        i->new_uids = mem_realloc_array(NULL, uids.n / 8 + 1, sizeof(*i->new_uids));
    while (record_next_uid(&uids, &i->uids[i->n]) &&
           (!is_move || record_next_uid(&uids, &i->new_uids[i->n])))
        i->n++;
}

/* What is on its way of each. */
static int get_sent(struct journal *j, uint32_t folder, struct intent *i, struct err *err)
{
    struct buf key, value;
    struct record_sent r;
    bool found;
    buf_init(&key, 16);
    buf_init(&value, RECORD_MAX);
    record_key_sent(&key, folder, i->id);
    int result = bdb_get(j->t.state, j->t.txn, buf_slice(&key), &value, &found, err);
    struct slice rest = result == 0 && found ? buf_slice(&value) : SLICE_NONE;
    while (result == 0 && rest.n > 0) {
        if (!record_next_sent(&rest, &r)) {
            result = journal_damaged(j, "what an intent has sent", err);
            break;
        }
        i->sent = mem_realloc_array(i->sent, i->n_sent + 1, sizeof(*i->sent));
        struct intent_sent *s = &i->sent[i->n_sent++];
        *s = (struct intent_sent){.uid = r.uid,
            .flags = r.flags,
            .content = {.has_digest = true, .canon = r.canon, .size = r.size}};
        memcpy(s->content.digest, r.digest, SHA256_SIZE);
    }
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

#define KIND_NO_APPEND 0
#define KIND_ANY UINT_MAX

static bool is_kind(const struct record_intent *i, unsigned kind)
{
    return kind == KIND_ANY ||
           (kind != KIND_NO_APPEND ? i->kind == kind : i->kind != INTENT_APPEND);
}

/* folder 0: of all. */
static int intents_of(struct journal *j, uint32_t folder, unsigned kind, struct intent **out,
    size_t *n_out, struct err *err)
{
    struct bdb_cursor *c;
    struct slice key, value;
    struct buf from;
    int r;
    *out = NULL;
    *n_out = 0;
    buf_init(&from, 16);
    record_key_intent(&from, folder, 0);
    r = bdb_cursor_open(j->t.state, NULL, buf_slice(&from), &c, err);
    buf_fini(&from);
    if (r != 0)
        return -1;
    while ((r = bdb_cursor_next(c, &key, &value, err)) > 0) {
        uint32_t its;
        uint64_t id;
        struct record_intent i;
        if (!record_is_intent(key, &its, &id) || (folder != 0 && its != folder)) {
            r = 0;
            break;
        }
        if (!record_unpack_intent(value, &i)) {
            r = journal_damaged(j, "intent", err);
            break;
        }
        if (is_kind(&i, kind) && i.to == j->to)
            add_intent(out, n_out, its, id, &i);
    }
    bdb_cursor_close(&c);
    for (size_t i = 0; r == 0 && i < *n_out; i++)
        r = get_sent(j, (*out)[i].folder, &(*out)[i], err);
    if (r < 0) {
        intents_free(*out, *n_out);
        *out = NULL;
        *n_out = 0;
    }
    return r;
}

int journal_intents(struct journal *j, uint32_t folder, enum intent_kind kind, struct intent **out,
    size_t *n_out, struct err *err)
{
    return intents_of(j, folder, kind, out, n_out, err);
}

int journal_intents_any(
    struct journal *j, uint32_t folder, struct intent **out, size_t *n_out, struct err *err)
{
    return intents_of(j, folder, KIND_ANY, out, n_out, err);
}

int journal_has_appends(struct journal *j, uint32_t folder, bool *out, struct err *err)
{
    struct intent *v;
    size_t n;
    if (journal_intents(j, folder, INTENT_APPEND, &v, &n, err) != 0)
        return -1;
    intents_free(v, n);
    *out = n > 0;
    return 0;
}

int journal_intents_all(struct journal *j, struct intent **out, size_t *n_out, struct err *err)
{
    return intents_of(j, 0, KIND_NO_APPEND, out, n_out, err);
}

void intents_free(struct intent *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(v[i].uids);
        free(v[i].sent);
        free(v[i].new_uids);
    }
    free(v);
}
