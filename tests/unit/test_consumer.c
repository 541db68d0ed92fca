/* SPDX-License-Identifier: ISC */
/* The page of a consumer: what mapd reads of it, whatever becomes of either of them. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/core/clock.h"
#include "maps/consumer.h"
#include "maps/consumer_file.h"
#include "tests/unit/tmpdir.h"

static struct tmpdir dir;

struct list {
    struct consumer_info v[4];
    size_t n;
};

static void on_page(void *arg, const struct consumer_info *info)
{
    struct list *l = arg;
    assert_true(l->n < COUNT_OF(l->v));
    l->v[l->n++] = *info;
}

static struct list pages(void)
{
    struct err err = ERR_INIT;
    struct list l = {.n = 0};
    if (consumers_list(dir.path, on_page, &l, &err) != 0)
        fail_msg("%s", err.text);
    return l;
}

struct seen {
    size_t n;
    char last[ROUTE_KEY_MAX + 1];
    enum mail_log_known known;
};

static void on_seen(void *arg, struct slice key, int64_t when_ms, enum mail_log_known known)
{
    struct seen *s = arg;
    assert_true(when_ms > 0);
    s->n++;
    s->known = known;
    assert_int_equal(fmt_into(s->last, sizeof s->last, "%.*s", SLICE_ARG(key)), 0);
}

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    tmpdir_make(&dir);
    return consumers_make_dir(dir.path, &err);
}

static int tear_down(void **state)
{
    (void)state;
    tmpdir_remove(&dir);
    return 0;
}

/* A decision for one address by a default, an entry of its own, or that of the domain. */
enum by { BY_DEFAULT, BY_ENTRY, BY_DOMAIN };

static void saw(struct consumer *c, const char *key, enum by by, enum mail_log_known known)
{
    struct decide_key keys[] = {
        {.text = key, .n = strlen(key)}, {.text = "@x.org", .n = strlen("@x.org")}};
    struct decide_delivery to = {.address = key,
        .key = by == BY_DEFAULT ? DECIDE_NO_KEY
               : by == BY_ENTRY ? 0
                                : 1};
    const struct decision d = {.deliveries = &to, .n_deliveries = 1, .keys = keys, .n_keys = 2};
    consumer_saw(c, &d, known);
}

static void test_who_is_noted(void **state)
{
    struct consumer *c = consumer_new(dir.path, "relay");
    struct seen s = {.n = 0};
    uint64_t at;
    (void)state;
    saw(c, "ann@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
    saw(c, "bob@x.org", BY_ENTRY, MAIL_LOG_TAKEN);
    saw(c, "postmaster@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
    saw(c, "cat@x.org", BY_DOMAIN, MAIL_LOG_REFUSED);
    consumer_used(c, 17, 2000);
    struct list l = pages();
    assert_int_equal(l.n, 1);
    assert_string_equal(l.v[0].program, "relay");
    assert_true(l.v[0].is_alive);
    assert_int_equal(l.v[0].pid, getpid());
    assert_int_equal(l.v[0].sequence, 17);
    assert_int_equal(l.v[0].used_s, 2000);
    assert_int_equal(l.v[0].seen, 2);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 0, &at, on_seen, &s), 0);
    assert_int_equal(s.n, 2);
    assert_string_equal(s.last, "cat@x.org");
    assert_int_equal(s.known, MAIL_LOG_REFUSED);
    /* What was read is not read again. */
    assert_int_equal(consumer_read(dir.path, l.v[0].id, at, &at, on_seen, &s), 0);
    assert_int_equal(s.n, 2);
    consumer_free(&c);
    /* Nobody may have read it: it stays until its reader takes it away. */
    l = pages();
    assert_int_equal(l.n, 1);
    assert_false(l.v[0].is_alive);
    consumer_remove(dir.path, l.v[0].id);
    assert_int_equal(pages().n, 0);
    c = consumer_new(dir.path, "lookup");
    consumer_free(&c);
    assert_int_equal(pages().n, 0);
    consumer_saw(NULL, &(struct decision){.n_deliveries = 1}, MAIL_LOG_TAKEN);
    consumer_used(NULL, 1, 1);
}

/* A dictionary takes no room: what nobody reads in time is counted. */
static void test_more_than_there_is_room_for(void **state)
{
    struct consumer *c = consumer_new(dir.path, "milter");
    struct seen s = {.n = 0};
    struct stat before, after;
    char key[64], path[4096];
    uint64_t at;
    (void)state;
    struct list l = pages();
    assert_int_equal(fmt_into(path, sizeof path, "%s/consumers/%s", dir.path, l.v[0].id), 0);
    assert_int_equal(stat(path, &before), 0);
    for (int i = 0; i < CONSUMER_RING + 100; i++) {
        assert_int_equal(fmt_into(key, sizeof key, "u%d@x.org", i), 0);
        saw(c, key, BY_DEFAULT, MAIL_LOG_UNKNOWN);
    }
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_blocks, after.st_blocks);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 0, &at, on_seen, &s), 100);
    assert_int_equal(at, CONSUMER_RING + 100);
    assert_int_equal(s.n, CONSUMER_RING);
    assert_string_equal(s.last, "u611@x.org");
    consumer_free(&c);
}

/* Its process is killed: what it has noted is there. */
static void test_killed(void **state)
{
    struct seen s = {.n = 0};
    uint64_t at;
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        struct consumer *c = consumer_new(dir.path, "relay");
        saw(c, "ann@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    struct list l = pages();
    assert_int_equal(l.n, 1);
    assert_false(l.v[0].is_alive);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 0, &at, on_seen, &s), 0);
    assert_string_equal(s.last, "ann@x.org");
}

/* No folder yet, a folder that goes: later there is a page again. */
static void test_run_is_made_anew(void **state)
{
    struct err err = ERR_INIT;
    int64_t now = clock_wall_s();
    (void)state;
    struct consumer *c = consumer_new(dir.path, "lookup");
    consumer_remove(dir.path, pages().v[0].id);
    assert_int_equal(rmdir(tmpdir_file(&dir, "consumers")), 0);
    assert_int_equal(pages().n, 0);
    consumer_used(c, 1, now + 100);
    saw(c, "ann@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
    assert_int_equal(consumers_make_dir(dir.path, &err), 0);
    consumer_used(c, 2, now + 200);
    assert_int_equal(pages().n, 1);
    assert_int_equal(pages().v[0].sequence, 2);
    consumer_free(&c);
}

static void spoil(const char *path, off_t at, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0 && pwrite(fd, bytes, n, at) == (ssize_t)n);
    close(fd);
}

/* Whatever stands in a page, and whatever else lies there. */
static void test_odd_pages(void **state)
{
    struct consumer *c = consumer_new(dir.path, "relay");
    struct seen s = {.n = 0};
    char path[4096];
    uint64_t at, number = 1;
    uint32_t length = 4000;
    (void)state;
    struct list l = pages();
    const off_t ring = (off_t)offsetof(struct consumer_file, ring);
    assert_int_equal(fmt_into(path, sizeof path, "%s/consumers/%s", dir.path, l.v[0].id), 0);
    saw(c, "ann@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
    spoil(path, ring + (off_t)offsetof(struct consumer_record, key_n), (const char *)&length, 4);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 0, &at, on_seen, &s), 1);
    saw(c, "bob@x.org", BY_DEFAULT, MAIL_LOG_TAKEN);
    spoil(path, ring + (off_t)sizeof(struct consumer_record), (const char *)&number, 8);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 1, &at, on_seen, &s), 1);
    number = UINT64_MAX;
    spoil(path, (off_t)offsetof(struct consumer_head, seen), (const char *)&number, 8);
    assert_true(consumer_read(dir.path, l.v[0].id, 2, &at, on_seen, &s) > 1000000);
    assert_int_equal(s.n, 0);
    spoil(path, (off_t)offsetof(struct consumer_head, program), "\x1b[2J", 4);
    assert_string_equal(pages().v[0].program, "?");
    /* Cut short, replaced, linked. */
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(pages().n, 0);
    assert_int_equal(consumer_read(dir.path, l.v[0].id, 0, &at, on_seen, &s), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(symlink("/etc/passwd", tmpdir_file(&dir, "consumers/link")), 0);
    assert_int_equal(mkdir(tmpdir_file(&dir, "consumers/folder"), 0700), 0);
    assert_int_equal(pages().n, 0);
    consumer_free(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_more_than_there_is_room_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_run_is_made_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_odd_pages, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
