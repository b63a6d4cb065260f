//! Plaintext at rest: a busy run through every interface that touches a token or a client secret,
//! and a scanner that looks for all of them in whatever the server wrote.

mod busy;
mod scanner;

pub use busy::{Seen, run};
pub use scanner::{Form, Hit, Scanner};
