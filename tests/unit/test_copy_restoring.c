/* SPDX-License-Identifier: ISC */
/*
 * A folder of the source that is numbered anew, and lacks messages that come again: it is restored
 * while we look, or its server shows another one for a moment.  Whatever a pass has seen of it, in
 * the end each message is on the target once.
 */
#include "tests/unit/copy_rig.h"

#define BOX 1
#define N 12

static struct rig rig;

static void begin(const char *name, uint32_t target)
{
    rig_init(&rig, name, 0, target, 5);
    for (uint32_t c = 0; c < N; c++)
        rig_deliver(&rig, BOX, c, 0);
    rig_quiet(&rig);
}

static void expect_all(void)
{
    rig_expect(&rig, &rig.w.target, BOX, "0 1 2 3 4 5 6 7 8 9 10 11");
}

/* Its last `left` messages are what there is, under other numbers. */
static void keep_last(struct mailbox *b, size_t left)
{
    memmove(b->v, b->v + b->n - left, left * sizeof(*b->v));
    b->n = left;
    server_renumber(&rig.w.source, b);
}

static void test_restored_by_and_by(void **state)
{
    (void)state;
    static const uint32_t targets[] = {0, QUIRK_NO_UIDPLUS, QUIRK_NO_CONDSTORE, QUIRK_ALTERS};
    for (size_t t = 0; t < COUNT_OF(targets); t++) {
        for (size_t left = 0; left < N; left += 5) {
            begin("restored by and by", targets[t]);
            struct mailbox *b = server_find(&rig.w.source, BOX);
            keep_last(b, left);
            (void)rig_pass(&rig);
            (void)rig_pass(&rig);
            for (uint32_t c = 0; c + left < N; c++) {
                rig_deliver(&rig, BOX, c, 0);
                if (c % 4 == 1)
                    (void)rig_pass(&rig);
            }
            rig_quiet(&rig);
            expect_all();
            rig_fini(&rig);
        }
    }
}

static void test_as_it_was(void **state)
{
    (void)state;
    begin("empty for a moment", 0);
    struct mailbox *b = server_find(&rig.w.source, BOX);
    struct mailbox before = *b;
    b->n = 0;
    server_renumber(&rig.w.source, b);
    (void)rig_pass(&rig);
    b->n = before.n;
    b->uidvalidity = before.uidvalidity;
    b->uidnext = before.uidnext;
    b->modseq = before.modseq;
    rig_quiet(&rig);
    expect_all();
    rig_fini(&rig);
}

static int clean_up(void **state)
{
    (void)state;
    rig_fini(&rig);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_restored_by_and_by, clean_up),
        cmocka_unit_test_teardown(test_as_it_was, clean_up),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    site_remove();
    return failed;
}
