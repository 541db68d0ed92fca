/* SPDX-License-Identifier: ISC */
/* items_choice: see items_choice.h. */
#include "imapsync/copy/items_choice.h"

#include <stdlib.h>
#include <string.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/plan/folders.h"
#include "imapsync/journal/journal.h"
#include "imapsync/journal/text.h"

static char *folder_name(const struct item *i)
{
    struct buf name;
    buf_init(&name, 4 * FOLDER_NAME_MAX);
    folder_text(i->folder, &name);
    char *out = text_dup(buf_slice(&name));
    buf_fini(&name);
    return out;
}

bool item_is_chosen(const struct item_choice *c, const struct item *i)
{
    bool is_state = item_is_open(i->state) || (c->has_accepted && i->state == ITEM_ACCEPTED) ||
                    (c->has_gone && i->state == ITEM_GONE);
    if (!is_state || (c->code != ITEM_NONE && c->code != i->code) || (c->uid && c->uid != i->uid))
        return false;
    if (!c->folder)
        return true;
    char *name = folder_name(i);
    bool is_same = strcmp(name, c->folder) == 0;
    free(name);
    return is_same;
}

/* --- Deciding -------------------------------------------------------------------------------- */

struct found {
    const struct item_choice *choice;
    struct item_ref {
        bool is_back;
        char *folder;
        size_t n;
        uint32_t uid;
        enum item_code code;
    } * v;
    size_t n;
};

static int find(void *arg, const struct item *i, struct err *err)
{
    struct found *f = arg;
    (void)err;
    if (!item_is_chosen(f->choice, i))
        return 0;
    f->v = mem_realloc_array(f->v, f->n + 1, sizeof(*f->v));
    f->v[f->n++] =
        (struct item_ref){i->is_back, slice_dup(i->folder), i->folder.n, i->uid, i->code};
    return 0;
}

static int decide(struct journal *j, const struct item_ref *r, const struct item_choice *c,
    enum item_state state, struct err *err)
{
    struct item item;
    const struct item_key key = {slice_make(r->folder, r->n), r->uid, r->code};
    if (journal_item_get(j, &key, &item, err) != 0)
        return -1;
    if (item.code == ITEM_NONE)
        return 0;
    item.is_back = false;
    item.state = state;
    item.by = slice_str(c->by);
    item.why = slice_str(c->why);
    item.by_ms = clock_wall_ms();
    item.due_ms = 0;
    journal_item_put(j, &item);
    return 0;
}

int items_decide(struct journal *j, const struct item_choice *c, enum item_state state,
    uint64_t *n_out, struct err *err)
{
    struct found f = {.choice = c};
    int result = journal_items_each(j, find, &f, err);
    if (result == 0 && f.n > 0) {
        struct err why = ERR_INIT;
        journal_begin(j);
        for (size_t i = 0; result == 0 && i < f.n; i++) {
            /* Each under the side that it is of. */
            if (f.v[i].is_back)
                journal_exchange(j);
            result = decide(j, &f.v[i], c, state, &why);
            if (f.v[i].is_back)
                journal_exchange(j);
        }
        int written = journal_commit(j, err);
        if (result != 0)
            *err = why;
        else
            result = written;
    }
    if (result == 0)
        *n_out += f.n;
    for (size_t i = 0; i < f.n; i++)
        free(f.v[i].folder);
    free(f.v);
    return result;
}

/* --- For people ------------------------------------------------------------------------------ */

static void set_time(json_t *to, const char *name, int64_t wall_s)
{
    char text[32];
    clock_format_utc(wall_s, text);
    json_object_set_new(to, name, json_string(text));
}

static void set_text(json_t *to, const char *name, struct slice s)
{
    char *clean = text_dup(s);
    json_object_set_new(to, name, text_json(clean));
    free(clean);
}

json_t *item_json(const struct item *i)
{
    const struct item_row *row = item_row(i->code);
    char *folder = folder_name(i);
    json_t *out = json_pack("{s:s, s:s, s:s, s:s, s:I, s:b, s:I}", "code", row->name, "class",
        item_class_name(row->class), "state", item_state_name(i->state), "folder", folder, "uid",
        (json_int_t)i->uid, "is_back", (int)i->is_back, "tries", (json_int_t)i->tries);
    BUG_ON(!out);
    free(folder);
    set_time(out, "since", i->since_ms / 1000);
    set_time(out, "seen", i->seen_ms / 1000);
    set_text(out, "error", i->words);
    if (i->n > 0)
        json_object_set_new(out, "messages", json_integer((json_int_t)i->n));
    if (i->has_date)
        set_time(out, "date", i->date_s);
    if (i->size > 0)
        json_object_set_new(out, "size", json_integer(i->size));
    if (i->by.n > 0) {
        set_text(out, "by", i->by);
        set_text(out, "reason", i->why);
        set_time(out, "decided", i->by_ms / 1000);
    }
    json_object_set_new(out, "meaning", json_string(row->meaning));
    json_object_set_new(out, "remedy", json_string(row->remedy));
    return out;
}

static const char *text_of(const json_t *item, const char *name)
{
    const char *s = json_string_value(json_object_get(item, name));
    return s ? s : "";
}

static long long number_of(const json_t *item, const char *name)
{
    return (long long)json_integer_value(json_object_get(item, name));
}

/* What does not fit is left out: it is for people. */
void item_text(const json_t *item, struct buf *out)
{
    const char *user = text_of(item, "user"), *date = text_of(item, "date");
    bool is_full =
        buf_addf(out, "%-14s %-8s %-8s %s%s%s", text_of(item, "code"), text_of(item, "class"),
            text_of(item, "state"), user, user[0] ? ": " : "", text_of(item, "folder")) != 0;
    if (number_of(item, "uid") > 0)
        is_full |= buf_addf(out, ", UID %lld", number_of(item, "uid")) != 0;
    if (date[0])
        is_full |= buf_addf(out, ", of %s", date) != 0;
    if (text_of(item, "subject")[0])
        is_full |= buf_addf(out, ", \"%s\"", text_of(item, "subject")) != 0;
    if (number_of(item, "size") > 0)
        is_full |= buf_addf(out, ", %lld octets", number_of(item, "size")) != 0;
    is_full |= buf_addf(out, ": %s\n    since %s, last %s, told %lld time%s",
                   text_of(item, "error"), text_of(item, "since"), text_of(item, "seen"),
                   number_of(item, "tries"), number_of(item, "tries") == 1 ? "" : "s") != 0;
    if (text_of(item, "by")[0])
        is_full |= buf_addf(out, "; %s %s by %s: %s",
                       strcmp(text_of(item, "state"), "accepted") == 0 ? "accepted" : "retried",
                       text_of(item, "decided"), text_of(item, "by"), text_of(item, "reason")) != 0;
    else
        is_full |= buf_addf(out, "; %s", text_of(item, "remedy")) != 0;
    is_full |= buf_addf(out, "\n") != 0;
    (void)is_full;
}
