/* SPDX-License-Identifier: ISC */
/* Flags and keywords, three-way, under each policy.  How to read the rows: plan_table.h. */
#include "tests/unit/plan_table.h"

static const struct plan_row rows[] = {
    {"added on the source", "mirror", "A: 1=11 | 1:S |", "flags A 1=11 +S flags"},
    {"removed on the source", "mirror", "A: 1=11:S | 1 |", "flags A 1=11 -S flags"},
    {"both at once", "mirror", "A: 1=11:S | 1:F |", "flags A 1=11 +F-S flags"},
    {"a keyword", "mirror", "A: 1=11 | 1:a |", "flags A 1=11 +a flags"},
    {"a keyword for another", "mirror", "A: 1=11:a | 1:b |", "flags A 1=11 +b-a flags"},
    {"marked as deleted", "mirror", "A: 1=11 | 1:T |", "flags A 1=11 +T flags"},
    {"and not any more", "mirror", "A: 1=11:T | 1 |", "flags A 1=11 -T flags"},
    {"each flag", "mirror", "A: 1=11 | 1:RTDFSaz |", "flags A 1=11 +RTDFSaz flags"},
    {"equal changes stand together", "mirror", "A: 1..5=11 | 1:S 2:F 3:S 4:F 5:S |",
        "flags A 1=11 +S flags; flags A 3=13 +S flags; flags A 5=15 +S flags; flags A 2=12 +F "
        "flags; flags A 4=14 +F flags"},
    {"many at once", "mirror", "A: 1..300=1001 | 1..300:S |", "flags A 1..300=1001 +S flags"},
    {"no flags were told: as the journal says", "mirror", "A: 1=11:S | 1:- |", ""},
    {"changed on the target: its user's", "mirror", "A: 1=11 | | 11:S", "note A 1=11 ~ touched"},
    {"noted once", "mirror", "A: 1=11~ | | 11:S", ""},
    {"removed on the target", "mirror", "A: 1=11:S | | 11", "note A 1=11 :S ~ touched"},
    {"and set there again", "mirror", "A: 1=11:S~ | | 11:S", "note A 1=11 :S touched"},
    {"a keyword more on the target", "mirror", "A: 1=11 | | 11:a", "note A 1=11 ~ touched"},
    {"a keyword less on the target", "mirror", "A: 1=11:a | | 11", ""},
    {"added on both sides: agreed", "mirror", "A: 1=11 | 1:S | 11:S", "note A 1=11 :S agreed"},
    {"removed on both sides: agreed", "mirror", "A: 1=11:S | 1 | 11", "note A 1=11 agreed"},
    {"added here, another there: both stay", "mirror", "A: 1=11 | 1:S | 11:F",
        "flags A 1=11 +S ~ flags"},
    {"removed here, another added there", "mirror", "A: 1=11:S | 1 | 11:SF",
        "flags A 1=11 -S ~ flags"},
    {"removed here, removed there, another added here", "mirror", "A: 1=11:S | 1:F | 11",
        "flags A 1=11 +F flags"},
    {"the source follows what the target had", "mirror", "A: 1=11~ | 1:F | 11:F",
        "note A 1=11 :F agreed"},
    {"the source's change after the target's", "mirror", "A: 1=11~ | 1:S |",
        "flags A 1=11 +S ~ flags"},
    {"a keyword here, the same there", "mirror", "A: 1=11 | 1:a | 11:a", "note A 1=11 :a agreed"},
    {"not to be stored there: never sent, nor common", "mirror", "A keepsSRT: 1=11 | 1:F |", ""},
    {"not to be stored there, and there all the same", "mirror", "A keepsSRT: 1=11 | 1:F | 11:F",
        "note A 1=11 :F agreed"},
    {"of two only one", "mirror", "A keepsS: 1=11 | 1:SF |", "flags A 1=11 +S flags"},
    {"no keywords there", "mirror", "A keepsRTDFS: 1=11 | 1:Sa |", "flags A 1=11 +S flags"},
    {"and taken away again here", "mirror", "A keepsS: 1=11:SF | 1:S | 11:S",
        "note A 1=11 :S agreed"},
    {"what does not last there is no touch, nor common", "mirror", "A keepsS: 1=11:SF | | 11:S",
        "note A 1=11 :S agreed"},
    {"two with one copy", "mirror", "A: 1=11 2=11 | 1:S |", "flags A 1=11 +S flags"},
    {"nothing of a gone one", "mirror", "A: 1=a | 1:S |", ""},
    {"nothing of a sent one", "mirror", "A: 1=? | 1:S |", ""},

    {"first sweep: added", "first-sweep", "A: 1=11 | 1:S |", "flags A 1=11 +S flags"},
    {"first sweep: removed, and new has what we gave", "first-sweep", "A: 1=11:S | 1 |",
        "flags A 1=11 -S flags"},
    {"first sweep: removed, and its user has touched it", "first-sweep", "A: 1=11:S | 1 | 11:SF",
        "note A 1=11 :S ~ touched"},
    {"first sweep: removed, and touched long ago", "first-sweep", "A: 1=11:S~ | 1 |", ""},
    {"first sweep: added to a touched one", "first-sweep", "A: 1=11 | 1:S | 11:F",
        "flags A 1=11 +S ~ flags"},
    {"first sweep: removed on both sides", "first-sweep", "A: 1=11:S | 1 | 11",
        "note A 1=11 :S ~ touched"},
    {"first sweep: never marked as deleted", "first-sweep", "A: 1=11 | 1:T |", ""},
    {"first sweep: with others", "first-sweep", "A: 1=11 | 1:ST |", "flags A 1=11 +S flags"},
    {"first sweep: the mark is not taken away either", "first-sweep", "A: 1=11:T | 1 | 11:T", ""},
    {"first sweep: its user has taken another one away", "first-sweep", "A: 1=11:SF | 1:F | 11:S",
        "note A 1=11 :FS ~ touched"},
    {"first sweep: its user has taken a keyword away", "first-sweep", "A: 1=11:Sa | 1:a | 11:S",
        ""},
    {"first sweep: a keyword that new does not keep", "first-sweep",
        "A keepsS: 1=11:Sa | 1:a | 11:S", "flags A 1=11 -S flags"},
    {"first sweep: a keyword", "first-sweep", "A: 1=11:a | 1:b |", "flags A 1=11 +b-a flags"},

    {"later: added", "after-flip", "A: 1=11 | 1:S |", "flags A 1=11 +S flags"},
    {"later: removed", "after-flip", "A: 1=11:S | 1 |", ""},
    {"later: removed and another added", "after-flip", "A: 1=11:S | 1:F |",
        "flags A 1=11 +F flags"},
    {"later: what was removed is set again", "after-flip", "A: 1=11:S | 1:S |", ""},
    {"later: never marked as deleted", "after-flip", "A: 1=11 | 1:T |", ""},
    {"later: added to a touched one", "after-flip", "A: 1=11~ | 1:S |", "flags A 1=11 +S ~ flags"},
    {"later: its user has taken it away, the source has it as ever", "after-flip",
        "A: 1=11:S | 1:S | 11", "note A 1=11 :S ~ touched"},
    {"later: a keyword", "after-flip", "A: 1=11:a | 1:b |", "flags A 1=11 +b flags"},
    {"later: added on both sides", "after-flip", "A: 1=11 | 1:S | 11:S", "note A 1=11 :S agreed"},

    {"backfill: none", "backfill", "A: 1=11 | 1:SF |", ""},
    {"backfill: none is taken away", "backfill", "A: 1=11:S | 1 |", ""},
    {"backfill: touched is noted", "backfill", "A: 1=11 | | 11:S", "note A 1=11 ~ touched"},

    {"archive: added", "archive", "A: 1=11 | 1:S |", "flags A 1=11 +S flags"},
    {"archive: removed", "archive", "A: 1=11:S | 1 |", ""},
    {"archive: never marked as deleted", "archive", "A: 1=11 | 1:T |", ""},

    {"reverse: added", "reverse", "A: 1=11 | 1:S |", "flags A 1=11 +S flags"},
    {"reverse: removed", "reverse", "A: 1=11:S | 1 |", "flags A 1=11 -S flags"},
    {"reverse: never marked as deleted", "reverse", "A: 1=11 | 1:T |", ""},
    {"reverse: touched on old meanwhile", "reverse", "A: 1=11 | 1:S | 11:F",
        "flags A 1=11 +S ~ flags"},
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
