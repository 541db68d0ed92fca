/* SPDX-License-Identifier: ISC */
/*
 * oauth: see oauth.h.
 *
 * Sources are in a list that only grows, since a thread that asks one may outlive whoever wanted
 * to know; there are as many as there are settings, or users where a command is told the user.  Who
 * asks while somebody is asking waits for that answer.
 */
#include "imapsync/ends/oauth.h"

#include <pthread.h>
#include <stdlib.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "imapsync/ends/oauth_file.h"
#include "imapsync/ends/secret.h"
#include "imapsync/imap/limits.h"

#define KEEP_MS (5 * 60 * 1000) /* a token of a command, which does not say how long it lasts */
#define COMMAND_TIMEOUT_MS 60000
#define KEY_MAX 65536

struct source {
    struct source *next;
    struct buf key;
    char **argv; /* NULL: a file */
    char *path;
    pthread_mutex_t mutex; /* for what follows */
    struct oauth_file file;
    struct buf token;
    uint64_t until_ms;
};

static pthread_mutex_t sources_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct source *sources;

/* --- Tokens ------------------------------------------------------------------------- */

static int from_command(struct source *s, struct err *err)
{
    s->until_ms = clock_mono_ms() + KEEP_MS;
    return secret_from_argv(s->argv, COMMAND_TIMEOUT_MS, &s->token, err);
}

static int from_file(struct source *s, struct err *err)
{
    uint64_t lasts_ms;
    if (oauth_file_token(&s->file, s->path, &s->token, &lasts_ms, err) != 0)
        return -1;
    /* The session that begins with it takes a while to begin. */
    uint64_t margin_ms = lasts_ms / 5 < KEEP_MS ? lasts_ms / 5 : KEEP_MS;
    s->until_ms = clock_mono_ms() + lasts_ms - margin_ms;
    return 0;
}

static int get_locked(struct source *s, struct slice used, struct buf *out, struct err *err)
{
    bool is_good =
        s->token.n > 0 && clock_mono_ms() < s->until_ms && !slice_eq(buf_slice(&s->token), used);
    if (!is_good) {
        buf_fini_wipe(&s->token);
        buf_init(&s->token, IMAP_ACCESS_TOKEN_MAX);
        if ((s->argv ? from_command(s, err) : from_file(s, err)) != 0) {
            buf_fini_wipe(&s->token);
            buf_init(&s->token, IMAP_ACCESS_TOKEN_MAX);
            return -1;
        }
    }
    if (buf_add(out, buf_slice(&s->token)) != 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "the access token is too long");
    return 0;
}

static int get(void *arg, struct slice used, struct buf *out, struct err *err)
{
    struct source *s = arg;
    pthread_mutex_lock(&s->mutex);
    int result = get_locked(s, used, out, err);
    pthread_mutex_unlock(&s->mutex);
    return result == 0 ? 0 : err_wrap(err, "no access token");
}

/* --- Sources ------------------------------------------------------------------------- */

/* Takes what is not NULL, or frees it. */
static struct imap_tokens source_own(struct buf *key, char **argv, char *path)
{
    pthread_mutex_lock(&sources_mutex);
    struct source *s = sources;
    while (s && !slice_eq(buf_slice(&s->key), buf_slice(key)))
        s = s->next;
    if (s) {
        buf_fini(key);
        for (size_t i = 0; argv && argv[i]; i++)
            free(argv[i]);
        free(argv);
        free(path);
    } else {
        s = mem_zalloc(sizeof(*s));
        *s = (struct source){.next = sources, .key = *key, .argv = argv, .path = path};
        pthread_mutex_init(&s->mutex, NULL);
        buf_init(&s->token, IMAP_ACCESS_TOKEN_MAX);
        sources = s;
    }
    pthread_mutex_unlock(&sources_mutex);
    return (struct imap_tokens){get, s};
}

static char *fill_in(const char *word, const char *user)
{
    struct buf out;
    struct slice rest = slice_str(word);
    buf_init(&out, KEY_MAX);
    for (ptrdiff_t at; (at = slice_search(rest, SLICE_LIT("%u"))) >= 0;) {
        BUG_ON(buf_add(&out, slice_sub(rest, 0, (size_t)at)) != 0 || buf_add_str(&out, user) != 0);
        rest = slice_from(rest, (size_t)at + 2);
    }
    BUG_ON(buf_add(&out, rest) != 0);
    return buf_steal_cstr(&out);
}

struct imap_tokens oauth_from_command(char *const *argv, const char *user)
{
    struct buf key;
    size_t n = 0;
    while (argv[n])
        n++;
    char **words = mem_zalloc((n + 1) * sizeof(*words));
    buf_init(&key, KEY_MAX);
    for (size_t i = 0; i < n; i++) {
        words[i] = fill_in(argv[i], user);
        BUG_ON(buf_add_str(&key, words[i]) != 0 || buf_add_byte(&key, '\0') != 0);
    }
    return source_own(&key, words, NULL);
}

struct imap_tokens oauth_from_file(const char *path)
{
    struct buf key;
    buf_init(&key, KEY_MAX);
    BUG_ON(buf_add_str(&key, path) != 0);
    return source_own(&key, NULL, mem_strdup(path));
}
