/* SPDX-License-Identifier: ISC */
/* mem_bdb: what a kill and the end of a history do to the journals in memory. */
#ifndef TESTS_SIM_MEM_BDB_H
#define TESTS_SIM_MEM_BDB_H

/* What was not committed is gone; all environments count as closed. */
void mem_bdb_crash(void);
void mem_bdb_forget(void);

#endif
