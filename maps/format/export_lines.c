/* SPDX-License-Identifier: ISC */
/* export_lines: see export_lines.h. */
#include "maps/format/export_lines.h"

#include <stdlib.h>
#include "base/core/mem.h"
#include "maps/next_hop.h"

const struct route_entry export_held = {.state = ROUTE_STATE_HELD};
const char *const export_roles[EXPORT_ROLES] = {"postmaster", "abuse"};

int export_wait_postfix(const char *code, const char *text, struct buf *out)
{
    return buf_addf(out, "retry:%s %s", code, text);
}

static int postfix_refuse(struct buf *out)
{
    return buf_add_str(out, "error:5.1.1 User unknown");
}

/* Whether there is such an address, nothing else: what happens to it says the transport table. */
static int exists_wait(const char *code ATTR_UNUSED, const char *text ATTR_UNUSED, struct buf *out)
{
    return buf_add_str(out, "OK");
}

static int exists_refuse(struct buf *out ATTR_UNUSED)
{
    return 0;
}

static int exists_deliver(const struct conf_server *server ATTR_UNUSED, struct buf *out)
{
    return buf_add_str(out, "OK");
}

static int sendmail_wait(const char *code, const char *text, struct buf *out)
{
    return buf_addf(out, "error:%s:450 %s", code, text);
}

static int sendmail_refuse(struct buf *out)
{
    return buf_add_str(out, "error:5.1.1:550 User unknown");
}

const struct export_words *export_words_of(enum export_format format)
{
    static const struct export_words transport = {export_wait_postfix, postfix_refuse,
                                         next_hop_postfix, ""},
                                     recipients = {exists_wait, exists_refuse, exists_deliver, "@"},
                                     mailhost = {
                                         sendmail_wait, sendmail_refuse, next_hop_sendmail, "@"};

    return format == EXPORT_POSTFIX_TRANSPORT    ? &transport
           : format == EXPORT_POSTFIX_RECIPIENTS ? &recipients
           : format == EXPORT_SENDMAIL_MAILHOST  ? &mailhost
                                                 : NULL;
}

bool export_fits_table(struct slice key)
{
    return key.p[0] != '#' && slice_find(key, '"') < 0;
}

bool export_is_refusal(const struct route_entry *e)
{
    return e->kind == ROUTE_KIND_REJECT && e->state == ROUTE_STATE_ACTIVE;
}

bool export_is_alias(const struct route_entry *e)
{
    return e->kind == ROUTE_KIND_ALIAS || e->kind == ROUTE_KIND_FORWARD ||
           (e->kind == ROUTE_KIND_GROUP && e->route.n == 0);
}

bool export_fits_alias(const struct export *x, const struct route_entry *e)
{
    bool is_sendmail =
        x->format == EXPORT_SENDMAIL_ADDRESS || x->format == EXPORT_SENDMAIL_MAILHOST;
    return e->senders.n == 0 && slice_find(e->targets, '"') < 0 &&
           (!is_sendmail || route_list_count(e->targets) == 1);
}

int export_add_next_hop(const struct export *x, int server, struct buf *out)
{
    const struct export_words *w = export_words_of(x->format);

    if (server == CONF_SERVER_NONE)
        return w->wait("4.3.5", "The server of this recipient is not configured", out);
    if (!conf_server_takes_mail(&x->conf->servers[server]))
        return w->wait("4.3.5", "The server of this recipient takes no mail", out);
    return w->deliver(&x->conf->servers[server], out);
}

int export_add_answer(
    const struct export *x, const struct route_entry *e, int server, struct buf *out)
{
    if (e->state == ROUTE_STATE_HELD)
        return export_words_of(x->format)->wait("4.2.1", "This mailbox is being moved", out);
    if (e->state == ROUTE_STATE_RETIRING)
        return export_words_of(x->format)->wait("4.2.1", "This mailbox is being closed", out);
    if (e->kind == ROUTE_KIND_REJECT)
        return export_words_of(x->format)->refuse(out);
    if (export_is_alias(e)) /* the table of addresses has rewritten it before, if it is used */
        return export_words_of(x->format)->wait("4.3.5", "This is an alias", out);
    return export_add_next_hop(x, server, out);
}

int export_end_line(struct buf *out, size_t before, size_t answer)
{
    if (out->n > answer)
        return buf_add_byte(out, '\n');
    buf_truncate(out, before);
    return 0;
}

void export_push_line(struct export_line **v, size_t *n, size_t *cap, struct slice key,
    const char *answer, bool is_refusal)
{
    if (*n == *cap) {
        *cap = *cap ? 2 * *cap : 64;
        *v = mem_realloc_array(*v, *cap, sizeof **v);
    }
    struct export_line *line = &(*v)[(*n)++];
    *line = (struct export_line){.key = slice_dup(key),
        .folded = slice_dup(key),
        .answer = mem_strdup(answer),
        .is_refusal = is_refusal};
    for (char *p = line->folded; *p; p++)
        *p = (char)ascii_lower((unsigned char)*p);
}

void export_free_lines(struct export_line **v, size_t *n, size_t *cap)
{
    for (size_t i = 0; i < *n; i++) {
        mem_free_string(&(*v)[i].key);
        mem_free_string(&(*v)[i].folded);
        mem_free_string(&(*v)[i].answer);
    }
    free(*v);
    *v = NULL;
    *n = *cap = 0;
}

/* Refusals last: they give way to a user, whose server refuses the others. */
int export_compare_lines(const void *a, const void *b)
{
    const struct export_line *one = a, *other = b;
    int order = strcmp(one->folded, other->folded);

    return order != 0 ? order : (int)one->is_refusal - (int)other->is_refusal;
}

size_t export_one_group(const struct export_line *v, size_t n, size_t from, bool *is_one_out)
{
    size_t to;

    *is_one_out = true;
    for (to = from + 1; to < n && strcmp(v[to].folded, v[from].folded) == 0; to++)
        *is_one_out &= v[to].is_refusal || strcmp(v[to].answer, v[from].answer) == 0;
    return to;
}

int export_write_cased(struct export *x, struct buf *out)
{
    const struct export_words *w = export_words_of(x->format);
    size_t from, to;

    mem_sort(x->cased, x->n_cased, sizeof *x->cased, export_compare_lines);
    for (from = 0; from < x->n_cased; from = to) {
        const struct export_line *first = &x->cased[from];
        size_t before = out->n, answer;
        bool is_one;

        to = export_one_group(x->cased, x->n_cased, from, &is_one);
        for (size_t i = from; i < to; i++)
            if (!is_one || strcmp(x->cased[i].answer, first->answer) != 0)
                export_tell(x, slice_str(x->cased[i].key));
        if (buf_addf(out, "%s\t", first->folded) != 0)
            return -1;
        answer = out->n;
        if (is_one ? buf_add_str(out, first->answer) != 0
                   : w && w->wait("4.3.5", "This table cannot tell upper and lower case", out) != 0)
            return -1;
        if (export_end_line(out, before, answer) != 0)
            return -1;
    }
    return 0;
}

int export_role_of(struct slice key)
{
    for (size_t i = 0; i < EXPORT_ROLES; i++)
        if (slice_eq(normalise_local(key), slice_str(export_roles[i])))
            return (int)i;
    return -1;
}

bool export_folds(const struct export *x, const struct export_domain *domain)
{
    return !domain || x->conf->domains[domain - x->domains].fold_local_part;
}
