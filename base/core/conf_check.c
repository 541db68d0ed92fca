/* SPDX-License-Identifier: ISC */
/*
 * conf_check: what several settings mean together, and what follows from what is not given.
 */
#include <string.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/conf_parts.h"
#include "base/core/mem.h"

#define SERVER_NAME_MAX 32

/* --- Servers ------------------------------------------------------------------------------ */

bool conf_is_server_name(struct slice name)
{
    for (size_t i = 0; i < name.n; i++)
        if (!ascii_is_alpha(name.p[i]) && !ascii_is_digit(name.p[i]) && name.p[i] != '-' &&
            name.p[i] != '_')
            return false;
    return name.n > 0 && name.n <= SERVER_NAME_MAX && !slice_eq_nocase(name, SLICE_LIT("reject"));
}

int conf_first_mail_server(const struct conf *c)
{
    for (size_t i = 0; i < c->n_servers; i++)
        if (conf_server_takes_mail(&c->servers[i]))
            return (int)i;
    return CONF_SERVER_NONE;
}

int conf_set_server_ref(struct conf_loader *l, struct cfg_t *section, const struct schema_key *key,
    const char *name, void *field)
{
    int index = conf_server_index(l->conf, slice_str(name));
    char what[160];

    for (size_t i = 0; key->choices != NULL && key->choices[i] != NULL; i++)
        if (slice_eq_nocase(slice_str(name), slice_str(key->choices[i]))) {
            *(int *)field = CONF_SERVER_NONE;
            return 0;
        }
    if (index == CONF_SERVER_NONE) {
        if (fmt_into(what, sizeof(what), "there is no server \"%.64s\"%s", name,
                key->choices != NULL ? " (a server's name or reject is allowed)" : "") != 0)
            BUG("the message fits");
        return conf_refuse_key(l, section, key->name, what);
    }
    if (!conf_server_takes_mail(&l->conf->servers[index])) {
        if (fmt_into(what, sizeof(what), "server \"%.64s\" has no smtp, so no mail can go there",
                name) != 0)
            BUG("the message fits");
        return conf_refuse_key(l, section, key->name, what);
    }
    *(int *)field = index;
    return 0;
}

static bool is_loopback(const struct net_endpoint *e)
{
    struct net_addr addr;

    if (e->host == NULL || slice_eq_nocase(slice_str(e->host), SLICE_LIT("localhost")))
        return true;
    return net_addr_parse(slice_str(e->host), &addr) == 0 && net_addr_is_loopback(&addr);
}

static bool is_word(const char *text, const char *word)
{
    return text != NULL && strcmp(text, word) == 0;
}

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words != NULL && !is_word(text, *words))
        words++;
    return *words != NULL;
}

/* One of: a name with a password, access tokens, a Kerberos ticket. */
static int check_sign_in(struct conf_loader *l, struct cfg_t *section, const struct conf_server *s)
{
    static const char *const of_tokens[] = {"oauthbearer", "xoauth2", NULL};
    static const char *const of_one_name[] = {"login", "sasl-login", "cram-md5", NULL};
    bool has_command = s->imap_token_command.n > 0, has_ticket = is_word(s->imap_auth, "gssapi");
    bool has_token = has_command || s->imap_token_file != NULL;

    if (has_command && s->imap_token_file != NULL)
        return conf_refuse_key(
            l, section, "imap_token_file", "contradicts imap_token_command: one of them");
    if (has_command && s->imap_token_command.v[0][0] != '/')
        return conf_refuse_key(
            l, section, "imap_token_command", "begins with the whole path of a program");
    if (is_one_of(s->imap_auth, of_tokens) != has_token && (s->imap_auth != NULL || !has_token))
        return conf_refuse_key(l, section, "imap_auth",
            has_token ? "wants no access token, and there is imap_token_command or imap_token_file"
                      : "wants imap_token_command or imap_token_file");
    if (has_ticket && s->imap_password_file != NULL)
        return conf_refuse_key(
            l, section, "imap_password_file", "has no effect with imap_auth = gssapi");
    if (has_token && (s->imap_user != NULL || s->imap_password_file != NULL))
        return conf_refuse_key(l, section, s->imap_user ? "imap_user" : "imap_password_file",
            "has no effect beside an access token, which is whose it is");
    if (!has_ticket && (s->imap_user == NULL) != (s->imap_password_file == NULL))
        return conf_refuse_key(l, section, s->imap_user ? "imap_password_file" : "imap_user",
            "is missing (imap_user and imap_password_file go together)");
    if (s->imap_user_separator != NULL && (s->imap_user == NULL || has_ticket))
        return conf_refuse_key(
            l, section, "imap_user_separator", "has no effect without imap_user and a password");
    if (is_one_of(s->imap_auth, of_one_name) && s->imap_user_separator == NULL)
        return conf_refuse_key(l, section, "imap_auth",
            "cannot act for another user; imap_user_separator can put both into one name");
    return 0;
}

int conf_check_server(struct conf_loader *l, struct cfg_t *section, struct conf_server *s)
{
    bool wants_tls = s->smtp.scheme == NET_SCHEME_SMTPS || s->imap.scheme == NET_SCHEME_IMAPS;

    if (!conf_is_given(section, "tls") && is_loopback(&s->smtp) && is_loopback(&s->imap) &&
        (s->smtp.host != NULL || s->imap.host != NULL))
        s->tls = CONF_TLS_MAY;
    if (s->tls == CONF_TLS_NONE && wants_tls)
        return conf_refuse_key(
            l, section, "tls", "none contradicts an smtps:// or imaps:// endpoint");
    if (s->tls == CONF_TLS_FINGERPRINT && s->tls_fingerprint == NULL)
        return conf_refuse_key(
            l, section, "fingerprint", "is missing (tls = fingerprint wants it)");
    if (s->tls != CONF_TLS_FINGERPRINT && s->tls_fingerprint != NULL)
        return conf_refuse_key(
            l, section, "fingerprint", "has no effect without tls = fingerprint");
    if ((s->tls == CONF_TLS_PIN) != (s->tls_pin_file != NULL))
        return conf_refuse_key(l, section, "pin_file",
            s->tls == CONF_TLS_PIN ? "is missing (tls = pin wants it)"
                                   : "has no effect without tls = pin");
    if ((s->tls_cert_file == NULL) != (s->tls_key_file == NULL))
        return conf_refuse_key(l, section, s->tls_cert_file ? "tls_key_file" : "tls_cert_file",
            "is missing (certificate and key go together)");
    if (s->tls != CONF_TLS_VERIFY && s->tls_ca_file != NULL)
        return conf_refuse_key(l, section, "ca_file", "has no effect without tls = verify");
    return check_sign_in(l, section, s);
}

static bool is_same_range(const struct net_range *a, const struct net_range *b)
{
    return a->bits == b->bits && net_addr_eq(&a->addr, &b->addr);
}

int conf_check_from(struct conf_loader *l, struct cfg_t *section, size_t self)
{
    const struct conf_ranges *mine = &l->conf->servers[self].from;

    for (size_t other = 0; other < self; other++) {
        const struct conf_ranges *theirs = &l->conf->servers[other].from;

        for (size_t i = 0; i < mine->n; i++)
            for (size_t j = 0; j < theirs->n; j++)
                if (is_same_range(&mine->v[i], &theirs->v[j]))
                    return conf_refuse_key(
                        l, section, "from", "an address belongs to another server already");
    }
    return 0;
}

/* --- Domains -------------------------------------------------------------------------------- */

/* Letters and digits are names, and the others mean something in an address. */
static bool is_delimiter(const char *text)
{
    for (const char *c = text; *c; c++)
        if (ascii_is_alpha((unsigned char)*c) || ascii_is_digit((unsigned char)*c) ||
            strchr(" \"\\@%!", *c) != NULL)
            return false;
    return true;
}

/* One "*" beside something that an address can have. */
static bool is_list_pattern(struct slice text)
{
    ptrdiff_t star = slice_find(text, '*');
    if (star < 0 || star != slice_rfind(text, '*') || text.n < 2 || text.n > 64)
        return false;
    for (const char *c = " \"\\@%!"; *c; c++)
        if (slice_find(text, (unsigned char)*c) >= 0)
            return false;
    return true;
}

int conf_check_domain(struct conf_loader *l, struct cfg_t *section, const struct conf_domain *d)
{
    if (strcmp(d->delimiter, CONF_DELIMITER_NONE) != 0 && !is_delimiter(d->delimiter))
        return conf_refuse_key(l, section, "delimiter",
            "takes signs such as + - = _ . and no letter, digit, blank, quote, backslash, @, % or "
            "!; none switches details off");
    for (size_t i = 0; i < d->list_addresses.n; i++)
        if (!is_list_pattern(slice_str(d->list_addresses.v[i])))
            return conf_refuse_key(l, section, "list_addresses",
                "has one * for the name of the list in each, as in *-request or owner-*");
    return 0;
}

/* --- The rest ------------------------------------------------------------------------------- */

static void set_host_name(struct conf_relay *relay)
{
    char name[256];

    if (relay->hostname != NULL)
        return;
    if (gethostname(name, sizeof(name)) != 0 || !net_is_host_name(slice_str(name)))
        relay->hostname = mem_strdup("localhost");
    else
        relay->hostname = mem_strdup(name);
}

static int set_milter_socket(struct conf_loader *l, struct cfg_t *section)
{
    struct conf *c = l->conf;
    struct buf text;
    struct err why = ERR_INIT;
    int rc = 0;

    if (c->milter.listen.host != NULL)
        return 0;
    buf_init(&text, 2048);
    if (buf_addf(&text, "unix:%s/milter.sock", c->run) != 0 ||
        net_endpoint_parse(buf_slice(&text), 0, &c->milter.listen, &why) != 0)
        rc = conf_refuse_key(l, section, "run", "is too long for the sockets in it");
    buf_fini(&text);
    return rc;
}

/* Blames the one that is in the file, since the other may be a default. */
static int refuse_pair(struct conf_loader *l, struct cfg_t *sync, const char *wish,
    struct cfg_t *mapd, const char *limit)
{
    char what[96];

    if (conf_is_given(sync, wish)) {
        if (fmt_into(what, sizeof(what), "is longer than %s of mapd", limit) != 0)
            BUG("names of keys are short");
        return conf_refuse_key(l, sync, wish, what);
    }
    if (fmt_into(what, sizeof(what), "is shorter than %s of sync", wish) != 0)
        BUG("names of keys are short");
    return conf_refuse_key(l, mapd, limit, what);
}

static bool is_same_address(const struct net_endpoint *a, const struct net_endpoint *b)
{
    struct net_addr x, y;

    if (a->port != b->port)
        return false;
    if (net_addr_parse(slice_str(a->host), &x) == 0 && net_addr_parse(slice_str(b->host), &y) == 0)
        return net_addr_eq(&x, &y);
    return strcmp(a->host, b->host) == 0;
}

/* An address speaks one protocol. */
static int check_listen(struct conf_loader *l, struct cfg_t *relay)
{
    const struct conf_endpoints *listen = &l->conf->relay.listen;

    for (size_t i = 0; i < listen->n; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same_address(&listen->v[i], &listen->v[k]) &&
                (listen->v[i].scheme == NET_SCHEME_LMTP) !=
                    (listen->v[k].scheme == NET_SCHEME_LMTP))
                return conf_refuse_key(
                    l, relay, "listen", "has one address for both SMTP and LMTP");
    return 0;
}

static bool may_write(const struct conf *c, const char *user)
{
    bool may = (c->mapd.user != NULL && strcmp(user, c->mapd.user) == 0) ||
               (c->sync.user != NULL && strcmp(user, c->sync.user) == 0);

    for (size_t i = 0; i < c->mapd.writers.n; i++)
        may = may || strcmp(user, c->mapd.writers.v[i]) == 0;
    return may;
}

/* What serves strangers must not be able to send them elsewhere for good. */
static int check_users(struct conf_loader *l, struct cfg_t *cfg)
{
    const struct conf *c = l->conf;
    const struct {
        const char *section, *user;
    } servers[] = {
        {"relay", c->relay.user}, {"milter", c->milter.user}, {"lookup", c->lookup.user}};

    for (size_t i = 0; i < sizeof(servers) / sizeof(servers[0]); i++)
        if (servers[i].user != NULL && may_write(c, servers[i].user))
            return conf_refuse_key(l, conf_section(cfg, servers[i].section), "user",
                "this user may change the map (mapd: user, writers; sync: user), and a program "
                "that serves others may not: give it a user of its own");
    return 0;
}

int conf_check_rest(struct conf_loader *l, struct cfg_t *cfg)
{
    struct conf *c = l->conf;
    struct cfg_t *relay = conf_section(cfg, "relay"), *sync = conf_section(cfg, "sync");
    struct cfg_t *mapd = conf_section(cfg, "mapd");

    if ((c->relay.tls_cert_file == NULL) != (c->relay.tls_key_file == NULL))
        return conf_refuse_key(l, relay, c->relay.tls_cert_file ? "tls_key_file" : "tls_cert_file",
            "is missing (certificate and key go together)");
    if (check_listen(l, relay) != 0 || check_users(l, cfg) != 0)
        return -1;
    if (c->sync.hold_ms > c->mapd.hold_max_ms)
        return refuse_pair(l, sync, "hold", mapd, "hold_max");
    if (c->sync.barrier_ms > c->mapd.barrier_max_ms)
        return refuse_pair(l, sync, "barrier", mapd, "barrier_max");
    set_host_name(&c->relay);
    return set_milter_socket(l, cfg);
}
