/* SPDX-License-Identifier: ISC */
/*
 * imap_parts: what the files of the IMAP end share among themselves.
 *
 * Each operation is a request, a heap object that the end owns until it is answered.  A request
 * composes its commands one by one, as the pipeline has room (send), takes the untagged data that
 * belongs to it, and may have more commands when an answer has come.  Requests are answered in the
 * order in which they were begun, whenever their last answer has come.
 *
 * Commands leave in the order of the requests; only what a request has to ask again leaves behind
 * those that were begun after it.  So each request names the folder that it is about, and when
 * another one is open at the end of what was sent, its folder is opened again first.
 */
#ifndef IMAPSYNC_ENDS_IMAP_PARTS_H
#define IMAPSYNC_ENDS_IMAP_PARTS_H

#include "imapsync/ends/imap_end.h"

struct imap_end;
struct imap_request;

/* A folder as one open() has opened it. */
struct imap_opened {
    unsigned refs;
    struct slice name; /* owned */
    bool is_for_writing;
    bool is_known;        /* it was open under this UIDVALIDITY a moment ago */
    bool is_confirmed;    /* it is open, and the server has said so: UIDs are what they were */
    bool is_refused;      /* so is all that was begun behind it */
    uint32_t uidvalidity; /* 0: not told yet */
    /* What else its SELECT has told, once it is confirmed. */
    uint32_t uidnext, exists;
    uint64_t modseq;
    unsigned storable;
    bool takes_keywords;
    struct err err;
};

enum imap_step {
    IMAP_STEP_REOPEN, /* of every request; its own steps come behind it */
    IMAP_STEP_OWN,
};

struct imap_request_kind {
    /* Composes one command; clears has_more with the last one. */
    void (*send)(struct imap_request *r);
    /* Untagged data while one of its commands is on its way; false: it is not about it. */
    bool (*untagged)(struct imap_request *r, const struct imap_response *resp);
    /* One of its commands was answered.  May set has_more, and result with err. */
    void (*answered)(struct imap_request *r, unsigned step, const struct imap_outcome *o,
        const struct imap_response *resp);
    void (*free)(struct imap_request *r); /* frees it, too */
};

struct imap_request {
    const struct imap_request_kind *kind;
    struct imap_end *e;
    struct imap_request *next;
    struct end_ticket *ticket;
    struct imap_opened *opened; /* that it is about; NULL: none */
    size_t n_cmds;              /* without their answer */
    bool has_more;
    bool is_final;     /* without has_more: no answer leads to another command, but a refusal may */
    bool opens;        /* send() opens the folder itself */
    bool is_changing;  /* only when the folder is surely the one that it was */
    bool may_be_early; /* or, of this one, was so a moment ago */
    bool is_urgent;    /* it has been promised that it goes at once (has_room()) */
    bool reads;        /* messages: what a connection dies of then is one of these */
    bool is_barrier;   /* nothing that was begun behind it leaves before it is over */
    size_t n_unread; /* lines in its turn that could not be read: what has not come is not known */
    enum end_result result; /* END_OK unless something was refused */
    struct err err;
};

/* One command that is on its way. */
struct imap_cmd {
    struct imap_cmd *next;
    struct imap_end *e;
    struct imap_request *r; /* NULL: nobody wants to know any more */
    unsigned step;
    struct slice about; /* owned: the folder, but of what stores messages */
    bool is_list;       /* of all folders, with their numbers */
};

struct imap_body {
    struct imap_request *r; /* whose body is coming; NULL: nobody's */
    uint32_t uid;
    bool is_unclosed; /* it has come; what the next line is says whether as a whole */
};

struct imap_end {
    struct end end;
    const struct imap_place *place;
    const struct imap_manner *manner;
    const struct profile *profile; /* NULL: not recognised yet */
    struct imap_conn *conn;
    struct imap_client *client;
    struct imap_request *requests;   /* oldest first */
    struct imap_request *youngest;   /* of them, if there is one */
    struct imap_cmd *cmds;           /* in the order in which they left */
    struct imap_cmd *last_cmd;       /* of them, if there is one */
    struct imap_opened *last_opened; /* by the youngest open(): what is begun now is about it */
    struct imap_opened *tail;        /* open when all that was sent is done; NULL: none */
    struct imap_request *append;     /* between append_begin() and append_end() */
    bool is_append_over;             /* it was answered before its end */
    uint64_t literal_left;           /* octets of what it has announced */
    struct imap_body body;
    uint64_t reopened_uidvalidity;
    bool is_open;                    /* signed in, and what the server can is known */
    bool wants_to_leave, is_leaving; /* asked to; and it has said so */
    bool is_broken;
    bool has_qresync;         /* it was enabled, and the server has said so */
    bool invents_uidvalidity; /* at each EXAMINE of a folder that nobody has selected (Courier) */
    bool is_loss_noted;       /* what it has broken at */
    bool has_failed;          /* in a callback, for the reason in err */
    uint64_t size_max;        /* of a message; 0: not known */
    uint64_t message_limit;   /* that an answer has told; 0: none */
    struct err err;
};

/* What is left when a server has answered for a part of the messages (MESSAGELIMIT). */
struct imap_rest {
    size_t left;
    uint64_t limit; /* that the last commands kept to; UINT64_MAX: none */
    unsigned fruitless;
};

#define IMAP_SET_MAX 3000            /* octets of a UID set in one command */
#define IMAP_UNSENT_MAX (512u << 10) /* then no other command is begun */
#define IMAP_COMMANDS_MAX                                                                          \
    (IMAP_PIPELINE_MAX - 4) /* an append needs up to three places by itself                        \
                             */

struct imap_end *imap_end_of(struct end *e);
/* A request of size octets, zeroed but for its head; size at least that of the head. */
void *imap_request_new(
    struct imap_end *e, size_t size, const struct imap_request_kind *kind, struct end_ticket *t);
/* Takes its place behind the others, and goes when it can. */
void imap_request_begin(struct imap_request *r);
void imap_request_free_head(struct imap_request *r); /* for kind->free */
/* About what was opened last; that may be nothing, and then the request is refused. */
void imap_request_on_open(struct imap_request *r);
/* The same for what changes it by UID: leaves when the folder is surely the one that it was. */
void imap_request_to_change(struct imap_request *r);
/* What it lacks may have been in a line that could not be read. */
void imap_request_unread(struct imap_request *r);
/* It is refused by us, and nothing is sent. */
void imap_request_cannot(struct imap_request *r, const char *why);
/* Begins a command of the request: text and imap_cmd_end() follow. */
void imap_request_cmd(struct imap_request *r, unsigned step);
/* Of the command that was just begun. */
void imap_request_about(struct imap_request *r, struct slice folder);
void imap_request_lists(struct imap_request *r);
/* What it is about was put aside: refused, and nothing is sent.  false: it was not. */
bool imap_request_aside(struct imap_request *r, struct slice folder);
/* A refusal; the first one of a request counts. */
void imap_request_refuse(
    struct imap_request *r, const struct imap_outcome *o, enum err_scope scope);
void imap_request_fail(struct imap_request *r, const struct err *err);
/* EXAMINE or SELECT with its name, to be ended by imap_cmd_end(). */
void imap_compose_open(struct imap_request *r, unsigned step, bool is_for_writing);
/* Leaves the folder that is open and expunges nothing: CLOSE does where it is open for writing
 * (RFC 9051 6.4.1). */
void imap_compose_leave(struct imap_request *r, unsigned step);
void imap_opened_refuse(struct imap_opened *o, const struct err *err);
struct imap_opened *imap_opened_ref(struct imap_opened *o);
void imap_opened_unref(struct imap_opened **o);
bool imap_request_is_complete(const struct imap_request *r); /* false: there is none */
/* Answers those that are complete, up to the first that is not. */
void imap_requests_settle(struct imap_end *e, bool *moved_out);
/* Sends what may leave now. */
void imap_requests_flush(struct imap_end *e);
void imap_requests_lose(struct imap_end *e, const struct err *err);
bool imap_requests_may_send(const struct imap_end *e);
extern const struct imap_events imap_end_events; /* arg: the end */
/* The connection makes no sense any more. */
void imap_end_fail(struct imap_end *e, const char *why);

bool imap_rest_was_cut(const struct imap_outcome *o);
/* Of n messages, before the first command. */
void imap_rest_begin(struct imap_rest *rest, const struct imap_end *e, size_t n);
/* When all commands have been answered, and one was cut: asks for those that are left? */
bool imap_rest_goes_on(struct imap_rest *rest, const struct imap_end *e, size_t left);
/* No: then it was done for a part, which is a NO. */
void imap_rest_refuse(struct imap_request *r);
/* Messages that the server takes in one command (RFC 9738); 0: it has told no number. */
uint64_t imap_message_limit(const struct imap_end *e);
/* Ascending UIDs as a set of at most IMAP_SET_MAX octets, and of no more messages than the server
 * takes in one command; how many of them it has. */
size_t imap_set_some(const struct imap_end *e, struct buf *out, const uint32_t *uids, size_t n);
/* UIDs in any order as an ascending copy. */
uint32_t *imap_uids_copy(const uint32_t *uids, size_t n, size_t *n_out);
/* What kind of server it is; id: its answer to ID, or empty. */
void imap_end_recognise(struct imap_end *e, struct slice id);
/* A folder's name in a command, as the server writes names. */
void imap_cmd_name(const struct imap_end *e, struct slice name);
/* And one that it has told, as ours are. */
int imap_name_take(const struct imap_end *e, struct imap_str told, struct buf *out) ATTR_WUR;
struct slice imap_slice_copy(struct slice s);
void imap_slice_free(struct slice *s);

/* --- Slots, by file ----------------------------------------------------------------------- */

void imap_end_folders(struct end *e, struct folder_list *out, struct end_ticket *t);
void imap_end_status(struct end *e, struct folder *out, struct end_ticket *t);
void imap_end_identify(struct end *e, struct buf *out, struct end_ticket *t);
void imap_end_quota(struct end *e, struct end_quota *out, struct end_ticket *t);
/* "(MESSAGES ...)" and what it is answered. */
void imap_status_items(struct imap_end *e);
void imap_status_take(struct folder *f, const struct imap_status_data *d);
/* "\Sent"; use: not NONE. */
const char *imap_use_word(enum folder_use use);
void imap_end_make(struct end *e, struct slice name, enum folder_use use, struct end_ticket *t);
void imap_end_rename(struct end *e, struct slice name, struct slice to, struct end_ticket *t);
void imap_end_subscribe(struct end *e, struct slice name, bool on, struct end_ticket *t);

void imap_end_open(
    struct end *e, const struct end_open *o, struct end_changes *out, struct end_ticket *t);
void imap_end_attributes(struct end *e, const uint32_t *uids, size_t n, unsigned want,
    struct end_changes *out, struct end_ticket *t);
/* "UID FLAGS ..." for what is wanted. */
void imap_compose_items(struct imap_client *client, unsigned want);
/* "UID BODY.PEEK[HEADER.FIELDS ...]" for those whose date is to come from there. */
#define IMAP_FIELDS_MAX 16384 /* octets: the newest Received is the first one */
void imap_compose_fields(struct imap_client *client);
/* Into the changes; false: no UID. */
bool imap_listed(struct end_changes *out, const struct imap_fetch_data *f, struct listed *m);

void imap_end_read(struct end *e, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t);
void imap_read_begin(struct imap_end *e, uint32_t uid, uint64_t size);
void imap_read_data(struct imap_end *e, struct slice octets);
void imap_end_acl(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t);
void imap_end_set_acl(struct end *e, struct slice name, struct slice identifier,
    struct slice rights, struct end_ticket *t);
void imap_end_metadata(
    struct end *e, struct slice name, struct named_list *out, struct end_ticket *t);
void imap_end_set_metadata(
    struct end *e, struct slice name, struct slice entry, struct slice value, struct end_ticket *t);
void imap_end_headers(struct end *e, const uint32_t *uids, size_t n, const struct end_sink *sink,
    void *arg, struct end_ticket *t);
/* The response that a body was part of. */
void imap_read_end(struct imap_end *e, const struct imap_fetch_data *f);
/* The line behind it, where that response was not closed. */
void imap_read_closed(struct imap_end *e, bool is_bracket);

void imap_end_append_begin(
    struct end *e, struct slice folder, struct end_uids *uids_out, struct end_ticket *t);
void imap_end_append_message(struct end *e, const struct end_message *m);
void imap_end_append_octets(struct end *e, struct slice octets);
void imap_end_append_end(struct end *e);

void imap_end_flags(struct end *e, const uint32_t *uids, size_t n, const struct end_flags *f,
    struct end_uids *modified_out, struct end_ticket *t);
void imap_end_move(struct end *e, const uint32_t *uids, size_t n, struct slice folder,
    struct end_uids *uids_out, struct end_ticket *t);
void imap_end_remove(struct end *e, const uint32_t *uids, size_t n, struct end_ticket *t);

#endif
