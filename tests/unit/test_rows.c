/* SPDX-License-Identifier: ISC */
#include <stdlib.h>
#include "maps/format/rows.h"
#include "tests/unit/unit.h"

#define TEXT_MAX 8192

static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    (void)err;
    struct buf *out = arg;
    char *text = json_dumps(row_own, JSON_COMPACT | JSON_SORT_KEYS);
    assert_non_null(text);
    assert_int_equal(buf_addf(out, "%zu %s\n", line, text), 0);
    free(text);
    json_decref(row_own);
    return 0;
}

static const struct {
    const char *name, *route, *in, *want;
} ROWS[] = {
    {"plain", NULL, "ann@example.org,old\n",
        "1 {\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}\n"},
    {"plain with default", "new", "ann@example.org\nbob@example.org,old\n",
        "1 {\"key\":\"ann@example.org\",\"set\":{\"route\":\"new\"}}\n"
        "2 {\"key\":\"bob@example.org\",\"set\":{\"route\":\"old\"}}\n"},
    {"plain without a route", NULL, "ann@example.org\n",
        "1 {\"key\":\"ann@example.org\",\"set\":{}}\n"},
    {"header", NULL, "route,key\nold,ann@example.org\n",
        "2 {\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}\n"},
    {"header names", NULL, "EmailAddress;Server;Comment\nann@example.org;old;hello\n",
        "2 {\"key\":\"ann@example.org\",\"set\":{\"note\":\"hello\",\"route\":\"old\"}}\n"},
    {"all columns", NULL, "key,route,kind,deliver_as,note\na@x,old,mailbox,b@y,n\nc@x,,reject,,\n",
        "2 {\"key\":\"a@x\",\"set\":{\"deliver_as\":\"b@y\",\"kind\":\"mailbox\",\"note\":\"n\","
        "\"route\":\"old\"}}\n"
        "3 {\"key\":\"c@x\",\"set\":{\"deliver_as\":\"\",\"kind\":\"reject\",\"note\":\"\"}}\n"},
    {"domain default", NULL, "@example.org,old\n",
        "1 {\"key\":\"@example.org\",\"set\":{\"route\":\"old\"}}\n"},
    {"short row", NULL, "key,route\na@x\n", "2 {\"key\":\"a@x\",\"set\":{}}\n"},
    {"unknown column", NULL, "key,rout\n",
        "!line 1: unknown column \"rout\" (columns: key, route, kind, deliver_as, note)"},
    {"column twice", NULL, "key,email\n",
        "!line 1: column \"email\" means the same as one before it"},
    {"no key column", NULL, "route,note\n", "!line 1: the header line names no column \"key\""},
    {"three cells without header", NULL, "a@x,old,hello\n",
        "!line 1: more than two cells need a header line that names them"},
    {"too many cells", NULL, "key,route\na@x,old,y\n", "!line 2: 3 cells, but only 2 columns"},
};

static void check(size_t i, size_t step)
{
    struct slice in = slice_str(ROWS[i].in);
    struct err err = ERR_INIT;
    struct rows rows;
    struct buf out;
    int rc = 0;

    buf_init(&out, TEXT_MAX);
    rows_init(&rows, ROWS[i].route, on_row, &out);
    for (size_t at = 0; at < in.n && rc == 0; at += step)
        rc = rows_feed(&rows, slice_sub(in, at, step), &err);
    if (rc == 0)
        rc = rows_finish(&rows, &err);
    if (ROWS[i].want[0] == '!') {
        assert_row(ROWS[i].name, rc == -1);
        assert_string_equal(err.text, ROWS[i].want + 1);
    } else {
        if (rc != 0)
            fail_msg("row '%s': %s", ROWS[i].name, err.text);
        assert_string_equal(buf_cstr(&out), ROWS[i].want);
    }
    rows_fini(&rows);
    buf_fini(&out);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        check(i, TEXT_MAX);
        check(i, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
