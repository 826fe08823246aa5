//! What can never be right is refused with the contract's code, names its argument, and changes nothing.

mod arguments;
mod request;
mod size;
mod values;

use serde_json::{Value, json};

use crate::harness::{Surface, TestApp, World};

/// Sends each of the requests, and fails unless all of them are refused with `BAD_USER_INPUT`, say what is to be said,
/// and leave every table as it was.
async fn refused(app: &TestApp, world: &World<'_>, requests: Vec<Bad>) {
    assert!(!requests.is_empty());
    let before = app.database.contents().await;
    let mut faults = Vec::new();
    for Bad {
        document,
        variables,
        says,
    } in requests
    {
        let mut response = world.host.send(&document, variables.clone()).await;
        if response["errors"][0]["extensions"]["code"] == "FORBIDDEN" {
            response = world.daemon.send(&document, variables.clone()).await;
        }
        let error = &response["errors"][0];
        let code = error["extensions"]["code"].as_str();
        let mut code = code.unwrap_or("no error").to_owned();
        let mut message = error["message"].as_str().unwrap_or_default().to_owned();
        // What is valid has to be asked where it would be answered.
        if message.starts_with("Subscriptions are not supported") {
            let mut subscription = world.host.subscribe(&document, variables.clone()).await;
            let error = subscription.error().await;
            (code, message) = (error.code, error.message);
        }
        if code != "BAD_USER_INPUT" || !message.contains(&says) {
            let variables: String = variables.to_string().chars().take(300).collect();
            faults.push(format!(
                "{document} {variables}: {code} {message:?}, not {says}"
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(app.database.contents().await, before);
}

/// A request that is to be refused.
struct Bad {
    document: String,
    variables: Value,
    /// What the message has in it.
    says: String,
}

/// The requests for every place of a type in the arguments of every field, with each of the values there: in variables, and
/// written into the document.
fn with_values(surface: &Surface, wanted: impl Fn(&str) -> bool, values: &[Value]) -> Vec<Bad> {
    let mut requests = Vec::new();
    for field in surface.fields() {
        for place in surface.places(&field) {
            if !wanted(&place.type_name) {
                continue;
            }
            for value in values {
                let mut variables = surface.variables(&field, &place.path);
                crate::harness::put(&mut variables, &place.path, value.clone());
                requests.push(Bad {
                    document: surface.literal(&field, &variables),
                    variables: json!({}),
                    says: place.path.clone(),
                });
                requests.push(Bad {
                    document: field.document(&variables),
                    variables,
                    says: place.path.clone(),
                });
            }
        }
    }
    requests
}
