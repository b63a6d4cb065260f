//! Waiting for a condition with a deadline; the test kit's own, under the name of this suite's waiting room.

pub(crate) use tokenward_testkit::wait_until;
