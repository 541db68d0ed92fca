/* SPDX-License-Identifier: ISC */
/*
 * introduce: ID (RFC 2971), without which NetEase's servers open no folder, ENABLE CONDSTORE, where
 * STATUS shows what HIGHESTMODSEQ there is, and ENABLE UTF8=ACCEPT (RFC 6855) for servers that talk
 * to nobody without it.  That one comes first: names are UTF-8 from its answer on.
 */
#include "imapsync/imap/introduce.h"

static void ignore(void *arg, const struct imap_response *r)
{
    (void)arg, (void)r;
}

static void say(struct imap_client *c, const char *command)
{
    imap_cmd_begin(c, ignore, NULL);
    imap_cmd_text(c, command);
    imap_cmd_end(c);
}

void imap_introduce(struct imap_client *c)
{
    if (imap_client_has(c, IMAP_CAP_UTF8_ONLY))
        say(c, "ENABLE UTF8=ACCEPT");
    if (imap_client_has(c, IMAP_CAP_ID))
        say(c, "ID (\"name\" \"coexist-sync\" \"vendor\" \"coexist\" \"version\" \"1\")");
    if (imap_client_has(c, IMAP_CAP_ENABLE | IMAP_CAP_CONDSTORE))
        say(c, "ENABLE CONDSTORE");
}
