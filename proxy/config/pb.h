/*
 * Short names for protobuf-c's generated types, as this room uses many of them (the one place with typedefs: the
 * generated code has them anyway). An enum's values keep their generated names where they are used.
 */
#pragma once
#include "pb/egret/apim/v1/apim.pb-c.h"
#include "pb/egret/config/v1/limits.pb-c.h"
#include "pb/envoy/config/bootstrap/v3/bootstrap.pb-c.h"
#include "pb/envoy/config/cluster/v3/cluster.pb-c.h"
#include "pb/envoy/config/endpoint/v3/endpoint.pb-c.h"
#include "pb/envoy/config/listener/v3/listener.pb-c.h"
#include "pb/envoy/config/route/v3/route.pb-c.h"
#include "pb/envoy/extensions/bootstrap/internal_listener/v3/internal_listener.pb-c.h"
#include "pb/envoy/extensions/filters/http/router/v3/router.pb-c.h"
#include "pb/envoy/extensions/filters/listener/http_inspector/v3/http_inspector.pb-c.h"
#include "pb/envoy/extensions/filters/listener/original_dst/v3/original_dst.pb-c.h"
#include "pb/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector.pb-c.h"
#include "pb/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb-c.h"
#include "pb/envoy/extensions/filters/network/tcp_proxy/v3/tcp_proxy.pb-c.h"
#include "pb/envoy/extensions/retry/host/previous_hosts/v3/previous_hosts.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/raw_buffer/v3/raw_buffer.pb-c.h"
#include "pb/envoy/extensions/transport_sockets/tls/v3/tls.pb-c.h"
#include "pb/envoy/extensions/upstreams/http/v3/http_protocol_options.pb-c.h"
#include "pb/envoy/service/discovery/v3/discovery.pb-c.h"

typedef ProtobufCMessage pb_message;
typedef ProtobufCMessageDescriptor pb_type;
typedef Google__Protobuf__Any pb_any;
typedef Google__Protobuf__Duration pb_duration;
typedef Google__Protobuf__UInt32Value pb_u32;
typedef Google__Protobuf__BoolValue pb_bool;

typedef Envoy__Config__Bootstrap__V3__Bootstrap pb_bootstrap;
typedef Envoy__Config__Core__V3__Node pb_node;
typedef Envoy__Config__Core__V3__ConfigSource pb_config_source;
typedef Envoy__Config__Core__V3__ApiConfigSource pb_api_source;
typedef Envoy__Config__Core__V3__TypedExtensionConfig pb_extension;
typedef Envoy__Config__Core__V3__Address pb_address;
typedef Envoy__Config__Core__V3__SocketAddress pb_socket_address;
typedef Envoy__Config__Core__V3__CidrRange pb_cidr;
typedef Envoy__Config__Core__V3__BindConfig pb_bind;
typedef Envoy__Config__Core__V3__TcpKeepalive pb_keepalive;
typedef Envoy__Config__Core__V3__DataSource pb_data;
typedef Envoy__Config__Core__V3__TransportSocket pb_socket;
typedef Envoy__Config__Core__V3__HeaderValueOption pb_header_option;
typedef Envoy__Config__Core__V3__HttpProtocolOptions pb_http_options;
typedef Envoy__Config__Core__V3__Http1ProtocolOptions pb_http1_options;
typedef Envoy__Config__Core__V3__Http2ProtocolOptions pb_http2_options;
typedef Envoy__Config__Core__V3__UpstreamHttpProtocolOptions pb_upstream_options;
typedef Envoy__Extensions__Upstreams__Http__V3__HttpProtocolOptions pb_protocol_options;

typedef Envoy__Config__Cluster__V3__Cluster pb_cluster;
typedef Envoy__Config__Cluster__V3__CircuitBreakers__Thresholds pb_thresholds;
typedef Envoy__Config__Endpoint__V3__ClusterLoadAssignment pb_assignment;
typedef Envoy__Config__Endpoint__V3__LbEndpoint pb_endpoint;
typedef Envoy__Config__Endpoint__V3__LocalityLbEndpoints pb_locality;

typedef Envoy__Config__Listener__V3__Listener pb_listener;
typedef Envoy__Config__Listener__V3__FilterChain pb_chain;
typedef Envoy__Config__Listener__V3__FilterChainMatch pb_chain_match;
typedef Envoy__Config__Listener__V3__ListenerFilter pb_listener_filter;
typedef Envoy__Config__Accesslog__V3__AccessLog pb_access_log;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpConnectionManager pb_hcm;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__HttpFilter pb_http_filter;
typedef Envoy__Extensions__Filters__Network__HttpConnectionManager__V3__Rds pb_rds;
typedef Envoy__Extensions__Filters__Http__Router__V3__Router pb_router;
typedef Envoy__Extensions__Filters__Network__TcpProxy__V3__TcpProxy pb_tcp_proxy;

typedef Envoy__Config__Route__V3__RouteConfiguration pb_routes;
typedef Envoy__Config__Route__V3__VirtualHost pb_vhost;
typedef Envoy__Config__Route__V3__Route pb_route;
typedef Envoy__Config__Route__V3__RouteMatch pb_route_match;
typedef Envoy__Config__Route__V3__RouteAction pb_route_action;
typedef Envoy__Config__Route__V3__WeightedCluster pb_weighted;
typedef Envoy__Config__Route__V3__WeightedCluster__ClusterWeight pb_cluster_weight;
typedef Envoy__Config__Route__V3__RetryPolicy pb_retry;
typedef Envoy__Config__Route__V3__RedirectAction pb_redirect;
typedef Envoy__Config__Route__V3__DirectResponseAction pb_direct;
typedef Envoy__Config__Route__V3__HeaderMatcher pb_header_match;
typedef Envoy__Config__Route__V3__QueryParameterMatcher pb_query_match;
typedef Envoy__Config__Route__V3__FilterConfig pb_filter_config;
typedef Envoy__Type__Matcher__V3__StringMatcher pb_string_match;
typedef Envoy__Type__Matcher__V3__RegexMatcher pb_regex;
typedef Envoy__Type__Matcher__V3__RegexMatchAndSubstitute pb_regex_rewrite;

typedef Envoy__Extensions__TransportSockets__Tls__V3__CommonTlsContext pb_tls_common;
typedef Envoy__Extensions__TransportSockets__Tls__V3__UpstreamTlsContext pb_tls_upstream;
typedef Envoy__Extensions__TransportSockets__Tls__V3__DownstreamTlsContext pb_tls_downstream;
typedef Envoy__Extensions__TransportSockets__Tls__V3__TlsCertificate pb_tls_certificate;
typedef Envoy__Extensions__TransportSockets__Tls__V3__CertificateValidationContext pb_validation;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SdsSecretConfig pb_sds;
typedef Envoy__Extensions__TransportSockets__Tls__V3__Secret pb_secret;
typedef Envoy__Extensions__TransportSockets__Tls__V3__SubjectAltNameMatcher pb_san_match;
