/* SPDX-License-Identifier: ISC */
/*
 * journal_shown: digests of what was only looked at: messages in folders of the source that show
 * those of others, where they are not copied (shown.h).  UIDs are worth what their UIDVALIDITY is,
 * so it is in the key.  What is not shown any more leaves its record behind, of some fifty octets.
 */
#include <string.h>

#include "base/core/buf.h"
#include "imapsync/journal/journal_parts.h"

static void make_key(
    struct buf *out, struct journal *j, struct slice folder, uint32_t uidvalidity, uint32_t uid)
{
    unsigned char name[SHA256_SIZE];
    sha256_of(folder, name);
    buf_init(out, 32);
    record_key_shown(out, j->from, name, uidvalidity, uid);
}

int journal_shown_get(struct journal *j, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    unsigned char digest[SHA256_SIZE], bool *found_out, struct err *err)
{
    struct buf key, value;
    make_key(&key, j, folder, uidvalidity, uid);
    buf_init(&value, RECORD_MAX);
    int result = bdb_get(j->t.state, NULL, buf_slice(&key), &value, found_out, err);
    if (result == 0 && *found_out && value.n != SHA256_SIZE)
        result = journal_damaged(j, "what was shown", err);
    else if (result == 0 && *found_out)
        memcpy(digest, buf_slice(&value).p, SHA256_SIZE);
    buf_fini(&key);
    buf_fini(&value);
    return result;
}

void journal_shown_put(struct journal *j, struct slice folder, uint32_t uidvalidity, uint32_t uid,
    const unsigned char digest[SHA256_SIZE])
{
    struct buf key, value;
    make_key(&key, j, folder, uidvalidity, uid);
    buf_init(&value, SHA256_SIZE);
    BUG_ON(buf_add(&value, slice_make(digest, SHA256_SIZE)) != 0);
    journal_put_record(j, j->t.state, &key, &value);
    buf_fini(&key);
    buf_fini(&value);
}
