//! Products.

use crate::{Name, Slug, Time};

answers! {
    /// A product.
    pub struct Product {
        /// Its name in the address of a check.
        pub slug: Slug,
        /// Its name for people.
        pub name: Name,
        /// When it was created.
        pub created_at: Time,
    }
}

requests! {
    /// A new product, or a new name of one.
    pub struct ProductPut {
        /// Its name for people.
        pub name: Name,
    }
}
