//! What can be asked of the service, as it describes itself: so that a rule about every argument is tested on every
//! argument, those that come later included.

use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Client;

/// Asks for the roots and for the inputs.
const INTROSPECTION: &str = "{ __schema {
    types { kind name fields { name args { name defaultValue type { ...ref } } type { ...ref } } enumValues { name }
            inputFields { name defaultValue type { ...ref } } } } }
    fragment ref on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// What can be asked.
#[derive(Debug)]
pub(crate) struct Surface {
    types: Vec<Value>,
}

/// A field of a root.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    /// `query`, `mutation` or `subscription`.
    operation: &'static str,
    /// Its name.
    pub(crate) name: String,
    /// Its arguments.
    arguments: Vec<Argument>,
}

/// An argument of a field, or a field of an input.
#[derive(Clone, Debug)]
struct Argument {
    name: String,
    of: Type,
    /// Whether there is a value where none is given.
    has_default: bool,
}

impl Argument {
    /// Whether it has to be given.
    fn is_needed(&self) -> bool {
        matches!(self.of, Type::Required(_)) && !self.has_default
    }
}

impl Field {
    /// Whether it is a query.
    pub(crate) fn is_query(&self) -> bool {
        self.operation == "query"
    }

    /// The document that asks for it with its arguments in variables.
    pub(crate) fn document(&self, variables: &Value) -> String {
        let given = self
            .arguments
            .iter()
            .filter(|argument| variables.get(&argument.name).is_some());
        let (declared, passed): (Vec<String>, Vec<String>) = given
            .map(|Argument { name, of, .. }| (format!("${name}: {of}"), format!("{name}: ${name}")))
            .unzip();
        let declared = parenthesised(&declared);
        asked(self, &declared, &parenthesised(&passed))
    }
}

/// The type of an argument.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Type {
    Required(Box<Self>),
    List(Box<Self>),
    Named(String),
}

/// A place in the arguments of a field, and what belongs there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// As an error names it: `input.runtimeId`, `input.messages.0.seq`.
    pub(crate) path: String,
    /// The name of its type.
    pub(crate) type_name: String,
}

impl Surface {
    /// Asks the service.
    pub(crate) async fn of(client: &Client) -> Self {
        let data = client.data(INTROSPECTION, json!({})).await;
        Self {
            types: data["__schema"]["types"].as_array().unwrap().clone(),
        }
    }

    /// The fields of every root.
    pub(crate) fn fields(&self) -> Vec<Field> {
        let roots = [
            ("query", "Query"),
            ("mutation", "Mutation"),
            ("subscription", "Subscription"),
        ];
        let of_root = |(operation, root): (&'static str, &str)| -> Vec<Field> {
            let fields = self.known(root)["fields"].as_array().unwrap();
            let field = |field: &Value| Field {
                operation,
                name: text(&field["name"]),
                arguments: declared(&field["args"]),
            };
            fields.iter().map(field).collect()
        };
        roots.into_iter().flat_map(of_root).collect()
    }

    /// The fields of a type that are values, not objects, and need no arguments, as a selection.
    pub(crate) fn values_of(&self, type_name: &str) -> String {
        let fields = self.known(type_name)["fields"].as_array().unwrap().iter();
        let is_value = |field: &&Value| {
            let of = type_of(&field["type"]);
            let kind = &self.known(of.name())["kind"];
            let needs_nothing = !declared(&field["args"]).iter().any(Argument::is_needed);
            needs_nothing && (kind == "SCALAR" || kind == "ENUM")
        };
        let names: Vec<String> = fields
            .filter(is_value)
            .map(|field| text(&field["name"]))
            .collect();
        names.join(" ")
    }

    /// The names of the mutations.
    pub(crate) fn mutations(&self) -> Vec<String> {
        let fields = self.fields().into_iter();
        let mutations = fields.filter(|field| field.operation == "mutation");
        mutations.map(|field| field.name).collect()
    }

    /// The field of a root that has this name.
    pub(crate) fn field(&self, name: &str) -> Field {
        let mut fields = self.fields().into_iter();
        fields
            .find(|field| field.name == name)
            .unwrap_or_else(|| panic!("there is no {name}"))
    }

    /// Every place in the arguments of a field, inputs and lists gone through.
    pub(crate) fn places(&self, field: &Field) -> Vec<Place> {
        let mut places = Vec::new();
        for Argument { name, of, .. } in &field.arguments {
            self.collect(name, of, &mut places);
        }
        places
    }

    fn collect(&self, path: &str, of: &Type, places: &mut Vec<Place>) {
        match of {
            Type::Required(of) => self.collect(path, of, places),
            Type::List(of) => self.collect(&format!("{path}.0"), of, places),
            Type::Named(type_name) => {
                places.push(Place {
                    path: path.to_owned(),
                    type_name: type_name.clone(),
                });
                for Argument { name, of, .. } in self.inputs(type_name) {
                    self.collect(&format!("{path}.{name}"), &of, places);
                }
            }
        }
    }

    /// Variables for a field: what it needs, and something at the place. Well-formed, and about nothing that exists.
    pub(crate) fn variables(&self, field: &Field, place: &str) -> Value {
        let mut variables = json!({});
        for argument in &field.arguments {
            let within = below(place, &argument.name);
            if within.is_some() || argument.is_needed() {
                variables[&argument.name] = self.sample(&argument.of, within.unwrap_or_default());
            }
        }
        variables
    }

    fn sample(&self, of: &Type, place: &str) -> Value {
        match of {
            Type::Required(of) => self.sample(of, place),
            Type::List(of) => json!([self.sample(of, below(place, "0").unwrap_or_default())]),
            Type::Named(name) => match name.as_str() {
                "UUID" => json!(Uuid::new_v4()),
                "Cursor" => json!(format!("c{:016x}", 0)),
                "String" => json!("text"),
                "Int" => json!(1),
                "Boolean" => json!(false),
                "JSON" => json!({}),
                _ if self.is_enum(name) => self.known(name)["enumValues"][0]["name"].clone(),
                _ => {
                    let mut input = json!({});
                    for argument in self.inputs(name) {
                        let within = below(place, &argument.name);
                        if within.is_some() || argument.is_needed() {
                            input[&argument.name] =
                                self.sample(&argument.of, within.unwrap_or_default());
                        }
                    }
                    input
                }
            },
        }
    }

    /// Whether a type is a closed vocabulary.
    pub(crate) fn is_enum(&self, name: &str) -> bool {
        self.known(name)["kind"] == "ENUM"
    }

    /// Whether a type is an object of arguments.
    pub(crate) fn is_input(&self, name: &str) -> bool {
        self.known(name)["kind"] == "INPUT_OBJECT"
    }

    /// The document that asks for a field with its arguments written into it.
    pub(crate) fn literal(&self, field: &Field, variables: &Value) -> String {
        let given = field
            .arguments
            .iter()
            .filter_map(|Argument { name, of, .. }| {
                let value = variables.get(name)?;
                Some(format!("{name}: {}", self.written(of, value)))
            });
        asked(field, "", &parenthesised(&given.collect::<Vec<String>>()))
    }

    fn written(&self, of: &Type, value: &Value) -> String {
        match (of, value) {
            (Type::Required(of), _) => self.written(of, value),
            (Type::List(of), Value::Array(values)) => {
                let values: Vec<String> =
                    values.iter().map(|value| self.written(of, value)).collect();
                format!("[{}]", values.join(", "))
            }
            (Type::Named(name), Value::String(text)) if self.is_enum(name) => text.clone(),
            (Type::Named(name), Value::Object(fields)) => {
                let inputs = self.inputs(name);
                let field = |(field, value): (&String, &Value)| {
                    let known = inputs.iter().find(|argument| argument.name == *field);
                    let of = known.map_or(Type::Named("JSON".to_owned()), |known| known.of.clone());
                    format!("{field}: {}", self.written(&of, value))
                };
                let fields: Vec<String> = fields.iter().map(field).collect();
                format!("{{{}}}", fields.join(", "))
            }
            _ => value.to_string(),
        }
    }

    /// The fields of an input.
    fn inputs(&self, name: &str) -> Vec<Argument> {
        declared(&self.known(name)["inputFields"])
    }

    fn known(&self, name: &str) -> &Value {
        let mut types = self.types.iter();
        types
            .find(|known| known["name"] == name)
            .unwrap_or_else(|| panic!("there is no type {name}"))
    }
}

impl Type {
    /// What it is of, whether needed, whether many.
    fn name(&self) -> &str {
        match self {
            Self::Required(of) | Self::List(of) => of.name(),
            Self::Named(name) => name,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required(of) => write!(f, "{of}!"),
            Self::List(of) => write!(f, "[{of}]"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// The document that asks for a field.
fn asked(field: &Field, declared: &str, passed: &str) -> String {
    let Field {
        operation, name, ..
    } = field;
    format!("{operation}{declared} {{ {name}{passed} {{ __typename }} }}")
}

/// Puts a value at a place of variables.
pub(crate) fn put(variables: &mut Value, path: &str, value: Value) {
    let pointer = format!("/{}", path.replace('.', "/"));
    *variables
        .pointer_mut(&pointer)
        .unwrap_or_else(|| panic!("there is no {path}")) = value;
}

/// What is left of a path below its first name, if that is its first name.
fn below<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(name)?;
    if rest.is_empty() {
        Some("")
    } else {
        rest.strip_prefix('.')
    }
}

fn declared(arguments: &Value) -> Vec<Argument> {
    let arguments = arguments.as_array().into_iter().flatten();
    arguments
        .map(|argument| Argument {
            name: text(&argument["name"]),
            of: type_of(&argument["type"]),
            has_default: !argument["defaultValue"].is_null(),
        })
        .collect()
}

fn type_of(reference: &Value) -> Type {
    match reference["kind"].as_str().unwrap() {
        "NON_NULL" => Type::Required(Box::new(type_of(&reference["ofType"]))),
        "LIST" => Type::List(Box::new(type_of(&reference["ofType"]))),
        _ => Type::Named(text(&reference["name"])),
    }
}

fn parenthesised(list: &[String]) -> String {
    if list.is_empty() {
        String::new()
    } else {
        format!("({})", list.join(", "))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
