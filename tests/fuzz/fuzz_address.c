/* SPDX-License-Identifier: ISC */
/*
 * fuzz_address: any bytes as mailbox and as path.  What is accepted has nothing that could break a
 * command line, keeps its meaning when it is quoted anew, and names a domain that is one.  However
 * a path was written, what is left of it is an address that stands between brackets as it is, and
 * read again it is itself.
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/mail/address.h"
#include "base/mail/idn.h"

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_mailbox(struct slice text, const struct address *a)
{
    unsigned char meaning[ADDRESS_LOCAL_MAX], again[2 * ADDRESS_LOCAL_MAX];
    char domain[IDN_DOMAIN_MAX + 1], twice[IDN_DOMAIN_MAX + 1];
    struct buf quoted;
    CHECK(text.n <= ADDRESS_MAX && a->local.n + a->domain.n <= text.n);
    for (size_t i = 0; i < text.n; i++)
        CHECK(text.p[i] >= ' ' && text.p[i] != 0x7f);
    size_t n = address_unquote(a->local, meaning);
    buf_init(&quoted, 2 * ADDRESS_LOCAL_MAX + 2);
    CHECK(address_quote(slice_make(meaning, n), &quoted) == 0);
    CHECK(quoted.n <= a->local.n);
    CHECK(address_unquote(buf_slice(&quoted), again) == n && memcmp(meaning, again, n) == 0);
    buf_fini(&quoted);
    if (a->domain.n == 0 || a->is_literal || idn_to_ascii(a->domain, domain) != 0)
        return;
    CHECK(address_is_ascii(slice_str(domain)));
    CHECK(idn_to_ascii(slice_str(domain), twice) == 0 && strcmp(domain, twice) == 0);
}

static void check_path(struct slice text, bool is_strict)
{
    struct slice rest = text, mailbox, again, inside;
    unsigned char plain[ADDRESS_MAX], none[ADDRESS_MAX];
    struct address a, b;
    enum address_path path = address_path_parse(&rest, is_strict, &a, &mailbox, plain);
    struct buf between;
    if (path == ADDRESS_PATH_BAD) {
        CHECK(rest.p == text.p && rest.n == text.n && mailbox.n == 0);
        return;
    }
    CHECK(rest.n < text.n && rest.p + rest.n == text.p + text.n);
    if (is_strict)
        CHECK(text.p[0] == '<' && rest.p[-1] == '>' && path != ADDRESS_PATH_LOCAL);
    CHECK((path == ADDRESS_PATH_NULL) == (mailbox.n == 0));
    CHECK((path == ADDRESS_PATH_MAILBOX) == (a.domain.n > 0));
    if (mailbox.n > 0)
        check_mailbox(mailbox, &a);
    buf_init(&between, ADDRESS_MAX + 2);
    CHECK(buf_addf(&between, "<%.*s>", SLICE_ARG(mailbox)) == 0);
    inside = buf_slice(&between);
    CHECK(address_path_parse(&inside, path != ADDRESS_PATH_LOCAL, &b, &again, none) == path);
    /* An address by the rules of today is not written anew. */
    CHECK(inside.n == 0 && slice_eq(again, mailbox) && (again.n == 0 || again.p != none));
    buf_fini(&between);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_make(data, size);
    struct address a;
    if (address_parse(text, &a) == 0)
        check_mailbox(text, &a);
    check_path(text, false);
    check_path(text, true);
    char domain[IDN_DOMAIN_MAX + 1];
    if (idn_to_ascii(text, domain) == 0)
        CHECK(address_is_ascii(slice_str(domain)));
    return 0;
}
