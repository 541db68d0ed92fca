/* SPDX-License-Identifier: ISC */
/*
 * report: see report.h.  One table for merging, weighing, telling and JSON: whoever adds a number
 * has to say in its row what it weighs.
 */
#include "imapsync/copy/report.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/err.h"
#include "base/core/mem.h"
#include "imapsync/journal/text.h"

#define TEXT_MAX (4u << 10)

enum merge {
    MERGE_SUM,  /* over all passes */
    MERGE_LAST, /* the next pass looks again */
    MERGE_MOST, /* the next pass may pass over the folder */
};

struct row {
    const char *name; /* in JSON */
    size_t offset;    /* in struct report */
    enum merge merge;
    enum report_weight weight[2];    /* by enum report_for */
    const char *before, *one, *many; /* around the number; NULL: weighs nothing */
    const char *cure;                /* for a move; NULL: none but to try again */
};

#define COUNT(field) offsetof(struct report, n.field)
#define VERDICT(field) offsetof(struct report, verdict.field)
#define SILENT                                                                                     \
    {                                                                                              \
        REPORT_SILENT, REPORT_SILENT                                                               \
    }
#define TOLD                                                                                       \
    {                                                                                              \
        REPORT_TOLD, REPORT_TOLD                                                                   \
    }
#define EXCEPTION                                                                                  \
    {                                                                                              \
        REPORT_EXCEPTION, REPORT_EXCEPTION                                                         \
    }
#define LOSS                                                                                       \
    {                                                                                              \
        REPORT_EXCEPTION, REPORT_LOSS                                                              \
    }

static const struct row rows[] = {
    {"folders", COUNT(folders), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"folders_failed", COUNT(folders_failed), MERGE_LAST, LOSS, "",
        "folder could not be carried over", "folders could not be carried over", NULL},
    {"folders_unchanged", COUNT(folders_unchanged), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"folders_vanished", COUNT(folders_vanished), MERGE_LAST, TOLD, "",
        "folder is not on the source any more and stays on the target",
        "folders are not on the source any more and stay on the target", NULL},
    {"folders_left_out", COUNT(folders_left_out), MERGE_LAST, TOLD, "",
        "folder is left out, since it has no mail or a rule says so",
        "folders are left out, since they have no mail or a rule says so", NULL},
    {"folders_not_renamed", COUNT(folders_not_renamed), MERGE_SUM, TOLD, "",
        "folder was renamed on the source, which the target refuses: its messages move instead",
        "folders were renamed on the source, which the target refuses: their messages move instead",
        NULL},
    {"folders_short", COUNT(folders_short), MERGE_LAST, LOSS, "of ",
        "folder the source lists fewer messages than it counts",
        "folders the source lists fewer messages than it counts", NULL},
    {"messages_total", COUNT(messages_total), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"messages_copied", COUNT(messages_copied), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"bytes_copied", COUNT(octets_copied), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"messages_skipped", COUNT(messages_same), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"messages_adopted", COUNT(messages_adopted), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"messages_failed", COUNT(messages_failed), MERGE_LAST, LOSS, "",
        "message could not be carried over", "messages could not be carried over", NULL},
    {"messages_reduced", COUNT(messages_reduced), MERGE_SUM, EXCEPTION, "",
        "message was stored without its keywords or with another date",
        "messages were stored without their keywords or with other dates", NULL},
    {"messages_left_out", COUNT(messages_left_out), MERGE_LAST, TOLD, "",
        "message is in a folder that is left out", "messages are in folders that are left out",
        NULL},
    {"messages_filtered", COUNT(messages_filtered), MERGE_LAST, {REPORT_TOLD, REPORT_LOSS},
        "E-FILTERED: ", "message is not copied because of a filter",
        "messages are not copied because of a filter", "without the filter they are; or accept it"},
    {"flags_changed", COUNT(flags_changed), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"messages_moved", COUNT(messages_moved), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"messages_deleted", COUNT(messages_deleted), MERGE_SUM, SILENT, NULL, NULL, NULL, NULL},
    {"messages_kept", COUNT(messages_kept), MERGE_SUM, TOLD, "",
        "message was deleted on the source and stays, as it was touched on the target",
        "messages were deleted on the source and stay, as they were touched on the target", NULL},
    {"messages_away", COUNT(messages_away), MERGE_SUM, TOLD, "",
        "message was removed on the target by its user and is not copied again",
        "messages were removed on the target by their user and are not copied again", NULL},
    {"keywords_lost", COUNT(keywords_lost), MERGE_MOST, TOLD, "", "keyword could not be kept",
        "keywords could not be kept", NULL},
    {"lines_odd", COUNT(lines_odd), MERGE_SUM, TOLD, "",
        "line of a server could not be read as a whole: see imap_line_odd in the log",
        "lines of servers could not be read as a whole: see imap_line_odd in the log", NULL},
    {"lines_unread", COUNT(lines_unread), MERGE_SUM, EXCEPTION, "",
        "line of a server was lost, since it could not be read: see imap_line_odd in the log",
        "lines of servers were lost, since they could not be read: see imap_line_odd in the log",
        NULL},
    {"deletions_withheld", COUNT(deletions_withheld), MERGE_LAST, LOSS,
        "E-WITHHELD: ", "deletion is withheld", "deletions are withheld",
        "cutover --delete-percent=100 carries them out, --delete-percent=0 keeps the messages on "
        "the target"},
    {"subscriptions_failed", COUNT(subscriptions_failed), MERGE_LAST, EXCEPTION, "",
        "folder could not be subscribed to", "folders could not be subscribed to", NULL},
    {"items_loss", COUNT(items_loss), MERGE_LAST, LOSS, "", "item of class loss is open",
        "items of class loss are open", NULL},
    {"items_withheld", COUNT(items_withheld), MERGE_LAST, LOSS, "",
        "item of class withheld is open", "items of class withheld are open", NULL},
    {"items_changed", COUNT(items_changed), MERGE_LAST, EXCEPTION, "",
        "item of class changed is open", "items of class changed are open", NULL},
    {"items_accepted", COUNT(items_accepted), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"missing", VERDICT(missing), MERGE_LAST, LOSS, "", "message missing on the target",
        "messages missing on the target", NULL},
    {"different", VERDICT(different), MERGE_LAST, LOSS, "", "message with other content",
        "messages with other content", NULL},
    {"gone", VERDICT(gone), MERGE_LAST, {REPORT_SILENT, REPORT_LOSS}, "", "deleted there",
        "deleted there", NULL},
    {"messages", VERDICT(messages), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
    {"extra", VERDICT(extra), MERGE_LAST, SILENT, NULL, NULL, NULL, NULL},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROWS * sizeof(uint64_t) == sizeof(struct copy_counts) + sizeof(struct copy_verdict),
    "each number has a row");

static bool is_verdict(const struct row *row)
{
    return row->offset >= offsetof(struct report, verdict);
}

static uint64_t *at(struct report *r, const struct row *row)
{
    return (uint64_t *)(void *)((char *)r + row->offset);
}

static uint64_t value(const struct report *r, const struct row *row)
{
    uint64_t v;
    memcpy(&v, (const char *)r + row->offset, sizeof(v));
    return v;
}

/* --- Filling ------------------------------------------------------------------------------- */

static void drop_items(struct report *r)
{
    for (size_t i = 0; i < r->n_items; i++) {
        free(r->items[i].folder);
        free(r->items[i].why);
    }
    r->n_items = 0;
    r->n_found = 0;
}

static void drop_open(struct report *r)
{
    free(r->open.folder);
    free(r->open.why);
    r->open = (struct report_item){0};
}

void report_fini(struct report *r)
{
    drop_items(r);
    drop_open(r);
    free(r->items);
    *r = (struct report){0};
}

void report_begin(struct report *r)
{
    drop_items(r);
    r->has_verdict = false;
    r->verdict = (struct copy_verdict){0};
}

static struct report_item make_item(const struct copy_exception *e)
{
    return (struct report_item){.code = e->code,
        .folder = text_dup(slice_str(e->folder)),
        .why = text_dup(slice_str(e->why)),
        .uid = e->uid};
}

void report_item(struct report *r, const struct copy_exception *e)
{
    r->n_found++;
    if (r->n_items == REPORT_ITEMS_MAX)
        return;
    r->items = mem_realloc_array(r->items, r->n_items + 1, sizeof(*r->items));
    r->items[r->n_items++] = make_item(e);
}

void report_open(struct report *r, const struct copy_exception *e)
{
    drop_open(r);
    r->open = make_item(e);
}

void report_pass(struct report *r, const struct copy_counts *n)
{
    const struct report pass = {.n = *n};
    if (n->items_loss + n->items_withheld + n->items_changed == 0)
        drop_open(r);
    for (size_t i = 0; i < ROWS; i++) {
        if (is_verdict(&rows[i]))
            continue;
        uint64_t *sum = at(r, &rows[i]), v = value(&pass, &rows[i]);
        if (rows[i].merge == MERGE_SUM)
            *sum += v;
        else if (rows[i].merge == MERGE_LAST || v > *sum)
            *sum = v;
    }
}

void report_repeat(struct copy_counts *n)
{
    struct report pass = {.n = *n};
    for (size_t i = 0; i < ROWS; i++) {
        if (!is_verdict(&rows[i]) && rows[i].merge == MERGE_LAST)
            *at(&pass, &rows[i]) = 0;
    }
    *n = pass.n;
}

void report_verdict(struct report *r, const struct copy_verdict *v)
{
    r->verdict = *v;
    r->has_verdict = true;
}

/* --- Weighing -------------------------------------------------------------------------------- */

static uint64_t counted(
    const struct report *r, const struct copy_counts *since, const struct row *row)
{
    uint64_t v = value(r, row);
    if (!since || row->merge != MERGE_SUM)
        return v;
    const struct report before = {.n = *since};
    return v - value(&before, row);
}

void report_text(const struct report *r, enum report_for who, enum report_weight from,
    const struct copy_counts *since, struct buf *out)
{
    bool is_first = true;
    for (size_t i = 0; i < ROWS; i++) {
        uint64_t v = counted(r, since, &rows[i]);
        if (v == 0 || !rows[i].one || rows[i].weight[who] < from)
            continue;
        if (buf_addf(out, "%s%s%llu %s", is_first ? "" : ", ", rows[i].before,
                (unsigned long long)v, v == 1 ? rows[i].one : rows[i].many) != 0)
            return;
        if (who == REPORT_MOVE && rows[i].cure && buf_addf(out, " (%s)", rows[i].cure) != 0)
            return;
        is_first = false;
    }
}

static void add_item(const struct report_item *item, struct buf *out)
{
    char uid[40] = "";
    if (item->uid && fmt_into(uid, sizeof(uid), ", message with UID %u", (unsigned)item->uid) != 0)
        BUG("a number fits");
    const struct item_row *row = item_row(item->code);
    if (buf_addf(out, "; first %s%s%s: %s: %s (%s; coexist-sync items shows all of them)",
            item->uid ? "" : "folder ", item->folder, uid, row->name, item->why, row->remedy) != 0)
        return; /* the numbers are said */
}

/* Of the heaviest class; NULL: there is none. */
static const struct report_item *first_item(const struct report *r)
{
    const struct report_item *first = r->open.folder ? &r->open : NULL;
    for (size_t i = 0; i < r->n_items; i++) {
        if (!first || item_row(r->items[i].code)->class < item_row(first->code)->class)
            first = &r->items[i];
    }
    return first;
}

/* Of what could not be carried over at all a folder is another matter than a message. */
static int exit_code(const struct report *r)
{
    return r->n.folders_failed > 0 && r->n.messages_failed == 0 ? EX_CANTCREAT : EX_DATAERR;
}

enum report_weight report_judge(
    const struct report *r, enum report_for who, const struct copy_counts *since, struct err *err)
{
    enum report_weight most = REPORT_SILENT;
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].weight[who] > most && counted(r, since, &rows[i]) > 0)
            most = rows[i].weight[who];
    }
    if (most < REPORT_EXCEPTION)
        return most;
    struct buf text;
    buf_init(&text, TEXT_MAX);
    report_text(r, who, REPORT_EXCEPTION, since, &text);
    const struct report_item *first = first_item(r);
    if (first)
        add_item(first, &text);
    err_set(err, ERR_PERM, exit_code(r), "%s", buf_cstr(&text));
    buf_fini(&text);
    return most;
}

/* --- JSON ---------------------------------------------------------------------------------------
 */

json_t *report_item_json(const struct report_item *item)
{
    const struct item_row *row = item_row(item->code);
    json_t *out = json_pack("{s:s, s:s, s:s, s:I, s:s}", "code", row->name, "class",
        item_class_name(row->class), "folder", item->folder, "uid", (json_int_t)item->uid, "error",
        item->why);
    BUG_ON(!out);
    return out;
}

json_t *report_json(const struct report *r, size_t items_max)
{
    json_t *out = json_object(), *verified = json_object(), *items = json_array();
    for (size_t i = 0; i < ROWS; i++)
        json_object_set_new(is_verdict(&rows[i]) ? verified : out, rows[i].name,
            json_integer((json_int_t)value(r, &rows[i])));
    if (r->has_verdict)
        json_object_set(out, "verified", verified);
    json_decref(verified);
    for (size_t i = 0; i < r->n_items && i < items_max; i++)
        json_array_append_new(items, report_item_json(&r->items[i]));
    json_object_set_new(out, "exceptions", items);
    json_object_set_new(out, "exceptions_total", json_integer((json_int_t)r->n_found));
    return out;
}

static int read_number(const json_t *from, const struct row *row, struct report *out)
{
    const json_t *v = json_object_get(from, row->name);
    if (v && (!json_is_integer(v) || json_integer_value(v) < 0))
        return -1;
    *at(out, row) = (uint64_t)json_integer_value(v);
    return 0;
}

static int read_item(const json_t *json, struct report *out)
{
    const char *folder = json_string_value(json_object_get(json, "folder"));
    const char *why = json_string_value(json_object_get(json, "error"));
    const char *name = json_string_value(json_object_get(json, "code"));
    json_int_t uid = json_integer_value(json_object_get(json, "uid"));
    /* Records of before had no codes. */
    enum item_code code = item_code_named(slice_str(name ? name : "E-REFUSED"));
    if (!folder || !why || uid < 0 || uid > UINT32_MAX || code == ITEM_NONE)
        return -1;
    report_item(out,
        &(struct copy_exception){.code = code, .folder = folder, .uid = (uint32_t)uid, .why = why});
    return 0;
}

int report_from_json(const json_t *json, struct report *out)
{
    const json_t *verified = json_object_get(json, "verified"), *item;
    size_t i;
    int result = json_is_object(json) ? 0 : -1;
    *out = (struct report){.has_verdict = verified != NULL};
    for (i = 0; result == 0 && i < ROWS; i++)
        result = read_number(is_verdict(&rows[i]) ? verified : json, &rows[i], out);
    json_array_foreach(json_object_get(json, "exceptions"), i, item)
    {
        if (result == 0)
            result = read_item(item, out);
    }
    const json_t *total = json_object_get(json, "exceptions_total");
    if (json_integer_value(total) > (json_int_t)out->n_items)
        out->n_found = (uint64_t)json_integer_value(total);
    if (result != 0)
        report_fini(out);
    return result;
}
