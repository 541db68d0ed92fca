/* SPDX-License-Identifier: ISC */
/* export_address: the tables that rewrite, other addresses of recipients and aliases. */
#include "maps/format/export_lines.h"

#include "base/core/mem.h"

static int add_pair(struct export *x, const struct export_domain *domain, struct slice key,
    struct slice value, struct buf *out)
{
    if (!export_folds(x, domain)) {
        char *text = slice_dup(value);
        export_push_line(&x->cased, &x->n_cased, &x->cap_cased, key, text, false);
        mem_free_string(&text);
        return 0;
    }
    return buf_addf(out, "%.*s\t%.*s\n", SLICE_ARG(key), SLICE_ARG(value));
}

static int alias_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    struct slice rest = e->targets, one;
    struct buf value;
    int rc = 0;

    if (e->state != ROUTE_STATE_ACTIVE)
        return 0;
    if (!export_fits_table(key) || !export_fits_alias(x, e)) {
        export_tell(x, key);
        return 0;
    }
    buf_init(&value, 2 * ROUTE_TARGETS_MAX);
    while (rc == 0 && route_list_next(&rest, &one))
        rc = buf_addf(&value, "%s%.*s", value.n ? ", " : "", SLICE_ARG(one));
    if (rc == 0 && value.n > 0)
        rc = add_pair(x, export_domain_of(x, key), key, buf_slice(&value), out);
    buf_fini(&value);
    return rc;
}

int export_address_entry(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    struct export_domain *domain = export_domain_of(x, key);
    struct slice as = e->kind == ROUTE_KIND_REJECT ? SLICE_NONE : e->deliver_as;
    int role = export_role_of(key), rc;
    struct buf own;

    if (domain && role >= 0)
        domain->has_role[role] = true;
    if (export_is_alias(e))
        return alias_entry(x, key, e, out);
    if (as.n == 0 && (key.p[0] == '@' || !domain || !domain->rewrites))
        return 0;
    if (!export_fits_table(key) || (as.n > 0 && slice_find(as, '"') >= 0) ||
        (x->format == EXPORT_SENDMAIL_ADDRESS && key.p[0] == '@' && as.p[0] == '@')) {
        export_tell(x, key);
        return 0;
    }
    if (as.n == 0) /* the domain's entry would rewrite it */
        return add_pair(x, domain, key, key, out);
    if (as.p[0] != '@' || key.p[0] == '@')
        return add_pair(x, key.p[0] == '@' ? NULL : domain, key, as, out);
    buf_init(&own, 2 * ROUTE_KEY_MAX);
    rc = buf_add(&own, normalise_local(key)) != 0 || buf_add(&own, as) != 0
             ? -1
             : add_pair(x, domain, key, buf_slice(&own), out);
    buf_fini(&own);
    return rc;
}

int export_address_end(struct export *x, struct buf *out)
{
    for (size_t i = 0; i < x->conf->n_domains; i++)
        for (size_t role = 0; role < EXPORT_ROLES; role++)
            if (x->domains[i].rewrites && !x->domains[i].has_role[role] &&
                buf_addf(out, "%s@%s\t%s@%s\n", export_roles[role], x->conf->domains[i].name,
                    export_roles[role], x->conf->domains[i].name) != 0)
                return -1;
    return 0;
}
