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

static int on_bad(void *arg, size_t line, const char *what, struct err *err)
{
    (void)err;
    assert_int_equal(buf_addf(arg, "%zu bad: %s\n", line, what), 0);
    return 0;
}

static void on_note(void *arg, size_t line, const char *what, bool is_lost)
{
    assert_int_equal(buf_addf(arg, "%zu %s: %s\n", line, is_lost ? "lost" : "note", what), 0);
}

static const struct {
    const char *name, *in, *want;
    const char *columns[3];
} ROWS[] = {
    {"plain", "ann@example.org,old\n",
        "1 {\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}\n", {0}},
    {"plain without a route", "ann@example.org\n", "1 {\"key\":\"ann@example.org\",\"set\":{}}\n",
        {0}},
    {"header", "route,key\nold,ann@example.org\n",
        "2 {\"key\":\"ann@example.org\",\"set\":{\"route\":\"old\"}}\n", {0}},
    {"header names", "EmailAddress;Server;Comment\nann@example.org;old;hello\n",
        "2 {\"key\":\"ann@example.org\",\"set\":{\"note\":\"hello\",\"route\":\"old\"}}\n", {0}},
    {"all columns", "key,route,kind,deliver_as,note\na@x,old,mailbox,b@y,n\nc@x,,reject,,\n",
        "2 {\"key\":\"a@x\",\"set\":{\"deliver_as\":\"b@y\",\"kind\":\"mailbox\",\"note\":\"n\","
        "\"route\":\"old\"}}\n"
        "3 {\"key\":\"c@x\",\"set\":{\"deliver_as\":\"\",\"kind\":\"reject\",\"note\":\"\"}}\n",
        {0}},
    {"other kinds",
        "key,kind,to,owner,senders,code,text,also,until,source\n"
        "a@x,alias,\"b@x,c@x\",d@x,any,550,5.1.6 Moved,new,2026-12-31,hr\n",
        "2 "
        "{\"key\":\"a@x\",\"set\":{\"also\":\"new\",\"code\":\"550\",\"kind\":\"alias\",\"owner\":"
        "\"d@x\",\"senders\":\"any\",\"source\":\"hr\",\"text\":\"5.1.6 Moved\",\"to\":\"b@x,c@x\","
        "\"until\":\"2026-12-31\"}}\n",
        {0}},
    {"domain default", "@example.org,old\n",
        "1 {\"key\":\"@example.org\",\"set\":{\"route\":\"old\"}}\n", {0}},
    {"short row", "key,route\na@x\n", "2 {\"key\":\"a@x\",\"set\":{}}\n", {0}},
    {"nearly a column", "key,rout\n",
        "!line 1: column \"rout\" is nearly \"route\": rename it, or say what it is with --column "
        "route=rout or --column ignore=rout",
        {0}},
    {"letters that changed places", "key,rotue\n", "!line 1: column \"rotue\" is nearly", {0}},
    {"two letters away", "Adres,route\n", "!line 1: column \"Adres\" is nearly", {0}},
    {"said to be ignored", "key,rout\na@x,y\n",
        "1 note: columns that are not used: rout\n2 {\"key\":\"a@x\",\"set\":{}}\n",
        {"ignore=rout"}},
    {"columns of an export",
        "#TYPE Microsoft.Exchange.Data\n\"Name\",\"Alias\",\"PrimarySmtpAddress\",\"ServerName\"\n"
        "\"Ann\",\"ann\",\"ann@x\",\"mbx1\"\n",
        "2 note: columns that are not used: Name, Alias, ServerName\n"
        "3 {\"key\":\"ann@x\",\"set\":{}}\n",
        {"key=primarysmtpaddress"}},
    {"what is named stands before what is usual", "mail,upn,remark\na@y,a@x,hi\n",
        "1 note: columns that are not used: mail\n"
        "2 {\"key\":\"a@x\",\"set\":{\"note\":\"hi\"}}\n",
        {"key=upn", "note=remark"}},
    {"a named column is missing", "key,a\n", "!line 1: there is no column \"upn\" (--column)",
        {"note=upn"}},
    {"a column that is no column", "", "!there is no column \"colour\" (columns: ", {"colour=upn"}},
    {"a column without a name", "", "!--column is COLUMN=NAME, such as", {"key="}},
    {"column twice", "key,email\n", "!line 1: column \"email\" means the same as one before it",
        {0}},
    {"no key column", "route,note\n",
        "!line 1: neither an address nor a header line that names a column \"key\": say which one "
        "has the addresses with --column key=NAME (columns: route, note)",
        {0}},
    {"neither address nor header", "ann\n", "!line 1: neither an address nor a header", {0}},
    {"named, and no header", "a@x,old\n", "!line 1: neither an address nor a header", {"key=mail"}},
    {"three cells without header", "a@x,old,hello\n",
        "!line 1: more than two cells need a header line that names them", {0}},
    {"wrong rows are told one by one", "key,route\na@x,old,y\nb@x,old\nc@x,,,z\n",
        "2 bad: 3 cells, but only 2 columns\n"
        "3 {\"key\":\"b@x\",\"set\":{\"route\":\"old\"}}\n"
        "4 bad: 4 cells, but only 2 columns\n",
        {0}},
    {"empty cells too many", "key,route\na@x,old,,\n",
        "2 {\"key\":\"a@x\",\"set\":{\"route\":\"old\"}}\n", {0}},
    {"a row without its address", "route,key\nold\nold,\n",
        "2 bad: the row ends before its address\n3 note: no address\n", {0}},
    {"a note of several lines", "key,note\na@x,\"b\nc\r\nd\"\n",
        "2 {\"key\":\"a@x\",\"set\":{\"note\":\"b c  d\"}}\n", {0}},
    {"comments", "# users\nkey\n#a@x\n# none\n", "3 {\"key\":\"#a@x\",\"set\":{}}\n", {0}},
    {"a separator is named", "sep=;\nkey;route\na@x;old\n",
        "3 {\"key\":\"a@x\",\"set\":{\"route\":\"old\"}}\n", {0}},
};

static void check(size_t i, size_t step, struct buf *out)
{
    struct slice in = slice_str(ROWS[i].in);
    const struct sink sink = {.row = on_row, .bad = on_bad, .note = on_note, .arg = out};
    struct err err = ERR_INIT;
    struct rows rows;
    int rc = 0;

    rows_init(&rows, &sink);
    for (size_t k = 0; ROWS[i].columns[k] && rc == 0; k++)
        rc = rows_name(&rows, slice_str(ROWS[i].columns[k]), &err);
    for (size_t at = 0; at < in.n && rc == 0; at += step)
        rc = rows_feed(&rows, slice_sub(in, at, step), &err);
    if (rc == 0)
        rc = rows_finish(&rows, &err);
    if (ROWS[i].want[0] == '!') {
        assert_row(ROWS[i].name, rc == -1);
        if (!slice_starts(slice_str(err.text), slice_str(ROWS[i].want + 1)))
            fail_msg("row '%s': %s", ROWS[i].name, err.text);
    } else {
        if (rc != 0)
            fail_msg("row '%s': %s", ROWS[i].name, err.text);
        assert_string_equal(buf_cstr(out), ROWS[i].want);
    }
    rows_fini(&rows);
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ROWS); i++) {
        for (size_t step = 1; step <= TEXT_MAX; step += TEXT_MAX - 1) {
            struct buf out;
            buf_init(&out, TEXT_MAX);
            check(i, step, &out);
            buf_fini(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
