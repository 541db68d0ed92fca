/* SPDX-License-Identifier: ISC */
/*
 * replay: the main of a fuzz target where libFuzzer is not.  Feeds the empty input and every file
 * of the given directories (or the given files) to the target, so that each crash that was ever
 * found is tried again by every `make unit`, with GCC and the sanitizers.
 *
 *     build/replay/fuzz_x tests/fuzz/corpus/fuzz_x
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned long inputs;

static void die(const char *path)
{
    perror(path);
    exit(1);
}

static void feed(const char *path, size_t size)
{
    /* An exact allocation, so that AddressSanitizer sees a read past the end. */
    uint8_t *data = malloc(size > 0 ? size : 1);
    FILE *f = fopen(path, "rb");

    if (data == NULL || f == NULL || fread(data, 1, size, f) != size)
        die(path);
    fclose(f);
    LLVMFuzzerTestOneInput(data, size);
    inputs++;
    free(data);
}

static void walk(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        die(path);
    if (S_ISREG(st.st_mode)) {
        feed(path, (size_t)st.st_size);
    } else if (S_ISDIR(st.st_mode)) {
        DIR *d = opendir(path);
        struct dirent *e;

        if (d == NULL)
            die(path);
        while ((e = readdir(d)) != NULL) {
            char *child;

            if (e->d_name[0] == '.')
                continue;
            if (asprintf(&child, "%s/%s", path, e->d_name) < 0)
                die(path);
            walk(child);
            free(child);
        }
        closedir(d);
    }
}

int main(int argc, char **argv)
{
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (int i = 1; i < argc; i++)
        walk(argv[i]);
    printf("%lu inputs replayed\n", inputs + 1);
    return 0;
}
