/* SPDX-License-Identifier: ISC */
/* conn_server: see conn_server.h.  Users are in threads of their own. */
#include "imapsync/imap/conn_server.h"

#include <pthread.h>
#include <string.h>

#include "base/core/mem.h"
#include "imapsync/imap/pace.h"

struct imap_server {
    struct imap_server *next;
    char *name;
    uint32_t most, n; /* connections */
    struct pace signins, commands, octets;
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct imap_server *servers;
static uint32_t n_sharing = 1;

struct imap_server *imap_server_of(const char *name)
{
    pthread_mutex_lock(&mutex);
    struct imap_server *s = servers;
    while (s && strcmp(s->name, name) != 0)
        s = s->next;
    if (!s) {
        s = mem_zalloc(sizeof(*s));
        s->name = mem_strdup(name);
        s->next = servers;
        servers = s;
    }
    pthread_mutex_unlock(&mutex);
    return s;
}

void imap_server_share(uint32_t n)
{
    n_sharing = n > 0 ? n : 1;
}

/* Of what has a limit something is left for each. */
static uint64_t share(uint64_t n)
{
    return n == 0 || n >= n_sharing ? n / n_sharing : 1;
}

void imap_server_set(struct imap_server *s, const struct imap_rates *rates)
{
    pthread_mutex_lock(&mutex);
    s->most = (uint32_t)share(rates->connections);
    pace_set(&s->signins, share(rates->signins));
    pace_set(&s->commands, share(rates->commands));
    pace_set(&s->octets, share(rates->octets));
    pthread_mutex_unlock(&mutex);
}

uint64_t imap_server_enter(struct imap_server *s, uint64_t now_ms)
{
    uint64_t ms = IMAP_PLACE_LOOK_MS;
    pthread_mutex_lock(&mutex);
    if (s->most == 0 || s->n < s->most) {
        ms = pace_wait_ms(&s->signins, now_ms, 1);
        if (ms == 0) {
            pace_take(&s->signins, 1);
            s->n++;
        }
    }
    pthread_mutex_unlock(&mutex);
    return ms;
}

void imap_server_leave(struct imap_server *s)
{
    pthread_mutex_lock(&mutex);
    s->n--;
    pthread_mutex_unlock(&mutex);
}

uint64_t imap_server_commands(struct imap_server *s, uint64_t now_ms)
{
    pthread_mutex_lock(&mutex);
    uint64_t n = pace_room(&s->commands, now_ms, 1);
    if (n != UINT64_MAX) {
        n = n < IMAP_COMMANDS_STEP ? n : IMAP_COMMANDS_STEP;
        pace_take(&s->commands, n);
    }
    pthread_mutex_unlock(&mutex);
    return n;
}

uint64_t imap_server_commands_ms(struct imap_server *s, uint64_t now_ms)
{
    pthread_mutex_lock(&mutex);
    uint64_t ms = pace_wait_ms(&s->commands, now_ms, 1);
    pthread_mutex_unlock(&mutex);
    return ms;
}

/* Nobody waits long for the end of a small answer. */
static uint64_t least(const struct imap_server *s)
{
    uint64_t n = s->octets.rate / 8 + 1;
    return n < IMAP_ROOM_LEAST ? n : IMAP_ROOM_LEAST;
}

uint64_t imap_server_room(struct imap_server *s, uint64_t now_ms)
{
    pthread_mutex_lock(&mutex);
    uint64_t n = pace_room(&s->octets, now_ms, least(s));
    pthread_mutex_unlock(&mutex);
    return n;
}

void imap_server_moved(struct imap_server *s, uint64_t octets)
{
    pthread_mutex_lock(&mutex);
    pace_take(&s->octets, octets);
    pthread_mutex_unlock(&mutex);
}

uint64_t imap_server_room_ms(struct imap_server *s, uint64_t now_ms)
{
    pthread_mutex_lock(&mutex);
    uint64_t ms = pace_wait_ms(&s->octets, now_ms, least(s));
    pthread_mutex_unlock(&mutex);
    return ms;
}
