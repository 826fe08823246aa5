//! Executing documents, with the contract's codes on the errors that GraphQL itself raises.

mod documents;
mod likeness;
mod measures;
mod operation;
mod outcome;
mod resume;
mod tokens;

use std::sync::Arc;

use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::{Data, Pos, Request, Response, ServerError, Value};
use futures::stream::{self, BoxStream, StreamExt};
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use self::documents::Documents;
pub(super) use self::likeness::Likeness;
use self::measures::Measures;
use self::resume::CursorPlace;
use super::context::Board;
use super::feed::follow_alike;
use super::loader::{self, Patience};
use super::{Schema, nesting, weight};
use crate::auth::Viewer;
use crate::error::{Error, Result};
use crate::metrics::{Execution, Subscribed};

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
    documents: Documents,
    measures: Arc<Measures>,
}

/// A request whose document has been read and found to be bearable.
#[derive(Debug)]
pub struct Prepared {
    request: Request,
    document: Arc<ExecutableDocument>,
    kind: OperationType,
}

impl Prepared {
    /// What kind of operation it asks for.
    pub const fn kind(&self) -> OperationType {
        self.kind
    }

    /// Whether nothing is done for it before the database was asked whether the token holds that it is sent with.
    pub fn asks_whether_token_holds(&self) -> bool {
        let name = self.request.operation_name.as_deref();
        operation::asks_whether_token_holds(&self.document, name)
    }

    /// The same, asked by somebody.
    #[must_use]
    pub fn by(self, viewer: Viewer) -> Self {
        let request = self.request.data(viewer);
        Self { request, ..self }
    }

    /// Lets a subscription continue behind a cursor, if it is one that can.
    pub fn resume(&mut self, cursor: &str) {
        let name = self.request.operation_name.as_deref();
        let document = Arc::make_mut(&mut self.document);
        resume::resume(document, name, cursor, &mut self.request.variables);
    }

    /// Where each of its results has its cursor; none where the document does not ask for it.
    fn cursor(&self) -> Option<CursorPlace> {
        resume::cursor(&self.document, self.request.operation_name.as_deref())
    }

    /// What it must have in common with another one to have the same results; none where results are nobody else's.
    fn likeness(&self) -> Option<Likeness> {
        likeness::of(&self.document, &self.request)
    }

    /// It is executed from here on, for what is measured.
    fn measured(&self, measures: &Measures) -> Execution {
        let name = self.request.operation_name.as_deref();
        measures
            .of_execution(self.kind, &self.document, name)
            .begin()
    }

    /// It is subscribed to from here on, for what is measured.
    fn subscribed(&self, measures: &Measures) -> Subscribed {
        let name = self.request.operation_name.as_deref();
        measures.of_subscription(&self.document, name).begin()
    }

    /// The request, ready to be executed.
    fn into_request(self) -> Request {
        let mut request = self.request;
        request.set_parsed_query(Arc::unwrap_or_clone(self.document));
        request
    }
}

pub use outcome::{Outcome, Payload, code, is_request_error};

impl Executor {
    /// Executes on the schema of a board, each document as a task on the tracker.
    pub fn new(board: Board, running: TaskTracker) -> Self {
        let schema = super::schema(board.clone());
        let measures = Measures::new(&board.metrics.operations, &schema.sdl());
        Self {
            schema,
            board,
            running,
            documents: Documents::default(),
            measures: Arc::new(measures),
        }
    }

    /// Reads a request's document. One that cannot be read, or that would take long to read or to validate, is refused.
    #[expect(
        clippy::result_large_err,
        reason = "the refusal is a response like any other"
    )]
    pub fn prepare(&self, mut request: Request) -> Result<Prepared, Response> {
        // What some clients send instead of none.
        request.operation_name = request.operation_name.filter(|name| !name.is_empty());
        let name = request.operation_name.as_deref();
        let read = self.documents.read(&request.query).and_then(|document| {
            operation::check_variables(&document, name, &request.variables)?;
            Ok(document)
        });
        match read {
            Ok(document) => Ok(Prepared {
                kind: operation::kind(&document, name),
                request,
                document,
            }),
            Err(error) => {
                let refusal = with_codes(Response::from_errors(vec![error]));
                let code = code(&refusal).unwrap_or_default().to_owned();
                self.board.metrics.operations.refused(code);
                Err(refusal)
            }
        }
    }

    /// Executes a query or mutation, to its end.
    pub async fn run(&self, prepared: Prepared) -> Response {
        let measured = prepared.measured(&self.measures);
        let (schema, request) = (self.schema.clone(), prepared.into_request());
        let (loaders, batches) = loader::loaders(&self.board, Patience::None);
        let execution = async move {
            let execution = schema.execute(request.data(loaders));
            let response = with_codes(batches.beside(execution).await);
            measured.end(code(&response));
            response
        };
        let finished = self.running.spawn(execution.in_current_span()).await;
        finished.unwrap_or_else(|panicked| {
            let error = Error::Internal(anyhow::Error::new(panicked));
            Response::from_errors(vec![of_document(error)])
        })
    }

    /// The results of a subscription, one by one. Those of subscriptions that are alike may be the same.
    pub fn follow(&self, prepared: Prepared) -> BoxStream<'static, Outcome> {
        let (cursor, likeness) = (prepared.cursor(), prepared.likeness());
        let mut measured = prepared.subscribed(&self.measures);
        let request = prepared.into_request();
        let begin = |request: Request| {
            let (loaders, batches) = loader::loaders(&self.board, Patience::Endless);
            let responses = self.schema.execute_stream(request.data(loaders));
            let written = move |response| Outcome::new(with_codes(response), cursor.as_ref());
            batches.beside_each(responses.map(written))
        };
        let results = match likeness {
            Some(likeness) => follow_alike(likeness, |entrance| begin(request.data(entrance))),
            None => begin(request),
        };
        results
            .inspect(move |result| measured.came_to(result.code()))
            .boxed()
    }
}

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Executor(..)")
    }
}

impl async_graphql::Executor for Executor {
    async fn execute(&self, request: Request) -> Response {
        match self.prepare(request) {
            Ok(prepared) => self.run(prepared).await,
            Err(refusal) => refusal,
        }
    }

    fn execute_stream(
        &self,
        mut request: Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        match self.documents.read(&request.query) {
            Ok(document) => {
                let name = request.operation_name.as_deref();
                let patience = match operation::kind(&document, name) {
                    OperationType::Subscription => Patience::Endless,
                    OperationType::Query | OperationType::Mutation => Patience::None,
                };
                request.set_parsed_query(Arc::unwrap_or_clone(document));
                let (loaders, batches) = loader::loaders(&self.board, patience);
                let request = request.data(loaders);
                let responses =
                    async_graphql::Executor::execute_stream(&self.schema, request, session_data);
                batches.beside_each(responses.map(with_codes))
            }
            Err(error) => {
                let refusal = with_codes(Response::from_errors(vec![error]));
                stream::once(std::future::ready(refusal)).boxed()
            }
        }
    }
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
