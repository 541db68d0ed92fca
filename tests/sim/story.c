/* SPDX-License-Identifier: ISC */
/*
 * story: a history as text, for people and to be kept in tests/sim/stories: what the generator once
 * found is run again by every `make unit`, whatever the generator makes of its seed today.
 *
 *     seed 4711, settle 2000 ms
 *     source: [no UIDPLUS] [no tokens]
 *     target: plain
 *       at 3: deliver (9323082, 1372503)
 *
 * Lines that begin with # say what it is about.
 */
#include <stdlib.h>
#include <string.h>

#include "base/core/buf.h"
#include "base/core/err.h"
#include "base/core/num.h"
#include "base/core/slice.h"
#include "tests/sim/history.h"
#include "tests/sim/model.h"

static const char *const acts[ACTS] = {"deliver", "deliver again", "flag", "delete", "move", "copy",
    "make", "rename", "renumber", "drop", "target add", "target flag", "target delete",
    "target move", "target renumber", "target drop", "target rename", "cut source", "cut target",
    "kill", "kill before a commit", "kill behind a commit", "lose the journal", "flip", "back",
    "restore", "target restore"};

static const char *const purposes[PURPOSES] = {"move", "archive", "backfill"};
static const char *const tears[TEARS] = {"nothing", "a page", "a commit", "the log"};

const char *act_name(enum act a)
{
    return acts[a];
}

static const char *const quirks[QUIRKS] = {"no UIDPLUS", "no MULTIAPPEND", "no CONDSTORE",
    "no tokens", "unsolicited data", "sizes are estimates", "no keywords", "refuses contents",
    "short listings", "tells wrong UIDs", "stores and says NO", "says OK and loses",
    "alters octets", "stores late", "APPENDLIMIT", "no IDs", "no MOVE",
    "no UIDVALIDITY before it is opened", "keeps equal messages once"};

static void print_quirks(FILE *out, const char *name, uint32_t bits)
{
    (void)fprintf(out, "%s:", name);
    for (unsigned i = 0; i < QUIRKS; i++) {
        if (bits & 1u << i)
            (void)fprintf(out, " [%s]", quirks[i]);
    }
    (void)fprintf(out, bits ? "\n" : " plain\n");
}

void history_print(const struct history *h, FILE *out)
{
    (void)fprintf(out, "seed %llu, %u actions, settle %u ms\n", (unsigned long long)h->seed, h->n,
        h->settle_ms);
    if (h->purpose != PURPOSE_MOVE)
        (void)fprintf(out, "purpose: %s\n", purposes[h->purpose]);
    if (h->portion > 0)
        (void)fprintf(out, "portion: %u\n", h->portion);
    if (h->connections > 0)
        (void)fprintf(out, "connections: %u\n", h->connections);
    if (h->has_open)
        (void)fprintf(out, "open: with what the generator leaves out\n");
    if (h->tear != TEAR_NONE)
        (void)fprintf(out, "torn: %s\n", tears[h->tear]);
    print_quirks(out, "source", h->quirks[0]);
    print_quirks(out, "target", h->quirks[1]);
    for (uint32_t i = 0; i < h->n; i++)
        (void)fprintf(out, "  at %u: %s (%u, %u)\n", h->v[i].tick, act_name(h->v[i].what),
            h->v[i].a, h->v[i].b);
}

/* --- Reading ------------------------------------------------------------------------------- */

static bool read_quirks(const char *line, uint32_t *out)
{
    char name[64];
    for (unsigned i = 0; i < QUIRKS; i++) {
        BUG_ON(fmt_into(name, sizeof(name), "[%s]", quirks[i]) != 0);
        *out |= strstr(line, name) ? 1u << i : 0;
    }
    return *out != 0 || strstr(line, "plain");
}

static bool take(struct slice *rest, struct slice text)
{
    if (!slice_starts(*rest, text))
        return false;
    *rest = slice_from(*rest, text.n);
    return true;
}

static bool take_number(struct slice *rest, uint64_t max, uint64_t *out)
{
    size_t n = 0;
    while (n < rest->n && ascii_is_digit(rest->p[n]))
        n++;
    if (num_u64(slice_sub(*rest, 0, n), 0, max, out) != 0)
        return false;
    *rest = slice_from(*rest, n);
    return true;
}

static bool read_action(struct slice rest, struct history *h)
{
    uint64_t tick, a, b;
    unsigned what = 0;
    if (h->n == ACTIONS_MAX || !take(&rest, SLICE_LIT("  at ")) ||
        !take_number(&rest, UINT32_MAX, &tick) || !take(&rest, SLICE_LIT(": ")))
        return false;
    ptrdiff_t n = slice_search(rest, SLICE_LIT(" ("));
    while (n > 0 && what < ACTS && !slice_eq(slice_sub(rest, 0, (size_t)n), slice_str(acts[what])))
        what++;
    if (n <= 0 || what == ACTS)
        return false;
    rest = slice_from(rest, (size_t)n + 2);
    if (!take_number(&rest, UINT32_MAX, &a) || !take(&rest, SLICE_LIT(", ")) ||
        !take_number(&rest, UINT32_MAX, &b))
        return false;
    h->v[h->n++] = (struct action){(uint32_t)tick, (enum act)what, (uint32_t)a, (uint32_t)b};
    return true;
}

static bool read_seed(struct slice rest, struct history *h)
{
    uint64_t actions, settle_ms;
    if (!take_number(&rest, UINT64_MAX, &h->seed) || !take(&rest, SLICE_LIT(", ")) ||
        !take_number(&rest, ACTIONS_MAX, &actions) ||
        !take(&rest, SLICE_LIT(" actions, settle ")) || !take_number(&rest, UINT32_MAX, &settle_ms))
        return false;
    h->settle_ms = (uint32_t)settle_ms;
    return true;
}

static bool read_number(struct slice rest, uint32_t *out)
{
    uint64_t n;
    if (!take_number(&rest, ACTIONS_MAX, &n))
        return false;
    *out = (uint32_t)n;
    return true;
}

/* Which of the names it is; n: none. */
static unsigned word(struct slice rest, const char *const *names, unsigned n)
{
    unsigned i = 0;
    while (rest.n > 0 && rest.p[rest.n - 1] == '\n')
        rest.n--;
    while (i < n && !slice_eq(slice_trim(rest), slice_str(names[i])))
        i++;
    return i;
}

static bool read_line(const char *line, struct history *h)
{
    struct slice rest = slice_str(line);
    if (line[0] == '#' || line[0] == '\0')
        return true;
    if (take(&rest, SLICE_LIT("seed ")))
        return read_seed(rest, h);
    if (take(&rest, SLICE_LIT("purpose:")))
        return (h->purpose = (enum purpose)word(rest, purposes, PURPOSES)) < PURPOSES;
    if (take(&rest, SLICE_LIT("portion: ")))
        return read_number(rest, &h->portion);
    if (take(&rest, SLICE_LIT("connections: ")))
        return read_number(rest, &h->connections);
    if (take(&rest, SLICE_LIT("open:")))
        return h->has_open = true;
    if (take(&rest, SLICE_LIT("torn:")))
        return (h->tear = (enum tear)word(rest, tears, TEARS)) < TEARS;
    if (take(&rest, SLICE_LIT("source:")))
        return read_quirks(line, &h->quirks[0]);
    if (take(&rest, SLICE_LIT("target:")))
        return read_quirks(line, &h->quirks[1]);
    return read_action(rest, h);
}

bool history_read(const char *path, struct history *out)
{
    char line[256];
    bool is_good = true;
    FILE *f = fopen(path, "r");
    *out = (struct history){0};
    while (f && is_good && fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        is_good = read_line(line, out);
    }
    if (f)
        (void)fclose(f);
    if (f && !is_good)
        (void)fprintf(stderr, "%s: not a story: %s\n", path, line);
    return f && is_good && out->n > 0;
}
