# SPDX-License-Identifier: ISC
"""Talking to servers: what is compressed, paced, counted by the day, and asked for once more."""

GROUPS = [
    ("imapsync/imap/compress.c", ["test_imap_compress"], [
        ("what fills a piece is the last of it",
         "return z->in.avail_in > 0 || z->was_full;",
         "return z->in.avail_in > 0;"),
        ("what was said is kept back until there is more",
         "some.n == plain.n ? Z_SYNC_FLUSH : Z_NO_FLUSH",
         "Z_NO_FLUSH"),
        ("an end of the compression is no error",
         "if (r == Z_OK || r == Z_BUF_ERROR) return 0;",
         "if (r == Z_OK || r == Z_BUF_ERROR || r == Z_STREAM_END) return 0;"),
    ]),
    ("imapsync/imap/conn_steps.c", ["test_imap_compress", "test_imap_pace"], [
        ("COMPRESS is asked of whoever does not offer it",
         "if (c->place->is_probe || !imap_client_has(c->client, IMAP_CAP_COMPRESS) ||",
         "if (c->place->is_probe ||"),
        ("what comes behind the answer to COMPRESS is lost",
         "imap_compress_give(c->compress, rest);",
         ""),
        ("what is received has no pace",
         "imap_wire_receive(&c->wire, p, room < size ? (size_t)room : size, n_out, err);",
         "imap_wire_receive(&c->wire, p, size, n_out, err);"),
        ("the day has no end",
         "if (imap_conn_check_day(c, err) != 0) return -1; enum imap_wire_result r = (c->compress",
         "enum imap_wire_result r = (c->compress"),
    ]),
    ("imapsync/imap/conn_wait.c", ["test_imap_pace", "test_imap_compress"], [
        ("a server is late that waits for us",
         "c->state != CONN_FETCHING && !imap_conn_is_paced(c) &&",
         "c->state != CONN_FETCHING &&"),
    ]),
    ("imapsync/imap/pace.c", ["test_imap_pace"], [
        ("a bucket has no bottom",
         "p->milli = least_of(p->milli + ms * p->rate, full(p));",
         "p->milli = full(p);"),
        ("a bucket has no brim",
         "p->milli = least_of(p->milli + ms * p->rate, full(p));",
         "p->milli += ms * p->rate;"),
    ]),
    ("imapsync/imap/day.c", ["test_imap_pace"], [
        ("an hour is forgotten too soon",
         "return h->hour > 0 && h->hour + DAY_HOURS > now;",
         "return h->hour > 0 && h->hour + DAY_HOURS > now + 1;"),
        ("the hour of yesterday goes on",
         "if (h->hour != hour)",
         "if (h->hour == 0)"),
    ]),
    ("imapsync/ends/imap_rest.c", ["test_imap_whole"], [
        ("a server that goes on cutting is asked on",
         "limit > 0 && limit < rest->limit &&",
         "limit > 0 && limit <= rest->limit &&"),
        ("the rest is not asked for",
         "return left > 0 && (is_less || is_smaller);",
         "return left > 0 && is_smaller;"),
    ]),
    ("imapsync/ends/imap_read.c", ["test_imap_whole"], [
        ("what was cut is all",
         "else if (left > 0) imap_rest_refuse(&q->r);",
         ""),
    ]),
    ("imapsync/ends/profile.c", ["test_profile"], [
        ("the last day is not begun",
         "uint64_t rest = w->octets - left, days = parts(rest, day);",
         "uint64_t rest = w->octets - left, days = rest / day;"),
    ]),
]
