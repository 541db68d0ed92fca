/* SPDX-License-Identifier: ISC */
#include "relay/hold.h"
#include "tests/unit/unit.h"

static void limit_of_all(void **state)
{
    struct hold_room *room = hold_room_new(3, 3);

    (void)state;
    assert_true(hold_room_enter(room, 1));
    assert_true(hold_room_enter(room, 2));
    assert_true(hold_room_enter(room, 3));
    assert_false(hold_room_enter(room, 4));
    hold_room_leave(room, 2);
    assert_true(hold_room_enter(room, 4));
    hold_room_free(&room);
    assert_null(room);
}

static void limit_per_user(void **state)
{
    struct hold_room *room = hold_room_new(100, 2);

    (void)state;
    assert_true(hold_room_enter(room, 1));
    assert_true(hold_room_enter(room, 1));
    assert_false(hold_room_enter(room, 1));
    assert_true(hold_room_enter(room, 2));
    hold_room_leave(room, 1);
    assert_true(hold_room_enter(room, 1));
    hold_room_free(&room);
}

static void many_users(void **state)
{
    struct hold_room *room = hold_room_new(1000, 1);

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (uint64_t user = 0; user < 1000; user++)
            assert_true(hold_room_enter(room, user));
        assert_false(hold_room_enter(room, 1000));
        for (uint64_t user = 0; user < 1000; user += 2)
            hold_room_leave(room, user);
        for (uint64_t user = 1; user < 1000; user += 2) {
            assert_false(hold_room_enter(room, user));
            hold_room_leave(room, user);
        }
    }
    hold_room_free(&room);
}

static void no_room(void **state)
{
    struct hold_room *room = hold_room_new(0, 1);

    (void)state;
    assert_false(hold_room_enter(room, 1));
    hold_room_free(&room);
    room = hold_room_new(1, 0);
    assert_false(hold_room_enter(room, 1));
    hold_room_free(&room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(limit_of_all),
        cmocka_unit_test(limit_per_user),
        cmocka_unit_test(many_users),
        cmocka_unit_test(no_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
