/* SPDX-License-Identifier: ISC */
/* limits: every bound that a mailbox meets, wherever it is kept, by name. */
#ifndef IMAPSYNC_ENDS_LIMITS_H
#define IMAPSYNC_ENDS_LIMITS_H

#define FOLDER_NAME_MAX 4096 /* octets of a folder's name */
#define FOLDER_LEVELS_MAX 64 /* levels of hierarchy in a name */
#define FOLDERS_MAX 200000   /* folders of one user */
#define FOLDERS_OCTETS_MAX                                                                         \
    (64u << 20)              /* of all their names: what is kept of them has a limit too */
#define MESSAGES_MAX 4000000 /* messages of one folder */
#define KEYWORDS_MAX 128     /* different keywords of one folder */
#define KEYWORD_NAME_MAX 255
#define METADATA_VALUE_MAX 16384 /* octets of an annotation: sixty of them fit into a response */
#define OBJECT_ID_MAX 255        /* octets of an EMAILID or a MAILBOXID (RFC 8474) */

#endif
