/* SPDX-License-Identifier: ISC */
/* The change log in steps: one for all that a request has changed. */
#include "tests/unit/control_rig.h"

#define ROW(key, fields) "{\"key\":\"" key "@example.org\",\"set\":{" fields "}}"
#define TO(name) "\"kind\":\"alias\",\"to\":\"" name "@example.org\""

/* "GENERATION-TO xCOUNT WHAT..." of each, and where it goes on. */
static void expect_steps(const char *request, const char *want)
{
    json_t *reply = ask(request), *step, *one;
    size_t i, k;
    struct buf out;
    int rc = 0;
    buf_init(&out, 4096);
    json_array_foreach(json_object_get(reply, "changes"), i, step)
    {
        rc |= buf_addf(&out, "%s%lld-%lld x%lld", i ? ", " : "",
            (long long)json_integer_value(json_object_get(step, "generation")),
            (long long)json_integer_value(json_object_get(step, "to")),
            (long long)json_integer_value(json_object_get(step, "count")));
        json_array_foreach(json_object_get(step, "what"), k, one)
        {
            rc |= buf_addf(&out, " %lld:%s>%s",
                (long long)json_integer_value(json_object_get(one, "count")),
                json_string_value(json_object_get(one, "old")),
                json_string_value(json_object_get(one, "new")));
        }
    }
    if (json_is_integer(json_object_get(reply, "next")))
        rc |= buf_addf(
            &out, " next %lld", (long long)json_integer_value(json_object_get(reply, "next")));
    assert_int_equal(rc, 0);
    assert_string_equal(buf_cstr(&out), want);
    buf_fini(&out);
    json_decref(reply);
}

static void test_steps(void **state)
{
    (void)state;
    expect_steps("{\"op\":\"log\",\"steps\":true}", "");
    number(
        "{\"op\":\"apply\",\"id\":\"wave-1\",\"changes\":[" ROW("a", "\"route\":\"old\"") "," ROW(
            "b", "\"route\":\"old\"") "," ROW("c", "\"route\":\"new\"") "]}",
        "generation");
    /* Without an id each is one; so is the same id again, which changes nothing. */
    number(SET("a@example.org", "new"), "generation");
    number(SET("b@example.org", "new"), "generation");
    json_decref(
        ask("{\"op\":\"hold\",\"key\":\"c@example.org\",\"owner\":\"o\",\"deadline_ms\":1000,"
            "\"id\":\"h\"}"));
    number(
        "{\"op\":\"apply\",\"id\":\"wave-2\",\"changes\":[" ROW("a", "\"route\":\"old\"") "," ROW(
            "d", "\"kind\":\"reject\"") "," ROW("e", TO("a")) "," ROW("f",
            "\"route\":\"old\"") "," ROW("g", "\"kind\":\"group\",\"route\":\"new\"") "," ROW("b",
            "\"kind\":\"reject\"") "," ROW("h", TO("a")) "," ROW("i", "\"route\":\"new\"") "]}",
        "generation");
#define WAVE_1 "1-3 x3 2:->old 1:->new"
#define SINGLE "4-4 x1 1:old>new, 5-5 x1 1:old>new, 6-6 x1 1:new>new (held)"
#define WAVE_2 "7-14 x8 1:new>old 1:->reject 2:->alias 1:->old 2:->new 1:...>..."
    expect_steps("{\"op\":\"log\",\"steps\":true}", WAVE_1 ", " SINGLE ", " WAVE_2);
    expect_steps("{\"op\":\"log\",\"steps\":true,\"last\":1}", WAVE_2);
    expect_steps("{\"op\":\"log\",\"steps\":true,\"last\":4}", SINGLE ", " WAVE_2);
    expect_steps("{\"op\":\"log\",\"steps\":true,\"last\":99}", WAVE_1 ", " SINGLE ", " WAVE_2);
    /* In pages; and from the middle of one. */
    expect_steps("{\"op\":\"log\",\"steps\":true,\"limit\":1}", WAVE_1 " next 4");
    expect_steps("{\"op\":\"log\",\"steps\":true,\"from\":3,\"limit\":1}", "3-3 x1 1:->new next 4");
    /* Of one address, and without steps, each change is told. */
    json_t *reply = ask("{\"op\":\"log\",\"steps\":true,\"key\":\"a@example.org\"}");
    assert_int_equal(json_array_size(json_object_get(reply, "changes")), 3);
    json_decref(reply);
    reply = ask("{\"op\":\"log\",\"last\":3}");
    assert_int_equal(json_array_size(json_object_get(reply, "changes")), 3);
    json_decref(reply);
    expect_error("{\"op\":\"log\",\"steps\":1}", EX_USAGE, "steps");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_steps, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
