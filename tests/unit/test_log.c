/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/log.h"
#include "tests/unit/unit.h"

static char captured[2 * LOG_LINE_MAX];
static int memory_fd, saved_stderr;

static void capture_begin(void)
{
    memory_fd = memfd_create("log", 0);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(memory_fd >= 0 && saved_stderr >= 0);
    assert_true(dup2(memory_fd, STDERR_FILENO) >= 0);
}

static const char *capture_end(void)
{
    ssize_t n;

    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    close(saved_stderr);
    n = pread(memory_fd, captured, sizeof(captured) - 1, 0);
    assert_true(n >= 0);
    captured[n] = '\0';
    close(memory_fd);
    return captured;
}

static void test_line(void **state)
{
    const char *line, *from;
    struct err err = ERR_INIT;

    (void)state;
    log_init("prog", LOG_LEVEL_INFO);
    err_set(&err, ERR_TEMP, 0, "a b");
    capture_begin();
    log_info("rcpt_accept", log_str("sid", "s1"), log_slice("rcpt", SLICE_LIT("a\r\nevent=x")),
        log_u64("epoch", UINT64_MAX), log_i64("low", INT64_MIN), log_err(&err),
        log_str("none", NULL));
    line = capture_end();
    assert_memory_equal(line, "time=2", 6);
    from = strchr(line, ' ');
    assert_memory_equal(from - 5, ".", 1);
    assert_string_equal(from,
        " level=info prog=prog event=rcpt_accept sid=s1 rcpt=\"a\\x0d\\x0aevent=x\""
        " epoch=18446744073709551615 low=-9223372036854775808 error=\"a b\" none=\"\"\n");
}

static void test_levels(void **state)
{
    (void)state;
    log_init("prog", LOG_LEVEL_WARN);
    capture_begin();
    log_info("hidden");
    log_debug("hidden");
    log_warn("seen");
    log_set_level(LOG_LEVEL_DEBUG);
    log_debug("seen_too");
    log_error("seen_three");
    capture_end();
    assert_null(strstr(captured, "hidden"));
    assert_non_null(strstr(captured, "level=warn prog=prog event=seen\n"));
    assert_non_null(strstr(captured, "level=debug prog=prog event=seen_too\n"));
    assert_non_null(strstr(captured, "level=error prog=prog event=seen_three\n"));
}

static void test_limits(void **state)
{
    static char value[LOG_VALUE_MAX + 1];
    const char *line;
    struct slice v = slice_make(value, LOG_VALUE_MAX);

    (void)state;
    log_init("prog", LOG_LEVEL_INFO);
    memset(value, 'v', sizeof(value));
    capture_begin();
    log_info("e", log_slice("k", v));
    line = capture_end();
    assert_null(strstr(line, "..."));
    assert_int_equal(strlen(strstr(line, "k=")), 2 + LOG_VALUE_MAX + 1);
    capture_begin();
    log_info("e", log_slice("k", slice_make(value, LOG_VALUE_MAX + 1)));
    line = capture_end();
    assert_string_equal(line + strlen(line) - 5, "v...\n");
    assert_int_equal(strlen(strstr(line, "k=")), 2 + LOG_VALUE_MAX + 1);
    /* A whole line of long values ends in time, with its newline. */
    memset(value, '\x01', sizeof(value));
    capture_begin();
    log_info("e", log_slice("a", v), log_slice("b", v), log_slice("c", v), log_slice("d", v),
        log_slice("e", v), log_str("f", "x"));
    line = capture_end();
    assert_true(strlen(line) <= LOG_LINE_MAX);
    assert_string_equal(line + strlen(line) - 2, "\"\n");
    assert_non_null(strstr(line, "\\x01...\" b="));
}

static void test_encoder(void **state)
{
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"},
        {"", "\"\""},
        {"a b", "\"a b\""},
        {"a=b", "\"a=b\""},
        {"\"\\", "\"\\\"\\\\\""},
        {"\x7f\xc3\xa4\x1b[", "\"\\x7f\\xc3\\xa4\\x1b[\""},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct buf b;

        buf_init(&b, strlen(rows[i].out) - 1);
        assert_row(rows[i].out, log_encode_value(&b, slice_str(rows[i].in)) == -1);
        assert_row(rows[i].out, b.n == 0);
        buf_fini(&b);
        buf_init(&b, strlen(rows[i].out));
        assert_row(rows[i].out, log_encode_value(&b, slice_str(rows[i].in)) == 0);
        assert_string_equal(buf_cstr(&b), rows[i].out);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line),
        cmocka_unit_test(test_levels),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_encoder),
    };

    return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
