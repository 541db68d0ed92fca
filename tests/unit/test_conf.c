/* SPDX-License-Identifier: ISC */
#include <sysexits.h>
#include "base/core/conf.h"
#include "base/core/conf_value.h"
#include "base/core/mem.h"
#include "base/core/schema.h"
#include "base/os/io.h"
#include "tests/unit/tmpdir.h"

/* As in the design, to the letter. */
static const char example[] =
    "state = \"/var/lib/coexist\"          # map/, sync/ and spool/ live below\n"
    "run = \"/run/coexist\"                # sockets, snapshot, claims\n"
    "domain \"example.org\" { model = central  default = reject }\n"
    "server \"old\" { smtp = \"smtp://10.1.1.5:25\"  imap = \"imaps://10.1.1.5\"  tls = verify  "
    "name = \"mail.example.org\"  from = {\"10.1.1.5/32\"} }\n"
    "server \"new\" { smtp = \"smtp://10.1.2.5:25\"  imap = \"imaps://10.1.2.5\"  tls = verify  "
    "name = \"mx.example.net\"  from = {\"10.1.2.5/32\"} }\n"
    "relay  { listen = {\"0.0.0.0:25\"}  "
    "trace_key_file = \"/etc/coexist/trace.key\" }\n"
    "milter { listen = \"unix:/run/coexist/milter.sock\"  mode = judge }\n"
    "lookup { socketmap = \"inet:127.0.0.1:10225\" }\n";

static struct conf *must_parse(const char *text)
{
    struct conf *conf = NULL;
    struct err err = ERR_INIT;

    if (conf_parse(slice_str(text), "f", &conf, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return conf;
}

static int address_of(const char *text, struct net_addr *out)
{
    return net_addr_parse(slice_str(text), out);
}

static void test_example(void **state)
{
    struct conf *c = must_parse(example);
    struct net_addr addr;

    (void)state;
    assert_string_equal(c->path, "f");
    assert_string_equal(c->state, "/var/lib/coexist");
    assert_string_equal(c->run, "/run/coexist");
    assert_null(c->mapd.user);
    assert_false(c->log_syslog);
    assert_int_equal(c->n_domains, 1);
    assert_string_equal(c->domains[0].name, "example.org");
    assert_int_equal(c->domains[0].model, CONF_MODEL_CENTRAL);
    assert_int_equal(c->domains[0].default_server, CONF_SERVER_NONE);
    assert_int_equal(c->domains[0].postmaster_server, 0);
    assert_true(c->domains[0].fold_local_part);
    assert_int_equal(c->n_servers, 2);
    assert_string_equal(c->servers[1].name, "new");
    assert_int_equal(c->servers[1].smtp.scheme, NET_SCHEME_SMTP);
    assert_string_equal(c->servers[1].smtp.host, "10.1.2.5");
    assert_int_equal(c->servers[1].imap.port, 993);
    assert_int_equal(c->servers[1].tls, CONF_TLS_VERIFY);
    assert_string_equal(c->servers[1].tls_name, "mx.example.net");
    assert_string_equal(c->servers[1].tls_min, "TLSv1.2");
    assert_int_equal(c->relay.listen.n, 1);
    assert_int_equal(c->relay.listen.v[0].port, 25);
    assert_string_equal(c->relay.trace_key_file, "/etc/coexist/trace.key");
    assert_non_null(c->relay.hostname);
    assert_int_equal(c->relay.message_size_max, 50U << 20);
    assert_int_equal(c->relay.hold_wait_ms, 20000);
    assert_int_equal(c->milter.listen.scheme, NET_SCHEME_UNIX);
    assert_string_equal(c->milter.listen.host, "/run/coexist/milter.sock");
    assert_int_equal(c->milter.mode, CONF_MILTER_JUDGE);
    assert_true(c->milter.stamp);
    assert_int_equal(c->lookup.socketmap.port, 10225);
    assert_int_equal(c->mapd.direction_grace_ms, UINT64_C(5) * 86400 * 1000);

    assert_int_equal(conf_server_index(c, SLICE_LIT("new")), 1);
    assert_int_equal(conf_server_index(c, SLICE_LIT("other")), CONF_SERVER_NONE);
    assert_non_null(conf_domain(c, SLICE_LIT("EXAMPLE.org")));
    assert_null(conf_domain(c, SLICE_LIT("example.net")));
    assert_int_equal(address_of("10.1.2.5", &addr), 0);
    assert_int_equal(conf_server_from(c, &addr), 1);
    assert_int_equal(address_of("10.1.2.6", &addr), 0);
    assert_int_equal(conf_server_from(c, &addr), CONF_SERVER_NONE);
    conf_free(&c);
    assert_null(c);
    conf_free(&c);
}

static void test_defaults_and_derived(void **state)
{
    struct conf *c = must_parse("");

    (void)state;
    assert_int_equal(c->n_domains, 0);
    assert_int_equal(c->n_servers, 0);
    assert_int_equal(c->relay.listen.n, 0);
    assert_string_equal(c->milter.listen.host, "/run/coexist/milter.sock");
    /* A client waits 10 minutes (RFC 5321, 4.5.3.2.6), and ours may take 5 s more than this: less
     * would send again what a slow server takes. */
    assert_in_range(c->relay.dot_timeout_ms, 530000, 595000);
    conf_free(&c);
    c = must_parse("run = \"/tmp/r\"\nserver \"a\" { smtp = \"smtp://127.0.0.1\" }\n"
                   "server \"b\" { smtp = \"smtp://localhost\" imap = \"imap://[::1]\" }\n"
                   "server \"c\" { smtp = \"smtp://127.0.0.1\" imap = \"imap://10.1.1.1\" }\n"
                   "server \"d\" { smtp = \"smtp://127.0.0.1\" tls = verify }\n"
                   "server \"e\" { }\n"
                   "domain \"Example.ORG\" { default = b postmaster = c case = keep }\n"
                   "relay { hostname = \"mx.example.org\" workers = 3 listen = \"[::]:25\" }\n"
                   "log = syslog\n");
    assert_string_equal(c->milter.listen.host, "/tmp/r/milter.sock");
    assert_int_equal(c->servers[0].tls, CONF_TLS_MAY);
    assert_int_equal(c->servers[1].tls, CONF_TLS_MAY);
    assert_int_equal(c->servers[2].tls, CONF_TLS_VERIFY);
    assert_int_equal(c->servers[3].tls, CONF_TLS_VERIFY);
    assert_int_equal(c->servers[4].tls, CONF_TLS_VERIFY);
    assert_string_equal(c->domains[0].name, "example.org");
    assert_int_equal(c->domains[0].default_server, 1);
    assert_int_equal(c->domains[0].postmaster_server, 2);
    assert_false(c->domains[0].fold_local_part);
    assert_string_equal(c->relay.hostname, "mx.example.org");
    assert_int_equal(c->relay.workers, 3);
    assert_int_equal(c->relay.listen.n, 1);
    assert_true(c->log_syslog);
    conf_free(&c);
}

static void test_longest_prefix(void **state)
{
    struct conf *c = must_parse("server \"a\" { from = {\"10.0.0.0/8\", \"::/0\"} }\n"
                                "server \"b\" { from = {\"10.1.0.0/16\"} }\n"
                                "server \"c\" { from = {\"10.1.2.3\"} }\n");
    static const struct {
        const char *addr;
        int server;
    } rows[] = {{"10.2.0.1", 0}, {"10.1.0.1", 1}, {"10.1.2.3", 2}, {"::1", 0}, {"11.0.0.1", 0}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_addr addr;

        assert_int_equal(address_of(rows[i].addr, &addr), 0);
        assert_row(rows[i].addr, conf_server_from(c, &addr) == rows[i].server);
    }
    conf_free(&c);
}

/* --- Every key ------------------------------------------------------------------------ */

/* One file with this key set to this text. */
static int parse_one(const struct schema_key *key, const char *value, struct err *err)
{
    const char *section = schema_section_name(key->section);
    struct conf *c = NULL;
    struct buf text;
    int rc;

    buf_init(&text, 10000);
    assert_int_equal(buf_add_str(&text, "server \"first\" { }\n"), 0);
    if (schema_section_is_titled(key->section))
        assert_int_equal(buf_addf(&text, "%s \"x\" {\n", section), 0);
    else if (key->section != SCHEMA_TOP)
        assert_int_equal(buf_addf(&text, "%s {\n", section), 0);
    assert_int_equal(buf_addf(&text, "%s = ", key->name), 0);
    assert_int_equal(conf_value_quote(value, &text), 0);
    assert_int_equal(buf_add_str(&text, key->section == SCHEMA_TOP ? "\n" : "\n}\n"), 0);
    rc = conf_parse(buf_slice(&text), "f", &c, err);
    conf_free(&c);
    buf_fini(&text);
    return rc;
}

/* The range itself; what two keys mean together is another matter. */
static bool is_range_error(const struct err *err)
{
    return strstr(err->text, " is not ") != NULL || strstr(err->text, "there is no server") != NULL;
}

static void check_quantity(const struct schema_key *key, uint64_t v, bool good)
{
    struct err err = ERR_INIT;
    char text[40];
    const char *unit = key->type == SCHEMA_DURATION ? "ms" : "";
    int rc;

    assert_int_equal(fmt_into(text, sizeof(text), "%llu%s", (unsigned long long)v, unit), 0);
    rc = parse_one(key, text, &err);
    if ((rc == 0 || !is_range_error(&err)) != good)
        fail_msg("%s %s = %s: %s", schema_section_name(key->section), key->name, text, err.text);
}

static void check_quantities(const struct schema_key *key)
{
    if (key->min > 0)
        check_quantity(key, key->min - 1, false);
    check_quantity(key, key->min, true);
    check_quantity(key, key->max, true);
    check_quantity(key, key->max + 1, false);
}

struct samples {
    enum schema_type type;
    const char *good[4], *bad[6];
};

static const struct samples samples[] = {
    {SCHEMA_NUMBER, {NULL}, {"x", "-1", "", "1.5", "4294967296"}},
    {SCHEMA_DURATION, {NULL}, {"x", "-1s", "", "10 s", "99999999999d"}},
    {SCHEMA_BYTES, {NULL}, {"x", "-1", "", "10 k", "99999999999G"}},
    {SCHEMA_TEXT, {"vmail", "a b"}, {"", "a\nb", "\xc3\xa4"}},
    {SCHEMA_PATH, {"/x", "/x y/z"}, {"", "x", "./x"}},
    {SCHEMA_HOST, {"mx.example.org", "localhost"}, {"", "a b", "a..b", "-a", "a-", "a@b"}},
    {SCHEMA_PRINT, {NULL}, {"", "00", "zz"}},
    {SCHEMA_ENDPOINT, {NULL}, {"", "x", "http://x", "unix:x"}},
    {SCHEMA_ENDPOINTS, {"127.0.0.1:25", "[::]:25", "inet:h:1", "lmtp://h:24"},
        {"", "h", "unix:/s"}},
    {SCHEMA_RANGES, {"10.0.0.0/8", "::1"}, {"", "x", "10.0.0.1/8", "10.0.0.0/33"}},
    {SCHEMA_NAMES, {"vmail", "1000", "\xc3\xa4"}, {"", "a\nb"}},
    {SCHEMA_SERVER_REF, {"first"}, {"", "none", "FIRST"}},
};

static void check_samples(const struct schema_key *key)
{
    for (size_t i = 0; i < COUNT_OF(samples); i++) {
        if (samples[i].type != key->type)
            continue;
        for (size_t g = 0; g < COUNT_OF(samples[i].good) && samples[i].good[g] != NULL; g++) {
            struct err err = ERR_INIT;

            if (parse_one(key, samples[i].good[g], &err) != 0 && is_range_error(&err))
                fail_msg("%s = '%s' is refused: %s", key->name, samples[i].good[g], err.text);
        }
        for (size_t b = 0; b < COUNT_OF(samples[i].bad) && samples[i].bad[b] != NULL; b++) {
            struct err err = ERR_INIT;
            const char *bad = samples[i].bad[b];

            if (parse_one(key, bad, &err) != -1 || strstr(err.text, key->name) == NULL)
                fail_msg("%s = '%s' is not refused: %s", key->name, bad, err.text);
        }
    }
}

static void check_choices(const struct schema_key *key)
{
    struct err err = ERR_INIT;

    for (const char *const *c = key->choices; *c != NULL; c++) {
        err_clear(&err);
        if (parse_one(key, *c, &err) != 0)
            assert_row(*c, !is_range_error(&err));
    }
    assert_row(key->name, parse_one(key, "none-of-them", &err) == -1);
    assert_row(key->name, is_range_error(&err) && strstr(err.text, key->choices[0]) != NULL);
}

static void test_every_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_keys_n; i++) {
        const struct schema_key *key = &schema_keys[i];
        struct err err = ERR_INIT;

        switch (key->type) {
        case SCHEMA_NUMBER:
        case SCHEMA_DURATION:
        case SCHEMA_BYTES:
            check_quantities(key);
            break;
        case SCHEMA_BOOL:
        case SCHEMA_CHOICE:
        case SCHEMA_WORD:
            check_choices(key);
            break;
        default:
            break;
        }
        check_samples(key);
        if (key->text != NULL)
            assert_row(key->name, parse_one(key, key->text, &err) == 0);
        for (size_t j = 0; j < i; j++)
            assert_row(key->name, schema_keys[j].section != key->section ||
                                      strcmp(schema_keys[j].name, key->name) != 0);
    }
}

/* --- Messages ---------------------------------------------------------------------------- */

static void test_errors(void **state)
{
    static const struct {
        const char *text, *message; /* the beginning */
    } rows[] = {
        {"foo = 1", "f:1: no such option 'foo'"},
        {"\n\nrelay { foo = 1 }", "f:3: relay: no such option 'foo'"},
        {"relay {\n workers = 1\n workers = 2\n}", "f:3: relay: workers: is given twice"},
        {"relay { }\nrelay { }", "f:2: relay: is given twice"},
        {"relay { listen = {\"h:1\"}\n listen = {\"h:2\"} }", "f:2: relay: listen: is given twice"},
        {"relay {\n listen = {\"h:1\",\n \"x\"} }", "f:3: relay: listen: 'x' is not an endpoint"},
        {"relay {\n trusted = {\"10.0.0.0/8\"} }", "f:2: relay: no such option 'trusted'"},
        {"relay {\n listen = {\"smtp://[::1]:25\", \"lmtp://[0::1]:25\"} }",
            "f:2: relay: listen: has one address for both SMTP and LMTP"},
        {"relay { listen = {\"127.0.0.1:25\", \"127.0.0.1:24\", \"lmtp://127.0.0.1:25\"} }",
            "f:1: relay: listen: has one address for both SMTP and LMTP"},
        {"relay { workers = 257 }", "f:1: relay: workers: '257' is not a number from 0 to 256"},
        {"relay { hold_wait = 3m }", "f:1: relay: hold_wait: '3m' is not a time like 250ms, 20s, "
                                     "5m, 1h or 7d from 0ms to 2m"},
        {"relay { header_size_max = 1 }",
            "f:1: relay: header_size_max: '1' is not a size like 512, "
            "64k, 10M or 1G from 16k to 16M"},
        {"server \"a\" { tls = maybe }", "f:1: server \"a\": tls: 'maybe' is not none, may, "
                                         "encrypt, verify, fingerprint or pin"},
        {"server \"a\" { imap = \"smtp://h\" }",
            "f:1: server \"a\": imap: 'smtp://h' is not an endpoint of the kind imap or imaps"},
        {"server \"old\" { imap = \"imap://h\" }\ndomain \"x\" {\n default = old }",
            "f:3: domain \"x\": default: server \"old\" has no smtp"},
        {"server \"old\" { }\ndomain \"x\" { postmaster = old }",
            "f:2: domain \"x\": postmaster: server \"old\" has no smtp"},
        {"domain \"x\" { default = old }",
            "f:1: domain \"x\": default: there is no server \"old\" (a server's name or reject"},
        {"domain \"x\" {\n postmaster = old }",
            "f:2: domain \"x\": postmaster: there is no server \"old\""},
        {"server \"a\" { }\nserver \"a\" { }", "f:2: found duplicate title 'a'"},
        {"server \"a\" { }\nserver \"A\" { }", "f:2: server: two names differ in case only"},
        {"server \"a b\" { }", "f:1: server: a name has 1 to 32 letters"},
        {"server \"reject\" { }", "f:1: server: a name has"},
        {"server \"a2345678901234567890123456789012x\" { }", "f:1: server: a name has"},
        {"domain \"x\" { }\ndomain \"X\" { }", "f:2: domain: two names differ in case only"},
        {"domain \"\xc3\xa4.org\" { }", "f:1: domain: the name is not a domain in ASCII"},
        {"domain \"x\" { delimiter = \"+a\" }",
            "f:1: domain \"x\": delimiter: takes signs such as + - = _ . and no letter"},
        {"domain \"x\" { delimiter = \"+@\" }", "f:1: domain \"x\": delimiter: takes signs"},
        {"domain \"x\" { list_addresses = {\"*-request\", \"owner-\"} }",
            "f:1: domain \"x\": list_addresses: has one * for the name"},
        {"domain \"x\" { list_addresses = {\"*\"} }", "f:1: domain \"x\": list_addresses: has"},
        {"domain \"x\" { list_addresses = {\"*-*\"} }", "f:1: domain \"x\": list_addresses: has"},
        {"domain \"x\" { list_addresses = {\"*@y\"} }", "f:1: domain \"x\": list_addresses: has"},
        {"domain \"x\" { delimiter = \"\" }", "f:1: domain \"x\": delimiter: '' is not"},
        {"domain { }", "f:1: missing title"},
        {"server \"a\" { from = {\"10.0.0.1\"} }\nserver \"b\" { from = {\"10.0.0.1/32\"} }",
            "f:2: server \"b\": from: an address belongs to another server already"},
        {"server \"a\" { tls = fingerprint }", "f:1: server \"a\": fingerprint: is missing"},
        {"server \"a\" { fingerprint = "
         "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff }",
            "f:1: server \"a\": fingerprint: has no effect without tls = fingerprint"},
        {"server \"a\" { tls = pin }", "f:1: server \"a\": pin_file: is missing"},
        {"server \"a\" { pin_file = /p }", "f:1: server \"a\": pin_file: has no effect without"},
        {"server \"a\" { tls_cert_file = /c }", "f:1: server \"a\": tls_key_file: is missing"},
        {"server \"a\" { tls = may ca_file = /x }", "f:1: server \"a\": ca_file: has no effect"},
        {"server \"a\" { tls = none\n smtp = \"smtps://h\" }", "f:1: server \"a\": tls: none"},
        {"server \"a\" { imap_user = u }", "f:1: server \"a\": imap_password_file: is missing"},
        {"server \"a\" { imap_password_file = /u }", "f:1: server \"a\": imap_user: is missing"},
        {"server \"a\" { imap_auth = gssapi imap_user = u imap_password_file = /u }",
            "f:1: server \"a\": imap_password_file: has no effect with imap_auth = gssapi"},
        {"server \"a\" { imap_user_separator = \"*\" }",
            "f:1: server \"a\": imap_user_separator: has no effect without imap_user"},
        {"server \"a\" { imap_user = u imap_password_file = /u imap_auth = login }",
            "f:1: server \"a\": imap_auth: cannot act for another user"},
        {"server \"a\" { imap_token_file = /t imap_token_command = {\"/c\"} }",
            "f:1: server \"a\": imap_token_file: contradicts imap_token_command"},
        {"server \"a\" { imap_token_command = {\"c\", \"%u\"} }",
            "f:1: server \"a\": imap_token_command: begins with the whole path"},
        {"server \"a\" { imap_token_file = /t imap_auth = plain }",
            "f:1: server \"a\": imap_auth: wants no access token"},
        {"server \"a\" { imap_auth = xoauth2 }",
            "f:1: server \"a\": imap_auth: wants imap_token_command or imap_token_file"},
        {"server \"a\" { imap_token_file = /t imap_user = u imap_password_file = /p }",
            "f:1: server \"a\": imap_user: has no effect beside an access token"},
        {"server \"a\" { imap_auth = smoke }", "f:1: server \"a\": imap_auth: 'smoke' is not "},
        {"relay { tls_cert_file = /x }", "f:1: relay: tls_key_file: is missing"},
        {"relay { tls_key_file = /x }", "f:1: relay: tls_cert_file: is missing"},
        {"log = stderr\nuser = vmail", "f:2: user: is no more: each program has a user of its own"},
        {"mapd { user = m }\nrelay { user = m }", "f:2: relay: user: this user may change the map"},
        {"mapd { writers = {\"x\", \"t\"} }\nmilter {\n user = t }",
            "f:3: milter: user: this user"},
        {"sync { user = s }\nlookup { user = s }", "f:2: lookup: user: this user may change"},
        {"sync { hold = 20m }", "f:1: sync: hold: is longer than hold_max of mapd"},
        {"mapd { hold_max = 1m }", "f:1: mapd: hold_max: is shorter than hold of sync"},
        {"sync { barrier = 20m }", "f:1: sync: barrier: is longer than barrier_max of mapd"},
        {"run = \"/12345678901234567890123456789012345678901234567890123456789012345678901234567890"
         "123456789012345\"",
            "f:1: run: is too long for the sockets in it"},
        {"relay {\n workers = 1\n", "f:3: relay: a brace, a quote or a comment is not closed"},
        {"state = \"/x", "f:"},
        {"\"", "f:"},
        {"/* x", "f:"},
        {"}", "f:1: unexpected closing brace"},
        {"__end = yes", "f:"},
        {"include(\"/etc/passwd\")", "f:1: no such option 'include'"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf *c = NULL;
        struct err err = ERR_INIT;

        assert_row(rows[i].text, conf_parse(slice_str(rows[i].text), "f", &c, &err) == -1);
        assert_row(rows[i].text, c == NULL && err.class == ERR_PERM && err.code == EX_CONFIG);
        if (strncmp(err.text, rows[i].message, strlen(rows[i].message)) != 0)
            fail_msg("%s:\n%s\ninstead of\n%s", rows[i].text, err.text, rows[i].message);
    }
}

/* No beginning of a file is obeyed as if it were the whole, except between two sections. */
static void test_cut_files(void **state)
{
    size_t n = strlen(example), whole = 0;

    (void)state;
    for (size_t i = 0; i <= n; i++) {
        struct conf *c = NULL;
        struct err err = ERR_INIT;
        int depth = 0, quotes = 0;

        for (size_t j = 0; j < i; j++) {
            quotes += example[j] == '"';
            depth += example[j] == '{';
            depth -= example[j] == '}';
        }
        if (conf_parse(slice_make(example, i), "f", &c, &err) == 0) {
            assert_int_equal(depth, 0);
            assert_int_equal(quotes % 2, 0);
            whole++;
        }
        conf_free(&c);
    }
    assert_true(whole > 8);
}

static void test_limits(void **state)
{
    struct conf *c = NULL;
    struct err err = ERR_INIT;
    struct buf text;

    (void)state;
    buf_init(&text, 1 << 21);
    for (int i = 0; i < CONF_SERVERS_MAX; i++)
        assert_int_equal(buf_addf(&text, "server \"s%d\" { }\n", i), 0);
    assert_int_equal(conf_parse(buf_slice(&text), "f", &c, &err), 0);
    assert_int_equal(c->n_servers, CONF_SERVERS_MAX);
    conf_free(&c);
    assert_int_equal(buf_add_str(&text, "server \"more\" { }\n"), 0);
    assert_int_equal(conf_parse(buf_slice(&text), "f", &c, &err), -1);
    buf_clear(&text);
    while (text.n < 1 << 20)
        assert_int_equal(buf_add_byte(&text, '\n'), 0);
    assert_int_equal(conf_parse(buf_slice(&text), "f", &c, &err), 0);
    conf_free(&c);
    assert_int_equal(buf_add_byte(&text, '\n'), 0);
    assert_int_equal(conf_parse(buf_slice(&text), "f", &c, &err), -1);
    assert_int_equal(conf_parse(slice_make("a\0b", 3), "f", &c, &err), -1);
    buf_fini(&text);
}

static void test_dump_is_a_configuration(void **state)
{
    const char *text =
        "state = \"/a \\\"b\\\\ \\$c\"\ngroup = vmail\nlog = syslog\n"
        "server \"a\" { smtp = \"lmtp://[::1]:24\" tls = fingerprint fingerprint = "
        "\"00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff:"
        "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff\" from = {\"10.0.0.0/8\", \"::1\"} }\n"
        "domain \"x.org\" { default = a model = chaining case = keep delimiter = none }\n"
        "domain \"y.org\" { delimiter = \"+-=_.#\" list_addresses = {\"*-request\", "
        "\"owner-*\"} }\n"
        "relay { listen = {\"lmtp://[::1]:24\", \"[::]:25\"} workers = 7 hold_wait = 1500ms "
        "bare_lf = "
        "refuse "
        "message_size_max = 1000000 }\n"
        "mapd { user = m writers = {\"sync er\", \"1000\"} }\n"
        "milter { stamp = no mode = shadow listen = \"inet:localhost:99\" }\n";
    struct conf *first = must_parse(text), *second;
    struct buf one, two;

    (void)state;
    buf_init(&one, 100000);
    buf_init(&two, 100000);
    assert_int_equal(conf_dump(first, &one), 0);
    second = must_parse(buf_cstr(&one));
    assert_int_equal(conf_dump(second, &two), 0);
    assert_string_equal(buf_cstr(&one), buf_cstr(&two));
    assert_string_equal(second->state, "/a \"b\\ $c");
    assert_int_equal(second->relay.hold_wait_ms, 1500);
    assert_int_equal(second->relay.message_size_max, 1000000);
    assert_int_equal(second->relay.listen.n, 2);
    assert_int_equal(second->mapd.writers.n, 2);
    assert_string_equal(second->mapd.writers.v[0], "sync er");
    assert_int_equal(second->servers[0].from.n, 2);
    assert_int_equal(second->domains[0].default_server, 0);
    assert_null(strstr(buf_cstr(&one), "imap_user"));
    buf_fini(&two);
    buf_init(&two, one.n - 1);
    assert_int_equal(conf_dump(first, &two), -1);
    buf_fini(&one);
    buf_fini(&two);
    conf_free(&first);
    conf_free(&second);
}

static void test_load(void **state)
{
    struct tmpdir dir;
    struct conf *c = NULL;
    struct err err = ERR_INIT;

    (void)state;
    tmpdir_make(&dir);
    assert_int_equal(
        io_write_file_durable(tmpdir_file(&dir, "c"), slice_str(example), 0600, &err), 0);
    assert_int_equal(conf_load(dir.name, &c, &err), 0);
    assert_string_equal(c->path, dir.name);
    conf_free(&c);
    assert_int_equal(conf_load(tmpdir_file(&dir, "none"), &c, &err), -1);
    assert_int_equal(err.code, EX_CONFIG);
    assert_int_equal(conf_load(dir.path, &c, &err), -1);
    tmpdir_remove(&dir);
}

/* What the manual page shows must work. */
static void test_examples_of_the_page(void **state)
{
    struct err err = ERR_INIT;
    struct buf page;
    struct slice rest, line;
    bool in_examples = false, in_block = false;
    size_t blocks = 0;
    struct buf block;

    (void)state;
    buf_init(&page, 100000);
    buf_init(&block, 10000);
    assert_int_equal(io_read_file("docs/man/coexist.conf.5", 100000, &page, &err), 0);
    rest = buf_slice(&page);
    while (slice_split(&rest, '\n', &line)) {
        if (slice_starts(line, SLICE_LIT(".Sh ")))
            in_examples = slice_eq(line, SLICE_LIT(".Sh EXAMPLES"));
        if (in_examples && slice_starts(line, SLICE_LIT(".Bd "))) {
            in_block = true;
            buf_clear(&block);
        } else if (in_block && slice_eq(line, SLICE_LIT(".Ed"))) {
            struct conf *c = must_parse(buf_cstr(&block));

            conf_free(&c);
            in_block = false;
            blocks++;
        } else if (in_block) {
            assert_int_equal(buf_add(&block, line), 0);
            assert_int_equal(buf_add_byte(&block, '\n'), 0);
        }
    }
    assert_true(blocks >= 2);
    buf_fini(&block);
    buf_fini(&page);
}

static void test_what_needs_a_restart(void **state)
{
    static const struct {
        const char *run, *socketmap;
        bool needs;
    } rows[] = {{"/run/coexist", "inet:127.0.0.1:10225", false},
        {"/run/other", "inet:127.0.0.1:10225", true},
        {"/run/coexist", "inet:127.0.0.1:10226", true},
        {"/run/coexist", "inet:127.0.0.2:10225", true},
        {"/run/coexist", "unix:/run/coexist/lookup.sock", true}};
    struct conf *now = must_parse(example);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct conf *fresh = must_parse(example);

        mem_free_string(&fresh->run);
        fresh->run = mem_strdup(rows[i].run);
        net_endpoint_fini(&fresh->lookup.socketmap);
        assert_int_equal(
            net_endpoint_parse(slice_str(rows[i].socketmap), 0, &fresh->lookup.socketmap, NULL), 0);
        assert_row(rows[i].socketmap, conf_needs_restart(now, &now->lookup.socketmap, fresh,
                                          &fresh->lookup.socketmap) == rows[i].needs);
        conf_free(&fresh);
    }
    conf_free(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_example),
        cmocka_unit_test(test_defaults_and_derived),
        cmocka_unit_test(test_longest_prefix),
        cmocka_unit_test(test_every_key),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_dump_is_a_configuration),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_examples_of_the_page),
        cmocka_unit_test(test_what_needs_a_restart),
    };

    return cmocka_run_group_tests_name("conf", tests, NULL, NULL);
}
