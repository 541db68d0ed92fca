/* SPDX-License-Identifier: ISC */
/*
 * folder_rules: what an administrator has said of folders: which are copied, and which have another
 * name on the target.  Folders are named as people read them (UTF-8), with the separators of their
 * own server; in patterns "*" stands for anything and "%" for anything within a level.
 */
#ifndef IMAPSYNC_PLAN_FOLDER_RULES_H
#define IMAPSYNC_PLAN_FOLDER_RULES_H

#include "base/core/buf.h"
#include "imapsync/ends/mailbox.h"

struct folder_words {
    const char *const *v; /* borrowed */
    size_t n;
};

struct folder_rules {
    struct folder_words map;     /* "OLD=NEW" */
    struct folder_words include; /* patterns; none: all folders */
    struct folder_words exclude; /* patterns */
};

struct folder_words folder_words(const char *const *v); /* that end with NULL */

/* Whether they can be followed whatever the folders are. */
int folder_rules_check(const struct folder_rules *r, struct err *err) ATTR_WUR;
/* What is no mail is only taken when it is included by name, or by a pattern. */
enum folder_choice { FOLDER_TAKEN, FOLDER_RULED_OUT, FOLDER_HAS_NO_MAIL };

/* rules: NULL is none. */
enum folder_choice folder_rules_choose(const struct folder_rules *rules, const struct folder *f);
bool folder_rules_take(const struct folder_rules *rules, const struct folder *f);
/* The name on the target that is said for it, on the wire, below the target's prefix; added to out.
 * false: none is. */
bool folder_rules_name(const struct folder_rules *rules, const struct folder *f,
    const struct folder_list *target, struct buf *out);

/* Both in UTF-8; delimiter -1: there are no levels. */
bool folder_pattern_matches(struct slice pattern, struct slice name, int delimiter);

#endif
