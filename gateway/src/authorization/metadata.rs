//! What this server is, for programs (RFC 8414).

use serde_json::json;

use super::{Answer, AuthorizationServer};

/// Where every issuer without a path has it (RFC 8414 §3).
pub const PATH: &str = "/.well-known/oauth-authorization-server";

impl AuthorizationServer {
    /// The metadata of one bank's authorization server.
    #[must_use]
    pub fn metadata(&self, codetab: &str) -> Answer {
        let settings = &self.settings;
        let (issuer, tpp) = (settings.issuer.of(codetab), settings.tpp_url.of(codetab));
        let paths = &settings.paths;
        let at = |path: &str| format!("{tpp}{path}");
        let scopes: Vec<&str> = settings.scopes.iter().map(|scope| scope.name()).collect();
        let endpoints = json!({
            "token_endpoint": at(&paths.token),
            "pushed_authorization_request_endpoint": at(&paths.par),
            "revocation_endpoint": at(&paths.revoke),
            "introspection_endpoint": at(&paths.introspect),
            "registration_endpoint": at(&paths.register),
        });
        let mut metadata = json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}{}", settings.authorize_path),
            "scopes_supported": scopes,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
            "token_endpoint_auth_methods_supported": ["tls_client_auth"],
            "revocation_endpoint_auth_methods_supported": ["tls_client_auth"],
            "introspection_endpoint_auth_methods_supported": ["tls_client_auth"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
            "require_pushed_authorization_requests": settings.par_required,
            "tls_client_certificate_bound_access_tokens": settings.bound_tokens,
            "ui_locales_supported": ["fr", "en"],
            "mtls_endpoint_aliases": endpoints,
        });
        if let (Some(metadata), Some(endpoints)) = (metadata.as_object_mut(), endpoints.as_object())
        {
            metadata.extend(endpoints.clone());
        }
        Answer::json(200, &metadata)
    }
}
