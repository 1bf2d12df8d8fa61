#include "proto/registry.h"

#include <string.h>

#include "base/macros.h"
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "pb/egret/config/v1/access_log.pb-c.h"
#include "pb/egret/config/v1/limits.pb-c.h"
#include "pb/egret/control/v1/config.pb-c.h"
#include "pb/envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "pb/envoy/config/cluster/v3/cluster.pb-c.h"
#include "pb/envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "pb/envoy/config/listener/v3/listener.pb-c.h"
#include "pb/envoy/config/route/v3/route.pb-c.h"
#include "pb/envoy/config/route/v3/route_components.pb-c.h"
#include "pb/envoy/extensions/access_loggers/file/v3/file.pb-c.h"
#include "pb/envoy/extensions/access_loggers/stream/v3/stream.pb-c.h"
#include "pb/envoy/extensions/bootstrap/internal_listener/v3/internal_listener.pb-c.h"
#include "pb/envoy/extensions/clusters/dns/v3/dns_cluster.pb-c.h"
#include "pb/envoy/extensions/filters/http/api_key_auth/v3/api_key_auth.pb-c.h"
#include "pb/envoy/extensions/filters/http/basic_auth/v3/basic_auth.pb-c.h"
#include "pb/envoy/extensions/filters/http/buffer/v3/buffer.pb-c.h"
#include "pb/envoy/extensions/filters/http/cors/v3/cors.pb-c.h"
#include "pb/envoy/extensions/filters/http/header_mutation/v3/header_mutation.pb-c.h"
#include "pb/envoy/extensions/filters/http/health_check/v3/health_check.pb-c.h"
#include "pb/envoy/extensions/filters/http/jwt_authn/v3/config.pb-c.h"
#include "pb/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit.pb-c.h"
#include "pb/envoy/extensions/filters/http/rbac/v3/rbac.pb-c.h"
#include "pb/envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "pb/envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb-c.h"
#include "pb/envoy/extensions/filters/listener/original_dst/v3/original_dst.pb-c.h"
#include "pb/envoy/extensions/filters/listener/proxy_protocol/v3/proxy_protocol.pb-c.h"
#include "pb/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb-c.h"
#include "pb/envoy/extensions/filters/network/direct_response/v3/config.pb-c.h"
#include "pb/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "pb/envoy/extensions/filters/network/local_ratelimit/v3/local_rate_limit.pb-c.h"
#include "pb/envoy/extensions/filters/network/rbac/v3/rbac.pb-c.h"
#include "pb/envoy/extensions/filters/network/sni_cluster/v3/sni_cluster.pb-c.h"
#include "pb/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/least_request/v3/least_request.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/maglev/v3/maglev.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/pick_first/v3/pick_first.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/random/v3/random.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/ring_hash/v3/ring_hash.pb-c.h"
#include "pb/envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.pb-c.h"
#include "pb/envoy/extensions/request_id/uuid/v3/uuid.pb-c.h"
#include "pb/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/internal_upstream/v3/internal_upstream.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/proxy_protocol/v3/upstream_proxy_protocol.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/tls/v3/secret.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h"
#include "pb/envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"
#include "pb/google/protobuf/any.pb-c.h"
#include "pb/google/protobuf/duration.pb-c.h"
#include "pb/google/protobuf/empty.pb-c.h"
#include "pb/google/protobuf/struct.pb-c.h"
#include "pb/google/protobuf/timestamp.pb-c.h"
#include "pb/google/protobuf/wrappers.pb-c.h"
#include "pb/google/rpc/status.pb-c.h"
#include "pb/udpa/type/v1/typed_struct.pb-c.h"
#include "pb/xds/type/v3/typed_struct.pb-c.h"

static const ProtobufCMessageDescriptor *const roots[] = {
    &envoy__config__bootstrap__v3__bootstrap__descriptor,
    &envoy__config__listener__v3__listener__descriptor,
    &envoy__config__route__v3__route_configuration__descriptor,
    &envoy__config__route__v3__virtual_host__descriptor,
    &envoy__config__route__v3__filter_config__descriptor,
    &envoy__config__cluster__v3__cluster__descriptor,
    &envoy__config__endpoint__v3__cluster_load_assignment__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__secret__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__upstream_tls_context__descriptor,
    &envoy__extensions__transport_sockets__tls__v3__downstream_tls_context__descriptor,
    &envoy__service__discovery__v3__discovery_request__descriptor,
    &envoy__service__discovery__v3__discovery_response__descriptor,
    &envoy__service__discovery__v3__delta_discovery_request__descriptor,
    &envoy__service__discovery__v3__delta_discovery_response__descriptor,
    &envoy__service__discovery__v3__resource__descriptor,
    &envoy__extensions__access_loggers__file__v3__file_access_log__descriptor,
    &envoy__extensions__access_loggers__stream__v3__stdout_access_log__descriptor,
    &envoy__extensions__access_loggers__stream__v3__stderr_access_log__descriptor,
    &envoy__extensions__bootstrap__internal_listener__v3__internal_listener__descriptor,
    &envoy__extensions__clusters__dns__v3__dns_cluster__descriptor,
    &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth__descriptor,
    &envoy__extensions__filters__http__api_key_auth__v3__api_key_auth_per_route__descriptor,
    &envoy__extensions__filters__http__basic_auth__v3__basic_auth__descriptor,
    &envoy__extensions__filters__http__basic_auth__v3__basic_auth_per_route__descriptor,
    &envoy__extensions__filters__http__buffer__v3__buffer__descriptor,
    &envoy__extensions__filters__http__buffer__v3__buffer_per_route__descriptor,
    &envoy__extensions__filters__http__cors__v3__cors__descriptor,
    &envoy__extensions__filters__http__cors__v3__cors_policy__descriptor,
    &envoy__extensions__filters__http__header_mutation__v3__header_mutation_per_route__descriptor,
    &envoy__extensions__filters__http__header_mutation__v3__header_mutation__descriptor,
    &envoy__extensions__filters__http__health_check__v3__health_check__descriptor,
    &envoy__extensions__filters__http__jwt_authn__v3__jwt_authentication__descriptor,
    &envoy__extensions__filters__http__jwt_authn__v3__per_route_config__descriptor,
    &envoy__extensions__filters__http__local_ratelimit__v3__local_rate_limit__descriptor,
    &envoy__extensions__filters__http__rbac__v3__rbac__descriptor,
    &envoy__extensions__filters__http__rbac__v3__rbacper_route__descriptor,
    &envoy__extensions__filters__http__router__v3__router__descriptor,
    &envoy__extensions__filters__listener__http_inspector__v3__http_inspector__descriptor,
    &envoy__extensions__filters__listener__original_dst__v3__original_dst__descriptor,
    &envoy__extensions__filters__listener__proxy_protocol__v3__proxy_protocol__descriptor,
    &envoy__extensions__filters__listener__tls_inspector__v3__tls_inspector__descriptor,
    &envoy__extensions__filters__network__direct_response__v3__config__descriptor,
    &envoy__extensions__filters__network__http_connection_manager__v3__http_connection_manager__descriptor,
    &envoy__extensions__filters__network__local_ratelimit__v3__local_rate_limit__descriptor,
    &envoy__extensions__filters__network__rbac__v3__rbac__descriptor,
    &envoy__extensions__filters__network__sni_cluster__v3__sni_cluster__descriptor,
    &envoy__extensions__filters__network__tcp_proxy__v3__tcp_proxy__descriptor,
    &envoy__extensions__load_balancing_policies__least_request__v3__least_request__descriptor,
    &envoy__extensions__load_balancing_policies__maglev__v3__maglev__descriptor,
    &envoy__extensions__load_balancing_policies__pick_first__v3__pick_first__descriptor,
    &envoy__extensions__load_balancing_policies__random__v3__random__descriptor,
    &envoy__extensions__load_balancing_policies__ring_hash__v3__ring_hash__descriptor,
    &envoy__extensions__load_balancing_policies__round_robin__v3__round_robin__descriptor,
    &envoy__extensions__request_id__uuid__v3__uuid_request_id_config__descriptor,
    &envoy__extensions__retry__host__previous_hosts__v3__previous_hosts_predicate__descriptor,
    &envoy__extensions__transport_sockets__internal_upstream__v3__internal_upstream_transport__descriptor,
    &envoy__extensions__transport_sockets__proxy_protocol__v3__proxy_protocol_upstream_transport__descriptor,
    &envoy__extensions__transport_sockets__raw_buffer__v3__raw_buffer__descriptor,
    &envoy__extensions__upstreams__http__v3__http_protocol_options__descriptor,
    &xds__type__v3__typed_struct__descriptor,
    &udpa__type__v1__typed_struct__descriptor,
    &google__protobuf__any__descriptor,
    &google__protobuf__duration__descriptor,
    &google__protobuf__empty__descriptor,
    &google__protobuf__struct__descriptor,
    &google__protobuf__value__descriptor,
    &google__protobuf__timestamp__descriptor,
    &google__protobuf__double_value__descriptor,
    &google__protobuf__float_value__descriptor,
    &google__protobuf__int64_value__descriptor,
    &google__protobuf__uint64_value__descriptor,
    &google__protobuf__int32_value__descriptor,
    &google__protobuf__uint32_value__descriptor,
    &google__protobuf__bool_value__descriptor,
    &google__protobuf__string_value__descriptor,
    &google__protobuf__bytes_value__descriptor,
    &google__rpc__status__descriptor,
    &egret__apim__v1__api__descriptor,
    &egret__apim__v1__product__descriptor,
    &egret__apim__v1__subscription__descriptor,
    &egret__apim__v1__backend__descriptor,
    &egret__apim__v1__policy_program__descriptor,
    &egret__apim__v1__api_table__descriptor,
    &egret__apim__v1__apim_filter__descriptor,
    &egret__config__v1__gateway_logs__descriptor,
    &egret__config__v1__limits__descriptor,
    &egret__control__v1__config__descriptor,
};

const ProtobufCMessageDescriptor *registry_at(size_t i)
{
    return i < ARRAY_LEN(roots) ? roots[i] : NULL;
}

const ProtobufCMessageDescriptor *registry_find_name(struct slice full_name)
{
    for (size_t i = 0; i < ARRAY_LEN(roots); i++) {
        if (strncmp(roots[i]->name, full_name.p, full_name.n) == 0 && roots[i]->name[full_name.n] == '\0') {
            return roots[i];
        }
    }
    return NULL;
}

const ProtobufCMessageDescriptor *registry_find(struct slice type_url)
{
    size_t name = type_url.n;
    while (name > 0 && type_url.p[name - 1] != '/') {
        name--;
    }
    return name == 0 || name == type_url.n ? NULL : registry_find_name(slice_from(type_url, name));
}
