/* SPDX-License-Identifier: ISC */
/* What a message is called, for people; and reading it from a mailbox. */
#include "imapsync/copy/subjects.h"
#include "tests/unit/copy_rig.h"

static void test_decoding(void **state)
{
    static const struct {
        const char *value, *want;
    } rows[] = {
        {" plain words\r\n", "plain words"},
        {" folded\r\n\twith  blanks\r\n", "folded with blanks"},
        {"", ""},
        {" =?utf-8?Q?caf=C3=A9?=", "caf\xc3\xa9"},
        {" Re: =?UTF-8?b?w6TDtsO8?= ok", "Re: \xc3\xa4\xc3\xb6\xc3\xbc ok"},
        {" =?iso-8859-1?q?f=FCr_alle?=", "f\xc3\xbcr alle"},
        {" =?us-ascii*en?Q?a?=", "a"},
        /* Between two encoded words blanks mean nothing; a character may be in both. */
        {" =?utf-8?Q?a?=\r\n =?utf-8?Q?b?= c", "ab c"},
        {" =?utf-8?Q?=C3?= =?utf-8?Q?=A4?=", "\xc3\xa4"},
        /* What cannot be read stays. */
        {" =?koi8-r?Q?x?=", "=?koi8-r?Q?x?="},
        {" =?utf-8?Q?=ZZ?=", "=?utf-8?Q?=ZZ?="},
        {" =?utf-8?B?!!!?=", "=?utf-8?B?!!!?="},
        {" =?utf-8?X?a?=", "=?utf-8?X?a?="},
        {" =?utf-8?Q?never ends", "=?utf-8?Q?never ends"},
        {" =?", "=?"},
        {" =?=?=?", "=?=?=?"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf out;
        buf_init(&out, 4096);
        subject_decode(slice_str(rows[i].value), &out);
        if (!slice_eq(buf_slice(&out), slice_str(rows[i].want)))
            fail_msg("%s: %.*s", rows[i].value, SLICE_ARG(buf_slice(&out)));
        buf_fini(&out);
    }
}

static void test_much(void **state)
{
    struct buf value, out;
    (void)state;
    buf_init(&value, 1u << 20);
    buf_init(&out, 2000);
    for (size_t i = 0; i < 20000; i++)
        assert_int_equal(buf_add_str(&value, "=?utf-8?Q?=41?= "), 0);
    subject_decode(buf_slice(&value), &out);
    assert_in_range(out.n, 900, 2000);
    buf_fini(&value);
    buf_fini(&out);
}

static void test_reading(void **state)
{
    static struct rig rig;
    struct subjects s = {0};
    struct err err = ERR_INIT;
    (void)state;
    rig_init(&rig, "subjects", 0, 0, 1);
    for (uint32_t i = 0; i < 3; i++)
        rig_deliver(&rig, 1, 10 + i, 0);
    const struct mailbox *work = server_find(&rig.w.source, 1);
    const struct slice name = slice_str(model_folder_name(1));
    subjects_add(&s, name, work->v[0].uid, work->uidvalidity, 0);
    subjects_add(&s, name, work->v[2].uid, work->uidvalidity, 1);
    subjects_add(&s, name, work->v[2].uid, work->uidvalidity, 2); /* another item of it */
    subjects_add(&s, name, 999, work->uidvalidity, 3);            /* not there any more */
    subjects_add(&s, name, work->v[0].uid, work->uidvalidity + 1, 4);
    subjects_add(&s, SLICE_LIT("nowhere"), 1, 0, 5);
    struct end *e = model_end_new(&rig.w, &rig.w.source, NULL);
    assert_int_equal(subjects_read(e, &s, &err), 0);
    assert_non_null(strstr(s.v[0].text, "10"));
    assert_non_null(strstr(s.v[1].text, "12"));
    assert_string_equal(s.v[1].text, s.v[2].text);
    for (size_t i = 3; i < s.n; i++)
        assert_null(s.v[i].text);
    subjects_fini(&s);
    e->ops->close(e);
    rig_fini(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decoding),
        cmocka_unit_test(test_much),
        cmocka_unit_test(test_reading),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
