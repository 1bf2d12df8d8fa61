#include "xds/ctl/commands.h"

#include <stdio.h>

#include "base/macros.h"
#include "base/strbuf.h"
#include "xds/ctl/ask.h"
#include "xds/ctl/table.h"

/* Asks; with JSON wanted prints the answer as it is, else shows it. */
static bool ask_and_show(const char *socket_path, const char *path, bool json, void (*show)(const struct doc *answer),
                         struct err *err)
{
    struct arena *arena = arena_create(0);
    struct slice body;
    const struct doc *answer = ask_control(arena, socket_path, path, &body, err);
    if (answer != NULL && json) {
        fwrite(body.p, 1, body.n, stdout);
    } else if (answer != NULL) {
        show(answer);
    }
    arena_destroy(&arena);
    return answer != NULL;
}

static const struct doc *type_of(const struct doc *proxy, const char *name)
{
    const struct doc *types = doc_get(proxy, "types");
    for (size_t i = 0; i < doc_len(types); i++) {
        if (slice_eq(doc_get_string(doc_at(types, i), "type"), slice_of(name))) {
            return doc_at(types, i);
        }
    }
    return NULL;
}

static const char *const type_names[] = {"CDS",     "EDS",           "LDS",     "RDS", "SDS",
                                         "Backend", "PolicyProgram", "Product", "Api", "Subscription"};
enum { TYPES = ARRAY_LEN(type_names) };

static void show_proxies(const struct doc *answer)
{
    const char *heads[2 + TYPES] = {"NODE", "GATEWAY"};
    for (size_t t = 0; t < TYPES; t++) {
        heads[2 + t] = type_names[t];
    }
    struct table *table = table_create(heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < doc_len(answer); i++) {
        const struct doc *proxy = doc_at(answer, i);
        struct slice cells[2 + TYPES] = {doc_get_string(proxy, "node"), doc_get_string(proxy, "cluster")};
        for (size_t t = 0; t < TYPES; t++) {
            cells[2 + t] = doc_get_string(type_of(proxy, type_names[t]), "state");
        }
        table_add(table, cells);
    }
    if (table_rows(table) == 0) {
        puts("no proxy has connected yet");
    } else {
        table_print(table, stdout);
    }
    table_destroy(&table);
    for (size_t i = 0; i < doc_len(answer); i++) {
        for (size_t t = 0; t < TYPES; t++) {
            const struct doc *proxy = doc_at(answer, i);
            struct slice reason = doc_get_string(type_of(proxy, type_names[t]), "reason");
            if (reason.n > 0) {
                printf("REJECTED by %.*s: %s: %.*s\n", SLICE_ARG(doc_get_string(proxy, "node")), type_names[t],
                       SLICE_ARG(reason));
            }
        }
    }
}

static struct slice number(const struct doc *map, const char *key)
{
    const struct doc *d = doc_get(map, key);
    return doc_is(d, DOC_NUMBER) ? doc_text(d) : SLICE("0");
}

static void show_summary(const struct doc *answer)
{
    const struct doc *served = doc_get(answer, "served"), *proxies = doc_get(answer, "proxies");
    printf("egret-control %.*s, running since %.*s\n", SLICE_ARG(doc_get_string(answer, "version")),
           SLICE_ARG(doc_get_string(answer, "since")));
    printf("folder %.*s\n", SLICE_ARG(doc_get_string(answer, "folder")));
    if (doc_is(served, DOC_MAP)) {
        printf("%.*s apis, %.*s operations, %.*s products, %.*s subscriptions served, %.*s apis left out, since %.*s\n",
               SLICE_ARG(number(served, "apis")), SLICE_ARG(number(served, "operations")),
               SLICE_ARG(number(served, "products")), SLICE_ARG(number(served, "subscriptions")),
               SLICE_ARG(number(served, "left_out")), SLICE_ARG(doc_get_string(answer, "published")));
    } else {
        puts("nothing good was read yet: no proxy is answered");
    }
    printf("%.*s proxies connected, %.*s disconnected, %.*s faults\n\n", SLICE_ARG(number(proxies, "connected")),
           SLICE_ARG(number(proxies, "disconnected")), SLICE_ARG(number(answer, "faults")));
}

/* In JSON both answers are one document: {"control": …, "proxies": …}. */
static bool status(const struct command_input *in, struct err *err)
{
    const char *socket_path = in->socket_path;
    if (!in->json) {
        return ask_and_show(socket_path, "/status", false, show_summary, err) &&
               ask_and_show(socket_path, "/proxies", false, show_proxies, err);
    }
    struct arena *arena = arena_create(0);
    struct slice control, proxies;
    bool ok = ask_control(arena, socket_path, "/status", &control, err) != NULL &&
              ask_control(arena, socket_path, "/proxies", &proxies, err) != NULL;
    if (ok) {
        printf("{\"control\":%.*s,\"proxies\":%.*s}\n", SLICE_ARG(control), SLICE_ARG(proxies));
    }
    arena_destroy(&arena);
    return ok;
}

static void show_faults(const struct doc *answer)
{
    for (size_t i = 0; i < doc_len(answer); i++) {
        const struct doc *f = doc_at(answer, i);
        struct slice file = doc_get_string(f, "file"), object = doc_get_string(f, "object");
        printf("%-7.*s ", SLICE_ARG(doc_get_string(f, "kind")));
        if (file.n > 0) {
            printf("%.*s:", SLICE_ARG(file));
        }
        if (!slice_eq(number(f, "line"), SLICE("0"))) {
            printf("%.*s:", SLICE_ARG(number(f, "line")));
        }
        if (!slice_eq(number(f, "column"), SLICE("0"))) {
            printf("%.*s:", SLICE_ARG(number(f, "column")));
        }
        printf("%s%.*s", file.n > 0 ? " " : "", SLICE_ARG(doc_get_string(f, "reason")));
        if (object.n > 0) {
            printf(" (%.*s)", SLICE_ARG(object));
        }
        putchar('\n');
    }
    if (doc_len(answer) == 0) {
        puts("no faults");
    }
}

static bool faults(const struct command_input *in, struct err *err)
{
    return ask_and_show(in->socket_path, "/faults", in->json, show_faults, err);
}

static void show_egress(const struct doc *answer)
{
    static const char *const heads[] = {"ADDRESS", "DESTINATION", "PORT", "GATEWAY", "POOL"};
    const struct doc *rows = doc_get(answer, "destinations"), *pools = doc_get(answer, "pools");
    struct table *table = table_create(heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < doc_len(rows); i++) {
        const struct doc *r = doc_at(rows, i);
        const struct slice cells[] = {doc_get_string(r, "address"), doc_get_string(r, "host"), number(r, "port"),
                                      doc_get_string(r, "gateway"), doc_get_string(r, "pool")};
        table_add(table, cells);
    }
    if (table_rows(table) == 0) {
        puts("no destination leaves through an egress gateway");
    } else {
        table_print(table, stdout);
    }
    table_destroy(&table);
    for (size_t i = 0; i < doc_len(pools); i++) {
        printf("%spool %.*s, to be whitelisted in full:", i == 0 ? "\n" : "",
               SLICE_ARG(doc_get_string(doc_at(pools, i), "pool")));
        const struct doc *addresses = doc_get(doc_at(pools, i), "addresses");
        for (size_t k = 0; k < doc_len(addresses); k++) {
            printf(" %.*s", SLICE_ARG(doc_text(doc_at(addresses, k))));
        }
        putchar('\n');
    }
}

static bool egress_ips(const struct command_input *in, struct err *err)
{
    return ask_and_show(in->socket_path, "/egress-ips", in->json, show_egress, err);
}

static void show_apis(const struct doc *answer)
{
    static const char *const heads[] = {"API", "PATH", "VERSION", "OPERATIONS", "OPEN", "CLOSED BECAUSE"};
    struct table *table = table_create(heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < doc_len(answer); i++) {
        const struct doc *a = doc_at(answer, i);
        const struct slice cells[] = {
            doc_get_string(a, "name"), doc_get_string(a, "path"), doc_get_string(a, "version"),
            number(a, "operations"),   number(a, "open"),         doc_get_string(a, "closed")};
        table_add(table, cells);
    }
    if (table_rows(table) == 0) {
        puts("the folder has no API");
    } else {
        table_print(table, stdout);
    }
    table_destroy(&table);
}

static bool apis(const struct command_input *in, struct err *err)
{
    return ask_and_show(in->socket_path, "/apis", in->json, show_apis, err);
}

static void show_explanation(const struct doc *answer)
{
    static const char *const heads[] = {"WHAT", "IS", "WHY"};
    struct table *table = table_create(heads, ARRAY_LEN(heads));
    for (size_t i = 0; i < doc_len(answer); i++) {
        const struct doc *r = doc_at(answer, i);
        const struct slice cells[] = {doc_get_string(r, "what"), doc_get_string(r, "is"), doc_get_string(r, "why")};
        table_add(table, cells);
    }
    table_print(table, stdout);
    table_destroy(&table);
}

static void add_encoded(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (plain) {
            strbuf_add_char(out, *text);
        } else {
            strbuf_printf(out, "%%%02x", (unsigned)c);
        }
    }
}

static bool route_explain(const struct command_input *in, struct err *err)
{
    const char *const parts[] = {in->arguments[0], in->arguments[1], in->key_id, in->gateway};
    struct strbuf path;
    strbuf_init(&path);
    strbuf_add_str(&path, "/explain");
    for (size_t i = 0; i < ARRAY_LEN(parts) + in->header_count; i++) {
        strbuf_add_char(&path, '/');
        add_encoded(&path, i < ARRAY_LEN(parts) ? parts[i] : in->headers[i - ARRAY_LEN(parts)]);
    }
    bool ok = ask_and_show(in->socket_path, strbuf_cstr(&path), in->json, show_explanation, err);
    strbuf_fini(&path);
    return ok;
}

static const struct command commands[] = {
    {"status", "the control server, and where each proxy stands for each type", 0, status},
    {"faults", "what is closed or stale, where it is said, and why", 0, faults},
    {"egress ips", "the addresses that partners must whitelist", 0, egress_ips},
    {"apis", "every API revision, what of it is open, and why not the rest", 0, apis},
    {"route explain", "METHOD URL [--key-id SUBSCRIPTION] [--gateway ID] [-H 'NAME: VALUE']...: who would answer this request, and why", 2, route_explain},
};

const struct command *command_at(size_t i)
{
    return i < ARRAY_LEN(commands) ? &commands[i] : NULL;
}
