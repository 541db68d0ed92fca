/* SPDX-License-Identifier: ISC */
/* export_lines: the words of the tables of Postfix and Sendmail, and lines that are written at the
 * end. */
#ifndef MAPS_FORMAT_EXPORT_LINES_H
#define MAPS_FORMAT_EXPORT_LINES_H

#include "maps/format/export_priv.h"

#define EXPORT_ANSWER_MAX 1024 /* bytes of a table's right side */

/* The words of a table.  What they do not append is no line. */
struct export_words {
    int (*wait)(const char *code, const char *text, struct buf *out);
    int (*refuse)(struct buf *out);
    int (*deliver)(const struct conf_server *server, struct buf *out);
    const char *at; /* in front of a domain */
};

extern const struct route_entry export_held;
extern const char *const export_roles[EXPORT_ROLES];

const struct export_words *export_words_of(enum export_format format); /* NULL: of addresses */
int export_wait_postfix(const char *code, const char *text, struct buf *out) ATTR_WUR;

bool export_fits_table(struct slice key);
bool export_is_refusal(const struct route_entry *e);
/* Goes to other addresses, and to no server by itself. */
bool export_is_alias(const struct route_entry *e);
/* A table does not know who sends, and Sendmail's has one address for another. */
bool export_fits_alias(const struct export *x, const struct route_entry *e);
/* postmaster and abuse are always valid, whatever the map has for them (route.h). */
int export_role_of(struct slice key);
bool export_folds(const struct export *x, const struct export_domain *domain);

int export_add_next_hop(const struct export *x, int server, struct buf *out) ATTR_WUR;
int export_add_answer(
    const struct export *x, const struct route_entry *e, int server, struct buf *out) ATTR_WUR;
/* Behind its key: ends the line, or takes it back if it says nothing. */
int export_end_line(struct buf *out, size_t before, size_t answer) ATTR_WUR;

void export_push_line(struct export_line **v, size_t *n, size_t *cap, struct slice key,
    const char *answer, bool is_refusal);
void export_free_lines(struct export_line **v, size_t *n, size_t *cap);
/* By their folded keys; refusals last. */
int export_compare_lines(const void *a, const void *b);
/* Lines of one key from `from` on: where they end, and whether they say the same. */
size_t export_one_group(const struct export_line *v, size_t n, size_t from, bool *is_one_out);
/* The lines of keys that differ in case: where they do not say the same, words say what happens;
 * without words there is no line. */
int export_write_cased(struct export *x, struct buf *out) ATTR_WUR;

/* --- What addresses become (export_address.c) ------------------------------------------ */

int export_address_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out) ATTR_WUR;
int export_address_end(struct export *x, struct buf *out) ATTR_WUR;

#endif
