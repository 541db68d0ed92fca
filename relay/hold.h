/* SPDX-License-Identifier: ISC */
/*
 * hold: the room for RCPTs that wait for the end of a hold, one per worker.  It only counts, so
 * that one user's hold cannot use up all sessions; the sessions wait by themselves.
 */
#ifndef RELAY_HOLD_H
#define RELAY_HOLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HOLD_POLL_MS 25 /* how often a waiting session looks at the snapshot */

struct hold_room;

struct hold_room *hold_room_new(size_t waits_max, size_t waits_per_user_max);
void hold_room_free(struct hold_room **room);
/* A place for this user (hash of the key), to be left once; false when there is none. */
bool hold_room_enter(struct hold_room *room, uint64_t user);
void hold_room_leave(struct hold_room *room, uint64_t user);

#endif
