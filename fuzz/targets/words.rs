//! What people write: labels, slugs, mail addresses, networks. What is accepted is stored as written (labels in NFC), stays
//! within its limits and can be sent in a header or a URL.

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use tokenward_core::label::{LABEL_BYTES_MAX, Label, SLUG_BYTES_MAX, Slug, email};
use tokenward_core::restrictions::{NETWORKS_MAX, Networks, network};

fuzz_target!(|text: &str| {
    if let Ok(label) = Label::parse(text) {
        let stored = label.as_str();
        let again = Label::parse(stored);
        assert!(
            again.is_ok_and(|again| again.as_str() == stored),
            "a label that was stored is taken as it is"
        );
        assert!(stored.len() <= LABEL_BYTES_MAX);
        let header = label.header_value();
        assert!(header.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
    }
    if let Ok(slug) = Slug::parse(text) {
        assert_eq!(slug.as_str(), text);
        assert!(text.len() <= SLUG_BYTES_MAX && !text.contains(['/', '.', '%', '?']));
    }
    if let Ok(address) = email(text) {
        assert_eq!(address, text);
        assert!(!address.contains(['\r', '\n', ',', ' ']));
    }
    if let Ok(one) = network(text) {
        assert_eq!(
            network(&one.to_string()),
            Ok(one),
            "a network reads back as itself"
        );
        let list = Networks::parse(&[text]).expect("a list of one good network");
        assert!(list.hold(one.addr()), "a network holds its own address");
        if let IpAddr::V4(address) = one.addr() {
            let mapped = IpAddr::from(address.to_ipv6_mapped());
            assert!(
                list.hold(mapped),
                "an address has one meaning in both spellings"
            );
        }
    }
    let lines: Vec<&str> = text.lines().collect();
    if let Ok(list) = Networks::parse(&lines) {
        let texts = list.texts();
        assert!(texts.len() <= NETWORKS_MAX);
        assert_eq!(
            Networks::parse(&texts),
            Ok(list),
            "a list reads back as itself"
        );
    }
});
