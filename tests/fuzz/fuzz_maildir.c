/* SPDX-License-Identifier: ISC */
/*
 * What other programs leave in a Maildir: a list of UIDs, whose lines are names of files as well,
 * and the sizes of a quota. A list that was read and is written again is read as the same; a name
 * to which nothing is changed means what it meant; a folder's name comes back from the disk.
 *
 * fuzz-sources: imapsync/ends/maildir_uidlist.c imapsync/ends/maildir_name.c
 * fuzz-sources: imapsync/ends/maildir_size.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/ends/maildir_name.h"
#include "imapsync/ends/maildir_size.h"
#include "imapsync/ends/maildir_uidlist.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is)
{
    if (!is)
        abort();
}

static void check_list(struct slice in)
{
    struct uidlist l, again;
    uint32_t last = 0;
    uidlist_init(&l);
    uidlist_init(&again);
    must(buf_add(&l.text, in) == 0);
    if (uidlist_parse(&l) == 0) {
        must(l.validity > 0 && uidlist_add_header(&again.text, l.validity, l.next, l.guid) == 0);
        for (size_t i = 0; i < l.n; i++) {
            const struct uidlist_row *row = &l.v[i];
            if (row->uid == 0)
                continue;
            must(row->uid > last && row->uid < l.next && uidlist_find(&l, row->base) == row);
            must(uidlist_id(row).n > 0);
            last = row->uid;
            must(uidlist_add_row(&again.text, row->uid, row->fields, row->base) == 0);
        }
        must(uidlist_parse(&again) == 0 && !again.is_torn && again.n_skipped == 0);
        must(again.validity == l.validity && again.next == l.next);
        must(slice_eq(again.guid, l.guid));
        for (size_t i = 0; i < again.n; i++) {
            const struct uidlist_row *row = uidlist_find(&l, again.v[i].base);
            must(row && row->uid == again.v[i].uid);
            must(slice_eq(uidlist_id(row), uidlist_id(&again.v[i])));
        }
    }
    uidlist_fini(&l);
    uidlist_fini(&again);
}

static void check_name(struct slice name)
{
    struct maildir_name parts, then;
    struct buf out;
    uint64_t ignored;
    if (!maildir_name_split(name, &parts))
        return;
    (void)!maildir_base_number(parts.base, 'S', &ignored);
    uint8_t system = maildir_letters_system(parts.letters);
    uint32_t keywords = maildir_letters_keywords(parts.letters);
    buf_init(&out, 1000);
    if (maildir_name_join(parts.base, parts.letters, system, keywords, &out) == 0) {
        must(maildir_name_split(buf_slice(&out), &then) && slice_eq(then.base, parts.base));
        must(maildir_letters_system(then.letters) == system);
        must(maildir_letters_keywords(then.letters) == keywords);
    }
    buf_fini(&out);
}

static void check_folder(struct slice name)
{
    struct buf dir;
    struct slice back;
    buf_init(&dir, 1000);
    if (maildir_folder_dir(name, &dir) == 0 && dir.n > 1)
        must(maildir_folder_name(buf_slice(&dir), &back) && slice_eq(back, name));
    if (maildir_folder_name(name, &back)) {
        buf_clear(&dir);
        must(maildir_folder_dir(back, &dir) == 0 && slice_eq(buf_slice(&dir), name));
    }
    buf_fini(&dir);
}

static void check_sizes(struct slice text)
{
    struct end_quota q = {0};
    maildir_size_take(text, &q);
    must(q.octets.left <= q.octets.limit && q.messages.left <= q.messages.limit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size), line;
    check_list(in);
    check_sizes(in);
    while (slice_split(&in, '\n', &line)) {
        check_name(line);
        check_folder(line);
    }
    return 0;
}
