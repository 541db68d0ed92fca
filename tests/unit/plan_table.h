/* SPDX-License-Identifier: ISC */
/*
 * plan_table: the specification of the plan as rows that a person can read, and what runs them.
 *
 *     {"a deletion follows", "mirror", "A: 1=11 2=12 | -1 | ", "remove A 1=11 lost"},
 *      what it shows          policy    the mailbox             what is planned
 *
 * The mailbox: one line for each folder, with
 *
 *     NAME options: journal | changes of the source | changes of the target
 *
 *   journal   1=11 both UIDs; 1=g gone on the target, g=11 gone on the source; 1=x refused, 1=x!
 * due again; 1=? sent; 1=a away; 1=l lost by a restore of the target.  Behind it, in any order: :SF
 * its flags, #d its content,
 *             @e its EMAILID, /9 its size, ~ touched, + has a twin,
 *             ^ alone on the target, and nobody knows why
 *   changes   5:SF a message and its flags, -1 one that vanished, ? the side is not sure.
 *             #d the digest is known, %d its content, which has to be read first,
 *             ' behind either: but for a header line that its server has added,
 *             %! cannot be read, %!! since its side says NO, ^ it has gone when it is asked for
 *             once more, * a filter leaves it out
 *   flags     letters of Maildir (S seen, R answered, F flagged, D draft, T deleted); a-z keywords
 *             :- the server has told none
 *   ranges    1..20=101, 5..9:S, -1..20 stand for as many; #a.. goes on with b, c
 *   options   mark5 owed2,3 has7,9 (had a pair since) trash confirmed known100 lost (not listed by
 * the source) tlost (nor by the target) keepsSF (all that lasts on the target)
 *
 * Behind the policy's name: noremove nomove nodelete all (every folder was asked) known100 (of the
 * mailbox) fresh (the roles were exchanged) blind (nobody knows what there was) hidden (nor what is
 * owed) seen=d:2 (content d was there twice) doubt=d:1 (one of it may be on its way elsewhere).
 *
 * What is planned, in order, separated by "; ":
 *
 *     copy A 5 :S new               flags A 1=11 +S-F flags          move A 1=11 > B 5 digest
 *     remove A 1=11 lost            (remove A 1=11 lost): ceiling    that is withheld
 *     renumber A 1=11 > A 5 digest  (of the target: > =15)           note A 1=11 :S agreed
 *     ask A 5                       again A                          reconcile A
 *     still A 5                     that is asked for once more
 *     kept 1, unsure 1              only where they are not 0
 *
 * Behind flags and notes ~ says that the pair then counts as touched.  What is asked for is handed
 * in, and what is planned then follows.
 */
#ifndef TESTS_UNIT_PLAN_TABLE_H
#define TESTS_UNIT_PLAN_TABLE_H

#include <stdlib.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/plan/plan.h"
#include "tests/unit/unit.h"

struct plan_row {
    const char *name, *policy, *mailbox, *planned;
};

#define TABLE_FOLDERS 12
#define TABLE_MESSAGES 700

struct table_message {
    struct plan_message m;
    unsigned char content, id;
    bool is_known; /* its digest is handed in */
    bool is_altered, is_hopeless, is_refused, is_gone;
};

struct table_side {
    struct table_message v[TABLE_MESSAGES];
    uint32_t vanished[TABLE_MESSAGES];
};

struct table_pair {
    struct plan_pair p;
    unsigned char content, id;
};

struct table_folder {
    char name[16];
    struct table_side source, target;
    struct table_pair pairs[TABLE_MESSAGES];
    uint32_t owed[TABLE_MESSAGES], has[TABLE_MESSAGES];
    size_t n_has;
};

struct table {
    struct table_folder folders[TABLE_FOLDERS];
    struct plan_folder views[TABLE_FOLDERS];
    struct plan_input in;
    unsigned char digests[256][SHA256_SIZE], ids[256];
    struct canon canons[256]; /* from 128 on: those of altered ones */
    size_t ever[256], doubt[256];
    const char *row;
    struct buf text;
};

static struct table table; /* too large for a stack */

/* --- Reading ----------------------------------------------------------------------------- */

static void table_bad(const char *at)
{
    fail_msg("row '%s': cannot read '%s'", table.row, at);
}

static bool table_take(const char **s, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*s, word, n) != 0)
        return false;
    *s += n;
    return true;
}

static uint32_t table_number(const char **s)
{
    uint32_t n = 0;
    if (!ascii_is_digit((unsigned char)**s))
        table_bad(*s);
    while (ascii_is_digit((unsigned char)**s))
        n = n * 10 + (uint32_t)(*(*s)++ - '0');
    return n;
}

static uint32_t table_range(const char **s, uint32_t *n_out)
{
    uint32_t first = table_number(s);
    *n_out = table_take(s, "..") ? table_number(s) - first + 1 : 1;
    return first;
}

static const char table_letters[] = "RTDFS"; /* in the order of enum flag_system */

static struct flags table_flags(const char **s)
{
    struct flags f = {0};
    for (;; (*s)++) {
        const char *hit = **s ? strchr(table_letters, **s) : NULL;
        if (hit)
            f.system |= (uint8_t)(1u << (hit - table_letters));
        else if (**s >= 'a' && **s <= 'z')
            f.keywords[0] |= UINT64_C(1) << (**s - 'a');
        else
            return f;
    }
}

/* "d" or "d..": the letter of the i-th of a range. */
static unsigned char table_letter(const char **s, uint32_t i)
{
    unsigned char c = (unsigned char)*(*s)++;
    return table_take(s, "..") ? (unsigned char)(c + i) : c;
}

static void table_pair_read(const char **s, struct table_folder *f, struct plan_folder *v)
{
    struct plan_pair p = {.state = PAIR_STORED};
    uint32_t n = 1;
    if (table_take(s, "g"))
        p.state = PAIR_GONE;
    else
        p.src_uid = table_range(s, &n);
    if (!table_take(s, "="))
        table_bad(*s);
    if (table_take(s, "g"))
        p.state = PAIR_GONE;
    else if (table_take(s, "x"))
        p.state = PAIR_REFUSED;
    else if (table_take(s, "?"))
        p.state = PAIR_SENT;
    else if (table_take(s, "a"))
        p.state = PAIR_AWAY;
    else if (table_take(s, "l"))
        p.state = PAIR_LOST;
    else
        p.tgt_uid = table_number(s);
    const char *attributes = *s;
    for (uint32_t i = 0; i < n; i++) {
        struct table_pair *t = &f->pairs[v->n_pairs++];
        *t = (struct table_pair){.p = p};
        t->p.src_uid += i;
        t->p.tgt_uid += p.tgt_uid ? i : 0;
        for (*s = attributes; **s && **s != ' ' && **s != '|' && **s != '\n';) {
            if (table_take(s, ":"))
                t->p.flags = table_flags(s);
            else if (table_take(s, "#"))
                t->content = table_letter(s, i);
            else if (table_take(s, "@"))
                t->id = table_letter(s, i);
            else if (table_take(s, "/"))
                t->p.size = table_number(s);
            else if (table_take(s, "~"))
                t->p.is_touched = true;
            else if (table_take(s, "+"))
                t->p.has_twin = true;
            else if (table_take(s, "^"))
                t->p.is_unproved = true;
            else if (table_take(s, "!"))
                t->p.may_retry = true;
            else
                table_bad(*s);
        }
        v->n_known += p.state == PAIR_STORED;
    }
}

static void table_change_read(const char **s, struct table_side *side, struct plan_side *v)
{
    uint32_t n, first;
    if (table_take(s, "?")) {
        v->is_sure = false;
        return;
    }
    if (table_take(s, "-")) {
        first = table_range(s, &n);
        for (uint32_t i = 0; i < n; i++)
            side->vanished[v->n_vanished++] = first + i;
        return;
    }
    first = table_range(s, &n);
    const char *attributes = *s;
    for (uint32_t i = 0; i < n; i++) {
        struct table_message *t = &side->v[v->n++];
        *t = (struct table_message){.m = {.uid = first + i, .has_flags = true}};
        for (*s = attributes; **s && **s != ' ' && **s != '|' && **s != '\n';) {
            if (table_take(s, ":-"))
                t->m.has_flags = false;
            else if (table_take(s, "^"))
                t->is_gone = true;
            else if (table_take(s, "*"))
                t->m.is_filtered = true;
            else if (table_take(s, ":"))
                t->m.flags = table_flags(s);
            else if (table_take(s, "%!"))
                t->is_hopeless = true, t->is_refused = table_take(s, "!");
            else if (table_take(s, "#") || table_take(s, "%")) {
                t->is_known = (*s)[-1] == '#';
                t->content = table_letter(s, i);
                t->is_altered = table_take(s, "'");
            } else if (table_take(s, "@"))
                t->id = table_letter(s, i);
            else if (table_take(s, "/"))
                t->m.size = table_number(s);
            else
                table_bad(*s);
        }
    }
}

static struct plan_message table_message_at(const void *arg, size_t i)
{
    const struct table_message *t = &((const struct table_side *)arg)->v[i];
    struct plan_message m = t->m;
    unsigned content = t->content | (t->is_altered ? 128u : 0);
    if (t->is_known) {
        m.digest = table.digests[content];
        m.canon = &table.canons[content];
    }
    if (t->id)
        m.id = slice_make(&table.ids[t->id], 1);
    return m;
}

static struct plan_pair table_pair_at(const void *arg, size_t i)
{
    const struct table_pair *t = &((const struct table_folder *)arg)->pairs[i];
    struct plan_pair p = t->p;
    if (t->content) {
        p.digest = table.digests[t->content];
        p.canon = &table.canons[t->content];
    }
    if (t->id)
        p.id = p.tgt_id = slice_make(&table.ids[t->id], 1);
    return p;
}

static bool table_has(const void *known, uint32_t uid)
{
    const struct table_folder *f = known;
    for (size_t i = 0; i < f->n_has; i++) {
        if (f->has[i] == uid)
            return true;
    }
    return false;
}

static void table_options(const char **s, struct table_folder *f, struct plan_folder *v)
{
    const char *keeps = "RTDFSabcdefghijklmnopqrstuvwxyz";
    v->storable = table_flags(&keeps);
    while (!table_take(s, ":")) {
        if (table_take(s, " "))
            continue;
        if (table_take(s, "mark"))
            v->past.mark = table_number(s);
        else if (table_take(s, "owed"))
            do
                f->owed[v->past.n_owed++] = table_number(s);
            while (table_take(s, ","));
        else if (table_take(s, "has"))
            do
                f->has[f->n_has++] = table_number(s);
            while (table_take(s, ","));
        else if (table_take(s, "known"))
            v->n_known += table_number(s);
        else if (table_take(s, "trash"))
            v->is_target_trash = true;
        else if (table_take(s, "confirmed"))
            v->is_confirmed = true;
        else if (table_take(s, "lost"))
            v->is_source_lost = true;
        else if (table_take(s, "tlost"))
            v->is_target_lost = true;
        else if (table_take(s, "keeps"))
            v->storable = table_flags(s);
        else
            table_bad(*s);
    }
}

static void table_folder_read(const char **s)
{
    struct table_folder *f = &table.folders[table.in.n_folders];
    struct plan_folder *v = &table.views[table.in.n_folders++];
    size_t n = strcspn(*s, " :");
    *v = (struct plan_folder){.source = {.message = table_message_at, .arg = &f->source},
        .target = {.message = table_message_at, .arg = &f->target},
        .pair = table_pair_at,
        .arg = f,
        .past = {.owed = f->owed, .is_known = table_has, .known = f}};
    f->n_has = 0;
    v->source.vanished = f->source.vanished;
    v->target.vanished = f->target.vanished;
    v->source.is_sure = v->target.is_sure = true;
    BUG_ON(n >= sizeof(f->name));
    memcpy(f->name, *s, n);
    f->name[n] = 0;
    *s += n;
    table_options(s, f, v);
    for (int part = 0; **s && **s != '\n';) {
        if (table_take(s, " "))
            continue;
        if (table_take(s, "|"))
            part++;
        else if (part == 0)
            table_pair_read(s, f, v);
        else if (part == 1)
            table_change_read(s, &f->source, &v->source);
        else
            table_change_read(s, &f->target, &v->target);
    }
    table_take(s, "\n");
    table.in.n_known += v->n_known;
}

static size_t table_seen(void *arg, const unsigned char *digest, size_t now)
{
    (void)arg, (void)now;
    return table.ever[digest[0]];
}

static size_t table_in_doubt(void *arg, const unsigned char *digest)
{
    (void)arg;
    return table.doubt[digest[0]];
}

/* Of contents that are not named in the policy it is known what the pairs tell. */
static void table_seen_by_pairs(void)
{
    for (size_t i = 0; i < table.in.n_folders; i++) {
        for (size_t k = 0; k < table.views[i].n_pairs; k++) {
            const struct table_pair *t = &table.folders[i].pairs[k];
            table.ever[t->content]++;
        }
    }
}

static void table_count(const char **s, size_t *of)
{
    unsigned char content = (unsigned char)*(*s)++;
    if (!table_take(s, ":"))
        table_bad(*s);
    of[content] = table_number(s);
}

static void table_policy_read(const char **s)
{
    size_t n = strcspn(*s, " ");
    struct plan_input *in = &table.in;
    for (in->policy = 0; in->policy < PLAN_POLICIES; in->policy++) {
        const char *name = plan_policy(in->policy)->name;
        if (strlen(name) == n && strncmp(name, *s, n) == 0)
            break;
    }
    if (in->policy == PLAN_POLICIES)
        table_bad(*s);
    for (*s += n; **s;) {
        if (table_take(s, " "))
            continue;
        if (table_take(s, "noremove"))
            in->can_remove = false;
        else if (table_take(s, "nomove"))
            in->can_move = false;
        else if (table_take(s, "nodelete"))
            in->may_delete = false;
        else if (table_take(s, "all"))
            in->is_all = true;
        else if (table_take(s, "fresh"))
            in->is_fresh = true;
        else if (table_take(s, "blind"))
            in->seen = NULL;
        else if (table_take(s, "hidden"))
            in->is_owed_hidden = true;
        else if (table_take(s, "known"))
            in->n_known += table_number(s);
        else if (table_take(s, "min"))
            in->deletions_min = table_number(s);
        else if (table_take(s, "percent"))
            in->deletions_percent = table_number(s);
        else if (table_take(s, "seen="))
            table_count(s, table.ever);
        else if (table_take(s, "doubt="))
            table_count(s, table.doubt);
        else
            table_bad(*s);
    }
}

static void table_read(const struct plan_row *row)
{
    const char *s = row->mailbox;
    table.row = row->name;
    buf_init(&table.text, 1u << 20);
    memset(table.ever, 0, sizeof(table.ever));
    memset(table.doubt, 0, sizeof(table.doubt));
    for (unsigned i = 0; i < 256; i++) {
        memset(table.digests[i], (int)i, SHA256_SIZE);
        table.ids[i] = (unsigned char)i;
        memset(table.canons[i].text, (int)(i % 128 + 1), CANON_TEXT);
        memset(table.canons[i].header, (int)i, CANON_HEADER);
    }
    table.in = (struct plan_input){.folders = table.views,
        .can_remove = true,
        .can_move = true,
        .may_delete = true,
        .seen = table_seen,
        .in_doubt = table_in_doubt};
    while (*s)
        table_folder_read(&s);
    table_seen_by_pairs();
    s = row->policy;
    table_policy_read(&s);
}

#include "tests/unit/plan_table_text.h"

#endif
