/* SPDX-License-Identifier: ISC */
/*
 * pass_flags: flags, and changes of single messages, that the target does not take: what of the
 * plan rests because of it, and how it is told.
 *
 * Of a message that lacks flags (E-FLAG) no keywords are sent before it is due again, and never if
 * that was accepted; what else its user does to its flags is done.  While it rests the folder's
 * tokens stay where they are, so that it is told again when it is due.
 */
#include "base/core/mem.h"
#include "imapsync/copy/folder_parts.h"

/* The change without the keywords that it adds, as one more of the plan's. */
static uint32_t without_keywords(struct plan *p, uint32_t change)
{
    struct plan_change less = p->changes[change];
    struct flags dropped = less.add;
    dropped.system = 0;
    less.add = flags_minus(&less.add, &dropped);
    less.now = flags_minus(&less.now, &dropped);
    p->changes = mem_realloc_array(p->changes, p->n_changes + 1, sizeof(*p->changes));
    p->changes[p->n_changes] = less;
    return (uint32_t)p->n_changes++;
}

static bool is_empty(const struct plan_change *c)
{
    return flags_empty(&c->add) && flags_empty(&c->remove);
}

/* What is tried again counts as mended until it is told once more. */
static int expect(struct works *all, const struct plan_op *op, struct err *err)
{
    const struct item_key key = {
        all->planned[op->folder]->record->source.name, op->src_uid, ITEM_FLAG};
    return copy_tell_mended(all->c, &key, err);
}

int pass_rest_flags(struct works *all, struct err *err)
{
    struct plan *p = &all->plan;
    size_t kept = 0;
    uint32_t last = 0, less = 0;
    bool has_less = false;
    if (all->c->tell.n_flags == 0)
        return 0;
    for (size_t i = 0; i < p->n_ops; i++) {
        struct plan_op op = p->ops[i];
        struct work *w = all->planned[op.folder];
        enum tell_fate fate;
        bool is_known = op.kind == PLAN_FLAGS && op.src_uid != 0 &&
                        tell_flags_fate(all->c, w->record->id, op.src_uid, &fate);
        if (is_known && fate == TELL_DUE) {
            if (expect(all, &op, err) != 0)
                return -1;
        } else if (is_known) {
            if (!has_less || last != op.change)
                less = without_keywords(p, op.change);
            has_less = true;
            last = op.change;
            op.change = less;
            w->n_exceptions += fate == TELL_RESTS;
        }
        if (!is_known || !is_empty(&p->changes[op.change]))
            p->ops[kept++] = op;
    }
    p->n_ops = kept;
    return 0;
}

/* --- Told --------------------------------------------------------------------------------------
 */

static void add_names(
    struct buf *out, const char *what, const struct flags *f, const struct keywords *k)
{
    BUG_ON(!flags_empty(f) && (buf_add_str(out, what) != 0 || flags_format(f, k, out) != 0));
}

void pass_spared(void *arg, const struct apply_spared *s)
{
    const struct works *all = arg;
    struct work *w = all->planned[s->folder];
    struct buf text;
    buf_init(&text, 64u << 10);
    if (s->is_flag) {
        add_names(&text, "the target does not set ", &s->add, &w->keywords);
        add_names(&text, "the target does not take away ", &s->remove, &w->keywords);
        BUG_ON(buf_addf(&text, ": %s", s->why) != 0);
        folder_tell(w, ITEM_FLAG, s->uid, s->uid ? 0 : s->n, buf_cstr(&text));
    } else {
        BUG_ON(buf_addf(&text, "the target does not let it go: %s", s->why) != 0);
        w->p->has_failed = true;
        if (!folder_tell(w, ITEM_HELD_BACK, s->uid, s->uid ? 0 : s->n, buf_cstr(&text)))
            w->p->counts->deletions_withheld += s->n;
    }
    buf_fini(&text);
}
