/* SPDX-License-Identifier: ISC */
/*
 * cause: which untagged responses a command can cause.  Servers may send data whenever they like;
 * only what somebody waits for is a sign that the answer is on its way.
 */
#ifndef IMAPSYNC_IMAP_CAUSE_H
#define IMAPSYNC_IMAP_CAUSE_H

#include "imapsync/imap/response.h"

#define IMAP_VERB_MAX 16

/* The command's name, read from its text while that is composed. */
struct imap_verb {
    char name[IMAP_VERB_MAX];
    size_t n;
    bool is_whole;
    unsigned causes; /* bits 1u << enum imap_kind, when it is whole */
};

/* Takes more of a command's text, from behind its tag on.  "UID" is no name by itself. */
void imap_verb_add(struct imap_verb *v, struct slice text);
/* Whether there is a command that can cause it. */
bool imap_cause_exists(enum imap_kind kind);
#endif
