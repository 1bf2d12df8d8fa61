/* Shared by the tests of this room: a registry with stand-ins for other rooms' extensions, bootstraps from text. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/mem.h"
#include "proxy/config/store.h"

static void *fixture_build(const void *message, struct arena *arena, struct err *err)
{
    (void)message;
    (void)err;
    return arena_zalloc(arena, 8);
}

static int fixture_destroyed;
static void fixture_destroy(void *object)
{
    (void)object;
    fixture_destroyed++;
}

static const struct extension_type fixture_apim_filter = {EXTENSION_HTTP_FILTER, "egret.apim.v1.ApimFilter", fixture_build,
                                                          fixture_destroy};
static const struct extension_type fixture_apim_table = {EXTENSION_PER_ROUTE, "egret.apim.v1.ApiTable", fixture_build, NULL};
static const struct extension_type fixture_log = {
    EXTENSION_ACCESS_LOG, "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", fixture_build, fixture_destroy};

static inline struct extension_registry *fixture_registry(void)
{
    struct extension_registry *r = extension_registry_create();
    extension_register(r, &fixture_apim_filter);
    extension_register(r, &fixture_apim_table);
    extension_register(r, &fixture_log);
    return r;
}

/* A file in the build's working directory, which the caller unlinks. */
static inline char *fixture_file(const char *suffix, const char *text)
{
    char *path = mem_printf("/tmp/egret-config-%d-%s", (int)getpid(), suffix);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    assert_int_equal(fclose(f), 0);
    return path;
}

static inline struct config_bootstrap *fixture_load(const struct extension_registry *r, const char *yaml, struct err *err)
{
    struct bootstrap_options o = {.yaml = yaml};
    err_clear(err);
    return bootstrap_load(&o, r, err);
}
