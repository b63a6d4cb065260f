//! What the package's metadata promises: the tables' settings, and messages in English and German alike.

use crate::package;
use std::collections::BTreeMap;

fn object(name: &str) -> String {
    let path = package::folder().join("src").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The content of the first element of this name.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

#[test]
fn tables_are_neither_transported_nor_copied_nor_buffered_nor_logged() {
    for table in ["ztkw_tokens", "ztkw_secrets", "ztkw_clients"] {
        let text = object(&format!("{table}.tabl.xml"));
        assert_eq!(
            element(&text, "CONTFLAG"),
            Some("L"),
            "{table}: delivery class"
        );
        assert_eq!(
            element(&text, "MAINFLAG"),
            Some("N"),
            "{table}: maintenance by SM30"
        );
        assert_eq!(element(&text, "BUFALLOW"), Some("N"), "{table}: buffering");
        assert_eq!(element(&text, "PROTOKOLL"), None, "{table}: logging");
        assert_eq!(
            element(&text, "CLIDEP"),
            Some("X"),
            "{table}: of an SAP client"
        );
    }
}

#[test]
fn every_message_is_in_english_and_german_with_the_same_values() {
    let text = object("ztkw.msag.xml");
    let (english, german) = text.split_once("<I18N_LANGS>").expect("two languages");
    let messages = |text: &str| -> BTreeMap<String, Vec<char>> {
        text.split("<MSGNR>")
            .skip(1)
            .map(|rest| {
                let number = rest.split('<').next().unwrap_or_default().to_owned();
                let words = element(rest, "TEXT").expect("a text").replace("&amp;", "&");
                assert!(words.chars().count() <= 73, "{number} is too long for SE91");
                let mut values: Vec<char> = words
                    .split('&')
                    .skip(1)
                    .filter_map(|after| after.chars().next())
                    .collect();
                values.sort_unstable();
                (number, values)
            })
            .collect()
    };
    let (english, german) = (messages(english), messages(german));
    assert!(english.len() > 20, "{}", english.len());
    assert_eq!(english, german);
}
