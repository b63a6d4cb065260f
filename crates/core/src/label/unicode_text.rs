//! The rule for every label and name: what a person may write, and when two of them count as the same. Pure tables of
//! the Unicode standard; it must never accept a character that cannot be seen where it changes nothing.

use super::TextRefused;
use icu_normalizer::ComposingNormalizerBorrowed as Normalizer;
use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory,
    Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// Most combining marks behind one character (UTS #39, section 5.4): more are drawn over the lines around them.
const MARKS_MAX: usize = 4;
const ZWNJ: char = '\u{200c}';
const ZWJ: char = '\u{200d}';
/// Asks for the coloured form of the character before it.
const EMOJI_SELECTOR: char = '\u{fe0f}';
/// A visible category, but drawn as an empty cell.
const BRAILLE_BLANK: char = '\u{2800}';

/// Alphabets with letters that look like those of another one. A text has letters of one of them at most. Latin beside
/// Devanagari, Tamil, Arabic, Han or Kana is usual and no risk.
const ALIKE: [(Script, &str); 7] = [
    (Script::Latin, "Latin"),
    (Script::Cyrillic, "Cyrillic"),
    (Script::Greek, "Greek"),
    (Script::Armenian, "Armenian"),
    (Script::Cherokee, "Cherokee"),
    (Script::Coptic, "Coptic"),
    (Script::Lisu, "Lisu"),
];

/// Returns `text` in NFC when it is a good label or name of at most `max` bytes; `what` begins the sentence otherwise.
pub(super) fn checked(text: &str, max: usize, what: &str) -> Result<String, TextRefused> {
    let refuse = |why: &str| Err(TextRefused(format!("{what} {why}")));
    // A text that is far too long is not worth a normalisation; NFC makes a text three times as long at most.
    if text.len() > 8 * max {
        return refuse(&format!("may have at most {max} bytes"));
    }
    let text = Normalizer::new_nfc().normalize(text).into_owned();
    if text.is_empty() {
        return refuse("must not be empty");
    }
    if text.len() > max {
        return refuse(&format!("may have at most {max} bytes"));
    }
    if text.trim() != text {
        return refuse("must not begin or end with a space");
    }
    let chars: Vec<char> = text.chars().collect();
    if let Some((c, why)) = (0..chars.len()).find_map(|at| fault(&chars, at)) {
        return refuse(&format!("must not contain U+{:04X}: {why}", u32::from(c)));
    }
    let mut found = ALIKE.iter().filter(|(script, _)| {
        let of = CodePointMapData::<Script>::new();
        chars.iter().any(|c| of.get(*c) == *script)
    });
    if let (Some((_, one)), Some((_, other))) = (found.next(), found.next()) {
        return refuse(&format!(
            "must not mix {one} and {other} letters, which look alike"
        ));
    }
    Ok(text)
}

/// The character at `at`, and why it can't stand there, if so.
fn fault(chars: &[char], at: usize) -> Option<(char, &'static str)> {
    let c = chars[at];
    let category = |c: char| CodePointMapData::<GeneralCategory>::new().get(c);
    let why = match category(c) {
        GeneralCategory::Control => "it is a control character",
        GeneralCategory::LineSeparator | GeneralCategory::ParagraphSeparator => {
            "it is a line break"
        }
        GeneralCategory::PrivateUse => "it is a private-use character",
        GeneralCategory::Unassigned => "Unicode has no such character",
        _ if joins(chars, at) => return None,
        GeneralCategory::Format => "it is an invisible formatting character",
        _ if c == BRAILLE_BLANK
            || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c) =>
        {
            "it is invisible"
        }
        _ if is_mark(c) && at == 0 => "a combining mark must not come first",
        _ if at >= MARKS_MAX && chars[at - MARKS_MAX..=at].iter().all(|c| is_mark(*c)) => {
            "too many combining marks in a row"
        }
        _ => return None,
    };
    Some((c, why))
}

fn is_mark(c: char) -> bool {
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    matches!(
        category,
        GeneralCategory::NonspacingMark | GeneralCategory::EnclosingMark
    )
}

/// Whether the character is invisible and yet changes what is seen: joiners in Indic, Persian and emoji sequences, and
/// the selector of an emoji's coloured form (compare RFC 5892, appendix A.1 and A.2). No two labels differ by it alone,
/// see [`key`].
fn joins(chars: &[char], at: usize) -> bool {
    let before = at.checked_sub(1).map(|at| chars[at]);
    let after = chars.get(at + 1).copied();
    let (Some(before), c) = (before, chars[at]) else {
        return false;
    };
    let pictograph = |c: char| CodePointSetData::new::<ExtendedPictographic>().contains(c);
    let arabic = |c: char| CodePointMapData::<Script>::new().get(c) == Script::Arabic;
    let virama = CodePointMapData::<CanonicalCombiningClass>::new().get(before)
        == CanonicalCombiningClass::Virama;
    let skin = |c: char| ('\u{1f3fb}'..='\u{1f3ff}').contains(&c);
    match c {
        EMOJI_SELECTOR => pictograph(before),
        ZWJ => {
            let emoji = pictograph(before) || before == EMOJI_SELECTOR || skin(before);
            virama || (emoji && after.is_some_and(pictograph))
        }
        ZWNJ => virama || (arabic(before) && after.is_some_and(arabic)),
        _ => false,
    }
}

/// Returns the text by which two labels are compared: NFKC, without case, without characters that can't be seen, each
/// run of white space as one space.
pub(super) fn key(text: &str) -> String {
    let nfkc = Normalizer::new_nfkc();
    let ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    let once = |text: &str| -> String {
        let visible: String = text
            .chars()
            .filter(|c| !ignorable.contains(*c) && *c != BRAILLE_BLANK)
            .collect();
        let composed = nfkc.normalize(&visible);
        // Upper case, then lower: a full case folding, which makes one of `ß` and `SS`, of `ς` and `σ`.
        let upper = composed.chars().flat_map(char::to_uppercase);
        let folded: String = upper.flat_map(char::to_lowercase).collect();
        let words: Vec<_> = folded.split_whitespace().collect();
        nfkc.normalize(&words.join(" ")).into_owned()
    };
    // Folding can make what composes anew; it is stable soon.
    let mut key = once(text);
    for _ in 0..4 {
        let next = once(&key);
        if next == key {
            break;
        }
        key = next;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<String, String> {
        checked(text, 64, "a label").map_err(|why| why.0)
    }

    #[test]
    fn names_of_many_scripts_are_taken() {
        for text in [
            "SAP ERP 1",
            "Abrechnung Süd",
            "café",
            "billing (EU) #2: a/b & c",
            "हिन्दी बिलिंग",
            "क्\u{200d}ष SAP",
            "தமிழ் விலைப்பட்டியல்",
            "SAP बिलिंग 2",
            "請求書システム",
            "SAP 請求 ひらがな カタカナ",
            "한국어 청구",
            "חשבוניות",
            "فواتير",
            "می\u{200c}خواهم",
            "Биллинг",
            "Ελλάδα",
            "🧾 invoices",
            "❤\u{fe0f} SAP",
            "👩\u{200d}💻 dev",
            "👩🏽\u{200d}💻",
            "🏳\u{fe0f}\u{200d}🌈",
            "🇮🇳 India",
            "5 µs",
        ] {
            assert_eq!(read(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn what_cannot_be_seen_is_refused_by_name() {
        for (text, point) in [
            ("bil\u{ad}ling", "U+00AD"),
            ("bil\u{34f}ling", "U+034F"),
            ("billing\u{fe0f}", "U+FE0F"),
            ("bil\u{3164}ling", "U+3164"),
            ("bil\u{ffa0}ling", "U+FFA0"),
            ("bil\u{61c}ling", "U+061C"),
            ("bil\u{180e}ling", "U+180E"),
            ("bil\u{e0041}ling", "U+E0041"),
            ("bil\u{2800}ling", "U+2800"),
            ("bil\u{fff9}ling", "U+FFF9"),
            ("bil\u{ffff}ling", "U+FFFF"),
            ("bil\u{e000}ling", "U+E000"),
            ("bil\u{10ffff}ling", "U+10FFFF"),
            ("bil\u{378}ling", "U+0378"),
            ("bil\u{200b}ling", "U+200B"),
            ("bil\u{200c}ling", "U+200C"),
            ("bil\u{200d}ling", "U+200D"),
            ("bil\u{202e}ling", "U+202E"),
            ("bil\u{2066}ling", "U+2066"),
            ("bil\u{2028}ling", "U+2028"),
            ("bil\u{feff}ling", "U+FEFF"),
            ("bil\0ling", "U+0000"),
            ("bil\nling", "U+000A"),
            ("bil\u{85}ling", "U+0085"),
            ("🧾\u{200d}", "U+200D"),
            ("🧾\u{200d}a", "U+200D"),
            ("🏴\u{e0067}\u{e007f}", "U+E0067"),
            ("\u{301}a", "U+0301"),
            ("z\u{33f}\u{33f}\u{33f}\u{33f}\u{33f}", "U+033F"),
        ] {
            let why = read(text).unwrap_err();
            assert!(why.contains(&format!("{point}:")), "{text:?}: {why}");
        }
    }

    #[test]
    fn blanks_at_the_ends_and_nothing_at_all_are_refused() {
        for text in ["", " ", " a", "a ", "a\u{a0}", "\u{3000}a"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn alphabets_that_look_alike_are_not_mixed() {
        for text in ["b\u{456}lling", "\u{3b1}bc", "Вilling", "Ελλάς и Россия"] {
            let why = read(text).unwrap_err();
            assert!(why.contains("must not mix"), "{text:?}: {why}");
        }
    }

    #[test]
    fn texts_are_stored_in_nfc() {
        assert_eq!(read("cafe\u{301}").as_deref(), Ok("café"));
        // The ANGSTROM SIGN is the letter.
        assert_eq!(read("\u{212b}").as_deref(), Ok("Å"));
    }

    #[test]
    fn labels_that_look_alike_have_one_key() {
        for alike in [
            &[
                "billing",
                "Billing",
                "BILLING",
                "ｂｉｌｌｉｎｇ",
                "bil\u{ad}ling",
            ][..],
            &["SAP ERP", "SAP\u{a0}ERP", "SAP  ERP", "sap\u{3000}erp"],
            &["café", "cafe\u{301}", "CAFÉ"],
            &["Straße", "STRASSE", "strasse"],
            &["ΟΔΟΣ", "οδος", "οδοσ"],
            &["ﬁle", "file"],
            &["❤\u{fe0f}", "❤"],
            &["می\u{200c}خواهم", "میخواهم"],
        ] {
            let keys: Vec<_> = alike.iter().map(|text| key(text)).collect();
            assert!(keys.windows(2).all(|two| two[0] == two[1]), "{keys:?}");
            assert_eq!(key(&keys[0]), keys[0]);
        }
        let apart = ["billing", "billing 2", "billings", "café", "cafe", "бил"];
        for (at, one) in apart.iter().enumerate() {
            for other in &apart[at + 1..] {
                assert_ne!(key(one), key(other));
            }
        }
    }
}
