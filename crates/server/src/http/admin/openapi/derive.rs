//! What the types of a handler say about its operation: parameters, bodies, answers and their schemas.

use super::super::problem::Problem;
use super::Operation;
use http::HeaderMap;
use http::request::Parts;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

/// A handler whose types describe its operation. `T` are the types of what it takes.
pub(in crate::http::admin) trait Described<T> {
    /// Adds what the types say.
    fn describe(operation: &mut Operation, schemas: &mut Schemas);
}

/// What a handler takes.
pub(in crate::http::admin) trait Input {
    /// Adds what taking it means; nothing, unless it says so.
    fn describe(_: &mut Operation, _: &mut Schemas) {}
}

/// What a handler returns.
pub(in crate::http::admin) trait Output {
    /// Adds the answer.
    fn describe(operation: &mut Operation, schemas: &mut Schemas);
}

macro_rules! handlers {
    ($($input:ident)*) => {
        impl<F, W, O, $($input),*> Described<($($input,)*)> for F
        where
            F: Fn($($input),*) -> W,
            W: Future<Output = Result<O, Problem>>,
            O: Output,
            $($input: Input,)*
        {
            fn describe(operation: &mut Operation, schemas: &mut Schemas) {
                $($input::describe(operation, schemas);)*
                O::describe(operation, schemas);
            }
        }
    };
}

handlers!(A);
handlers!(A B);
handlers!(A B C);

impl Input for Parts {}
impl Input for HeaderMap {}

/// The schemas of requests and of answers: a member that can be left out of a request is always in an answer.
pub(in crate::http::admin) struct Schemas {
    requests: SchemaGenerator,
    answers: SchemaGenerator,
}

impl Default for Schemas {
    fn default() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12()
                .with(|settings| settings.definitions_path = "/components/schemas".into())
                .with_transform(RecursiveTransform(plain))
        };
        Self {
            requests: settings().for_deserialize().into_generator(),
            answers: settings().for_serialize().into_generator(),
        }
    }
}

/// Closes objects, and leaves out Rust's sizes of numbers.
fn plain(schema: &mut Schema) {
    if schema.get("properties").is_some() {
        schema.insert("additionalProperties".to_owned(), false.into());
    }
    let number = schema
        .get("type")
        .is_some_and(|kind| kind.to_string().contains("integer"));
    if number {
        schema.remove("format");
    }
}

impl Schemas {
    /// The schema of a body of a request.
    pub(in crate::http::admin) fn of_request<T: JsonSchema>(&mut self) -> Value {
        self.requests.subschema_for::<T>().into()
    }

    /// The schema of a body of an answer.
    pub(in crate::http::admin) fn of_answer<T: JsonSchema>(&mut self) -> Value {
        self.answers.subschema_for::<T>().into()
    }

    /// The first line about the body of an answer.
    pub(in crate::http::admin) fn about<T: JsonSchema>(&mut self) -> String {
        self.of_answer::<T>();
        let schema = self.answers.definitions().get(&*T::schema_name());
        let about = schema.and_then(|schema| schema["description"].as_str());
        about.unwrap_or_default().to_owned()
    }

    /// Every schema that was used, by name.
    pub(super) fn into_components(mut self) -> Map<String, Value> {
        let mut all = self.requests.take_definitions(true);
        all.extend(self.answers.take_definitions(true));
        all
    }
}
