/* SPDX-License-Identifier: ISC */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/os/io.h"
#include "base/os/sock.h"
#include "tests/unit/tmpdir.h"

/* In place of the one of libc: the owner of the folder acts right behind the real one. */
static const char *swapped_for;

int bind(int fd, const struct sockaddr *addr, socklen_t n)
{
    const struct sockaddr_un *sun = (const struct sockaddr_un *)(const void *)addr;
    int rc = (int)syscall(SYS_bind, fd, addr, n);

    if (rc == 0 && swapped_for != NULL) {
        assert_int_equal(unlink(sun->sun_path), 0);
        assert_int_equal(symlink(swapped_for, sun->sun_path), 0);
    }
    return rc;
}

static void wait_for(int fd, short events)
{
    struct pollfd p = {.fd = fd, .events = events};

    assert_int_equal(poll(&p, 1, 30000), 1);
}

static int must_listen(const char *where, struct err *err)
{
    struct net_endpoint e;
    int fd = -1;

    assert_int_equal(net_endpoint_parse(slice_str(where), 0, &e, err), 0);
    if (sock_listen(&e, false, 0660, &fd, err) != 0)
        fd = -1;
    net_endpoint_fini(&e);
    return fd;
}

static void tcp_round(const char *where, const char *ip)
{
    struct err err = ERR_INIT;
    struct net_addr addr, peer;
    char text[NET_TEXT_MAX];
    uint16_t port;
    int server = must_listen(where, &err), client, conn;
    char c;

    if (server < 0 && strstr(where, "::") != NULL)
        skip(); /* a host without IPv6 */
    assert_true(server >= 0);
    assert_int_equal(sock_accept(server, &conn, NULL, &err), 0);
    assert_int_equal(conn, -1);
    assert_int_equal(sock_local(server, &addr, &port, &err), 0);
    assert_int_not_equal(port, 0);
    assert_int_equal(sock_connect(&addr, port, &client, &err), 0);
    wait_for(client, POLLOUT);
    assert_int_equal(sock_connect_result(client, &err), 0);
    wait_for(server, POLLIN);
    assert_int_equal(sock_accept(server, &conn, &peer, &err), 0);
    net_addr_format(&peer, text);
    assert_string_equal(text, ip);
    assert_true(fcntl(conn, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(conn, F_GETFD) & FD_CLOEXEC);
    assert_true(fcntl(client, F_GETFL) & O_NONBLOCK);
    assert_int_equal(write(client, "x", 1), 1);
    wait_for(conn, POLLIN);
    assert_int_equal(read(conn, &c, 1), 1);
    /* A taken port names itself. */
    assert_int_equal(
        fmt_into(text, sizeof(text), "%s:%u", strchr(ip, ':') ? "[::1]" : ip, port), 0);
    assert_int_equal(must_listen(text, &err), -1);
    assert_non_null(strstr(err.text, text));
    close(client);
    close(conn);
    close(server);
    /* Nobody there. */
    if (sock_connect(&addr, port, &client, &err) == 0) {
        wait_for(client, POLLOUT);
        assert_int_equal(sock_connect_result(client, &err), -1);
        close(client);
    }
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(err.code, EX_UNAVAILABLE);
}

static void test_tcp4(void **state)
{
    (void)state;
    tcp_round("127.0.0.1:0", "127.0.0.1");
    tcp_round("localhost:0", "127.0.0.1");
}

static void test_tcp6(void **state)
{
    (void)state;
    tcp_round("[::1]:0", "::1");
}

static void test_reuseport(void **state)
{
    struct err err = ERR_INIT;
    struct net_endpoint e = {.host = (char[]){"127.0.0.1"}};
    struct net_addr addr;
    int first, second;

    (void)state;
    assert_int_equal(sock_listen(&e, true, 0, &first, &err), 0);
    assert_int_equal(sock_local(first, &addr, &e.port, &err), 0);
    assert_int_equal(sock_listen(&e, true, 0, &second, &err), 0);
    close(first);
    close(second);
    e.host = (char[]){"mail.example.org"};
    assert_int_equal(sock_listen(&e, true, 0, &second, &err), -1);
    assert_int_equal(err.class, ERR_PERM);
}

static void test_unix(void **state)
{
    struct err err = ERR_INIT;
    struct tmpdir dir;
    struct stat st;
    struct net_addr peer;
    char where[300];
    int server, client, conn;
    mode_t mask = umask(077);

    (void)state;
    tmpdir_make(&dir);
    assert_int_equal(fmt_into(where, sizeof(where), "unix:%s", tmpdir_file(&dir, "s")), 0);
    server = must_listen(where, &err);
    assert_true(server >= 0);
    assert_int_equal(stat(dir.name, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(sock_connect_unix(dir.name, &client, &err), 0);
    assert_int_equal(sock_accept(server, &conn, &peer, &err), 0);
    assert_true(conn >= 0);
    assert_int_equal(peer.b[15], 0);
    close(client);
    close(conn);
    /* In use: refused.  Left over: replaced.  A file: never touched. */
    assert_int_equal(must_listen(where, &err), -1);
    assert_int_equal(err.class, ERR_TEMP);
    close(server);
    assert_int_equal(sock_connect_unix(dir.name, &client, &err), -1);
    server = must_listen(where, &err);
    assert_true(server >= 0);
    close(server);
    assert_int_equal(unlink(dir.name), 0);
    assert_int_equal(io_write_file_durable(dir.name, SLICE_LIT("x"), 0600, &err), 0);
    assert_int_equal(must_listen(where, &err), -1);
    assert_int_equal(stat(dir.name, &st), 0);
    tmpdir_remove(&dir);
    umask(mask);
}

/* The mode goes to the socket, never through its name to what somebody put there meanwhile. */
static void test_unix_swapped(void **state)
{
    struct err err = ERR_INIT;
    struct tmpdir dir;
    struct stat st;
    char where[300], victim[300];
    mode_t mask = umask(077);
    int fd;

    (void)state;
    tmpdir_make(&dir);
    assert_int_equal(fmt_into(victim, sizeof(victim), "%s/victim", dir.path), 0);
    assert_int_equal(fmt_into(where, sizeof(where), "unix:%s/s", dir.path), 0);
    assert_int_equal(io_write_file_durable(victim, SLICE_LIT("x"), 0600, &err), 0);
    swapped_for = victim;
    fd = must_listen(where, &err);
    swapped_for = NULL;
    io_close(&fd);
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(umask(mask), 077); /* and the umask is back */
    tmpdir_remove(&dir);
}

static void test_resolve(void **state)
{
    struct err err = ERR_INIT;
    struct net_addr a[4];
    size_t n;

    (void)state;
    assert_int_equal(sock_resolve("10.1.2.3", a, 4, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(a[0].b[15], 3);
    assert_int_equal(sock_resolve("localhost", a, 4, &n, &err), 0);
    assert_true(n >= 1);
    assert_true(net_addr_is_loopback(&a[0]));
    assert_int_equal(sock_resolve("localhost", a, 1, &n, &err), 0);
    assert_int_equal(n, 1);
    assert_int_equal(sock_resolve("bad name", a, 4, &n, &err), -1);
    assert_int_equal(err.code, EX_NOHOST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tcp4),
        cmocka_unit_test(test_tcp6),
        cmocka_unit_test(test_reuseport),
        cmocka_unit_test(test_unix),
        cmocka_unit_test(test_unix_swapped),
        cmocka_unit_test(test_resolve),
    };

    return cmocka_run_group_tests_name("sock", tests, NULL, NULL);
}
