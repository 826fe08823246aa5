//! `/metrics`: what a server counts of itself, as whoever operates it reads it.

mod documented;
mod group;
mod live;
mod operation;
mod page;
mod server;

use std::net::SocketAddr;

use self::page::Page;
use crate::harness::{Client, PATIENCE};

/// A query that anybody may ask.
const QUERY: &str = "{ viewer { kind } }";

/// The page of a server, by somebody without a token.
pub(crate) async fn page(address: SocketAddr) -> Page {
    let response = get(address).await;
    assert_eq!(response.status(), 200);
    Page::read(&response.text().await.expect("a whole page"))
}

async fn get(address: SocketAddr) -> reqwest::Response {
    // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
    let _client = Client::new(address, "");
    let request = reqwest::Client::new().get(format!("http://{address}/metrics"));
    let sent = request.timeout(PATIENCE).send().await;
    sent.expect("the server answers")
}

/// Waits until the page of a server is as it should be.
async fn until(address: SocketAddr, is_right: impl Fn(&Page) -> bool) -> Page {
    let looking = async {
        loop {
            let page = page(address).await;
            if is_right(&page) {
                return page;
            }
        }
    };
    let found = tokio::time::timeout(PATIENCE, looking).await;
    found.expect("the page is right in time")
}
