//! What Envoy asks over gRPC about a small request, and what a permit answers, byte by byte: the load
//! generator and the bare servers send them without a protobuf library between. It decodes nothing.

/// A length-delimited field of a protobuf message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 0x80 {
        bytes.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(content);
    bytes
}

/// What Envoy asks about a small request: its headers as they came, and the route's two words.
pub(crate) fn question(token: &str) -> Vec<u8> {
    let headers: Vec<u8> = [
        (":authority", "api.example.com"),
        (":path", "/e-invoice/v1/invoices"),
        (":method", "GET"),
        (":scheme", "http"),
        ("user-agent", "erp/1.0"),
        ("accept", "application/json"),
        ("x-cleartax-auth-token", token),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "6f1c1a52-5a0e-4a3b-9a55-0c1b5b5a9c11"),
    ]
    .iter()
    .flat_map(|(name, value)| {
        field(
            1,
            &[field(1, name.as_bytes()), field(3, value.as_bytes())].concat(),
        )
    })
    .collect();
    let http = [
        field(1, b"1234"),
        field(2, b"GET"),
        field(4, b"/e-invoice/v1/invoices"),
        field(13, &headers),
    ]
    .concat();
    let extension = |key: &str, value: &str| {
        field(
            10,
            &[field(1, key.as_bytes()), field(2, value.as_bytes())].concat(),
        )
    };
    let attributes = [
        field(4, &field(2, &http)),
        extension("environment", "production"),
        extension("product", "e-invoice"),
    ]
    .concat();
    field(1, &attributes)
}

/// What a permit answers.
pub(crate) fn answer(identity: &[(String, String)]) -> Vec<u8> {
    let options: Vec<u8> = identity
        .iter()
        .flat_map(|(name, value)| {
            let header = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
            // Overwrite, and keep what is empty.
            field(2, &[field(1, &header), vec![3 << 3, 2, 4 << 3, 1]].concat())
        })
        .collect();
    [field(1, b""), field(3, &options)].concat()
}

/// A message as it goes over the wire.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap_or(0).to_be_bytes();
    [&[0], &length[..], message].concat()
}
