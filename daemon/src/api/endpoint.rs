//! Where the server's GraphQL is, over HTTP and over a websocket.

use anyhow::Context;
use reqwest::Url;

/// The two addresses of one server.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Queries and mutations.
    pub(crate) http: Url,
    /// Subscriptions.
    pub(crate) socket: Url,
}

impl Endpoint {
    /// Derives both from the server's URL, which may have a path of its own.
    pub(crate) fn parse(server: &str) -> anyhow::Result<Self> {
        let base = Url::parse(server)
            .with_context(|| format!("`{server}` is not a URL like http://127.0.0.1:8080"))?;
        let socket_scheme = match base.scheme() {
            "http" => "ws",
            "https" => "wss",
            other => anyhow::bail!("the server's URL must begin with http or https, not {other}"),
        };
        let mut http = base;
        http.set_query(None);
        http.set_fragment(None);
        http.path_segments_mut()
            .map_err(|()| anyhow::anyhow!("`{server}` names no server"))?
            .pop_if_empty()
            .push("graphql");
        let mut socket = http.clone();
        socket
            .set_scheme(socket_scheme)
            .map_err(|()| anyhow::anyhow!("`{server}` has no websocket address"))?;
        socket
            .path_segments_mut()
            .map_err(|()| anyhow::anyhow!("`{server}` names no server"))?
            .push("ws");
        Ok(Self { http, socket })
    }

    /// Whether certificates come into it.
    pub(crate) fn is_encrypted(&self) -> bool {
        self.http.scheme() == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_follow_from_one() {
        let cases = [
            (
                "http://127.0.0.1:8080",
                "http://127.0.0.1:8080/graphql",
                "ws://127.0.0.1:8080/graphql/ws",
            ),
            (
                "https://board.example/",
                "https://board.example/graphql",
                "wss://board.example/graphql/ws",
            ),
            (
                "https://example.org/board",
                "https://example.org/board/graphql",
                "wss://example.org/board/graphql/ws",
            ),
        ];
        for (server, http, socket) in cases {
            let endpoint = Endpoint::parse(server).unwrap();
            assert_eq!(endpoint.http.as_str(), http);
            assert_eq!(endpoint.socket.as_str(), socket);
        }
    }

    #[test]
    fn what_is_no_server_is_said_so() {
        for server in [
            "127.0.0.1:8080",
            "localhost",
            "ftp://example.org",
            "mailto:a@b",
        ] {
            assert!(Endpoint::parse(server).is_err(), "{server}");
        }
    }
}
