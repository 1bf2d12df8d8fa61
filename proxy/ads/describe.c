/* The state of the client as JSON, for the admin interface and egretctl. */
#include "base/clock.h"
#include "proxy/ads/internal.h"

static void add_text(struct strbuf *json, const char *name, const char *text)
{
    strbuf_printf(json, ",\"%s\":", name);
    if (text == NULL) {
        strbuf_add_str(json, "null");
    } else {
        strbuf_add_json(json, slice_of(text));
    }
}

static void add_time(struct strbuf *json, const char *name, int64_t wall_us)
{
    char text[32];
    if (wall_us != 0) {
        clock_format_iso(wall_us, text);
    }
    add_text(json, name, wall_us == 0 ? NULL : text);
}

static void describe_type(const struct ads *a, size_t i, struct strbuf *json)
{
    const struct ads_type *t = &a->types[i];
    strbuf_add_str(json, "{\"type_url\":");
    strbuf_add_json(json, ads_session_type_url(a->session, i));
    strbuf_add_str(json, ",\"version\":");
    strbuf_add_json(json, ads_session_version(a->session, i));
    strbuf_printf(json, ",\"names\":%zu,\"accepted\":%llu,\"refused\":%llu", ads_session_name_count(a->session, i),
                  (unsigned long long)t->accepted, (unsigned long long)t->refused);
    add_time(json, "last_update", t->last_update_us);
    add_text(json, "last_refusal", t->refusal);
    add_time(json, "last_refusal_at", t->last_refusal_us);
    strbuf_add_char(json, '}');
}

void ads_describe(const struct ads *a, struct strbuf *json)
{
    static const char *const states[] = {
        [ADS_WAITING] = "WAITING", [ADS_ACQUIRING] = "CONNECTING", [ADS_STREAMING] = "STREAMING"};
    strbuf_add_str(json, "{\"cluster\":");
    strbuf_add_json(json, a->config.cluster);
    strbuf_printf(json, ",\"protocol\":\"%s\",\"connected\":%s,\"state\":\"%s\",\"streams\":%llu",
                  a->config.delta ? "delta" : "state of the world", ads_is_connected(a) ? "true" : "false",
                  states[a->state], (unsigned long long)a->streams);
    add_text(json, "control_plane", a->control_plane);
    add_time(json, "connected_since", ads_is_connected(a) ? a->connected_since_us : 0);
    add_text(json, "last_error", a->last_error);
    add_time(json, "last_error_at", a->last_error == NULL ? 0 : a->last_error_us);
    strbuf_add_str(json, ",\"types\":[");
    for (size_t i = 0; i < ads_session_types(a->session); i++) {
        if (i > 0) {
            strbuf_add_char(json, ',');
        }
        describe_type(a, i, json);
    }
    strbuf_add_str(json, "]}");
}
