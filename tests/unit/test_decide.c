/* SPDX-License-Identifier: ISC */
#include <inttypes.h>
#include <stdlib.h>
#include "base/mail/address.h"
#include "maps/route.h"
#include "tests/unit/unit.h"

#define NOW 1800000000
#define DAY 86400
#define GRACE (5 * DAY)

enum { OLD, NEW, ARCHIVE, OUTSIDE = CONF_SERVER_NONE };

static struct conf_server servers[] = {
    {.name = (char *)"old", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.1.5", 25}},
    {.name = (char *)"new", .smtp = {NET_SCHEME_SMTP, (char *)"10.1.2.5", 25}},
    {.name = (char *)"archive", .imap = {NET_SCHEME_IMAPS, (char *)"10.1.3.5", 993}},
};
static struct conf_domain domains[] = {
    {.name = (char *)"example.org", .default_server = OUTSIDE, .fold_local_part = true},
    {.name = (char *)"chain.example",
        .model = CONF_MODEL_CHAINING,
        .default_server = OUTSIDE,
        .fold_local_part = true},
    {.name = (char *)"default.example",
        .model = CONF_MODEL_CHAINING,
        .default_server = NEW,
        .postmaster_server = NEW,
        .fold_local_part = true},
    {.name = (char *)"held.example", .default_server = NEW, .fold_local_part = true},
    {.name = (char *)"entry.example", .default_server = OUTSIDE, .fold_local_part = true},
    {.name = (char *)"as.example", .default_server = OUTSIDE, .fold_local_part = true},
    {.name = (char *)"archive-entry.example", .default_server = OUTSIDE, .fold_local_part = true},
    {.name = (char *)"empty.example", .default_server = NEW, .fold_local_part = true},
    {.name = (char *)"xn--exmple-cua.org", .default_server = OLD, .fold_local_part = true},
    {.name = (char *)"archive.example",
        .default_server = ARCHIVE,
        .postmaster_server = ARCHIVE,
        .fold_local_part = true},
    {.name = (char *)"keep.example", .default_server = NEW},
    {.name = (char *)"minus.example",
        .default_server = OUTSIDE,
        .fold_local_part = true,
        .delimiter = (char *)"-_"},
    {.name = (char *)"whole.example",
        .default_server = OUTSIDE,
        .fold_local_part = true,
        .delimiter = (char *)"none"},
    {.name = (char *)"shut.example", .default_server = NEW, .fold_local_part = true},
    {.name = (char *)"blind.example", .default_server = NEW, .fold_local_part = true},
    {.name = (char *)"moved.example",
        .model = CONF_MODEL_CHAINING,
        .default_server = NEW,
        .fold_local_part = true},
    {.name = (char *)"none.example",
        .default_server = OUTSIDE,
        .postmaster_server = OUTSIDE,
        .fold_local_part = true},
};
static const struct conf conf = {
    .domains = domains,
    .n_domains = COUNT_OF(domains),
    .servers = servers,
    .n_servers = COUNT_OF(servers),
    .mapd = {.direction_grace_ms = (uint64_t)GRACE * 1000},
};

/* --- A map in a table ------------------------------------------------------------- */

enum { F_REJECT = 1, F_HELD = 2, F_DELETED = 4, F_UNKNOWN = 8 };

static const struct {
    const char *key;
    unsigned flags;
    uint64_t epoch;
    const char *route, *deliver_as;
    int64_t age_s; /* -1: when is not known */
} map[] = {
    {"alice@example.org", 0, 7, "old", "", 9 * DAY},
    {"bob@example.org", 0, 8, "new", "", 9 * DAY},
    {"bob+list@example.org", 0, 9, "old", "", 9 * DAY},
    {"held@example.org", F_HELD, 10, "old", "", 0},
    {"heldreject@example.org", F_HELD | F_REJECT, 10, "", "", 0},
    {"heldlost@example.org", F_HELD, 10, "mars", "", 0},
    {"gone@example.org", F_DELETED, 11, "", "", DAY},
    {"gone+x@example.org", F_DELETED, 12, "", "", DAY},
    {"no@example.org", F_REJECT, 13, "", "", DAY},
    {"lost@example.org", 0, 14, "mars", "", DAY},
    {"unsure@example.org", F_UNKNOWN, 0, "", "", 0},
    {"u%x@example.org", 0, 15, "old", "", DAY},
    {"bob+u%x@example.org", 0, 15, "old", "", DAY},
    {"u%y@example.org", 0, 15, "new", "@new.example.org", DAY},
    {"per@example.org", 0, 15, "new", "p%er@new.example.org", DAY},
    {"pos@example.org", 0, 15, "new", "\"p@os\"@new.example.org", DAY},
    {"archive@example.org", 0, 14, "archive", "", DAY},
    {"heldarchive@example.org", F_HELD, 14, "archive", "", DAY},
    {"Case%X@keep.example", 0, 15, "old", "", DAY},
    {"@archive-entry.example", 0, 60, "archive", "", DAY},
    {"sel@example.org", 0, 16, "new", "Sel@new.example.org", DAY},
    {"dom@example.org", 0, 17, "new", "@new.example.org", DAY},
    {"quo@example.org", 0, 18, "new", "\"q o\"@new.example.org", DAY},
    {"badas@example.org", 0, 19, "new", "not an address", DAY},
    {"utfas@example.org", 0, 19, "new", "a@ex\xc3\xa4mple.org", DAY},
    {"abuse@example.org", F_REJECT, 20, "", "", DAY},
    {"noroute@example.org", 0, 21, "", "", DAY},

    {"alice@chain.example", 0, 30, "old", "", GRACE + 1},
    {"edge@chain.example", 0, 31, "old", "", GRACE},
    {"fresh@chain.example", 0, 32, "old", "", GRACE - 1},
    {"future@chain.example", 0, 33, "old", "", -DAY},
    {"nowhen@chain.example", 0, 34, "old", "", -1},
    {"held@chain.example", F_HELD, 35, "old", "", 9 * DAY},
    {"postmaster@chain.example", 0, 36, "old", "", 9 * DAY},

    {"gone@default.example", F_DELETED, 40, "", "", DAY},
    {"longgone@default.example", F_DELETED, 41, "", "", 9 * DAY},
    {"postmaster@default.example", 0, 42, "old", "", 9 * DAY},

    {"@held.example", F_HELD, 50, "", "", 0},
    {"alice@held.example", 0, 51, "old", "", DAY},
    {"no@held.example", F_REJECT, 52, "", "", DAY},

    {"@entry.example", 0, 60, "new", "", DAY},
    {"alice@entry.example", 0, 61, "old", "", DAY},
    {"gone@entry.example", F_DELETED, 62, "", "", DAY},
    {"no@entry.example", F_REJECT, 63, "", "", DAY},

    {"@as.example", 0, 70, "new", "@new.as.example", DAY},
    {"@empty.example", 0, 80, "", "", DAY},
    {"@none.example", F_REJECT, 90, "", "", DAY},
    {"@shut.example", F_REJECT, 91, "", "", DAY},
    {"@blind.example", F_UNKNOWN, 0, "", "", 0},
    {"held@blind.example", F_HELD, 92, "old", "", 0},
    {"@moved.example", 0, 93, "old", "", GRACE - 1},
    {"bob+as@example.org", 0, 94, "old", "b@new.example.org", DAY},
    {"ann@minus.example", 0, 96, "new", "ann@new.example.org", DAY},
    {"ann@whole.example", 0, 97, "old", "", DAY},
    {"imceaex-_o=e_cn=ann+20b@minus.example", 0, 98, "old", "", DAY},
    {"imceaex-_o=e@example.org", 0, 99, "old", "", DAY},
    {"abuse@keep.example", F_HELD | F_REJECT, 95, "old", "", 0},
};

static enum route_answer map_get(
    void *arg, struct slice key, struct route_store *store, struct route_entry *e)
{
    bool is_all_unknown = arg != NULL;
    (void)store;
    *e = (struct route_entry){0};
    for (size_t i = 0; i < COUNT_OF(map); i++) {
        if (!slice_eq(key, slice_str(map[i].key)))
            continue;
        if (map[i].flags & F_UNKNOWN)
            return ROUTE_UNKNOWN;
        e->kind = map[i].flags & F_REJECT ? ROUTE_KIND_REJECT : ROUTE_KIND_MAILBOX;
        e->state = map[i].flags & F_HELD ? ROUTE_STATE_HELD : ROUTE_STATE_ACTIVE;
        e->is_tombstone = map[i].flags & F_DELETED;
        e->epoch = map[i].epoch;
        e->route = slice_str(map[i].route);
        e->deliver_as = slice_str(map[i].deliver_as);
        e->when_s = map[i].age_s == -1 ? 0 : NOW - map[i].age_s;
        if (is_all_unknown)
            return ROUTE_UNKNOWN;
        return e->is_tombstone ? ROUTE_NOT_FOUND : ROUTE_FOUND;
    }
    return is_all_unknown ? ROUTE_UNKNOWN : ROUTE_NOT_FOUND;
}

/* --- The table of decisions ---------------------------------------------------------- */

#define DELIVER DECIDE_DELIVER
#define HOLD DECIDE_HOLD
#define REJECT DECIDE_REJECT
#define DEFER DECIDE_DEFER
#define NOT_OURS DECIDE_NOT_OURS

static const struct {
    const char *name, *rcpt;
    int from;
    enum decision_kind kind;
    int server;
    uint64_t epoch;
    const char *reply; /* the address for DELIVER, else code and enhanced code */
    const char *keys;  /* consulted, separated by blanks; NULL: not looked at */
} rows[] = {
    {"exact", "alice@example.org", OUTSIDE, DELIVER, OLD, 7, "alice@example.org",
        "alice@example.org @example.org"},
    {"as received", "Alice@EXAMPLE.org", OUTSIDE, DELIVER, OLD, 7, "Alice@EXAMPLE.org", NULL},
    {"quotes as received", "\"alice\"@example.org", OUTSIDE, DELIVER, OLD, 7,
        "\"alice\"@example.org", "alice@example.org @example.org"},
    {"without detail", "Alice+Box@example.org", OUTSIDE, DELIVER, OLD, 7, "Alice+Box@example.org",
        "alice+box@example.org alice@example.org @example.org"},
    {"exact detail first", "bob+list@example.org", OUTSIDE, DELIVER, OLD, 9, "bob+list@example.org",
        "bob+list@example.org @example.org"},
    {"other detail", "bob+x@example.org", OUTSIDE, DELIVER, NEW, 8, "bob+x@example.org",
        "bob+x@example.org bob@example.org @example.org"},
    {"deleted detail falls back to the base", "gone+x@example.org", OUTSIDE, REJECT, -1, 0,
        "550 5.1.1", "gone+x@example.org gone@example.org @example.org"},
    {"unknown", "nobody@example.org", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        "nobody@example.org @example.org"},
    {"unknown with detail", "nobody+x@example.org", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        "nobody+x@example.org nobody@example.org @example.org"},
    {"deleted", "gone@example.org", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        "gone@example.org @example.org"},
    {"reject entry", "no@example.org", OUTSIDE, REJECT, -1, 0, "550 5.1.1", NULL},
    {"unknown, from a server", "nobody@example.org", OLD, REJECT, -1, 0, "550 5.1.1", NULL},
    {"held", "held@example.org", OUTSIDE, HOLD, OLD, 10, "450 4.2.1", NULL},
    {"held with detail", "held+x@example.org", OUTSIDE, HOLD, OLD, 10, "450 4.2.1", NULL},
    {"held reject", "heldreject@example.org", OUTSIDE, HOLD, -1, 10, "450 4.2.1", NULL},
    {"held on a server that is gone", "heldlost@example.org", OUTSIDE, HOLD, -1, 10, "450 4.2.1",
        NULL},
    {"server not configured", "lost@example.org", OUTSIDE, DEFER, -1, 14, "451 4.3.5", NULL},
    {"no server at all", "noroute@example.org", OUTSIDE, DEFER, -1, 21, "451 4.3.5", NULL},
    {"state unknown", "unsure@example.org", OUTSIDE, DEFER, -1, 0, "451 4.3.0", NULL},
    {"state of the base unknown", "unsure+x@example.org", OUTSIDE, DEFER, -1, 0, "451 4.3.0", NULL},
    {"percent with an entry", "u%x@example.org", OUTSIDE, DELIVER, OLD, 15, "u%x@example.org",
        NULL},
    {"percent without one", "v%x@example.org", OUTSIDE, REJECT, -1, 0, "550 5.1.1", NULL},
    {"percent and a default", "v%x@default.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1", NULL},
    {"bang and a default", "x!v@default.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1", NULL},
    {"quoted at sign and a default", "\"v@x\"@default.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        NULL},
    {"percent and a domain entry", "v%x@entry.example", OUTSIDE, REJECT, -1, 60, "550 5.1.1", NULL},
    {"percent in a detail", "alice+a%b@example.org", OUTSIDE, REJECT, -1, 7, "550 5.1.1",
        "alice+a%b@example.org alice@example.org @example.org"},
    {"bang in a detail", "alice+a!b@example.org", OUTSIDE, REJECT, -1, 7, "550 5.1.1", NULL},
    {"quoted at sign in a detail", "\"alice+a@b\"@example.org", OUTSIDE, REJECT, -1, 7, "550 5.1.1",
        NULL},
    {"quoted percent in a detail", "\"alice+\\%b\"@example.org", OUTSIDE, REJECT, -1, 7,
        "550 5.1.1", NULL},
    {"percent in a detail with an entry", "Bob+U%X@example.org", OUTSIDE, DELIVER, OLD, 15,
        "Bob+U%X@example.org", NULL},
    {"detail behind a percent", "u%x+d@example.org", OUTSIDE, REJECT, -1, 15, "550 5.1.1", NULL},
    {"quoted percent with an entry", "\"u\\%x\"@example.org", OUTSIDE, DELIVER, OLD, 15,
        "\"u\\%x\"@example.org", NULL},
    {"percent with an entry, another case where case counts", "case%x@keep.example", OUTSIDE,
        REJECT, -1, 0, "550 5.1.1", NULL},
    {"percent with an entry where case counts", "Case%X@keep.example", OUTSIDE, DELIVER, OLD, 15,
        "Case%X@keep.example", NULL},
    {"percent in the detail of a postmaster", "postmaster+a%b@example.org", OUTSIDE, REJECT, -1, 0,
        "550 5.1.1", NULL},
    {"percent in the detail of a postmaster with an entry", "postmaster+a%b@default.example",
        OUTSIDE, REJECT, -1, 42, "550 5.1.1", NULL},
    {"percent in the detail of an abuse with a reject entry", "abuse+a%b@example.org", OUTSIDE,
        REJECT, -1, 0, "550 5.1.1", NULL},
    {"percent in a detail for deliver_as", "sel+a%b@example.org", OUTSIDE, REJECT, -1, 16,
        "550 5.1.1", NULL},
    {"percent in a detail for deliver_as with a domain", "dom+a!b@example.org", OUTSIDE, REJECT, -1,
        17, "550 5.1.1", NULL},
    {"percent and deliver_as with a domain", "u%y@example.org", OUTSIDE, DELIVER, NEW, 15,
        "u%y@new.example.org", NULL},
    {"percent and deliver_as of a domain entry", "a%b@as.example", OUTSIDE, REJECT, -1, 70,
        "550 5.1.1", NULL},
    {"deliver_as with a percent", "per@example.org", OUTSIDE, DELIVER, NEW, 15,
        "p%er@new.example.org", NULL},
    {"deliver_as with a percent and a detail", "per+x@example.org", OUTSIDE, REJECT, -1, 15,
        "550 5.1.1", NULL},
    {"deliver_as with an at sign", "pos@example.org", OUTSIDE, DELIVER, NEW, 15,
        "\"p@os\"@new.example.org", NULL},
    {"deliver_as with an at sign and a detail", "pos+x@example.org", OUTSIDE, REJECT, -1, 15,
        "550 5.1.1", NULL},
    {"server without smtp", "archive@example.org", OUTSIDE, DEFER, -1, 14, "451 4.3.5", NULL},
    {"server without smtp, with detail", "archive+x@example.org", OUTSIDE, DEFER, -1, 14,
        "451 4.3.5", NULL},
    {"server without smtp, held", "heldarchive@example.org", OUTSIDE, HOLD, ARCHIVE, 14,
        "450 4.2.1", NULL},
    {"server without smtp by the domain entry", "any@archive-entry.example", OUTSIDE, DEFER, -1, 60,
        "451 4.3.5", NULL},
    {"server without smtp by default", "any@archive.example", OUTSIDE, DEFER, -1, 0, "451 4.3.5",
        NULL},
    {"server without smtp for the postmaster", "abuse@archive.example", OUTSIDE, DEFER, -1, 0,
        "451 4.3.5", NULL},
    {"deliver_as", "SEL@example.org", OUTSIDE, DELIVER, NEW, 16, "Sel@new.example.org", NULL},
    {"deliver_as keeps the detail", "sel+Box@example.org", OUTSIDE, DELIVER, NEW, 16,
        "Sel+Box@new.example.org", NULL},
    {"deliver_as quotes the detail", "\"sel+a b\"@example.org", OUTSIDE, DELIVER, NEW, 16,
        "\"Sel+a b\"@new.example.org", NULL},
    {"deliver_as with a domain", "Dom+X@example.org", OUTSIDE, DELIVER, NEW, 17,
        "Dom+X@new.example.org", NULL},
    {"deliver_as quoted", "quo@example.org", OUTSIDE, DELIVER, NEW, 18, "\"q o\"@new.example.org",
        NULL},
    {"deliver_as quoted with detail", "quo+d@example.org", OUTSIDE, DELIVER, NEW, 18,
        "\"q o+d\"@new.example.org", NULL},
    {"deliver_as broken", "badas@example.org", OUTSIDE, DEFER, NEW, 19, "451 4.3.5", NULL},
    {"deliver_as not in A-labels", "utfas@example.org", OUTSIDE, DEFER, NEW, 19, "451 4.3.5", NULL},
    {"deliver_as of a domain entry", "Any@as.example", OUTSIDE, DELIVER, NEW, 70,
        "Any@new.as.example", NULL},

    {"the domain's own delimiter", "Ann_Box-x@minus.example", OUTSIDE, DELIVER, NEW, 96,
        "ann_Box-x@new.example.org", "ann_box-x@minus.example ann@minus.example @minus.example"},
    {"another domain's delimiter", "ann+box@minus.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        "ann+box@minus.example @minus.example"},
    {"no delimiter at all", "ann+box@whole.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        "ann+box@whole.example @whole.example"},
    {"name of Exchange", "IMCEAEX-_O=E+2FCN=ANN+20B@minus.example", OUTSIDE, DELIVER, OLD, 98,
        "IMCEAEX-_O=E+2FCN=ANN+20B@minus.example",
        "imceaex-_o=e_cn=ann+20b@minus.example @minus.example"},
    {"no detail in a name of Exchange", "IMCEAEX-_o=e+20x@example.org", OUTSIDE, REJECT, -1, 0,
        "550 5.1.1", "imceaex-_o=e+20x@example.org @example.org"},

    {"domain entry", "any@entry.example", OUTSIDE, DELIVER, NEW, 60, "any@entry.example",
        "any@entry.example @entry.example"},
    {"domain entry with detail", "any+x@entry.example", OUTSIDE, DELIVER, NEW, 60,
        "any+x@entry.example", "any+x@entry.example any@entry.example @entry.example"},
    {"exact before the domain entry", "alice@entry.example", OUTSIDE, DELIVER, OLD, 61,
        "alice@entry.example", "alice@entry.example @entry.example"},
    {"deleted before a domain entry", "gone@entry.example", OUTSIDE, DELIVER, NEW, 60,
        "gone@entry.example", NULL},
    {"reject before the domain entry", "no@entry.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1",
        NULL},
    {"deliver_as of an exact entry with detail", "bob+as@example.org", OUTSIDE, DELIVER, OLD, 94,
        "b@new.example.org", NULL},
    {"held, the domain is unknown", "held@blind.example", OUTSIDE, DEFER, -1, 0, "451 4.3.0", NULL},
    {"held reject entry of a role", "abuse@keep.example", OUTSIDE, HOLD, OLD, 95, "450 4.2.1",
        NULL},
    {"domain entry rejects before the default", "any@shut.example", OUTSIDE, REJECT, -1, 0,
        "550 5.1.1", NULL},
    {"domain entry rejects", "any@none.example", OUTSIDE, REJECT, -1, 0, "550 5.1.1", NULL},
    {"domain entry without a route", "any@empty.example", OUTSIDE, DELIVER, NEW, 0,
        "any@empty.example", NULL},
    {"configured default", "any@default.example", OUTSIDE, DELIVER, NEW, 0, "any@default.example",
        "any@default.example @default.example"},
    {"domain held", "any@held.example", OUTSIDE, HOLD, -1, 0, "450 4.2.1", NULL},
    {"domain held, user has an entry", "alice@held.example", OUTSIDE, HOLD, OLD, 51, "450 4.2.1",
        "alice@held.example @held.example"},
    {"domain held, reject entry", "no@held.example", OUTSIDE, HOLD, -1, 52, "450 4.2.1", NULL},
    {"domain held, postmaster", "postmaster@held.example", OUTSIDE, HOLD, -1, 0, "450 4.2.1", NULL},
    {"domain held, percent", "v%x@held.example", OUTSIDE, HOLD, -1, 0, "450 4.2.1", NULL},

    {"postmaster without entry", "Postmaster@example.org", OUTSIDE, DELIVER, OLD, 0,
        "Postmaster@example.org", "postmaster@example.org @example.org"},
    {"bare postmaster", "PostMaster", OUTSIDE, DELIVER, OLD, 0, "postmaster@example.org", NULL},
    {"abuse with a reject entry", "abuse@example.org", OUTSIDE, DELIVER, OLD, 0,
        "abuse@example.org", NULL},
    {"postmaster with detail", "postmaster+x@example.org", OUTSIDE, DELIVER, OLD, 0,
        "postmaster+x@example.org", "postmaster+x@example.org postmaster@example.org @example.org"},
    {"postmaster with an entry", "postmaster@default.example", OUTSIDE, DELIVER, OLD, 42,
        "postmaster@default.example", NULL},
    {"abuse at its server", "abuse@default.example", OUTSIDE, DELIVER, NEW, 0,
        "abuse@default.example", NULL},
    {"postmaster passes a rejecting domain entry", "abuse@none.example", OUTSIDE, DEFER, -1, 0,
        "451 4.3.5", NULL},
    {"postmaster before the domain entry", "abuse@entry.example", OUTSIDE, DELIVER, OLD, 0,
        "abuse@entry.example", NULL},

    {"central, from its server", "alice@example.org", OLD, DELIVER, OLD, 7, "alice@example.org",
        NULL},
    {"central, from the other", "alice@example.org", NEW, DELIVER, OLD, 7, "alice@example.org",
        NULL},
    {"chaining, from outside", "alice@chain.example", OUTSIDE, DELIVER, OLD, 30,
        "alice@chain.example", NULL},
    {"chaining, from the other", "alice@chain.example", NEW, DELIVER, OLD, 30,
        "alice@chain.example", NULL},
    {"chaining, from its server", "alice@chain.example", OLD, REJECT, OLD, 30, "550 5.1.1", NULL},
    {"chaining, changed exactly grace ago", "edge@chain.example", OLD, REJECT, OLD, 31, "550 5.1.1",
        NULL},
    {"chaining, changed within grace", "fresh@chain.example", OLD, DEFER, OLD, 32, "451 4.4.6",
        NULL},
    {"chaining, changed in the future", "future@chain.example", OLD, DEFER, OLD, 33, "451 4.4.6",
        NULL},
    {"chaining, change not dated", "nowhen@chain.example", OLD, DEFER, OLD, 34, "451 4.4.6", NULL},
    {"chaining, held first", "held@chain.example", OLD, HOLD, OLD, 35, "450 4.2.1", NULL},
    {"chaining, postmaster", "postmaster@chain.example", OLD, DEFER, OLD, 36, "451 4.4.6", NULL},
    {"chaining, default", "any@default.example", NEW, REJECT, NEW, 0, "550 5.1.1", NULL},
    {"chaining, domain entry changed within grace", "any@moved.example", OLD, DEFER, OLD, 93,
        "451 4.4.6", NULL},
    {"chaining, default, just deleted", "gone@default.example", NEW, DEFER, NEW, 0, "451 4.4.6",
        NULL},
    {"chaining, default, deleted long ago", "longgone@default.example", NEW, REJECT, NEW, 0,
        "550 5.1.1", NULL},

    {"utf-8 domain goes out as A-labels", "Any@ex\xc3\xa4mple.org", OUTSIDE, DELIVER, OLD, 0,
        "Any@xn--exmple-cua.org", "any@xn--exmple-cua.org @xn--exmple-cua.org"},
    {"utf-8 local part stays", "\xc3\x9c@default.example", OUTSIDE, DELIVER, NEW, 0,
        "\xc3\x9c@default.example", NULL},
    {"other domain", "alice@other.example", OUTSIDE, NOT_OURS, -1, 0, "550 5.7.1", ""},
    {"suffix of a domain of ours", "alice@evilexample.org", OUTSIDE, NOT_OURS, -1, 0, "550 5.7.1",
        ""},
    {"ours is a prefix", "alice@example.org.evil", OUTSIDE, NOT_OURS, -1, 0, "550 5.7.1", ""},
    {"sub-domain", "alice@sub.example.org", OUTSIDE, NOT_OURS, -1, 0, "550 5.7.1", ""},
    {"foreign behind quotes", "\"u@example.org\"@evil.example", OUTSIDE, NOT_OURS, -1, 0,
        "550 5.7.1", ""},
    {"literal", "alice@[10.1.1.1]", OUTSIDE, NOT_OURS, -1, 0, "550 5.7.1", ""},
    {"trailing dot", "alice@example.org.", OUTSIDE, NOT_OURS, -1, 0, "501 5.1.3", ""},
    {"two at signs", "alice@example.org@evil.example", OUTSIDE, NOT_OURS, -1, 0, "501 5.1.3", ""},
    {"domain key", "@entry.example", OUTSIDE, NOT_OURS, -1, 0, "501 5.1.3", ""},
    {"nothing", "", OUTSIDE, NOT_OURS, -1, 0, "501 5.1.3", ""},
    {"line end", "alice@example.org\n", OUTSIDE, NOT_OURS, -1, 0, "501 5.1.3", ""},
};

static struct arena *mem;

static int make_mem(void **state)
{
    (void)state;
    mem = arena_new((size_t)1 << 30);
    return 0;
}

static int free_mem(void **state)
{
    (void)state;
    arena_free(&mem);
    return 0;
}

static void judge(const char *rcpt, int from, void *arg, struct decision *out, struct buf *steps)
{
    struct route_view view = {.get = map_get, .arg = arg};
    struct decide_request req = {
        .rcpt = slice_str(rcpt), .source_server = from, .now_s = NOW, .hops = 3};
    decide(&conf, &view, &req, mem, out, steps);
}

static uint64_t epoch_of(struct slice key)
{
    for (size_t i = 0; i < COUNT_OF(map); i++)
        if (slice_eq(key, slice_str(map[i].key)))
            return map[i].epoch;
    return 0;
}

static void check_row(size_t i, const struct decision *d)
{
    const char *name = rows[i].name;
    if (d->kind != rows[i].kind)
        fail_msg("row '%s': %s %d %s", name, decision_kind_name(d->kind), d->code, d->text);
    assert_row(name, decision_server(d) == rows[i].server);
    if (decision_epoch(d) != rows[i].epoch)
        fail_msg("row '%s': epoch %" PRIu64, name, decision_epoch(d));
    if (d->kind == DECIDE_DELIVER) {
        assert_int_equal(d->n_deliveries, 1);
        assert_string_equal(d->deliveries[0].address, rows[i].reply);
        assert_row(name, d->code == 0);
    } else {
        char reply[32];
        assert_int_equal(fmt_into(reply, sizeof reply, "%d %s", d->code, d->enhanced), 0);
        assert_string_equal(reply, rows[i].reply);
        assert_row(
            name, d->text[0] && (d->n_deliveries == 0 || d->deliveries[0].address[0] == '\0'));
        assert_row(name, d->enhanced[0] - '0' == d->code / 100);
    }
    for (const char *c = d->text; *c; c++)
        assert_row(name, ascii_is_print((unsigned char)*c));
    if (!rows[i].keys)
        return;
    struct slice rest = slice_str(rows[i].keys), key;
    size_t n = 0;
    while (rest.n > 0 && slice_split(&rest, ' ', &key)) {
        assert_row(name, n < d->n_keys);
        assert_row(name, slice_eq(key, decision_key(d, n)));
        assert_row(name, d->keys[n].hash == route_key_hash(key));
        assert_row(name, d->keys[n].epoch == epoch_of(key));
        n++;
    }
    assert_row(name, d->n_keys == n);
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct decision with, without;
        struct buf steps;
        buf_init(&steps, 4096);
        judge(rows[i].rcpt, rows[i].from, NULL, &with, &steps);
        judge(rows[i].rcpt, rows[i].from, NULL, &without, NULL);
        check_row(i, &with);
        check_row(i, &without);
        assert_row(rows[i].name, steps.n > 0 && buf_slice(&steps).p[steps.n - 1] == '\n');
        for (size_t k = 0; k < steps.n; k++)
            assert_row(
                rows[i].name, buf_slice(&steps).p[k] >= ' ' || buf_slice(&steps).p[k] == '\n');
        buf_fini(&steps);
    }
}

/* Property: nothing is refused for good while the map's state is unknown or a hold lasts, whoever
 * sends and whatever the header says. */
static void test_never_5xx_in_doubt(void **state)
{
    static int all_unknown;
    struct decide_stamp stamps[4];
    for (size_t i = 0; i < COUNT_OF(stamps); i++)
        stamps[i] = (struct decide_stamp){SLICE_LIT("old"), 10, NOW - 1};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        for (int from = OUTSIDE; from <= NEW; from++) {
            for (int doubt = 0; doubt < 2; doubt++) {
                struct decision d;
                struct route_view view = {.get = map_get, .arg = doubt ? &all_unknown : NULL};
                struct decide_request req = {.rcpt = slice_str(rows[i].rcpt),
                    .source_server = from,
                    .now_s = NOW,
                    .stamps = stamps,
                    .n_stamps = COUNT_OF(stamps),
                    .hops = 1000,
                    .hops_max = 50};
                if (!doubt && rows[i].kind != HOLD && strcmp(rows[i].reply, "451 4.3.0") != 0)
                    continue;
                decide(&conf, &view, &req, mem, &d, NULL);
                if (d.kind == DECIDE_NOT_OURS)
                    continue;
                assert_row(rows[i].name, d.code / 100 == 4);
                assert_row(rows[i].name, !doubt || (d.kind == DECIDE_DEFER && d.code == 451));
            }
        }
    }
}

/* --- Stamps and hops -------------------------------------------------------------------- */

static void test_loops(void **state)
{
    static const struct decide_stamp a = {{(const unsigned char *)"old", 3}, 7, NOW - 10};
    static const struct decide_stamp older = {{(const unsigned char *)"old", 3}, 6, NOW - 10};
    static const struct decide_stamp other = {{(const unsigned char *)"new", 3}, 7, NOW - 20};
    static const struct decide_stamp third = {{(const unsigned char *)"third", 5}, 1, NOW - 30};
    const struct {
        const char *name;
        int from;
        struct decide_stamp stamps[4];
        size_t n, hops, hops_max;
        const char *text; /* NULL: delivered */
    } loops[] = {
        {"no stamp", OUTSIDE, {a}, 0, 50, 50, NULL},
        {"one stamp", OUTSIDE, {a}, 1, 50, 50, NULL},
        {"two stamps", OUTSIDE, {a, a}, 2, 50, 50, "Mail loop between old and a host outside"},
        {"two stamps, from the other server", NEW, {a, a}, 2, 0, 0,
            "Mail loop between old and new"},
        {"two stamps, and the other's", OUTSIDE, {third, a, other, a}, 4, 0, 0,
            "Mail loop between old and new"},
        {"another epoch", OUTSIDE, {a, older, older}, 3, 0, 0, NULL},
        {"another server", OUTSIDE, {a, other, other}, 3, 0, 0, NULL},
        {"hops at the limit less one", OUTSIDE, {a}, 0, 49, 50, NULL},
        {"hops at the limit", OUTSIDE, {a}, 0, 50, 50, NULL},
        {"hops beyond the limit", OUTSIDE, {a}, 0, 51, 50, "Too many hops"},
        {"hops not checked", OUTSIDE, {a}, 0, 5000, 0, NULL},
    };
    struct route_view view = {.get = map_get};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(loops); i++) {
        struct decision d;
        struct decide_request req = {.rcpt = SLICE_LIT("alice@example.org"),
            .source_server = loops[i].from,
            .now_s = NOW,
            .stamps = loops[i].stamps,
            .n_stamps = loops[i].n,
            .hops = loops[i].hops,
            .hops_max = loops[i].hops_max};
        decide(&conf, &view, &req, mem, &d, NULL);
        if (loops[i].text) {
            assert_row(loops[i].name, d.kind == DECIDE_REJECT && d.code == 554);
            assert_string_equal(d.enhanced, "5.4.6");
            assert_string_equal(d.text, loops[i].text);
        } else {
            assert_row(loops[i].name, d.kind == DECIDE_DELIVER);
        }
    }
}

static void test_steps(void **state)
{
    struct decision d;
    struct buf steps;
    (void)state;
    buf_init(&steps, 4096);
    judge("Sel+Box@example.org", OUTSIDE, NULL, &d, &steps);
    assert_string_equal(buf_cstr(&steps), "the key of Sel+Box@example.org is sel+box@example.org\n"
                                          "sel+box@example.org: no entry\n"
                                          "sel@example.org: mailbox on new, active, epoch 16\n"
                                          "sel@example.org: delivered as Sel@new.example.org\n"
                                          "@example.org: no entry\n"
                                          "deliver to new as Sel+Box@new.example.org\n");
    /* A buffer that is too small loses steps, never part of the decision. */
    for (size_t max = 0; max < 200; max++) {
        struct buf small;
        buf_init(&small, max);
        judge("Sel+Box@example.org", OUTSIDE, NULL, &d, &small);
        assert_string_equal(d.deliveries[0].address, "Sel+Box@new.example.org");
        assert_true(small.n == 0 || buf_slice(&small).p[small.n - 1] == '\n');
        buf_fini(&small);
    }
    buf_fini(&steps);
}

/* Property: a local part in which some server reads a foreign address is delivered only when the
 * map has an entry of exactly the recipient's key. */
static void check_not_foreign(const char *rcpt, const struct decision *d)
{
    unsigned char text[ADDRESS_LOCAL_MAX];
    struct address a;
    const char *address = d->deliveries[0].address;
    struct slice key = decision_key(d, 0);
    if (address_parse(slice_str(address), &a) != 0)
        fail_msg("%s: %s is no address", rcpt, address);
    struct slice local = slice_make(text, address_unquote(a.local, text));
    if (slice_find(local, '%') < 0 && slice_find(local, '!') < 0 && slice_find(local, '@') < 0)
        return;
    struct route_entry entry;
    if (map_get(NULL, key, NULL, &entry) != ROUTE_FOUND)
        fail_msg("%s is delivered as %s", rcpt, address);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

/* Any bytes as recipient: an answer, and an address that is one whenever mail is delivered. */
static void test_any_bytes(void **state)
{
    static const char alphabet[] = "aA+@\"\\. <>%!\r\n\xc3\xbc[1]-";
    static const char *const tails[] = {
        "", "@example.org", "@default.example", "@ex\xc3\xa4mple.org", "@as.example"};
    uint64_t seed = 42;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        char text[64];
        size_t n = 0;
        for (size_t k = next_random(&seed) % 8; k > 0; k--)
            text[n++] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        const char *tail = tails[next_random(&seed) % COUNT_OF(tails)];
        memcpy(text + n, tail, strlen(tail) + 1);
        struct decision d;
        arena_reset(mem);
        judge(text, OUTSIDE, NULL, &d, NULL);
        if (d.kind == DECIDE_DELIVER)
            check_not_foreign(text, &d);
        else
            assert_in_range(d.code, 400, 599);
    }
}

/* Spellings of users that the map has, with everything behind, before and between that a sender may
 * try: quoted or not, escaped or not, in any case. */
static void test_no_foreign_address(void **state)
{
    static const char *const heads[] = {"alice", "Bob", "sel", "dom", "quo", "per", "pos", "u%x",
        "u%y", "bob+u%x", "postmaster", "abuse", "no", "gone", "\xc3\xbc", "", "evil.test!", "x%y"};
    static const char *const pieces[] = {"+", "+x", "%evil.test", "!evil", "@evil.test", "\\%",
        "\\@", ".", "\xef\xbc\x85", " ", "\\\"", "a%", "B"};
    static const char *const domains_[] = {"example.org", "Example.ORG", "default.example",
        "as.example", "entry.example", "keep.example", "ex\xc3\xa4mple.org"};
    size_t n_delivered = 0, n_refused = 0;
    uint64_t seed = 7;
    (void)state;
    for (int i = 0; i < 60000; i++) {
        char text[160];
        const char *quote = next_random(&seed) % 2 ? "\"" : "", *parts[3];
        for (size_t k = 0; k < 3; k++)
            parts[k] = next_random(&seed) % 2 ? pieces[next_random(&seed) % COUNT_OF(pieces)] : "";
        assert_int_equal(fmt_into(text, sizeof text, "%s%s%s%s%s%s@%s", quote,
                             heads[next_random(&seed) % COUNT_OF(heads)], parts[0], parts[1],
                             parts[2], quote, domains_[next_random(&seed) % COUNT_OF(domains_)]),
            0);
        struct decision d;
        arena_reset(mem);
        judge(text, OUTSIDE, NULL, &d, NULL);
        n_delivered += d.kind == DECIDE_DELIVER;
        n_refused += d.kind == DECIDE_REJECT;
        if (d.kind == DECIDE_DELIVER)
            check_not_foreign(text, &d);
    }
    assert_true(n_delivered > 5000 && n_refused > 5000);
}

/* The user whom a hold keeps waiting is the same one whatever detail the sender makes up. */
static void test_user_of_a_hold(void **state)
{
    static const struct {
        const char *rcpt, *user;
    } users[] = {
        {"held@example.org", "held@example.org"},
        {"held+1@example.org", "held@example.org"},
        {"Held+2+3@Example.org", "held@example.org"},
        {"\"held+ 4\"@example.org", "held@example.org"},
        {"bob+list@example.org", "bob+list@example.org"},
        {"bob+x@example.org", "bob@example.org"},
        {"alice+1@held.example", "alice@held.example"},
        {"any+1@held.example", "any@held.example"},
        {"any+2@held.example", "any@held.example"},
        {"postmaster+1@held.example", "postmaster@held.example"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(users); i++) {
        struct decision d;
        judge(users[i].rcpt, OUTSIDE, NULL, &d, NULL);
        assert_string_equal(d.keys[d.user].text, users[i].user);
        assert_row(users[i].rcpt, d.keys[d.user].hash == route_key_hash(slice_str(users[i].user)));
    }
}

/* An arena that is full, from nothing on: a temporary answer, and nothing of a half decision. */
static void test_full_arena(void **state)
{
    size_t n_full = 0;
    (void)state;
    for (size_t max = 0; max <= DECIDE_MEM_MAX; max += 16) {
        struct arena *small = arena_new(max);
        struct route_view view = {.get = map_get};
        struct decide_request req = {
            .rcpt = SLICE_LIT("Sel+Box@example.org"), .source_server = OUTSIDE, .now_s = NOW};
        struct decision d;
        decide(&conf, &view, &req, small, &d, NULL);
        if (d.kind != DECIDE_DELIVER) {
            assert_true(d.kind == DECIDE_DEFER && d.code == 451 && d.text[0]);
            assert_true(d.n_keys == 0 && d.n_deliveries == 0);
            n_full++;
        } else {
            assert_string_equal(d.deliveries[0].address, "Sel+Box@new.example.org");
            assert_int_equal(d.n_keys, 3);
        }
        arena_free(&small);
    }
    assert_in_range(n_full, 5, 60);
}

/* A copy borrows nothing. */
static void test_copy(void **state)
{
    struct arena *other = arena_new(DECIDE_MEM_MAX), *tiny = arena_new(64);
    struct decision d, copy;
    (void)state;
    judge("Sel+Box@example.org", OUTSIDE, NULL, &d, NULL);
    assert_int_equal(d.deliveries[0].key, 1);
    assert_int_equal(decision_copy(&d, tiny, &copy), -1);
    assert_int_equal(decision_copy(&d, other, &copy), 0);
    free_mem(NULL);
    make_mem(NULL);
    assert_string_equal(copy.deliveries[0].address, "Sel+Box@new.example.org");
    assert_int_equal(copy.n_keys, 3);
    assert_string_equal(copy.keys[1].text, "sel@example.org");
    assert_string_equal(copy.text, "");
    arena_free(&other);
    arena_free(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_full_arena),
        cmocka_unit_test(test_copy),
        cmocka_unit_test(test_never_5xx_in_doubt),
        cmocka_unit_test(test_loops),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_any_bytes),
        cmocka_unit_test(test_no_foreign_address),
        cmocka_unit_test(test_user_of_a_hold),
    };
    return cmocka_run_group_tests(tests, make_mem, free_mem);
}
