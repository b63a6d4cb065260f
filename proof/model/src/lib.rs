//! Model checking of Tokenward's protocols: the very state machines that ship, in a small world where
//! messages are late, lost, doubled and out of order, clocks stand still and processes die, and where
//! every interleaving is looked at.
//!
//! Nothing here reimplements a protocol: a broken variant is a world that mistreats the same machines.

pub mod sublease;
