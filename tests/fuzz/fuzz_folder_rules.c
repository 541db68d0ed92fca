/* SPDX-License-Identifier: ISC */
/*
 * What an administrator says of folders beside any folders that there are.  Lines by their first
 * octet: "=" OLD=NEW, "+" and "-" patterns, "t" a folder of the target, anything else one of the
 * source.  Each pattern matches what a plain matcher says; what is left out has no name; no two
 * folders get one name, whatever was said; the same names come when they are kept.
 *
 * fuzz-sources: imapsync/plan/folder_rules.c
 */
#include <stdint.h>
#include <stdlib.h>
#include "base/core/mem.h"
#include "imapsync/plan/folders.h"
#include "imapsync/ends/utf7.h"

#define WORDS_MAX 20
#define PLAIN_MAX 14 /* octets of a pattern or name that the plain matcher can do */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct words {
    char *v[WORDS_MAX + 1];
    size_t n;
};

static void must(bool is)
{
    if (!is)
        abort();
}

static void add_word(struct words *w, struct slice text)
{
    if (w->n < WORDS_MAX && slice_find(text, '\0') < 0)
        w->v[w->n++] = slice_dup(text);
}

static struct folder_words words_of(const struct words *w)
{
    return (struct folder_words){(const char *const *)w->v, w->n};
}

static void words_fini(struct words *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->v[i]);
}

static bool matches(struct slice pattern, struct slice name, int delimiter)
{
    if (pattern.n == 0)
        return name.n == 0;
    struct slice rest = slice_from(pattern, 1);
    const unsigned char c = pattern.p[0];
    if (c != '*' && c != '%')
        return name.n > 0 && name.p[0] == c && matches(rest, slice_from(name, 1), delimiter);
    return matches(rest, name, delimiter) || (name.n > 0 && (c == '*' || name.p[0] != delimiter) &&
                                                 matches(pattern, slice_from(name, 1), delimiter));
}

static void check_patterns(const struct words *w, const struct folder_list *l)
{
    for (size_t i = 0; i < w->n; i++) {
        struct slice pattern = slice_str(w->v[i]);
        for (size_t k = 0; k < l->n; k++) {
            struct slice name = l->v[k].name;
            bool is = folder_pattern_matches(pattern, name, l->delimiter);
            if (pattern.n <= PLAIN_MAX && name.n <= PLAIN_MAX)
                must(is == matches(pattern, name, l->delimiter));
        }
    }
}

static void check_map(const struct folder_mapping *in)
{
    struct folder_map map, again;
    struct buf text;
    buf_init(&text, 1u << 20);
    folder_map_make(in, &map);
    for (size_t i = 0; i < map.n; i++) {
        const struct folder *f = &in->source->v[i];
        must((map.names[i].p == NULL) == !folder_is_mapped(in->source, f, in->rules));
        if (!map.names[i].p)
            continue;
        buf_clear(&text);
        must(map.names[i].n > 0 && imap_utf7_decode(map.names[i], &text) == 0);
        must(folder_is_inbox(f->name) == folder_is_inbox(map.names[i]));
        for (size_t k = 0; k < i; k++)
            must(!map.names[k].p || !folder_same_name(map.names[i], map.names[k]));
    }
    struct folder_mapping kept = *in;
    kept.kept = map.names;
    folder_map_make(&kept, &again);
    for (size_t i = 0; i < map.n; i++)
        must(slice_eq(map.names[i], again.names[i]));
    folder_map_fini(&again);
    folder_map_fini(&map);
    buf_fini(&text);
}

static void add_folder(struct folder_list *l, struct slice name)
{
    struct err err = ERR_INIT;
    must(folder_list_add(l, name, l->delimiter, 0, FOLDER_USE_NONE, &err) == 0);
}

static bool is_well_formed(struct slice name)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    bool is = name.n > 0 && imap_utf7_decode(name, &text) == 0;
    buf_fini(&text);
    return is;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const prefixes[] = {"", "INBOX.", "INBOX/", "Mail/"};
    static const int delimiters[] = {'/', '.', '\\', -1};
    struct folder_list source, target;
    struct words map = {.n = 0}, include = {.n = 0}, exclude = {.n = 0};
    struct err err = ERR_INIT;
    if (size < 2 || size > 4000)
        return 0;
    folder_list_init(&source);
    folder_list_init(&target);
    source.delimiter = delimiters[data[0] % 4];
    target.delimiter = delimiters[data[0] / 4 % 4];
    const char *prefix = prefixes[data[0] >> 6];
    target.personal = slice_make(slice_dup(slice_str(prefix)), strlen(prefix));
    struct slice rest = slice_make(data + 1, size - 1), line;
    while (slice_split(&rest, '\n', &line)) {
        struct slice word = slice_from(line, line.n > 0);
        const int what = line.n > 0 ? line.p[0] : 0;
        if (what == '=')
            add_word(&map, word);
        else if (what == '+')
            add_word(&include, word);
        else if (what == '-')
            add_word(&exclude, word);
        else if (what != 't')
            add_folder(&source, line);
        else if (is_well_formed(word)) /* what the target lists may be met as it is */
            add_folder(&target, word);
    }
    check_patterns(&include, &source);
    check_patterns(&exclude, &source);
    const struct folder_rules rules = {
        .map = words_of(&map), .include = words_of(&include), .exclude = words_of(&exclude)};
    if (folder_rules_check(&rules, &err) == 0)
        check_map(&(struct folder_mapping){
            .source = &source, .target = &target, .salt = "salt", .rules = &rules});
    words_fini(&map);
    words_fini(&include);
    words_fini(&exclude);
    folder_list_fini(&source);
    folder_list_fini(&target);
    return 0;
}
