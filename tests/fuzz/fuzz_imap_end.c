/* SPDX-License-Identifier: ISC */
/*
 * An IMAP server of arbitrary words against the IMAP end with every operation on its way: whatever
 * it says, each ticket is answered once, a sink hears begin, data and end in their order, and no
 * BUG() is met.  The first octet chooses what the server offers, the next ones which operations are
 * begun; in the rest "~" stands for the tag of the oldest command that has no answer yet, "\n" for
 * CRLF, and "^" for a look of ours at what has come so far.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "imapsync/ends/imap_end.h"
#include "imapsync/ends/imap_parts.h"
#include "imapsync/ends/named.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define ALL                                                                                        \
    "IMAP4rev1 AUTH=PLAIN SASL-IR LITERAL+ MULTIAPPEND UIDPLUS ENABLE CONDSTORE QRESYNC ESEARCH "  \
    "NAMESPACE LIST-EXTENDED LIST-STATUS SPECIAL-USE MOVE OBJECTID QUOTA ACL METADATA"
static const char *const offers[] = {"IMAP4rev1 AUTH=PLAIN SASL-IR", ALL, ALL " MESSAGELIMIT=3",
    "IMAP4rev1 AUTH=PLAIN SASL-IR UIDPLUS", "IMAP4rev1 AUTH=PLAIN SASL-IR CONDSTORE UIDPLUS"};
#define OPS_MAX 12
#define TAGS_MAX 400

struct body {
    bool is_open;
};

/* What one operation writes into. */
struct work {
    struct end_ticket t;
    struct end_changes changes;
    struct folder_list folders;
    struct folder folder;
    struct end_quota quota;
    struct named_list named;
    struct end_uids uids;
    struct body body;
    unsigned n_done;
};

struct world {
    struct imap_place place;
    struct imap_end_maker maker;
    struct imap_end *e;
    struct end *end;
    int peer;
    uint64_t now;
    struct buf heard;
    uint32_t tags[TAGS_MAX];
    size_t n_tags;
    struct keywords keywords;
    struct work work[OPS_MAX];
    size_t n_work;
};

static struct world w;

static uint64_t now_ms(void)
{
    return w.now;
}

static bool on_begin(void *arg, uint32_t uid, uint64_t size)
{
    struct work *x = arg;
    if (x->body.is_open || x->n_done > 0)
        abort();
    if (uid % 5 == 4 || size > 100000)
        return false;
    x->body.is_open = true;
    return true;
}

static void on_data(void *arg, struct slice octets)
{
    (void)octets;
    if (!((struct work *)arg)->body.is_open)
        abort();
}

static void on_end(void *arg, uint32_t uid)
{
    (void)uid;
    on_data(arg, SLICE_NONE);
    ((struct work *)arg)->body.is_open = false;
}

static const struct end_sink sink = {on_begin, on_data, on_end};

static void on_done(void *arg, struct end_ticket *t)
{
    struct work *x = arg;
    if (x->n_done++ > 0 || (x->body.is_open && t->result != END_LOST))
        abort();
}

/* Tags of what has been said, in their order; literals look like lines, which does no harm. */
static void hear(void)
{
    unsigned char in[4096];
    ssize_t n;
    while ((n = recv(w.peer, in, sizeof(in), MSG_DONTWAIT)) > 0) {
        if (buf_add(&w.heard, slice_make(in, (size_t)n)) != 0)
            buf_clear(&w.heard);
        ptrdiff_t end;
        while ((end = slice_find(buf_slice(&w.heard), '\n')) >= 0) {
            struct slice line = slice_sub(buf_slice(&w.heard), 0, (size_t)end), tag;
            uint32_t number;
            slice_split(&line, ' ', &tag);
            if (tag.n > 1 && tag.p[0] == 'c' && w.n_tags < TAGS_MAX &&
                num_u32(slice_from(tag, 1), 1, UINT32_MAX, &number) == 0)
                w.tags[w.n_tags++] = number;
            buf_consume(&w.heard, (size_t)end + 1);
        }
    }
}

static void say(struct slice s)
{
    while (s.n > 0) {
        ssize_t n = send(w.peer, s.p, s.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n <= 0)
            return;
        s = slice_from(s, (size_t)n);
    }
}

static void say_tag(void)
{
    char text[16] = "c0";
    if (w.n_tags > 0) {
        BUG_ON(fmt_into(text, sizeof(text), "c%u", (unsigned)w.tags[0]) != 0);
        memmove(w.tags, w.tags + 1, --w.n_tags * sizeof(w.tags[0]));
    }
    say(slice_str(text));
}

/* As far as it goes. */
static void look(void)
{
    struct err err = ERR_INIT;
    bool moved = true;
    for (int i = 0; moved && i < 100; i++) {
        struct pollfd fd;
        int timeout_ms;
        moved = false;
        w.end->ops->prepare(w.end, &fd, &timeout_ms);
        if (w.end->ops->advance(w.end, POLLIN | POLLOUT, &moved, &err) != 0)
            break;
        hear();
    }
}

/* --- Operations ---------------------------------------------------------------------------- */

static void append(struct work *x, unsigned n)
{
    const struct flags flags = {.system = FLAG_SEEN};
    const struct end_message m = {
        .flags = &flags, .keywords = &w.keywords, .has_date = true, .date_s = 837596665, .size = 5};
    if (!w.end->ops->has_room(w.end)) {
        end_answer(&x->t, END_OK, NULL);
        return;
    }
    w.end->ops->append_begin(w.end, SLICE_LIT("b"), &x->uids, &x->t);
    for (unsigned i = 0; i < n; i++) {
        w.end->ops->append_message(w.end, &m);
        w.end->ops->append_octets(w.end, SLICE_LIT("hello"));
        look(); /* it may be refused in the middle */
    }
    w.end->ops->append_end(w.end);
}

/* What is beside messages. */
static void about(struct work *x, unsigned which)
{
    const struct end_ops *ops = w.end->ops;
    const struct slice name = SLICE_LIT("a");
    if (which == 0)
        ops->quota(w.end, &x->quota, &x->t);
    else if (which == 1)
        ops->acl(w.end, name, &x->named, &x->t);
    else if (which == 2)
        ops->metadata(w.end, name, &x->named, &x->t);
    else
        ops->set_metadata(w.end, name, SLICE_LIT("/private/comment"), SLICE_LIT("a\nb"), &x->t);
}

static void begin(uint8_t what)
{
    static const uint32_t uids[] = {12, 3, 1, 4, 2, 5, 30};
    static struct uid_block blocks[] = {{0, 0xc000103e}};
    static const struct uid_set known = {.v = blocks, .n = 1}; /* 1 to 5, 12, 30, 31 */
    const size_t n = 1 + what / 16 % 7;
    struct work *x = &w.work[w.n_work];
    const struct end_ops *ops = w.end->ops;
    struct end_open o = {
        .folder = SLICE_LIT("a"), .known = &known, .want = END_WANT_FLAGS | END_WANT_DATES};
    const struct flags flags = {.system = FLAG_SEEN};
    const struct end_flags change = {.flags = &flags,
        .keywords = &w.keywords,
        .unchanged_since = ops->can(w.end) & END_CAN_GUARD ? 7 : 0};
    if (w.n_work == OPS_MAX)
        return;
    w.n_work++;
    x->t = (struct end_ticket){.done = on_done, .arg = x};
    end_changes_init(&x->changes, &w.keywords);
    folder_list_init(&x->folders);
    x->folder.name = SLICE_LIT("a");
    switch (what % 16) {
    case 0:
    case 1:
        o.is_for_writing = what % 16 == 1;
        ops->open(w.end, &o, &x->changes, &x->t);
        return;
    case 2:
    case 3:
        ops->read(w.end, uids, n, &sink, x, &x->t);
        return;
    case 4:
        ops->attributes(w.end, uids, n, END_WANT_FLAGS, &x->changes, &x->t);
        return;
    case 5:
        ops->folders(w.end, &x->folders, &x->t);
        return;
    case 6:
        ops->status(w.end, &x->folder, &x->t);
        return;
    case 7:
        ops->make(w.end, SLICE_LIT("\xff"), FOLDER_USE_SENT, &x->t);
        return;
    case 8:
        ops->rename(w.end, SLICE_LIT("a"), SLICE_LIT("b"), &x->t);
        return;
    case 9:
        ops->subscribe(w.end, SLICE_LIT("a"), true, &x->t);
        return;
    case 10:
        append(x, ops->can(w.end) & END_CAN_BATCH ? (unsigned)n : 1);
        return;
    case 11:
        o.is_only_opened = true;
        o.uidvalidity = 7;
        o.is_for_writing = true;
        ops->open(w.end, &o, &x->changes, &x->t);
        return;
    case 12:
        ops->move(w.end, uids, n, SLICE_LIT("b"), &x->uids, &x->t);
        return;
    case 13:
        ops->flags(w.end, uids, n, &change, &x->uids, &x->t);
        return;
    case 15:
        about(x, what / 16 % 4);
        return;
    default:
        ops->remove(w.end, uids, n, &x->t);
        return;
    }
}

/* What changes a folder comes behind an open() for writing, and what reads it behind any. */
static bool may_begin(uint8_t what, int *opened)
{
    unsigned kind = what % 16;
    bool reads = kind >= 2 && kind <= 4, writes = kind >= 12 && kind < 15;
    if ((reads && *opened < 1) || (writes && *opened < 2))
        return false;
    *opened = kind == 0 ? 1 : kind == 1 || kind == 11 ? 2 : *opened;
    return true;
}

/* --- Life ---------------------------------------------------------------------------------- */

/* As the maker does it, on a socket that is connected. */
static void up(const char *offer)
{
    static const struct end_ops *ops;
    struct err err = ERR_INIT;
    int fds[2];
    char greeting[600];
    w = (struct world){.now = 1000000};
    w.place = (struct imap_place){.label = "peer",
        .host = "127.0.0.1",
        .security = IMAP_SECURITY_NONE,
        .user = "u",
        .password = SLICE_LIT("p"),
        .now_ms = now_ms};
    buf_init(&w.heard, 8u << 20);
    BUG_ON(imap_end_maker_init(&w.maker, &w.place, &err) != 0);
    if (!ops) {
        struct end *first = w.maker.maker.make(&w.maker.maker, NULL);
        ops = first->ops;
        ops->close(first);
    }
    BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0);
    w.peer = fds[1];
    w.e = mem_zalloc(sizeof(*w.e));
    w.e->end = (struct end){.ops = ops, .label = "peer"};
    w.e->place = &w.place;
    w.e->manner = &w.maker.manner;
    w.e->conn = imap_conn_adopt(&w.place, NULL, fds[0]);
    w.e->client = imap_conn_client(w.e->conn);
    w.end = &w.e->end;
    BUG_ON(fmt_into(greeting, sizeof(greeting), " OK [CAPABILITY %s] hello\r\n", offer) != 0);
    say(SLICE_LIT("*"));
    say(slice_str(greeting));
    for (int i = 0; i < 6 && !w.end->ops->is_open(w.end); i++) {
        look();
        if (w.n_tags > 0) {
            say_tag();
            say(slice_str(greeting));
        }
    }
    look();
    BUG_ON(!w.end->ops->is_open(w.end));
    if (w.n_tags > 0) {
        say(SLICE_LIT("* ENABLED QRESYNC\r\n"));
        while (w.n_tags > 0) {
            say_tag();
            say(SLICE_LIT(" OK\r\n"));
        }
        look();
    }
}

static void down(void)
{
    w.end->ops->close(w.end);
    close(w.peer);
    for (size_t i = 0; i < w.n_work; i++) {
        struct work *x = &w.work[i];
        if (x->t.result == END_PENDING || (x->n_done != 1 && x->t.result != END_OK))
            abort();
        end_changes_fini(&x->changes);
        folder_list_fini(&x->folders);
        end_uids_fini(&x->uids);
        named_list_fini(&x->named);
    }
    keywords_fini(&w.keywords);
    imap_end_maker_fini(&w.maker);
    buf_fini(&w.heard);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t n = 0;
    int opened = 0;
    if (size < 2 || size > 60000)
        return 0;
    up(offers[data[0] % (sizeof(offers) / sizeof(offers[0]))]);
    size_t n_ops = data[0] / 16u;
    for (n = 1; n < size && n <= n_ops; n++) {
        if (may_begin(data[n], &opened))
            begin(data[n]);
    }
    look();
    for (; n < size; n++) {
        if (data[n] == '~')
            say_tag();
        else if (data[n] == '\n')
            say(SLICE_LIT("\r\n"));
        else if (data[n] == '^')
            look();
        else
            say(slice_make(data + n, 1));
    }
    look();
    down();
    return 0;
}
