/* SPDX-License-Identifier: ISC */
/* site: the folder of the journal of one history, in memory (tmpfs) where there is some. */
#ifndef TESTS_SIM_SITE_H
#define TESTS_SIM_SITE_H

const char *site_dir(void);
/* The folder is gone. */
void site_lose(const char *dir);
/* What marks_store.h keeps beside the journal. */
void site_lose_marks(void);
/* At the end of the process. */
void site_remove(void);

#endif
