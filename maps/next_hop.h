/* SPDX-License-Identifier: ISC */
/* next_hop: a server in the words of a mail server that routes by itself, pure.  The one place that
 * knows them. */
#ifndef MAPS_NEXT_HOP_H
#define MAPS_NEXT_HOP_H

#include "base/core/attr.h"
#include "base/core/buf.h"
#include "base/core/conf.h"

/* transport:nexthop of transport(5):
 *
 *     smtp://host:port    smtp:[host]:port        brackets: no look-up of MX records
 *     smtps://host:port   smtps:[host]:port       a service of that name in master.cf
 *     lmtp://host:port    lmtp:inet:host:port     lmtp(8); an IPv6 address has brackets
 *     no smtp             retry:4.3.5 text        error(8) keeps the mail
 *
 * -1: out is full. */
int next_hop_postfix(const struct conf_server *server, struct buf *out) ATTR_WUR;
/* Host for the mailer "relay" of Sendmail, "[host]", "[IPv6:address]"; where its protocol and port
 * are others than those of that mailer, "coexist-NAME:" and the host, for a mailer of that name.
 * For servers that take mail. */
int next_hop_sendmail(const struct conf_server *server, struct buf *out) ATTR_WUR;

/* The server to which a transport(5) or mailertable leads with these words: "smtp:[host]:25",
 * "lmtp:inet:host:24", "relay:host", "esmtp:[IPv6:::1]".  Whatever the mailer is called, it is the
 * one server whose host, or whose name, and port they are.  CONF_SERVER_NONE: none, or several. */
int next_hop_find(const struct conf *conf, struct slice hop);

#endif
