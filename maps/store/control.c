/* SPDX-License-Identifier: ISC */
/*
 * control: the table of operations, what is common to all requests (rights, request ids, errors)
 * and the members that they share.
 *
 * A request that is refused has changed nothing.  Single changes check everything before they
 * write, so they can share a transaction with others; batches may find out late and own theirs.
 */
#include "maps/store/control_priv.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sysexits.h>
#include "base/core/log.h"

#define RESULT_MAX (32u << 10)
#define KEY_TEXT_MAX 1024

struct op {
    const char *name;
    enum control_kind kind;
    enum control_outcome (*run)(struct control_call *call); /* NULL: somebody else's */
};

static const struct op OPS[] = {
    {"get", CONTROL_READ, control_get},
    {"list", CONTROL_READ, control_list},
    {"log", CONTROL_READ, control_log},
    {"dump", CONTROL_READ, control_dump},
    {"status", CONTROL_READ, control_status},
    {"set", CONTROL_WRITE, control_set_entry},
    {"del", CONTROL_WRITE, control_del},
    {"hold", CONTROL_WRITE, control_hold},
    {"flip", CONTROL_WRITE, control_flip},
    {"release", CONTROL_WRITE, control_release},
    {"retire", CONTROL_WRITE, control_retire},
    {"apply", CONTROL_BATCH, control_apply},
    {"revert", CONTROL_BATCH, control_revert},
    {"restore_begin", CONTROL_STAGE, control_restore_begin},
    {"restore_put", CONTROL_STAGE, control_restore_put},
    {"restore_commit", CONTROL_BATCH, control_restore_commit},
    {"take", CONTROL_WRITE, control_take},
    {"begin", CONTROL_STAGE, control_import_begin},
    {"put", CONTROL_ROWS, control_import_put},
    {"abort", CONTROL_STAGE, control_import_abort},
    {"commit", CONTROL_BATCH, control_import_commit},
    {"unmapped", CONTROL_LEARNT, control_unmapped},
    {"barrier", CONTROL_BARRIER, NULL},
};

static const struct op *find_op(const json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "op"));
    for (size_t i = 0; name && i < sizeof OPS / sizeof OPS[0]; i++)
        if (strcmp(OPS[i].name, name) == 0)
            return &OPS[i];
    return NULL;
}

enum control_kind control_kind(const json_t *request)
{
    const struct op *op = find_op(request);
    return op ? op->kind : CONTROL_UNKNOWN;
}

/* --- Replies ---------------------------------------------------------------------- */

static json_t *error_member(const struct err *err)
{
    json_t *e = json_object();
    control_set(e, "class", slice_str(err_class_name(err->class)));
    control_set_u64(e, "code", (uint64_t)(err->code > 0 ? err->code : EX_SOFTWARE));
    control_set(e, "text", slice_str(err->text));
    return e;
}

json_t *control_error(const struct err *err)
{
    json_t *reply = json_object();
    json_object_set_new(reply, "ok", json_false());
    json_object_set_new(reply, "error", error_member(err));
    return reply;
}

int control_refuse(struct control_call *call, enum err_class class, int code, const char *fmt, ...)
{
    char text[ERR_TEXT_MAX];
    va_list ap;
    struct buf b;

    buf_init(&b, sizeof text - 1);
    va_start(ap, fmt);
    int full = buf_vaddf(&b, fmt, ap);
    va_end(ap);
    err_set(call->err, class, code, "%s", full ? "refused" : buf_cstr(&b));
    buf_fini(&b);
    return CONTROL_REFUSED;
}

/* Text in the map is UTF-8 because it came in as JSON; damaged text becomes null. */
void control_set(json_t *object, const char *name, struct slice text)
{
    json_t *v = text.n ? json_stringn((const char *)text.p, text.n) : json_string("");
    json_object_set_new(object, name, v ? v : json_null());
}

void control_set_u64(json_t *object, const char *name, uint64_t v)
{
    json_object_set_new(object, name, json_integer((json_int_t)v));
}

/* --- Members -------------------------------------------------------------------------- */

int control_string(const json_t *request, const char *name, size_t max, bool required,
    struct slice *out, struct err *err)
{
    const json_t *v = json_object_get(request, name);
    *out = SLICE_LIT("");
    if (!v)
        return required ? err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is missing", name) : 0;
    if (!json_is_string(v))
        return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" has to be a string", name);
    *out = slice_make(json_string_value(v), json_string_length(v));
    if (out->n > max)
        return err_set(err, ERR_PERM, EX_DATAERR, "\"%s\" is longer than %zu bytes", name, max);
    if (required && out->n == 0)
        return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is empty", name);
    if (slice_find(*out, '\n') >= 0 || slice_find(*out, '\r') >= 0 || slice_find(*out, '\0') >= 0)
        return err_set(err, ERR_PERM, EX_DATAERR, "\"%s\" has to be one line", name);
    return 0;
}

int control_number(const json_t *request, const char *name, uint64_t max, bool required,
    uint64_t *out, struct err *err)
{
    const json_t *v = json_object_get(request, name);
    if (!v)
        return required ? err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is missing", name) : 0;
    if (!json_is_integer(v) || json_integer_value(v) < 0 || (uint64_t)json_integer_value(v) > max)
        return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" has to be a number from 0 to %llu", name,
            (unsigned long long)max);
    *out = (uint64_t)json_integer_value(v);
    return 0;
}

int control_flag(const json_t *request, const char *name, bool *out, struct err *err)
{
    const json_t *v = json_object_get(request, name);
    if (v && !json_is_boolean(v))
        return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" has to be true or false", name);
    *out = json_is_true(v);
    return 0;
}

int control_key(const struct conf *conf, const json_t *request, struct buf *key, struct err *err)
{
    struct slice text;
    if (control_string(request, "key", KEY_TEXT_MAX, true, &text, err) != 0)
        return -1;
    buf_clear(key);
    if (normalise_key(conf, text, key) != 0 || key->n > ROUTE_KEY_MAX)
        return err_set(err, ERR_PERM, EX_DATAERR,
            "%.*s is not an address or @domain that can be in the map", SLICE_ARG(text));
    struct slice domain = normalise_domain(buf_slice(key));
    if (!conf_domain(conf, domain))
        return err_set(err, ERR_PERM, EX_DATAERR,
            "%.*s: the domain %.*s is not in the configuration", SLICE_ARG(text),
            SLICE_ARG(domain));
    return 0;
}

/* --- Running --------------------------------------------------------------------------- */

static int request_digest(const json_t *request, uint64_t *out, struct err *err)
{
    char *text = json_dumps(request, JSON_COMPACT | JSON_SORT_KEYS);
    if (!text)
        return err_set(err, ERR_TEMP, EX_OSERR, "no memory for the request");
    *out = route_key_hash(slice_str(text));
    free(text);
    return 0;
}

/* Finds the result of the same request from before; *found_out and call->reply. */
static enum control_outcome recall(struct control_call *call, uint64_t digest, bool *found_out)
{
    struct control *c = call->c;
    struct buf result;
    uint64_t recorded;
    enum control_outcome outcome = CONTROL_DONE;

    buf_init(&result, RESULT_MAX + 64);
    if (store_result_get(c->store, call->txn, call->cause.request_id, &recorded, &result, found_out,
            call->err) != 0) {
        outcome = CONTROL_FAILED;
    } else if (*found_out && recorded != digest) {
        outcome = control_refuse(call, ERR_PERM, EX_USAGE,
            "the request id %.*s belongs to another request", SLICE_ARG(call->cause.request_id));
    } else if (*found_out) {
        json_t *reply = json_loadb((const char *)buf_slice(&result).p, result.n, 0, NULL);
        if (reply) {
            json_decref(call->reply);
            call->reply = reply;
        } else {
            outcome = err_set(call->err, ERR_PERM, EX_DATAERR, "a recorded result is damaged");
        }
    }
    buf_fini(&result);
    return outcome;
}

static enum control_outcome record(struct control_call *call, uint64_t digest)
{
    char *text = json_dumps(call->reply, JSON_COMPACT);
    if (!text)
        return (enum control_outcome)err_set(
            call->err, ERR_TEMP, EX_OSERR, "no memory for the result");
    int rc = store_result_put(
        call->txn, call->cause.request_id, digest, slice_str(text), call->cause.when_s, call->err);
    free(text);
    return rc == 0 ? CONTROL_DONE : CONTROL_FAILED;
}

/* What people ask for; a cut-over is its own reason. */
static bool needs_why(const struct op *op)
{
    static const char *const OWN_REASON[] = {"hold", "flip", "release"};
    for (size_t i = 0; i < sizeof OWN_REASON / sizeof OWN_REASON[0]; i++)
        if (strcmp(op->name, OWN_REASON[i]) == 0)
            return false;
    return true;
}

static enum control_outcome run_change(struct control_call *call, const struct op *op)
{
    size_t changes = store_change_count(call->txn);
    uint64_t digest = 0;
    bool found = false;

    if (control_string(call->request, "id", STORE_REQUEST_ID_MAX, false, &call->cause.request_id,
            call->err) != 0 ||
        control_string(call->request, "why", STORE_WHY_MAX, false, &call->cause.why, call->err) !=
            0)
        return CONTROL_REFUSED;
    if (call->c->conf->mapd.why_required && call->cause.why.n == 0 && needs_why(op))
        return (enum control_outcome)control_refuse(call, ERR_PERM, EX_USAGE,
            "say why: --why TEXT (the configuration has mapd { why = required })");
    call->cause.who = slice_str(call->session->who);
    call->cause.when_s = call->c->now_ms / 1000;
    bool has_id = call->cause.request_id.n > 0;
    if (has_id && request_digest(call->request, &digest, call->err) != 0)
        return CONTROL_REFUSED;
    enum control_outcome outcome = has_id ? recall(call, digest, &found) : CONTROL_DONE;
    if (outcome != CONTROL_DONE || found)
        return outcome;
    outcome = op->run(call);
    if (outcome != CONTROL_DONE || !has_id || store_change_count(call->txn) == changes ||
        call->c->must_abort || call->c->must_continue)
        return outcome;
    json_object_set_new(call->reply, "ok", json_true());
    return record(call, digest);
}

int control_may(const struct control_session *s, bool reads, struct err *err)
{
    if (s->is_shut_out)
        return err_set(err, ERR_PERM, EX_NOPERM,
            "user %s has the snapshot to read and may ask nothing here", s->who);
    if (!reads && !s->may_write)
        return err_set(
            err, ERR_PERM, EX_NOPERM, "user %s may read the map but not change it", s->who);
    return 0;
}

static enum control_outcome run_op(struct control_call *call, const struct op *op)
{
    if (!op || !op->run)
        return control_refuse(call, ERR_PERM, EX_USAGE, "unknown \"op\"");
    if (control_may(
            call->session, op->kind == CONTROL_READ || op->kind == CONTROL_LEARNT, call->err) != 0)
        return CONTROL_REFUSED;
    if (op->kind == CONTROL_WRITE || op->kind == CONTROL_BATCH)
        return run_change(call, op);
    return op->run(call);
}

void control_failed(struct control_session *s)
{
    control_import_free(&s->import);
}

int control_run(struct control *c, struct control_session *s, struct store_txn *txn,
    const json_t *request, json_t **reply_out, struct err *err)
{
    const struct op *op = find_op(request);
    struct control_call call = {
        .c = c, .session = s, .txn = txn, .request = request, .reply = json_object(), .err = err};

    c->must_abort = c->must_continue = false;
    enum control_outcome outcome = run_op(&call, op);
    if (outcome == CONTROL_FAILED) {
        json_decref(call.reply);
        return -1;
    }
    if (c->must_continue) {
        json_decref(call.reply);
        *reply_out = NULL;
        return 0;
    }
    if (outcome == CONTROL_REFUSED) {
        c->must_abort = op && op->kind == CONTROL_BATCH;
        json_object_set_new(call.reply, "error", error_member(err));
        err_clear(err);
    }
    json_object_set_new(call.reply, "ok", json_boolean(outcome == CONTROL_DONE));
    *reply_out = call.reply;
    return 0;
}
