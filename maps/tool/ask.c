/* SPDX-License-Identifier: ISC */
/*
 * ask: see ask.h.  A transaction has ASK_RCPTS_MAX addresses, then RSET: servers count them, and
 * say 452 to more.  "No such user" is 550, 551 or 553 and nothing that is about us or a policy.
 */
#include "maps/tool/ask.h"

#include <string.h>
#include <sysexits.h>
#include "base/mail/smtp_conn.h"
#include "base/os/daemon.h"
#include "base/os/loop.h"
#include "base/os/sock.h"
#include "base/os/tls.h"

#define ASK_RCPTS_MAX 20
#define ADDRS_MAX 8

struct ask {
    const struct conf *conf;
    const struct conf_server *server;
    struct loop *loop;
    struct tls_ctx *tls;
    struct smtp_conn *conn;
    struct loop_timer *pace;
    uint64_t pause_ms;
    struct arrivals *all;
    size_t at;       /* who is asked for, or will be */
    size_t n_rcpts;  /* of this transaction */
    bool is_retried; /* the address was asked for in a transaction of its own */
    bool is_done;
    struct err err;
};

static void stop(struct ask *a)
{
    a->is_done = true;
    loop_stop(a->loop);
}

static void fail(struct ask *a, const char *what, const struct smtp_reply *reply)
{
    char text[SMTP_REPLY_CLEAN_MAX];
    smtp_reply_clean(reply->text, text);
    err_set(
        &a->err, ERR_TEMP, EX_TEMPFAIL, "%s: %s: %d %s", a->server->name, what, reply->code, text);
    stop(a);
}

static void next(struct ask *a)
{
    while (a->at < a->all->n && a->all->v[a->at].known != MAIL_LOG_UNKNOWN)
        a->at++;
    if (a->at == a->all->n) {
        if (smtp_client_quit(smtp_conn_client(a->conn)) != 0)
            stop(a);
        smtp_conn_flush(a->conn);
        return;
    }
    loop_timer_start(a->pace, a->pause_ms);
}

static void on_pace(void *arg)
{
    struct ask *a = arg;
    struct smtp_client *client = smtp_conn_client(a->conn);
    int rc = 0;

    if (a->n_rcpts == ASK_RCPTS_MAX) {
        a->n_rcpts = 0;
        rc = smtp_client_rset(client);
    } else if (smtp_client_rcpt(client, slice_str(a->all->v[a->at].key)) != 0) {
        a->at++; /* it cannot be said */
        next(a);
        return;
    }
    if (rc != 0)
        stop(a);
    smtp_conn_flush(a->conn);
}

static void begin(struct ask *a)
{
    if (smtp_client_mail(smtp_conn_client(a->conn), SLICE_LIT(""), 0, false) != 0)
        stop(a);
    smtp_conn_flush(a->conn);
}

static void judge(struct ask *a, const struct smtp_reply *r)
{
    enum mail_log_known *known = &a->all->v[a->at].known;
    bool is_policy = r->enhanced[0] && strncmp(r->enhanced, "5.1.", 4) != 0 &&
                     strncmp(r->enhanced, "5.2.", 4) != 0 && strncmp(r->enhanced, "5.0.", 4) != 0;

    a->n_rcpts++;
    if (r->code / 100 == 4 && !a->is_retried && a->n_rcpts > 1) { /* too many, perhaps */
        a->is_retried = true;
        a->n_rcpts = ASK_RCPTS_MAX;
        loop_timer_start(a->pace, a->pause_ms);
        return;
    }
    if (r->code / 100 == 2)
        *known = MAIL_LOG_TAKEN;
    else if ((r->code == 550 || r->code == 551 || r->code == 553) && !is_policy)
        *known = MAIL_LOG_REFUSED;
    a->is_retried = false;
    a->at++;
    next(a);
}

static void on_event(void *arg, const struct smtp_client_event *ev)
{
    struct ask *a = arg;

    switch (ev->kind) {
    case SMTP_CLIENT_READY:
    case SMTP_CLIENT_RSET_REPLY:
        begin(a);
        break;
    case SMTP_CLIENT_MAIL_REPLY:
        if (ev->reply->code / 100 == 2)
            next(a);
        else
            fail(a, "MAIL FROM:<>", ev->reply);
        break;
    case SMTP_CLIENT_RCPT_REPLY:
        judge(a, ev->reply);
        break;
    case SMTP_CLIENT_QUIT_REPLY:
        stop(a);
        break;
    case SMTP_CLIENT_FAILED:
        if (!a->is_done && a->at < a->all->n)
            a->err = *ev->err;
        stop(a);
        break;
    case SMTP_CLIENT_MORE:
    case SMTP_CLIENT_STARTTLS:
    case SMTP_CLIENT_DATA_REPLY:
    case SMTP_CLIENT_DOT_REPLY:
        break;
    }
}

static const struct smtp_conn_events EVENTS = {.event = on_event};

static int connect_one(struct ask *a, struct err *err)
{
    const struct conf_server *server = a->server;
    const struct conf_relay *relay = &a->conf->relay;
    struct net_addr addrs[ADDRS_MAX];
    size_t n;

    if (server->tls != CONF_TLS_NONE && tls_ctx_client(server, &a->tls, err) != 0)
        return -1;
    if (sock_resolve(server->smtp.host, addrs, ADDRS_MAX, &n, err) != 0)
        return err_wrap(err, "server %s", server->name);
    struct smtp_conn_setup setup = {.name = server->name,
        .where = &server->smtp,
        .policy = server->tls,
        .tls = a->tls,
        .tls_name = server->tls_name,
        .hello_name = relay->hostname,
        .never_pipelines = true,
        .connect_timeout_ms = relay->connect_timeout_ms,
        .reply_timeout_ms = relay->reply_timeout_ms,
        .dot_timeout_ms = relay->dot_timeout_ms};
    for (size_t i = 0; i < n && !a->conn; i++) {
        setup.addr = addrs[i];
        a->conn = smtp_conn_new(a->loop, &setup, &EVENTS, a, err);
    }
    return a->conn ? 0 : -1;
}

int ask_server(const struct conf *conf, const struct conf_server *server, uint64_t rate,
    struct arrivals *all, struct err *err)
{
    struct ask a = {.conf = conf, .server = server, .all = all, .pause_ms = 1000 / rate};
    int rc = -1;

    daemon_setup();
    a.loop = loop_new();
    a.pace = loop_timer_new(a.loop, on_pace, &a);
    if (connect_one(&a, err) == 0) {
        loop_run(a.loop);
        if (a.err.class == ERR_NONE)
            rc = 0;
        else
            *err = a.err;
    }
    smtp_conn_free(&a.conn);
    loop_timer_free(&a.pace);
    loop_free(&a.loop);
    tls_ctx_free(&a.tls);
    return rc;
}
