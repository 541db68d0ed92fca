/* SPDX-License-Identifier: ISC */
/* COMPRESS=DEFLATE: when it is asked for, what goes over the wire then, and what it may cost. */
#include <stdlib.h>
#include <zlib.h>

#include "base/core/mem.h"
#include "imapsync/imap/outcome.h"
#include "tests/unit/imap_rig.h"

/* Raw deflate of a text, as a server would send it; the caller frees it. */
static unsigned char *packed(const void *p, size_t n, int flush, size_t *n_out)
{
    z_stream z = {0};
    unsigned char *out = mem_zalloc(n + 1000);
    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)p;
    z.avail_in = (unsigned)n;
    z.next_out = out;
    z.avail_out = (unsigned)n + 1000;
    assert_true(deflate(&z, flush) >= Z_OK);
    *n_out = z.total_out;
    deflateEnd(&z);
    return out;
}

/* --- The layer --------------------------------------------------------------------------- */

static void test_when(void **state)
{
    static const struct {
        const char *name;
        enum imap_compress_when when;
        uint64_t trip_ms;
        bool is_worth;
    } rows[] = {
        {"this machine", IMAP_COMPRESS_AUTO, 0, false},
        {"next door", IMAP_COMPRESS_AUTO, IMAP_SLOW_TRIP_MS - 1, false},
        {"far away", IMAP_COMPRESS_AUTO, IMAP_SLOW_TRIP_MS, true},
        {"wanted", IMAP_COMPRESS_YES, 0, true},
        {"not wanted", IMAP_COMPRESS_NO, 1000, false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_row(rows[i].name,
            imap_compress_is_worth(rows[i].when, rows[i].trip_ms) == rows[i].is_worth);
}

/* What one side packs the other one unpacks, all of it, however it was cut, with nothing held back.
 */
static void test_both_ways(void **state)
{
    static const size_t sizes[] = {
        0, 1, 5, IMAP_PACK_STEP - 1, IMAP_PACK_STEP, IMAP_PACK_STEP + 1, 3 * IMAP_PACK_STEP + 17};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(sizes); i++) {
        struct imap_compress *a = imap_compress_new(), *b = imap_compress_new();
        size_t n = sizes[i / 2], sent = 0, come = 0;
        unsigned char *text = mem_zalloc(n + 1), piece[1000];
        /* Half of them cannot be packed. */
        for (size_t k = 0; k < n; k++)
            text[k] = (unsigned char)(i % 2 ? rand() : "imap"[k % 4]);
        while (sent < n || imap_compress_packed(a).n > 0) {
            sent += imap_compress_pack(a, slice_make(text + sent, n - sent));
            struct slice out = slice_sub(imap_compress_packed(a), 0, 777);
            struct err err = ERR_INIT;
            imap_compress_give(b, out);
            imap_compress_sent(a, out.n);
            while (imap_compress_holds(b)) {
                size_t got;
                assert_int_equal(imap_compress_take(b, piece, sizeof(piece), &got, &err), 0);
                assert_true(come + got <= n);
                assert_memory_equal(piece, text + come, got);
                come += got;
            }
        }
        assert_int_equal(come, n);
        imap_compress_free(&a);
        imap_compress_free(&b);
        free(text);
    }
}

/* Few octets that stand for many come in pieces. */
static void test_a_bomb(void **state)
{
    static const size_t sizes[] = {
        IMAP_UNPACK_STEP - 1, IMAP_UNPACK_STEP, IMAP_UNPACK_STEP + 1, 40u << 20};
    unsigned char *piece = mem_zalloc(IMAP_UNPACK_STEP);
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct imap_compress *z = imap_compress_new();
        unsigned char *zeros = mem_zalloc(sizes[i]);
        size_t n, n_packed, come = 0, most = 0, n_takes = 0;
        unsigned char *bomb = packed(zeros, sizes[i], Z_SYNC_FLUSH, &n_packed);
        assert_true(n_packed < IMAP_UNPACK_STEP);
        imap_compress_give(z, slice_make(bomb, n_packed));
        while (imap_compress_holds(z)) {
            struct err err = ERR_INIT;
            assert_int_equal(imap_compress_take(z, piece, IMAP_UNPACK_STEP, &n, &err), 0);
            come += n;
            most = n > most ? n : most;
            n_takes += n > 0;
        }
        assert_int_equal(come, sizes[i]);
        assert_true(most <= IMAP_UNPACK_STEP);
        assert_int_equal(n_takes, (sizes[i] + IMAP_UNPACK_STEP - 1) / IMAP_UNPACK_STEP);
        free(bomb);
        free(zeros);
        imap_compress_free(&z);
    }
    free(piece);
}

static size_t n_taken(struct slice some, size_t piece_size)
{
    struct imap_compress *z = imap_compress_new();
    unsigned char piece[1000];
    size_t come = 0;
    imap_compress_give(z, some);
    while (imap_compress_holds(z)) {
        struct err err = ERR_INIT;
        size_t n;
        assert_int_equal(imap_compress_take(z, piece, piece_size, &n, &err), 0);
        come += n;
    }
    imap_compress_free(&z);
    return come;
}

/* What zlib has taken in and not given out yet is not forgotten, wherever the octets end for now.
 */
static void test_the_last_octets(void **state)
{
    static const unsigned char zeros[900];
    size_t n;
    (void)state;
    unsigned char *text = packed(zeros, sizeof(zeros), Z_PARTIAL_FLUSH, &n);
    for (size_t i = 1; i <= n; i++)
        assert_int_equal(n_taken(slice_make(text, i), 10), n_taken(slice_make(text, i), 1000));
    assert_int_equal(n_taken(slice_make(text, n), 10), sizeof(zeros));
    free(text);
}

static void test_what_is_none(void **state)
{
    struct err err = ERR_INIT;
    unsigned char piece[100];
    size_t n, n_packed;
    (void)state;
    struct imap_compress *z = imap_compress_new();
    imap_compress_give(z, SLICE_LIT("* OK this is plain\r\n"));
    assert_int_equal(imap_compress_take(z, piece, sizeof(piece), &n, &err), -1);
    assert_int_equal(err.class, ERR_PEER);
    assert_int_equal(err.scope, ERR_SCOPE_HOST);
    imap_compress_free(&z);
    /* There is no way out of it (RFC 4978 3). */
    unsigned char *ended = packed("bye", 3, Z_FINISH, &n_packed);
    z = imap_compress_new();
    imap_compress_give(z, slice_make(ended, n_packed));
    assert_int_equal(imap_compress_take(z, piece, sizeof(piece), &n, &err), -1);
    assert_int_equal(err.class, ERR_PEER);
    imap_compress_free(&z);
    free(ended);
}

/* --- The connection ---------------------------------------------------------------------- */

#define CAPS "[CAPABILITY IMAP4rev1 COMPRESS=DEFLATE]"

static z_stream to_client, from_client;

static void peer_packs(struct rig *g, const void *p, size_t n)
{
    unsigned char *out = mem_zalloc(n + 1000);
    to_client.next_in = (unsigned char *)(uintptr_t)p;
    to_client.avail_in = (unsigned)n;
    to_client.next_out = out;
    to_client.avail_out = (unsigned)n + 1000;
    assert_int_equal(deflate(&to_client, Z_SYNC_FLUSH), Z_OK);
    size_t n_out = n + 1000 - to_client.avail_out;
    assert_int_equal(write(g->peer, out, n_out), (ssize_t)n_out);
    free(out);
}

static void peer_says_packed(struct rig *g, const char *text)
{
    peer_packs(g, text, strlen(text));
}

static void assert_peer_got_packed(struct rig *g, const char *want)
{
    unsigned char in[4096], out[4096];
    ssize_t n = read(g->peer, in, sizeof(in));
    from_client.next_in = in;
    from_client.avail_in = n > 0 ? (unsigned)n : 0;
    from_client.next_out = out;
    from_client.avail_out = sizeof(out);
    assert_true(inflate(&from_client, Z_SYNC_FLUSH) >= Z_BUF_ERROR);
    assert_slice_equal(slice_make(out, sizeof(out) - from_client.avail_out), want);
}

/* Signed in at a server that offers it. */
static void greet(struct rig *g, enum imap_compress_when when)
{
    rig_begin(g);
    g->place.compress = when;
    join(g);
    peer_answers(g, "", "* OK " CAPS " hi\r\n");
    peer_answers(g, "c1 LOGIN \"ann\" \"ann-secret\"\r\n", "c1 OK " CAPS " in\r\n");
}

static void peer_begins(void)
{
    to_client = from_client = (z_stream){0};
    assert_int_equal(
        deflateInit2(&to_client, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(inflateInit2(&from_client, -MAX_WBITS), Z_OK);
}

static void peer_ends(void)
{
    deflateEnd(&to_client);
    inflateEnd(&from_client);
}

/* From the answer on both sides are packed, what comes in the same piece as the answer too. */
static void test_a_session(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    greet(&g, IMAP_COMPRESS_YES);
    peer_begins();
    assert_false(imap_conn_is_ready(g.c));
    assert_false(imap_client_may_send(imap_conn_client(g.c)));
    assert_peer_got(&g, "c2 COMPRESS DEFLATE\r\n");
    peer_says(&g, "c2 OK it begins\r\n");
    peer_says_packed(&g, "* OK and goes on\r\n* 3 EXISTS\r\n");
    assert_int_equal(turn(&g, 0), 0);
    assert_true(imap_conn_is_ready(g.c));
    command(&g, "CHECK", &o);
    assert_int_equal(turn(&g, 0), 0);
    assert_peer_got_packed(&g, "c3 CHECK\r\n");
    peer_says_packed(&g, "c3 OK done\r\n");
    for (int i = 0; i < 3 && !o.is_done; i++)
        assert_int_equal(turn(&g, 0), 0);
    assert_int_equal(o.status, IMAP_STATUS_OK);
    /* It is late as ever. */
    command(&g, "CHECK", &o);
    assert_int_equal(turn(&g, 0), 0);
    assert_int_equal(turn(&g, TIMEOUT - 1), 0);
    assert_int_equal(turn(&g, TIMEOUT), -1);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    peer_ends();
    rig_down(&g);
}

/* Who refuses it is talked to as he is. */
static void test_refused(void **state)
{
    struct rig g;
    struct imap_outcome o;
    (void)state;
    greet(&g, IMAP_COMPRESS_YES);
    assert_peer_got(&g, "c2 COMPRESS DEFLATE\r\n");
    peer_says(&g, "c2 NO [COMPRESSIONACTIVE] TLS does it\r\n");
    assert_int_equal(turn(&g, 0), 0);
    assert_true(imap_conn_is_ready(g.c));
    command(&g, "CHECK", &o);
    peer_answers(&g, "c3 CHECK\r\n", "c3 OK done\r\n");
    assert_int_equal(o.status, IMAP_STATUS_OK);
    rig_down(&g);
}

static void test_not_asked(void **state)
{
    static const struct {
        const char *name;
        enum imap_compress_when when;
        bool is_probe;
        const char *caps;
    } rows[] = {
        {"not wanted", IMAP_COMPRESS_NO, false, CAPS},
        {"not known to be slow", IMAP_COMPRESS_AUTO, false, CAPS},
        {"not offered", IMAP_COMPRESS_YES, false, "[CAPABILITY IMAP4rev1]"},
        {"nobody signs in", IMAP_COMPRESS_YES, true, CAPS},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rig g;
        char text[200];
        rig_begin(&g);
        g.place.compress = rows[i].when;
        g.place.is_probe = rows[i].is_probe;
        join(&g);
        assert_int_equal(fmt_into(text, sizeof(text), "* OK %s hi\r\n", rows[i].caps), 0);
        peer_answers(&g, "", text);
        assert_int_equal(fmt_into(text, sizeof(text), "c1 OK %s in\r\n", rows[i].caps), 0);
        if (!rows[i].is_probe)
            peer_answers(&g, "c1 LOGIN \"ann\" \"ann-secret\"\r\n", text);
        assert_row(rows[i].name, imap_conn_is_ready(g.c));
        if (!rows[i].is_probe)
            assert_int_equal(turn(&g, 0), 0);
        assert_peer_got(&g, "");
        rig_down(&g);
    }
}

/* No answer to COMPRESS is an end like that of signing in. */
static void test_silence(void **state)
{
    struct rig g;
    (void)state;
    greet(&g, IMAP_COMPRESS_YES);
    assert_peer_got(&g, "c2 COMPRESS DEFLATE\r\n");
    assert_int_equal(turn(&g, TIMEOUT - 1), 0);
    assert_int_equal(turn(&g, TIMEOUT), -1);
    assert_int_equal(imap_conn_broken(g.c), IMAP_BROKEN_SILENT);
    rig_down(&g);
}

static size_t n_body, n_most;

static void on_body(void *arg, struct slice octets)
{
    (void)arg;
    n_body += octets.n;
}

/* A message that unpacks to a thousand times its size comes as slowly as any other: what takes it
 * can say that it is full. */
static void test_a_large_body(void **state)
{
    static const struct imap_events events = {.body_data = on_body};
    const size_t size = 20u << 20;
    char head[100];
    struct rig g;
    struct imap_outcome o;
    (void)state;
    greet(&g, IMAP_COMPRESS_YES);
    peer_begins();
    assert_peer_got(&g, "c2 COMPRESS DEFLATE\r\n");
    peer_says(&g, "c2 OK it begins\r\n");
    assert_int_equal(turn(&g, 0), 0);
    imap_conn_events(g.c, &events, NULL);
    command(&g, "UID FETCH 1 (BODY.PEEK[])", &o);
    assert_int_equal(turn(&g, 0), 0);
    assert_peer_got_packed(&g, "c3 UID FETCH 1 (BODY.PEEK[])\r\n");
    assert_int_equal(fmt_into(head, sizeof(head), "* 1 FETCH (UID 1 BODY[] {%zu}\r\n", size), 0);
    peer_says_packed(&g, head);
    unsigned char *zeros = mem_zalloc(size);
    peer_packs(&g, zeros, size);
    peer_says_packed(&g, ")\r\nc3 OK done\r\n");
    free(zeros);
    n_body = n_most = 0;
    for (int i = 0; i < 10000 && !o.is_done; i++) {
        size_t before = n_body;
        if (i == 5) { /* and it stops where it is told to */
            imap_conn_pause(g.c, true);
            for (int k = 0; k < 5; k++)
                assert_int_equal(turn(&g, TIMEOUT), 0);
            assert_int_equal(n_body, before);
            imap_conn_pause(g.c, false);
        }
        assert_int_equal(turn(&g, 0), 0);
        n_most = n_body - before > n_most ? n_body - before : n_most;
    }
    assert_true(o.is_done);
    assert_int_equal(n_body, size);
    assert_true(n_most <= IMAP_UNPACK_STEP);
    peer_ends();
    rig_down(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_when),
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_a_bomb),
        cmocka_unit_test(test_the_last_octets),
        cmocka_unit_test(test_what_is_none),
        cmocka_unit_test(test_a_session),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_not_asked),
        cmocka_unit_test(test_silence),
        cmocka_unit_test(test_a_large_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
