/* SPDX-License-Identifier: ISC */
/*
 * verify: a comparison of all folders.
 *
 * They are listed in windows, on both sides at once.  A folder in which nothing is missing and
 * all contents are right is remembered with the numbers of both sides.  As long as both show the
 * same UIDVALIDITY, UIDNEXT and number of messages they have the same messages, since UIDs are not
 * given twice: under a hold such a folder costs nothing but its part of one status of all.
 */
#include <stdlib.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "imapsync/copy/shown.h"
#include "imapsync/copy/verify_parts.h"

#define WINDOW_FOLDERS 256
#define TRIES_MAX 3
#define WINDOW_MESSAGES 100000 /* listed at once on each side, unless one folder has more */

struct verify {
    struct copy *c;
    enum copy_scope scope;
    bool with_content;
    struct folder_list from, there;
    struct copy_verdict *out;
    struct copy_looked looked;
};

static bool is_as_seen(const struct record_seen *s, const struct folder *f)
{
    const unsigned all = FOLDER_HAS_MESSAGES | FOLDER_HAS_UIDNEXT | FOLDER_HAS_UIDVALIDITY;
    return f && (f->has & all) == all && f->uidvalidity == s->uidvalidity &&
           f->uidnext == s->uidnext && f->messages == s->messages;
}

/* *same_out: it was compared, and neither side has changed since. */
static int look_up(struct verify *v, const struct folder *f, bool *same_out, struct err *err)
{
    struct journal_folder record;
    struct journal_compared compared;
    bool found;
    *same_out = false;
    if (v->scope != COPY_CHANGED)
        return 0;
    if (journal_folder_get(v->c->journal, f->name, &record, &found, err) != 0)
        return -1;
    int result = found ? journal_compared_get(v->c->journal, record.id, &compared, &found, err) : 0;
    if (result == 0 && found && is_as_seen(&compared.source, f) &&
        is_as_seen(&compared.target, folder_list_find(&v->there, record.target.name)) &&
        record.source.uidvalidity == compared.source.uidvalidity &&
        record.target.uidvalidity == compared.target.uidvalidity) {
        *same_out = true;
        v->out->messages += compared.source.messages;
        v->out->gone += compared.gone;
        v->out->extra += compared.extra;
        verify_tell(v->c, &record, &compared.source,
            (struct copy_compared){.messages = compared.source.messages, .gone = compared.gone});
    }
    journal_folder_fini(&record);
    return result;
}

/* Nobody knows what a folder has that cannot be read: at least one message is missing. */
static int excuse(struct verify *v, const struct folder *f, struct err *err)
{
    if (!copy_is_exception(v->c, err))
        return -1;
    if (!copy_tell_folder(v->c, ITEM_FOLDER, f->name, err->text))
        v->out->missing++;
    err_clear(err);
    return 0;
}

static int check_window(struct verify *v, struct check *checks, size_t n, struct err *err)
{
    int result = 0;
    size_t begun = 0;
    for (; result == 0 && begun < n; begun++)
        result = verify_begin(&checks[begun], err);
    for (size_t i = 0; result == 0 && i < n; i++) {
        const uint64_t before = v->looked.done;
        v->looked.folder = checks[i].f->name;
        result = copy_check_cancelled(v->c, err);
        if (result == 0 && verify_finish(&checks[i], v->out, err) != 0)
            result = excuse(v, checks[i].f, err);
        v->looked.done = before + checks[i].f->messages;
        copy_looked(v->c, &v->looked);
    }
    if (result != 0) {
        /* What is still on its way is answered into what is freed next. */
        end_lose(v->c->from, err);
        end_lose(v->c->to, err);
    }
    for (size_t i = 0; i < n; i++)
        verify_end(&checks[i]);
    return result;
}

static bool is_compared(const struct verify *v, const struct folder *f)
{
    return !(f->attrs & FOLDER_NOSELECT) && folder_is_mapped(&v->from, f, &v->c->options.folders);
}

/* Those that show messages of others come last, each alone: for them others are opened. */
static int check_shown(struct verify *v, struct err *err)
{
    size_t n;
    uint32_t *all = shown_all(v->c, &v->from, &n);
    int result = 0;
    for (size_t i = 0; result == 0 && i < n; i++) {
        bool is_same = false;
        struct check check = {.c = v->c,
            .all = &v->from,
            .f = &v->from.v[all[i]],
            .with_content = v->with_content,
            .looked = &v->looked};
        result = look_up(v, check.f, &is_same, err);
        v->looked.done += is_same ? check.f->messages : 0;
        if (result == 0 && !is_same)
            result = check_window(v, &check, 1, err);
    }
    free(all);
    return result;
}

static int check_all(struct verify *v, struct err *err)
{
    struct check *checks = mem_zalloc(WINDOW_FOLDERS * sizeof(*checks));
    size_t n = 0;
    uint64_t messages = 0;
    int result = 0;
    v->looked.is_comparison = true;
    for (size_t i = 0; i < v->from.n; i++)
        v->looked.total += is_compared(v, &v->from.v[i]) ? v->from.v[i].messages : 0;
    for (size_t i = 0; result == 0 && i < v->from.n; i++) {
        const struct folder *f = &v->from.v[i];
        bool is_same = false;
        if (f->attrs & FOLDER_VIRTUAL || !is_compared(v, f))
            continue;
        result = look_up(v, f, &is_same, err);
        v->looked.done += is_same ? f->messages : 0;
        if (result != 0 || is_same)
            continue;
        if (n == WINDOW_FOLDERS || (n > 0 && messages + f->messages > WINDOW_MESSAGES)) {
            result = check_window(v, checks, n, err);
            n = 0;
            messages = 0;
        }
        messages += f->messages;
        checks[n++] = (struct check){.c = v->c,
            .all = &v->from,
            .f = f,
            .with_content = v->with_content,
            .is_anew = v->scope == COPY_ANEW,
            .looked = &v->looked};
    }
    if (result == 0 && n > 0)
        result = check_window(v, checks, n, err);
    free(checks);
    return result == 0 ? check_shown(v, err) : -1;
}

static int compare(struct verify *v, struct err *err)
{
    struct copy *c = v->c;
    *v->out = (struct copy_verdict){0};
    v->looked = (struct copy_looked){0};
    if (copy_connect(c, err) != 0)
        return -1;
    int result = tell_begin(c, err) == 0 ? copy_list_both(c, &v->from, &v->there, err) : -1;
    if (result == 0)
        result = check_all(v, err);
    if (result == 0)
        result = tell_flush(c, err);
    folder_list_fini(&v->from);
    folder_list_fini(&v->there);
    if (result != 0) {
        copy_note_loss(c, true);
        copy_disconnect(c);
    }
    return result;
}

/* What was compared before a connection was lost is known, and a folder at which two are lost is
 * left out and told.  While mail waits there is no time to try again. */
int copy_verify(struct copy *c, enum copy_scope scope, bool with_content, struct copy_verdict *out,
    struct err *err)
{
    struct verify v = {.c = c, .scope = scope, .with_content = with_content, .out = out};
    for (unsigned tries = 1;; tries++) {
        unsigned aside = c->n_aside;
        if (compare(&v, err) == 0)
            return 0;
        if (c->n_aside > aside)
            tries = 0;
        if (scope == COPY_CHANGED || err->class != ERR_TEMP || err->scope != ERR_SCOPE_HOST ||
            tries == TRIES_MAX || copy_is_cancelled(c))
            return -1;
        log_warn("copy_again", log_err(err));
        err_clear(err);
        if (c->events->again)
            c->events->again(c->arg);
    }
}
