//! Ports for programs that must be told theirs before they start, or keep it over a restart.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::{Mutex, PoisonError};

/// Below the range from which the kernel takes ports for outgoing connections and for port 0.
const FIRST: u16 = 10_000;
const COUNT: u32 = 22_000;

/// A free TCP port of 127.0.0.1 that no other caller of this function gets, in this process or
/// another, before this process ends: also not while the program that listens on it is down.
///
/// # Panics
/// When every port is taken.
#[must_use]
pub fn free_port() -> u16 {
    // The UDP port of the same number is the lock: the kernel gives it back however a process ends.
    static LOCKS: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    let start = std::process::id().wrapping_mul(97);
    for offset in 0..COUNT {
        let port = FIRST + u16::try_from(start.wrapping_add(offset) % COUNT).expect("below 22,000");
        let Ok(lock) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else {
            continue;
        };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            LOCKS
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(lock);
            return port;
        }
    }
    panic!("no free port from {FIRST} on");
}

#[cfg(test)]
mod tests {
    use super::free_port;

    #[test]
    fn no_port_is_given_twice() {
        let ports: std::collections::HashSet<u16> = (0..100).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 100);
    }
}
