// rooms: xds/policy proto base/doc base
/*
 * A policy document as anyone may commit it: compiled with named values and a fragment that is the document itself, its
 * messages packed, and linked with itself as a wider scope.
 */
#include <assert.h>
#include <stdint.h>

#include "base/mem.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "xds/policy/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *find_value(void *ctx, struct slice name, struct slice *value, const char **secret)
{
    (void)ctx;
    if (name.n == 1 && name.p[0] == 's') {
        *secret = "namedvalues/s";
        return NULL;
    }
    *value = name.n > 1 && name.p[0] == 'e' ? SLICE("@(1)") : SLICE("v<{{x}}&");
    return name.n == 0 ? "no name" : NULL;
}

static const char *find_fragment(void *ctx, struct slice id, struct slice *text, const char **file)
{
    const struct slice *document = ctx;
    *text = id.n % 2 == 0 ? *document : SLICE("<fragment><set-method>GET</set-method></fragment>");
    *file = "fragment";
    return NULL;
}

static void pack(const struct policy_program *p)
{
    for (int s = 0; s < POLICY_SECTIONS; s++) {
        for (size_t i = 0; i < p->sections[s].n; i++) {
            const struct policy_instruction *in = &p->sections[s].items[i];
            assert(in->line > 0);
            assert(in->op != POLICY_CLOSED || in->reason != NULL);
            if (in->message != NULL) {
                uint8_t *bytes = mem_alloc(protobuf_c_message_get_packed_size(&in->message->base) + 1);
                protobuf_c_message_pack(&in->message->base, bytes);
                mem_free(bytes);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice document = slice_make(data, size);
    struct policy_sources sources = {find_value, find_fragment, &document};
    struct policy_program *p = policy_compile(document, &sources, POLICY_LIMITS_DEFAULT);
    const struct policy_program *scopes[] = {p, NULL, p};
    struct policy_effect effect;
    pack(p);
    policy_link(scopes, 3, &effect);
    assert((effect.closed == NULL) == (effect.reason == NULL));
    policy_destroy(&p);
    return 0;
}
