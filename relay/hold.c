/* SPDX-License-Identifier: ISC */
/*
 * hold: see hold.h.  Holds last a second and few users are held at once, so a plain array of users
 * with their counts is looked through from the start.
 */
#include <stdlib.h>
#include "base/core/err.h"
#include "base/core/mem.h"
#include "relay/hold.h"

struct waits {
    uint64_t user;
    size_t n;
};

struct hold_room {
    size_t waits_max, per_user_max, n_waits;
    struct waits *users; /* in no order */
    size_t n_users, cap;
};

struct hold_room *hold_room_new(size_t waits_max, size_t waits_per_user_max)
{
    struct hold_room *room = mem_zalloc(sizeof(*room));

    room->waits_max = waits_max;
    room->per_user_max = waits_per_user_max;
    return room;
}

void hold_room_free(struct hold_room **room)
{
    if (*room != NULL)
        free((*room)->users);
    free(*room);
    *room = NULL;
}

/* An entry for the user; a new one has no waits. */
static struct waits *find(struct hold_room *room, uint64_t user)
{
    for (size_t i = 0; i < room->n_users; i++)
        if (room->users[i].user == user)
            return &room->users[i];
    if (room->n_users == room->cap) {
        room->cap = room->cap > 0 ? 2 * room->cap : 8;
        room->users = mem_realloc_array(room->users, room->cap, sizeof(*room->users));
    }
    room->users[room->n_users] = (struct waits){.user = user};
    return &room->users[room->n_users++];
}

bool hold_room_enter(struct hold_room *room, uint64_t user)
{
    struct waits *w;

    if (room->n_waits >= room->waits_max || room->per_user_max == 0)
        return false;
    w = find(room, user);
    if (w->n >= room->per_user_max)
        return false;
    w->n++;
    room->n_waits++;
    return true;
}

void hold_room_leave(struct hold_room *room, uint64_t user)
{
    struct waits *w = find(room, user);

    BUG_ON(w->n == 0);
    room->n_waits--;
    if (--w->n == 0)
        *w = room->users[--room->n_users];
}
