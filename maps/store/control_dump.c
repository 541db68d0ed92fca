/* SPDX-License-Identifier: ISC */
/*
 * control_dump: the records of the map as they are, for backups: every key from one on, deleted
 * ones too, or what has changed since a generation.  Pages that were read while the map changed and
 * all that changed since the first of them are together the map at the last generation.  The last
 * page of both ends with the sources of imports.
 */
#include "maps/store/control_priv.h"

#include <sysexits.h>
#include "maps/store/sources.h"

struct dump {
    struct slice after;
    json_t *rows;
    json_t *next;
    size_t bytes;
};

static json_t *hex(struct slice bytes)
{
    static const char DIGITS[] = "0123456789abcdef";
    struct buf text;

    buf_init(&text, 2 * bytes.n);
    for (size_t i = 0; i < bytes.n; i++)
        if (buf_add_byte(&text, (unsigned char)DIGITS[bytes.p[i] >> 4]) != 0 ||
            buf_add_byte(&text, (unsigned char)DIGITS[bytes.p[i] & 15]) != 0)
            BUG("two digits a byte fit");
    json_t *out = json_stringn(bytes.n ? (const char *)buf_slice(&text).p : "", text.n);
    buf_fini(&text);
    return out;
}

static bool is_full(const struct dump *d)
{
    return json_array_size(d->rows) >= CONTROL_LIST_MAX || d->bytes > CONTROL_REPLY_BYTES_MAX / 2;
}

static void add_row(struct dump *d, const char *what, struct slice key, struct slice record)
{
    json_t *row = json_object();
    control_set(row, what, key);
    json_object_set_new(row, "record", hex(record));
    json_array_append_new(d->rows, row);
    d->bytes += key.n + 2 * record.n + 32;
}

static int on_entry(void *arg, struct slice key, const struct route_entry *entry, struct err *err)
{
    struct dump *d = arg;
    struct buf record;
    int rc = 0;

    if (d->after.n && slice_eq(key, d->after))
        return 0;
    buf_init(&record, 2 * ROUTE_RECORD_MAX);
    if (record_encode(entry, true, &record) != 0)
        rc = err_set(err, ERR_PERM, EX_DATAERR, "the entry of %.*s is damaged", SLICE_ARG(key));
    else
        add_row(d, "key", key, buf_slice(&record));
    buf_fini(&record);
    if (rc != 0 || !is_full(d))
        return rc;
    d->next = json_stringn((const char *)key.p, key.n);
    return 1;
}

static int on_change(void *arg, const struct history_record *r, struct err *err ATTR_UNUSED)
{
    struct dump *d = arg;

    if (is_full(d)) {
        d->next = json_integer((json_int_t)r->generation - 1);
        return 1;
    }
    add_row(d, "key", r->key, r->new_value);
    return 0;
}

static int on_source(void *arg, const struct source *source, struct err *err ATTR_UNUSED)
{
    struct buf record;

    buf_init(&record, SOURCE_RECORD_MAX);
    if (source_encode(source, &record) != 0)
        BUG("what was decoded fits");
    add_row(arg, "source", source->name, buf_slice(&record));
    buf_fini(&record);
    return 0;
}

enum control_outcome control_dump(struct control_call *call)
{
    struct dump d = {.rows = NULL};
    uint64_t since = 0;
    bool has_since = json_object_get(call->request, "since") != NULL;
    int rc;

    if (control_string(call->request, "after", ROUTE_KEY_MAX, false, &d.after, call->err) != 0 ||
        control_number(call->request, "since", INT64_MAX, false, &since, call->err) != 0)
        return CONTROL_REFUSED;
    d.rows = json_array();
    json_object_set_new(call->reply, "rows", d.rows);
    if (has_since)
        rc = store_scan_history(call->c->store, call->txn, since + 1, on_change, &d, call->err);
    else
        rc = store_scan(call->c->store, call->txn, d.after, on_entry, &d, call->err);
    if (rc == 0 && !d.next)
        rc = sources_scan(call->c->store, call->txn, on_source, &d, call->err);
    if (rc != 0) {
        json_decref(d.next);
        return CONTROL_FAILED;
    }
    json_object_set_new(call->reply, "next", d.next ? d.next : json_null());
    control_set_u64(call->reply, "generation", store_generation(call->c->store));
    control_set(call->reply, "map_id", slice_str(store_map_id(call->c->store)));
    return CONTROL_DONE;
}
