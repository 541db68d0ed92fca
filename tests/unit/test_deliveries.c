/* SPDX-License-Identifier: ISC */
/* The index of delivery addresses over a snapshot that changes. */
#include <stdlib.h>
#include "maps/lookup/deliveries.h"
#include "maps/snapshot_write.h"
#include "tests/unit/site.h"

#define MANY 5000

static struct tmpdir tmp;
static struct snapshot_writer *writer;
static struct snapshot *reader;
static struct deliveries *deliveries;
static struct conf *conf;

static int set_up(void **state)
{
    struct err err = ERR_INIT;
    (void)state;
    tmpdir_make(&tmp);
    if (snapshot_writer_open(tmp.path, "test", &writer, &err) != 0)
        fail_msg("%s", err.text);
    conf =
        site_conf("domain \"example.org\" { }\nserver \"old\" { smtp = \"smtp://127.0.0.1\" }\n");
    reader = snapshot_new(tmp.path);
    deliveries = deliveries_new(reader, conf);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    deliveries_free(&deliveries);
    snapshot_free(&reader);
    snapshot_writer_close(&writer);
    conf_free(&conf);
    tmpdir_remove(&tmp);
    return 0;
}

struct row {
    const char *key, *deliver_as;
};

struct source {
    const struct row *rows;
    size_t n, at;
    char key[64], as[64];
};

static int next(void *arg, struct slice *key_out, struct route_entry *e, struct err *err)
{
    struct source *s = arg;
    (void)err;
    if (s->at == s->n)
        return 0;
    *e = (struct route_entry){.epoch = 1, .when_s = 1, .route = SLICE_LIT("old")};
    if (s->rows) {
        *key_out = slice_str(s->rows[s->at].key);
        e->deliver_as = slice_str(s->rows[s->at].deliver_as);
    } else if (fmt_into(s->key, sizeof s->key, "user%zu@example.org", s->at) != 0 ||
               fmt_into(s->as, sizeof s->as, "u%zu@tenant.test", s->at) != 0) {
        return -1;
    } else {
        *key_out = slice_str(s->key);
        e->deliver_as = slice_str(s->as);
    }
    s->at++;
    return 1;
}

static void rebuild(const struct row *rows, size_t n)
{
    struct source s = {.rows = rows, .n = n};
    struct snapshot_source source = {next, &s};
    struct err err = ERR_INIT;
    if (snapshot_writer_rebuild(writer, &source, n, 1, &err) != 0)
        fail_msg("%s", err.text);
    snapshot_writer_publish(writer);
}

static void change(const char *key, const char *deliver_as)
{
    struct err err = ERR_INIT;
    struct snapshot_change c = {.key = slice_str(key),
        .entry = {.epoch = 2,
            .when_s = 2,
            .route = SLICE_LIT("old"),
            .deliver_as = slice_str(deliver_as ? deliver_as : ""),
            .is_tombstone = !deliver_as}};
    if (snapshot_writer_stage(writer, &c, 1, 2, &err) != 0)
        fail_msg("%s", err.text);
    snapshot_writer_publish(writer);
}

struct found {
    size_t n, max;
    char keys[8][64];
};

static bool on_origin(void *arg, struct slice key)
{
    struct found *f = arg;
    assert_true(f->n < COUNT_OF(f->keys) && key.n < sizeof f->keys[0]);
    memcpy(f->keys[f->n++], key.p, key.n);
    return f->n < f->max;
}

/* How many keys an address has, the first of which is in *out. */
static struct found find(const char *address)
{
    struct socketmap_origins origins = deliveries_origins(deliveries);
    struct found f = {.max = COUNT_OF(f.keys)};
    origins.find(origins.arg, slice_str(address), on_origin, &f);
    return f;
}

static void test_forms(void **state)
{
    static const struct row rows[] = {
        {"ann@example.org", "Ann@Tenant.test"},
        {"bob@example.org", "@tenant.test"},
        {"cat@example.org", ""},
        {"@example.org", "@hosted.test"},
        {"dan@example.org", "ann@tenant.test"},
        {"\"e e\"@example.org", "@tenant.test"},
        {"fay@example.org", "not an address"},
    };
    (void)state;
    assert_int_equal(find("ann@tenant.test").n, 0); /* no map yet */
    rebuild(rows, COUNT_OF(rows));
    assert_int_equal(find("ann@tenant.test").n, 2);
    assert_string_equal(find("bob@tenant.test").keys[0], "bob@example.org");
    assert_string_equal(find("\"e e\"@tenant.test").keys[0], "\"e e\"@example.org");
    assert_string_equal(find("@hosted.test").keys[0], "@example.org");
    assert_int_equal(find("cat@example.org").n, 0);
    assert_int_equal(find("@tenant.test").n, 0);
    /* Whoever has heard enough is asked no more. */
    struct socketmap_origins origins = deliveries_origins(deliveries);
    struct found one = {.max = 1};
    origins.find(origins.arg, SLICE_LIT("ann@tenant.test"), on_origin, &one);
    assert_int_equal(one.n, 1);
}

/* Each change is in the next answer; a key that comes again is there once. */
static void test_changes(void **state)
{
    static const struct row rows[] = {{"ann@example.org", "ann@tenant.test"}};
    (void)state;
    rebuild(rows, 1);
    assert_int_equal(find("new@tenant.test").n, 0);
    change("new@example.org", "new@tenant.test");
    assert_string_equal(find("new@tenant.test").keys[0], "new@example.org");
    for (int i = 0; i < 10; i++)
        change("new@example.org", "new@tenant.test");
    assert_int_equal(find("new@tenant.test").n, 1);
    change("ann@example.org", "other@tenant.test");
    assert_string_equal(find("other@tenant.test").keys[0], "ann@example.org");
    change("new@example.org", NULL);
    change("late@example.org", "late@tenant.test");
    assert_int_equal(find("late@tenant.test").n, 1);
    /* A new data file forgets what is no more. */
    rebuild(rows, 1);
    assert_int_equal(find("late@tenant.test").n, 0);
    assert_int_equal(find("other@tenant.test").n, 0);
    assert_int_equal(find("ann@tenant.test").n, 1);
    /* What was known stays known while the map is not. */
    snapshot_writer_invalidate(writer);
    assert_int_equal(find("ann@tenant.test").n, 1);
    deliveries_set_conf(deliveries, conf);
    assert_int_equal(find("ann@tenant.test").n, 1);
    rebuild(rows, 1);
    assert_int_equal(find("ann@tenant.test").n, 1);
}

static void test_many(void **state)
{
    char address[64];
    (void)state;
    rebuild(NULL, MANY);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(fmt_into(address, sizeof address, "u%d@tenant.test", i), 0);
        assert_int_equal(find(address).n, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forms, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
