/* SPDX-License-Identifier: ISC */
/* smtp_server_parts: what the files of smtp_server share among themselves. */
#ifndef RELAY_SMTP_SERVER_PARTS_H
#define RELAY_SMTP_SERVER_PARTS_H

#include "relay/smtp_server.h"

void smtp_server_put(struct smtp_server *s, const struct answer *a);
void smtp_server_say(struct smtp_server *s, int code, const char *enhanced, const char *text);
/* The answer is the last one. */
void smtp_server_close_with(
    struct smtp_server *s, int code, const char *enhanced, const char *text);
/* Counts an error; true when that was one too many and the session is over. */
bool smtp_server_is_one_error_too_many(struct smtp_server *s);
/* An answer that counts as an error. */
void smtp_server_say_error(struct smtp_server *s, const struct answer *a);
void smtp_server_error(struct smtp_server *s, int code, const char *enhanced, const char *text);
void smtp_server_end_transaction(struct smtp_server *s);
/* The owner is asked, and nothing is read until smtp_server_answer(). */
enum smtp_server_kind smtp_server_ask(struct smtp_server *s, enum smtp_server_kind what);

/* One line, if it is there as a whole. */
enum smtp_server_kind smtp_server_feed_command(
    struct smtp_server *s, struct slice in, size_t *used_out);

#endif
