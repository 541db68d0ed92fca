/* SPDX-License-Identifier: ISC */
/* plan_table_text: what was planned, as text; the second half of plan_table.h, which says how. */
#ifndef TESTS_UNIT_PLAN_TABLE_TEXT_H
#define TESTS_UNIT_PLAN_TABLE_TEXT_H

static void table_say(const char *format, ...) ATTR_PRINTF(1, 2);
static void table_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    BUG_ON(buf_vaddf(&table.text, format, args) != 0);
    va_end(args);
}

static void table_next(void)
{
    if (table.text.n > 0)
        table_say("; ");
}

static void table_say_flags(const char *before, const struct flags *f)
{
    if (flags_empty(f))
        return;
    table_say("%s", before);
    for (size_t i = 0; table_letters[i]; i++) {
        if (f->system >> i & 1)
            table_say("%c", table_letters[i]);
    }
    for (int i = 0; i < 26; i++) {
        if (f->keywords[0] >> i & 1)
            table_say("%c", 'a' + i);
    }
}

static void table_say_range(uint32_t first, size_t n)
{
    if (n > 1)
        table_say("%u..%u", first, first + (uint32_t)n - 1);
    else
        table_say("%u", first);
}

/* Whether b is the next of a range that ends with a. */
static bool table_follows(const struct plan_op *a, const struct plan_op *b)
{
    return a->kind == b->kind && a->witness == b->witness && a->reason == b->reason &&
           a->state == b->state && a->is_touched == b->is_touched && a->folder == b->folder &&
           a->to == b->to && a->change == b->change &&
           b->src_uid == a->src_uid + (a->src_uid != 0) &&
           b->tgt_uid == a->tgt_uid + (a->tgt_uid != 0) &&
           b->new_uid == a->new_uid + (a->new_uid != 0);
}

static void table_say_op(const struct plan *p, const struct plan_op *op, size_t n)
{
    const struct plan_change *c = &p->changes[op->change];
    table_next();
    if (op->reason != PLAN_R_NONE)
        table_say("(");
    table_say("%s %s ", plan_kind_name(op->kind), table.folders[op->folder].name);
    if (op->src_uid != 0)
        table_say_range(op->src_uid, n);
    if (op->tgt_uid != 0)
        table_say(op->src_uid != 0 ? "=" : "g=");
    if (op->tgt_uid != 0)
        table_say_range(op->tgt_uid, op->src_uid != 0 ? 1 : n);
    if (op->new_uid != 0 && op->is_target) {
        table_say(" > =%u", op->new_uid);
    } else if (op->new_uid != 0) {
        table_say(" > %s ", table.folders[op->to].name);
        table_say_range(op->new_uid, n);
    } else if (op->to != op->folder) {
        table_say(" > %s", table.folders[op->to].name);
    }
    table_say_flags(" +", &c->add);
    table_say_flags(flags_empty(&c->add) ? " -" : "-", &c->remove);
    if (op->kind == PLAN_COPY || op->kind == PLAN_NOTE)
        table_say_flags(" :", &c->now);
    table_say(op->is_touched ? " ~ %s" : " %s", plan_witness_name(op->witness));
    if (op->kind == PLAN_RENUMBER && op->state != PAIR_STORED)
        table_say(op->state == PAIR_AWAY ? " away" : op->state == PAIR_SENT ? " sent" : " gone");
    if (op->reason != PLAN_R_NONE)
        table_say("): %s", plan_reason_name(op->reason));
}

static void table_say_ops(const struct plan *p, const struct plan_op *v, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t k = 1;
        while (i + k < n && table_follows(&v[i + k - 1], &v[i + k]))
            k++;
        table_say_op(p, &v[i], k);
        i += k;
    }
}

/* One that has gone is not handed in again. */
static void table_answer_one(const struct plan_ask *a)
{
    struct table_folder *f = &table.folders[a->folder];
    struct table_side *side = a->is_target ? &f->target : &f->source;
    struct plan_side *v = &table.views[a->folder].source;
    size_t at = 0;
    while (side->v[at].m.uid != a->uid)
        at++;
    struct table_message *t = &side->v[at];
    if (a->question == PLAN_ASK_CONTENT) {
        t->is_known = !t->is_hopeless;
        t->m.is_unreadable = t->is_hopeless;
        t->m.is_refused = t->is_refused;
    } else if (!t->is_gone) {
        t->m.is_still_there = true;
    } else {
        memmove(t, t + 1, (--v->n - at) * sizeof(*t));
    }
}

static void table_answer(const struct plan *p)
{
    for (size_t i = 0; i < p->n_asks;) {
        const struct plan_ask *a = &p->asks[i];
        size_t k = 0;
        for (; i + k < p->n_asks && a[k].folder == a->folder && a[k].is_target == a->is_target &&
               a[k].question == a->question && a[k].uid == a->uid + k;
             k++)
            table_answer_one(&a[k]);
        table_next();
        table_say("%s %s%s ", a->question == PLAN_ASK_THERE ? "still" : "ask",
            a->is_target ? "target " : "", table.folders[a->folder].name);
        table_say_range(a->uid, k);
        i += k;
    }
}

static void table_plan(struct plan *p)
{
    for (int round = 0;; round++) {
        BUG_ON(round > 4);
        plan_make(&table.in, p);
        if (p->n_asks == 0)
            break;
        table_answer(p);
        plan_fini(p);
    }
}

static void table_check(const struct plan *p)
{
    size_t n = 0, n_withheld = 0;
    for (size_t i = 0; i < p->n_ops; i++)
        assert_row(table.row, plan_is_allowed(table.in.policy, p->ops[i].kind, p->ops[i].witness) &&
                                  p->ops[i].reason == PLAN_R_NONE &&
                                  (i == 0 || p->ops[i].kind >= p->ops[i - 1].kind));
    for (size_t i = 0; i < p->n_withheld; i++)
        assert_row(table.row,
            plan_is_allowed(table.in.policy, p->withheld[i].kind, p->withheld[i].witness) &&
                p->withheld[i].reason != PLAN_R_NONE);
    for (size_t i = 0; i < PLAN_KINDS; i++)
        n += p->n_of[i];
    for (size_t i = 0; i < PLAN_REASONS; i++)
        n_withheld += p->n_why[i];
    assert_row(table.row, n == p->n_ops && n_withheld == p->n_withheld);
}

static void table_run(const struct plan_row *rows, size_t n)
{
    size_t n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        struct plan p;
        table_read(&rows[i]);
        table_plan(&p);
        table_say_ops(&p, p.ops, p.n_ops);
        table_say_ops(&p, p.withheld, p.n_withheld);
        for (size_t k = 0; k < p.n_again; k++) {
            table_next();
            table_say("again %s", table.folders[p.again[k]].name);
        }
        for (size_t k = 0; k < p.n_reconcile; k++) {
            table_next();
            table_say("reconcile %s", table.folders[p.reconcile[k]].name);
        }
        if (p.n_kept > 0) {
            table_next();
            table_say("kept %zu", p.n_kept);
        }
        if (p.n_unsure > 0) {
            table_next();
            table_say("unsure %zu", p.n_unsure);
        }
        table_check(&p);
        plan_fini(&p);
        if (strcmp(buf_cstr(&table.text), rows[i].planned) != 0) {
            print_error("row '%s':\n  wanted  %s\n  planned %s\n", rows[i].name, rows[i].planned,
                buf_cstr(&table.text));
            n_wrong++;
        }
        buf_fini(&table.text);
    }
    assert_int_equal(n_wrong, 0);
}

#endif
