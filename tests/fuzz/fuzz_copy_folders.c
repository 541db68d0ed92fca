/* SPDX-License-Identifier: ISC */
/*
 * Folder names of a hostile source, one a line, mapped to a target that has some of them, or like
 * them: no two become one, each is well formed, none has more levels than the target's prefix and
 * what it had, INBOX stays INBOX, the same input gives the same names, and so do the names when
 * they are kept.  The first three bytes choose delimiters, prefixes and what the target has.
 * Between lines the rules about names hold: who is the same is a twin, and twins go both ways.
 */
#include <stdint.h>
#include <stdlib.h>
#include "imapsync/plan/folders.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/utf7.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int delimiter_of(uint8_t b)
{
    static const int all[] = {'/', '.', '\\', '^', -1};
    return all[b % 5];
}

static size_t count(struct slice s, int byte)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == byte;
    return n;
}

static bool is_well_formed(struct slice name)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    bool is = imap_utf7_decode(name, &text) == 0 && name.n > 0;
    buf_fini(&text);
    return is;
}

static void check(const struct folder *f, struct slice name, const struct folder_list *target)
{
    if (!is_well_formed(name) || name.n > 5 * FOLDER_NAME_MAX)
        abort();
    size_t most = f->delimiter < 0 ? 0 : count(f->name, f->delimiter);
    if (target->n == 0 && target->delimiter >= 0 && count(name, target->delimiter) > most + 1)
        abort();
    if (folder_is_inbox(f->name) != slice_eq(name, SLICE_LIT("INBOX")))
        abort();
}

static void check_fallbacks(
    const struct folder *f, struct slice name, const struct folder_list *target)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    for (unsigned step = 0; step < FOLDER_FALLBACKS; step++) {
        buf_clear(&text);
        folder_fallback(f, name, target, "salt", step, &text);
        check(f, folder_is_inbox(f->name) ? name : buf_slice(&text), target);
    }
    buf_fini(&text);
}

static void check_pair(struct slice a, struct slice b)
{
    bool is_same = folder_same_name(a, b), is_twin = folder_is_twin(a, b);
    if (is_same != folder_same_name(b, a) || is_twin != folder_is_twin(b, a) ||
        is_same != slice_eq(folder_plain_name(a), folder_plain_name(b)) || (is_same && !is_twin) ||
        (is_same && folder_name_hash(a) != folder_name_hash(b)))
        abort();
}

static void check_map(const struct folder_mapping *in)
{
    struct folder_map map, again;
    folder_map_make(in, &map);
    for (size_t i = 0; i < map.n; i++) {
        check(&in->source->v[i], map.names[i], in->target);
        check_fallbacks(&in->source->v[i], map.names[i], in->target);
        check_pair(map.names[i], in->source->v[i].name);
        for (size_t k = 0; k < i; k++) {
            if (folder_same_name(map.names[i], map.names[k]))
                abort();
        }
    }
    struct folder_mapping kept = *in;
    for (unsigned round = 0; round < 2; round++) {
        kept.kept = round == 0 ? NULL : map.names;
        folder_map_make(&kept, &again);
        for (size_t i = 0; i < map.n; i++) {
            if (!slice_eq(map.names[i], again.names[i]))
                abort();
        }
        folder_map_fini(&again);
    }
    folder_map_fini(&map);
}

static void set_prefix(struct folder_list *l, const char *text)
{
    l->personal = slice_make(slice_dup(slice_str(text)), strlen(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const prefixes[] = {"", "INBOX.", "INBOX/", "Mail/"};
    struct folder_list source, target;
    struct err err = ERR_INIT;
    if (size < 3 || size > 20000)
        return 0;
    folder_list_init(&source);
    folder_list_init(&target);
    source.delimiter = delimiter_of(data[0]);
    target.delimiter = delimiter_of(data[1]);
    set_prefix(&source, prefixes[data[0] >> 6]);
    set_prefix(&target, prefixes[data[1] >> 6]);
    struct slice rest = slice_make(data + 3, size - 3), line;
    for (size_t i = 0; slice_split(&rest, '\n', &line); i++) {
        /* A special use for some, by where they stand. */
        enum folder_use use = (enum folder_use)(i % 7 > FOLDER_USE_TRASH ? 0 : i % 7);
        struct folder_list *l = data[2] >> i % 8 & 1 ? &target : &source;
        /* What the target lists may be met as it is. */
        if (l == &target && !is_well_formed(line))
            continue;
        if (folder_list_add(l, line, l->delimiter, 0, data[2] & 1 ? use : 0, &err) != 0)
            abort();
    }
    check_map(&(struct folder_mapping){.source = &source, .target = &target, .salt = "salt"});
    folder_list_fini(&source);
    folder_list_fini(&target);
    return 0;
}
