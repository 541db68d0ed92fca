/* SPDX-License-Identifier: ISC */
/* places: see places.h. */
#include "tests/sim/places.h"

void places_init(struct places *p)
{
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        p->of[f] = (uint16_t)(1u << f);
}

static void renamed(struct places *p, bool on_target, uint8_t from, uint8_t to)
{
    if (!on_target) {
        p->of[to] |= p->of[from];
        return;
    }
    for (unsigned f = 0; f < MODEL_FOLDERS; f++) {
        if (p->of[f] & 1u << from)
            p->of[f] = (uint16_t)(p->of[f] | 1u << to);
    }
}

/* What is below it, or is made there later, goes by its parent's name. */
void places_renamed(struct places *p, bool on_target, uint8_t from, uint8_t to)
{
    uint8_t below = model_folder_below(from), there = model_folder_below(to);
    renamed(p, on_target, from, to);
    if (below < MODEL_FOLDERS && there < MODEL_FOLDERS)
        renamed(p, on_target, below, there);
}

uint16_t places_of_all(const struct places *p, uint16_t source)
{
    uint16_t names = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        names |= source & 1u << f ? p->of[f] : 0;
    return names;
}

uint16_t places_back(const struct places *p, uint8_t on_target)
{
    uint16_t names = 0;
    for (unsigned f = 0; f < MODEL_FOLDERS; f++)
        names = (uint16_t)(names | (p->of[f] & 1u << on_target ? 1u << f : 0));
    return names;
}

uint16_t places_alike(const struct places *p, uint8_t on_target)
{
    return (uint16_t)(places_of_all(p, places_back(p, on_target)) | 1u << on_target);
}
