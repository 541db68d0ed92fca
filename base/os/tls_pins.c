/* SPDX-License-Identifier: ISC */
/* tls_pins: see tls_pins.h. */
#include "base/os/tls_pins.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/core/buf.h"
#include "base/os/io.h"

#define PREFIX "sha256//"
#define FILE_MAX 65536
#define FILE_MODE 0644

void tls_pin_of(struct slice spki, struct tls_pin *out)
{
    unsigned char digest[SHA256_SIZE];

    sha256_of(spki, digest);
    memcpy(out->text, PREFIX, sizeof(PREFIX) - 1);
    hmac_base64(slice_make(digest, sizeof(digest)), out->text + sizeof(PREFIX) - 1);
}

/* 32 octets are 43 characters and one "=". */
bool tls_pin_parse(struct slice text, struct tls_pin *out)
{
    struct slice code = slice_from(text, sizeof(PREFIX) - 1);

    if (text.n != TLS_PIN_SIZE - 1 || !slice_starts(text, SLICE_LIT(PREFIX)) ||
        code.p[code.n - 1] != '=')
        return false;
    for (size_t i = 0; i + 1 < code.n; i++)
        if (!ascii_is_alpha(code.p[i]) && !ascii_is_digit(code.p[i]) && code.p[i] != '+' &&
            code.p[i] != '/')
            return false;
    memcpy(out->text, text.p, text.n);
    out->text[text.n] = '\0';
    return true;
}

bool tls_pins_have(const struct tls_pins *pins, const struct tls_pin *pin)
{
    for (size_t i = 0; i < pins->n; i++)
        if (strcmp(pins->v[i].text, pin->text) == 0)
            return true;
    return false;
}

static int parse(const char *path, struct slice text, struct tls_pins *out, struct err *err)
{
    struct slice line;
    unsigned number = 0;

    *out = (struct tls_pins){0};
    while (slice_split(&text, '\n', &line)) {
        number++;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0 || line.p[0] == '#')
            continue;
        if (out->n == TLS_PINS_MAX)
            return err_set(err, ERR_PERM, EX_CONFIG, "%s:%u: more than %d public keys", path,
                number, TLS_PINS_MAX);
        if (!tls_pin_parse(line, &out->v[out->n++]))
            return err_set(
                err, ERR_PERM, EX_CONFIG, "%s:%u: no public key like sha256//BASE64", path, number);
    }
    return 0;
}

int tls_pins_read(const char *path, struct tls_pins *out, struct err *err)
{
    struct buf text;

    buf_init(&text, FILE_MAX);
    int result = io_read_file(path, FILE_MAX, &text, err);
    if (result == 0)
        result = parse(path, buf_slice(&text), out, err);
    if (result == 0 && out->n == 0)
        result = err_set(err, ERR_PERM, EX_CONFIG, "%s: there is no public key in it", path);
    buf_fini(&text);
    return result;
}

int tls_pins_add(const char *path, const struct tls_pin *pin, const char *comment, struct err *err)
{
    struct tls_pins pins;
    struct buf text;
    int result = 0;

    buf_init(&text, FILE_MAX);
    if (access(path, F_OK) == 0 || errno != ENOENT)
        result = io_read_file(path, FILE_MAX, &text, err);
    if (result == 0)
        result = parse(path, buf_slice(&text), &pins, err);
    if (result == 0 && !tls_pins_have(&pins, pin)) {
        bool is_open = text.n > 0 && buf_slice(&text).p[text.n - 1] != '\n';
        if (pins.n == TLS_PINS_MAX)
            result = err_set(err, ERR_PERM, EX_CONFIG,
                "%s has %d public keys already: remove the one that is no longer used", path,
                TLS_PINS_MAX);
        else if (buf_addf(&text, "%s# %s\n%s\n", is_open ? "\n" : "", comment, pin->text) != 0)
            result = err_set(err, ERR_PERM, EX_CONFIG, "%s is too long", path);
        else
            result = io_write_file_durable(path, buf_slice(&text), FILE_MODE, err);
    }
    buf_fini(&text);
    return result;
}
