/* SPDX-License-Identifier: ISC */
/* site: the folder of the journal of one history, in memory (tmpfs) where there is some. */
#ifndef TESTS_SIM_SITE_H
#define TESTS_SIM_SITE_H

const char *site_dir(void);
/* After a kill: back to what was durable. */
void site_crash(const char *dir);
/* The folder is gone. */
void site_lose(const char *dir);
/* The history is over. */
void site_forget(void);
/* At the end of the process. */
void site_remove(void);

#endif
