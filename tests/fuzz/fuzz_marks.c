/* SPDX-License-Identifier: ISC */
/*
 * Changes of marks from any octets: the folders that they make can be written, and read again are
 * the same octets; whatever they say, the decision is one that follows from them, and what is
 * learned then stays known.
 *
 * fuzz-sources: imapsync/move/marks.c imapsync/move/marks_pack.c imapsync/move/marks_counts.c
 * fuzz-sources: imapsync/move/marks_uids.c imapsync/journal/pack.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/err.h"
#include "base/os/hmac.h"
#include "imapsync/move/marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool is_so)
{
    if (!is_so)
        abort();
}

static void decide(struct marks *m)
{
    for (size_t i = 0; i < m->n_folders; i++) {
        const struct marks_folder *f = &m->folders[i];
        check(marks_place(m, f->name, f->uidvalidity + 1, f->uid) == MARKS_BY_CONTENT);
        if (f->has_mark && f->uid > 0)
            check(marks_place(m, f->name, f->uidvalidity, f->uid) != MARKS_BY_CONTENT);
        if (f->n_owed > 0)
            check(marks_place(m, f->name, f->uidvalidity, f->owed[0]) == MARKS_OWED);
        check(i == 0 || !slice_eq(f->name, m->folders[i - 1].name));
    }
}

static void learn(struct marks *m, struct slice name, uint32_t uidvalidity)
{
    const struct marks_look at = {.name = name, .uidvalidity = uidvalidity, .highest = 1000};
    unsigned char digest[SHA256_SIZE];
    struct err err = ERR_INIT;
    size_t ever;
    sha256_of(SLICE_LIT("new"), digest);
    for (uint32_t uid = 999; uid < 1002; uid++)
        check(marks_learn(m, &at, uid, digest, true, &err) == 0 &&
              marks_place(m, name, uidvalidity, uid) == MARKS_BEFORE);
    marks_pass(m);
    check(marks_meet(m, digest, 1, &ever, &err) == 0 && ever >= 1);
}

static void there_and_back(const struct marks *m)
{
    struct marks again = {0};
    struct buf out, same;
    buf_init(&out, MARKS_SIZE_MAX);
    buf_init(&same, MARKS_SIZE_MAX);
    marks_pack_folders(m, &out);
    check(marks_apply(&again, buf_slice(&out)));
    marks_pack_folders(&again, &same);
    check(slice_eq(buf_slice(&out), buf_slice(&same)));
    buf_fini(&out);
    buf_fini(&same);
    marks_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct marks m = {0};
    if (marks_apply(&m, slice_make(data, size))) {
        decide(&m);
        there_and_back(&m);
        learn(&m, SLICE_LIT("INBOX"), 1);
        if (m.n_folders > 0) {
            char *name = slice_dup(m.folders[0].name);
            learn(&m, slice_make(name, m.folders[0].name.n), m.folders[0].uidvalidity);
            free(name);
        }
        there_and_back(&m);
    }
    marks_fini(&m);
    return 0;
}
