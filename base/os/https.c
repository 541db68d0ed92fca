/* SPDX-License-Identifier: ISC */
/*
 * https: see https.h.  Certificate and name are verified, always.  The library keeps copies of what
 * is sent, which nobody wipes.
 */
#include "base/os/https.h"

#include <curl/curl.h>
#include <pthread.h>
#include <string.h>
#include <sysexits.h>

#define FORM_MAX 65536

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void init(void)
{
    BUG_ON(curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK);
}

static size_t on_octets(char *p, size_t size, size_t n, void *arg)
{
    /* Fewer than all of it ends the transfer. */
    return buf_add(arg, slice_make(p, size * n)) == 0 ? size * n : 0;
}

static int add_escaped(CURL *curl, struct buf *out, const char *text)
{
    char *escaped = curl_easy_escape(curl, text, (int)strlen(text));
    int result = escaped ? buf_add_str(out, escaped) : -1;
    if (escaped)
        explicit_bzero(escaped, strlen(escaped));
    curl_free(escaped);
    return result;
}

static int encode(CURL *curl, const struct https_form *form, struct buf *out, struct err *err)
{
    int result = 0;
    for (size_t i = 0; i < form->n_fields && result == 0; i++) {
        const struct https_field *f = &form->fields[i];
        if (!f->value)
            continue;
        if ((out->n > 0 && buf_add_byte(out, '&') != 0) || buf_add_str(out, f->name) != 0 ||
            buf_add_byte(out, '=') != 0 || add_escaped(curl, out, f->value) != 0)
            result = err_set(err, ERR_PERM, EX_CONFIG, "%s: the form is too long", form->url);
    }
    return result;
}

static int post(CURL *curl, const struct https_form *form, struct buf *body, struct buf *out,
    long *status_out, struct err *err)
{
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_URL, form->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L); /* there are threads */
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)form->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "coexist");
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, buf_cstr(body));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)body->n);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_octets);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    if (form->ca_file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, form->ca_file);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, status_out);
    if (rc == CURLE_OK)
        return 0;
    const char *text = why[0] ? why : curl_easy_strerror(rc);
    switch (rc) {
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return err_set(err, ERR_PERM, EX_CONFIG, "%s: %s", form->url, text);
    default:
        return err_set(err, ERR_TEMP, EX_TEMPFAIL, "%s: %s", form->url, text);
    }
}

int https_post(const struct https_form *form, struct buf *out, long *status_out, struct err *err)
{
    struct buf body;
    BUG_ON(pthread_once(&once, init) != 0);
    CURL *curl = curl_easy_init();
    BUG_ON(!curl);
    buf_init(&body, FORM_MAX);
    *status_out = 0;
    int result = encode(curl, form, &body, err);
    if (result == 0)
        result = post(curl, form, &body, out, status_out, err);
    buf_fini_wipe(&body);
    curl_easy_cleanup(curl);
    return result;
}
