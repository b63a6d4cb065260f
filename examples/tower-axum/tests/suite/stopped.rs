//! The process that holds a replica is stopped, or dies, while tokens are revoked: whatever it says
//! afterwards, it never permits a revoked one.

use crate::house::{By, House, LIMIT, list};
use tokenward_testkit::wait_until;

#[test]
fn a_process_that_was_stopped_permits_no_token_that_was_revoked_meanwhile() {
    let house = House::new();
    let product = house.product(By::Replica);
    let client = house.client("erp");
    let mut old = house.token(&client);
    // Stopped for good once, so that the node gives it up; and again when it has come back.
    for _ in 0..2 {
        let mut line = product.line();
        line.ask(&list(&old)).expect(200);

        product.process.freeze();
        // Held until the stopped replica can't vouch any more.
        let new = house.token(&client);
        // These lie in its socket: answered before it hears anything of the node again, and while it does.
        for _ in 0..50 {
            line.write(&list(&old).bytes()).unwrap();
        }
        product.process.thaw();
        for _ in 0..50 {
            let status = line.answer(false).unwrap().status;
            assert!(matches!(status, 401 | 503), "{status}");
        }
        wait_until("the replica to vouch again", LIMIT, || {
            let status = product.status(&old);
            assert!(matches!(status, 401 | 503), "{status}");
            product.status(&new) == 200
        });
        assert_eq!(product.status(&old), 401);
        old = new;
    }
    assert_eq!(house.figure("tokenward_replicas_expelled"), "2");
}

#[test]
fn a_stop_within_its_lease_is_made_up_for_before_anything_is_answered() {
    let house = House::new();
    let product = house.product(By::Replica);
    let client = house.client("erp");
    let mut old = house.token(&client);
    for _ in 0..10 {
        let mut line = product.line();
        product.process.freeze();
        line.write(&list(&old).bytes()).unwrap();
        let new = std::thread::scope(|scope| {
            // It waits for the replica, and is answered once that goes on.
            let generating = scope.spawn(|| house.token(&client));
            wait_until("the change to be held", LIMIT, || {
                house.figure("tokenward_answers_held") != "0"
            });
            product.process.thaw();
            generating.join().unwrap()
        });
        assert_eq!(product.status(&old), 401);
        assert_eq!(product.status(&new), 200);
        // Asked before the answer was given: either was true then.
        line.answer(false).unwrap();
        old = new;
    }
    assert_eq!(house.figure("tokenward_replicas_expelled"), "0");
}

#[test]
fn a_killed_process_is_waited_for_once() {
    let house = House::new();
    let mut product = house.product(By::Replica);
    let client = house.client("erp");
    assert_eq!(product.status(&house.token(&client)), 200);
    product.process.kill9();
    house.token(&client);
    // Forgotten: the next change does not wait.
    assert_eq!(house.figure("tokenward_replicas"), "0");
    let product = house.product(By::Replica);
    assert_eq!(product.status(&house.token(&client)), 200);
}
