//! The settings of a client as a form: sensible choices, and room for others.

use super::super::form::{Fault, Field, Form};
use crate::verbs::settings::{Member, Written};
use askama::Template;
use askama::filters::HtmlSafe;
use tokenward_core::client::{OnRepeat, Product, Settings};

/// Lifetimes offered, in seconds, and their words.
const LIFETIMES: &[(&str, &str)] = &[
    ("900", "15 minutes"),
    ("3600", "1 hour"),
    ("28800", "8 hours"),
    ("86400", "24 hours"),
    ("604800", "7 days"),
    ("2592000", "30 days"),
    ("7776000", "90 days"),
    ("31536000", "1 year"),
    ("never", "Never expires"),
    ("other", "Another number of seconds"),
];

/// The form's body, the same for a new client and an old one.
#[derive(Template)]
#[template(path = "console/client_settings.html")]
pub(super) struct SettingsForm {
    label: Field,
    all_products: bool,
    products: Vec<(String, String, bool)>,
    product_fault: String,
    lifetimes: Vec<(&'static str, &'static str, bool)>,
    other_lifetime: Field,
    lifetime_fault: String,
    returns: bool,
    renew_before: Field,
    handover: Field,
    secret_networks: Field,
    token_networks: Field,
    emails: Field,
    /// Whether the further settings are open from the start.
    open: bool,
}
impl HtmlSafe for SettingsForm {}

/// What a new client's form begins with.
pub(super) fn blank() -> Form {
    let fields: &[(&str, &str)] = &[
        ("scope", "all"),
        ("lifetime", "3600"),
        ("on_repeat", "replace"),
        ("renew_before_seconds", "600"),
        ("handover_max_seconds", "0"),
    ];
    encoded(
        fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    )
}

fn encoded<'a>(pairs: impl Iterator<Item = (&'a str, String)>) -> Form {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.extend_pairs(pairs);
    Form::read(body.finish().as_bytes()).unwrap_or_default()
}

/// What an old client's form begins with.
pub(super) fn of(settings: &Settings, products: &[Product]) -> Form {
    let mut pairs = vec![("label", settings.label.to_string())];
    match &settings.products {
        None => pairs.push(("scope", "all".to_owned())),
        Some(list) => {
            pairs.push(("scope", "some".to_owned()));
            let slugs = crate::verbs::settings::product_slugs(list, products);
            pairs.extend(slugs.into_iter().map(|slug| ("products", slug)));
        }
    }
    match settings.token_lifetime_seconds {
        None => pairs.push(("lifetime", "never".to_owned())),
        Some(seconds) => {
            let text = seconds.to_string();
            if LIFETIMES.iter().any(|(value, _)| *value == text) {
                pairs.push(("lifetime", text));
            } else {
                pairs.push(("lifetime", "other".to_owned()));
                pairs.push(("other_lifetime", text));
            }
        }
    }
    let repeat = match settings.on_repeat {
        OnRepeat::Replace => "replace",
        OnRepeat::Return => "return",
    };
    pairs.push(("on_repeat", repeat.to_owned()));
    pairs.push((
        "renew_before_seconds",
        settings.renew_before_seconds.to_string(),
    ));
    pairs.push((
        "handover_max_seconds",
        settings.handover_max_seconds.to_string(),
    ));
    pairs.push((
        "secret_networks",
        settings.secret_networks.texts().join("\n"),
    ));
    pairs.push(("token_networks", settings.token_networks.texts().join("\n")));
    pairs.push((
        "notification_emails",
        settings.notification_emails.join("\n"),
    ));
    encoded(pairs.into_iter())
}

/// The form as shown.
pub(super) fn shown(form: &Form, fault: &Fault, products: &[Product]) -> SettingsForm {
    let chosen = form.text("lifetime");
    let about = |field: &str| match fault.is_about(field) {
        true => fault.text.clone(),
        false => String::new(),
    };
    let label = Field::new("text", "label", "Label", form, fault);
    let area = |name, label| Field::new("area", name, label, form, fault);
    let seconds = |name, label| Field::new("number", name, label, form, fault).digits();
    let usual = blank();
    let further = [
        "renew_before_seconds",
        "handover_max_seconds",
        "secret_networks",
        "token_networks",
        "notification_emails",
        "on_repeat",
    ];
    SettingsForm {
        label: label
            .hint("What people call it, such as “SAP ECC India”. Unique in its workspace and environment.")
            .auto("off"),
        all_products: form.text("scope") != "some",
        products: products
            .iter()
            .map(|product| {
                let slug = product.slug.to_string();
                let ticked = form.all("products").any(|known| known == slug);
                (slug, product.name.to_string(), ticked)
            })
            .collect(),
        product_fault: about("products"),
        lifetimes: LIFETIMES
            .iter()
            .map(|(value, words)| (*value, *words, *value == chosen))
            .collect(),
        other_lifetime: seconds("other_lifetime", "Seconds, if another number")
            .hint("1 second to ten years.")
            .optional(),
        lifetime_fault: about("token_lifetime_seconds"),
        returns: form.text("on_repeat") == "return",
        renew_before: seconds("renew_before_seconds", "Seconds before its end from which a new token is made anyway")
            .or("600"),
        handover: seconds("handover_max_seconds", "Longest hand-over a caller may ask for, in seconds")
            .hint("0 means none: a new token ends the old one at once. With a hand-over, whoever asks for it keeps the old token for so long.")
            .or("0"),
        secret_networks: area("secret_networks", "From where its secret may be used")
            .hint("One network a line, such as 203.0.113.0/24. Empty means from anywhere."),
        token_networks: area("token_networks", "From where its tokens may be used")
            .hint("One network a line. Empty means from anywhere."),
        emails: area("notification_emails", "Whom to tell by e-mail")
            .hint("One address a line: of generations, changes, and what is about to expire."),
        open: further.iter().any(|field| {
            fault.is_about(field) || form.text(field) != usual.text(field)
        }),
    }
}

/// The form as the verbs take it.
pub(super) fn written(form: &Form) -> Result<Written, Fault> {
    let number = |field: &str| -> Result<Option<u64>, Fault> {
        let text = form.text(field).trim();
        if text.is_empty() {
            return Ok(None);
        }
        let parsed = text
            .parse()
            .map_err(|_| Fault::new(field, "This must be a whole number of seconds."));
        parsed.map(Some)
    };
    let products = match form.text("scope") {
        "some" => {
            let chosen: Vec<String> = form.all("products").map(str::to_owned).collect();
            if chosen.is_empty() {
                return Err(Fault::new(
                    "products",
                    "Tick at least one product, or choose all products.",
                ));
            }
            Some(chosen)
        }
        _ => None,
    };
    let lifetime = match form.text("lifetime") {
        "never" => None,
        "other" => match number("other_lifetime")
            .map_err(|fault| Fault::new("token_lifetime_seconds", fault.text))?
        {
            Some(seconds) => Some(seconds),
            None => {
                return Err(Fault::new(
                    "token_lifetime_seconds",
                    "Say how many seconds.",
                ));
            }
        },
        seconds => Some(
            seconds
                .parse()
                .map_err(|_| Fault::new("token_lifetime_seconds", "Choose a lifetime."))?,
        ),
    };
    Ok(Written {
        label: Some(form.text("label").trim().to_owned()),
        environment: None,
        products: Member::Given(products),
        token_lifetime_seconds: Member::Given(lifetime),
        secret_networks: Some(form.lines("secret_networks")),
        token_networks: Some(form.lines("token_networks")),
        notification_emails: Some(form.lines("notification_emails")),
        on_repeat: Some(match form.text("on_repeat") {
            "return" => "return".to_owned(),
            _ => "replace".to_owned(),
        }),
        renew_before_seconds: number("renew_before_seconds")?,
        handover_max_seconds: number("handover_max_seconds")?,
    })
}
