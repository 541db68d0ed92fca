/* SPDX-License-Identifier: ISC */
/*
 * folder_special: what a folder is for, and which one of the target is for the same.
 *
 * What a server says of its folders (RFC 6154) counts; where it says of none that it is the one for
 * drafts, say, names do, as the usual clients have given them in German, English, French, Spanish,
 * Italian, Dutch, Polish and Portuguese.  A name that is the same on both sides wins over what only
 * a name tells.
 */
#include "base/core/mem.h"
#include "imapsync/plan/folder_special.h"
#include "imapsync/ends/limits.h"

#define SPECIAL_MAX 64 /* of one side; nobody has more */

/* In small letters; the usual ones first. */
static const struct known_name {
    enum folder_use use;
    const char *name;
} known_names[] = {
    {FOLDER_USE_ARCHIVE, "archive"},
    {FOLDER_USE_ARCHIVE, "archives"},
    {FOLDER_USE_ARCHIVE, "archiv"},
    {FOLDER_USE_ARCHIVE, "archivo"},
    {FOLDER_USE_ARCHIVE, "archivio"},
    {FOLDER_USE_ARCHIVE, "archief"},
    {FOLDER_USE_ARCHIVE, "archiwum"},
    {FOLDER_USE_ARCHIVE, "arquivo"},
    {FOLDER_USE_DRAFTS, "drafts"},
    {FOLDER_USE_DRAFTS, "draft"},
    {FOLDER_USE_DRAFTS, "entwürfe"},
    {FOLDER_USE_DRAFTS, "entwurf"},
    {FOLDER_USE_DRAFTS, "brouillons"},
    {FOLDER_USE_DRAFTS, "brouillon"},
    {FOLDER_USE_DRAFTS, "borradores"},
    {FOLDER_USE_DRAFTS, "borrador"},
    {FOLDER_USE_DRAFTS, "bozze"},
    {FOLDER_USE_DRAFTS, "concepten"},
    {FOLDER_USE_DRAFTS, "szkice"},
    {FOLDER_USE_DRAFTS, "wersje robocze"},
    {FOLDER_USE_DRAFTS, "kopie robocze"},
    {FOLDER_USE_DRAFTS, "robocze"},
    {FOLDER_USE_DRAFTS, "rascunhos"},
    {FOLDER_USE_JUNK, "junk"},
    {FOLDER_USE_JUNK, "spam"},
    {FOLDER_USE_JUNK, "junk e-mail"},
    {FOLDER_USE_JUNK, "junk email"},
    {FOLDER_USE_JUNK, "junk mail"},
    {FOLDER_USE_JUNK, "bulk mail"},
    {FOLDER_USE_JUNK, "junk-e-mail"},
    {FOLDER_USE_JUNK, "spamverdacht"},
    {FOLDER_USE_JUNK, "werbung"},
    {FOLDER_USE_JUNK, "unerwünscht"},
    {FOLDER_USE_JUNK, "unerwünschte werbung"},
    {FOLDER_USE_JUNK, "courrier indésirable"},
    {FOLDER_USE_JUNK, "indésirables"},
    {FOLDER_USE_JUNK, "pourriel"},
    {FOLDER_USE_JUNK, "correo no deseado"},
    {FOLDER_USE_JUNK, "correo electrónico no deseado"},
    {FOLDER_USE_JUNK, "posta indesiderata"},
    {FOLDER_USE_JUNK, "indesiderata"},
    {FOLDER_USE_JUNK, "ongewenste e-mail"},
    {FOLDER_USE_JUNK, "ongewenst"},
    {FOLDER_USE_JUNK, "wiadomości-śmieci"},
    {FOLDER_USE_JUNK, "wiadomości śmieci"},
    {FOLDER_USE_JUNK, "niechciane"},
    {FOLDER_USE_JUNK, "lixo eletrônico"},
    {FOLDER_USE_JUNK, "lixo eletrónico"},
    {FOLDER_USE_JUNK, "correio eletrónico não solicitado"},
    {FOLDER_USE_SENT, "sent"},
    {FOLDER_USE_SENT, "sent items"},
    {FOLDER_USE_SENT, "sent messages"},
    {FOLDER_USE_SENT, "sent mail"},
    {FOLDER_USE_SENT, "sent-mail"},
    {FOLDER_USE_SENT, "gesendet"},
    {FOLDER_USE_SENT, "gesendete objekte"},
    {FOLDER_USE_SENT, "gesendete elemente"},
    {FOLDER_USE_SENT, "gesendete nachrichten"},
    {FOLDER_USE_SENT, "gesendete mails"},
    {FOLDER_USE_SENT, "envoyés"},
    {FOLDER_USE_SENT, "messages envoyés"},
    {FOLDER_USE_SENT, "éléments envoyés"},
    {FOLDER_USE_SENT, "courrier envoyé"},
    {FOLDER_USE_SENT, "objets envoyés"},
    {FOLDER_USE_SENT, "enviados"},
    {FOLDER_USE_SENT, "elementos enviados"},
    {FOLDER_USE_SENT, "mensajes enviados"},
    {FOLDER_USE_SENT, "correo enviado"},
    {FOLDER_USE_SENT, "inviati"},
    {FOLDER_USE_SENT, "inviata"},
    {FOLDER_USE_SENT, "posta inviata"},
    {FOLDER_USE_SENT, "elementi inviati"},
    {FOLDER_USE_SENT, "messaggi inviati"},
    {FOLDER_USE_SENT, "verzonden"},
    {FOLDER_USE_SENT, "verzonden items"},
    {FOLDER_USE_SENT, "verzonden berichten"},
    {FOLDER_USE_SENT, "wysłane"},
    {FOLDER_USE_SENT, "elementy wysłane"},
    {FOLDER_USE_SENT, "wiadomości wysłane"},
    {FOLDER_USE_SENT, "itens enviados"},
    {FOLDER_USE_SENT, "mensagens enviadas"},
    {FOLDER_USE_SENT, "enviadas"},
    {FOLDER_USE_TRASH, "trash"},
    {FOLDER_USE_TRASH, "deleted items"},
    {FOLDER_USE_TRASH, "deleted messages"},
    {FOLDER_USE_TRASH, "bin"},
    {FOLDER_USE_TRASH, "papierkorb"},
    {FOLDER_USE_TRASH, "gelöschte objekte"},
    {FOLDER_USE_TRASH, "gelöschte elemente"},
    {FOLDER_USE_TRASH, "gelöscht"},
    {FOLDER_USE_TRASH, "corbeille"},
    {FOLDER_USE_TRASH, "éléments supprimés"},
    {FOLDER_USE_TRASH, "messages supprimés"},
    {FOLDER_USE_TRASH, "papelera"},
    {FOLDER_USE_TRASH, "elementos eliminados"},
    {FOLDER_USE_TRASH, "mensajes eliminados"},
    {FOLDER_USE_TRASH, "cestino"},
    {FOLDER_USE_TRASH, "posta eliminata"},
    {FOLDER_USE_TRASH, "elementi eliminati"},
    {FOLDER_USE_TRASH, "prullenbak"},
    {FOLDER_USE_TRASH, "prullenmand"},
    {FOLDER_USE_TRASH, "verwijderde items"},
    {FOLDER_USE_TRASH, "kosz"},
    {FOLDER_USE_TRASH, "elementy usunięte"},
    {FOLDER_USE_TRASH, "usunięte"},
    {FOLDER_USE_TRASH, "lixeira"},
    {FOLDER_USE_TRASH, "itens excluídos"},
    {FOLDER_USE_TRASH, "itens eliminados"},
};
#define N_KNOWN (sizeof(known_names) / sizeof(known_names[0]))

/* Its name without the namespace, or INBOX, before it. */
static struct slice plain_name(const struct folder_list *l, const struct folder *f)
{
    const size_t n = sizeof("INBOX") - 1;
    struct slice rest = f->name;
    if (l->personal.n > 0 && rest.n > l->personal.n && slice_starts(rest, l->personal))
        return slice_from(rest, l->personal.n);
    if (f->delimiter >= 0 && rest.n > n + 1 && folder_is_inbox(slice_sub(rest, 0, n)) &&
        rest.p[n] == (unsigned char)f->delimiter)
        return slice_from(rest, n + 1);
    return l->personal.n == 0 ? rest : SLICE_NONE;
}

static bool may_be_special(const struct folder_list *l, const struct folder *f)
{
    return !(f->attrs & (FOLDER_NOSELECT | FOLDER_VIRTUAL)) && !folder_is_inbox(f->name) &&
           folder_is_own(l, f);
}

/* --- Those of one side ---------------------------------------------------------------------- */

struct special {
    struct slice name;
    uint32_t at; /* in its list */
    enum folder_use use;
    unsigned rank; /* 0: its server says so; else its name does, the usual ones first */
    bool is_taken;
};

struct specials {
    struct special v[SPECIAL_MAX];
    size_t n;
};

static int by_rank(const void *a, const void *b)
{
    const struct special *x = a, *y = b;
    if (x->use != y->use)
        return x->use < y->use ? -1 : 1;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return slice_order(x->name, y->name);
}

static void add(
    const struct folder_list *l, struct specials *s, size_t at, enum folder_use use, unsigned rank)
{
    if (use != FOLDER_USE_NONE && s->n < SPECIAL_MAX)
        s->v[s->n++] =
            (struct special){.name = l->v[at].name, .at = (uint32_t)at, .use = use, .rank = rank};
}

/* All known names folded, one behind the other; ends[i] is where i ends. */
static void fold_known(struct buf *out, size_t ends[N_KNOWN])
{
    for (size_t i = 0; i < N_KNOWN; i++) {
        BUG_ON(folder_fold_utf8(slice_str(known_names[i].name), out) != 0);
        ends[i] = out->n;
    }
}

static void add_by_name(const struct folder_list *l, const bool is_told[], struct specials *s)
{
    size_t ends[N_KNOWN];
    struct buf known, name;
    buf_init(&known, 64 * N_KNOWN);
    buf_init(&name, 16 * FOLDER_NAME_MAX);
    fold_known(&known, ends);
    for (size_t at = 0; at < l->n; at++) {
        const struct folder *f = &l->v[at];
        buf_clear(&name);
        if (!may_be_special(l, f) || f->use != FOLDER_USE_NONE ||
            folder_fold(plain_name(l, f), &name) != 0)
            continue;
        for (size_t i = 0; i < N_KNOWN; i++) {
            const size_t from = i > 0 ? ends[i - 1] : 0;
            if (!is_told[known_names[i].use] &&
                slice_eq(buf_slice(&name), slice_sub(buf_slice(&known), from, ends[i] - from)))
                add(l, s, at, known_names[i].use, (unsigned)i + 1);
        }
    }
    buf_fini(&known);
    buf_fini(&name);
}

static void collect(const struct folder_list *l, struct specials *out)
{
    bool is_told[FOLDER_USE_TRASH + 1] = {false};
    out->n = 0;
    for (size_t at = 0; at < l->n; at++) {
        if (!may_be_special(l, &l->v[at]))
            continue;
        add(l, out, at, l->v[at].use, 0);
        is_told[l->v[at].use] = true;
    }
    add_by_name(l, is_told, out);
    mem_sort(out->v, out->n, sizeof(out->v[0]), by_rank);
}

const struct folder *folder_of_use(const struct folder_list *l, enum folder_use use)
{
    struct specials all;
    collect(l, &all);
    for (size_t i = 0; i < all.n; i++) {
        if (all.v[i].use == use)
            return &l->v[all.v[i].at];
    }
    return NULL;
}

/* Of a folder that shows all messages those come that are nowhere else, as archived ones are. */
static void add_all(const struct folder_list *l, struct specials *s)
{
    bool has_archive = false;
    for (size_t i = 0; i < s->n; i++)
        has_archive = has_archive || s->v[i].use == FOLDER_USE_ARCHIVE;
    for (size_t at = 0; !has_archive && at < l->n; at++) {
        if (l->v[at].attrs & FOLDER_ALL && !(l->v[at].attrs & FOLDER_NOSELECT) &&
            folder_is_own(l, &l->v[at]))
            add(l, s, at, FOLDER_USE_ARCHIVE, 0);
    }
}

/* --- Both sides ------------------------------------------------------------------------------ */

/* Of the target's, the one that is called as s would be, or else the first that s may have. */
static struct special *counterpart(
    const struct special *s, const struct folder_special *in, struct specials *there)
{
    const struct folder *same = folder_list_find(in->target, in->plain[s->at]);
    struct special *first = NULL;
    for (size_t i = 0; i < there->n; i++) {
        struct special *t = &there->v[i];
        const struct folder *f = &in->target->v[t->at];
        if (t->use != s->use || t->is_taken || !in->is_free(in->arg, s->at, f->name))
            continue;
        if (f == same)
            return t;
        first = first ? first : t;
    }
    return same && s->rank > 0 ? NULL : first;
}

void folder_special(const struct folder_special *in, const struct folder **out)
{
    struct specials here, there;
    collect(in->source, &here);
    add_all(in->source, &here);
    collect(in->target, &there);
    for (size_t i = 0; i < here.n; i++) {
        struct special *t = in->plain[here.v[i].at].p ? counterpart(&here.v[i], in, &there) : NULL;
        if (!t)
            continue;
        t->is_taken = true;
        out[here.v[i].at] = &in->target->v[t->at];
    }
}
