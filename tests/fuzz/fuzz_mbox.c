/* SPDX-License-Identifier: ISC */
/*
 * Any message comes back from a file of ours, whatever is in it; any file is read to its end, with
 * messages that lie behind each other and are told as they were counted; and a list of UIDs that
 * was read is written as it was.
 *
 * fuzz-sources: imapsync/ends/mbox_codec.c imapsync/ends/mbox_from.c imapsync/ends/mbox_scan.c
 * fuzz-sources: imapsync/ends/mbox_scan_fields.c imapsync/ends/mbox_uids.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/ends/mbox_from.h"
#include "imapsync/ends/mbox_uids.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool is)
{
    if (!is)
        abort();
}

static void collect(void *arg, struct slice octets)
{
    must(buf_add(arg, octets) == 0);
}

static void code(struct mbox_codec *c, struct slice in, size_t step)
{
    for (size_t i = 0; i < in.n; i += step)
        mbox_codec_feed(c, slice_sub(in, i, step));
    mbox_codec_end(c);
}

static ssize_t read_at(void *arg, uint64_t at, void *to, size_t n)
{
    struct slice part = slice_sub(*(const struct slice *)arg, (size_t)at, n);
    if (part.n > 0)
        memcpy(to, part.p, part.n);
    return (ssize_t)part.n;
}

/* Each LF has its CR. */
static void with_crs(struct slice in, struct buf *out)
{
    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] == '\n' && (i == 0 || in.p[i - 1] != '\r'))
            must(buf_add_byte(out, '\r') == 0);
        must(buf_add_byte(out, in.p[i]) == 0);
    }
}

static void check_told(const struct mbox_scan *s, struct slice file)
{
    uint64_t behind = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct mbox_mail *m = &s->v[i];
        struct mbox_codec c;
        struct buf told;
        must(m->at >= behind && m->head > m->at && m->end >= m->head && m->end <= file.n);
        behind = m->end;
        buf_init(&told, 2 * file.n + 1);
        mbox_decoder_init(&c, (enum mbox_style)m->style, collect, &told);
        code(&c, slice_sub(file, (size_t)m->head, (size_t)(m->end - m->head)), 3);
        must(told.n == m->size);
        buf_fini(&told);
    }
}

static void check_file(struct slice file)
{
    struct mbox_scan s;
    struct mbox_list l = {0};
    struct err err = ERR_INIT;
    bool labels;
    mbox_scan_init(&s, read_at, &file);
    if (mbox_scan_run(&s, file.n, &err) == 0) {
        check_told(&s, file);
        (void)mbox_uids_give(&s, &l, 1, &labels);
        for (size_t i = 0; i < s.n; i++)
            must(s.v[i].uid > 0 && s.v[i].uid < l.next);
        mbox_list_fini(&l);
    }
    mbox_scan_fini(&s);
}

/* As it is stored, with two messages beside it. */
static void check_message(struct slice message)
{
    struct mbox_codec c;
    struct buf stored, file, want, back;
    struct mbox_scan s;
    struct err err = ERR_INIT;
    size_t max = 4 * message.n + 4096;
    buf_init(&stored, max);
    buf_init(&file, max);
    buf_init(&want, max);
    buf_init(&back, max);
    with_crs(message, &want);
    mbox_encoder_init(&c, collect, &stored);
    code(&c, message, 5);
    for (size_t i = 0; i < 3; i++) {
        struct slice octets = i == 1 ? buf_slice(&stored) : SLICE_LIT("\nx\n");
        must(mbox_from_format(1, octets.n + 1, &file) == 0);
        must(buf_add_str(&file, i == 0 ? "X-IMAPbase: 7 9\nX-UID: 1\n" : "X-UID: 2\nStatus: O\n") ==
             0);
        must(buf_add(&file, octets) == 0 && buf_add_byte(&file, '\n') == 0);
    }
    struct slice all = buf_slice(&file);
    mbox_scan_init(&s, read_at, &all);
    must(mbox_scan_run(&s, all.n, &err) == 0 && s.n == 3 && s.n_torn == 0 && s.validity == 7);
    mbox_decoder_init(&c, MBOX_OURS, collect, &back);
    code(&c, slice_sub(all, (size_t)s.v[1].head, (size_t)(s.v[1].end - s.v[1].head)), 7);
    must(slice_eq(buf_slice(&back), buf_slice(&want)) && s.v[1].size == want.n);
    mbox_scan_fini(&s);
    buf_fini(&stored);
    buf_fini(&file);
    buf_fini(&want);
    buf_fini(&back);
}

static void check_list(struct slice text)
{
    struct mbox_list l = {0}, again = {0};
    struct buf out;
    buf_init(&out, 64 * text.n + 1024);
    if (mbox_list_parse(text, &l) == 0) {
        must(mbox_list_format(&l, &out) == 0 && mbox_list_parse(buf_slice(&out), &again) == 0);
        must(again.validity == l.validity && again.next == l.next && again.n == l.n);
    }
    mbox_list_fini(&l);
    mbox_list_fini(&again);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_make(data, size);
    check_file(in);
    check_message(in);
    check_list(in);
    return 0;
}
