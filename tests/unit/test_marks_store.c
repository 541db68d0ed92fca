/* SPDX-License-Identifier: ISC */
/* Marks on the disk: what was written is read, torn ends are not, damage is told, and half a
 * million messages need little memory. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/mem.h"
#include "base/os/hmac.h"
#include "base/os/io.h"
#include "imapsync/journal/pack.h"
#include "imapsync/move/marks_store.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

struct site {
    struct tmpdir dir;
    char user[128], file[128], log[128];
};

static void site_make(struct site *s)
{
    tmpdir_make(&s->dir);
    assert_int_equal(fmt_into(s->user, sizeof(s->user), "%s/ann", s->dir.path), 0);
    assert_int_equal(fmt_into(s->file, sizeof(s->file), "%s/marks/ann", s->dir.path), 0);
    assert_int_equal(fmt_into(s->log, sizeof(s->log), "%s/marks/ann.log", s->dir.path), 0);
}

static void must(int result, const struct err *err)
{
    if (result != 0)
        fail_msg("%s", err->text);
}

/* The store as a process finds it. */
struct open_marks {
    struct marks_store store;
    struct marks m;
    bool is_found;
};

static struct open_marks *open_marks(const struct site *s)
{
    struct open_marks *o = mem_zalloc(sizeof(*o));
    struct err err = ERR_INIT;
    marks_store_init(&o->store, s->user);
    must(marks_store_open(&o->store, &o->m, &o->is_found, &err), &err);
    return o;
}

static void close_marks(struct open_marks *o)
{
    marks_fini(&o->m);
    marks_store_close(&o->store);
    free(o);
}

/* Writes all, with an inventory of keys from `first` on, each `times` times. */
static void write_all(struct open_marks *o, uint64_t first, uint64_t n, uint64_t step, int times)
{
    struct err err = ERR_INIT;
    must(marks_store_begin(&o->store, &o->m, &err), &err);
    for (uint64_t i = 0; i < n; i++) {
        for (int k = 0; k < times; k++)
            must(marks_store_add(&o->store, first + i * step, &err), &err);
    }
    must(marks_store_end(&o->store, &o->m, &err), &err);
}

static uint32_t ever(struct open_marks *o, uint64_t key)
{
    struct err err = ERR_INIT;
    uint32_t n = 0;
    const struct marks_count *c = marks_counts_find(&o->m.counts, key);
    if (c)
        return c->ever;
    if (o->m.stored)
        must(o->m.stored(o->m.arg, key, &n, &err), &err);
    return n;
}

static const struct marks_look inbox = {
    .name = SLICE_LIT("INBOX"), .uidvalidity = 7, .highest = 10};

static void learn(struct open_marks *o, uint32_t uid, const char *content)
{
    struct err err = ERR_INIT;
    unsigned char digest[SHA256_SIZE];
    sha256_of(slice_str(content), digest);
    must(marks_learn(&o->m, &inbox, uid, digest, true, &err), &err);
    must(marks_store_append(&o->store, &o->m, &err), &err);
}

static uint32_t content_ever(struct open_marks *o, const char *content)
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(slice_str(content), digest);
    return ever(o, marks_key(digest));
}

static void test_none(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    assert_false(o->is_found);
    assert_int_equal(ever(o, 1), 0);
    write_all(o, 0, 0, 1, 1);
    close_marks(o);
    o = open_marks(&s);
    assert_true(o->is_found);
    assert_int_equal(o->store.n, 0);
    assert_int_equal(ever(o, 1), 0);
    close_marks(o);
    tmpdir_remove(&s.dir);
}

/* The most that there ever were: of an inventory, and of what was learned beside it. */
static void test_inventories(void **state)
{
    (void)state;
    static const uint64_t step = UINT64_MAX / 1000;
    struct site s;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 5, 1000, step, 2);
    write_all(o, 5, 500, 2 * step, 3);
    write_all(o, 6, 10, step, 1);
    for (int again = 0; again < 2; again++) {
        for (uint64_t i = 0; i < 1000; i++)
            assert_int_equal(ever(o, 5 + i * step), i % 2 == 0 ? 3 : 2);
        for (uint64_t i = 0; i < 10; i++)
            assert_int_equal(ever(o, 6 + i * step), 1);
        assert_int_equal(o->store.n, 1010);
        assert_int_equal(ever(o, 4), 0);
        assert_int_equal(ever(o, 7), 0);
        assert_int_equal(ever(o, UINT64_MAX), 0);
        close_marks(o);
        o = open_marks(&s);
    }
    close_marks(o);
    tmpdir_remove(&s.dir);
}

static void test_log(void **state)
{
    (void)state;
    struct site s;
    struct stat st;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 1, 10, 1, 1);
    learn(o, 11, "a");
    close_marks(o);
    o = open_marks(&s);
    learn(o, 12, "a");
    learn(o, 300, "b");
    for (int again = 0; again < 3; again++) {
        assert_int_equal(content_ever(o, "a"), 2);
        assert_int_equal(content_ever(o, "b"), 1);
        assert_int_equal(marks_place(&o->m, inbox.name, 7, 12), MARKS_BEFORE);
        assert_int_equal(marks_place(&o->m, inbox.name, 7, 13), MARKS_BY_CONTENT);
        if (again == 1) {
            write_all(o, 0, 0, 1, 1); /* from now on it is all in the file */
            assert_int_equal(o->m.counts.n, 0);
            assert_int_equal(o->store.log_size, 0);
        }
        close_marks(o);
        o = open_marks(&s);
    }
    assert_int_equal(o->store.n, 12);
    /* The log of the file before is still there, and is written over. */
    assert_int_equal(stat(s.log, &st), 0);
    learn(o, 13, "c");
    close_marks(o);
    o = open_marks(&s);
    assert_int_equal(content_ever(o, "a"), 2);
    assert_int_equal(content_ever(o, "c"), 1);
    close_marks(o);
    tmpdir_remove(&s.dir);
}

static size_t size_of(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    return (size_t)st.st_size;
}

/* A crash while a change is appended: cut anywhere, or with zeros behind, as file systems leave it.
 * What was there before it is there, and the next one can be written. */
static void test_torn(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 1, 10, 1, 1);
    learn(o, 11, "a");
    size_t one = size_of(s.log);
    learn(o, 12, "b");
    size_t two = size_of(s.log);
    close_marks(o);
    struct buf log;
    struct err err = ERR_INIT;
    buf_init(&log, 1 << 20);
    must(io_read_file(s.log, 1 << 20, &log, &err), &err);
    for (size_t n = 0; n < two; n++) {
        for (size_t zeros = 0; zeros < 3; zeros++) {
            int fd = open(s.log, O_WRONLY | O_TRUNC);
            must(io_write_all(fd, slice_sub(buf_slice(&log), 0, n), &err), &err);
            assert_int_equal(ftruncate(fd, (off_t)(n + 40 * zeros)), 0);
            assert_int_equal(close(fd), 0);
            o = open_marks(&s);
            assert_true(o->is_found);
            assert_int_equal(content_ever(o, "a"), n >= one);
            assert_int_equal(content_ever(o, "b"), 0);
            learn(o, 13, "c");
            close_marks(o);
            o = open_marks(&s);
            assert_int_equal(content_ever(o, "a"), n >= one);
            assert_int_equal(content_ever(o, "c"), 1);
            close_marks(o);
        }
    }
    buf_fini(&log);
    tmpdir_remove(&s.dir);
}

static void flip_octet(const char *path, size_t at)
{
    unsigned char c;
    int fd = open(path, O_RDWR);
    assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
    c ^= 0x41;
    assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
    assert_int_equal(close(fd), 0);
}

/* Each octet of the file, and each of the log but of its last change; cut off anywhere. */
static void test_damage(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 1, 3, 1000, 1);
    learn(o, 11, "a");
    write_all(o, 1, 3, 1000, 1);
    learn(o, 12, "b");
    size_t one = size_of(s.log);
    learn(o, 13, "c");
    close_marks(o);
    for (size_t i = 0; i < size_of(s.file); i++) {
        flip_octet(s.file, i);
        o = open_marks(&s);
        assert_false(o->is_found);
        assert_int_equal(o->m.n_folders + o->m.counts.n, 0);
        close_marks(o);
        flip_octet(s.file, i);
    }
    /* Behind the head, which names the file. */
    for (size_t i = 24; i < one; i++) {
        flip_octet(s.log, i);
        o = open_marks(&s);
        assert_false(o->is_found);
        close_marks(o);
        flip_octet(s.log, i);
    }
    o = open_marks(&s);
    assert_true(o->is_found);
    assert_int_equal(content_ever(o, "c"), 1);
    close_marks(o);
    size_t whole = size_of(s.file);
    for (size_t n = whole; n-- > 0;) {
        assert_int_equal(truncate(s.file, (off_t)n), 0);
        o = open_marks(&s);
        assert_false(o->is_found);
        close_marks(o);
    }
    tmpdir_remove(&s.dir);
}

static void add_old_end(struct buf *out, const char *name, uint32_t uidvalidity, uint32_t uid)
{
    pack_bytes(out, slice_str(name));
    pack_u32(out, uidvalidity);
    pack_u32(out, uid);
}

static void add_old_digest(struct buf *out, const char *content, uint32_t n)
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(slice_str(content), digest);
    BUG_ON(buf_add(out, slice_make(digest, 16)) != 0);
    pack_u32(out, n);
}

/* As version 1 wrote them: INBOX up to 10, of which 4 is owed, and three contents. */
static void write_old(const struct site *s, size_t n)
{
    struct buf out;
    struct err err = ERR_INIT;
    unsigned char digest[SHA256_SIZE];
    char folder[128];
    buf_init(&out, 4096);
    BUG_ON(buf_add_str(&out, "coexmark") != 0);
    pack_u8(&out, 1);
    pack_u8(&out, 1);
    pack_u32(&out, 1);
    add_old_end(&out, "INBOX", 7, 10);
    add_old_end(&out, "INBOX", 70, 100);
    pack_u32(&out, 1);
    pack_u32(&out, 4);
    pack_u32(&out, 3);
    add_old_digest(&out, "a", 1);
    add_old_digest(&out, "b", 2);
    add_old_digest(&out, "deleted before the flip", 1);
    buf_truncate(&out, out.n < n ? out.n : n);
    sha256_of(buf_slice(&out), digest);
    BUG_ON(buf_add(&out, slice_make(digest, sizeof(digest))) != 0);
    assert_int_equal(fmt_into(folder, sizeof(folder), "%s/marks", s->dir.path), 0);
    must(io_mkdir(folder, 0700, &err), &err);
    int fd = open(s->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    must(io_write_all(fd, buf_slice(&out), &err), &err);
    close(fd);
    buf_fini(&out);
}

/* Nothing of version 1 is lost, least of all what the journal does not know any more. */
static void test_of_version_1(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    write_old(&s, SIZE_MAX);
    for (int i = 0; i < 3; i++) {
        struct open_marks *o = open_marks(&s);
        assert_true(o->is_found);
        assert_false(o->m.is_anew);
        assert_int_equal(marks_place(&o->m, inbox.name, 7, 3), MARKS_BEFORE);
        assert_int_equal(marks_place(&o->m, inbox.name, 7, 4), i < 2 ? MARKS_OWED : MARKS_BEFORE);
        assert_int_equal(marks_place(&o->m, inbox.name, 7, 11), MARKS_BY_CONTENT);
        assert_int_equal(content_ever(o, "a"), 1);
        assert_int_equal(content_ever(o, "b"), 2);
        assert_int_equal(content_ever(o, "deleted before the flip"), 1);
        assert_int_equal(content_ever(o, "never"), 0);
        if (i == 1)
            learn(o, 4, "owed");
        close_marks(o);
    }
    tmpdir_remove(&s.dir);
}

static void test_of_version_1_cut_off(void **state)
{
    (void)state;
    struct site s;
    site_make(&s);
    for (size_t n = 8; n < 110; n++) {
        write_old(&s, n);
        struct open_marks *o = open_marks(&s);
        assert_false(o->is_found);
        close_marks(o);
    }
    tmpdir_remove(&s.dir);
}

/* The old ones are there until the new ones are whole. */
static void test_abandoned(void **state)
{
    (void)state;
    struct site s;
    struct err err = ERR_INIT;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 1, 10, 1, 1);
    learn(o, 11, "a");
    must(marks_store_begin(&o->store, &o->m, &err), &err);
    for (uint64_t i = 0; i < 100000; i++)
        must(marks_store_add(&o->store, i, &err), &err);
    marks_store_abandon(&o->store);
    assert_int_equal(content_ever(o, "a"), 1);
    close_marks(o);
    o = open_marks(&s);
    assert_int_equal(o->store.n, 10);
    assert_int_equal(content_ever(o, "a"), 1);
    close_marks(o);
    tmpdir_remove(&s.dir);
}

#define MANY 500000u

/* Of half a million messages none is in memory, but those that are asked for. */
static void test_many(void **state)
{
    (void)state;
    static const uint64_t step = UINT64_MAX / MANY;
    struct site s;
    site_make(&s);
    struct open_marks *o = open_marks(&s);
    write_all(o, 1, MANY, step, 1);
    assert_int_equal(o->store.n, MANY);
    assert_int_equal(o->m.counts.n, 0);
    for (uint64_t i = 0; i < MANY; i += 997)
        assert_int_equal(ever(o, 1 + i * step), 1);
    for (uint64_t i = 0; i < MANY; i += 997)
        assert_int_equal(ever(o, 2 + i * step), 0);
    assert_int_equal(o->m.counts.n, 0);
    assert_true(size_of(s.file) < 13 * MANY);
    close_marks(o);
    tmpdir_remove(&s.dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_inventories),
        cmocka_unit_test(test_log),
        cmocka_unit_test(test_torn),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_of_version_1),
        cmocka_unit_test(test_of_version_1_cut_off),
        cmocka_unit_test(test_abandoned),
        cmocka_unit_test(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
