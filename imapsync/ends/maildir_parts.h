/* SPDX-License-Identifier: ISC */
/*
 * maildir_parts: what the files of the Maildir end share.
 *
 * Operations wait in a queue and are done in their turn by advance(), step by step: a step never
 * waits.  One that has to, for a lock or for the clock, says AGAIN and is tried again a moment
 * later from its beginning; no lock is held meanwhile.
 */
#ifndef IMAPSYNC_ENDS_MAILDIR_PARTS_H
#define IMAPSYNC_ENDS_MAILDIR_PARTS_H

#include <sys/stat.h>
#include "imapsync/ends/maildir_end.h"
#include "imapsync/ends/maildir_name.h"
#include "imapsync/ends/maildir_uidlist.h"

#define MAILDIR_AGAIN_MS 3
#define MAILDIR_PATIENCE_MS 60000 /* for somebody else's lock */

enum maildir_step {
    MAILDIR_DONE,
    MAILDIR_MORE,  /* goes on at once */
    MAILDIR_AGAIN, /* try again a moment later */
    MAILDIR_NO,    /* err says why */
    MAILDIR_LOST,  /* the end is broken */
};

/* --- maildir_files.c: one mailbox on a disk ----------------------------------------------- */

struct maildir {
    int fd, tmp; /* of DIR and its tmp/; -1: not opened, or not there */
    struct stat st;
    char host[64];      /* for names, without what may not be in them */
    char real_host[64]; /* for locks */
    unsigned n_names;
};

void maildir_host(struct maildir *m);
/* All give -1 with errno.  Links are never followed. */
int maildir_dir_open(int at, const char *name);
int maildir_file_make(const struct maildir *m, int at, const char *name, int flags);
/* A folder and what it has to have: mode and owner as DIR's. */
int maildir_dir_make(const struct maildir *m, int at, const char *name);
/* A name that no other file has. */
int maildir_unique(struct maildir *m, struct buf *out) ATTR_WUR;
/* 1: there is none.  st_out (NULL: of no interest): what it is. */
int maildir_small_read(int at, const char *name, size_t max, struct buf *out, struct stat *st_out,
    struct err *err) ATTR_WUR;
/* Aside and renamed, durable. */
int maildir_small_write(
    const struct maildir *m, int at, const char *name, struct slice text, struct err *err) ATTR_WUR;
/* The lock of Dovecot's: 1: somebody else has it. */
int maildir_lock(struct maildir *m, int at, const char *name, struct err *err) ATTR_WUR;
void maildir_unlock(int at, const char *name);

/* A UIDVALIDITY that no folder of this mailbox has had. */
int maildir_validity(struct maildir *m, uint32_t *out, struct err *err) ATTR_WUR;

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
enum maildir_step maildir_folder_open(
    struct maildir *m, struct slice name, struct maildir_folder *f, struct err *err) ATTR_WUR;
/* All of it, into an initialized one; what has no UID gets one.  settles: AGAIN while somebody
 * changes it. */
enum maildir_step maildir_folder_load(struct maildir *m, struct slice name, bool settles,
    struct maildir_folder *f, struct err *err) ATTR_WUR;
/* Names once more, of what has UIDs. */
int maildir_folder_refresh(struct maildir_folder *f, struct err *err) ATTR_WUR;
/* The numbers of out->name. */
enum maildir_step maildir_folder_numbers(
    struct maildir *m, bool with_id, struct folder *out, struct err *err) ATTR_WUR;
/* Takes the lock of an open folder, and knows its next UID.  DONE: it is ours, unlock() it. */
enum maildir_step maildir_folder_lock(
    struct maildir *m, struct maildir_folder *f, struct err *err) ATTR_WUR;
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
    struct maildir *m, struct maildir_folder *f, struct slice rows, struct err *err) ATTR_WUR;
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
int maildir_keywords_add(struct maildir *m, struct maildir_folder *f, const struct flags *flags,
    const struct keywords *names, struct err *err) ATTR_WUR;

/* --- maildir_end.c: the queue ------------------------------------------------------------- */

struct maildir_end;

struct maildir_message;
struct maildir_body;

struct maildir_request {
    struct maildir_request *next;
    struct end_ticket *ticket;
    enum maildir_step (*step)(struct maildir_end *e, struct maildir_request *r, struct err *err);
    bool needs_open, needs_writing; /* it is about the folder that is open */
    bool is_building;               /* an append that is not whole yet */
    uint64_t since_ms;              /* it has been waiting for a lock; 0: not */
    struct slice name, to;          /* owned */
    uint32_t *uids;
    size_t n, at;
    bool on;
    struct uid_set known;
    struct end_open open; /* with known and token beside it */
    struct buf token;
    struct flags flags;
    struct keywords keywords;
    unsigned want;
    struct end_changes *changes;
    struct folder_list *list;
    struct folder *status;
    struct buf *identity;
    struct end_uids *uids_out;
    unsigned n_refreshes; /* of the folder, since files had other names */
    const struct end_sink *sink;
    void *sink_arg;
    struct maildir_body *body; /* that is being read */
    struct maildir_message *messages;
    size_t n_messages;
    struct err why; /* what was wrong with one of them; class NONE: nothing */
};

struct maildir_end {
    struct end end;
    const struct maildir_maker *maker;
    struct maildir m;
    struct maildir_request *queue, *building;
    struct maildir_folder open; /* of the last open() */
    bool is_opened, is_for_writing;
    struct maildir_folder target; /* of the last append() or move() */
    bool has_target;
    uint64_t again_ms; /* when to try again; 0: now */
    bool is_open, is_broken, is_paused;
    struct err why;
};

static inline struct maildir_end *maildir_end_of(struct end *e)
{
    return (struct maildir_end *)e;
}

struct maildir_request *maildir_request_new(struct end *e, struct end_ticket *t,
    enum maildir_step (*step)(struct maildir_end *, struct maildir_request *, struct err *));
/* The first of the queue, which is over. */
void maildir_answer(struct maildir_end *e, enum end_result result, const struct err *err);
void maildir_lose_all(struct maildir_end *e);
/* It is whole: an end that is broken answers it. */
void maildir_request_begin(struct end *e);
void maildir_take_uids(struct maildir_request *r, const uint32_t *uids, size_t n);
void maildir_take_flags(
    struct maildir_request *r, const struct flags *flags, const struct keywords *names);
struct slice maildir_dup(struct slice s);
/* A failure with errno, as an answer about the folder. */
enum maildir_step maildir_no(struct err *err, int errnum, const char *what, struct slice folder);
/* e->target becomes this folder, ready to be locked. */
enum maildir_step maildir_target(
    struct maildir_end *e, struct slice name, struct err *err) ATTR_WUR;
/* A file of the open folder that is not there under the name that was seen: under which it is now.
 * false: none. */
bool maildir_refind(struct maildir_end *e, struct maildir_request *r, uint32_t uid,
    struct maildir_file **out) ATTR_WUR;
/* LFs that have no CR in front; last is the octet before, and then the last one. */
uint64_t maildir_bare(struct slice s, unsigned char *last);
/* Tells the log of a file or folder that is passed over. */
void maildir_say(struct slice folder, struct slice file, const char *why);

void maildir_folders(struct end *e, struct folder_list *out, struct end_ticket *t);
void maildir_status(struct end *e, struct folder *out, struct end_ticket *t);
void maildir_identify(struct end *e, struct buf *out, struct end_ticket *t);
void maildir_make(struct end *e, struct slice name, enum folder_use use, struct end_ticket *t);
void maildir_rename(struct end *e, struct slice name, struct slice to, struct end_ticket *t);
void maildir_subscribe(struct end *e, struct slice name, bool on, struct end_ticket *t);
void maildir_open(
    struct end *e, const struct end_open *o, struct end_changes *out, struct end_ticket *t);
bool maildir_is_same(const struct end *e, const struct folder *f, struct slice token);
void maildir_read(struct end *e, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t);
void maildir_body_free(struct maildir_body **b);
void maildir_attributes(struct end *e, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t);
void maildir_append_begin(
    struct end *e, struct slice folder, struct end_uids *uids_out, struct end_ticket *t);
void maildir_append_message(struct end *e, const struct end_message *m);
void maildir_append_octets(struct end *e, struct slice octets);
void maildir_append_end(struct end *e);
void maildir_messages_free(struct maildir_end *e, struct maildir_request *r);
void maildir_flags(struct end *e, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t);
void maildir_move(struct end *e, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t);
void maildir_remove(struct end *e, const uint32_t *uids, size_t n, struct end_ticket *t);

#endif
