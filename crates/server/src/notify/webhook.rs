//! Posting to a webhook, signed as the Standard Webhooks specification has it (standardwebhooks.com, version 1).

use crate::config::Config;
use crate::net::destination::{Guard, NotAdmitted};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Client;
use reqwest::redirect::Policy;
use sha2::Sha256;
use std::error::Error;
use std::time::Duration;
use tokenward_core::time::Timestamp;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A webhook that has not answered by then has failed.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// One that can't be reached by then, too.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);

/// Posts to webhooks.
pub(super) struct Poster {
    https: Client,
    http: Client,
    allowed: Vec<ipnet::IpNet>,
}

/// A message ready to be posted.
pub(super) struct Message<'a> {
    /// The same at each attempt, so that a receiver can tell one from another.
    pub(super) id: Uuid,
    pub(super) body: &'a str,
    pub(super) at: Timestamp,
    /// Whose signatures it bears: the secret, and while it is being changed the one before.
    pub(super) secrets: &'a [Zeroizing<Vec<u8>>],
}

impl Poster {
    pub(super) fn open(config: &Config) -> Result<Self, reqwest::Error> {
        let allowed = config.webhook_allow_networks.clone();
        let client = |guard: Guard| {
            Client::builder()
                .user_agent(concat!("tokenward/", env!("CARGO_PKG_VERSION")))
                // A redirect would lead past the guard's eyes on the address, and a proxy past the guard.
                .redirect(Policy::none())
                .no_proxy()
                .referer(false)
                .dns_resolver(guard)
                .connect_timeout(CONNECTED_WITHIN)
                .timeout(ANSWERED_WITHIN)
                // A connection kept would be one that is not judged again.
                .pool_max_idle_per_host(0)
                .build()
        };
        Ok(Self {
            https: client(Guard::secure(&allowed))?,
            http: client(Guard::plain(&allowed))?,
            allowed,
        })
    }

    /// Posts a message; the sentence says why that failed. The answer's body is not read.
    pub(super) async fn post(&self, url: &str, message: &Message<'_>) -> Result<(), String> {
        let url = Guard::read(url, &self.allowed).map_err(|why| format!("the address {why}"))?;
        let client = match url.scheme() {
            "https" => &self.https,
            _ => &self.http,
        };
        let request = client
            .post(url)
            .header("content-type", "application/json")
            .header("webhook-id", id_text(message.id))
            .header("webhook-timestamp", message.at.unix_seconds())
            .header("webhook-signature", signatures(message))
            .body(message.body.to_owned());
        let answer = request.send().await.map_err(|error| told(&error))?;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("it answered {}", status.as_u16())),
        }
    }
}

fn id_text(id: Uuid) -> String {
    format!("msg_{}", id.simple())
}

fn signatures(message: &Message<'_>) -> String {
    let (id, at) = (id_text(message.id), message.at.unix_seconds());
    let signed = format!("{id}.{at}.{}", message.body);
    let sign = |secret: &Zeroizing<Vec<u8>>| {
        // A key of any length will do for HMAC.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(signed.as_bytes());
        Some(format!(
            "v1,{}",
            STANDARD.encode(mac.finalize().into_bytes())
        ))
    };
    let signatures: Vec<_> = message.secrets.iter().filter_map(sign).collect();
    signatures.join(" ")
}

/// What may be told of an error: in our words, without the address, which may hold a secret of its receiver's.
fn told(error: &reqwest::Error) -> String {
    let mut cause: Option<&dyn Error> = error.source();
    while let Some(inner) = cause {
        if let Some(refused) = inner.downcast_ref::<NotAdmitted>() {
            return refused.to_string();
        }
        cause = inner.source();
    }
    let words = match error {
        error if error.is_timeout() => "it did not answer in time",
        error if error.is_connect() => "it could not be connected to",
        _ => "the connection broke",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_specification() {
        // The example of the specification's own libraries, whose id has another form.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(br#"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{"test": 2432232314}"#);
        let expected = "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
        assert_eq!(STANDARD.encode(mac.finalize().into_bytes()), expected);
        let secrets = [Zeroizing::new(secret), Zeroizing::new(vec![1; 32])];
        let message = Message {
            id: Uuid::nil(),
            body: "{}",
            at: Timestamp(5_000_000),
            secrets: &secrets,
        };
        let both = signatures(&message);
        let each: Vec<_> = both.split(' ').collect();
        assert_eq!(each.len(), 2);
        assert_ne!(each[0], each[1]);
        assert!(each.iter().all(|one| one.starts_with("v1,")));
    }
}
