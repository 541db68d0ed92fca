/* SPDX-License-Identifier: ISC */
/*
 * imap_account: one mailbox on one server, with what it takes to sign in there, as a place to
 * connect to.
 */
#ifndef IMAPSYNC_ENDS_IMAP_ACCOUNT_H
#define IMAPSYNC_ENDS_IMAP_ACCOUNT_H

#include "base/core/conf.h"
#include "imapsync/ends/imap_end.h"

struct imap_account {
    struct imap_place place;
    struct imap_avoided avoided;
    struct imap_manner manner;
    struct imap_end_maker end; /* once it is finished */
    struct net_endpoint endpoint;
    struct conf_server policy; /* for the TLS context; owns nothing */
    char *user, *admin, *auth, *tls_name;
    char *separator; /* NULL, or what stands between user and admin in the name that signs in */
    char *login;     /* then that name */
    struct buf password;
};

/* The mailbox of `user` on a server of the configuration, by its administrative login. */
int imap_account_from_conf(const struct conf_server *server, const char *label, const char *user,
    uint64_t timeout_ms, struct imap_account *out, struct err *err) ATTR_WUR;
/* Behind imap_account_finish(): counts what there may be of this mailbox in a day in that file. */
void imap_account_count(struct imap_account *a, const char *path);
/* How long so much takes by what is known of the server before anybody has connected, the octets of
 * the day that are used already included.  false: nothing is. */
bool imap_account_forecast(
    const struct imap_account *a, struct profile_work *w, struct profile_forecast *out);
/* A server of the configuration has refused to sign us in, and is not tried again for a while. */
bool imap_account_waits(const char *server);
void imap_account_try_again(void);              /* all of them, at once */
void imap_account_fini(struct imap_account *a); /* wipes the password */
/* Whether both are the same mailbox, however the server is written: copying one into itself doubles
 * what is new with every pass.  Looks names up; one that is unknown is not the same as another. */
bool imap_account_is_same(const struct imap_account *a, const struct imap_account *b);

/* The mailbox of whoever signs in for others, by his own name alone; and the same by a password
 * that he does not have. */
struct imap_own {
    struct imap_place place, wrong_place;
    struct imap_end_maker end, wrong;
};
/* false: nobody signs in for others, or he says both names in one, which no server can ignore. */
bool imap_account_own(const struct imap_account *a, struct imap_own *out);
void imap_own_fini(struct imap_own *o); /* before the account; a zeroed one is fine */

/* What a way of signing in (NULL: any) wants to be given. */
enum mech_secret imap_account_secret(const char *auth);

/* For those who fill one themselves. Needs endpoint and policy.tls; wants_tls: on loopback too. */
int imap_account_secure(
    struct imap_account *a, const char *label, bool wants_tls, struct err *err) ATTR_WUR;
/* All of it is there: sets the place, and the maker. */
int imap_account_finish(struct imap_account *a, uint64_t timeout_ms, struct err *err) ATTR_WUR;

#endif
