#include "xds/source/artifact.h"

#include "base/macros.h"

enum { SEGMENTS_MAX = 10 };

struct pattern {
    enum artifact_kind kind;
    const char *path; /* the first "*" is the id, the second the item; at the end of a file name it is one of LANGUAGES */
};

static const struct pattern PATTERNS[] = {
    {ARTIFACT_POLICY, "policy.xml"},
    {ARTIFACT_API, "apis/*/apiInformation.json"},
    {ARTIFACT_SPECIFICATION, "apis/*/specification.*"},
    {ARTIFACT_API_POLICY, "apis/*/policy.xml"},
    {ARTIFACT_OPERATION_POLICY, "apis/*/operations/*/policy.xml"},
    {ARTIFACT_RELEASE, "apis/*/releases/*/apiReleaseInformation.json"},
    {ARTIFACT_API_DIAGNOSTIC, "apis/*/diagnostics/*/diagnosticInformation.json"},
    {ARTIFACT_OTHER, "apis/*/schemas/*/apiSchemaInformation.json"},
    {ARTIFACT_OTHER, "apis/*/tags.json"},
    {ARTIFACT_VERSION_SET, "version sets/*/versionSetInformation.json"},
    {ARTIFACT_VERSION_SET, "version sets/*/apiVersionSetInformation.json"},
    {ARTIFACT_PRODUCT, "products/*/productInformation.json"},
    {ARTIFACT_PRODUCT_POLICY, "products/*/policy.xml"},
    {ARTIFACT_PRODUCT_APIS, "products/*/apis.json"},
    {ARTIFACT_PRODUCT_API, "products/*/apis/*/productApiInformation.json"},
    {ARTIFACT_OTHER, "products/*/groups.json"},
    {ARTIFACT_OTHER, "products/*/groups/*/productGroupInformation.json"},
    {ARTIFACT_SUBSCRIPTION, "subscriptions/*/subscriptionInformation.json"},
    {ARTIFACT_BACKEND, "backends/*/backendInformation.json"},
    {ARTIFACT_NAMED_VALUE, "named values/*/namedValueInformation.json"},
    {ARTIFACT_FRAGMENT, "policy fragments/*/policyFragmentInformation.json"},
    {ARTIFACT_FRAGMENT_POLICY, "policy fragments/*/policy.xml"},
    {ARTIFACT_GATEWAY, "gateways/*/gatewayInformation.json"},
    {ARTIFACT_GATEWAY_APIS, "gateways/*/apis.json"},
    {ARTIFACT_GATEWAY_API, "gateways/*/apis/*/gatewayApiInformation.json"},
    {ARTIFACT_DIAGNOSTIC, "diagnostics/*/diagnosticInformation.json"},
    {ARTIFACT_GROUP, "groups/*/groupInformation.json"},
    {ARTIFACT_LOGGER, "loggers/*/loggerInformation.json"},
    {ARTIFACT_TAG, "tags/*/tagInformation.json"},
    {ARTIFACT_OTHER, "tags/*/apis/*/tagApiInformation.json"},
    {ARTIFACT_OTHER, "tags/*/products/*/tagProductInformation.json"},
};

static size_t split(struct slice path, struct slice *segments)
{
    size_t n = 0;
    while (path.p != NULL && n < SEGMENTS_MAX) {
        segments[n++] = slice_cut(&path, '/');
    }
    return path.p == NULL ? n : 0;
}

/* What specifications are written in. Any other ending is an editor's or a copy's: "specification.json~". */
static const struct slice LANGUAGES[] = {{"yaml", 4}, {"yml", 3},  {"json", 4},
                                         {"graphql", 7}, {"wsdl", 4}, {"wadl", 4}};

static bool is_language(struct slice ending)
{
    for (size_t i = 0; i < ARRAY_LEN(LANGUAGES); i++) {
        if (slice_eq_nocase(ending, LANGUAGES[i])) {
            return true;
        }
    }
    return false;
}

static bool segment_fits(struct slice pattern, struct slice segment)
{
    if (slice_eq(pattern, SLICE("*"))) {
        return segment.n > 0;
    }
    if (slice_ends_with(pattern, SLICE("*"))) {
        struct slice fixed = slice_sub(pattern, 0, pattern.n - 1);
        return slice_starts_with(segment, fixed) && is_language(slice_from(segment, fixed.n));
    }
    return slice_eq(pattern, segment);
}

/* Whether the segments fit the pattern's first n; *whole says that it has no more than these. */
static bool fits(const char *pattern, const struct slice *segments, size_t n, bool *whole)
{
    struct slice rest = slice_of(pattern);
    for (size_t i = 0; i < n; i++) {
        if (rest.p == NULL || !segment_fits(slice_cut(&rest, '/'), segments[i])) {
            return false;
        }
    }
    *whole = rest.p == NULL;
    return true;
}

static bool in_workspace(const struct slice *segments, size_t n)
{
    return n >= 2 && slice_eq(segments[0], SLICE("workspaces"));
}

bool artifact_classify(struct slice path, struct artifact_path *out)
{
    struct slice all[SEGMENTS_MAX], *s = all;
    size_t n = split(path, all);
    *out = (struct artifact_path){.workspace = SLICE_NONE};
    if (in_workspace(s, n)) {
        out->workspace = s[1];
        s += 2;
        n -= 2;
        if (n == 1 && slice_eq(s[0], SLICE("workspaceInformation.json"))) {
            out->kind = ARTIFACT_WORKSPACE;
            return true;
        }
    }
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(PATTERNS); i++) {
        bool whole = false;
        if (fits(PATTERNS[i].path, s, n, &whole) && whole) {
            out->kind = PATTERNS[i].kind;
            out->id = n > 1 ? s[1] : SLICE_NONE;
            out->item = n > 3 ? s[3] : SLICE_NONE;
            return true;
        }
    }
    return false;
}

bool artifact_is_folder(struct slice path)
{
    struct slice all[SEGMENTS_MAX], *s = all;
    size_t n = split(path, all);
    if (n > 0 && slice_eq(s[0], SLICE("workspaces"))) {
        if (n <= 2) {
            return true;
        }
        s += 2;
        n -= 2;
    }
    for (size_t i = 0; n > 0 && i < ARRAY_LEN(PATTERNS); i++) {
        bool whole = false;
        if (fits(PATTERNS[i].path, s, n, &whole) && !whole) {
            return true;
        }
    }
    return false;
}

bool artifact_is_policy(enum artifact_kind kind)
{
    return kind == ARTIFACT_POLICY || kind == ARTIFACT_API_POLICY || kind == ARTIFACT_OPERATION_POLICY ||
           kind == ARTIFACT_PRODUCT_POLICY || kind == ARTIFACT_FRAGMENT_POLICY;
}

struct artifact *artifact_ref(struct artifact *a)
{
    a->refs++;
    return a;
}

void artifact_unref(struct artifact **a)
{
    if (*a != NULL && --(*a)->refs == 0) {
        struct arena *arena = (*a)->arena;
        artifact_unref(&(*a)->kept); /* has none itself */
        arena_destroy(&arena);
    }
    *a = NULL;
}

/* Overrides' name of each kind's section. */
static const char *section_of(enum artifact_kind kind)
{
    switch (kind) {
    case ARTIFACT_API:
    case ARTIFACT_SPECIFICATION:
    case ARTIFACT_API_POLICY:
    case ARTIFACT_OPERATION_POLICY:
    case ARTIFACT_API_DIAGNOSTIC:
    case ARTIFACT_RELEASE:
        return "apis";
    case ARTIFACT_VERSION_SET:
        return "versionsets";
    case ARTIFACT_PRODUCT:
    case ARTIFACT_PRODUCT_POLICY:
    case ARTIFACT_PRODUCT_API:
    case ARTIFACT_PRODUCT_APIS:
        return "products";
    case ARTIFACT_SUBSCRIPTION:
        return "subscriptions";
    case ARTIFACT_BACKEND:
        return "backends";
    case ARTIFACT_NAMED_VALUE:
        return "namedvalues";
    case ARTIFACT_FRAGMENT:
    case ARTIFACT_FRAGMENT_POLICY:
        return "policyfragments";
    case ARTIFACT_GATEWAY:
    case ARTIFACT_GATEWAY_API:
    case ARTIFACT_GATEWAY_APIS:
        return "gateways";
    case ARTIFACT_DIAGNOSTIC:
        return "diagnostics";
    case ARTIFACT_GROUP:
        return "groups";
    case ARTIFACT_LOGGER:
        return "loggers";
    case ARTIFACT_TAG:
        return "tags";
    case ARTIFACT_POLICY:
    case ARTIFACT_WORKSPACE:
    case ARTIFACT_OTHER:
        return "";
    }
    return "";
}

static void add_lower(struct strbuf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        strbuf_add_char(out, ascii_lower(*text));
    }
}

void artifact_override_path(const struct artifact *a, struct strbuf *out)
{
    if (*a->workspace != '\0') {
        strbuf_add_str(out, "workspaces/");
        add_lower(out, a->workspace);
        strbuf_add_str(out, a->kind == ARTIFACT_WORKSPACE ? "" : "/");
    }
    const char *section = section_of(a->kind);
    if (*section != '\0') {
        strbuf_printf(out, "%s/", section);
        add_lower(out, a->id);
    }
    if (a->kind == ARTIFACT_OPERATION_POLICY) {
        strbuf_add_str(out, "/operations/");
        add_lower(out, a->item);
    } else if (a->kind == ARTIFACT_API_DIAGNOSTIC) {
        strbuf_add_str(out, "/diagnostics/");
        add_lower(out, a->item);
    }
    if (artifact_is_policy(a->kind) && a->kind != ARTIFACT_FRAGMENT_POLICY) {
        strbuf_add_str(out, a->kind == ARTIFACT_POLICY ? "policies/policy" : "/policies/policy");
    }
}

bool artifact_is_secret(const struct artifact *a)
{
    const struct doc *p = doc_get(a->doc, "properties");
    bool secret = false;
    switch ((int)a->kind) {
    case ARTIFACT_SUBSCRIPTION:
        return doc_get(p, "primaryKey") != NULL || doc_get(p, "secondaryKey") != NULL;
    case ARTIFACT_NAMED_VALUE:
        return doc_bool(doc_get(p, "secret"), &secret) && secret && doc_get(p, "value") != NULL;
    case ARTIFACT_BACKEND:
        return doc_get(p, "credentials") != NULL || doc_get(p, "proxy") != NULL;
    default:
        return false;
    }
}
