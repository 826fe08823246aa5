//! Executing documents, with the contract's codes on the errors that GraphQL itself raises.

use std::sync::Arc;

use async_graphql::{Data, Request, Response, ServerError, Value};
use futures::StreamExt;
use futures::stream::BoxStream;

use super::Schema;

/// What async-graphql says when a query goes beyond a limit; it gives these errors no code.
const TOO_COMPLEX: [&str; 3] = [
    "Query is too complex.",
    "Query is nested too deep.",
    "The recursion depth of the query",
];

/// What executes documents: the schema, and a code on every error.
#[derive(Clone)]
pub struct Executor(pub Schema);

impl std::fmt::Debug for Executor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Executor(..)")
    }
}

impl async_graphql::Executor for Executor {
    async fn execute(&self, request: Request) -> Response {
        with_codes(self.0.execute(request).await)
    }

    fn execute_stream(
        &self,
        request: Request,
        session_data: Option<Arc<Data>>,
    ) -> BoxStream<'static, Response> {
        async_graphql::Executor::execute_stream(&self.0, request, session_data)
            .map(with_codes)
            .boxed()
    }
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
}
