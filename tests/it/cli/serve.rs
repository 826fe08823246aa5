//! `callboard serve`.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStderr};

use super::{callboard, run};
use crate::harness::{Client, PATIENCE, TestDatabase};

/// A server that runs, and where it said that it is.
struct Serving {
    process: Child,
    address: String,
}

impl Serving {
    /// Starts one on a free port.
    async fn start(database: &TestDatabase) -> Self {
        let (serving, mut lines) = Self::heard(database).await;
        // Somebody goes on reading, or its log would break the pipe.
        tokio::task::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        serving
    }

    /// The same, with its log.
    async fn heard(database: &TestDatabase) -> (Self, Lines<BufReader<ChildStderr>>) {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--log", "debug"];
        let mut process = callboard(database, &arguments).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let address = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if let Some((_, rest)) = line.split_once("Callboard is at http://") {
                    return rest.split([',', ' ']).next().unwrap().to_owned();
                }
            }
            panic!("it ended without a word of its address")
        };
        let address = tokio::time::timeout(PATIENCE, address)
            .await
            .expect("it starts in time");
        (Self { process, address }, lines)
    }

    /// Sends it a signal; says with which code it ended, and what it printed for machines.
    async fn end(self, signal: Signal) -> (Option<i32>, String) {
        let id = self.process.id().unwrap().cast_signed();
        kill(Pid::from_raw(id), signal).unwrap();
        let output = tokio::time::timeout(PATIENCE, self.process.wait_with_output())
            .await
            .expect("it ends in time")
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    }
}

#[tokio::test]
async fn a_server_says_where_it_is_answers_there_and_ends_well_when_told_to() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let database = TestDatabase::create().await;
        let serving = Serving::start(&database).await;
        // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
        let _client = Client::new(serving.address.parse().unwrap(), "");
        for path in ["healthz", "readyz", "schema.graphql"] {
            let url = format!("http://{}/{path}", serving.address);
            let response = reqwest::get(url).await.unwrap();
            assert_eq!(response.status().as_u16(), 200, "{path}");
        }
        assert_eq!(serving.end(signal).await, (Some(0), String::new()));
    }
}

#[tokio::test]
async fn a_server_whose_log_can_be_written_nowhere_goes_on() {
    let database = TestDatabase::create().await;
    let (serving, log) = Serving::heard(&database).await;
    drop(log);
    let _client = Client::new(serving.address.parse().unwrap(), "");
    for path in ["healthz", "readyz", "metrics"] {
        let url = format!("http://{}/{path}", serving.address);
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.status().as_u16(), 200, "{path}");
    }
    assert_eq!(serving.end(Signal::SIGTERM).await, (Some(0), String::new()));
}

#[tokio::test]
async fn a_server_migrates_an_empty_database() {
    let database = TestDatabase::create().await;
    database
        .execute("drop schema public cascade; create schema public")
        .await;
    let serving = Serving::start(&database).await;
    let token = run(&database, &["token", "create", "--kind", "admin"])
        .await
        .printed();
    let admin = Client::new(serving.address.parse().unwrap(), token.trim_end());
    let data = admin.data("{ viewer { kind } }", json!({})).await;
    assert_eq!(data["viewer"]["kind"], "ADMIN");
    assert_eq!(serving.end(Signal::SIGTERM).await.0, Some(0));
}

#[tokio::test]
async fn a_server_ends_although_subscribers_are_connected() {
    let database = TestDatabase::create().await;
    let serving = Serving::start(&database).await;
    let workspace = super::workspace(&database, "globe").await;
    let arguments = [
        "token",
        "create",
        "--kind",
        "service",
        "--workspace",
        "globe",
    ];
    let token = run(&database, &arguments).await.printed();
    let host = Client::new(serving.address.parse().unwrap(), token.trim_end());
    let document = "subscription($id: UUID!) { taskEvents(workspaceId: $id) { kind } }";
    let subscription = host.subscribe(document, json!({"id": workspace})).await;
    let ended = serving.end(Signal::SIGTERM);
    let ((code, _), ()) = tokio::join!(ended, subscription.closed());
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn an_address_that_is_taken_is_said_at_once() {
    let database = TestDatabase::create().await;
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = run(&database, &["serve", "--listen", &address])
        .await
        .refusal();
    assert!(
        said.contains(&format!("cannot accept connections at {address}")),
        "{said}"
    );
}

#[tokio::test]
async fn fewer_connections_than_migrating_takes_are_refused() {
    let database = TestDatabase::create().await;
    let said = run(&database, &["serve", "--max-connections", "1"])
        .await
        .refusal();
    assert!(said.contains("--max-connections"), "{said}");
}

#[tokio::test]
async fn what_no_server_could_work_with_is_refused() {
    let database = TestDatabase::create().await;
    let refused = [
        ("--claim-lease", "0s"),
        ("--claim-lease", "999ms"),
        ("--sweep-interval", "0s"),
        ("--running-timeout", "10000y"),
        ("--running-timeout", "soon"),
        ("--queue-ttl", "11y"),
        ("--event-retention", "0s"),
        ("--statement-timeout", "1y"),
        ("--statement-timeout", "0s"),
    ];
    for (flag, value) in refused {
        let arguments = ["serve", "--listen", "127.0.0.1:0", flag, value];
        let said = run(&database, &arguments).await.refusal();
        assert!(said.contains(flag) && said.contains(value), "{said}");
    }
    let said = run(&database, &["serve", "--claim-lease", "0s"])
        .await
        .refusal();
    assert!(said.contains("from 1s to 10years"), "{said}");
    // Whether tasks are left to a silent runtime, or it counts as unstable, is a matter of taste.
    let none = [
        "doctor",
        "--reconnect-grace",
        "0s",
        "--unstable-window",
        "0s",
    ];
    let checked = run(&database, &none).await.stdout;
    assert!(checked.contains("ok     settings"), "{checked}");
}
