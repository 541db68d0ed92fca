/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/program.h"
#include "base/os/io.h"
#include "tests/unit/tmpdir.h"

static const struct program prog = {"coexist-test", "does nothing", "  more\n"};

static char out_text[8192], err_text[2048];
static int saved[3], memory[3];

static void capture_begin(void)
{
    for (int fd = 1; fd <= 2; fd++) {
        assert_int_equal(fflush(NULL), 0);
        saved[fd] = dup(fd);
        memory[fd] = memfd_create("output", 0);
        assert_true(saved[fd] >= 0 && memory[fd] >= 0);
        assert_int_equal(dup2(memory[fd], fd), fd);
    }
}

static void capture_end(void)
{
    assert_int_equal(fflush(NULL), 0);
    for (int fd = 1; fd <= 2; fd++) {
        char *to = fd == 1 ? out_text : err_text;
        size_t size = fd == 1 ? sizeof(out_text) : sizeof(err_text);
        ssize_t n = pread(memory[fd], to, size - 1, 0);

        assert_int_equal(dup2(saved[fd], fd), fd);
        assert_true(n >= 0);
        to[n] = '\0';
        close(saved[fd]);
        close(memory[fd]);
    }
}

/* Up to five words behind the program's name. */
static int args(struct program_args *out, const char *const words[5])
{
    static char copies[6][256];
    static char *argv[7];
    int argc = 0, rc;

    assert_int_equal(fmt_into(copies[argc], sizeof(copies[0]), "coexist-test"), 0);
    argv[argc] = copies[argc];
    argc++;
    for (int i = 0; i < 5 && words[i] != NULL; i++, argc++) {
        assert_int_equal(fmt_into(copies[argc], sizeof(copies[0]), "%s", words[i]), 0);
        argv[argc] = copies[argc];
    }
    argv[argc] = NULL;
    capture_begin();
    rc = program_args(&prog, argc, argv, out);
    capture_end();
    return rc;
}

static void test_command_line(void **state)
{
    static const struct {
        const char *words[5];
        int rc;
        const char *out, *err; /* found in the output */
        const char *conf_path;
        bool check_only, print;
        int verbose, rest;
    } rows[] = {
        {{NULL}, -1, "", "", CONF_DEFAULT_PATH, false, false, 0, 0},
        {{"-c", "/x", "-nPv"}, -1, "", "", "/x", true, true, 1, 0},
        {{"-c/x", "-v", "-v", "set", "-n"}, -1, "", "", "/x", false, false, 2, 2},
        {{"--", "-n"}, -1, "", "", CONF_DEFAULT_PATH, false, false, 0, 1},
        {{"--help"}, EX_OK, "does nothing", "", NULL, false, false, 0, 0},
        {{"-n", "--version"}, EX_OK, "coexist-test " COEXIST_VERSION "\n", "", NULL, false, false,
            0, 0},
        {{"-c"}, EX_USAGE, "", "missing after -c", NULL, false, false, 0, 0},
        {{"-x"}, EX_USAGE, "", "unknown option -x", NULL, false, false, 0, 0},
        {{"--nonsense"}, EX_USAGE, "", "unknown option --nonsense", NULL, false, false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *name = rows[i].words[0] ? rows[i].words[0] : "nothing";
        struct program_args a;

        assert_row(name, args(&a, rows[i].words) == rows[i].rc);
        assert_row(name, strstr(out_text, rows[i].out) != NULL);
        assert_row(name, strstr(err_text, rows[i].err) != NULL);
        if (rows[i].rc != -1)
            continue;
        assert_string_equal(a.conf_path, rows[i].conf_path);
        assert_row(name, a.check_only == rows[i].check_only && a.print == rows[i].print);
        assert_row(name, a.verbose == rows[i].verbose && a.argc == rows[i].rest);
        assert_row(name, a.argv[a.argc] == NULL);
    }
}

static int load(const char *path, bool check_only, bool print, struct conf **conf)
{
    struct program_args a = {.conf_path = path, .check_only = check_only, .print = print};
    int rc;

    capture_begin();
    rc = program_conf(&prog, &a, conf);
    capture_end();
    return rc;
}

static void test_configuration(void **state)
{
    struct tmpdir dir;
    struct conf *conf = NULL;
    struct err err = ERR_INIT;

    (void)state;
    tmpdir_make(&dir);
    assert_int_equal(
        io_write_file_durable(tmpdir_file(&dir, "c"), SLICE_LIT("run = /r\n"), 0600, &err), 0);
    assert_int_equal(load(dir.name, true, false, &conf), EX_OK);
    assert_string_equal(out_text, "");
    assert_int_equal(load(dir.name, false, true, &conf), EX_OK);
    assert_non_null(strstr(out_text, "run = \"/r\"\n"));
    assert_null(conf);
    assert_int_equal(load(dir.name, false, false, &conf), -1);
    assert_string_equal(conf->run, "/r");
    conf_free(&conf);
    assert_int_equal(
        io_write_file_durable(tmpdir_file(&dir, "c"), SLICE_LIT("run = r\n"), 0600, &err), 0);
    assert_int_equal(load(dir.name, true, false, &conf), EX_CONFIG);
    assert_memory_equal(err_text, "coexist-test: /tmp/", 19);
    assert_non_null(strstr(err_text, "/c:1: run: 'r' is not an absolute path\n"));
    assert_int_equal(load(tmpdir_file(&dir, "none"), true, false, &conf), EX_CONFIG);
    tmpdir_remove(&dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_command_line),
        cmocka_unit_test(test_configuration),
    };

    return cmocka_run_group_tests_name("program", tests, NULL, NULL);
}
