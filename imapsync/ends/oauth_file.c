/* SPDX-License-Identifier: ISC */
/*
 * oauth_file: see oauth_file.h; RFC 6749 4.4, 5 and 6.
 *
 * An endpoint that gives a new refresh token may refuse the old one from then on (RFC 6749 6): the
 * new one is on the disk before the access token is used.  Processes that share a file take turns
 * by a lock beside it, where one can be made.
 *
 * Known weakness: what jansson has read is not wiped.
 */
#include "imapsync/ends/oauth_file.h"

#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/os/https.h"
#include "base/os/io.h"
#include "imapsync/imap/fault.h"

#define FILE_MAX 65536
#define ANSWER_MAX 65536
#define POST_TIMEOUT_MS 30000
#define LOCK_TIMEOUT_MS 45000
#define LOCK_POLL_MS 50
#define LASTS_S 3600 /* of a token that does not say; RFC 6749 5.1 leaves it open */
#define LASTS_MAX_S (30 * 86400)
#define SHOWN_MAX 120

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text && text[0] ? text : NULL;
}

static int read_object(const char *path, json_t **out, struct err *err)
{
    struct buf text;
    json_error_t why;
    buf_init(&text, FILE_MAX);
    int result = io_read_secret(path, FILE_MAX, &text, err);
    if (result == 0) {
        *out = json_loadb((const char *)buf_slice(&text).p, text.n, JSON_REJECT_DUPLICATES, &why);
        if (!json_is_object(*out))
            result =
                err_set(err, ERR_PERM, EX_CONFIG, "%s: no JSON object (line %d)", path, why.line);
        else if (!text_of(*out, "token_uri") || !text_of(*out, "client_id"))
            result =
                err_set(err, ERR_PERM, EX_CONFIG, "%s: token_uri or client_id is missing", path);
    }
    buf_fini_wipe(&text);
    return result;
}

/* The endpoint's error codes are words of the protocol; its own words may repeat a secret. */
static int refused(const json_t *answer, long status, const char *url, struct err *err)
{
    char shown[SHOWN_MAX] = "no reason given";
    const char *code = text_of(answer, "error");
    if (code)
        imap_fault_text(slice_str(code), shown, sizeof(shown));
    if (status >= 500 || status == 429 || status == 408)
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: status %ld: %s", url, status, shown);
    return err_set(err, ERR_PERM, EX_NOPERM, "%s refuses: status %ld: %s", url, status, shown);
}

static void keep_refresh_token(
    struct oauth_file *f, const char *path, json_t *object, const char *fresh)
{
    struct err why = ERR_INIT;
    const char *before = text_of(object, "refresh_token");
    if (!fresh || (before && strcmp(before, fresh) == 0 && !f->refresh_token))
        return;
    mem_free_string(&f->refresh_token);
    json_object_set_new(object, "refresh_token", json_string(fresh));
    char *text = json_dumps(object, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    BUG_ON(!text);
    if (io_write_file_durable(path, slice_str(text), 0600, &why) != 0) {
        log_error("token_file", log_str("file", path), log_err(&why),
            log_str("text", "the refresh token was replaced and cannot be kept: after the end of "
                            "this process the file is of no use any more"));
        f->refresh_token = mem_strdup(fresh);
    }
    explicit_bzero(text, strlen(text));
    free(text);
}

static int take(struct oauth_file *f, const char *path, json_t *object, const json_t *answer,
    struct buf *token_out, uint64_t *lasts_ms_out, struct err *err)
{
    const char *token = text_of(answer, "access_token");
    json_int_t lasts_s = json_integer_value(json_object_get(answer, "expires_in"));
    if (!token || buf_add_str(token_out, token) != 0)
        return err_set(err, ERR_PERM, EX_PROTOCOL, "%s: the answer has no access token",
            text_of(object, "token_uri"));
    if (lasts_s <= 0)
        lasts_s = LASTS_S;
    *lasts_ms_out = 1000 * (uint64_t)(lasts_s < LASTS_MAX_S ? lasts_s : LASTS_MAX_S);
    keep_refresh_token(f, path, object, text_of(answer, "refresh_token"));
    return 0;
}

static int ask(struct oauth_file *f, const char *path, json_t *object, struct buf *token_out,
    uint64_t *lasts_ms_out, struct err *err)
{
    const char *refresh = f->refresh_token ? f->refresh_token : text_of(object, "refresh_token");
    const struct https_field fields[] = {
        {"grant_type", refresh ? "refresh_token" : "client_credentials"},
        {"refresh_token", refresh},
        {"client_id", text_of(object, "client_id")},
        {"client_secret", text_of(object, "client_secret")},
        {"scope", text_of(object, "scope")},
    };
    const struct https_form form = {.url = text_of(object, "token_uri"),
        .ca_file = text_of(object, "ca_file"),
        .timeout_ms = POST_TIMEOUT_MS,
        .fields = fields,
        .n_fields = sizeof(fields) / sizeof(fields[0])};
    struct buf text;
    long status = 0;
    json_t *answer = NULL;
    buf_init(&text, ANSWER_MAX);
    int result = https_post(&form, &text, &status, err);
    if (result == 0) {
        answer = json_loadb((const char *)buf_slice(&text).p, text.n, 0, NULL);
        result = status == 200 ? take(f, path, object, answer, token_out, lasts_ms_out, err)
                               : refused(answer, status, form.url, err);
    }
    json_decref(answer);
    buf_fini_wipe(&text);
    return result;
}

/* -1: nobody can lock there; that is no reason not to go on. */
static int lock(const char *path)
{
    struct buf name;
    struct err why = ERR_INIT;
    uint64_t until_ms = clock_mono_ms() + LOCK_TIMEOUT_MS;
    int fd = -1;
    buf_init(&name, FILE_MAX);
    BUG_ON(buf_addf(&name, "%s.lock", path) != 0);
    while (io_lock_file(buf_cstr(&name), &fd, &why) != 0 && why.code == EX_TEMPFAIL &&
           clock_mono_ms() < until_ms) {
        err_clear(&why);
        poll(NULL, 0, LOCK_POLL_MS);
    }
    buf_fini(&name);
    return fd;
}

int oauth_file_token(struct oauth_file *f, const char *path, struct buf *token_out,
    uint64_t *lasts_ms_out, struct err *err)
{
    json_t *object = NULL;
    int fd = lock(path);
    int result = read_object(path, &object, err);
    if (result == 0)
        result = ask(f, path, object, token_out, lasts_ms_out, err);
    json_decref(object);
    io_close(&fd);
    return result;
}
