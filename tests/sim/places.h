/* SPDX-License-Identifier: ISC */
/*
 * places: under which names on the target the mail of each folder of the source may be: its own
 * name, and what users of either side, or the engine, have made of it.  A set of names has bit i
 * for model_folder_name(i).
 */
#ifndef TESTS_SIM_PLACES_H
#define TESTS_SIM_PLACES_H

#include "tests/sim/model.h"

struct places {
    uint16_t of[MODEL_FOLDERS]; /* by name on the source: names on the target */
};

void places_init(struct places *p);
void places_renamed(struct places *p, bool on_target, uint8_t from, uint8_t to);
/* For mail that has been in these folders of the source. */
uint16_t places_of_all(const struct places *p, uint16_t source);
/* Names on the target for the same folders as this one, itself among them. */
uint16_t places_alike(const struct places *p, uint8_t on_target);
/* Names on the source that this one may stand for. */
uint16_t places_back(const struct places *p, uint8_t on_target);

#endif
