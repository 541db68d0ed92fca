/* SPDX-License-Identifier: ISC */
/*
 * conf: the one configuration file of all programs, read with libconfuse and checked against one
 * schema (base/core/schema.c: name, type, default, range, help).  Unknown keys, values out of range
 * and references to servers that do not exist are errors that name file and line.  A loaded
 * configuration never changes; a reload makes a new one.
 */
#ifndef BASE_CORE_CONF_H
#define BASE_CORE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/core/attr.h"
#include "base/core/err.h"
#include "base/core/net.h"

#define CONF_DEFAULT_PATH "/etc/coexist/coexist.conf"
#define CONF_SERVERS_MAX 64 /* a server index fits a bit set and a byte */
#define CONF_SERVER_NONE (-1)
#define CONF_WORKERS_MAX 256 /* as in the schema */

#define CONF_DELIMITER_NONE "none"

enum conf_model { CONF_MODEL_CENTRAL, CONF_MODEL_CHAINING };
enum conf_tls {
    CONF_TLS_NONE,
    CONF_TLS_MAY,
    CONF_TLS_ENCRYPT,
    CONF_TLS_VERIFY,
    CONF_TLS_FINGERPRINT,
    CONF_TLS_PIN
};
enum conf_bare_lf { CONF_BARE_LF_NORMALISE, CONF_BARE_LF_REFUSE };
enum conf_eight_bit { CONF_EIGHT_BIT_SEND, CONF_EIGHT_BIT_REFUSE };
enum conf_compress { CONF_COMPRESS_AUTO, CONF_COMPRESS_YES, CONF_COMPRESS_NO };
enum conf_milter_mode { CONF_MILTER_JUDGE, CONF_MILTER_SHADOW };

struct conf_strings {
    char **v;
    size_t n;
};
struct conf_ranges {
    struct net_range *v;
    size_t n;
};
struct conf_endpoints {
    struct net_endpoint *v;
    size_t n;
};

struct conf_domain {
    char *name;            /* lower-case A-label */
    enum conf_model model; /* model = central|chaining */
    int default_server; /* default = reject (CONF_SERVER_NONE) or a server: where unknown users go
                         */
    int postmaster_server; /* postmaster = SERVER: for postmaster@ and abuse@ without an entry;
                              first server that has an smtp */
    bool fold_local_part;  /* case = fold|keep */
    /* delimiter = "+": each of these characters begins a detail; NULL: "+" */
    char *delimiter;
    struct conf_strings list_addresses; /* "*-request": one "*" each, for the list's name */
};

struct conf_server {
    char *name;
    struct net_endpoint smtp; /* scheme SMTP, SMTPS or LMTP; host NULL when not set */
    struct net_endpoint imap; /* scheme IMAP or IMAPS; host NULL when not set */
    /* tls = none|may|encrypt|verify|fingerprint|pin; default verify, and may where every endpoint
     * is a loopback address */
    enum conf_tls tls;
    char *tls_name;                     /* name = ...: name to verify; NULL: host of the endpoint */
    char *tls_ca_file;                  /* ca_file = ...: NULL: the system's */
    char *tls_fingerprint;              /* SHA-256 of the certificate in hex, colons allowed */
    char *tls_pin_file;                 /* public keys: base/os/tls_pins.h */
    char *tls_cert_file, *tls_key_file; /* both or none: shown to a server that asks for one */
    char *tls_min;                      /* "TLSv1", "TLSv1.1", "TLSv1.2" (default), "TLSv1.3" */
    uint32_t tls_level;                 /* OpenSSL security level 0..5; default 1 */
    struct conf_ranges from;            /* addresses that this server connects from */
    char *imap_user; /* administrative login for coexist-sync, NULL when not set */
    char *imap_password_file;
    char *imap_user_separator; /* one signs in as USER + this + imap_user; NULL: as imap_user */
    struct conf_strings imap_token_command; /* program and arguments that print an access token */
    char *imap_token_file;                  /* JSON: endpoint, client, refresh token */
    char *imap_auth;                        /* NULL: the best there is */
    char *imap_profile;                     /* "auto": as it is recognised */
    enum conf_compress imap_compress;
    /* 0: as the profile has it */
    uint32_t imap_connections, imap_signin_rate, imap_command_rate;
    uint64_t imap_rate, imap_day; /* octets: a second, in 24 hours */
    bool
        pipelining; /* pipelining = yes|no: commands ahead of replies, where the server offers it */
    uint32_t smtp_connections_max; /* pooled connections per relay worker */
    enum conf_eight_bit eight_bit; /* what happens to 8-bit content where there is no 8BITMIME */
};

struct conf_relay {
    char *user; /* to become after the start as root; NULL: stay */
    struct conf_endpoints listen;
    char *hostname; /* own name in greeting, EHLO and Received; default: the host's name */
    char *trace_key_file;
    char *tls_cert_file, *tls_key_file; /* both or none: STARTTLS offered */
    uint32_t workers;                   /* up to CONF_WORKERS_MAX; 0: one per core */
    enum conf_bare_lf bare_lf;
    bool strict_syntax; /* only commands in the form that RFC 5321 gives them */
    uint64_t message_size_max, header_size_max; /* bytes */
    uint32_t recipients_max, hops_max, sessions_max, sessions_per_client_max;
    uint32_t errors_max, hold_waits_max, hold_waits_per_user_max;
    uint64_t command_timeout_ms, data_timeout_ms, session_timeout_ms;
    uint64_t connect_timeout_ms, reply_timeout_ms, dot_timeout_ms, idle_pool_ms, hold_wait_ms;
    uint64_t envelope_timeout_ms, stop_timeout_ms, stop_dot_timeout_ms;
};

struct conf_milter {
    char *user;                 /* to become after the start as root; NULL: stay */
    struct net_endpoint listen; /* unix:/path or inet:host:port */
    enum conf_milter_mode mode;
    uint64_t drain_timeout_ms;
    char *socket_group; /* group that may connect to the unix socket; NULL: ours */
    /* stamp = yes|no (default yes): look for stamps in the header and add our own.  No where the
     * relay stands behind the MTA, for only the component that routes stamps. */
    bool stamp;
    char *trace_key_file; /* NULL: relay.trace_key_file */
};

struct conf_lookup {
    char *user; /* to become after the start as root; NULL: stay */
    struct net_endpoint socketmap;
    bool aliases; /* the MTA asks `aliases` first, so an entry may lead to several or outside */
    uint32_t clients_max;
    uint64_t idle_timeout_ms;
};

struct conf_mapd {
    char *user; /* to become after the start as root; NULL: stay */
    struct conf_strings
        writers;          /* users who may change the map, besides root, user and sync.user */
    uint64_t hold_max_ms; /* longest deadline that a hold may ask for */
    uint64_t barrier_max_ms;
    /* What an import may take from a server at once: so many percent, or so many if more. */
    uint32_t import_drop_percent, import_drop_count;
    uint64_t import_retire_ms;   /* how long mail waits for those who have left an import */
    uint64_t direction_grace_ms; /* design section 2, default 5 d */
    uint64_t cache_size;         /* Berkeley DB cache, bytes */
    uint64_t log_keep_ms;        /* age at which a change leaves the change log; 0: never */
    bool why_required;           /* why = optional|required: each change by hand has a reason */
    uint64_t backup_ms;          /* between two backups; 0: none by itself */
    uint64_t backup_keep_ms;
    char *backup_dir;      /* NULL: STATE/backup */
    uint64_t emergency_ms; /* between two writings of STATE/emergency; 0: none */
};

struct conf_sync {
    char *user;          /* to become after the start as root; NULL: stay */
    uint32_t jobs_max;   /* users that are worked on at once */
    uint32_t copies_max; /* of each server: first copies, and everything else */
    uint32_t deltas_max;
    uint32_t deaths_max; /* of workers in a row: then the user is set aside */
    uint64_t imap_timeout_ms;
    uint64_t hold_ms; /* deadline of the hold of a cut-over */
    uint64_t delta_max_ms;
    uint32_t delta_passes_max;
    uint64_t barrier_ms;
    uint64_t sweep_interval_ms;
    struct conf_strings folder_map;                     /* OLD=NEW */
    struct conf_strings folder_include, folder_exclude; /* patterns */
    char *acl_file; /* of names, for rights of others: imapsync/copy/acls.h; NULL: none are given */
    bool has_metadata; /* annotations come along */
    /* Which messages are copied before the flip: imapsync/plan/filter.h; NULL: all. */
    char *message_since, *message_before, *message_min_size, *message_max_size;
    struct conf_strings message_with_flag, message_without_flag;
    bool newest_first;
    uint32_t connections; /* of one mailbox, to each server */
};

struct conf {
    char *path;
    char *state; /* /var/lib/coexist */
    char *run;   /* /run/coexist */
    char *group; /* that may read RUN; NULL: that of mapd's user */
    bool log_syslog;
    struct conf_domain *domains;
    size_t n_domains;
    struct conf_server *servers;
    size_t n_servers;
    struct conf_relay relay;
    struct conf_milter milter;
    struct conf_lookup lookup;
    struct conf_mapd mapd;
    struct conf_sync sync;
};

/* Not from two threads at a time: libconfuse keeps state of its own.  The files that settings name
 * are not looked at; whoever uses one checks it. */
int conf_load(const char *path, struct conf **out, struct err *err) ATTR_WUR;
/* The same from memory; `path` is what messages and conf->path say. */
int conf_parse(struct slice text, const char *path, struct conf **out, struct err *err) ATTR_WUR;
/* For a thread of its own. */
int conf_copy(const struct conf *conf, struct conf **out, struct err *err) ATTR_WUR;
void conf_free(struct conf **conf);
/* For programs with one address, each with its configuration: true when a reload leaves something
 * undone, since RUN and the address change only with a restart. */
bool conf_needs_restart(const struct conf *now, const struct net_endpoint *listens_now,
    const struct conf *fresh, const struct net_endpoint *listens_fresh);
/* False for a server that has only an imap address: nothing can be routed there. */
bool conf_server_takes_mail(const struct conf_server *server);
/* Index of the server or domain, CONF_SERVER_NONE / NULL when there is none. */
int conf_server_index(const struct conf *conf, struct slice name);
const struct conf_domain *conf_domain(const struct conf *conf, struct slice name);
/* The server whose `from` ranges hold the address (the longest prefix wins), or CONF_SERVER_NONE.
 */
int conf_server_from(const struct conf *conf, const struct net_addr *addr);
/* Effective values in the form of the file, which conf_parse() reads again: for -P.  There are no
 * secrets in it, only names of files. */
struct buf;
int conf_dump(const struct conf *conf, struct buf *out) ATTR_WUR;

#endif
