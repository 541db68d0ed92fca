/* SPDX-License-Identifier: ISC */
/*
 * bdb_disk: what Berkeley DB does to its files passes through here (internal to bdb.c).
 *
 * The library answers a commit with success when its log could not be written, if that was the
 * first write of a new log file: it compares places in two files (__log_flush_commit).  And the
 * close of a private environment writes every page, also one whose log record is not on the disk;
 * the next recovery then takes the log for torn.  So writes that fail are remembered for the thread
 * that asked for them, and an environment that has failed is closed without any.
 */
#ifndef BASE_OS_BDB_DISK_H
#define BASE_OS_BDB_DISK_H

#include <stdbool.h>

/* Gives the library our functions, once; contain: a sync that fails is an error from now on, and
 * not the end of the process. */
void bdb_disk_init(bool contain);
/* Of this thread.  The errno of a write that failed since the watch began, or 0. */
void bdb_disk_watch(void);
int bdb_disk_failed(void);
/* Between the two calls this thread writes nothing: EROFS. */
void bdb_disk_forbid(void);
void bdb_disk_allow(void);
bool bdb_disk_is_forbidden(void);

#endif
