/* SPDX-License-Identifier: ISC */
/* The store: what is written is there after a kill, and the records of before are taken over. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/log.h"
#include "base/os/io.h"
#include "imapsync/jobs/users.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

static struct move_record record_of(unsigned i, enum move_state s)
{
    struct move_record r = {
        .mailbox = "m", .from = "old", .to = "new", .state = s, .hold_epoch = i, .id = "id"};
    assert_int_equal(fmt_into(r.user, sizeof(r.user), "u%05u@example.org", i), 0);
    return r;
}

static struct request sample(void)
{
    return (struct request){.kind = REQUEST_CUTOVER,
        .to = "new",
        .has_delete_percent = true,
        .delete_percent = 100,
        .accept = 0x80000001,
        .asked_ms = 1700000000123,
        .due_ms = 1700000000456,
        .failures = 2,
        .deaths = 1,
        .is_aside = true,
        .why = "the worker of ann was ended by signal 11"};
}

static struct users *open_store(const struct conf *conf)
{
    struct err err = ERR_INIT;
    struct users *s;
    int result = users_open(conf, &s, &err);
    assert_row(err.text, result == 0);
    return s;
}

static int count_user(void *arg, struct move_record *r)
{
    (void)r;
    ++*(size_t *)arg;
    return 0;
}

static size_t count(struct users *s)
{
    struct err err = ERR_INIT;
    size_t n = 0;
    assert_int_equal(users_each(s, NULL, false, count_user, &n, &err), 0);
    return n;
}

static int copy_request(void *arg, const char *user, const struct request *r)
{
    assert_string_equal(user, "ann@example.org");
    *(struct request *)arg = *r;
    return 0;
}

static void test_what_is_written_is_read_again(void **state)
{
    (void)state;
    struct tmpdir t;
    struct err err = ERR_INIT;
    struct move_record r = record_of(1, MOVE_DELTA), out;
    const struct request asked = sample();
    struct request found = {0};
    tmpdir_make(&t);
    const struct conf conf = {.state = t.path};
    struct users *s = open_store(&conf), *other;
    assert_int_equal(users_load(s, r.user, &out, &err), 0);
    assert_int_equal(out.state, MOVE_NONE);
    assert_int_equal(users_save(s, &r, &err), 0);
    assert_int_equal(users_ask(s, "ann@example.org", &asked, &err), 0);
    assert_int_equal(users_open(&conf, &other, &err), -1);
    assert_int_equal(err.code, EX_TEMPFAIL);
    users_close(&s);
    s = open_store(&conf);
    assert_int_equal(users_load(s, r.user, &out, &err), 0);
    assert_int_equal(out.state, MOVE_DELTA);
    assert_int_equal(out.hold_epoch, 1);
    move_record_fini(&out);
    assert_int_equal(users_each_request(s, copy_request, &found, &err), 0);
    assert_memory_equal(&found, &asked, sizeof(asked));
    assert_int_equal(users_forget(s, "ann@example.org", &err), 0);
    assert_int_equal(users_forget(s, "ann@example.org", &err), 0);
    assert_int_equal(users_each_request(s, copy_request, &found, &err), 0);
    users_close(&s);
    tmpdir_remove(&t);
}

static void test_requests_that_make_no_sense(void **state)
{
    (void)state;
    const struct request r = sample();
    struct request out;
    struct buf packed;
    buf_init(&packed, REQUEST_PACKED_MAX);
    request_pack(&packed, &r);
    struct slice whole = buf_slice(&packed);
    assert_true(request_unpack(whole, &out));
    for (size_t n = 0; n < whole.n; n++)
        assert_false(request_unpack(slice_sub(whole, 0, n), &out));
    assert_int_equal(buf_add_byte(&packed, 0), 0);
    assert_false(request_unpack(buf_slice(&packed), &out));
    buf_fini(&packed);
}

static int take_some(void *arg, struct move_record *r)
{
    char *last = arg;
    memcpy(last, r->user, sizeof(r->user));
    return r->hold_epoch % 7 == 6;
}

/* All or nothing, and as many at a time as somebody wants. */
static void test_many(void **state)
{
    (void)state;
    struct tmpdir t;
    struct err err = ERR_INIT;
    char last[MOVE_NAME_MAX] = "";
    tmpdir_make(&t);
    const struct conf conf = {.state = t.path};
    struct users *s = open_store(&conf);
    assert_int_equal(users_begin(s, &err), 0);
    for (unsigned i = 0; i < 10000; i++) {
        struct move_record r = record_of(i, MOVE_DONE);
        assert_int_equal(users_save(s, &r, &err), 0);
    }
    users_close(&s); /* without a commit */
    s = open_store(&conf);
    assert_int_equal(count(s), 0);
    assert_int_equal(users_begin(s, &err), 0);
    for (unsigned i = 0; i < 10000; i++) {
        struct move_record r = record_of(i, MOVE_DONE);
        assert_int_equal(users_save(s, &r, &err), 0);
    }
    assert_int_equal(users_commit(s, &err), 0);
    users_close(&s);
    s = open_store(&conf);
    assert_int_equal(count(s), 10000);
    unsigned turns = 0;
    while (users_each(s, last[0] ? last : NULL, false, take_some, last, &err) == 1)
        turns++;
    assert_int_equal(turns, 10000 / 7);
    assert_string_equal(last, "u09999@example.org");
    users_close(&s);
    tmpdir_remove(&t);
}

/* Says the number of each user who is durable. */
static void write_until_killed(const struct conf *conf, int fd)
{
    struct err err = ERR_INIT;
    struct users *s;
    if (users_open(conf, &s, &err) != 0)
        _exit(1);
    for (unsigned i = 0;; i++) {
        struct move_record r = record_of(i, MOVE_HOLDING);
        if (users_save(s, &r, &err) != 0 || write(fd, &i, sizeof(i)) != sizeof(i))
            _exit(1);
    }
}

static void test_killed_while_it_writes(void **state)
{
    (void)state;
    struct tmpdir t;
    struct err err = ERR_INIT;
    tmpdir_make(&t);
    const struct conf conf = {.state = t.path};
    for (unsigned round = 1; round <= 5; round++) {
        int fds[2], status;
        unsigned last = 0, got = 0;
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            write_until_killed(&conf, fds[1]);
        close(fds[1]);
        while (got < 37 * round && read(fds[0], &last, sizeof(last)) == sizeof(last))
            got++;
        assert_int_equal(got, 37 * round);
        kill(pid, SIGKILL);
        while (read(fds[0], &last, sizeof(last)) == sizeof(last))
            continue;
        close(fds[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFSIGNALED(status));
        struct users *s = open_store(&conf);
        for (unsigned i = 0; i <= last; i++) {
            const struct move_record want = record_of(i, MOVE_HOLDING);
            struct move_record r;
            assert_int_equal(users_load(s, want.user, &r, &err), 0);
            assert_int_equal(r.state, MOVE_HOLDING);
            assert_int_equal(r.hold_epoch, i);
            move_record_fini(&r);
        }
        users_close(&s);
    }
    tmpdir_remove(&t);
}

static void write_file(struct tmpdir *t, const char *folder, const char *text)
{
    struct err err = ERR_INIT;
    char path[128];
    assert_int_equal(fmt_into(path, sizeof(path), "sync/%s", folder), 0);
    assert_int_equal(io_mkdir(tmpdir_file(t, path), 0700, &err), 0);
    assert_int_equal(fmt_into(path, sizeof(path), "sync/%s/cutover.json", folder), 0);
    assert_int_equal(io_write_file_durable(tmpdir_file(t, path), slice_str(text), 0600, &err), 0);
}

static bool is_there(struct tmpdir *t, const char *file)
{
    return access(tmpdir_file(t, file), F_OK) == 0;
}

static void test_records_of_before(void **state)
{
    (void)state;
    struct tmpdir t;
    struct err err = ERR_INIT;
    struct move_record r = record_of(7, MOVE_SWEEPING), out;
    tmpdir_make(&t);
    const struct conf conf = {.state = t.path};
    assert_int_equal(io_mkdir(tmpdir_file(&t, "sync"), 0700, &err), 0);
    json_t *json = move_record_json(&r);
    char *text = json_dumps(json, JSON_INDENT(2));
    write_file(&t, "good", text);
    free(text);
    json_decref(json);
    write_file(&t, "empty", "");
    write_file(&t, "list", "[]");
    write_file(&t, "later", "{\"version\": 2}");
    log_set_level(LOG_LEVEL_ERROR);
    struct users *s = open_store(&conf);
    assert_int_equal(count(s), 1);
    assert_int_equal(users_load(s, r.user, &out, &err), 0);
    assert_int_equal(out.state, MOVE_SWEEPING);
    move_record_fini(&out);
    /* Kept aside; what makes no sense stays where it is. */
    assert_false(is_there(&t, "sync/good/cutover.json"));
    assert_true(is_there(&t, "sync/good/cutover.json.imported"));
    assert_true(is_there(&t, "sync/empty/cutover.json"));
    /* What the store knows is newer than a file that was left behind. */
    r.state = MOVE_DONE;
    assert_int_equal(users_save(s, &r, &err), 0);
    users_close(&s);
    r.state = MOVE_COPYING;
    json = move_record_json(&r);
    text = json_dumps(json, 0);
    write_file(&t, "good", text);
    free(text);
    json_decref(json);
    s = open_store(&conf);
    assert_int_equal(users_load(s, r.user, &out, &err), 0);
    assert_int_equal(out.state, MOVE_DONE);
    move_record_fini(&out);
    assert_false(is_there(&t, "sync/good/cutover.json"));
    users_close(&s);
    tmpdir_remove(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read_again),
        cmocka_unit_test(test_requests_that_make_no_sense),
        cmocka_unit_test(test_many),
        cmocka_unit_test(test_killed_while_it_writes),
        cmocka_unit_test(test_records_of_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
