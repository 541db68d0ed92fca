/* SPDX-License-Identifier: ISC */
/* authority: see authority.h.  One loop repeats, one switch knows the calls. */
#include "imapsync/move/authority.h"

#include <poll.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/buf.h"
#include "base/core/clock.h"

#define PAUSE_MS 50

enum ask_kind { ASK_GET, ASK_HOLD, ASK_BARRIER, ASK_FLIP, ASK_RELEASE, ASK_RETIRE };

struct ask {
    enum ask_kind kind;
    const char *user;
    const struct move_record *r;
    uint64_t timeout_ms;
    const char *why;
    /* answers */
    uint64_t epoch;
    enum client_barrier barrier;
    json_t *reply; /* of GET and FLIP */
};

void authority_init(struct authority *a, const char *run_dir)
{
    *a = (struct authority){.run_dir = run_dir};
}

void authority_fini(struct authority *a)
{
    client_close(&a->client);
}

static void derive_id(
    const struct move_record *r, const char *what, char out[CLIENT_REQUEST_ID_MAX])
{
    if (fmt_into(out, CLIENT_REQUEST_ID_MAX, "%s-%s", what, r->id) != 0)
        BUG("the id of an attempt is short");
}

void authority_flip_id(const struct move_record *r, char out[CLIENT_REQUEST_ID_MAX])
{
    derive_id(r, "flip", out);
}

static int call(struct client *c, struct ask *q, struct err *err)
{
    char id[CLIENT_REQUEST_ID_MAX], why[2 * MOVE_NAME_MAX];
    const struct move_record *r = q->r;
    /* The same text each time: a repeated request has to be the same request. */
    if (r && fmt_into(why, sizeof(why), "cut-over from %s to %s", r->from, r->to) != 0)
        why[0] = '\0';
    switch (q->kind) {
    case ASK_GET:
        return client_get(c, q->user, &q->reply, err);
    case ASK_HOLD:
        derive_id(r, "hold", id);
        return client_hold(
            c, r->user, AUTHORITY_OWNER, id, r->hold_deadline_ms, why, &q->epoch, err);
    case ASK_BARRIER:
        return client_barrier(c, r->user, r->hold_epoch, q->timeout_ms, &q->barrier, err);
    case ASK_FLIP:
        authority_flip_id(r, id);
        return client_flip(c, r->user, r->hold_epoch, r->to, id, why, &q->reply, err);
    case ASK_RELEASE:
        derive_id(r, "release", id);
        return client_release(c, r->user, r->hold_epoch, id, q->why, err);
    case ASK_RETIRE:
        derive_id(r, "retire", id);
        return client_retire(c, r->user, id, why, err);
    }
    BUG("all kinds are above");
}

static int ask(struct authority *a, struct ask *q, bool *knows_out, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + (a->is_patient ? AUTHORITY_PATIENCE_MS : 0);
    *knows_out = false;
    for (;;) {
        err_clear(err);
        if (a->client || client_open(a->run_dir, AUTHORITY_CALL_MS, &a->client, err) == 0) {
            if (call(a->client, q, err) == 0) {
                *knows_out = true;
                return 0;
            }
            if (!client_is_lost(a->client)) {
                *knows_out = true;
                return -1;
            }
            client_close(&a->client);
        } else if (err->class != ERR_TEMP) {
            return -1;
        }
        if (clock_mono_ms() >= until_ms)
            return -1;
        poll(NULL, 0, PAUSE_MS);
    }
}

static int copy_text(
    const json_t *object, const char *name, char *out, size_t size, struct err *err)
{
    const char *text = json_string_value(json_object_get(object, name));
    if (fmt_into(out, size, "%s", text ? text : "") != 0)
        return err_set(err, ERR_PEER, EX_PROTOCOL, "coexist-mapd sent an overlong %s", name);
    return 0;
}

int authority_get(struct authority *a, const char *user, struct authority_entry *out,
    bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_GET, .user = user};
    *out = (struct authority_entry){0};
    if (ask(a, &q, knows_out, err) != 0) {
        if (!*knows_out || err->code != 1)
            return -1;
        err_clear(err);
        return 0;
    }
    const json_t *entry = json_object_get(q.reply, "entry");
    const char *kind = json_string_value(json_object_get(entry, "kind"));
    const char *state = json_string_value(json_object_get(entry, "state"));
    out->is_there = true;
    out->is_mailbox = kind && strcmp(kind, "mailbox") == 0;
    out->is_held = !state || strcmp(state, "active") != 0;
    out->epoch = (uint64_t)json_integer_value(json_object_get(entry, "epoch"));
    int result = 0;
    if (copy_text(entry, "route", out->route, sizeof(out->route), err) != 0 ||
        copy_text(entry, "deliver_as", out->deliver_as, sizeof(out->deliver_as), err) != 0 ||
        copy_text(json_object_get(entry, "hold"), "owner", out->holder, sizeof(out->holder), err) !=
            0)
        result = -1;
    json_decref(q.reply);
    return result;
}

static json_t *follow_of(const json_t *reply)
{
    json_t *text = json_object_get(reply, "follow"), *keys = json_object_get(reply, "followers");
    return text ? json_pack("{s:O, s:O*}", "follow", text, "followers", keys) : NULL;
}

int authority_follow(
    struct authority *a, const char *user, json_t **out, bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_GET, .user = user};
    int result = ask(a, &q, knows_out, err);
    *out = follow_of(q.reply);
    json_decref(q.reply);
    return result;
}

int authority_hold(struct authority *a, const struct move_record *r, uint64_t *epoch_out,
    bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_HOLD, .r = r};
    int result = ask(a, &q, knows_out, err);
    *epoch_out = q.epoch;
    return result;
}

int authority_barrier(struct authority *a, const struct move_record *r, uint64_t timeout_ms,
    enum client_barrier *out, bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_BARRIER, .r = r, .timeout_ms = timeout_ms};
    int result = ask(a, &q, knows_out, err);
    *out = q.barrier;
    return result;
}

int authority_flip(struct authority *a, const struct move_record *r, uint64_t *epoch_out,
    json_t **follow_out, bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_FLIP, .r = r};
    int result = ask(a, &q, knows_out, err);
    *epoch_out = (uint64_t)json_integer_value(json_object_get(q.reply, "epoch"));
    *follow_out = follow_of(q.reply);
    json_decref(q.reply);
    return result;
}

int authority_release(struct authority *a, const struct move_record *r, const char *why,
    bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_RELEASE, .r = r, .why = why};
    return ask(a, &q, knows_out, err);
}

int authority_retire(
    struct authority *a, const struct move_record *r, bool *knows_out, struct err *err)
{
    struct ask q = {.kind = ASK_RETIRE, .r = r};
    return ask(a, &q, knows_out, err);
}
