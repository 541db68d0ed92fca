/* SPDX-License-Identifier: ISC */
/* site: see site.h.  Everything is checked before anything of it is used. */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/mem.h"
#include "maps/trace_file.h"
#include "relay/site.h"

static int check(const struct conf *conf, struct err *err)
{
    bool has_target = false;

    for (size_t i = 0; i < conf->n_servers; i++) {
        has_target = has_target || conf->servers[i].smtp.host != NULL;
        if (!trace_is_server_name(slice_str(conf->servers[i].name)))
            return err_set(err, ERR_PERM, EX_CONFIG,
                "%s: server \"%s\": stamps take names of up to 64 letters, digits, '.', '_' and "
                "'-' only",
                conf->path, conf->servers[i].name);
    }
    if (!has_target)
        return err_set(err, ERR_PERM, EX_CONFIG,
            "%s: there is no server with an smtp address to deliver to", conf->path);
    if (conf->n_domains == 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: there is no domain", conf->path);
    if (conf->relay.listen.n == 0)
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: relay.listen names no address", conf->path);
    return 0;
}

static int load_keys(struct site *s, struct err *err)
{
    int rc = trace_keys_load(s->conf->relay.trace_key_file, &s->keys, err);
    return rc != 0 ? err_wrap(err, "relay.trace_key_file") : 0;
}

static bool is_same_text(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

static bool is_same_tls(const struct conf_server *a, const struct conf_server *b)
{
    return a->tls == b->tls && a->tls_level == b->tls_level &&
           is_same_text(a->tls_name, b->tls_name) && is_same_text(a->tls_min, b->tls_min) &&
           is_same_text(a->tls_ca_file, b->tls_ca_file) &&
           is_same_text(a->tls_fingerprint, b->tls_fingerprint) &&
           is_same_text(a->tls_pin_file, b->tls_pin_file) &&
           is_same_text(a->tls_cert_file, b->tls_cert_file) &&
           is_same_text(a->tls_key_file, b->tls_key_file);
}

static int make_tls(struct site *s, struct err *err)
{
    const struct conf *conf = s->conf;

    if (conf->relay.tls_cert_file != NULL &&
        tls_ctx_server(conf->relay.tls_cert_file, conf->relay.tls_key_file, &s->server_tls, err) !=
            0)
        return err_wrap(err, "STARTTLS of the relay");
    s->client_tls = mem_zalloc(conf->n_servers * sizeof(struct tls_ctx *));
    for (size_t i = 0; i < conf->n_servers; i++) {
        const struct conf_server *server = &conf->servers[i];

        if (server->smtp.host == NULL || server->tls == CONF_TLS_NONE)
            continue;
        for (size_t k = 0; k < i && s->client_tls[i] == NULL; k++)
            if (s->client_tls[k] != NULL && is_same_tls(server, &conf->servers[k]))
                s->client_tls[i] = s->client_tls[k];
        if (s->client_tls[i] == NULL && tls_ctx_client(server, &s->client_tls[i], err) != 0)
            return -1;
    }
    return 0;
}

static unsigned count_workers(const struct conf_relay *conf)
{
    long n = conf->workers > 0 ? (long)conf->workers : sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > CONF_WORKERS_MAX ? CONF_WORKERS_MAX : (unsigned)n;
}

int site_new_own(struct conf **conf, struct site **out, struct err *err)
{
    struct site *s = mem_zalloc(sizeof(*s));

    s->conf = *conf;
    *conf = NULL;
    s->workers = count_workers(&s->conf->relay);
    if (check(s->conf, err) != 0 || load_keys(s, err) != 0 || make_tls(s, err) != 0)
        site_free(&s);
    *out = s;
    return s != NULL ? 0 : -1;
}

void site_free(struct site **sp)
{
    struct site *s = *sp;

    *sp = NULL;
    if (s == NULL)
        return;
    for (size_t i = 0; s->client_tls != NULL && i < s->conf->n_servers; i++) {
        struct tls_ctx *ctx = s->client_tls[i];

        for (size_t k = i; ctx != NULL && k < s->conf->n_servers; k++)
            if (s->client_tls[k] == ctx)
                s->client_tls[k] = NULL;
        tls_ctx_free(&ctx);
    }
    free(s->client_tls);
    tls_ctx_free(&s->server_tls);
    trace_keys_free(&s->keys);
    conf_free(&s->conf);
    free(s);
}
