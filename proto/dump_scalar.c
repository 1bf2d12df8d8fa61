#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"
#include "base/macros.h"
#include "proto/dump_internal.h"

static const char redacted[] = "\"[redacted]\"";

bool dump_is_place(const ProtobufCFieldDescriptor *f)
{
    static const char *const places[] = {"filename", "environment_variable", "watched_directory"};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        if (strcmp(f->name, places[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_credential_header(const ProtobufCMessage *m)
{
    static const char *const names[] = {
        "authorization",   "proxy-authorization",      "cookie", "set-cookie", "x-api-key", "api-key",
        "x-functions-key", "ocp-apim-subscription-key"};
    struct slice key = slice_of(*(const char *const *)field_at(m, &m->descriptor->fields[0]));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (slice_eq_nocase(key, slice_of(names[i]))) {
            return true;
        }
    }
    return false;
}

bool dump_is_secret(const ProtobufCMessage *m, const ProtobufCFieldDescriptor *f)
{
    static const struct {
        const char *message, *field;
    } secrets[] = {
        {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "private_key"},
        {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "password"},
        {"envoy.extensions.transport_sockets.tls.v3.TlsCertificate", "pkcs12"},
        {"envoy.extensions.transport_sockets.tls.v3.TlsSessionTicketKeys", "keys"},
        {"envoy.extensions.transport_sockets.tls.v3.GenericSecret", "secret"},
        {"envoy.extensions.transport_sockets.tls.v3.GenericSecret", "secrets"},
        {"envoy.extensions.filters.http.api_key_auth.v3.Credential", "key"},
        {"envoy.extensions.filters.http.basic_auth.v3.BasicAuth", "users"},
        {"envoy.extensions.filters.http.basic_auth.v3.BasicAuthPerRoute", "users"},
        {"egret.apim.v1.KeyMac", "mac"},
        {"egret.apim.v1.NamedValue", "value"},
    };
    for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
        if (strcmp(f->name, secrets[i].field) == 0 && message_is(m->descriptor, secrets[i].message)) {
            return true;
        }
    }
    return message_is(m->descriptor, "envoy.config.core.v3.HeaderValue") && strcmp(f->name, "key") != 0 &&
           is_credential_header(m);
}

static void dump_double(struct dumping *d, double value, int digits)
{
    if (!isfinite(value)) {
        strbuf_add_str(d->out, isnan(value) ? "\"NaN\"" : value < 0 ? "\"-Infinity\"" : "\"Infinity\"");
        return;
    }
    char text[40];
    for (;; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (digits >= 17 || !(back < value || back > value)) {
            break;
        }
    }
    strbuf_add_str(d->out, text);
}

static void dump_bytes(struct dumping *d, const ProtobufCBinaryData *bytes)
{
    if (d->redact) {
        strbuf_add_str(d->out, redacted);
        return;
    }
    strbuf_add_char(d->out, '"');
    base64_encode(slice_make(bytes->data, bytes->len), d->out);
    strbuf_add_char(d->out, '"');
}

static void dump_enum(struct dumping *d, const ProtobufCEnumDescriptor *type, int number)
{
    const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(type, number);
    if (value == NULL) {
        strbuf_printf(d->out, "%d", number);
    } else {
        strbuf_add_json(d->out, slice_of(value->name));
    }
}

void dump_scalar(struct dumping *d, const ProtobufCFieldDescriptor *f, const void *value)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        strbuf_printf(d->out, "%d", *(const int32_t *)value);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        strbuf_printf(d->out, "%u", *(const uint32_t *)value);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        strbuf_printf(d->out, "\"%lld\"", (long long)*(const int64_t *)value);
        return;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        strbuf_printf(d->out, "\"%llu\"", (unsigned long long)*(const uint64_t *)value);
        return;
    case PROTOBUF_C_TYPE_FLOAT:
        dump_double(d, (double)*(const float *)value, 6);
        return;
    case PROTOBUF_C_TYPE_DOUBLE:
        dump_double(d, *(const double *)value, 15);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        strbuf_add_str(d->out, *(const protobuf_c_boolean *)value ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        dump_enum(d, f->descriptor, *(const int32_t *)value);
        return;
    case PROTOBUF_C_TYPE_STRING:
        if (d->redact) {
            strbuf_add_str(d->out, redacted);
        } else {
            strbuf_add_json(d->out, slice_of(*(const char *const *)value));
        }
        return;
    case PROTOBUF_C_TYPE_BYTES:
        dump_bytes(d, value);
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        return;
    }
}
