/* SPDX-License-Identifier: ISC */
/*
 * Marks from any octets: what is read can be written, and is then the same octets; and whatever the
 * marks say, the decision is one that follows from them.  The digest at the end is put right first,
 * else nothing would get past it.
 *
 * fuzz-sources: imapsync/move/marks.c imapsync/copy/pack.c
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/core/err.h"
#include "imapsync/move/marks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decide(struct marks *m)
{
    unsigned char digest[SHA256_SIZE] = {0};
    for (size_t i = 0; i < m->n_folders; i++) {
        const struct marks_folder *f = &m->folders[i];
        struct slice name = f->source.name;
        uint32_t v = f->source.uidvalidity, uid = f->source.uid;
        if (uid < UINT32_MAX && marks_place(m, name, v, uid + 1) != MARKS_BY_CONTENT)
            abort();
        if (marks_place(m, name, v + 1, uid) != MARKS_BY_CONTENT)
            abort();
        if (f->n_owed > 0 && f->owed[0] <= uid && marks_place(m, name, v, f->owed[0]) != MARKS_OWED)
            abort();
    }
    marks_pass(m);
    size_t n = m->n_digests < 4 ? m->n_digests : 4;
    for (size_t i = 0; i < n; i++) {
        memcpy(digest, m->digests[i].digest, MARKS_DIGEST);
        uint32_t ever = m->digests[i].ever;
        for (uint32_t k = 0; k < 5; k++) {
            if (marks_is_late(m, digest) != (k >= ever))
                abort();
        }
    }
}

static void check(struct slice in)
{
    struct marks m;
    struct buf out;
    if (marks_unpack(in, &m) != 0)
        return;
    buf_init(&out, 0);
    marks_pack(&m, &out);
    if (!slice_eq(buf_slice(&out), in))
        abort();
    buf_fini(&out);
    decide(&m);
    if (marks_came(&m, SLICE_LIT("INBOX"), 1, 1,
            (const unsigned char *)"0123456789abcdef0123456789abcdef"))
        abort();
    marks_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char digest[SHA256_SIZE];
    struct buf whole;
    check(slice_make(data, size));
    buf_init(&whole, size + SHA256_SIZE);
    if (size > 0 && buf_add(&whole, slice_make(data, size)) != 0)
        abort();
    sha256_of(buf_slice(&whole), digest);
    if (buf_add(&whole, slice_make(digest, sizeof(digest))) != 0)
        abort();
    check(buf_slice(&whole));
    buf_fini(&whole);
    return 0;
}
