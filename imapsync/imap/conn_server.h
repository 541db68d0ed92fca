/* SPDX-License-Identifier: ISC */
/*
 * conn_server: what all connections of the process to one server share: how many they may be, and
 * how fast they sign in, say commands and move octets.  One for each server of the configuration.
 */
#ifndef IMAPSYNC_IMAP_CONN_SERVER_H
#define IMAPSYNC_IMAP_CONN_SERVER_H

#include <stdbool.h>
#include <stdint.h>

/* 0: as many as one likes. */
struct imap_rates {
    uint32_t connections;
    uint32_t signins;  /* a second */
    uint32_t commands; /* a second */
    uint64_t octets;   /* a second, those that come and those that go */
};

#define IMAP_ROOM_LEAST 4096   /* octets: fewer are not worth a system call */
#define IMAP_COMMANDS_STEP 8   /* that one connection takes of the common ones at a time */
#define IMAP_PLACE_LOOK_MS 250 /* between looks whether another connection has ended */

struct imap_server;

/* Lives as long as the process. */
struct imap_server *imap_server_of(const char *name);
/* This process is one of so many that share what imap_server_set() says; before the first one. */
void imap_server_share(uint32_t n);
/* For everybody from now on. */
void imap_server_set(struct imap_server *s, const struct imap_rates *rates);

/* A connection may be begun: 0, and it counts until imap_server_leave(); else milliseconds until it
 * is worth asking again. */
uint64_t imap_server_enter(struct imap_server *s, uint64_t now_ms);
void imap_server_leave(struct imap_server *s);
/* Commands that may be begun, and are taken: up to IMAP_COMMANDS_STEP; UINT64_MAX: any number. */
uint64_t imap_server_commands(struct imap_server *s, uint64_t now_ms);
uint64_t imap_server_commands_ms(struct imap_server *s, uint64_t now_ms); /* until there are */
/* Octets that may be moved; UINT64_MAX: any number, 0: not now. */
uint64_t imap_server_room(struct imap_server *s, uint64_t now_ms);
void imap_server_moved(struct imap_server *s, uint64_t octets);
uint64_t imap_server_room_ms(struct imap_server *s, uint64_t now_ms); /* until there is */

#endif
