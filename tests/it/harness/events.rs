//! Server-sent events, as anybody's client would read them.

use serde_json::Value;

use super::PATIENCE;

/// The answer to a request, as it comes in.
pub(crate) struct Events {
    response: reqwest::Response,
    /// What has come and was not read.
    rest: String,
}

/// What stands between two empty lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SentEvent {
    pub(crate) event: String,
    pub(crate) data: String,
    pub(crate) id: Option<String>,
}

impl SentEvent {
    /// The result that it is.
    pub(crate) fn result(&self) -> Value {
        assert_eq!(self.event, "next", "{self:?}");
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Events {
    /// Sends a request that is answered with events.
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the server answers");
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self {
            response,
            rest: String::new(),
        }
    }

    /// The next event; none where the stream has ended. Comments are passed over.
    pub(crate) async fn next(&mut self) -> Option<SentEvent> {
        loop {
            while let Some((block, _)) = self.rest.split_once("\n\n") {
                let (event, length) = (read(block), block.len() + 2);
                self.rest.drain(..length);
                if event.is_some() {
                    return event;
                }
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            match chunk.await.expect("something in time") {
                Ok(Some(chunk)) => self.rest += std::str::from_utf8(&chunk).unwrap(),
                Ok(None) => return None,
                Err(error) => panic!("the stream ends as it should: {error}"),
            }
        }
    }

    /// The next event, which is a result without errors: its data.
    pub(crate) async fn data(&mut self) -> Value {
        let result = self.next().await.expect("a result").result();
        assert_eq!(result.get("errors"), None, "{result}");
        result["data"].clone()
    }
}

fn read(block: &str) -> Option<SentEvent> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name));
        let values: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix(':'))
            .map(|value| value.strip_prefix(' ').unwrap_or(value))
            .collect();
        (!values.is_empty()).then(|| values.join("\n"))
    };
    Some(SentEvent {
        event: field("event")?,
        data: field("data")?,
        id: field("id"),
    })
}
