/* SPDX-License-Identifier: ISC */
/* cause: see cause.h; RFC 9051 6 and 7, RFC 5819, RFC 7162. */
#include "imapsync/imap/cause.h"

#define KIND(name) (1u << IMAP_KIND_##name)
#define OPENING (KIND(FLAGS) | KIND(EXISTS) | KIND(RECENT) | KIND(FETCH) | KIND(VANISHED))
#define REMOVING (KIND(EXPUNGE) | KIND(VANISHED))

static const struct {
    const char *name;
    unsigned causes;
} rows[] = {
    {"CAPABILITY", KIND(CAPABILITY)},
    {"ENABLE", KIND(ENABLED)},
    {"ID", KIND(ID)},
    {"NAMESPACE", KIND(NAMESPACE)},
    {"GETACL", KIND(ACL)},
    {"GETMETADATA", KIND(METADATA)},
    {"LIST", KIND(LIST) | KIND(MAILBOX_STATUS)},
    {"LSUB", KIND(LSUB)},
    {"STATUS", KIND(MAILBOX_STATUS)},
    {"SELECT", OPENING},
    {"EXAMINE", OPENING},
    {"SEARCH", KIND(SEARCH) | KIND(ESEARCH)},
    {"FETCH", KIND(FETCH) | KIND(VANISHED)},
    {"STORE", KIND(FETCH)},
    {"EXPUNGE", REMOVING},
    {"MOVE", REMOVING},
};

static unsigned causes_of(struct slice name)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (slice_eq_nocase(name, slice_str(rows[i].name)))
            return rows[i].causes;
    }
    return 0;
}

void imap_verb_add(struct imap_verb *v, struct slice text)
{
    for (size_t i = 0; i < text.n && !v->is_whole; i++) {
        struct slice name = slice_make(v->name, v->n);
        if (text.p[i] == ' ' && slice_eq_nocase(name, SLICE_LIT("UID"))) {
            v->n = 0;
        } else if (text.p[i] <= ' ' || v->n == sizeof(v->name)) {
            v->is_whole = true;
            v->causes = causes_of(name);
        } else {
            v->name[v->n++] = (char)text.p[i];
        }
    }
}

bool imap_cause_exists(enum imap_kind kind)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].causes & 1u << kind)
            return true;
    }
    return false;
}
