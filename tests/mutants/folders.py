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
    ("imapsync/copy/extras.c", ["test_copy_known", "test_imap_extras"], [
        ("annotations are asked for with every pass",
         "if (c->options.no_metadata || (c->has_metadata && !has_new)) return 0;",
         "if (c->options.no_metadata) return 0;"),
        ("another value on the target is overwritten",
         'else if (there) extra_lost(x, has->name, "", "the target has another value, which stays");',
         ""),
        ("what is a server's own is the user's",
         "if (slice_starts_nocase(entry, slice_str(servers[i]))) return false;",
         ""),
    ]),
    ("imapsync/ends/imap_extras.c", ["test_imap_extras"], [
        ("a value with NUL is sent",
         "if (!q->out && slice_find(q->value, '\\0') >= 0) {",
         "if (false) {"),
        ("what cannot be read is all that there is",
         "r->n_unread += !is_good;",
         ""),
    ]),
    ("imapsync/copy/copy_apart.c", ["test_copy_known"], [
        ("a new connection is not claimed again",
         "return c->is_claimed ? 0 : look(c, claim, err);",
         "return 0;"),
    ]),
]
