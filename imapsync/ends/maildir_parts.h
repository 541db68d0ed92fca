/* SPDX-License-Identifier: ISC */
/* maildir_parts: what the files of the Maildir end share. */
#ifndef IMAPSYNC_ENDS_MAILDIR_PARTS_H
#define IMAPSYNC_ENDS_MAILDIR_PARTS_H

#include "imapsync/ends/disk.h"
#include "imapsync/ends/maildir_end.h"
#include "imapsync/ends/maildir_name.h"
#include "imapsync/ends/maildir_uidlist.h"

/* --- maildir_validity.c ------------------------------------------------------------------- */

/* A UIDVALIDITY that no folder of this mailbox has had. */
int maildir_validity(struct disk *m, uint32_t *out, struct err *err) ATTR_WUR;

/* --- maildir_tmp.c ------------------------------------------------------------------------- */

/* A name of ours: of that process on this host. */
bool maildir_tmp_is_ours(struct slice name, struct slice host, uint32_t *pid_out) ATTR_WUR;
void maildir_tmp_clean(struct disk *m);
/* A folder that was being made. */
void maildir_drop_aside(const struct disk *m, const char *aside);

/* --- maildir_folder.c: a folder as it is now ---------------------------------------------- */

#define MAILDIR_UIDLIST "dovecot-uidlist"
#define MAILDIR_LOCK MAILDIR_UIDLIST ".lock"

struct maildir_file {
    uint32_t uid;
    uint32_t at; /* of its name, in names */
    uint8_t n;   /* octets of the name; a NUL follows */
    bool is_new; /* in new/ */
};

struct maildir_folder {
    struct slice name; /* owned */
    int fd, cur, new;  /* -1: not open */
    struct uidlist list;
    struct stat list_st;    /* as it was read or written */
    struct maildir_file *v; /* by UID */
    size_t n, cap;
    struct buf names;
    struct buf odd; /* names of files that are left out, each with a NUL behind it */
    char *keywords[MAILDIR_KEYWORDS]; /* by letter */
    uint64_t state; /* of its folders and its keywords' names; 0: they may be changing */
    bool is_sure;   /* nothing was missed, and nothing left out */
};

void maildir_folder_init(struct maildir_folder *f);
void maildir_folder_fini(struct maildir_folder *f);
/* Only its directories. */
enum disk_step maildir_folder_open(
    struct disk *m, struct slice name, struct maildir_folder *f, struct err *err) ATTR_WUR;
/* All of it, into an initialized one; what has no UID gets one.  settles: AGAIN while somebody
 * changes it. */
enum disk_step maildir_folder_load(struct disk *m, struct slice name, bool settles,
    struct maildir_folder *f, struct err *err) ATTR_WUR;
/* Names once more, of what has UIDs. */
int maildir_folder_refresh(struct maildir_folder *f, struct err *err) ATTR_WUR;
/* The numbers of out->name. */
enum disk_step maildir_folder_numbers(
    struct disk *m, bool with_id, struct folder *out, struct err *err) ATTR_WUR;
/* Takes the lock of an open folder, and knows its next UID.  DONE: it is ours, unlock() it. */
enum disk_step maildir_folder_lock(
    struct disk *m, struct maildir_folder *f, struct err *err) ATTR_WUR;
void maildir_folder_unlock(struct maildir_folder *f);
const char *maildir_file_name(const struct maildir_folder *f, const struct maildir_file *v);
struct maildir_file *maildir_file_find(const struct maildir_folder *f, uint32_t uid); /* or NULL */
/* It is now in cur/ under this name. */
int maildir_file_renamed(
    struct maildir_folder *f, struct maildir_file *v, struct slice name) ATTR_WUR;

/* --- maildir_list.c: dovecot-uidlist ------------------------------------------------------ */

#define MAILDIR_GUID 32 /* digits */

void maildir_guid(char out[MAILDIR_GUID + 1]);
/* One that is not there, or has no header, has no UIDVALIDITY. */
int maildir_list_read(struct maildir_folder *f, struct err *err) ATTR_WUR;
/* It can be used as it is, and appended to. */
bool maildir_list_is_sound(const struct uidlist *l);
/* As it is in memory, with more rows as text. */
int maildir_list_write(
    struct disk *m, struct maildir_folder *f, struct slice rows, struct err *err) ATTR_WUR;
/* With the lock: rows as text; next is the UID behind them.  -1: none of them is there. */
int maildir_folder_append(
    struct maildir_folder *f, struct slice rows, uint32_t next, struct err *err) ATTR_WUR;

/* --- maildir_scan.c ----------------------------------------------------------------------- */

struct maildir_look {
    struct stat cur, new;
    struct timespec begun;
};

int maildir_look_begin(const struct maildir_folder *f, struct maildir_look *l) ATTR_WUR;
/* Every change from now on can be seen by the directories' times. */
bool maildir_look_is_still(const struct maildir_look *l);
bool maildir_look_is_same(const struct maildir_look *a, const struct maildir_look *b);
uint64_t maildir_look_state(const struct maildir_folder *f, const struct maildir_look *l);
/* Reads the directories: files with UIDs by the list, and without. */
int maildir_scan(struct maildir_folder *f, struct err *err) ATTR_WUR;
void maildir_leave_out(struct maildir_folder *f, const char *name);
/* How many messages there are; SIZE_MAX: not known. */
size_t maildir_count(const struct maildir_folder *f);

/* --- maildir_keywords.c ------------------------------------------------------------------- */

int maildir_keywords_read(struct maildir_folder *f, struct err *err) ATTR_WUR;
/* Their letters as bits.  *lacks_out: some have none yet; add() gives them one. */
uint32_t maildir_keywords_letters(const struct maildir_folder *f, const struct flags *flags,
    const struct keywords *names, bool *lacks_out);
/* With the folder's lock.  Those for which there is no letter any more are passed over. */
int maildir_keywords_add(struct disk *m, struct maildir_folder *f, const struct flags *flags,
    const struct keywords *names, struct err *err) ATTR_WUR;

/* --- The end ------------------------------------------------------------------------------ */

struct maildir_end {
    struct disk_end disk;
    const struct maildir_maker *maker;
    struct disk m;
    struct maildir_folder open;   /* of the last open() */
    struct maildir_folder target; /* of the last append() or move() */
    bool has_target;
};

extern const struct disk_kind maildir_kind;

static inline struct maildir_end *maildir_end_of(struct disk_end *e)
{
    return (struct maildir_end *)e;
}

/* e->target becomes this folder, ready to be locked. */
enum disk_step maildir_target(struct maildir_end *e, struct slice name, struct err *err) ATTR_WUR;
/* A file of the open folder that is not there under the name that was seen: under which it is now.
 * false: none. */
bool maildir_refind(struct maildir_end *e, struct disk_request *r, uint32_t uid,
    struct maildir_file **out) ATTR_WUR;
/* LFs that have no CR in front; last is the octet before, and then the last one. */
uint64_t maildir_bare(struct slice s, unsigned char *last);
void maildir_say(struct slice folder, struct slice file, const char *why);

/* Steps, and what is no operation. */
enum disk_step maildir_folders(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_status(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_identify(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_quota(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_make(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_rename(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_subscribe(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_open(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_read(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_attributes(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_append(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_flags(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_move(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step maildir_remove(struct disk_end *e, struct disk_request *r, struct err *err);
void maildir_append_message(
    struct disk_end *e, struct disk_request *r, const struct end_message *m);
void maildir_append_octets(struct disk_end *e, struct disk_request *r, struct slice octets);
void maildir_body_free(struct disk_request *r);
void maildir_messages_free(struct maildir_end *e, struct disk_request *r);

#endif
