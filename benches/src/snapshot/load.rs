//! Connections that stay open and ask the same again and again. An answer is read to its end, but not taken apart: what
//! that costs would be measured with the rest.

use std::time::Duration;

use anyhow::Context;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::sample::Sample;

/// What is asked of whom.
#[derive(Clone, Debug)]
pub(super) struct Request {
    url: String,
    token: String,
    body: String,
}

/// What came of asking.
#[derive(Debug, Default)]
pub(super) struct Answered {
    /// How many answers there were in a second.
    pub(super) rate: f64,
    /// How long each took, in milliseconds.
    pub(super) times: Sample,
    /// The bytes of an answer.
    pub(super) bytes: usize,
}

impl Answered {
    /// The bytes of an answer, in thousands; not a number where nobody looked.
    pub(super) fn kilobytes(&self) -> f64 {
        match u32::try_from(self.bytes) {
            Ok(bytes) if bytes > 0 => f64::from(bytes) / 1e3,
            _ => f64::NAN,
        }
    }
}

impl Request {
    /// To a server, with a token, whether or not it looks at it.
    pub(super) fn new(
        address: std::net::SocketAddr,
        token: &str,
        document: &str,
        variables: &Value,
    ) -> Self {
        let document = document.split_whitespace().collect::<Vec<_>>().join(" ");
        Self {
            url: format!("http://{address}/graphql"),
            token: token.to_owned(),
            body: json!({"query": document, "variables": variables}).to_string(),
        }
    }

    /// The data of the answer.
    pub(super) async fn data(&self) -> anyhow::Result<Value> {
        data(&self.answer(&connection()?).await?)
    }

    /// Asks for so long over so many connections, each asking as soon as it has its answer.
    pub(super) async fn repeat(
        &self,
        connections: u32,
        time: Duration,
    ) -> anyhow::Result<Answered> {
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for _ in 0..connections {
            asking.spawn(self.clone().one_after_another(began + time));
        }
        let mut answered = Answered::default();
        let mut count: u32 = 0;
        while let Some(one) = asking.join_next().await {
            let (times, last) = one??;
            // What a server says in a hurry is taken for an answer only if it is one.
            data(&last)?;
            answered.bytes = last.len();
            for time in times {
                answered.times.add_time(time);
                count += 1;
            }
        }
        answered.rate = f64::from(count) / began.elapsed().as_secs_f64();
        Ok(answered)
    }

    /// Asks until then over one connection; how long each answer took, and the last one.
    async fn one_after_another(self, until: Instant) -> anyhow::Result<(Vec<Duration>, Vec<u8>)> {
        let connection = connection()?;
        let mut times = Vec::new();
        let mut last = Vec::new();
        while Instant::now() < until {
            let asked = Instant::now();
            last = self.answer(&connection).await?;
            times.push(asked.elapsed());
        }
        Ok((times, last))
    }

    async fn answer(&self, connection: &reqwest::Client) -> anyhow::Result<Vec<u8>> {
        let response = connection
            .post(&self.url)
            .bearer_auth(&self.token)
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .body(self.body.clone())
            .send()
            .await?;
        let status = response.status();
        let body = response.bytes().await?;
        anyhow::ensure!(
            status == StatusCode::OK,
            "{status}: {}",
            String::from_utf8_lossy(&body)
        );
        Ok(body.into())
    }
}

/// A connection that nobody else uses.
fn connection() -> anyhow::Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .no_proxy()
        .tcp_nodelay(true)
        .timeout(Duration::from_mins(1))
        .build()?)
}

/// The data of an answer that has no errors.
fn data(answer: &[u8]) -> anyhow::Result<Value> {
    let mut answer: Value = serde_json::from_slice(answer).context("the answer is not in JSON")?;
    if let Some(errors) = answer.get("errors") {
        anyhow::bail!("{errors}");
    }
    Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
}
