/* SPDX-License-Identifier: ISC */
/* decision: what is in a decision, for those who got one from decide(). */
#include <string.h>
#include "maps/route.h"

static const char *const decision_names[] = {
    [DECIDE_DELIVER] = "deliver",
    [DECIDE_HOLD] = "hold",
    [DECIDE_REJECT] = "reject",
    [DECIDE_DEFER] = "defer",
    [DECIDE_NOT_OURS] = "not-ours",
};
_Static_assert(
    sizeof decision_names / sizeof *decision_names == DECIDE_NOT_OURS + 1, "a name each");

const char *decision_kind_name(enum decision_kind kind)
{
    return decision_names[kind];
}

size_t decision_enhanced(struct slice text, unsigned class)
{
    size_t dots = 0, n = 0;
    while (n < text.n && (ascii_is_digit(text.p[n]) || text.p[n] == '.'))
        dots += text.p[n++] == '.';
    return dots == 2 && n >= 5 && n < 8 && text.p[0] == '0' + class && text.p[1] == '.' &&
                   text.p[n - 1] != '.' && (n == text.n || text.p[n] == ' ')
               ? n
               : 0;
}

/* --- What is in a decision --------------------------------------------------------------- */

int decision_server(const struct decision *d)
{
    return d->n_deliveries > 0 ? d->deliveries[0].server : CONF_SERVER_NONE;
}

bool decision_has(const struct decision *d, const struct decide_delivery *delivery)
{
    for (size_t i = 0; i < d->n_deliveries; i++)
        if (d->deliveries[i].server == delivery->server &&
            strcmp(d->deliveries[i].address, delivery->address) == 0)
            return true;
    return false;
}

uint64_t decision_epoch(const struct decision *d)
{
    return d->n_deliveries > 0 ? d->deliveries[0].epoch : 0;
}

struct slice decision_key(const struct decision *d, size_t i)
{
    return slice_make(d->keys[i].text, d->keys[i].n);
}

bool decision_is_unmapped(const struct decision *d, size_t i, struct slice *key_out)
{
    const struct decide_delivery *to = &d->deliveries[i];
    if (d->n_keys == 0 || to->is_copy ||
        (to->key != DECIDE_NO_KEY && decision_key(d, to->key).p[0] != '@'))
        return false;
    *key_out = decision_key(d, to->rcpt == 0 ? d->user : to->rcpt);
    return key_out->p[0] != '@' && !normalise_is_role(*key_out);
}

static int copy_text(struct arena *mem, const char **text)
{
    struct slice copy = arena_dup(mem, slice_make(*text, strlen(*text) + 1));
    if (!copy.p)
        return -1;
    *text = (const char *)copy.p;
    return 0;
}

static void *copy_array(struct arena *mem, const void *from, size_t n, size_t size)
{
    void *to = arena_alloc(mem, n * size);
    if (to && n > 0)
        memcpy(to, from, n * size);
    return to;
}

int decision_copy(const struct decision *d, struct arena *mem, struct decision *out)
{
    struct decision copy = *d;
    copy.keys = copy_array(mem, d->keys, d->n_keys, sizeof *d->keys);
    copy.deliveries = copy_array(mem, d->deliveries, d->n_deliveries, sizeof *d->deliveries);
    if (!copy.keys || !copy.deliveries || (d->text && copy_text(mem, &copy.text) != 0))
        return -1;
    for (size_t i = 0; i < copy.n_keys; i++)
        if (copy_text(mem, &copy.keys[i].text) != 0)
            return -1;
    for (size_t i = 0; i < copy.n_deliveries; i++)
        if ((copy.deliveries[i].address && copy_text(mem, &copy.deliveries[i].address) != 0) ||
            (copy.deliveries[i].errors_to && copy_text(mem, &copy.deliveries[i].errors_to) != 0))
            return -1;
    copy.chain = NULL; /* for whoever changes the map, who has the decision itself */
    *out = copy;
    return 0;
}
