//! The client's side seen from outside: real processes of the agent and of programs with the library, against a
//! real `tokenward` and, where Clear's own behaviour matters, a stand-in named as one.

mod clear_stand_in;
mod get;
mod stampede;
mod wait;
mod world;
