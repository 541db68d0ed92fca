/* SPDX-License-Identifier: ISC */
/* key_hash: the hash of keys and the checksum of bytes in shared memory. */
#ifndef MAPS_KEY_HASH_H
#define MAPS_KEY_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t key_hash_bytes(const void *bytes, size_t size, uint64_t seed);

#endif
