/* SPDX-License-Identifier: ISC */
/* no_mail: the names, in English, German, French, Spanish, Italian, Dutch, Polish, Portuguese. */
#include "imapsync/ends/no_mail.h"

#include "base/core/buf.h"
#include "base/core/err.h"
#include "imapsync/ends/limits.h"
#include "imapsync/ends/name.h"

static const char *const names[] = {"calendar", "contacts", "tasks", "notes", "journal", "kalender",
    "kontakte", "aufgaben", "notizen", "calendrier", "tâches", "calendario", "contactos", "tareas",
    "notas", "diario", "contatti", "attività", "note", "agenda", "contactpersonen", "taken",
    "notities", "logboek", "kalendarz", "kontakty", "zadania", "notatki", "dziennik", "calendário",
    "contatos", "tarefas", "anotações", "diário"};

bool no_mail_is_exchange(struct slice greeting)
{
    return slice_search(greeting, SLICE_LIT("Microsoft Exchange")) >= 0;
}

bool no_mail_is_name(struct slice name, int delimiter)
{
    struct buf first, known;
    ptrdiff_t end = delimiter < 0 ? -1 : slice_find(name, (unsigned char)delimiter);
    bool is = false;
    buf_init(&first, 16 * FOLDER_NAME_MAX);
    buf_init(&known, 1000);
    if (folder_fold(end < 0 ? name : slice_sub(name, 0, (size_t)end), &first) != 0)
        buf_clear(&first);
    for (size_t i = 0; !is && i < sizeof(names) / sizeof(names[0]); i++) {
        buf_clear(&known);
        BUG_ON(folder_fold_utf8(slice_str(names[i]), &known) != 0);
        is = slice_eq(buf_slice(&first), buf_slice(&known));
    }
    buf_fini(&first);
    buf_fini(&known);
    return is;
}
