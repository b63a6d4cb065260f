//! The example as a process of its own, beside a real node: what its callers see, and what it never does
//! after it was stopped, cut off or killed.

mod house;
mod product;
mod stopped;
