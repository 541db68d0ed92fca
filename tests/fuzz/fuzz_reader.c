/* SPDX-License-Identifier: ISC */
/*
 * Import files of mail servers and directories: the same rows, wrong lines and notes come out
 * whether the bytes come at once or in pieces, and every row has a key.  The first byte says which
 * format.
 */
#include <stdint.h>
#include <stdlib.h>
#include "maps/format/mail_log.h"
#include "maps/format/reader.h"
#include "maps/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX ((size_t)1 << 26)

static struct conf_server servers[] = {
    {.name = (char[]){"old"}, .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}}};
static struct conf_domain domains[] = {{.name = (char[]){"example.org"}, .fold_local_part = true}};
static const struct conf CONF = {
    .servers = servers, .n_servers = 1, .domains = domains, .n_domains = 1};

static void add(struct buf *out, const char *kind, size_t line, const char *text)
{
    if (buf_addf(out, "%s %zu %s\n", kind, line, text) != 0)
        abort();
}

static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    char *text = json_dumps(row_own, JSON_COMPACT | JSON_SORT_KEYS);
    const char *key = json_string_value(json_object_get(row_own, "key"));
    (void)err;
    if (!text || !key || line == 0)
        abort();
    add(arg, "row", line, text);
    free(text);
    json_decref(row_own);
    return 0;
}

static int on_bad(void *arg, size_t line, const char *what, struct err *err)
{
    (void)err;
    add(arg, "bad", line, what);
    return 0;
}

static void on_note(void *arg, size_t line, const char *what, bool is_lost)
{
    add(arg, is_lost ? "lost" : "note", line, what);
}

static int read_all(enum reader_format format, struct slice in, size_t step, struct buf *out)
{
    const struct sink sink = {.row = on_row, .bad = on_bad, .note = on_note, .arg = out};
    struct site site = {.conf = &CONF, .sink = &sink, .domain = SLICE_LIT("example.org")};
    struct err err = ERR_INIT;
    struct reader r;
    int rc = 0;

    reader_init(&r, format, &site);
    for (size_t i = 0; i < in.n && rc == 0; i += step)
        rc = reader_feed(&r, slice_sub(in, i, step), &err);
    if (rc == 0)
        rc = reader_finish(&r, &err);
    if (rc != 0 && !err.text[0])
        abort();
    reader_fini(&r);
    return rc;
}

/* Recipients lie in the line, and none is empty. */
static void read_log(struct slice line)
{
    struct mail_log log;

    mail_log_read(line, &log);
    for (size_t i = 0; i < log.n; i++)
        if (log.rcpts[i].p < line.p || log.rcpts[i].p + log.rcpts[i].n > line.p + line.n ||
            slice_find(log.rcpts[i], '@') <= 0)
            abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    struct buf whole, pieces;

    if (size == 0)
        return 0;
    enum reader_format format = (enum reader_format)(data[0] % (READER_LDIF + 1));
    in = slice_from(in, 1);
    (void)reader_guess(in, in);
    read_log(in);
    buf_init(&whole, TEXT_MAX);
    buf_init(&pieces, TEXT_MAX);
    int rc = read_all(format, in, in.n + 1, &whole);
    if (read_all(format, in, 1, &pieces) != rc || !slice_eq(buf_slice(&whole), buf_slice(&pieces)))
        abort();
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
