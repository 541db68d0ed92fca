/* SPDX-License-Identifier: ISC */
/*
 * maildir_name: what the name of a message's file says, and which folders have a name on a disk.
 *
 *     name = base [":2," letters]      base = unique *("," key "=" value)
 */
#ifndef IMAPSYNC_ENDS_MAILDIR_NAME_H
#define IMAPSYNC_ENDS_MAILDIR_NAME_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "imapsync/ends/flags.h"

#define MAILDIR_NAME_MAX 255 /* octets of a file's name */
#define MAILDIR_KEYWORDS 26  /* letters for keywords: a to z */

struct maildir_name {
    struct slice base;    /* the same as long as the message is in its folder */
    struct slice letters; /* behind ":2,"; of any other kind of info: none */
};

/* Both point into name.  false: not the name of a message, or none that a line can hold. */
bool maildir_name_split(struct slice name, struct maildir_name *out) ATTR_WUR;
/* Of enum flag_system; and bit 0 for letter a, and so on. */
uint8_t maildir_letters_system(struct slice letters);
uint32_t maildir_letters_keywords(struct slice letters);
/* With these flags and letters of keywords; what else the letters of before said stays.  -1: too
 * long for a file. */
int maildir_name_join(struct slice base, struct slice before, uint8_t system, uint32_t keywords,
    struct buf *out) ATTR_WUR;
/* The number behind ",S=" or ",W=". */
bool maildir_base_number(struct slice base, char key, uint64_t *out) ATTR_WUR;

/* The folder on the disk of a name on the wire: "." for INBOX, ".A.B" for A.B.  -1: there can be
 * none. */
int maildir_folder_dir(struct slice name, struct buf *out) ATTR_WUR;
/* And back.  false: no folder has it. */
bool maildir_folder_name(struct slice dir, struct slice *out) ATTR_WUR;

#endif
