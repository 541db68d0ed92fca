/* SPDX-License-Identifier: ISC */
/*
 * sendmail: see sendmail.h, and cf/README of Sendmail for both tables.
 *
 *     virtusertable  user@domain  name            a local user
 *                    user@domain  user@elsewhere
 *                    user@domain  error:5.7.0:550 text
 *                    @domain      %1@elsewhere    the same names in another domain
 *     mailertable    domain  mailer:host          .domain  mailer:host
 *
 * A local user without a domain of its own (--domain) is a mailbox under the key: the server that
 * has the table knows it by that.
 */
#include "maps/format/sendmail.h"

#include "base/core/buf.h"
#include "maps/route.h"

static bool is_error(struct slice value, struct slice *text_out)
{
    if (!slice_starts_nocase(value, SLICE_LIT("error:")))
        return false;
    *text_out = slice_from(value, 6);
    return true;
}

int sendmail_virtusertable(const struct site *s, size_t line, struct slice text, struct err *err)
{
    struct slice value, key = site_word(text, &value), error;

    if (value.n == 0)
        return sink_bad(s->sink, line, err, "%.*s has nothing behind it", SLICE_ARG(key));
    if (is_error(value, &error))
        return site_reject(s, line, key, error, err);
    if (slice_find(value, '%') >= 0) {
        sink_lost(s->sink, line,
            "%.*s: the map has no alias of a whole domain; `maptool set @DOMAIN route=SERVER "
            "deliver_as=@DOMAIN` has the server know its users so",
            SLICE_ARG(key));
        return 0;
    }
    if (slice_find(value, '@') < 0 && s->domain.n == 0)
        return site_mailbox(s, line, key, SLICE_NONE, SLICE_NONE, err);
    return site_alias(s, line, key, value, err);
}

int sendmail_mailertable(const struct site *s, size_t line, struct slice text, struct err *err)
{
    struct slice value, key = site_word(text, &value), error;
    struct buf domain;
    int rc;

    if (value.n == 0)
        return sink_bad(s->sink, line, err, "%.*s has nothing behind it", SLICE_ARG(key));
    if (key.p[0] == '.') {
        sink_note(s->sink, line,
            "%.*s is about the subdomains of a domain: the map has an entry "
            "for each domain",
            SLICE_ARG(key));
        return 0;
    }
    buf_init(&domain, ROUTE_KEY_MAX);
    if (buf_add_byte(&domain, '@') != 0 || buf_add(&domain, key) != 0)
        rc = sink_bad(s->sink, line, err, "the name of a domain is too long");
    else if (is_error(value, &error))
        rc = site_reject(s, line, buf_slice(&domain), error, err);
    else
        rc = site_mailbox(s, line, buf_slice(&domain), value, SLICE_NONE, err);
    buf_fini(&domain);
    return rc;
}
