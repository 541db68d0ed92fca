/* SPDX-License-Identifier: ISC */
/* items: see items.h.  Whoever tells of a difference takes its code from this table. */
#include "imapsync/journal/items.h"

#include <stddef.h>
#include <sysexits.h>

static const struct item_row rows[ITEM_CODES] = {
    [ITEM_REFUSED] = {"E-REFUSED", ITEM_LOSS, ITEM_LIFE_REFUSED,
        "the target does not take the message",
        "see what the server says; retry when the reason is gone, or accept it"},
    [ITEM_SIZE] = {"E-SIZE", ITEM_LOSS, ITEM_LIFE_REFUSED,
        "the message is larger than the target's limit",
        "raise the limit of the target and retry, or accept it"},
    [ITEM_UNREADABLE] = {"E-UNREADABLE", ITEM_LOSS, ITEM_LIFE_REFUSED,
        "the source lists the message and does not give it",
        "repair the mailbox on the source and retry, or accept it"},
    [ITEM_ASIDE] = {"E-ASIDE", ITEM_LOSS, ITEM_LIFE_REFUSED,
        "the connection is lost whenever the message is copied",
        "look at the logs of both servers; retry, or accept it"},
    [ITEM_DOUBT] = {"E-DOUBT", ITEM_LOSS, ITEM_LIFE_DOUBT,
        "the message was sent, and whether it has arrived nobody can tell yet",
        "run it again when the target lists the folder; it is not sent twice"},
    [ITEM_VANISHED] = {"E-VANISHED", ITEM_LOSS, ITEM_LIFE_SENT,
        "the target has taken the message and does not have it",
        "retry sends it once more; accept it if it was removed there on purpose"},
    [ITEM_FOLDER] = {"E-FOLDER", ITEM_LOSS, ITEM_LIFE_PASS,
        "the folder cannot be opened, listed, made or changed",
        "see what the server says; the next run tries it again"},
    [ITEM_NAME] = {"E-NAME", ITEM_LOSS, ITEM_LIFE_PASS,
        "folders whose names are too long or too deep are left out",
        "rename them on the source, or accept it"},
    [ITEM_SHORT] = {"E-SHORT", ITEM_LOSS, ITEM_LIFE_PASS,
        "the source lists fewer messages of the folder than it counts",
        "repair the mailbox on the source; the next run looks again"},
    [ITEM_LEFT_OUT] = {"E-LEFT-OUT", ITEM_CHANGED, ITEM_LIFE_PASS,
        "the folder is left out: it has no mail (calendar, contacts), or a rule says so",
        "--include takes it along; else accept it"},
    [ITEM_LATE_UNKNOWN] = {"E-LATE-UNKNOWN", ITEM_LOSS, ITEM_LIFE_ACCEPTED,
        "journal and marks were lost: whether these messages came late nobody knows",
        "compare the folder by hand, then accept it"},
    [ITEM_MISSING] = {"E-MISSING", ITEM_LOSS, ITEM_LIFE_PASS,
        "a comparison does not find the message on the target",
        "run it again; another item says why a message was not carried over"},
    [ITEM_DIFFERENT] = {"E-DIFFERENT", ITEM_LOSS, ITEM_LIFE_COMPARED,
        "a comparison finds other content on the target",
        "look at both; accept it if the target's is good"},
    [ITEM_HELD_BACK] = {"E-WITHHELD", ITEM_WITHHELD, ITEM_LIFE_PASS,
        "deletions, moves or copies were not carried out: too odd, or the target refuses",
        "--delete-percent=100 carries deletions out, 0 keeps the messages; retry, or accept it"},
    [ITEM_FILTERED] = {"E-FILTERED", ITEM_WITHHELD, ITEM_LIFE_PASS,
        "messages of the folder are not copied because of a filter",
        "run it without the filter, which copies them; or accept it"},
    [ITEM_UNREAD] = {"E-UNREAD", ITEM_WITHHELD, ITEM_LIFE_PASS,
        "contents could not be read, so that what was moved is not known", "run it again"},
    [ITEM_FLAG] = {"E-FLAG", ITEM_CHANGED, ITEM_LIFE_COPY,
        "messages are on the target without flags or keywords that it refuses, or drops",
        "set them there by hand, or accept it"},
    [ITEM_KEYWORD] = {"E-KEYWORD", ITEM_CHANGED, ITEM_LIFE_FOLDER,
        "the folder has flags or keywords that the target does not keep, or nobody can carry",
        "allow keywords on the target, or accept it"},
    [ITEM_ACL] = {"E-ACL", ITEM_CHANGED, ITEM_LIFE_PASS,
        "rights of others on the folder could not be given on the target",
        "give them there by hand, or add a line to the file of --acl; or accept it"},
    [ITEM_METADATA] = {"E-METADATA", ITEM_CHANGED, ITEM_LIFE_FOLDER,
        "annotations of the folder (METADATA) could not be set on the target, or differ there",
        "set them there by hand, or use --no-metadata; or accept it"},
    [ITEM_DATE] = {"E-DATE", ITEM_CHANGED, ITEM_LIFE_COPY,
        "the message has another date of arrival on the target, or that of its header",
        "accept it; no IMAP server changes the date of a message that it has"},
    [ITEM_SUBSCRIBE] = {"E-SUBSCRIBE", ITEM_CHANGED, ITEM_LIFE_PASS,
        "the folder could not be subscribed to on the target",
        "subscribe to it there, or use --no-subscriptions"},
    [ITEM_EMPTY] = {"E-EMPTY", ITEM_WITHHELD, ITEM_LIFE_LOOK,
        "the source has no message, no INBOX, or much less than its quota says",
        "see whether it is the right mailbox, and whether all of it is shown; accept it if so"},
    [ITEM_QUOTA] = {"E-QUOTA", ITEM_WITHHELD, ITEM_LIFE_LOOK,
        "the target's quota has no room for what is to be sent, and nothing was sent",
        "raise the quota; accepted, the copy goes as far as it can"},
};

_Static_assert(ITEM_CODES <= 32, "a set of codes has a bit for each");

const struct item_row *item_row(enum item_code code)
{
    BUG_ON(code <= ITEM_NONE || code >= ITEM_CODES);
    return &rows[code];
}

enum item_code item_code_named(struct slice name)
{
    for (enum item_code c = ITEM_NONE + 1; c < ITEM_CODES; c++) {
        if (slice_eq(name, slice_str(rows[c].name)))
            return c;
    }
    return ITEM_NONE;
}

int item_codes_named(const char *const *names, uint32_t *out, struct err *err)
{
    *out = 0;
    for (size_t i = 0; names[i]; i++) {
        enum item_code code = item_code_named(slice_str(names[i]));
        if (code == ITEM_NONE)
            return err_set(err, ERR_PERM, EX_USAGE, "%s: there is no such code", names[i]);
        *out |= UINT32_C(1) << code;
    }
    return 0;
}

const char *item_class_name(enum item_class class)
{
    static const char *const names[ITEM_CLASSES] = {"loss", "withheld", "changed"};
    return names[class];
}

const char *item_state_name(enum item_state state)
{
    static const char *const names[] = {
        [ITEM_OPEN] = "open",
        [ITEM_RETRIED] = "retried",
        [ITEM_ACCEPTED] = "accepted",
        [ITEM_GONE] = "gone",
    };
    return names[state];
}

int64_t item_due_ms(int64_t now_ms, uint32_t tries)
{
    int64_t wait = ITEM_WAIT_MS;
    for (uint32_t i = 1; i < tries && wait < ITEM_WAIT_MAX_MS; i++)
        wait *= 2;
    return now_ms + (wait < ITEM_WAIT_MAX_MS ? wait : ITEM_WAIT_MAX_MS);
}

void item_tell(struct item *io, const struct item *told, int64_t now_ms)
{
    struct item was = *io;
    bool is_known = was.code != ITEM_NONE && was.state != ITEM_GONE &&
                    (was.uidvalidity == told->uidvalidity || told->uid == 0);
    *io = *told;
    io->state = ITEM_OPEN;
    io->since_ms = io->seen_ms = now_ms;
    io->tries = 1;
    if (is_known) {
        io->since_ms = was.since_ms;
        io->tries = was.tries < UINT32_MAX ? was.tries + 1 : was.tries;
    }
    if (is_known && was.state == ITEM_ACCEPTED && told->n <= was.n) {
        io->state = ITEM_ACCEPTED;
        io->n = was.n;
        io->by = was.by;
        io->why = was.why;
        io->by_ms = was.by_ms;
    }
    io->due_ms = item_due_ms(now_ms, io->tries);
}
