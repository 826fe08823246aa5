//! TLS for HTTP and websocket alike: ring, and the certificates that the machine trusts.
//!
//! The configuration is handed on rather than installed process-wide, so that a daemon inside
//! another program neither needs nor disturbs that program's choice.

use std::sync::Arc;

use anyhow::Context;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use super::endpoint::Endpoint;

/// What both clients use for this server.
pub(crate) fn config(endpoint: &Endpoint) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("TLS cannot be set up")?;
    let builder = if endpoint.is_encrypted() {
        builder
            .with_platform_verifier()
            .context("this machine's trusted certificates cannot be read")?
    } else {
        // A container without certificates must still reach a plain server.
        builder.with_root_certificates(RootCertStore::empty())
    };
    Ok(builder.with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_server_needs_no_certificates_and_no_installed_provider() {
        let endpoint = Endpoint::parse("http://localhost:1").unwrap();
        let tls = config(&endpoint).unwrap();
        assert!(
            reqwest::Client::builder()
                .tls_backend_preconfigured(tls)
                .build()
                .is_ok()
        );
    }
}
