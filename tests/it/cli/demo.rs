//! `callboard demo`: what it prints to be tried works as it is printed.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};

use super::callboard;
use crate::harness::{Client, PATIENCE, TestDatabase};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_it_says_one_may_ask_is_answered() {
    let database = TestDatabase::create().await;
    let (files, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let data_dir = kept.path().to_str().unwrap();
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--data-dir", data_dir];
    let mut demo = callboard(&database, &arguments)
        .env("PATH", std::env::var_os("PATH").unwrap())
        .current_dir(files.path())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(demo.stdout.take().unwrap()).lines();
    let command = async {
        let mut command = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            let is_of_command = !command.is_empty() || line.trim_start().starts_with("curl ");
            if is_of_command {
                command.push_str(&line);
                if !line.ends_with('\\') {
                    break;
                }
            }
        }
        command
    };
    let command = tokio::time::timeout(PATIENCE, command)
        .await
        .expect("it says what to ask");
    tokio::task::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });

    // As curl would send it: the headers that are given, and the body.
    let quoted = |before: &str| -> Vec<&str> {
        let parts = command.split(before).skip(1);
        parts.map(|part| part.split('\'').next().unwrap()).collect()
    };
    let url = command.split_whitespace().nth(1).unwrap();
    // The HTTP client asks for a TLS provider even where it speaks to nobody over TLS; a client of ours installs it.
    let _client = Client::new(([127, 0, 0, 1], 0).into(), "");
    let mut request = reqwest::Client::new().post(url).timeout(PATIENCE);
    for header in quoted("-H '") {
        let (name, value) = header.split_once(": ").unwrap();
        request = request.header(name, value);
    }
    let body = quoted("-d '")[0].to_owned();
    let answer = request.body(body).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    // The agents may be on their way.
    let agents = &answer["data"]["viewer"]["workspaces"][0]["agents"];
    assert!(agents.is_array(), "{answer}");

    kill(
        Pid::from_raw(demo.id().unwrap().cast_signed()),
        Signal::SIGINT,
    )
    .unwrap();
    let ended = tokio::time::timeout(PATIENCE, demo.wait()).await;
    assert!(ended.expect("it ends in time").unwrap().success());
}
