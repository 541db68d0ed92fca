/* SPDX-License-Identifier: ISC */
/*
 * learn: gathers whom consumers have noted without an entry (maps/consumer.h) into a book
 * (maps/unmapped.h), which it keeps over restarts.  Everything happens on the loop's thread: a tick
 * reads what is new, a minute's change is written to the file.
 */
#ifndef MAPS_MAPD_LEARN_H
#define MAPS_MAPD_LEARN_H

#include <jansson.h>
#include "base/core/conf.h"

struct learn;

/* conf is borrowed until learn_reload(). */
struct learn *learn_new(const struct conf *conf);
void learn_free(struct learn **l); /* gathers and writes once more */
void learn_tick(struct learn *l);
/* Another configuration.  Of each domain that refuses whom the map does not have, those of the book
 * who are not refused by a server are named in the log: they lose their mail. */
void learn_reload(struct learn *l, const struct conf *conf);
/* The reply to a request "unmapped", with "ok". */
json_t *learn_answer(struct learn *l, const json_t *request);

#endif
