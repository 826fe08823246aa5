//! What of a server's metrics an operation counts for: its root field decides, so that a client chooses among those of the
//! schema and nothing else.

use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    ExecutableDocument, OperationType, ServiceDocument, TypeKind, TypeSystemDefinition,
};

use super::operation::{self, Root};
use crate::metrics::{Executions, Kind, Operations, Subscriptions};

/// What counts for documents with several root fields. There is no telling which of them took how long.
const SEVERAL: &str = "several";

/// What counts for documents that ask for nothing but what the schema is.
const INTROSPECTION: &str = "introspection";

/// What counts for documents that ask for something that there is not.
const UNKNOWN: &str = "unknown";

/// The measures of all operations, found once.
#[derive(Debug)]
pub(super) struct Measures {
    queries: ByField,
    mutations: ByField,
    subscriptions: HashMap<String, Arc<Subscriptions>>,
    unknown_subscriptions: Arc<Subscriptions>,
}

#[derive(Debug)]
struct ByField {
    fields: HashMap<String, Arc<Executions>>,
    several: Arc<Executions>,
    introspection: Arc<Executions>,
    unknown: Arc<Executions>,
}

impl Measures {
    /// Those of a schema.
    pub(super) fn new(operations: &Operations, sdl: &str) -> Self {
        // What the library writes it reads. If it did not, all would count as unknown.
        let schema = parse_schema(sdl).ok();
        let fields = |root: &str| {
            schema
                .iter()
                .flat_map(|schema| fields(schema, root))
                .collect()
        };
        let subscriptions = |field: &str| Arc::new(operations.subscriptions(field));
        let subscribed: Vec<String> = fields("Subscription");
        Self {
            queries: ByField::new(operations, Kind::Query, fields("Query")),
            mutations: ByField::new(operations, Kind::Mutation, fields("Mutation")),
            subscriptions: subscribed
                .into_iter()
                .map(|field| {
                    let of_field = subscriptions(&field);
                    (field, of_field)
                })
                .collect(),
            unknown_subscriptions: subscriptions(UNKNOWN),
        }
    }

    /// What a query or mutation counts for.
    pub(super) fn of_execution(
        &self,
        kind: OperationType,
        document: &ExecutableDocument,
        name: Option<&str>,
    ) -> &Arc<Executions> {
        let by_field = match kind {
            OperationType::Mutation => &self.mutations,
            OperationType::Query | OperationType::Subscription => &self.queries,
        };
        match operation::root(document, name) {
            Root::Field(field) => by_field.fields.get(field).unwrap_or(&by_field.unknown),
            Root::Several => &by_field.several,
            Root::Introspection => &by_field.introspection,
            Root::None => &by_field.unknown,
        }
    }

    /// What a subscription counts for.
    pub(super) fn of_subscription(
        &self,
        document: &ExecutableDocument,
        name: Option<&str>,
    ) -> &Arc<Subscriptions> {
        let known = match operation::root(document, name) {
            Root::Field(field) => self.subscriptions.get(field),
            Root::Several | Root::Introspection | Root::None => None,
        };
        known.unwrap_or(&self.unknown_subscriptions)
    }
}

impl ByField {
    fn new(operations: &Operations, kind: Kind, fields: Vec<String>) -> Self {
        let executions = |field: &str| Arc::new(operations.executions(kind, field));
        let fields = fields.into_iter().map(|field| {
            let of_field = executions(&field);
            (field, of_field)
        });
        Self {
            fields: fields.collect(),
            several: executions(SEVERAL),
            introspection: executions(INTROSPECTION),
            unknown: executions(UNKNOWN),
        }
    }
}

/// The fields of one of the schema's types.
fn fields<'a>(schema: &'a ServiceDocument, name: &'a str) -> impl Iterator<Item = String> + 'a {
    let definitions = schema.definitions.iter();
    let types = definitions.filter_map(move |definition| match definition {
        TypeSystemDefinition::Type(of) if of.node.name.node == name => Some(&of.node.kind),
        TypeSystemDefinition::Type(_)
        | TypeSystemDefinition::Schema(_)
        | TypeSystemDefinition::Directive(_) => None,
    });
    let fields = types.filter_map(|kind| {
        if let TypeKind::Object(object) = kind {
            Some(&object.fields)
        } else {
            None
        }
    });
    fields
        .flatten()
        .map(|field| field.node.name.node.to_string())
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn what_counts_for_no_field_is_no_field_of_the_schema() {
        let sdl = crate::graphql::sdl();
        let measures = Measures::new(&Metrics::default().operations, &sdl);
        for fields in [&measures.queries.fields, &measures.mutations.fields] {
            assert!(!fields.is_empty());
            for word in [SEVERAL, INTROSPECTION, UNKNOWN] {
                assert!(!fields.contains_key(word), "{word}");
            }
        }
        assert!(measures.subscriptions.contains_key("taskEvents"));
        assert!(!measures.subscriptions.contains_key(UNKNOWN));
    }

    #[test]
    fn an_operation_counts_for_its_root_field() {
        let sdl = crate::graphql::sdl();
        let measures = Measures::new(&Metrics::default().operations, &sdl);
        let queries = &measures.queries;
        for (document, expected) in [
            ("{ viewer { kind } }", &queries.fields["viewer"]),
            (
                "query unknown { several: viewer { kind } }",
                &queries.fields["viewer"],
            ),
            (
                "{ __typename ...F } fragment F on Query { viewer { kind } }",
                &queries.fields["viewer"],
            ),
            ("{ viewer { kind } task { id } }", &queries.several),
            (
                "{ a: viewer { kind } b: viewer { kind } }",
                &queries.several,
            ),
            (
                "{ __typename __schema { types { name } } }",
                &queries.introspection,
            ),
            ("{ several }", &queries.unknown),
            ("{ startTask }", &queries.unknown),
            ("{ ...Missing }", &queries.unknown),
        ] {
            let parsed = parse_query(document).unwrap();
            let found = measures.of_execution(OperationType::Query, &parsed, None);
            assert!(Arc::ptr_eq(found, expected), "{document}");
        }
    }
}
