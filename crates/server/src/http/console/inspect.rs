//! What a token check answers to a token that somebody pastes, for the clients they may see. The token travels in the
//! body of a form, is shown on no page and written nowhere, and is not counted as used.

use super::form::{Fault, Field, Form};
use super::frame::Frame;
use super::reply::{Reply, page, unprocessable};
use super::session::{Member, Sent};
use super::shown::Moment;
use crate::app::App;
use crate::verbs::check::{Counted, examine};
use crate::verbs::sign_in::Person;
use crate::verbs::{Refused, clients, products};
use askama::Template;
use axum::extract::State;
use std::net::IpAddr;
use std::sync::Arc;
use tokenward_core::client::Product;
use tokenward_core::time::Clock;
use tokenward_core::verdict::denial::Figure;
use tokenward_core::verdict::{Facts, Presented};
use tokenward_core::{AccessToken, ClientSecret};

/// What was found out about a token.
struct Answer {
    permitted: bool,
    /// The status of HTTP, the code and the sentence of the answer.
    status: u16,
    code: &'static str,
    sentence: String,
    client: String,
    label: String,
    facts: Vec<(&'static str, String)>,
    expires: Option<Moment>,
}

#[derive(Template)]
#[template(path = "console/inspect.html")]
struct InspectPage {
    frame: Frame,
    fields: Vec<Field>,
    fault: Fault,
    answer: Option<Answer>,
}

fn shown(person: &Person, all: &[Product], form: &Form, fault: Fault) -> InspectPage {
    let options = all
        .iter()
        .map(|product| (product.slug.to_string(), product.name.to_string()))
        .collect();
    InspectPage {
        frame: Frame::new(person, "Test a token", "inspect"),
        fields: vec![
            Field::new("password", "token", "Access token", form, &fault)
                .hint("Paste the whole token. It is sent in the body of the form, never stored or logged.")
                .auto("off"),
            Field::new("select", "product", "Product", form, &fault).options(options),
            Field::new("text", "address", "IP address of the caller", form, &fault)
                .hint("To test allowed IP ranges, such as 203.0.113.7.")
                .auto("off")
                .optional(),
        ],
        fault,
        answer: None,
    }
}

/// `GET /console/inspect`
pub(super) async fn show(State(app): State<Arc<App>>, Member(person): Member) -> Reply {
    let all = products::list(&app.data).await?;
    // A link fills in no form.
    page(&shown(&person, &all, &Form::default(), Fault::default()))
}

/// The client that a pasted credential names, and the environment; or why it can't be tested.
fn read(text: &str) -> Result<AccessToken, &'static str> {
    AccessToken::parse(text).map_err(|_| match ClientSecret::parse(text) {
        Ok(_) => "This is a client secret. Use it to request an access token, then test the access token.",
        Err(_) => "This isn't an access token, or it wasn't copied completely. A token check answers TOKEN_MALFORMED.",
    })
}

/// `POST /console/inspect`
pub(super) async fn send(State(app): State<Arc<App>>, sent: Sent) -> Reply {
    let (person, form) = (&sent.person, &sent.form);
    let all = products::list(&app.data).await?;
    let again = |fault| unprocessable(&shown(person, &all, form, fault));
    let text = form.secret("token");
    let token = match read(text.trim()) {
        Ok(token) => token,
        Err(why) => return again(Fault::new("token", why)),
    };
    let address: Option<IpAddr> = match form.text("address").trim() {
        "" => None,
        typed => match typed.parse() {
            Ok(address) => Some(address),
            Err(_) => return again(Fault::new("address", "Enter an IPv4 or IPv6 address.")),
        },
    };
    let seen = match clients::show(&app.data, &person.admin(), token.client()).await {
        Ok(seen) => seen,
        Err(Refused::NotFound(_)) => {
            let why = "This token doesn't belong to an API client that you have access to.";
            return again(Fault::new("token", why));
        }
        Err(refused) => return Err(refused.into()),
    };
    let facts = Facts {
        environment: token.environment(),
        product: form.text("product"),
        address,
    };
    let presented = Presented::One(text.trim());
    let now = app.data.clock().wall();
    let mut told = vec![
        (
            "Environment",
            super::shown::environment(token.environment()).to_owned(),
        ),
        ("Product", facts.product.to_owned()),
    ];
    let mut answer = match examine(&app.data, presented, &facts, Counted::No) {
        Ok(permit) => {
            told.push(("Generation", permit.generation().to_string()));
            Answer {
                permitted: true,
                status: 200,
                code: "",
                sentence: "The token check permits this request.".to_owned(),
                client: String::new(),
                label: String::new(),
                facts: Vec::new(),
                expires: permit.valid_till().map(|till| Moment::new(till, now)),
            }
        }
        Err(refusal) => {
            for (name, figure) in refusal.figures() {
                let value = match figure {
                    Figure::Number(number) => number.to_string(),
                    Figure::Time(text) => text.to_string(),
                };
                told.push((name, value));
            }
            Answer {
                permitted: false,
                status: refusal.http_status(),
                code: refusal.code(),
                sentence: refusal.sentence().to_owned(),
                client: String::new(),
                label: String::new(),
                facts: Vec::new(),
                expires: None,
            }
        }
    };
    answer.client = seen.state.client.id.to_string();
    answer.label = seen.state.client.settings.label.to_string();
    answer.facts = told;
    let mut shown = shown(person, &all, form, Fault::default());
    shown.answer = Some(answer);
    page(&shown)
}
