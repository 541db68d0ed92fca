/* SPDX-License-Identifier: ISC */
/*
 * log: see log.h.  A line is built on the stack, without allocation, because out of memory and
 * BUG() are reported here too, and leaves with one write(2), so lines of threads and of processes
 * that share the descriptor do not mix.  Errors of that write are ignored: there is nobody to tell.
 *
 * The level and the target are set before threads start; they are atomic so that a reload may
 * change them.
 */
#include <stdatomic.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/log.h"

static const char *program_name = "coexist";
static _Atomic int level_max = LOG_LEVEL_INFO;
static atomic_bool use_syslog, is_over_bar;

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};
static const int level_priorities[] = {
    [LOG_LEVEL_ERROR] = LOG_ERR,
    [LOG_LEVEL_WARN] = LOG_WARNING,
    [LOG_LEVEL_INFO] = LOG_INFO,
    [LOG_LEVEL_DEBUG] = LOG_DEBUG,
};
_Static_assert(sizeof(level_names) / sizeof(level_names[0]) ==
                   sizeof(level_priorities) / sizeof(level_priorities[0]),
    "one name and one priority per level");

void log_init(const char *program, enum log_level max_level)
{
    program_name = program;
    log_set_level(max_level);
}

void log_set_level(enum log_level max_level)
{
    atomic_store(&level_max, (int)max_level);
}

void log_to_syslog(bool on)
{
    if (on)
        openlog(program_name, LOG_PID | LOG_NDELAY, LOG_MAIL);
    else
        closelog();
    atomic_store(&use_syslog, on);
}

void log_over_bar(bool on)
{
    atomic_store(&is_over_bar, on);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

/* --- The encoder ----------------------------------------------------------- */

static bool is_plain(unsigned char c)
{
    return ascii_is_print(c) && c != ' ' && c != '"' && c != '\\' && c != '=';
}

static bool needs_quotes(struct slice v)
{
    for (size_t i = 0; i < v.n; i++)
        if (!is_plain(v.p[i]))
            return true;
    return v.n == 0;
}

/* The form of one byte inside quotes: 1, 2 or 4 bytes. */
static size_t escape(unsigned char c, char out[4])
{
    static const char hex[] = "0123456789abcdef";

    if (c == '"' || c == '\\') {
        out[0] = '\\';
        out[1] = (char)c;
        return 2;
    }
    if (ascii_is_print(c)) {
        out[0] = (char)c;
        return 1;
    }
    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[c >> 4];
    out[3] = hex[c & 15];
    return 4;
}

static size_t encoded_size(struct slice v)
{
    char e[4];
    size_t n = 2;

    if (!needs_quotes(v))
        return v.n;
    for (size_t i = 0; i < v.n; i++)
        n += escape(v.p[i], e);
    return n;
}

/* At most `size` bytes, which must be 5 at least; what does not fit is replaced by "...". */
static size_t encode(struct slice v, char *out, size_t size)
{
    size_t n = 0, whole = encoded_size(v);
    bool quoted = needs_quotes(v), cut = whole > size;
    size_t limit = cut ? size - 3 - (quoted ? 1 : 0) : size;
    char e[4];

    if (quoted)
        out[n++] = '"';
    for (size_t i = 0; i < v.n; i++) {
        /* A value without quotes holds only bytes that stand for themselves. */
        size_t k = escape(v.p[i], e);

        if (cut && n + k > limit)
            break;
        memcpy(out + n, e, k);
        n += k;
    }
    if (cut) {
        memcpy(out + n, "...", 3);
        n += 3;
    }
    if (quoted)
        out[n++] = '"';
    return n;
}

int log_encode_value(struct buf *out, struct slice v)
{
    size_t size = encoded_size(v);
    unsigned char *at = buf_reserve(out, size);

    if (at == NULL)
        return -1;
    buf_commit(out, encode(v, (char *)at, size));
    return 0;
}

/* --- Lines ----------------------------------------------------------------- */

#define CLEAR_LINE "\r\033[K"

struct line {
    char text[LOG_LINE_MAX];
    size_t start, n; /* start: behind what clears a bar */
    bool full;
};

/* Leaves room for the newline or NUL at the end. */
static void add_field(struct line *l, const char *key, struct slice value)
{
    size_t key_n = strlen(key), room = sizeof(l->text) - 1 - l->n;
    size_t limit = LOG_VALUE_MAX;

    if (l->full || room < key_n + 2 + 8) {
        l->full = true;
        return;
    }
    if (l->n > l->start)
        l->text[l->n++] = ' ';
    memcpy(l->text + l->n, key, key_n);
    l->n += key_n;
    l->text[l->n++] = '=';
    room = sizeof(l->text) - 1 - l->n;
    l->n += encode(value, l->text + l->n, limit < room ? limit : room);
}

static void add_number(struct line *l, const char *key, const char *sign, uint64_t v)
{
    char digits[24];

    BUG_ON(fmt_into(digits, sizeof(digits), "%s%llu", sign, (unsigned long long)v) != 0);
    add_field(l, key, slice_str(digits));
}

static void add_time(struct line *l)
{
    int64_t ms = clock_wall_ms();
    char seconds[32], stamp[40];

    clock_format_utc(ms / 1000, seconds);
    seconds[strlen(seconds) - 1] = '\0';
    BUG_ON(fmt_into(stamp, sizeof(stamp), "%s.%03dZ", seconds, (int)(ms % 1000)) != 0);
    add_field(l, "time", slice_str(stamp));
}

void log_write(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line l; /* 4 KiB that need no zeroing */
    bool to_syslog = atomic_load(&use_syslog);

    l.start = 0;
    if (!to_syslog && atomic_load(&is_over_bar)) {
        memcpy(l.text, CLEAR_LINE, sizeof(CLEAR_LINE) - 1);
        l.start = sizeof(CLEAR_LINE) - 1;
    }
    l.n = l.start;
    l.full = false;
    if (!to_syslog) {
        add_time(&l);
        add_field(&l, "level", slice_str(level_names[level]));
        add_field(&l, "prog", slice_str(program_name));
    }
    add_field(&l, "event", slice_str(event));
    for (const struct log_field *f = fields; f->kind != LOG_KIND_END; f++) {
        switch (f->kind) {
        case LOG_KIND_STR:
            add_field(&l, f->key, slice_str(f->str));
            break;
        case LOG_KIND_SLICE:
            add_field(&l, f->key, f->slice);
            break;
        case LOG_KIND_I64:
            add_number(&l, f->key, f->i64 < 0 ? "-" : "",
                f->i64 < 0 ? 0 - (uint64_t)f->i64 : (uint64_t)f->i64);
            break;
        case LOG_KIND_U64:
            add_number(&l, f->key, "", f->u64);
            break;
        case LOG_KIND_END:
            break;
        }
    }
    if (to_syslog) {
        l.text[l.n] = '\0';
        syslog(level_priorities[level], "%s", l.text);
    } else {
        l.text[l.n++] = '\n';
        ssize_t sent = write(STDERR_FILENO, l.text, l.n);
        (void)sent;
    }
}
