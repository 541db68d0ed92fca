/* SPDX-License-Identifier: ISC */
/* mbox_parts: what the files of the mbox end share. */
#ifndef IMAPSYNC_ENDS_MBOX_PARTS_H
#define IMAPSYNC_ENDS_MBOX_PARTS_H

#include "imapsync/ends/disk.h"
#include "imapsync/ends/mbox_end.h"
#include "imapsync/ends/mbox_head.h"
#include "imapsync/ends/mbox_uids.h"

struct mbox_end;

/* --- mbox_files.c: where folders are, and locks --------------------------------------------- */

struct mbox_place {
    int dir; /* -1: not found */
    char name[DISK_NAME_MAX + 1];
};

void mbox_place_fini(struct mbox_place *p);
/* -1 with errno.  makes: the folders above it. */
int mbox_place_find(
    struct mbox_end *e, struct slice name, bool makes, struct mbox_place *out) ATTR_WUR;
/* Whether a folder can have this name, and whether a file is one. */
bool mbox_name_is_sound(struct slice name);
bool mbox_name_is_hidden(const char *name);
/* For reading, never through a link.  -1 with errno. */
int mbox_file_open(const struct mbox_place *p, int flags, struct stat *st);
/* The file's own lock, while it is read.  AGAIN: somebody writes. */
enum disk_step mbox_lock_read(int fd);
void mbox_unlock_read(int fd);
/* FILE.lock and the file's own.  DONE: fd is open for reading and writing, and the file is the one
 * of this name. */
enum disk_step mbox_lock_write(struct mbox_end *e, struct slice folder, struct mbox_place *p,
    int *fd_out, struct err *err) ATTR_WUR;
void mbox_unlock_write(struct mbox_end *e, struct mbox_place *p, int *fd);

/* --- mbox_list.c: the list of UIDs on the disk ------------------------------------------------ */

/* Empty, if there is none. */
void mbox_list_load(struct mbox_end *e, struct slice folder, struct mbox_list *l);
/* -1: it cannot be kept. */
int mbox_list_save(
    struct mbox_end *e, struct slice folder, const struct mbox_list *l, struct err *err) ATTR_WUR;
void mbox_list_rename(struct mbox_end *e, struct slice folder, struct slice to);
/* DONE: it is ours.  NO: there can be none. */
enum disk_step mbox_list_lock(struct mbox_end *e, struct slice folder);
void mbox_list_unlock(struct mbox_end *e, struct slice folder);
uint32_t mbox_list_fresh(const struct mbox_list *l);

/* --- mbox_folder.c: a folder as it is now ------------------------------------------------------
 */

struct mbox_order {
    uint32_t uid, at;
};

struct mbox_folder {
    struct slice name; /* owned */
    int fd;            /* -1: not open */
    struct stat st;    /* as it was read */
    struct mbox_scan scan;
    struct mbox_list list;
    struct mbox_order *order; /* of scan.v, by UID */
    uint64_t state;           /* 0: it may be changing */
    bool labels;              /* what is appended gets its UID by a field */
};

void mbox_folder_init(struct mbox_folder *f);
void mbox_folder_fini(struct mbox_folder *f);
/* Reads all of it, unless it is as it was.  settles: AGAIN while somebody changes it. */
enum disk_step mbox_folder_load(struct mbox_end *e, struct slice name, bool settles,
    struct mbox_folder *f, struct err *err) ATTR_WUR;
/* The same of a file that is locked for writing; fd stays the caller's. */
enum disk_step mbox_folder_load_locked(
    struct mbox_end *e, struct slice name, int fd, struct mbox_folder *f, struct err *err) ATTR_WUR;
/* The numbers of out->name. */
enum disk_step mbox_folder_numbers(
    struct mbox_end *e, struct folder *out, struct err *err) ATTR_WUR;
bool mbox_same_stat(const struct stat *a, const struct stat *b);
struct mbox_mail *mbox_mail_find(const struct mbox_folder *f, uint32_t uid); /* or NULL */

/* --- mbox_rewrite.c ----------------------------------------------------------------------------
 */

/* What becomes of a message. */
struct mbox_edit {
    bool is_removed;
    struct slice header; /* instead of its own; owned; p NULL: as it is */
};

/* n octets; -1 with errno. */
int mbox_copy(int from, uint64_t at, uint64_t n, int to, uint64_t to_at);
/* The file that is locked becomes another one, whose first message says all keywords and has room
 * for more.  edits: one for each of f->scan.v; NULL: none. */
int mbox_rewrite(struct mbox_end *e, const struct mbox_place *p, int fd,
    const struct mbox_folder *f, const struct keywords *keywords, const struct mbox_edit *edits,
    struct err *err) ATTR_WUR;
/* The line of the file that says UIDVALIDITY, highest UID and keywords, in place: in the header
 * that begins at head.  1: there is no room for it.  -1 with errno. */
int mbox_base_write(int fd, uint32_t validity, uint32_t last, const struct keywords *keywords,
    uint64_t head) ATTR_WUR;
int mbox_aside(const struct mbox_place *p, char *out, size_t size) ATTR_WUR;
void mbox_keywords_join(struct keywords *to, const struct keywords *from);

/* --- The end ------------------------------------------------------------------------------ */

/* What an append has to know of a file. */
struct mbox_tail {
    struct slice name; /* owned */
    struct stat st;
    uint32_t validity, next;
    bool labels, has_base; /* has_base: a first message, or what stands for it, says the validity */
    uint64_t base_head, sound; /* base_head: of the header that says so; 0: none */
    struct keywords keywords;  /* that it names */
    bool ends_line;
};

void mbox_tail_fini(struct mbox_tail *t);

struct mbox_end {
    struct disk_end disk;
    const struct mbox_maker *maker;
    struct disk m;           /* fd -1: there is only INBOX */
    int lists;               /* DIR/.imap/.coexist; -1: not there */
    struct mbox_place inbox; /* dir -1: it is not there */
    struct mbox_folder open; /* of the last open() */
    uint32_t validity;       /* that it told */
    struct mbox_tail tail;   /* of the last append */
};

extern const struct disk_kind mbox_kind;

static inline struct mbox_end *mbox_end_of(struct disk_end *e)
{
    return (struct mbox_end *)e;
}

void mbox_say(struct slice folder, const char *why);

/* Steps, and what is no operation. */
enum disk_step mbox_folders(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_status(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_identify(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_make(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_rename(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_subscribe(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_open(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_read(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_attributes(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_append(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_flags(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_move(struct disk_end *e, struct disk_request *r, struct err *err);
enum disk_step mbox_remove(struct disk_end *e, struct disk_request *r, struct err *err);
void mbox_append_message(struct disk_end *e, struct disk_request *r, const struct end_message *m);
void mbox_append_octets(struct disk_end *e, struct disk_request *r, struct slice octets);
void mbox_batch_free(struct disk_request *r);
void mbox_body_free(struct disk_request *r);

#endif
