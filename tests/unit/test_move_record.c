/* SPDX-License-Identifier: ISC */
/* The record of a cut-over: what is packed is read again, what is damaged is said to be. */
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/move/record.h"
#include "tests/unit/tmpdir.h"
#include "tests/unit/unit.h"

static struct move_record sample(void)
{
    return (struct move_record){.user = "ann@example.org",
        .mailbox = "ann@new.example.org",
        .from = "old",
        .to = "new",
        .state = MOVE_DELTA,
        .since_ms = 1700000000123,
        .started_ms = 1700000000001,
        .id = "0123456789abcdef0123456789abcdef",
        .hold_deadline_ms = 120000,
        .hold_epoch = 77,
        .is_ambiguous = true,
        .is_return = true,
        .held_ms = 250,
        .flipped_ms = 1700000000999,
        .copied = 300,
        .copied_octets = UINT64_C(1) << 40,
        .verified = 298,
        .late = 2,
        .swept_ms = 1700000001000,
        .sweeps = 4,
        .quiet_ms = 1700000000998,
        .error_code = EX_TEMPFAIL,
        .error = "INBOX, \"quoted\" and \\ back"};
}

static void assert_same(const struct move_record *a, const struct move_record *b)
{
    json_t *x = move_record_json(a), *y = move_record_json(b);
    assert_true(json_equal(x, y));
    json_decref(x);
    json_decref(y);
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct move_record in = sample(), out;
    struct buf packed;
    buf_init(&packed, RECORD_PACKED_MAX);
    for (int s = MOVE_NONE; s < MOVE_STATES; s++) {
        in.state = (enum move_state)s;
        move_record_pack(&packed, &in);
        assert_true(move_record_unpack(buf_slice(&packed), true, &out));
        assert_int_equal(out.state, s);
        assert_same(&in, &out);
        move_record_fini(&out);
    }
    assert_int_equal(out.copied_octets, UINT64_C(1) << 40);
    assert_true(out.is_ambiguous);
    assert_true(out.is_return);
    buf_fini(&packed);
}

/* What a later version has added at the end is not known, and what an earlier one has not had is
 * zero; nothing that is cut off or has something behind it is read. */
static void test_octets_that_make_no_sense(void **state)
{
    (void)state;
    struct move_record in = sample(), out;
    struct buf packed;
    buf_init(&packed, RECORD_PACKED_MAX);
    move_record_pack(&packed, &in);
    struct slice whole = buf_slice(&packed);
    for (size_t n = 0; n < whole.n; n++)
        assert_false(move_record_unpack(slice_sub(whole, 0, n), true, &out));
    assert_int_equal(buf_add_byte(&packed, 0), 0);
    assert_false(move_record_unpack(buf_slice(&packed), true, &out));
    buf_fini(&packed);
}

static void test_texts_at_their_limit(void **state)
{
    (void)state;
    struct move_record in = sample(), out;
    memset(in.user, 'u', sizeof(in.user) - 1);
    memset(in.error, 'e', sizeof(in.error) - 1);
    json_t *json = move_record_json(&in);
    assert_int_equal(move_record_from_json(json, &out), 0);
    assert_string_equal(in.user, out.user);
    /* One more does not fit: damaged, never cut. */
    char longer[MOVE_NAME_MAX + 1];
    memset(longer, 'u', MOVE_NAME_MAX);
    longer[MOVE_NAME_MAX] = '\0';
    json_object_set_new(json, "user", json_string(longer));
    assert_int_equal(move_record_from_json(json, &out), -1);
    json_decref(json);
}

static void test_damage(void **state)
{
    (void)state;
    struct move_record in = sample(), out;
    json_t *json = move_record_json(&in);
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(json, next, key, value)
    {
        json_t *broken = json_deep_copy(json);
        json_object_set_new(broken, key, json_array());
        bool may_miss = strcmp(key, "ambiguous") == 0 || strcmp(key, "return") == 0 ||
                        strcmp(key, "error_code") == 0;
        assert_row(key, (move_record_from_json(broken, &out) == 0) == may_miss);
        json_decref(broken);
    }
    /* Of before there was such a thing. */
    json_t *older = json_deep_copy(json);
    json_object_del(older, "quiet_ms");
    assert_int_equal(move_record_from_json(older, &out), 0);
    assert_int_equal(out.quiet_ms, 0);
    json_object_del(older, "sweeps");
    assert_int_equal(move_record_from_json(older, &out), -1);
    json_decref(older);
    json_object_set_new(json, "state", json_string("dancing"));
    assert_int_equal(move_record_from_json(json, &out), -1);
    json_decref(json);
    assert_int_equal(move_record_from_json(NULL, &out), -1);
}

static void test_folders_and_locks(void **state)
{
    (void)state;
    struct tmpdir t;
    struct err err = ERR_INIT;
    struct move_dir ann, bob, again;
    tmpdir_make(&t);
    struct conf conf = {.state = t.path};
    assert_int_equal(move_dir_open(&conf, "ann@example.org", &ann, &err), 0);
    assert_int_equal(move_dir_open(&conf, "bob@example.org", &bob, &err), 0);
    assert_string_not_equal(ann.path, bob.path);
    assert_int_equal(move_dir_open(&conf, "ann@example.org", &again, &err), -1);
    assert_int_equal(err.code, EX_TEMPFAIL);
    assert_non_null(strstr(err.text, "ann@example.org is being worked on"));
    assert_int_equal(move_dir_lock(ann.path, &again, &err), -1);
    char *path = mem_strdup(ann.path);
    move_dir_close(&ann);
    assert_int_equal(move_dir_lock(path, &again, &err), 0);
    mem_free_string(&path);
    move_dir_close(&again);
    move_dir_close(&bob);
    tmpdir_remove(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_texts_at_their_limit),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_octets_that_make_no_sense),
        cmocka_unit_test(test_folders_and_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
