/* SPDX-License-Identifier: ISC */
/* decide_tell: the answer of a decision, and each step that leads to it, in words. */
#include "maps/decide_parts.h"

void decide_step(const struct decide_job *j, const char *fmt, ...)
{
    if (!j->steps)
        return;
    size_t start = j->steps->n;
    va_list ap;
    va_start(ap, fmt);
    int rc = buf_vaddf(j->steps, fmt, ap);
    va_end(ap);
    if (rc != 0)
        return;
    for (size_t i = j->steps->off + start; i < j->steps->off + j->steps->n; i++)
        if (j->steps->p[i] < 0x20 || j->steps->p[i] == 0x7f)
            j->steps->p[i] = '?';
    if (buf_add_byte(j->steps, '\n') != 0)
        buf_truncate(j->steps, start);
}

void decide_answer(const struct decide_job *j, enum decision_kind kind, int code,
    const char *enhanced, const char *text)
{
    j->out->kind = kind;
    j->out->code = code;
    j->out->text = text;
    if (fmt_into(j->out->enhanced, sizeof j->out->enhanced, "%s", enhanced) != 0)
        BUG("an enhanced code does not fit");
    decide_step(j, "answer: %d %s %s", code, enhanced, text);
}

/* The addresses that lead here, the recipient's first. */
static const char *tell_chain(struct decide_job *j)
{
    const struct decide_job *way[DECIDE_DEPTH_MAX + 2];
    size_t n = 0;
    struct buf text;
    for (const struct decide_job *up = j; up && n < sizeof way / sizeof *way; up = up->from)
        way[n++] = up;
    buf_init(&text, sizeof way / sizeof *way * 2 * ROUTE_KEY_MAX);
    for (size_t i = n; i-- > 0;)
        if (buf_addf(&text, "%.*s%s", SLICE_ARG(way[i]->rcpt), i > 0 ? " -> " : "") != 0)
            break;
    const char *kept = decide_keep_text(j, buf_slice(&text));
    buf_fini(&text);
    return kept;
}

void decide_answer_endless(struct decide_job *j, const char *text)
{
    j->out->is_endless = true;
    j->out->chain = tell_chain(j);
    decide_step(j, "on the way: %s", j->out->chain);
    decide_answer(j, DECIDE_DEFER, 451, "4.3.5", text);
}

const char *decide_keep_text(struct decide_job *j, struct slice text)
{
    char *copy = arena_alloc(j->mem, text.n + 1);
    if (!copy) {
        *j->is_full = true;
        return "";
    }
    memcpy(copy, text.p, text.n);
    return copy;
}

bool decide_make_room(struct decide_job *j, void **array, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    void *more = arena_alloc(j->mem, 2 * *cap * size);
    if (!more) {
        *j->is_full = true;
        return false;
    }
    memcpy(more, *array, n * size);
    *array = more;
    *cap *= 2;
    return true;
}
