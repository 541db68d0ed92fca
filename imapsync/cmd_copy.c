/* SPDX-License-Identifier: ISC */
/*
 * cmd_copy: coexist-sync copy SOURCE TARGET: one mailbox, no configuration needed; and export
 * SOURCE DIR, import DIR TARGET, which are the same into and out of files.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "base/core/clock.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/io.h"
#include "imapsync/account_args.h"
#include "imapsync/copy/passes.h"
#include "imapsync/copy/resolve.h"
#include "imapsync/journal/state_dir.h"
#include "imapsync/options.h"
#include "imapsync/progress.h"
#include "imapsync/stop.h"
#include "imapsync/sync.h"

enum form { FORM_COPY, FORM_EXPORT, FORM_IMPORT };

struct copy_args {
    enum form form;
    char *files; /* the end of an export or import, as copy names it; owned */
    struct account_args source, target;
    const char *format, *state, *delete_percent, *timeout, *settle;
    struct filter_words filter;
    const char *with_flags[OPTIONS_REPEATED_MAX + 1], *without_flags[OPTIONS_REPEATED_MAX + 1];
    const char *acl;
    struct buf acl_text;
    const char *max_rate, *max_commands, *max_day, *connections;
    const char *accept[OPTIONS_REPEATED_MAX + 1];
    const char *map[OPTIONS_REPEATED_MAX + 1], *include[OPTIONS_REPEATED_MAX + 1],
        *exclude[OPTIONS_REPEATED_MAX + 1];
    bool is_json, verifies, no_subscriptions, no_metadata, accepts, maps, includes, excludes,
        wants_help;
    bool has_with, has_without, is_newest_first, is_dry, is_events, has_sizes;
};

static const char *const usages[] = {
    [FORM_COPY] =
        "usage: coexist-sync copy [options] SOURCE TARGET\n"
        "SOURCE and TARGET: imap://user@host:port/, imaps://user@host:port/, maildir:DIR, "
        "mbox:DIR\n",
    [FORM_EXPORT] = "usage: coexist-sync export [options] SOURCE DIR\n"
                    "SOURCE: imap://user@host:port/, imaps://user@host:port/, maildir:DIR, "
                    "mbox:DIR\n",
    [FORM_IMPORT] = "usage: coexist-sync import [options] DIR TARGET\n"
                    "TARGET: imap://user@host:port/, imaps://user@host:port/, maildir:DIR, "
                    "mbox:DIR\n",
};

static bool is_maildir(const char *dir)
{
    struct buf cur;
    struct stat st;
    buf_init(&cur, PATH_MAX);
    bool is =
        io_path(&cur, dir, "cur") == 0 && stat(buf_cstr(&cur), &st) == 0 && S_ISDIR(st.st_mode);
    buf_fini(&cur);
    return is;
}

/* DIR, as copy names it: an export is a Maildir unless somebody wants something else, and what is
 * imported is what it looks like. */
static int name_files(struct copy_args *a, const char *dir, struct err *err)
{
    struct buf url;
    const char *format = a->format                                   ? a->format
                         : a->form == FORM_EXPORT || is_maildir(dir) ? "maildir"
                                                                     : "mbox";
    if (strcmp(format, "maildir") != 0 && strcmp(format, "mbox") != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--format is maildir or mbox");
    buf_init(&url, (size_t)2 * PATH_MAX);
    if (buf_addf(&url, "%s:%s", format, dir) != 0) {
        buf_fini(&url);
        return err_set(err, ERR_PERM, EX_USAGE, "%s: the name is too long", dir);
    }
    a->files = buf_steal_cstr(&url);
    return 0;
}

static int name_ends(struct copy_args *a, const char *const *words, struct err *err)
{
    a->source.label = "source";
    a->source.url = words[0];
    a->target.label = "target";
    a->target.url = words[1];
    a->target.is_made = !a->is_dry;
    a->target.is_pretended = a->is_dry;
    if (a->form == FORM_COPY)
        return 0;
    if (name_files(a, words[a->form == FORM_EXPORT ? 1 : 0], err) != 0)
        return -1;
    *(a->form == FORM_EXPORT ? &a->target.url : &a->source.url) = a->files;
    return 0;
}

static int parse(const struct program_args *args, struct copy_args *a, struct err *err)
{
    const struct option_row rows[] = {
        ACCOUNT_ARGS_ROWS("source", &a->source),
        ACCOUNT_ARGS_ROWS("target", &a->target),
        {"--state", &a->state, NULL, "DIR for the journals"},
        {"--delete-percent", &a->delete_percent, NULL,
            "N: share of the mailbox that may be deleted at once; 0: never delete"},
        {"--timeout", &a->timeout, NULL, "TIME without progress, such as 2m"},
        {"--max-rate", &a->max_rate, NULL, "OCTETS a second from the source and to the target"},
        {"--max-commands", &a->max_commands, NULL, "N commands a second to each server"},
        {"--max-day", &a->max_day, NULL, "OCTETS in 24 hours, then the run ends"},
        {"--settle", &a->settle, NULL,
            "TIME that a server may take to store what it had got when we were stopped"},
        {"--map", a->map, &a->maps, "OLD=NEW: the folder's name on the target; repeatable"},
        {"--include", a->include, &a->includes, "PATTERN of folders that are copied; repeatable"},
        {"--exclude", a->exclude, &a->excludes, "PATTERN of those that are not; repeatable"},
        {"--since", &a->filter.since, NULL, "DATE: copy what came in then or later"},
        {"--before", &a->filter.before, NULL, "DATE: copy what came in before it"},
        {"--min-size", &a->filter.min_size, NULL, "SIZE: copy what has so many octets or more"},
        {"--max-size", &a->filter.max_size, NULL, "SIZE: copy what has no more octets"},
        {"--with-flag", a->with_flags, &a->has_with, "FLAG: copy what has it; repeatable"},
        {"--without-flag", a->without_flags, &a->has_without,
            "FLAG: copy what does not have it; repeatable"},
        {"--connections", &a->connections, NULL, "N to each server, for folders beside each other"},
        {"--newest-first", NULL, &a->is_newest_first, "in each folder the newest messages first"},
        {"--acl", &a->acl, NULL, "FILE of names: give the rights of others there as well"},
        {"--no-metadata", NULL, &a->no_metadata, "leave annotations of folders alone"},
        {"--no-subscriptions", NULL, &a->no_subscriptions, "leave subscriptions alone"},
        {"--verify", NULL, &a->verifies, "read the target again and compare contents"},
        {"--accept", a->accept, &a->accepts, "CODE of items that are good as they are; repeatable"},
        {"--sizes", NULL, &a->has_sizes, "report the octets of each folder on both sides"},
        {"--dry-run", NULL, &a->is_dry, "show what would be done, and do none of it"},
        {"--json", NULL, &a->is_json, "print the report as JSON"},
        {"--json-events", NULL, &a->is_events, "print what happens as JSON, line by line"},
        {"--help", NULL, &a->wants_help, "this text"},
        {"--format", &a->format, NULL, "maildir or mbox"},
    };
    const size_t n = sizeof(rows) / sizeof(rows[0]) - (a->form == FORM_COPY);
    static const char *const names[][3] = {[FORM_COPY] = {"SOURCE", "TARGET", NULL},
        [FORM_EXPORT] = {"SOURCE", "DIR", NULL},
        [FORM_IMPORT] = {"DIR", "TARGET", NULL}};
    const char *words[2];
    for (int i = 1; i < args->argc; i++) {
        if (strcmp(args->argv[i], "--help") == 0) {
            printf("%s", usages[a->form]);
            options_help(rows, n);
            a->wants_help = true;
            return 0;
        }
    }
    if (options_parse(rows, n, args->argc, args->argv, names[a->form], words, err) != 0)
        return -1;
    return name_ends(a, words, err);
}

static int octets_of(const char *option, const char *text, uint64_t *out, struct err *err)
{
    if (text && (num_bytes(slice_str(text), out) != 0 || *out == 0))
        return err_set(err, ERR_PERM, EX_USAGE, "%s is a number of octets such as 200k", option);
    return 0;
}

/* The same for both sides. */
static int pace(struct copy_args *a, struct err *err)
{
    struct account_args *s = &a->source, *t = &a->target;
    if (octets_of("--max-rate", a->max_rate, &s->max_rate, err) != 0 ||
        octets_of("--max-day", a->max_day, &s->max_day, err) != 0)
        return -1;
    if (a->max_commands && num_u32(slice_str(a->max_commands), 1, 100000, &s->max_commands) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--max-commands is a number from 1 to 100000");
    t->max_rate = s->max_rate;
    t->max_day = s->max_day;
    t->max_commands = s->max_commands;
    return 0;
}

static int numbers(struct copy_args *a, struct copy_options *out, struct err *err)
{
    out->delete_percent = PLAN_DELETIONS_PERCENT;
    out->no_subscriptions = a->no_subscriptions;
    out->no_metadata = a->no_metadata;
    out->folders = (struct folder_rules){
        folder_words(a->map), folder_words(a->include), folder_words(a->exclude)};
    out->is_newest_first = a->is_newest_first;
    if (a->connections &&
        num_u32(slice_str(a->connections), 1, COPY_CONNECTIONS_MAX, &out->connections) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--connections is a number from 1 to %d",
            COPY_CONNECTIONS_MAX);
    out->is_dry = a->is_dry;
    out->wants_octets = a->has_sizes;
    if (a->is_dry && a->verifies)
        return err_set(err, ERR_PERM, EX_USAGE, "--verify compares what a dry run does not copy");
    a->filter.with_flags = folder_words(a->with_flags);
    a->filter.without_flags = folder_words(a->without_flags);
    if (a->acl && acl_names_read(a->acl, &a->acl_text, &out->acls, err) != 0)
        return err_wrap(err, "--acl");
    if (folder_rules_check(&out->folders, err) != 0 ||
        filter_make(&a->filter, clock_wall_s(), &out->filter, err) != 0)
        return -1;
    if (a->delete_percent &&
        num_u32(slice_str(a->delete_percent), 0, 100, &out->delete_percent) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--delete-percent is a number from 0 to 100");
    uint64_t timeout = 0;
    if (a->timeout && (num_duration_ms(slice_str(a->timeout), &timeout) != 0 || timeout == 0))
        return err_set(err, ERR_PERM, EX_USAGE, "--timeout is a time such as 30s");
    a->source.timeout_ms = a->target.timeout_ms = timeout;
    if (pace(a, err) != 0 || item_codes_named(a->accept, &out->accept, err) != 0)
        return -1;
    out->settle_ms = RESOLVE_SETTLE_MS;
    if (a->settle && num_duration_ms(slice_str(a->settle), &out->settle_ms) != 0)
        return err_set(err, ERR_PERM, EX_USAGE, "--settle is a time such as 3s");
    return 0;
}

static struct copy_admin admin_of(
    const struct copy_args *a, const struct account *account, struct imap_own *own)
{
    struct copy_admin admin = {.state = a->state};
    if (imap_account_own(&account->imap, own)) {
        admin.own = &own->end.maker;
        admin.wrong = &own->wrong.maker;
    }
    return admin;
}

/* What is wrong with a command, or with a password, is wrong the next time. */
static bool may_go_on(const struct err *err, uint64_t copied)
{
    return err->code != EX_USAGE &&
           (copied > 0 || (err->code != EX_NOPERM && err->code != EX_CONFIG));
}

/* For the report; the copy is as good without. */
static void count_again(struct copy *c, struct progress *p)
{
    const struct copy_counts *n = &p->report.n;
    struct err err = ERR_INIT;
    if (p->options.is_dry || n->messages_copied + n->messages_moved + n->messages_deleted == 0)
        return;
    if (copy_count(c, progress_count, p, &err) != 0)
        log_warn("not_counted_again", log_err(&err));
}

/* Beside the journals, one for each mailbox, whatever it is copied to. */
static int count_day(const struct copy_args *a, struct account *account, struct err *err)
{
    struct buf path;
    if (!account->imap.user)
        return 0;
    buf_init(&path, 8192);
    int result = state_file(a->state, "day", account->maker->name, &path, err);
    if (result == 0)
        imap_account_count(&account->imap, buf_cstr(&path));
    buf_fini(&path);
    return result;
}

static int run(const struct copy_args *a, const struct copy_options *options,
    const struct account *source, const struct account *target, struct progress *p, struct err *err)
{
    struct copy_counts n = {0};
    struct copy_verdict verdict;
    struct copy *c = NULL;
    struct buf dir;
    buf_init(&dir, 8192);
    int result = state_dir(a->state, a->source.url, a->target.url, &dir, err);
    if (result == 0)
        result = copy_new(
            source->maker, target->maker, buf_cstr(&dir), options, &progress_events, p, &c, err);
    if (result == 0)
        result = passes_run(c, PLAN_MIRROR, &n, err);
    if (result == 0 && a->verifies)
        result = copy_verify(c, a->form == FORM_EXPORT ? COPY_ANEW : COPY_ALL, true, &verdict, err);
    report_pass(&p->report, &n);
    if (result == 0 && a->verifies)
        report_verdict(&p->report, &verdict);
    if (result == 0)
        count_again(c, p);
    if (c)
        progress_summary(p, result == 0 ? NULL : err);
    p->can_go_on = c && result != 0 && !a->is_dry && may_go_on(err, n.messages_copied);
    copy_free(&c);
    buf_fini(&dir);
    if (result != 0)
        return -1;
    struct err why = ERR_INIT; /* all of it has been shown */
    return report_judge(&p->report, REPORT_COPY, NULL, &why) < REPORT_EXCEPTION
               ? 0
               : REPORT_EXIT_EXCEPTIONS;
}

/* Both sides, the source first. */
static uint64_t bound_s(void *arg, bool is_target, uint64_t octets, uint64_t messages)
{
    const struct account *const *accounts = arg;
    const struct imap_account *a = &accounts[is_target]->imap;
    struct profile_work w = {.octets = octets, .messages = messages, .is_up = is_target};
    struct profile_forecast f;
    return a->user && imap_account_forecast(a, &w, &f) ? f.seconds : 0;
}

static int run_as(const struct program_args *args, enum form form)
{
    struct copy_args a = {.form = form};
    buf_init(&a.acl_text, ACL_FILE_MAX);
    struct copy_options options = {0};
    struct account source = {0}, target = {0};
    struct imap_own source_admin = {0}, target_admin = {0};
    struct progress p;
    struct err err = ERR_INIT;
    int result = parse(args, &a, &err);
    if (a.wants_help)
        return 0;
    const struct account *both[] = {&source, &target};
    const struct progress_options shows = {.is_json = a.is_json,
        .is_events = a.is_events,
        .is_dry = a.is_dry,
        .is_proof = a.form == FORM_EXPORT && a.verifies,
        .source = a.source.url,
        .target = a.target.url,
        .bound_s = bound_s,
        .arg = both};
    progress_init(&p, &shows);
    if (result == 0)
        result = numbers(&a, &options, &err);
    if (result == 0)
        result = account_args_check(&a.target, &err); /* before anybody types a password */
    if (result == 0)
        result = account_from_args(&a.source, &source, &err);
    if (result == 0)
        result = account_from_args(&a.target, &target, &err);
    if (result == 0 && account_is_same(&source, &target))
        result = err_set(&err, ERR_PERM, EX_USAGE, "source and target are the same mailbox");
    if (result == 0) {
        progress_fini(&p);
        progress_init(&p, &shows); /* not counting the time to type passwords */
        progress_begin(&p);
        stop_catch();
        const struct wait_limits limits = {.cancel_fd = stop_fd()};
        options.limits = &limits;
        result = count_day(&a, &source, &err);
        if (result == 0)
            result = count_day(&a, &target, &err);
        options.source_admin = admin_of(&a, &source, &source_admin);
        options.target_admin = admin_of(&a, &target, &target_admin);
        if (result == 0)
            result = run(&a, &options, &source, &target, &p, &err);
    }
    imap_own_fini(&source_admin);
    imap_own_fini(&target_admin);
    account_fini(&source);
    account_fini(&target);
    buf_fini(&a.acl_text);
    int status = result < 0 ? program_fail(&sync_program, &err) : result;
    if (p.can_go_on)
        progress_go_on(&p, sync_program.name);
    progress_fini(&p);
    mem_free_string(&a.files);
    return status;
}

int sync_cmd_copy(const struct program_args *args)
{
    return run_as(args, FORM_COPY);
}

int sync_cmd_export(const struct program_args *args)
{
    return run_as(args, FORM_EXPORT);
}

int sync_cmd_import(const struct program_args *args)
{
    return run_as(args, FORM_IMPORT);
}
