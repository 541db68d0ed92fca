/* SPDX-License-Identifier: ISC */
/* overlay: the map as it would be behind an import, for whoever looks keys up. */
#ifndef MAPS_TOOL_OVERLAY_H
#define MAPS_TOOL_OVERLAY_H

#include "maps/route.h"
#include "maps/store/import_rules.h"
#include "maps/tool/arrivals.h"
#include "maps/tool/tool.h"

struct overlay {
    struct tool *tool;
    struct route_view below; /* the map as it is */
    struct import_rules rules;
    struct arrivals keys;
    json_t **rows; /* by index in keys */
    size_t cap;
    struct buf targets; /* of the last look-up */
};

void overlay_init(struct overlay *o, struct tool *tool);
void overlay_fini(struct overlay *o);
/* A file as `import` reads it without options. */
int overlay_read(struct overlay *o, const char *path, struct err *err) ATTR_WUR;
/* What it gives is good until the next look-up. */
struct route_view overlay_view(struct overlay *o, struct route_view below);

#endif
