//! Verifying an RS256 token with the usual crate: what a check that can revoke is compared with.

use anyhow::{Context as _, Result};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Claims {
    sub: String,
    aud: String,
    exp: u64,
}

/// A signed token, and all that is needed to verify it again and again.
pub(crate) struct Jwt {
    token: String,
    key: DecodingKey,
    validation: Validation,
}

impl Jwt {
    pub(crate) fn new() -> Result<Self> {
        let pair = KeyPair::generate(KeySize::Rsa2048).context("no RSA key")?;
        let pkcs8 = pair.as_der().context("no RSA key")?;
        let sub = "0198f1c2-7a3b-4c5d-8e9f-001122334455".to_owned();
        let claims = Claims {
            sub,
            aud: "e-invoice".to_owned(),
            exp: 4_000_000_000,
        };
        // What `encode` wants is the PKCS #1 key inside the PKCS #8 envelope, whose head has 26 bytes.
        let key = EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]);
        let token = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &key)
            .context("no RS256 token")?;
        let key = DecodingKey::from_rsa_der(pair.public_key().as_ref());
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&["e-invoice"]);
        Ok(Self {
            token,
            key,
            validation,
        })
    }

    /// Verifies signature, end and audience; panics when the token is refused.
    pub(crate) fn verify(&self) {
        let data = jsonwebtoken::decode::<Claims>(&self.token, &self.key, &self.validation);
        assert!(
            std::hint::black_box(data).is_ok(),
            "the RS256 token must verify"
        );
    }
}
