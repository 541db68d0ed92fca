/* SPDX-License-Identifier: ISC */
/*
 * Two ends are opened, listed and left at the same time: the peers here answer only when both have
 * been asked, and nothing before the last word of a turn, so that whoever waits where he need not
 * waits for ever.  Four turns behind the connection are all that it may take.
 */
#include <sysexits.h>

#include "tests/unit/imap_peer.h"

#define CAPS                                                                                       \
    "IMAP4rev1 AUTH=PLAIN SASL-IR ENABLE CONDSTORE QRESYNC NAMESPACE LIST-EXTENDED LIST-STATUS "   \
    "SPECIAL-USE"

/* What a peer waits for, and then says; "~" is the tag of that line. */
static const struct imap_peer_row turns[] = {{"AUTHENTICATE", "~ OK [CAPABILITY " CAPS "] in\n"},
    {"LIST", "* LIST () \"/\" INBOX\n"
             "* STATUS INBOX (MESSAGES 0 UIDNEXT 1 UIDVALIDITY 7 HIGHESTMODSEQ 1)\n~ OK listed\n"},
    {"LOGOUT", "* BYE bye\n~ OK bye\n"}, {NULL, NULL}};
#define GREETING "* OK [CAPABILITY " CAPS "] hello\n"

struct pair {
    struct imap_peer peers[2];
    pthread_barrier_t both;
    const struct end_maker *makers[2];
    struct end *ends[2];
};

static struct pair pair;

/* The tags of the lines up to the one with the text; false: the end. */
static bool hear(struct imap_peer *p, FILE *in, const char *text, struct buf *tags)
{
    struct buf line;
    bool is_it = false;
    buf_init(&line, 65536);
    buf_clear(tags);
    while (!is_it && imap_peer_line(in, &line)) {
        struct slice rest = buf_slice(&line), tag;
        slice_split(&rest, ' ', &tag);
        is_it = slice_search(rest, slice_str(text)) >= 0;
        BUG_ON(buf_add(tags, tag) != 0 || buf_add_str(tags, is_it ? "" : " OK .\n") != 0);
        BUG_ON(buf_add(&p->lines, rest) != 0 || buf_add_byte(&p->lines, '\n') != 0);
    }
    buf_fini(&line);
    return is_it;
}

static void say(struct imap_peer *p, struct buf *tags, const char *reply)
{
    ptrdiff_t last = slice_rfind(buf_slice(tags), '\n');
    char tag[32], before[1024];
    struct slice all = buf_slice(tags);
    BUG_ON(fmt_into(tag, sizeof(tag), "%.*s", SLICE_ARG(slice_from(all, (size_t)(last + 1)))) != 0);
    BUG_ON(fmt_into(before, sizeof(before), "%.*s",
               SLICE_ARG(slice_sub(all, 0, (size_t)(last + 1)))) != 0);
    imap_peer_say(p, "", before);
    imap_peer_say(p, tag, reply);
}

static void *run(void *arg)
{
    struct imap_peer *p = arg;
    struct buf tags;
    buf_init(&tags, 65536);
    p->fd = accept(p->listener, NULL, NULL);
    FILE *in = p->fd >= 0 ? fdopen(dup(p->fd), "r") : NULL;
    BUG_ON(!in);
    (void)pthread_barrier_wait(&pair.both);
    imap_peer_say(p, "", GREETING);
    for (const struct imap_peer_row *r = p->rows; r->text; r++) {
        if (!hear(p, in, r->text, &tags))
            break;
        (void)pthread_barrier_wait(&pair.both);
        say(p, &tags, r->reply);
    }
    /* Whoever was refused closes; a farewell is not closed before it has been read. */
    (void)hear(p, in, "nothing", &tags);
    (void)fclose(in);
    buf_fini(&tags);
    return NULL;
}

/* fn: the thread that answers as the rows tell; rows NULL: nobody is there. */
static void peer_up_as(
    struct imap_peer *p, const char *label, const struct imap_peer_row *rows, void *(*fn)(void *))
{
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(sin);
    struct err err = ERR_INIT;
    *p = (struct imap_peer){.rows = rows, .fd = -1};
    buf_init(&p->lines, 1u << 20);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(rows ? listen(p->listener, 1) : 0, 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&sin, &size), 0);
    p->place = (struct imap_place){.label = label,
        .host = "127.0.0.1",
        .port = ntohs(sin.sin_port),
        .security = IMAP_SECURITY_NONE,
        .user = "u",
        .password = SLICE_LIT("p")};
    assert_int_equal(imap_end_maker_init(&p->maker, &p->place, &err), 0);
    if (rows)
        assert_int_equal(pthread_create(&p->thread, NULL, fn, p), 0);
}

static void peer_up(struct imap_peer *p, const char *label, const struct imap_peer_row *rows)
{
    peer_up_as(p, label, rows, run);
}

static void peer_down(struct imap_peer *p)
{
    if (p->rows)
        pthread_join(p->thread, NULL);
    if (p->fd >= 0)
        close(p->fd);
    close(p->listener);
    imap_end_maker_fini(&p->maker);
    buf_fini(&p->lines);
}

/* rows NULL: nobody is there. */
static void pair_up(const struct imap_peer_row *a, const struct imap_peer_row *b)
{
    alarm(60); /* a turn that never comes */
    assert_int_equal(pthread_barrier_init(&pair.both, NULL, a && b ? 2 : 1), 0);
    peer_up(&pair.peers[0], "one", a);
    peer_up(&pair.peers[1], "two", b);
    for (size_t i = 0; i < 2; i++)
        pair.makers[i] = &pair.peers[i].maker.maker;
}

static void pair_down(void)
{
    for (size_t i = 0; i < 2; i++)
        peer_down(&pair.peers[i]);
    pthread_barrier_destroy(&pair.both);
    alarm(0);
}

static void test_in_step(void **state)
{
    const struct end_maker *silent;
    struct folder_list lists[2];
    struct end_ticket t[2] = {{0}};
    struct err err = ERR_INIT;
    (void)state;
    pair_up(turns, turns);
    assert_int_equal(end_open_all(pair.makers, 2, NULL, pair.ends, &silent, &err), 0);
    assert_null(silent);
    for (size_t i = 0; i < 2; i++) {
        folder_list_init(&lists[i]);
        pair.ends[i]->ops->folders(pair.ends[i], &lists[i], &t[i]);
    }
    while (t[0].result == END_PENDING || t[1].result == END_PENDING)
        assert_int_equal(end_pump(pair.ends, 2, &err), 0);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(t[i].result, END_OK);
        assert_int_equal(lists[i].n, 1);
        assert_true(lists[i].v[0].has & FOLDER_HAS_UIDVALIDITY);
        folder_list_fini(&lists[i]);
    }
    end_close_all(pair.ends, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_null(pair.ends[i]);
        assert_non_null(strstr(buf_cstr(&pair.peers[i].lines), "LOGOUT"));
    }
    pair_down();
}

/* One cannot be opened: neither is, and the other has no words left to say. */
static void test_one_refuses(void **state)
{
    static const struct imap_peer_row refuses[] = {
        {"AUTHENTICATE", "~ NO [AUTHENTICATIONFAILED] no\n"}, {NULL, NULL}};
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct end_maker *silent;
        struct err err = ERR_INIT;
        pair_up(i == 0 ? refuses : turns, i == 1 ? refuses : turns);
        assert_int_equal(end_open_all(pair.makers, 2, NULL, pair.ends, &silent, &err), -1);
        assert_null(silent);
        assert_null(pair.ends[0]);
        assert_null(pair.ends[1]);
        assert_int_equal(err.class, ERR_PERM);
        assert_int_equal(err.code, EX_NOPERM);
        assert_non_null(strstr(err.text, i == 0 ? "one" : "two"));
        pair_down();
    }
}

static void test_nobody_is_there(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct end_maker *silent;
        struct err err = ERR_INIT;
        pair_up(i == 0 ? NULL : turns, i == 1 ? NULL : turns);
        assert_int_equal(end_open_all(pair.makers, 2, NULL, pair.ends, &silent, &err), -1);
        assert_ptr_equal(silent, pair.makers[i]);
        assert_null(pair.ends[0]);
        assert_null(pair.ends[1]);
        assert_non_null(strstr(err.text, i == 0 ? "one" : "two"));
        pair_down();
    }
}

/* --- One is idle while the other works ------------------------------------------------------- */

#define SILENCE_MAX 300000 /* both servers and firewalls end what has been silent for so long */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    unsigned noops; /* that the idle one has said, and that were answered */
    uint64_t now_ms;
} idle = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static uint64_t idle_now(void)
{
    (void)pthread_mutex_lock(&idle.lock);
    uint64_t now = idle.now_ms;
    (void)pthread_mutex_unlock(&idle.lock);
    return now;
}

/* So much time passes, and the client, which waits by the machine's clock, is told to look; then
 * the other end has to say something before it goes on. */
static void let_time_pass(struct imap_peer *p, unsigned times)
{
    while (times-- > 0) {
        (void)pthread_mutex_lock(&idle.lock);
        unsigned before = idle.noops;
        idle.now_ms += SILENCE_MAX / 2;
        (void)pthread_mutex_unlock(&idle.lock);
        imap_peer_say(p, "", "* OK still at it\n");
        (void)pthread_mutex_lock(&idle.lock);
        while (idle.noops == before)
            (void)pthread_cond_wait(&idle.heard, &idle.lock);
        (void)pthread_mutex_unlock(&idle.lock);
    }
}

static void *run_at_once(void *arg)
{
    struct imap_peer *p = arg;
    struct buf line;
    buf_init(&line, 65536);
    p->fd = accept(p->listener, NULL, NULL);
    FILE *in = p->fd >= 0 ? fdopen(dup(p->fd), "r") : NULL;
    BUG_ON(!in);
    imap_peer_say(p, "", GREETING);
    while (imap_peer_line(in, &line)) {
        struct slice rest = buf_slice(&line), word;
        char tag[32];
        const struct imap_peer_row *r = p->rows;
        slice_split(&rest, ' ', &word);
        BUG_ON(fmt_into(tag, sizeof(tag), "%.*s", SLICE_ARG(word)) != 0);
        while (r->text && slice_search(rest, slice_str(r->text)) < 0)
            r++;
        if (p == &pair.peers[0] && r->text && strcmp(r->text, "LIST") == 0)
            let_time_pass(p, 20);
        imap_peer_say(p, tag, r->text ? r->reply : "~ OK .\n");
        (void)pthread_mutex_lock(&idle.lock);
        idle.noops += p == &pair.peers[1] && slice_eq(rest, SLICE_LIT("NOOP"));
        (void)pthread_cond_signal(&idle.heard);
        (void)pthread_mutex_unlock(&idle.lock);
    }
    (void)fclose(in);
    buf_fini(&line);
    return NULL;
}

static void list(struct end *e)
{
    struct folder_list folders;
    struct end_ticket t = {0};
    struct err err = ERR_INIT;
    folder_list_init(&folders);
    e->ops->folders(e, &folders, &t);
    if (end_wait(e, &t, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(t.result, END_OK);
    assert_int_equal(folders.n, 1);
    folder_list_fini(&folders);
}

/* The source lists for fifty minutes; the target says something every few of them, has all its time
 * for the first thing that it is asked then, and the hour counts for nobody. */
static void test_the_idle_one_is_kept_alive(void **state)
{
    const struct end_maker *silent;
    struct err err = ERR_INIT;
    (void)state;
    alarm(60); /* one that is not kept alive */
    idle.now_ms = 1000000;
    for (size_t i = 0; i < 2; i++) {
        peer_up_as(&pair.peers[i], i == 0 ? "busy" : "idle", turns, run_at_once);
        pair.peers[i].place.now_ms = idle_now;
        pair.peers[i].place.keepalive_ms = SILENCE_MAX / 2;
        pair.peers[i].place.timeout_ms = i == 0 ? UINT32_MAX : 1000;
        pair.makers[i] = &pair.peers[i].maker.maker;
    }
    assert_int_equal(end_open_all(pair.makers, 2, NULL, pair.ends, &silent, &err), 0);
    end_beside(pair.ends[0], pair.ends[1]);
    list(pair.ends[1]); /* what signing in has left to say is said */
    list(pair.ends[0]);
    list(pair.ends[1]);
    assert_true(idle.noops >= 20);
    end_close_all(pair.ends, 2);
    for (size_t i = 0; i < 2; i++)
        peer_down(&pair.peers[i]);
    alarm(0);
}

/* Many servers close as soon as they have said BYE, or sooner: whatever it is, we are gone. */
static void test_odd_farewells(void **state)
{
    static const char *const words[] = {NULL, "~ NO stay\n", "+ what\n", "* 1 NONSENSE\n~ BAD\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        const struct imap_peer_row rows[] = {{"LOGOUT", words[i]}, {NULL, NULL}};
        imap_peer_start(&peer, "", rows);
        stop();
        assert_non_null(said("LOGOUT"));
        clean();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_step),
        cmocka_unit_test(test_one_refuses),
        cmocka_unit_test(test_nobody_is_there),
        cmocka_unit_test(test_the_idle_one_is_kept_alive),
        cmocka_unit_test(test_odd_farewells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
