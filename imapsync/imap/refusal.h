/* SPDX-License-Identifier: ISC */
/*
 * refusal: whether a NO to signing in means "not with this name and password" or "not now".  Who
 * mistakes the second for the first cries for new passwords; who mistakes the first for the second
 * tries until the account is locked.
 */
#ifndef IMAPSYNC_IMAP_REFUSAL_H
#define IMAPSYNC_IMAP_REFUSAL_H

#include "imapsync/imap/response.h"

enum refusal {
    REFUSAL_REAL,  /* name or password are wrong */
    REFUSAL_LATER, /* the server has no room, or no time */
    REFUSAL_OTHER, /* the code says what */
};

/* is_behind_bye: the server had said BYE before. */
enum refusal refusal_judge(enum imap_code_kind code, const char *text, bool is_behind_bye);

#endif
