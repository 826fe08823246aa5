//! Identifiers: one type each, so that a runtime's id cannot pass for a task's; one `UUID` scalar in GraphQL.

use std::borrow::Cow;
use std::fmt;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{
    ContextSelectionSet, InputType, InputValueError, InputValueResult, OutputType, Positioned,
    Scalar, ScalarType, ServerResult, Value,
};
use sea_orm::{DbErr, DeriveValueType, TryFromU64};
use uuid::Uuid;

/// A UUID (RFC 9562) in its usual form, such as `0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f`.
#[derive(Clone, Copy, Debug)]
pub struct UuidScalar(Uuid);

/// A UUID (RFC 9562) in its usual form, such as `0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1f`.
#[Scalar(
    name = "UUID",
    specified_by_url = "https://www.rfc-editor.org/rfc/rfc9562"
)]
impl ScalarType for UuidScalar {
    fn parse(value: Value) -> InputValueResult<Self> {
        let Value::String(text) = &value else {
            return Err(InputValueError::expected_type(value));
        };
        Ok(Self(Uuid::parse_str(text)?))
    }

    // Checked when the document is validated, because only there the message can name the argument.
    fn is_valid(value: &Value) -> bool {
        matches!(value, Value::String(text) if Uuid::parse_str(text).is_ok())
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}

macro_rules! uuid_newtype {
    ($name:ident) => {
        impl TryFromU64 for $name {
            fn try_from_u64(n: u64) -> Result<Self, DbErr> {
                Uuid::try_from_u64(n).map(Self)
            }
        }

        impl InputType for $name {
            type RawValueType = Self;

            fn type_name() -> Cow<'static, str> {
                <UuidScalar as InputType>::type_name()
            }

            fn create_type_info(registry: &mut Registry) -> String {
                <UuidScalar as InputType>::create_type_info(registry)
            }

            fn parse(value: Option<Value>) -> InputValueResult<Self> {
                <UuidScalar as InputType>::parse(value)
                    .map(|uuid| Self(uuid.0))
                    .map_err(InputValueError::propagate)
            }

            fn to_value(&self) -> Value {
                ScalarType::to_value(&UuidScalar(self.0))
            }

            fn as_raw_value(&self) -> Option<&Self::RawValueType> {
                Some(self)
            }
        }

        impl OutputType for $name {
            fn type_name() -> Cow<'static, str> {
                <UuidScalar as OutputType>::type_name()
            }

            fn create_type_info(registry: &mut Registry) -> String {
                <UuidScalar as OutputType>::create_type_info(registry)
            }

            async fn resolve(
                &self,
                _: &ContextSelectionSet<'_>,
                _: &Positioned<Field>,
            ) -> ServerResult<Value> {
                Ok(ScalarType::to_value(&UuidScalar(self.0)))
            }
        }
    };
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, DeriveValueType)]
        pub struct $name(pub Uuid);

        uuid_newtype!($name);

        impl $name {
            /// A new one, later than those made before it (version 7).
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id!(
    /// Names a workspace.
    WorkspaceId
);
id!(
    /// Names a person, in the host application's words.
    MemberId
);
id!(
    /// Names an API token; not the token.
    TokenId
);
id!(
    /// Names a runtime.
    RuntimeId
);
id!(
    /// Names an agent.
    AgentId
);
id!(
    /// Names a task.
    TaskId
);
id!(
    /// Names an issue of the host application.
    IssueId
);
id!(
    /// Names a comment of the host application.
    CommentId
);
id!(
    /// Names a chat session of the host application.
    ChatSessionId
);
id!(
    /// Names a run of an autopilot of the host application.
    AutopilotRunId
);
id!(
    /// What a daemon called its request to claim.
    ClaimRequestId
);

/// The secret that a claim hands out; whoever shows it holds the task.
#[derive(Clone, Copy, PartialEq, Eq, DeriveValueType)]
pub struct ClaimToken(pub Uuid);

uuid_newtype!(ClaimToken);

impl fmt::Debug for ClaimToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClaimToken(..)")
    }
}
