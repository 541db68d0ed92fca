/* SPDX-License-Identifier: ISC */
/*
 * export_other: in tables, the other addresses of lists (list_addresses of a domain): each entry
 * has a line for every form, as a look-up of that address would find it, unless the map has an
 * entry for the address itself.  A table has no rule "whatever ends in -request", so it is the
 * names that are written out: the domain's forms times its entries.
 */
#include "maps/format/export_lines.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "base/mail/address.h"

static const struct conf_domain *domain_with_lists(const struct export *x, struct slice key)
{
    const struct conf_domain *d =
        key.p[0] == '@' ? NULL : conf_domain(x->conf, normalise_domain(key));
    return d && d->list_addresses.n > 0 ? d : NULL;
}

bool export_wants_all(const struct export *x)
{
    bool has_lists = false;
    for (size_t i = 0; i < x->conf->n_domains; i++)
        has_lists |= x->conf->domains[i].list_addresses.n > 0;
    return has_lists && export_is_table(x->format);
}

/* --- Those with an entry of their own -----------------------------------------------------------
 */

void export_note_own(struct export *x, struct slice key)
{
    const struct conf_domain *d = domain_with_lists(x, key);
    struct buf list;

    if (!d)
        return;
    buf_init(&list, 2 * ROUTE_KEY_MAX);
    if (normalise_list(d, key, &list)) {
        if (x->n_own == x->cap_own) {
            x->cap_own = x->cap_own ? 2 * x->cap_own : 64;
            x->own = mem_realloc_array(x->own, x->cap_own, sizeof *x->own);
        }
        x->own[x->n_own++] = route_key_hash(key);
        x->is_own_sorted = false;
    }
    buf_fini(&list);
}

static int compare_hashes(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool has_own(struct export *x, struct slice key)
{
    uint64_t hash = route_key_hash(key);

    if (!x->is_own_sorted)
        mem_sort(x->own, x->n_own, sizeof *x->own, compare_hashes);
    x->is_own_sorted = true;
    return mem_search(&hash, x->own, x->n_own, sizeof hash, compare_hashes) != NULL;
}

/* --- Their lines ------------------------------------------------------------------------------ */

/* The form with the local part of an address in the place of its "*", and its domain. */
static int fill_in(const char *form, struct slice address, struct buf *out)
{
    unsigned char meaning[ADDRESS_LOCAL_MAX], text[2 * ADDRESS_LOCAL_MAX];
    struct slice local = normalise_local(address), all = slice_str(form);
    ptrdiff_t star = slice_find(all, '*');
    struct buf name;

    BUG_ON(star < 0);
    if (local.n == 0 || local.n > ADDRESS_LOCAL_MAX)
        return -1;
    local = slice_make(meaning, address_unquote(local, meaning));
    buf_init(&name, sizeof text);
    int rc = buf_add(&name, slice_sub(all, 0, (size_t)star)) != 0 || buf_add(&name, local) != 0 ||
                     buf_add(&name, slice_from(all, (size_t)star + 1)) != 0
                 ? -1
                 : address_quote(buf_slice(&name), out);
    buf_fini(&name);
    return rc != 0 || buf_add_byte(out, '@') != 0 ? -1 : buf_add(out, normalise_domain(address));
}

/* Of one form.  A form that gives no address that can be in a table, or one of another list, has no
 * line. */
static int other_entry(struct export *x, const struct conf_domain *d, const char *form,
    struct slice key, const struct route_entry *e, struct buf *out)
{
    struct route_entry other = *e;
    struct buf address, name, list, as;
    int rc = 0;

    buf_init(&address, 4 * ROUTE_KEY_MAX);
    buf_init(&name, 2 * ROUTE_KEY_MAX);
    buf_init(&list, 2 * ROUTE_KEY_MAX);
    buf_init(&as, 4 * ROUTE_KEY_MAX);
    if (fill_in(form, key, &address) != 0 ||
        normalise_key(x->conf, buf_slice(&address), &name) != 0 || name.n > ROUTE_KEY_MAX ||
        !export_fits_table(buf_slice(&name)) || export_role_of(buf_slice(&name)) >= 0 ||
        !normalise_list(d, buf_slice(&name), &list) || !slice_eq(buf_slice(&list), key) ||
        has_own(x, buf_slice(&name)))
        goto done;
    if (e->deliver_as.n > 0 && e->deliver_as.p[0] != '@') {
        if (fill_in(form, e->deliver_as, &as) != 0)
            goto done;
        other.deliver_as = buf_slice(&as);
    }
    rc = export_table_entry(x, buf_slice(&name), &other, out);
done:
    buf_fini(&as);
    buf_fini(&list);
    buf_fini(&name);
    buf_fini(&address);
    return rc;
}

int export_other_entries(
    struct export *x, struct slice key, const struct route_entry *e, struct buf *out)
{
    const struct conf_domain *d = domain_with_lists(x, key);
    struct route_entry other = *e;
    size_t deliver_as = x->deliver_as, held = x->held;
    int rc = 0;

    if (!d)
        return 0;
    other.senders = SLICE_NONE; /* of the list itself */
    if (e->state != ROUTE_STATE_HELD && e->route.n == 0 && e->targets.n > 0) {
        if (e->owner.n == 0)
            return 0;
        other.kind = ROUTE_KIND_ALIAS;
        other.targets = e->owner;
    }
    for (size_t i = 0; i < d->list_addresses.n && rc == 0; i++)
        rc = other_entry(x, d, d->list_addresses.v[i], key, &other, out);
    x->deliver_as = deliver_as; /* which count entries */
    x->held = held;
    return rc;
}
