/* SPDX-License-Identifier: ISC */
/* cutthrough_parts: what the files of cutthrough share among themselves. */
#ifndef RELAY_CUTTHROUGH_PARTS_H
#define RELAY_CUTTHROUGH_PARTS_H

#include "relay/cutthrough.h"

/* --- Verbs (cutthrough.c) --- */
void cut_answer(struct cutthrough *ct, const struct answer *a, size_t times);
void cut_say(struct cutthrough *ct, int code, const char *enhanced, const char *text);
void cut_release(struct cutthrough *ct, enum cutthrough_release how);
/* Back to where the next RCPT may come. */
void cut_end_rcpt(struct cutthrough *ct);
void cut_connect_target(struct cutthrough *ct, bool fresh);
/* How many answers the end of the content wants. */
size_t cut_end_answers(const struct cutthrough *ct);
void cut_finish(struct cutthrough *ct, const struct answer *a, size_t times);
/* The message is refused: now when the client waits for it, else behind the end of its content. */
void cut_refuse(struct cutthrough *ct, const struct answer *a);
const char *cut_server_name(const struct cutthrough *ct);
bool cut_refuses_8bit(const struct cutthrough *ct);

/* --- The envelope --- */
/* A pooled connection is of no use, and nobody was accepted on it: once, a fresh one takes over.
 * It is closed, else the pool could give it out again, to us first. */
bool cut_replace(struct cutthrough *ct);
void cut_mail_replied(struct cutthrough *ct, const struct smtp_reply *reply);
void cut_rcpt_replied(struct cutthrough *ct, const struct smtp_reply *reply);

/* --- The content --- */
void cut_data_replied(struct cutthrough *ct, const struct smtp_reply *reply);
void cut_dot_replied(struct cutthrough *ct, const struct smtp_client_event *ev);

#endif
