/* SPDX-License-Identifier: ISC */
/*
 * err: see err.h.  A system error is always temporary for mail: a full disk, a wrong mode or a
 * missing file is our trouble, and a 5xx needs certainty about the recipient.  The exit status
 * tells the kinds apart for people and supervisors.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/err.h"
#include "base/core/log.h"

int err_set(struct err *err, enum err_class class, int code, const char *fmt, ...)
{
    va_list ap;

    if (err == NULL)
        return -1;
    err->class = class;
    err->scope = ERR_SCOPE_NONE;
    err->is_wide = false;
    err->code = code;
    va_start(ap, fmt);
    if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
        err->text[0] = '\0';
    va_end(ap);
    return -1;
}

static int exit_code_of_errno(int errnum)
{
    switch (errnum) {
    case EACCES:
    case EPERM:
    case EROFS:
        return EX_NOPERM;
    case ENOENT:
    case ECONNREFUSED:
    case ECONNRESET:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EPIPE:
    case EADDRINUSE:
    case EADDRNOTAVAIL:
        return EX_UNAVAILABLE;
    case EAGAIN:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ETIMEDOUT:
    case EINTR:
        return EX_TEMPFAIL;
    default:
        return EX_OSERR;
    }
}

int err_sys(struct err *err, int errnum, const char *fmt, ...)
{
    char why[128];
    size_t n;
    va_list ap;

    if (err == NULL)
        return -1;
    err->class = ERR_TEMP;
    err->scope = ERR_SCOPE_NONE;
    err->is_wide = false;
    err->code = exit_code_of_errno(errnum);
    va_start(ap, fmt);
    if (vsnprintf(err->text, sizeof(err->text), fmt, ap) < 0)
        err->text[0] = '\0';
    va_end(ap);
    n = strlen(err->text);
    /* GNU strerror_r is thread-safe and may return a string of its own. */
    (void)snprintf(
        err->text + n, sizeof(err->text) - n, ": %s", strerror_r(errnum, why, sizeof(why)));
    return -1;
}

int err_wrap(struct err *err, const char *fmt, ...)
{
    char context[ERR_TEXT_MAX];
    size_t n, text_n;
    va_list ap;

    if (err == NULL)
        return -1;
    va_start(ap, fmt);
    if (vsnprintf(context, sizeof(context) - 2, fmt, ap) < 0)
        context[0] = '\0';
    va_end(ap);
    n = strlen(context);
    memcpy(context + n, ": ", 3);
    n += 2;
    text_n = strlen(err->text);
    if (text_n > sizeof(err->text) - 1 - n)
        text_n = sizeof(err->text) - 1 - n;
    memmove(err->text + n, err->text, text_n);
    memcpy(err->text, context, n);
    err->text[n + text_n] = '\0';
    return -1;
}

int err_scope_set(struct err *err, enum err_scope scope)
{
    if (err != NULL)
        err->scope = scope;
    return -1;
}

void err_clear(struct err *err)
{
    if (err != NULL)
        *err = ERR_INIT;
}

const char *err_class_name(enum err_class class)
{
    switch (class) {
    case ERR_NONE:
        return "none";
    case ERR_TEMP:
        return "temporary";
    case ERR_PERM:
        return "permanent";
    case ERR_PEER:
        return "peer";
    case ERR_BUG:
        return "bug";
    }
    BUG("unknown error class");
}

int err_exit_code(const struct err *err)
{
    if (err->code != 0)
        return err->code;
    switch (err->class) {
    case ERR_NONE:
        return EX_OK;
    case ERR_TEMP:
        return EX_TEMPFAIL;
    case ERR_PERM:
        return EX_DATAERR;
    case ERR_PEER:
        return EX_PROTOCOL;
    case ERR_BUG:
        return EX_SOFTWARE;
    }
    BUG("unknown error class");
}

void bug_at(const char *file, int line, const char *what)
{
    log_error("bug", log_str("file", file), log_i64("line", line), log_str("what", what));
    abort();
}
