//! The core seen from outside: what every check answers, what every call of a secret buys, and that
//! the two agree with a naive account of them over random histories and under concurrent readers.

mod account;
mod attached;
mod generating;
mod machine;
mod torn;
mod verdicts;
mod who_is_told;
mod world;
