//! What every page loads: our own style, script and icon, inside the binary.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, header};

const STYLE: &str = include_str!("../../../assets/console.css");
const SCRIPT: &str = include_str!("../../../assets/console.js");

const ICON: &str = include_str!("../../../assets/icon.svg");

/// `GET /console/assets/{name}`
pub(super) async fn show(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let (text, kind) = match name.as_str() {
        "console.css" => (STYLE, "text/css; charset=utf-8"),
        "console.js" => (SCRIPT, "text/javascript; charset=utf-8"),
        "icon.svg" => (ICON, "image/svg+xml"),
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let tag = format!("\"{:08x}\"", version(text.as_bytes()));
    let known = headers.get(header::IF_NONE_MATCH);
    let known = known.is_some_and(|value| value.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "max-age=0, must-revalidate"),
        (header::ETAG, &tag),
    ];
    match known {
        true => (StatusCode::NOT_MODIFIED, headers).into_response(),
        false => (headers, text).into_response(),
    }
}

/// Tells one version of a file from another; no more is asked of it.
fn version(bytes: &[u8]) -> u32 {
    use sha2::{Digest as _, Sha256};
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
