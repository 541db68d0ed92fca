/* SPDX-License-Identifier: ISC */
/*
 * log: one key=value line per event, to stderr or syslog.
 *
 *     log_info("rcpt_accept", log_str("sid", sid), log_slice("rcpt", rcpt), log_u64("epoch", e));
 *     -> time=2026-11-02T09:30:00.123Z level=info prog=coexist-relay event=rcpt_accept sid=… rcpt=…
 * epoch=7
 *
 * One encoder quotes and escapes every value (all but printable ASCII becomes \xNN), so peer text
 * can forge neither a line nor a terminal command.  A line is at most LOG_LINE_MAX bytes; a longer
 * value is cut and marked with "…" in ASCII ("...").  Thread-safe: one write(2) per line.
 */
#ifndef BASE_CORE_LOG_H
#define BASE_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>
#include "base/core/err.h"
#include "base/core/slice.h"

#define LOG_LINE_MAX 4096
#define LOG_VALUE_MAX 1024

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_SLICE, LOG_KIND_I64, LOG_KIND_U64 };

struct log_field {
    const char *key;
    enum log_kind kind;
    union {
        const char *str;
        struct slice slice;
        int64_t i64;
        uint64_t u64;
    };
};

static inline struct log_field log_str(const char *key, const char *v)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_STR, .str = v};
}
static inline struct log_field log_slice(const char *key, struct slice v)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_SLICE, .slice = v};
}
static inline struct log_field log_i64(const char *key, int64_t v)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_I64, .i64 = v};
}
static inline struct log_field log_u64(const char *key, uint64_t v)
{
    return (struct log_field){.key = key, .kind = LOG_KIND_U64, .u64 = v};
}
/* class and text of an error, as "error" and "class" would be two fields: this is the text. */
static inline struct log_field log_err(const struct err *err)
{
    return log_str("error", err->text);
}

/* `program` is borrowed for ever (argv[0]'s last part or a literal). */
void log_init(const char *program, enum log_level max_level);
void log_set_level(enum log_level max_level);
void log_to_syslog(bool on); /* facility mail; default is stderr */
/* A bar stands in the terminal's last line: each line of the log takes its place, and the bar comes
 * again when it is drawn the next time. */
void log_over_bar(bool on);
bool log_enabled(enum log_level level);
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* Fields end with a zeroed one, which the macros add. */
#define log_at(level, ...) log_at_(level, __VA_ARGS__, (struct log_field){0})
#define log_at_(level, event, ...)                                                                 \
    do {                                                                                           \
        if (log_enabled(level))                                                                    \
            log_write((level), (event), (const struct log_field[]){__VA_ARGS__});                  \
    } while (0)
#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

struct buf;
/* The encoder itself, for reply texts and reports: appends `v` quoted if needed. */
int log_encode_value(struct buf *out, struct slice v) ATTR_WUR;

#endif
