//! What is under way on a socket.
//!
//! Results are taken in turn: an operation that has always got another one waits until each of the others that has one has
//! been heard.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use futures::stream::{AbortHandle, BoxStream, SelectAll, abortable};
use futures::{Stream, StreamExt, stream};

use crate::graphql::Outcome;

/// The operations of a socket, by the names that the client gave them.
#[derive(Default)]
pub(super) struct Operations {
    running: HashMap<Arc<str>, Running>,
    results: SelectAll<BoxStream<'static, Step>>,
    /// How many there have been: a name may come again.
    begun: u64,
}

/// An operation under way.
struct Running {
    number: u64,
    handle: AbortHandle,
    kind: OperationType,
    /// Whether it had a result.
    heard: bool,
}

impl Running {
    /// Whether it could not be begun, as its first result tells.
    fn is_refused(&self, result: &Outcome) -> bool {
        let unsubscribed = self.kind == OperationType::Subscription && !self.heard;
        result.is_request_error() || (unsubscribed && result.has_failed())
    }
}

/// A result of an operation, or its end.
struct Step {
    id: Arc<str>,
    number: u64,
    result: Option<Outcome>,
}

/// What is to be said of an operation.
pub(super) enum Said {
    /// It has another result.
    Result(Arc<str>, Outcome),
    /// It could not be begun, and that is all.
    Refusal(Arc<str>, Outcome),
    /// It has ended.
    End(Arc<str>),
}

impl Operations {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.running.len()
    }

    /// Whether one of that name is under way.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.running.contains_key(id)
    }

    /// Begins one, which is not under way.
    pub(super) fn begin(
        &mut self,
        id: &str,
        kind: OperationType,
        results: impl Stream<Item = Outcome> + Send + 'static,
    ) {
        self.begun += 1;
        let (id, number) = (Arc::<str>::from(id), self.begun);
        let step = {
            let id = Arc::clone(&id);
            move |result| Step {
                id: Arc::clone(&id),
                number,
                result,
            }
        };
        let end = step.clone();
        let results = results
            .map(move |result| step(Some(result)))
            .chain(stream::once(async move { end(None) }));
        let (results, handle) = abortable(results);
        self.results.push(results.boxed());
        let running = Running {
            number,
            handle,
            kind,
            heard: false,
        };
        self.running.insert(id, running);
    }

    /// Ends one, of which nothing is said any more.
    pub(super) fn end(&mut self, id: &str) {
        if let Some(running) = self.running.remove(id) {
            running.handle.abort();
        }
    }

    /// What is to be said next; none while nothing is under way. What it has not returned it will return next time.
    pub(super) async fn next(&mut self) -> Option<Said> {
        loop {
            let step = self.results.next().await?;
            // What was ended may have had its last result on the way.
            let Some(running) = self.running.get_mut(&step.id) else {
                continue;
            };
            if running.number != step.number {
                continue;
            }
            let Some(result) = step.result else {
                self.running.remove(&step.id);
                return Some(Said::End(step.id));
            };
            if running.is_refused(&result) {
                self.end(&step.id);
                return Some(Said::Refusal(step.id, result));
            }
            running.heard = true;
            return Some(Said::Result(step.id, result));
        }
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::Response;
    use futures::FutureExt;

    use super::*;

    const SUBSCRIPTION: OperationType = OperationType::Subscription;

    fn result(number: i32) -> Outcome {
        Outcome::from(Response::new(number))
    }

    fn names(operations: &mut Operations, count: usize) -> Vec<String> {
        let said = (0..count).filter_map(|_| operations.next().now_or_never().flatten());
        said.map(|said| match said {
            Said::Result(id, _) => id.to_string(),
            Said::Refusal(id, _) => format!("{id} refused"),
            Said::End(id) => format!("{id} ends"),
        })
        .collect()
    }

    #[test]
    fn an_operation_that_always_has_a_result_takes_turns_with_the_others() {
        let mut operations = Operations::default();
        let always = || stream::repeat_with(|| result(1));
        operations.begin("hot", SUBSCRIPTION, always());
        operations.begin("a", SUBSCRIPTION, always());
        operations.begin("b", SUBSCRIPTION, always());
        let heard = names(&mut operations, 30);
        for id in ["hot", "a", "b"] {
            assert_eq!(
                heard.iter().filter(|name| *name == id).count(),
                10,
                "{heard:?}"
            );
        }
    }

    #[test]
    fn of_an_operation_that_was_ended_nothing_is_heard_though_its_name_comes_again() {
        let mut operations = Operations::default();
        operations.begin("a", SUBSCRIPTION, stream::repeat_with(|| result(1)));
        assert_eq!(names(&mut operations, 2), ["a", "a"]);
        operations.end("a");
        assert!(!operations.contains("a"));
        operations.begin("a", SUBSCRIPTION, stream::iter([result(2)]));
        assert_eq!(names(&mut operations, 5), ["a", "a ends"]);
        assert_eq!(operations.count(), 0);
    }
}
