/* SPDX-License-Identifier: ISC */
/*
 * conf_parts: what the files that load a configuration share among themselves.  Only conf.c knows
 * what a struct cfg_t is.
 */
#ifndef BASE_CORE_CONF_PARTS_H
#define BASE_CORE_CONF_PARTS_H

#include "base/core/conf.h"
#include "base/core/schema.h"

struct cfg_t; /* a section as libconfuse has it */

struct conf_loader {
    const char *path;
    struct conf *conf;
    struct err *err;
    bool has_failed;
    struct conf_mark *marks;
    size_t n_marks;
};

struct cfg_t *conf_section(struct cfg_t *top, const char *name);
bool conf_is_given(struct cfg_t *section, const char *name);
/* -1: the first message counts. */
int conf_refuse_key(
    struct conf_loader *l, struct cfg_t *section, const char *name, const char *what);

/* --- Checks (conf_check.c) --- */
bool conf_is_server_name(struct slice name);
int conf_first_mail_server(const struct conf *c); /* or CONF_SERVER_NONE */
/* The index of a server that takes mail, or CONF_SERVER_NONE for one of the key's choices. */
int conf_set_server_ref(struct conf_loader *l, struct cfg_t *section, const struct schema_key *key,
    const char *name, void *field);
int conf_check_domain(struct conf_loader *l, struct cfg_t *section, const struct conf_domain *d);
int conf_check_server(struct conf_loader *l, struct cfg_t *section, struct conf_server *s);
/* A server's addresses are its own: the same range twice would make the direction a guess. */
int conf_check_from(struct conf_loader *l, struct cfg_t *section, size_t self);
int conf_check_rest(struct conf_loader *l, struct cfg_t *top);

#endif
