/* SPDX-License-Identifier: ISC */
/*
 * export_list: on which server each user signs in, for proxies of others.  A hold is about mail and
 * changes nothing here.  Users of a server without `imap`, and what the format has no way to write,
 * are left out and named.
 *
 * "@domain" entries and the defaults of the configuration become one line for the domain where the
 * format has patterns (nginx: a regular expression, which it tries behind the addresses; Stalwart:
 * "*").  A user who is refused has then a line of its own that names no server.
 */
#include "maps/format/export_priv.h"

/* --- nginx: "address" "host:port"; ----------------------------------------------------------- */

static int add_host_port(const struct net_endpoint *e, struct buf *out)
{
    bool is_v6 = slice_find(slice_str(e->host), ':') >= 0;
    return buf_addf(out, is_v6 ? "[%s]:%u" : "%s:%u", e->host, (unsigned)e->port);
}

/* In double quotes; escape: bytes that get a backslash. */
static int add_quoted(struct slice text, const char *escape, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++)
        if ((strchr(escape, text.p[i]) && buf_add_byte(out, '\\') != 0) ||
            buf_add_byte(out, text.p[i]) != 0)
            return -1;
    return 0;
}

/* A backslash at the start takes away the special meaning of the first byte ("~"). */
static int nginx_line(struct slice key, const struct conf_server *server, struct buf *out)
{
    bool is_domain = key.p[0] == '@';

    if (buf_add_byte(out, '"') != 0 || buf_add_str(out, is_domain ? "~*" : "") != 0 ||
        (key.p[0] == '~' && buf_add_str(out, "\\\\") != 0) ||
        add_quoted(key, is_domain ? "." : "\"\\", out) != 0 ||
        buf_add_str(out, is_domain ? "$\" \"" : "\" \"") != 0 ||
        (server && add_host_port(&server->imap, out) != 0))
        return -1;
    return buf_add_str(out, "\";\n");
}

/* --- Dovecot: passwd-file(5) -------------------------------------------------------------------
 */

/* How the proxy speaks TLS with the server: as we do, where it can. */
static const char *dovecot_tls(const struct conf_server *server)
{
    bool is_tls = server->imap.scheme == NET_SCHEME_IMAPS;

    if (server->tls == CONF_TLS_NONE || (server->tls == CONF_TLS_MAY && !is_tls))
        return "";
    if (server->tls == CONF_TLS_ENCRYPT || server->tls == CONF_TLS_MAY)
        return is_tls ? " ssl=any-cert" : " starttls=any-cert";
    return is_tls ? " ssl=yes" : " starttls=yes";
}

/* The user's password goes to the server, which judges it. */
static int dovecot_line(struct slice key, const struct conf_server *server, struct buf *out)
{
    return buf_addf(out, "%.*s:::::::proxy=y nopassword=y host=%s port=%u%s\n", SLICE_ARG(key),
        server->imap.host, (unsigned)server->imap.port, dovecot_tls(server));
}

/* --- Stalwart: "address" = "server" -------------------------------------------------------------
 */

static int stalwart_line(struct slice key, const struct conf_server *server, struct buf *out)
{
    if (buf_add_str(out, key.p[0] == '@' ? "\"*" : "\"") != 0 || add_quoted(key, "\"\\", out) != 0)
        return -1;
    return buf_addf(out, "\" = \"%s\"\n", server ? server->name : "");
}

/* --- All ---------------------------------------------------------------------------------------
 */

static const struct list {
    int (*line)(struct slice key, const struct conf_server *server, struct buf *out);
    const char *never; /* bytes that no key may have */
    bool has_patterns; /* and so lines for domains and for refused users */
} * list_of(enum export_format format)
{
    static const struct list nginx = {nginx_line, "", true},
                             dovecot = {dovecot_line, ":\"#", false},
                             stalwart = {stalwart_line, "*?", true};

    return format == EXPORT_NGINX_MAP        ? &nginx
           : format == EXPORT_DOVECOT_PASSDB ? &dovecot
                                             : &stalwart;
}

static bool fits(const struct list *list, struct slice key)
{
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] != '\0' && strchr(list->never, key.p[i]))
            return false;
    return true;
}

/* server: NULL for users who are refused. */
static int add_line(struct export *x, struct slice key, const struct conf_server *server,
    bool is_refused, struct buf *out)
{
    const struct list *list = list_of(x->format);

    if (is_refused ? !list->has_patterns : key.p[0] == '@' && !list->has_patterns) {
        if (!is_refused)
            export_tell(x, key);
        return 0;
    }
    if (!fits(list, key) || (!is_refused && (!server || !server->imap.host))) {
        export_tell(x, key);
        return 0;
    }
    return list->line(key, is_refused ? NULL : server, out);
}

int export_list_entry(
    struct export *x, struct slice key, const struct route_entry *entry, struct buf *out)
{
    struct export_domain *domain = export_domain_of(x, key);
    int server = conf_server_index(x->conf, entry->route);

    if (key.p[0] == '@' && (!domain || (entry->kind == ROUTE_KIND_MAILBOX && entry->route.n == 0)))
        return 0; /* the default of the configuration */
    if (key.p[0] == '@')
        domain->has_entry = true;
    return add_line(x, key, server == CONF_SERVER_NONE ? NULL : &x->conf->servers[server],
        entry->kind == ROUTE_KIND_REJECT, out);
}

int export_list_end(struct export *x, struct buf *out)
{
    char key[ROUTE_KEY_MAX + 2];

    for (size_t i = 0; i < x->conf->n_domains; i++) {
        const struct conf_domain *domain = &x->conf->domains[i];
        if (x->domains[i].has_entry || domain->default_server == CONF_SERVER_NONE ||
            !list_of(x->format)->has_patterns)
            continue;
        if (fmt_into(key, sizeof key, "@%s", domain->name) != 0)
            BUG("the name of a domain is no longer than a key");
        if (add_line(x, slice_str(key), &x->conf->servers[domain->default_server], false, out) != 0)
            return -1;
    }
    return 0;
}
