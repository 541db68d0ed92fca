/* SPDX-License-Identifier: ISC */
/* What kind of server it is, and how long it takes by what that bears. */
#include "imapsync/ends/imap_manner.h"
#include "tests/unit/unit.h"

static void test_names(void **state)
{
    static const char *const names[] = {
        "generic", "dovecot", "cyrus", "courier", "exchange-online", "gmail"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct profile *p = profile_named(slice_str(names[i]));
        assert_row(names[i], p && strcmp(p->name, names[i]) == 0);
    }
    assert_ptr_equal(profile_named(SLICE_LIT("Gmail")), profile_named(SLICE_LIT("gmail")));
    assert_null(profile_named(SLICE_LIT("")));
    assert_null(profile_named(SLICE_LIT("exchange")));
}

static void test_recognised(void **state)
{
    static const struct {
        const char *host, *greeting, *id, *name;
    } rows[] = {
        {"imap.gmail.com", "", "", "gmail"},
        {"IMAP.GMAIL.COM", "", "", "gmail"},
        {"imap.gmail.com.example.org", "hello", "", "generic"},
        {"10.0.0.1", "Gimap ready for requests from 10.0.0.2 x9mb1", "", "gmail"},
        {"outlook.office365.com", "The Microsoft Exchange IMAP4 service is ready. [T=]", "",
            "exchange-online"},
        {"mail.example.org", "The Microsoft Exchange IMAP4 service is ready.", "", "generic"},
        {"mail.example.org", "Dovecot (Debian) ready.", "", "dovecot"},
        {"mail.example.org", "mail Cyrus IMAP 3.6.1-4+deb12u3 server ready", "", "cyrus"},
        {"mail.example.org", "Courier-IMAP ready. Copyright 1998-2018", "", "courier"},
        {"mail.example.org", "ready", "(\"name\" \"Dovecot\" \"version\" \"2.3\")", "dovecot"},
        {"mail.example.org", "ready", "(\"vendor\" \"Project Cyrus\")", "cyrus"},
        {"", "", "", "generic"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct profile *p = profile_recognise(
            slice_str(rows[i].host), slice_str(rows[i].greeting), slice_str(rows[i].id));
        if (strcmp(p->name, rows[i].name) != 0)
            fail_msg("%s, %s, %s: %s", rows[i].host, rows[i].greeting, rows[i].id, p->name);
    }
}

static void test_forecasts(void **state)
{
#define DAY UINT64_C(86400)
    static const struct profile slow = {
        .octets = 100, .commands = 2, .down_day = 1000, .up_day = 500};
    static const struct profile swift = {.name = "no limit"};
    static const struct {
        const char *name;
        const struct profile *p;
        struct profile_work w;
        bool is_known;
        uint64_t seconds;
        enum profile_bound bound;
    } rows[] = {
        {"nothing is known", &swift, {.octets = 10, .messages = 1}, false, 0, PROFILE_BOUND_SPEED},
        {"nothing to do", &swift, {0}, true, 0, PROFILE_BOUND_SPEED},
        {"as fast as so far", &swift, {.octets = 101, .speed = 10}, true, 11, PROFILE_BOUND_SPEED},
        {"not faster than that", &slow, {.octets = 101, .speed = 1000}, true, 2,
            PROFILE_BOUND_RATE},
        {"slower by itself", &slow, {.octets = 101, .speed = 10}, true, 11, PROFILE_BOUND_SPEED},
        {"before it has begun", &slow, {.octets = 200}, true, 2, PROFILE_BOUND_RATE},
        {"small messages up", &slow, {.octets = 100, .messages = 21, .is_up = true}, true, 11,
            PROFILE_BOUND_RATE},
        {"and down", &slow, {.octets = 100, .messages = 21}, true, 1, PROFILE_BOUND_RATE},
        {"all of a day", &slow, {.octets = 1000}, true, 10, PROFILE_BOUND_RATE},
        {"an octet more", &slow, {.octets = 1001}, true, DAY + 1, PROFILE_BOUND_DAY},
        {"two days", &slow, {.octets = 2000}, true, DAY + 10, PROFILE_BOUND_DAY},
        {"and a half", &slow, {.octets = 2500}, true, 2 * DAY + 5, PROFILE_BOUND_DAY},
        {"of which something is used", &slow, {.octets = 2500, .used = 600}, true, 3 * DAY + 1,
            PROFILE_BOUND_DAY},
        {"or all, and more", &slow, {.octets = 1, .used = 5000}, true, DAY + 1, PROFILE_BOUND_DAY},
        {"up there is less", &slow, {.octets = 600, .is_up = true}, true, DAY + 1,
            PROFILE_BOUND_DAY},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct profile_forecast f;
        assert_row(rows[i].name, profile_forecast(rows[i].p, &rows[i].w, &f) == rows[i].is_known);
        if (rows[i].is_known && (f.seconds != rows[i].seconds || f.bound != rows[i].bound))
            fail_msg("row '%s': %llu seconds, bound %d", rows[i].name,
                (unsigned long long)f.seconds, (int)f.bound);
    }
    /* Gmail gives 10 GB in 4 days, and takes them in 20. */
    struct profile_forecast f;
    const struct profile *gmail = profile_named(SLICE_LIT("gmail"));
    struct profile_work w = {.octets = UINT64_C(10000000000), .speed = 10000000};
    assert_true(profile_forecast(gmail, &w, &f));
    assert_int_equal(f.seconds / DAY, 3);
    w.is_up = true;
    assert_true(profile_forecast(gmail, &w, &f));
    assert_int_equal(f.seconds / DAY, 19);
}

/* What somebody has said counts, the rest is the profile's. */
static void test_manners(void **state)
{
    static const struct profile p = {.connections = 1, .commands = 4};
    struct imap_place place = {.server = imap_server_of("manners")};
    struct imap_manner m = {0};
    (void)state;
    imap_manner_apply(&m, &p, &place);
    assert_int_equal(imap_server_commands(place.server, 1000), 4);
    assert_int_equal(imap_server_enter(place.server, 1000), 0);
    assert_int_equal(imap_server_enter(place.server, 1000), IMAP_PLACE_LOOK_MS);
    m.rates = (struct imap_rates){.connections = 2, .commands = 2};
    imap_manner_apply(&m, &p, &place);
    assert_int_equal(imap_server_commands(place.server, 2000), 2);
    assert_int_equal(imap_server_enter(place.server, 2000), 0);
    imap_server_leave(place.server);
    imap_server_leave(place.server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_recognised),
        cmocka_unit_test(test_forecasts),
        cmocka_unit_test(test_manners),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
