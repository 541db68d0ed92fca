/* SPDX-License-Identifier: ISC */
/*
 * schema: the one table of all settings: section, name, type, default, range and meaning.  conf.c
 * reads the file by it, conf_value.c turns text into fields and back, coexist.conf(5) lists it and
 * `make lint` compares the two.  A new setting is one row here, one field in conf.h and one item in
 * the page.
 */
#ifndef BASE_CORE_SCHEMA_H
#define BASE_CORE_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schema_section {
    SCHEMA_TOP,
    SCHEMA_DOMAIN,
    SCHEMA_SERVER,
    SCHEMA_RELAY,
    SCHEMA_MILTER,
    SCHEMA_LOOKUP,
    SCHEMA_MAPD,
    SCHEMA_SYNC
};
#define SCHEMA_SECTIONS 8

enum schema_type {
    SCHEMA_NUMBER,   /* uint32_t, min to max */
    SCHEMA_DURATION, /* uint64_t milliseconds, min to max */
    SCHEMA_BYTES,    /* uint64_t, min to max */
    SCHEMA_BOOL,     /* bool: the first choice is false, the second true */
    SCHEMA_CHOICE,   /* an enum: the index in choices */
    SCHEMA_WORD,     /* char *, one of choices */
    SCHEMA_TEXT,     /* char *, printable */
    SCHEMA_PATH,     /* char *, absolute */
    SCHEMA_HOST,     /* char *, a host name or address */
    SCHEMA_PRINT,    /* char *, a SHA-256 fingerprint */
    SCHEMA_ENDPOINT, /* struct net_endpoint; choices are the schemes */
    SCHEMA_ENDPOINTS,
    SCHEMA_RANGES,
    SCHEMA_NAMES,      /* struct conf_strings, printable */
    SCHEMA_SERVER_REF, /* int, index of a server; choices are words for CONF_SERVER_NONE */
};

struct schema_key {
    enum schema_section section;
    const char *name;
    enum schema_type type;
    const char *text; /* the default as written in the file; NULL: none */
    uint64_t min, max;
    const char *const *choices; /* NULL-terminated */
    size_t offset;              /* in the struct of the section */
};

extern const struct schema_key schema_keys[];
extern const size_t schema_keys_n;

/* "relay"; "" for the settings outside of every section. */
const char *schema_section_name(enum schema_section section);
/* Sections that have a title and may come more than once. */
bool schema_section_is_titled(enum schema_section section);
bool schema_is_list(const struct schema_key *key);

#endif
