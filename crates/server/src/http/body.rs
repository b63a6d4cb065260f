//! The body of a request, for every interface: whole, of bounded length, in bounded time.

use super::{BODY_MAX, BODY_TIMEOUT};
use bytes::Bytes;
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use zeroize::Zeroizing;

/// Bytes of a body that is too long that are read and thrown away, so that its sender, who is still sending, sees the
/// answer and no broken connection.
const THROWN_AWAY_MAX: usize = 1024 * 1024;

/// Why there is no body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BodyError {
    /// It is longer than [`BODY_MAX`].
    TooLarge,
    /// It was not there within ten seconds.
    TooSlow,
    /// It ended before its end.
    CutOff,
}

/// Reads the whole body; it may hold secrets, so it is wiped when it is dropped.
pub(crate) async fn read<B>(headers: &HeaderMap, body: B) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    B: http_body::Body<Data = Bytes>,
{
    let declared = headers.get(header::CONTENT_LENGTH);
    let declared = declared.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|length| length > THROWN_AWAY_MAX as u64) {
        return Err(BodyError::TooLarge);
    }
    let read = tokio::time::timeout(BODY_TIMEOUT, whole(body)).await;
    read.map_err(|_| BodyError::TooSlow)?
}

async fn whole<B>(body: B) -> Result<Zeroizing<Vec<u8>>, BodyError>
where
    B: http_body::Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let mut kept = Zeroizing::new(Vec::new());
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::CutOff)?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        // Room for all of it at once, so that growing leaves no copy behind.
        if length == 0 {
            kept.reserve_exact(BODY_MAX);
        }
        length += data.len();
        if length > THROWN_AWAY_MAX {
            break;
        }
        if length <= BODY_MAX {
            kept.extend_from_slice(data);
        }
    }
    match length > BODY_MAX {
        true => Err(BodyError::TooLarge),
        false => Ok(kept),
    }
}

/// Whether the body is said to be a form.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.to_str().ok()).unwrap_or("");
    let kind = kind.split(';').next().unwrap_or("").trim();
    kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
