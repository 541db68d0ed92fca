/* SPDX-License-Identifier: ISC */
/*
 * imap_peer: an IMAP server in a thread of the test, which answers as a table tells it.  Each row
 * is used once, the first whose text is in the command, with its LF; in its reply "~" stands for
 * the tag, "^" for that of the command before, and "\n" for CRLF.  Commands that no row fits are
 * answered by OK.  Octets of literals are left out of the lines.
 */
#ifndef TESTS_UNIT_IMAP_PEER_H
#define TESTS_UNIT_IMAP_PEER_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/mem.h"
#include "imapsync/ends/imap_end.h"
#include "tests/unit/unit.h"

struct imap_peer_row {
    const char *text;
    const char *reply; /* "" is silence, NULL the end of the connection */
};

struct imap_peer {
    int listener, fd;
    const char *caps;
    const struct imap_peer_row *rows; /* ends with text NULL */
    bool used[64];
    char before[32];  /* the tag of the command before */
    struct buf lines; /* what was said, LF behind each */
    struct imap_place place;
    struct imap_end_maker maker;
    struct end *end;
    pthread_t thread;
};

static inline void imap_peer_say(struct imap_peer *p, const char *tag, const char *reply)
{
    struct buf out;
    buf_init(&out, 8u << 20);
    for (const char *c = reply; *c; c++) {
        if (*c == '~')
            BUG_ON(buf_add_str(&out, tag) != 0);
        else if (*c == '^')
            BUG_ON(buf_add_str(&out, p->before) != 0);
        else if (*c == '\n')
            BUG_ON(buf_add_str(&out, "\r\n") != 0);
        else
            BUG_ON(buf_add_byte(&out, (unsigned char)*c) != 0);
    }
    for (size_t at = 0; at < out.n;) {
        ssize_t n = send(p->fd, out.p + out.off + at, out.n - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    buf_fini(&out);
}

/* Of "12+}". */
static inline uint32_t imap_peer_size(struct slice text)
{
    uint32_t n = 0;
    for (size_t i = 0; i < text.n && ascii_is_digit(text.p[i]); i++)
        n = 10 * n + text.p[i] - '0';
    return n;
}

/* One line without its CRLF; the octets of "{n+}" literals are skipped.  false: the end. */
static inline bool imap_peer_line(FILE *in, struct buf *out)
{
    buf_clear(out);
    for (int c, last = 0; (c = getc(in)) != EOF; last = c) {
        if (c != '\n' || last != '\r') {
            BUG_ON(buf_add_byte(out, (unsigned char)c) != 0);
            continue;
        }
        buf_truncate(out, out->n - 1);
        struct slice s = buf_slice(out);
        ptrdiff_t at = slice_rfind(s, '{');
        if (at < 0 || s.p[s.n - 1] != '}')
            return true;
        for (uint32_t n = imap_peer_size(slice_from(s, (size_t)at + 1)); n > 0; n--)
            (void)getc(in);
        BUG_ON(buf_add_byte(out, '_') != 0);
    }
    return false;
}

static inline bool imap_peer_answer(struct imap_peer *p, struct slice line)
{
    struct slice rest = line, word;
    char tag[32] = "";
    slice_split(&rest, ' ', &word);
    BUG_ON(fmt_into(tag, sizeof(tag), "%.*s", SLICE_ARG(word)) != 0);
    size_t start = p->lines.n;
    BUG_ON(buf_add(&p->lines, rest) != 0 || buf_add_byte(&p->lines, '\n') != 0);
    rest = slice_from(buf_slice(&p->lines), start);
    for (size_t i = 0; p->rows[i].text; i++) {
        if (p->used[i] || slice_search(rest, slice_str(p->rows[i].text)) < 0)
            continue;
        p->used[i] = true;
        if (p->rows[i].reply)
            imap_peer_say(p, tag, p->rows[i].reply);
        memcpy(p->before, tag, sizeof(tag));
        return p->rows[i].reply != NULL;
    }
    imap_peer_say(p, tag, "~ OK\n");
    memcpy(p->before, tag, sizeof(tag));
    return true;
}

static inline void *imap_peer_run(void *arg)
{
    struct imap_peer *p = arg;
    struct buf line;
    char greeting[600];
    buf_init(&line, 8u << 20);
    p->fd = accept(p->listener, NULL, NULL);
    FILE *in = p->fd >= 0 ? fdopen(dup(p->fd), "r") : NULL;
    BUG_ON(!in);
    BUG_ON(fmt_into(greeting, sizeof(greeting),
               "* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR %s] hello\n", p->caps) != 0);
    imap_peer_say(p, "", greeting);
    while (imap_peer_line(in, &line)) {
        struct slice s = buf_slice(&line);
        char text[600];
        BUG_ON(fmt_into(text, sizeof(text), "~ OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR %s]\n",
                   p->caps) != 0);
        if (slice_search(s, SLICE_LIT("AUTHENTICATE")) >= 0) {
            struct slice tag;
            char t[32];
            slice_split(&s, ' ', &tag);
            BUG_ON(fmt_into(t, sizeof(t), "%.*s", SLICE_ARG(tag)) != 0);
            imap_peer_say(p, t, text);
        } else if (!imap_peer_answer(p, s)) {
            break;
        }
    }
    shutdown(p->fd, SHUT_RDWR);
    fclose(in);
    buf_fini(&line);
    return NULL;
}

static inline void imap_peer_start(
    struct imap_peer *p, const char *caps, const struct imap_peer_row *rows)
{
    struct sockaddr_in sin = {
        .sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(sin);
    struct err err = ERR_INIT;
    const struct end_maker *silent, *maker = &p->maker.maker;
    *p = (struct imap_peer){.caps = caps, .rows = rows, .fd = -1};
    buf_init(&p->lines, 1u << 20);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
    assert_int_equal(listen(p->listener, 1), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&sin, &size), 0);
    p->place = (struct imap_place){.label = "peer",
        .host = "127.0.0.1",
        .port = ntohs(sin.sin_port),
        .security = IMAP_SECURITY_NONE,
        .user = "u",
        .password = SLICE_LIT("p")};
    assert_int_equal(pthread_create(&p->thread, NULL, imap_peer_run, p), 0);
    assert_int_equal(imap_end_maker_init(&p->maker, &p->place, &err), 0);
    if (end_open_all(&maker, 1, NULL, &p->end, &silent, &err) != 0)
        fail_msg("%s", err.text);
}

/* What the client has said. */
static inline const char *imap_peer_stop(struct imap_peer *p)
{
    end_close(&p->end);
    pthread_join(p->thread, NULL);
    close(p->fd);
    close(p->listener);
    imap_end_maker_fini(&p->maker);
    return buf_cstr(&p->lines);
}

/* --- The one of this test, and what tests do with it ------------------------------------ */

static struct imap_peer peer;
static struct keywords keywords;

static inline enum end_result open_folder(
    const char *name, const struct end_open *more, struct end_changes *out, struct err *err)
{
    struct end_ticket t = {0};
    struct end_open o = *more;
    o.folder = slice_str(name);
    end_changes_init(out, &keywords);
    peer.end->ops->open(peer.end, &o, out, &t);
    if (end_wait(peer.end, &t, err) != 0)
        return END_LOST;
    *err = t.err;
    return t.result;
}

static inline void fini(struct end_changes *c)
{
    end_changes_fini(c);
    keywords_fini(&keywords);
}

static inline const char *said(const char *text)
{
    return strstr(buf_cstr(&peer.lines), text);
}

static inline void stop(void)
{
    imap_peer_stop(&peer);
}

static inline void clean(void)
{
    buf_fini(&peer.lines);
}

#endif
