//! The settings of a client as a form: sensible choices, and room for others.

use super::super::prelude::*;
use askama::filters::HtmlSafe;
use tokenward_api::{ClientSettings, Setting};
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
    ("other", "Custom"),
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
    Form::of(
        fields
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    )
}

/// What an old client's form begins with.
pub(super) fn of(settings: &Settings, products: &[Product]) -> Form {
    let mut pairs = vec![("label", settings.label.to_string())];
    match &settings.products {
        None => pairs.push(("scope", "all".to_owned())),
        Some(list) => {
            pairs.push(("scope", "some".to_owned()));
            let slugs = Product::slugs(list, products);
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
    pairs.extend([
        (
            "renew_before_seconds",
            settings.renew_before_seconds.to_string(),
        ),
        (
            "handover_max_seconds",
            settings.handover_max_seconds.to_string(),
        ),
        (
            "secret_networks",
            settings.secret_networks.texts().join("\n"),
        ),
        ("token_networks", settings.token_networks.texts().join("\n")),
        (
            "notification_emails",
            settings.notification_emails.join("\n"),
        ),
    ]);
    Form::of(pairs)
}

/// The form as shown.
pub(super) fn shown(form: &Form, fault: &Fault, products: &[Product]) -> SettingsForm {
    let chosen = form.text("lifetime");
    let about = |field: &str| fault.about(field).to_owned();
    let label = Field::new("text", "label", "Name", form, fault);
    let area = |name, label| Field::new("area", name, label, form, fault);
    let seconds = |name, label| Field::new("number", name, label, form, fault).digits();
    let usual = blank();
    SettingsForm {
        label: label
            .hint("For example “SAP ECC India”. Must be unique in this workspace and environment.")
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
        other_lifetime: seconds("other_lifetime", "Custom lifetime (seconds)")
            .hint("1 second to 10 years. Used when the token lifetime is Custom.")
            .optional(),
        lifetime_fault: about("token_lifetime_seconds"),
        returns: form.text("on_repeat") == "return",
        renew_before: seconds("renew_before_seconds", "Renew when less than (seconds) remain")
            .or("600"),
        handover: seconds("handover_max_seconds", "Maximum grace period (seconds)")
            .hint("How long the previous token can keep working after a new one is requested, if the request asks for it. 0 means no grace period.")
            .or("0"),
        secret_networks: area("secret_networks", "Allowed IP ranges for the client secret")
            .hint("One range per line, such as 203.0.113.0/24. Empty means any."),
        token_networks: area("token_networks", "Allowed IP ranges for access tokens")
            .hint("One range per line. Empty means any."),
        emails: area("notification_emails", "Notification emails")
            .hint("One address per line. Each must confirm with a link before it gets notifications about token generation, changes and expirations."),
        // Those after name, products and lifetime.
        open: SETTINGS[3..].iter().any(|(_, field, _)| {
            fault.is_about(field) || form.text(field) != usual.text(field)
        }),
    }
}

/// The settings: what pages call them, the names that the verbs have for them, and the fields of the form for each.
const SETTINGS: [(&str, &str, &[&str]); 9] = [
    ("Name", "label", &["label"]),
    ("Product access", "products", &["scope", "products"]),
    (
        "Token lifetime",
        "token_lifetime_seconds",
        &["lifetime", "other_lifetime"],
    ),
    (
        "Allowed IP ranges for the client secret",
        "secret_networks",
        &["secret_networks"],
    ),
    (
        "Allowed IP ranges for access tokens",
        "token_networks",
        &["token_networks"],
    ),
    (
        "Notification emails",
        "notification_emails",
        &["notification_emails"],
    ),
    ("If a token is already active", "on_repeat", &["on_repeat"]),
    (
        "Renew when less than (seconds) remain",
        "renew_before_seconds",
        &["renew_before_seconds"],
    ),
    (
        "Maximum grace period (seconds)",
        "handover_max_seconds",
        &["handover_max_seconds"],
    ),
];

/// What a form says of a setting, in words.
fn described(form: &Form, member: &str) -> String {
    let text = |field: &str| form.text(field).trim().to_owned();
    let lines = |none: &str| match form.lines(member).join(", ") {
        lines if lines.is_empty() => none.to_owned(),
        lines => lines,
    };
    match member {
        "products" if form.text("scope") == "some" => {
            let mut slugs: Vec<&str> = form.all("products").collect();
            slugs.sort_unstable();
            slugs.join(", ")
        }
        "products" => "All current and future products".to_owned(),
        "token_lifetime_seconds" => match form.text("lifetime") {
            "other" => format!("{} seconds", text("other_lifetime")),
            value => {
                let known = LIFETIMES.iter().find(|(known, _)| *known == value);
                known.map_or(value, |(_, words)| *words).to_owned()
            }
        },
        "secret_networks" | "token_networks" => lines("Any"),
        "notification_emails" => lines("None"),
        "on_repeat" if form.text("on_repeat") == "return" => "Return the active token".to_owned(),
        "on_repeat" => "Replace the current token".to_owned(),
        _ => text(member),
    }
}

/// A setting that was changed by somebody else while a form was open.
pub(super) struct Difference {
    pub(super) setting: &'static str,
    pub(super) opened: String,
    pub(super) now: String,
    pub(super) typed: String,
}

/// What is different now from when the form was opened.
pub(super) fn differences(opened: &Form, now: &Form, typed: &Form) -> Vec<Difference> {
    let of = |(setting, member, _): (&'static str, &str, _)| {
        let [opened, now, typed] = [opened, now, typed].map(|form| described(form, member));
        (opened != now).then_some(Difference {
            setting,
            opened,
            now,
            typed,
        })
    };
    SETTINGS.into_iter().filter_map(of).collect()
}

/// The settings as they are now, with what was altered in the form over them.
pub(super) fn merged(opened: &Form, now: &Form, typed: &Form) -> Form {
    let mut pairs = Vec::new();
    for (_, member, fields) in SETTINGS {
        let altered = described(opened, member) != described(typed, member);
        let from = if altered { typed } else { now };
        for field in fields {
            pairs.extend(from.all(field).map(|value| (*field, value.to_owned())));
        }
    }
    Form::of(pairs)
}

/// What was altered in the form, as the verbs take it; and what of the form can't be read.
pub(super) fn altered(opened: &Form, typed: &Form) -> (ClientSettings, Vec<Fault>) {
    let (mut written, faults) = written(typed);
    for (_, member, _) in SETTINGS {
        if described(opened, member) == described(typed, member) {
            leave_out(&mut written, member);
        }
    }
    (written, faults)
}

/// Leaves a setting as it is; false when it is none of the form's.
fn leave_out(written: &mut ClientSettings, member: &str) -> bool {
    match member {
        "label" => written.label = None,
        "products" => written.products = Setting::Absent,
        "token_lifetime_seconds" => written.token_lifetime_seconds = Setting::Absent,
        "secret_networks" => written.secret_networks = None,
        "token_networks" => written.token_networks = None,
        "notification_emails" => written.notification_emails = None,
        "on_repeat" => written.on_repeat = None,
        "renew_before_seconds" => written.renew_before_seconds = None,
        "handover_max_seconds" => written.handover_max_seconds = None,
        _ => return false,
    }
    true
}

/// Everything that is wrong with a form: what can't be read, and what `judge` refuses, field after field.
pub(super) fn all_faults(
    written: &ClientSettings,
    mut faults: Vec<Fault>,
    judge: impl Fn(&ClientSettings) -> Result<Settings, Refused>,
) -> Option<Fault> {
    let mut rest = written.clone();
    while let Err(Refused::Invalid(field, why)) = judge(&rest) {
        let known = faults.iter().any(|fault| fault.is_about(field));
        if !known {
            faults.push(Fault::new(field, super::super::form::sentence(&why)));
        }
        // Each field is left out once.
        if known || !leave_out(&mut rest, field) {
            break;
        }
        if field == "label" {
            // One is needed: this one is good.
            rest.label = Some("label".to_owned());
        }
    }
    Fault::of_all(faults)
}

/// The form as the verbs take it, without what can't be read; and that.
pub(super) fn written(form: &Form) -> (ClientSettings, Vec<Fault>) {
    let mut faults = Vec::new();
    let mut number = |field: &str, about: &str| -> Option<u64> {
        let text = form.text(field).trim();
        if text.is_empty() {
            return None;
        }
        let parsed = text.parse().ok();
        if parsed.is_none() {
            faults.push(Fault::new(about, "Enter a whole number of seconds."));
        }
        parsed
    };
    let renew_before_seconds = number("renew_before_seconds", "renew_before_seconds");
    let handover_max_seconds = number("handover_max_seconds", "handover_max_seconds");
    let other = match form.text("lifetime") {
        "other" => number("other_lifetime", "token_lifetime_seconds"),
        _ => None,
    };
    let lifetime = match form.text("lifetime") {
        "never" => Setting::Given(None),
        "other" => match other {
            Some(seconds) => Setting::Given(Some(seconds)),
            None => {
                if form.text("other_lifetime").trim().is_empty() {
                    let why = "Enter the custom lifetime in seconds.";
                    faults.push(Fault::new("token_lifetime_seconds", why));
                }
                Setting::Absent
            }
        },
        seconds => match seconds.parse() {
            Ok(seconds) => Setting::Given(Some(seconds)),
            Err(_) => {
                let why = "Select a token lifetime.";
                faults.push(Fault::new("token_lifetime_seconds", why));
                Setting::Absent
            }
        },
    };
    let products = match form.text("scope") {
        "some" => {
            let chosen: Vec<String> = form.all("products").map(str::to_owned).collect();
            match chosen.is_empty() {
                true => {
                    let why = "Select at least one product, or select all products.";
                    faults.push(Fault::new("products", why));
                    Setting::Absent
                }
                false => Setting::Given(Some(chosen)),
            }
        }
        _ => Setting::Given(None),
    };
    let written = ClientSettings {
        label: Some(form.text("label").trim().to_owned()),
        environment: None,
        products,
        token_lifetime_seconds: lifetime,
        secret_networks: Some(form.lines("secret_networks")),
        token_networks: Some(form.lines("token_networks")),
        notification_emails: Some(form.lines("notification_emails")),
        on_repeat: Some(match form.text("on_repeat") {
            "return" => "return".to_owned(),
            _ => "replace".to_owned(),
        }),
        renew_before_seconds,
        handover_max_seconds,
    };
    (written, faults)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(label: &str, lifetime: &str, networks: &str) -> Form {
        Form::of(
            [
                ("label", label),
                ("scope", "all"),
                ("lifetime", lifetime),
                ("token_networks", networks),
                ("renew_before_seconds", "600"),
                ("handover_max_seconds", "0"),
            ]
            .into_iter()
            .map(|(name, value)| (name, value.to_owned())),
        )
    }

    #[test]
    fn only_what_was_altered_is_sent_and_what_others_altered_stays() {
        let opened = form("erp", "3600", "10.0.0.0/8\n192.0.2.1");
        // A browser ends lines its own way.
        let typed = form(" erp new ", "3600", "10.0.0.0/8\r\n192.0.2.1\r\n");
        let (written, faults) = altered(&opened, &typed);
        assert!(faults.is_empty());
        let only = ClientSettings {
            label: Some("erp new".into()),
            ..ClientSettings::default()
        };
        assert_eq!(format!("{written:?}"), format!("{only:?}"));
        let now = form("erp", "900", "10.0.0.0/8");
        let changed: Vec<&str> = differences(&opened, &now, &typed)
            .iter()
            .map(|difference| difference.setting)
            .collect();
        assert_eq!(
            changed,
            ["Token lifetime", "Allowed IP ranges for access tokens"]
        );
        let merged = merged(&opened, &now, &typed);
        assert_eq!(merged.text("label"), " erp new ");
        assert_eq!(merged.text("lifetime"), "900");
        assert_eq!(merged.text("token_networks"), "10.0.0.0/8");
    }
}
