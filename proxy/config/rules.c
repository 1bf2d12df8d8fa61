#include "proxy/config/rules.h"

#include "base/macros.h"

#define ROUTE "envoy.config.route.v3."
#define CORE "envoy.config.core.v3."
#define LISTENER "envoy.config.listener.v3."
#define CLUSTER "envoy.config.cluster.v3."
#define ENDPOINT "envoy.config.endpoint.v3."
#define HCM "envoy.extensions.filters.network.http_connection_manager.v3."
#define TCP "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"
#define TLS "envoy.extensions.transport_sockets.tls.v3."
#define UPSTREAM "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

/*
 * A field stands here when a builder reads it and something of what it says is carried out (tests/check_fields.py looks
 * after that). What may be left out because it is harmless stands in proto/ignored.txt instead.
 */
static const struct support_rule rules[] = {
    {"envoy.config.accesslog.v3.AccessLog", "name typed_config"},
    {"envoy.config.bootstrap.v3.Bootstrap",
     "node static_resources dynamic_resources admin bootstrap_extensions"},
    {"envoy.config.bootstrap.v3.Bootstrap.StaticResources", "*"},
    {"envoy.config.bootstrap.v3.Bootstrap.DynamicResources", "lds_config cds_config ads_config"},
    {"envoy.config.bootstrap.v3.Admin", "address access_log_path"},

    {CORE "Node", "*"},
    {CORE "Locality", "*"},
    {CORE "BuildVersion", "*"},
    {CORE "Extension", "*"},
    {"envoy.type.v3.SemanticVersion", "*"},
    {CORE "Address", "*"},
    {CORE "SocketAddress", "protocol address port_value ipv4_compat"},
    {CORE "Pipe", "*"},
    {CORE "EnvoyInternalAddress", "server_listener_name"},
    {CORE "CidrRange", "*"},
    {CORE "TcpKeepalive", "*"},
    {CORE "BindConfig", "source_address freebind socket_options"},
    {CORE "SocketOption", "level name int_value"},
    {CORE "DataSource", "filename inline_bytes inline_string environment_variable"},
    {CORE "TransportSocket", "*"},
    {CORE "TypedExtensionConfig", "*"},
    {CORE "Metadata", "*"},
    {CORE "HeaderValue", "*"},
    {CORE "HeaderValueOption", "*"},
    {CORE "ConfigSource", "ads resource_api_version"},
    {CORE "ApiConfigSource", "api_type grpc_services transport_api_version"},
    {CORE "GrpcService", "envoy_grpc"},
    {CORE "GrpcService.EnvoyGrpc", "cluster_name"},
    {CORE "HttpProtocolOptions", "idle_timeout max_headers_count max_connection_duration max_stream_duration "
                                 "max_requests_per_connection max_response_headers_kb"},
    {CORE "Http1ProtocolOptions", "allow_absolute_url accept_http_10"},
    {CORE "Http2ProtocolOptions",
     "max_concurrent_streams initial_stream_window_size initial_connection_window_size allow_connect "
     "max_outbound_control_frames connection_keepalive"},
    {CORE "KeepaliveSettings", "interval timeout"},
    {CORE "UpstreamHttpProtocolOptions", "auto_sni auto_san_validation"},
    {"envoy.type.v3.Int64Range", "*"},
    {"envoy.type.matcher.v3.StringMatcher", "*"},
    {"envoy.type.matcher.v3.RegexMatcher", "regex"},
    {"envoy.type.matcher.v3.RegexMatchAndSubstitute", "*"},

    {CLUSTER "Cluster",
     "name type eds_cluster_config connect_timeout per_connection_buffer_limit_bytes lb_policy circuit_breakers "
     "dns_refresh_rate dns_lookup_family upstream_bind_config transport_socket alt_stat_name "
     "load_assignment typed_extension_protocol_options respect_dns_ttl upstream_connection_options "
     "http_protocol_options http2_protocol_options common_http_protocol_options upstream_http_protocol_options "
     "max_requests_per_connection load_balancing_policy"},
    {CLUSTER "Cluster.EdsClusterConfig", "*"},
    {CLUSTER "CircuitBreakers", "thresholds"},
    {CLUSTER "CircuitBreakers.Thresholds", "priority max_connections max_pending_requests max_requests max_retries"},
    {CLUSTER "UpstreamConnectionOptions", "tcp_keepalive"},
    {CLUSTER "LoadBalancingPolicy", "*"},
    {CLUSTER "LoadBalancingPolicy.Policy", "*"},
    {ENDPOINT "ClusterLoadAssignment", "cluster_name endpoints policy"},
    {ENDPOINT "ClusterLoadAssignment.Policy", "overprovisioning_factor"},
    {ENDPOINT "LocalityLbEndpoints", "lb_endpoints load_balancing_weight priority"},
    {ENDPOINT "LbEndpoint", "endpoint health_status load_balancing_weight"},
    {ENDPOINT "Endpoint", "address hostname"},

    {LISTENER "Listener",
     "name address filter_chains per_connection_buffer_limit_bytes listener_filters transparent freebind "
     "listener_filters_timeout continue_on_listener_filters_timeout tcp_backlog_size default_filter_chain "
     "bind_to_port internal_listener stat_prefix"},
    {LISTENER "FilterChain", "filter_chain_match filters transport_socket name transport_socket_connect_timeout"},
    {LISTENER "FilterChainMatch",
     "destination_port prefix_ranges server_names transport_protocol application_protocols source_type "
     "source_prefix_ranges source_ports direct_source_prefix_ranges"},
    {LISTENER "Filter", "*"},
    {LISTENER "ListenerFilter", "name typed_config"},

    {HCM "HttpConnectionManager",
     "codec_type stat_prefix rds route_config http_filters http_protocol_options http2_protocol_options server_name "
     "access_log use_remote_address generate_request_id forward_client_cert_details "
     "set_current_client_cert_details proxy_100_continue skip_xff_append via upgrade_configs "
     "stream_idle_timeout delayed_close_timeout request_timeout max_request_headers_kb normalize_path "
     "preserve_external_request_id merge_slashes server_header_transformation common_http_protocol_options "
     "always_set_request_id_in_response strip_matching_host_port request_headers_timeout strip_any_host_port "
     "path_with_escaped_slashes_action strip_trailing_host_dot"},
    {HCM "HttpConnectionManager.SetCurrentClientCertDetails", "subject dns uri"},
    {HCM "HttpConnectionManager.UpgradeConfig", "upgrade_type enabled"},
    {HCM "HttpFilter", "*"},
    {HCM "Rds", "*"},
    {"envoy.extensions.filters.http.router.v3.Router", "suppress_envoy_headers"},

    {TCP, "stat_prefix cluster weighted_clusters access_log max_connect_attempts idle_timeout tunneling_config "
          "max_downstream_connection_duration"},
    {TCP ".WeightedCluster", "*"},
    {TCP ".WeightedCluster.ClusterWeight", "name weight"},
    {TCP ".TunnelingConfig", "hostname headers_to_add"},

    {ROUTE "RouteConfiguration",
     "name virtual_hosts response_headers_to_add response_headers_to_remove request_headers_to_add "
     "request_headers_to_remove validate_clusters most_specific_header_mutations_wins "
     "max_direct_response_body_size_bytes ignore_port_in_host_matching typed_per_filter_config"},
    {ROUTE "VirtualHost", "name domains routes require_tls request_headers_to_add response_headers_to_add "
                          "response_headers_to_remove request_headers_to_remove typed_per_filter_config retry_policy"},
    {ROUTE "Route", "match route redirect direct_response request_headers_to_add response_headers_to_add "
                    "response_headers_to_remove request_headers_to_remove typed_per_filter_config name"},
    {ROUTE "WeightedCluster", "clusters total_weight"},
    {ROUTE "WeightedCluster.ClusterWeight",
     "name weight request_headers_to_add response_headers_to_add response_headers_to_remove "
     "request_headers_to_remove typed_per_filter_config host_rewrite_literal"},
    {ROUTE "RouteMatch", "prefix path safe_regex connect_matcher path_separated_prefix case_sensitive headers "
                         "query_parameters"},
    {ROUTE "RouteMatch.ConnectMatcher", "*"},
    {ROUTE "HeaderMatcher", "*"},
    {ROUTE "QueryParameterMatcher", "*"},
    {ROUTE "RouteAction",
     "cluster cluster_header weighted_clusters prefix_rewrite host_rewrite_literal auto_host_rewrite "
     "host_rewrite_header timeout retry_policy cluster_not_found_response_code "
     "idle_timeout upgrade_configs regex_rewrite max_stream_duration append_x_forwarded_host"},
    {ROUTE "RouteAction.UpgradeConfig", "*"},
    {ROUTE "RouteAction.MaxStreamDuration", "max_stream_duration"},
    {ROUTE "RetryPolicy", "retry_on num_retries per_try_timeout retry_host_predicate host_selection_retry_max_attempts "
                          "retriable_status_codes retry_back_off"},
    {ROUTE "RetryPolicy.RetryHostPredicate", "*"},
    {ROUTE "RetryPolicy.RetryBackOff", "*"},
    {ROUTE "RedirectAction", "*"},
    {ROUTE "DirectResponseAction", "status body"},
    {ROUTE "FilterConfig", "*"},

    {TLS "UpstreamTlsContext", "common_tls_context sni auto_sni_san_validation"},
    {TLS "DownstreamTlsContext", "common_tls_context require_client_certificate"},
    {TLS "CommonTlsContext",
     "tls_params tls_certificates validation_context validation_context_sds_secret_config combined_validation_context "
     "alpn_protocols tls_certificate_sds_secret_configs"},
    {TLS "CommonTlsContext.CombinedCertificateValidationContext", "*"},
    {TLS "TlsParameters", "tls_minimum_protocol_version tls_maximum_protocol_version cipher_suites ecdh_curves"},
    {TLS "TlsCertificate", "certificate_chain private_key"},
    {TLS "CertificateValidationContext", "trusted_ca match_typed_subject_alt_names match_subject_alt_names "
                                         "trust_chain_verification system_root_certs verify_certificate_hash "
                                         "verify_certificate_spki crl only_verify_leaf_cert_crl"},
    {TLS "CertificateValidationContext.SystemRootCerts", "*"},
    {TLS "SubjectAltNameMatcher", "san_type matcher"},
    {TLS "SdsSecretConfig", "*"},
    {TLS "Secret", "name tls_certificate validation_context generic_secret"},
    {TLS "GenericSecret", "secret"},

    {UPSTREAM, "common_http_protocol_options upstream_http_protocol_options explicit_http_config "
               "auto_config"},
    {UPSTREAM ".ExplicitHttpConfig", "*"},
    {UPSTREAM ".AutoHttpConfig", "*"},
};

struct support *rules_create(void)
{
    return support_create(rules, ARRAY_LEN(rules));
}
