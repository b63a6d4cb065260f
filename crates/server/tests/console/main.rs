//! The console as people meet it: in a browser, and as an attacker meets it: form by form.

#[path = "../wire/acts.rs"]
mod acts;
mod authority;
mod balancer;
mod browser;
mod credentials;
mod denied;
mod edits;
mod figures;
mod house;
mod invitations;
#[path = "../wire/late.rs"]
mod late;
mod lists;
mod overview;
mod people;
mod samples;
mod shut;
mod sso;
mod withdrawn;
mod words;
