/* SPDX-License-Identifier: ISC */
/* boot: which start of the machine this is; shared memory files of an earlier one are void. */
#ifndef MAPS_BOOT_H
#define MAPS_BOOT_H

#include "base/core/attr.h"
#include "base/core/err.h"

#define BOOT_ID_SIZE 40

/* 36 characters and NULs up to the end. */
int boot_id(char out[BOOT_ID_SIZE], struct err *err) ATTR_WUR;

#endif
