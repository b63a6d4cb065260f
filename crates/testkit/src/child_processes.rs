//! Starts child processes so that none outlives the tests, even when the test process is killed.
//!
//! `setpriv --pdeathsig` asks the kernel to end a child with its parent, but "parent" there means
//! the *thread* that started it. Test threads come and go, so every child is started by one thread
//! that lives as long as the process.

use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, OnceLock, mpsc};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts `command` from the thread that never ends.
pub(crate) fn start(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<Mutex<mpsc::Sender<Order>>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Order>();
        std::thread::Builder::new()
            .name("child-processes".into())
            .spawn(move || {
                for (mut command, answer) in receive {
                    // The one who ordered may be gone; then so is its interest in the child.
                    let _ = answer.send(command.spawn());
                }
            })
            .expect("a thread for starting child processes");
        Mutex::new(send)
    });
    let (send, receive) = mpsc::channel();
    orders
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .send((command, send))
        .expect("the thread of child processes lives as long as the process");
    receive
        .recv_timeout(crate::PROGRAM_LIMIT)
        .expect("the thread of child processes answers every order")
}
