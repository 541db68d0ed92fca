# SPDX-License-Identifier: ISC
"""Names of folders, and mail that only a folder has which shows that of others."""

GROUPS = [
    ("imapsync/plan/folders.c", ["test_copy_folders"], [
        ("who comes first in the listing has the name",
         "if (x->is_altered != y->is_altered) return x->is_altered ? 1 : -1; return slice_order(x->name, y->name);",
         "return x->at < y->at ? -1 : 1;"),
        ("the archive takes the name of another folder",
         "is_unwanted(m, buf_slice(&name))) take(m, m->order[k], buf_slice(&name), FOLDER_ORIGIN_SPECIAL);",
         "is_free(m, buf_slice(&name))) take(m, m->order[k], buf_slice(&name), FOLDER_ORIGIN_SPECIAL);"),
    ]),
    ("imapsync/plan/folder_rules.c", ["test_copy_folders"], [
        ("a calendar is mail",
         "return has_no_mail && !is_included ? FOLDER_HAS_NO_MAIL : FOLDER_TAKEN;",
         "return FOLDER_TAKEN;"),
    ]),
    ("imapsync/copy/shown.c", ["test_copy_shown"], [
        ("what has lost its last label is still elsewhere",
         "l->is_elsewhere = l->is_elsewhere || !t || !uids_have(t->vanished, t->n_vanished, p->src_uid);",
         "l->is_elsewhere = true;"),
        ("what has got a label is not looked for",
         "if (mem_search(digest, s->news, s->n_news, SHA256_SIZE, by_digest)) {",
         "if (s->n_news > MESSAGES_MAX) {"),
    ]),
    ("imapsync/copy/shown_learn.c", ["test_copy_shown"], [
        ("IDs are not asked for",
         "if (result == 0 && tells_ids) result = list_ids(s, &s->unknown, on_id, l, err);",
         "if (false) ;"),
        ("what was read is forgotten",
         "if (v[i].is_there) journal_shown_put(c->journal, s->f->name, uidvalidity, v[i].uid, v[i].digest);",
         ""),
    ]),
    ("imapsync/copy/copy_due.c", ["test_copy_shown"], [
        ("a folder is made for nothing",
         "(!(f->attrs & FOLDER_VIRTUAL) || record->target.uidvalidity != 0);",
         "true;"),
    ]),
]
