/* SPDX-License-Identifier: ISC */
/* promises: what the rows of the table share; see promises.c. */
#ifndef TESTS_SIM_PROMISES_H
#define TESTS_SIM_PROMISES_H

#include "tests/sim/both.h"
#include "tests/sim/model.h"

#define HERE SLICE_LIT("Lists")
#define THERE SLICE_LIT("Moved")
#define NOWHERE SLICE_LIT("Archive")
#define MESSAGES 4

struct promise {
    struct both both;
    struct end *a, *b;
    struct keywords keywords;
    uint32_t uids[MESSAGES]; /* in HERE */
    uint32_t validity;
    bool is_broken;
};

void promise_check(struct promise *p, bool is, const char *what);
#define CHECK(is) promise_check(p, (is), #is)
bool promise_can(const struct promise *p, unsigned what);

/* Waits for it. */
enum end_result promise_answer(struct end *e, const struct end_ticket *t);
/* Stores n messages, from this content on.  uids: where one batch will do. */
enum end_result promise_put(
    struct end *e, struct slice folder, uint32_t first, size_t n, struct end_uids *uids);
/* Opens HERE, or what o names, and tells it into c. */
enum end_result promise_look(
    struct promise *p, struct end *e, const struct end_open *o, struct end_changes *c);
enum end_result promise_write(struct promise *p, struct end *e, struct slice folder);
size_t promise_count(struct promise *p, struct end *e, struct slice folder);
enum end_result promise_mark(
    struct end *e, uint32_t uid, uint8_t flag, bool on, uint64_t since, struct end_uids *modified);
/* Puts MESSAGES into HERE, none into THERE, and opens HERE at A for writing. */
void promise_fill(struct promise *p);

struct promise_row {
    const char *text;
    void (*f)(struct promise *p);
};
extern const struct promise_row promises_life[], promises_mail[]; /* up to one without a text */

#endif
