/* SPDX-License-Identifier: ISC */
/* Claims and their scan: living, stopped and dead processes, and the order of stores and loads. */
#include "tests/unit/claims_site.h"

#define KEYS_EACH 4

static void test_life(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    (void)state;
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(set.n, 2);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    assert_int_equal(scan(USER, 5), CLAIMS_CLEAR);  /* not older than that */
    assert_int_equal(scan(DOMAIN, 1), CLAIMS_BUSY); /* the absent key is claimed too */
    assert_int_equal(scan(DOMAIN, 0), CLAIMS_CLEAR);
    assert_int_equal(scan(ABSENT, 99), CLAIMS_CLEAR);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS); /* an ended set is empty */
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);

    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS); /* every barrier sees it */
    assert_int_equal(scan(USER, 5), CLAIMS_CLEAR);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
}

static void on_claims(void *arg, const struct claims_info *info)
{
    struct claims_info *out = arg;
    *out = *info;
}

static struct claims_info listed(void)
{
    struct claims_info info = {0};
    struct err err = ERR_INIT;
    if (claims_list(tmp.path, on_claims, &info, &err) != 0)
        fail_msg("%s", err.text);
    return info;
}

/* What people are shown of them. */
static void test_listed(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    (void)state;
    assert_int_equal(listed().committing, 0);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    ahead_ms += 5000;
    assert_int_equal(listed().committing, 2);
    assert_int_equal(listed().pid, getpid());
    assert_in_range(listed().oldest_s, 5, 60);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(listed().committing, 0);
    assert_int_equal(listed().ambiguous, 2);
    ahead_ms += CLAIMS_AMBIGUOUS_MS + 1000;
    assert_int_equal(listed().ambiguous, 0);
}

static void test_changed(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    (void)state;
    publish(USER, 6);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_CHANGED);
    assert_int_equal(set.n, 0);
    assert_null(set.slots);
    assert_int_equal(scan(USER, 7), CLAIMS_CLEAR);

    d = user_decision(6);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    publish(DOMAIN, 7); /* the first entry of a key that was absent */
    assert_int_equal(begin(&d, 1, &set), CLAIMS_CHANGED);
    d.keys[1].epoch = 7;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    struct decision two[2] = {d, user_decision(6)};
    two[1].keys[1].epoch = 0;
    assert_int_equal(begin(two, 2, &set), CLAIMS_CHANGED); /* they saw different maps */
    two[1] = d;
    assert_int_equal(begin(two, 2, &set), CLAIMS_GO);
    assert_int_equal(set.n, 2); /* each key once */
    claims_end(claims, &set, CLAIMS_ANSWERED);
    two[1].kind = DECIDE_HOLD;
    assert_int_equal(begin(two, 2, &set), CLAIMS_CHANGED);
    assert_int_equal(begin(two, 0, &set), CLAIMS_CHANGED);

    snapshot_writer_invalidate(writer);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_CHANGED); /* unknown state */
}

static void test_full(void **state)
{
    enum { N = CLAIMS_SLOTS / KEYS_EACH };
    struct decision *many = calloc(N, sizeof *many);
    struct decision d = user_decision(5);
    struct claims_set set, more;
    (void)state;
    assert_non_null(many);
    for (size_t i = 0; i < N; i++) {
        many[i].kind = DECIDE_DELIVER;
        for (size_t k = 0; k < KEYS_EACH; k++) {
            char text[64];
            assert_int_equal(fmt_into(text, sizeof text, "u%zu.%zu@example.org", i, k), 0);
            add_key(&many[i], text, 0);
        }
    }
    many[0].n_keys -= 1; /* one less than there are */
    assert_int_equal(begin(many, N, &set), CLAIMS_GO);
    assert_int_equal(set.n, CLAIMS_SLOTS - 1);
    assert_int_equal(begin(&d, 1, &more), CLAIMS_FULL); /* needs two */
    assert_int_equal(more.n, 0);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    many[0].n_keys += 1; /* just as many */
    assert_int_equal(begin(many, N, &set), CLAIMS_GO);
    assert_int_equal(scan("u0.0@example.org", 1), CLAIMS_BUSY);
    assert_int_equal(scan("u1023.3@example.org", 1), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    struct decision *one_more = calloc(N + 1, sizeof *many);
    assert_non_null(one_more);
    memcpy(one_more, many, N * sizeof *many);
    one_more[N] = d;
    assert_int_equal(begin(one_more, N + 1, &more), CLAIMS_FULL);
    free(one_more);
    free(many);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);
}

/* A server that drops message after message of a user behind the dot does not use up all claims. */
static void test_ambiguous_again_and_again(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set, other;
    (void)state;
    for (size_t i = 0; i < 2 * CLAIMS_SLOTS; i++) {
        assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
        if (i % 3 == 0) { /* another one of the same user at the same time */
            assert_int_equal(begin(&d, 1, &other), CLAIMS_GO);
            claims_end(claims, &other, CLAIMS_AMBIGUOUS);
        }
        claims_end(claims, &set, CLAIMS_AMBIGUOUS);
        if (i % 512 == 0)
            assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    }
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan("bob@example.org", 6), CLAIMS_CLEAR);
    publish(USER, 6);
    d = user_decision(6);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
}

/* --- Processes ------------------------------------------------------------------------- */

enum child_end { CHILD_COMMITTING, CHILD_ANSWERED, CHILD_AMBIGUOUS };

/* A process of its own that claims the user and stays in that state until it is killed. */
static pid_t start_child(enum child_end how)
{
    int pipe_fd[2];
    char byte;
    assert_int_equal(pipe(pipe_fd), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct snapshot *s = snapshot_new(tmp.path);
        struct claims *c = NULL;
        struct err err = ERR_INIT;
        struct claims_set set;
        struct decision d = user_decision(5);
        if (claims_open(tmp.path, &c, &err) != 0 || claims_begin(c, s, &d, 1, &set) != CLAIMS_GO)
            _exit(1);
        if (how != CHILD_COMMITTING)
            claims_end(c, &set, how == CHILD_ANSWERED ? CLAIMS_ANSWERED : CLAIMS_AMBIGUOUS);
        if (write(pipe_fd[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(pipe_fd[1]);
    assert_int_equal(read(pipe_fd[0], &byte, 1), 1);
    close(pipe_fd[0]);
    return pid;
}

static void kill_child(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_processes(void **state)
{
    (void)state;
    size_t before = count_files("", NULL);
    pid_t pid = start_child(CHILD_COMMITTING);
    assert_int_equal(count_files("", NULL), before + 1);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    assert_int_equal(kill(pid, SIGSTOP), 0);
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY); /* stopped is not dead */
    kill_child(pid);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 1);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan(USER, 5), CLAIMS_CLEAR);
    assert_int_equal(scan(ABSENT, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 1);

    pid = start_child(CHILD_AMBIGUOUS);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    kill_child(pid);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 2);

    pid = start_child(CHILD_ANSWERED);
    assert_int_equal(count_files("", NULL), before + 3);
    kill_child(pid);
    assert_int_equal(scan(ABSENT, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files("", NULL), before + 2); /* nothing in it to remember */

    /* Many die at once: nothing is forgotten. */
    pid_t pids[8];
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        pids[i] = start_child(CHILD_COMMITTING);
    for (size_t i = 0; i < COUNT_OF(pids); i++)
        kill_child(pids[i]);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 10);
}

/* --- Time and files ---------------------------------------------------------------------- */

static void test_linger(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    char path[256];
    (void)state;
    is_clock_still = true;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    ahead_ms += CLAIMS_AMBIGUOUS_MS - 1000;
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    ahead_ms += 2000;
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);

    /* The slots are free again: all of them can be had. */
    for (size_t i = 0; i < CLAIMS_SLOTS / 2 + 1; i++) {
        assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
        claims_end(claims, &set, CLAIMS_AMBIGUOUS);
        ahead_ms += 2 * CLAIMS_AMBIGUOUS_MS;
        assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    }

    /* A claim that is COMMITTING never gets too old. */
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    ahead_ms += 9 * CLAIMS_AMBIGUOUS_MS;
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    /* The dead are remembered from the moment when they were found, not from their claim. */
    pid_t pid = start_child(CHILD_COMMITTING);
    kill_child(pid);
    ahead_ms += 9 * CLAIMS_AMBIGUOUS_MS;
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, path), 1);
    ahead_ms += CLAIMS_AMBIGUOUS_MS - 1000;
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 1);
    ahead_ms += 2000;
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files(CLAIMS_DEAD_PREFIX, NULL), 0);
}

static void touch(const char *name, const char *bytes)
{
    char path[256];
    assert_int_equal(fmt_into(path, sizeof path, "%s/" CLAIMS_DIR "/%s", tmp.path, name), 0);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, strlen(bytes)), (ssize_t)strlen(bytes));
    close(fd);
}

static void test_strange_files(void **state)
{
    struct err err = ERR_INIT;
    char path[256];
    (void)state;
    touch(".hidden", "x");
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    touch(".new.1", "");
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files(".new.", path), 1);
    struct timespec old[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files(".new.", NULL), 0);

    /* What nobody locks and nobody can read may have held any claim. */
    touch("stray", "not claims");
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan(ABSENT, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files("dead.", path), 1);
    assert_non_null(strstr(path, ".stray"));
    assert_int_equal(unlink(path), 0);

    /* A time in the future is of an earlier start of the machine: it begins anew. */
    touch("dead.99999999999999.x", "");
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files("dead.", path), 1);
    assert_null(strstr(path, "99999999999999"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);

    assert_int_equal(claims_note_reboot(tmp.path, &err), 0);
    assert_int_equal(scan(ABSENT, 1), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(count_files("dead.", path), 1);
    assert_int_equal(unlink(path), 0);

    /* What is no file is no claim: it goes, and hangs nobody. */
    assert_int_equal(mkfifo(tmpdir_file(&tmp, CLAIMS_DIR "/fifo"), 0666), 0);
    assert_int_equal(mkdir(tmpdir_file(&tmp, CLAIMS_DIR "/folder"), 0777), 0);
    assert_int_equal(symlink("/dev/zero", tmpdir_file(&tmp, CLAIMS_DIR "/link")), 0);
    assert_int_equal(symlink("/nonexistent", tmpdir_file(&tmp, CLAIMS_DIR "/dangling")), 0);
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    assert_int_equal(count_files("", NULL), 2); /* ours and ".hidden" */

    assert_int_equal(claims_scan("/nonexistent", NULL, 0, &err), -1);
    assert_non_null(strstr(err.text, "cannot list"));
}

/* One pass answers all questions, each by its own key and epoch. */
static void test_many_questions(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    struct err err = ERR_INIT;
    uint64_t user = route_key_hash(SLICE_LIT(USER)), other = route_key_hash(SLICE_LIT(ABSENT));
    struct claims_question q[] = {{.key_hash = user, .epoch = 6}, {.key_hash = other, .epoch = 6},
        {.key_hash = user, .epoch = 5}, {.key_hash = user, .epoch = 7},
        {.key_hash = route_key_hash(SLICE_LIT(DOMAIN)), .epoch = 1}};
    (void)state;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(claims_scan(tmp.path, q, 5, &err), 0);
    const enum claims_scan_verdict open[] = {
        CLAIMS_BUSY, CLAIMS_CLEAR, CLAIMS_CLEAR, CLAIMS_BUSY, CLAIMS_BUSY};
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(q[i].verdict, open[i]);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(claims_scan(tmp.path, q, 5, &err), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(
            q[i].verdict, open[i] == CLAIMS_BUSY ? CLAIMS_WAS_AMBIGUOUS : CLAIMS_CLEAR);
}

struct cutter {
    int fd;
    atomic_bool is_over;
};

static void *cut_and_grow(void *arg)
{
    struct cutter *c = arg;
    struct claims_file *whole = calloc(1, sizeof *whole);
    assert_non_null(whole);
    memcpy(whole->head.magic, claims_magic, sizeof claims_magic);
    whole->head.version = CLAIMS_VERSION;
    whole->head.n_slots = whole->head.used = CLAIMS_SLOTS;
    while (!atomic_load(&c->is_over)) {
        assert_int_equal(pwrite(c->fd, whole, sizeof *whole, 0), (ssize_t)sizeof *whole);
        assert_int_equal(ftruncate(c->fd, 0), 0);
    }
    free(whole);
    return NULL;
}

/* Whoever may write in the directory can cut a file of its own short between any two steps of a
 * scan.  That keeps the barrier busy, but mapd lives. */
static void test_cut_file(void **state)
{
    struct cutter cutter = {0};
    struct decision d = user_decision(5);
    struct claims_set set;
    char path[256];
    pthread_t thread;
    (void)state;
    touch("cut", "");
    assert_int_equal(fmt_into(path, sizeof path, "%s/" CLAIMS_DIR "/cut", tmp.path), 0);
    cutter.fd = open(path, O_RDWR);
    assert_true(cutter.fd >= 0);
    assert_int_equal(flock(cutter.fd, LOCK_EX), 0);
    assert_int_equal(pthread_create(&thread, NULL, cut_and_grow, &cutter), 0);
    for (uint64_t end = clock_mono_ms() + 300; clock_mono_ms() < end;)
        assert_int_not_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    atomic_store(&cutter.is_over, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO); /* the other files go on */
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    close(cutter.fd);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
}

static void test_removed_file(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set, more;
    char path[256];
    (void)state;
    assert_int_equal(count_files("", path), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO); /* in a new file */
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    assert_int_equal(count_files("", path), 1);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(begin(&d, 1, &more), CLAIMS_FULL); /* not before the last claim has ended */
    claims_end(claims, &set, CLAIMS_ANSWERED);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    /* What must be remembered goes into the new file. */
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(count_files("", path), 1);
    assert_int_equal(unlink(path), 0);
    struct decision absent = {.kind = DECIDE_DELIVER};
    add_key(&absent, ABSENT, 0);
    assert_int_equal(begin(&absent, 1, &set), CLAIMS_GO);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
    assert_int_equal(scan(ABSENT, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);
    ahead_ms += 2 * CLAIMS_AMBIGUOUS_MS;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_ANSWERED);

    claims_close(&claims);
    assert_int_equal(count_files("", NULL), 0);
    assert_int_equal(scan(USER, 6), CLAIMS_CLEAR);
    open_claims();
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    claims_close(&claims);
    assert_int_equal(scan(USER, 6), CLAIMS_WAS_AMBIGUOUS);
}

/* A file whose name leads nowhere, or to another one, is one that no barrier finds, even if it is
 * still somewhere: with the folder that was moved away, or below another file system. */
static void test_moved_file(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    struct err err = ERR_INIT;
    char dir[256], away[256], path[256];
    (void)state;
    assert_int_equal(fmt_into(dir, sizeof dir, "%s/" CLAIMS_DIR, tmp.path), 0);
    assert_int_equal(fmt_into(away, sizeof away, "%s/away", tmp.path), 0);
    assert_int_equal(rename(dir, away), 0);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_FULL); /* until mapd has made a new one */
    assert_int_equal(claims_make_dir(tmp.path, &err), 0);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_AMBIGUOUS);
    assert_int_equal(count_files("", path), 1);
    assert_int_equal(unlink(path), 0);
    touch(strrchr(path, '/') + 1, "");
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);
}

static void remove_claims_file(void)
{
    char path[256];
    assert_int_equal(count_files("", path), 1);
    assert_int_equal(unlink(path), 0);
}

/* A file that goes between the look at it and the claims in it: no barrier sees them, so no dot. */
static void test_removed_in_between(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    (void)state;
    at_fstat = remove_claims_file;
    fstat_in = 2;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_CHANGED);
    assert_null(at_fstat);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO); /* in a new file */
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    claims_end(claims, &set, CLAIMS_ANSWERED);
}

/* A control file that was replaced is noticed under a claim within the same second. */
static void test_replaced_control_file(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    struct err err = ERR_INIT;
    struct route_store store;
    struct route_entry entry;
    int at = 0;
    struct snapshot_source source = {next_entry, &at};
    (void)state;
    is_time_still = true;
    assert_int_equal(snapshot_get(reader, SLICE_LIT(USER), &store, &entry), ROUTE_FOUND);
    snapshot_writer_close(&writer);
    assert_int_equal(unlink(tmpdir_file(&tmp, "map.ctl")), 0);
    assert_int_equal(snapshot_writer_open(tmp.path, "m", &writer, &err), 0);
    assert_int_equal(snapshot_writer_rebuild(writer, &source, 1, 5, &err), 0);
    snapshot_writer_publish(writer);
    publish(USER, 6);
    assert_int_equal(begin(&d, 1, &set), CLAIMS_CHANGED);
    is_time_still = false;
}

static void tear_first_copy(struct claim *first)
{
    atomic_fetch_xor(&first->key_hash, 1);
}

/* A copy in which a claim is COMMITTING already and its words are not there yet: they are read
 * again behind the state. */
static void test_torn_copy(void **state)
{
    struct decision d = user_decision(5);
    struct claims_set set;
    (void)state;
    d.n_keys = 1;
    assert_int_equal(begin(&d, 1, &set), CLAIMS_GO);
    at_pread = tear_first_copy;
    pread_in = 1;
    assert_int_equal(scan(USER, 6), CLAIMS_BUSY);
    assert_null(at_pread);
    claims_end(claims, &set, CLAIMS_ANSWERED);
}

/* --- Order: never both "go" and "clear" ------------------------------------------------------ */

/* At least so many rounds, and more until both outcomes were seen so often, in any order. */
enum { ROUNDS = 3000, ROUNDS_MAX = 300000, EACH = 20 };

struct race {
    pthread_barrier_t start, end;
    uint64_t epoch;
    enum claims_verdict verdict;
    bool is_over;
    size_t head_start; /* of the publisher; the consumer has the opposite */
};

static void linger(size_t n)
{
    for (volatile size_t i = 0; i < n; i++)
        ;
}

static void *race_consumer(void *arg)
{
    struct race *race = arg;
    struct snapshot *s = snapshot_new(tmp.path);
    for (;;) {
        struct decision d = user_decision(race->epoch);
        struct claims_set set;
        pthread_barrier_wait(&race->start);
        if (race->is_over)
            break;
        linger(race->head_start);
        race->verdict = claims_begin(claims, s, &d, 1, &set);
        pthread_barrier_wait(&race->end);
        claims_end(claims, &set, CLAIMS_ANSWERED);
        pthread_barrier_wait(&race->end);
    }
    snapshot_free(&s);
    return NULL;
}

static void test_order(void **state)
{
    struct race race = {.epoch = 5};
    pthread_t thread;
    size_t go = 0, changed = 0;
    (void)state;
    assert_int_equal(pthread_barrier_init(&race.start, NULL, 2), 0);
    assert_int_equal(pthread_barrier_init(&race.end, NULL, 2), 0);
    assert_int_equal(pthread_create(&thread, NULL, race_consumer, &race), 0);
    for (uint64_t i = 0; i < ROUNDS_MAX && (i < ROUNDS || go < EACH || changed < EACH); i++) {
        uint64_t next = 6 + i;
        /* Who came too late the last time starts earlier: the two meet on any machine. */
        if (go < changed && race.head_start > 0)
            race.head_start -= 10;
        else if (go > changed)
            race.head_start += 10;
        size_t mine = go > changed ? 0 : 10 * (changed - go);
        pthread_barrier_wait(&race.start);
        linger(mine < 100000 ? mine : 100000);
        publish(USER, next);
        enum claims_scan_verdict v = scan(USER, next);
        pthread_barrier_wait(&race.end);
        if (race.verdict == CLAIMS_GO)
            assert_int_equal(v, CLAIMS_BUSY);
        else
            assert_int_equal(race.verdict, CLAIMS_CHANGED);
        go += race.verdict == CLAIMS_GO;
        changed += race.verdict == CLAIMS_CHANGED;
        race.epoch = next;
        pthread_barrier_wait(&race.end);
    }
    race.is_over = true;
    pthread_barrier_wait(&race.start);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(go >= EACH);
    assert_true(changed >= EACH);
    pthread_barrier_destroy(&race.start);
    pthread_barrier_destroy(&race.end);
}

/* More recipients than there are claims could never be delivered: 451 at each try.  A recipient has
 * its key, that without "+detail" or that of its list, and that of its domain. */
static void test_largest_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < schema_keys_n; i++)
        if (strcmp(schema_keys[i].name, "recipients_max") == 0) {
            assert_true(3 * schema_keys[i].max <= CLAIMS_SLOTS - CLAIMS_AMBIGUOUS_MAX);
            return;
        }
    fail();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_life, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_ambiguous_again_and_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_processes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_linger, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_many_questions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_strange_files, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_moved_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_removed_in_between, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_replaced_control_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_torn_copy, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test(test_largest_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
