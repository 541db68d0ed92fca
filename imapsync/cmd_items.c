/* SPDX-License-Identifier: ISC */
/*
 * cmd_items: coexist-sync items, accept and retry: what differs between two mailboxes, from their
 * journals, and what somebody has decided about it.
 */
#include <dirent.h>
#include <poll.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/clock.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/plan/folders.h"
#include "imapsync/copy/items_choice.h"
#include "imapsync/jobs/status.h"
#include "imapsync/jobs/users.h"
#include "imapsync/journal/journal.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/journal/text.h"
#include "imapsync/items_subjects.h"
#include "imapsync/move/record.h"
#include "imapsync/options.h"
#include "imapsync/sync.h"
#include "maps/access.h"
#include "maps/route.h"

#define PATH_LENGTH_MAX 4096
#define LOCK_WAIT_MS 5000 /* for who has the journal now */
#define LEAVE_MS 300      /* then a decision is left for him */
#define LOCK_POLL_MS 20

enum what { ITEMS_SHOW, ITEMS_ACCEPT, ITEMS_RETRY };

struct items_args {
    const char *user, *state, *code, *folder, *uid, *why;
    struct account_args source; /* --subjects with --state */
    bool is_json, is_all, has_subjects, wants_help;
};

#define ITEMS_ROWS_OF_ALL 7 /* of parse(): the others are for `items` */

struct job {
    enum what what;
    struct items_whose whose;
    struct subjects wanted[2]; /* of one journal: of its source, and of its target */
    const struct items_args *args;
    struct item_choice choice;
    json_t *out;   /* items, of all journals */
    size_t n_open; /* of those */
    uint64_t n_decided;
    bool has_journal;
    size_t n_left; /* journals that somebody is at work with, and gets the decision later */
};

static int parse(const struct program_args *args, enum what what, struct items_args *a,
    struct item_choice *choice, struct err *err)
{
    const struct option_row rows[] = {
        {"--state", &a->state, NULL, "DIR of `copy --state`, instead of a user of a cut-over"},
        {"--code", &a->code, NULL, "CODE: only these, such as E-REFUSED"},
        {"--folder", &a->folder, NULL, "NAME: only those of this folder, as items shows it"},
        {"--uid", &a->uid, NULL, "UID: only those of this message of the folder"},
        {"--help", NULL, &a->wants_help, "this text"},
        {"--all", NULL, &a->is_all,
            what == ITEMS_SHOW ? "with those that are accepted or gone" : "all that are open"},
        {what == ITEMS_SHOW ? "--json" : "--why", what == ITEMS_SHOW ? NULL : &a->why,
            what == ITEMS_SHOW ? &a->is_json : NULL,
            what == ITEMS_SHOW ? "print them as JSON"
                               : "TEXT: the reason, for whoever reads it later"},
        {"--subjects", NULL, &a->has_subjects, "with the subjects of messages, from the source"},
        {"--source", &a->source.url, NULL, "URL of the source, for --subjects with --state"},
        ACCOUNT_ARGS_ROWS("source", &a->source),
    };
    const size_t n = what == ITEMS_SHOW ? sizeof(rows) / sizeof(rows[0]) : ITEMS_ROWS_OF_ALL;
    const char *words[2] = {NULL};
    int result =
        options_parse_some(rows, n, args->argc, args->argv, words, what == ITEMS_SHOW ? 1 : 2, err);
    if (a->wants_help) {
        printf("usage: coexist-sync %s [options] %s\n", args->argv[0],
            what == ITEMS_SHOW ? "[USER | --state DIR]" : "USER | --state DIR [CODE]");
        options_help(rows, n);
        return 0;
    }
    a->user = words[0];
    a->source.label = "source";
    if (result != 0)
        return -1;
    /* The last word is a code where there is a user before it, or --state instead. */
    const char **last = words[1] ? &words[1] : a->state && what != ITEMS_SHOW ? &words[0] : NULL;
    if (last && *last && a->code)
        return err_set(err, ERR_PERM, EX_USAGE, "one code: %s, or that of --code", *last);
    if (last && *last)
        a->code = *last;
    if (last == &words[0])
        a->user = NULL;
    if (a->user && a->state)
        return err_set(err, ERR_PERM, EX_USAGE, "either a user or --state");
    *choice = (struct item_choice){.has_gone = what == ITEMS_SHOW && a->is_all,
        .has_accepted = what != ITEMS_ACCEPT && (what == ITEMS_RETRY || a->is_all),
        .folder = a->folder};
    if (a->code && (choice->code = item_code_named(slice_str(a->code))) == ITEM_NONE)
        return err_set(err, ERR_PERM, EX_USAGE, "%s: there is no such code", a->code);
    if (a->uid && num_u32(slice_str(a->uid), 1, UINT32_MAX, &choice->uid) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--uid is the number of a message");
    if (a->uid && !a->folder)
        return err_set(err, ERR_PERM, EX_USAGE, "--uid wants --folder");
    if (what == ITEMS_SHOW)
        return 0;
    if (!a->user && !a->state)
        return err_set(err, ERR_PERM, EX_USAGE, "whose: a user, or --state DIR");
    if (!a->code && !a->folder && !a->is_all)
        return err_set(err, ERR_PERM, EX_USAGE, "which: a code, --folder, --uid or --all");
    if (what == ITEMS_ACCEPT && !(a->why && a->why[0]))
        return err_set(err, ERR_PERM, EX_USAGE, "--why says why they are good as they are");
    if (a->why && strlen(a->why) > ITEM_WORDS_MAX)
        return err_set(err, ERR_PERM, EX_USAGE, "--why has %d octets at most", ITEM_WORDS_MAX);
    return 0;
}

/* --- One journal --------------------------------------------------------------------------- */

static int show(void *arg, const struct item *i, struct err *err)
{
    struct job *job = arg;
    (void)err;
    if (!item_is_chosen(&job->choice, i))
        return 0;
    job->n_open += item_is_open(i->state);
    if (job->args->has_subjects)
        items_want_subject(&job->wanted[i->is_back], i, json_array_size(job->out));
    json_array_append_new(job->out, item_json(i));
    return 0;
}

static int open_journal(const char *dir, uint64_t wait_ms, struct journal **out, struct err *err)
{
    uint64_t until_ms = clock_mono_ms() + wait_ms;
    for (;;) {
        int result = journal_open_there(dir, out, err);
        if (result == 0 || err->code != EX_TEMPFAIL || clock_mono_ms() >= until_ms)
            return result;
        err_clear(err);
        poll(NULL, 0, LOCK_POLL_MS);
    }
}

/* Of the journal that was shown.  One that cannot be read is named, and the others come. */
static void add_subjects(struct job *job, const char *const names[2])
{
    for (size_t i = 0; i < 2; i++) {
        struct err err = ERR_INIT;
        if (items_add_subjects(&job->whose, names[i], &job->wanted[i], job->out, &err) != 0)
            fprintf(stderr, "%s: subjects: %s\n", sync_program.name, err.text);
        subjects_fini(&job->wanted[i]);
    }
}

static int one_journal(struct job *job, const char *dir, const char *user, struct err *err)
{
    struct journal *j;
    size_t before = json_array_size(job->out);
    const enum item_state state = job->what == ITEMS_ACCEPT ? ITEM_ACCEPTED : ITEM_RETRIED;
    if (open_journal(dir, job->what == ITEMS_SHOW ? LOCK_WAIT_MS : LEAVE_MS, &j, err) != 0) {
        if (job->what == ITEMS_SHOW || err->code != EX_TEMPFAIL)
            return -1;
        err_clear(err);
        job->has_journal = true;
        job->n_left++;
        return items_leave(dir, &job->choice, state, err);
    }
    job->has_journal = true;
    int result = items_take(j, err);
    if (result == 0 && job->what == ITEMS_SHOW)
        result = journal_items_each(j, show, job, err);
    else if (result == 0)
        result = items_decide(j, &job->choice, state, &job->n_decided, err);
    for (size_t i = before; i < json_array_size(job->out); i++) {
        json_t *item = json_array_get(job->out, i);
        bool is_back = json_is_true(json_object_get(item, "is_back"));
        json_object_set_new(
            item, "source", text_json(is_back ? journal_target(j) : journal_source(j)));
        json_object_set_new(
            item, "target", text_json(is_back ? journal_source(j) : journal_target(j)));
        if (user)
            json_object_set_new(item, "user", text_json(user));
        json_object_del(item, "is_back");
    }
    /* Others may want the journal meanwhile. */
    char *names[2] = {mem_strdup(journal_source(j)), mem_strdup(journal_target(j))};
    journal_close(&j);
    add_subjects(job, (const char *const[]){names[0], names[1]});
    free(names[0]);
    free(names[1]);
    return result;
}

static bool has_journal(const char *dir, const char *name, struct buf *out)
{
    struct buf home;
    buf_init(&home, PATH_LENGTH_MAX);
    buf_clear(out);
    bool has = (name ? io_path(out, dir, name) : io_path(out, dir)) == 0 &&
               io_path(&home, buf_cstr(out), "journal") == 0 && access(buf_cstr(&home), F_OK) == 0;
    buf_fini(&home);
    return has;
}

/* Of the folder itself, or of those below it. */
static int all_journals(struct job *job, const char *dir, const char *user, struct err *err)
{
    struct dirent **v;
    struct buf path;
    int result = 0;
    buf_init(&path, PATH_LENGTH_MAX);
    if (has_journal(dir, NULL, &path)) {
        result = one_journal(job, dir, user, err);
        buf_fini(&path);
        return result;
    }
    int n = scandir(dir, &v, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (result == 0 && v[i]->d_name[0] != '.' && has_journal(dir, v[i]->d_name, &path))
            result = one_journal(job, buf_cstr(&path), user, err);
        free(v[i]);
    }
    if (n >= 0)
        free(v);
    buf_fini(&path);
    return result;
}

/* --- Whose --------------------------------------------------------------------------------- */

static void add(void *arg, const json_t *line)
{
    json_array_extend(arg, json_object_get(line, "users"));
}

static int one_user(struct job *job, const char *base, const json_t *json, struct err *err)
{
    struct move_record r;
    struct buf dir;
    int result = move_record_from_json(json, &r);
    buf_init(&dir, PATH_LENGTH_MAX);
    if (result != 0)
        result = err_set(err, ERR_BUG, EX_SOFTWARE, "the record of a user makes no sense");
    else
        result = state_dir(base, r.user, "", &dir, err);
    job->whose.record = &r;
    if (result == 0)
        result = all_journals(job, buf_cstr(&dir), r.user, err);
    job->whose.record = NULL;
    buf_fini(&dir);
    move_record_fini(&r);
    return result;
}

static int each_user(
    struct job *job, const struct conf *conf, const char *user, const json_t *all, struct err *err)
{
    const json_t *json;
    struct buf base;
    size_t i;
    int result = users_base(conf, &base, err);
    json_array_foreach(all, i, json)
    {
        const char *name = json_string_value(json_object_get(json, "user"));
        /* Who has only been asked for has nothing yet. */
        if (result == 0 && name && json_object_get(json, "version") &&
            (!user || strcmp(name, user) == 0))
            result = one_user(job, buf_cstr(&base), json, err);
    }
    buf_fini(&base);
    return result;
}

static int by_users(struct job *job, const struct conf *conf, struct err *err)
{
    const char *user = NULL;
    struct buf key;
    json_t *all = json_array();
    buf_init(&key, 2 * ROUTE_KEY_MAX);
    int result = access_become_sync(conf, err);
    if (result == 0 && job->args->user) {
        if (normalise_key(conf, slice_str(job->args->user), &key) != 0)
            result = err_set(err, ERR_PERM, EX_USAGE, "%s is no user's address", job->args->user);
        user = buf_cstr(&key);
    }
    if (result == 0)
        result = status_ask(conf, false, add, all, err);
    if (result == 0)
        result = each_user(job, conf, user, all, err);
    if (result == 0 && job->args->user && !job->has_journal)
        result = err_set(err, ERR_PERM, EX_NOUSER, "nothing was ever copied for %s", user);
    json_decref(all);
    buf_fini(&key);
    return result;
}

static int by_state(struct job *job, struct err *err)
{
    if (all_journals(job, job->args->state, NULL, err) != 0)
        return -1;
    return job->has_journal
               ? 0
               : err_set(err, ERR_PERM, EX_NOINPUT, "there is no journal in %s", job->args->state);
}

/* --- Commands ------------------------------------------------------------------------------ */

/* Behind sudo, who has called it. */
static void find_who(struct item_choice *c)
{
    const char *sudo = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    const struct passwd *pw = getpwuid(getuid());
    const char *name = sudo && sudo[0] ? sudo : pw ? pw->pw_name : "?";
    if (fmt_into(c->by, sizeof(c->by), "%s", name) != 0)
        c->by[0] = '\0';
}

static void print(const struct job *job)
{
    const json_t *item;
    size_t i;
    if (job->n_left > 0)
        printf("somebody is at work with it: what is open there is decided with the next look\n");
    if (job->what != ITEMS_SHOW && job->n_left > 0 && job->n_decided == 0)
        return;
    if (job->what != ITEMS_SHOW) {
        printf("%llu item%s %s\n", (unsigned long long)job->n_decided,
            job->n_decided == 1 ? "" : "s",
            job->what == ITEMS_ACCEPT ? "accepted" : "will be tried again with the next run");
        return;
    }
    if (job->args->is_json) {
        json_dumpf(job->out, stdout, JSON_INDENT(2));
        putchar('\n');
        return;
    }
    json_array_foreach(job->out, i, item)
    {
        struct buf text;
        buf_init(&text, 64u << 10);
        item_text(item, &text);
        fputs(buf_cstr(&text), stdout);
        buf_fini(&text);
    }
    printf("%zu open\n", job->n_open);
}

static int run(const struct program_args *args, enum what what)
{
    struct items_args a = {0};
    struct job job = {.what = what, .args = &a};
    struct err err = ERR_INIT;
    struct conf *conf = NULL;
    int result = parse(args, what, &a, &job.choice, &err);
    if (a.wants_help)
        return 0;
    find_who(&job.choice);
    job.choice.why = a.why ? a.why : "";
    if (result == 0 && !a.state) {
        int status = program_conf(&sync_program, args, &conf);
        if (status >= 0)
            return status;
    }
    job.whose.conf = conf;
    job.whose.source = &a.source;
    job.out = json_array();
    if (result == 0)
        result = a.state ? by_state(&job, &err) : by_users(&job, conf, &err);
    if (result == 0)
        print(&job);
    json_decref(job.out);
    conf_free(&conf);
    if (result != 0)
        return program_fail(&sync_program, &err);
    if (what == ITEMS_SHOW)
        return job.n_open > 0;
    return job.n_decided + job.n_left == 0;
}

int sync_cmd_items(const struct program_args *args)
{
    return run(args, ITEMS_SHOW);
}

int sync_cmd_accept(const struct program_args *args)
{
    return run(args, ITEMS_ACCEPT);
}

int sync_cmd_retry(const struct program_args *args)
{
    return run(args, ITEMS_RETRY);
}
