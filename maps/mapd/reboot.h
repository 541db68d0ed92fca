/* SPDX-License-Identifier: ISC */
/*
 * reboot: claims lie in shared memory and end with it, so after the machine was started anew, or
 * the run directory was removed, a barrier cannot know what was about to be delivered before.
 */
#ifndef MAPS_MAPD_REBOOT_H
#define MAPS_MAPD_REBOOT_H

#include "base/core/attr.h"
#include "base/core/err.h"
#include "maps/store/store.h"

/* What this host knows of itself, beside the map in STATE/map and not in it: a copy of the map on
 * another host has nothing to do with it. */
#define REBOOT_FILE "host.boot"

/* boot: this start of the machine, maps/boot.h.  When the map was last served under another one, or
 * from another RUN/claims, leaves the mark in RUN/claims that makes scans ambiguous
 * (claims_note_reboot), then remembers this one.  In that order: a crash between the two leaves the
 * mark twice, never not at all. To be called before the first barrier can be asked for. */
int reboot_note(struct store *s, const char *state_dir, const char *run_dir, const char *boot,
    struct err *err) ATTR_WUR;

#endif
