/* SPDX-License-Identifier: ISC */
/* folder_rules: see folder_rules.h. */
#include "imapsync/plan/folder_rules.h"

#include <stdlib.h>
#include <sysexits.h>

#include "base/core/mem.h"
#include "imapsync/plan/folders.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"

/* By which places of the pattern can be reached: however many stars there are, each octet of the
 * name is looked at once for each of them. */
bool folder_pattern_matches(struct slice pattern, struct slice name, int delimiter)
{
    bool *at = mem_zalloc(pattern.n + 1);
    at[0] = true;
    for (size_t i = 0; i <= name.n; i++) {
        /* A wildcard stands for nothing, too. */
        for (size_t k = 0; k < pattern.n; k++)
            at[k + 1] = at[k + 1] || (at[k] && (pattern.p[k] == '*' || pattern.p[k] == '%'));
        if (i == name.n)
            break;
        for (size_t k = pattern.n + 1; k-- > 0;) {
            const bool is_one = k > 0 && at[k - 1] && pattern.p[k - 1] == name.p[i] &&
                                pattern.p[k - 1] != '*' && pattern.p[k - 1] != '%';
            const bool is_wild =
                k < pattern.n && at[k] &&
                (pattern.p[k] == '*' || (pattern.p[k] == '%' && name.p[i] != delimiter));
            at[k] = is_one || is_wild;
        }
    }
    bool is = at[pattern.n];
    free(at);
    return is;
}

struct folder_words folder_words(const char *const *v)
{
    size_t n = 0;
    while (v[n])
        n++;
    return (struct folder_words){v, n};
}

/* --- What was said ---------------------------------------------------------------------------- */

static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    }
    return s.n > 0 && s.n <= FOLDER_NAME_MAX && imap_utf8_valid(s);
}

static bool split(const char *text, struct slice *old_out, struct slice *new_out)
{
    *new_out = slice_str(text);
    return slice_split(new_out, '=', old_out) && is_name(*old_out) && is_name(*new_out);
}

static int check_map(const struct folder_words *map, size_t i, struct err *err)
{
    struct slice old, new, a, b;
    if (!split(map->v[i], &old, &new))
        return err_set(err, ERR_PERM, EX_USAGE, "%s: a folder's other name is OLD=NEW", map->v[i]);
    if (folder_is_inbox(old) || folder_is_inbox(new))
        return err_set(err, ERR_PERM, EX_USAGE, "%s: INBOX is INBOX on both sides", map->v[i]);
    for (size_t k = 0; k < i; k++) {
        if (split(map->v[k], &a, &b) && (slice_eq(a, old) || slice_eq(b, new)))
            return err_set(
                err, ERR_PERM, EX_USAGE, "%s and %s name one folder", map->v[k], map->v[i]);
    }
    return 0;
}

static int check_patterns(const struct folder_words *w, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        if (!is_name(slice_str(w->v[i])))
            return err_set(err, ERR_PERM, EX_USAGE, "\"%s\" is no pattern of folders", w->v[i]);
    }
    return 0;
}

int folder_rules_check(const struct folder_rules *r, struct err *err)
{
    for (size_t i = 0; i < r->map.n; i++) {
        if (check_map(&r->map, i, err) != 0)
            return -1;
    }
    return check_patterns(&r->include, err) != 0 ? -1 : check_patterns(&r->exclude, err);
}

/* --- What it means ---------------------------------------------------------------------------- */

static bool has_match(const struct folder_words *w, struct slice name, int delimiter)
{
    for (size_t i = 0; i < w->n; i++) {
        struct slice pattern = slice_str(w->v[i]);
        if (folder_same_name(pattern, name) || folder_pattern_matches(pattern, name, delimiter))
            return true;
    }
    return false;
}

enum folder_choice folder_rules_choose(const struct folder_rules *rules, const struct folder *f)
{
    const bool has_no_mail = (f->attrs & FOLDER_NO_MAIL) != 0;
    if (!rules || (rules->include.n == 0 && rules->exclude.n == 0))
        return has_no_mail ? FOLDER_HAS_NO_MAIL : FOLDER_TAKEN;
    struct buf text;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    folder_text(f->name, &text);
    struct slice name = folder_plain_name(buf_slice(&text));
    const bool is_included = has_match(&rules->include, name, f->delimiter);
    const bool is_excluded = has_match(&rules->exclude, name, f->delimiter);
    buf_fini(&text);
    if (is_excluded || (!is_included && rules->include.n > 0))
        return FOLDER_RULED_OUT;
    return has_no_mail && !is_included ? FOLDER_HAS_NO_MAIL : FOLDER_TAKEN;
}

bool folder_rules_take(const struct folder_rules *rules, const struct folder *f)
{
    return folder_rules_choose(rules, f) == FOLDER_TAKEN;
}

bool folder_rules_name(const struct folder_rules *rules, const struct folder *f,
    const struct folder_list *target, struct buf *out)
{
    struct slice old, new;
    struct buf text, wire;
    bool is_said = false;
    if (!rules || rules->map.n == 0)
        return false;
    buf_init(&text, 4 * FOLDER_NAME_MAX);
    buf_init(&wire, 4 * FOLDER_NAME_MAX);
    folder_text(f->name, &text);
    for (size_t i = 0; !is_said && i < rules->map.n; i++)
        is_said = split(rules->map.v[i], &old, &new) && slice_eq(old, buf_slice(&text));
    if (is_said) {
        BUG_ON(imap_utf7_encode(new, &wire) != 0);
        if (!slice_starts(buf_slice(&wire), target->personal))
            BUG_ON(buf_add(out, target->personal) != 0);
        BUG_ON(buf_add(out, buf_slice(&wire)) != 0);
    }
    buf_fini(&text);
    buf_fini(&wire);
    return is_said;
}
