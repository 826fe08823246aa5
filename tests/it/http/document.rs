//! Documents of many tokens: they are counted before they are parsed.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{QUERY, Sender, answer};

/// A document of a field so many times, and what it costs to have it refused.
async fn refused(sender: &Sender, fields: usize) -> Duration {
    let document = format!("{{ {} }}", "viewer ".repeat(fields));
    let request = sender
        .post(&json!({"query": document}))
        .header("accept", "application/graphql-response+json");
    let begun = Instant::now();
    let answer = answer(request).await;
    let took = begun.elapsed();
    assert_eq!(
        (answer.status, answer.code()),
        (400, "QUERY_TOO_COMPLEX".to_owned())
    );
    assert!(answer.body.contains("tokens"), "{answer:?}");
    took
}

#[tokio::test]
async fn a_document_of_two_hundred_thousand_tokens_is_refused_before_it_is_parsed() {
    let sender = Sender::start().await;
    // To parse it takes half a second of a release build, and several of this one.
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        fastest = fastest.min(refused(&sender, 200_000).await);
    }
    assert!(fastest < Duration::from_millis(250), "{fastest:?}");
}

#[tokio::test]
async fn a_long_text_is_one_token_and_a_comment_is_none() {
    let sender = Sender::start().await;
    let comment = format!("# {}\n{QUERY}", "token ".repeat(50_000));
    let text = format!(
        "{{ __type(name: \"{}\") {{ name }} }}",
        "token ".repeat(50_000)
    );
    for document in [comment, text] {
        let answer = answer(sender.post(&json!({"query": document}))).await;
        assert_eq!(answer.json().get("errors"), None);
    }
}
