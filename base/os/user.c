/* SPDX-License-Identifier: ISC */
/* user: see user.h. */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include "base/core/buf.h"
#include "base/core/mem.h"
#include "base/core/num.h"
#include "base/os/user.h"

#define GROUPS_MAX 65536 /* NGROUPS_MAX of Linux */

/* What getpwnam(3) and getgrnam(3) may leave in errno for a name that they know not to be there. */
static bool is_absent(int errnum)
{
    return errnum == 0 || errnum == ENOENT || errnum == ESRCH || errnum == EBADF || errnum == EPERM;
}

static int parse_id(struct slice text, uint32_t *out)
{
    uint64_t v;

    /* (uid_t)-1 means "leave it" to the kernel. */
    if (num_u64(text, 0, UINT32_MAX - 1, &v) != 0)
        return -1;
    *out = (uint32_t)v;
    return 0;
}

void user_add_group(struct user *u, gid_t gid)
{
    for (size_t i = 0; i < u->n_groups; i++)
        if (u->groups[i] == gid)
            return;
    u->groups = mem_realloc_array(u->groups, u->n_groups + 1, sizeof(*u->groups));
    u->groups[u->n_groups++] = gid;
}

void user_fini(struct user *u)
{
    free(u->groups);
    *u = (struct user){0};
}

static int from_passwd(const struct passwd *pw, struct user *out, struct err *err)
{
    int n = 64;
    gid_t *groups = NULL;

    for (;;) {
        int room = n;

        groups = mem_realloc_array(groups, (size_t)n, sizeof(*groups));
        if (getgrouplist(pw->pw_name, pw->pw_gid, groups, &n) >= 0)
            break;
        if (n <= room || n > GROUPS_MAX) {
            free(groups);
            return err_set(
                err, ERR_TEMP, EX_OSERR, "the groups of user %s cannot be had", pw->pw_name);
        }
    }
    *out = (struct user){
        .uid = pw->pw_uid, .gid = pw->pw_gid, .groups = groups, .n_groups = (size_t)n};
    user_add_group(out, pw->pw_gid);
    return 0;
}

int user_find(const char *text, struct user *out, struct err *err)
{
    struct slice rest = slice_str(text), uid_text = SLICE_NONE;
    const struct passwd *pw;
    uint32_t uid = 0, gid = 0;

    (void)slice_split(&rest, ':', &uid_text);
    bool has_group = rest.p != NULL, is_number = parse_id(uid_text, &uid) == 0;
    errno = 0;
    pw = has_group ? NULL : is_number ? getpwuid(uid) : getpwnam(text);
    if (pw != NULL)
        return from_passwd(pw, out, err);
    if (!has_group && !is_absent(errno))
        return err_sys(err, errno, "look up user %s", text);
    if (!is_number || (has_group && parse_id(rest, &gid) != 0))
        return err_set(err, ERR_PERM, EX_NOUSER, "there is no user %s on this host", text);
    *out = (struct user){.uid = uid, .gid = has_group ? gid : uid};
    user_add_group(out, out->gid);
    return 0;
}

int user_find_group(const char *text, gid_t *out, struct err *err)
{
    const struct group *group;

    if (parse_id(slice_str(text), out) == 0)
        return 0;
    errno = 0;
    group = getgrnam(text);
    if (group == NULL && !is_absent(errno))
        return err_sys(err, errno, "look up group %s", text);
    if (group == NULL)
        return err_set(err, ERR_PERM, EX_NOUSER, "there is no group %s on this host", text);
    *out = group->gr_gid;
    return 0;
}

void user_name(uid_t uid, char out[USER_NAME_MAX])
{
    const struct passwd *pw = getpwuid(uid);

    if (pw == NULL || fmt_into(out, USER_NAME_MAX, "%s", pw->pw_name) != 0)
        BUG_ON(fmt_into(out, USER_NAME_MAX, "uid%lu", (unsigned long)uid) != 0);
}
