/* SPDX-License-Identifier: ISC */
/* items_subjects: see items_subjects.h. */
#include "imapsync/items_subjects.h"

#include <string.h>
#include <sysexits.h>

#include "imapsync/journal/text.h"

/* A message that costs the connection is not read again for its name. */
void items_want_subject(struct subjects *s, const struct item *i, size_t at)
{
    if (i->uid > 0 && i->code != ITEM_ASIDE && i->state != ITEM_GONE)
        subjects_add(s, i->folder, i->uid, i->uidvalidity, at);
}

/* --- Where they are ------------------------------------------------------------------------- */

struct place {
    struct imap_account server; /* of the configuration */
    struct account given;       /* by the command line */
    const struct end_maker *maker;
};

static int of_record(
    const struct items_whose *w, const char *name, struct place *out, struct err *err)
{
    const char *const servers[] = {w->record->from, w->record->to};
    for (size_t i = 0; i < 2; i++) {
        int at = conf_server_index(w->conf, slice_str(servers[i]));
        if (at == CONF_SERVER_NONE || !w->conf->servers[at].imap.host)
            continue;
        const struct conf_server *s = &w->conf->servers[at];
        if (imap_account_from_conf(s, s->name, w->record->mailbox, w->conf->sync.imap_timeout_ms,
                &out->server, err) != 0)
            return -1;
        out->maker = &out->server.end.maker;
        if (strcmp(out->maker->name, name) == 0)
            return 0;
        imap_account_fini(&out->server);
        out->maker = NULL;
    }
    return err_set(
        err, ERR_PERM, EX_CONFIG, "the configuration has no server that is \"%s\"", name);
}

static int of_args(
    const struct items_whose *w, const char *name, struct place *out, struct err *err)
{
    if (!w->source->url)
        return err_set(err, ERR_PERM, EX_USAGE,
            "--subjects wants --source: how the mailbox \"%s\" is opened", name);
    if (account_from_args(w->source, &out->given, err) != 0)
        return -1;
    out->maker = out->given.maker;
    return strcmp(out->maker->name, name) == 0
               ? 0
               : err_set(err, ERR_PERM, EX_USAGE, "--source is \"%s\", and these are of \"%s\"",
                     out->maker->name, name);
}

/* --- Reading -------------------------------------------------------------------------------- */

static int read_from(const struct end_maker *maker, struct subjects *s, struct err *err)
{
    const struct end_maker *silent;
    struct end *e = NULL;
    if (end_open_all(&maker, 1, NULL, &e, &silent, err) != 0)
        return -1;
    int result = subjects_read(e, s, err);
    end_close_all(&e, 1);
    return result;
}

int items_add_subjects(const struct items_whose *w, const char *name, struct subjects *s,
    json_t *items, struct err *err)
{
    struct place place = {0};
    if (s->n == 0)
        return 0;
    int result = w->record ? of_record(w, name, &place, err) : of_args(w, name, &place, err);
    if (result == 0)
        result = read_from(place.maker, s, err);
    for (size_t i = 0; i < s->n; i++) {
        if (s->v[i].text)
            json_object_set_new(
                json_array_get(items, s->v[i].at), "subject", text_json(s->v[i].text));
    }
    imap_account_fini(&place.server);
    account_fini(&place.given);
    return result;
}
