//! A pooler that accepts LISTEN and forgets it: found out, and made up for by looking now and then.

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;

use super::server;
use crate::harness::{PATIENCE, TestApp, World};
use crate::metrics;

/// What a server says to listen, and what becomes of it on the way: as long, and without an effect.
const LISTEN: &[u8; 18] = br#"LISTEN "callboard""#;
const NOTHING: &[u8; 18] = b"SELECT 1/*------*/";

#[tokio::test]
async fn a_pooler_that_forgets_to_listen_is_found_out_and_made_up_for() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let (agent, start) = (world.agent(1).await, world.cursor().await);
    let options = forgetful(&app.database.options).await;
    let (log, mut logged) = watch::channel(String::new());
    let (_process, address) = server::run(&options, "info", &log).await;
    let after = serde_json::json!({"after": start});
    let mut feed = world.feed(&world.host.at(address), after).await;
    for _ in 0..3 {
        app.database.put_many(agent, world.runtime_id, 1).await;
        feed.next().await;
    }
    let found_out = logged.wait_for(|log| log.contains("LISTEN is not answered"));
    tokio::time::timeout(PATIENCE, found_out)
        .await
        .expect("it is found out in time")
        .unwrap();
    let page = metrics::page(address).await;
    assert_eq!(page.count("callboard_listener_connected", &[]), 0);
    assert_eq!(page.count("callboard_listener_connects_total", &[]), 0);
}

/// The way to a database through such a pooler.
async fn forgetful(database: &PgConnectOptions) -> PgConnectOptions {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let options = PgConnectOptions::new_without_pgpass()
        .host(&address.ip().to_string())
        .port(address.port())
        .username(database.get_username())
        .database(database.get_database().unwrap())
        .ssl_mode(PgSslMode::Disable);
    let database = database.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(carry(client, database.clone()));
        }
    });
    options
}

async fn carry(client: TcpStream, database: PgConnectOptions) {
    let (from_client, to_client) = client.into_split();
    // Where it is reached over TCP, its port is another, and the rest the same.
    if let Some(directory) = database.get_socket() {
        let socket = directory.join(format!(".s.PGSQL.{}", database.get_port()));
        let (from_server, to_server) = UnixStream::connect(socket).await.unwrap().into_split();
        copy(from_client, to_server, from_server, to_client).await;
    } else {
        let way = (database.get_host(), database.get_port());
        let (from_server, to_server) = TcpStream::connect(way).await.unwrap().into_split();
        copy(from_client, to_server, from_server, to_client).await;
    }
}

async fn copy(
    mut from_client: impl AsyncReadExt + Unpin,
    mut to_server: impl AsyncWriteExt + Unpin,
    mut from_server: impl AsyncReadExt + Unpin,
    mut to_client: impl AsyncWriteExt + Unpin,
) {
    let forgetting = async {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(size @ 1..) = from_client.read(&mut buffer).await {
            let sent = &mut buffer[..size];
            let said = sent.windows(LISTEN.len()).position(|said| said == LISTEN);
            if let Some(at) = said {
                sent[at..at + NOTHING.len()].copy_from_slice(NOTHING);
            }
            to_server.write_all(sent).await?;
        }
        to_server.shutdown().await
    };
    // That one side closes is not the test's business.
    let _closed = tokio::join!(
        forgetting,
        tokio::io::copy(&mut from_server, &mut to_client)
    );
}
