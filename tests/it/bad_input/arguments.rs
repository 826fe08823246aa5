//! Arguments that are not of their type: every argument of every field, in a document and in variables.

use serde_json::{Value, json};

use super::{Bad, refused, with_values};
use crate::harness::{Surface, TestApp, World};

#[tokio::test]
async fn an_id_or_a_token_that_is_no_uuid_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [
        json!("nonsense"),
        json!(""),
        json!("0190f3c2-7b1a-7c3e-9d5f-2a4b6c8d0e1"),
        json!(7),
        json!({"a": 1}),
    ];
    refused(
        &app,
        &world,
        with_values(&surface, |name| name == "UUID", &values),
    )
    .await;
}

#[tokio::test]
async fn a_cursor_that_is_none_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [json!("nonsense"), json!(""), json!("c1"), json!(7)];
    refused(
        &app,
        &world,
        with_values(&surface, |name| name == "Cursor", &values),
    )
    .await;
}

#[tokio::test]
async fn what_is_no_integer_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [json!(1.5), json!("1"), json!(true)];
    refused(
        &app,
        &world,
        with_values(&surface, |name| name == "Int", &values),
    )
    .await;
}

#[tokio::test]
async fn an_integer_of_more_than_32_bits_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [
        json!(2_147_483_648_i64),
        json!(-2_147_483_649_i64),
        json!(u64::MAX),
    ];
    let mut requests = with_values(&surface, |name| name == "Int", &values);
    for request in &mut requests {
        // The library says what is wrong, and where only to the input.
        request.says = String::new();
    }
    refused(&app, &world, requests).await;
}

#[tokio::test]
async fn a_word_that_a_vocabulary_does_not_have_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [json!("ASLEEP"), json!("queued"), json!(1)];
    refused(
        &app,
        &world,
        with_values(&surface, |name| surface.is_enum(name), &values),
    )
    .await;
}

#[tokio::test]
async fn what_is_not_a_text_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [json!(1), json!(true), json!({"a": 1})];
    refused(
        &app,
        &world,
        with_values(&surface, |name| name == "String", &values),
    )
    .await;
}

#[tokio::test]
async fn what_is_not_an_input_is_refused() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let values = [json!("text"), json!(1)];
    let mut requests = with_values(&surface, |name| surface.is_input(name), &values);
    for request in &mut requests {
        // In a list the library names the type, not the place.
        request.says = String::new();
    }
    refused(&app, &world, requests).await;
}

#[tokio::test]
async fn a_field_that_an_input_does_not_have_is_named() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let mut requests = Vec::new();
    for field in surface.fields() {
        for place in surface.places(&field) {
            if surface.is_input(&place.type_name) {
                let mut variables = surface.variables(&field, &place.path);
                let pointer = format!("/{}", place.path.replace('.', "/"));
                variables.pointer_mut(&pointer).unwrap()["colour"] = json!("red");
                requests.push(Bad {
                    document: field.document(&variables),
                    variables,
                    says: "colour".to_owned(),
                });
            }
        }
    }
    refused(&app, &world, requests).await;
}

#[tokio::test]
async fn what_is_needed_and_missing_is_named() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let mut requests = Vec::new();
    for field in surface.fields() {
        let whole = surface.variables(&field, "");
        for (name, value) in whole.as_object().unwrap() {
            for missing in value.as_object().into_iter().flat_map(|input| input.keys()) {
                let mut variables = whole.clone();
                variables[name].as_object_mut().unwrap().remove(missing);
                let mut null = whole.clone();
                null[name][missing] = Value::Null;
                for variables in [variables, null] {
                    requests.push(Bad {
                        document: field.document(&variables),
                        variables,
                        says: missing.clone(),
                    });
                }
            }
            let mut variables = whole.clone();
            variables.as_object_mut().unwrap().remove(name);
            requests.push(Bad {
                document: field.document(&variables),
                variables,
                says: name.clone(),
            });
        }
    }
    refused(&app, &world, requests).await;
}

#[tokio::test]
async fn a_list_that_is_too_long_names_its_argument() {
    let app = TestApp::start().await;
    let world = World::new(&app).await;
    let surface = Surface::of(&world.host).await;
    let mut requests = Vec::new();
    for field in surface.fields() {
        for place in surface.places(&field) {
            // A list is the place above the place of its first element.
            let Some(list) = place.path.strip_suffix(".0") else {
                continue;
            };
            let mut variables = surface.variables(&field, &place.path);
            let pointer = format!("/{}", list.replace('.', "/"));
            let elements = variables.pointer_mut(&pointer).unwrap();
            *elements = Value::Array(vec![elements[0].clone(); 1001]);
            requests.push(Bad {
                document: field.document(&variables),
                variables,
                says: list.to_owned(),
            });
        }
    }
    refused(&app, &world, requests).await;
}
