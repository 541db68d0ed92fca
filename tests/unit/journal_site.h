/* SPDX-License-Identifier: ISC */
/* journal_site: a journal in a folder of its own, and short ways to fill it and to look at it. */
#ifndef TESTS_UNIT_JOURNAL_SITE_H
#define TESTS_UNIT_JOURNAL_SITE_H

#include "base/core/log.h"
#include "imapsync/journal/journal.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;

static inline const char *home(void)
{
    return tmpdir_file(&dir, "j");
}

static inline struct journal *open_as(const char *source, const char *target)
{
    struct journal *j = NULL;
    struct err err = ERR_INIT;
    if (journal_open(home(), source, target, &j, &err) != 0)
        fail_msg("%s", err.text);
    return j;
}

static inline struct journal *reopen(struct journal **j)
{
    journal_close(j);
    *j = open_as("a", "b");
    return *j;
}

static inline int set_up(void **state)
{
    log_set_level(LOG_LEVEL_ERROR);
    tmpdir_make(&dir);
    *state = open_as("a", "b");
    return 0;
}

static inline int tear_down(void **state)
{
    struct journal *j = *state;
    journal_close(&j);
    tmpdir_remove(&dir);
    return 0;
}

static inline void commit(struct journal *j)
{
    struct err err = ERR_INIT;
    if (journal_commit(j, &err) != 0)
        fail_msg("%s", err.text);
}

static inline struct content content_of(unsigned n)
{
    struct content c = {.has_digest = true, .size = n};
    memcpy(c.digest, &n, sizeof(n));
    c.digest[SHA256_SIZE - 1] = 1;
    return c;
}

static inline void put(struct journal *j, uint32_t folder, struct pair p, unsigned digest)
{
    struct content c = content_of(digest);
    journal_begin(j);
    journal_pair_put(j, folder, &p, &c);
    commit(j);
}

static inline struct pair stored(uint32_t src, uint32_t tgt)
{
    return (struct pair){.src_uid = src, .tgt_uid = tgt, .state = PAIR_STORED};
}

/* "1-11S 2-0R": source, target, first letter of the state. */
static inline void assert_pairs(struct journal *j, uint32_t folder, const char *want)
{
    struct err err = ERR_INIT;
    struct pair *v;
    struct buf text;
    size_t n;
    buf_init(&text, 1000);
    assert_int_equal(journal_pairs(j, folder, &v, &n, &err), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(buf_addf(&text, "%s%u-%u%c", i ? " " : "", v[i].src_uid, v[i].tgt_uid,
                             "?SRGs"[v[i].state]),
            0);
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
    free(v);
}

static inline void note(void *arg, uint32_t folder, const struct pair *p)
{
    struct buf *text = arg;
    assert_int_equal(
        buf_addf(text, "%s%u:%u-%u", text->n ? " " : "", folder, p->src_uid, p->tgt_uid), 0);
}

static inline void assert_digest(struct journal *j, unsigned digest, const char *want)
{
    struct content c = content_of(digest);
    struct err err = ERR_INIT;
    struct buf text;
    buf_init(&text, 1000);
    assert_int_equal(journal_by_digest(j, c.digest, note, &text, &err), 0);
    assert_string_equal(buf_cstr(&text), want);
    buf_fini(&text);
}

static inline uint32_t new_folder(struct journal *j, const char *source, const char *target)
{
    struct journal_folder f = {0};
    struct err err = ERR_INIT;
    journal_set(&f.source.name, slice_str(source));
    journal_set(&f.target.name, slice_str(target));
    assert_int_equal(journal_folder_put(j, &f, &err), 0);
    uint32_t id = f.id;
    journal_folder_fini(&f);
    return id;
}

#endif
