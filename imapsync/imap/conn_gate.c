/* SPDX-License-Identifier: ISC */
/* conn_gate: see conn_gate.h.  Of the password there is a digest. */
#include "imapsync/imap/conn_gate.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/hmac.h"

struct refused_user {
    struct refused_user *next;
    char *user;
    uint64_t until_ms;
};

struct imap_gate {
    struct imap_gate *next;
    char *server;
    unsigned char digest[SHA256_SIZE];
    bool has_passed;   /* somebody, with this password */
    uint64_t until_ms; /* for everybody; 0: open */
    char *last;        /* who was refused last, and nobody has passed since; NULL: none */
    struct refused_user *users;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_gate *gates;
static const struct imap_gate_keeper *keeper;
static void *keeper_arg;

void imap_gates_keep(const struct imap_gate_keeper *k, void *arg)
{
    keeper = k;
    keeper_arg = arg;
}

static void open_locked(struct imap_gate *g)
{
    g->until_ms = 0;
    mem_free_string(&g->last);
    while (g->users) {
        struct refused_user *u = g->users;
        g->users = u->next;
        free(u->user);
        free(u);
    }
}

struct imap_gate *imap_gate_of(const char *server)
{
    pthread_mutex_lock(&mutex);
    struct imap_gate *g = gates;
    while (g && strcmp(g->server, server) != 0)
        g = g->next;
    if (!g) {
        g = mem_zalloc(sizeof(*g));
        g->server = mem_strdup(server);
        g->next = gates;
        gates = g;
    }
    pthread_mutex_unlock(&mutex);
    return g;
}

/* Those whose time is over are forgotten on the way. */
static struct refused_user *find_locked(struct imap_gate *g, const char *user, uint64_t now_ms)
{
    struct refused_user *found = NULL;
    for (struct refused_user **at = &g->users; *at;) {
        struct refused_user *u = *at;
        if (u->until_ms <= now_ms) {
            *at = u->next;
            free(u->user);
            free(u);
            continue;
        }
        if (strcmp(u->user, user) == 0)
            found = u;
        at = &u->next;
    }
    return found;
}

static int wait_for(uint64_t until_ms, uint64_t now_ms, const char *server, struct err *err)
{
    err_set(err, ERR_TEMP, EX_TEMPFAIL,
        "%s has refused name or password: the next try is in %llu seconds", server,
        (unsigned long long)((until_ms - now_ms + 999) / 1000));
    return err_scope_set(err, ERR_SCOPE_USER);
}

int imap_gate_enter(
    struct imap_gate *g, const char *user, struct slice secret, uint64_t now_ms, struct err *err)
{
    unsigned char digest[SHA256_SIZE];
    sha256_of(secret, digest);
    if (keeper)
        return keeper->enter(keeper_arg, g->server, user, digest, err);
    return imap_gate_enter_by(g, user, digest, now_ms, err);
}

int imap_gate_enter_by(struct imap_gate *g, const char *user,
    const unsigned char digest[SHA256_SIZE], uint64_t now_ms, struct err *err)
{
    int result = 0;
    pthread_mutex_lock(&mutex);
    if (!hmac_equal(digest, g->digest, SHA256_SIZE)) {
        open_locked(g);
        g->has_passed = false;
        memcpy(g->digest, digest, SHA256_SIZE);
    }
    const struct refused_user *u = find_locked(g, user, now_ms);
    if (g->until_ms > now_ms)
        result = wait_for(g->until_ms, now_ms, g->server, err);
    else if (u)
        result = wait_for(u->until_ms, now_ms, g->server, err);
    else if (g->until_ms > 0)
        g->until_ms = now_ms + IMAP_GATE_MS; /* this is the one try */
    pthread_mutex_unlock(&mutex);
    return result;
}

void imap_gate_passed(struct imap_gate *g)
{
    if (keeper) {
        keeper->passed(keeper_arg, g->server);
        return;
    }
    pthread_mutex_lock(&mutex);
    g->has_passed = true;
    g->until_ms = 0;
    mem_free_string(&g->last);
    pthread_mutex_unlock(&mutex);
}

void imap_gate_refused(
    struct imap_gate *g, const char *user, uint64_t now_ms, const struct err *why)
{
    if (keeper) {
        keeper->refused(keeper_arg, g->server, user, why);
        return;
    }
    pthread_mutex_lock(&mutex);
    bool is_for_all = !g->has_passed || (g->last && strcmp(g->last, user) != 0);
    struct refused_user *u = find_locked(g, user, now_ms);
    if (!u) {
        u = mem_zalloc(sizeof(*u));
        u->user = mem_strdup(user);
        u->next = g->users;
        g->users = u;
    }
    u->until_ms = now_ms + IMAP_GATE_MS;
    if (is_for_all)
        g->until_ms = now_ms + IMAP_GATE_MS;
    mem_free_string(&g->last);
    g->last = mem_strdup(user);
    pthread_mutex_unlock(&mutex);
    log_error("sign_in_refused", log_str("server", g->server), log_str("user", user), log_err(why),
        log_str("waits", is_for_all ? "everybody" : "user"),
        log_u64("retry_s", IMAP_GATE_MS / 1000));
}

bool imap_gate_is_closed(struct imap_gate *g, uint64_t now_ms)
{
    pthread_mutex_lock(&mutex);
    bool is_closed = g->until_ms > now_ms;
    pthread_mutex_unlock(&mutex);
    return is_closed;
}

void imap_gates_open(void)
{
    pthread_mutex_lock(&mutex);
    for (struct imap_gate *g = gates; g; g = g->next)
        open_locked(g);
    pthread_mutex_unlock(&mutex);
}
