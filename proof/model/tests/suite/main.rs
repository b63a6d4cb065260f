//! The protocols model-checked: the right ones hold in every interleaving, every broken one is found.

mod cluster;
mod sublease;
