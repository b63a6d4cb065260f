//! How often and from where the tokens of an API client were used.

use crate::{Day, Outcome, Slug, Time};

answers! {
    /// The use of an API client's tokens, by day.
    pub struct Usage {
        /// The first day.
        pub from: Day,
        /// The last day, today.
        pub to: Day,
        /// Requests by day, product and outcome.
        pub counts: Vec<UsageCount>,
        /// who presented permitted tokens: the first 16 sources a day, the others together
        pub sources: Vec<UsageSource>,
        /// who presented former or ended tokens
        pub stale_uses: Vec<StaleUse>,
    }

    /// Requests of one day, product and outcome.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct UsageCount {
        /// The day.
        pub day: Day,
        /// The product; null where it is not counted for one.
        pub product: Option<Slug>,
        /// The outcome of the requests.
        pub outcome: Outcome,
        /// How many.
        pub count: u64,
    }

    /// Permitted requests of one day and source.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct UsageSource {
        /// The day.
        pub day: Day,
        /// the address; `others` for those beyond the first of a day
        pub source: String,
        /// How many.
        pub count: u64,
        /// The last one.
        pub last_at: Time,
    }

    /// Refused requests of one day, source and outcome.
    #[cfg_attr(feature = "openapi", schemars(inline))]
    pub struct StaleUse {
        /// The day.
        pub day: Day,
        /// the address; `others` for those beyond the first of a day
        pub source: String,
        /// Why they were refused.
        pub outcome: Outcome,
        /// How many.
        pub count: u64,
        /// The last one.
        pub last_at: Time,
    }
}
