#include "xds/server/envelope.h"

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

/* From here on a resource is referred to; smaller ones are cheaper to copy than to keep a slice for. */
enum { SHARE_FROM = 2048 };

/* Tags of length-delimited fields: field number << 3 | 2. */
enum {
    RESPONSE_VERSION = 0x0a,
    RESPONSE_RESOURCES = 0x12,
    RESPONSE_TYPE_URL = 0x22,
    RESPONSE_NONCE = 0x2a,
    RESPONSE_CONTROL_PLANE = 0x32,
    ANY_TYPE_URL = 0x0a,
    ANY_VALUE = 0x12,
    CONTROL_PLANE_IDENTIFIER = 0x0a,
    DELTA_VERSION = 0x0a,
    DELTA_RESOURCES = 0x12,
    DELTA_TYPE_URL = 0x22,
    DELTA_NONCE = 0x2a,
    DELTA_REMOVED = 0x32,
    DELTA_CONTROL_PLANE = 0x3a,
    RESOURCE_VERSION = 0x0a,
    RESOURCE_CONTENT = 0x12,
    RESOURCE_NAME = 0x1a,
};

struct writer {
    struct strbuf open; /* bytes not yet in a slice */
    grpc_slice *slices;
    size_t n, cap;
};

static size_t varint_size(size_t v)
{
    size_t n = 1;
    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static void put_varint(struct writer *w, size_t v)
{
    while (v >= 0x80) {
        strbuf_add_char(&w->open, (char)((v & 0x7f) | 0x80));
        v >>= 7;
    }
    strbuf_add_char(&w->open, (char)v);
}

static void put_field(struct writer *w, unsigned char tag, struct slice value)
{
    strbuf_add_char(&w->open, (char)tag);
    put_varint(w, value.n);
    strbuf_add(&w->open, value);
}

static void put_slice(struct writer *w, grpc_slice slice)
{
    if (w->n == w->cap) {
        w->cap = w->cap == 0 ? 8 : w->cap * 2;
        w->slices = mem_resize(w->slices, w->cap * sizeof w->slices[0]);
    }
    w->slices[w->n++] = slice;
}

static void close_open(struct writer *w)
{
    if (w->open.n > 0) {
        size_t n = w->open.n;
        char *bytes = strbuf_take(&w->open);
        put_slice(w, grpc_slice_new_with_user_data(bytes, n, mem_free, bytes));
    }
}

static void unref_resource(void *resource)
{
    resource_unref(resource);
}

static size_t field_size(size_t n)
{
    return 1 + varint_size(n) + n;
}

/* An Any under this tag. */
static void put_any(struct writer *w, unsigned char tag, struct slice type_url, struct resource *r)
{
    struct slice bytes = resource_bytes(r);
    strbuf_add_char(&w->open, (char)tag);
    put_varint(w, field_size(type_url.n) + field_size(bytes.n));
    put_field(w, ANY_TYPE_URL, type_url);
    strbuf_add_char(&w->open, ANY_VALUE);
    put_varint(w, bytes.n);
    if (bytes.n < SHARE_FROM) {
        strbuf_add(&w->open, bytes);
        return;
    }
    close_open(w);
    char *p;
    memcpy(&p, &bytes.p, sizeof p); /* gRPC takes a plain pointer, and only reads */
    put_slice(w, grpc_slice_new_with_user_data(p, bytes.n, unref_resource, resource_ref(r)));
}

static void put_versioned(struct writer *w, struct slice type_url, struct resource *r)
{
    char text[RESOURCE_VERSION_BYTES];
    resource_version(r, text);
    struct slice name = resource_get_name(r), version = slice_of(text);
    size_t any = field_size(type_url.n) + field_size(resource_bytes(r).n);
    strbuf_add_char(&w->open, DELTA_RESOURCES);
    put_varint(w, field_size(version.n) + field_size(name.n) + field_size(any));
    put_field(w, RESOURCE_VERSION, version);
    put_field(w, RESOURCE_NAME, name);
    put_any(w, RESOURCE_CONTENT, type_url, r);
}

static void put_control_plane(struct writer *w, unsigned char tag, const char *identifier)
{
    struct slice id = slice_of(identifier);
    strbuf_add_char(&w->open, (char)tag);
    put_varint(w, field_size(id.n));
    put_field(w, CONTROL_PLANE_IDENTIFIER, id);
}

static grpc_byte_buffer *finish(struct writer *w)
{
    close_open(w);
    grpc_byte_buffer *out = grpc_raw_byte_buffer_create(w->slices, w->n);
    for (size_t i = 0; i < w->n; i++) {
        grpc_slice_unref(w->slices[i]); /* the buffer holds its own references */
    }
    mem_free(w->slices);
    return out;
}

grpc_byte_buffer *envelope_create(const struct session_response *response, const char *identifier)
{
    struct writer w = {0};
    struct slice type_url = slice_of(xds_type_url(response->type));
    put_field(&w, RESPONSE_VERSION, slice_of(response->version));
    for (size_t i = 0; i < resource_list_count(response->resources); i++) {
        put_any(&w, RESPONSE_RESOURCES, type_url, resource_list_at(response->resources, i));
    }
    put_field(&w, RESPONSE_TYPE_URL, type_url);
    put_field(&w, RESPONSE_NONCE, slice_of(response->nonce));
    put_control_plane(&w, RESPONSE_CONTROL_PLANE, identifier);
    return finish(&w);
}

grpc_byte_buffer *envelope_create_delta(const struct session_response *response, const char *identifier)
{
    struct writer w = {0};
    struct slice type_url = slice_of(xds_type_url(response->type));
    put_field(&w, DELTA_VERSION, slice_of(response->version));
    for (size_t i = 0; i < resource_list_count(response->resources); i++) {
        put_versioned(&w, type_url, resource_list_at(response->resources, i));
    }
    put_field(&w, DELTA_TYPE_URL, type_url);
    put_field(&w, DELTA_NONCE, slice_of(response->nonce));
    for (size_t i = 0; i < resource_list_count(response->removed); i++) {
        put_field(&w, DELTA_REMOVED, resource_get_name(resource_list_at(response->removed, i)));
    }
    put_control_plane(&w, DELTA_CONTROL_PLANE, identifier);
    return finish(&w);
}
