/* SPDX-License-Identifier: ISC */
/* sink: see sink.h. */
#include "maps/format/sink.h"

#include <stdarg.h>
#include "base/core/buf.h"
#include "base/mail/address.h"

static const char *format(struct buf *b, const char *fmt, va_list ap)
{
    buf_init(b, ERR_TEXT_MAX - 1);
    return buf_vaddf(b, fmt, ap) == 0 ? buf_cstr(b) : "this line is wrong";
}

int sink_bad(const struct sink *s, size_t line, struct err *err, const char *fmt, ...)
{
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    int rc = s->bad(s->arg, line, format(&b, fmt, ap), err);
    va_end(ap);
    buf_fini(&b);
    return rc;
}

void sink_note(const struct sink *s, size_t line, const char *fmt, ...)
{
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    s->note(s->arg, line, format(&b, fmt, ap), false);
    va_end(ap);
    buf_fini(&b);
}

void sink_lost(const struct sink *s, size_t line, const char *fmt, ...)
{
    struct buf b;
    va_list ap;

    va_start(ap, fmt);
    s->note(s->arg, line, format(&b, fmt, ap), true);
    va_end(ap);
    buf_fini(&b);
}

int sink_row_own(const struct sink *s, size_t line, json_t *row, struct err *err)
{
    const json_t *key = json_object_get(row, "key");

    if (!s->is_guessed || address_is_ascii(slice_str(json_string_value(key))))
        return s->row(s->arg, line, row, err);
    json_decref(row);
    return sink_bad(s, line, err,
        "an address that is not ASCII, in a character set that the file does not name: say it with "
        "--charset, or save the file as UTF-8");
}

int sink_set(json_t *object, const char *name, struct slice text)
{
    return json_object_set_new(
        object, name, json_stringn(text.n ? (const char *)text.p : "", text.n));
}
