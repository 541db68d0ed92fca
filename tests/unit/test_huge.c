/* SPDX-License-Identifier: ISC */
/* Mappings of every size around that of a huge page: aligned, exact, and with the file's bytes. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include "base/os/huge.h"
#include "tests/unit/unit.h"

static int make_file(size_t size)
{
    int fd = memfd_create("huge", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    return fd;
}

static void test_sizes(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t sizes[] = {1, page, HUGE_PAGE - 1, HUGE_PAGE, HUGE_PAGE + 1, HUGE_PAGE + page,
        3 * HUGE_PAGE - 1, 3 * HUGE_PAGE};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t n = sizes[i];
        int fd = make_file(n);
        char *writer = huge_map(fd, n, PROT_READ | PROT_WRITE);
        char *reader = huge_map(fd, n, PROT_READ);
        assert_ptr_not_equal(writer, MAP_FAILED);
        assert_ptr_not_equal(reader, MAP_FAILED);
        if (n >= HUGE_PAGE) {
            assert_int_equal((uintptr_t)writer % HUGE_PAGE, 0);
            assert_int_equal((uintptr_t)reader % HUGE_PAGE, 0);
        }
        writer[0] = 'a';
        writer[n - 1] = 'z';
        huge_collapse(writer, n);
        assert_int_equal(writer[0], n == 1 ? 'z' : 'a');
        assert_int_equal(reader[0], writer[0]);
        assert_int_equal(reader[n - 1], 'z');
        writer[n / 2] = 'm';
        assert_int_equal(reader[n / 2], 'm');
        close(fd);
        assert_int_equal(munmap(writer, n), 0);
        assert_int_equal(munmap(reader, n), 0);
    }
}

/* Pages of address space that this process has. */
static size_t address_space(void)
{
    size_t pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu", &pages), 1);
    fclose(f);
    return pages;
}

static void test_no_more_room_than_needed(void **state)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), n = HUGE_PAGE + 1;
    int fd = make_file(n);
    (void)state;
    (void)address_space(); /* its buffers exist from now on */
    size_t before = address_space();
    char *base = huge_map(fd, n, PROT_READ);
    assert_ptr_not_equal(base, MAP_FAILED);
    close(fd);
    assert_int_equal(address_space(), before + HUGE_PAGE / page + 1);
    assert_int_equal(munmap(base, n), 0);
    assert_int_equal(address_space(), before);
    assert_ptr_equal(huge_map(fd, n, PROT_READ), MAP_FAILED);
    assert_int_equal(address_space(), before);
}

static void test_no_file(void **state)
{
    const size_t sizes[] = {1, 4 * HUGE_PAGE};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        errno = 0;
        assert_ptr_equal(huge_map(-1, sizes[i], PROT_READ), MAP_FAILED);
        assert_int_equal(errno, EBADF);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_no_more_room_than_needed),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
