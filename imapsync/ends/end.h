/* SPDX-License-Identifier: ISC */
/*
 * end: one side of a copy: the folders and messages of one user, wherever they are kept.  Behind
 * the slots: IMAP (imap_end.h), and in the tests a model server in the same process.  Nothing above
 * an end names IMAP; docs/ends.md shows how a new one is written.
 *
 *     struct end *e;
 *     struct end_ticket t = {0};
 *     struct end_changes changes;
 *     end_changes_init(&changes, &keywords);
 *     e->ops->open(e, &(struct end_open){.folder = name, .want = END_WANT_FLAGS}, &changes, &t);
 *     if (end_check(e, &t, "cannot open the folder", &err) != 0) ...
 *
 * Order.  An operation is begun by its slot and is over when its ticket says so.  Operations of one
 * end take effect, and their tickets are answered, in the order in which they were begun, so that
 * many can be on their way at once: what was begun behind an open() is about that folder, and if
 * that open() is refused, so are all of them up to the next open(), without any effect.
 *
 * Ownership.  A ticket, and whatever else a slot is handed to write into (changes, results, sinks),
 * is the caller's and stays in place until the ticket is answered.  What is only read (names, UIDs,
 * flags) is copied by the slot and may go as soon as it returns.  Every ticket is answered exactly
 * once: at the latest close() answers all that are left, with END_LOST.  So whoever leaves early
 * closes the end, or drains it (end_drain), and nothing points into a frame that is gone.
 *
 * Errors.  END_NO is about this one operation: the end is as good as before, and the ticket's err
 * has class, scope and words.  END_LOST ends the whole end; of the changes that were on their way
 * nobody knows whether they were made, and that is for the journal's intents to settle.
 *
 * UIDs ascend, are never given twice under one UIDVALIDITY, and are only good for that.  Names are
 * octets, as on the wire of IMAP4rev1 (modified UTF-7), with the list's delimiter.
 */
#ifndef IMAPSYNC_ENDS_END_H
#define IMAPSYNC_ENDS_END_H

#include <poll.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/os/wait.h"
#include "imapsync/ends/changes.h"
#include "imapsync/ends/mailbox.h"

struct end;
struct aside;      /* aside.h */
struct named_list; /* named.h */

/* --- Tickets --------------------------------------------------------------------------- */

enum end_result {
    END_PENDING,
    END_OK,
    END_NO,   /* refused, without effect unless the slot says otherwise */
    END_LOST, /* the end has broken, or was closed: not known, and no more will come */
};

struct end_ticket {
    enum end_result result;
    struct err err; /* unless OK */
    /* Called once, when the result is there; may begin operations, not close the end.  NULL: none.
     */
    void (*done)(void *arg, struct end_ticket *t);
    void *arg;
};

/* For those who write an end: answers the ticket.  err is copied, NULL with END_OK. */
void end_answer(struct end_ticket *t, enum end_result result, const struct err *err);

/* --- What an end can do ------------------------------------------------------------------ */

enum end_can {
    END_CAN_TELL_UIDS = 1,     /* append() and move() say which UIDs they gave */
    END_CAN_REMOVE = 2,        /* remove(): just these messages, whatever else is marked */
    END_CAN_MOVE = 4,          /* move() */
    END_CAN_BATCH = 8,         /* several messages in one append(), all of them or none */
    END_CAN_GUARD = 16,        /* flags() only where nobody else changed them: `unchanged_since` */
    END_CAN_TELL_IDS = 32,     /* EMAILID and MAILBOXID (RFC 8474) */
    END_CAN_TELL_CHANGES = 64, /* open() with a token costs less than a listing */
    END_CAN_CHECK_SIZE = 128,  /* append_message() knows the largest size: size_max() */
    END_CAN_TELL_EMAILIDS = 256, /* something like EMAILIDs, and no MAILBOXID (Gmail) */
    END_CAN_ACL = 512,           /* acl() and set_acl() */
    END_CAN_NEW_RIGHTS = 1024,   /* with the letters of RFC 4314 */
    END_CAN_METADATA = 2048,     /* metadata() and set_metadata(), of folders */
    END_CAN_METADATA_ALL = 4096, /* the same of the mailbox as a whole, by the name "" */
    END_CAN_SHARE = 8192,        /* further ends of the same mailbox may be open beside it */
};

/* --- Operations: what goes in and what comes out -------------------------------------------- */

struct end_open {
    struct slice folder;
    bool is_for_writing; /* flags(), move() and remove() will follow */
    /* An open() has told this uidvalidity a moment ago: flags() and remove() behind this one need
     * not wait for its answer.  If the folder was replaced in this moment, it says NO as always,
     * and flags may have been changed all the same. */
    bool is_known;
    /* Nothing is asked: out has only the numbers of the folder. */
    bool is_only_opened;
    /* The same, and what follows is about messages that this end has told, or stored, since it
     * opened the folder for writing: where that is so still it may leave it open, and the numbers
     * are those of then.  What others have done to these messages is met all the same. */
    bool may_stay_open;
    /* That is expected; 0: any.  Under another one the token is void.  When nothing is told, or for
     * writing, another one is a NO: what is begun behind it is about UIDs of this one. */
    uint32_t uidvalidity;
    struct slice token; /* of an earlier open(); empty: everything is listed */
    uint32_t from;      /* only UIDs from here on, without a token; 0 and 1: all */
    /* Where all messages have to be listed, only their UIDs are told, into out->uids: attributes()
     * tells the rest when it is wanted.  What can be told as changes since the token is. */
    bool is_brief;
    const struct uid_set *known; /* UIDs whose absence has to be told; NULL: none */
    /* As folders() has told it, for reading.  Where that says that nothing is in it, and all that a
     * token has to know, an end may tell just this, with a token of that moment: what came since is
     * told by the next open().  NULL: what is to be told is what is there now. */
    const struct folder *listed;
    unsigned want; /* of enum end_want */
};

#define END_IDENTITY_MAX 255 /* octets */

/* Bodies that come, in any order, each UID at most once; one that does not come is not there any
 * more, or refused: then the ticket says NO.  A slot that is NULL is not called. */
struct end_sink {
    /* size is that of the octets that follow.  false: they are not wanted and left out. */
    bool (*begin)(void *arg, uint32_t uid, uint64_t size);
    void (*data)(void *arg, struct slice octets);
    void (*end)(void *arg, uint32_t uid);
};

struct end_flags {
    bool is_removal; /* takes them away; else adds them.  The others stay as they are */
    const struct flags *flags;
    const struct keywords *keywords;
    /* A MODSEQ as told by open(), which is 0 where the folder has none; 0: always.  Messages that
     * somebody has changed since, we ourselves among them, are left alone and come back in
     * *modified_out, ascending.  Only with END_CAN_GUARD. */
    uint64_t unchanged_since;
    /* What flags these messages have then, as far as the end tells, is added to it, as by
     * attributes(), to be finished by the caller.  NULL: of no interest. */
    struct end_changes *there;
};

/* UIDs in the order of what was asked, or of none where the end cannot tell. */
struct end_uids {
    uint32_t uidvalidity; /* of the folder that they are in; 0: not told, and then n is 0 */
    uint32_t *v;          /* owned: end_uids_fini(); of move() 0 is one that was not moved */
    size_t n;
};

void end_uids_fini(struct end_uids *u);

/* What is used of one resource of a quota, and how much is left. */
struct end_amount {
    uint64_t used;  /* 0: nothing, or not told */
    uint64_t limit; /* 0: there is none, or it is not told */
    uint64_t left;  /* below the limit */
};

/* Several quotas may count for a mailbox, some of them for others too: used is what the one says
 * that has least in it, limit and left are of the one that leaves least. */
struct end_quota {
    struct end_amount octets, messages;
};

/* One more of them; limit 0: none. */
void end_amount_add(struct end_amount *a, uint64_t used, uint64_t limit);

struct end_message {
    const struct flags *flags;
    const struct keywords *keywords;
    bool has_date;
    int64_t date_s; /* INTERNALDATE */
    int16_t zone_min;
    uint64_t size; /* exactly so many octets follow */
};

/* --- The slots ------------------------------------------------------------------------------ */

struct end_ops {
    const char *kind; /* "imap": for logs */

    /* What it can do, of enum end_can; does not change while it is open. */
    unsigned (*can)(const struct end *e);
    /* The largest message it takes, in octets; 0: it tells none. */
    uint64_t (*size_max)(const struct end *e);
    /* Whether the status of a folder says that nothing has changed since the token.  false: no, or
     * it does not say; open() tells. */
    bool (*is_same)(const struct end *e, const struct folder *f, struct slice token);

    /* --- Folders --- */

    /* All folders with attributes, subscription, special use and status, into an initialized list;
     * one whose status cannot be read has none. */
    void (*folders)(struct end *e, struct folder_list *out, struct end_ticket *t);
    /* Numbers of one folder, named by out->name, as of now; not its ID.  NO: it is not there. */
    void (*status)(struct end *e, struct folder *out, struct end_ticket *t);
    /* What tells this mailbox, by its INBOX, from all others of its server for ever, whatever they
     * are called: octets into an empty buffer of END_IDENTITY_MAX.  OK and empty: there is no such
     * thing, and contents have to tell (copy/whose.h). */
    void (*identify)(struct end *e, struct buf *out, struct end_ticket *t);
    /* What the quota of INBOX says, into a zeroed one.  OK and nothing told: there is none, or
     * nobody says so. */
    void (*quota)(struct end *e, struct end_quota *out, struct end_ticket *t);
    /* use: a special use to ask for where the end can. */
    void (*make)(struct end *e, struct slice name, enum folder_use use, struct end_ticket *t);
    void (*rename)(struct end *e, struct slice name, struct slice to, struct end_ticket *t);
    void (*subscribe)(struct end *e, struct slice name, bool on, struct end_ticket *t);

    /* Who has which rights, added to an empty list; and one of them, in place of what he had.  NULL
     * without END_CAN_ACL. */
    void (*acl)(struct end *e, struct slice name, struct named_list *out, struct end_ticket *t);
    void (*set_acl)(struct end *e, struct slice name, struct slice identifier, struct slice rights,
        struct end_ticket *t);
    /* Annotations (RFC 5464), those with a value, in the same way; what is larger than
     * METADATA_VALUE_MAX is left out.  NULL without END_CAN_METADATA and END_CAN_METADATA_ALL. */
    void (*metadata)(
        struct end *e, struct slice name, struct named_list *out, struct end_ticket *t);
    void (*set_metadata)(struct end *e, struct slice name, struct slice entry, struct slice value,
        struct end_ticket *t);

    /* --- Reading the folder that is open --- */

    /* Opens a folder in place of the one before and tells what has changed since the token: see
     * changes.h.  NO: it cannot be opened (err has scope FOLDER). */
    void (*open)(
        struct end *e, const struct end_open *o, struct end_changes *out, struct end_ticket *t);
    /* n > 0.  The sink is called until the ticket is answered.  NO: some of it may have come. */
    void (*read)(struct end *e, const uint32_t *uids, size_t n, const struct end_sink *sink,
        void *arg, struct end_ticket *t);
    /* The same with the header alone, empty line included; size in begin() is that of the whole
     * message.  Not NULL only where that costs less than the message. */
    void (*headers)(struct end *e, const uint32_t *uids, size_t n, const struct end_sink *sink,
        void *arg, struct end_ticket *t);
    /* Flags, dates, sizes or IDs of these messages, into out, which keeps its other fields. */
    void (*attributes)(struct end *e, const uint32_t *uids, size_t n, unsigned want,
        struct end_changes *out, struct end_ticket *t);

    /* --- Changing --- */

    /* A batch of messages for a folder, which need not be open: begin; for each message its
     * description and exactly size octets; end.  Nothing else may be begun on this end meanwhile.
     * uids_out gets one UID for each message where the end tells them, under its uidvalidity.
     * Without END_CAN_BATCH a batch has one message.  NO: none of it was stored by an end that
     * keeps the rules; who depends on it looks. */
    void (*append_begin)(
        struct end *e, struct slice folder, struct end_uids *uids_out, struct end_ticket *t);
    void (*append_message)(struct end *e, const struct end_message *m);
    void (*append_octets)(struct end *e, struct slice octets);
    void (*append_end)(struct end *e);
    /* Octets that have been handed over and wait to be taken: pause the other side. */
    size_t (*unsent)(const struct end *e);
    /* Whether another operation can be begun now.  What is begun all the same waits in memory; an
     * append must not be. */
    bool (*has_room)(const struct end *e);

    /* Of the open folder, opened for writing; n > 0.  A message that is not there is passed over.
     * flags(): NO: some may have been changed; modified_out (NULL: of no interest) is what it is.
     */
    void (*flags)(struct end *e, const uint32_t *uids, size_t n, const struct end_flags *f,
        struct end_uids *modified_out, struct end_ticket *t);
    /* Into another folder, with flags, date and ID.  uids_out (NULL: of no interest) gets for each
     * one, in the order of uids, its UID there, or 0 for one that was not moved; none at all where
     * the end cannot tell.  It is filled with a NO as well.
     * NO, or LOST: nothing is lost, and nothing comes twice into the other folder; but each message
     * that uids_out does not name may be in its old place, in the new one, or in both, and then may
     * be marked as deleted in the old one.  Who depends on it looks in both. */
    void (*move)(struct end *e, const uint32_t *uids, size_t n, struct slice folder,
        struct end_uids *uids_out, struct end_ticket *t);
    /* For ever: those of them that are marked as deleted (flags()); the others stay.  NO: some may
     * be there still. */
    void (*remove)(struct end *e, const uint32_t *uids, size_t n, struct end_ticket *t);

    /* --- Life --- */

    /* Nothing is read from it while it is paused: it feels it. */
    void (*pause)(struct end *e, bool on);
    /* Waiting: what it waits for (fd -1: nothing), and until when at the latest; timeout 0: it can
     * go on at once, -1: for ever.  Keeps a side that is idle alive. */
    void (*prepare)(struct end *e, struct pollfd *fd, int *timeout_ms_out);
    /* Goes on as far as it can without waiting.  *moved_out is set when anything has happened.
     * -1: it has broken; all its tickets have been answered. */
    int (*advance)(struct end *e, short revents, bool *moved_out, struct err *err);
    /* It has been opened: what it can is known, and operations may be begun. */
    bool (*is_open)(const struct end *e);
    bool (*is_broken)(const struct end *e);
    /* It has broken since nobody was there, or nothing came in time, whoever the user is. */
    bool (*is_silent)(const struct end *e);
    /* Every operation that was begun has been answered. */
    bool (*is_idle)(const struct end *e);
    /* Breaks it: what is on its way is answered with END_LOST. */
    void (*lose)(struct end *e, const struct err *why);
    /* Begins to say goodbye, behind what has been begun; it has been said when the end is idle. One
     * that is gone by then is idle too, and no error.  Nothing may be begun behind it. */
    void (*leave)(struct end *e);
    void (*close)(struct end *e); /* at once; as lose() first */
};

/* Each kind's own struct begins with it. */
struct end {
    const struct end_ops *ops;
    const char *label;                /* "source": for errors; borrowed */
    const struct wait_limits *limits; /* of whoever made it; borrowed; NULL: none */
    /* The other end of the copy: looked after while somebody waits for this one, which keeps it
     * alive.  Its errors come when it is used.  NULL: none. */
    struct end *beside;
    /* Lines that it was told and could not read, or only in part; of those what may have been about
     * folders or messages, and is lost.  Whoever counts takes them. */
    uint64_t n_odd, n_unread;
    /* folders() tells their octets too, where that is one question.  Whoever wants it sets it: some
     * servers read every message for the answer. */
    bool wants_octets;
    /* Folders about which a NO is said, and nothing asked (aside.h); borrowed.  NULL: none. */
    const struct aside *aside;
    /* When it has broken by itself: the folder whose turn it was (owned), as far as the end knows,
     * and not where messages were being stored; whether messages of it were being read; and whether
     * it was the turn of the list of all folders. */
    struct slice lost_at;
    bool lost_reading, lost_in_list;
};

/* Both ways. */
void end_beside(struct end *a, struct end *b);

/* --- For everybody who uses an end ------------------------------------------------------------ */

/* How the ends of one mailbox pair are opened, and opened again. */
struct end_maker {
    const char *label; /* "source" or the server's name */
    const char *user;  /* whose mailbox it is: for logs */
    const char *name;  /* tells this mailbox from others for ever: for the journal */
    /* Begins to open it, without waiting: it is open, or broken, when it has been pumped. */
    struct end *(*make)(const struct end_maker *m, const struct wait_limits *limits);
    /* How many things the next one will do without since earlier ones were lost at them: more of
     * them are worth another try.  NULL: none. */
    unsigned (*n_avoided)(const struct end_maker *m);
};

#define END_PUMP_MAX 16

/* Opens n <= END_PUMP_MAX ends, all at the same time.  -1: one could not be, and none is;
 * *silent_out is its maker if that is since nobody is there, whoever the user is, else NULL. */
int end_open_all(const struct end_maker *const *makers, size_t n, const struct wait_limits *limits,
    struct end **out, const struct end_maker **silent_out, struct err *err) ATTR_WUR;

/* Waits until one of them has gone on, n <= END_PUMP_MAX.  -1: one has broken, err says which and
 * why, or the limits say that it is over.  Then all of them are lost: no ticket is open behind a
 * failure. */
int end_pump(struct end *const *ends, size_t n, struct err *err) ATTR_WUR;
/* The same, of ends that do not depend on each other: nothing is lost with the one that has broken,
 * which is *broken_out; NULL: the limits say that it is over.  None of them is broken before. */
int end_pump_apart(
    struct end *const *ends, size_t n, struct end **broken_out, struct err *err) ATTR_WUR;
/* Pumps until the ticket is answered.  0: whatever it says but LOST. */
int end_wait(struct end *e, const struct end_ticket *t, struct err *err) ATTR_WUR;
/* And a NO is an error that begins with `what`. */
int end_check(
    struct end *e, const struct end_ticket *t, const char *what, struct err *err) ATTR_WUR;
/* Pumps until nothing is on its way.  0: each ticket says OK or NO.  -1: the end is broken,
 * whenever that was. */
int end_drain(struct end *e, struct err *err) ATTR_WUR;
/* Pumps until another operation can be begun. */
int end_room(struct end *e, struct err *err) ATTR_WUR;
/* For who leaves early, whatever is on its way. */
void end_lose(struct end *e, const struct err *why);
/* Says goodbye to n <= END_PUMP_MAX ends at the same time, where nothing is under way, and closes
 * them.  NULLs are fine. */
void end_close_all(struct end **ends, size_t n);
void end_close(struct end **e);

#endif
