/* SPDX-License-Identifier: ISC */
/* attr: compiler attributes by the names that we use. */
#ifndef BASE_CORE_ATTR_H
#define BASE_CORE_ATTR_H

#define ATTR_WUR __attribute__((warn_unused_result))
#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_NORETURN __attribute__((noreturn))
#define ATTR_UNUSED __attribute__((unused))

#endif
