/* SPDX-License-Identifier: ISC */
/* whose: see whose.h. */
#include "imapsync/copy/whose.h"

#include <string.h>

#include "base/core/num.h"
#include "imapsync/stream/bodies.h"

#define INBOX SLICE_LIT("INBOX")

/* --- INBOX ---------------------------------------------------------------------------------- */

/* *is_there_out false: there is none. */
static int open_inbox(struct end *e, const struct end_open *o, struct end_changes *out,
    bool *is_there_out, struct err *err)
{
    struct end_ticket t = {0};
    e->ops->open(e, o, out, &t);
    if (end_wait(e, &t, err) != 0)
        return -1;
    *is_there_out = t.result == END_OK;
    return 0;
}

/* First and last of what was listed, ascending. */
static size_t ends_of(const struct end_changes *c, uint32_t out[WHOSE_MESSAGES])
{
    size_t n = c->is_brief ? c->n_uids : c->n;
    if (n == 0)
        return 0;
    out[0] = c->is_brief ? uid_set_next(&c->uids, 0) : c->v[0].uid;
    out[1] = c->is_brief ? uid_set_last(&c->uids) : c->v[c->n - 1].uid;
    return out[0] == out[1] ? 1 : 2;
}

/* What cannot be read tells nothing, and is no reason not to copy the rest. */
static int digests(
    struct end *e, const uint32_t *uids, size_t n, struct body v[WHOSE_MESSAGES], struct err *err)
{
    for (size_t i = 0; i < n; i++)
        v[i] = (struct body){.uid = uids[i]};
    if (bodies_digest(e, v, n, err) == 0)
        return 0;
    if (e->ops->is_broken(e))
        return -1;
    err_clear(err);
    return 0;
}

/* It goes into files that people read. */
static bool is_plain(struct slice id)
{
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= 0x20 || id.p[i] >= 0x7f)
            return false;
    }
    return true;
}

static int identity(struct end *e, char out[END_IDENTITY_MAX + 1], struct err *err)
{
    struct end_ticket t = {0};
    struct buf id;
    buf_init(&id, END_IDENTITY_MAX);
    e->ops->identify(e, &id, &t);
    int result = end_wait(e, &t, err);
    memset(out, 0, END_IDENTITY_MAX + 1);
    if (result == 0 && is_plain(buf_slice(&id)) && id.n > 0)
        memcpy(out, buf_slice(&id).p, id.n);
    buf_fini(&id);
    return result;
}

static int look_at_messages(struct end *e, struct whose *out, struct err *err)
{
    struct keywords keywords = {0};
    struct end_changes c;
    uint32_t uids[WHOSE_MESSAGES];
    struct body v[WHOSE_MESSAGES];
    bool is_there = false;
    end_changes_init(&c, &keywords);
    int result =
        open_inbox(e, &(struct end_open){.folder = INBOX, .is_brief = true}, &c, &is_there, err);
    size_t n = result == 0 && is_there ? ends_of(&c, uids) : 0;
    if (n > 0)
        result = digests(e, uids, n, v, err);
    out->uidvalidity = c.uidvalidity;
    for (size_t i = 0; result == 0 && i < n; i++) {
        if (!v[i].is_there)
            continue;
        out->v[out->n].uid = v[i].uid;
        memcpy(out->v[out->n++].digest, v[i].digest, SHA256_SIZE);
    }
    end_changes_fini(&c);
    keywords_fini(&keywords);
    return result;
}

int whose_look(struct end *e, struct whose *out, struct err *err)
{
    *out = (struct whose){0};
    if (identity(e, out->id, err) != 0)
        return -1;
    return out->id[0] ? 0 : look_at_messages(e, out, err);
}

bool whose_is_told(const struct whose *w)
{
    return w->id[0] || w->n > 0;
}

/* What was seen then is there now. */
static int has_all(struct end *e, const struct whose *then, bool *out, struct err *err)
{
    struct keywords keywords = {0};
    struct end_changes c;
    struct body v[WHOSE_MESSAGES];
    uint32_t uids[WHOSE_MESSAGES];
    bool is_there = false;
    end_changes_init(&c, &keywords);
    const struct end_open o = {
        .folder = INBOX, .is_only_opened = true, .uidvalidity = then->uidvalidity};
    int result = open_inbox(e, &o, &c, &is_there, err);
    end_changes_fini(&c);
    keywords_fini(&keywords);
    if (result != 0 || !is_there)
        return result;
    for (size_t i = 0; i < then->n; i++)
        uids[i] = then->v[i].uid;
    if (digests(e, uids, then->n, v, err) != 0)
        return -1;
    *out = true;
    for (size_t i = 0; i < then->n; i++) {
        if (!v[i].is_there || memcmp(v[i].digest, then->v[i].digest, SHA256_SIZE) != 0)
            *out = false;
    }
    return 0;
}

int whose_is(
    struct end *e, const struct whose *now, const struct whose *then, bool *out, struct err *err)
{
    *out = false;
    if (now->id[0] || then->id[0]) {
        *out = strcmp(now->id, then->id) == 0;
        return 0;
    }
    if (now->n == 0 || then->n == 0 || now->uidvalidity != then->uidvalidity)
        return 0;
    return has_all(e, then, out, err);
}

/* --- Both ends of a copy ---------------------------------------------------------------------- */

/* The last message of an INBOX, UID 0 when there is none, and a flag that it lacks and that would
 * last, or 0. */
static int last_message(struct end *e, struct listed *out, uint8_t *lacks_out, struct err *err)
{
    static const uint8_t flags[] = {FLAG_FLAGGED, FLAG_ANSWERED, FLAG_SEEN};
    struct keywords keywords = {0};
    struct end_changes c;
    bool is_there = false;
    *out = (struct listed){0};
    *lacks_out = 0;
    end_changes_init(&c, &keywords);
    const struct end_open o = {.folder = INBOX, .is_for_writing = true, .want = END_WANT_FLAGS};
    int result = open_inbox(e, &o, &c, &is_there, err);
    if (result == 0 && is_there && c.n > 0)
        *out = c.v[c.n - 1];
    for (size_t i = 0; i < sizeof(flags) && out->uid > 0 && *lacks_out == 0; i++)
        *lacks_out = c.storable & ~out->flags.system & flags[i] ? flags[i] : 0;
    end_changes_fini(&c);
    keywords_fini(&keywords);
    return result;
}

static int set_flag(
    struct end *e, uint32_t uid, uint8_t flag, bool on, bool *done_out, struct err *err)
{
    static const struct keywords none;
    const struct flags f = {.system = flag};
    const struct end_flags how = {.is_removal = !on, .flags = &f, .keywords = &none};
    struct end_ticket t = {0};
    e->ops->flags(e, &uid, 1, &how, NULL, &t);
    int result = end_wait(e, &t, err);
    *done_out = t.result == END_OK;
    return result;
}

static int has_flag(struct end *e, uint32_t uid, uint8_t flag, bool *out, struct err *err)
{
    struct keywords keywords = {0};
    struct end_changes c;
    bool is_there = false;
    end_changes_init(&c, &keywords);
    int result =
        open_inbox(e, &(struct end_open){.folder = INBOX, .from = uid, .want = END_WANT_FLAGS}, &c,
            &is_there, err);
    const struct listed *m = is_there ? end_changes_find(&c, uid) : NULL;
    *out = m && m->flags.system & flag;
    end_changes_fini(&c);
    keywords_fini(&keywords);
    return result;
}

/* Where there is no message, or nothing lasts, what both tell of themselves has to do. */
static int is_seen_through(struct end *from, struct end *to, bool *out, struct err *err)
{
    struct listed m;
    uint8_t flag;
    bool had = false, is_set, is_off;
    *out = true;
    if (last_message(to, &m, &flag, err) != 0)
        return -1;
    if (flag == 0)
        return 0;
    if (has_flag(from, m.uid, flag, &had, err) != 0)
        return -1;
    if (had) {
        *out = false;
        return 0;
    }
    if (set_flag(to, m.uid, flag, true, &is_set, err) != 0)
        return -1;
    if (!is_set)
        return 0;
    int result = has_flag(from, m.uid, flag, out, err);
    return set_flag(to, m.uid, flag, false, &is_off, err) == 0 ? result : -1;
}

/* 0: there is none. */
static int validity(struct end *e, uint32_t *out, struct err *err)
{
    struct keywords none = {0};
    struct end_changes c;
    bool is_there = false;
    end_changes_init(&c, &none);
    int result = open_inbox(
        e, &(struct end_open){.folder = INBOX, .is_only_opened = true}, &c, &is_there, err);
    *out = is_there ? c.uidvalidity : 0;
    end_changes_fini(&c);
    return result;
}

/* Nothing is read of mailboxes whose numbers differ, as most do. */
static int may_be_same(struct end *from, struct end *to, bool *out, struct err *err)
{
    struct whose a = {0}, b = {0};
    uint32_t v, w;
    if (identity(from, a.id, err) != 0 || identity(to, b.id, err) != 0)
        return -1;
    *out = strcmp(a.id, b.id) == 0;
    if (a.id[0] || b.id[0])
        return 0;
    if (validity(from, &v, err) != 0 || validity(to, &w, err) != 0)
        return -1;
    *out = false;
    if (v == 0 || v != w)
        return 0;
    if (look_at_messages(from, &a, err) != 0 || look_at_messages(to, &b, err) != 0)
        return -1;
    return whose_is(to, &b, &a, out, err);
}

int whose_same(struct end *from, struct end *to, bool *out, struct err *err)
{
    if (may_be_same(from, to, out, err) != 0)
        return -1;
    return *out ? is_seen_through(from, to, out, err) : 0;
}

/* --- JSON ------------------------------------------------------------------------------------- */

json_t *whose_json(const struct whose *w)
{
    char hex[2 * SHA256_SIZE + 1];
    json_t *messages = json_array();
    for (size_t i = 0; i < w->n; i++) {
        for (size_t k = 0; k < SHA256_SIZE; k++)
            BUG_ON(fmt_into(hex + 2 * k, 3, "%02x", w->v[i].digest[k]) != 0);
        json_array_append_new(
            messages, json_pack("{s:I, s:s}", "uid", (json_int_t)w->v[i].uid, "sha256", hex));
    }
    if (w->id[0])
        json_decref(messages);
    return w->id[0] ? json_pack("{s:s}", "id", w->id)
                    : json_pack("{s:I, s:o}", "uidvalidity", (json_int_t)w->uidvalidity, "messages",
                          messages);
}

int whose_from_json(const json_t *json, struct whose *out)
{
    const char *id = json_string_value(json_object_get(json, "id"));
    const json_t *messages = json_object_get(json, "messages");
    json_int_t validity = json_integer_value(json_object_get(json, "uidvalidity"));
    *out = (struct whose){0};
    if (id)
        return *id ? fmt_into(out->id, sizeof(out->id), "%s", id) : -1;
    if (!json_is_array(messages) || json_array_size(messages) > WHOSE_MESSAGES || validity < 0 ||
        validity > UINT32_MAX)
        return -1;
    out->uidvalidity = (uint32_t)validity;
    for (size_t i = 0; i < json_array_size(messages); i++) {
        const json_t *m = json_array_get(messages, i);
        const char *hex = json_string_value(json_object_get(m, "sha256"));
        json_int_t uid = json_integer_value(json_object_get(m, "uid"));
        if (!hex || uid < 1 || uid > UINT32_MAX ||
            num_hex(slice_str(hex), out->v[i].digest, SHA256_SIZE) != 0)
            return -1;
        out->v[i].uid = (uint32_t)uid;
        out->n++;
    }
    return 0;
}
