/* SPDX-License-Identifier: ISC */
/* How many workers there are to be.  The cores of this program's machine come and go by test. */
#include <unistd.h>
#define sysconf fake_sysconf
static long fake_sysconf(int name);
#include "relay/site.c"
#undef sysconf
#include "tests/unit/site.h"

static long cores;

static long fake_sysconf(int name)
{
    assert_int_equal(name, _SC_NPROCESSORS_ONLN);
    return cores;
}

static struct site *make(struct tmpdir *dir, unsigned workers)
{
    char text[512];
    struct conf *conf;
    struct site *s;
    struct err err = ERR_INIT;

    tmpdir_make(dir);
    if (io_write_file_durable(tmpdir_file(dir, "trace.key"),
            SLICE_LIT("k1 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n"),
            0600, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(
        fmt_into(text, sizeof(text),
            "domain \"example.org\" { }\nserver \"old\" { smtp = \"smtp://127.0.0.1\" tls = none "
            "}\n"
            "relay { listen = \"127.0.0.1:25\" workers = %u trace_key_file = \"%s\" }\n",
            workers, tmpdir_file(dir, "trace.key")),
        0);
    conf = site_conf(text);
    if (site_new_own(&conf, &s, &err) != 0)
        fail_msg("%s", err.text);
    return s;
}

static void workers_by_cores(void **state)
{
    static const struct {
        long cores;
        unsigned configured, workers;
    } rows[] = {{1, 0, 1}, {4, 0, 4}, {256, 0, 256}, {257, 0, 256}, {100000, 0, 256}, {0, 0, 1},
        {-1, 0, 1}, {2, 7, 7}, {1000, 256, 256}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct tmpdir dir;
        struct site *s;

        cores = rows[i].cores;
        s = make(&dir, rows[i].configured);
        assert_int_equal(s->workers, rows[i].workers);
        cores = 3; /* one comes or goes */
        assert_int_equal(s->workers, rows[i].workers);
        site_free(&s);
        tmpdir_remove(&dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(workers_by_cores)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
