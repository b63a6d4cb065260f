//! Errors of the admin API.

use uuid::Uuid;

answers! {
    /// A problem document (RFC 9457).
    pub struct Problem {
        /// The kind of problem, as a URN made of its code.
        #[serde(rename = "type")]
        #[cfg_attr(feature = "openapi", schemars(extend("format" = "uri")))]
        pub kind: String,
        /// A short sentence, the same for each problem of a code.
        pub title: String,
        /// The HTTP status.
        #[cfg_attr(feature = "openapi", schemars(extend("minimum" = 400, "maximum" = 599)))]
        pub status: u16,
        /// What happened.
        pub detail: String,
        /// The stable code.
        #[cfg_attr(feature = "openapi", schemars(extend("pattern" = "^[A-Z_]+$")))]
        pub code: String,
        /// The member or parameter that is wrong, where it is one.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[cfg_attr(feature = "openapi", schemars(required))]
        pub field: Option<String>,
        /// The id of this answer in the server's log.
        pub error_id: Uuid,
    }
}
