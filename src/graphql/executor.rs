//! Executing documents, with the contract's codes on the errors that GraphQL itself raises.

use std::sync::Arc;

use async_graphql::{Data, Pos, Request, Response, ServerError, Value};
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::context::Board;
use super::{Schema, loader, nesting, weight};
use crate::error::Error;

/// What async-graphql says when a query goes beyond a limit; it gives these errors no code.
const TOO_COMPLEX: [&str; 5] = [
    "Query is too complex.",
    "Query is nested too deep.",
    "The recursion depth of the query",
    "The number of directives",
    "recursion limit exceeded",
];

/// The most bytes of a message.
const MESSAGE_BYTES: usize = 500;

/// What executes documents: the schema, and a code on every error.
///
/// A query or mutation that has begun is executed to its end, whether or not somebody still waits for the answer. To drop
/// it half-way would be worse than wasteful: the driver leaves a transaction open on a connection of the pool if it is
/// dropped while it begins.
#[derive(Clone)]
pub struct Executor {
    schema: Schema,
    board: Board,
    running: TaskTracker,
}

impl Executor {
    /// Executes on the schema of a board, each document as a task on the tracker.
    pub fn new(board: Board, running: TaskTracker) -> Self {
        Self {
            schema: super::schema(board.clone()),
            board,
            running,
        }
    }

    /// Executes a document that has been weighed, to its end.
    async fn finish(&self, request: Request) -> Response {
        let schema = self.schema.clone();
        let (loaders, batches) = loader::loaders(&self.board);
        let execution = async move {
            let execution = schema.execute(request.data(loaders));
            batches.beside(execution).await
        };
        let finished = self.running.spawn(execution.in_current_span()).await;
        finished.unwrap_or_else(|panicked| {
            let error = Error::Internal(anyhow::Error::new(panicked));
            Response::from_errors(vec![of_document(error)])
        })
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Executor(..)")
    }
}

impl async_graphql::Executor for Executor {
    async fn execute(&self, mut request: Request) -> Response {
        match weigh(&mut request) {
            Ok(()) => with_codes(self.finish(request).await),
            Err(error) => with_codes(Response::from_errors(vec![error])),
        }
    }

    fn execute_stream(
        &self,
        mut request: Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        if let Err(error) = weigh(&mut request) {
            let response = with_codes(Response::from_errors(vec![error]));
            return stream::once(std::future::ready(response)).boxed();
        }
        let (loaders, batches) = loader::loaders(&self.board);
        let request = request.data(loaders);
        let responses =
            async_graphql::Executor::execute_stream(&self.schema, request, session_data);
        batches.beside_each(responses.map(with_codes))
    }
}

/// Refuses a document that cannot be read, or that would take long to read or to validate. What was parsed stays with the
/// request.
fn weigh(request: &mut Request) -> Result<(), ServerError> {
    nesting::check(&request.query).map_err(of_document)?;
    weight::check(request.parsed_query()?).map_err(of_document)
}

/// An error about a document as a whole, and no place in it.
fn of_document(error: Error) -> ServerError {
    let mut error = async_graphql::Error::from(error).into_server_error(Pos::default());
    error.locations.clear();
    error
}

/// Gives every error without a code the one that the contract has for it: what was raised before a resolver ran is a
/// fault of the request.
fn with_codes(mut response: Response) -> Response {
    for error in &mut response.errors {
        add_code(error);
    }
    response
}

fn add_code(error: &mut ServerError) {
    let extensions = error.extensions.get_or_insert_default();
    if extensions.get("code").is_none() {
        let too_complex = TOO_COMPLEX
            .iter()
            .any(|start| error.message.starts_with(start));
        let code = if too_complex {
            "QUERY_TOO_COMPLEX"
        } else {
            "BAD_USER_INPUT"
        };
        extensions.set("code", Value::from(code));
    }
    if error.message.len() > MESSAGE_BYTES {
        error.message = shortened(&error.message);
    }
}

/// The first and the last line: between them the parser quotes the line that it is about, however long.
fn shortened(message: &str) -> String {
    let (first, rest) = message.split_once('\n').unwrap_or((message, ""));
    let last = rest.lines().next_back().unwrap_or_default();
    let within = |line: &str| line.chars().take(MESSAGE_BYTES / 2).collect::<String>();
    format!("{} … {}", within(first), within(last))
}
