//! The invoice reference number (IRN) and the four facts it is made of.
//!
//! Rule of the e-invoice portal (NIC, <https://einv-apisandbox.nic.in/irn.html>): the IRN is the SHA-256, as 64
//! hexadecimal characters, of supplier GSTIN + financial year + document type + document number, written one
//! after the other with nothing between. The financial year runs from 1 April to 31 March and is written
//! `YYYY-YY`; document types are `INV`, `CRN` and `DBN`; a document number has at most 16 characters out of
//! capital letters, digits, `/` and `-`, and does not begin with `0`, `/` or `-`.
//!
//! Everything here is pure; nothing remembers which numbers were given out.

use std::fmt;

use jiff::civil::Date;
use sha2::{Digest, Sha256};

use crate::gstin::Gstin;

/// Most characters in a document number (portal's rule).
pub const DOCUMENT_NUMBER_MAX: usize = 16;

/// The kind of a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DocumentType {
    /// `INV`
    Invoice,
    /// `CRN`
    CreditNote,
    /// `DBN`
    DebitNote,
}

impl DocumentType {
    /// Parses the portal's three-letter code.
    pub fn parse(code: &str) -> Option<Self> {
        match code {
            "INV" => Some(Self::Invoice),
            "CRN" => Some(Self::CreditNote),
            "DBN" => Some(Self::DebitNote),
            _ => None,
        }
    }

    /// The portal's three-letter code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Invoice => "INV",
            Self::CreditNote => "CRN",
            Self::DebitNote => "DBN",
        }
    }
}

/// The number printed on the document.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DocumentNumber(String);

/// Why a text is not a document number; each sentence is fit for the caller's eyes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BadDocumentNumber {
    /// Empty or longer than [`DOCUMENT_NUMBER_MAX`].
    #[error("a document number has 1 to 16 characters")]
    Length,
    /// Begins with `0`, `/` or `-`.
    #[error("a document number does not begin with 0, / or -")]
    Beginning,
    /// Something else than capital letters, digits, `/` and `-`.
    #[error("a document number holds only capital letters, digits, / and -")]
    Character,
}

impl DocumentNumber {
    /// Parses a document number by the portal's rule.
    pub fn parse(text: &str) -> Result<Self, BadDocumentNumber> {
        if text.is_empty() || text.chars().count() > DOCUMENT_NUMBER_MAX {
            return Err(BadDocumentNumber::Length);
        }
        if !text
            .chars()
            .all(|c| matches!(c, 'A'..='Z' | '0'..='9' | '/' | '-'))
        {
            return Err(BadDocumentNumber::Character);
        }
        if text.starts_with(['0', '/', '-']) {
            return Err(BadDocumentNumber::Beginning);
        }
        Ok(Self(text.to_owned()))
    }

    /// The number as printed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An Indian financial year, named by the calendar year it begins in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FinancialYear {
    begins: i16,
}

impl FinancialYear {
    /// The financial year a date lies in.
    pub fn of(date: Date) -> Self {
        let begins = if date.month() >= 4 {
            date.year()
        } else {
            date.year() - 1
        };
        Self { begins }
    }
}

impl fmt::Display for FinancialYear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.begins, (self.begins + 1) % 100)
    }
}

/// An invoice reference number: 64 hexadecimal characters in small letters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Irn(String);

impl Irn {
    /// The IRN of a document, by the portal's rule.
    pub fn of(
        supplier: &Gstin,
        year: FinancialYear,
        kind: DocumentType,
        number: &DocumentNumber,
    ) -> Self {
        let text = text_to_hash(
            supplier.as_str(),
            &year.to_string(),
            kind.code(),
            number.as_str(),
        );
        let digest = Sha256::digest(text.as_bytes());
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// The 64 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn text_to_hash(supplier: &str, year: &str, kind: &str, number: &str) -> String {
    [supplier, year, kind, number].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn the_published_example_of_gstzen() {
        // <https://www.gstzen.in/a/e-invoice-reference-number.html>
        let irn = Irn::of(
            &Gstin::parse("29AAFCC9980M1ZR").unwrap(),
            FinancialYear::of(date(2019, 12, 12)),
            DocumentType::Invoice,
            &DocumentNumber::parse("2019-20/KA/1").unwrap(),
        );
        assert_eq!(
            irn.as_str(),
            "23f498ee41441ecad30f72ba5b9907506c3df70a17b0e0dff46b76a786400662"
        );
    }

    #[test]
    fn the_text_of_the_portals_own_example() {
        // <https://einv-apisandbox.nic.in/irn.html>; its GSTIN is a made-up one without a good check
        // character, so only the text before hashing can be compared.
        let text = text_to_hash(
            "01AAAAA9999A19N",
            &FinancialYear::of(date(2019, 12, 12)).to_string(),
            DocumentType::Invoice.code(),
            DocumentNumber::parse("ABC01234").unwrap().as_str(),
        );
        assert_eq!(text, "01AAAAA9999A19N2019-20INVABC01234");
    }

    #[test]
    fn each_of_the_four_facts_changes_the_number() {
        let of = |gstin: &str, on: Date, kind, number: &str| {
            Irn::of(
                &Gstin::parse(gstin).unwrap(),
                FinancialYear::of(on),
                kind,
                &DocumentNumber::parse(number).unwrap(),
            )
        };
        let first = of(
            "27AAPFU0939F1ZV",
            date(2026, 11, 23),
            DocumentType::Invoice,
            "A1",
        );
        let others = [
            of(
                "29AAGCB7383J1Z4",
                date(2026, 11, 23),
                DocumentType::Invoice,
                "A1",
            ),
            of(
                "27AAPFU0939F1ZV",
                date(2027, 4, 1),
                DocumentType::Invoice,
                "A1",
            ),
            of(
                "27AAPFU0939F1ZV",
                date(2026, 11, 23),
                DocumentType::DebitNote,
                "A1",
            ),
            of(
                "27AAPFU0939F1ZV",
                date(2026, 11, 23),
                DocumentType::Invoice,
                "A2",
            ),
        ];
        for other in &others {
            assert_ne!(&first, other);
        }
        let same_year = of(
            "27AAPFU0939F1ZV",
            date(2027, 3, 31),
            DocumentType::Invoice,
            "A1",
        );
        assert_eq!(first, same_year);
    }

    #[test]
    fn financial_years_turn_on_the_first_of_april() {
        let check = |on, expect: &str| assert_eq!(FinancialYear::of(on).to_string(), expect);
        check(date(2020, 1, 3), "2019-20"); // the portal's own example
        check(date(2020, 3, 31), "2019-20");
        check(date(2020, 4, 1), "2020-21");
        check(date(2099, 12, 31), "2099-00");
    }

    #[test]
    fn document_numbers_follow_the_portals_rule() {
        for good in ["1", "A", "ABC01234", "2019-20/KA/1", "1234567890123456"] {
            assert_eq!(DocumentNumber::parse(good).unwrap().as_str(), good);
        }
        let check = |text, expect| assert_eq!(DocumentNumber::parse(text), Err(expect), "{text:?}");
        check("", BadDocumentNumber::Length);
        check("12345678901234567", BadDocumentNumber::Length);
        check("0123", BadDocumentNumber::Beginning);
        check("/1", BadDocumentNumber::Beginning);
        check("-1", BadDocumentNumber::Beginning);
        check("abc", BadDocumentNumber::Character);
        check("A 1", BadDocumentNumber::Character);
        check("A\n1", BadDocumentNumber::Character);
        check("Ä1", BadDocumentNumber::Character);
    }
}
