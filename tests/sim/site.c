/* SPDX-License-Identifier: ISC */
/* site: see site.h. */
#include "tests/sim/site.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/core/err.h"

static char base[64], dir[80];

const char *site_dir(void)
{
    if (base[0])
        return dir;
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    BUG_ON(fmt_into(base, sizeof(base), "%s/coexist-sim.XXXXXX", root) != 0 || !mkdtemp(base));
    BUG_ON(fmt_into(dir, sizeof(dir), "%s/j", base) != 0);
    return dir;
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *e;
    char file[512];
    if (!d)
        return;
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            fmt_into(file, sizeof(file), "%s/%s", path, e->d_name) != 0)
            continue;
        if (e->d_type == DT_DIR)
            remove_tree(file);
        else
            (void)unlink(file);
    }
    (void)closedir(d);
    (void)rmdir(path);
}

void site_lose(const char *path)
{
    remove_tree(path);
}

void site_lose_marks(void)
{
    char path[128];
    BUG_ON(fmt_into(path, sizeof(path), "%s/marks", base) != 0);
    remove_tree(path);
}

void site_remove(void)
{
    if (base[0])
        remove_tree(base);
    base[0] = '\0';
}
