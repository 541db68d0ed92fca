/* SPDX-License-Identifier: ISC */
/* caps: see caps.h. */
#include "imapsync/imap/caps.h"

#include "base/core/num.h"
#include "imapsync/imap/mech.h"
#include "imapsync/imap/token.h"

static const struct {
    const char *name;
    uint64_t caps;
} cap_rows[] = {
    {"STARTTLS", IMAP_CAP_STARTTLS},
    {"LOGINDISABLED", IMAP_CAP_LOGINDISABLED},
    {"COMPRESS=DEFLATE", IMAP_CAP_COMPRESS},
    {"UTF8=ONLY", IMAP_CAP_UTF8_ONLY},
    {"SASL-IR", IMAP_CAP_SASL_IR},
    {"LITERAL+", IMAP_CAP_LITERAL_PLUS},
    {"LITERAL-", IMAP_CAP_LITERAL_MINUS},
    {"UIDPLUS", IMAP_CAP_UIDPLUS},
    {"MULTIAPPEND", IMAP_CAP_MULTIAPPEND},
    {"LIST-EXTENDED", IMAP_CAP_LIST_EXTENDED},
    {"LIST-STATUS", IMAP_CAP_LIST_STATUS},
    {"SPECIAL-USE", IMAP_CAP_SPECIAL_USE},
    {"STATUS=SIZE", IMAP_CAP_STATUS_SIZE},
    {"CREATE-SPECIAL-USE", IMAP_CAP_CREATE_SPECIAL_USE},
    {"NAMESPACE", IMAP_CAP_NAMESPACE},
    {"ENABLE", IMAP_CAP_ENABLE},
    {"CONDSTORE", IMAP_CAP_CONDSTORE},
    {"QRESYNC", IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE},
    {"ID", IMAP_CAP_ID},
    {"ESEARCH", IMAP_CAP_ESEARCH},
    {"IMAP4rev1", IMAP_CAP_IMAP4REV1},
    {"IMAP4rev2", IMAP_CAP_IMAP4REV2},
    {"MOVE", IMAP_CAP_MOVE},
    {"OBJECTID", IMAP_CAP_OBJECTID},
    {"UNSELECT", IMAP_CAP_UNSELECT},
    {"QUOTA", IMAP_CAP_QUOTA},
    {"X-GM-EXT-1", IMAP_CAP_GMAIL},
    {"ACL", IMAP_CAP_ACL},
    {"METADATA", IMAP_CAP_METADATA | IMAP_CAP_METADATA_SERVER},
    {"METADATA-SERVER", IMAP_CAP_METADATA_SERVER},
};

/* RFC 9051 appendix E: what IMAP4rev2 contains.  A server that offers IMAP4rev1 too names what it
 * has by itself. */
static const uint64_t caps_of_rev2 =
    IMAP_CAP_UIDPLUS | IMAP_CAP_ENABLE | IMAP_CAP_ESEARCH | IMAP_CAP_NAMESPACE |
    IMAP_CAP_SPECIAL_USE | IMAP_CAP_LIST_EXTENDED | IMAP_CAP_LIST_STATUS | IMAP_CAP_LITERAL_MINUS |
    IMAP_CAP_SASL_IR | IMAP_CAP_MOVE | IMAP_CAP_UNSELECT | IMAP_CAP_STATUS_SIZE;

static void read_limit(struct slice word, struct slice name, uint64_t *out)
{
    if (slice_starts_nocase(word, name) &&
        num_u64(slice_from(word, name.n), 1, UINT64_MAX, out) != 0)
        *out = 0;
}

uint64_t imap_caps_read(struct slice list, struct imap_cap_limits *limits_out)
{
    struct slice word;
    uint64_t caps = IMAP_CAP_KNOWN;
    *limits_out = (struct imap_cap_limits){0};
    while (imap_word_next(&list, &word)) {
        read_limit(word, SLICE_LIT("APPENDLIMIT="), &limits_out->append);
        read_limit(word, SLICE_LIT("MESSAGELIMIT="), &limits_out->messages);
        limits_out->mechs |= mech_offered(word);
        if (slice_starts_nocase(word, SLICE_LIT("RIGHTS=")))
            caps |= IMAP_CAP_RIGHTS;
        for (size_t i = 0; i < sizeof(cap_rows) / sizeof(cap_rows[0]); i++) {
            if (slice_eq_nocase(word, slice_str(cap_rows[i].name)))
                caps |= cap_rows[i].caps;
        }
    }
    if (caps & IMAP_CAP_IMAP4REV2 && !(caps & IMAP_CAP_IMAP4REV1))
        caps |= caps_of_rev2;
    return caps;
}
