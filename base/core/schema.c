/* SPDX-License-Identifier: ISC */
/*
 * schema: see schema.h.  Where the defaults come from: SMTP timeouts are those of RFC 5321 section
 * 4.5.3.2, except that the answer to the final dot comes after 535 s at the latest: within the 600
 * s that a client waits, and as late as that, since to give up on a server that works on the
 * message makes a copy; 100 recipients are the least that section 4.5.3.1.8 wants, and the most are
 * those whose claims have room in one file (maps/claims.h).  A hold wait of 20 s covers nearly
 * every cut-over and stays far below a client's five minutes.  The minimum of a timeout is small
 * because tests need it to be.
 *
 * `make lint` reads the rows below: one row, one setting.
 */
#include "base/core/conf.h"
#include "base/core/schema.h"

#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define YES_NO WORDS("no", "yes")
#define SMTP_SCHEMES WORDS("smtp", "smtps", "lmtp")
#define IMAP_SCHEMES WORDS("imap", "imaps")
#define SOCKET_SCHEMES WORDS("unix", "inet")
#define RELAY_SCHEMES WORDS("inet", "smtp", "lmtp")
/* clang-format off */
#define IMAP_WAYS WORDS("scram-sha-256-plus", "scram-sha-1-plus", "scram-sha-256", "scram-sha-1", "plain", "sasl-login", "cram-md5", "gssapi", "oauthbearer", "xoauth2", "login")
#define IMAP_PROFILES WORDS("auto", "generic", "dovecot", "cyrus", "courier", "exchange-online", "gmail")
/* clang-format on */
#define TLS_VERSIONS WORDS("TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3")
#define TLS_POLICIES WORDS("none", "may", "encrypt", "verify", "fingerprint", "pin")

#define NO_RANGE 0, 0, NULL
#define RANGE(min, max) (min), (max), NULL
#define CHOICES(words) 0, 0, (words)

#define TOP(name, field, type, text, limits)                                                       \
    {                                                                                              \
        SCHEMA_TOP, name, SCHEMA_##type, text, limits, offsetof(struct conf, field)                \
    }
#define DOMAIN(name, field, type, text, limits)                                                    \
    {                                                                                              \
        SCHEMA_DOMAIN, name, SCHEMA_##type, text, limits, offsetof(struct conf_domain, field)      \
    }
#define SERVER(name, field, type, text, limits)                                                    \
    {                                                                                              \
        SCHEMA_SERVER, name, SCHEMA_##type, text, limits, offsetof(struct conf_server, field)      \
    }
#define RELAY(name, field, type, text, limits)                                                     \
    {                                                                                              \
        SCHEMA_RELAY, name, SCHEMA_##type, text, limits, offsetof(struct conf_relay, field)        \
    }
#define MILTER(name, field, type, text, limits)                                                    \
    {                                                                                              \
        SCHEMA_MILTER, name, SCHEMA_##type, text, limits, offsetof(struct conf_milter, field)      \
    }
#define LOOKUP(name, field, type, text, limits)                                                    \
    {                                                                                              \
        SCHEMA_LOOKUP, name, SCHEMA_##type, text, limits, offsetof(struct conf_lookup, field)      \
    }
#define MAPD(name, field, type, text, limits)                                                      \
    {                                                                                              \
        SCHEMA_MAPD, name, SCHEMA_##type, text, limits, offsetof(struct conf_mapd, field)          \
    }
#define SYNC(name, field, type, text, limits)                                                      \
    {                                                                                              \
        SCHEMA_SYNC, name, SCHEMA_##type, text, limits, offsetof(struct conf_sync, field)          \
    }

/* clang-format off */
const struct schema_key schema_keys[] = {
    TOP("state", state, PATH, "/var/lib/coexist", NO_RANGE),
    TOP("run", run, PATH, "/run/coexist", NO_RANGE),
    TOP("group", group, TEXT, NULL, NO_RANGE),
    TOP("log", log_syslog, BOOL, "stderr", CHOICES(WORDS("stderr", "syslog"))),

    DOMAIN("model", model, CHOICE, "central", CHOICES(WORDS("central", "chaining"))),
    DOMAIN("default", default_server, SERVER_REF, "reject", CHOICES(WORDS("reject"))),
    DOMAIN("postmaster", postmaster_server, SERVER_REF, NULL, NO_RANGE),
    DOMAIN("case", fold_local_part, BOOL, "fold", CHOICES(WORDS("keep", "fold"))),
    DOMAIN("delimiter", delimiter, TEXT, "+", NO_RANGE),
    DOMAIN("list_addresses", list_addresses, NAMES, NULL, NO_RANGE),

    SERVER("smtp", smtp, ENDPOINT, NULL, CHOICES(SMTP_SCHEMES)),
    SERVER("imap", imap, ENDPOINT, NULL, CHOICES(IMAP_SCHEMES)),
    SERVER("tls", tls, CHOICE, "verify", CHOICES(TLS_POLICIES)),
    SERVER("name", tls_name, HOST, NULL, NO_RANGE),
    SERVER("ca_file", tls_ca_file, PATH, NULL, NO_RANGE),
    SERVER("fingerprint", tls_fingerprint, PRINT, NULL, NO_RANGE),
    SERVER("pin_file", tls_pin_file, PATH, NULL, NO_RANGE),
    SERVER("tls_cert_file", tls_cert_file, PATH, NULL, NO_RANGE),
    SERVER("tls_key_file", tls_key_file, PATH, NULL, NO_RANGE),
    SERVER("tls_min", tls_min, WORD, "TLSv1.2", CHOICES(TLS_VERSIONS)),
    SERVER("tls_level", tls_level, NUMBER, "1", RANGE(0, 5)),
    SERVER("from", from, RANGES, NULL, NO_RANGE),
    SERVER("imap_user", imap_user, TEXT, NULL, NO_RANGE),
    SERVER("imap_password_file", imap_password_file, PATH, NULL, NO_RANGE),
    SERVER("imap_user_separator", imap_user_separator, TEXT, NULL, NO_RANGE),
    SERVER("imap_token_command", imap_token_command, NAMES, NULL, NO_RANGE),
    SERVER("imap_token_file", imap_token_file, PATH, NULL, NO_RANGE),
    SERVER("imap_auth", imap_auth, WORD, NULL, CHOICES(IMAP_WAYS)),
    SERVER("imap_profile", imap_profile, WORD, "auto", CHOICES(IMAP_PROFILES)),
    SERVER("imap_compress", imap_compress, CHOICE, "auto", CHOICES(WORDS("auto", "yes", "no"))),
    SERVER("imap_connections", imap_connections, NUMBER, "0", RANGE(0, 10000)),
    SERVER("imap_signin_rate", imap_signin_rate, NUMBER, "0", RANGE(0, 10000)),
    SERVER("imap_command_rate", imap_command_rate, NUMBER, "0", RANGE(0, 100000)),
    SERVER("imap_rate", imap_rate, BYTES, "0", RANGE(0, 1024 * GIB)),
    SERVER("imap_day", imap_day, BYTES, "0", RANGE(0, 1024 * GIB)),
    SERVER("eight_bit", eight_bit, CHOICE, "send", CHOICES(WORDS("send", "refuse"))),
    SERVER("pipelining", pipelining, BOOL, "yes", CHOICES(YES_NO)),
    SERVER("smtp_connections_max", smtp_connections_max, NUMBER, "20", RANGE(1, 10000)),

    RELAY("user", user, TEXT, NULL, NO_RANGE),
    RELAY("listen", listen, ENDPOINTS, NULL, CHOICES(RELAY_SCHEMES)),
    RELAY("hostname", hostname, HOST, NULL, NO_RANGE),
    RELAY("trace_key_file", trace_key_file, PATH, "/etc/coexist/trace.key", NO_RANGE),
    RELAY("tls_cert_file", tls_cert_file, PATH, NULL, NO_RANGE),
    RELAY("tls_key_file", tls_key_file, PATH, NULL, NO_RANGE),
    RELAY("workers", workers, NUMBER, "0", RANGE(0, 256)),
    RELAY("bare_lf", bare_lf, CHOICE, "normalise", CHOICES(WORDS("normalise", "refuse"))),
    RELAY("strict_syntax", strict_syntax, BOOL, "no", CHOICES(YES_NO)),
    RELAY("message_size_max", message_size_max, BYTES, "50M", RANGE(64 * KIB, 2 * GIB)),
    RELAY("header_size_max", header_size_max, BYTES, "256k", RANGE(16 * KIB, 16 * MIB)),
    RELAY("recipients_max", recipients_max, NUMBER, "1000", RANGE(100, 1000)),
    RELAY("hops_max", hops_max, NUMBER, "30", RANGE(5, 100)),
    RELAY("sessions_max", sessions_max, NUMBER, "10000", RANGE(1, 100000)),
    RELAY("sessions_per_client_max", sessions_per_client_max, NUMBER, "50", RANGE(1, 100000)),
    RELAY("errors_max", errors_max, NUMBER, "20", RANGE(1, 1000)),
    RELAY("hold_waits_max", hold_waits_max, NUMBER, "1000", RANGE(0, 100000)),
    RELAY("hold_waits_per_user_max", hold_waits_per_user_max, NUMBER, "10", RANGE(0, 1000)),
    RELAY("command_timeout", command_timeout_ms, DURATION, "5m", RANGE(100, HOUR)),
    RELAY("data_timeout", data_timeout_ms, DURATION, "5m", RANGE(100, HOUR)),
    RELAY("envelope_timeout", envelope_timeout_ms, DURATION, "10m", RANGE(100, HOUR)),
    RELAY("session_timeout", session_timeout_ms, DURATION, "1h", RANGE(100, DAY)),
    RELAY("connect_timeout", connect_timeout_ms, DURATION, "30s", RANGE(100, 10 * MINUTE)),
    RELAY("reply_timeout", reply_timeout_ms, DURATION, "5m", RANGE(100, HOUR)),
    RELAY("dot_timeout", dot_timeout_ms, DURATION, "535s", RANGE(100, 9 * MINUTE)),
    RELAY("idle_pool", idle_pool_ms, DURATION, "30s", RANGE(0, 10 * MINUTE)),
    RELAY("hold_wait", hold_wait_ms, DURATION, "20s", RANGE(0, 2 * MINUTE)),
    RELAY("stop_timeout", stop_timeout_ms, DURATION, "30s", RANGE(0, HOUR)),
    RELAY("stop_dot_timeout", stop_dot_timeout_ms, DURATION, "5m", RANGE(0, HOUR)),

    MILTER("user", user, TEXT, NULL, NO_RANGE),
    MILTER("listen", listen, ENDPOINT, NULL, CHOICES(SOCKET_SCHEMES)),
    MILTER("mode", mode, CHOICE, "judge", CHOICES(WORDS("judge", "shadow"))),
    MILTER("drain_timeout", drain_timeout_ms, DURATION, "30s", RANGE(0, HOUR)),
    MILTER("socket_group", socket_group, TEXT, NULL, NO_RANGE),
    MILTER("stamp", stamp, BOOL, "yes", CHOICES(YES_NO)),
    MILTER("trace_key_file", trace_key_file, PATH, NULL, NO_RANGE),

    LOOKUP("user", user, TEXT, NULL, NO_RANGE),
    LOOKUP("socketmap", socketmap, ENDPOINT, "inet:127.0.0.1:10225", CHOICES(SOCKET_SCHEMES)),
    LOOKUP("aliases", aliases, BOOL, "no", CHOICES(YES_NO)),
    LOOKUP("clients_max", clients_max, NUMBER, "1000", RANGE(1, 100000)),
    LOOKUP("idle_timeout", idle_timeout_ms, DURATION, "5m", RANGE(100, DAY)),

    MAPD("user", user, TEXT, NULL, NO_RANGE),
    MAPD("writers", writers, NAMES, NULL, NO_RANGE),
    MAPD("hold_max", hold_max_ms, DURATION, "10m", RANGE(SECOND, 7 * DAY)),
    MAPD("barrier_max", barrier_max_ms, DURATION, "60s", RANGE(100, HOUR)),
    MAPD("direction_grace", direction_grace_ms, DURATION, "5d", RANGE(0, 30 * DAY)),
    MAPD("cache_size", cache_size, BYTES, "192M", RANGE(MIB, 64 * GIB)),
    MAPD("log_keep", log_keep_ms, DURATION, "730d", RANGE(0, 36500 * DAY)),
    MAPD("why", why_required, BOOL, "optional", CHOICES(WORDS("optional", "required"))),
    MAPD("backup", backup_ms, DURATION, "1h", RANGE(0, 7 * DAY)),
    MAPD("backup_keep", backup_keep_ms, DURATION, "14d", RANGE(HOUR, 3650 * DAY)),
    MAPD("backup_dir", backup_dir, PATH, NULL, NO_RANGE),
    MAPD("emergency", emergency_ms, DURATION, "1m", RANGE(0, DAY)),
    MAPD("import_drop_percent", import_drop_percent, NUMBER, "2", RANGE(0, 100)),
    MAPD("import_drop_count", import_drop_count, NUMBER, "20", RANGE(0, 1000000000)),
    MAPD("import_retire", import_retire_ms, DURATION, "1d", RANGE(0, 365 * DAY)),

    SYNC("user", user, TEXT, NULL, NO_RANGE),
    SYNC("jobs_max", jobs_max, NUMBER, "32", RANGE(1, 1024)),
    SYNC("copies_max", copies_max, NUMBER, "8", RANGE(1, 1024)),
    SYNC("deltas_max", deltas_max, NUMBER, "24", RANGE(1, 1024)),
    SYNC("deaths_max", deaths_max, NUMBER, "3", RANGE(1, 100)),
    SYNC("imap_timeout", imap_timeout_ms, DURATION, "2m", RANGE(100, HOUR)),
    SYNC("hold", hold_ms, DURATION, "2m", RANGE(SECOND, DAY)),
    SYNC("delta_max", delta_max_ms, DURATION, "20s", RANGE(100, 10 * MINUTE)),
    SYNC("delta_passes_max", delta_passes_max, NUMBER, "10", RANGE(1, 100)),
    SYNC("barrier", barrier_ms, DURATION, "60s", RANGE(100, HOUR)),
    SYNC("sweep_interval", sweep_interval_ms, DURATION, "60s", RANGE(100, DAY)),
    SYNC("folder_map", folder_map, NAMES, NULL, NO_RANGE),
    SYNC("folder_include", folder_include, NAMES, NULL, NO_RANGE),
    SYNC("folder_exclude", folder_exclude, NAMES, NULL, NO_RANGE),
    SYNC("acl_file", acl_file, PATH, NULL, NO_RANGE),
    SYNC("metadata", has_metadata, BOOL, "yes", CHOICES(YES_NO)),
    SYNC("message_since", message_since, TEXT, NULL, NO_RANGE),
    SYNC("message_before", message_before, TEXT, NULL, NO_RANGE),
    SYNC("message_min_size", message_min_size, TEXT, NULL, NO_RANGE),
    SYNC("message_max_size", message_max_size, TEXT, NULL, NO_RANGE),
    SYNC("message_with_flag", message_with_flag, NAMES, NULL, NO_RANGE),
    SYNC("message_without_flag", message_without_flag, NAMES, NULL, NO_RANGE),
    SYNC("newest_first", newest_first, BOOL, "no", CHOICES(YES_NO)),
    SYNC("connections", connections, NUMBER, "1", RANGE(1, 8)),
};
/* clang-format on */

const size_t schema_keys_n = sizeof(schema_keys) / sizeof(schema_keys[0]);

const char *schema_section_name(enum schema_section section)
{
    static const char *const names[SCHEMA_SECTIONS] = {
        "", "domain", "server", "relay", "milter", "lookup", "mapd", "sync"};

    return names[section];
}

bool schema_section_is_titled(enum schema_section section)
{
    return section == SCHEMA_DOMAIN || section == SCHEMA_SERVER;
}

bool schema_is_list(const struct schema_key *key)
{
    return key->type == SCHEMA_ENDPOINTS || key->type == SCHEMA_RANGES || key->type == SCHEMA_NAMES;
}
