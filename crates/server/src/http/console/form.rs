//! Forms as browsers send them, and their fields as pages show them: what was typed comes back with the reason why
//! it was not taken.

use crate::verbs::{Conflict, Refused};
use askama::Template;
use askama::filters::HtmlSafe;
use zeroize::Zeroizing;

/// The field that carries the session's word.
pub(super) const WORD: &str = "csrf_token";
/// A client's label is called its name on pages.
const NAME_TAKEN: &str = "Another API client in this workspace and environment already has this name, or one that looks like it.";
const NAME_MISMATCH: &str =
    "The name doesn't match. Type the API client's name exactly as shown above.";
/// Most fields of one form.
const FIELDS_MAX: usize = 600;

/// What a form sent, in order; a name may stand several times.
#[derive(Clone, Default)]
pub(super) struct Form {
    pairs: Vec<(String, Zeroizing<String>)>,
}

impl Form {
    /// Reads a body; none when it holds more fields than any form here.
    pub(super) fn read(body: &[u8]) -> Option<Self> {
        let mut pairs = Vec::new();
        for (name, value) in form_urlencoded::parse(body) {
            if pairs.len() == FIELDS_MAX {
                return None;
            }
            pairs.push((name.into_owned(), Zeroizing::new(value.into_owned())));
        }
        Some(Self { pairs })
    }

    /// A form with these fields.
    pub(super) fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, String)>) -> Self {
        let pairs = pairs.into_iter();
        let pairs = pairs.map(|(name, value)| (name.to_owned(), Zeroizing::new(value)));
        Self {
            pairs: pairs.collect(),
        }
    }

    /// Reads an address's query; what is none is empty.
    pub(super) fn query(uri: &http::Uri) -> Self {
        let query = uri.query().unwrap_or("");
        Self::read(query.as_bytes()).unwrap_or_default()
    }

    /// The form with one more field.
    pub(super) fn with(mut self, name: &str, value: &str) -> Self {
        self.pairs
            .push((name.to_owned(), Zeroizing::new(value.to_owned())));
        self
    }

    /// The form with these fields only, each once and as far as it holds something.
    pub(super) fn only<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        let fields = names.into_iter().map(|name| (name, self.text(name)));
        let fields = fields.filter(|(_, text)| !text.is_empty());
        Self::of(fields.map(|(name, text)| (name, text.to_owned())))
    }

    /// The form as a body.
    pub(super) fn encoded(&self) -> String {
        let mut body = form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.pairs {
            body.append_pair(name, value);
        }
        body.finish()
    }

    /// The first value of a field; empty when it is missing.
    pub(super) fn text(&self, name: &str) -> &str {
        let found = self.pairs.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    /// A value that is a secret.
    pub(super) fn secret(&self, name: &str) -> Zeroizing<String> {
        Zeroizing::new(self.text(name).to_owned())
    }

    /// Whether a box was ticked.
    pub(super) fn is_ticked(&self, name: &str) -> bool {
        self.pairs.iter().any(|(known, _)| known == name)
    }

    /// Every value of a field.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let own = self.pairs.iter().filter(move |(known, _)| known == name);
        own.map(|(_, value)| value.as_str())
    }

    /// The lines of a text area that hold something, each without blanks around it.
    pub(super) fn lines(&self, name: &str) -> Vec<String> {
        let pieces = self.text(name).split(['\n', ',']);
        let pieces = pieces.map(str::trim).filter(|piece| !piece.is_empty());
        pieces.map(str::to_owned).collect()
    }

    /// What is to be sent again after a sign-in: everything but the old session's word, and what proves somebody.
    pub(super) fn kept(&self) -> Vec<(String, String)> {
        let secret = |name: &str| {
            let once = [
                "proof",
                "code",
                "handle",
                "credential",
                "between",
                "token",
                "q",
            ];
            name == WORD || name.contains("password") || once.contains(&name)
        };
        let kept = self.pairs.iter().filter(|(name, _)| !secret(name));
        kept.map(|(name, value)| (name.clone(), value.to_string()))
            .collect()
    }
}

/// Why a form was not taken.
#[derive(Clone, Default)]
pub(super) struct Fault {
    /// The field it is about; empty when about none.
    pub(super) field: String,
    /// A sentence.
    pub(super) text: String,
    /// Seconds to wait before the form may be sent again; 0 for none.
    pub(super) retry_after_seconds: u64,
    /// What else is wrong: fields and sentences.
    pub(super) others: Vec<(String, String)>,
}

impl Fault {
    pub(super) fn new(field: &str, text: impl Into<String>) -> Self {
        Self {
            field: field.to_owned(),
            text: text.into(),
            ..Self::default()
        }
    }

    /// All of them as one; none when there are none.
    pub(super) fn of_all(faults: Vec<Self>) -> Option<Self> {
        let mut faults = faults.into_iter();
        let first = faults.next()?;
        let others = faults.map(|fault| (fault.field, fault.text)).collect();
        Some(Self { others, ..first })
    }

    /// The fault of a refusal that its sender can mend in the same form; others are given back.
    pub(super) fn of(refused: Refused) -> Result<Self, Refused> {
        match refused {
            Refused::Invalid(field, why) => Ok(Self::new(field, sentence(&why))),
            Refused::Conflict(Conflict::LabelTaken, _) => Ok(Self::new("label", NAME_TAKEN)),
            Refused::Conflict(Conflict::LabelMismatch, _) => Ok(Self::new("label", NAME_MISMATCH)),
            Refused::Conflict(_, why) => Ok(Self::new("", sentence(&why))),
            Refused::Throttled(retry_after_seconds) => Ok(Self::throttled(retry_after_seconds)),
            other => Err(other),
        }
    }

    /// Tried too often, or too many at once.
    pub(super) fn throttled(retry_after_seconds: u64) -> Self {
        let text = format!(
            "Too many attempts. Wait {}, then try again.",
            super::shown::wait(retry_after_seconds)
        );
        Self::new("", text).retry_after(retry_after_seconds)
    }

    /// The seconds to wait before the form may be sent again.
    pub(super) fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = seconds;
        self
    }

    /// What is wrong with a field; empty when nothing is.
    pub(super) fn about(&self, field: &str) -> &str {
        if self.field == field {
            return &self.text;
        }
        let found = self.others.iter().find(|(known, _)| known == field);
        found.map_or("", |(_, text)| text)
    }

    pub(super) fn is_about(&self, field: &str) -> bool {
        !self.about(field).is_empty()
    }
}

/// What is wrong with the fields of a form, in their order.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, field: &str, text: impl Into<String>) {
        self.0.push(Fault::new(field, text));
    }

    /// The value of a field; none when it was refused, which is kept. What no field is to blame for is given back.
    pub(super) fn take<T>(&mut self, judged: Result<T, Refused>) -> Result<Option<T>, Refused> {
        match judged {
            Ok(value) => Ok(Some(value)),
            Err(refused) => {
                self.0.push(Fault::of(refused)?);
                Ok(None)
            }
        }
    }

    /// All of them as one; none when nothing is wrong.
    pub(super) fn all(self) -> Option<Fault> {
        Fault::of_all(self.0)
    }
}

/// The first letter large, a full stop at the end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let Some(first) = letters.next() else {
        return String::new();
    };
    let end = if text.ends_with(['.', '?', '!']) {
        ""
    } else {
        "."
    };
    format!("{}{}{end}", first.to_uppercase(), letters.as_str())
}

/// One field of a form.
#[derive(Template, Default)]
#[template(path = "console/field.html")]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) label: &'static str,
    pub(super) hint: &'static str,
    pub(super) value: String,
    /// `text`, `email`, `password`, `number`, `area`, `select`, `ticks`.
    pub(super) kind: &'static str,
    pub(super) autocomplete: &'static str,
    pub(super) required: bool,
    pub(super) autofocus: bool,
    pub(super) inputmode: &'static str,
    pub(super) fault: String,
    /// Of a select and of ticks: value, words.
    pub(super) options: Vec<(String, String)>,
    /// Of ticks: the values that are ticked.
    pub(super) ticked: Vec<String>,
}
impl HtmlSafe for Field {}

impl Field {
    pub(super) fn new(
        kind: &'static str,
        name: &'static str,
        label: &'static str,
        form: &Form,
        fault: &Fault,
    ) -> Self {
        let secret = kind == "password";
        Self {
            kind,
            name,
            label,
            value: if secret {
                String::new()
            } else {
                form.text(name).to_owned()
            },
            fault: fault.about(name).to_owned(),
            required: !matches!(kind, "area" | "ticks"),
            ticked: match kind {
                "ticks" => form.all(name).map(str::to_owned).collect(),
                _ => Vec::new(),
            },
            ..Self::default()
        }
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = hint;
        self
    }

    pub(super) fn auto(mut self, autocomplete: &'static str) -> Self {
        self.autocomplete = autocomplete;
        self
    }

    pub(super) fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    pub(super) fn first(mut self) -> Self {
        self.autofocus = true;
        self
    }

    pub(super) fn digits(mut self) -> Self {
        self.inputmode = "numeric";
        self
    }

    pub(super) fn options(mut self, options: Vec<(String, String)>) -> Self {
        self.options = options;
        self
    }

    /// What stands there when nothing was typed yet.
    pub(super) fn or(mut self, value: impl Into<String>) -> Self {
        if self.value.is_empty() {
            self.value = value.into();
        }
        self
    }
}

/// The form's word as a hidden field.
#[derive(Template)]
#[template(
    source = r#"<input type="hidden" name="csrf_token" value="{{ self.0 }}">"#,
    ext = "html",
    escape = "html"
)]
pub(super) struct Word(pub(super) String);
impl HtmlSafe for Word {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_whole_or_not_at_all() {
        let form = Form::read(b"label=SAP%20ERP&products=gst&products=e-invoice&x=+a%0Ab%2C+c+&csrf_token=w&old_password=p&proof=p&code=1&credential=c").unwrap();
        assert_eq!(form.text("label"), "SAP ERP");
        assert_eq!(
            form.all("products").collect::<Vec<_>>(),
            ["gst", "e-invoice"]
        );
        assert_eq!(form.lines("x"), ["a", "b", "c"]);
        assert_eq!(form.text("missing"), "");
        let kept: Vec<String> = form.kept().into_iter().map(|(name, _)| name).collect();
        assert_eq!(kept, ["label", "products", "products", "x"]);
        assert!(Form::read("a=1&".repeat(601).as_bytes()).is_none());
    }

    #[test]
    fn what_was_typed_comes_back_escaped_but_never_a_password() {
        let form = Form::read(b"label=%22%3E%3Cscript%3E&password=hunter2").unwrap();
        let fault = Fault::new("label", "No <b>.");
        let shown = Field::new("text", "label", "Label", &form, &fault).to_string();
        assert!(
            !shown.contains("<script>") && !shown.contains("<b>"),
            "{shown}"
        );
        assert!(shown.contains("aria-invalid"), "{shown}");
        let shown = Field::new("password", "password", "Password", &form, &fault).to_string();
        assert!(!shown.contains("hunter2"));
    }
}
