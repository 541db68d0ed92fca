/* SPDX-License-Identifier: ISC */
/*
 * disk: what the ends share that keep a mailbox in files: a queue, files, locks, subscriptions.
 *
 *     static const struct disk_kind maildir = {.name = "maildir", .open = do_open, ...};
 *     disk_end_init(&e->disk, &maildir, maker->label, limits);
 *
 * Operations wait in a queue and are done in their turn by advance(), step by step: a step never
 * waits.  One that has to, for a lock or for the clock, says AGAIN and is tried again a moment
 * later from its beginning; no lock is held meanwhile.
 */
#ifndef IMAPSYNC_ENDS_DISK_H
#define IMAPSYNC_ENDS_DISK_H

#include <sys/stat.h>
#include "imapsync/ends/end.h"

#define DISK_AGAIN_MS 3
#define DISK_PATIENCE_MS 60000 /* for somebody else's lock */
#define DISK_NAME_MAX 255      /* octets of a file's name */

enum disk_step {
    DISK_DONE,
    DISK_MORE,  /* goes on at once */
    DISK_AGAIN, /* try again a moment later */
    DISK_NO,    /* err says why */
    DISK_LOST,  /* the end is broken */
};

/* --- disk_end.c: the queue, and the life of an end ------------------------------------------ */

struct disk_end;

struct disk_request {
    struct disk_request *next;
    struct end_ticket *ticket;
    enum disk_step (*step)(struct disk_end *e, struct disk_request *r, struct err *err);
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
    struct end_quota *quota;
    struct end_uids *uids_out;
    unsigned n_refreshes; /* of the folder, since files were not as they had been seen */
    const struct end_sink *sink;
    void *sink_arg;
    struct err why; /* what was wrong with one of them; class NONE: nothing */
    /* The kind's own, for its forget(): what is being read, and what is being stored. */
    void *body, *messages;
    size_t n_messages;
};

/* One kind of files: a step for each slot, and what is no operation. */
struct disk_kind {
    const char *name;
    const char *odd; /* the event of the log that tells of a file that is passed over */
    unsigned can;
    /* Opens what the mailbox is in. */
    int (*begin)(struct disk_end *e, struct err *err);
    void (*fini)(struct disk_end *e); /* then it is freed */
    void (*forget)(struct disk_end *e, struct disk_request *r);
    bool (*is_same)(const struct end *e, const struct folder *f, struct slice token);
    enum disk_step (*folders)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*status)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*identify)(struct disk_end *e, struct disk_request *r, struct err *err);
    /* NULL: nobody keeps one. */
    enum disk_step (*quota)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*make)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*rename)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*subscribe)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*open)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*read)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*attributes)(struct disk_end *e, struct disk_request *r, struct err *err);
    /* Octets come while it waits for its turn; the step stores what has come. */
    void (*append_message)(struct disk_end *e, struct disk_request *r, const struct end_message *m);
    void (*append_octets)(struct disk_end *e, struct disk_request *r, struct slice octets);
    enum disk_step (*append)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*flags)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*move)(struct disk_end *e, struct disk_request *r, struct err *err);
    enum disk_step (*remove)(struct disk_end *e, struct disk_request *r, struct err *err);
};

struct disk_end {
    struct end end;
    const struct disk_kind *kind;
    struct disk_request *queue, *building;
    bool is_opened, is_for_writing; /* of the last open() */
    uint64_t again_ms;              /* when to try again; 0: now */
    bool is_open, is_broken, is_paused;
    struct err why;
};

static inline struct disk_end *disk_end_of(struct end *e)
{
    return (struct disk_end *)e;
}

void disk_end_init(struct disk_end *e, const struct disk_kind *kind, const char *label,
    const struct wait_limits *limits);
struct disk_request *disk_request_new(struct end *e, struct end_ticket *t,
    enum disk_step (*step)(struct disk_end *, struct disk_request *, struct err *));
/* It is whole: an end that is broken answers it. */
void disk_request_begin(struct end *e);

/* --- disk_slots.c ----------------------------------------------------------------------------- */

void disk_slot_folders(struct end *end, struct folder_list *out, struct end_ticket *t);
void disk_slot_status(struct end *end, struct folder *out, struct end_ticket *t);
void disk_slot_identify(struct end *end, struct buf *out, struct end_ticket *t);
void disk_slot_quota(struct end *end, struct end_quota *out, struct end_ticket *t);
void disk_slot_make(struct end *end, struct slice name, enum folder_use use, struct end_ticket *t);
void disk_slot_rename(struct end *end, struct slice name, struct slice to, struct end_ticket *t);
void disk_slot_subscribe(struct end *end, struct slice name, bool on, struct end_ticket *t);
void disk_slot_open(
    struct end *end, const struct end_open *o, struct end_changes *out, struct end_ticket *t);
void disk_slot_read(struct end *end, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t);
void disk_slot_attributes(struct end *end, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t);
void disk_slot_append_begin(
    struct end *end, struct slice folder, struct end_uids *uids_out, struct end_ticket *t);
void disk_slot_append_message(struct end *end, const struct end_message *m);
void disk_slot_append_octets(struct end *end, struct slice octets);
void disk_slot_append_end(struct end *end);
void disk_slot_flags(struct end *end, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t);
void disk_slot_move(struct end *end, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t);
void disk_slot_remove(struct end *end, const uint32_t *uids, size_t n, struct end_ticket *t);

void disk_take_flags(
    struct disk_request *r, const struct flags *flags, const struct keywords *names);
struct slice disk_dup(struct slice s);
/* A failure with errno, as an answer about the folder. */
enum disk_step disk_no(struct err *err, int errnum, const char *what, struct slice folder);
/* The same about one of several messages: the first reason is kept. */
void disk_fail(struct disk_request *r, int errnum, const char *what);
/* Tells the log of a file or folder that is passed over. */
void disk_say(
    const struct disk_kind *kind, struct slice folder, struct slice file, const char *why);
/* What a folder can keep, and whether this opening may be answered: UIDVALIDITY validity. */
enum disk_step disk_open_check(
    const struct disk_request *r, uint32_t validity, struct err *err) ATTR_WUR;

/* --- disk_token.c: UIDVALIDITY, UIDNEXT, and the state of the files ----------------------------
 */

struct disk_token {
    uint32_t validity, next;
    uint64_t state; /* 0: it was changing, and is like no other */
};

bool disk_token_unpack(struct slice text, struct disk_token *out) ATTR_WUR;
int disk_token_pack(const struct disk_token *t, struct buf *out) ATTR_WUR;
bool disk_token_is_same(const struct end *e, const struct folder *f, struct slice token);
/* A state as a digest, begun with 0; never 0 behind an addition. */
void disk_state_add(uint64_t *state, uint64_t v);
void disk_state_add_stat(uint64_t *state, const struct stat *st);
/* As before anything was told. */
void disk_untell(struct end_changes *out);

/* --- disk_files.c: one mailbox on a disk -------------------------------------------------------
 */

struct disk {
    int fd, tmp; /* of DIR and its tmp/; -1: not opened, or not there */
    struct stat st;
    char host[64];      /* for names, without what may not be in them */
    char real_host[64]; /* for locks */
    unsigned n_names;
};

void disk_host(struct disk *m);
/* All give -1 with errno.  Links are never followed. */
int disk_dir_open(int at, const char *name);
int disk_file_make(const struct disk *m, int at, const char *name, int flags);
/* A folder and what it has to have: mode and owner as DIR's. */
int disk_dir_make(const struct disk *m, int at, const char *name);
/* A name that no other file has. */
int disk_unique(struct disk *m, struct buf *out) ATTR_WUR;
/* 1: there is none.  st_out (NULL: of no interest): what it is. */
int disk_small_read(int at, const char *name, size_t max, struct buf *out, struct stat *st_out,
    struct err *err) ATTR_WUR;
/* Aside and renamed, durable. */
int disk_small_write(
    const struct disk *m, int at, const char *name, struct slice text, struct err *err) ATTR_WUR;
/* The lock of Dovecot's: 1: somebody else has it. */
int disk_lock(struct disk *m, int at, const char *name, struct err *err) ATTR_WUR;
void disk_unlock(int at, const char *name);

/* --- disk_subscriptions.c: names of folders, a line each, as Dovecot has them ------------------
 */

/* In DIR; delimiter: between levels of a name on the wire. */
struct disk_subscriptions {
    const char *file;
    char delimiter;
};

int disk_subscriptions_list(const struct disk *m, const struct disk_subscriptions *s,
    struct folder_list *l, struct err *err) ATTR_WUR;
/* Under the lock of the file. */
enum disk_step disk_subscriptions_change(struct disk *m, const struct disk_subscriptions *s,
    struct slice name, bool on, struct err *err) ATTR_WUR;

#endif
