//! Long lists: thousands of rows, of which most fields are at hand.
//!
//! async-graphql makes a future for every field and joins them, because any of them may have to wait. Here a row is gone
//! through field by field, and only rows that wait for something are joined. So what is at hand costs little more than
//! to be written down, and what rows refer to is still read for all of them at once: every row has got as far as it goes
//! before any is asked again.

use std::borrow::Cow;
use std::task::Poll;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::registry::Registry;
use async_graphql::resolver_utils::ContainerType;
use async_graphql::{ContextSelectionSet, Name, OutputType, Positioned, ServerResult, Value};
use futures::future::{TryFutureExt, try_join_all};

/// A list of objects, to clients the same as any other.
#[derive(Debug)]
pub(super) struct Rows<T>(Vec<T>);

impl<T> FromIterator<T> for Rows<T> {
    fn from_iter<I: IntoIterator<Item = T>>(rows: I) -> Self {
        Self(rows.into_iter().collect())
    }
}

impl<T: ContainerType> OutputType for Rows<T> {
    fn type_name() -> Cow<'static, str> {
        <Vec<T> as OutputType>::type_name()
    }

    fn qualified_type_name() -> String {
        <Vec<T> as OutputType>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        <Vec<T> as OutputType>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let mut fields = Vec::new();
        if !collect::<T>(ctx, &ctx.item.node, &mut fields) {
            return self.0.resolve(ctx, field).await;
        }
        let names = fields.iter().map(|field| field.node.response_key());
        let empty: IndexMap<Name, Value> =
            names.map(|name| (name.node.clone(), Value::Null)).collect();
        let mut values = Vec::with_capacity(self.0.len());
        let mut waiting = Vec::new();
        for (index, row) in self.0.iter().enumerate() {
            // A copy, because to insert names means to look each of them up in every row.
            let mut object = Box::pin(object(ctx, (&fields, empty.clone()), index, row));
            match futures::poll!(object.as_mut()) {
                Poll::Ready(value) => values.push(value?),
                Poll::Pending => {
                    values.push(Value::Null);
                    waiting.push(object.map_ok(move |value| (index, value)));
                }
            }
        }
        for (index, object) in try_join_all(waiting).await? {
            if let Some(value) = values.get_mut(index) {
                *value = object;
            }
        }
        Ok(Value::List(values))
    }
}

/// The fields of a selection, its fragments gone through; whether they can be resolved one after the other, each by itself.
fn collect<'a, T: ContainerType>(
    ctx: &ContextSelectionSet<'a>,
    selected: &'a SelectionSet,
    fields: &mut Vec<&'a Positioned<Field>>,
) -> bool {
    let is_of_it = |condition: &str| T::type_name() == condition;
    selected
        .items
        .iter()
        .all(|selection| match &selection.node {
            Selection::Field(field) => {
                let name = field.node.response_key();
                let is_new = fields
                    .iter()
                    .all(|other| other.node.response_key().node != name.node);
                fields.push(field);
                // Fields of one name are merged, and directives are carried out, by async-graphql.
                is_new && field.node.directives.is_empty()
            }
            Selection::FragmentSpread(spread) => {
                let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
                fragment.is_some_and(|fragment| {
                    is_of_it(&fragment.node.type_condition.node.on.node)
                        && collect::<T>(ctx, &fragment.node.selection_set.node, fields)
                })
            }
            Selection::InlineFragment(fragment) => {
                let condition = fragment.node.type_condition.as_ref();
                condition.is_none_or(|condition| is_of_it(&condition.node.on.node))
                    && collect::<T>(ctx, &fragment.node.selection_set.node, fields)
            }
        })
}

/// One row: its fields, and an object with their names, in the same order.
async fn object<T: ContainerType>(
    ctx: &ContextSelectionSet<'_>,
    (fields, mut object): (&[&Positioned<Field>], IndexMap<Name, Value>),
    index: usize,
    row: &T,
) -> ServerResult<Value> {
    let ctx = ctx.with_index(index);
    for (field, value) in fields.iter().zip(object.values_mut()) {
        *value = if field.node.name.node == "__typename" {
            Value::String(T::type_name().into_owned())
        } else {
            let resolved = row.resolve_field(&ctx.with_field(field)).await?;
            resolved.unwrap_or_default()
        };
    }
    Ok(Value::Object(object))
}
