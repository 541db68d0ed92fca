/* SPDX-License-Identifier: ISC */
/* both: see both.h. */
#include "tests/sim/both.h"

#include <stdio.h>
#include <stdlib.h>

#include "imapsync/account_args.h"
#include "tests/sim/model_end.h"
#include "tests/sim/world.h"

static struct world model;
static struct history nothing; /* nobody else is there */
static struct account account;

static void fail(const char *what, const struct err *err)
{
    (void)fprintf(stderr, "%s: %s\n", what, err->text);
    exit(1);
}

void both_on_model(struct both *b, uint64_t seed, uint32_t quirks)
{
    nothing = (struct history){.seed = seed, .quirks = {0, quirks}, .has_open = true};
    world_init(&model, &nothing, NULL);
    b->is_model = true;
    for (size_t i = 0; i < 2; i++)
        b->end[i] = model_end_new(&model, &model.target, NULL);
}

void both_on_server(struct both *b, const char *url, const char *password_file)
{
    struct err err = ERR_INIT;
    const struct end_maker *silent, *makers[] = {NULL, NULL};
    const struct account_args args = {
        .label = "server", .url = url, .password_file = password_file, .is_made = true};
    b->is_model = false;
    if (account_from_args(&args, &account, &err) != 0)
        fail(url, &err);
    makers[0] = makers[1] = account.maker;
    if (end_open_all(makers, 2, NULL, b->end, &silent, &err) != 0)
        fail(url, &err);
}

void both_close(struct both *b)
{
    for (size_t i = 0; i < 2; i++)
        end_close(&b->end[i]);
    if (b->is_model)
        world_fini(&model);
    else
        account_fini(&account);
}
