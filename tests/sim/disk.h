/* SPDX-License-Identifier: ISC */
/*
 * disk: what a kill and the end of a history do to the journals: in memory (mem_bdb.c, the program
 * sim) or with Berkeley DB (real_bdb.c, the program sim_bdb).
 */
#ifndef TESTS_SIM_DISK_H
#define TESTS_SIM_DISK_H

/* Now: what comes later does not count. */
void disk_kill(const char *dir);
/* The engine has unwound, and all environments are closed. */
void disk_crash(const char *dir);
/* The history is over. */
void disk_forget(void);

#endif
