//! A client's settings as an administrator writes them, made clean.

use super::prelude::*;
use tokenward_api::{ClientSettings, Setting};
use tokenward_core::client::{
    EMAILS_MAX, HANDOVER_SECONDS_MAX, LIFETIME_SECONDS_MAX, OnRepeat, PRODUCTS_MAX, Product,
    RENEW_BEFORE_SECONDS_MAX, Settings,
};
use tokenward_core::hex;
use tokenward_core::ids::ProductNo;
use tokenward_core::label::{self, Label};
use tokenward_core::restrictions::Networks;

/// Seconds a token lives when nothing is said: an hour.
const LIFETIME_SECONDS: u32 = 3_600;
/// Seconds before its end from which a token is no longer returned, when nothing is said.
const RENEW_BEFORE_SECONDS: u32 = 600;

fn invalid(field: &'static str, why: impl Into<String>) -> Refused {
    Refused::Invalid(field, why.into())
}

/// Settings for a new client.
pub fn create(written: &ClientSettings, products: &[Product]) -> Result<Settings, Refused> {
    let label = written
        .label
        .as_deref()
        .ok_or_else(|| invalid("label", "a label is needed"))?;
    let blank = Settings {
        label: Label::parse(label).map_err(|why| invalid("label", why.0))?,
        products: None,
        token_lifetime_seconds: Some(LIFETIME_SECONDS),
        secret_networks: Networks::default(),
        token_networks: Networks::default(),
        notification_emails: Vec::new(),
        on_repeat: OnRepeat::Replace,
        renew_before_seconds: RENEW_BEFORE_SECONDS,
        handover_max_seconds: 0,
    };
    change(written, &blank, products)
}

/// Refuses a change whose nulls may be values that a tool left unset: each would lift a limit.
pub fn must_be_meant(written: &ClientSettings) -> Result<(), Refused> {
    match (&written.products, &written.token_lifetime_seconds) {
        (Setting::Null, Setting::Null) => Err(invalid(
            "products",
            "is null together with token_lifetime_seconds, as tools send values that are not set; send \"all\" and \
             \"never\" to lift both limits, or leave them out",
        )),
        _ => Ok(()),
    }
}

/// Settings as they are after this change.
pub fn change(
    written: &ClientSettings,
    old: &Settings,
    products: &[Product],
) -> Result<Settings, Refused> {
    let mut new = old.clone();
    // A label that stays is not judged anew: an older version may have accepted it.
    if let Some(text) = written
        .label
        .as_ref()
        .filter(|text| *text != old.label.as_str())
    {
        new.label = Label::parse(text).map_err(|why| invalid("label", why.0))?;
    }
    if let Some(given) = written.products.given() {
        new.products = given
            .map(Vec::as_slice)
            .map(|slugs| product_numbers(slugs, products))
            .transpose()?;
    }
    if let Some(given) = written.token_lifetime_seconds.given() {
        let within = |seconds: u64| {
            seconds_within("token_lifetime_seconds", seconds, 1, LIFETIME_SECONDS_MAX)
        };
        new.token_lifetime_seconds = given.copied().map(within).transpose()?;
    }
    if let Some(texts) = &written.secret_networks {
        new.secret_networks =
            Networks::parse(texts).map_err(|why| invalid("secret_networks", why.0))?;
    }
    if let Some(texts) = &written.token_networks {
        new.token_networks =
            Networks::parse(texts).map_err(|why| invalid("token_networks", why.0))?;
    }
    if let Some(texts) = &written.notification_emails {
        if texts.len() > EMAILS_MAX {
            return Err(invalid(
                "notification_emails",
                format!("at most {EMAILS_MAX} addresses"),
            ));
        }
        new.notification_emails = emails(texts, &old.notification_emails)?;
    }
    if let Some(text) = &written.on_repeat {
        new.on_repeat = match text.as_str() {
            "replace" => OnRepeat::Replace,
            "return" => OnRepeat::Return,
            _ => return Err(invalid("on_repeat", "must be replace or return")),
        };
    }
    if let Some(seconds) = written.renew_before_seconds {
        new.renew_before_seconds =
            seconds_within("renew_before_seconds", seconds, 0, RENEW_BEFORE_SECONDS_MAX)?;
    }
    if let Some(seconds) = written.handover_max_seconds {
        new.handover_max_seconds =
            seconds_within("handover_max_seconds", seconds, 0, HANDOVER_SECONDS_MAX)?;
    }
    Ok(new)
}

/// Notification addresses without those given twice. One that was there before is not judged anew.
fn emails(texts: &[String], before: &[String]) -> Result<Vec<String>, Refused> {
    let mut emails: Vec<String> = Vec::with_capacity(texts.len());
    for text in texts {
        let known = before.contains(text).then(|| text.clone());
        let email = known.map_or_else(|| label::email(text), Ok);
        let email = email.map_err(|why| invalid("notification_emails", why.0))?;
        if !emails.iter().any(|one| one.eq_ignore_ascii_case(&email)) {
            emails.push(email);
        }
    }
    Ok(emails)
}

/// The version of settings: any change of any of them makes another.
#[must_use]
pub fn version(settings: &Settings) -> String {
    use sha2::{Digest as _, Sha256};
    let plain = serde_json::to_vec(settings).unwrap_or_default();
    let digest: [u8; 32] = Sha256::digest(&plain).into();
    hex::encode(&digest[..16]).to_string()
}

/// Whether `new` allows anything that `old` does not, or tells other people: such a change needs a fresh proof.
#[must_use]
pub fn is_wider(old: &Settings, new: &Settings) -> bool {
    let products = match (&old.products, &new.products) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => new.iter().any(|no| !old.contains(no)),
    };
    let lifetime = match (old.token_lifetime_seconds, new.token_lifetime_seconds) {
        (None, _) => false,
        (Some(_), None) => true,
        (Some(old), Some(new)) => new > old,
    };
    let networks = |old: &Networks, new: &Networks| {
        let known = old.texts();
        !old.is_empty()
            && (new.is_empty() || new.texts().iter().any(|network| !known.contains(network)))
    };
    products
        || lifetime
        || networks(&old.secret_networks, &new.secret_networks)
        || networks(&old.token_networks, &new.token_networks)
        || old.notification_emails != new.notification_emails
        || (old.on_repeat == OnRepeat::Replace && new.on_repeat == OnRepeat::Return)
        || new.handover_max_seconds > old.handover_max_seconds
}

fn seconds_within(
    field: &'static str,
    seconds: u64,
    least: u32,
    most: u32,
) -> Result<u32, Refused> {
    let out = u32::try_from(seconds)
        .ok()
        .filter(|seconds| (least..=most).contains(seconds));
    out.ok_or_else(|| invalid(field, format!("must be {least} to {most} seconds")))
}

/// The numbers of products by slug, sorted.
pub fn product_numbers(slugs: &[String], products: &[Product]) -> Result<Vec<ProductNo>, Refused> {
    if slugs.is_empty() {
        return Err(invalid(
            "products",
            "must name a product, or be null for all",
        ));
    }
    if slugs.len() > PRODUCTS_MAX {
        return Err(invalid(
            "products",
            format!("at most {PRODUCTS_MAX} products"),
        ));
    }
    let mut numbers = Vec::with_capacity(slugs.len());
    for slug in slugs {
        let known = products
            .iter()
            .find(|product| product.slug.as_str() == slug);
        let shown: String = slug.chars().filter(|c| !c.is_control()).take(64).collect();
        numbers.push(
            known
                .ok_or_else(|| invalid("products", format!("there is no product {shown:?}")))?
                .no,
        );
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: &ClientSettings) -> Settings {
        let named = ClientSettings {
            label: Some("erp".into()),
            ..change.clone()
        };
        create(&named, &[]).unwrap()
    }

    #[test]
    fn what_allows_more_is_wider_and_what_allows_less_is_not() {
        let lifetime = |seconds| ClientSettings {
            token_lifetime_seconds: Setting::Given(seconds),
            ..ClientSettings::default()
        };
        let networks = |texts: &[&str]| ClientSettings {
            token_networks: Some(texts.iter().map(|text| (*text).to_owned()).collect()),
            ..ClientSettings::default()
        };
        let secrets = |texts: &[&str]| ClientSettings {
            secret_networks: Some(texts.iter().map(|text| (*text).to_owned()).collect()),
            ..ClientSettings::default()
        };
        let handover = |seconds| ClientSettings {
            handover_max_seconds: Some(seconds),
            ..ClientSettings::default()
        };
        let repeat = |word: &str| ClientSettings {
            on_repeat: Some(word.to_owned()),
            ..ClientSettings::default()
        };
        // Narrow first, wide second.
        for (narrow, wide) in [
            (lifetime(Some(60)), lifetime(Some(61))),
            (lifetime(Some(60)), lifetime(None)),
            (networks(&["10.0.0.0/8"]), networks(&[])),
            (
                networks(&["10.0.0.0/8"]),
                networks(&["10.0.0.0/8", "192.0.2.1"]),
            ),
            (secrets(&["10.0.0.0/8"]), secrets(&[])),
            (handover(0), handover(1)),
            (repeat("replace"), repeat("return")),
        ] {
            let (narrow, wide) = (settings(&narrow), settings(&wide));
            assert!(is_wider(&narrow, &wide), "{narrow:?} {wide:?}");
            assert!(!is_wider(&wide, &narrow), "{narrow:?} {wide:?}");
            assert!(!is_wider(&narrow, &narrow));
            assert_ne!(version(&narrow), version(&wide));
        }
        let products = |numbers: Option<&[u32]>| Settings {
            products: numbers.map(|all| all.iter().map(|no| ProductNo(*no)).collect()),
            ..settings(&ClientSettings::default())
        };
        let (all, both, one) = (
            products(None),
            products(Some(&[1, 2])),
            products(Some(&[1])),
        );
        for (narrow, wide) in [(&one, &both), (&both, &all), (&one, &all)] {
            assert!(is_wider(narrow, wide));
            assert!(!is_wider(wide, narrow));
        }
        // Other addresses are told: somebody else may listen, or nobody any more.
        let told = Settings {
            notification_emails: vec!["a@example.com".into()],
            ..one.clone()
        };
        assert!(is_wider(&one, &told) && is_wider(&told, &one));
    }
}
