/* SPDX-License-Identifier: ISC */
/* What is too much, and the policies archive and reverse.  How to read the rows: plan_table.h. */
#include "tests/unit/plan_table.h"

static const struct plan_row rows[] = {
    {"50 deletions may always be", "mirror", "A: 1..100=101 | -1..50 |", "remove A 1..50=101 lost"},
    {"half of a small mailbox may", "mirror", "A: 1..60=101 | -1..30 |", "remove A 1..30=101 lost"},
    {"more than half may not: a server may show half of it behind a restore", "mirror",
        "A: 1..60=101 | -1..31 |", "(remove A 1..31=101 lost): ceiling"},
    {"of the smallest 20 may always be", "mirror", "A: 1..21=101 | -1..20 |",
        "remove A 1..20=101 lost"},
    {"and no more", "mirror", "A: 1..22=101 | -1..21 |", "(remove A 1..21=101 lost): ceiling"},
    {"51 of 100 may not, and none of them is done", "mirror", "A: 1..100=101 | -1..51 |",
        "(remove A 1..51=101 lost): ceiling"},
    {"a tenth of a large mailbox", "mirror known9900", "A: 1..100=101 | -1..100 3000 |",
        "copy A 3000 new; remove A 1..100=101 lost"},
    {"of all of it, not of what was handed in", "mirror known1000", "A: 1..600=1001 | -1..161 |",
        "(remove A 1..161=1001 lost): ceiling"},
    {"exactly a tenth", "mirror known1000", "A: 1..600=1001 | -1..160 |",
        "remove A 1..160=1001 lost"},
    {"ten folders of 20 that are empty at once", "mirror all",
        "A: 1..20=101 | -1..20 |\nB: 1..20=101 | -1..20 |\nC: 1..20=101 | -1..20 |\nD: 1..20=101 | "
        "-1..20 |\nE: 1..20=101 | -1..20 |\n"
        "F: 1..20=101 | -1..20 |\nG: 1..20=101 | -1..20 |\nH: 1..20=101 | -1..20 |\nI: 1..20=101 | "
        "-1..20 |\nJ: 1..20=101 | -1..20 |",
        "(remove A 1..20=101 lost): emptied; (remove B 1..20=101 lost): emptied; (remove C "
        "1..20=101 lost): emptied; "
        "(remove D 1..20=101 lost): emptied; (remove E 1..20=101 lost): emptied; (remove F "
        "1..20=101 lost): emptied; "
        "(remove G 1..20=101 lost): emptied; (remove H 1..20=101 lost): emptied; (remove I "
        "1..20=101 lost): emptied; "
        "(remove J 1..20=101 lost): emptied; again A; again B; again C; again D; again E; again F; "
        "again G; again H; again I; again J"},
    {"three of them, and one that is not", "mirror all",
        "A: 1..20=101 | -1..20 |\nB: 1..20=101 | -1..20 |\nC: 1..20=101 | -1..20 |\nD: 1=1 | |",
        "(remove A 1..20=101 lost): ceiling; (remove B 1..20=101 lost): ceiling; (remove C "
        "1..20=101 lost): ceiling; again A; again B; again C"},
    {"copies, flags and moves go on", "mirror", "A: 1..100=101#a | -1..60 61:S 200 |\nB: | 1#a |",
        "ask A 200; copy A 200 new; flags A 61=161 +S flags; move A 1=101 > B 1 digest; (remove A "
        "2..60=102 "
        "lost): ceiling"},
    {"moves do not count", "mirror", "A: 1..100=101@a | -1..60 |\nB: | 1..10@a |",
        "move A 1..10=101 > B 1..10 emailid; remove A 11..60=111 lost"},
    {"what its user has touched does not count", "mirror", "A: 1..60=101 61..70=161~ | -1..70 |",
        "forget A 61..70=161 touched; (remove A 1..60=101 lost): ceiling; kept 10"},
    {"what cannot be removed does not count", "mirror noremove", "A: 1..60=101 | -1..60 61 |",
        "copy A 61 new; (remove A 1..60=101 lost): cannot"},
    {"a share of one's own", "mirror percent50", "A: 1..200=101 | -1..100 |",
        "remove A 1..100=101 lost"},
    {"a least of one's own", "mirror min2", "A: 1..5=101 | -1..3 |",
        "(remove A 1..3=101 lost): ceiling"},
    {"a folder that is empty all at once is asked again", "mirror", "A: 1..10=101 | -1..10 |",
        "(remove A 1..10=101 lost): look-again; again A"},
    {"and believed the second time", "mirror", "A confirmed: 1..10=101 | -1..10 |",
        "remove A 1..10=101 lost"},
    {"a small one is believed at once", "mirror", "A: 1..9=101 | -1..9 |",
        "remove A 1..9=101 lost"},
    {"one that has something new is not empty", "mirror", "A: 1..10=101 | -1..10 11 |",
        "copy A 11 new; remove A 1..10=101 lost"},
    {"one that has more than what changed is not", "mirror", "A known1: 1..10=101 | -1..10 |",
        "remove A 1..10=101 lost"},
    {"emptied by moves", "mirror", "A: 1..10=101@a.. | -1..10 |\nB: | 1..10@a.. |",
        "move A 1..10=101 > B 1..10 emailid"},
    {"all but one moved, that one deleted", "mirror",
        "A: 1..10=101@a.. | -1..10 |\nB: | 1..9@a.. |",
        "move A 1..9=101 > B 1..9 emailid; remove A 10=110 lost"},
    {"a mailbox of 15 shows nothing", "mirror all", "A confirmed: 1..15=101 | -1..15 |",
        "(remove A 1..15=101 lost): emptied"},
    {"a mailbox of nine", "mirror all", "A: 1..9=101 | -1..9 |", "remove A 1..9=101 lost"},
    {"nothing but a new one", "mirror all", "A confirmed: 1..15=101 | -1..15 |\nB: | 1 |",
        "copy B 1 new; remove A 1..15=101 lost"},
    {"not all folders were asked", "mirror", "A confirmed: 1..15=101 | -1..15 |",
        "remove A 1..15=101 lost"},
    {"nothing, and there was more in other folders", "mirror all known10",
        "A confirmed: 1..15=101 | -1..15 |", "remove A 1..15=101 lost"},
    {"lost earlier counts as well", "mirror", "A: g=1 g=2 g=3 1..49=101 | -1..49 50 |",
        "copy A 50 new; (remove A g=1..3 lost): ceiling; (remove A 1..49=101 lost): ceiling"},

    {"archive: new", "archive", "A: | 1:ST |", "copy A 1 :S new"},
    {"archive: deleted, it stays", "archive", "A: 1=11 | -1 |", "gone A 1=11 lost"},
    {"archive: remembered once", "archive", "A: g=11 | |", ""},
    {"archive: all of it", "archive all", "A: 1..99=101 | -1..99 |", "gone A 1..99=101 lost"},
    {"archive: refused and due", "archive", "A: 1=x! | 1 |", "copy A 1 retry"},
    {"archive: lost there", "archive", "A: 1=11 | | -11", "away A 1=11 target-lost"},
    {"archive: half of it lost there", "archive", "A: 1..20=101 | | -101..115", "reconcile A"},
    {"archive: gone there stays gone", "archive", "A: 1=g | 1 |", ""},
    {"archive: lost on both sides", "archive", "A: 1=11 | -1 | -11", "forget A 1=11 both-lost"},
    {"archive: two share a copy", "archive", "A: 1=11 2=11 | -1..2 |",
        "gone A 1=11 lost; forget A 2=11 shared"},
    {"archive: a folder is lost", "archive", "A lost: 1..3=11 | |", ""},
    {"archive: within the folder", "archive", "A: 1=11#d | -1 5#d |",
        "renumber A 1=11 > A 5 digest"},

    {"reverse: what came to new since the flip", "reverse", "A mark9: | 10:S |",
        "copy A 10 :S late"},
    {"reverse: its content is not asked for: a copy of one's own is one", "reverse",
        "A mark9: 1=11#d | 10#d |", "copy A 10 late"},
    {"reverse: what was on new before, and is not ours", "reverse", "A mark9: | 5 |",
        "gone A 5 below-mark"},
    {"reverse: a folder that is new there", "reverse", "A: | 1..3 |", "copy A 1..3 late"},
    {"reverse: owed", "reverse", "A mark9 owed4: | 4 |", "copy A 4 owed"},
    {"reverse: removed on new: to Trash on old", "reverse", "A: 1=11 | -1 |", "trash A 1=11 lost"},
    {"reverse: removed on new behind the flip, and noted by a sweep", "reverse", "A: g=11 | |",
        "trash A g=11 lost"},
    {"reverse: removed from Trash: it is in Trash on old", "reverse", "A trash: 1=11 | -1 |",
        "gone A 1=11 in-trash"},
    {"reverse: removed on new, touched on old", "reverse", "A: 1=11 | -1 | 11:F",
        "forget A 1=11 touched; kept 1"},
    {"reverse: never expunged, whatever old can", "reverse nomove", "A: 1=11 | -1 |",
        "(trash A 1=11 lost): cannot"},
    {"reverse: no UIDPLUS is needed", "reverse noremove", "A: 1=11 | -1 |", "trash A 1=11 lost"},
    {"reverse: too much", "reverse", "A: 1..99=101 | -1..51 |",
        "(trash A 1..51=101 lost): ceiling"},
    {"reverse: new shows nothing", "reverse all", "A confirmed: 1..15=101 | -1..15 |",
        "(trash A 1..15=101 lost): emptied"},
    {"reverse: a folder is lost on new", "reverse", "A lost: 1..3=11 | |",
        "(trash A 1..3=11 lost): folder-lost"},
    {"reverse: removed on both", "reverse", "A: 1=11 | -1 | -11", "forget A 1=11 both-lost"},
    {"reverse: removed on old only", "reverse", "A: 1=11 | | -11", "away A 1=11 target-lost"},
    {"reverse: what old had lost behind the flip comes again", "reverse", "A: 1=g | 1 |",
        "copy A 1 again"},
    {"reverse: refused by old and due", "reverse", "A: 1=x! | 1 |", "copy A 1 retry"},
    {"reverse: not sure", "reverse", "A: 1=11 | -1 ? |", "unsure 1"},
    {"reverse: two share a copy on old", "reverse", "A: 1=11 2=11 | -1 |", "forget A 1=11 shared"},
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
