/* SPDX-License-Identifier: ISC */
/* Each record packed and unpacked; cut at every octet, with one more, and with wrong values. */
#include "imapsync/journal/journal_record.h"
#include "base/core/buf.h"
#include "tests/unit/unit.h"

static struct buf out;

static int set_up(void **state)
{
    (void)state;
    buf_init(&out, RECORD_MAX);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    buf_fini(&out);
    return 0;
}

#define KEYWORDS                                                                                   \
    {                                                                                              \
        {0x8000000000000001, 7}, 31                                                                \
    }

static const struct {
    const char *name;
    int key_side;
    size_t size;
    struct record_pair pair;
} pairs[] = {
    {"stored", SIDE_A, 43,
        {.uid = {1, 2}, .state = PAIR_STORED, .has_digest = true, .digest = {9}, .size = 77}},
    {"largest", SIDE_A, 59,
        {.uid = {UINT32_MAX, UINT32_MAX},
            .state = PAIR_STORED,
            .is_compared = true,
            .is_touched = true,
            .is_marked = true,
            .flags = KEYWORDS,
            .has_digest = true,
            .size = UINT32_MAX}},
    {"without a digest", SIDE_A, 11, {.uid = {5, 0}, .state = PAIR_REFUSED}},
    {"away", SIDE_A, 11, {.uid = {5, 0}, .state = PAIR_AWAY}},
    {"lost by a restore", SIDE_A, 11, {.uid = {5, 0}, .state = PAIR_LOST}},
    {"gone", SIDE_A, 43, {.uid = {5, 0}, .state = PAIR_GONE, .has_digest = true}},
    {"sent", SIDE_A, 47,
        {.uid = {5, 0},
            .state = PAIR_SENT,
            .since = 12,
            .has_digest = true,
            .flags = {.system = 16}}},
    {"sent, and its UID told", SIDE_A, 67,
        {.uid = {5, 0},
            .state = PAIR_SENT,
            .since = 12,
            .told = UINT32_MAX,
            .has_digest = true,
            .flags = KEYWORDS}},
    {"known without its line ends", SIDE_A, 67,
        {.uid = {1, 2},
            .state = PAIR_STORED,
            .has_digest = true,
            .digest = {9},
            .canon = {.text = {1}, .header = {[CANON_HEADER - 1] = 3}}}},
    {"sent the other way", SIDE_B, 47,
        {.uid = {0, 5}, .state = PAIR_SENT, .since = 12, .has_digest = true}},
    {"stored, by the other side", SIDE_B, 11, {.uid = {4, 5}, .state = PAIR_STORED}},
};

static void assert_same_pair(
    const char *name, const struct record_pair *a, const struct record_pair *b)
{
    assert_row(name, a->uid[SIDE_A] == b->uid[SIDE_A] && a->uid[SIDE_B] == b->uid[SIDE_B]);
    assert_row(name, a->state == b->state && a->is_compared == b->is_compared &&
                         a->is_touched == b->is_touched && a->is_marked == b->is_marked);
    assert_row(name, flags_eq(&a->flags, &b->flags));
    assert_row(name, a->size == b->size && a->since == b->since && a->told == b->told &&
                         a->has_digest == b->has_digest);
    assert_row(name, memcmp(a->digest, b->digest, SHA256_SIZE) == 0);
    assert_row(name, memcmp(&a->canon, &b->canon, CANON_SIZE) == 0);
}

static void test_pairs(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        const struct record_pair *p = &pairs[i].pair;
        int side = pairs[i].key_side;
        struct record_pair got;
        record_pack_pair(&out, p, side);
        assert_row(pairs[i].name, out.n == pairs[i].size);
        assert_row(pairs[i].name, record_unpack_pair(buf_slice(&out), side, p->uid[side], &got));
        assert_same_pair(pairs[i].name, p, &got);
        for (size_t n = 0; n < out.n; n++)
            assert_row(pairs[i].name,
                !record_unpack_pair(slice_sub(buf_slice(&out), 0, n), side, p->uid[side], &got));
        assert_row(pairs[i].name, !record_unpack_pair(buf_slice(&out), side, 0, &got));
        assert_int_equal(buf_add_byte(&out, 0), 0);
        assert_row(pairs[i].name, !record_unpack_pair(buf_slice(&out), side, p->uid[side], &got));
    }
}

static const struct {
    const char *name;
    struct slice octets;
} bad_pairs[] = {
    {"no state", SLICE_LIT("\0\0\0\0\0\0\1\0\0\0\0")},
    {"a later state", SLICE_LIT("\7\0\0\0\0\0\0\0\0\0\0")},
    {"not sent, and yet its UID told", SLICE_LIT("\2\x80\0\0\0\0\0\0\0\0\0\0\0\0\1")},
    {"a UID told that is none", SLICE_LIT("\4\x80\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0")},
    {"a UID told, and not there", SLICE_LIT("\4\x80\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0")},
    {"no digest, and yet another one", SLICE_LIT("\2\x8\0\0\0\0\0\0\0\0\0"
                                                 "1234567890123456"
                                                 "12345678")},
    {"stored without a UID", SLICE_LIT("\1\0\0\0\0\0\0\0\0\0\0")},
    {"refused with a UID", SLICE_LIT("\2\0\0\0\0\0\1\0\0\0\0")},
    {"sent without its UIDNEXT", SLICE_LIT("\4\0\0\0\0\0\0\0\0\0\0")},
};

static void test_bad_pairs(void **state)
{
    (void)state;
    struct record_pair got;
    for (size_t i = 0; i < COUNT_OF(bad_pairs); i++)
        assert_row(bad_pairs[i].name, !record_unpack_pair(bad_pairs[i].octets, SIDE_A, 1, &got));
}

static void test_refs(void **state)
{
    (void)state;
    struct record_pair p = {.uid = {0, 9}, .state = PAIR_REFUSED}, got;
    struct slice uids;
    struct buf list;
    bool is_pair;
    uint32_t uid;
    buf_init(&list, 100);
    record_add_uid(&list, 4);
    record_add_uid(&list, 5);
    record_add_uid(&list, 4);
    assert_int_equal(list.n, 8);
    record_pack_refs(&out, buf_slice(&list));
    assert_true(record_unpack_refs(buf_slice(&out), 9, &is_pair, &got, &uids));
    assert_false(is_pair);
    assert_true(record_has_uid(uids, 5) && !record_has_uid(uids, 6));
    assert_true(record_next_uid(&uids, &uid) && uid == 4 && record_next_uid(&uids, &uid) &&
                uid == 5 && !record_next_uid(&uids, &uid));
    record_drop_uid(&list, 4);
    assert_true(list.n == 4 && record_has_uid(buf_slice(&list), 5));
    record_pack_alone(&out, &p, buf_slice(&list));
    assert_true(record_unpack_refs(buf_slice(&out), 9, &is_pair, &got, &uids));
    assert_true(is_pair && uids.n == 4 && record_has_uid(uids, 5));
    assert_same_pair("both", &p, &got);
    buf_fini(&list);
    record_pack_alone(&out, &p, SLICE_NONE);
    assert_true(record_unpack_refs(buf_slice(&out), 9, &is_pair, &got, &uids));
    assert_true(is_pair);
    assert_same_pair("alone", &p, &got);
    p.uid[SIDE_A] = 3;
    p.state = PAIR_STORED;
    record_pack_alone(&out, &p, SLICE_NONE);
    assert_false(record_unpack_refs(buf_slice(&out), 9, &is_pair, &got, &uids));
    assert_false(record_unpack_refs(SLICE_LIT(""), 9, &is_pair, &got, &uids));
    assert_false(record_unpack_refs(SLICE_LIT("\1"), 9, &is_pair, &got, &uids));
    assert_false(record_unpack_refs(SLICE_LIT("\1\0\0\0"), 9, &is_pair, &got, &uids));
    assert_false(record_unpack_refs(SLICE_LIT("\3\0\0\0\1"), 9, &is_pair, &got, &uids));
    assert_false(record_unpack_refs(SLICE_LIT("\4\0\0\0\1"), 9, &is_pair, &got, &uids));
}

static void test_folder(void **state)
{
    (void)state;
    struct record_folder f = {{{SLICE_LIT("INBOX"), SLICE_LIT("M1"), SLICE_LIT("\0\1"), 7,
                                   {7, 12, UINT64_C(1) << 40}, true},
                             {SLICE_LIT("Inbox"), SLICE_NONE, SLICE_NONE, 0, {0}, false}}},
                         got;
    record_pack_folder(&out, &f);
    assert_true(record_unpack_folder(buf_slice(&out), &got));
    assert_slice_equal(got.end[SIDE_A].name, "INBOX");
    assert_slice_equal(got.end[SIDE_A].mailboxid, "M1");
    assert_int_equal(got.end[SIDE_A].token.n, 2);
    assert_int_equal(got.end[SIDE_A].uidvalidity, 7);
    assert_slice_equal(got.end[SIDE_B].name, "Inbox");
    assert_true(got.end[SIDE_A].is_restored && !got.end[SIDE_B].is_restored);
    assert_int_equal(got.end[SIDE_A].numbers.uidvalidity, 7);
    assert_int_equal(got.end[SIDE_A].numbers.uidnext, 12);
    assert_true(got.end[SIDE_A].numbers.modseq == UINT64_C(1) << 40);
    /* Versions before 6 had no numbers. */
    size_t n_before = out.n - 2 * (1 + 4 + 4 + 8);
    for (size_t n = 0; n < out.n; n++) {
        bool is_right = record_unpack_folder(slice_sub(buf_slice(&out), 0, n), &got);
        assert_int_equal(is_right, n == n_before);
        assert_true(
            !is_right || (!got.end[SIDE_A].is_restored && got.end[SIDE_A].uidvalidity == 7));
    }
    assert_int_equal(buf_add_byte(&out, 0), 0);
    assert_false(record_unpack_folder(buf_slice(&out), &got));
    static const unsigned char large[RECORD_TOKEN_MAX + 1];
    f.end[SIDE_B].token = slice_make(large, RECORD_TOKEN_MAX);
    record_pack_folder(&out, &f);
    assert_true(record_unpack_folder(buf_slice(&out), &got));
    f.end[SIDE_B].token = slice_make(large, RECORD_TOKEN_MAX + 1);
    record_pack_folder(&out, &f);
    assert_false(record_unpack_folder(buf_slice(&out), &got));
}

static void test_intent(void **state)
{
    (void)state;
    const struct record_intent i = {.kind = INTENT_DELETE,
        .to = SIDE_B,
        .time_ms = -5,
        .uidnext = 10,
        .uids = SLICE_LIT("\0\0\0\1\0\0\0\2")};
    struct record_intent got;
    record_pack_intent(&out, &i);
    assert_true(record_unpack_intent(buf_slice(&out), &got));
    assert_true(got.kind == INTENT_DELETE && got.to == SIDE_B && got.time_ms == -5 &&
                got.uidnext == 10 && slice_eq(got.uids, i.uids));
    for (size_t n = 0; n < out.n; n++)
        assert_int_equal(record_unpack_intent(slice_sub(buf_slice(&out), 0, n), &got),
            n == out.n - 8 || n == out.n - 4);
    out.p[out.off] = INTENT_MOVE + 1;
    assert_false(record_unpack_intent(buf_slice(&out), &got));
    out.p[out.off] = INTENT_APPEND;
    out.p[out.off + 1] = SIDES;
    assert_false(record_unpack_intent(buf_slice(&out), &got));
}

static void test_sent(void **state)
{
    static const struct record_sent all[] = {
        {.uid = 7, .size = 3, .flags = {.system = 5}, .digest = {1}},
        {.uid = UINT32_MAX,
            .size = UINT32_MAX,
            .flags = KEYWORDS,
            .digest = {2},
            .canon = {.text = {1}}},
        {.uid = 8, .digest = {3}, .canon = {.header = {1}}},
    };
    struct record_sent got;
    (void)state;
    buf_clear(&out);
    for (size_t i = 0; i < COUNT_OF(all); i++)
        record_add_sent(&out, &all[i]);
    struct slice rest = buf_slice(&out);
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_true(record_next_sent(&rest, &got));
        assert_true(got.uid == all[i].uid && got.size == all[i].size);
        assert_true(flags_eq(&got.flags, &all[i].flags));
        assert_memory_equal(got.digest, all[i].digest, SHA256_SIZE);
        assert_memory_equal(&got.canon, &all[i].canon, CANON_SIZE);
    }
    assert_int_equal(rest.n, 0);
    buf_clear(&out);
    record_add_sent(&out, &all[1]);
    for (size_t n = 0; n < out.n; n++) {
        rest = slice_sub(buf_slice(&out), 0, n);
        assert_false(record_next_sent(&rest, &got));
    }
    out.p[out.off + 8] = 0x10; /* bits of a later version */
    rest = buf_slice(&out);
    assert_false(record_next_sent(&rest, &got));
}

static void test_intent_of_flags_and_moves(void **state)
{
    (void)state;
    struct record_intent i = {.kind = INTENT_FLAGS,
        .to = SIDE_A,
        .uids = SLICE_LIT("\0\0\0\1"),
        .add = {{1, 2}, FLAG_SEEN},
        .remove = {{3, 4}, FLAG_DRAFT}};
    struct record_intent got;
    record_pack_intent(&out, &i);
    assert_true(record_unpack_intent(buf_slice(&out), &got));
    assert_true(got.kind == INTENT_FLAGS && flags_eq(&got.add, &i.add) &&
                flags_eq(&got.remove, &i.remove) && slice_eq(got.uids, i.uids));
    for (size_t n = 0; n < out.n; n++)
        assert_int_equal(
            record_unpack_intent(slice_sub(buf_slice(&out), 0, n), &got), n == out.n - 4);
    /* Two UIDs for each message. */
    i = (struct record_intent){
        .kind = INTENT_MOVE, .folder = 9, .uids = SLICE_LIT("\0\0\0\1\0\0\0\2")};
    record_pack_intent(&out, &i);
    assert_true(record_unpack_intent(buf_slice(&out), &got));
    assert_true(got.folder == 9 && slice_eq(got.uids, i.uids));
    assert_false(record_unpack_intent(slice_sub(buf_slice(&out), 0, out.n - 4), &got));
}

static void test_version(void **state)
{
    (void)state;
    const struct record_version v = {
        .version = RECORD_VERSION, .is_complete = true, .name = {SLICE_LIT("a"), SLICE_LIT("bb")}};
    struct record_version got;
    record_pack_version(&out, &v);
    assert_true(record_unpack_version(buf_slice(&out), &got));
    assert_true(got.is_complete && got.version == RECORD_VERSION);
    assert_slice_equal(got.name[SIDE_A], "a");
    assert_slice_equal(got.name[SIDE_B], "bb");
    for (size_t n = 0; n < out.n; n++)
        assert_false(record_unpack_version(slice_sub(buf_slice(&out), 0, n), &got));
    out.p[out.off + out.n - 1] = 2;
    assert_false(record_unpack_version(buf_slice(&out), &got));
    out.p[out.off + out.n - 1] = 1;
    out.p[out.off] = RECORD_VERSION_READ;
    assert_true(record_unpack_version(buf_slice(&out), &got));
    assert_true(got.is_complete && got.version == RECORD_VERSION_READ);
    /* Of a later one only the number is read. */
    assert_true(record_unpack_version(SLICE_LIT("\x0a???"), &got));
    assert_int_equal(got.version, 10);
}

static void test_small_ones(void **state)
{
    (void)state;
    struct keywords k = {0}, got = {0};
    uint32_t folder;
    uint64_t intent;
    record_pack_last(&out, 3, UINT64_MAX);
    assert_true(record_unpack_last(buf_slice(&out), &folder, &intent));
    assert_true(folder == 3 && intent == UINT64_MAX);
    record_pack_id(&out, 8);
    assert_true(record_unpack_id(buf_slice(&out), &folder) && folder == 8);
    assert_false(record_unpack_id(SLICE_LIT("\1\2\3"), &folder));
    assert_int_equal(keywords_bit(&k, SLICE_LIT("Work")), 0);
    assert_int_equal(keywords_bit(&k, SLICE_LIT("$Junk")), 1);
    record_pack_keywords(&out, &k);
    assert_true(record_unpack_keywords(buf_slice(&out), &got));
    assert_int_equal(got.n, 2);
    /* The same once more: every bit would be another keyword's. */
    assert_false(record_unpack_keywords(buf_slice(&out), &got));
    keywords_fini(&k);
    keywords_fini(&got);
    assert_false(record_unpack_keywords(SLICE_LIT("\0\0\0\2a("), &got));
    keywords_fini(&got);
}

struct run {
    size_t n;
    uint8_t what;
};

static void make_span(const struct run *runs, size_t n, struct record_span *span)
{
    *span = (struct record_span){0};
    for (size_t i = 0, at = 0; i < n; i++) {
        for (size_t k = 0; k < runs[i].n; k++)
            (void)record_span_set(span, at++, runs[i].what);
    }
}

static void test_spans(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct run runs[8];
        size_t n, octets;
    } table[] = {
        {"the first one", {{1, 8}}, 1, 2},
        {"the second one", {{1, 0}, {1, 8}}, 2, 4},
        {"the last one", {{1023, 0}, {1, 3}}, 1024, 4},
        {"all", {{1024, 8}}, 1024, 2},
        {"all but one", {{500, 8}, {1, 0}, {523, 8}}, 1024, 6},
        {"everything", {{1, 8}, {1, 2}, {1, 3}, {1, 4}, {1, 5}, {1, 6}, {1, 8 + 2}, {1, 8 + 6}}, 8,
            16},
        {"nothing behind the last one", {{3, 8}, {1021, 0}}, 3, 2},
        {"nothing", {{7, 0}}, 0, 0},
    };
    struct record_span span, got;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        make_span(table[i].runs, COUNT_OF(table[i].runs), &span);
        record_pack_span(&out, &span);
        assert_row(table[i].name, span.n == table[i].n && out.n == table[i].octets);
        assert_row(table[i].name, record_unpack_span(buf_slice(&out), &got) == (span.n > 0));
        assert_row(table[i].name, memcmp(&span, &got, sizeof(got)) == 0);
    }
    make_span((const struct run[]){{2, 8}, {1, 0}, {2, 8}}, 3, &span);
    assert_false(record_span_set(&span, 4, 8));
    assert_false(record_span_set(&span, 1000, 0));
    assert_true(record_span_set(&span, 4, 0));
    assert_true(record_span_set(&span, 3, 0));
    assert_int_equal(span.n, 2); /* and what was in between is not behind it */
    assert_int_equal(record_span_get(&span, 1), 8);
    assert_int_equal(record_span_get(&span, SPAN_UIDS - 1), 0);
}

static void test_bad_spans(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct slice octets;
    } table[] = {
        {"nothing", SLICE_LIT("")},
        {"half a run", SLICE_LIT("\x80")},
        {"and a half", SLICE_LIT("\x80\x01\x20")},
        {"too long", SLICE_LIT("\x84\x00")},
        {"too long in two", SLICE_LIT("\x83\xff\x20\x00")},
        {"one run in two", SLICE_LIT("\x80\x00\x80\x00")},
        {"none behind the last one", SLICE_LIT("\x80\x00\x00\x00")},
        {"STORED, without a UID on the other side", SLICE_LIT("\x10\x00")},
        {"the same beside others", SLICE_LIT("\x90\x00")},
        {"a state that is none", SLICE_LIT("\x70\x00")},
        {"and beside others", SLICE_LIT("\xf0\x00")},
    };
    struct record_span got;
    for (size_t i = 0; i < COUNT_OF(table); i++)
        assert_row(table[i].name, !record_unpack_span(table[i].octets, &got));
}

static void test_keys(void **state)
{
    (void)state;
    static const unsigned char digest[SHA256_SIZE] = "abcdefghijk";
    const uint32_t uids[SIDES] = {258, 3};
    struct slice prefix;
    uint32_t folder, uid, both[SIDES];
    uint64_t id;
    struct buf later;
    buf_init(&later, 100);
    record_key_uid(&out, 1, 256);
    assert_true(record_is_uid(buf_slice(&out), &folder, &uid) && folder == 1 && uid == 256);
    record_key_uid(&later, 1, 257);
    assert_true(memcmp(out.p + out.off, later.p + later.off, 8) < 0); /* they sort as numbers */
    buf_fini(&later);
    record_key_folder(&out, 7);
    assert_true(record_is_folder(buf_slice(&out), &folder) && folder == 7);
    assert_false(record_is_intent(buf_slice(&out), &folder, &id));
    record_key_intent(&out, 7, 1ull << 40);
    assert_true(record_is_intent(buf_slice(&out), &folder, &id) && folder == 7 && id == 1ull << 40);
    assert_false(record_is_folder(buf_slice(&out), &folder));
    record_key_digest(&out, digest, 4, uids);
    assert_true(record_is_digest(buf_slice(&out), &prefix, &folder, both));
    assert_slice_equal(prefix, "abcdefgh");
    assert_true(folder == 4 && both[SIDE_A] == 258 && both[SIDE_B] == 3);
    assert_false(record_is_digest(slice_sub(buf_slice(&out), 0, 19), &prefix, &folder, both));
    uint32_t number;
    int side;
    record_key_span(&out, 5, SIDE_B, UINT32_MAX / SPAN_UIDS);
    assert_true(record_is_span(buf_slice(&out), &folder, &side, &number));
    assert_true(folder == 5 && side == SIDE_B && number == UINT32_MAX / SPAN_UIDS);
    assert_false(record_is_span(slice_sub(buf_slice(&out), 0, 9), &folder, &side, &number));
    record_key_span(&out, 5, SIDE_B, UINT32_MAX / SPAN_UIDS + 1);
    assert_false(record_is_span(buf_slice(&out), &folder, &side, &number));
    record_key_span(&out, 5, SIDES, 0);
    assert_false(record_is_span(buf_slice(&out), &folder, &side, &number));
    record_key_name(&out, SIDE_B, SLICE_LIT("x"));
    assert_int_equal(out.n, 3);
    record_key_keywords(&out, 1);
    record_key_version(&out);
    record_key_last(&out);
    assert_int_equal(out.n, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(test_pairs), TEST(test_bad_pairs), TEST(test_refs),
        TEST(test_folder), TEST(test_intent), TEST(test_sent), TEST(test_intent_of_flags_and_moves),
        TEST(test_version), TEST(test_small_ones), TEST(test_spans), TEST(test_bad_spans),
        TEST(test_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
