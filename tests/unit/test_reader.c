/* SPDX-License-Identifier: ISC */
/* The readers of import files: files as servers and directories have them, whole and byte by byte.
 */
#include <stdlib.h>
#include "maps/format/reader.h"
#include "tests/unit/unit.h"

#define TEXT_MAX (1U << 20)

static struct conf_server servers[] = {
    {.name = (char[]){"old"},
        .tls_name = (char[]){"mail.example.org"},
        .smtp = {NET_SCHEME_SMTP, (char[]){"10.1.1.5"}, 25}},
    {.name = (char[]){"new"}, .smtp = {NET_SCHEME_LMTP, (char[]){"10.1.2.5"}, 24}},
    {.name = (char[]){"six"}, .smtp = {NET_SCHEME_SMTP, (char[]){"2001:db8::1"}, 2525}},
    {.name = (char[]){"archive"}},
};
static struct conf_domain domains[] = {{.name = (char[]){"example.org"}, .fold_local_part = true},
    {.name = (char[]){"xn--exmple-cua.org"}, .fold_local_part = true}};
static const struct conf CONF = {
    .servers = servers, .n_servers = 4, .domains = domains, .n_domains = 2};

/* {"key":K,"set":{a:b}} as "N K a=b". */
static int on_row(void *arg, size_t line, json_t *row_own, struct err *err)
{
    json_t *set = json_object_get(row_own, "set"), *value;
    const char *name;
    (void)err;
    assert_int_equal(
        buf_addf(arg, "%zu %s", line, json_string_value(json_object_get(row_own, "key"))), 0);
    json_object_foreach(set, name, value)
        assert_int_equal(buf_addf(arg, " %s=%s", name, json_string_value(value)), 0);
    assert_int_equal(buf_add_str(arg, "\n"), 0);
    json_decref(row_own);
    return 0;
}

static int on_bad(void *arg, size_t line, const char *what, struct err *err)
{
    (void)err;
    assert_int_equal(buf_addf(arg, "%zu bad: %s\n", line, what), 0);
    return 0;
}

static void on_note(void *arg, size_t line, const char *what, bool is_lost)
{
    assert_int_equal(buf_addf(arg, "%zu %s: %s\n", line, is_lost ? "lost" : "note", what), 0);
}

struct row {
    const char *name;
    enum reader_format format;
    const char *domain, *hop, *in, *want;
};

static int read_all(const struct row *row, size_t step, struct buf *out, struct err *err)
{
    const struct sink sink = {.row = on_row, .bad = on_bad, .note = on_note, .arg = out};
    struct site site = {.conf = &CONF, .sink = &sink, .domain = slice_str(row->domain)};
    struct slice in = slice_str(row->in);
    struct reader r;
    int rc = 0;

    if (row->hop)
        assert_int_equal(site_hop(&site, slice_str(row->hop), err), 0);
    reader_init(&r, row->format, &site);
    for (size_t at = 0; at < in.n && rc == 0; at += step)
        rc = reader_feed(&r, slice_sub(in, at, step), err);
    if (rc == 0)
        rc = reader_finish(&r, err);
    reader_fini(&r);
    return rc;
}

static void check(const struct row *row, size_t step)
{
    struct err err = ERR_INIT;
    struct buf out;

    buf_init(&out, TEXT_MAX);
    int rc = read_all(row, step, &out, &err);
    if (row->want[0] == '!') {
        assert_row(row->name, rc == -1);
        assert_string_equal(err.text, row->want + 1);
    } else if (rc != 0) {
        fail_msg("row '%s': %s", row->name, err.text);
    } else if (strcmp(buf_cstr(&out), row->want) != 0) {
        fail_msg("row '%s'\n  gave %s\n  want %s", row->name, buf_cstr(&out), row->want);
    }
    buf_fini(&out);
}

static void check_all(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        check(&rows[i], TEXT_MAX);
        check(&rows[i], 1);
    }
}

static void test_postfix(void **state)
{
    static const struct row rows[] = {
        {"transport", READER_POSTFIX_TRANSPORT, NULL, NULL,
            "# moved users\n"
            "ann@example.org\tlmtp:inet:10.1.2.5:24\n"
            "bob@example.org   smtp:[10.1.1.5]:25\n"
            "  # not a part of it\n"
            "cat@example.org\n"
            "\tlmtp:[10.1.2.5]\n"
            "dan@example.org relay:[mail.example.org]\n"
            "eve@example.org smtp:[2001:db8::1]:2525\n"
            "example.org smtp:[10.1.1.5]\n"
            "example.net smtp:[192.0.2.1]\n"
            ".example.org smtp:[10.1.1.5]\n"
            "* smtp:[10.1.1.5]\n"
            "gone@example.org error:5.1.1 User unknown\n"
            "fay@example.org :\n",
            "2 ann@example.org route=new\n"
            "3 bob@example.org route=old\n"
            "5 cat@example.org route=new\n"
            "7 dan@example.org route=old\n"
            "8 eve@example.org route=six\n"
            "9 @example.org route=old\n"
            "10 bad: no server of the configuration is smtp:[192.0.2.1]: say which one with "
            "--next-hop 'smtp:[192.0.2.1]=SERVER'\n"
            "11 note: .example.org is about the subdomains of a domain: the map has an entry for "
            "each domain\n"
            "12 note: * is about all other domains\n"
            "13 gone@example.org kind=reject text=5.1.1 User unknown\n"
            "14 fay@example.org\n"},
        {"a next hop that is named", READER_POSTFIX_TRANSPORT, NULL, "local:=old",
            "ann@example.org local:\n", "1 ann@example.org route=old\n"},
        {"no transport but a port", READER_POSTFIX_TRANSPORT, NULL, NULL,
            "a@example.org smtp:[10.1.1.5]:26\nb@example.org smtp:[10.1.1.5]:x\n",
            "1 bad: no server of the configuration is smtp:[10.1.1.5]:26: say which one with "
            "--next-hop 'smtp:[10.1.1.5]:26=SERVER'\n"
            "2 bad: no server of the configuration is smtp:[10.1.1.5]:x: say which one with "
            "--next-hop 'smtp:[10.1.1.5]:x=SERVER'\n"},
        {"patterns", READER_POSTFIX_TRANSPORT, NULL, NULL, "/^a.*@example.org$/ smtp:[10.1.1.5]\n",
            "1 bad: this is a table of patterns: only tables for postmap(1) can be read\n"},
        {"relay_recipients", READER_POSTFIX_RELAY_RECIPIENTS, NULL, NULL,
            "Ann@example.org x\r\n\r\n\"a b\"@example.org OK\r\n@example.org "
            "ok\r\nbob@example.org\r\n"
            "x@example.net x\r\nann x\r\nn@",
            "1 Ann@example.org\n"
            "3 \"a b\"@example.org\n"
            "4 @example.org\n"
            "5 bad: bob@example.org has nothing behind it\n"
            "6 note: x@example.net is in a domain that is not in the configuration\n"
            "7 bad: ann has no domain: say which one is meant with --domain\n"
            "8 bad: n@ has nothing behind it\n"},
        {"an international domain", READER_POSTFIX_RELAY_RECIPIENTS, NULL, NULL,
            "ann@ex\xc3\xa4mple.org x\n", "1 ann@ex\xc3\xa4mple.org\n"},
        {"virtual", READER_POSTFIX_VIRTUAL, "example.org", NULL,
            "\xef\xbb\xbf"
            "example.org this text is not used\n"
            "ann@example.org ann@example.org\n"
            "a.smith@example.org ann@example.org\n"
            "sales@example.org ann@example.org, bob\n"
            "    cat@example.org\n"
            "bob bob@example.net bob@gmail.example\n"
            "dan@example.org dan@example.org dan@phone.example\n"
            "@example.org @example.net\n"
            "eve@example.org ,\n"
            "x.y z@example.org\n",
            "1 note: example.org is called a virtual domain\n"
            "2 ann@example.org\n"
            "3 a.smith@example.org kind=alias to=ann@example.org\n"
            "4 sales@example.org kind=alias to=ann@example.org,bob@example.org,cat@example.org\n"
            "6 bob@example.org kind=forward to=bob@example.net,bob@gmail.example\n"
            "7 lost: dan@example.org keeps a copy and sends others on: a mailbox in the map is a "
            "mailbox alone, so this remains for its server to do\n"
            "7 dan@example.org\n"
            "8 lost: @example.org: the map has no alias of a whole domain; `maptool set @DOMAIN "
            "route=SERVER deliver_as=@example.net` has the server know its users so\n"
            "9 bad: eve@example.org leads nowhere\n"
            "10 x.y@example.org kind=alias to=z@example.org\n"},
        {"no text", READER_POSTFIX_VIRTUAL, NULL, NULL,
            "a@example.org b@example.org\nM\xfcller x\n",
            "!line 2: this is not UTF-8 text: save the file as UTF-8"},
    };
    (void)state;
    check_all(rows, COUNT_OF(rows));
}

static void test_sendmail(void **state)
{
    static const struct row rows[] = {
        {"virtusertable", READER_SENDMAIL_VIRTUSERTABLE, NULL, NULL,
            "# who is who\n"
            "ann@example.org\tann\n"
            "info@example.org\tann@example.org\n"
            "bob@example.org\tbob@example.net\n"
            "gone@example.org\terror:nouser 550 No such user here\n"
            "@example.org\t%1@example.net\n"
            "joe@example.com\tjoe\n"
            "a@example.org\terror:5.7.1:552 Not here\n"
            "b@example.org\terror:tempfail 4.2.1 Later\n"
            "c@example.org\terror:nouser\n"
            "d@example.org\terror:\"550 5.1.6 Moved away\"\n"
            "e@example.org\terror:450 5.1.1 At odds\n"
            "f@example.org\terror:550 Gel\xc3\xb6scht\n"
            "g@example.org\terror:no such user\n",
            "2 ann@example.org\n"
            "3 info@example.org kind=alias to=ann@example.org\n"
            "4 bob@example.org kind=forward to=bob@example.net\n"
            "5 gone@example.org kind=reject code=550 text=No such user here\n"
            "6 lost: @example.org: the map has no alias of a whole domain; `maptool set @DOMAIN "
            "route=SERVER deliver_as=@DOMAIN` has the server know its users so\n"
            "7 note: joe@example.com is in a domain that is not in the configuration\n"
            "8 a@example.org kind=reject code=552 text=5.7.1 Not here\n"
            "9 b@example.org kind=reject code=450 text=4.2.1 Later\n"
            "10 c@example.org kind=reject\n"
            "11 d@example.org kind=reject code=550 text=5.1.6 Moved away\n"
            "12 e@example.org kind=reject code=450 text=At odds\n"
            "13 note: f@example.org is refused with the map's own words: these cannot be in an "
            "SMTP answer\n"
            "13 f@example.org kind=reject code=550\n"
            "14 g@example.org kind=reject text=no such user\n"},
        {"local users of a domain", READER_SENDMAIL_VIRTUSERTABLE, "example.org", NULL,
            "ann@example.org ann\na.smith@example.org ann\n",
            "1 ann@example.org\n2 a.smith@example.org kind=alias to=ann@example.org\n"},
        {"mailertable", READER_SENDMAIL_MAILERTABLE, NULL, NULL,
            "example.org\tesmtp:[10.1.1.5]\n.example.org\tsmtp:[10.1.1.5]\n"
            "ex\xc3\xa4mple.org\tsmtp8:[IPv6:2001:db8::1]:2525\nexample.net\terror:nohost x\nfoo\n",
            "1 @example.org route=old\n"
            "2 note: .example.org is about the subdomains of a domain: the map has an entry for "
            "each domain\n"
            "3 @ex\xc3\xa4mple.org route=six\n"
            "4 note: @example.net is in a domain that is not in the configuration\n"
            "5 bad: foo has nothing behind it\n"},
    };
    (void)state;
    check_all(rows, COUNT_OF(rows));
}

static void test_aliases(void **state)
{
    static const struct row rows[] = {
        {"aliases of Debian", READER_ALIASES, "example.org", NULL,
            "# See man 5 aliases for format\n"
            "postmaster:    root\n"
            "root: ann, \\bob,\n"
            "   cat@example.net\n"
            "staff: :include:/etc/mail/staff\n"
            "rt: \"|/usr/bin/rt-mailgate --queue general\"\n"
            "log: /var/log/mails\n"
            "\"Joe\": joe\n"
            "ann : ann\n"
            "colon\n"
            "none:\n",
            "2 postmaster@example.org kind=alias to=root@example.org\n"
            "3 root@example.org kind=alias to=ann@example.org,bob@example.org,cat@example.net\n"
            "5 note: staff is a group, which its server expands\n"
            "5 staff@example.org kind=group\n"
            "6 note: rt is a group, which its server expands\n"
            "6 rt@example.org kind=group\n"
            "7 note: log is a group, which its server expands\n"
            "7 log@example.org kind=group\n"
            "8 Joe@example.org\n"
            "9 ann@example.org\n"
            "10 bad: this is not \"name: address\"\n"
            "11 bad: none leads nowhere\n"},
        {"without a domain", READER_ALIASES, NULL, NULL, "a: b\nc@example.org: d\n",
            "1 bad: a has no domain: say which one is meant with --domain\n"
            "2 bad: d has no domain: say which one is meant with --domain\n"},
    };
    (void)state;
    check_all(rows, COUNT_OF(rows));
}

static void test_ldif(void **state)
{
    static const struct row rows[] = {
        {"OpenLDAP", READER_LDIF, NULL, NULL,
            "version: 1\n\n"
            "# people\n"
            "#  and more\n"
            "dn: ou=people,dc=example,dc=org\nobjectClass: organizationalUnit\n\n"
            "dn: uid=ann,ou=people,dc=example,\n dc=org\n"
            "objectClass: inetOrgPerson\n"
            "mail: ann@exam\n ple.org\n"
            "mail:: YS5zbWl0aEBleGFtcGxlLm9yZw==\n"
            "jpegPhoto:: /9j/4AAQSkZJRgABAQ\n AAAQABAAD=\n"
            "mailHost: mail.example.org\n"
            "mailAlternateAddress;x-a: annie@example.org\n\n\n"
            "dn: uid=bob,dc=example,dc=org\r\nmailLocalAddress: bob@example.org\r\n"
            "mailRoutingAddress: bob@mbx.example.org\r\nmailHost: 10.1.1.5\r\n",
            "8 ann@example.org route=old\n"
            "8 a.smith@example.org kind=alias to=ann@example.org\n"
            "8 annie@example.org kind=alias to=ann@example.org\n"
            "20 bob@example.org route=old deliver_as=bob@mbx.example.org\n"
            "0 note: 1 entries without an address\n"},
        {"Active Directory", READER_LDIF, NULL, NULL,
            "dn: CN=J\xc3\xb6rg,DC=example,DC=org\nchangetype: add\n"
            "mail: joerg@example.org\n"
            "proxyAddresses: x500:/o=Example/ou=x/cn=joerg\n"
            "proxyAddresses: smtp:joerg@example.org\n"
            "legacyExchangeDN: /o=Example/ou=First Group (A)/cn=J.M_1\n"
            "proxyAddresses: X500:/O=EXAMPLE/OU=X/CN=JOERG\n"
            "proxyAddresses: X500:CN=no,DC=legacy\nproxyAddresses: SIP:joerg@example.org\n"
            "proxyAddresses: SMTP:Joerg.M@example.org\n"
            "proxyAddresses: smtp:j@example.net\n\n"
            "dn: CN=Sales,DC=example,DC=org\nobjectClass: top\nobjectClass: group\n"
            "mail: sales@example.org\n",
            "8 lost: CN=no,DC=legacy is no X.500 name that an address can have\n"
            "1 Joerg.M@example.org\n"
            "1 joerg@example.org kind=alias to=Joerg.M@example.org\n"
            "1 note: j@example.net is in a domain that is not in the configuration\n"
            "1 IMCEAEX-_o=Example_ou=x_cn=joerg@example.org kind=alias to=Joerg.M@example.org\n"
            "1 IMCEAEX-_o=Example_ou=First+20Group+20+28A+29_cn=J+2EM+5F1@example.org kind=alias "
            "to=Joerg.M@example.org\n"
            "13 sales@example.org kind=group\n"},
        {"X.500 names of the domain that is named", READER_LDIF, "example.org", NULL,
            "dn: cn=a\nlegacyExchangeDN: /o=E/cn=a\nmail: a@two.example\n\n"
            "dn: cn=b\nlegacyExchangeDN: /o=E/cn=b\nmail: b@xn--exmple-cua.org\n\n"
            "dn: cn=nobody\nlegacyExchangeDN: /o=E/cn=nobody\n",
            "1 note: a@two.example is in a domain that is not in the configuration\n"
            "5 b@xn--exmple-cua.org\n5 IMCEAEX-_o=E_cn=b@example.org kind=alias "
            "to=b@xn--exmple-cua.org\n"
            "0 note: 1 entries without an address\n"},
        {"nisMailAlias", READER_LDIF, "example.org", NULL,
            "dn: cn=root\ncn: root\nrfc822MailMember: ann\nrfc822MailMember: bob@example.org\n",
            "1 root@example.org kind=alias to=ann@example.org,bob@example.org\n"},
        {"changes", READER_LDIF, NULL, NULL,
            "dn: cn=a\nchangetype: modify\nreplace: mail\nmail: a@example.org\n-\n\n"
            "dn: cn=b\nmail: b@example.org\n",
            "1 bad: this is a change of a directory: an import needs its entries as they are\n"
            "7 b@example.org\n"},
        {"wrong lines", READER_LDIF, NULL, NULL,
            "mail: a@example.org\ndn: cn=a\nmail\nmail:: ????\nmail:: YQ==YQ\nmail:< file:///x\n"
            "mail:: YQBi\nmail: c@example.org\n",
            "1 bad: an entry begins with \"dn:\"\n"
            "3 bad: this is not \"attribute: value\"\n"
            "4 bad: the value of mail is no text\n"
            "5 bad: the value of mail is no text\n"
            "6 bad: mail is in another file\n"
            "7 bad: the value of mail is no text\n"
            "2 c@example.org\n"},
        {"another server", READER_LDIF, NULL, "smtp:mbx7=new",
            "dn: a\nmail: a@example.org\nmailHost: mbx7\n", "1 a@example.org route=new\n"},
        {"an unknown server", READER_LDIF, NULL, NULL,
            "dn: a\nmail: a@example.org\nmailHost: mbx7\n",
            "1 bad: no server of the configuration is smtp:mbx7: say which one with --next-hop "
            "'smtp:mbx7=SERVER'\n"},
    };
    (void)state;
    check_all(rows, COUNT_OF(rows));
}

static void test_guess(void **state)
{
    static const struct {
        const char *path, *start;
        enum reader_format want;
    } rows[] = {
        {"/etc/postfix/transport", "", READER_POSTFIX_TRANSPORT},
        {"relay_recipients", "", READER_POSTFIX_RELAY_RECIPIENTS},
        {"/etc/aliases", "", READER_ALIASES},
        {"/etc/mail/virtusertable", "", READER_SENDMAIL_VIRTUSERTABLE},
        {"/etc/mail/mailertable", "", READER_SENDMAIL_MAILERTABLE},
        {"/etc/postfix/virtual", "", READER_POSTFIX_VIRTUAL},
        {"my.transport", "a@x b", READER_CSV},
        {"-", "\xef\xbb\xbf# x\r\n\r\nDN: a\r\n", READER_LDIF},
        {"-", "version: 1\n", READER_LDIF},
        {"-", "dn,mail\n", READER_CSV},
        {"-", "", READER_CSV},
    };
    enum reader_format format;
    struct buf names;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].path,
            reader_guess(slice_str(rows[i].path), slice_str(rows[i].start)) == rows[i].want);
    buf_init(&names, 400);
    assert_int_equal(reader_format_names(&names), 0);
    struct slice rest = buf_slice(&names), name;
    for (size_t i = 0; slice_split(&rest, ',', &name); i++) {
        assert_int_equal(reader_format_parse(slice_trim(name), &format), 0);
        assert_int_equal(format, i);
        assert_slice_equal(slice_trim(name), reader_format_name(format));
    }
    buf_fini(&names);
    assert_int_equal(reader_format_parse(SLICE_LIT("xls"), &format), -1);
}

static void test_hops(void **state)
{
    const struct sink sink = {0};
    struct site site = {.conf = &CONF, .sink = &sink};
    struct err err = ERR_INIT;
    (void)state;
    assert_int_equal(site_hop(&site, SLICE_LIT("x=mars"), &err), -1);
    assert_int_equal(site_hop(&site, SLICE_LIT("=old"), &err), -1);
    assert_int_equal(site_hop(&site, SLICE_LIT("old"), &err), -1);
    for (size_t i = 0; i < SITE_HOPS_MAX; i++)
        assert_int_equal(site_hop(&site, SLICE_LIT("a=b=old"), &err), 0);
    assert_int_equal(site_hop(&site, SLICE_LIT("x=old"), &err), -1);
}

/* A line of n bytes. */
static int read_long(size_t n)
{
    const struct sink sink = {.row = on_row, .bad = on_bad, .note = on_note};
    struct site site = {.conf = &CONF, .sink = &sink};
    struct err err = ERR_INIT;
    struct reader r;
    char *text = malloc(n);
    int rc;

    assert_non_null(text);
    memset(text, '#', n);
    reader_init(&r, READER_LDIF, &site);
    rc = reader_feed(&r, slice_make(text, n), &err);
    if (rc == 0)
        rc = reader_feed(&r, SLICE_LIT("\n"), &err);
    if (rc != 0)
        assert_string_equal(err.text, "line 1: longer than 16777216 bytes");
    reader_fini(&r);
    free(text);
    return rc;
}

static void test_long_lines(void **state)
{
    (void)state;
    assert_int_equal(read_long(LINES_MAX - 1), 0);
    assert_int_equal(read_long(LINES_MAX), 0);
    assert_int_equal(read_long(LINES_MAX + 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_postfix),
        cmocka_unit_test(test_sendmail),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_ldif),
        cmocka_unit_test(test_guess),
        cmocka_unit_test(test_hops),
        cmocka_unit_test(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
