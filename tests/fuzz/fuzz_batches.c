/* SPDX-License-Identifier: ISC */
/*
 * Batches between a source and a target that do what the octets say; what holds whatever they do is
 * in batches_toy.h.
 *
 * fuzz-sources: imapsync/stream/batches.c imapsync/stream/batches_runs.c
 * imapsync/stream/batches_answers.c imapsync/stream/batches_lost.c
 */
#include <stdio.h>
#include "tests/unit/batches_toy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void toy_failed(struct toy *t, const char *what)
{
    fprintf(stderr, "%s, behind %s\n", what, buf_cstr(&t->log));
    abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    toy_play(data, size);
    return 0;
}
