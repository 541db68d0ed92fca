/* SPDX-License-Identifier: ISC */
/*
 * journal_fill: writes into a journal as a copy does, intents first, until it is done or cannot.
 *
 *     journal_fill FOLDER N AT_ONCE     appends the messages up to N that it does not have yet;
 *                                       "K", the number that it was told are in it, and 0, or 1
 *                                       with the error
 *     journal_fill FOLDER               the number that it has; fails when one is missing
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/journal/journal.h"

#define INTENT_MAX 100

static uint32_t number_of(struct journal *j)
{
    struct err err = ERR_INIT;
    struct pair *pairs = NULL;
    size_t n = 0;
    if (journal_pairs(j, 1, &pairs, &n, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    for (size_t i = 0; i < n; i++) {
        if (pairs[i].src_uid != i + 1) {
            (void)fprintf(stderr, "%zu is missing\n", i + 1);
            exit(2);
        }
    }
    free(pairs);
    return (uint32_t)n;
}

/* From `first` on, n of them. */
static int append(struct journal *j, uint32_t first, uint32_t n, struct err *err)
{
    uint64_t ids[64];
    size_t n_ids = 0;
    journal_begin(j);
    for (uint32_t i = 0; i < n; i += INTENT_MAX) {
        uint32_t uids[INTENT_MAX];
        struct intent intent = {.kind = INTENT_APPEND, .tgt_uidnext = first, .uids = uids};
        for (; intent.n < INTENT_MAX && i + intent.n < n; intent.n++)
            uids[intent.n] = first + i + (uint32_t)intent.n;
        journal_intent_put(j, 1, &intent);
        ids[n_ids++] = intent.id;
    }
    if (journal_commit(j, err) != 0)
        return -1;
    journal_begin(j);
    for (uint32_t uid = first; uid < first + n; uid++) {
        struct pair p = {.src_uid = uid, .tgt_uid = uid + 7, .state = PAIR_STORED};
        struct content c = {.has_digest = true, .size = 5000};
        sha256_of(slice_make(&uid, sizeof(uid)), c.digest);
        journal_pair_put(j, 1, &p, &c);
    }
    for (size_t i = 0; i < n_ids; i++)
        journal_intent_del(j, 1, ids[i]);
    return journal_commit(j, err);
}

int main(int argc, char **argv)
{
    uint32_t n = 0, at_once = 1, has;
    struct err err = ERR_INIT;
    struct journal *j;
    int result = 0;
    if (argc != 2 && (argc != 4 || num_u32(slice_str(argv[2]), 1, 1000000, &n) != 0 ||
                         num_u32(slice_str(argv[3]), 1, 64 * INTENT_MAX, &at_once) != 0)) {
        (void)fprintf(stderr, "usage: journal_fill FOLDER [N AT_ONCE]\n");
        return 64;
    }
    if (journal_open(argv[1], "a", "b", &j, &err) != 0) {
        (void)printf("0\n");
        (void)fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    has = number_of(j);
    while (result == 0 && has < n) {
        uint32_t more = n - has < at_once ? n - has : at_once;
        result = append(j, has + 1, more, &err);
        if (result == 0)
            has += more;
        else
            (void)fprintf(stderr, "%s\n", err.text);
    }
    (void)printf("%u\n", has);
    journal_close(&j);
    return result == 0 ? 0 : 1;
}
