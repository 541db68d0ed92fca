/* SPDX-License-Identifier: ISC */
/* places: see places.h.  What cannot be written later only makes a restore ask once more. */
#include "imapsync/move/places.h"

#include "base/core/log.h"
#include "maps/moved.h"

static int note(const struct move_job *j, const char *server, const char *by, struct err *err)
{
    const struct moved m = {slice_str(j->r.user), slice_str(server), slice_str(by)};
    return moved_note(j->conf->state, &m, err);
}

static void note_if_possible(const struct move_job *j, const char *server)
{
    struct err err = ERR_INIT;
    if (note(j, server, MOVED_NOBODY, &err) != 0)
        log_error("record", log_err(&err));
}

int places_flip(const struct move_job *j, struct err *err)
{
    char id[CLIENT_REQUEST_ID_MAX];
    authority_flip_id(&j->r, id);
    return note(j, j->r.to, id, err);
}

void places_no_flip(const struct move_job *j)
{
    /* On the way back the flip of the way there stands. */
    note_if_possible(j, j->r.is_return ? j->r.from : MOVED_NOBODY);
}

void places_changed_by_hand(const struct move_job *j)
{
    note_if_possible(j, MOVED_NOBODY);
}

int places_retired(const struct move_job *j, struct err *err)
{
    return note(j, j->r.to, MOVED_NOBODY, err);
}
