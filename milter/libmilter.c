/* SPDX-License-Identifier: ISC */
/*
 * libmilter: see libmilter.h.  Every callback is: find the session, build slices, ask the judge,
 * report, translate the verdict.  libmilter calls from many threads; a session belongs to one at a
 * time, and everything else that changes is in `filter` under its mutex.
 *
 * Steps that we do not need are negotiated away, but every step that remains is answered at once,
 * DATA too, which is only there for that.  Over TCP a packet without an answer costs 40 ms: mail
 * servers leave Nagle's algorithm on, so their next packet waits for our delayed acknowledgement.
 * Postfix sends the macros of DATA even when the step is not wanted.
 *
 * Shadow mode refuses nothing at all: not while we are being stopped, when a message is counted and
 * waited for like those before, and not when a mail server lacks a feature.
 *
 * Known weakness: smfi_getsymval() reads past the end of a list of macros with an odd number of
 * strings.  No mail server sends one, so nobody else may reach the socket.
 */
#include <arpa/inet.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/clock.h"
#include "base/core/conf.h"
#include "base/core/err.h"
#include "base/core/log.h"
#include "base/core/mem.h"
#include "base/core/net.h"
#include "base/core/slice.h"
#include "maps/consumer.h"
#include "maps/snapshot.h"
#include "maps/trace.h"
#include "milter/judge.h"
#include "milter/libmilter.h"
#include "milter/live.h"
#include "milter/report.h"

#define SESSION_MAGIC 0x4d494c54u
#define STAMP_MAX (64u * 1024) /* one trace field with JUDGE_RCPTS_MAX items */

struct session {
    uint32_t magic;
    uint64_t sid;
    struct net_addr client;
    bool has_client;
    char client_text[NET_TEXT_MAX];
    struct live *live; /* of the message in progress, NULL between messages */
    struct milter_judge *judge;
    bool is_late; /* the message began while draining: it is not counted, and told to come back;
                     never so in shadow mode */
};

/* libmilter hands no argument to its callbacks before there is a session. */
static struct {
    char *run_dir;
    struct consumer *consumer; /* until the end of the process */
    int wake_fd;
    pthread_key_t snapshot_key; /* one handle per thread */
    pthread_mutex_t mutex;      /* for what follows */
    uint64_t last_sid;
    size_t messages;
    bool is_draining;
} filter = {.wake_fd = -1, .mutex = PTHREAD_MUTEX_INITIALIZER};

static void wake(char why)
{
    ssize_t n = write(filter.wake_fd, &why, 1);

    (void)n; /* A full pipe wakes as well. */
}

/* --- Sessions and messages -------------------------------------------------------- */

static void free_snapshot(void *arg)
{
    struct snapshot *s = arg;

    snapshot_free(&s);
}

static struct snapshot *thread_snapshot(void)
{
    struct snapshot *s = pthread_getspecific(filter.snapshot_key);

    if (s == NULL) {
        s = snapshot_new(filter.run_dir);
        if (pthread_setspecific(filter.snapshot_key, s) != 0)
            BUG("pthread_setspecific");
    }
    return s;
}

static struct route_view thread_view(void)
{
    return snapshot_view(thread_snapshot());
}

static void on_routed(void *arg, const struct decision *d)
{
    (void)arg;
    consumer_saw(filter.consumer, d, MAIL_LOG_UNKNOWN);
}

/* Made at the first callback that needs it: after QUIT_NC a session starts without negotiation. */
static struct session *session_of(SMFICTX *ctx)
{
    struct session *s = smfi_getpriv(ctx);

    if (s == NULL) {
        s = mem_zalloc(sizeof(*s));
        s->magic = SESSION_MAGIC;
        s->judge = milter_judge_new();
        pthread_mutex_lock(&filter.mutex);
        s->sid = ++filter.last_sid;
        pthread_mutex_unlock(&filter.mutex);
        if (smfi_setpriv(ctx, s) != MI_SUCCESS)
            BUG("smfi_setpriv");
    }
    BUG_ON(s->magic != SESSION_MAGIC);
    return s;
}

static bool is_shadow(const struct live *live)
{
    return live->conf->milter.mode == CONF_MILTER_SHADOW;
}

static void message_end(struct session *s)
{
    bool is_last = false;

    if (s->live == NULL)
        return;
    milter_live_put(&s->live);
    if (s->is_late)
        return;
    pthread_mutex_lock(&filter.mutex);
    filter.messages--;
    is_last = filter.is_draining && filter.messages == 0;
    pthread_mutex_unlock(&filter.mutex);
    if (is_last)
        wake('i');
}

static void message_begin(struct session *s)
{
    struct judge_site site;

    message_end(s);
    s->live = milter_live_get();
    pthread_mutex_lock(&filter.mutex);
    s->is_late = filter.is_draining && !is_shadow(s->live);
    if (!s->is_late)
        filter.messages++;
    pthread_mutex_unlock(&filter.mutex);
    site = milter_live_site(s->live);
    site.routed = on_routed;
    milter_judge_begin(s->judge, &site,
        s->has_client ? conf_server_from(s->live->conf, &s->client) : CONF_SERVER_NONE);
}

static struct report report_of(SMFICTX *ctx, const struct session *s)
{
    return (struct report){.sid = s->sid,
        .qid = smfi_getsymval(ctx, (char[]){"i"}),
        .client = s->client_text,
        .conf = s->live->conf};
}

/* --- The client's address ------------------------------------------------------------ */

static bool address_from_socket(const struct sockaddr *sa, struct net_addr *out)
{
    char text[INET6_ADDRSTRLEN];
    const void *bytes = NULL;

    if (sa == NULL)
        return false;
    if (sa->sa_family == AF_INET)
        bytes = &((const struct sockaddr_in *)(const void *)sa)->sin_addr;
    else if (sa->sa_family == AF_INET6)
        bytes = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;
    return bytes != NULL && inet_ntop(sa->sa_family, bytes, text, sizeof(text)) != NULL &&
           net_addr_parse(slice_str(text), out) == 0;
}

/* The MTA's macros, for one that has no socket to show: {client_addr}, else "name [address]". */
static bool address_from_macros(SMFICTX *ctx, struct net_addr *out)
{
    struct slice text = slice_str(smfi_getsymval(ctx, (char[]){"{client_addr}"}));
    ptrdiff_t open, close;

    if (text.n > 0 && net_addr_parse(text, out) == 0)
        return true;
    text = slice_str(smfi_getsymval(ctx, (char[]){"_"}));
    open = slice_rfind(text, '[');
    close = slice_rfind(text, ']');
    return open >= 0 && close > open &&
           net_addr_parse(slice_sub(text, (size_t)open, (size_t)(close - open) + 1), out) == 0;
}

/* --- Replies ----------------------------------------------------------------------------- */

/* smfi_setreply() takes "%" for the start of a format, so it is doubled (mfapi documentation). */
static sfsistat refuse(SMFICTX *ctx, int code, const char *enhanced, const char *text)
{
    char code_text[4], enhanced_text[8];
    struct buf escaped;
    int failed;

    buf_init(&escaped, (size_t)2 * DECIDE_TEXT_MAX);
    failed = fmt_into(code_text, sizeof(code_text), "%d", code) |
             fmt_into(enhanced_text, sizeof(enhanced_text), "%s", enhanced);
    for (; !failed && *text != '\0'; text++)
        failed = buf_add_str(&escaped, (char[]){*text, *text == '%' ? '%' : '\0', '\0'});
    if (failed || smfi_setreply(ctx, code_text, enhanced_text, (char *)escaped.p) != MI_SUCCESS)
        log_warn("reply_failed", log_i64("code", code), log_str("text", text));
    buf_fini(&escaped);
    return code < 500 ? SMFIS_TEMPFAIL : SMFIS_REJECT;
}

static sfsistat translate(SMFICTX *ctx, const struct session *s, const struct judge_finding *f)
{
    if (f->verdict == JUDGE_CONTINUE || is_shadow(s->live))
        return SMFIS_CONTINUE;
    return refuse(ctx, f->code, f->enhanced, f->text);
}

/* --- Callbacks ------------------------------------------------------------------------------- */

/* Steps that no mode needs. */
#define NO_STEP (SMFIP_NOHELO | SMFIP_NOUNKNOWN | SMFIP_NOEOH | SMFIP_NOBODY)

static bool is_draining(void)
{
    bool is;

    pthread_mutex_lock(&filter.mutex);
    is = filter.is_draining;
    pthread_mutex_unlock(&filter.mutex);
    return is;
}

static bool choose_macros(SMFICTX *ctx)
{
    return smfi_setsymlist(ctx, SMFIM_CONNECT, (char[]){"_ {client_addr}"}) == MI_SUCCESS &&
           smfi_setsymlist(ctx, SMFIM_ENVFROM, (char[]){"i"}) == MI_SUCCESS &&
           smfi_setsymlist(ctx, SMFIM_ENVRCPT, (char[]){"i {rcpt_addr}"}) == MI_SUCCESS &&
           smfi_setsymlist(ctx, SMFIM_EOM, (char[]){"i"}) == MI_SUCCESS;
}

static sfsistat on_negotiate(SMFICTX *ctx, unsigned long actions, unsigned long steps,
    unsigned long f2, unsigned long f3, unsigned long *actions_out, unsigned long *steps_out,
    unsigned long *f2_out, unsigned long *f3_out)
{
    struct live *live = milter_live_get();
    bool reads_header = milter_live_reads_header(live), has_to_judge = !is_shadow(live);
    bool has_features = (actions & SMFIF_ADDHDRS) != 0;

    (void)f2;
    (void)f3;
    milter_live_put(&live);
    if (!has_features)
        log_error("negotiation_failed",
            log_str("error", "the mail server lacks a feature of milter protocol 2"),
            log_u64("actions", actions), log_u64("steps", steps));
    *actions_out = actions & (SMFIF_ADDHDRS | SMFIF_SETSYMLIST);
    *steps_out = (NO_STEP | (reads_header ? 0 : SMFIP_NOHDRS)) & steps;
    *f2_out = *f3_out = 0;
    if ((actions & SMFIF_SETSYMLIST) != 0 && !choose_macros(ctx))
        has_features = false;
    /* The mail server's default action follows, tempfail, which is what we want. */
    return has_to_judge && (is_draining() || !has_features) ? SMFIS_REJECT : SMFIS_CONTINUE;
}

static sfsistat on_connect(SMFICTX *ctx, char *host, _SOCK_ADDR *address)
{
    struct session *s = session_of(ctx);

    (void)host;
    s->has_client = address_from_socket((const struct sockaddr *)address, &s->client) ||
                    address_from_macros(ctx, &s->client);
    if (s->has_client)
        net_addr_format(&s->client, s->client_text);
    return SMFIS_CONTINUE;
}

static sfsistat on_mail(SMFICTX *ctx, char **argv)
{
    struct session *s = session_of(ctx);

    message_begin(s);
    if (argv != NULL && argv[0] != NULL)
        milter_judge_sender(s->judge, slice_str(argv[0]));
    return SMFIS_CONTINUE;
}

static sfsistat on_rcpt(SMFICTX *ctx, char **argv)
{
    struct session *s = session_of(ctx);
    struct judge_finding f;
    struct meaning_rcpt rcpt;
    char *resolved;
    struct route_view view;
    struct report report;

    if (s->live == NULL || argv == NULL || argv[0] == NULL)
        return refuse(ctx, 451, "4.3.0", "recipient without a message");
    if (s->is_late)
        return refuse(ctx, 451, "4.3.2", "coexist-milter is being stopped, try again");
    view = thread_view();
    resolved = smfi_getsymval(ctx, (char[]){"{rcpt_addr}"});
    rcpt = (struct meaning_rcpt){.said = slice_str(argv[0]), .resolved = slice_str(resolved)};
    milter_judge_rcpt(s->judge, &view, &rcpt, clock_wall_s(), &f);
    consumer_used(filter.consumer, snapshot_sequence(thread_snapshot()), clock_wall_s());
    report = report_of(ctx, s);
    milter_report_rcpt(&report, &f);
    /* libmilter would show it at the next RCPT again if the mail server tells nothing there. */
    if (resolved != NULL)
        *resolved = '\0';
    return translate(ctx, s, &f);
}

static sfsistat on_data(SMFICTX *ctx)
{
    (void)ctx;
    return SMFIS_CONTINUE;
}

static sfsistat on_header(SMFICTX *ctx, char *name, char *value)
{
    struct session *s = session_of(ctx);

    if (s->live != NULL)
        milter_judge_header(s->judge, slice_str(name), slice_str(value));
    return SMFIS_CONTINUE;
}

/* libmilter wants the value without its name, and folded with LF alone. */
static int insert_field(SMFICTX *ctx, struct slice field)
{
    struct slice line, value = slice_from(field, sizeof(TRACE_FIELD ":") - 1);
    struct buf out;
    int failed = 0;

    buf_init(&out, STAMP_MAX);
    value = slice_trim(value);
    while (!failed && slice_split(&value, '\n', &line)) {
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n > 0 && out.n > 0)
            failed = buf_add_byte(&out, '\n');
        if (!failed)
            failed = buf_add(&out, line);
    }
    failed = failed || smfi_insheader(ctx, 0, (char[]){TRACE_FIELD}, (char *)out.p) != MI_SUCCESS;
    buf_fini(&out);
    return failed ? -1 : 0;
}

static int stamp(SMFICTX *ctx, struct session *s)
{
    struct buf field;
    int rc = 0;

    buf_init(&field, STAMP_MAX);
    for (int server = 0; rc >= 0 && server < (int)s->live->conf->n_servers; server++) {
        buf_clear(&field);
        rc = milter_judge_stamp(s->judge, server, clock_wall_s(), &field);
        if (rc > 0)
            rc = insert_field(ctx, buf_slice(&field));
    }
    buf_fini(&field);
    return rc < 0 ? -1 : 0;
}

static sfsistat on_end_of_message(SMFICTX *ctx)
{
    struct session *s = session_of(ctx);
    struct judge_finding f;
    struct route_view view;
    struct report report;
    sfsistat status;

    if (s->live == NULL)
        return refuse(ctx, 451, "4.3.0", "end of a message that did not begin");
    view = thread_view();
    milter_judge_message(s->judge, &view, clock_wall_s(), &f);
    report = report_of(ctx, s);
    if (f.verdict == JUDGE_CONTINUE && s->live->conf->milter.mode == CONF_MILTER_JUDGE &&
        stamp(ctx, s) != 0) {
        log_error("stamp_failed", log_u64("sid", s->sid),
            log_str("qid", report.qid != NULL ? report.qid : "-"));
        message_end(s);
        return refuse(ctx, 451, "4.3.0", "the message cannot be stamped");
    }
    milter_report_message(&report, &f, milter_judge_rcpts(s->judge));
    status = translate(ctx, s, &f);
    message_end(s);
    return status;
}

static sfsistat on_abort(SMFICTX *ctx)
{
    message_end(session_of(ctx));
    return SMFIS_CONTINUE;
}

static sfsistat on_close(SMFICTX *ctx)
{
    struct session *s = smfi_getpriv(ctx);

    if (s == NULL)
        return SMFIS_CONTINUE;
    BUG_ON(s->magic != SESSION_MAGIC);
    message_end(s);
    milter_judge_free(&s->judge);
    s->magic = 0;
    free(s);
    if (smfi_setpriv(ctx, NULL) != MI_SUCCESS)
        BUG("smfi_setpriv");
    return SMFIS_CONTINUE;
}

/* --- For the life of the filter -------------------------------------------------------- */

static const struct smfiDesc description = {
    .xxfi_name = (char[]){"coexist"},
    .xxfi_version = SMFI_VERSION,
    .xxfi_flags = SMFIF_ADDHDRS,
    .xxfi_connect = on_connect,
    .xxfi_envfrom = on_mail,
    .xxfi_envrcpt = on_rcpt,
    .xxfi_data = on_data,
    .xxfi_header = on_header,
    .xxfi_eom = on_end_of_message,
    .xxfi_abort = on_abort,
    .xxfi_close = on_close,
    .xxfi_negotiate = on_negotiate,
};

int libmilter_register(const char *run_dir, int wake_fd, struct err *err)
{
    filter.run_dir = mem_strdup(run_dir);
    filter.consumer = consumer_new(run_dir, "milter");
    filter.wake_fd = wake_fd;
    if (pthread_key_create(&filter.snapshot_key, free_snapshot) != 0)
        return err_set(err, ERR_TEMP, EX_OSERR, "no thread-specific data left");
    if (smfi_register(description) != MI_SUCCESS)
        return err_set(err, ERR_TEMP, EX_OSERR, "libmilter does not take the filter");
    return 0;
}

void libmilter_drain(void)
{
    pthread_mutex_lock(&filter.mutex);
    filter.is_draining = true;
    pthread_mutex_unlock(&filter.mutex);
}

size_t libmilter_messages(void)
{
    size_t n;

    pthread_mutex_lock(&filter.mutex);
    n = filter.messages;
    pthread_mutex_unlock(&filter.mutex);
    return n;
}
