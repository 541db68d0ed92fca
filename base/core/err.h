/* SPDX-License-Identifier: ISC */
/*
 * err: what went wrong, as a value.  A function that can fail returns 0 or -1 and fills a struct
 * err; callers add context with err_wrap() and only the place that handles an error reports it.
 *
 *     if (conf_load(path, &conf, err) != 0)
 *         return err_wrap(err, "cannot start");
 */
#ifndef BASE_CORE_ERR_H
#define BASE_CORE_ERR_H

#include <stdarg.h>
#include <stdbool.h>
#include "base/core/attr.h"

enum err_class {
    ERR_NONE, /* no error */
    ERR_TEMP, /* try again later; mail is kept: 4xx */
    ERR_PERM, /* trying again cannot help: 5xx, usage, configuration */
    ERR_PEER, /* the other side broke its protocol; for mail as ERR_TEMP */
    ERR_BUG,  /* we broke a promise of ours */
};

enum err_scope {
    ERR_SCOPE_NONE,
    ERR_SCOPE_MESSAGE,
    ERR_SCOPE_FOLDER,
    ERR_SCOPE_USER,
    ERR_SCOPE_HOST
};

#define ERR_TEXT_MAX 512

struct err {
    enum err_class class;
    enum err_scope scope;
    bool is_wide; /* the scope is what the peer's code is for, and peers give it for less, too */
    int code;     /* exit status from <sysexits.h> that fits, 0 when none does */
    char text[ERR_TEXT_MAX];
};

#define ERR_INIT ((struct err){0})

/* All return -1 so that `return err_set(...)` reads well.  `code` is a sysexits status, e.g.
 * EX_CONFIG.  Text that does not fit is cut, which only shortens a message for people. err may be
 * NULL. */
int err_set(struct err *err, enum err_class class, int code, const char *fmt, ...)
    ATTR_PRINTF(4, 5);
/* As err_set with ": strerror(errnum)" behind; EX_OSERR, EX_NOPERM, EX_UNAVAILABLE or EX_TEMPFAIL
 * by errno. */
int err_sys(struct err *err, int errnum, const char *fmt, ...) ATTR_PRINTF(3, 4);
/* Puts "context: " in front of the text. */
int err_wrap(struct err *err, const char *fmt, ...) ATTR_PRINTF(2, 3);
int err_scope_set(struct err *err, enum err_scope scope);
void err_clear(struct err *err);
const char *err_class_name(enum err_class class);
/* Exit status for a program that ends because of err: err->code, else by class. */
int err_exit_code(const struct err *err);

/* Impossible states end the process, in release builds too; peer input must never get here. */
void bug_at(const char *file, int line, const char *what) ATTR_NORETURN;
#define BUG(what) bug_at(__FILE__, __LINE__, (what))
#define BUG_ON(condition)                                                                          \
    do {                                                                                           \
        if (__builtin_expect(!!(condition), 0))                                                    \
            bug_at(__FILE__, __LINE__, #condition);                                                \
    } while (0)

#endif
