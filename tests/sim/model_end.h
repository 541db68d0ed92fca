/* SPDX-License-Identifier: ISC */
/*
 * model_end: a model server as an end (imapsync/ends/end.h), over a network that the world owns.
 *
 * Requests wait in a queue.  Each takes effect on the server in its turn, and is answered later;
 * users act in between, and a cut may come there.  How far a call of advance() gets is the world's
 * choice.
 */
#ifndef TESTS_SIM_MODEL_END_H
#define TESTS_SIM_MODEL_END_H

#include "imapsync/ends/end.h"
#include "tests/sim/model.h"

struct world;

/* The end of one side; registers itself with the world, which may cut it. */
struct end *model_end_new(struct world *w, struct server *s, const struct wait_limits *limits);
/* The connection breaks: what took effect and was not answered is not known to the engine. */
void model_end_cut(struct end *e);

/* What a server was sent before a cut and stores later (QUIRK_LATE). */
struct late_append;
void late_append_do(struct server *s, struct late_append *l);
void late_append_free(struct late_append *l);

#endif
