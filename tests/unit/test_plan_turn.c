/* SPDX-License-Identifier: ISC */
/* The roles of source and target are exchanged: what stands alone on one side is found again by its
 * content, and what nobody can tell stays.  How to read the rows: plan_table.h. */
#include "tests/unit/plan_table.h"

static const struct plan_row rows[] = {
    {"a folder of new was replaced: its messages are the same", "reverse",
        "A: g=11#a^ g=12#b^ | 5#a 6#b |", "renumber A g=11..12 > A 5..6 digest"},
    {"its content is read", "reverse", "A: g=11#a^/9 | 5%a/9 |",
        "ask A 5; renumber A g=11 > A 5 digest"},
    {"new has added a header line to it", "reverse", "A: g=11#a^/9 | 5%a'/12 |",
        "ask A 5; renumber A g=11 > A 5 digest"},
    {"and has one of the same octets too", "reverse", "A: g=11#a^ | 5#a' 6#a |",
        "renumber A g=11 > A 6 digest; copy A 5 late"},
    {"another header is another message where the user has removed his", "reverse",
        "A: g=11#a | 5#a' |", "copy A 5 late; trash A g=11 lost"},
    {"its size is wrong, and it would be there twice", "reverse", "A: g=11#a^/9 | 5%a/8 |",
        "ask A 5; renumber A g=11 > A 5 digest"},
    {"moved there by a wrong size it is no second one", "reverse", "A: g=11#a/9 | |\nB: | 5%a/8 |",
        "copy B 5 late; trash A g=11 lost"},
    {"k equal stay k", "reverse", "A: g=11#a^ g=12#a^ | 5..7#a |",
        "renumber A g=11..12 > A 5..6 digest; copy A 7 late"},
    {"one that its user removed is joined last", "reverse", "A: g=11#a g=12#a^ | 5#a |",
        "renumber A g=12 > A 5 digest; trash A g=11 lost"},
    {"moved on new behind the flip", "reverse", "A: g=11#a | |\nB: | 5#a |",
        "move A g=11 > B 5 digest"},
    {"renamed on new, which a sweep has noted", "reverse", "A lost: g=11#a^ | |\nB: | 5#a |",
        "move A g=11 > B 5 digest"},
    {"its flags come with it", "reverse", "A: g=11#a^:S | 5#a:SF |",
        "renumber A g=11 > A 5 digest; flags A 5=11 +F flags"},
    {"removed on new", "reverse", "A: g=11#a | |", "trash A g=11 lost"},
    {"never on new, or nobody knows: it stays", "reverse", "A: g=11#a^ | |", ""},
    {"away from old too", "reverse", "A: g=11#a^ | | -11", "forget A g=11 both-lost"},
    {"away from old too, and new has it", "reverse", "A: g=11#a^ | 5#a | -11",
        "forget A g=11 both-lost; copy A 5 late"},
    {"one that is away from both takes nothing from one that is there", "reverse",
        "A: g=11#a^ g=12#a^ | 5#a | -11", "renumber A g=12 > A 5 digest; forget A g=11 both-lost"},
    {"moved on new, and old cannot move", "reverse nomove", "A: g=11#a^ | |\nB: | 5#a |",
        "copy B 5 late; (trash A g=11 lost): cannot"},
    {"moved on old by another device: it goes where new has it", "reverse",
        "A: 5=g#a | 5 |\nB: g=11#a^ | |", "move B g=11 > A 5 digest"},
    {"lost by old, and restored there", "reverse", "A: 5=g#a | 5 | 12#a",
        "renumber A 5 > =12 digest"},
    {"lost by old, and its size is wrong there", "reverse", "A: 5=g#a/9 | 5 | 12%a/8",
        "ask target A 12; renumber A 5 > =12 digest"},
    {"lost by old while its user was on new", "reverse fresh", "A: 5=11#a | 5 | -11",
        "copy A 5 again"},
    {"lost by old since", "reverse", "A: 5=11#a | 5 | -11", "away A 5=11 target-lost"},
    {"lost by old, and new, which is not sure, has it", "reverse", "A: 5=11#a | 5 ? | 12#a -11",
        "renumber A 5=11 > =12 digest; unsure 1"},
    {"lost by old, and nobody knows whether new has it", "reverse", "A: 5=11#a | ? | 12#a -11",
        "unsure 1"},
    {"alone in Trash, and nowhere else", "reverse", "T trash: g=11#a | |",
        "forget T g=11 in-trash"},
    {"alone in a Trash that new does not have", "reverse", "T trash lost: g=11#a | |",
        "forget T g=11 in-trash"},
    {"alone in Trash, and new has it in Trash", "reverse", "T trash: g=11#a | 5#a |",
        "renumber T g=11 > T 5 digest"},
    {"alone in Trash, and new has it elsewhere", "reverse", "T trash: g=11#a | |\nB: | 5#a |",
        "move T g=11 > B 5 digest"},
    {"there again: removed on old", "mirror fresh", "A: g=11#a | |", "remove A g=11 lost"},
    {"there again: never on old", "mirror fresh", "A: g=11#a^ | |", ""},
};

static void test_rows(void **state)
{
    (void)state;
    table_run(rows, COUNT_OF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
