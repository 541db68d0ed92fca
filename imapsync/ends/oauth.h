/* SPDX-License-Identifier: ISC */
/*
 * oauth: where access tokens come from (OAuth 2.0): a command that prints one, or the token
 * endpoint with what a file has (RFC 6749 4.4 and 6).  A token is kept until shortly before its
 * end, and for all connections of the process that ask the same source; a server that refuses it
 * makes it be got again.
 *
 * The file is a JSON object, as Google's tools write it: token_uri, client_id, client_secret,
 * refresh_token, scope; ca_file for an endpoint of one's own.  Without refresh_token the client
 * signs in for itself.  A refresh token that the endpoint replaces is replaced in the file.
 */
#ifndef IMAPSYNC_ENDS_OAUTH_H
#define IMAPSYNC_ENDS_OAUTH_H

#include "imapsync/imap/place.h"

/* Sources live as long as the process; the same words give the same one. */
/* argv: NULL behind the last word, "%u" in a word is the user. */
struct imap_tokens oauth_from_command(char *const *argv, const char *user);
struct imap_tokens oauth_from_file(const char *path);

#endif
