/* SPDX-License-Identifier: ISC */
/*
 * smtp_conn: one connection to an SMTP or LMTP server: the smtp_client engine on a stream, with a
 * TLS policy and deadlines.  It knows the wire, the engine the protocol,
 * and the owner what it wants to say.
 *
 *     conn = smtp_conn_new(loop, &setup, &events, arg, &err);
 *     ... event(READY) ... smtp_client_mail(smtp_conn_client(conn), ...); smtp_conn_flush(conn);
 *
 * After `event` with kind FAILED nothing follows; the owner frees the connection.  smtp_conn_free()
 * is allowed inside the callbacks.
 */
#ifndef BASE_MAIL_SMTP_CONN_H
#define BASE_MAIL_SMTP_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/net.h"
#include "base/mail/smtp_client.h"

struct loop;
struct tls_ctx;
struct smtp_conn;

struct smtp_conn_setup {
    const char *name;                 /* for the log; borrowed for life */
    const struct net_endpoint *where; /* so too */
    struct net_addr addr;             /* one address of it */
    enum conf_tls policy;
    struct tls_ctx *tls;    /* NULL when the policy is none; borrowed for life */
    const char *tls_name;   /* the name that is verified, NULL: the host of `where`; borrowed */
    const char *hello_name; /* borrowed for life */
    bool never_pipelines;   /* though it be offered */
    uint64_t connect_timeout_ms; /* connection, TLS, greeting and EHLO, all together */
    uint64_t reply_timeout_ms;   /* each reply, and each stretch of content that does not move */
    uint64_t dot_timeout_ms;     /* the answer to the dot; see also smtp_conn_content_ended() */
};

struct smtp_conn_events {
    void (*event)(void *arg, const struct smtp_client_event *ev);
    /* Everything written so far has left, after it had to wait.  May be NULL. */
    void (*drained)(void *arg);
};

/* `events` is borrowed for life. */
struct smtp_conn *smtp_conn_new(struct loop *loop, const struct smtp_conn_setup *setup,
    const struct smtp_conn_events *events, void *arg, struct err *err) ATTR_WUR;
/* Hands the connection to another owner: a pool. */
void smtp_conn_set_owner(struct smtp_conn *c, const struct smtp_conn_events *events, void *arg);
void smtp_conn_free(struct smtp_conn **c); /* closes at once */

struct smtp_client *smtp_conn_client(struct smtp_conn *c);
/* Writes what the engine has to say; a failure arrives by `event`, from the loop. */
void smtp_conn_flush(struct smtp_conn *c);
/* The owner's client has sent its dot and waits: from now on everything, the answer to DATA, the
 * tail of the content, and all answers to our dot, has to come within dot_timeout_ms together. */
void smtp_conn_content_ended(struct smtp_conn *c);
size_t smtp_conn_unsent(
    const struct smtp_conn *c); /* bytes given and not yet taken by the system */
/* Nothing has come in that the engine does not know.  What waits on a connection between two
 * transactions answers no command: it must not be there when the next command leaves. */
bool smtp_conn_is_quiet(const struct smtp_conn *c);
/* "TLSv1.3" or "" without TLS. */
const char *smtp_conn_tls_version(const struct smtp_conn *c);

#endif
